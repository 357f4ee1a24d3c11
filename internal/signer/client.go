package signer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A line is a connection to a signer's socket that is made when it is needed and made again when it broke.
type line struct {
	path     string
	instance string // of a lease; "": none is taken

	turn chan struct{} // whoever is in it owns the rest
	conn net.Conn      // nil: none
	// fence is of the connection's lease.
	fence uint64
}

func newLine(path, instance string) *line {
	return &line{path: path, instance: instance, turn: make(chan struct{}, 1)}
}

// call asks and reads the answer into out. A connection that broke is made again once, as every call may be made twice.
func (l *line) call(ctx context.Context, method string, body, out any) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for signer: %w", ctx.Err())
	}
	defer func() { <-l.turn }()
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask signer to %s: %w", method, err)
	}
	for {
		kept := l.conn != nil
		if !kept {
			if err := l.connect(ctx); err != nil {
				return err
			}
		}
		answer, err := l.exchange(ctx, request{method, l.fence, raw})
		if err == nil && answer.Error != nil {
			err = answer.Error.err()
			if !errors.Is(err, ErrLeased) && !errors.Is(err, ErrBusy) && !errors.Is(err, errFrame) {
				return err
			}
			l.hangUp() // the signer will not listen here any more, or another time holds
		}
		switch {
		case err == nil:
			return readAnswer(answer.Body, out)
		case ctx.Err() != nil:
			return fmt.Errorf("ask signer to %s: %w", method, ctx.Err())
		case !kept || errors.Is(err, errFrame):
			return fmt.Errorf("ask signer to %s: %w", method, err)
		}
	}
}

// connect dials, and takes the lease where one is needed.
func (l *line) connect(ctx context.Context) error {
	d := net.Dialer{Timeout: dialWithin}
	c, err := d.DialContext(ctx, "unix", l.path)
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, l.path, err)
	}
	l.conn, l.fence = c, 0
	if l.instance == "" {
		return nil
	}
	body, err := json.Marshal(leaseRequest{l.instance})
	if err != nil {
		l.hangUp()
		return fmt.Errorf("take signer: %w", err)
	}
	answer, err := l.exchange(ctx, request{Method: "lease", Body: body})
	if err == nil && answer.Error != nil {
		err = answer.Error.err()
	}
	var got leaseReply
	if err == nil {
		err = readAnswer(answer.Body, &got)
	}
	if err != nil {
		l.hangUp()
		return fmt.Errorf("take signer: %w", err)
	}
	l.fence = got.Fence
	return nil
}

// exchange sends one request and reads its answer. After an error the connection is gone.
func (l *line) exchange(ctx context.Context, q request) (answer reply, err error) {
	c := l.conn
	defer func() {
		if err != nil {
			l.hangUp()
			if !errors.Is(err, errFrame) {
				err = fmt.Errorf("%w at %s: %w", ErrUnreachable, l.path, err)
			}
		}
	}()
	until := time.Now().Add(callWithin)
	if at, ok := ctx.Deadline(); ok && at.Before(until) {
		until = at
	}
	if err := c.SetDeadline(until); err != nil {
		return answer, err
	}
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		if err := c.SetDeadline(time.Unix(1, 0)); err != nil {
			return // it is closed already
		}
	})
	defer func() {
		if !stop() {
			<-cut // so that it cuts this call alone
			if err == nil {
				err = ctx.Err()
			}
		}
	}()
	if err := writeFrame(c, q, MaxRequest); err != nil {
		return answer, err
	}
	body, err := readFrame(c, maxReply, func() {})
	if err != nil {
		return answer, err
	}
	return answer, readValue(body, &answer)
}

func readAnswer(body []byte, out any) error {
	if out == nil {
		return nil
	}
	return readValue(body, out)
}

// hangUp ends the connection. What a close says of one that is given up matters to nobody.
func (l *line) hangUp() {
	if l.conn != nil {
		if err := l.conn.Close(); err == nil || errors.Is(err, net.ErrClosed) {
			l.conn = nil
		}
		l.conn, l.fence = nil, 0
	}
}

// A Client is a signer on the other side of a socket. Its methods are those of Signer, safe for concurrent use, and their
// errors the same, with ErrUnreachable and ErrLeased beside. From its first call on it holds the signer's lease, and says
// every few seconds that it lives.
type Client struct {
	line *line
	stop context.CancelFunc
	done sync.WaitGroup
}

// Dial makes a client of a signer's socket. Nothing is asked of the signer before the first call.
func Dial(path string) *Client {
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{line: newLine(path, rand.Text()), stop: stop}
	c.done.Go(func() { c.renew(ctx) })
	return c
}

// renew keeps the lease. Where the signer cannot be reached the next call says so.
func (c *Client) renew(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.line.turn <- struct{}{}
		if c.line.conn != nil {
			if answer, err := c.line.exchange(ctx, request{Method: "renew", Fence: c.line.fence}); err == nil && answer.Error != nil {
				c.line.hangUp()
			}
		}
		<-c.line.turn
	}
}

