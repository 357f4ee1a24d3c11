package chaintest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A Harness is a chain under test and what moves it. What is nil the chain cannot do, and its cases do not run.
type Harness struct {
	Network money.Network
	Reader  chain.Reader
	// Addresses gives so many addresses in normal form that were never paid.
	Addresses func(t testing.TB, n int) []string
	// Pay sends coins to an address; the transaction waits in the mempool when it returns.
	Pay func(ctx context.Context, address string, amount money.Amount) (txid string, err error)
	// PayMany sends one transaction with several outputs, in this order.
	PayMany func(ctx context.Context, outs []Out) (txid string, err error)
	// PayByContract sends coins that no plain transaction shows.
	PayByContract func(ctx context.Context, address string, amount money.Amount) (txid string, err error)
	// DoubleSpend makes a transaction, mined or waiting, impossible for ever.
	DoubleSpend func(ctx context.Context, txid string) error
	// Mine adds blocks; the first takes what waits.
	Mine func(ctx context.Context, blocks int) error
	// Reorg replaces the last blocks by one more, and mines again what they held apart from the transactions in drop.
	Reorg func(ctx context.Context, depth int, drop []string) error
	// Deeper are depths of reorganisations to try beyond 1 to 6, from 7 to 100.
	Deeper []int
	// Pause makes the node unreachable, Resume undoes it.
	Pause, Resume func(ctx context.Context) error
}

// patience is how long a node may take to do what it was told, such as to show a transaction in its mempool.
const patience = 15 * time.Second

// Run proves that the harness' reader keeps the promises of chain.Reader.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		able bool
		run  func(*testing.T, Harness)
	}{
		{"blocks are linked", true, blocksAreLinked},
		{"seen, then mined", true, seenThenMined},
		{"several outputs in one transaction", h.PayMany != nil, severalOutputs},
		{"several payments in one block", true, severalPayments},
		{"coins sent by a contract", h.PayByContract != nil, byContract},
		{"foreign addresses", true, foreignAddresses},
		{"many blocks missed", true, manyBlocksMissed},
		{"reorganisations", true, reorganisations},
		{"block that is gone", true, blockThatIsGone},
		{"double spend", h.DoubleSpend != nil, doubleSpend},
		{"node down", h.Pause != nil, nodeDown},
		{"used by many at once", true, usedByMany},
		{"caller gives up", true, callerGivesUp},
	} {
		if c.able {
			t.Run(c.name, func(t *testing.T) { c.run(t, h) })
		}
	}
}

// A tracker is the least that stands on a reader: it follows the chain, keeps each block's credits and explains balances
// from them, as the engine does.
type tracker struct {
	t       *testing.T
	h       Harness
	ours    map[string]bool
	stored  []chain.Block
	credits map[string][]chain.Credit // by block hash
	tickets map[chain.Ticket]bool     // outpoints whose use is looked for
	uses    map[string][]chain.Use    // by block hash
}

// follow starts to track the chain at its tip.
func follow(t *testing.T, h Harness, addresses []string) *tracker {
	t.Helper()
	k := &tracker{t: t, h: h, ours: map[string]bool{}, credits: map[string][]chain.Credit{},
		tickets: map[chain.Ticket]bool{}, uses: map[string][]chain.Use{}}
	for _, a := range addresses {
		k.ours[a] = true
	}
	k.sync()
	return k
}

// explained is what the stored blocks explain on an address: its credits, and on account chains less what left it.
func (k *tracker) explained(address string) money.Amount {
	sum := money.Zero(k.h.Network.Coin())
	for _, b := range k.stored {
		for _, c := range k.credits[b.Hash] {
			if c.To == address {
				sum = sum.Add(c.Amount)
			}
		}
		for _, u := range k.uses[b.Hash] {
			if u.From == address {
				sum = sum.Sub(u.Out).Sub(u.Fee)
			}
		}
	}
	return sum
}

func (k *tracker) watch() chain.Watch {
	w := chain.Watch{
		Has: func(a string) bool { return k.ours[a] },
		Explained: func(_ context.Context, a string) (money.Amount, bool, error) {
			return k.explained(a), k.ours[a], nil
		},
		Held: func(t chain.Ticket) bool { return k.tickets[t] },
	}
	for a := range k.ours {
		w.Hot = append(w.Hot, chain.Weighed{Address: a, Balance: k.explained(a)})
	}
	return w
}

