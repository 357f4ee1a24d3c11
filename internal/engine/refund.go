package engine

import (
	"bytes"
	"context"
	"errors"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// AskRefund is what a shop sends to have a paid invoice refunded. Absent texts are "".
type AskRefund struct {
	Application    payment.Application
	Key            payment.Key // that asks; the zero Key for a person who may
	Invoice        payment.ID
	CallbackURL    string // told how the refund goes; "" tells nobody
	IdempotencyKey string
	By             By // the person who asks, written into the audit log; zero for a key
}

// digest is the same for the same parameters and for no others, nor for those of another call.
func (a AskRefund) digest() []byte { return digest("invoice/refund", string(a.Invoice), a.CallbackURL) }

// AskRefund asks for a refund of all that came for a paid invoice. The payout waits; the payer of its network opens it. However
// often and at however many places at once it is asked, there is one refund of an invoice that is not failed. With an idempotency
// key that was used before, it answers the refund asked for then. Errors: malformed, not-allowed, url-not-registered, no-such-invoice,
// reversed, idempotency-key-reused, and wrong-state, which answers the refund that stands in the way, if there is one.
func (d *Desk) AskRefund(ctx context.Context, a AskRefund) (payment.Payout, payment.Facts, error) {
	var p payment.Payout
	var f payment.Facts
	if a.Key.NoRefund {
		return p, f, payment.Refuse(payment.Forbidden, payment.WordScope, "this api key may not ask for refunds: use one that may")
	}
	if err := printable("Idempotency-Key", a.IdempotencyKey+"-", payment.MaxKey+1); err != nil {
		return p, f, err
	}
	url := ""
	if a.CallbackURL != "" {
		var err error
		if url, err = d.shopURL(a.Application, "callback_url", a.CallbackURL); err != nil {
			return p, f, err
		}
	}
	err := d.Store.Update(ctx, func(tx Tx) (err error) {
		p = payment.Payout{}
		if f, err = ownFacts(tx, a.Application.ID, a.Invoice); err != nil {
			return err
		}
		if made, err := a.before(tx); err == nil {
			p, err = tx.Payout(made)
			return err
		} else if !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		if p, err = refundable(f); err != nil {
			return err
		}
		p.CallbackURL = url
		if p, err = addRefund(tx, f, p); err != nil {
			return err
		}
		f.Payouts = append(f.Payouts, p)
		if err := a.record(tx, p); err != nil {
			return err
		}
		if a.IdempotencyKey == "" {
			return nil
		}
		return tx.AddIdempotency(Idempotency{a.Application.ID, a.IdempotencyKey, a.digest(), p.ID, tx.Now()})
	})
	return p, f, err
}

// record writes down which person asked.
func (a AskRefund) record(tx Tx, p payment.Payout) error {
	if a.By.User.ID == "" {
		return nil
	}
	return Record(tx, a.By, p.MerchantID, Act{Action: "refund.ask", Subject: string(p.InvoiceID), Data: map[string]any{"refund": p.ID}})
}

// before is what the call's idempotency key made when it was used first; payment.ErrAbsent: it was not.
func (a AskRefund) before(tx Tx) (payment.ID, error) {
	if a.IdempotencyKey == "" {
		return "", payment.ErrAbsent
	}
	made, err := tx.Idempotency(a.Application.ID, a.IdempotencyKey)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(made.Digest, a.digest()) {
		e := payment.Refuse(payment.Conflict, payment.WordIdempotency,
			"this Idempotency-Key was used with other parameters: use a new key for another call")
		e.Field = "Idempotency-Key"
		return "", e
	}
	return made.Made, nil
}

// refundable is the refund that may be asked for now, without id and times, or the refund that stands in the way with a refusal
// that says so.
func refundable(f payment.Facts) (payment.Payout, error) {
	if asked, was := f.Asked(); was && asked.State != payment.PayoutFailed {
		return asked, closed("a refund of this invoice was asked for before: data tells which")
	}
	switch f.Invoice.Told.Status {
	case payment.Paid:
	case payment.Waiting:
		return payment.Payout{}, closed("this invoice is not paid yet: only a paid invoice can be refunded")
	case payment.Expired:
		return payment.Payout{}, closed("this invoice expired: what came for it goes back to the payer by itself")
	case payment.Refunded:
		return payment.Payout{}, closed("this invoice is refunded")
	}
	if f.Invoice.Told.Marks.Has(payment.MarkReversed) {
		return payment.Payout{}, payment.Refuse(payment.Conflict, payment.WordReversed,
			"the network took back the deposit of this paid invoice, and its money is frozen")
	}
	for _, q := range f.Quotes {
		if q.ID == f.Invoice.Told.QuoteID {
			return payment.Payout{Kind: payment.RefundAsked, Network: q.Network, To: f.Invoice.RefundAddress(q.Coin)}, nil
		}
	}
	return payment.Payout{}, errors.New("engine: a paid invoice has no quote")
}

// addRefund completes and stores a refund and wakes the invoice's page. Only its opening can tell the amount: what is there to
// give back may change until then.
func addRefund(tx Tx, f payment.Facts, p payment.Payout) (payment.Payout, error) {
	nothing := money.Zero(p.Network.Coin())
	p.ID, p.MerchantID, p.ApplicationID, p.InvoiceID = tx.NewID(), f.Invoice.MerchantID, f.Invoice.ApplicationID, f.Invoice.ID
	p.Amount, p.Wasted, p.Fee, p.Net = nothing, nothing, nothing, nothing
	p.State, p.Attempt = payment.PayoutWaiting, 1
	p.CreatedAt, p.UpdatedAt, p.DueAt = tx.Now(), tx.Now(), tx.Now()
	if err := tx.AddPayout(p); err != nil {
		return p, err
	}
	return p, tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: p.InvoiceID, Kind: payment.EventPayout, At: tx.Now(),
		Data: map[string]string{"payout": string(p.ID), "kind": string(p.Kind), "state": string(p.State)}})
}
