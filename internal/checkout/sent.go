package checkout

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A sentModel is the page for who says "I already sent it": a transaction id, and what is known of it.
type sentModel struct {
	web.Catalogue
	frame
	Asked    string // what was typed
	Fault    string // why it is no transaction id
	Heading  string // what is known; "" before anything was asked
	Do       string
	Good     bool
	TxID     string
	Net      string
	Amount   string
	Explorer string
}

// sentForm answers GET /invoice/<ID>/sent.
func (d *door) sentForm(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	v, err := d.Desk.Page(r.Context(), id)
	if err != nil {
		return err
	}
	p := d.asked(r, v.Invoice.Language)
	m := sentModel{Catalogue: p.Catalogue, frame: d.frameOf(p, v)}
	m.Title = p.Say("expired.sent")
	return d.show(w, r, shown{http.StatusOK, "sent.html", m, ancestorsOf(v)})
}

// sentLook answers POST /invoice/<ID>/sent. It changes nothing; it is a form so that looking costs a click.
func (d *door) sentLook(w http.ResponseWriter, r *http.Request) error {
	v, err := d.actOn(w, r)
	if err != nil {
		return err
	}
	now := time.Now()
	if ok, _ := d.lookups.Allow(string(v.Invoice.ID), now); !ok {
		return web.TooMany()
	}
	if ok, _ := d.allLookups.Allow("", now); !ok {
		return web.TooMany()
	}
	p := d.asked(r, v.Invoice.Language)
	m := sentModel{Catalogue: p.Catalogue, frame: d.frameOf(p, v), Asked: clip(strings.TrimSpace(r.PostForm.Get("txid")))}
	m.Title = p.Say("expired.sent")
	found, err := d.Desk.LookUp(r.Context(), v.Invoice.ID, r.PostForm.Get("txid"))
	var e *payment.Error
	switch {
	case errors.As(err, &e) && e.Kind == payment.Invalid:
		m.Fault = p.Say("sent.bad")
		return d.show(w, r, shown{http.StatusUnprocessableEntity, "sent.html", m, ancestorsOf(v)})
	case err != nil:
		return err
	}
	d.tell(&m, found)
	return d.show(w, r, shown{http.StatusOK, "sent.html", m, ancestorsOf(v)})
}

// tell says what is known of a transaction, and what to do.
func (d *door) tell(m *sentModel, found engine.Traced) {
	m.Asked = "" // there is room for another one
	m.TxID, m.Net = found.TxID, netName(m.Catalogue, found.Network)
	if found.Amount.Sign() > 0 {
		m.Amount = web.Coin(found.Amount)
	}
	m.Explorer = d.explorer(found.Network, found.TxID)
	word := func(key string) { m.Heading, m.Do = m.Say(key), m.Say(key+".do") }
	switch found.Trace {
	case engine.TraceOurs:
		m.Good = true
		word("sent.ours")
	case engine.TraceRefund:
		m.Good = true
		word("sent.refund")
	case engine.TraceComing:
		m.Good = true
		word("sent.coming")
	case engine.TraceLost:
		word("sent.lost")
	case engine.TraceOther:
		word("sent.other")
	case engine.TraceElsewhere:
		word("sent.elsewhere")
	case engine.TraceToken:
		word("sent.token")
	case engine.TraceContract:
		word("sent.contract")
	case engine.TraceFailed:
		word("sent.failed")
	case engine.TraceUnknown:
		word("sent.unknown")
	case engine.TraceBlind:
		word("sent.blind")
	}
}

// ancestorsOf are the origins that may frame an invoice's page.
func ancestorsOf(v engine.View) []string {
	if v.Invoice.OpenType != payment.OpenLayer {
		return nil
	}
	return web.Origins(v.Application.Origins)
}
