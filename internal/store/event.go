package store

import (
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddEvent stores a row of the log.
func (t *tx) AddEvent(e payment.Event) error {
	var j jsons
	data := j.text(e.Data)
	if j.err != nil {
		return t.fail("add event", j.err)
	}
	return t.fail("add event", t.q.AddEvent(t.ctx, row.AddEventParams{
		ID: string(e.ID), InvoiceID: string(e.InvoiceID), Kind: string(e.Kind), At: millis(e.At), Data: data,
	}))
}

// Events are an invoice's, oldest first.
func (t *tx) Events(invoice payment.ID, limit int) ([]payment.Event, error) {
	rows, err := t.q.Events(t.ctx, row.EventsParams{InvoiceID: string(invoice), Most: atMost(limit)})
	if err != nil {
		return nil, t.fail("list events", err)
	}
	all, err := each(rows, event)
	return all, t.fail("read events", err)
}

// EventsSince are all after the pair (then, after) in (time, id) order.
func (t *tx) EventsSince(then time.Time, after payment.ID, limit int) ([]engine.Happened, error) {
	rows, err := t.q.EventsSince(t.ctx, row.EventsSinceParams{T: millis(then), ID: string(after), Most: atMost(limit)})
	all := make([]engine.Happened, len(rows))
	for i, r := range rows {
		all[i] = engine.Happened{ID: payment.ID(r.ID), InvoiceID: payment.ID(r.InvoiceID), At: at(r.At)}
	}
	return all, t.fail("list new events", err)
}

func event(r row.Event) (payment.Event, error) {
	e := payment.Event{ID: payment.ID(r.ID), InvoiceID: payment.ID(r.InvoiceID), Kind: payment.EventKind(r.Kind), At: at(r.At)}
	var j jsons
	j.read(r.Data, &e.Data)
	return e, j.err
}
