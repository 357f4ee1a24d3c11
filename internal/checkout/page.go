package checkout

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A pageRequest is what of a request decides how a page is told.
type pageRequest struct {
	web.Catalogue
	Asked string     // the language of the address, as HTML names it; "" where the invoice decides
	Keep  url.Values // the other parameters of the address, for the switch of languages
}

func (d *door) asked(r *http.Request, otherwise payment.Language) pageRequest {
	p := pageRequest{Catalogue: d.catalogue(r, otherwise), Keep: r.URL.Query()}
	p.Keep.Del("lang")
	if _, ok := askedLanguage(r); ok {
		p.Asked = p.Tag()
	}
	return p
}

// page answers GET /invoice-<ID>. It changes nothing.
func (d *door) page(w http.ResponseWriter, r *http.Request) error {
	text, ok := strings.CutPrefix(r.PathValue("page"), pagePrefix)
	if !ok {
		return noPage()
	}
	id, ok := payment.ParseID(text)
	if !ok {
		return payment.Refuse(payment.NotFound, payment.WordNoInvoice, "no such invoice")
	}
	v, err := d.Desk.Page(r.Context(), id)
	if err != nil {
		return err
	}
	m, err := d.pageOf(d.asked(r, v.Invoice.Language), v)
	if err != nil {
		return err
	}
	return d.show(w, r, shown{http.StatusOK, "page.html", m, ancestorsOf(v)})
}

// shown is a page ready to be written.
type shown struct {
	status    int
	template  string
	data      any
	ancestors []string
}

// show renders the whole page before the first byte leaves, so that a failure can still be told.
func (d *door) show(w http.ResponseWriter, r *http.Request, s shown) error {
	var b bytes.Buffer
	if err := d.pages.ExecuteTemplate(&b, s.template, s.data); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	web.Secure(w, s.ancestors)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return web.Send(w, r, s.status, b.Bytes())
}

// form reads a page's form. Errors: malformed, body-too-big.
func form(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, web.MaxForm)
	err := r.ParseForm()
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return err
	case err != nil:
		return payment.Malformed("form", "cannot be read")
	}
	return nil
}

// actOn reads a form and the invoice it is about.
func (d *door) actOn(w http.ResponseWriter, r *http.Request) (engine.View, error) {
	id, err := idOf(r)
	if err != nil {
		return engine.View{}, err
	}
	if err := form(w, r); err != nil {
		return engine.View{}, err
	}
	return d.Desk.Page(r.Context(), id)
}

// toPage answers a form: the page, fetched anew.
func toPage(w http.ResponseWriter, r *http.Request, id payment.ID) error {
	return to(w, r, pagePath(id), url.Values{})
}

// to answers a form with another page, in the language that was asked for.
func to(w http.ResponseWriter, r *http.Request, path string, q url.Values) error {
	if l, ok := askedLanguage(r); ok {
		tag := "en"
		if l == payment.Korean {
			tag = "ko"
		}
		q.Set("lang", tag)
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}

// An errorModel is a page that says why not (state 18).
type errorModel struct {
	web.Catalogue
	frame
	Heading, Do, Reference string
}

// spoken is the language that the browser asks for first.
func spoken(r *http.Request) payment.Language {
	if first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ","); strings.HasPrefix(strings.ToLower(first), "ko") {
		return payment.Korean
	}
	return payment.English
}

// failedPage answers a request that failed.
func (d *door) failedPage(w http.ResponseWriter, r *http.Request, f web.Failure) {
	p := d.asked(r, spoken(r))
	word := f.Err.Word
	if !p.Has("error." + word) {
		word = payment.WordMalformed
		if f.Status >= http.StatusInternalServerError {
			word = payment.WordInternal
		}
	}
	m := errorModel{Catalogue: p.Catalogue, frame: d.bareFrame(p), Heading: p.Say("error." + word),
		Do: p.Say("error." + word + ".do"), Reference: f.RequestID}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		m.Switch = ""
	}
	if id, err := idOf(r); err == nil && f.Err.Word != payment.WordNoInvoice {
		m.Page = pagePath(id)
	}
	if err := d.show(w, r, shown{f.Status, "error.html", m, nil}); err != nil {
		d.Log.ErrorContext(r.Context(), "error page", "request_id", f.RequestID, "error", err)
	}
}
