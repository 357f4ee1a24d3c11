package store

import (
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddNote stores a note to an invoice.
func (t *tx) AddNote(n payment.Note) error {
	return t.fail("add note", t.q.AddNote(t.ctx, row.AddNoteParams{
		ID: string(n.ID), InvoiceID: string(n.InvoiceID), AuthorID: string(n.AuthorID), Author: n.Author, Text: n.Text, CreatedAt: millis(n.CreatedAt),
	}))
}

// Notes are an invoice's, the oldest first.
func (t *tx) Notes(invoice payment.ID, limit int) ([]payment.Note, error) {
	rows, err := t.q.Notes(t.ctx, row.NotesParams{InvoiceID: string(invoice), Most: atMost(limit)})
	return plainly(rows, note), t.fail("list notes", err)
}

// RemoveNote forgets a note of an invoice.
func (t *tx) RemoveNote(n payment.Note) error {
	rows, err := t.q.RemoveNote(t.ctx, row.RemoveNoteParams{ID: string(n.ID), InvoiceID: string(n.InvoiceID)})
	return t.swapped("remove note", rows, err)
}

func note(r row.Note) payment.Note {
	return payment.Note{
		ID: payment.ID(r.ID), InvoiceID: payment.ID(r.InvoiceID), AuthorID: payment.ID(r.AuthorID), Author: r.Author, Text: r.Text,
		CreatedAt: at(r.CreatedAt),
	}
}
