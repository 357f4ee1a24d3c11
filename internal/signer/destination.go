package signer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// Register makes an address a destination of a merchant's settlements and withdrawals, durably, and tells from when on it is
// payable: at once, after Policy.DestinationDelay, or (the zero time) once it was approved. One that is registered stays as
// it was. Errors: ErrWant, ErrNetwork, ErrBinding where no address was ever released for the merchant, chain.ErrRefused for
// a vetoed one and above MaxDestinations; ErrStopped, ErrClosed.
func (s *Signer) Register(ctx context.Context, d chain.Destination) (chain.Destination, error) {
	r := decide{actRegister, d.Merchant, d.Network, d.Address}
	if err := checkDecide(r); err != nil {
		return chain.Destination{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return chain.Destination{}, err
	}
	b := s.journal.book
	has := b.destinations[r.name()]
	switch {
	case has != nil && has.vetoed:
		return chain.Destination{}, refuse("the destination %s was vetoed", d.Address)
	case has != nil:
		return s.told(has), nil
	case b.registered[nameOf(d.Merchant, string(d.Network))] >= MaxDestinations:
		return chain.Destination{}, refuse("a merchant has at most %d destinations on a network", MaxDestinations)
	}
	if err := s.journal.append(s.now(), r); err != nil {
		return chain.Destination{}, fmt.Errorf("register destination: %w", err)
	}
	d = s.told(b.destinations[r.name()])
	s.log.Warn("signer: destination registered", "merchant", d.Merchant, "network", d.Network, "address", d.Address, "from", d.From)
	return d, nil
}

func checkDecide(r decide) error {
	if err := checkMerchant(r.merchant); err != nil {
		return err
	}
	if len(r.network) > MaxNetwork {
		return fmt.Errorf("%w: a network's name has at most %d bytes", ErrWant, MaxNetwork)
	}
	at, err := placeOf(r.network)
	if err != nil {
		return err
	}
	if _, err := at.receiver(r.address); err != nil {
		return fmt.Errorf("%w: %w", ErrWant, err)
	}
	return nil
}

func (s *Signer) told(d *destination) chain.Destination {
	return chain.Destination{Merchant: d.merchant, Network: d.network, Address: d.address, From: s.policy.payableFrom(d)}
}

// A Registered is a destination as the signer's operator sees it.
type Registered struct {
	chain.Destination // From is zero where it waits for approval, and where it was vetoed
	At                time.Time
	Approved          bool
	Vetoed            bool
}

// Destinations lists all destinations, by merchant, network and time. Errors: ErrStopped, ErrClosed.
func (s *Signer) Destinations(ctx context.Context) ([]Registered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	all := []Registered{}
	for _, d := range s.journal.book.destinations {
		all = append(all, Registered{s.told(d), time.UnixMilli(d.registered), d.approved != 0, d.vetoed})
	}
	slices.SortFunc(all, func(x, y Registered) int {
		return cmp.Or(cmp.Compare(x.Merchant, y.Merchant), cmp.Compare(x.Network, y.Network), x.At.Compare(y.At), cmp.Compare(x.Address, y.Address))
	})
	return all, nil
}

// Approve lets a registered destination's delay begin now; one that was vetoed is on again. It is for the signer's own
// operator. Errors: ErrWant where it is not registered; ErrStopped, ErrClosed.
func (s *Signer) Approve(ctx context.Context, merchant string, n money.Network, address string) (chain.Destination, error) {
	return s.decide(ctx, decide{actApprove, merchant, n, address})
}

// Veto forbids a destination from now on, until it is approved. Errors: as Approve.
func (s *Signer) Veto(ctx context.Context, merchant string, n money.Network, address string) (chain.Destination, error) {
	return s.decide(ctx, decide{actVeto, merchant, n, address})
}

func (s *Signer) decide(ctx context.Context, r decide) (chain.Destination, error) {
	if err := checkDecide(r); err != nil {
		return chain.Destination{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return chain.Destination{}, err
	}
	has := s.journal.book.destinations[r.name()]
	switch {
	case has == nil:
		return chain.Destination{}, fmt.Errorf("%w: %s is no registered destination of merchant %s on %s", ErrWant, r.address, r.merchant, r.network)
	case r.act == actVeto && has.vetoed, r.act == actApprove && has.approved != 0:
		return s.told(has), nil
	}
	if err := s.journal.append(s.now(), r); err != nil {
		return chain.Destination{}, fmt.Errorf("decide about destination: %w", err)
	}
	s.log.Warn("signer: destination decided", "merchant", r.merchant, "network", r.network, "address", r.address, "approved", r.act == actApprove)
	return s.told(has), nil
}

// A Question is a payout that waits for time or approval.
type Question struct {
	Payout   string
	Attempt  int
	Merchant string
	Network  money.Network
	Cause    chain.Cause
	To       string
	Amount   money.Amount
	At       time.Time // when it was asked first
	Approved bool
}

// Pending lists the payouts that wait, the oldest first. Errors: ErrStopped, ErrClosed.
func (s *Signer) Pending(ctx context.Context) ([]Question, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	all := []Question{}
	for _, a := range s.journal.book.asks {
		t, err := s.termsOf(a)
		if err != nil {
			return nil, err
		}
		all = append(all, Question{t.payout, t.attempt, t.merchant, t.network, t.cause, t.to, t.amount, time.UnixMilli(a.at), a.approved})
	}
	slices.SortFunc(all, func(x, y Question) int { return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Payout, y.Payout)) })
	return all, nil
}

