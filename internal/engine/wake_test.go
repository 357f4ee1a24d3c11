package engine_test

import (
	"errors"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

func rung(b engine.Bell) bool {
	select {
	case <-b:
		return true
	default:
		return false
	}
}

// What waits in this process is told of a commit, and only of a commit.
func TestWaking(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.pay("100", "0.002")
	cb := r.callbacks(id)[0]
	var told []payment.ID
	s := engine.Waking{Store: r.store, Callbacks: engine.NewBell(), Events: func(id payment.ID) { told = append(told, id) }}
	write := func(end error) error {
		return s.Update(t.Context(), func(tx engine.Tx) error {
			if err := tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: id, Kind: payment.EventChanged, At: tx.Now()}); err != nil {
				return err
			}
			next := cb
			next.ID, next.CreatedAt, next.DueAt, next.State = tx.NewID(), tx.Now(), tx.Now(), payment.CallbackOpen
			if _, err := tx.AddCallback(next); err != nil {
				return err
			}
			return end
		})
	}
	if err := write(errors.New("no")); err == nil || rung(s.Callbacks) || len(told) != 0 {
		t.Errorf("told of what was rolled back: %v %v", err, told)
	}
	r.must(write(nil))
	if !rung(s.Callbacks) || rung(s.Callbacks) || len(told) != 1 || told[0] != id {
		t.Errorf("not told of a commit: %v", told)
	}
	r.must(s.Update(t.Context(), func(engine.Tx) error { return nil }))
	if rung(s.Callbacks) || len(told) != 1 {
		t.Error("told of nothing")
	}
	engine.Bell(nil).Ring()
}

// A courier that found work, or ended a send, asks for another step, so that a backlog goes at the pace of the shop and not
// of the clock.
func TestCourierRings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.courier.More = engine.NewBell()
	for range 5 {
		r.pay("100", "0.002")
	}
	r.must(r.courier.Step(t.Context()))
	for range 50 {
		r.courier.Wait()
		if len(r.shop.got) == 5 {
			return
		}
		<-r.courier.More
		r.must(r.courier.Step(t.Context()))
	}
	t.Errorf("%d of 5 were sent", len(r.shop.got))
}

// An event of this process wakes its page without a look at the log.
func TestTailWake(t *testing.T) {
	t.Parallel()
	tail := &engine.Tail{}
	wake, cancel, err := tail.Subscribe("A")
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	tail.Wake("B")
	if rung(engine.Bell(nil)) || len(wake) != 0 {
		t.Error("woken for another's event")
	}
	tail.Wake("A")
	tail.Wake("A")
	if len(wake) != 1 {
		t.Errorf("%d wakes", len(wake))
	}
}
