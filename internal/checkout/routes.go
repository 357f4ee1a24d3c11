// Package checkout is the payment page and /pipe.js. The server renders every state; script only makes it live.
package checkout

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// A Desk is what payers can do; engine.Desk is it. Page changes nothing.
type Desk interface {
	Page(ctx context.Context, id payment.ID) (engine.View, error)
	Choose(ctx context.Context, id payment.ID, c engine.Choice) error
	MoreTime(ctx context.Context, id payment.ID) error
	SetRefundAddress(ctx context.Context, id payment.ID, c engine.RefundChange) (cookie string, err error)
	Cancel(ctx context.Context, id payment.ID, cookie string) error
	LookUp(ctx context.Context, id payment.ID, text string) (engine.Traced, error)
}

// Wakes tells when an invoice may have changed. A wake may be spurious and several may become one; a missed one only costs
// time, because feeds look by themselves too. cancel must be called once.
type Wakes interface {
	Subscribe(invoice payment.ID) (wake <-chan struct{}, cancel func(), err error)
}

// A Panel adds something to every payment page: the demo's faucet. Handler serves everything under /demo/, behind the same
// cross-site guard as the page's own forms. Render writes the panel for a view; its forms are plain ones that post to
// /demo/… and lead back to back. It may use the classes of the page's style sheet, and no script or style of its own.
type Panel struct {
	Handler http.Handler
	Render  func(v engine.View, back string) (template.HTML, error)
}

// Options are what the front door needs. Desk, Wakes, Nets, PublicURL and Log are required.
type Options struct {
	Desk      Desk
	Wakes     Wakes
	Nets      map[money.Currency]engine.Net
	PublicURL string // where payers reach this server: scheme and host, no path
	Peers     web.Peers
	Log       *slog.Logger

	Texts     web.Texts                // zero: the embedded ones
	Zone      *time.Location           // in which times are shown; nil: Seoul
	Explorers map[money.Network]string // a link to a transaction, with {txid} in it; absent: no link
	Sandbox   bool                     // says on every page that the coins have no value
	Panel     *Panel                   // nil: none

	RatePerPage, RatePerIP, RefundPerHour, LookupPerHour int // zero: the limits of this package
}

// A door is the front door: it holds what its handlers share and never changes once made.
type door struct {
	Options
	pages  *template.Template
	static *web.Static
	secure bool // the public URL is https

	perPage, perIP, refunds, lookups, allLookups *web.Limiter

	feeds *web.Slots
}

// New is the payment page's handler: /invoice-<ID>, /invoice/<ID>/…, /pipe.js, and under /pay/ its style and script.
func New(o Options) (http.Handler, error) {
	d, err := newDoor(o)
	if err != nil {
		return nil, err
	}
	page := web.Shell{Log: o.Log, Peers: o.Peers, Failed: d.failedPage}
	data := web.Shell{Log: o.Log, Peers: o.Peers, Failed: failedData}
	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin(web.Origin(o.PublicURL)); err != nil {
		return nil, fmt.Errorf("trust own origin: %w", err)
	}
	guard.SetDenyHandler(page.Handle(func(http.ResponseWriter, *http.Request) error {
		return payment.Refuse(payment.Forbidden, payment.WordScope, "this form was sent from another site")
	}))
	return guard.Handler(d.routes(page, data)), nil
}

