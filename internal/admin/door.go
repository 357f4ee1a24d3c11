package admin

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

//go:embed text/*.json
var textFiles embed.FS

// Options are what the admin needs. Office, Desk, URL and Log are required.
type Options struct {
	Office *engine.Office
	Desk   *engine.Desk
	// Integrator changes applications; nil: one without a way to the signer.
	Integrator *engine.Integrator
	// Signer tells how the signer is, in its own words; nil: this process has no way to one.
	Signer func(ctx context.Context) (string, error)
	// Settings are those in force, secrets covered; nil: none are shown.
	Settings func() []Setting
	// Explain puts a callback's verdict into words of a language (en, ko); nil: the verdict's own word.
	Explain func(verdict, language string) string
	// PublicURL is what shops call the API, no path; "": no calls are shown. Statement prints an invoice as invoice/get does; nil: it is
	// not shown so.
	PublicURL string
	Statement func(fields []payment.Field) ([]byte, error)
	// Explorers show transactions to people, by network: URLs with {txid}.
	Explorers map[money.Network]string
	URL       string // where people reach the admin: scheme and host, no path
	Peers     web.Peers
	Log       *slog.Logger

	Zone    *time.Location // in which times are shown; nil: Seoul
	Sandbox bool           // says on every page that the coins have no value

	SignInRate, SignInBurst, RatePerIP int // zero: the limits of this package
}

// A Setting is one of the program's, as it is in force.
type Setting struct{ Key, Value string }

// A door is the front door: it holds what its pages share and never changes once made.
type door struct {
	Options
	texts     web.Texts
	templates *template.Template
	static    *web.Static
	secure    bool // the URL is https
	shell     web.Shell

	perIP, signIns, devices *web.Limiter
}

const staticPrefix = "/static/"

// New is the handler of the admin's own listener.
func New(o Options) (http.Handler, error) {
	d, err := newDoor(o)
	if err != nil {
		return nil, err
	}
	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin(web.Origin(o.URL)); err != nil {
		return nil, fmt.Errorf("trust own origin: %w", err)
	}
	guard.SetDenyHandler(d.shell.Handle(func(http.ResponseWriter, *http.Request) error {
		return payment.Refuse(payment.Forbidden, payment.WordScope, "this form was sent from another site")
	}))
	mux := http.NewServeMux()
	for _, r := range d.routes() {
		mux.Handle(r.method+" "+r.path, d.shell.Handle(d.guard(r)))
	}
	mux.Handle("GET "+staticPrefix, d.shell.Handle(d.static.Serve))
	mux.Handle("/", d.shell.Handle(func(http.ResponseWriter, *http.Request) error { return noPage() }))
	return guard.Handler(mux), nil
}

func noPage() error {
	return payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is nothing at this address")
}

func newDoor(o Options) (*door, error) {
	if o.Office == nil || o.Desk == nil || o.Log == nil {
		return nil, errors.New("make admin: Office, Desk and Log are required")
	}
	if web.Origin(o.URL) == "" {
		return nil, fmt.Errorf("make admin: the URL %q is not an http or https URL", o.URL)
	}
	d := &door{Options: o, secure: strings.HasPrefix(o.URL, "https://")}
	if d.Integrator == nil {
		d.Integrator = &engine.Integrator{Desk: o.Desk, Office: o.Office, Log: o.Log}
	}
	if d.Zone == nil {
		d.Zone = web.Seoul()
	}
	if d.SignInRate == 0 {
		d.SignInRate, d.SignInBurst = SignInRate, SignInBurst
	}
	if d.RatePerIP == 0 {
		d.RatePerIP = RatePerIP
	}
	d.perIP = web.NewLimiter(d.RatePerIP, time.Minute)
	d.signIns = web.NewBurstLimiter(d.SignInRate, time.Minute, d.SignInBurst)
	d.devices = web.NewLimiter(engine.MaxFailedSignIns, engine.SignInPause)
	d.shell = web.Shell{Log: o.Log, Peers: o.Peers, Failed: d.failed}
	text, err := fs.Sub(textFiles, "text")
	if err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	if d.texts, err = web.ReadTexts(text); err != nil {
		return nil, err
	}
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	if d.static, err = web.NewStatic(staticPrefix, files); err != nil {
		return nil, err
	}
	d.templates, err = template.New("").Funcs(template.FuncMap{"asset": d.static.URL, "args": args}).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	return d, nil
}

// args are several values for one template.
func args(all ...any) []any { return all }

// caller is where a request comes from.
func caller(r *http.Request) engine.Caller {
	return engine.Caller{IP: web.PeerAddr(r.Context()).String(), Agent: r.UserAgent()}
}

// A visit is a request that the guard let through: by whom, and in which language.
type visit struct {
	engine.By
	texts web.Catalogue
	in    bool // logged in
}

// visitor finds out who sends a request. Nobody who is logged in is no error.
func (d *door) visitor(ctx context.Context, r *http.Request) (*visit, error) {
	v := &visit{By: engine.By{Caller: caller(r)}, texts: d.texts.In(languageOf(r))}
	token := d.token(r)
	if token == "" {
		return v, nil
	}
	by, err := d.Office.Visit(ctx, token, caller(r))
	var refusal *payment.Error
	if errors.As(err, &refusal) && refusal.Kind == payment.Unauthorized {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	v.By, v.in, v.texts = by, true, d.texts.In(by.User.Language)
	return v, nil
}

// languageOf is the language of a browser that is not logged in: as chosen, as kept, or as it asks for.
func languageOf(r *http.Request) payment.Language {
	if l, ok := web.LanguageOf(r.URL.Query().Get("lang")); ok {
		return l
	}
	if c, err := r.Cookie(languageCookie); err == nil {
		if l, ok := web.LanguageOf(c.Value); ok {
			return l
		}
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		if l, ok := web.LanguageOf(strings.TrimSpace(part)); ok {
			return l
		}
	}
	return payment.English
}

const languageCookie = "lang"

// cookieName is the session's cookie: the prefix ties it to this host over TLS (RFC 6265bis, 4.1.3.2).
func (d *door) cookieName() string {
	if d.secure {
		return "__Host-pipe"
	}
	return "pipe"
}

// device is the caller with what an earlier log-in left in the browser, which has an allowance of tries of its own.
func (d *door) device(r *http.Request) engine.Caller {
	from := caller(r)
	c, err := r.Cookie(d.cookieName() + deviceSuffix)
	if err != nil || len(c.Value) > engine.MaxDevice {
		return from
	}
	if ok, _ := d.devices.Allow(c.Value, time.Now()); ok {
		from.Device = c.Value
	}
	return from
}

const deviceSuffix = "-device"

// remember leaves in the browser that somebody logged in with it.
func (d *door) remember(w http.ResponseWriter, device string) {
	if device == "" {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: d.cookieName() + deviceSuffix, Value: device, Path: "/", Secure: d.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(DeviceFor.Seconds()),
	})
}

func (d *door) token(r *http.Request) string {
	c, err := r.Cookie(d.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// keep gives the browser a session's token; "" takes it away.
func (d *door) keep(w http.ResponseWriter, token string) {
	c := &http.Cookie{Name: d.cookieName(), Value: token, Path: "/", Secure: d.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
