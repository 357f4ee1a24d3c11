package engine_test

import (
	"context"
	"errors"
	"sync"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A way to fail.
type way int

const (
	never  way = iota
	glitch     // the call fails without effect and the process goes on
	before     // the process dies before the call has an effect
	after      // the process dies when the call has had its effect, and nobody learns of it
	lost       // the call has its effect and the answer is lost, and the process goes on
)

var errFault = errors.New("fault")

// faults count the calls to the outside and strike the n-th one. After a death nothing has an effect until revive.
type faults struct {
	mu    sync.Mutex
	n     int // calls so far
	at    int // strikes this one
	way   way
	dead  bool
	names []string
}

// plan strikes the n-th call from now, from 1.
func (f *faults) plan(n int, w way) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.at, f.way, f.dead, f.names = 0, n, w, false, nil
}

// died tells whether the process is dead.
func (f *faults) died() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *faults) revive() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = false
}

// call does one call to the outside, or what is left of it.
func (f *faults) call(name string, do func() error) error {
	f.mu.Lock()
	f.n++
	f.names = append(f.names, name)
	strike := never
	if f.n == f.at {
		strike = f.way
	}
	dead := f.dead
	f.dead = dead || strike == before || strike == after
	f.mu.Unlock()
	if dead || strike == glitch || strike == before {
		return errFault
	}
	if err := do(); err != nil {
		return err
	}
	if strike == after || strike == lost {
		return errFault
	}
	return nil
}

type faultyStore struct {
	f *faults
	s engine.Store
}

func (s faultyStore) Update(ctx context.Context, fn func(engine.Tx) error) error {
	return s.f.call("Update", func() error { return s.s.Update(ctx, fn) })
}

func (s faultyStore) View(ctx context.Context, fn func(engine.Tx) error) error {
	return s.f.call("View", func() error { return s.s.View(ctx, fn) })
}

type faultyReader struct {
	f *faults
	r chain.Reader
}

func (r faultyReader) Head(ctx context.Context) (h chain.Head, err error) {
	err = r.f.call("Head", func() (err error) { h, err = r.r.Head(ctx); return err })
	return h, err
}

func (r faultyReader) BlockAt(ctx context.Context, height uint64) (b chain.Block, err error) {
	err = r.f.call("BlockAt", func() (err error) { b, err = r.r.BlockAt(ctx, height); return err })
	return b, err
}

func (r faultyReader) Scan(ctx context.Context, b chain.Block, w chain.Watch) (found chain.Found, err error) {
	err = r.f.call("Scan", func() (err error) { found, err = r.r.Scan(ctx, b, w); return err })
	return found, err
}

func (r faultyReader) Pending(ctx context.Context, w chain.Watch) (p chain.Pending, err error) {
	err = r.f.call("Pending", func() (err error) { p, err = r.r.Pending(ctx, w); return err })
	return p, err
}

func (r faultyReader) Weigh(ctx context.Context, b chain.Block, all []chain.Weighed) (c chain.Found, err error) {
	err = r.f.call("Weigh", func() (err error) { c, err = r.r.Weigh(ctx, b, all); return err })
	return c, err
}

type faultySigner struct {
	f *faults
	s engine.Signer
}

func (s faultySigner) Release(ctx context.Context, w chain.Want) (b chain.Batch, err error) {
	err = s.f.call("Release", func() (err error) { b, err = s.s.Release(ctx, w); return err })
	return b, err
}

func (s faultySigner) Marks(ctx context.Context) (m chain.Marks, err error) {
	err = s.f.call("Marks", func() (err error) { m, err = s.s.Marks(ctx); return err })
	return m, err
}

func (s faultySigner) NewEpoch(ctx context.Context) (e uint64, err error) {
	err = s.f.call("NewEpoch", func() (err error) { e, err = s.s.NewEpoch(ctx); return err })
	return e, err
}

func (s faultySigner) Released(ctx context.Context, w chain.Want, from uint32) (b chain.Batch, err error) {
	err = s.f.call("Released", func() (err error) { b, err = s.s.Released(ctx, w, from); return err })
	return b, err
}

func (s faultySigner) Stamp(ctx context.Context, text string) error {
	return s.f.call("Stamp", func() error { return s.s.Stamp(ctx, text) })
}

type faultyHand struct {
	f *faults
	h engine.Hand
}

func (h faultyHand) Sign(ctx context.Context, u chain.Unsigned) (s chain.Signed, err error) {
	err = h.f.call("Sign", func() (err error) { s, err = h.h.Sign(ctx, u); return err })
	return s, err
}

func (h faultyHand) Void(ctx context.Context, spend string) error {
	return h.f.call("Void", func() error { return h.h.Void(ctx, spend) })
}

func (h faultyHand) Register(ctx context.Context, d chain.Destination) (is chain.Destination, err error) {
	err = h.f.call("Register", func() (err error) { is, err = h.h.Register(ctx, d); return err })
	return is, err
}

type faultyBuilder struct {
	f *faults
	b chain.Builder
}

func (b faultyBuilder) Fees(ctx context.Context) (fees chain.Fees, err error) {
	err = b.f.call("Fees", func() (err error) { fees, err = b.b.Fees(ctx); return err })
	return fees, err
}

func (b faultyBuilder) Build(ctx context.Context, d chain.Draft) (u chain.Unsigned, err error) {
	err = b.f.call("Build", func() (err error) { u, err = b.b.Build(ctx, d); return err })
	return u, err
}

func (b faultyBuilder) Broadcast(ctx context.Context, raw []byte) error {
	return b.f.call("Broadcast", func() error { return b.b.Broadcast(ctx, raw) })
}

type faultySender struct {
	f *faults
	s engine.Sender
}

func (s faultySender) Send(ctx context.Context, m payment.Message) (a payment.Answer) {
	err := s.f.call("Send", func() error { a = s.s.Send(ctx, m); return nil })
	if err != nil {
		return payment.Answer{Verdict: "no answer"}
	}
	return a
}

// over tells whether the planned call has come.
func (f *faults) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n >= f.at
}
