package engine_test

import (
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// times is so many times the amount due.
func (c coinPlace) times(n int64) string {
	return amount(c.coin, c.due).PerMillion(n * 1_000_000).Text()
}

func (r *rig) wallet(c coinPlace) money.Amount {
	r.Helper()
	have := money.Zero(c.coin)
	r.view(func(tx engine.Tx) (err error) {
		have, err = tx.BalanceOf(ledger.Wallet(string(r.merchant.ID)), c.n)
		return err
	})
	return have
}

// over is a paid invoice without a refund address, whose excess waits for one, while the merchant's part is the wallet's.
func (r *rig) over(c coinPlace) (id payment.ID) {
	r.Helper()
	id = r.paid(c.coin, "50", c.times(3))
	r.deepen(c.coin, 8)
	r.payoutsAre(id, "excess waiting address", "settlement done")
	s := r.payout(id, payment.Settlement)
	if !s.Amount.Equal(amount(c.coin, c.due)) || !r.wallet(c).Equal(s.Net) {
		r.Fatalf("the wallet holds %s: %s", r.wallet(c), r.why(id))
	}
	if c.coin == money.BTC && (s.Fee.Sign() <= 0 || s.TxID == "") || c.coin == money.ETH && s.SpendID != "" {
		r.Fatal(r.why(id))
	}
	if got := r.held(id, c.n); got != c.times(2) {
		r.Fatalf("the payer's part is %s", got)
	}
	r.clean()
	return id
}

// What is the payer's waits for an address, maybe for ever; what is the merchant's does not wait with it.
func TestPayersPartWaitsAlone(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id := r.over(c)
		w := r.withdraw(c, engine.All) // the merchant's part is there to be used
		r.deepen(c.coin, 8)
		if w = r.again(w); w.State != payment.PayoutDone {
			t.Fatalf("%+v %s", w, r.errors)
		}
		_, err := r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.payer})
		r.must(err)
		r.deepen(c.coin, 8)
		r.payoutsAre(id, "excess done", "settlement done")
		p := r.payout(id, payment.RefundExcess)
		if p.Amount.Text() != c.times(2) {
			t.Errorf("%s went back", p.Amount)
		}
		r.got(c, c.payer, p.Net, 1)
		r.is(id, "2/1 excess")
	})
}

// A refund that is asked for then gives back all: what the wallet got from the wallet, and the rest from where it is.
func TestRefundOfPartsApart(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id := r.over(c)
		s := r.payout(id, payment.Settlement)
		_, err := r.askRefund(id)
		r.must(err)
		_, err = r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.payer})
		r.must(err)
		r.deepen(c.coin, 8)
		r.toldOfRefund(id, "2 3")
		r.deepen(c.coin, 8)
		r.is(id, "4/1 excess")
		asked, late := r.payout(id, payment.RefundAsked), r.payout(id, payment.RefundLate)
		if !asked.Amount.Equal(s.Net) || late.Amount.Text() != c.times(2) || late.State != payment.PayoutDone {
			t.Fatal(r.why(id))
		}
		r.got(c, c.payer, asked.Net.Add(late.Net), 2)
	})
}

// A refund is asked for while the settlement that stays inside is on its way.
func TestRefundMeetsInsideSettlement(t *testing.T) {
	t.Parallel()
	r, c := newRig(t), places[0]
	id := r.paid(c.coin, "50", c.times(3))
	r.deepen(c.coin, 2)
	r.payoutsAre(id, "excess waiting address", "settlement paying")
	_, err := r.askRefund(id)
	r.must(err)
	_, err = r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.payer})
	r.must(err)
	r.deepen(c.coin, 20)
	r.toldOfRefund(id, "2 3")
	r.is(id, "4/1 excess")
	asked, late := r.payout(id, payment.RefundAsked), r.payout(id, payment.RefundLate)
	r.got(c, c.payer, asked.Net.Add(late.Net), 2)
	r.once()
	r.clean()
}

