package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// AttentionTx finds what waits for a person.
type AttentionTx interface {
	MarkedInvoices(q MarkedQuery) ([]MarkedInvoice, error)
	// FailedRefunds are refunds that shops asked for, whose last try failed, and that nobody dealt with since; the newest first.
	FailedRefunds(merchant payment.ID, limit int) ([]payment.Payout, error)
	// AddWrongCoin tells whether it was not noted before.
	AddWrongCoin(w WrongCoin) (added bool, err error)
	// WrongCoins are a merchant's that nobody dealt with since, the newest first; InvoiceWrongCoins an invoice's, the oldest first.
	WrongCoins(merchant payment.ID, limit int) ([]WrongCoin, error)
	InvoiceWrongCoins(invoice payment.ID, limit int) ([]WrongCoin, error)
	// SaveHandled notes that somebody dealt with an invoice; Handled tells until when.
	SaveHandled(invoice payment.ID, until time.Time) error
	Handled(invoice payment.ID) (time.Time, error)
}

// A MarkedQuery asks for a merchant's invoices with any of Marks, or expired with any of Expired, that nobody dealt with since they
// last changed; the newest first.
type MarkedQuery struct {
	Merchant       payment.ID
	Marks, Expired payment.Marks
	Limit          int
}

// A MarkedInvoice is one that needs somebody.
type MarkedInvoice struct {
	ID     payment.ID
	Status payment.Status
	Marks  payment.Marks
}

// A WrongCoin is a transaction that sent an invoice's address something that is no coin here, as a payer told and a node confirmed.
type WrongCoin struct {
	InvoiceID, MerchantID payment.ID
	Network               money.Network
	TxID                  string
	SeenAt                time.Time
}

// A Need is a kind of thing that waits for a person (experience 4.3).
type Need string

// The needs of a merchant.
const (
	NeedPartial    Need = "partial"    // an invoice expired with a part paid, which is not back with the payer yet
	NeedLate       Need = "late"       // coins came late, and are not back yet
	NeedReversed   Need = "reversed"   // the chain took back what paid an invoice
	NeedWrong      Need = "wrong"      // somebody sent a token
	NeedParked     Need = "parked"     // callbacks were given up
	NeedFailed     Need = "failed"     // a refund that the shop asked for failed
	NeedFloat      Need = "float"      // the same, because the wallet holds too little
	NeedExcess     Need = "excess"     // what was too much waits for the payer's address
	NeedAddress    Need = "address"    // another refund waits for it
	NeedRefund     Need = "refund"     // a refund waits for something else
	NeedSettlement Need = "settlement" // a settlement does not go on
	NeedPayout     Need = "payout"     // a withdrawal does not go on
	NeedLetters    Need = "letters"    // invitations were not delivered
)

// An Attention is how many things of a kind wait, at most MaxStory. Hold is why payouts wait; Invoice is the one that it is about, "" for
// several or none.
type Attention struct {
	Need    Need
	Hold    payment.Hold
	N       int
	Invoice payment.ID
}

// Slow tells whether these are payouts that wait for nothing but a block, and for too long.
func (a Attention) Slow() bool {
	return a.Hold == "" && (a.Need == NeedRefund || a.Need == NeedSettlement || a.Need == NeedPayout)
}

