package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// refunding is an invoice whose refund is sent.
func (r *rig) refunding(c coinPlace) (id payment.ID, txid string) {
	r.Helper()
	id = r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
	_, err := r.askRefund(id)
	r.must(err)
	r.pays(c.coin)
	p := r.payout(id, payment.RefundAsked)
	if p.SentAt.IsZero() {
		r.Fatal(r.why(id))
	}
	return id, p.TxID
}

// refunded checks the end of refunding.
func (r *rig) refunded(c coinPlace, id payment.ID) {
	r.Helper()
	p := r.payout(id, payment.RefundAsked)
	if p.State != payment.PayoutDone || p.Held != payment.HoldNone {
		r.Fatal(r.why(id))
	}
	r.got(c, c.payer, p.Net, 1)
	r.toldOfRefund(id, "2 3")
	r.is(id, "4/1")
}

// after lets time pass in steps of the payer.
func (r *rig) after(coin money.Currency, d time.Duration) {
	r.Helper()
	for end := r.clock.Now().Add(d); r.clock.Now().Before(end); {
		r.clock.add(time.Minute)
		r.must(r.watch[coin].Follow(r.Context()))
		r.must(r.payer[coin].Step(r.Context()))
	}
}

func (r *rig) versions(id payment.ID, kind payment.PayoutKind) (all []payment.Version) {
	r.Helper()
	p := r.payout(id, kind)
	r.view(func(tx engine.Tx) (err error) { all, err = tx.Versions(p.SpendID); return err })
	return all
}

func TestBumped(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id, first := r.refunding(c)
		r.chain(c.coin).Spike(3)
		r.mine(c.coin, 1) // takes nothing so cheap
		r.after(c.coin, 40*time.Minute)
		p := r.payout(id, payment.RefundAsked)
		if p.TxID == first || len(r.versions(id, payment.RefundAsked)) < 2 {
			t.Fatal(r.why(id))
		}
		if waiting := r.chain(c.coin).Waiting(); len(waiting) != 1 || waiting[0] != p.TxID {
			t.Fatalf("waiting %v, newest %s", waiting, p.TxID)
		}
		r.deepen(c.coin, 6)
		r.refunded(c, id)
	})
}

// A version that was replaced in our books alone is mined: its fee counts.
func TestEarlierVersionMined(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id, first := r.refunding(c)
		fee := r.payout(id, payment.RefundAsked).Fee
		r.chain(c.coin).Spike(3)
		r.chain(c.coin).Deaf(true) // nobody takes the next ones
		r.after(c.coin, 45*time.Minute)
		if len(r.versions(id, payment.RefundAsked)) < 2 {
			t.Fatal(r.why(id))
		}
		r.chain(c.coin).Spike(1)
		r.deepen(c.coin, 6)
		r.refunded(c, id)
		if p := r.payout(id, payment.RefundAsked); p.TxID != first || !p.Fee.Equal(fee) {
			t.Errorf("booked %s at %s, mined %s at %s", p.TxID, p.Fee, first, fee)
		}
	})
}

func TestEvicted(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id, txid := r.refunding(c)
		for range 3 {
			for _, w := range r.chain(c.coin).Waiting() {
				r.chain(c.coin).Evict(w)
			}
			r.after(c.coin, 12*time.Minute)
		}
		r.chain(c.coin).Evict(txid)
		r.after(c.coin, 12*time.Minute)
		r.deepen(c.coin, 6)
		r.refunded(c, id)
	})
}

