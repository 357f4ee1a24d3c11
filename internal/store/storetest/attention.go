package storetest

import (
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

func attention(t *testing.T, s *suite) {
	a := s.application()
	add := func(status payment.Status, marks payment.Marks) payment.Invoice {
		i := s.invoiceFor(a)
		if i.Told.Status, i.Told.Marks = status, marks; status == payment.Paid {
			i.Told.PaidAt = s.now.UnixMilli()
		} else {
			i.Told.ExpiredAt = s.now.UnixMilli()
		}
		s.update(func(tx engine.Tx) error { return tx.SwapInvoice(i) })
		s.now = s.now.Add(time.Second)
		return i
	}
	late, short := add(payment.Expired, payment.MarkLate|payment.MarkDropped), add(payment.Expired, payment.MarkShort)
	back := add(payment.Paid, payment.MarkReversed|payment.MarkShort)
	for _, other := range []payment.Marks{0, payment.MarkExcess, payment.MarkLate} {
		add(payment.Paid, other)
	}
	s.invoice() // another merchant's
	marked := func(limit int) []engine.MarkedInvoice {
		return get(s, func(tx engine.Tx) ([]engine.MarkedInvoice, error) {
			return tx.MarkedInvoices(engine.MarkedQuery{Merchant: a.MerchantID, Marks: payment.MarkReversed, Expired: payment.MarkShort | payment.MarkLate, Limit: limit})
		})
	}
	of := func(i payment.Invoice) engine.MarkedInvoice {
		return engine.MarkedInvoice{ID: i.ID, Status: i.Told.Status, Marks: i.Told.Marks}
	}
	same(t, "marked", marked(9), []engine.MarkedInvoice{of(back), of(short), of(late)})
	same(t, "the newest", marked(1), []engine.MarkedInvoice{of(back)})
	absent(s, "not dealt with", func(tx engine.Tx) (time.Time, error) { return tx.Handled(short.ID) })
	handle := func(i payment.Invoice, at time.Time) {
		s.update(func(tx engine.Tx) error { return tx.SaveHandled(i.ID, at) })
		same(t, "dealt with", get(s, func(tx engine.Tx) (time.Time, error) { return tx.Handled(i.ID) }), at)
	}
	handle(short, short.UpdatedAt.Add(-time.Millisecond))
	same(t, "before it changed", marked(9), []engine.MarkedInvoice{of(back), of(short), of(late)})
	handle(short, short.UpdatedAt)
	same(t, "since it changed", marked(9), []engine.MarkedInvoice{of(back), of(late)})

	w := engine.WrongCoin{InvoiceID: late.ID, MerchantID: a.MerchantID, Network: ethereum, TxID: "0x1", SeenAt: s.now}
	second := w
	second.TxID = "0x2"
	for n, c := range []struct {
		w     engine.WrongCoin
		added bool
	}{{w, true}, {w, false}, {second, true}} {
		var added bool
		s.update(func(tx engine.Tx) (err error) { added, err = tx.AddWrongCoin(c.w); return err })
		if added != c.added {
			t.Errorf("wrong coin %d: added %t", n, added)
		}
	}
	wrong := func(limit int) []engine.WrongCoin {
		return get(s, func(tx engine.Tx) ([]engine.WrongCoin, error) { return tx.WrongCoins(a.MerchantID, limit) })
	}
	same(t, "wrong coins", wrong(9), []engine.WrongCoin{second, w})
	same(t, "the newest wrong coin", wrong(1), []engine.WrongCoin{second})
	same(t, "an invoice's", get(s, func(tx engine.Tx) ([]engine.WrongCoin, error) { return tx.InvoiceWrongCoins(late.ID, 9) }), []engine.WrongCoin{w, second})
	same(t, "its first", get(s, func(tx engine.Tx) ([]engine.WrongCoin, error) { return tx.InvoiceWrongCoins(late.ID, 1) }), []engine.WrongCoin{w})
	handle(late, s.now)
	same(t, "wrong coins that were dealt with", wrong(9), []engine.WrongCoin{})
	failedRefunds(t, s, a)
}

func failedRefunds(t *testing.T, s *suite, a payment.Application) {
	fail := func(i payment.Invoice, n int) payment.Payout {
		p := s.refundOf(i, makeID(n))
		p.State, p.Held, p.FailReason, p.DoneAt = payment.PayoutFailed, payment.HoldNone, "tests", s.now
		return s.addPayout(p)
	}
	one, two, three := s.invoiceFor(a), s.invoiceFor(a), s.invoiceFor(a)
	fail(one, 1)
	fail(one, 2)
	fail(two, 3)
	s.addPayout(s.refundOf(two, makeID(4))) // asked again
	fail(three, 5)
	fail(s.invoice(), 6) // another merchant's
	read := func(limit int) func(tx engine.Tx) ([]payment.Payout, error) {
		return func(tx engine.Tx) ([]payment.Payout, error) { return tx.FailedRefunds(a.MerchantID, limit) }
	}
	if got := payoutNames(s, read(9)); got != "5 2" {
		t.Errorf("failed refunds %q", got)
	}
	if got := payoutNames(s, read(1)); got != "5" {
		t.Errorf("the newest failed refund %q", got)
	}
	s.update(func(tx engine.Tx) error { return tx.SaveHandled(three.ID, s.now) })
	if got := payoutNames(s, read(9)); got != "2" {
		t.Errorf("failed refunds that nobody dealt with %q", got)
	}
}