// Close gives the lease back and ends the connection.
func (c *Client) Close() error {
	c.stop()
	c.done.Wait()
	c.line.turn <- struct{}{}
	c.line.hangUp()
	<-c.line.turn
	return nil
}

// answered is a call with an answer of its own type.
func answered[A any](ctx context.Context, l *line, method string, body any) (A, error) {
	var out A
	err := l.call(ctx, method, body, &out)
	if err != nil {
		var nothing A
		return nothing, err
	}
	return out, nil
}

// Release is Signer.Release.
func (c *Client) Release(ctx context.Context, w chain.Want) (chain.Batch, error) {
	return answered[chain.Batch](ctx, c.line, "release", w)
}

// Marks is Signer.Marks.
func (c *Client) Marks(ctx context.Context) (chain.Marks, error) {
	return answered[chain.Marks](ctx, c.line, "marks", none{})
}

// Released is Signer.Released.
func (c *Client) Released(ctx context.Context, w chain.Want, from uint32) (chain.Batch, error) {
	return answered[chain.Batch](ctx, c.line, "released", releasedRequest{w, from})
}

// Stamp is Signer.Stamp.
func (c *Client) Stamp(ctx context.Context, text string) error {
	return c.line.call(ctx, "stamp", text, nil)
}

// NewEpoch is Signer.NewEpoch.
func (c *Client) NewEpoch(ctx context.Context) (uint64, error) {
	return answered[uint64](ctx, c.line, "epoch", none{})
}

// Sign is Signer.Sign.
func (c *Client) Sign(ctx context.Context, u chain.Unsigned) (chain.Signed, error) {
	if err := checkUnsigned(u); err != nil { // what is too long for the socket is refused alike
		return chain.Signed{}, err
	}
	return answered[chain.Signed](ctx, c.line, "sign", unsignedToWire(u))
}

// Void is Signer.Void.
func (c *Client) Void(ctx context.Context, id string) error {
	return c.line.call(ctx, "void", id, nil)
}

// Register is Signer.Register.
func (c *Client) Register(ctx context.Context, d chain.Destination) (chain.Destination, error) {
	return answered[chain.Destination](ctx, c.line, "register", d)
}

// Veto is Signer.Veto.
func (c *Client) Veto(ctx context.Context, merchant string, n money.Network, address string) (chain.Destination, error) {
	return answered[chain.Destination](ctx, c.line, "veto", chain.Destination{Merchant: merchant, Network: n, Address: address})
}

// Destinations is Signer.Destinations.
func (c *Client) Destinations(ctx context.Context) ([]Registered, error) {
	return answered[[]Registered](ctx, c.line, "destinations", none{})
}

// Signed is Signer.Signed.
func (c *Client) Signed(ctx context.Context, after string, limit int) ([]chain.SignedSpend, error) {
	all, err := answered[[]wireSpend](ctx, c.line, "signed", listRequest{after, limit})
	if err != nil {
		return nil, err
	}
	return spendsOf(all)
}

// An Operator is the signer's own operator on the other side of the operator's socket.
type Operator struct{ line *line }

// DialOperator makes an operator. Nothing is asked of the signer before the first call.
func DialOperator(path string) *Operator { return &Operator{newLine(path, "")} }

// Close ends the connection.
func (o *Operator) Close() error {
	o.line.turn <- struct{}{}
	o.line.hangUp()
	<-o.line.turn
	return nil
}

// Destinations is Signer.Destinations.
func (o *Operator) Destinations(ctx context.Context) ([]Registered, error) {
	return answered[[]Registered](ctx, o.line, "destinations", none{})
}

// Pending is Signer.Pending.
func (o *Operator) Pending(ctx context.Context) ([]Question, error) {
	all, err := answered[[]wireQuestion](ctx, o.line, "pending", none{})
	if err != nil {
		return nil, err
	}
	return questionsOf(all)
}

// Approve is Signer.Approve.
func (o *Operator) Approve(ctx context.Context, merchant string, n money.Network, address string) (chain.Destination, error) {
	return answered[chain.Destination](ctx, o.line, "approve", chain.Destination{Merchant: merchant, Network: n, Address: address})
}

// Veto is Signer.Veto.
func (o *Operator) Veto(ctx context.Context, merchant string, n money.Network, address string) (chain.Destination, error) {
	return answered[chain.Destination](ctx, o.line, "veto", chain.Destination{Merchant: merchant, Network: n, Address: address})
}

// ApprovePayout is Signer.ApprovePayout.
func (o *Operator) ApprovePayout(ctx context.Context, payout string) error {
	return o.line.call(ctx, "approve-payout", payout, nil)
}

// Halt is Signer.Halt.
func (o *Operator) Halt(ctx context.Context) error { return o.line.call(ctx, "halt", none{}, nil) }

// Resume is Signer.Resume.
func (o *Operator) Resume(ctx context.Context) error { return o.line.call(ctx, "resume", none{}, nil) }

// Status is Signer.Status.
func (o *Operator) Status(ctx context.Context) (Status, error) {
	return answered[Status](ctx, o.line, "status", none{})
}
