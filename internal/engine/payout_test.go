package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A place is a coin with what tests of payouts need on its network.
type coinPlace struct {
	coin               money.Currency
	n                  money.Network
	payer, shop, other string // addresses outside
	due                string // of 50 USD
}

var places = []coinPlace{
	{money.BTC, btcNet, "bcrt1qpayer", "bcrt1qshop", "bcrt1qother", "0.001"},
	{money.ETH, ethNet, "0xpayer", "0xshop", "0xother", "0.02"},
}

// each runs a test on both coins.
func each(t *testing.T, run func(t *testing.T, r *rig, c coinPlace)) {
	t.Helper()
	t.Parallel()
	for _, c := range places {
		t.Run(string(c.coin), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			run(t, r, c)
			r.once()
			r.clean()
		})
	}
}

// pays steps the payer and the watcher of a coin, time passing, until nothing is due at once.
func (r *rig) pays(coin money.Currency) {
	r.Helper()
	for range 3 {
		r.clock.add(101 * time.Second) // above LookAgain times Retry
		r.must(r.watch[coin].Follow(r.Context()))
		r.must(r.payer[coin].Step(r.Context()))
	}
}

// deepen mines n blocks, one by one, with payers stepping in between.
func (r *rig) deepen(coin money.Currency, n int) {
	r.Helper()
	for range n {
		r.mine(coin, 1)
		r.follow()
		r.pays(coin)
	}
}

// settles sets the settlement address of a coin, "" for none.
func (r *rig) settles(c coinPlace, to string, more ...func(*payment.SettlePolicy)) {
	r.Helper()
	r.update(func(tx engine.Tx) error {
		app, err := tx.Application(r.app.ID)
		if err != nil {
			return err
		}
		if app.Settlement == nil {
			app.Settlement = map[money.Currency]string{}
		}
		delete(app.Settlement, c.coin)
		if to != "" {
			app.Settlement[c.coin] = to
		}
		for _, m := range more {
			m(&app.Settings.Settle)
		}
		return tx.SwapApplication(app)
	})
	r.view(func(tx engine.Tx) (err error) {
		r.app, err = tx.Application(r.app.ID)
		return err
	})
}

// payouts are an invoice's, as "kind state hold".
func (r *rig) payouts(id payment.ID) (all []string) {
	r.Helper()
	for _, p := range r.facts(id).Payouts {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Kind, p.State, p.Held)))
	}
	return all
}

func (r *rig) payoutsAre(id payment.ID, want ...string) {
	r.Helper()
	if got := r.payouts(id); fmt.Sprint(got) != fmt.Sprint(want) {
		r.Fatalf("payouts %q, want %q: %s", got, want, r.why(id))
	}
}

// why tells all of an invoice's payouts and their spends.
func (r *rig) why(id payment.ID) string {
	var b strings.Builder
	for _, p := range r.facts(id).Payouts {
		fmt.Fprintf(&b, "\n%s %s held %q amount %s net %s fee %s wasted %s reserved %t turn %d to %s txid %.10s fail %q due %s", p.Kind, p.State, p.Held, p.Amount, p.Net, p.Fee, p.Wasted, p.Reserved, p.Turn, p.To, p.TxID, p.FailReason, p.DueAt.Sub(r.clock.Now()))
		if p.SpendID != "" {
			r.view(func(tx engine.Tx) error {
				s, err := tx.Spend(p.SpendID)
				fmt.Fprintf(&b, "\n    spend %s v%d held %q %q height %d failed %t due %s", s.State, s.Version, s.Held, s.Reason, s.Height, s.Failed, s.DueAt.Sub(r.clock.Now()))
				return err
			})
		}
	}
	fmt.Fprintf(&b, "\nlog: %s", r.errors)
	return b.String()
}

// payout is the newest one of a kind.
func (r *rig) payout(id payment.ID, kind payment.PayoutKind) (found payment.Payout) {
	r.Helper()
	for _, p := range r.facts(id).Payouts {
		if p.Kind == kind {
			found = p
		}
	}
	if found.ID == "" {
		r.Fatalf("invoice has no %s: %s", kind, r.why(id))
	}
	return found
}

// got checks what spends brought to an address outside.
func (r *rig) got(c coinPlace, to string, want money.Amount, times int) {
	r.Helper()
	if sum, n := r.chain(c.coin).Got(to); !sum.Equal(want) || n != times {
		r.Fatalf("%s got %s by %d transactions, want %s by %d", to, sum, n, want, times)
	}
}