// Reorganisations as deep as they can be, under parts that were told apart, refunded and withdrawn.
func TestReorganisedParts(t *testing.T) {
	for _, k := range []struct {
		name           string
		refund, leaves bool
	}{{"apart", false, false}, {"refunded", true, false}, {"withdrawn", false, true}, {"both", true, true}} {
		t.Run(k.name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig, c coinPlace) {
				from := r.chain(c.coin).Tip().Height
				id := r.over(c)
				if k.refund {
					_, err := r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.payer})
					r.must(err)
				}
				if k.leaves {
					r.withdraw(c, engine.All)
				}
				r.deepen(c.coin, 6)
				r.clean()
				r.reorganised(c, from)
				if s := r.payout(id, payment.Settlement); s.State != payment.PayoutDone {
					t.Fatal(r.why(id))
				}
				if k.refund {
					r.got(c, c.payer, r.payout(id, payment.RefundExcess).Net, 1)
				}
			})
		})
	}
}

// reorganised takes back more and more of what came since a height, and lets all of it come again.
func (r *rig) reorganised(c coinPlace, from uint64) {
	r.Helper()
	for round := range 4 {
		f := r.chain(c.coin)
		f.Reorg([]int{1, 3, 7, int(f.Tip().Height - from)}[round])
		r.follow()
		r.clean()
		r.deepen(c.coin, 7)
		r.clean()
	}
	r.deepen(c.coin, 12)
}

// The same where all that was left became the wallet's after the excess had gone back.
func TestReorganisedRest(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		each2(t, leaves, func(t *testing.T, r *rig, c coinPlace) {
			from := r.chain(c.coin).Tip().Height
			id := r.paid(c.coin, "50", c.times(3), func(x *engine.Create) { x.RefundAddress = c.payer })
			r.deepen(c.coin, 9)
			r.payoutsAre(id, "excess done", "settlement done")
			if leaves {
				r.withdraw(c, engine.All)
				r.deepen(c.coin, 6)
			}
			r.reorganised(c, from)
			if s := r.payout(id, payment.Settlement); s.State != payment.PayoutDone {
				t.Fatal(r.why(id))
			}
			r.got(c, c.payer, r.payout(id, payment.RefundExcess).Net, 1)
		})
	}
}

func each2(t *testing.T, leaves bool, run func(t *testing.T, r *rig, c coinPlace)) {
	name := "kept"
	if leaves {
		name = "withdrawn"
	}
	t.Run(name, func(t *testing.T) { each(t, run) })
}

// Coins that were gathered and left, and a reorganisation under both.
func TestReorganisedGather(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		from := r.chain(c.coin).Tip().Height
		r.kept(c, 50, 20, 30)
		w := r.withdraw(c, engine.All)
		r.deepen(c.coin, 20)
		if w = r.again(w); w.State != payment.PayoutDone {
			t.Fatalf("%+v %s", w, r.errors)
		}
		r.reorganised(c, from)
		if w = r.again(w); w.State != payment.PayoutDone {
			t.Fatalf("%+v %s", w, r.errors)
		}
		r.got(c, c.other, w.Net, 1)
	})
}

// What a reorganisation takes back and brings again is told once.
func TestToldOnceOverReorganisations(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id, _ := r.refunding(c)
		r.mine(c.coin, 5)
		r.follow()
		r.refunded(c, id)
		r.chain(c.coin).Reorg(5)
		r.follow()
		r.deepen(c.coin, 7)
		r.refunded(c, id)
	})
}

