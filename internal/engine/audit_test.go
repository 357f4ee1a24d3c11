package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// What is planted in the database or on the chain after honest payouts is found and said.
func TestAuditFindsInPayouts(t *testing.T) {
	for _, p := range []struct {
		name, what, text string
		coin             money.Currency // "" for both
		plant            func(r *rig, c coinPlace)
	}{
		{"a payout's coins said to be set aside", "payout", "entries sum to", "", func(r *rig, _ coinPlace) {
			r.sql(`UPDATE payout SET reserved = 1, state = 'open', done_at = 0 WHERE kind = 'settlement' AND state = 'done' AND spend_id <> ''`)
		}},
		{"a payout of another amount while it is paid", "payout", "entries sum to", "", func(r *rig, _ coinPlace) {
			r.sql(`UPDATE payout SET amount = '77' WHERE kind = 'withdrawal'`)
		}},
		{"coins moved to the wallet that nobody settled", "payout", "its entry moves", "", func(r *rig, _ coinPlace) {
			r.sql(`UPDATE payout SET state = 'failed' WHERE kind = 'settlement' AND spend_id = ''`)
		}},
		{"a payout that is gone", "entry", "which there is not", "", func(r *rig, _ coinPlace) {
			r.sql(`DELETE FROM payout WHERE kind = 'settlement' AND spend_id <> ''`)
		}},
		{"a spend that was never done", "spend", "booked 1 times", "", func(r *rig, _ coinPlace) {
			r.sql(`UPDATE spend SET state = 'mined' WHERE state = 'done'`)
		}},
		{"a spend done without entries", "spend", "booked 0 times", "", func(r *rig, _ coinPlace) {
			r.sql(`UPDATE entry SET key = 'deposit/x/y/1' WHERE key LIKE 'spend/%'`)
		}},
		{"a fee that was not paid", "spend", "its entry says", money.BTC, func(r *rig, _ coinPlace) {
			r.sql(`UPDATE version SET fee = '1'`)
		}},
		{"an outflow that was not", "spend", "its entry says", money.ETH, func(r *rig, _ coinPlace) {
			r.sql(`UPDATE spend SET outflow = '1' WHERE state = 'done'`)
		}},
		{"a coin of another account", "held", "of coins", money.BTC, func(r *rig, _ coinPlace) {
			r.sql(`UPDATE deposit SET account = 'stray/' || 'x' WHERE account LIKE 'wallet/%'`)
		}},
		{"a wallet's part that is another", "held", "of coins", money.ETH, func(r *rig, _ coinPlace) {
			r.sql(`UPDATE address SET wallet = '12' WHERE wallet <> '0'`)
		}},
		{"a spend in another block", "chain", "", money.BTC, func(r *rig, _ coinPlace) {
			r.sql(`UPDATE spend SET height = height - 1 WHERE state = 'done'`)
		}},
		{"a spend by another transaction", "chain", "does not use", money.BTC, func(r *rig, _ coinPlace) {
			r.sql(`UPDATE spend SET txid = 'beef' WHERE state = 'done'`)
		}},
	} {
		t.Run(p.name, func(t *testing.T) {
			for _, c := range places {
				if p.coin != "" && p.coin != c.coin {
					continue
				}
				r := newRig(t)
				r.kept(c, 50)
				r.settles(c, c.shop)
				r.paid(c.coin, "50", c.due)
				r.deepen(c.coin, 7)
				r.withdraw(c, amount(c.coin, c.due).PerMillion(300_000).Text())
				r.pays(c.coin)
				r.clean()
				p.plant(r, c)
				report, err := r.auditor.Audit(t.Context())
				r.must(err)
				found := false
				for _, d := range report.Differences {
					found = found || d.What == p.what && strings.Contains(d.Text, p.text)
				}
				if !found {
					t.Errorf("%s: %+v", c.coin, report.Differences)
				}
			}
		})
	}
}

// What came in is what went and what is held, with every kind of payout there is.
func TestAuditTotals(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		r.kept(c, 50, 50)
		r.settles(c, c.shop)
		settled := r.paid(c.coin, "50", c.due)
		refunded := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
		_, err := r.askRefund(refunded)
		r.must(err)
		w := r.withdraw(c, amount(c.coin, c.due).PerMillion(1_500_000).Text())
		r.deepen(c.coin, 20)
		r.follow()
		r.pay("100", "0.002") // and something that is still held
		report, err := r.auditor.Audit(t.Context())
		r.must(err)
		sum := report.Totals[c.n]
		a, b := r.payout(settled, payment.Settlement), r.payout(refunded, payment.RefundAsked)
		w = r.again(w)
		if !sum.Settled.Equal(a.Net) || !sum.Refunded.Equal(b.Net) || !sum.Withdrawn.Equal(w.Net) || sum.Fees.Sign() <= 0 ||
			!sum.In.Equal(money.Sum(c.coin, sum.Settled, sum.Refunded, sum.Withdrawn, sum.Fees, sum.Held)) {
			t.Errorf("%+v", sum)
		}
		want := amount(c.coin, c.due).PerMillion(4_000_000)
		if c.coin == money.BTC {
			want = want.Add(amount(c.coin, "0.002"))
		}
		if !sum.In.Equal(want) || report.Payouts == 0 || report.Spends == 0 {
			t.Errorf("in %s, want %s; %+v", sum.In, want, report)
		}
	})
}

// One look may come between two commits of others; what two looks show halts payouts.
func TestAuditLatches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.pay("100", "0.002")
	look := func() bool {
		report, err := r.auditor.Audit(t.Context())
		r.must(err)
		halted, err := r.auditor.Latch(t.Context(), report)
		r.must(err)
		return halted
	}
	halts := func(want string) {
		t.Helper()
		h, err := r.desk.Halted(t.Context())
		r.must(err)
		if want == "" && h.Reason != "" || !strings.Contains(h.Reason, want) {
			t.Fatalf("halted because %q, want %q", h.Reason, want)
		}
	}
	look()
	r.sql(fmt.Sprintf(`UPDATE balance SET amount = '1' WHERE account = 'invoice/%s'`, id))
	if look() {
		t.Fatal("halted at the first look")
	}
	halts("")
	if !look() {
		t.Fatal("not halted at the second look")
	}
	halts("is kept as")
	if look() {
		t.Error("halted once more")
	}
	r.must(r.desk.Resume(t.Context()))
	halts("")
	if !look() {
		t.Error("the operator lets payouts go on, and what was wrong still is")
	}
	r.sql(fmt.Sprintf(`UPDATE balance SET amount = '200000' WHERE account = 'invoice/%s'`, id))
	look()
	r.must(r.desk.Resume(t.Context()))
	look()
	look()
	halts("")
	r.clean()
}
