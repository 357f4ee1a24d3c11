package engine

import (
	"net/netip"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A PeerNote is an address that called, and when it did last.
type PeerNote struct {
	Peer netip.Addr
	At   time.Time // zero: never
}

// PeerNotes remember of each key from where it was used last, and of each application from where it was called last in vain,
// because the address is not registered. They live in this process alone: a restart forgets them, and where the API is served
// by other processes than the admin nothing is known. A nil *PeerNotes remembers nothing.
type PeerNotes struct {
	mu      sync.Mutex // guards all
	keys    map[payment.ID]PeerNote
	refusal map[payment.ID]PeerNote
}

// NewPeerNotes makes empty ones.
func NewPeerNotes() *PeerNotes {
	return &PeerNotes{keys: map[payment.ID]PeerNote{}, refusal: map[payment.ID]PeerNote{}}
}

func (p *PeerNotes) used(k payment.Key, peer netip.Addr, at time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	note(p.keys, k.ID, PeerNote{peer, at})
}

func (p *PeerNotes) refused(app payment.ID, peer netip.Addr, at time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	note(p.refusal, app, PeerNote{peer, at})
}

// note forgets some other note where there are too many.
func note(all map[payment.ID]PeerNote, id payment.ID, n PeerNote) {
	if _, known := all[id]; !known && len(all) >= MaxPeerNotes {
		for other := range all {
			delete(all, other)
			break
		}
	}
	all[id] = n
}

// Key is the last use of a key that is remembered.
func (p *PeerNotes) Key(id payment.ID) PeerNote {
	if p == nil {
		return PeerNote{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[id]
}

// Refused is the last call of an application that was refused for its address.
func (p *PeerNotes) Refused(app payment.ID) PeerNote {
	if p == nil {
		return PeerNote{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusal[app]
}
