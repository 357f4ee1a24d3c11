package store

import (
	"fmt"
	"math/big"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// policyRow, refundRow and voteRow are how an invoice's policy and refund addresses and a quote's votes are kept.
type policyRow struct {
	QuoteWindowMS    int64               `json:"quote_window_ms"`
	ChooseWithinMS   int64               `json:"choose_within_ms"`
	ExchangeWindowMS int64               `json:"exchange_window_ms"`
	Tolerance        int64               `json:"tolerance"`
	Depths           map[string]depthRow `json:"depths,omitempty"`
	RequireRefund    bool                `json:"require_refund,omitempty"`
}

type refundRow struct {
	Address string `json:"address"`
	Fixed   bool   `json:"fixed,omitempty"`
}

type voteRow struct {
	Source  string `json:"source"`
	Value   string `json:"value"`
	AtMS    int64  `json:"at_ms"`
	Counted bool   `json:"counted,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// AddInvoice stores an invoice.
func (t *tx) AddInvoice(i payment.Invoice) error {
	p := policyRow{
		QuoteWindowMS: i.Policy.QuoteWindow.Milliseconds(), ChooseWithinMS: i.Policy.ChooseWithin.Milliseconds(),
		ExchangeWindowMS: i.Policy.ExchangeWindow.Milliseconds(), Tolerance: i.Policy.Tolerance,
		Depths: map[string]depthRow{}, RequireRefund: i.Policy.RequireRefund,
	}
	for coin, d := range i.Policy.Depths {
		p.Depths[string(coin)] = depthRow(d)
	}
	var j jsons
	r := row.AddInvoiceParams{
		ID: string(i.ID), ApplicationID: string(i.ApplicationID), MerchantID: string(i.MerchantID), OrderID: i.OrderID,
		OrderName: i.OrderName, PriceCurrency: string(i.Price.Currency()), Price: i.Price.Units(), Language: string(i.Language),
		CallbackURL: i.CallbackURL, OpenType: string(i.OpenType), RedirectURL: i.RedirectURL, Policy: j.text(p),
		AcceptLate: i.Policy.AcceptLate, Coins: j.text(list(i.Coins)), CreatedAt: millis(i.CreatedAt),
		Refunds: j.text(refunds(i)), RefundOwner: bytes(i.RefundOwner), CancelledAt: millis(i.CancelledAt), Status: int64(i.Told.Status),
		DepositStatus: int64(i.Told.Deposit), Marks: int64(i.Told.Marks), QuoteID: string(i.Told.QuoteID),
		Seen: null(i.Told.Seen), Confirmed: null(i.Told.Confirmed), Deadline: i.Told.Deadline,
		DepositedAt: i.Told.DepositedAt, PaidAt: i.Told.PaidAt, ExpiredAt: i.Told.ExpiredAt,
		UpdatedAt: millis(i.UpdatedAt), Rev: i.Rev,
	}
	if j.err != nil {
		return t.fail("add invoice", j.err)
	}
	return t.fail("add invoice", t.q.AddInvoice(t.ctx, r))
}

// Invoice finds an invoice.
func (t *tx) Invoice(id payment.ID) (payment.Invoice, error) {
	r, err := t.q.Invoice(t.ctx, string(id))
	if err != nil {
		return payment.Invoice{}, t.fail("find invoice", err)
	}
	i, err := invoice(r)
	return i, t.fail("read invoice", err)
}

// Facts are the invoice with all its quotes, deposits from outside, and payouts.
func (t *tx) Facts(id payment.ID) (payment.Facts, error) {
	r, err := t.q.InvoiceFacts(t.ctx, string(id))
	if err != nil {
		return payment.Facts{}, t.fail("find invoice", err)
	}
	var f payment.Facts
	if f.Invoice, err = invoice(r.Invoice); err != nil {
		return f, t.fail("read invoice", err)
	}
	if r.Quotes {
		quotes, err := t.q.Quotes(t.ctx, string(id))
		if err != nil {
			return f, t.fail("list quotes", err)
		}
		if f.Quotes, err = each(quotes, quote); err != nil {
			return f, t.fail("read quotes", err)
		}
	}
	if r.Deposits {
		deposits, err := t.q.Deposits(t.ctx, null(string(id)))
		if f.Deposits, err = t.deposits("list deposits", deposits, err); err != nil {
			return f, err
		}
	}
	if r.Payouts {
		payouts, err := t.q.InvoicePayouts(t.ctx, null(string(id)))
		if f.Payouts, err = t.payouts("list payouts", payouts, err); err != nil {
			return f, err
		}
	}
	return f, nil
}

// SwapInvoice saves the parts of an invoice that may change.
func (t *tx) SwapInvoice(i payment.Invoice) error {
	var j jsons
	p := row.SwapInvoiceParams{
		Refunds: j.text(refunds(i)), RefundOwner: bytes(i.RefundOwner), CancelledAt: millis(i.CancelledAt), Status: int64(i.Told.Status),
		DepositStatus: int64(i.Told.Deposit), Marks: int64(i.Told.Marks), QuoteID: string(i.Told.QuoteID),
		Seen: null(i.Told.Seen), Confirmed: null(i.Told.Confirmed), Deadline: i.Told.Deadline,
		DepositedAt: i.Told.DepositedAt, PaidAt: i.Told.PaidAt, ExpiredAt: i.Told.ExpiredAt,
		UpdatedAt: millis(i.UpdatedAt), ID: string(i.ID), Rev: i.Rev,
	}
	if j.err != nil {
		return t.fail("save invoice", j.err)
	}
	n, err := t.q.SwapInvoice(t.ctx, p)
	if err := t.swapped("save invoice", n, err); err != nil || !i.Policy.AcceptLate {
		return err
	}
	return t.fail("mark late deposits", t.q.MarkUnvalued(t.ctx, row.MarkUnvaluedParams{
		Deadline: i.Told.Deadline, InvoiceID: null(string(i.ID)),
	}))
}

// AddQuote stores a quote.
func (t *tx) AddQuote(q payment.Quote) error {
	votes := make([]voteRow, len(q.Votes))
	for i, v := range q.Votes {
		votes[i] = voteRow{v.Source, v.Value, millis(v.At), v.Counted, v.Reason}
	}
	if q.Rate.IsZero() {
		return t.fail("add quote", fmt.Errorf("quote %s has no rate", q.ID))
	}
	var j jsons
	r := row.AddQuoteParams{
		ID: string(q.ID), InvoiceID: string(q.InvoiceID), Coin: string(q.Coin), Network: string(q.Network),
		Address: q.Address, PriceCurrency: string(q.Rate.Price()), Rate: q.Rate.Value().RatString(), Due: q.Due.Units(),
		Votes: j.text(votes), WindowMs: q.Window.Milliseconds(), Exchange: q.Exchange,
		CreatedAt: millis(q.CreatedAt), Deadline: millis(q.Deadline),
	}
	if j.err != nil {
		return t.fail("add quote", j.err)
	}
	return t.fail("add quote", t.q.AddQuote(t.ctx, r))
}

// DueInvoices are waiting invoices whose deadline is not after end, after an id in id order.
func (t *tx) DueInvoices(end time.Time, after payment.ID, limit int) ([]payment.ID, error) {
	rows, err := t.q.DueInvoices(t.ctx, row.DueInvoicesParams{T: millis(end), After: string(after), Most: atMost(limit)})
	return ids(rows), t.fail("list due invoices", err)
}

// Stir notes that an invoice must be assessed anew.
func (t *tx) Stir(id payment.ID, network money.Network) error {
	return t.fail("stir invoice", t.q.Stir(t.ctx, row.StirParams{Network: string(network), InvoiceID: string(id)}))
}

// IsStirred tells whether an invoice is noted for a network.
func (t *tx) IsStirred(id payment.ID, network money.Network) (bool, error) {
	n, err := t.q.IsStirred(t.ctx, row.IsStirredParams{InvoiceID: string(id), Network: string(network)})
	return n > 0, t.fail("look whether an invoice is stirred", err)
}

// Stirred are the invoices noted for a network, the oldest note first.
func (t *tx) Stirred(network money.Network, limit int) ([]payment.ID, error) {
	rows, err := t.q.Stirred(t.ctx, row.StirredParams{Network: string(network), Most: atMost(limit)})
	return ids(rows), t.fail("list stirred invoices", err)
}

// Calm takes a note back.
func (t *tx) Calm(id payment.ID, network money.Network) error {
	return t.fail("calm invoice", t.q.Calm(t.ctx, row.CalmParams{InvoiceID: string(id), Network: string(network)}))
}

func invoice(r row.Invoice) (payment.Invoice, error) {
	var j jsons
	var p policyRow
	j.read(r.Policy, &p)
	price, err := amount(money.Currency(r.PriceCurrency), r.Price)
	if err != nil {
		return payment.Invoice{}, err
	}
	i := payment.Invoice{
		ID: payment.ID(r.ID), ApplicationID: payment.ID(r.ApplicationID), MerchantID: payment.ID(r.MerchantID),
		OrderID: r.OrderID, OrderName: r.OrderName, Price: price, Language: payment.Language(r.Language),
		CallbackURL: r.CallbackURL, OpenType: payment.OpenType(r.OpenType), RedirectURL: r.RedirectURL,
		Policy: payment.Policy{
			QuoteWindow: span(p.QuoteWindowMS), ChooseWithin: span(p.ChooseWithinMS), ExchangeWindow: span(p.ExchangeWindowMS),
			Tolerance: p.Tolerance, AcceptLate: r.AcceptLate, RequireRefund: p.RequireRefund,
			Depths: make(map[money.Currency]payment.Depth, len(p.Depths)),
		},
		CreatedAt:   at(r.CreatedAt),
		RefundOwner: r.RefundOwner,
		CancelledAt: at(r.CancelledAt),
		Told: payment.Told{
			Status: payment.Status(r.Status), Deposit: payment.DepositStatus(r.DepositStatus), Marks: payment.Marks(r.Marks),
			QuoteID: payment.ID(r.QuoteID), Seen: r.Seen.String, Confirmed: r.Confirmed.String, Deadline: r.Deadline,
			DepositedAt: r.DepositedAt, PaidAt: r.PaidAt, ExpiredAt: r.ExpiredAt,
		},
		UpdatedAt: at(r.UpdatedAt), Rev: r.Rev,
	}
	for coin, d := range p.Depths {
		i.Policy.Depths[money.Currency(coin)] = payment.Depth(d)
	}
	j.read(r.Coins, &i.Coins)
	var refunds map[string]refundRow
	j.read(r.Refunds, &refunds)
	for coin, address := range refunds {
		if i.Refunds == nil {
			i.Refunds = make(map[money.Currency]payment.RefundAddress, len(refunds))
		}
		i.Refunds[money.Currency(coin)] = payment.RefundAddress(address)
	}
	if len(i.RefundOwner) == 0 {
		i.RefundOwner = nil
	}
	return i, j.err
}

func refunds(i payment.Invoice) map[string]refundRow {
	all := make(map[string]refundRow, len(i.Refunds))
	for coin, address := range i.Refunds {
		all[string(coin)] = refundRow(address)
	}
	return all
}

func quote(r row.Quote) (payment.Quote, error) {
	value, ok := new(big.Rat).SetString(r.Rate)
	if !ok {
		return payment.Quote{}, fmt.Errorf("quote %s has the rate %q", r.ID, r.Rate)
	}
	coin := money.Currency(r.Coin)
	rate, err := money.NewRate(coin, money.Currency(r.PriceCurrency), value)
	if err != nil {
		return payment.Quote{}, err
	}
	due, err := amount(coin, r.Due)
	if err != nil {
		return payment.Quote{}, err
	}
	var j jsons
	var votes []voteRow
	j.read(r.Votes, &votes)
	q := payment.Quote{
		ID: payment.ID(r.ID), InvoiceID: payment.ID(r.InvoiceID), Coin: coin, Network: money.Network(r.Network),
		Address: r.Address, Rate: rate, Due: due, Window: span(r.WindowMs), Exchange: r.Exchange,
		CreatedAt: at(r.CreatedAt), Deadline: at(r.Deadline),
	}
	for _, v := range votes {
		q.Votes = append(q.Votes, payment.Vote{Source: v.Source, Value: v.Value, At: at(v.AtMS), Counted: v.Counted, Reason: v.Reason})
	}
	return q, j.err
}
