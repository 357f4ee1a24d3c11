package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// guard is the one way to every page: limits, who it is, what they may do, for which merchant the form was made, and whether
// a dangerous act was confirmed.
func (d *door) guard(rt route) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		web.Secure(w, nil)
		if ok, _ := d.perIP.Allow(web.Caller(web.PeerAddr(r.Context())), time.Now()); !ok {
			return web.TooMany()
		}
		if r.Method == http.MethodPost {
			if err := readForm(w, r, rt); err != nil {
				return err
			}
		}
		v, err := d.visitor(r.Context(), r)
		if err != nil {
			return err
		}
		keepLanguage(w, r, d.secure)
		if rt.needs != anybody && !v.in {
			return d.toLogin(w, r)
		}
		if !allowed(rt.needs, v.By) {
			return d.refuse(w, r, v, rt)
		}
		if err := sameMerchant(rt, r, v); err != nil {
			return err
		}
		if rt.stepUp && !v.SteppedUp() {
			ok, err := d.stepUp(w, r, v)
			if !ok || err != nil {
				return err
			}
		}
		return rt.page(w, r, v)
	}
}

// readForm reads the form within the route's limit. Error: body-too-big.
func readForm(w http.ResponseWriter, r *http.Request, rt route) error {
	limit := int64(web.MaxForm)
	if strings.HasPrefix(rt.path, "/applications/{id}/") {
		limit = MaxApplicationForm
	} else if strings.HasSuffix(rt.path, "/notes") {
		limit = MaxNoteForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	var err error
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(limit) // all in memory: the limit is small
	} else {
		err = r.ParseForm()
	}
	if err != nil {
		return fmt.Errorf("read form: %w", err)
	}
	return nil
}

// allowed tells whether somebody may use a route that needs this.
func allowed(needs payment.Permission, by engine.By) bool {
	if needs == anybody {
		return true
	}
	if needs == somebody {
		return by.User.ID != ""
	}
	if needs == operator {
		return by.User.Operator
	}
	return by.May(needs)
}

// refuse answers somebody who is logged in and may not. Without a merchant they choose one first.
func (d *door) refuse(w http.ResponseWriter, r *http.Request, v *visit, rt route) error {
	if v.Merchant.ID == "" && rt.needs != operator && r.Method == http.MethodGet {
		return redirect(w, r, "/merchants")
	}
	return payment.Refuse(payment.Forbidden, engine.WordRole, "your role does not allow this")
}

// sameMerchant refuses a form that was made for another merchant than the one chosen now, in another tab.
func sameMerchant(rt route, r *http.Request, v *visit) error {
	if r.Method != http.MethodPost || !slices.Contains(payment.Permissions(), rt.needs) {
		return nil
	}
	if payment.ID(r.PostForm.Get(merchantField)) != v.Merchant.ID {
		return payment.Refuse(payment.Conflict, payment.WordState, "you chose another merchant meanwhile: go back, reload, and look again")
	}
	return nil
}

const (
	merchantField = "merchant" // the merchant that a form was made for
	stepUpField   = "step_up"  // the code that confirms it
)

// stepUp asks for a second factor before a dangerous act. The form that was sent stands in the page that asks, so that it is
// sent again with the code; ok tells that it may go on.
func (d *door) stepUp(w http.ResponseWriter, r *http.Request, v *visit) (ok bool, err error) {
	p := stepUpPage{frame: d.frame(r, v, "stepup.title"), Action: r.URL.Path, How: d.Office.CanStepUp(v.By)}
	if code := r.PostForm.Get(stepUpField); code != "" && r.Method == http.MethodPost {
		if !d.signIn(r) {
			return false, web.TooMany()
		}
		err := d.Office.StepUp(r.Context(), v.By, code)
		if err == nil {
			return true, nil
		}
		if p.Error = d.shown(v, err); p.Error.Text == "" {
			return false, err
		}
	}
	if r.Method == http.MethodGet { // proven first, then led back
		p.Action, p.Fields = "/step-up", []field{{"next", r.URL.RequestURI()}}
	}
	for name, values := range r.PostForm {
		for _, value := range values {
			if name != stepUpField {
				p.Fields = append(p.Fields, field{name, value})
			}
		}
	}
	slices.SortFunc(p.Fields, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	p.Status = http.StatusForbidden
	return false, d.render(w, r, "stepup", p)
}

// stepUpDone is where the page that asks before a GET sends its code.
func (d *door) stepUpDone(w http.ResponseWriter, r *http.Request, v *visit) error {
	ok, err := d.stepUp(w, r, v)
	if !ok || err != nil {
		return err
	}
	return redirect(w, r, localPath(r.PostForm.Get("next")))
}

type stepUpPage struct {
	frame
	Action string
	How    string // totp, password, or "" where a second factor must be set up first
	Fields []field
}

type field struct{ Name, Value string }

// signIn takes a log-in, or a code, out of the caller's allowance.
func (d *door) signIn(r *http.Request) bool {
	ok, _ := d.signIns.Allow(web.Caller(web.PeerAddr(r.Context())), time.Now())
	return ok
}

// toLogin sends somebody who is not logged in there, and afterwards back to the page.
func (d *door) toLogin(w http.ResponseWriter, r *http.Request) error {
	next := "/"
	if r.Method == http.MethodGet {
		next = r.URL.RequestURI()
	}
	if next == "/" || len(next) > MaxNext {
		return redirect(w, r, "/login")
	}
	return redirect(w, r, "/login?next="+url.QueryEscape(next))
}

// localPath is where a log-in may lead: a path of ours, "/" for anything else.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || len(next) > MaxNext || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func redirect(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// keepLanguage remembers a language that was chosen by a link.
func keepLanguage(w http.ResponseWriter, r *http.Request, secure bool) {
	if r.URL.Query().Get("lang") == "" {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: string(languageOf(r)), Path: "/", Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(LanguageFor.Seconds()),
	})
}
