package web

import (
	"net/netip"
	"sync"
	"time"
)

// A Limiter is a token bucket per key in bounded memory. When full it forgets the half of its keys that was used least
// lately; a forgotten key starts anew with a full bucket. It is safe for concurrent use.
type Limiter struct {
	every time.Duration // one token
	burst int

	mu       sync.Mutex // guards what follows
	now, old map[string]bucket
	keep     int // keys per half
}

// A bucket is kept as the moment at which it would be full again.
type bucket struct{ full time.Time }

// NewLimiter allows count requests in each window and key, all of them at once if need be.
func NewLimiter(count int, window time.Duration) *Limiter {
	return NewBurstLimiter(count, window, count)
}

// NewBurstLimiter allows count requests in each window and key in the long run, and burst at once.
func NewBurstLimiter(count int, window time.Duration, burst int) *Limiter {
	return &Limiter{
		every: window / time.Duration(max(count, 1)), burst: max(burst, 1), keep: LimiterKeys / 2,
		now: map[string]bucket{}, old: map[string]bucket{},
	}
}

// Allow takes a token and tells whether there was one, and else how long until there is.
func (l *Limiter) Allow(key string, at time.Time) (ok bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.now[key]
	if !known {
		b = l.old[key]
		if len(l.now) >= l.keep {
			l.old, l.now = l.now, make(map[string]bucket, l.keep/8)
		}
	}
	if b.full.Before(at) {
		b.full = at
	}
	full := b.full.Add(l.every)
	if over := full.Sub(at) - l.every*time.Duration(l.burst); over > 0 {
		l.now[key] = b
		return false, over
	}
	l.now[key] = bucket{full}
	return true, 0
}

// Caller is the key of an address: an IPv4 address, or the subnet of an IPv6 address, of which anybody has many.
func Caller(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(v6Prefix); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// Slots counts what is held open per key and in all. It is safe for concurrent use.
type Slots struct {
	perKey, most int

	mu   sync.Mutex // guards what follows
	held map[string]int
	all  int
}

// NewSlots allows so many per key and in all.
func NewSlots(perKey, most int) *Slots {
	return &Slots{perKey: perKey, most: most, held: map[string]int{}}
}

// Take takes a slot, which release gives back; release must be called once. ok is false where none is left.
func (s *Slots) Take(key string) (release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[key] >= s.perKey || s.all >= s.most {
		return func() {}, false
	}
	s.held[key]++
	s.all++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.held[key]--; s.held[key] <= 0 {
			delete(s.held, key)
		}
		s.all--
	}, true
}
