package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A strike says where the process is struck: at the nth time that it comes to a step, in which way, and whether it is struck
// once more while it recovers, at whatever step it comes to next.
type strike struct {
	step  engine.PayStep
	nth   int
	way   way
	again way
}

func (s strike) String() string {
	name := map[way]string{never: "", glitch: "glitch", before: "before", after: "after", lost: "lost"}
	text := fmt.Sprintf("%s %d %s", s.step, s.nth, name[s.way])
	if s.again != never {
		text += " and then " + name[s.again]
	}
	return text
}

// crashed tells a story of payouts on a rig that is struck so. It answers how often each step was come to, and whether the
// strikes were carried out.
func crashed(r *rig, c coinPlace, plan strike) (hits map[engine.PayStep]int, struck int) {
	return crashedIn(r, c, plan, tellOfPayouts)
}

func crashedIn(r *rig, c coinPlace, plan strike, tell func(s *story, c coinPlace)) (hits map[engine.PayStep]int, struck int) {
	hits = map[engine.PayStep]int{}
	r.at = func(step engine.PayStep) {
		hits[step]++
		switch {
		case struck == 0 && plan.way != never && step == plan.step && hits[step] == plan.nth:
			struck++
			r.faults.plan(1, plan.way)
		case struck == 1 && plan.again != never && r.faults.over() && !r.faults.died():
			struck++
			r.faults.plan(1, plan.again)
		}
	}
	tell(&story{r: r}, c)
	return hits, struck
}

// tellOfPayouts: one settlement that gets stuck, cannot be bumped, is sent again and bumped, and one refund that the signer
// refuses at first. Both are paid once.
func tellOfPayouts(s *story, c coinPlace) {
	r := s.r
	r.settles(c, c.shop)
	settled := r.paid(c.coin, "50", c.due)
	refunded := r.paid(c.coin, "50", c.due, func(x *engine.Create) { x.RefundAddress = c.payer })
	_, err := r.askRefund(refunded)
	r.must(err)
	refuse := true
	r.hand.Set(func(h *chaintest.Hand) {
		h.Rule = func(u chain.Unsigned) error {
			if refuse && u.Pays[0].Cause == chain.CauseRefund {
				return fmt.Errorf("forbidden: %w", chain.ErrRefused)
			}
			return nil
		}
	})
	tick := func(d time.Duration) {
		r.clock.add(d)
		s.act(func() error { return r.watch[c.coin].Follow(r.Context()) })
		s.act(func() error { return r.payer[c.coin].Step(r.Context()) })
	}
	ticks := func(n int, until func() bool) {
		r.Helper()
		for range n {
			if until() {
				return
			}
			tick(101 * time.Second)
		}
		if !until() {
			r.Fatalf("it never comes: %s %s", r.why(settled), r.why(refunded))
		}
	}
	state := func(id payment.ID, kind payment.PayoutKind) payment.Payout { return r.payout(id, kind) }
	ticks(20, func() bool { return state(refunded, payment.RefundAsked).Held == payment.HoldRefused })
	chain := r.chain(c.coin)
	ticks(20, func() bool { return !state(settled, payment.Settlement).SentAt.IsZero() })
	chain.Spike(200) // above the ceiling: what was sent is sent again
	for range 2 {
		tick(31 * time.Minute)
		tick(31 * time.Second)
	}
	chain.Spike(3)
	was := state(settled, payment.Settlement).TxID
	ticks(60, func() bool { return state(settled, payment.Settlement).TxID != was })
	r.hand.Set(func(*chaintest.Hand) { refuse = false })
	r.clock.add(25 * time.Hour)
	ticks(20, func() bool { return !state(refunded, payment.RefundAsked).SentAt.IsZero() })
	chain.Spike(1)
	for range 40 {
		if state(settled, payment.Settlement).State == payment.PayoutDone && state(refunded, payment.RefundAsked).State == payment.PayoutDone {
			break
		}
		r.mine(c.coin, 1)
		tick(101 * time.Second)
	}
	a, b := state(settled, payment.Settlement), state(refunded, payment.RefundAsked)
	if a.State != payment.PayoutDone || b.State != payment.PayoutDone {
		r.Fatalf("not paid: %s %s", r.why(settled), r.why(refunded))
	}
	r.got(c, c.shop, a.Net, 1)
	r.got(c, c.payer, b.Net, 1)
	r.toldOfRefund(refunded, "2 3")
	r.is(refunded, "4/1")
	r.once()
	r.clean()
	if n := r.hand.Signed(); n != 2 {
		r.Errorf("%d spends were signed for two payouts", n)
	}
}

// TestPaySteps: whatever the process is doing when it dies, and wherever it dies once more while it recovers, each payout is
// paid exactly once. The steps are the engine's own list: a new one that the story never comes to fails this test.
func TestPaySteps(t *testing.T) {
	t.Parallel()
	for _, c := range places {
		t.Run(string(c.coin), func(t *testing.T) {
			hits, _ := crashed(newRig(t), c, strike{})
			for _, step := range engine.PaySteps {
				if hits[step] == 0 && !slices.Contains(narrowSteps, step) { // which TestNarrowSteps comes to
					t.Errorf("the story never comes to step %s", step)
				}
			}
			runs := 0
			for _, plan := range strikes(hits, testing.Short()) {
				runs++
				t.Run(plan.String(), func(t *testing.T) {
					t.Parallel()
					r := newRig(t)
					_, struck := crashed(r, c, plan)
					if struck == 0 || plan.again != never && struck == 1 {
						t.Errorf("struck %d times", struck)
					}
				})
			}
			t.Logf("%d crashes at %d steps", runs, len(engine.PaySteps))
		})
	}
}

// strikes are all steps in all ways, at their first and last time, and then once more in recovery; in short a ninth.
func strikes(hits map[engine.PayStep]int, short bool) (all []strike) {
	turn := rand.IntN(9)
	for _, step := range engine.PaySteps {
		if hits[step] == 0 {
			continue
		}
		for _, nth := range slices.Compact([]int{1, hits[step]}) {
			for j, w := range []way{before, after, lost} {
				for k, again := range []way{never, before, after} {
					if short && (3*j+k+int(step))%9 != turn || w == lost && again != never {
						continue
					}
					all = append(all, strike{step, nth, w, again})
				}
			}
		}
	}
	return all
}

// TestPayStepsOnPostgres is the same on the other database, of which each run takes other crashes.
func TestPayStepsOnPostgres(t *testing.T) {
	t.Parallel()
	hits := map[engine.PayStep]int{}
	for _, step := range engine.PaySteps {
		if !slices.Contains(narrowSteps, step) {
			hits[step] = 1
		}
	}
	all := strikes(hits, false)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	seen := map[engine.PayStep]bool{}
	for _, plan := range all {
		if seen[plan.step] {
			continue
		}
		seen[plan.step] = true
		c := places[rand.IntN(len(places))]
		t.Run(string(c.coin)+" "+plan.String(), func(t *testing.T) {
			if _, struck := crashed(newPostgresRig(t), c, plan); struck == 0 {
				t.Error("never struck")
			}
		})
	}
}