// While a dearer version waits for its signature, or is refused, the one before is sent on.
func TestEvictedWhileSignerWaits(t *testing.T) {
	for _, said := range []error{&chain.Wait{Reason: "call"}, chain.ErrRefused, errors.New("cannot be reached")} {
		t.Run(said.Error(), func(t *testing.T) {
			each(t, func(t *testing.T, r *rig, c coinPlace) {
				id, txid := r.refunding(c)
				r.hand.Set(func(h *chaintest.Hand) { h.Rule = func(chain.Unsigned) error { return said } })
				r.chain(c.coin).Spike(2)
				for range 45 {
					r.clock.add(time.Minute)
					r.must(r.watch[c.coin].Follow(t.Context()))
					if err := r.payer[c.coin].Step(t.Context()); err != nil && !strings.Contains(err.Error(), "cannot be reached") {
						t.Fatal(err)
					}
				}
				if n := len(r.versions(id, payment.RefundAsked)); n != 2 {
					t.Fatalf("%d versions: %s", n, r.why(id))
				}
				r.chain(c.coin).Evict(txid)
				r.chain(c.coin).Spike(1)
				for range 45 {
					r.clock.add(time.Minute)
					if err := r.payer[c.coin].Step(t.Context()); err != nil && !strings.Contains(err.Error(), "cannot be reached") {
						t.Fatal(err)
					}
				}
				if w := r.chain(c.coin).Waiting(); len(w) != 1 || w[0] != txid {
					t.Fatalf("waiting %v: %s", w, r.why(id))
				}
				r.mine(c.coin, 6)
				r.follow()
				r.refunded(c, id)
			})
		})
	}
}

// What the node says is no verdict.
func TestErrorAfterAccepted(t *testing.T) {
	for _, said := range []error{chain.ErrRejected, chain.ErrUnknown, errors.New("internal error")} {
		t.Run(said.Error(), func(t *testing.T) {
			each(t, func(t *testing.T, r *rig, c coinPlace) {
				id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
				_, err := r.askRefund(id)
				r.must(err)
				r.chain(c.coin).LoseAnswers(1, said)
				r.pays(c.coin)
				r.deepen(c.coin, 6)
				r.refunded(c, id)
			})
		})
	}
	t.Run("and never again", func(t *testing.T) {
		each(t, func(t *testing.T, r *rig, c coinPlace) {
			id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
			_, err := r.askRefund(id)
			r.must(err)
			r.chain(c.coin).LoseAnswers(1, chain.ErrUnknown)
			for range 3 { // built, signed, sent once
				r.clock.add(time.Second)
				r.must(r.payer[c.coin].Step(t.Context()))
			}
			r.chain(c.coin).Fail(chaintest.Broadcast, chain.ErrBlind)
			r.mine(c.coin, 6)
			r.follow()
			r.refunded(c, id)
		})
	})
}

// Where no node knows what fees are, payouts wait, say so, and go on by themselves.
func TestNoFeeKnown(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		r.receive(c, c.due)
		id := r.paid(c.coin, "50", c.due)
		w := r.withdraw(c, engine.All)
		r.chain(c.coin).Fail("Fees", chain.ErrBlind)
		for range 3 {
			r.clock.add(101 * time.Second)
			r.mine(c.coin, 2)
			r.follow()
			if err := r.payer[c.coin].Step(t.Context()); !errors.Is(err, chain.ErrBlind) {
				t.Fatal(err)
			}
		}
		r.payoutsAre(id, "settlement waiting node")
		if w = r.again(w); w.State != payment.PayoutWaiting || w.Held != payment.HoldNode {
			t.Errorf("%+v", w)
		}
		r.chain(c.coin).Fail("Fees", nil)
		r.deepen(c.coin, 10)
		r.payoutsAre(id, "settlement done")
		if w = r.again(w); w.State != payment.PayoutDone {
			t.Errorf("%+v", w)
		}
	})
}

// Fees ×50 for an hour: what waits says why, and all is paid within two hours after they fall.
func TestFeeSpike(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		sent, _ := r.refunding(c)
		var ids []payment.ID
		for range 4 {
			ids = append(ids, r.paid(c.coin, "50", c.due))
		}
		r.chain(c.coin).Spike(50)
		for range 6 {
			r.after(c.coin, 10*time.Minute)
			r.mine(c.coin, 1)
		}
		for _, id := range ids[1:] {
			if p := r.payout(id, payment.Settlement); c.coin == money.BTC && p.Held != payment.HoldFee {
				t.Errorf("%s", r.why(id))
			}
		}
		r.chain(c.coin).Spike(1)
		for range 12 {
			r.after(c.coin, 10*time.Minute)
			r.mine(c.coin, 1)
			r.follow()
		}
		r.refunded(c, sent)
		for _, id := range ids {
			r.payoutsAre(id, "settlement done")
		}
	})
}

