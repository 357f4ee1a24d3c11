package checkout

import (
	"net/http"
	"net/url"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
)

// choose answers POST /invoice/<ID>/coin: it freezes a quote, or asks for the refund address first where the shop wants
// one.
func (d *door) choose(w http.ResponseWriter, r *http.Request) error {
	v, err := d.actOn(w, r)
	if err != nil {
		return err
	}
	c := engine.Choice{Coin: money.Currency(r.PostForm.Get("coin")), Exchange: r.PostForm.Get("exchange") == "yes"}
	if v.CanChange && c.Coin.IsCoin() && needsRefundFirst(v, c.Coin) {
		return to(w, r, basePath(v.Invoice.ID)+"/refund-address", url.Values{"coin": {string(c.Coin)}, "next": {"choose"}})
	}
	if err := d.Desk.Choose(r.Context(), v.Invoice.ID, c); err != nil {
		return err
	}
	return toPage(w, r, v.Invoice.ID)
}

// more answers POST /invoice/<ID>/more: a fresh quote for the same coin and address.
func (d *door) more(w http.ResponseWriter, r *http.Request) error {
	v, err := d.actOn(w, r)
	if err != nil {
		return err
	}
	if err := d.Desk.MoreTime(r.Context(), v.Invoice.ID); err != nil {
		return err
	}
	return toPage(w, r, v.Invoice.ID)
}
