package webhook

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time       { return c.t }
func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }
func newClock() *clock                { return &clock{time.Unix(1_700_000_000, 0)} }
func lanes(c *clock, per, all int) *Lanes {
	return NewLanes(LaneOptions{PerOrigin: per, Global: all, Now: c.now})
}

func TestLanesPerOrigin(t *testing.T) {
	l := lanes(newClock(), 2, 64)
	if !l.TryEnter("a") || l.TryEnter("a") {
		t.Fatal("an origin that nothing is known of has not one place")
	}
	l.Leave("a", true)
	//lint:ignore SA4000 each call takes one more place
	if !l.TryEnter("a") || !l.TryEnter("a") || l.TryEnter("a") || !l.TryEnter("b") {
		t.Fatal("a proven origin has not two places")
	}
	if got := l.Blocked(); !slices.Equal(got, []string{"a", "b"}) || l.Wait("a") != FullPause || l.Wait("c") != 0 || l.Free() != 61 {
		t.Errorf("blocked %v, wait %v and %v, free %d", got, l.Wait("a"), l.Wait("c"), l.Free())
	}
	l.Leave("a", true)
	if !l.TryEnter("a") || l.TryEnter("a") {
		t.Error("a place was not given back, or twice")
	}
	l.Cancel("a")
	if !l.TryEnter("a") {
		t.Error("a cancelled place was not given back")
	}
	l.Leave("never entered", true)
	l.Cancel("never entered")
	if l.Free() != 61 {
		t.Errorf("free %d", l.Free())
	}
}

func TestLanesBreaker(t *testing.T) {
	c := newClock()
	l := lanes(c, 2, 64)
	for i := range BreakerAfter {
		if !l.TryEnter("a") {
			t.Fatalf("refused after %d failures", i)
		}
		l.Leave("a", false)
	}
	want := FirstProbePause
	for range 10 {
		if l.TryEnter("a") || l.Wait("a") != want || !slices.Contains(l.Blocked(), "a") {
			t.Fatalf("open breaker: wait %v, want %v", l.Wait("a"), want)
		}
		c.pass(want)
		if slices.Contains(l.Blocked(), "a") || !l.TryEnter("a") || l.TryEnter("a") {
			t.Fatal("not exactly one probe")
		}
		if !slices.Contains(l.Blocked(), "a") {
			t.Fatal("not blocked while a probe is under way")
		}
		l.Leave("a", false)
		want = min(2*want, LastProbePause)
	}
	if s := l.Troubled(); len(s) != 1 || s[0].Origin != "a" || !s[0].Broken || s[0].Failures != BreakerAfter+10 {
		t.Errorf("troubled: %+v", s)
	}
	c.pass(want)
	if !l.TryEnter("a") {
		t.Fatal("no probe")
	}
	l.Leave("a", true)
	//lint:ignore SA4000 each call takes one more place
	if !l.TryEnter("a") || !l.TryEnter("a") || len(l.Troubled()) != 0 {
		t.Error("one success did not close the breaker")
	}
}

// A failure between successes never opens the breaker: only failures in a row do.
func TestLanesFailuresInARow(t *testing.T) {
	l := lanes(newClock(), 2, 64)
	for i := range 100 {
		if !l.TryEnter("a") {
			t.Fatalf("refused at %d", i)
		}
		l.Leave("a", i%BreakerAfter == 0)
	}
}

// However many shops hang, a healthy one finds a place.
func TestLanesHealthyBesideHanging(t *testing.T) {
	c := newClock()
	l := lanes(c, 2, 64)
	for i := range 8 {
		l.TryEnter(fmt.Sprintf("healthy%d", i))
		l.Leave(fmt.Sprintf("healthy%d", i), true)
	}
	// Hostile shops are new, hang until the timeout, and fail, again and again.
	var hanging []string
	for round := range 50 {
		for i := range 2000 {
			origin := fmt.Sprintf("hostile%d", i)
			if l.TryEnter(origin) {
				hanging = append(hanging, origin)
			}
		}
		if round > 0 && l.doubtful > 64/DoubtfulPart {
			t.Fatalf("round %d: %d places taken by origins in doubt", round, l.doubtful)
		}
		for i := range 8 {
			origin := fmt.Sprintf("healthy%d", i)
			//lint:ignore SA4000 each call takes one more place
			if !l.TryEnter(origin) || !l.TryEnter(origin) {
				t.Fatalf("round %d: a healthy shop waits", round)
			}
		}
		for i := range 8 {
			l.Leave(fmt.Sprintf("healthy%d", i), true)
			l.Leave(fmt.Sprintf("healthy%d", i), true)
		}
		c.pass(TotalTimeout)
		for _, origin := range hanging {
			l.Leave(origin, false)
		}
		hanging = hanging[:0]
	}
	if l.Free() != 64 {
		t.Errorf("free %d", l.Free())
	}
}