func (s *Signer) termsOf(a *asked) (terms, error) {
	r, err := s.journal.read(a.spot)
	if err != nil {
		return terms{}, err
	}
	q, ok := r.(ask)
	if !ok {
		return terms{}, s.journal.stop(fmt.Errorf("%w: no question at byte %d", ErrJournalDamaged, a.spot.off))
	}
	return q.terms, nil
}

// ApprovePayout lets a payout that waits be signed whatever the caps say, to the address and for the amount that it asked
// for last. It is for the signer's own operator. Errors: ErrWant where it does not wait; ErrStopped, ErrClosed.
func (s *Signer) ApprovePayout(ctx context.Context, payout string) error {
	if err := checkText("a payout id", payout, MaxID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	a := s.journal.book.asks[nameOf(payout)]
	if a == nil {
		return fmt.Errorf("%w: payout %s does not wait", ErrWant, payout)
	}
	if a.approved {
		return nil
	}
	t, err := s.termsOf(a)
	if err != nil {
		return err
	}
	if err := s.journal.append(s.now(), ask{actApprove, t}); err != nil {
		return fmt.Errorf("approve payout: %w", err)
	}
	s.log.Warn("signer: payout approved", "payout", payout, "merchant", t.merchant, "to", t.to, "amount", t.amount.String())
	return nil
}

// Halt turns the kill switch: from now on nothing is signed, durably. Addresses are released as before. Errors: ErrStopped,
// ErrClosed.
func (s *Signer) Halt(ctx context.Context) error { return s.turn(ctx, true) }

// Resume ends a Halt. Errors: as Halt.
func (s *Signer) Resume(ctx context.Context) error { return s.turn(ctx, false) }

func (s *Signer) turn(ctx context.Context, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if s.journal.book.halted == on {
		return nil
	}
	if err := s.journal.append(s.now(), halt{on}); err != nil {
		return fmt.Errorf("turn kill switch: %w", err)
	}
	s.log.Warn("signer: kill switch", "halted", on)
	return nil
}

// A Status is what a signer says of itself.
type Status struct {
	Journal      string
	Bytes        int64 // of the journal
	Epoch        uint64
	Halted       bool
	Merchants    int
	Spends       int // known, void ones included
	Signed       int // spends
	Destinations int
	Pending      int // payouts that wait
}

// Status gives the signer's numbers. Errors: ErrStopped, ErrClosed.
func (s *Signer) Status(ctx context.Context) (Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return Status{}, err
	}
	b := s.journal.book
	return Status{s.journal.id, s.journal.size, b.epoch, b.halted, len(b.merchant), len(b.spends), len(b.order), len(b.destinations), len(b.asks)}, nil
}
