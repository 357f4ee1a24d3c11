package signer

import (
	"fmt"
	"sync"
	"time"
)

// A lease says which program may use a signer. Every change of hands raises the fence, and what bears an older one is turned
// away, however late it arrives. The lease ends with the last connection of its holder, or once Lease has passed without
// a word. The fence begins at the clock's nanoseconds, so that it rises over restarts of the signer too.
type lease struct {
	now func() time.Time

	mu     sync.Mutex // owns the rest
	holder string     // "": free
	fence  uint64
	until  time.Time
	conns  map[string]int
}

func newLease(now func() time.Time) *lease {
	return &lease{now: now, fence: uint64(now().UnixNano()), conns: map[string]int{}}
}

// take gives the lease to a program, where it is free, its own already, or fallen silent.
func (l *lease) take(instance string) (fence uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != "" && l.holder != instance && l.now().Before(l.until) {
		return 0, fmt.Errorf("%w; it was heard of %s ago", ErrLeased, (Lease - l.until.Sub(l.now())).Round(time.Second))
	}
	if l.holder != instance {
		l.holder = instance
		l.fence++
	}
	l.until = l.now().Add(Lease)
	l.conns[instance]++
	return l.fence, nil
}

// renew lets one request of the holder pass.
func (l *lease) renew(instance string, fence uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if instance == "" || l.holder != instance || l.fence != fence {
		return fmt.Errorf("%w; the lease of this one is over", ErrLeased)
	}
	l.until = l.now().Add(Lease)
	return nil
}

// leave ends a connection that took the lease.
func (l *lease) leave(instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[instance]--; l.conns[instance] > 0 {
		return
	}
	delete(l.conns, instance)
	if l.holder == instance {
		l.holder = ""
	}
}
