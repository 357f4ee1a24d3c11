package checkout

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A refundModel is the page on which the payer names a refund address: typed, then shown back in fours, then saved. It is
// never framed, because a frame can be clickjacked and its cookies are unreliable.
type refundModel struct {
	web.Catalogue
	frame
	Coin, Net, Next, Address string
	Fours                    []string
	Fault                    string // why the last try was refused
	Check                    bool   // step 2
	Must                     bool   // the shop wants it before it is paid
	Need                     bool   // something waits to be refunded
	Closed                   string // why it cannot be set here; "" when it can
	Amount                   string // what waits to be refunded
}

// refundForm answers GET /invoice/<ID>/refund-address.
func (d *door) refundForm(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	v, err := d.Desk.Page(r.Context(), id)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	m, err := d.refundModel(r, v, q)
	if err != nil {
		return err
	}
	return d.show(w, r, shown{http.StatusOK, "refund.html", m, nil})
}

// refundSave answers POST /invoice/<ID>/refund-address: the first time it shows the address back, the second time it saves
// it.
func (d *door) refundSave(w http.ResponseWriter, r *http.Request) error {
	v, err := d.actOn(w, r)
	if err != nil {
		return err
	}
	m, err := d.refundModel(r, v, r.PostForm)
	if err != nil {
		return err
	}
	if m.Closed == "" {
		m.Address, m.Fault = d.readAddress(m, strings.TrimSpace(r.PostForm.Get("address")))
		m.Fours = web.Fours(m.Address)
		m.Check = m.Fault == ""
	}
	if !m.Check || r.PostForm.Get("step") != "save" {
		return d.refundAgain(w, r, m)
	}
	if r.PostForm.Get("right") != "yes" {
		m.Fault = m.Say("refund.tick")
		return d.refundAgain(w, r, m)
	}
	return d.refundKeep(w, r, v, m)
}

// refundAgain shows the form once more.
func (d *door) refundAgain(w http.ResponseWriter, r *http.Request, m refundModel) error {
	status := http.StatusOK
	if m.Fault != "" || m.Closed != "" {
		status = http.StatusUnprocessableEntity
	}
	return d.show(w, r, shown{status, "refund.html", m, nil})
}

// refundKeep saves the address and goes where the payer was going.
func (d *door) refundKeep(w http.ResponseWriter, r *http.Request, v engine.View, m refundModel) error {
	id := v.Invoice.ID
	if ok, _ := d.refunds.Allow(string(id), time.Now()); !ok {
		return web.TooMany()
	}
	cookie, err := d.Desk.SetRefundAddress(r.Context(), id, engine.RefundChange{
		Coin: money.Currency(m.Coin), Address: m.Address, Cookie: refundCookie(r, id),
	})
	var e *payment.Error
	if errors.As(err, &e) && e.Kind == payment.Invalid {
		// The network's check passed before: what is left is an address of our own.
		m.Check, m.Fault = false, m.Say("refund.bad.ours")
		return d.refundAgain(w, r, m)
	} else if err != nil {
		return err
	}
	d.setRefundCookie(w, id, cookie)
	switch m.Next {
	case "choose":
		if err := d.Desk.Choose(r.Context(), id, engine.Choice{Coin: money.Currency(m.Coin)}); err != nil {
			return err
		}
	case "cancel":
		return to(w, r, basePath(id)+"/cancel", url.Values{})
	}
	return toPage(w, r, id)
}

// readAddress is the normal form of an address, or why it is none.
func (d *door) readAddress(m refundModel, text string) (address, fault string) {
	n := d.Nets[money.Currency(m.Coin)]
	if key := addressFault(n.Network, text); key != "" {
		return clip(text), m.Say(key, "net", m.Net)
	}
	normal, err := n.ParseAddress(text)
	if err != nil {
		return text, m.Say("refund.bad.check")
	}
	return normal, ""
}

// clip shortens what is shown back of a text that is no address.
func clip(text string) string {
	if len(text) > payment.MaxAddress {
		return strings.ToValidUTF8(text[:payment.MaxAddress], "")
	}
	return text
}

func (d *door) refundModel(r *http.Request, v engine.View, q url.Values) (refundModel, error) {
	p := d.asked(r, v.Invoice.Language)
	coin := money.Currency(q.Get("coin"))
	if coin == "" && v.Quote != nil {
		coin = v.Quote.Coin
	}
	n, ok := d.Nets[coin]
	if !ok || !slices.Contains(v.Invoice.Coins, coin) {
		return refundModel{}, payment.Malformed("coin", "is not one of this payment's coins")
	}
	if p.Keep.Get("coin") == "" && r.Method == http.MethodPost {
		p.Keep = url.Values{"coin": {string(coin)}, "next": {q.Get("next")}}
	}
	m := refundModel{Catalogue: p.Catalogue, frame: d.frameOf(p, v), Coin: string(coin), Net: netName(p.Catalogue, n.Network),
		Next: q.Get("next")}
	m.Title, m.Must = p.Say("title.refund"), v.Quote == nil && needsRefundFirst(v, coin)
	m.Need = v.NeedsAddress(coin) || owedWithoutAddress(v, coin).Sign() > 0
	set := v.Invoice.Refunds[coin]
	bound := len(v.Invoice.RefundOwner) > 0
	switch {
	case set.Fixed:
		m.Closed = p.Say("refund.fixed")
	case !v.AddressOpen(coin):
		m.Closed = p.Say("refund.closed")
	case bound && !engine.Owns(v.Invoice, refundCookie(r, v.Invoice.ID)):
		m.Closed = p.Say("refund.other")
	default:
		m.Address = set.Address
	}
	if m.Closed != "" {
		m.Fours = web.Fours(set.Address)
	}
	for _, back := range v.GiveBack {
		if back.Currency() == coin {
			m.Amount = web.Coin(back)
		}
	}
	return m, nil
}

// cookieName is the cookie that binds a browser to an invoice's refund address: one per invoice, so that none is ever sent
// with another's.
func cookieName(id payment.ID) string { return "pipe_refund_" + string(id[len(id)-16:]) }

func refundCookie(r *http.Request, id payment.ID) string {
	c, err := r.Cookie(cookieName(id))
	if err != nil {
		return ""
	}
	return c.Value
}

// refundCookieAge is how long a browser keeps the cookie: as long as browsers keep any (RFC 6265bis: 400 days).
const refundCookieAge = 400 * 24 * time.Hour

// setRefundCookie sets it for the page and for its actions, which lie under two paths, and for nothing else.
func (d *door) setRefundCookie(w http.ResponseWriter, id payment.ID, secret string) {
	for _, path := range []string{pagePath(id), basePath(id)} {
		http.SetCookie(w, &http.Cookie{
			Name: cookieName(id), Value: secret, Path: path, HttpOnly: true, Secure: d.secure,
			SameSite: http.SameSiteLaxMode, MaxAge: int(refundCookieAge / time.Second),
		})
	}
}
