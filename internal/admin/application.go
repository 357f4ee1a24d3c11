package admin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

type applicationsPage struct {
	frame
	Applications []payment.Application
}

func (d *door) applicationsPage(r *http.Request, v *visit) (p applicationsPage, err error) {
	p.frame = d.frame(r, v, "nav.applications")
	p.Applications, err = d.Desk.MerchantApplications(r.Context(), v.Merchant.ID)
	return p, err
}

// applications lists the merchant's applications.
func (d *door) applications(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.applicationsPage(r, v)
	if err != nil {
		return err
	}
	return d.render(w, r, "applications", p)
}

// addApplication makes one, and shows its key and secret in this one answer.
func (d *door) addApplication(w http.ResponseWriter, r *http.Request, v *visit) error {
	app, err := d.Integrator.Add(r.Context(), v.By, strings.TrimSpace(r.PostForm.Get("name")))
	if s, status, ok := d.refusal(v, err); ok {
		p, err := d.applicationsPage(r, v)
		if err != nil {
			return err
		}
		p.Error, p.Status = s, status
		return d.render(w, r, "applications", p)
	}
	if err != nil {
		return err
	}
	r.SetPathValue("id", string(app.ID))
	return d.showApplication(w, r, v, func(p *applicationPage) { p.NewKey, p.NewSecret, p.Form = app.Key, app.Secret, nil })
}

// An applicationPage is one application with all its sections. Section is the one whose form was refused.
type applicationPage struct {
	frame
	App       payment.Application
	Keys      []keyLine
	Refused   engine.PeerNote // the last call that came from an address that is not registered
	Coins     []coinLine
	Policy    policyForm
	NewKey    string // shown this once
	NewSecret string // shown this once
	Overlaps  []overlap
	OldSecret time.Time // until when an older callback secret signs too; zero: there is none
	Test      *testResult
	Section   string
}

// A keyLine is a key as its application's page lists it.
type keyLine struct {
	payment.Key
	Live bool
	Used engine.PeerNote
}

// A coinLine is a coin that is served here, as the application takes it.
type coinLine struct {
	Coin     money.Currency
	Network  money.Network
	Taken    bool
	Address  string
	Destined engine.Destined
}

// An overlap is how long old secrets may live on beside new ones.
type overlap struct {
	Value, Key string
}

func overlaps() []overlap {
	return []overlap{{"0s", "overlap.none"}, {"1h", "overlap.hour"}, {"24h", "overlap.day"}, {"168h", "overlap.week"}}
}

// application shows one application.
func (d *door) application(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.showApplication(w, r, v, nil)
}

// showApplication renders the application that the path names; with changes what is shown beside.
func (d *door) showApplication(w http.ResponseWriter, r *http.Request, v *visit, with func(*applicationPage)) error {
	id := payment.ID(r.PathValue("id"))
	app, keys, err := d.Integrator.Application(r.Context(), v.By, id)
	if err != nil {
		return err
	}
	p := applicationPage{frame: d.frame(r, v, "app.one"), App: app, Overlaps: overlaps(), Refused: d.Desk.Peers.Refused(id)}
	p.Title = app.Name
	for _, k := range keys {
		p.Keys = append(p.Keys, keyLine{k, k.ExpiresAt.IsZero() || v.Now.Before(k.ExpiresAt), d.Desk.Peers.Key(k.ID)})
	}
	for _, s := range app.Callback.Secrets {
		if v.Now.Before(s.Until) {
			p.OldSecret = s.Until
		}
	}
	destined := d.Integrator.Destined(r.Context(), app, v.Now)
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		if n, ok := d.Desk.Nets[coin]; ok {
			p.Coins = append(p.Coins, coinLine{coin, n.Network, contains(app.Coins, coin), app.Settlement[coin], destined[coin]})
		}
	}
	p.Policy = policyOf(app.Settings, p.Coins)
	if with != nil {
		with(&p)
	}
	return d.render(w, r, "application", p)
}

func contains(all []money.Currency, coin money.Currency) bool {
	for _, c := range all {
		if c == coin {
			return true
		}
	}
	return false
}

// A change is what came of a form of a section.
type change struct {
	section string
	err     error
}

