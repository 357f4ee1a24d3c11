package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// Lanes keep shops apart: how many sends of one origin may be under way, and which origins are broken just now. Safe for
// concurrent use.
type Lanes interface {
	// Blocked are the origins to which nothing may be sent now.
	Blocked() []string
	// TryEnter takes a place for one send, or tells that there is none.
	TryEnter(origin string) bool
	// Leave gives the place back. ok tells whether the shop answered as it should.
	Leave(origin string, ok bool)
	// Cancel gives the place back of a send that was cut short by us, which says nothing of the shop.
	Cancel(origin string)
	// Wait is how long to wait before asking again for an origin without a place.
	Wait(origin string) time.Duration
}

// A Courier sends due callbacks: at least once each, in order per invoice, one slow shop delaying nobody else.
type Courier struct {
	Store  Store
	Sender Sender
	Sealer Sealer
	Lanes  Lanes
	// Pause is the pause after so many attempts, and false when the schedule is used up.
	Pause func(attempts int) (time.Duration, bool)
	Log   *slog.Logger
	// Life is the context of the sends, which outlive the step that begins them; it ends when the program stops. nil: the
	// step's own, without its end.
	Life context.Context
	// More is rung when another step may find work at once: where one found some, and where a send ends. nil: steps come by
	// their clock alone.
	More Bell

	sends sync.WaitGroup
	under atomic.Int64 // sends under way
	// mu owns what is below.
	mu    sync.Mutex
	fatal error     // the first failure of the store in a send, answered by the next Step
	rest  time.Time // before it no send's end rings
}

// Step claims due callbacks and begins to send them; it does not wait for the shops. A crash after the claim leaves the
// lease: when it is over, the callback is claimed and sent again.
func (c *Courier) Step(ctx context.Context) error {
	if err := c.failed(nil); err != nil {
		return err
	}
	due, err := c.claim(ctx)
	if err != nil {
		return fmt.Errorf("claim callbacks: %w", err)
	}
	life := c.Life
	if life == nil {
		life = context.WithoutCancel(ctx)
	}
	var refused []payment.Callback
	for _, cb := range due {
		if !c.Lanes.TryEnter(cb.Origin) {
			refused = append(refused, cb)
			continue
		}
		c.sends.Add(1)
		c.under.Add(1)
		go func() {
			defer c.sends.Done()
			defer c.ended()
			delivered, err := c.deliver(life, cb)
			if err != nil {
				c.Lanes.Cancel(cb.Origin)
			} else {
				c.Lanes.Leave(cb.Origin, delivered)
			}
			if err != nil && life.Err() == nil && !errors.Is(err, errPutAside) {
				c.Log.ErrorContext(life, "callback could not be booked", "callback", cb.ID, "error", c.failed(err))
			}
		}()
	}
	for _, cb := range refused {
		if err := c.giveBack(ctx, cb, c.Lanes.Wait(cb.Origin)); err != nil {
			return err
		}
	}
	return nil
}

// claim takes what is due, one of an origin at a time: the next step takes its next, if there is still a place.
func (c *Courier) claim(ctx context.Context) (due []payment.Callback, err error) {
	room := CallbackBatch - int(c.under.Load())
	if room <= 0 {
		return nil, nil
	}
	began := time.Now()
	err = c.Store.Update(ctx, func(tx Tx) (err error) {
		due, err = tx.ClaimCallbacks(ClaimCallbacks{
			Now: tx.Now(), Lease: CallbackLease, Limit: room, PerOrigin: CallbackPerClaim, Skip: c.Lanes.Blocked(),
		})
		return err
	})
	if len(due) > 0 {
		c.More.Ring()
		return due, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = time.Now().Add(CallbackRest * time.Since(began))
	return due, err
}

// ended notes the end of a send and rings for the next. After a claim that found nothing it waits a multiple of that
// claim's time, so that looking for work in vain never takes more than a small part of the store's.
func (c *Courier) ended() {
	c.under.Add(-1)
	if c.More == nil {
		return
	}
	c.mu.Lock()
	wait := time.Until(c.rest)
	c.mu.Unlock()
	if wait > 0 {
		time.AfterFunc(wait, c.More.Ring)
		return
	}
	c.More.Ring()
}

// Wait returns when no send is under way.
func (c *Courier) Wait() { c.sends.Wait() }

// failed notes the first failure, and answers and forgets the one noted when called with nil.
func (c *Courier) failed(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err, c.fatal = c.fatal, nil
		return err
	}
	if c.fatal == nil {
		c.fatal = err
	}
	return err
}

