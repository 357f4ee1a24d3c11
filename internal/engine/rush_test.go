package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// steppers begin payers of their own, as in further processes, which step at once; a refusal or a conflict is no failure of the
// test: the rows decide.
func (r *rig) steppers(c coinPlace, all *sync.WaitGroup) {
	for range 2 {
		p := r.newPayer(c.coin, r.store, r.hand, r.chain(c.coin))
		all.Go(func() {
			for range 3 {
				if err := p.Step(r.Context()); err != nil && !errors.Is(err, payment.ErrConflict) {
					r.Errorf("step: %v", err)
				}
			}
		})
	}
}

// Refunds are asked for from many sides while payers settle the same invoice: one of the two is paid, once, and the shop is
// told one story.
func TestRefundsWhilePaying(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		rounds, callers := short(4, 1), short(40, 10)
		r.settles(c, c.shop)
		for round := range rounds {
			to := fmt.Sprintf("%s%d", c.payer, round)
			id := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = to })
			r.clock.add(101 * time.Second)
			r.mine(c.coin, round%3) // sometimes the settlement is due, sometimes not yet
			r.follow()
			var all sync.WaitGroup
			var mu sync.Mutex
			shown, taken := map[payment.ID]int{}, 0
			r.steppers(c, &all)
			for n := range callers {
				all.Go(func() {
					p, err := r.askRefund(id, func(a *engine.AskRefund) {
						if n%2 == 0 {
							a.IdempotencyKey = to
						}
						a.CallbackURL = "https://shop.example/refunded"
					})
					var e *payment.Error
					if err != nil && !(errors.As(err, &e) && e.Word == payment.WordState) {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					shown[p.ID]++
					if err == nil && n%2 == 1 {
						taken++
					}
				})
			}
			all.Wait()
			r.deepen(c.coin, 10)
			live, done := 0, 0
			for _, p := range r.facts(id).Payouts {
				if p.Kind == payment.RefundAsked && p.State != payment.PayoutFailed {
					live++
				}
				if p.State == payment.PayoutDone && p.SpendID != "" {
					done++
				}
			}
			if live > 1 || done != 1 || shown[""] > 0 || taken > len(shown) {
				t.Fatalf("%d refunds, %d paid, %d taken, shown %v: %s", live, done, taken, shown, r.why(id))
			}
			r.clean()
		}
	})
}

// A withdrawal is cancelled as each step of its payer begins, and then others step too: it is paid or given back, never both.
func TestCancelWhilePaying(t *testing.T) {
	each(t, func(t *testing.T, r *rig, c coinPlace) {
		steps := engine.PaySteps[:short(len(engine.PaySteps), 7)]
		for range steps {
			r.receive(c, c.due)
		}
		outcomes := map[bool]int{}
		for _, step := range steps {
			w := r.withdraw(c, c.due)
			r.clock.add(101 * time.Second)
			var all sync.WaitGroup
			cancelled, met := false, false
			p := r.newPayer(c.coin, r.store, r.hand, r.chain(c.coin))
			p.At = func(s engine.PayStep) {
				if s != step || met {
					return
				}
				met = true
				_, err := r.desk.CancelWithdrawal(r.Context(), r.merchant.ID, w.ID)
				var e *payment.Error
				if err != nil && !(errors.As(err, &e) && e.Word == payment.WordState) {
					t.Errorf("cancel at step %d: %v", step, err)
				}
				cancelled = err == nil
				r.steppers(c, &all)
			}
			for range 3 {
				if err := p.Step(r.Context()); err != nil && !errors.Is(err, payment.ErrConflict) {
					t.Errorf("step: %v", err)
				}
			}
			all.Wait()
			r.deepen(c.coin, 10)
			want := payment.PayoutDone
			if cancelled {
				want = payment.PayoutFailed
			}
			if is := r.again(w); is.State != want || is.Reserved || cancelled != (is.FailReason == engine.Cancelled) {
				t.Fatalf("step %d, cancelled %t: %+v", step, cancelled, is)
			}
			outcomes[cancelled]++
			r.clean()
		}
		if outcomes[true] == 0 || outcomes[false] == 0 {
			t.Errorf("cancelled and paid: %v", outcomes)
		}
	})
}
