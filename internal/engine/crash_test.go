package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A story is a list of acts. Those of the process are tried again after a fault, as its loops and its callers do; those of
// the world outside happen once.
type story struct {
	r  *rig
	id payment.ID
	to string
}

// act does something of the process until it succeeds, with a new process after each death. 409s and the like do not occur
// in stories: whatever is refused is a fault.
func (s *story) act(do func() error) {
	s.r.Helper()
	for try := 0; ; try++ {
		err := do()
		s.r.courier.Wait()
		switch {
		case s.r.faults.died():
			s.r.faults.revive()
			s.r.boot()
		case err == nil:
			return
		}
		if try > 20 {
			s.r.Fatalf("act never succeeds: %v", err)
		}
	}
}

func (s *story) open(price string, coin money.Currency) {
	ctx := s.r.Context()
	s.act(func() error { return s.r.pool.Step(ctx) })
	s.act(func() error {
		inv, err := s.r.desk.Create(ctx, s.r.app, engine.Create{PriceCurrency: "USD", Price: price, OrderID: "o",
			CallbackURL: "https://shop.example/callback", IdempotencyKey: "key"})
		s.id = inv.ID
		return err
	})
	s.act(func() error { return s.r.desk.Choose(ctx, s.id, engine.Choice{Coin: coin}) })
	s.to = s.r.address(s.id, coin)
}

// follow steps the watcher to the tip, and two looks more.
func (s *story) follow(coin money.Currency) {
	for range 3 {
		s.act(func() error { return s.r.watch[coin].Follow(s.r.Context()) })
	}
}

// courier sends until nothing is due, over leases and pauses.
func (s *story) send() {
	for range 4 {
		s.act(func() error { return s.r.courier.Step(s.r.Context()) })
		s.r.clock.add(2 * time.Minute)
		for _, c := range s.r.nets {
			s.follow(c.Network.Coin())
		}
	}
}

// told checks what the shop got: each of the wanted at least once, in this order at their first coming, nothing else.
func (s *story) told(want ...string) {
	s.r.Helper()
	var first []string
	for _, m := range s.r.shop.got {
		if !slices.Contains(first, m.ID) {
			first = append(first, m.ID)
		}
	}
	owed := s.r.callbacks(s.id)
	var ids, states []string
	for _, c := range owed {
		ids = append(ids, string(c.ID))
		states = append(states, fmt.Sprintf("%d:%d", c.Code, c.Status))
		if c.State != payment.CallbackDelivered {
			s.r.Fatalf("callback %d is %s", c.Seq, c.State)
		}
	}
	if !slices.Equal(states, want) || !slices.Equal(first, ids) {
		s.r.Fatalf("owed %v, want %v; the shop got %v of %v", states, want, first, ids)
	}
}

func paidOnBitcoin(s *story) {
	s.open("100", money.BTC)
	s.r.btc.Pay(s.to, amount(money.BTC, "0.002"))
	s.follow(money.BTC)
	s.r.mine(money.BTC, 1)
	s.follow(money.BTC)
	s.r.mine(money.BTC, 1)
	s.follow(money.BTC)
	s.send()
	s.r.is(s.id, "2/1")
	s.told("1:2")
	if got := s.r.held(s.id, btcNet); got != "0.002" {
		s.r.Fatalf("the ledger holds %s", got)
	}
}

func paidOnEthereum(s *story) {
	s.open("100", money.ETH)
	s.r.eth.Pay(s.to, amount(money.ETH, "0.03"))
	s.follow(money.ETH)
	s.r.mine(money.ETH, 1)
	s.follow(money.ETH)
	s.r.eth.PayByContract(s.to, amount(money.ETH, "0.01"))
	s.r.mine(money.ETH, 1)
	s.follow(money.ETH)
	s.act(func() error { return s.r.watch[money.ETH].Recount(s.r.Context()) })
	s.r.mine(money.ETH, 2)
	s.follow(money.ETH)
	s.send()
	s.r.is(s.id, "2/1")
	s.told("1:2")
	if got := s.r.held(s.id, ethNet); got != "0.04" {
		s.r.Fatalf("the ledger holds %s", got)
	}
}

func reversedOnBitcoin(s *story) {
	s.open("100", money.BTC)
	ref := s.r.btc.Pay(s.to, amount(money.BTC, "0.002"))
	s.r.mine(money.BTC, 1)
	s.follow(money.BTC)
	s.r.btc.Reorg(1) // mined again
	s.follow(money.BTC)
	s.r.mine(money.BTC, 1)
	s.follow(money.BTC)
	s.send()
	s.r.btc.DoubleSpend(ref)
	s.follow(money.BTC)
	s.send()
	s.r.is(s.id, "2/0 reversed dropped")
	s.told("1:2", "4092:2")
	if got := s.r.held(s.id, btcNet); got != "0" {
		s.r.Fatalf("the ledger holds %s", got)
	}
}

func expired(s *story) {
	s.open("100", money.BTC)
	s.r.btc.Pay(s.to, amount(money.BTC, "0.001"))
	s.r.mine(money.BTC, 3)
	s.follow(money.BTC)
	s.r.clock.add(31 * time.Minute)
	s.follow(money.BTC)
	s.follow(money.ETH)
	s.act(func() error { return s.r.clerk.Expire(s.r.Context()) })
	s.send()
	s.r.is(s.id, "3/2 short")
	s.told("1:3")
	if got := s.r.held(s.id, btcNet); got != "0.001" {
		s.r.Fatalf("the ledger holds %s", got)
	}
}

// Every story ends the same, whichever call of it fails in whichever way.
func TestCrashes(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(*story)
	}{{"paid on Bitcoin", paidOnBitcoin}, {"paid on Ethereum", paidOnEthereum}, {"reversed on Bitcoin", reversedOnBitcoin}, {"expired short", expired}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calls := tellWith(t, c.tell, 0, never)
			if len(calls) < 50 {
				t.Fatalf("a story of %d calls", len(calls))
			}
			step := 1
			if testing.Short() {
				step = 7
			}
			for n := 1; n <= len(calls); n += step {
				for w, name := range map[way]string{glitch: "glitch", before: "before", after: "after"} {
					// A call without effect leaves nothing to die before or after, and dying before an effect is dying
					// after the one before it.
					effect := strings.Contains("Update Release NewEpoch Send", calls[n-1])
					if w == after && !effect || w == before && calls[n-1] != "Send" && n > 1 {
						continue
					}
					if w == glitch && calls[n-1] == "View" && n%3 != 0 {
						continue // reading is two thirds of all calls, and fails in few ways
					}
					ok := t.Run(fmt.Sprintf("%s call %d %s", name, n, calls[n-1]), func(t *testing.T) { tellWith(t, c.tell, n, w) })
					if !ok {
						return
					}
				}
			}
		})
	}
}

func tellWith(t *testing.T, tell func(*story), n int, w way) []string {
	r := newRig(t)
	r.set(nil, func(c *payment.CallbackSettings) { c.Reversed, c.Expired = true, true })
	s := &story{r: r}
	r.faults.plan(n, w)
	tell(s)
	calls := slices.Clone(r.faults.names)
	r.clean()
	r.boot()
	r.clean()
	return calls
}