// Coins that leave by a hand that is not PIPE's halt all payouts; the network is followed on, a payout whose ticket is gone is
// lost, and comes back if the chain does.
func TestTheft(t *testing.T) {
	for _, with := range []string{"nothing planned", "a payout sent"} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			for _, c := range places {
				r := newRig(t)
				r.settles(c, c.shop)
				id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
				if with == "a payout sent" {
					_, err := r.askRefund(id)
					r.must(err)
					r.pays(c.coin)
				}
				d := r.facts(id).Deposits[0]
				sum := d.Amount
				if c.coin == money.ETH {
					sum = sum.PerMillion(500_000)
				}
				r.chain(c.coin).Steal(chain.Ticket(d.Ref), d.Address, sum)
				r.mine(c.coin, 1)
				r.follow()
				if h, err := r.desk.Halted(t.Context()); err != nil || !strings.Contains(h.Reason, "did not make") {
					t.Errorf("%s: %+v %v", c.coin, h, err)
				}
				if s := r.state(c.n); s.Trouble != "" {
					t.Fatalf("%s: %s", c.coin, s.Trouble)
				}
				report, err := r.auditor.Audit(t.Context())
				r.must(err)
				if report.Clean() {
					t.Errorf("%s: the audit finds nothing", c.coin)
				}
				r.deepen(c.coin, 3)
				if with != "a payout sent" {
					continue
				}
				p := r.payout(id, payment.RefundAsked)
				var s payment.Spend
				r.view(func(tx engine.Tx) (err error) { s, err = tx.Spend(p.SpendID); return err })
				if s.State != payment.SpendLost || p.State != payment.PayoutPaying {
					t.Fatalf("%s: %s %s", c.coin, s.State, r.why(id))
				}
				raw := r.versions(id, payment.RefundAsked)[0].Raw
				theft := strings.TrimPrefix(s.Reason, "used by ")
				r.chain(c.coin).Reorg(4, theft)
				r.follow()
				r.must(r.chain(c.coin).Broadcast(t.Context(), raw))
				r.mine(c.coin, 8)
				r.follow()
				r.refunded(c, id)
				r.once()
				r.clean()
			}
		})
	}
}

// Reorganisations under a payout at each of its states.
func TestReorganisedPayouts(t *testing.T) {
	for _, deep := range []struct {
		name   string
		blocks int
	}{{"sent", 0}, {"mined", 1}, {"mined deeper", 3}, {"done", 4}, {"deeper than final", 7}} {
		for _, how := range []string{"again", "evicted", "with its deposit", "deposit and payout evicted", "deposit gone"} {
			t.Run(deep.name+" "+how, func(t *testing.T) {
				each(t, func(t *testing.T, r *rig, c coinPlace) {
					id, txid := r.refunding(c)
					d := r.facts(id).Deposits[0]
					r.mine(c.coin, deep.blocks)
					r.follow()
					p := r.payout(id, payment.RefundAsked)
					if (p.State == payment.PayoutDone) != (deep.blocks >= 4) {
						t.Fatal(r.why(id))
					}
					f := r.chain(c.coin)
					below := int(f.Tip().Height-d.Height) + 1
					switch how {
					case "again":
						f.Reorg(max(deep.blocks, 1))
					case "evicted":
						f.Reorg(max(deep.blocks, 1), txid)
					case "with its deposit":
						f.Reorg(below)
					case "deposit and payout evicted":
						f.Reorg(below, txid)
					case "deposit gone":
						f.Reorg(below, d.Ref)
					}
					r.follow()
					r.clean()
					for range 4 {
						r.after(c.coin, 11*time.Minute)
						r.mine(c.coin, 3)
						r.follow()
					}
					p = r.payout(id, payment.RefundAsked)
					if how == "deposit gone" {
						r.got(c, c.payer, money.Zero(c.coin), 0)
						if p.State != payment.PayoutPaying || p.Reserved {
							t.Fatal(r.why(id))
						}
						return
					}
					if p.State != payment.PayoutDone {
						t.Fatal(r.why(id))
					}
					r.got(c, c.payer, p.Net, 1)
					r.is(id, "4/1")
				})
			})
		}
	}
}

