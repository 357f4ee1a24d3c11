package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A Tail follows the event log and wakes open pages: one for the whole process. Its mutex owns all fields below it.
type Tail struct {
	Store Store

	mu     sync.Mutex
	subs   map[payment.ID]map[chan struct{}]struct{}
	count  int
	told   map[payment.ID]time.Time // events told, as far back as EventOverlap
	behind time.Time                // up to where the log was read
}

// ErrFull: too many pages are open in this process.
var ErrFull = errors.New("engine: too many open pages")

// Subscribe gives a channel that gets a value soon after each event of the invoice; several events may be one value.
// cancel must be called in the end.
func (t *Tail) Subscribe(invoice payment.ID) (wake <-chan struct{}, cancel func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count >= Subscribers {
		return nil, nil, ErrFull
	}
	if t.subs == nil {
		t.subs = map[payment.ID]map[chan struct{}]struct{}{}
	}
	if t.subs[invoice] == nil {
		t.subs[invoice] = map[chan struct{}]struct{}{}
	}
	c := make(chan struct{}, 1)
	t.subs[invoice][c] = struct{}{}
	t.count++
	return c, sync.OnceFunc(func() { t.leave(invoice, c) }), nil
}

func (t *Tail) leave(invoice payment.ID, c chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.subs[invoice], c)
	if len(t.subs[invoice]) == 0 {
		delete(t.subs, invoice)
	}
	t.count--
}

// Wake wakes the pages of an invoice at once: for events of this process, which need not wait for Step. Step finds those
// of other processes.
func (t *Tail) Wake(invoice payment.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.subs[invoice] {
		select {
		case c <- struct{}{}:
		default: // a value waits there already
		}
	}
}

// Step reads the events since the last step and wakes the pages they concern. It reads nothing while no page is open. It
// looks back by EventOverlap, for rows that commit late.
func (t *Tail) Step(ctx context.Context) error {
	t.mu.Lock()
	open, since := t.count, t.behind
	t.mu.Unlock()
	var events []Happened
	var now time.Time
	err := t.Store.View(ctx, func(tx Tx) error {
		now = tx.Now()
		if open == 0 {
			return nil
		}
		if since.IsZero() || now.Sub(since) > EventOverlap {
			since = now.Add(-EventOverlap)
		}
		after := payment.ID("")
		for {
			page, err := tx.EventsSince(since, after, TailBatch)
			if err != nil {
				return err
			}
			events = append(events, page...)
			if len(page) < TailBatch {
				return nil
			}
			since, after = page[len(page)-1].At, page[len(page)-1].ID
		}
	})
	if err != nil {
		return fmt.Errorf("read event log: %w", err)
	}
	t.wake(events, now)
	return nil
}

func (t *Tail) wake(events []Happened, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told == nil {
		t.told = map[payment.ID]time.Time{}
	}
	t.behind = now.Add(-EventOverlap / 2)
	for id, at := range t.told {
		if now.Sub(at) > 2*EventOverlap {
			delete(t.told, id)
		}
	}
	for _, e := range events {
		if _, ok := t.told[e.ID]; ok {
			continue
		}
		t.told[e.ID] = e.At
		for c := range t.subs[e.InvoiceID] {
			select {
			case c <- struct{}{}:
			default: // a value waits there already
			}
		}
	}
}
