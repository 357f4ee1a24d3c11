package engine

import (
	"context"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A Bell ends a loop's pause early. Rings that come before the loop hears are one. Rung for nothing it does no harm, and a
// ring that is missed only costs the rest of the pause, so nothing depends on it: other processes have none. A nil Bell
// is never heard.
type Bell chan struct{}

// NewBell makes a Bell.
func NewBell() Bell { return make(Bell, 1) }

// Ring never waits.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// Waking is a Store that tells this process's own loops of what they wait for, once it is on disk.
type Waking struct {
	Store
	Callbacks Bell                     // rung after a commit with a callback in it
	Events    func(invoice payment.ID) // told of each event that was committed; nil: nobody asks
}

// Update is the Store's.
func (s Waking) Update(ctx context.Context, fn func(tx Tx) error) error {
	var last *noticing
	err := s.Store.Update(ctx, func(tx Tx) error {
		last = &noticing{Tx: tx}
		return fn(last)
	})
	if err != nil || last == nil {
		return err
	}
	if last.callback {
		s.Callbacks.Ring()
	}
	for _, id := range last.events {
		if s.Events != nil {
			s.Events(id)
		}
	}
	return nil
}

// noticing is one try of a transaction, and what it wrote that somebody waits for.
type noticing struct {
	Tx
	callback bool
	events   []payment.ID
}

func (n *noticing) AddCallback(c payment.Callback) (int64, error) {
	n.callback = true
	return n.Tx.AddCallback(c)
}

func (n *noticing) AddEvent(e payment.Event) error {
	n.events = append(n.events, e.InvoiceID)
	return n.Tx.AddEvent(e)
}
