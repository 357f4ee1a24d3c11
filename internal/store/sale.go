package store

import (
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// SalesFolded is how far sales are added up.
func (t *tx) SalesFolded() (engine.Folded, error) {
	r, err := t.q.SalesFolded(t.ctx)
	return engine.Folded{Until: r.UntilHour, Rev: r.Rev}, t.fail("find how far sales are added up", err)
}

// SwapSalesFolded says that sales are added up to another hour.
func (t *tx) SwapSalesFolded(f engine.Folded) error {
	n, err := t.q.SwapSalesFolded(t.ctx, row.SwapSalesFoldedParams{UntilHour: f.Until, Rev: f.Rev})
	return t.swapped("save how far sales are added up", n, err)
}

// Sold are the invoices that were paid before a time, the first paid first.
func (t *tx) Sold(after engine.Sold, until time.Time, limit int) ([]engine.Sold, error) {
	rows, err := t.q.Sold(t.ctx, row.SoldParams{
		AfterAt: millis(after.At), AfterID: string(after.ID), Until: millis(until), Most: atMost(limit),
	})
	if err != nil {
		return nil, t.fail("list paid invoices", err)
	}
	all, err := each(rows, func(r row.SoldRow) (engine.Sold, error) {
		price, err := money.OfUnits(money.Currency(r.PriceCurrency), r.Price)
		return engine.Sold{ID: payment.ID(r.ID), Merchant: payment.ID(r.MerchantID), At: at(r.PaidAt), Coin: money.Currency(r.Coin), Price: price}, err
	})
	return all, t.fail("read paid invoices", err)
}

// AddSaleHour keeps the sum of an hour.
func (t *tx) AddSaleHour(s engine.SaleHour) error {
	return t.fail("add the sales of an hour", t.q.AddSaleHour(t.ctx, row.AddSaleHourParams{
		MerchantID: string(s.Merchant), Hour: s.Hour, Coin: string(s.Coin), PriceCurrency: string(s.Total.Currency()), Total: s.Total.Units(),
		Invoices: s.Invoices,
	}))
}

// DropSaleHours forgets the sums from an hour on.
func (t *tx) DropSaleHours(since int64) error {
	return t.fail("forget sales of hours", t.q.DropSaleHours(t.ctx, since))
}

// SaleHours are a merchant's sums of some hours, the newest first.
func (t *tx) SaleHours(merchant payment.ID, since, until int64, limit int) ([]engine.SaleHour, error) {
	rows, err := t.q.SaleHours(t.ctx, row.SaleHoursParams{MerchantID: string(merchant), Since: since, Until: until, Most: atMost(limit)})
	return t.saleHours(rows, err)
}

// AllSaleHours are all merchants' sums in order of time.
func (t *tx) AllSaleHours(after engine.SaleHour, limit int) ([]engine.SaleHour, error) {
	rows, err := t.q.AllSaleHours(t.ctx, row.AllSaleHoursParams{
		Hour: after.Hour, MerchantID: string(after.Merchant), Coin: string(after.Coin), PriceCurrency: string(after.Total.Currency()), Most: atMost(limit),
	})
	return t.saleHours(rows, err)
}

func (t *tx) saleHours(rows []row.SaleHour, err error) ([]engine.SaleHour, error) {
	if err != nil {
		return nil, t.fail("list sales of hours", err)
	}
	all, err := each(rows, func(r row.SaleHour) (engine.SaleHour, error) {
		total, err := money.OfUnits(money.Currency(r.PriceCurrency), r.Total)
		return engine.SaleHour{Merchant: payment.ID(r.MerchantID), Hour: r.Hour, Coin: money.Currency(r.Coin), Total: total, Invoices: r.Invoices}, err
	})
	return all, t.fail("read sales of hours", err)
}
