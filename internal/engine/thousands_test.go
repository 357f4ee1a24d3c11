package engine_test

import (
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// onBitcoin runs a test of many outputs on SQLite, or on both databases.
func onBitcoin(t *testing.T, both bool, run func(t *testing.T, r *rig, c coinPlace)) {
	t.Helper()
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *rig{"SQLite": newRig, "PostgreSQL": newPostgresRig} {
		if !both && name != "SQLite" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := open(t)
			run(t, r, places[0])
			r.once()
			r.clean()
		})
	}
}

// small are n outputs to the wallet, of 2,000 satoshi and a few more each, so that few are alike.
func (r *rig) small(c coinPlace, n int) {
	r.Helper()
	to, err := r.desk.ReceivingAddress(r.Context(), r.merchant.ID, c.n)
	r.must(err)
	for i := range n {
		r.chain(c.coin).Pay(to, money.Of(c.coin, int64(2_000+i%97)))
		if i%500 == 499 {
			r.mine(c.coin, 1)
		}
	}
	r.mine(c.coin, 5)
	r.follow()
}

// A wallet of thousands of small outputs pays all that it has, and each step of it is short.
func TestWithdrawThousands(t *testing.T) {
	onBitcoin(t, true, func(t *testing.T, r *rig, c coinPlace) {
		const many = 3_000
		r.small(c, many)
		w, had := r.withdraw(c, engine.All), r.wallet(c)
		var longest time.Duration
		for range 60 {
			r.mine(c.coin, 1)
			r.follow()
			began := time.Now()
			r.pays(c.coin)
			longest = max(longest, time.Since(began))
			if w = r.again(w); w.State == payment.PayoutDone {
				break
			}
		}
		if w.State != payment.PayoutDone {
			t.Fatalf("%+v %s", w, r.errors)
		}
		var gathers []payment.Payout
		r.view(func(tx engine.Tx) (err error) { gathers, err = tx.GatherPayouts(w.ID); return err })
		cost := money.Zero(c.coin)
		for _, g := range gathers {
			cost = cost.Add(g.Amount.Sub(g.Net))
		}
		t.Logf("%d outputs in %d gathers; longest three steps %s", many, len(gathers), longest)
		if sum := w.Amount.Add(cost); !sum.Equal(had) {
			t.Errorf("of %s, %s and %s of fees were paid", had, w.Amount, cost)
		}
		r.got(c, c.other, w.Net, 1)
		r.walletIs(c, "0")
	})
}

// What lies behind more outputs than one page holds is found, so that nothing needs to be gathered.
func TestLargeBehindThousands(t *testing.T) {
	onBitcoin(t, false, func(t *testing.T, r *rig, c coinPlace) {
		r.small(c, 1_200)
		r.receive(c, "0.05", "0.04")
		cost, err := r.desk.WithdrawalCost(t.Context(), engine.AskWithdrawal{Merchant: r.merchant.ID, Network: c.n, To: c.other, Amount: "0.08"})
		if err != nil || cost.Amount.Text() != "0.08" {
			t.Error(cost, err)
		}
		w := r.withdraw(c, "0.08")
		r.deepen(c.coin, 6)
		if w = r.again(w); w.State != payment.PayoutDone {
			t.Fatalf("%+v %s", w, r.errors)
		}
		r.view(func(tx engine.Tx) error {
			if gathers, err := tx.GatherPayouts(w.ID); err != nil || len(gathers) > 0 {
				t.Errorf("%d gathers, %v", len(gathers), err)
			}
			tickets, err := tx.Tickets(w.SpendID)
			if len(tickets) > 2 {
				t.Errorf("%d tickets", len(tickets))
			}
			return err
		})
	})
}

// A refund of what was settled before comes from a wallet of thousands of small outputs, whole.
func TestRefundFromThousands(t *testing.T) {
	onBitcoin(t, false, func(t *testing.T, r *rig, c coinPlace) {
		r.small(c, 1_100)
		r.settles(c, c.shop)
		id := r.paid(c.coin, "1000", "0.02", func(x *engine.Create) { x.RefundAddress = c.payer })
		r.deepen(c.coin, 7)
		r.payoutsAre(id, "settlement done")
		_, err := r.askRefund(id)
		r.must(err)
		r.deepen(c.coin, 30)
		if p := r.payout(id, payment.RefundAsked); p.State != payment.PayoutDone || p.Amount.Text() != "0.02" {
			t.Fatal(r.why(id))
		}
		r.refunded(c, id)
	})
}

// An invoice that was paid by more outputs than a page holds: its excess goes back, and all of the rest is settled.
func TestExcessOfThousands(t *testing.T) {
	onBitcoin(t, false, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		r.update(func(engine.Tx) error { r.payer[c.coin].Rules.FeeShare = 900_000; return nil })
		id := r.create("500", func(x *engine.Create) { x.RefundAddress = c.payer })
		to := r.choose(id, c.coin)
		for range 700 {
			r.chain(c.coin).Pay(to, amount(c.coin, "0.00002"))
		}
		r.mine(c.coin, 3)
		r.follow()
		r.is(id, "2/1 excess")
		r.deepen(c.coin, 70)
		for _, p := range r.facts(id).Payouts {
			if p.State != payment.PayoutDone && p.State != payment.PayoutFailed {
				t.Error(r.why(id))
			}
		}
		if got := r.held(id, c.n); got != "0" {
			t.Error(got, r.why(id))
		}
	})
}

// A wallet of more accounts than a page holds pays from the one that has enough, wherever that is.
func TestWalletOfManyAccounts(t *testing.T) {
	t.Parallel()
	r, c := newRig(t), places[1]
	const many = engine.Batch + 20
	prices, last := make([]int, many), 0
	for i := range prices {
		prices[i] = 20
		if addressOf(c.n, r.merchant.Branch, uint32(i)) > addressOf(c.n, r.merchant.Branch, uint32(last)) {
			last = i
		}
	}
	prices[last] = 1_000
	r.kept(c, prices...)
	for range many / 50 {
		r.pays(c.coin)
	}
	w := r.withdraw(c, "0.3")
	r.deepen(c.coin, 6)
	if w = r.again(w); w.State != payment.PayoutDone {
		t.Fatalf("%+v %s", w, r.errors)
	}
	r.view(func(tx engine.Tx) error {
		if gathers, err := tx.GatherPayouts(w.ID); err != nil || len(gathers) > 0 {
			t.Errorf("%d gathers, %v", len(gathers), err)
		}
		return nil
	})
	r.once()
	r.clean()
}
