package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// receive brings coins to the wallet's receiving address.
func (r *rig) receive(c coinPlace, coins ...string) {
	r.Helper()
	to, err := r.desk.ReceivingAddress(r.Context(), r.merchant.ID, c.n)
	r.must(err)
	for _, text := range coins {
		r.chain(c.coin).Pay(to, amount(c.coin, text))
	}
	r.mine(c.coin, 5)
	r.follow()
}

// kept pays invoices whose coins stay in the wallet, each at an address of its own. Prices are in USD.
func (r *rig) kept(c coinPlace, prices ...int) {
	r.Helper()
	for _, usd := range prices {
		rate := map[money.Currency]int64{money.BTC: 50_000, money.ETH: 2_500}[c.coin]
		id := r.create(fmt.Sprint(usd))
		to := r.choose(id, c.coin)
		var due money.Amount
		for _, q := range r.facts(id).Quotes {
			due = q.Due
		}
		if due.IsZero() {
			r.Fatalf("no due at %d", rate)
		}
		r.chain(c.coin).Pay(to, due)
		r.must(r.pool.Step(r.Context()))
	}
	r.mine(c.coin, 5)
	r.follow()
	r.pays(c.coin)
}

func (r *rig) withdraw(c coinPlace, text string) payment.Payout {
	r.Helper()
	w, err := r.desk.Withdraw(r.Context(), engine.AskWithdrawal{Merchant: r.merchant.ID, Network: c.n, To: c.other, Amount: text})
	r.must(err)
	return w
}

func (r *rig) again(p payment.Payout) payment.Payout {
	r.Helper()
	r.view(func(tx engine.Tx) (err error) { p, err = tx.Payout(p.ID); return err })
	return p
}

// A rest that is too small to come back goes to the network, and the ledger says so.
func TestRestBelowDust(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.receive(c, c.due)
		part := amount(c.coin, c.due).Sub(money.Of(c.coin, 100))
		w := r.withdraw(c, part.Text())
		r.deepen(c.coin, 6)
		if w = r.again(w); w.State != payment.PayoutDone {
			t.Fatalf("%+v %s", w, r.errors)
		}
		r.got(c, c.other, w.Net, 1)
		want := "0"
		if c.coin == money.ETH {
			want = "0.0000000000000001"
		}
		r.walletIs(c, want)
		if paid := w.Net.Add(w.Fee); part.Less(w.Net) || c.coin == money.BTC && !paid.Equal(amount(c.coin, c.due)) {
			t.Errorf("net %s fee %s", w.Net, w.Fee)
		}
	})
}

// A part of the wallet leaves, and the change can be spent again.
func TestChangeComesBack(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.receive(c, c.due)
		half := amount(c.coin, c.due).PerMillion(500_000)
		first := r.withdraw(c, half.Text())
		second := r.withdraw(c, half.Text())
		r.deepen(c.coin, 1)
		if s := r.again(second); s.State == payment.PayoutPaying {
			t.Fatal("the second one did not wait for what the first one leaves")
		}
		r.deepen(c.coin, 12)
		first, second = r.again(first), r.again(second)
		if first.State != payment.PayoutDone || second.State != payment.PayoutDone {
			t.Fatalf("%+v\n%+v\n%s", first, second, r.errors)
		}
		r.got(c, c.other, first.Net.Add(second.Net), 2)
		r.walletIs(c, "0")
	})
}

// Few coins of many pay a small sum, at the cost of few.
func TestSmallRefundFromManyCoins(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		var many []string
		for range 60 {
			many = append(many, c.due)
		}
		r.receive(c, many...)
		r.settles(c, c.shop)
		id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
		r.deepen(c.coin, 6)
		r.payoutsAre(id, "settlement done")
		r.chain(c.coin).Spike(20) // 60 holdings would cost more than it is
		_, err := r.askRefund(id)
		r.must(err)
		r.deepen(c.coin, 6)
		if p := r.payout(id, payment.RefundAsked); p.State != payment.PayoutDone {
			t.Fatal(r.why(id))
		}
	})
}

