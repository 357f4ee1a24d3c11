package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// Cursor is the top block.
func (t *tx) Cursor(network money.Network) (chain.Block, error) {
	r, err := t.q.Cursor(t.ctx, string(network))
	return block(r), t.fail("find cursor", err)
}

// RecentBlocks are the topmost blocks in ascending order; the last one is the cursor.
func (t *tx) RecentBlocks(network money.Network, limit int) ([]chain.Block, error) {
	rows, err := t.q.RecentBlocks(t.ctx, row.RecentBlocksParams{Network: string(network), Most: atMost(limit)})
	all := make([]chain.Block, len(rows))
	for i, r := range rows {
		all[i] = block(r)
	}
	slices.Reverse(all)
	return all, t.fail("list blocks", err)
}

// PushBlock makes a block the cursor. It must be the child of the cursor, where there is one: else somebody else moved the
// cursor, which is payment.ErrConflict.
func (t *tx) PushBlock(network money.Network, b chain.Block) error {
	top, err := t.Cursor(network)
	switch {
	case errors.Is(err, payment.ErrAbsent):
	case err != nil:
		return err
	case b.Height != top.Height+1 || b.Parent != top.Hash:
		return fmt.Errorf("push block %d %s on %d %s: %w", b.Height, b.Hash, top.Height, top.Hash, payment.ErrConflict)
	}
	return t.fail("push block", t.q.PushBlock(t.ctx, row.PushBlockParams{
		Network: string(network), Height: int64(b.Height), Hash: b.Hash, Parent: b.Parent, Time: millis(b.Time),
	}))
}

// PopBlock removes the cursor, which must be this block: else payment.ErrConflict.
func (t *tx) PopBlock(network money.Network, b chain.Block) error {
	top, err := t.Cursor(network)
	if err != nil {
		return err
	}
	if top.Height != b.Height || top.Hash != b.Hash {
		return fmt.Errorf("pop block %d %s, the top is %d %s: %w", b.Height, b.Hash, top.Height, top.Hash, payment.ErrConflict)
	}
	n, err := t.q.PopBlock(t.ctx, row.PopBlockParams{Network: string(network), Height: int64(b.Height), Hash: b.Hash})
	return t.swapped("pop block", n, err)
}

// PruneBlocks forgets blocks below a height, never the cursor.
func (t *tx) PruneBlocks(network money.Network, below uint64) error {
	return t.fail("prune blocks", t.q.PruneBlocks(t.ctx, row.PruneBlocksParams{Network: string(network), Below: int64(below)}))
}

// NetworkState is what is known of a network's node.
func (t *tx) NetworkState(network money.Network) (engine.NetworkState, error) {
	r, err := t.q.NetworkState(t.ctx, string(network))
	return engine.NetworkState{
		Network: money.Network(r.Network), Sight: at(r.Sight), Trouble: r.Trouble, TroubleSince: at(r.TroubleSince),
		Height: uint64(r.Height), Final: uint64(r.Final), Genesis: r.Genesis, BreakerUntil: at(r.BreakerUntil), Rev: r.Rev,
	}, t.fail("find network state", err)
}

// SaveNetworkState saves it by compare-and-swap; the first one of a network has Rev 0 and is stored with Rev 1.
func (t *tx) SaveNetworkState(s engine.NetworkState) error {
	p := row.SwapNetworkStateParams{
		Sight: millis(s.Sight), Trouble: s.Trouble, TroubleSince: millis(s.TroubleSince), Height: int64(s.Height),
		Final: int64(s.Final), Genesis: s.Genesis, BreakerUntil: millis(s.BreakerUntil), Network: string(s.Network), Rev: s.Rev,
	}
	if s.Rev == 0 {
		return t.fail("save network state", t.q.AddNetworkState(t.ctx, row.AddNetworkStateParams{
			Network: p.Network, Sight: p.Sight, Trouble: p.Trouble, TroubleSince: p.TroubleSince, Height: p.Height,
			Final: p.Final, Genesis: p.Genesis, BreakerUntil: p.BreakerUntil,
		}))
	}
	n, err := t.q.SwapNetworkState(t.ctx, p)
	return t.swapped("save network state", n, err)
}

func block(r row.Block) chain.Block {
	return chain.Block{Height: uint64(r.Height), Hash: r.Hash, Parent: r.Parent, Time: at(r.Time)}
}
