package engine

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A watchSet tells in memory whether an address may be ours: fingerprints of every address ever released, given or free,
// so that an address is watched before anybody can pay to it. A false yes is rare and does no harm: whoever credits looks
// the address up. Its mutex owns the fields below it.
type watchSet struct {
	network money.Network
	seed    maphash.Seed

	mu    sync.RWMutex
	set   map[uint64]struct{}
	since time.Time
}

// complete tells whether every address released by now is in the set. Who scanned a block with it then has missed
// none that could be paid in that block.
func (s *watchSet) complete(tx Tx) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if tx.Now().Before(s.since) {
		return false, nil // the clock was set back: refresh looks at all of them
	}
	for since, after := s.since, ""; ; {
		page, err := tx.ReleasedSince(s.network, since, after, Batch)
		if err != nil {
			return false, err
		}
		for _, a := range page {
			if _, ok := s.set[maphash.String(s.seed, a.Address)]; !ok {
				return false, nil
			}
			since, after = a.At, a.Address
		}
		if len(page) < Batch {
			return true, nil
		}
	}
}

func newWatchSet(n money.Network) *watchSet {
	return &watchSet{network: n, seed: maphash.MakeSeed(), set: map[uint64]struct{}{}}
}

func (s *watchSet) has(address string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.set[maphash.String(s.seed, address)]
	return ok
}

// refresh adds what was released since the last time. It looks back by ReleaseOverlap, for rows that commit late, and at
// all where the clock has been set back: what was released since then bears times that were looked at before.
func (s *watchSet) refresh(ctx context.Context, store Store) error {
	return store.View(ctx, func(tx Tx) error {
		began, after := tx.Now(), ""
		s.mu.Lock()
		defer s.mu.Unlock()
		since := s.since
		if began.Before(since) {
			since = time.Time{}
		}
		for {
			page, err := tx.ReleasedSince(s.network, since, after, Batch)
			if err != nil {
				return err
			}
			for _, a := range page {
				s.set[maphash.String(s.seed, a.Address)] = struct{}{}
				since, after = a.At, a.Address
			}
			if len(page) < Batch {
				break
			}
		}
		s.since = began.Add(-ReleaseOverlap)
		return nil
	})
}

// A ticketSet tells in memory whether an outpoint may be one of ours: fingerprints of every credit that ever came to one of
// our addresses. A false yes is rare and does no harm: whoever meets a use looks the outpoint up. It belongs to one watcher.
type ticketSet struct {
	network money.Network
	seed    maphash.Seed
	set     map[uint64]struct{}
	last    int64 // number of the last deposit taken in
}

func newTicketSet(n money.Network) *ticketSet {
	return &ticketSet{network: n, seed: maphash.MakeSeed(), set: map[uint64]struct{}{}}
}

func (s *ticketSet) has(t chain.Ticket) bool {
	_, ok := s.set[maphash.String(s.seed, string(t))]
	return ok
}

// refresh adds the deposits made since the last time, and looks back a little for rows that commit late. Those that come in the same block as their own spending are not in it
// yet: PIPE never spends what no block holds.
func (s *ticketSet) refresh(tx Tx) error {
	from := max(0, s.last-TicketOverlap)
	for {
		page, err := tx.DepositRefs(s.network, from, Batch)
		if err != nil {
			return err
		}
		for _, r := range page {
			s.set[maphash.String(s.seed, r.Ref)] = struct{}{}
			from, s.last = r.N, max(s.last, r.N)
		}
		if len(page) < Batch {
			return nil
		}
	}
}
