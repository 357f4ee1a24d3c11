package webhook

import (
	"sort"
	"sync"
	"time"
)

// LaneOptions say how wide the lanes are. Zero values take the defaults.
type LaneOptions struct {
	PerOrigin int              // messages under way to one origin at once
	Global    int              // in all
	Now       func() time.Time // nil: time.Now
}

// Lanes keep one shop's trouble from the others. A courier asks TryEnter before it sends to an origin and calls Leave
// after; what it may not send now it puts back for Wait, which uses up no attempt.
//
// An origin has at most PerOrigin messages under way, and one until it is proven: shops that hang from the start take up
// few of the places that new shops need to prove themselves. After BreakerAfter failures in a row it is broken: one probe at a
// time, with a pause after each that fails, growing from FirstProbePause to LastProbePause; one success closes it. Of the
// Global places, one part is kept for origins that are proven (their last answer was a quick ok), and origins in doubt
// (their last answer was a failure, or slow) share another, so that however many shops hang, the healthy ones go on.
//
// What Lanes know lives in memory: after a restart every origin is new.
type Lanes struct {
	perOrigin int
	global    int
	now       func() time.Time

	mu       sync.Mutex // owns all below
	origins  map[string]*lane
	under    int    // messages under way
	unproven int    // those of origins that are not proven
	doubtful int    // those of origins in doubt
	touches  uint64 // so far, for forgetting the oldest
}

// A standing is how well an origin is thought of. A message keeps the one it entered with.
type standing int

const (
	unknown standing = iota
	proven
	inDoubt
)

type lane struct {
	standing standing
	failures int       // in a row
	restTill time.Time // of a broken origin: no probe before
	under    []entry
	touched  uint64
}

type entry struct {
	at time.Time
	as standing
}

// NewLanes makes empty lanes.
func NewLanes(o LaneOptions) *Lanes {
	if o.PerOrigin <= 0 {
		o.PerOrigin = DefaultPerOrigin
	}
	if o.Global <= 0 {
		o.Global = DefaultGlobal
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Lanes{perOrigin: o.PerOrigin, global: o.Global, now: o.Now, origins: make(map[string]*lane)}
}

// TryEnter takes a place for one message to the origin and tells whether there was one. Each that is true must be
// followed by one Leave.
func (l *Lanes) TryEnter(origin string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	a := l.origins[origin]
	if l.wait(a, now) > 0 {
		return false
	}
	if a == nil {
		l.forget()
		a = &lane{}
		l.origins[origin] = a
	}
	l.touch(a)
	a.under = append(a.under, entry{now, a.standing})
	l.count(a.standing, 1)
	return true
}

// Leave gives the place back and tells how the message went. Without a TryEnter before it does nothing.
func (l *Lanes) Leave(origin string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.origins[origin]
	if a == nil || len(a.under) == 0 {
		return
	}
	now := l.now()
	e := a.under[0]
	a.under = a.under[1:]
	l.count(e.as, -1)
	l.touch(a)
	switch {
	case ok && now.Sub(e.at) <= SlowAnswer:
		a.standing, a.failures, a.restTill = proven, 0, time.Time{}
	case ok:
		a.standing, a.failures, a.restTill = inDoubt, 0, time.Time{}
	default:
		a.standing = inDoubt
		a.failures++
		a.restTill = now.Add(rest(a.failures))
	}
}

// Cancel gives the place back as if the message had never entered: it was not sent after all.
func (l *Lanes) Cancel(origin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.origins[origin]
	if a == nil || len(a.under) == 0 {
		return
	}
	last := len(a.under) - 1
	l.count(a.under[last].as, -1)
	a.under = a.under[:last]
}

// Wait is how long to put a message to the origin back that TryEnter refuses, 0 when it would enter now.
func (l *Lanes) Wait(origin string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wait(l.origins[origin], l.now())
}

// Free is how many messages could enter now at most, for origins that are proven.
func (l *Lanes) Free() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.global-l.under, 0)
}

// Blocked names origins that TryEnter refuses now for their own sake, full or broken, in text order and at most
// MaxBlocked: a courier need not claim their messages. There may be more; TryEnter knows them.
func (l *Lanes) Blocked() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var names []string
	for origin, a := range l.origins {
		if l.full(a) || a.restTill.After(now) && a.broken() {
			names = append(names, origin)
		}
	}
	sort.Strings(names)
	return names[:min(len(names), MaxBlocked)]
}

// A LaneState is what is known of an origin, for diagnosis.
type LaneState struct {
	Origin   string
	Under    int       // messages under way
	Failures int       // in a row
	Broken   bool      // only probes go
	RestTill time.Time // no probe before, when broken
}

// Troubled lists origins that failed last, the worst first, at most MaxBlocked.
func (l *Lanes) Troubled() []LaneState {
	l.mu.Lock()
	defer l.mu.Unlock()
	var states []LaneState
	for origin, a := range l.origins {
		if a.failures > 0 {
			states = append(states, LaneState{origin, len(a.under), a.failures, a.broken(), a.restTill})
		}
	}
	sort.Slice(states, func(i, j int) bool {
		if states[i].Failures != states[j].Failures {
			return states[i].Failures > states[j].Failures
		}
		return states[i].Origin < states[j].Origin
	})
	return states[:min(len(states), MaxBlocked)]
}

func (a *lane) broken() bool { return a.failures >= BreakerAfter }

func (l *Lanes) full(a *lane) bool {
	width := l.perOrigin
	if a.standing != proven {
		width = 1
	}
	return len(a.under) >= width
}

// wait needs the mutex. a is nil for an origin not known.
func (l *Lanes) wait(a *lane, now time.Time) time.Duration {
	as := unknown
	if a != nil {
		as = a.standing
		if a.broken() && a.restTill.After(now) {
			return a.restTill.Sub(now)
		}
		if l.full(a) {
			return FullPause
		}
	}
	part := func(n int) int { return max(l.global/n, 1) }
	switch {
	case as == inDoubt && l.doubtful >= part(DoubtfulPart):
		return DoubtPause
	case l.under >= l.global, as != proven && l.unproven >= max(l.global-part(ProvenPart), 1):
		return FullPause
	}
	return 0
}

// count needs the mutex.
func (l *Lanes) count(as standing, by int) {
	l.under += by
	if as != proven {
		l.unproven += by
	}
	if as == inDoubt {
		l.doubtful += by
	}
}

// touch needs the mutex.
func (l *Lanes) touch(a *lane) {
	l.touches++
	a.touched = l.touches
}

// forget makes room for one more origin: when all MaxOrigins are taken, the oldest tenth of the idle ones goes. It needs
// the mutex.
func (l *Lanes) forget() {
	if len(l.origins) < MaxOrigins {
		return
	}
	idle := make([]string, 0, len(l.origins))
	for origin, a := range l.origins {
		if len(a.under) == 0 {
			idle = append(idle, origin)
		}
	}
	sort.Slice(idle, func(i, j int) bool { return l.origins[idle[i]].touched < l.origins[idle[j]].touched })
	for _, origin := range idle[:min(len(idle), MaxOrigins/10)] {
		delete(l.origins, origin)
	}
}

// rest is the pause after so many failures in a row; origins that are not broken take none.
func rest(failures int) time.Duration {
	if failures < BreakerAfter {
		return 0
	}
	pause := FirstProbePause
	for range failures - BreakerAfter {
		if pause *= 2; pause >= LastProbePause {
			return LastProbePause
		}
	}
	return pause
}
