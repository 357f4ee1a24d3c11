package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

func events(t *testing.T, s *suite) {
	i, j := s.invoice(), s.invoice()
	add := func(id int, i payment.Invoice, at time.Time) payment.Event {
		e := payment.Event{ID: makeID(id), InvoiceID: i.ID, Kind: payment.EventPaid, At: at, Data: map[string]string{"a": "б\"", "b": ""}}
		s.update(func(tx engine.Tx) error { return tx.AddEvent(e) })
		return e
	}
	later := start.Add(time.Millisecond)
	a, b, c, d := add(0xA, i, start), add(3, j, start), add(2, i, later), add(1, i, start)
	list := func(limit int) []payment.Event {
		return get(s, func(tx engine.Tx) ([]payment.Event, error) { return tx.Events(i.ID, limit) })
	}
	same(t, "events", list(9), []payment.Event{a, c, d})
	same(t, "the first event", list(1), []payment.Event{a})
	since := func(t time.Time, after payment.ID, limit int) []engine.Happened {
		return get(s, func(tx engine.Tx) ([]engine.Happened, error) { return tx.EventsSince(t, after, limit) })
	}
	happened := func(events ...payment.Event) []engine.Happened {
		all := []engine.Happened{}
		for _, e := range events {
			all = append(all, engine.Happened{ID: e.ID, InvoiceID: e.InvoiceID, At: e.At})
		}
		return all
	}
	same(t, "all since", since(start, "", 9), happened(d, b, a, c))
	same(t, "two since", since(start, d.ID, 2), happened(b, a))
	same(t, "later", since(later, "", 9), happened(c))
	same(t, "none", since(later, c.ID, 9), happened())
	s.refused("an id twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddEvent(a) })
	none := payment.Event{ID: makeID(77), InvoiceID: i.ID, Kind: payment.EventCancelled, At: later}
	s.update(func(tx engine.Tx) error { return tx.AddEvent(none) })
	same(t, "an event without data", list(9)[3], none)
}

// callbackOf is a callback that is due now.
func (s *suite) callbackOf(i payment.Invoice, id payment.ID, origin string) payment.Callback {
	return payment.Callback{
		ID: id, InvoiceID: i.ID, ApplicationID: i.ApplicationID, URL: origin + "/cb", Origin: origin, Status: int(payment.Paid),
		Code: 1, ContentType: "application/json", Body: []byte("{\"a\":\"\xff\x00\"}"), State: payment.CallbackOpen,
		CreatedAt: s.now, DueAt: s.now,
	}
}

func callbacks(t *testing.T, s *suite) {
	i := s.invoice()
	absent(s, "callback", func(tx engine.Tx) (payment.Callback, error) { return tx.Callback(makeID(1)) })
	absent(s, "oldest due", func(tx engine.Tx) (time.Time, error) { return tx.OldestDue() })
	var all []payment.Callback
	for n := range 3 {
		c := s.callbackOf(i, makeID(9-n), "https://shop.example")
		c.DueAt = start.Add(-time.Duration(n) * time.Minute)
		if n == 1 {
			c.PayoutID, c.Status = makeID(77), int(payment.RefundInProgress)
		}
		s.update(func(tx engine.Tx) (err error) {
			c.Seq, err = tx.AddCallback(c)
			return err
		})
		if c.Seq != int64(n+1) {
			t.Errorf("callback %d has number %d", n, c.Seq)
		}
		all = append(all, c)
	}
	list := func(limit int) []payment.Callback {
		return get(s, func(tx engine.Tx) ([]payment.Callback, error) { return tx.Callbacks(i.ID, limit) })
	}
	same(t, "callbacks", list(9), all)
	same(t, "the first callback", list(1), all[:1])
	oldest := func() time.Time { return get(s, func(tx engine.Tx) (time.Time, error) { return tx.OldestDue() }) }
	same(t, "oldest due", oldest(), start.Add(-2*time.Minute))

	c := all[2]
	c.State, c.Attempts, c.DoneAt, c.LeaseUntil, c.DueAt = payment.CallbackDelivered, 4, start, start.Add(time.Hour), start.Add(2*time.Hour)
	s.update(func(tx engine.Tx) error { return tx.SwapCallback(c, 0) })
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapCallback(c, 0) })
	c.Fence = 1
	same(t, "saved callback", get(s, func(tx engine.Tx) (payment.Callback, error) { return tx.Callback(c.ID) }), c)
	same(t, "oldest due", oldest(), start.Add(-time.Minute))

	var tries []payment.Attempt
	for n := range 3 {
		a := payment.Attempt{
			CallbackID: c.ID, N: n + 1, At: start, Took: 15 * time.Millisecond, HTTPStatus: 500, Verdict: "bad-status",
			Detail: "said 500", Answer: []byte("no\xff"), Sent: "Webhook-Id: x", Headers: "Content-Type: 글\nServer: s",
		}
		s.update(func(tx engine.Tx) error { return tx.AddAttempt(a) })
		tries = append(tries, a)
	}
	attempts := func(limit int) []payment.Attempt {
		return get(s, func(tx engine.Tx) ([]payment.Attempt, error) { return tx.Attempts(c.ID, limit) })
	}
	same(t, "attempts", attempts(9), tries)
	same(t, "two attempts", attempts(2), tries[:2])
	s.refused("an attempt twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddAttempt(tries[0]) })
}

