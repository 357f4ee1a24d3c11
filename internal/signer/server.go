package signer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

// A handler serves one method.
type handler func(ctx context.Context, s *Signer, body json.RawMessage) (any, error)

// serving makes a handler of a function on the body's own type.
func serving[Q any](do func(ctx context.Context, s *Signer, q Q) (any, error)) handler {
	return func(ctx context.Context, s *Signer, body json.RawMessage) (any, error) {
		var q Q
		if len(body) > 0 {
			if err := readValue(body, &q); err != nil {
				return nil, err
			}
		}
		return do(ctx, s, q)
	}
}

// houseMethods are what the gateway may ask. What loosens the policy is not among them.
func houseMethods() map[string]handler {
	return map[string]handler{
		"release": serving(func(ctx context.Context, s *Signer, q chain.Want) (any, error) { return s.Release(ctx, q) }),
		"marks":   serving(func(ctx context.Context, s *Signer, _ none) (any, error) { return s.Marks(ctx) }),
		"released": serving(func(ctx context.Context, s *Signer, q releasedRequest) (any, error) {
			return s.Released(ctx, q.Want, q.From)
		}),
		"stamp": serving(func(ctx context.Context, s *Signer, text string) (any, error) { return none{}, s.Stamp(ctx, text) }),
		"epoch": serving(func(ctx context.Context, s *Signer, _ none) (any, error) { return s.NewEpoch(ctx) }),
		"sign": serving(func(ctx context.Context, s *Signer, q wireUnsigned) (any, error) {
			u, err := q.unsigned()
			if err != nil {
				return nil, err
			}
			return s.Sign(ctx, u)
		}),
		"void":     serving(func(ctx context.Context, s *Signer, id string) (any, error) { return none{}, s.Void(ctx, id) }),
		"register": serving(func(ctx context.Context, s *Signer, q chain.Destination) (any, error) { return s.Register(ctx, q) }),
		"veto":     serving(vetoed),
		"signed": serving(func(ctx context.Context, s *Signer, q listRequest) (any, error) {
			all, err := s.Signed(ctx, q.After, q.Limit)
			return spendsToWire(all), err
		}),
		"destinations": serving(func(ctx context.Context, s *Signer, _ none) (any, error) { return s.Destinations(ctx) }),
		"renew":        serving(func(context.Context, *Signer, none) (any, error) { return none{}, nil }),
	}
}

func vetoed(ctx context.Context, s *Signer, q chain.Destination) (any, error) {
	return s.Veto(ctx, q.Merchant, q.Network, q.Address)
}

// operatorMethods are what the signer's own operator may ask.
func operatorMethods() map[string]handler {
	return map[string]handler{
		"destinations": serving(func(ctx context.Context, s *Signer, _ none) (any, error) { return s.Destinations(ctx) }),
		"pending": serving(func(ctx context.Context, s *Signer, _ none) (any, error) {
			all, err := s.Pending(ctx)
			return questionsToWire(all), err
		}),
		"approve": serving(func(ctx context.Context, s *Signer, q chain.Destination) (any, error) {
			return s.Approve(ctx, q.Merchant, q.Network, q.Address)
		}),
		"veto":           serving(vetoed),
		"approve-payout": serving(func(ctx context.Context, s *Signer, id string) (any, error) { return none{}, s.ApprovePayout(ctx, id) }),
		"halt":           serving(func(ctx context.Context, s *Signer, _ none) (any, error) { return none{}, s.Halt(ctx) }),
		"resume":         serving(func(ctx context.Context, s *Signer, _ none) (any, error) { return none{}, s.Resume(ctx) }),
		"status":         serving(func(ctx context.Context, s *Signer, _ none) (any, error) { return s.Status(ctx) }),
	}
}

// A server serves one socket.
type server struct {
	signer  *Signer
	methods map[string]handler
	lease   *lease // nil: none is needed
	stop    context.CancelCauseFunc
}

// Serve serves the gateway on a listener, one lease holder at a time, until the context ends (then nil), the listener fails,
// or the journal does (then ErrStopped, as only a fresh start helps). It closes the listener, and returns when the last request was answered.
func Serve(ctx context.Context, s *Signer, l net.Listener) error {
	return (&server{signer: s, methods: houseMethods(), lease: newLease(time.Now)}).serve(ctx, l)
}

// ServeOperator serves the signer's operator on a listener, as Serve does the gateway, without a lease.
func ServeOperator(ctx context.Context, s *Signer, l net.Listener) error {
	return (&server{signer: s, methods: operatorMethods()}).serve(ctx, l)
}