// A shop that is slow though it answers ok shares the places of those in doubt.
func TestLanesSlow(t *testing.T) {
	c := newClock()
	l := lanes(c, 2, 64)
	for i := range 40 {
		if l.TryEnter(fmt.Sprint(i)) {
			c.pass(SlowAnswer + time.Millisecond)
			l.Leave(fmt.Sprint(i), true)
		}
	}
	under := 0
	for i := range 40 {
		if l.TryEnter(fmt.Sprint(i)) {
			under++
		}
	}
	if under != 64/DoubtfulPart || l.Wait("39") != DoubtPause {
		t.Errorf("%d slow shops at once, wait %v", under, l.Wait("39"))
	}
}

func TestLanesForget(t *testing.T) {
	l := lanes(newClock(), 2, 64)
	l.TryEnter("under way")
	for i := range 3 * MaxOrigins {
		if !l.TryEnter(fmt.Sprint(i)) {
			t.Fatalf("refused at %d", i)
		}
		l.Leave(fmt.Sprint(i), true)
	}
	if len(l.origins) > MaxOrigins {
		t.Errorf("%d origins remembered", len(l.origins))
	}
	if a := l.origins["under way"]; a == nil || len(a.under) != 1 {
		t.Error("an origin with a message under way was forgotten")
	}
}

func TestLanesNeverOverfull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		per, all := rapid.IntRange(1, 3).Draw(t, "per origin"), rapid.IntRange(1, 9).Draw(t, "global")
		l := lanes(c, per, all)
		under := map[string]int{}
		sum := 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			origin := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "origin")
			switch rapid.IntRange(0, 4).Draw(t, "act") {
			case 0, 1:
				may, blocked := l.Wait(origin) == 0, slices.Contains(l.Blocked(), origin)
				got := l.TryEnter(origin)
				if got != may || got && blocked {
					t.Fatalf("entered %v, wait said %v, blocked said %v", got, may, blocked)
				}
				if got {
					under[origin]++
					sum++
				}
			case 2:
				if under[origin] > 0 {
					l.Leave(origin, rapid.Bool().Draw(t, "ok"))
					under[origin]--
					sum--
				}
			case 3:
				if under[origin] > 0 {
					l.Cancel(origin)
					under[origin]--
					sum--
				}
			case 4:
				c.pass(time.Duration(rapid.Int64Range(0, int64(LastProbePause)).Draw(t, "pass")))
			}
			if under[origin] > per || sum > all || l.Free() != all-sum || l.under != sum {
				t.Fatalf("%d at %s, %d in all, free %d", under[origin], origin, sum, l.Free())
			}
		}
		for origin, n := range under {
			for range n {
				l.Leave(origin, true)
			}
		}
		c.pass(LastProbePause)
		if l.under != 0 || l.unproven != 0 || l.doubtful != 0 {
			t.Fatalf("counts left over: %d, %d, %d", l.under, l.unproven, l.doubtful)
		}
		for _, origin := range []string{"a", "b", "c", "d", "e"} {
			if !l.TryEnter(origin) {
				t.Fatalf("%s is stuck", origin)
			}
			l.Leave(origin, true)
		}
	})
}

func TestLanesTogether(t *testing.T) {
	l := NewLanes(LaneOptions{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 500 {
				origin := fmt.Sprint((i + n) % 7)
				if l.TryEnter(origin) {
					l.Leave(origin, n%3 > 0)
				}
				l.Blocked()
			}
		})
	}
	wg.Wait()
	if l.Free() != DefaultGlobal {
		t.Errorf("free %d", l.Free())
	}
}
