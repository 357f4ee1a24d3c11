package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// tokens is a node that says of every transaction that it sent these addresses a token.
type tokens []string

func (a tokens) Lookup(context.Context, string) (chain.Looked, error) {
	return chain.Looked{Known: true, Tokens: a}, nil
}

// payout is one of an invoice, as changed.
func (g *rig) payout(i payment.Invoice, kind payment.PayoutKind, change func(*payment.Payout)) (p payment.Payout) {
	g.t.Helper()
	g.update(func(tx tx) error {
		p = payment.Payout{ID: tx.NewID(), Kind: kind, MerchantID: i.MerchantID, ApplicationID: i.ApplicationID, InvoiceID: i.ID, Network: testNet,
			Amount: eth("0.002"), Wasted: eth("0"), Fee: eth("0"), Net: eth("0"), State: payment.PayoutWaiting, Attempt: 1, CreatedAt: tx.Now(),
			UpdatedAt: tx.Now(), DueAt: tx.Now()}
		change(&p)
		return tx.AddPayout(p)
	})
	g.pass(time.Second)
	return p
}

// TestA13NeedsAttention: each kind of thing that waits for a person stands on the home page and on the payment, in both languages, and
// leaves when it is resolved, or when somebody has dealt with it and nothing new happened.
func TestA13NeedsAttention(t *testing.T) {
	g := newShopRig(t)
	b := g.browser().login(ownerEmail)
	told := func(i *payment.Invoice, change func(*payment.Told)) {
		t.Helper()
		g.pass(time.Second)
		g.update(func(tx tx) error {
			now, err := tx.Invoice(i.ID)
			if err != nil {
				return err
			}
			change(&now.Told)
			now.UpdatedAt = tx.Now()
			*i = now
			return tx.SwapInvoice(now)
		})
	}
	marked := func(s payment.Status, m payment.Marks) payment.Invoice {
		i := g.invoice(g.app, fmt.Sprint("marked-", m), func(i *payment.Invoice) {
			i.Told.Status, i.Told.Marks = s, m
			if i.Told.ExpiredAt = g.clock().UnixMilli(); s == payment.Paid {
				i.Told.ExpiredAt, i.Told.PaidAt = 0, g.clock().UnixMilli()
			}
		})
		g.pass(time.Second)
		return i
	}
	expired := func(m payment.Marks) payment.Invoice {
		return marked(payment.Expired, m)
	}
	var i payment.Invoice
	var p payment.Payout
	swap := func(change func(*payment.Payout)) {
		g.update(func(tx tx) error {
			now, err := tx.Payout(p.ID)
			if err != nil {
				return err
			}
			change(&now)
			return tx.SwapPayout(now)
		})
	}
	refunded := func() { told(&i, func(s *payment.Told) { s.Status = payment.Refunded }) }
	given := func() { swap(func(p *payment.Payout) { p.Held, p.To = payment.HoldNone, "0xback" }) }
	failed := func(reason string) func() {
		return func() {
			i = g.paid(g.app, "failed-"+reason[:4])
			g.payout(i, payment.RefundAsked, func(p *payment.Payout) {
				p.State, p.FailReason, p.DoneAt = payment.PayoutFailed, reason, g.clock()
			})
			g.parkNone(i)
		}
	}
	askAgain := func() {
		g.payout(i, payment.RefundAsked, func(p *payment.Payout) { p.State = payment.PayoutWaiting })
	}
	handle := func() {
		t.Helper()
		if a := b.post("/payments/"+string(i.ID)+"/handled", nil); a.code != http.StatusSeeOther {
			t.Fatalf("handled: %d %s", a.code, a.body)
		}
	}
	for _, c := range []struct {
		name, home, story string
		come, gone        func()
	}{
		{"partial", "of which a part came", "expired with a part paid", func() { i = expired(payment.MarkShort) }, refunded},
		{"partial, dealt with", "of which a part came", "expired with a part paid", func() { i = expired(payment.MarkShort) }, handle},
		{"late", "that came late", "came after the deadline", func() { i = expired(payment.MarkLate) }, refunded},
		{"late, accepted", "that came late", "", func() { i = expired(payment.MarkLate) }, func() {
			told(&i, func(s *payment.Told) { s.Status, s.ExpiredAt, s.PaidAt = payment.Paid, 0, g.clock().UnixMilli() })
		}},
		{"reversed", "whose deposit the chain took back", "took back what paid it", func() { i = marked(payment.Paid, payment.MarkReversed) },
			func() { told(&i, func(s *payment.Told) { s.Marks = 0 }) }},
		{"reversed, dealt with", "whose deposit the chain took back", "took back what paid it", func() { i = marked(payment.Paid, payment.MarkReversed) }, handle},
		{"wrong coin", "a token was sent instead of coins", "PIPE takes no tokens", func() {
			i = g.paid(g.app, "wrong")
			g.parkNone(i)
			g.desk.Lookers = map[money.Network]engine.Looker{testNet: tokens{strings.ToLower("0x" + string(i.ID[24:]))}}
			for range 2 { // a payer asks twice: it is noted once
				if s, err := g.desk.LookUp(t.Context(), i.ID, "0x"+strings.Repeat("9", 64)); err != nil || s.Trace != engine.TraceToken {
					t.Fatal(s, err)
				}
			}
		}, handle},
		{"parked callback", "callbacks were given up", "", func() { i = g.paid(g.app, "parked") }, func() {
			if a := b.post("/callbacks/resend", map[string][]string{"pile": {"parked"}}); a.code != http.StatusSeeOther {
				t.Fatal(a.code, a.body)
			}
		}},
		{"failed refund", "refunds failed</a>", "The refund failed: its reason", failed("the refund address does not take the coins"), askAgain},
		{"failed refund, dealt with", "refunds failed</a>", "The refund failed: its reason", failed("the refund address does not take the coins"), handle},
		{"float too low", "PIPE wallet holds too little", "PIPE wallet holds too little",
			failed("the deposit was settled already, and the PIPE wallet holds 0 ETH of the 1 ETH needed"), askAgain},
		{"excess without address", "overpaid amounts wait for an address", "", func() {
			p = g.payout(g.invoice(g.app, "excess", nil), payment.RefundExcess, func(p *payment.Payout) { p.Held = payment.HoldAddress })
		}, given},
		{"refund without address", "refunds wait for an address", "", func() {
			p = g.payout(g.invoice(g.app, "short", nil), payment.RefundShort, func(p *payment.Payout) { p.Held = payment.HoldAddress })
		}, given},
		{"refund held", `refunds wait</a><p class="quiet">Above the limits`, "", func() {
			p = g.payout(g.invoice(g.app, "held", nil), payment.RefundLate, func(p *payment.Payout) { p.Held = payment.HoldApproval })
		}, given},
		{"stuck settlement", `settlements are held</a><p class="quiet">The signer`, "", func() {
			p = g.payout(g.invoice(g.app, "settle", nil), payment.Settlement, func(p *payment.Payout) { p.Held = payment.HoldRefused })
		}, given},
		{"slow settlement", "on the way for more than six hours", "", func() {
			p = g.payout(g.invoice(g.app, "slow", nil), payment.Settlement, func(p *payment.Payout) {
				p.State, p.To, p.SentAt, p.SpendID, p.Source = payment.PayoutPaying, "0xshop", g.clock().Add(-engine.StuckAfter), payment.ID(strings.Repeat("5", 64)), "x"
			})
		}, func() { swap(func(p *payment.Payout) { p.State, p.DoneAt = payment.PayoutDone, g.clock() }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			nothing := func(when string) {
				t.Helper()
				b.want(when, b.get("/"), http.StatusOK, "Nothing needs you just now")
			}
			nothing("before")
			c.come()
			a := b.get("/")
			b.want("home", a, http.StatusOK, c.home)
			if n := strings.Count(a.body, `<span class="badge warn">1</span>`); n != 1 {
				t.Errorf("%d things of one", n)
			}
			if c.story != "" {
				b.want("payment", b.get("/payments/"+string(i.ID)), http.StatusOK, c.story)
			}
			b.language(payment.Korean)
			b.want("Korean", b.get("/"), http.StatusOK, "확인이 필요한 일")
			if c.story != "" {
				b.want("Korean payment", b.get("/payments/"+string(i.ID)), http.StatusOK, "이 결제를 확인해 주세요")
			}
			b.language(payment.English)
			c.gone()
			nothing("after")
			if c.story != "" {
				if a := b.get("/payments/" + string(i.ID)); strings.Contains(a.body, "This payment needs somebody") {
					t.Error("the payment still says so")
				}
			}
		})
	}
	i = expired(payment.MarkShort)
	handle()
	b.want("nothing to deal with", b.post("/payments/"+string(i.ID)+"/handled", nil), http.StatusConflict, "This payment needs nobody just now")
	told(&i, func(s *payment.Told) { s.Marks = payment.MarkLate })
	b.want("something new", b.get("/"), http.StatusOK, "that came late")
	b.want("what was done", b.get("/payments/"+string(i.ID)), http.StatusOK, "Dealt with what it needed")
	viewer := g.browser().login(g.user("viewer@shop.example", payment.Viewer).Email)
	viewer.want("a viewer", viewer.post("/payments/"+string(i.ID)+"/handled", nil), http.StatusForbidden, "Your role does not allow this")
}

// parkNone has no callback of an invoice that was given up.
func (g *rig) parkNone(i payment.Invoice) {
	g.t.Helper()
	g.update(func(tx tx) error {
		all, err := tx.Callbacks(i.ID, 9)
		for _, c := range all {
			c.State, c.DoneAt = payment.CallbackOpen, time.Time{}
			if err := tx.SwapCallback(c, c.Fence); err != nil {
				return err
			}
		}
		return err
	})
}
