// Package api is the merchants' API: /api/v1, as the guide and docs/openapi.json describe it. Bodies of three encodings
// become one flat list of texts, the engine's desk does the work, and every answer has the form {code, message, data}.
package api

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

//go:embed openapi.json
var description []byte

// Options say what the API works with. Limits that are zero have their defaults.
type Options struct {
	Desk      *engine.Desk
	PublicURL string // what invoice_url begins with, like https://pay.example; a slash at its end does not matter
	Peers     web.Peers
	Log       *slog.Logger
	// Explain says in one line what became of a test callback and what to do, for a verdict in "en" or "ko"; nil says the
	// verdict alone.
	Explain func(verdict, language string) string

	RatePerKey     int // calls a second of one application, BurstSeconds times that at once
	RatePerIP      int // calls a second of one address; 0: IPShare times RatePerKey
	TestsPerMinute int // of one application
	ReadBody       time.Duration
	Now            func() time.Time
}

// api holds what calls share. It does not change.
type api struct {
	desk                *engine.Desk
	log                 *slog.Logger
	publicURL           string
	explain             func(verdict, language string) string
	now                 func() time.Time
	bodies              bodyReader
	perIP, perKey, test *web.Limiter
}

// New makes the API's handler. It serves /api/v1/… and /openapi.json, and answers code 4041 for anything else. It fails on
// options that cannot be right.
func New(o Options) (http.Handler, error) {
	if u, err := url.Parse(o.PublicURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("set up API: public URL %q is not like https://pay.example", o.PublicURL)
	}
	if o.Desk == nil || o.Log == nil {
		return nil, errors.New("set up API: there is no desk or no log")
	}
	if o.Explain == nil {
		o.Explain = func(verdict, _ string) string { return verdict }
	}
	if o.RatePerKey <= 0 {
		o.RatePerKey = DefaultRatePerKey
	}
	if o.RatePerIP <= 0 {
		o.RatePerIP = IPShare * o.RatePerKey
	}
	if o.TestsPerMinute <= 0 {
		o.TestsPerMinute = DefaultTestsPerMinute
	}
	if o.ReadBody <= 0 {
		o.ReadBody = ReadBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &api{
		desk: o.Desk, log: o.Log, publicURL: strings.TrimRight(o.PublicURL, "/"), explain: o.Explain, now: o.Now,
		bodies: bodyReader{o.ReadBody, web.NewSlots(BigBodiesPerIP, BigBodies)},
		perIP:  web.NewBurstLimiter(o.RatePerIP, time.Second, BurstSeconds*o.RatePerIP),
		perKey: web.NewBurstLimiter(o.RatePerKey, time.Second, BurstSeconds*o.RatePerKey),
		test:   web.NewLimiter(o.TestsPerMinute, time.Minute),
	}
	return a.routes(web.Shell{Log: o.Log, Peers: o.Peers, Failed: a.failed}), nil
}

// routes lists every route there is.
func (a *api) routes(s web.Shell) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/v1/invoice/create", s.Handle(a.serve(a.create)))
	mux.Handle("/api/v1/invoice/get", s.Handle(a.serve(a.get)))
	mux.Handle("/api/v1/invoice/refund", s.Handle(a.serve(a.refund)))
	mux.Handle("/api/v1/test/callback", s.Handle(a.serve(a.testCallback)))
	mux.Handle("/openapi.json", s.Handle(a.describe))
	nothing := s.Handle(noRoute)
	mux.Handle("/", nothing)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect || path.Clean("/"+r.URL.Path) != r.URL.Path {
			nothing.ServeHTTP(w, r) // the mux would answer with a redirect to the clean path, in a form that is not ours
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func noRoute(http.ResponseWriter, *http.Request) error {
	return payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is no such call: check the path")
}

// describe answers the OpenAPI document. Its server is relative, so that it is right wherever it is served.
func (a *api) describe(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return payment.Refuse(payment.Invalid, payment.WordMethod, "%s is not taken here: read with GET", shown(r.Method))
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	return web.Send(w, r, http.StatusOK, description)
}