// Fees of what was carried out in vain are the payer's who named the receiver, and nobody else waits for them.
func TestInVainThenElsewhere(t *testing.T) {
	t.Parallel()
	for _, settled := range []bool{false, true} {
		r, c := newRig(t), places[1]
		if settled {
			r.settles(c, c.shop)
		}
		r.eth.Traps(c.payer, true)
		id := r.create("50")
		r.eth.Pay(r.choose(id, c.coin), amount(c.coin, c.times(3)))
		r.mine(c.coin, 3)
		r.follow()
		cookie, err := r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.payer})
		r.must(err)
		r.deepen(c.coin, 3)
		if p := r.payout(id, payment.RefundExcess); p.TxID == "" {
			t.Fatal(r.why(id))
		}
		r.eth.Refuses(c.payer, true) // from the next look on it says so
		r.deepen(c.coin, 9)
		failed := r.payout(id, payment.RefundExcess)
		for _, p := range r.facts(id).Payouts {
			if p.State == payment.PayoutFailed {
				failed = p
			}
		}
		if failed.State != payment.PayoutFailed || failed.Wasted.IsZero() {
			t.Fatal(r.why(id))
		}
		_, err = r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.other, Cookie: cookie})
		r.must(err)
		r.deepen(c.coin, 12)
		p, s := r.payout(id, payment.RefundExcess), r.payout(id, payment.Settlement)
		if p.State != payment.PayoutDone || !p.Amount.Add(failed.Wasted).Equal(amount(c.coin, c.times(2))) {
			t.Fatal(r.why(id))
		}
		if s.State != payment.PayoutDone || s.Amount.Text() != c.due {
			t.Fatal(r.why(id))
		}
		r.once()
		r.clean()
	}
}

// crumbs are an invoice that is paid by many outputs.
func (r *rig) crumbs(c coinPlace, n int64, more ...func(*engine.Create)) payment.ID {
	r.Helper()
	id := r.create("50", more...)
	to := r.choose(id, c.coin)
	for range n {
		r.chain(c.coin).Pay(to, amount(c.coin, c.due).PerMillion(1_000_000/n))
	}
	r.mine(c.coin, 3)
	r.follow()
	r.is(id, "2/1")
	return id
}

// An invoice that was paid by more outputs than one transaction may spend is settled by several.
func TestSettledInParts(t *testing.T) {
	t.Parallel()
	r, c := newRig(t), places[0]
	r.settles(c, c.shop)
	r.update(func(tx engine.Tx) error { r.payer[c.coin].Rules.FeeShare = 300_000; return nil })
	id := r.crumbs(c, 125)
	r.deepen(c.coin, 30)
	r.payoutsAre(id, "settlement done", "settlement done", "settlement done")
	if got := r.held(id, c.n); got != "0" {
		t.Error(got, r.why(id))
	}
	r.once()
	r.clean()
}

// A wallet of many small outputs gathers them first, and then pays.
func TestGatherOutputs(t *testing.T) {
	for _, refund := range []bool{false, true} {
		t.Run(map[bool]string{false: "withdrawal", true: "refund"}[refund], func(t *testing.T) {
			t.Parallel()
			r, c := newRig(t), places[0]
			var many []string
			for range 130 {
				many = append(many, amount(c.coin, c.due).PerMillion(20_000).Text())
			}
			r.receive(c, many...)
			if !refund {
				w := r.withdraw(c, engine.All)
				r.deepen(c.coin, 20)
				if w = r.again(w); w.State != payment.PayoutDone {
					t.Fatalf("%+v %s", w, r.errors)
				}
				r.got(c, c.other, w.Net, 1)
				r.walletIs(c, "0")
			} else {
				r.settles(c, c.shop)
				id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
				r.deepen(c.coin, 7)
				r.payoutsAre(id, "settlement done")
				_, err := r.askRefund(id)
				r.must(err)
				r.deepen(c.coin, 20)
				p := r.payout(id, payment.RefundAsked)
				if p.State != payment.PayoutDone || p.Amount.Text() != c.due {
					t.Fatal(r.why(id))
				}
				r.refunded(c, id)
			}
			r.once()
			r.clean()
		})
	}
}

// A settlement that waits for a node goes where its application says once it goes.
func TestSettlementAddressChanges(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		id := r.paid(c.coin, "50", c.due)
		r.mine(c.coin, 1)
		r.follow()
		r.clock.add(101 * time.Second)
		r.chain(c.coin).Fail("Build", chain.ErrBlind)
		r.must(r.payer[c.coin].Step(r.Context()))
		r.payoutsAre(id, "settlement open node")
		r.chain(c.coin).Fail("Build", nil)
		r.settles(c, c.other)
		r.deepen(c.coin, 7)
		r.payoutsAre(id, "settlement done")
		r.got(c, c.shop, money.Zero(c.coin), 0)
		r.got(c, c.other, r.payout(id, payment.Settlement).Net, 1)
	})
}