// What is smaller than its fee: a refund that was asked for fails with the reason, one that PIPE owes waits for lower fees.
func TestSmallerThanFee(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
		short := r.create("50", func(x *engine.Create) { x.RefundAddress = c.payer })
		r.chain(c.coin).Pay(r.choose(short, c.coin), amount(c.coin, c.due).PerMillion(500_000))
		r.mine(c.coin, 3)
		r.follow()
		r.clock.add(31 * time.Minute)
		r.follow()
		r.must(r.clerk.Expire(t.Context()))
		r.chain(c.coin).Spike(1000)
		_, err := r.askRefund(id)
		r.must(err)
		r.deepen(c.coin, 1)
		if p := r.payout(id, payment.RefundAsked); p.State != payment.PayoutFailed || !strings.Contains(p.FailReason, "smaller than the network fee") || p.RefundStatus() != payment.RefundFailed {
			t.Fatal(r.why(id))
		}
		r.toldOfRefund(id, "4")
		r.payoutsAre(short, "short waiting fee")
		r.chain(c.coin).Spike(1)
		r.pays(c.coin)
		r.deepen(c.coin, 6)
		r.payoutsAre(short, "short done")
		if _, err := r.askRefund(id); err == nil {
			t.Log("asked again") // the settlement may have it by now
		}
		r.deepen(c.coin, 8)
	})
}

// Dust of an excess goes with the settlement.
func TestExcessOfDust(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		id := r.create("50", func(x *engine.Create) { x.RefundAddress = c.payer })
		r.chain(c.coin).Pay(r.choose(id, c.coin), amount(c.coin, c.due).Add(money.Of(c.coin, 99)))
		r.mine(c.coin, 3)
		r.follow()
		r.deepen(c.coin, 8)
		p := r.payout(id, payment.Settlement)
		if p.State != payment.PayoutDone || !p.Amount.Equal(amount(c.coin, c.due).Add(money.Of(c.coin, 99))) {
			t.Fatal(r.why(id))
		}
		r.got(c, c.shop, p.Net, 1)
		r.is(id, "2/1 excess")
		if n := len(r.facts(id).Payouts); n > 2 {
			t.Errorf("%d payouts: %s", n, r.why(id))
		}
	})
}

// A contract that refuses: the refund fails with the reason, another address may be given, and it may be asked again.
func TestReceiverRefuses(t *testing.T) {
	t.Parallel()
	c := places[1]
	for _, automatic := range []bool{false, true} {
		r := newRig(t)
		r.eth.Refuses(c.payer, true)
		var id payment.ID
		kind := payment.RefundAsked
		if automatic {
			kind = payment.RefundShort
			id = r.create("50", func(x *engine.Create) { x.RefundAddress = c.payer })
			r.eth.Pay(r.choose(id, c.coin), amount(c.coin, "0.01"))
			r.mine(c.coin, 3)
			r.follow()
			r.clock.add(31 * time.Minute)
			r.follow()
			r.must(r.clerk.Expire(t.Context()))
		} else {
			id = r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
			_, err := r.askRefund(id)
			r.must(err)
		}
		r.deepen(c.coin, 2)
		var failed payment.Payout
		for _, p := range r.facts(id).Payouts {
			if p.State == payment.PayoutFailed && p.Kind == kind {
				failed = p
			}
		}
		if !strings.Contains(failed.FailReason, "does not take") {
			t.Fatal(r.why(id))
		}
		_, err := r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.other})
		r.must(err)
		if !automatic {
			r.toldOfRefund(id, "4")
			_, err = r.askRefund(id)
			r.must(err)
		}
		r.deepen(c.coin, 8)
		p := r.payout(id, kind)
		if p.State != payment.PayoutDone || p.To != c.other {
			t.Fatal(r.why(id))
		}
		r.got(c, c.other, p.Net, 1)
		r.once()
		r.clean()
	}
}

