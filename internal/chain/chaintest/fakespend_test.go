package chaintest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/money"
)

// The fake is held to the promises that real chains' adapters are held to.
func TestFakeConforms(t *testing.T) {
	for _, n := range []money.Network{"bitcoin/regtest", "ethereum/1337"} {
		t.Run(string(n), func(t *testing.T) {
			h := harness(n)
			t.Run("reader", func(t *testing.T) { chaintest.Run(t, h.Harness) })
			t.Run("builder", func(t *testing.T) { chaintest.RunBuilder(t, h) })
		})
	}
}

func harness(n money.Network) chaintest.SpendHarness {
	f := chaintest.NewFake(n)
	f.Mine(10)
	address := func() string {
		if n.Coin() == money.ETH {
			return "0x" + strings.ToLower(rand.Text())
		}
		return "bcrt1q" + strings.ToLower(rand.Text())
	}
	h := chaintest.SpendHarness{Harness: chaintest.Harness{Network: n, Reader: f}, Builder: f, Change: n.Coin() == money.BTC}
	h.Addresses = func(_ testing.TB, n int) (all []string) {
		for range n {
			all = append(all, address())
		}
		return all
	}
	h.Pay = func(_ context.Context, to string, amount money.Amount) (string, error) {
		txid, _, _ := strings.Cut(f.Pay(to, amount), ":")
		return txid, nil
	}
	if n.Coin() == money.BTC {
		h.PayMany = func(_ context.Context, outs []chaintest.Out) (string, error) { return f.PayMany(outs...), nil }
	} else {
		h.PayByContract = func(_ context.Context, to string, amount money.Amount) (string, error) {
			return f.PayByContract(to, amount), nil
		}
	}
	h.DoubleSpend = func(_ context.Context, txid string) error { f.DoubleSpend(txid); return nil }
	h.Mine = func(_ context.Context, blocks int) error { f.Mine(blocks); return nil }
	h.Reorg = func(_ context.Context, depth int, drop []string) error { f.Reorg(depth, drop...); return nil }
	h.Deeper = []int{9}
	h.Pause = func(context.Context) error { f.Fail(chaintest.All, chain.ErrBlind); return nil }
	h.Resume = func(context.Context) error { f.Fail(chaintest.All, nil); return nil }
	h.Account = func(testing.TB) chaintest.Account { return chaintest.Account{Address: address(), Sign: chaintest.Sign} }
	h.Holding = func(_ context.Context, c chain.Credit) (chain.Holding, error) {
		k := chain.Holding{Ticket: chain.Ticket(c.Ref), Address: c.To, Amount: c.Amount}
		if n.Coin() == money.ETH {
			k.Ticket = chain.Ticket(fmt.Sprintf("%s:%d", c.To, 0))
		}
		return k, nil
	}
	h.Evict = func(_ context.Context, txid string) error { f.Evict(txid); return nil }
	h.AcceptThenFail = func(context.Context) error { f.LoseAnswers(1, errors.Join(chain.ErrUnknown)); return nil }
	h.Refuse = func(_ context.Context, on bool) error { f.Deaf(on); return nil }
	h.Spike = func(_ context.Context, times int64) error { f.Spike(times); return nil }
	return h
}
