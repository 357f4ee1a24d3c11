// Package webhook renders, signs and sends callbacks to shops, and holds what keeps that safe: the guard that decides on
// each address really dialled, limits on everything that comes back, the retry schedule, and lanes that keep one shop's
// trouble from the others.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// Options say how a Sender may go out. The zero value sends to public https addresses at ports 443 and 8443.
type Options struct {
	AllowHTTP bool           // take http URLs too, and port 80
	Ports     []uint16       // ports that callbacks may go to; none: 443, 8443, and 80 where http is allowed
	Deny      []netip.Prefix // further networks that callbacks never reach: the operator's own
	NAT64     []netip.Prefix // prefixes of the operator's NAT64, whose addresses are judged by the IPv4 address inside
	Open      []Opening      // origins that may resolve to networks which are otherwise refused
	RootCAs   *x509.CertPool // whom to trust; nil: the system's roots
	UserAgent string         // "PIPE" if empty

	Resolver  Resolver                   // nil: the system's
	HostAddrs func() ([]net.Addr, error) // this host's interface addresses; nil: net.InterfaceAddrs
	Now       func() time.Time           // nil: time.Now
}

// A Sender sends callbacks. It may be used by many goroutines at once; how many, Lanes decide.
type Sender struct {
	guard     *guard
	transport *http.Transport
	userAgent string
	now       func() time.Time
	total     time.Duration // TotalTimeout, shorter in tests
}

// New makes a Sender. It fails on options that cannot be right: a NAT64 prefix of a length that RFC 6052 does not know, an
// opened origin that is none or names no network.
func New(o Options) (*Sender, error) {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.HostAddrs == nil {
		o.HostAddrs = net.InterfaceAddrs
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.UserAgent == "" {
		o.UserAgent = "PIPE"
	}
	g, err := newGuard(o)
	if err != nil {
		return nil, fmt.Errorf("set up callbacks: %w", err)
	}
	return &Sender{
		guard:     g,
		userAgent: o.UserAgent,
		now:       o.Now,
		total:     TotalTimeout,
		transport: &http.Transport{
			Proxy:                  nil, // the environment must not send callbacks elsewhere
			DialContext:            g.dial,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout:    TLSTimeout,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: MaxReplyHeader,
		},
	}, nil
}

// Check tells whether a message may go to the URL as far as its text can tell, with a reason made to be shown. It is a
// courtesy for those who register URLs; Send decides on the addresses really dialled.
func (s *Sender) Check(rawURL string) error {
	_, _, err := s.guard.check(rawURL)
	return err
}

// Send makes one try to deliver a message, within TotalTimeout, and answers what came of it. It follows no redirect and
// reads at most MaxReply bytes. Delivered means: the status is 2xx and the body, without byte order mark and surrounding
// white space, is "ok" in any case. Send never fails; a ctx that ends while sending makes Interrupted, of which nobody can
// say whether the shop got the message.
func (s *Sender) Send(ctx context.Context, m payment.Message) payment.Answer {
	started := s.now()
	a := s.try(ctx, m, started)
	a.Took = max(s.now().Sub(started), 0)
	a.Detail = clip(a.Detail, MaxDetail)
	return a
}

func (s *Sender) try(parent context.Context, m payment.Message, at time.Time) payment.Answer {
	u, to, err := s.guard.check(m.URL)
	if err != nil {
		return answer(NotPublic, err.Error())
	}
	signature, err := Sign(m.ID, at, m.Body, m.Secrets)
	if err != nil {
		return answer(Other, err.Error())
	}
	ctx, cancel := context.WithTimeout(context.WithValue(parent, targetKey{}, to), s.total)
	defer cancel()
	var step progress
	req, err := s.request(httptrace.WithClientTrace(ctx, step.trace()), u, m)
	if err != nil {
		return answer(Other, err.Error())
	}
	req.Header.Set(HeaderID, m.ID)
	req.Header.Set(HeaderTimestamp, timestamp(at))
	req.Header.Set(HeaderSignature, signature)
	sent := headerLines(req.Header)

	// RoundTrip, not a Client: a client follows redirects and adds cookies and credentials of its own.
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		a := failed(parent, err, step.now())
		if step.now() == stepSend { // before, nothing was sent
			a.Sent = sent
		}
		return a
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxReply+1))
	cancel() // whatever is still coming is not wanted
	closing := res.Body.Close()
	if err == nil && closing != nil && len(body) <= MaxReply {
		err = closing
	}
	a := payment.Answer{Status: res.StatusCode, Body: body[:min(len(body), MaxReply)], Sent: sent, Headers: headerLines(res.Header)}
	if err != nil {
		cut := failed(parent, err, step.now())
		a.Verdict, a.Detail = cut.Verdict, cut.Detail
		return a
	}
	v := Judgement(res.StatusCode, body)
	a.Verdict, a.Delivered = string(v), v == Delivered
	switch v {
	case Delivered:
	case Redirect:
		a.Detail = fmt.Sprintf("status %d to %q", res.StatusCode, clip(res.Header.Get("Location"), MaxDetail))
	default:
		a.Detail = fmt.Sprintf("status %d, content type %q", res.StatusCode, clip(res.Header.Get("Content-Type"), MaxDetail))
	}
	return a
}

func (s *Sender) request(ctx context.Context, u *url.URL, m payment.Message) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.GetBody = nil // one try is one request: nothing is sent a second time inside it
	req.Header.Set("Content-Type", m.ContentType)
	req.Header.Set("Accept", "text/plain, */*")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", s.userAgent)
	return req, nil
}

func answer(v Verdict, detail string) payment.Answer {
	return payment.Answer{Verdict: string(v), Detail: detail}
}

// A progress says how far a try came: the transport's goroutines write it.
type progress struct{ step atomic.Int32 }

const (
	stepConnect = iota
	stepTLS
	stepSend
)

func (p *progress) now() int32 { return p.step.Load() }

func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		TLSHandshakeStart: func() { p.step.Store(stepTLS) },
		GotConn:           func(httptrace.GotConnInfo) { p.step.Store(stepSend) },
	}
}

// failed names what went wrong before there was a whole answer.
func failed(parent context.Context, err error, step int32) payment.Answer {
	var (
		dns     *net.DNSError
		resolve *resolveError
		connect *connectError
	)
	switch {
	case parent.Err() != nil:
		return answer(Interrupted, "stopped while sending")
	case errors.Is(err, ErrNotPublic):
		return answer(NotPublic, reason(err))
	case errors.As(err, &resolve):
		detail := "the name could not be looked up"
		if errors.As(err, &dns) {
			detail = dns.Err // without the name server's address
		}
		return answer(DNS, detail)
	case errors.As(err, &connect):
		if isTimeout(err) {
			return answer(Timeout, "no connection in time")
		}
		return answer(RefusedConnection, "the connection was refused or not possible")
	case step == stepTLS:
		if isTimeout(err) {
			return answer(Timeout, "the TLS handshake did not end in time")
		}
		return answer(TLS, reason(err))
	case isTimeout(err):
		if step == stepConnect {
			return answer(Timeout, "no connection in time")
		}
		return answer(Timeout, "no whole answer in time")
	}
	return answer(Other, reason(err))
}

// reason is the innermost sentence of a failure, without the layers of the dialer: those name this host's own addresses,
// which are not the merchant's to know.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &t) && t.Timeout()
}