// Carried out in vain: the fee is booked, and the same intent goes again once that nonce is final.
func TestInVain(t *testing.T) {
	t.Parallel()
	c := places[1]
	r := newRig(t)
	r.eth.Traps(c.payer, true)
	id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
	_, err := r.askRefund(id)
	r.must(err)
	r.deepen(c.coin, 3)
	r.got(c, c.payer, money.Zero(money.ETH), 0)
	r.clean()
	r.eth.Traps(c.payer, false)
	r.deepen(c.coin, 12)
	p := r.payout(id, payment.RefundAsked)
	if p.State != payment.PayoutDone || p.Attempt != 2 || p.Wasted.IsZero() || !p.Net.Add(p.Fee).Add(p.Wasted).Equal(amount(c.coin, c.due)) {
		t.Fatal(r.why(id))
	}
	r.got(c, c.payer, p.Net, 1)
	r.is(id, "4/1")
	r.toldOfRefund(id, "2 3")
	r.once()
	r.clean()
}

// A hungry receiver is given more than it uses: the rest comes back and is booked.
func TestHungry(t *testing.T) {
	t.Parallel()
	c := places[1]
	r := newRig(t)
	r.eth.Hungry(c.payer, 40_000)
	id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
	_, err := r.askRefund(id)
	r.must(err)
	r.deepen(c.coin, 8)
	p := r.payout(id, payment.RefundAsked)
	rest := amount(c.coin, c.due).Sub(p.Net).Sub(p.Fee)
	if p.State != payment.PayoutDone || rest.Sign() <= 0 || r.held(id, c.n) != rest.Text() {
		t.Fatalf("rest %s, held %s: %s", rest, r.held(id, c.n), r.why(id))
	}
	r.once()
	r.clean()
}

func TestSettlePolicies(t *testing.T) {
	for _, k := range []struct {
		name string
		set  func(s *payment.SettlePolicy, c coinPlace)
		held string
		free func(r *rig, c coinPlace)
	}{
		{"hold", func(s *payment.SettlePolicy, _ coinPlace) { s.Hold = 5 * time.Hour }, "time", func(r *rig, _ coinPlace) { r.clock.add(5 * time.Hour) }},
		{"schedule", func(s *payment.SettlePolicy, _ coinPlace) { s.Every = 24 * time.Hour }, "time", func(r *rig, _ coinPlace) { r.clock.add(16 * time.Hour) }},
		{"threshold", func(s *payment.SettlePolicy, c coinPlace) {
			s.Above = map[money.Currency]money.Amount{c.coin: amount(c.coin, c.due).PerMillion(2_500_000)}
		}, "threshold", func(r *rig, c coinPlace) {
			for range 2 {
				r.paid(c.coin, "50", c.due)
			}
		}},
		{"fee share", func(*payment.SettlePolicy, coinPlace) {}, "fee", func(r *rig, c coinPlace) { r.chain(c.coin).Spike(1) }},
		{"ceiling", func(*payment.SettlePolicy, coinPlace) {}, "ceiling", func(r *rig, c coinPlace) { r.chain(c.coin).Spike(1) }},
		{"approval", func(*payment.SettlePolicy, coinPlace) {}, "approval", func(r *rig, c coinPlace) { r.hand.Set(func(h *chaintest.Hand) { h.Destination = nil }) }},
		{"delay", func(*payment.SettlePolicy, coinPlace) {}, "delay", func(r *rig, c coinPlace) { r.clock.add(24 * time.Hour) }},
	} {
		t.Run(k.name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig, c coinPlace) {
				r.settles(c, c.shop, func(s *payment.SettlePolicy) { k.set(s, c) })
				switch k.name {
				case "fee share":
					r.chain(c.coin).Spike(30)
				case "ceiling":
					r.chain(c.coin).Spike(30)
					r.payer[c.coin].Rules.FeeShare = 1_000_000
					r.payer[c.coin].Rules.MaxRate = money.Of(c.coin, map[money.Currency]int64{money.BTC: 20_000, money.ETH: 20_000_000_000}[c.coin])
				case "approval":
					r.hand.Set(func(h *chaintest.Hand) {
						h.Destination = func(chain.Destination) (time.Time, error) { return time.Time{}, nil }
					})
				case "delay":
					from := r.clock.Now().Add(24 * time.Hour)
					r.hand.Set(func(h *chaintest.Hand) {
						h.Destination = func(chain.Destination) (time.Time, error) { return from, nil }
					})
				}
				id := r.paid(c.coin, "50", c.due)
				r.deepen(c.coin, 5)
				if p := r.payout(id, payment.Settlement); string(p.Held) != k.held || p.State == payment.PayoutPaying {
					t.Fatalf("held %q: %s", p.Held, r.why(id))
				}
				r.got(c, c.shop, money.Zero(c.coin), 0)
				k.free(r, c)
				r.deepen(c.coin, 14)
				p := r.payout(id, payment.Settlement)
				if p.State != payment.PayoutDone {
					t.Fatal(r.why(id))
				}
				if k.name == "threshold" {
					sum, _ := r.chain(c.coin).Got(c.shop)
					if sum.Less(amount(c.coin, c.due).PerMillion(2_900_000)) {
						t.Errorf("of three settlements only %s came", sum)
					}
				}
			})
		})
	}
}