// claim claims with a lease of a minute, and answers the short ids of what it got.
func (s *suite) claim(q engine.ClaimCallbacks) string {
	s.t.Helper()
	q.Now, q.Lease = s.now, time.Minute
	if q.Limit == 0 {
		q.Limit = 9
	}
	if q.PerOrigin == 0 {
		q.PerOrigin = 9
	}
	var got []payment.Callback
	s.update(func(tx engine.Tx) (err error) {
		got, err = tx.ClaimCallbacks(q)
		return err
	})
	var names []string
	for _, c := range got {
		names = append(names, strings.TrimLeft(string(c.ID), "0"))
		if !c.LeaseUntil.Equal(s.now.Add(time.Minute)) {
			s.t.Errorf("claimed until %s", c.LeaseUntil)
		}
		same(s.t, "claimed", get(s, func(tx engine.Tx) (payment.Callback, error) { return tx.Callback(c.ID) }), c)
	}
	return strings.Join(names, " ")
}

// claims takes callbacks as the courier does, few and many.
func claims(t *testing.T, s *suite) { claimsBeside(t, s, 0) }

func claimsAmong(t *testing.T, s *suite) { claimsBeside(t, s, 200) }

// claimsBeside is claims beside so many callbacks of an origin that is skipped.
func claimsBeside(t *testing.T, s *suite, many int) {
	a := s.application()
	const crowded = "https://d.crowded.example" // among the others
	claim := func(q engine.ClaimCallbacks) string {
		t.Helper()
		q.Skip = append(q.Skip, crowded)
		return s.claim(q)
	}
	s.update(func(tx engine.Tx) error {
		for n := range many {
			i := s.invoiceOf(a, tx.NewID())
			if err := tx.AddInvoice(i); err != nil {
				return err
			}
			c := s.callbackOf(i, makeID(0x1000+n), crowded)
			c.DueAt = start.Add(-2 * time.Hour)
			if _, err := tx.AddCallback(c); err != nil {
				return err
			}
		}
		return nil
	})
	add := func(id int, i payment.Invoice, origin string, due time.Duration) {
		c := s.callbackOf(i, makeID(id), origin)
		c.DueAt = start.Add(due)
		s.update(func(tx engine.Tx) error {
			_, err := tx.AddCallback(c)
			return err
		})
	}
	one, two, three, four, five := s.invoiceFor(a), s.invoiceFor(a), s.invoiceFor(a), s.invoiceFor(a), s.invoiceFor(a)
	add(0x11, one, "https://a.example", -time.Minute)
	add(0x12, one, "https://a.example", -time.Hour) // behind 11, however long due
	add(0x21, two, "https://a.example", -2*time.Minute)
	add(0x31, three, "https://a.example", -3*time.Minute)
	add(0x41, four, "https://b.example", 0)
	add(0x42, four, "https://c.example", -time.Hour) // behind 41 at another origin
	add(0x51, five, "https://a.example.evil", -time.Second)
	add(0x61, s.invoiceFor(a), "https://d.example", time.Millisecond) // not due yet

	release := func() { s.now = s.now.Add(time.Minute) } // every lease is over
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: claimed %q, want %q", what, got, want)
		}
	}
	s.now = start.Add(-time.Millisecond)
	expect("just before", claim(engine.ClaimCallbacks{Skip: []string{"https://a.example"}}), "51")
	s.now = start.Add(-time.Millisecond).Add(time.Minute)
	add(0x71, s.invoiceFor(a), "https://late.example", 2*time.Hour)
	expect("two of an origin", claim(engine.ClaimCallbacks{PerOrigin: 2}), "31 21 51 41 61")
	expect("the third", claim(engine.ClaimCallbacks{PerOrigin: 2}), "11")
	expect("none left", claim(engine.ClaimCallbacks{}), "")
	release()
	expect("one", claim(engine.ClaimCallbacks{Limit: 1}), "31")
	expect("skipping", claim(engine.ClaimCallbacks{Skip: []string{"https://b.example", "https://a.example"}}), "51 61")
	release()

	c := get(s, func(tx engine.Tx) (payment.Callback, error) { return tx.Callback(makeID(0x31)) })
	if c.Fence != 2 {
		t.Errorf("fence %d after two claims", c.Fence)
	}
	finish := func(id int, state payment.CallbackState) {
		c := get(s, func(tx engine.Tx) (payment.Callback, error) { return tx.Callback(makeID(id)) })
		c.State, c.DoneAt = state, s.now
		s.update(func(tx engine.Tx) error { return tx.SwapCallback(c, c.Fence) })
	}
	finish(0x11, payment.CallbackParked)
	finish(0x41, payment.CallbackDelivered)
	expect("the next of an invoice", claim(engine.ClaimCallbacks{}), "12 42 31 21 51 61")
	release()
	if many > 0 { // however many one origin has, the others get theirs at once
		expect("one of each", s.claim(engine.ClaimCallbacks{PerOrigin: 1}), "1000 12 42 51 61")
		expect("the next of each", s.claim(engine.ClaimCallbacks{PerOrigin: 1, Limit: 2}), "1001 31")
	}
}

