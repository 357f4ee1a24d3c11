package engine_test

import (
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// An excess went back, the rest became the wallet's and left it in part: a reorganisation below all of it comes to the same
// end again, and stops nothing.
func TestReorganisedBelowWallet(t *testing.T) {
	for _, withdrawn := range []bool{false, true} {
		t.Run(map[bool]string{false: "kept", true: "withdrawn"}[withdrawn], func(t *testing.T) {
			each(t, func(t *testing.T, r *rig, c coinPlace) {
				id := r.create("50", func(x *engine.Create) { x.RefundAddress = c.payer })
				r.chain(c.coin).Pay(r.choose(id, c.coin), amount(c.coin, c.due).PerMillion(1_500_000))
				from := r.chain(c.coin).Tip().Height
				r.mine(c.coin, 3)
				r.follow()
				r.deepen(c.coin, 14)
				r.payoutsAre(id, "excess done", "settlement done")
				var w payment.Payout
				if withdrawn {
					w = r.withdraw(c, amount(c.coin, c.due).PerMillion(400_000).Text())
					r.deepen(c.coin, 8)
					if w = r.again(w); w.State != payment.PayoutDone {
						t.Fatalf("%+v", w)
					}
				}
				r.clean()
				for range 2 {
					r.chain(c.coin).Reorg(int(r.chain(c.coin).Tip().Height - from))
					r.follow()
					if s := r.state(c.n); s.Trouble != "" {
						t.Fatal(s.Trouble)
					}
					r.clean()
					r.clock.add(25 * time.Hour)
					r.deepen(c.coin, 16)
					r.clean()
				}
				p := r.payout(id, payment.RefundExcess)
				if p.State != payment.PayoutDone {
					t.Fatal(r.why(id))
				}
				r.got(c, c.payer, p.Net, 1)
				sum, times := money.Zero(c.coin), 0
				if withdrawn {
					if w = r.again(w); w.State != payment.PayoutDone {
						t.Fatalf("%+v", w)
					}
					sum, times = w.Net, 1
				}
				w = r.withdraw(c, engine.All) // the coins are where they are said to be, and the next nonce is known
				r.deepen(c.coin, 8)
				if w = r.again(w); w.State != payment.PayoutDone {
					t.Fatalf("%+v", w)
				}
				r.got(c, c.other, sum.Add(w.Net), times+1)
				r.walletIs(c, "0")
			})
		})
	}
}