// once checks that no payout took effect twice, that what arrived is what is booked, and that the signer was never asked
// for what would pay twice.
func (r *rig) once() {
	r.Helper()
	for _, b := range r.hand.Broken() {
		r.Errorf("the signer was asked for what it must not sign: %s", b)
	}
	want, times := map[string]money.Amount{}, map[string]map[payment.ID]bool{}
	r.view(func(tx engine.Tx) error {
		merchants, err := tx.Merchants("", 100)
		if err != nil {
			return err
		}
		for _, m := range merchants {
			all, err := tx.MerchantPayouts(engine.MerchantPayouts{Merchant: m.ID, Limit: 10_000})
			if err != nil {
				return err
			}
			for _, p := range all {
				if p.Kind == payment.Gather || p.SpendID == "" {
					continue
				}
				s, err := tx.Spend(p.SpendID)
				if err != nil {
					return err
				}
				if (s.State == payment.SpendMined || s.State == payment.SpendDone) && !s.Failed {
					key := string(p.Network) + " " + p.To
					want[key] = want[key].Add(p.Net)
					if times[key] == nil {
						times[key] = map[payment.ID]bool{}
					}
					times[key][p.ID] = true
				}
			}
		}
		return nil
	})
	for _, c := range places {
		for _, to := range []string{c.payer, c.shop, c.other} {
			key := string(c.n) + " " + to
			sum, n := r.chain(c.coin).Got(to)
			if sum.Cmp(want[key]) != 0 || n != len(times[key]) {
				r.Errorf("%s got %s by %d outputs, the rows say %s by %d payouts", to, sum, n, want[key], len(times[key]))
			}
		}
	}
}

// told checks the callbacks of refunds, as their statuses.
func (r *rig) toldOfRefund(id payment.ID, want string) {
	r.Helper()
	var got []string
	for _, c := range r.callbacks(id) {
		if c.PayoutID != "" {
			got = append(got, fmt.Sprint(c.Status))
		}
	}
	if strings.Join(got, " ") != want {
		r.Fatalf("refund callbacks %v, want %q", got, want)
	}
}

func TestSettled(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.settles(c, c.shop)
		id := r.paid(c.coin, "50", c.due)
		r.pays(c.coin)
		r.payoutsAre(id, "settlement waiting depth")
		r.deepen(c.coin, 1)
		r.payoutsAre(id, "settlement paying")
		p := r.payout(id, payment.Settlement)
		if p.TxID == "" || p.SentAt.IsZero() || !p.Net.Add(p.Fee).Equal(amount(c.coin, c.due)) {
			t.Fatalf("sent %+v", p)
		}
		r.deepen(c.coin, 3)
		r.payoutsAre(id, "settlement paying")
		r.deepen(c.coin, 1)
		r.payoutsAre(id, "settlement done")
		p = r.payout(id, payment.Settlement)
		r.got(c, c.shop, p.Net, 1)
		r.is(id, "2/1")
		if got := r.held(id, c.n); got != "0" {
			t.Errorf("the invoice still holds %s", got)
		}
		report, err := r.auditor.Audit(t.Context())
		r.must(err)
		sum := report.Totals[c.n]
		if !sum.In.Equal(amount(c.coin, c.due)) || !sum.Settled.Equal(p.Net) || !sum.Fees.Equal(p.Fee) || !sum.Held.IsZero() {
			t.Errorf("totals %+v", sum)
		}
	})
}

func TestStaysInWallet(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id := r.paid(c.coin, "50", c.due)
		r.deepen(c.coin, 3)
		r.payoutsAre(id, "settlement done")
		r.walletIs(c, c.due)
		// and leaves by withdrawal
		w, err := r.desk.Withdraw(t.Context(), engine.AskWithdrawal{Merchant: r.merchant.ID, Network: c.n, To: c.other, Amount: engine.All})
		r.must(err)
		r.deepen(c.coin, 6)
		r.walletIs(c, "0")
		r.view(func(tx engine.Tx) (err error) { w, err = tx.Payout(w.ID); return err })
		if w.State != payment.PayoutDone || !w.Net.Add(w.Fee).Equal(amount(c.coin, c.due)) {
			t.Fatalf("%+v", w)
		}
		r.got(c, c.other, w.Net, 1)
	})
}

func (r *rig) walletIs(c coinPlace, want string) {
	r.Helper()
	all, err := r.desk.Wallets(r.Context(), r.merchant.ID)
	r.must(err)
	for _, w := range all {
		if w.Network == c.n && w.Balance.Text() != want {
			r.Fatalf("the wallet holds %s, want %s", w.Balance, want)
		}
	}
}

func TestAutomaticRefunds(t *testing.T) {
	for _, k := range []struct {
		name, share, want string
		kind              payment.PayoutKind
		late              bool
		status            string
	}{
		{"short", "0.5", "short", payment.RefundShort, false, "4/2 short"},
		{"late", "1", "late", payment.RefundLate, true, "4/1 late"},
		{"excess", "3", "excess", payment.RefundExcess, false, "2/1 excess"},
	} {
		t.Run(k.name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig, c coinPlace) {
				r.settles(c, c.shop)
				id := r.create("50", func(x *engine.Create) { x.RefundAddress = c.payer })
				to := r.choose(id, c.coin)
				if k.late {
					r.clock.add(31 * time.Minute)
					r.follow()
					r.must(r.clerk.Expire(t.Context()))
				}
				paid := amount(c.coin, c.due).PerMillion(map[string]int64{"0.5": 500_000, "1": 1_000_000, "3": 3_000_000}[k.share])
				r.chain(c.coin).Pay(to, paid)
				r.mine(c.coin, 3)
				r.follow()
				r.clock.add(31 * time.Minute)
				r.follow()
				r.must(r.clerk.Expire(t.Context()))
				r.deepen(c.coin, 12)
				p := r.payout(id, k.kind)
				if p.State != payment.PayoutDone {
					t.Fatalf("%s", r.why(id))
				}
				if k.kind != payment.RefundExcess && !p.Amount.Equal(paid) || k.kind == payment.RefundExcess && !p.Amount.Equal(paid.Sub(amount(c.coin, c.due))) {
					t.Errorf("%s went back", p.Amount)
				}
				r.got(c, c.payer, p.Net, 1)
				r.is(id, k.status)
				if k.kind == payment.RefundExcess {
					r.payoutsAre(id, "excess done", "settlement done")
					s := r.payout(id, payment.Settlement)
					r.got(c, c.shop, s.Net, 1)
				}
			})
		})
	}
}

