package store

import (
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// PaidPrices are the prices of paid invoices by day, coin and price, and how many there are of each.
func (t *tx) PaidPrices(merchant payment.ID, since time.Time, zone time.Duration, limit int) ([]engine.PaidPrice, error) {
	rows, err := t.q.PaidPrices(t.ctx, row.PaidPricesParams{
		MerchantID: string(merchant), Since: millis(since), Zone: zone.Milliseconds(), Most: atMost(limit),
	})
	if err != nil {
		return nil, t.fail("list paid prices", err)
	}
	all, err := each(rows, func(r row.PaidPricesRow) (engine.PaidPrice, error) {
		price, err := money.OfUnits(money.Currency(r.PriceCurrency), r.Price)
		return engine.PaidPrice{Day: r.Day, Coin: money.Currency(r.Coin), Price: price, Invoices: r.Invoices}, err
	})
	return all, t.fail("read paid prices", err)
}

// OwedPayouts are those of a merchant that are waiting, open or paying, gathers apart, the newest first.
func (t *tx) OwedPayouts(merchant payment.ID, limit int) ([]payment.Payout, error) {
	rows, err := t.q.OwedPayouts(t.ctx, row.OwedPayoutsParams{MerchantID: string(merchant), Most: atMost(limit)})
	return t.payouts("list what a merchant owes", rows, err)
}
