package admin

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A tab is a place of the navigation.
type tab struct {
	Key, URL string
	Here     bool
	needs    payment.Permission
}

// A frame is what every page shows around its own, and what its template can say. Page types embed it.
type frame struct {
	web.Catalogue
	Title   string
	By      engine.By
	In      bool // logged in
	Tabs    []tab
	Sandbox bool
	Done    string // what was just done, "" for nothing
	Error   shown  // of the form that was just sent
	Status  int    // of the answer; 0: OK
	Other   otherLanguage
	Form    url.Values // what was just sent, to fill the form again; never secrets

	door *door
}

// otherLanguage leads to the same page in the other language.
type otherLanguage struct{ URL, Tag, Name string }

// shown is an error as a page shows it. Field names what it is about, "" for the whole form.
type shown struct{ Text, Field string }

// frame makes the frame of a page with a title of the catalogue.
func (d *door) frame(r *http.Request, v *visit, title string) frame {
	f := frame{
		Catalogue: v.texts, Title: v.texts.Say(title), By: v.By, In: v.in, Sandbox: d.Sandbox, door: d, Form: r.PostForm,
	}
	if f.Form == nil {
		f.Form = url.Values{}
	}
	for _, t := range tabs() {
		if v.in && allowed(t.needs, v.By) {
			t.Here = t.URL == r.URL.Path || t.URL != "/" && len(r.URL.Path) > len(t.URL) && r.URL.Path[:len(t.URL)+1] == t.URL+"/"
			f.Tabs = append(f.Tabs, t)
		}
	}
	if done := r.URL.Query().Get("done"); done != "" && v.texts.Has("done."+done) {
		f.Done = v.texts.Say("done." + done)
	}
	other := d.texts.In(payment.Korean)
	if v.texts.Language == payment.Korean {
		other = d.texts.In(payment.English)
	}
	q := url.Values{}
	if r.Method == http.MethodGet {
		q = r.URL.Query()
	}
	q.Set("lang", other.Tag())
	f.Other = otherLanguage{r.URL.Path + "?" + q.Encode(), other.Tag(), other.Say("lang.name")}
	return f
}

func (f frame) status() int {
	if f.Status == 0 {
		return http.StatusOK
	}
	return f.Status
}

// Hidden is the hidden field that each form of a merchant's page holds.
func (f frame) Hidden() template.HTML {
	return template.HTML(`<input type="hidden" name="` + merchantField + `" value="` + template.HTMLEscapeString(string(f.By.Merchant.ID)) + `">`)
}

// May tells whether the role allows something, for buttons: the guard decides.
func (f frame) May(p string) bool { return allowed(payment.Permission(p), f.By) }

// When shows a moment with its zone; a dash for never.
func (f frame) When(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.UTC().Format(time.RFC3339),
		template.HTMLEscapeString(f.Catalogue.Time(t, f.door.Zone))))
}

// Money shows an amount of any currency.
func (f frame) Money(a money.Amount) string { return f.Price(a) }

// Bad is what is wrong with a field of the form, "" for nothing.
func (f frame) Bad(name string) string {
	if f.Error.Field == name {
		return f.Error.Text
	}
	return ""
}

// shown puts a refusal into the visitor's words; its Text is "" for what must not be shown.
func (d *door) shown(v *visit, err error) shown {
	var e *payment.Error
	if !errors.As(err, &e) || e.Kind == payment.Internal {
		return shown{}
	}
	for _, key := range []string{"error." + e.Word + "." + e.Field, "error." + e.Word} {
		if v.texts.Language != payment.English && v.texts.Has(key) {
			return shown{v.texts.Say(key), e.Field}
		}
	}
	text := e.Message
	if text != "" && text[0] >= 'a' && text[0] <= 'z' {
		text = string(text[0]-'a'+'A') + text[1:]
	}
	return shown{text, e.Field}
}

// render answers a page from the template NAME.html. data embeds a frame.
func (d *door) render(w http.ResponseWriter, r *http.Request, name string, data interface{ status() int }) error {
	var b bytes.Buffer
	if err := d.templates.ExecuteTemplate(&b, name+".html", data); err != nil {
		return fmt.Errorf("write page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return web.Send(w, r, data.status(), b.Bytes())
}

// done goes back to a page after something was done, and says so there: what is a key of the texts below "done.".
func done(w http.ResponseWriter, r *http.Request, to, what string) error {
	return redirect(w, r, to+"?done="+url.QueryEscape(what))
}

// refusal tells whether an error is the visitor's matter, to be shown in the form again.
func (d *door) refusal(v *visit, err error) (shown, int, bool) {
	s := d.shown(v, err)
	var e *payment.Error
	if s.Text == "" || !errors.As(err, &e) {
		return s, 0, false
	}
	return s, web.Status(e), true
}

// failed answers a request that failed.
func (d *door) failed(w http.ResponseWriter, r *http.Request, f web.Failure) {
	web.Secure(w, nil)
	v, err := d.visitor(r.Context(), r)
	if err != nil {
		v = &visit{texts: d.texts.In(languageOf(r))}
	}
	p := errorPage{frame: d.frame(r, v, "error.title"), Reference: f.RequestID}
	p.What = d.shown(v, f.Err).Text
	if p.What == "" {
		p.What = v.texts.Say("error.internal")
	}
	p.Status = f.Status
	if err := d.render(w, r, "error", p); err != nil {
		d.Log.ErrorContext(r.Context(), "error page failed", "error", err)
	}
}

type errorPage struct {
	frame
	What, Reference string
}
