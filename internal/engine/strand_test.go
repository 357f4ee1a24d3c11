package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// batch is a batch of settlements that is sent, of three invoices that were paid one block after the other.
func (r *rig) batch(c coinPlace) (ids []payment.ID) {
	r.Helper()
	r.settles(c, c.shop)
	for i := range 3 {
		id := r.create("50")
		r.chain(c.coin).Pay(r.choose(id, c.coin), amount(c.coin, c.due).PerMillion(1_000_000+int64(i)))
		r.mine(c.coin, 1)
		ids = append(ids, id)
	}
	r.mine(c.coin, 5)
	r.follow()
	r.pays(c.coin)
	first := r.payout(ids[0], payment.Settlement)
	for _, id := range ids {
		if p := r.payout(id, payment.Settlement); p.SpendID != first.SpendID || p.SentAt.IsZero() {
			r.Fatal(r.why(id))
		}
	}
	return ids
}

// strand takes the deposit of an invoice out of the chain, and answers its ref.
func (r *rig) strand(c coinPlace, id payment.ID) string {
	r.Helper()
	d := r.facts(id).Deposits[0]
	f := r.chain(c.coin)
	f.Reorg(int(f.Tip().Height-d.Height)+1, d.Ref)
	r.follow()
	return d.Ref
}

// narrowed lets the payer find out what is left, without a block.
func (r *rig) narrowed(c coinPlace) {
	r.Helper()
	r.after(c.coin, 30*time.Minute)
	r.clock.add(25 * time.Hour) // the breaker is over
	r.follow()
}

// A batch of which one deposit was double-spent pays the others, whichever of its coins was the anchor. What became of the one
// is told, its coins are set aside no more, and if they come again they are paid once.
func TestStrandedBatch(t *testing.T) {
	t.Parallel()
	c := places[0]
	for lost := range 3 {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprint("invoice ", lost, ", coming again ", again), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				ids := r.batch(c)
				ref := r.strand(c, ids[lost])
				r.clean()
				r.narrowed(c)
				if p := r.payout(ids[lost], payment.Settlement); p.State != payment.PayoutPaying || p.Held != payment.HoldReversed || p.Reserved {
					t.Fatal(r.why(ids[lost]))
				}
				r.deepen(c.coin, 8)
				for i, id := range ids {
					switch {
					case i != lost:
						r.payoutsAre(id, "settlement done")
					default:
						r.payoutsAre(id, "settlement failed")
					}
				}
				r.once()
				r.clean()
				if again {
					r.chain(c.coin).Back(ref)
					r.deepen(c.coin, 14)
					r.payoutsAre(ids[lost], "settlement failed", "settlement done")
				}
				r.once()
				r.clean()
				if h, err := r.desk.Halted(t.Context()); err != nil || h.Reason != "" {
					t.Errorf("%+v %v", h, err)
				}
			})
		}
	}
}

// The lost deposit comes back, and a block takes the version that pays it too.
func TestStrandedBatchMinedWhole(t *testing.T) {
	t.Parallel()
	c := places[0]
	for lost := range 3 {
		t.Run(fmt.Sprint("invoice ", lost), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			ids := r.batch(c)
			whole := r.versions(ids[lost], payment.Settlement)[0]
			ref := r.strand(c, ids[lost])
			r.narrowed(c)
			if all := r.versions(ids[lost], payment.Settlement); len(all) != 2 || len(all[1].Shares) != 2 {
				t.Fatalf("%d versions: %s", len(all), r.why(ids[lost]))
			}
			for _, w := range r.chain(c.coin).Waiting() {
				r.chain(c.coin).Evict(w)
			}
			r.chain(c.coin).Back(ref)
			r.mine(c.coin, 1)
			r.must(r.chain(c.coin).Broadcast(t.Context(), whole.Raw))
			r.deepen(c.coin, 12)
			for _, id := range ids {
				r.payoutsAre(id, "settlement done")
			}
			r.once()
			r.clean()
		})
	}
}

// Two of three are lost, one after the other.
func TestStrandedTwice(t *testing.T) {
	t.Parallel()
	c := places[0]
	r := newRig(t)
	ids := r.batch(c)
	r.strand(c, ids[2])
	r.narrowed(c)
	r.strand(c, ids[0])
	r.narrowed(c)
	if all := r.versions(ids[1], payment.Settlement); len(all) != 3 || len(all[2].Shares) != 1 {
		t.Fatalf("%d versions: %s", len(all), r.why(ids[1]))
	}
	r.deepen(c.coin, 8)
	r.payoutsAre(ids[0], "settlement failed")
	r.payoutsAre(ids[1], "settlement done")
	r.payoutsAre(ids[2], "settlement failed")
	r.once()
	r.clean()
}