// changed goes back to the application after a change, or shows the section's form again with what was refused.
func (d *door) changed(w http.ResponseWriter, r *http.Request, v *visit, c change) error {
	section, err := c.section, c.err
	id := payment.ID(r.PathValue("id"))
	var e *payment.Error
	if errors.As(err, &e) && e.Kind == payment.NotFound {
		return err
	}
	if s, status, ok := d.refusal(v, err); ok {
		return d.showApplication(w, r, v, func(p *applicationPage) { p.Error, p.Status, p.Section = s, status, section })
	}
	if err != nil {
		return err
	}
	return done(w, r, "/applications/"+string(id), "application")
}

// Val is what a field shows: what was just sent where its section was refused, else what is saved.
func (p applicationPage) Val(section, name, saved string) string {
	if p.Section == section && p.Form.Has(name) {
		return p.Form.Get(name)
	}
	return saved
}

// Lines are texts one below the other, as a text field shows them.
func (p applicationPage) Lines(section, name string, saved any) string {
	return p.Val(section, name, lines(saved))
}

func (d *door) renameApplication(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := strings.TrimSpace(r.PostForm.Get("name"))
	_, err := d.Integrator.Set(r.Context(), v.By, payment.ID(r.PathValue("id")), engine.Edit{
		Change: engine.Change{Name: &name}, Action: "application.name", Quiet: true,
		Data: func(was, is payment.Application) map[string]any {
			return map[string]any{"from": was.Name, "to": is.Name}
		},
	})
	return d.changed(w, r, v, change{"name", err})
}

// addKey makes a key and shows it in this one answer.
func (d *door) addKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := payment.ID(r.PathValue("id"))
	text, err := d.Integrator.AddKey(r.Context(), v.By, id, r.PostForm.Get("no_refund") != "")
	if err != nil {
		return d.changed(w, r, v, change{"keys", err})
	}
	return d.showApplication(w, r, v, func(p *applicationPage) { p.NewKey, p.Form = text, nil })
}

func (d *door) rotateKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := payment.ID(r.PathValue("id"))
	overlap, err := time.ParseDuration(r.PostForm.Get("overlap"))
	if err != nil {
		return d.changed(w, r, v, change{"keys", payment.Malformed("overlap", "choose how long old keys still work")})
	}
	text, err := d.Integrator.RotateKey(r.Context(), v.By, id, overlap)
	if err != nil {
		return d.changed(w, r, v, change{"keys", err})
	}
	return d.showApplication(w, r, v, func(p *applicationPage) { p.NewKey, p.Form = text, nil })
}

func (d *door) endKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	err := d.Integrator.EndKey(r.Context(), v.By, payment.ID(r.PathValue("id")), payment.ID(r.PostForm.Get("key")))
	return d.changed(w, r, v, change{"keys", err})
}

// rotateSecret makes a callback secret and shows it in this one answer.
func (d *door) rotateSecret(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := payment.ID(r.PathValue("id"))
	overlap, err := time.ParseDuration(r.PostForm.Get("overlap"))
	if err != nil {
		return d.changed(w, r, v, change{"callbacks", payment.Malformed("overlap", "choose how long the old secret signs too")})
	}
	text, err := d.Integrator.RotateSecret(r.Context(), v.By, id, overlap)
	if err != nil {
		return d.changed(w, r, v, change{"callbacks", err})
	}
	return d.showApplication(w, r, v, func(p *applicationPage) { p.NewSecret, p.Form = text, nil })
}

// A testResult is what came of a test callback.
type testResult struct {
	engine.TestCall
	Body    string // what the shop answered, invisible characters shown
	Verdict string // in the visitor's words
}

// testCallback sends a sample to a URL of the shop's and shows what came back.
func (d *door) testCallback(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := payment.ID(r.PathValue("id"))
	call, err := d.Integrator.Try(r.Context(), v.By, id, strings.TrimSpace(r.PostForm.Get("url")))
	if err != nil {
		return d.changed(w, r, v, change{"callbacks", err})
	}
	t := &testResult{TestCall: call, Body: visible(call.Answer.Body), Verdict: call.Answer.Verdict}
	if d.Explain != nil {
		t.Verdict = d.Explain(call.Answer.Verdict, v.texts.Tag())
	}
	return d.showApplication(w, r, v, func(p *applicationPage) { p.Test, p.Section = t, "callbacks" })
}

// On tells whether a box is ticked: as it was just sent where its section was refused, else as it is saved.
func (p applicationPage) On(section, name string, saved bool) bool {
	if p.Section == section {
		return p.Form.Has(name)
	}
	return saved
}

// BadIn is what is wrong with a field of a section, "" for nothing.
func (p applicationPage) BadIn(section, name string) string {
	if p.Section == section {
		return p.Bad(name)
	}
	return ""
}