// The same under a batch of settlements, and under coins that became the wallet's and left it.
func TestReorganisedBatch(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		var ids []payment.ID
		from := r.chain(c.coin).Tip().Height
		for range 3 {
			ids = append(ids, r.paid(c.coin, "50", c.due))
		}
		r.deepen(c.coin, 7)
		for round := range 3 {
			depth := []int{2, 6, int(r.chain(c.coin).Tip().Height - from)}[round]
			r.chain(c.coin).Reorg(depth)
			r.follow()
			r.clean()
			r.deepen(c.coin, 9)
		}
		for _, id := range ids {
			r.payoutsAre(id, "settlement done")
		}
	})
}

func TestReorganisedWallet(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		from := r.chain(c.coin).Tip().Height
		r.kept(c, 50, 20)
		r.receive(c, c.due)
		w := r.withdraw(c, amount(c.coin, c.due).PerMillion(800_000).Text())
		v := r.withdraw(c, amount(c.coin, c.due).PerMillion(900_000).Text())
		r.deepen(c.coin, 1)
		for round := range 4 {
			f := r.chain(c.coin)
			depth := []int{1, 3, 7, int(f.Tip().Height - from)}[round]
			f.Reorg(depth)
			r.follow()
			r.clean()
			r.deepen(c.coin, 6)
			r.clean()
		}
		r.deepen(c.coin, 9)
		w, v = r.again(w), r.again(v)
		if w.State != payment.PayoutDone || v.State != payment.PayoutDone {
			t.Fatalf("%+v\n%+v\n%s", w, v, r.errors)
		}
		r.got(c, c.other, w.Net.Add(v.Net), 2)
	})
}

// One merchant's settlement pays another's invoice: it is a deposit as any other.
func TestPayoutPaysInvoice(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		bill := r.create("25")
		to := r.choose(bill, c.coin)
		r.settles(c, to)
		id := r.paid(c.coin, "50", c.due)
		r.deepen(c.coin, 1)
		r.settles(c, "")
		r.deepen(c.coin, 3)
		d := r.facts(bill).Deposits
		if len(d) != 1 || !d[0].Amount.Equal(r.payout(id, payment.Settlement).Net) || d[0].SpendID != "" || d[0].Account != ledger.Invoice(string(bill)) {
			t.Fatalf("deposits %+v", d)
		}
		if told := r.facts(bill).Invoice.Told; told.Status != payment.Paid {
			t.Errorf("%+v", told)
		}
		r.deepen(c.coin, 6)
		r.payoutsAre(id, "settlement done")
	})
}

// What is given up while its transaction is being built is not paid.
func TestGivenUpWhileBuilt(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.receive(c, c.due)
		w := r.withdraw(c, engine.All)
		r.chain(c.coin).Before(chaintest.Build, func() {
			if _, err := r.desk.CancelWithdrawal(t.Context(), r.merchant.ID, w.ID); err != nil {
				t.Error(err)
			}
		})
		r.deepen(c.coin, 6)
		if w = r.again(w); w.State != payment.PayoutFailed || w.Reserved || r.hand.Signed() != 0 {
			t.Fatalf("%+v", w)
		}
		r.got(c, c.other, money.Zero(c.coin), 0)
		r.walletIs(c, c.due)

		// and a settlement that a refund takes the place of, by another process
		r.settles(c, c.shop)
		id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
		other := r.newPayer(c.coin, r.store, r.hand, r.chain(c.coin))
		r.mine(c.coin, 1)
		r.follow()
		r.clock.add(101 * time.Second)
		r.chain(c.coin).Before(chaintest.Build, func() {
			if _, err := r.askRefund(id); err != nil {
				t.Error(err)
			}
			if err := other.Step(t.Context()); err != nil {
				t.Error(err)
			}
		})
		r.deepen(c.coin, 8)
		r.payoutsAre(id, "settlement failed", "asked done")
		p := r.payout(id, payment.RefundAsked)
		r.got(c, c.payer, p.Net, 1)
		r.got(c, c.shop, money.Zero(c.coin), 0)
	})
}