// A payout alone whose coins went keeps saying so, and its fee is not raised in vain.
func TestStrandedAlone(t *testing.T) {
	t.Parallel()
	c := places[0]
	r := newRig(t)
	id, _ := r.refunding(c)
	ref := r.strand(c, id)
	r.after(c.coin, 3*time.Hour)
	if p := r.payout(id, payment.RefundAsked); p.Held != payment.HoldReversed || p.Reserved || len(r.versions(id, payment.RefundAsked)) != 1 {
		t.Fatal(r.why(id))
	}
	r.clean()
	r.chain(c.coin).Back(ref)
	r.mine(c.coin, 1)
	r.deepen(c.coin, 14)
	r.refunded(c, id)
	r.once()
	r.clean()
}

// The version that left a payout out was final and is taken back, and the block that replaces it holds the whole one: what is
// booked and what happened differ, and payouts stand still.
func TestStrandedDeeperThanFinal(t *testing.T) {
	t.Parallel()
	c := places[0]
	r := newRig(t)
	ids := r.batch(c)
	whole := r.versions(ids[0], payment.Settlement)[0]
	ref := r.strand(c, ids[0])
	r.narrowed(c)
	r.mine(c.coin, 8)
	r.follow()
	r.payoutsAre(ids[1], "settlement done")
	narrow := r.payout(ids[1], payment.Settlement).TxID
	f := r.chain(c.coin)
	f.Back(ref)
	f.Reorg(9, narrow)
	r.must(f.Broadcast(t.Context(), whole.Raw))
	r.mine(c.coin, 1)
	r.follow()
	if h, err := r.desk.Halted(t.Context()); err != nil || h.Reason == "" {
		t.Errorf("not halted: %v %s", err, r.why(ids[1]))
	}
	if s := r.state(c.n); s.Trouble != "" {
		t.Error(s.Trouble)
	}
}

// narrowSteps are those of a batch that lost coins. Only Bitcoin has batches.
var narrowSteps = []engine.PayStep{engine.StepNarrow, engine.StepNarrowed}

// tellOfStranded: a batch loses the coins of one of its settlements while it is sent. The others are paid once.
func tellOfStranded(s *story, c coinPlace) {
	r := s.r
	r.settles(c, c.shop)
	var ids []payment.ID
	for range 3 {
		id := r.create("50")
		r.chain(c.coin).Pay(r.choose(id, c.coin), amount(c.coin, c.due))
		r.mine(c.coin, 1)
		ids = append(ids, id)
	}
	ticks := func(until func() bool) {
		r.Helper()
		for range 60 {
			if until() {
				return
			}
			r.clock.add(101 * time.Second)
			s.act(func() error { return r.watch[c.coin].Follow(r.Context()) })
			s.act(func() error { return r.payer[c.coin].Step(r.Context()) })
		}
		r.Fatalf("it never comes: %s", r.why(ids[0]))
	}
	sent := func() bool {
		for _, id := range ids {
			if all := r.facts(id).Payouts; len(all) != 1 || all[0].SentAt.IsZero() {
				return false
			}
		}
		return true
	}
	r.mine(c.coin, 5)
	ticks(sent)
	d := r.facts(ids[1]).Deposits[0]
	r.chain(c.coin).Reorg(int(r.chain(c.coin).Tip().Height-d.Height)+1, d.Ref)
	was := r.payout(ids[0], payment.Settlement).TxID
	ticks(func() bool { return r.payout(ids[0], payment.Settlement).TxID != was })
	r.clock.add(25 * time.Hour)
	r.mine(c.coin, 9)
	ticks(func() bool { return r.payout(ids[0], payment.Settlement).State == payment.PayoutDone })
	r.payoutsAre(ids[1], "settlement failed")
	r.payoutsAre(ids[2], "settlement done")
	r.once()
	r.clean()
	if n := r.hand.Signed(); n != 1 {
		r.Errorf("%d spends were signed for one batch", n)
	}
}

// TestNarrowSteps is TestPaySteps for a batch that loses coins: struck at the steps of it, and at each that comes after.
func TestNarrowSteps(t *testing.T) {
	t.Parallel()
	c := places[0]
	hits, _ := crashedIn(newRig(t), c, strike{}, tellOfStranded)
	for _, step := range narrowSteps {
		if hits[step] == 0 {
			t.Errorf("the story never comes to step %s", step)
		}
	}
	for _, step := range slices.Concat(narrowSteps, []engine.PayStep{engine.StepSign, engine.StepSigned, engine.StepResend, engine.StepSent}) {
		for j, w := range []way{before, after, lost} {
			for k, again := range []way{never, before, after} {
				if testing.Short() && (j+k+int(step))%3 != 0 || w == lost && again != never {
					continue
				}
				plan := strike{step, hits[step], w, again}
				t.Run(plan.String(), func(t *testing.T) {
					t.Parallel()
					r := newRig(t)
					if j == k && !testing.Short() {
						r = newPostgresRig(t)
					}
					if _, struck := crashedIn(r, c, plan, tellOfStranded); struck == 0 {
						t.Error("never struck")
					}
				})
			}
		}
	}
}
