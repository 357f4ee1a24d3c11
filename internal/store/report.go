package store

import (
	"cmp"
	"fmt"
	"math/big"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// MerchantApplications are a merchant's after an id in id order.
func (t *tx) MerchantApplications(merchant, after payment.ID, limit int) ([]payment.Application, error) {
	rows, err := t.q.MerchantApplications(t.ctx, row.MerchantApplicationsParams{
		MerchantID: string(merchant), After: string(after), Most: atMost(limit),
	})
	if err != nil {
		return nil, t.fail("list a merchant's applications", err)
	}
	all, err := each(rows, application)
	return all, t.fail("read applications", err)
}

// InvoicePage are invoices as lists show them, the newest first.
func (t *tx) InvoicePage(q engine.InvoiceQuery) ([]engine.InvoiceLine, error) {
	rows, err := t.q.InvoicePage(t.ctx, row.InvoicePageParams{
		MerchantID: string(q.Merchant), Before: cmp.Or(string(q.Before), lastID), Since: string(q.Since), Status: int64(q.Status),
		Marks: int64(q.Marks), ApplicationID: string(q.Application), Coin: string(q.Coin), Most: atMost(q.Limit),
	})
	if err != nil {
		return nil, t.fail("list invoices", err)
	}
	all, err := each(rows, invoiceLine)
	return all, t.fail("read invoices", err)
}

// InvoiceLine is one of a merchant's invoices as lists show it.
func (t *tx) InvoiceLine(merchant, id payment.ID) (engine.InvoiceLine, error) {
	r, err := t.q.InvoiceLine(t.ctx, row.InvoiceLineParams{MerchantID: string(merchant), ID: string(id)})
	if err != nil {
		return engine.InvoiceLine{}, t.fail("find invoice", err)
	}
	line, err := invoiceLine(row.InvoicePageRow(r))
	return line, t.fail("read invoice", err)
}

// InvoiceCounts counts by status what a query finds, its status apart.
func (t *tx) InvoiceCounts(q engine.InvoiceQuery, limit int) (map[payment.Status]int, error) {
	rows, err := t.q.InvoiceCounts(t.ctx, row.InvoiceCountsParams{
		MerchantID: string(q.Merchant), Before: cmp.Or(string(q.Before), lastID), Since: string(q.Since), Marks: int64(q.Marks),
		ApplicationID: string(q.Application), Coin: string(q.Coin), Most: atMost(limit),
	})
	counts := make(map[payment.Status]int, len(rows))
	for _, r := range rows {
		counts[payment.Status(r.Status)] = int(r.Invoices)
	}
	return counts, t.fail("count invoices", err)
}

// OrderInvoices are those of an order, the newest first.
func (t *tx) OrderInvoices(merchant payment.ID, order string, limit int) ([]payment.ID, error) {
	rows, err := t.q.OrderInvoices(t.ctx, row.OrderInvoicesParams{MerchantID: string(merchant), OrderID: order, Most: atMost(limit)})
	return ids(rows), t.fail("find invoices of an order", err)
}

// TxIDInvoices are those that a transaction pays, and then those that it pays back.
func (t *tx) TxIDInvoices(merchant payment.ID, txid string, limit int) ([]payment.ID, error) {
	in, err := t.q.DepositInvoices(t.ctx, row.DepositInvoicesParams{TxID: txid, MerchantID: string(merchant), Most: atMost(limit)})
	if err != nil {
		return nil, t.fail("find invoices that a transaction pays", err)
	}
	out, err := t.q.PayoutInvoices(t.ctx, row.PayoutInvoicesParams{TxID: txid, MerchantID: string(merchant), Most: atMost(limit)})
	return ids(append(in, out...)), t.fail("find invoices that a transaction pays back", err)
}

// CallbackPage are callbacks of an application with their last try, the newest first.
func (t *tx) CallbackPage(q engine.CallbackQuery) ([]engine.CallbackLine, error) {
	rows, err := t.q.CallbackPage(t.ctx, row.CallbackPageParams{
		ApplicationID: string(q.Application), State: string(q.State), Before: cmp.Or(string(q.Before), lastID), Since: string(q.Since),
		Least: int64(q.Least), Utmost: int64(q.Utmost), Most: atMost(q.Limit),
	})
	all := make([]engine.CallbackLine, len(rows))
	for i, r := range rows {
		all[i] = engine.CallbackLine{Callback: callback(r.Callback), OrderID: r.OrderID}
		if r.TriedAt != 0 {
			all[i].Last = payment.Attempt{
				CallbackID: payment.ID(r.Callback.ID), N: int(r.Callback.Attempts), At: at(r.TriedAt), Took: span(r.TookMs),
				HTTPStatus: int(r.HttpStatus), Verdict: r.Verdict, Detail: r.Detail, Answer: r.Answer,
			}
		}
	}
	return all, t.fail("list an application's callbacks", err)
}

// CountCallbacks counts an application's in a state, up to a limit.
func (t *tx) CountCallbacks(app payment.ID, state payment.CallbackState, limit int) (int, error) {
	n, err := t.q.CountCallbacks(t.ctx, row.CountCallbacksParams{ApplicationID: string(app), State: string(state), Few: atMost(limit)})
	return int(n), t.fail("count callbacks", err)
}

// MovedDeposits are what came in for good, the newest first.
func (t *tx) MovedDeposits(merchant payment.ID, s engine.Span, limit int) ([]engine.Move, error) {
	rows, err := t.q.MovedDeposits(t.ctx, row.MovedDepositsParams{
		Before: cmp.Or(string(s.Before), lastID), Since: string(s.Since), MerchantID: string(merchant),
		Wallet: string(ledger.Wallet(string(merchant))), Most: atMost(limit),
	})
	if err != nil {
		return nil, t.fail("list what came in", err)
	}
	all, err := each(rows, func(r row.MovedDepositsRow) (engine.Move, error) {
		d, err := deposit(r.Deposit)
		if err != nil {
			return engine.Move{}, err
		}
		return rated(engine.Move{Deposit: d, OrderID: r.OrderID, RatedAt: at(r.RatedAt)}, d.Network, keptRate{r.Rate, r.PriceCurrency, r.Votes})
	})
	return all, t.fail("read what came in", err)
}

// MovedPayouts are what went out for good, the newest first.
func (t *tx) MovedPayouts(merchant payment.ID, s engine.Span, limit int) ([]engine.Move, error) {
	rows, err := t.q.MovedPayouts(t.ctx, row.MovedPayoutsParams{
		MerchantID: string(merchant), Before: cmp.Or(string(s.Before), lastID), Since: string(s.Since), Most: atMost(limit),
	})
	if err != nil {
		return nil, t.fail("list what went out", err)
	}
	all, err := each(rows, func(r row.MovedPayoutsRow) (engine.Move, error) {
		p, err := payout(r.Payout)
		if err != nil {
			return engine.Move{}, err
		}
		return rated(engine.Move{Payout: p, OrderID: r.OrderID, RatedAt: at(r.RatedAt)}, p.Network, keptRate{r.Rate, r.PriceCurrency, r.Votes})
	})
	return all, t.fail("read what went out", err)
}

// A keptRate is a rate as it is kept, with its votes; text is "" where there is none.
type keptRate struct{ text, currency, votes string }

// rated adds a kept rate and its votes, where there is one.
func rated(m engine.Move, n money.Network, k keptRate) (engine.Move, error) {
	if k.text == "" {
		return m, nil
	}
	var err error
	if m.Rate, err = rate(n.Coin(), money.Currency(k.currency), k.text); err != nil {
		return m, err
	}
	var j jsons
	m.Votes = readVotes(&j, k.votes)
	return m, j.err
}

func rate(coin, price money.Currency, text string) (money.Rate, error) {
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return money.Rate{}, fmt.Errorf("%q is no rate", text)
	}
	return money.NewRate(coin, price, value)
}

