package engine

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A teller writes what changes must be told.
type teller struct {
	nets   map[money.Currency]Net
	render Renderer
}

func (d *Desk) teller() teller { return teller{d.Nets, d.Render} }

// reassess computes an invoice anew from its facts and saves what changed: status, event, callback and the payouts that it now
// owes, in this one transaction. It is the only place that saves a status. A crash before the commit leaves everything as it
// was, and the stirred row makes the next step do it again.
func reassess(tx Tx, t teller, id payment.ID) error {
	f, a, is, err := assess(tx, t, id)
	if err != nil {
		return err
	}
	if err := t.claim(tx, f, a); err != nil {
		return err
	}
	was := f.Invoice.Told
	if was == is {
		return nil
	}
	if err := payment.InvoiceEdges.Check(was.Status, is.Status); err != nil {
		return fmt.Errorf("invoice %s: %w", id, err)
	}
	f.Invoice.Told, f.Invoice.UpdatedAt = is, tx.Now()
	if err := tx.SwapInvoice(f.Invoice); err != nil {
		return err
	}
	return t.announce(tx, f, was)
}

// assess computes what is to be told of an invoice. It changes nothing.
func assess(tx Tx, t teller, id payment.ID) (f payment.Facts, a payment.Assessment, is payment.Told, err error) {
	if f, err = tx.Facts(id); err != nil {
		return f, a, is, err
	}
	sight, err := t.sight(tx, f)
	if err != nil {
		return f, a, is, err
	}
	a = payment.Assess(f, sight)
	return f, a, a.Told(f.Invoice.Told, tx.Now()), nil
}

// claim writes the payouts that an invoice owes by now and that are not written yet: what goes back to the payer by itself,
// and what is the shop's. They wait until the payer of their network finds everything there that they need.
func (t teller) claim(tx Tx, f payment.Facts, a payment.Assessment) error {
	inv := f.Invoice
	owe := func(kind payment.PayoutKind, amount money.Amount, to string) error {
		coin := amount.Currency()
		for _, p := range f.Payouts {
			same := p.Kind == kind || kind.IsAutomatic() && p.Kind.IsAutomatic()
			if same && p.Network.Coin() == coin && p.Live() {
				return nil // its amount is what is owed when it opens
			}
		}
		return tx.AddPayout(payment.Payout{
			ID: tx.NewID(), Kind: kind, MerchantID: inv.MerchantID, ApplicationID: inv.ApplicationID, InvoiceID: inv.ID,
			Network: f.Network(coin), To: to, Amount: amount, Wasted: money.Zero(coin), Fee: money.Zero(coin), State: payment.PayoutWaiting,
			Attempt: 1, CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now(),
		})
	}
	for _, back := range a.GiveBack {
		if err := owe(a.RefundKind(), back, inv.RefundAddress(back.Currency())); err != nil {
			return err
		}
	}
	for _, rest := range a.Unsettled(f) {
		if err := owe(payment.Settlement, rest, ""); err != nil {
			return err
		}
	}
	return nil
}

// sight is the moment up to which the invoice's networks have been seen completely, and never after the clock. Without a
// quote no chain matters; then one network that has been seen by then is enough to believe the clock, so that a clock that
// ran ahead expires nothing.
func (t teller) sight(tx Tx, f payment.Facts) (time.Time, error) {
	sight := tx.Now()
	for _, q := range f.Quotes {
		s, err := tx.NetworkState(q.Network)
		if err != nil {
			return sight, fmt.Errorf("sight of %s: %w", q.Network, err)
		}
		if s.Sight.Before(sight) {
			sight = s.Sight
		}
	}
	if len(f.Quotes) > 0 {
		return sight, nil
	}
	var latest time.Time
	for _, n := range t.nets {
		s, err := networkState(tx, n.Network)
		if err != nil {
			return sight, fmt.Errorf("sight of %s: %w", n.Network, err)
		}
		if s.Sight.After(latest) {
			latest = s.Sight
		}
	}
	if latest.Before(sight) {
		sight = latest
	}
	return sight, nil
}