func (v *server) serve(ctx context.Context, l net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v.stop = cancel
	stop := context.AfterFunc(ctx, func() {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			v.signer.log.Warn("signer: close socket", "error", err)
		}
	})
	defer stop()
	free := make(chan struct{}, maxConns)
	for {
		c, err := l.Accept()
		if err != nil {
			return ended(ctx, err)
		}
		select {
		case free <- struct{}{}:
			all.Go(func() {
				defer func() { <-free }()
				v.talk(ctx, c)
			})
		default:
			v.turnAway(c)
		}
	}
}

// ended tells why nothing is accepted any more: nil where that was wanted.
func ended(ctx context.Context, err error) error {
	why := context.Cause(ctx)
	switch {
	case why == nil:
		return fmt.Errorf("accept on signer's socket: %w", err)
	case errors.Is(why, ErrStopped):
		return why
	}
	return nil
}

// turnAway answers that there is no room. The answer is short enough for the kernel to take it at once.
func (v *server) turnAway(c net.Conn) {
	err := errors.Join(c.SetDeadline(time.Now().Add(time.Second)), writeFrame(c, reply{Error: toWire(ErrBusy)}, maxReply), c.Close())
	if err != nil {
		v.signer.log.Warn("signer: turn connection away", "error", err)
	}
}

// talk serves one connection until it ends.
func (v *server) talk(ctx context.Context, c net.Conn) {
	at := &talker{server: v}
	stop := context.AfterFunc(ctx, func() { // what is being served ends first
		if err := closeRead(c); err != nil && !errors.Is(err, net.ErrClosed) {
			v.signer.log.Warn("signer: end connection", "error", err)
		}
	})
	defer stop()
	err := at.run(ctx, c)
	if at.instance != "" {
		v.lease.leave(at.instance)
	}
	if err := errors.Join(err, c.Close()); err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		v.signer.log.Warn("signer: connection ended", "error", err)
	}
}

// closeRead ends reading, whatever deadline is set afterwards. An answer can still leave.
func closeRead(c net.Conn) error {
	if half, ok := c.(interface{ CloseRead() error }); ok {
		return half.CloseRead()
	}
	return c.Close()
}

// A talker is one connection's state.
type talker struct {
	server   *server
	instance string // that took the lease here
}

func (t *talker) run(ctx context.Context, c net.Conn) error {
	for ctx.Err() == nil {
		if err := c.SetReadDeadline(time.Now().Add(idleFor)); err != nil {
			return err
		}
		var late error
		body, err := readFrame(c, MaxRequest, func() { late = c.SetReadDeadline(time.Now().Add(readWithin)) })
		if err = errors.Join(err, late); err != nil {
			return err
		}
		answer := t.serve(ctx, body)
		if err := c.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return err
		}
		if err := writeFrame(c, answer, maxReply); err != nil {
			return err
		}
		if e := answer.Error; e != nil && errors.Is(e.err(), ErrStopped) {
			t.server.stop(e.err())
		}
	}
	return nil
}

// serve answers one request. A request that began is ended, also when the signer is being stopped.
func (t *talker) serve(ctx context.Context, body []byte) reply {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveWithin)
	defer cancel()
	value, err := t.handle(ctx, body)
	if err != nil {
		return reply{Error: toWire(err)}
	}
	out, err := json.Marshal(value)
	if err != nil {
		return reply{Error: toWire(fmt.Errorf("write answer: %w", err))}
	}
	return reply{Body: out}
}

func (t *talker) handle(ctx context.Context, body []byte) (any, error) {
	var q request
	if err := readValue(body, &q); err != nil {
		return nil, err
	}
	if t.server.lease != nil {
		if q.Method == "lease" {
			return t.take(q.Body)
		}
		if err := t.server.lease.renew(t.instance, q.Fence); err != nil {
			return nil, err
		}
	}
	do := t.server.methods[q.Method]
	if do == nil {
		return nil, fmt.Errorf("%w: no method %.40q here", errFrame, q.Method)
	}
	return do(ctx, t.server.signer, q.Body)
}

func (t *talker) take(body []byte) (any, error) {
	var q leaseRequest
	if err := readValue(body, &q); err != nil {
		return nil, err
	}
	if err := checkText("an instance", q.Instance, maxInstance); err != nil {
		return nil, err
	}
	if t.instance != "" {
		return nil, fmt.Errorf("%w: this connection took the lease already", errFrame)
	}
	fence, err := t.server.lease.take(q.Instance)
	if err != nil {
		return nil, err
	}
	t.instance = q.Instance
	return leaseReply{fence}, nil
}