// A payer who sends many small outputs after the price gets those back, in parts, and the merchant the coin that paid it.
func TestCrumbsBesidesThePrice(t *testing.T) {
	t.Parallel()
	r, c := newRig(t), places[0]
	r.settles(c, c.shop)
	id := r.create("50", func(x *engine.Create) { x.RefundAddress = c.payer })
	to := r.choose(id, c.coin)
	r.chain(c.coin).Pay(to, amount(c.coin, c.due))
	for n := range int64(200) {
		r.chain(c.coin).Pay(to, amount(c.coin, c.due).PerMillion(20_000).Add(money.Of(c.coin, n)))
	}
	r.mine(c.coin, 3)
	r.follow()
	r.deepen(c.coin, 40)
	s := r.payout(id, payment.Settlement)
	if s.State != payment.PayoutDone || s.Amount.Text() != c.due {
		t.Fatal(r.why(id))
	}
	r.view(func(tx engine.Tx) error {
		held, err := tx.Tickets(s.SpendID)
		if len(held) != 1 {
			t.Errorf("the merchant's part came from %d outputs", len(held))
		}
		return err
	})
	if got := r.held(id, c.n); got != "0" {
		t.Error(got, r.why(id))
	}
	r.once()
	r.clean()
}

// A settlement that no block takes is not bumped above its share.
func TestBumpKeepsShare(t *testing.T) {
	t.Parallel()
	r, c := newRig(t), places[0]
	r.settles(c, c.shop)
	id := r.paid(c.coin, "50", c.due)
	r.mine(c.coin, 1)
	r.follow()
	r.pays(c.coin)
	r.chain(c.coin).Spike(100)
	r.after(c.coin, 8*time.Hour)
	for _, v := range r.versions(id, payment.Settlement) {
		if amount(c.coin, c.due).PerMillion(50_000).Less(v.Fee) {
			t.Errorf("version %d costs %s", v.Number, v.Fee)
		}
	}
	r.chain(c.coin).Spike(1)
	r.deepen(c.coin, 8)
	r.payoutsAre(id, "settlement done")
	r.once()
	r.clean()
}

// A refund that waits for gathering is not made smaller by a withdrawal that takes the coins meanwhile: it fails, and says why.
func TestGatheredFloatIsTaken(t *testing.T) {
	t.Parallel()
	r, c := newRig(t), places[1]
	r.kept(c, 30, 30, 30)
	r.settles(c, c.shop)
	id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
	r.deepen(c.coin, 8)
	r.payoutsAre(id, "settlement done")
	_, err := r.askRefund(id)
	r.must(err)
	r.deepen(c.coin, 2)
	if p := r.payout(id, payment.RefundAsked); p.Held != payment.HoldGather {
		t.Fatal(r.why(id))
	}
	w := r.withdraw(c, c.due)
	r.deepen(c.coin, 26)
	if w = r.again(w); w.State != payment.PayoutDone {
		t.Fatalf("%+v", w)
	}
	p := r.payout(id, payment.RefundAsked)
	if p.State == payment.PayoutDone && p.Amount.Less(amount(c.coin, c.due).PerMillion(900_000)) || p.Live() {
		t.Fatal(r.why(id))
	}
	r.toldOfRefund(id, "4")
	r.once()
	r.clean()
}

// A settlement address that the signer's operator vetoed is said to be refused, and stops nothing else.
func TestVetoedDestination(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.hand.Set(func(h *chaintest.Hand) {
			h.Destination = func(chain.Destination) (time.Time, error) { return time.Time{}, chain.ErrRefused }
		})
		r.settles(c, c.shop)
		id := r.paid(c.coin, "50", c.due)
		r.deepen(c.coin, 2)
		r.payoutsAre(id, "settlement waiting refused")
		r.hand.Set(func(h *chaintest.Hand) { h.Destination = nil })
		r.deepen(c.coin, 8)
		r.payoutsAre(id, "settlement done")
	})
}