// routes lists every route.
func (d *door) routes(page, data web.Shell) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /{page}", page.Handle(d.limited(d.page)))
	mux.Handle("POST /invoice/{id}/coin", page.Handle(d.limited(d.choose)))
	mux.Handle("POST /invoice/{id}/more", page.Handle(d.limited(d.more)))
	mux.Handle("GET /invoice/{id}/refund-address", page.Handle(d.limited(d.refundForm)))
	mux.Handle("POST /invoice/{id}/refund-address", page.Handle(d.limited(d.refundSave)))
	mux.Handle("GET /invoice/{id}/cancel", page.Handle(d.limited(d.cancelForm)))
	mux.Handle("POST /invoice/{id}/cancel", page.Handle(d.limited(d.cancel)))
	mux.Handle("GET /invoice/{id}/sent", page.Handle(d.limited(d.sentForm)))
	mux.Handle("POST /invoice/{id}/sent", page.Handle(d.limited(d.sentLook)))
	mux.Handle("GET /invoice/{id}/receipt", page.Handle(d.limited(d.receipt)))
	mux.Handle("GET /invoice/{id}/logo/{hash}", page.Handle(d.limited(d.logo)))
	mux.Handle("GET /invoice/{id}/status", data.Handle(d.limited(d.status)))
	mux.Handle("GET /invoice/{id}/feed", data.Handle(d.limited(d.feed)))
	mux.Handle("GET /pipe.js", page.Handle(d.static.ServePlain("pipe.js")))
	mux.Handle("GET "+staticPrefix+"in/{colour}/{name}", page.Handle(d.limited(d.tinted)))
	mux.Handle("GET /{$}", page.Handle(d.limited(d.home)))
	mux.Handle("GET "+staticPrefix, page.Handle(d.static.Serve))
	if d.Panel != nil {
		mux.Handle("/demo/", d.Panel.Handler)
	}
	mux.Handle("/", page.Handle(func(http.ResponseWriter, *http.Request) error { return noPage() }))
	return mux
}

const staticPrefix = "/pay/"

func newDoor(o Options) (*door, error) {
	if o.Desk == nil || o.Wakes == nil || o.Log == nil {
		return nil, errors.New("make payment page: Desk, Wakes and Log are required")
	}
	if web.Origin(o.PublicURL) == "" {
		return nil, fmt.Errorf("make payment page: the public URL %q is not an http or https URL", o.PublicURL)
	}
	d := &door{Options: o, secure: strings.HasPrefix(o.PublicURL, "https://")}
	var err error
	if !d.Texts.Loaded() {
		if d.Texts, err = web.LoadTexts(); err != nil {
			return nil, err
		}
	}
	if d.Zone == nil {
		d.Zone = web.Seoul()
	}
	d.perPage = web.NewLimiter(orElse(o.RatePerPage, RatePerPage), time.Minute)
	d.perIP = web.NewLimiter(orElse(o.RatePerIP, RatePerIP), time.Minute)
	d.refunds = web.NewLimiter(orElse(o.RefundPerHour, RefundPerHour), time.Hour)
	d.lookups = web.NewLimiter(orElse(o.LookupPerHour, LookupPerHour), time.Hour)
	d.allLookups = web.NewLimiter(LookupPerMinute, time.Minute)
	d.feeds = web.NewSlots(web.SSEPerPage, web.MaxFeeds)
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	if d.static, err = web.NewStatic(staticPrefix, files); err != nil {
		return nil, err
	}
	d.pages, err = template.New("").Funcs(template.FuncMap{"asset": d.static.URL}).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	return d, nil
}

func orElse(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// limited refuses callers who ask too often, of one invoice or in all.
func (d *door) limited(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, now := web.Caller(web.PeerAddr(r.Context())), time.Now()
		if ok, _ := d.perIP.Allow(who, now); !ok {
			return web.TooMany()
		}
		what := r.PathValue("id")
		if what == "" {
			what = strings.TrimPrefix(r.PathValue("page"), pagePrefix)
		}
		if id, ok := payment.ParseID(what); ok {
			if ok, _ := d.perPage.Allow(who+"/"+string(id), now); !ok {
				return web.TooMany()
			}
		}
		return h(w, r)
	}
}

const pagePrefix = "invoice-"

// pagePath and basePath are the page of an invoice and what its actions begin with.
func pagePath(id payment.ID) string { return "/" + pagePrefix + string(id) }
func basePath(id payment.ID) string { return "/invoice/" + string(id) }

// idOf is the invoice of an action's path. Error: no-such-invoice.
func idOf(r *http.Request) (payment.ID, error) {
	id, ok := payment.ParseID(r.PathValue("id"))
	if !ok {
		return "", payment.Refuse(payment.NotFound, payment.WordNoInvoice, "no such invoice")
	}
	return id, nil
}

func noPage() error {
	return payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is nothing at this address")
}