// giveBack ends the claim of a callback that cannot be sent now, for a while; no attempt is used up.
func (c *Courier) giveBack(ctx context.Context, cb payment.Callback, wait time.Duration) error {
	err := c.Store.Update(ctx, func(tx Tx) error {
		cb.LeaseUntil = tx.Now().Add(wait)
		return tx.SwapCallback(cb, cb.Fence)
	})
	if errors.Is(err, payment.ErrConflict) {
		return nil // its lease ran out and another worker has it
	}
	return err
}

// deliver sends one callback and books what came of it. A crash between the two sends it again later: the shop knows it by
// its webhook-id.
func (c *Courier) deliver(ctx context.Context, cb payment.Callback) (delivered bool, err error) {
	msg := payment.Message{ID: string(cb.ID), URL: cb.URL, ContentType: cb.ContentType, Body: cb.Body}
	err = c.Store.View(ctx, func(tx Tx) error {
		app, err := tx.Application(cb.ApplicationID)
		if err != nil {
			return err
		}
		msg.Secrets, err = openSecrets(c.Sealer, app, tx.Now())
		return err
	})
	if err != nil {
		return false, c.putAside(ctx, cb, fmt.Errorf("prepare callback: %w", err))
	}
	answer := c.Sender.Send(ctx, msg)
	if ctx.Err() != nil && !answer.Delivered {
		return false, ctx.Err() // we are stopping: what was cut off by us is no verdict on the shop
	}
	// What the shop said is booked even while stopping.
	book, cancel := context.WithTimeout(context.WithoutCancel(ctx), BookWithin)
	defer cancel()
	err = c.Store.Update(book, func(tx Tx) error { return c.book(tx, cb, answer) })
	if errors.Is(err, payment.ErrConflict) {
		return answer.Delivered, nil // the lease ran out and another worker took over; its word counts
	}
	c.Log.InfoContext(ctx, "callback", "callback", cb.ID, "invoice", cb.InvoiceID, "attempt", cb.Attempts+1,
		"delivered", answer.Delivered, "verdict", answer.Verdict, "http", answer.Status, "took", answer.Took)
	return answer.Delivered, err
}

// errPutAside: a callback could not be prepared, which says nothing of its shop or of the others.
var errPutAside = errors.New("engine: callback is put aside")

// putAside leaves a callback alone for AsideFor that cannot be prepared, because its application's secrets cannot be
// opened: it stays open, and keeps no other shop's from being sent.
func (c *Courier) putAside(ctx context.Context, cb payment.Callback, why error) error {
	if ctx.Err() != nil {
		return why
	}
	if err := c.giveBack(ctx, cb, AsideFor); err != nil {
		return errors.Join(why, err)
	}
	c.Log.ErrorContext(ctx, "a callback cannot be prepared and is put aside: call the operator",
		"callback", cb.ID, "application", cb.ApplicationID, "error", why)
	return errPutAside
}

func (c *Courier) book(tx Tx, cb payment.Callback, answer payment.Answer) error {
	cb.Attempts++
	err := tx.AddAttempt(payment.Attempt{
		CallbackID: cb.ID, N: cb.Attempts, At: tx.Now(), Took: answer.Took, HTTPStatus: answer.Status,
		Verdict: answer.Verdict, Detail: answer.Detail, Answer: answer.Body, Sent: answer.Sent, Headers: answer.Headers,
	})
	if err != nil {
		return err
	}
	is := payment.CallbackOpen
	pause, again := c.Pause(cb.Attempts)
	switch {
	case answer.Delivered:
		is, cb.DoneAt = payment.CallbackDelivered, tx.Now()
	case !again:
		is, cb.DoneAt = payment.CallbackParked, tx.Now()
	default:
		cb.DueAt = tx.Now().Add(pause)
	}
	if err := payment.CallbackEdges.Check(cb.State, is); err != nil {
		return err
	}
	cb.State, cb.LeaseUntil = is, time.Time{}
	return tx.SwapCallback(cb, cb.Fence)
}