// Eight processes on one store: each payout gets one spend.
func TestManyPayers(t *testing.T) {
	run := func(t *testing.T, r *rig, invoices int) {
		for _, c := range places {
			r.follow()
			r.settles(c, c.shop)
			var ids []payment.ID
			for range invoices {
				id := r.create("50", func(x *engine.Create) { x.RefundAddress = c.payer })
				r.chain(c.coin).Pay(r.choose(id, c.coin), amount(c.coin, c.due))
				r.must(r.pool.Step(t.Context()))
				ids = append(ids, id)
			}
			r.mine(c.coin, 4)
			r.follow()
			asked := map[payment.ID]bool{}
			for n, id := range ids {
				if n%3 == 0 {
					_, err := r.askRefund(id)
					r.must(err)
					asked[id] = true
				}
			}
			for range 8 {
				r.clock.add(101 * time.Second)
				var all sync.WaitGroup
				for range 8 {
					p := r.newPayer(c.coin, r.store, r.hand, r.chain(c.coin))
					all.Go(func() {
						if err := p.Step(t.Context()); err != nil && !errors.Is(err, payment.ErrConflict) {
							t.Errorf("step: %v", err)
						}
					})
				}
				all.Wait()
			}
			for range 12 {
				r.mine(c.coin, 1)
				r.follow()
				r.pays(c.coin)
			}
			for _, id := range ids {
				kind := payment.Settlement
				if asked[id] {
					kind = payment.RefundAsked
				}
				if p := r.payout(id, kind); p.State != payment.PayoutDone {
					t.Fatal(r.why(id))
				}
			}
		}
		r.once()
		r.clean()
	}
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); run(t, newRig(t), 30) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); run(t, newPostgresRig(t), 12) })
}

// Asked, settled and cancelled at once, fifty rounds; what came of it is one of the histories that a model allows.
func TestRefundSettleWithdrawAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		rounds := 25
		if testing.Short() {
			rounds = 5
		}
		r.settles(c, c.shop)
		r.receive(c, c.due)
		paid, withdrawn := money.Zero(c.coin), 0
		for round := range rounds {
			r.must(r.pool.Step(t.Context()))
			if withdrawn == 5 { // half of what was received: so much is there again
				r.receive(c, c.due)
				withdrawn = 0
			}
			id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
			w := r.withdraw(c, amount(c.coin, c.due).PerMillion(100_000).Text())
			r.mine(c.coin, round%4)
			r.follow()
			r.clock.add(101 * time.Second)
			var all sync.WaitGroup
			asked, cancelled := make([]error, 8), make([]error, 3)
			for i := range asked {
				all.Go(func() { _, asked[i] = r.askRefund(id) })
			}
			for i := range cancelled {
				all.Go(func() { _, cancelled[i] = r.desk.CancelWithdrawal(t.Context(), r.merchant.ID, w.ID) })
			}
			for range 4 {
				p := r.newPayer(c.coin, r.store, r.hand, r.chain(c.coin))
				all.Go(func() {
					if err := p.Step(t.Context()); err != nil && !errors.Is(err, payment.ErrConflict) {
						t.Errorf("step: %v", err)
					}
				})
			}
			all.Wait()
			r.deepen(c.coin, 12)
			ok := 0
			for _, err := range asked {
				if err == nil {
					ok++
				}
			}
			for _, p := range r.facts(id).Payouts { // one that failed may be asked for again
				if p.Kind == payment.RefundAsked {
					ok--
				}
			}
			settlement, refund := r.payout(id, payment.Settlement), r.payout(id, payment.RefundAsked)
			model := fmt.Sprintf("%s %s", settlement.State, refund.State)
			if ok != 0 || model != "failed done" && model != "done failed" && model != "done done" {
				t.Fatalf("round %d: %d refunds more were taken than there are, %s: %s", round, ok, model, r.why(id))
			}
			gone := 0
			for _, err := range cancelled {
				if err == nil {
					gone++
				}
			}
			w = r.again(w)
			if (w.State == payment.PayoutFailed) != (gone == 1) || gone > 1 || w.Live() {
				t.Fatalf("round %d: cancelled %d times, and the withdrawal is %s", round, gone, w.State)
			}
			paid = paid.Add(w.Net)
			withdrawn += 1 - gone
			if refund.State == payment.PayoutDone && settlement.State == payment.PayoutDone {
				r.receive(c, c.due) // the float paid it
			}
		}
		if sum, _ := r.chain(c.coin).Got(c.other); !sum.Equal(paid) {
			t.Errorf("withdrawals brought %s, booked %s", sum, paid)
		}
	})
}
