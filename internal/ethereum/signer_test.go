package ethereum

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/params"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/signer"
)

// openSigner is a signer that refunds whatever it is asked to.
func openSigner(t *testing.T) *signer.Signer {
	t.Helper()
	policy := signer.DefaultPolicy(false)
	much := money.Of(money.ETH, 9*params.Ether)
	policy.ETH.Refund, policy.ETH.RefundDay, policy.ETH.RefundAll, policy.ETH.RefundFree = much, much, much, much
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
	return s
}

// signed is an account of a merchant of its own, whose key the signer has.
func signed(t testing.TB, s *signer.Signer, branch uint32) chaintest.Account {
	t.Helper()
	merchant := fmt.Sprintf("merchant-%d", branch)
	batch, err := s.Release(t.Context(), chain.Want{Merchant: merchant, Branch: branch, Network: network, Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	own := batch.Addresses[0]
	return chaintest.Account{Address: own.Address, Sign: func(u chain.Unsigned) (chain.Signed, error) {
		u.Merchant, u.Spend = merchant, merchant+"-"+u.Spend
		u.Holdings[0].Key = chain.Key{Branch: branch, Index: own.Index}
		u.Pays[0].Payout, u.Pays[0].Cause = u.Spend+"-"+u.Pays[0].Payout, chain.CauseRefund
		return s.Sign(t.Context(), u)
	}}
}

// TestBuilderAndSigner: what the builder writes the signer reads by itself and signs, and the chain takes it: the same
// cases as with a key of the test's own, all as refunds.
func TestBuilderAndSigner(t *testing.T) {
	r := newRig(t)
	r.mine(1)
	s := openSigner(t)
	h := r.spendHarness()
	branch := uint32(0)
	h.Account = func(t testing.TB) chaintest.Account {
		branch++
		return signed(t, s, branch)
	}
	chaintest.RunBuilder(t, h)
}

// TestSignerGivesGas: the signer signs what a receiver with code needs.
func TestSignerGivesGas(t *testing.T) {
	r := newRig(t)
	b, s := openBuilder(t, r.URL()), openSigner(t)
	account, eater := signed(t, s, 1), r.did(r.NewEater(t.Context(), 50_000))
	r.did(r.Pay(t.Context(), account.Address, wei(1e17)))
	r.mine(1)
	p := &purse{r: r, address: account.Address}
	u, err := b.Build(t.Context(), p.draft(eater, eth(1e17)))
	if err != nil {
		t.Fatal(err)
	}
	done, err := account.Sign(u)
	if err != nil {
		t.Fatal(err)
	}
	r.broadcast(b, done)
	bk := newBook(p.address)
	bk[p.address] = eth(1e17)
	if use := r.one(r.scan(r.mine(1), bk.watch())); use.Failed || use.TxID != done.TxID || !use.Fee.Less(u.Fee) {
		t.Errorf("use %+v of %+v", use, u)
	}
	u.Spend, u.Fee = "another", u.Rate
	if _, err := account.Sign(u); !errors.Is(err, chain.ErrRefused) {
		t.Errorf("signed a used ticket again: %v", err)
	}
}
