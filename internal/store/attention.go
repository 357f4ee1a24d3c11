package store

import (
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// MarkedInvoices are a merchant's with any of some marks, or expired with any of others, that nobody dealt with since.
func (t *tx) MarkedInvoices(q engine.MarkedQuery) ([]engine.MarkedInvoice, error) {
	rows, err := t.q.MarkedInvoices(t.ctx, row.MarkedInvoicesParams{
		MerchantID: string(q.Merchant), Marks: int64(q.Marks), Expired: int64(q.Expired), Most: atMost(q.Limit),
	})
	return plainly(rows, func(r row.MarkedInvoicesRow) engine.MarkedInvoice {
		return engine.MarkedInvoice{ID: payment.ID(r.ID), Status: payment.Status(r.Status), Marks: payment.Marks(r.Marks)}
	}), t.fail("list invoices that need somebody", err)
}

// FailedRefunds are the refunds of a merchant's shops that failed last, and that nobody dealt with since.
func (t *tx) FailedRefunds(merchant payment.ID, limit int) ([]payment.Payout, error) {
	rows, err := t.q.FailedRefunds(t.ctx, row.FailedRefundsParams{MerchantID: string(merchant), Most: atMost(limit)})
	return t.payouts("list refunds that failed", rows, err)
}

// AddWrongCoin notes a token that came to an invoice's address; one that is noted already is no error.
func (t *tx) AddWrongCoin(w engine.WrongCoin) (added bool, err error) {
	n, err := t.q.AddWrongCoin(t.ctx, row.AddWrongCoinParams{
		InvoiceID: string(w.InvoiceID), MerchantID: string(w.MerchantID), Network: string(w.Network), TxID: w.TxID, SeenAt: millis(w.SeenAt),
	})
	return n > 0, t.fail("note wrong coin", err)
}

// WrongCoins are a merchant's that nobody dealt with since, the newest first.
func (t *tx) WrongCoins(merchant payment.ID, limit int) ([]engine.WrongCoin, error) {
	rows, err := t.q.WrongCoins(t.ctx, row.WrongCoinsParams{MerchantID: string(merchant), Most: atMost(limit)})
	return plainly(rows, wrongCoin), t.fail("list wrong coins", err)
}

// InvoiceWrongCoins are an invoice's, the oldest first.
func (t *tx) InvoiceWrongCoins(invoice payment.ID, limit int) ([]engine.WrongCoin, error) {
	rows, err := t.q.InvoiceWrongCoins(t.ctx, row.InvoiceWrongCoinsParams{InvoiceID: string(invoice), Most: atMost(limit)})
	return plainly(rows, wrongCoin), t.fail("list wrong coins of an invoice", err)
}

func wrongCoin(r row.WrongCoin) engine.WrongCoin {
	return engine.WrongCoin{
		InvoiceID: payment.ID(r.InvoiceID), MerchantID: payment.ID(r.MerchantID), Network: money.Network(r.Network), TxID: r.TxID, SeenAt: at(r.SeenAt),
	}
}

// SaveHandled notes that somebody dealt with what an invoice needed until then.
func (t *tx) SaveHandled(invoice payment.ID, until time.Time) error {
	return t.fail("note what was dealt with", t.q.SaveHandled(t.ctx, row.SaveHandledParams{InvoiceID: string(invoice), HandledAt: millis(until)}))
}

// Handled is until when somebody dealt with what an invoice needed.
func (t *tx) Handled(invoice payment.ID) (time.Time, error) {
	n, err := t.q.Handled(t.ctx, string(invoice))
	return at(n), t.fail("find what was dealt with", err)
}
