package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// ReportTx is what lists and searches of merchants read. Every list is the newest first: ids grow with time.
type ReportTx interface {
	// MerchantApplications are a merchant's after an id in id order.
	MerchantApplications(merchant, after payment.ID, limit int) ([]payment.Application, error)
	InvoicePage(q InvoiceQuery) ([]InvoiceLine, error)
	// InvoiceLine is payment.ErrAbsent for another merchant's invoice.
	InvoiceLine(merchant, id payment.ID) (InvoiceLine, error)
	// InvoiceCounts counts by status what a query finds, its own status apart, up to limit invoices.
	InvoiceCounts(q InvoiceQuery, limit int) (map[payment.Status]int, error)
	// OrderInvoices are those of an order, TxIDInvoices those that a transaction pays or pays back.
	OrderInvoices(merchant payment.ID, order string, limit int) ([]payment.ID, error)
	TxIDInvoices(merchant payment.ID, txid string, limit int) ([]payment.ID, error)
	CallbackPage(q CallbackQuery) ([]CallbackLine, error)
	// CountCallbacks counts an application's in a state, up to limit.
	CountCallbacks(application payment.ID, state payment.CallbackState, limit int) (int, error)
	// MovedDeposits and MovedPayouts are what came in and what went out for good, before an id and from one on.
	MovedDeposits(merchant payment.ID, s Span, limit int) ([]Move, error)
	MovedPayouts(merchant payment.ID, s Span, limit int) ([]Move, error)
}

// A Span is a stretch of ids: from Since on, before Before. An empty Before is the end.
type Span struct{ Since, Before payment.ID }

// InvoiceQuery says which of a merchant's invoices to list; empty fields match all.
type InvoiceQuery struct {
	Merchant    payment.ID
	Application payment.ID
	Status      payment.Status
	Marks       payment.Marks // any of these
	Coin        money.Currency
	Span
	Limit int
}

// An InvoiceLine is an invoice as lists show it.
type InvoiceLine struct {
	ID, ApplicationID  payment.ID
	OrderID, OrderName string
	Price              money.Amount
	Status             payment.Status
	Deposit            payment.DepositStatus
	Marks              payment.Marks
	CreatedAt, PaidAt  time.Time
	// Coin, Rate, Due and Confirmed are those of the quote that the invoice speaks of; zero where no coin was chosen.
	Coin           money.Currency
	Rate           money.Rate
	Due, Confirmed money.Amount
	Callback       payment.CallbackState // of the newest callback; "" for none
}

// CallbackQuery says which callbacks of an application to list: those in a state with at least Least and at most Utmost tries.
type CallbackQuery struct {
	Application   payment.ID
	State         payment.CallbackState
	Least, Utmost int
	Span
	Limit int
}

// A CallbackLine is a callback with its last try, whose N is 0 where there was none.
type CallbackLine struct {
	payment.Callback
	OrderID string
	Last    payment.Attempt
}

// A Move is coins that came in or went out for good: of Deposit and Payout, one has an id. Rate is the last one at which the
// invoice offered the coin, with the votes behind it; zero for coins that are no invoice's.
type Move struct {
	Deposit payment.Deposit
	Payout  payment.Payout
	OrderID string
	Rate    money.Rate
	Votes   []payment.Vote
	RatedAt time.Time
}

// ID is the deposit's or the payout's.
func (m Move) ID() payment.ID {
	if m.Deposit.ID != "" {
		return m.Deposit.ID
	}
	return m.Payout.ID
}

// IDAt is the lowest id of a moment: ids begin with the milliseconds since 1970.
func IDAt(t time.Time) payment.ID {
	if t.IsZero() || t.UnixMilli() < 0 {
		return ""
	}
	return payment.ID(fmt.Sprintf("%012X", t.UnixMilli()))
}

// MerchantApplications are all of a merchant's, up to MaxApplications.
func (d *Desk) MerchantApplications(ctx context.Context, merchant payment.ID) (all []payment.Application, err error) {
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.MerchantApplications(merchant, "", MaxApplications)
		return err
	})
	return all, err
}

// InvoicePage lists invoices, the newest first.
func (d *Desk) InvoicePage(ctx context.Context, q InvoiceQuery) (all []InvoiceLine, err error) {
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.InvoicePage(q)
		return err
	})
	return all, err
}

// InvoiceCounts counts by status what a query finds, its own status and limit apart, up to MaxCounted invoices.
func (d *Desk) InvoiceCounts(ctx context.Context, q InvoiceQuery) (counts map[payment.Status]int, err error) {
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		counts, err = tx.InvoiceCounts(q, MaxCounted)
		return err
	})
	return counts, err
}

// FindInvoices finds a merchant's invoices by an invoice's id, an order's, a transaction's or an address, exactly; at most limit,
// the newest first.
func (d *Desk) FindInvoices(ctx context.Context, merchant payment.ID, text string, limit int) (all []InvoiceLine, err error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > MaxSearch || !printableText(text) {
		return nil, nil //nolint:nilnil // nothing is found by what nothing has
	}
	err = d.Store.View(ctx, func(tx Tx) error {
		all = nil
		ids, err := d.found(tx, merchant, text, limit)
		if err != nil {
			return err
		}
		slices.Sort(ids)
		ids = slices.Compact(ids)
		slices.Reverse(ids)
		for _, id := range ids[:min(len(ids), limit)] {
			line, err := tx.InvoiceLine(merchant, id)
			if errors.Is(err, payment.ErrAbsent) {
				continue // another merchant's
			}
			if err != nil {
				return err
			}
			all = append(all, line)
		}
		return nil
	})
	return all, err
}