func readVotes(j *jsons, text string) (all []payment.Vote) {
	var votes []voteRow
	j.read(text, &votes)
	for _, v := range votes {
		all = append(all, payment.Vote{Source: v.Source, Value: v.Value, At: at(v.AtMS), Counted: v.Counted, Reason: v.Reason})
	}
	return all
}

func invoiceLine(r row.InvoicePageRow) (engine.InvoiceLine, error) {
	price, err := amount(money.Currency(r.PriceCurrency), r.Price)
	if err != nil {
		return engine.InvoiceLine{}, err
	}
	line := engine.InvoiceLine{
		ID: payment.ID(r.ID), ApplicationID: payment.ID(r.ApplicationID), OrderID: r.OrderID, OrderName: r.OrderName, Price: price,
		Status: payment.Status(r.Status), Deposit: payment.DepositStatus(r.DepositStatus), Marks: payment.Marks(r.Marks),
		CreatedAt: at(r.CreatedAt), PaidAt: at(r.PaidAt), Coin: money.Currency(r.Coin), Callback: payment.CallbackState(r.Callback),
	}
	if line.Coin == "" {
		return line, nil
	}
	if line.Rate, err = rate(line.Coin, price.Currency(), r.Rate); err != nil {
		return line, err
	}
	m := moneys{coin: line.Coin}
	line.Due = m.read(cmp.Or(r.Due.String, "0"))
	line.Confirmed = m.read(cmp.Or(r.Confirmed.String, "0"))
	return line, m.err
}
