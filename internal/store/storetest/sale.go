package storetest

import (
	"cmp"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// sales: paid invoices in order of time, the sums of hours, and how far they go.
func sales(t *testing.T, s *suite) {
	a, b := s.application(), s.application()
	first := time.UnixMilli(500_000 * time.Hour.Milliseconds()).UTC()
	var sold []engine.Sold
	add := func(app payment.Application, n int, paid time.Time, price money.Amount, coin money.Currency) {
		s.update(func(tx engine.Tx) error {
			i := s.invoiceOf(app, makeID(n))
			q := s.quoteOf(i, makeID(100+n), cmp.Or(coin, money.BTC))
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
		if !paid.IsZero() {
			sold = append(sold, engine.Sold{ID: makeID(n), Merchant: app.MerchantID, At: paid, Coin: coin, Price: price})
		}
	}
	add(a, 5, first, money.Of(money.KRW, 10_500), money.ETH)
	add(b, 6, first, money.Of(money.USD, 999), money.BTC)
	add(a, 1, first.Add(time.Hour), money.Of(money.KRW, 1), "")
	add(a, 2, time.Time{}, money.Of(money.KRW, 1), "")
	read := func(after engine.Sold, until time.Time, limit int) []engine.Sold {
		return get(s, func(tx engine.Tx) ([]engine.Sold, error) { return tx.Sold(after, until, limit) })
	}
	end := first.Add(2 * time.Hour)
	same(t, "sold", read(engine.Sold{}, end, 9), sold)
	same(t, "the first sold", read(engine.Sold{}, end, 1), sold[:1])
	same(t, "after the first", read(sold[0], end, 9), sold[1:])
	same(t, "before the last hour", read(engine.Sold{}, first.Add(time.Hour), 9), sold[:2])

	folded := get(s, engine.Tx.SalesFolded)
	same(t, "at first", folded, engine.Folded{})
	big := money.OfBig(money.KRW, wei("115792089237316195423570985008687907853269984665640564039457584007913129639935").Big())
	hours := []engine.SaleHour{
		{Merchant: a.MerchantID, Hour: 500_000, Coin: money.ETH, Total: big, Invoices: 1},
		{Merchant: a.MerchantID, Hour: 500_001, Coin: "", Total: money.Of(money.KRW, 1), Invoices: 1},
		{Merchant: b.MerchantID, Hour: 500_002, Coin: money.BTC, Total: money.Of(money.USD, 999), Invoices: 3},
	}
	s.update(func(tx engine.Tx) error {
		for _, h := range hours {
			if err := tx.AddSaleHour(h); err != nil {
				return err
			}
		}
		return tx.SwapSalesFolded(engine.Folded{Until: 500_003, Rev: folded.Rev})
	})
	same(t, "then", get(s, engine.Tx.SalesFolded), engine.Folded{Until: 500_003, Rev: folded.Rev + 1})
	s.refused("a stale swap", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapSalesFolded(engine.Folded{Until: 1, Rev: folded.Rev}) })
	s.refused("an hour twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddSaleHour(hours[0]) })
	of := func(since, until int64, limit int) []engine.SaleHour {
		return get(s, func(tx engine.Tx) ([]engine.SaleHour, error) { return tx.SaleHours(a.MerchantID, since, until, limit) })
	}
	same(t, "hours", of(0, 500_003, 9), []engine.SaleHour{hours[1], hours[0]})
	same(t, "the newest hour", of(0, 500_003, 1), hours[1:2])
	same(t, "since", of(500_001, 500_003, 9), hours[1:2])
	same(t, "until", of(0, 500_001, 9), hours[:1])
	all := func(after engine.SaleHour, limit int) []engine.SaleHour {
		return get(s, func(tx engine.Tx) ([]engine.SaleHour, error) { return tx.AllSaleHours(after, limit) })
	}
	same(t, "all", all(engine.SaleHour{}, 9), hours)
	same(t, "the first of all", all(engine.SaleHour{}, 1), hours[:1])
	same(t, "the rest", all(hours[0], 9), hours[1:])
	s.update(func(tx engine.Tx) error { return tx.DropSaleHours(500_001) })
	same(t, "after forgetting", all(engine.SaleHour{}, 9), hours[:1])
}