// step does one step; passing troubles are errors.
func (k *tracker) step(ctx context.Context) (chain.Step, error) {
	head, err := k.h.Reader.Head(ctx)
	if err != nil {
		return chain.Step{}, fmt.Errorf("read tip: %w", err)
	}
	stored := k.stored[max(0, len(k.stored)-chain.RecentBlocks):]
	s, err := chain.Next(ctx, k.h.Reader, chain.Place{Head: head, Stored: stored, Watch: k.watch()})
	switch {
	case err != nil:
		return s, fmt.Errorf("next step: %w", err)
	case s.Start != nil:
		k.stored = s.Start
	case s.Connect != nil:
		k.stored = append(k.stored, *s.Connect)
		k.credits[s.Connect.Hash], k.uses[s.Connect.Hash] = s.Found.Credits, s.Found.Uses
	case s.Disconnect != nil:
		delete(k.credits, s.Disconnect.Hash)
		delete(k.uses, s.Disconnect.Hash)
		k.stored = k.stored[:len(k.stored)-1]
	}
	return s, nil
}

// sync steps to the tip.
func (k *tracker) sync() {
	k.t.Helper()
	for range 5000 {
		s, err := k.step(k.t.Context())
		switch {
		case errors.Is(err, chain.ErrGone):
		case err != nil:
			k.t.Fatal(err)
		case s.AtTip:
			return
		}
	}
	k.t.Fatal("the tip is never reached")
}

// expect syncs and compares what each address got with what it should have.
func (k *tracker) expect(want map[string]money.Amount) {
	k.t.Helper()
	k.sync()
	refs := map[string]bool{}
	for hash, all := range k.credits {
		for _, c := range all {
			if refs[c.Ref] {
				k.t.Errorf("Ref %s twice, again in block %s", c.Ref, hash)
			}
			refs[c.Ref] = true
			if c.Amount.Sign() <= 0 || c.Amount.Currency() != k.h.Network.Coin() || !k.ours[c.To] {
				k.t.Errorf("credit %+v", c)
			}
		}
	}
	for a := range k.ours {
		sum, ok := want[a]
		if !ok {
			sum = money.Zero(k.h.Network.Coin())
		}
		if got := k.explained(a); !got.Equal(sum) {
			k.t.Errorf("%s got %s, want %s", a, got, sum)
		}
	}
}

// in finds the credits of a transaction in the stored blocks, and the height of their block.
func (k *tracker) in(txid string) (found []chain.Credit, height uint64) {
	for _, b := range k.stored {
		for _, c := range k.credits[b.Hash] {
			if c.TxID == txid {
				found, height = append(found, c), b.Height
			}
		}
	}
	return found, height
}

// pending waits until what the mempool holds of ours is as wished.
func (k *tracker) pending(what string, wish func([]chain.Credit) bool) []chain.Credit {
	k.t.Helper()
	var last chain.Pending
	for began := time.Now(); time.Since(began) < patience; time.Sleep(20 * time.Millisecond) {
		p, err := k.h.Reader.Pending(k.t.Context(), k.watch())
		if err != nil {
			k.t.Fatal(err)
		}
		if last = p; wish(p.Credits) {
			return p.Credits
		}
	}
	k.t.Fatalf("%s: the mempool stays at %+v", what, last)
	return nil
}

func (k *tracker) mine(n int) {
	k.t.Helper()
	must(k.t, k.h.Mine(k.t.Context(), n))
}

func (k *tracker) pay(address string, amount money.Amount) (txid string) {
	k.t.Helper()
	txid, err := k.h.Pay(k.t.Context(), address, amount)
	must(k.t, err)
	return txid
}

// units is an amount that is worth sending on the network: n millionths of a coin.
func units(h Harness, n int64) money.Amount {
	coin := h.Network.Coin()
	micro := money.Of(coin, 100)
	if coin == money.ETH {
		micro = money.Of(coin, 1_000_000_000_000)
	}
	sum := micro.Big()
	return money.OfBig(coin, sum.Mul(sum, money.Of(coin, n).Big()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares two credits.
func same(x, y chain.Credit) bool {
	return x.Ref == y.Ref && x.To == y.To && x.From == y.From && x.TxID == y.TxID && x.Amount.Equal(y.Amount) && x.Spendable == y.Spendable
}
