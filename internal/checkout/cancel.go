package checkout

import (
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A cancelModel is the second look before a part payment is given up. It is never framed.
type cancelModel struct {
	web.Catalogue
	frame
	Amount  string
	Fours   []string // where it goes back to
	Allowed bool     // this browser may press it
}

// cancelForm answers GET /invoice/<ID>/cancel.
func (d *door) cancelForm(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	v, err := d.Desk.Page(r.Context(), id)
	if err != nil {
		return err
	}
	if !v.CanCancel || v.Quote == nil {
		return payment.Refuse(payment.Conflict, payment.WordState, "this payment cannot be cancelled any more")
	}
	p := d.asked(r, v.Invoice.Language)
	m := cancelModel{Catalogue: p.Catalogue, frame: d.frameOf(p, v), Amount: web.Coin(v.Seen)}
	m.Title = p.Say("title.cancel")
	set := v.Invoice.Refunds[v.Quote.Coin]
	m.Fours = web.Fours(set.Address)
	m.Allowed = set.Fixed || set.Address != "" && engine.Owns(v.Invoice, refundCookie(r, id))
	return d.show(w, r, shown{http.StatusOK, "cancel.html", m, nil})
}

// cancel answers POST /invoice/<ID>/cancel.
func (d *door) cancel(w http.ResponseWriter, r *http.Request) error {
	v, err := d.actOn(w, r)
	if err != nil {
		return err
	}
	if err := d.Desk.Cancel(r.Context(), v.Invoice.ID, refundCookie(r, v.Invoice.ID)); err != nil {
		return err
	}
	return toPage(w, r, v.Invoice.ID)
}
