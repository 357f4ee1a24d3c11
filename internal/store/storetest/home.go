package storetest

import (
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// paidPrices: equal prices are counted by day of the zone and by coin; what is unpaid, older or another merchant's is not there.
func paidPrices(t *testing.T, s *suite) {
	a := s.application()
	stranger := s.application()
	day := time.UnixMilli(20_000 * 24 * time.Hour.Milliseconds()) // a midnight in UTC
	add := func(app payment.Application, n int, paid time.Time, price money.Amount, coin money.Currency) {
		s.update(func(tx engine.Tx) error {
			i := s.invoiceOf(app, makeID(n))
			q := payment.Quote{}
			if coin != "" {
				q = s.quoteOf(i, makeID(100+n), coin)
			}
			i.Price = price
			if paid.IsZero() {
				return tx.AddInvoice(i)
			}
			i.Told.Status, i.Told.PaidAt = payment.Paid, paid.UnixMilli()
			if coin == "" {
				return tx.AddInvoice(i)
			}
			i.Told.QuoteID = q.ID
			if err := tx.AddInvoice(i); err != nil {
				return err
			}
			return tx.AddQuote(q)
		})
	}
	won, dollars := money.Of(money.KRW, 10_500), money.Of(money.USD, 999)
	add(a, 1, day, won, money.ETH)
	add(a, 2, day.Add(time.Hour), won, money.ETH)
	add(a, 3, day.Add(16*time.Hour), won, money.BTC) // the next day in Seoul
	add(a, 4, day.Add(time.Hour), dollars, money.BTC)
	add(a, 5, day.Add(time.Hour), won, "")
	add(a, 6, day.Add(-time.Millisecond), won, money.ETH) // too old
	add(a, 7, time.Time{}, won, "")
	add(stranger, 8, day, won, money.ETH)
	read := func(zone time.Duration, limit int) []engine.PaidPrice {
		return get(s, func(tx engine.Tx) ([]engine.PaidPrice, error) { return tx.PaidPrices(a.MerchantID, day, zone, limit) })
	}
	same(t, "in Seoul", read(9*time.Hour, 9), []engine.PaidPrice{
		{Day: 20_001, Coin: money.BTC, Price: won, Invoices: 1}, {Day: 20_000, Price: won, Invoices: 1}, {Day: 20_000, Coin: money.BTC, Price: dollars, Invoices: 1},
		{Day: 20_000, Coin: money.ETH, Price: won, Invoices: 2},
	})
	if utc := read(0, 9); utc[0].Day != 20_000 {
		t.Errorf("in UTC: %+v", utc)
	}
	if few := read(0, 2); len(few) != 2 {
		t.Errorf("%d of two", len(few))
	}
}

// owedPayouts: what is done, a gather or another merchant's is not there.
func owedPayouts(t *testing.T, s *suite) {
	i := s.invoice()
	s.addPayout(s.refundOf(i, makeID(1)))
	w := s.addPayout(s.withdrawalOf(i.MerchantID, makeID(2)))
	g := s.withdrawalOf(i.MerchantID, makeID(3))
	g.Kind, g.For = payment.Gather, w.ID
	s.addPayout(g)
	s.addPayout(s.withdrawalOf(s.merchant().ID, makeID(4)))
	over := s.withdrawalOf(i.MerchantID, makeID(5))
	over.State, over.FailReason, over.DoneAt = payment.PayoutFailed, "tests", s.now
	s.addPayout(over)
	read := func(limit int) func(tx engine.Tx) ([]payment.Payout, error) {
		return func(tx engine.Tx) ([]payment.Payout, error) { return tx.OwedPayouts(i.MerchantID, limit) }
	}
	if got := payoutNames(s, read(9)); got != "2 1" {
		t.Errorf("owed %q", got)
	}
	if got := payoutNames(s, read(1)); got != "2" {
		t.Errorf("the newest one %q", got)
	}
}
