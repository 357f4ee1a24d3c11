// Package web is the shell of all front doors: handlers that return errors, request ids, one log line per request, peer
// addresses, limits, security headers, texts, formats, static files and live feeds.
package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A Handler answers a request or returns why it cannot. It returns an error only before it wrote anything; the Shell then
// answers in its stead.
type Handler func(w http.ResponseWriter, r *http.Request) error

// A Shell makes http.Handlers of Handlers. Every request gets an id, a peer address and one log line. Its fields do not
// change once it is in use.
type Shell struct {
	Log   *slog.Logger
	Peers Peers
	// Failed answers a request that failed. It writes the status, headers and body in its front door's own form.
	Failed func(w http.ResponseWriter, r *http.Request, f Failure)
}

// A Failure is an error as the caller may see it.
type Failure struct {
	Status    int
	Err       *payment.Error // never nil; of kind Internal where the cause must not be shown
	RequestID string
}

type requestKey struct{}

// request is what the Shell knows of a request.
type request struct {
	id    string
	peer  netip.Addr
	attrs []slog.Attr
}

// RequestID is the id of the request, "" outside a Shell.
func RequestID(ctx context.Context) string {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		return q.id
	}
	return ""
}

// PeerAddr is who really called: the TCP peer, or the address that a configured proxy names. It is invalid outside a Shell.
func PeerAddr(ctx context.Context) netip.Addr {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		return q.peer
	}
	return netip.Addr{}
}

// Note adds an attribute to the request's log line. It is for the goroutine that serves the request.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		q.attrs = append(q.attrs, attrs...)
	}
}

// Handle makes an http.Handler of h.
func (s Shell) Handle(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		q := &request{id: newRequestID()}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, q))
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("X-Request-Id", q.id)
		var err error
		if q.peer, err = s.Peers.Addr(r); err == nil {
			err = s.run(h, rec, r)
		}
		if err != nil && rec.status == 0 && !gone(r, err) {
			f := failure(err)
			f.RequestID = q.id
			s.Failed(rec, r, f)
		}
		s.line(r, rec, start, err)
	})
}

// run turns a panic into an error, so that one bad request ends neither the process nor its log line.
func (s Shell) run(h Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p == http.ErrAbortHandler: //nolint:errorlint // a recovered value, which net/http compares so
			panic(p)
		default:
			err = fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return h(w, r)
}

// line writes the request's one log line. A refusal is the caller's matter; what is not a refusal is ours.
func (s Shell) line(r *http.Request, rec *recorder, start time.Time, err error) {
	q, ok := r.Context().Value(requestKey{}).(*request)
	if !ok {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", q.id), slog.String("method", r.Method), slog.String("route", r.Pattern),
		slog.String("path", r.URL.Path), slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes),
		slog.Duration("took", time.Since(start)), slog.String("peer", q.peer.String()),
	}
	attrs = append(attrs, q.attrs...)
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		if failure(err).Err.Kind == payment.Internal && !gone(r, err) {
			level = slog.LevelError
		}
	}
	s.Log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
}

// gone tells whether the caller left before the answer.
func gone(r *http.Request, err error) bool {
	return errors.Is(err, context.Canceled) && r.Context().Err() != nil
}

func newRequestID() string {
	b := make([]byte, requestIDBytes)
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand never fails on the systems that Go supports
	}
	return hex.EncodeToString(b)
}

// A recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