// Settlements of one merchant share a transaction on Bitcoin, those of two merchants never do.
func TestBatches(t *testing.T) {
	t.Parallel()
	c := places[0]
	r := newRig(t)
	r.settles(c, c.shop)
	first := r.app
	m2, err := r.desk.AddMerchant(t.Context(), "Other")
	r.must(err)
	name, origins := "Other", []string{"https://shop.example"}
	made, err := r.desk.AddApplication(t.Context(), m2.ID, engine.Change{Name: &name, Origins: &origins})
	r.must(err)
	r.must(r.pool.Step(t.Context()))
	var ids []payment.ID
	for range 5 {
		ids = append(ids, r.paid(c.coin, "50", c.due))
	}
	r.app = made.Application
	r.settles(c, c.other)
	for range 3 {
		ids = append(ids, r.paid(c.coin, "50", c.due))
	}
	r.app = first
	r.deepen(c.coin, 8)
	spends, merchants := map[payment.ID][]payment.ID{}, map[payment.ID]map[payment.ID]bool{}
	for _, id := range ids {
		p := r.payout(id, payment.Settlement)
		if p.State != payment.PayoutDone {
			t.Fatal(r.why(id))
		}
		spends[p.SpendID] = append(spends[p.SpendID], p.ID)
		if merchants[p.SpendID] == nil {
			merchants[p.SpendID] = map[payment.ID]bool{}
		}
		merchants[p.SpendID][p.MerchantID] = true
	}
	for s, m := range merchants {
		if len(m) != 1 {
			t.Errorf("spend %s pays %d merchants", s, len(m))
		}
	}
	if len(spends) > 4 {
		t.Errorf("8 settlements of two merchants took %d transactions", len(spends))
	}
	r.once()
	r.clean()
}

// A tiny settlement does not keep its company from being paid.
func TestBatchWithDust(t *testing.T) {
	t.Parallel()
	c := places[0]
	r := newRig(t)
	r.settles(c, c.shop)
	r.chain(c.coin).Spike(10)
	tiny := r.paid(c.coin, "0.50", "0.00001")
	var ids []payment.ID
	for range 4 {
		ids = append(ids, r.paid(c.coin, "50", c.due))
	}
	r.deepen(c.coin, 10)
	for _, id := range ids {
		r.payoutsAre(id, "settlement done")
	}
	r.payoutsAre(tiny, "settlement waiting fee")
	r.once()
	r.clean()
}

// A withdrawal of more than any account holds gathers first; so does a refund from the wallet.
func TestGather(t *testing.T) {
	t.Parallel()
	c := places[1]
	t.Run("withdrawal", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.kept(c, 50, 30, 20) // 0.02, 0.012, 0.008
		r.walletIs(c, "0.04")
		w := r.withdraw(c, engine.All)
		r.deepen(c.coin, 20)
		if w = r.again(w); w.State != payment.PayoutDone {
			t.Fatalf("%+v %s", w, r.errors)
		}
		r.got(c, c.other, w.Net, 1)
		r.walletIs(c, "0")
		r.once()
		r.clean()
	})
	t.Run("refund of all there is", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.kept(c, 50, 30, 20)
		r.settles(c, c.shop)
		id := r.paid(c.coin, "100", "0.04", func(x *engine.Create) { x.RefundAddress = c.payer })
		r.deepen(c.coin, 6)
		r.payoutsAre(id, "settlement done")
		_, err := r.askRefund(id)
		r.must(err)
		r.deepen(c.coin, 20)
		p := r.payout(id, payment.RefundAsked)
		if p.State != payment.PayoutDone || p.Net.Less(amount(c.coin, "0.039")) {
			t.Fatal(r.why(id))
		}
		r.once()
		r.clean()
	})
}