// announce writes the event and the callback that a change owes.
func (t teller) announce(tx Tx, f payment.Facts, was payment.Told) error {
	is := f.Invoice.Told
	err := tx.AddEvent(payment.Event{
		ID: tx.NewID(), InvoiceID: f.Invoice.ID, Kind: kindOf(was, is), At: tx.Now(),
		Data: map[string]string{
			"status": strconv.Itoa(int(is.Status)), "deposit_status": strconv.Itoa(int(is.Deposit)),
			"seen": is.Seen, "confirmed": is.Confirmed, "marks": strconv.Itoa(int(is.Marks)),
		},
	})
	if err != nil {
		return err
	}
	app, err := tx.Application(f.Invoice.ApplicationID)
	if err != nil {
		return err
	}
	for _, n := range owed(was, is, app.Callback) {
		if err := t.owe(tx, f, app, n); err != nil {
			return err
		}
	}
	return nil
}

// kindOf names a change for the log: the weightiest of what happened.
func kindOf(was, is payment.Told) payment.EventKind {
	switch {
	case was.Status != is.Status && is.Status == payment.Paid:
		return payment.EventPaid
	case was.Status != is.Status && is.Status == payment.Expired:
		return payment.EventExpired
	case was.Status != is.Status && is.Status == payment.Refunded:
		return payment.EventRefunded
	case !was.Marks.Has(payment.MarkReversed) && is.Marks.Has(payment.MarkReversed):
		return payment.EventReversed
	case was.Marks.Has(payment.MarkReversed) && !is.Marks.Has(payment.MarkReversed):
		return payment.EventRestored
	case was.Seen != is.Seen || was.Confirmed != is.Confirmed || was.Deposit != is.Deposit:
		return payment.EventDeposit
	}
	return payment.EventChanged
}

// A notice is one callback that a change owes.
type notice struct {
	code    int
	message string
}

// CodeReversed is the code of the callback that tells a reversal (contract).
const CodeReversed = 4092

// owed lists the callbacks of a change: paid always, the others where the application switched them on.
func owed(was, is payment.Told, on payment.CallbackSettings) []notice {
	success := notice{1, "success"}
	var all []notice
	if was.Status != is.Status {
		if is.Status == payment.Paid || is.Status == payment.Expired && on.Expired || is.Status == payment.Refunded && on.Refunded {
			all = append(all, success)
		}
	} else if on.Seen && is.Status == payment.Waiting && was.Deposit == payment.NoDeposit && is.Deposit != payment.NoDeposit {
		all = append(all, success)
	}
	if on.Reversed && is.Marks.Has(payment.MarkReversed) && !was.Marks.Has(payment.MarkReversed) {
		all = append(all, notice{CodeReversed, "reversed: the network took back the deposit of this paid invoice; hold the goods"})
	}
	return all
}

// owe writes the outbox row. Its body is fixed here, so that what is told is the state that was committed with it.
func (t teller) owe(tx Tx, f payment.Facts, app payment.Application, n notice) error {
	contentType, body := t.render(n.code, n.message, payment.Statement(f), app.Callback.Encoding)
	return add(tx, f, payment.Callback{URL: f.Invoice.CallbackURL, Status: int(f.Invoice.Told.Status), Code: n.code, ContentType: contentType, Body: body})
}

// oweRefund writes the outbox row that tells how far a refund is, where the shop asked to be told.
func (t teller) oweRefund(tx Tx, f payment.Facts, p payment.Payout) error {
	if p.CallbackURL == "" {
		return nil
	}
	app, err := tx.Application(p.ApplicationID)
	if err != nil {
		return err
	}
	contentType, body := t.render(1, "success", payment.RefundStatement(f, p), app.Callback.Encoding)
	return add(tx, f, payment.Callback{URL: p.CallbackURL, PayoutID: p.ID, Status: int(p.RefundStatus()), Code: 1, ContentType: contentType, Body: body})
}

// add completes a callback and puts it into the outbox.
func add(tx Tx, f payment.Facts, c payment.Callback) error {
	c.ID, c.InvoiceID, c.ApplicationID, c.Origin = tx.NewID(), f.Invoice.ID, f.Invoice.ApplicationID, originOf(c.URL)
	c.State, c.CreatedAt, c.DueAt = payment.CallbackOpen, tx.Now(), tx.Now()
	_, err := tx.AddCallback(c)
	return err
}
