package ethereum

import (
	"context"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/money"
)

// TestConformance: the reader of a real geth keeps the promises of chain.Reader.
func TestConformance(t *testing.T) {
	r := newRig(t)
	r.mine(1)
	chaintest.Run(t, r.harness())
}

func (r *rig) harness() chaintest.Harness {
	return chaintest.Harness{
		Network:   network,
		Reader:    open(r.t, network, r.URL()),
		Addresses: func(_ testing.TB, n int) []string { return r.addresses(n) },
		Pay: func(ctx context.Context, address string, amount money.Amount) (string, error) {
			return r.Pay(ctx, address, amount.Big())
		},
		PayByContract: func(ctx context.Context, address string, amount money.Amount) (string, error) {
			return r.PayByContract(ctx, address, amount.Big())
		},
		DoubleSpend: func(ctx context.Context, txid string) error { _, err := r.DoubleSpend(ctx, txid); return err },
		Mine:        func(ctx context.Context, blocks int) error { _, _, err := r.Mine(ctx, blocks); return err },
		Reorg: func(ctx context.Context, depth int, drop []string) error {
			_, _, err := r.Reorg(ctx, depth, drop)
			return err
		},
		Pause:  func(context.Context) error { return r.Pause() },
		Resume: func(context.Context) error { return r.Resume() },
	}
}