func printableText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd })
}

// found are ids of invoices that a text may speak of, not all of them this merchant's.
func (d *Desk) found(tx Tx, merchant payment.ID, text string, limit int) ([]payment.ID, error) {
	ids, err := tx.OrderInvoices(merchant, text, limit)
	if err != nil {
		return nil, err
	}
	if id, ok := payment.ParseID(strings.ToUpper(text)); ok {
		ids = append(ids, id)
	}
	paid, err := tx.TxIDInvoices(merchant, strings.ToLower(text), limit)
	if err != nil {
		return nil, err
	}
	ids = append(ids, paid...)
	for _, n := range d.Nets {
		address, err := n.ParseAddress(text)
		if err != nil {
			continue // no address there
		}
		a, err := tx.Address(n.Network, address)
		if errors.Is(err, payment.ErrAbsent) || err == nil && a.InvoiceID == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, a.InvoiceID)
	}
	return ids, nil
}

// A CallbackPile is the callbacks of a merchant that stand alike.
type CallbackPile string

// The piles of callbacks. Due: not tried yet. Failing: tried in vain and tried again later.
const (
	CallbacksDue       CallbackPile = "due"
	CallbacksFailing   CallbackPile = "failing"
	CallbacksParked    CallbackPile = "parked"
	CallbacksDelivered CallbackPile = "delivered"
)

// CallbackPiles are all piles.
func CallbackPiles() []CallbackPile {
	return []CallbackPile{CallbacksFailing, CallbacksParked, CallbacksDue, CallbacksDelivered}
}

// query is the pile as the store knows it.
func (p CallbackPile) query() CallbackQuery {
	q := CallbackQuery{Utmost: MaxTries}
	switch p {
	case CallbacksDue:
		q.State, q.Utmost = payment.CallbackOpen, 0
	case CallbacksFailing:
		q.State, q.Least = payment.CallbackOpen, 1
	case CallbacksParked:
		q.State = payment.CallbackParked
	case CallbacksDelivered:
		q.State = payment.CallbackDelivered
	}
	return q
}

// A Pile says which callbacks of a merchant's are meant: those of one application, where one is given, within a span.
type Pile struct {
	Application payment.ID // "" for all
	Kind        CallbackPile
	Span        Span
}

// MerchantCallbacks are those of a merchant's pile, at most limit, the newest first.
func (d *Desk) MerchantCallbacks(ctx context.Context, merchant payment.ID, p Pile, limit int) (all []CallbackLine, err error) {
	q := p.Kind.query()
	q.Span, q.Limit = p.Span, limit
	err = d.Store.View(ctx, func(tx Tx) error {
		all = nil
		apps, err := tx.MerchantApplications(merchant, "", MaxApplications)
		if err != nil {
			return err
		}
		for _, a := range apps {
			if p.Application != "" && a.ID != p.Application {
				continue
			}
			q.Application = a.ID
			page, err := tx.CallbackPage(q)
			if err != nil {
				return err
			}
			all = append(all, page...)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b CallbackLine) int { return strings.Compare(string(b.ID), string(a.ID)) })
	return all[:min(len(all), limit)], err
}

// Stuck counts a merchant's callbacks that were given up, each application's up to PageRows.
func (d *Desk) Stuck(ctx context.Context, merchant payment.ID) (n int, err error) {
	err = d.Store.View(ctx, func(tx Tx) error {
		n = 0
		apps, err := tx.MerchantApplications(merchant, "", MaxApplications)
		if err != nil {
			return err
		}
		for _, a := range apps {
			parked, err := tx.CountCallbacks(a.ID, payment.CallbackParked, PageRows)
			if err != nil {
				return err
			}
			n += parked
		}
		return nil
	})
	return n, err
}

// Moves are what came in and went out of a merchant for good, the newest first: limit of each read, and shown as far as both reach.
// more tells that there is more before the last.
func (d *Desk) Moves(ctx context.Context, merchant payment.ID, s Span, limit int) (all []Move, more bool, err error) {
	var reach payment.ID
	err = d.Store.View(ctx, func(tx Tx) error {
		in, err := tx.MovedDeposits(merchant, s, limit)
		if err != nil {
			return err
		}
		out, err := tx.MovedPayouts(merchant, s, limit)
		reach = ""
		for _, read := range [][]Move{in, out} {
			if len(read) == limit {
				reach = max(reach, read[limit-1].ID())
			}
		}
		all = append(in, out...)
		return err
	})
	slices.SortFunc(all, func(a, b Move) int { return strings.Compare(string(b.ID()), string(a.ID())) })
	all = slices.DeleteFunc(all, func(m Move) bool { return m.ID() < reach })
	return all, reach != "", err
}