// The signer waits, refuses, and is asked again; a spend that is given up leaves its coins free.
func TestSignerSays(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
		_, err := r.askRefund(id)
		r.must(err)
		r.hand.Set(func(h *chaintest.Hand) {
			h.Rule = func(chain.Unsigned) error { return &chain.Wait{Reason: "above the cap"} }
		})
		r.deepen(c.coin, 1)
		if p := r.payout(id, payment.RefundAsked); p.Held != payment.HoldApproval || p.RefundStatus() != payment.RefundRequested {
			t.Fatal(r.why(id))
		}
		until := r.clock.Now().Add(time.Hour)
		r.hand.Set(func(h *chaintest.Hand) {
			h.Rule = func(chain.Unsigned) error { return &chain.Wait{Until: until, Reason: "later"} }
		})
		r.deepen(c.coin, 1)
		if p := r.payout(id, payment.RefundAsked); p.Held != payment.HoldDelay {
			t.Fatal(r.why(id))
		}
		r.clock.add(time.Hour)
		r.hand.Set(func(h *chaintest.Hand) {
			h.Rule = func(chain.Unsigned) error { return fmt.Errorf("forbidden: %w", chain.ErrRefused) }
		})
		r.deepen(c.coin, 1)
		p := r.payout(id, payment.RefundAsked)
		if p.State != payment.PayoutWaiting || p.Held != payment.HoldRefused || p.Reserved {
			t.Fatal(r.why(id))
		}
		r.clean()
		r.hand.Set(func(h *chaintest.Hand) {
			h.Rule = func(chain.Unsigned) error { return errors.New("cannot be reached") }
		})
		r.clock.add(25 * time.Hour)
		r.follow()
		for range 2 { // not reached: the step fails, and says so
			r.clock.add(time.Minute)
			_ = r.payer[c.coin].Step(t.Context())
		}
		if p := r.payout(id, payment.RefundAsked); p.Held != payment.HoldSigner {
			t.Fatal(r.why(id))
		}
		r.hand.Set(func(h *chaintest.Hand) { h.Rule = nil })
		r.deepen(c.coin, 8)
		p = r.payout(id, payment.RefundAsked)
		if p.State != payment.PayoutDone || p.Held != payment.HoldNone {
			t.Fatal(r.why(id))
		}
		r.got(c, c.payer, p.Net, 1)
	})
}

// Halted payouts stand still, what was sent goes on, and the operator lets them go again.
func TestHalted(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		sent := r.paid(c.coin, "50", c.due)
		r.deepen(c.coin, 1)
		waits := r.paid(c.coin, "50", c.due)
		signed := r.paid(c.coin, "30", map[money.Currency]string{money.BTC: "0.0006", money.ETH: "0.012"}[c.coin])
		r.must(r.desk.Halt(t.Context(), "somebody is at the keys"))
		if h, err := r.desk.Halted(t.Context()); err != nil || h.Reason == "" || h.Since.IsZero() {
			t.Fatalf("%+v %v", h, err)
		}
		txid := r.payout(sent, payment.Settlement).TxID
		r.chain(c.coin).Evict(txid)
		r.deepen(c.coin, 8)
		r.payoutsAre(sent, "settlement done")
		r.payoutsAre(waits, "settlement waiting halted")
		r.must(r.desk.Resume(t.Context()))
		r.deepen(c.coin, 8)
		r.payoutsAre(waits, "settlement done")
		r.payoutsAre(signed, "settlement done")
	})
}
