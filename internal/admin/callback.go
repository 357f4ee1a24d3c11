package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// callbacksPage lists one pile of callbacks.
type callbacksPage struct {
	frame
	Lines []engine.CallbackLine
	Apps  []payment.Application
	Asked url.Values
	Pile  engine.CallbackPile
	Piles []pile
	Older string
	Most  int
}

// A pile is a link to callbacks that stand alike.
type pile struct {
	Name engine.CallbackPile
	URL  string
	Here bool
}

// pileOf reads which pile a page or form is about.
func pileOf(text string) engine.CallbackPile {
	if p := engine.CallbackPile(text); slices.Contains(engine.CallbackPiles(), p) {
		return p
	}
	return engine.CallbacksFailing
}

// callbacks lists what is or was owed to the merchant's shops.
func (d *door) callbacks(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.callbacksPage(r, v, r.URL.Query())
	if err != nil {
		return err
	}
	return d.render(w, r, "callbacks", p)
}

func (d *door) callbacksPage(r *http.Request, v *visit, asked url.Values) (p callbacksPage, err error) {
	p = callbacksPage{frame: d.frame(r, v, "nav.callbacks"), Asked: asked, Pile: pileOf(asked.Get("pile")), Most: engine.MaxResend}
	for _, name := range engine.CallbackPiles() {
		p.Piles = append(p.Piles, pile{name, "/callbacks?" + with(asked, "pile", string(name)), name == p.Pile})
	}
	if p.Apps, err = d.Desk.MerchantApplications(r.Context(), v.Merchant.ID); err != nil {
		return p, err
	}
	app, _ := payment.ParseID(asked.Get("app"))
	span := paged(d.days(asked), asked.Get("before"))
	p.Lines, err = d.Desk.MerchantCallbacks(r.Context(), v.Merchant.ID, engine.Pile{Application: app, Kind: p.Pile, Span: span}, engine.PageRows+1)
	if len(p.Lines) > engine.PageRows {
		p.Lines = p.Lines[:engine.PageRows]
		p.Older = "/callbacks?" + with(asked, "before", string(p.Lines[len(p.Lines)-1].ID))
	}
	return p, err
}

// resend sends one callback once more, and goes back to where it was asked for.
func (d *door) resend(w http.ResponseWriter, r *http.Request, v *visit) error {
	err := d.Desk.Resend(r.Context(), v.By, payment.ID(r.PathValue("id")))
	if s, status, ok := d.refusal(v, err); ok {
		p, err := d.callbacksPage(r, v, r.PostForm)
		if err != nil {
			return err
		}
		p.Error, p.Status = s, status
		return d.render(w, r, "callbacks", p)
	}
	if err != nil {
		return err
	}
	if invoice, ok := payment.ParseID(r.PostForm.Get("invoice")); ok {
		return done(w, r, "/payments/"+string(invoice), "resend")
	}
	return done(w, r, "/callbacks", "resend")
}

// resendAll sends what stands in a pile, and was made in a stretch of days, once more.
func (d *door) resendAll(w http.ResponseWriter, r *http.Request, v *visit) error {
	asked := r.PostForm
	app, _ := payment.ParseID(asked.Get("app"))
	if _, err := d.Desk.ResendAll(r.Context(), v.By, engine.Pile{Application: app, Kind: pileOf(asked.Get("pile")), Span: d.days(asked)}); err != nil {
		return err
	}
	return done(w, r, "/callbacks", "resend-all")
}

// Explain is a verdict in words, with its cure.
func (f frame) Explain(verdict string) string { return f.door.verdict(f.Catalogue, verdict) }

// Told is what a callback says.
func (f frame) Told(c payment.Callback) string { return teller{Catalogue: f.Catalogue}.Told(c) }

func (d *door) verdict(c web.Catalogue, word string) string {
	if word == "" || d.Explain == nil {
		return word
	}
	return d.Explain(word, string(c.Language))
}

// HTTP is the status and time of a try.
func (f frame) HTTP(a payment.Attempt) string { return httpLine(a) }

// Visible is what a shop answered, with what cannot be seen made visible.
func (f frame) Visible(answer []byte) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(string(answer), "\ufffd") {
		switch {
		case r == '\n':
			b.WriteString("↵\n")
		case r == ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString("‹" + strings.ToUpper(strconv.FormatInt(int64(r), 16)) + "›")
		}
	}
	return b.String()
}

// explorer is where a transaction can be seen, "" where nobody shows it.
func (d *door) explorer(n money.Network, txid string) string {
	if txid == "" || d.Explorers[n] == "" {
		return ""
	}
	return strings.ReplaceAll(d.Explorers[n], "{txid}", url.PathEscape(txid))
}

// Explorer is where a transaction can be seen, "" where nobody shows it.
func (f frame) Explorer(n money.Network, txid string) string { return f.door.explorer(n, txid) }