// Attention finds all that waits for a person of a merchant's team. What is resolved, or was dealt with, is not found any more.
func (d *Desk) Attention(ctx context.Context, merchant payment.ID) ([]Attention, error) {
	var pile attentions
	err := d.Store.View(ctx, func(tx Tx) error {
		pile = nil
		marked, err := tx.MarkedInvoices(MarkedQuery{merchant, payment.MarkReversed, payment.MarkShort | payment.MarkLate, MaxStory})
		if err != nil {
			return err
		}
		for _, i := range marked {
			pile.add(needOf(i), "", i.ID)
		}
		wrong, err := tx.WrongCoins(merchant, MaxStory)
		if err != nil {
			return err
		}
		for _, w := range wrong {
			pile.add(NeedWrong, "", w.InvoiceID)
		}
		failed, err := tx.FailedRefunds(merchant, MaxStory)
		if err != nil {
			return err
		}
		for _, p := range failed {
			pile.add(needOfFailed(p), "", p.InvoiceID)
		}
		owed, err := tx.OwedPayouts(merchant, MaxStory)
		if err != nil {
			return err
		}
		for _, p := range owed {
			if need := needOfPayout(p, tx.Now()); need != "" {
				pile.add(need, p.Held, p.InvoiceID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	parked, err := d.Stuck(ctx, merchant)
	if err == nil && parked > 0 {
		pile = slices.Insert(pile, 0, Attention{Need: NeedParked, N: parked})
	}
	return pile, err
}

type attentions []Attention

func (all *attentions) add(need Need, hold payment.Hold, invoice payment.ID) {
	at := slices.IndexFunc(*all, func(a Attention) bool { return a.Need == need && a.Hold == hold })
	if at < 0 {
		*all = append(*all, Attention{Need: need, Hold: hold, Invoice: invoice})
		at = len(*all) - 1
	}
	one := &(*all)[at]
	if one.N++; one.Invoice != invoice {
		one.Invoice = ""
	}
}

func needOf(i MarkedInvoice) Need {
	switch {
	case i.Marks.Has(payment.MarkReversed):
		return NeedReversed
	case i.Marks.Has(payment.MarkLate):
		return NeedLate
	}
	return NeedPartial
}

// floatReason begins the reason of a refund that failed because the wallet holds too little.
const floatReason = "the deposit was settled already, and the PIPE wallet holds "

func needOfFailed(p payment.Payout) Need {
	if strings.HasPrefix(p.FailReason, floatReason) {
		return NeedFloat
	}
	return NeedFailed
}

// needOfPayout is what a payout needs of a person; "" where time and the chain end the waiting by themselves, as long as that does not
// take StuckAfter.
func needOfPayout(p payment.Payout, now time.Time) Need {
	switch p.Held {
	case payment.HoldAddress:
		if p.Kind == payment.RefundExcess {
			return NeedExcess
		}
		return NeedAddress
	case payment.HoldApproval, payment.HoldRefused, payment.HoldHalted, payment.HoldNode, payment.HoldSigner, payment.HoldCeiling, payment.HoldReversed,
		payment.HoldFee:
	case payment.HoldNone, payment.HoldDepth, payment.HoldTime, payment.HoldThreshold, payment.HoldDelay, payment.HoldGather, payment.HoldBusy:
		if p.State != payment.PayoutPaying || p.SentAt.IsZero() || now.Sub(p.SentAt) < StuckAfter {
			return ""
		}
	}
	switch {
	case p.Kind.IsRefund():
		return NeedRefund
	case p.Kind == payment.Settlement:
		return NeedSettlement
	}
	return NeedPayout
}

// Needs are what one invoice needs of a person, in the order of Attention.
func needs(tx Tx, f payment.Facts, wrong []WrongCoin) (all []Need, err error) {
	until, err := tx.Handled(f.Invoice.ID)
	if err != nil && !errors.Is(err, payment.ErrAbsent) {
		return nil, err
	}
	told := f.Invoice.Told
	fresh := until.Before(f.Invoice.UpdatedAt)
	if fresh && (told.Marks.Has(payment.MarkReversed) || told.Status == payment.Expired && (told.Marks.Has(payment.MarkShort) || told.Marks.Has(payment.MarkLate))) {
		all = append(all, needOf(MarkedInvoice{Status: told.Status, Marks: told.Marks}))
	}
	if slices.ContainsFunc(wrong, func(w WrongCoin) bool { return until.Before(w.SeenAt) }) {
		all = append(all, NeedWrong)
	}
	if asked, was := f.Asked(); was && asked.State == payment.PayoutFailed && until.Before(asked.DoneAt) {
		all = append(all, needOfFailed(asked))
	}
	return all, nil
}

// Handle notes that somebody dealt with what an invoice needs until now: it needs nobody before something new happens. Errors:
// no-such-invoice, role, wrong-state where it needs nobody.
func (d *Desk) Handle(ctx context.Context, by By, invoice payment.ID) error {
	return d.Store.Update(ctx, func(tx Tx) error {
		by, err := acting(tx, by)
		if err != nil {
			return err
		}
		f, err := merchantFacts(tx, by.Merchant.ID, invoice)
		if err != nil {
			return err
		}
		if !by.May(payment.MayNote) {
			return payment.Refuse(payment.Forbidden, WordRole, "your role does not allow this")
		}
		wrong, err := tx.InvoiceWrongCoins(invoice, MaxStory)
		if err != nil {
			return err
		}
		all, err := needs(tx, f, wrong)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return closed("this payment needs nobody just now")
		}
		if err := tx.SaveHandled(invoice, tx.Now()); err != nil {
			return err
		}
		return Record(tx, by, by.Merchant.ID, Act{Action: "need.handled", Subject: string(invoice), Data: map[string]any{"needs": all}})
	})
}