// Without an address a refund waits, the page asks, and once it is given the refund goes.
func TestRefundWaitsForAddress(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		id := r.paid(c.coin, "50", c.due)
		_, err := r.askRefund(id)
		r.must(err)
		r.deepen(c.coin, 6)
		if p := r.payout(id, payment.RefundAsked); p.State != payment.PayoutWaiting || p.Held != payment.HoldAddress || p.RefundStatus() != payment.RefundRequested {
			t.Fatal(r.why(id))
		}
		r.toldOfRefund(id, "")
		cookie, err := r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.payer})
		r.must(err)
		_, err = r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.other})
		if err == nil {
			t.Fatal("another browser changed the refund address")
		}
		r.pays(c.coin)
		r.toldOfRefund(id, "2")
		if _, err = r.desk.SetRefundAddress(t.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.other, Cookie: cookie}); err == nil {
			t.Fatal("the address was changed while the refund is on its way")
		}
		r.deepen(c.coin, 6)
		r.toldOfRefund(id, "2 3")
		r.is(id, "4/1")
		p := r.payout(id, payment.RefundAsked)
		r.got(c, c.payer, p.Net, 1)
		if _, err := r.askRefund(id); err == nil {
			t.Error("refunded twice")
		}
	})
}

// A refund that is asked for meets a settlement at each of its states.
func TestRefundMeetsSettlement(t *testing.T) {
	for _, k := range []struct {
		name  string
		float string // what the wallet holds, of the amount due
		until func(r *rig, c coinPlace, id payment.ID)
		want  []string
		fails string
	}{
		{"waiting", "", func(r *rig, c coinPlace, id payment.ID) { r.pays(c.coin) }, []string{"settlement failed", "asked done"}, ""},
		{"open", "", func(r *rig, c coinPlace, id payment.ID) {
			r.mine(c.coin, 1)
			r.follow()
			r.clock.add(101 * time.Second)
			r.chain(c.coin).Fail("Build", chain.ErrBlind)
			r.must(r.payer[c.coin].Step(r.Context()))
			r.payoutsAre(id, "settlement open node")
			r.chain(c.coin).Fail("Build", nil)
		}, []string{"settlement failed", "asked done"}, ""},
		{"paying, the float covers", "2", func(r *rig, c coinPlace, id payment.ID) { r.deepen(c.coin, 1) }, []string{"settlement done", "asked done"}, ""},
		{"paying, the float does not", "0.5", func(r *rig, c coinPlace, id payment.ID) { r.deepen(c.coin, 1) }, []string{"settlement done", "asked failed"}, "settled already"},
		{"done, the float covers", "2", func(r *rig, c coinPlace, id payment.ID) { r.deepen(c.coin, 8) }, []string{"settlement done", "asked done"}, ""},
		{"done, no float", "", func(r *rig, c coinPlace, id payment.ID) { r.deepen(c.coin, 8) }, []string{"settlement done", "asked failed"}, "settled already"},
	} {
		t.Run(k.name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig, c coinPlace) {
				if k.float != "" {
					to, err := r.desk.ReceivingAddress(t.Context(), r.merchant.ID, c.n)
					r.must(err)
					r.chain(c.coin).Pay(to, amount(c.coin, c.due).PerMillion(map[string]int64{"2": 2_000_000, "0.5": 500_000}[k.float]))
					r.mine(c.coin, 5)
					r.follow()
				}
				r.settles(c, c.shop)
				id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
				k.until(r, c, id)
				_, err := r.askRefund(id)
				r.must(err)
				r.deepen(c.coin, 12)
				r.payoutsAre(id, k.want...)
				p := r.payout(id, payment.RefundAsked)
				if k.fails == "" {
					r.got(c, c.payer, p.Net, 1)
					r.toldOfRefund(id, "2 3")
					r.is(id, "4/1")
					return
				}
				if !strings.Contains(p.FailReason, k.fails) {
					t.Errorf("failed because %q", p.FailReason)
				}
				r.toldOfRefund(id, "4")
				r.is(id, "2/1")
				if _, err := r.askRefund(id); err != nil {
					t.Errorf("a failed refund may be asked again: %v", err)
				}
				r.deepen(c.coin, 2)
				r.toldOfRefund(id, "4 4")
			})
		})
	}
}
