package engine

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pipe-pg/pipe/internal/payment"
)

// NoteTx keeps what teams write to invoices.
type NoteTx interface {
	AddNote(n payment.Note) error
	// Notes are an invoice's, the oldest first.
	Notes(invoice payment.ID, limit int) ([]payment.Note, error)
	// RemoveNote forgets one; payment.ErrConflict where there is none any more.
	RemoveNote(n payment.Note) error
}

// AddNote writes a note to an invoice of the person's merchant. Only the team sees it, in the invoice's story. Errors: malformed,
// too-many, no-such-invoice.
func (d *Desk) AddNote(ctx context.Context, by By, invoice payment.ID, text string) error {
	text = strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text))
	if err := noteText(text); err != nil {
		return err
	}
	return d.Store.Update(ctx, func(tx Tx) error {
		by, err := acting(tx, by)
		if err != nil {
			return err
		}
		if _, err := merchantFacts(tx, by.Merchant.ID, invoice); err != nil {
			return err
		}
		if !by.May(payment.MayNote) {
			return payment.Refuse(payment.Forbidden, WordRole, "your role does not allow this")
		}
		all, err := tx.Notes(invoice, MaxNotes)
		if err != nil {
			return err
		}
		if len(all) >= MaxNotes {
			e := payment.Refuse(payment.Limit, payment.WordTooMany, "at most %d notes to one payment", MaxNotes)
			e.Field = "note"
			return e
		}
		n := payment.Note{ID: tx.NewID(), InvoiceID: invoice, AuthorID: by.User.ID, Author: by.User.Email, Text: text, CreatedAt: tx.Now()}
		if err := tx.AddNote(n); err != nil {
			return err
		}
		// What it says stays out of the audit log, which forgets nothing.
		return Record(tx, by, by.Merchant.ID, Act{Action: ActNote, Subject: string(invoice), Data: map[string]any{"note": n.ID}})
	})
}

// ActNote is what the audit log calls the writing of a note; its data names the note.
const ActNote = "note.add"

func noteText(text string) error {
	switch {
	case text == "":
		return payment.Malformed("note", "is missing")
	case !utf8.ValidString(text):
		return payment.Malformed("note", "is not valid UTF-8")
	case utf8.RuneCountInString(text) > MaxNote:
		return payment.Malformed("note", "has more than %d characters", MaxNote)
	case strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }):
		return payment.Malformed("note", "has characters that cannot be printed")
	}
	return nil
}

// RemoveNote takes a note away: one's own, or anybody's for who looks after the team. That it was there stays in the audit log. Errors:
// role, no-such-invoice, no-such-call for a note that is not there.
func (d *Desk) RemoveNote(ctx context.Context, by By, invoice, id payment.ID) error {
	return d.Store.Update(ctx, func(tx Tx) error {
		by, err := acting(tx, by)
		if err != nil {
			return err
		}
		if _, err := merchantFacts(tx, by.Merchant.ID, invoice); err != nil {
			return err
		}
		all, err := tx.Notes(invoice, MaxNotes)
		if err != nil {
			return err
		}
		for _, n := range all {
			if n.ID != id {
				continue
			}
			if !by.May(payment.MayNote) || n.AuthorID != by.User.ID && !by.May(payment.MayStaff) {
				return payment.Refuse(payment.Forbidden, WordRole, "only who wrote a note, or an admin, takes it away")
			}
			if err := tx.RemoveNote(n); err != nil {
				return err
			}
			return Record(tx, by, by.Merchant.ID, Act{Action: "note.remove", Subject: string(invoice), Data: map[string]any{"note": id, "author": n.Author}})
		}
		return payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is no such note any more")
	})
}
