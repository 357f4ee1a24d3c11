package bitcoin_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	devchain "github.com/pipe-pg/pipe/internal/devchain/bitcoin"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/signer"
)

// TestBuilderAndSigner: what the builder writes the signer reads by itself and signs, and the chain takes it: the same
// cases as with a key of the test's own, all as refunds.
func TestBuilderAndSigner(t *testing.T) {
	c, err := devchain.Open(t.Context(), devchain.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close chain: %v", err)
		}
	})
	policy := signer.DefaultPolicy(false)
	much := money.Of(money.BTC, 1_000*100_000_000)
	policy.BTC.Refund, policy.BTC.RefundDay, policy.BTC.RefundAll, policy.BTC.RefundFree = much, much, much, much
	o := signer.Options{Dir: t.TempDir(), Passphrase: signer.NewSecret("a passphrase for tests alone"), KDF: signer.KDF{Memory: 8, Passes: 1, Lanes: 1}, Policy: policy}
	if _, err := signer.Create(o); err != nil {
		t.Fatal(err)
	}
	s, err := signer.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close signer: %v", err)
		}
	})
	h := spender(c, open(t, c.URL()), openBuilder(t, c.URL()))
	branch := uint32(0)
	h.Account = func(t testing.TB) chaintest.Account {
		branch++
		merchant, mine := fmt.Sprintf("merchant-%d", branch), branch
		batch, err := s.Release(t.Context(), chain.Want{Merchant: merchant, Branch: mine, Network: regtest, Count: 1})
		if err != nil {
			t.Fatal(err)
		}
		own := batch.Addresses[0]
		return chaintest.Account{Address: own.Address, Sign: func(u chain.Unsigned) (chain.Signed, error) {
			u.Merchant, u.Spend = merchant, merchant+"-"+u.Spend
			for i := range u.Holdings {
				u.Holdings[i].Key = chain.Key{Branch: mine, Index: own.Index}
			}
			for i := range u.Pays {
				u.Pays[i].Payout, u.Pays[i].Cause = u.Spend+"-"+u.Pays[i].Payout, chain.CauseRefund
			}
			return s.Sign(t.Context(), u)
		}}
	}
	h.Spike = func(_ context.Context, times int64) error {
		c.SetFeeRate(2_000 * times)
		return nil
	}
	chaintest.RunBuilder(t, h)
}
