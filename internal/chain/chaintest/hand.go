package chaintest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

// A Hand signs what builders of fake chains build. It keeps a journal, as a signer does, and refuses what would pay twice: a
// ticket in two spends, a payout's attempt in two spends, other bytes for a version, a version whose anchor not all before it
// use. A ticket that a version leaves out is free again, as every version that uses it conflicts with that one. Each request that
// is refused so is a fault of whoever asks, and Broken lists them. Its mutex owns all fields.
type Hand struct {
	mu     sync.Mutex
	signed map[string]map[int]made // by spend and version
	void   map[string]bool
	owner  map[string]string   // spend of a ticket, or of an attempt of a payout
	common map[string][]string // by spend: the tickets that all its versions use
	broken []string

	// Rule decides about a version before it is signed: nil, *chain.Wait or chain.ErrRefused. nil allows all.
	Rule func(u chain.Unsigned) error
	// Destination decides about one that is registered; nil: payable at once.
	Destination func(d chain.Destination) (from time.Time, err error)
}

type made struct {
	raw string
	out chain.Signed
}

// NewHand is one with an empty journal.
func NewHand() *Hand {
	return &Hand{signed: map[string]map[int]made{}, void: map[string]bool{}, owner: map[string]string{}, common: map[string][]string{}}
}

// Set changes what it allows.
func (h *Hand) Set(change func(h *Hand)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

// Broken are the requests that no correct caller makes.
func (h *Hand) Broken() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.broken)
}

// Signed counts the spends that were signed.
func (h *Hand) Signed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.signed)
}

func (h *Hand) fault(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	h.broken = append(h.broken, text)
	return fmt.Errorf("%s: %w", text, chain.ErrRefused)
}

// Sign answers the same bytes for the same spend and version.
func (h *Hand) Sign(ctx context.Context, u chain.Unsigned) (chain.Signed, error) {
	if err := ctx.Err(); err != nil {
		return chain.Signed{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if was, ok := h.signed[u.Spend][u.Version]; ok {
		if was.raw != string(u.Raw) {
			return chain.Signed{}, h.fault("version %d of %s was signed with other bytes", u.Version, u.Spend)
		}
		return was.out, nil
	}
	if h.void[u.Spend] {
		return chain.Signed{}, fmt.Errorf("%s is void: %w", u.Spend, chain.ErrRefused)
	}
	var names []string
	ticket := func(t chain.Ticket) string { return "ticket " + string(u.Network) + " " + string(t) }
	for _, held := range u.Holdings {
		names = append(names, ticket(held.Ticket))
	}
	tickets := slices.Clone(names)
	if all, ok := h.common[u.Spend]; !slices.Contains(tickets, ticket(u.Anchor)) || ok && !slices.Contains(all, ticket(u.Anchor)) {
		return chain.Signed{}, h.fault("version %d of %s has an anchor that not all versions use", u.Version, u.Spend)
	}
	for _, p := range u.Pays {
		names = append(names, fmt.Sprintf("attempt %d of payout %s", p.Attempt, p.Payout))
	}
	for _, name := range names {
		if other, ok := h.owner[name]; ok && other != u.Spend {
			return chain.Signed{}, h.fault("%s is of %s, and wanted by %s", name, other, u.Spend)
		}
	}
	if h.Rule != nil {
		if err := h.Rule(u); err != nil {
			return chain.Signed{}, err
		}
	}
	out, err := Sign(u)
	if err != nil {
		h.broken = append(h.broken, err.Error())
		return out, err
	}
	for _, name := range names {
		h.owner[name] = u.Spend
	}
	if h.signed[u.Spend] == nil {
		h.signed[u.Spend], h.common[u.Spend] = map[int]made{}, tickets
	}
	h.common[u.Spend] = slices.DeleteFunc(h.common[u.Spend], func(name string) bool {
		left := !slices.Contains(tickets, name)
		if left {
			delete(h.owner, name)
		}
		return left
	})
	h.signed[u.Spend][u.Version] = made{string(u.Raw), out}
	return out, nil
}

// Void promises never to sign a spend.
func (h *Hand) Void(ctx context.Context, spend string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.signed[spend]) > 0 {
		return fmt.Errorf("%s was signed: %w", spend, chain.ErrRefused)
	}
	h.void[spend] = true
	return nil
}

// Register tells from when on a destination is paid to.
func (h *Hand) Register(ctx context.Context, d chain.Destination) (chain.Destination, error) {
	if err := ctx.Err(); err != nil {
		return d, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d.From = time.Unix(1, 0)
	if h.Destination != nil {
		from, err := h.Destination(d)
		if err != nil {
			return d, err
		}
		d.From = from
	}
	return d, nil
}