func idempotency(t *testing.T, s *suite) {
	a, b := s.application(), s.application()
	key := func(a payment.Application, key string, at time.Time) engine.Idempotency {
		return engine.Idempotency{ApplicationID: a.ID, Key: key, Digest: []byte{1, 2}, Made: makeID(3), At: at}
	}
	one := key(a, "한 key", start)
	read := func(tx engine.Tx) (engine.Idempotency, error) { return tx.Idempotency(a.ID, one.Key) }
	absent(s, "idempotency key", read)
	s.update(func(tx engine.Tx) error { return tx.AddIdempotency(one) })
	same(t, "idempotency key", get(s, read), one)
	s.refused("a key twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddIdempotency(one) })
	s.update(func(tx engine.Tx) error { return tx.AddIdempotency(key(b, one.Key, start.Add(time.Second))) })
	for n := range 3 {
		s.update(func(tx engine.Tx) error { return tx.AddIdempotency(key(a, fmt.Sprint(n), start.Add(-time.Minute))) })
	}
	prune := func(limit, want int) {
		t.Helper()
		var n int
		s.update(func(tx engine.Tx) (err error) {
			n, err = tx.PruneIdempotency(start, limit)
			return err
		})
		if n != want {
			t.Errorf("pruned %d, want %d", n, want)
		}
	}
	prune(2, 2)
	prune(9, 1)
	prune(9, 0)
	same(t, "idempotency key", get(s, read), one)
}
