package checkout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A status is the whole state of an invoice's page, as /status and each event of /feed send it. Amounts are texts; times
// are Unix seconds. Version is the same for the same content, in whatever language.
type status struct {
	Version       string `json:"version"`
	InvoiceID     string `json:"invoice_id"`
	OrderID       string `json:"order_id"`
	Status        int    `json:"status"`
	DepositStatus int    `json:"deposit_status"`
	State         State  `json:"state"`
	CoinCurrency  string `json:"coin_currency"`
	CoinAmount    string `json:"coin_amount"`
	DepositAmount string `json:"deposit_amount"`
	MissingAmount string `json:"missing_amount"`
	Confirmations int    `json:"confirmations"`
	Required      int    `json:"required_confirmations"`
	Deadline      int64  `json:"deadline"`
	Title         string `json:"title"`
	Announce      string `json:"announce"`
	Assertive     bool   `json:"assertive"`
	Refund        int    `json:"refund"` // status of the newest refund as the guide numbers it, 0 for none
	Also          string `json:"also"`   // how the refunds stand, announced apart
}

// statusOf is the state of an invoice, told in a language.
func (d *door) statusOf(c web.Catalogue, v engine.View) status {
	s := status{
		InvoiceID: string(v.Invoice.ID), OrderID: v.Invoice.OrderID,
		Status: int(v.Status), DepositStatus: int(v.Invoice.Told.Deposit), State: stateOf(v), Deadline: payUntil(v).Unix(),
	}
	dep := depthOf(v)
	if v.Quote != nil {
		s.CoinCurrency, s.CoinAmount = string(v.Quote.Coin), v.Quote.Due.Text()
		s.DepositAmount, s.MissingAmount = v.Seen.Text(), v.Missing.Text()
		s.Confirmations, s.Required = dep.Have, dep.Need
	}
	s.Version = versionOf(s, v)
	s.Title = titleOf(c, s.State, dep)
	s.Announce, s.Assertive = d.announcement(c, v, s.State, dep)
	if n := len(v.Outgoing); n > 0 {
		s.Refund, s.Also = int(v.Outgoing[n-1].RefundStatus()), refundsAnnounced(c, v)
	}
	if over := s.State.Over(); over && owes(v) {
		s.Title = c.Say("title.refund")
	} else if over && s.Refund == int(payment.RefundInProgress) {
		s.Title = c.Say("title.refunding")
	}
	return s
}

// versionOf is a digest of all that the page shows and that can change, apart from the clock.
func versionOf(s status, v engine.View) string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v|%t|%t|%t|%t|%t|%t\n", s, v.Trouble, v.CanChange, v.CanExtend, v.CanCancel, v.RefundOpen, settled(v))
	for _, coin := range v.Invoice.Coins {
		r := v.Invoice.Refunds[coin]
		fmt.Fprintf(h, "refund %s %q %t\n", coin, r.Address, r.Fixed)
	}
	for _, p := range v.Progress {
		fmt.Fprintf(h, "deposit %s %s %d %s\n", p.Deposit.Ref, p.Deposit.State, p.Have, p.Deposit.Amount.Units())
	}
	for _, o := range v.Outgoing {
		fmt.Fprintf(h, "refund %s %s %s %q %q %s %s %d\n", o.ID, o.State, o.Held, o.To, o.TxID, o.Amount, o.Net, o.Have)
	}
	for _, a := range otherCoins(v) {
		fmt.Fprintf(h, "other %s\n", a)
	}
	if v.Quote != nil {
		fmt.Fprintf(h, "quote %s\n", v.Quote.ID)
	} else {
		for _, o := range v.Offers { // their amounts live, but not a page's that already has its own
			fmt.Fprintf(h, "offer %s %s %s\n", o.Coin, o.Due.Units(), o.Refusal)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func titleOf(c web.Catalogue, s State, dep depth) string {
	switch s {
	case StateChoose:
		return c.Say("title.choose")
	case StateAwait, StateEnding:
		return c.Say("title.await")
	case StateSeen:
		return c.Say("title.seen")
	case StateConfirming:
		if dep.Final {
			return c.Say("title.confirming.final")
		}
		return c.Say("title.confirming", "n", dep.Have, "m", dep.Need)
	case StatePaid, StateOverpaid:
		return c.Say("title.paid")
	case StateReversed:
		return c.Say("title.check")
	case StatePartial:
		return c.Say("title.partial")
	case StateShort, StateExpired, StateLapsed:
		return c.Say("title.closed")
	case StateLate:
		return c.Say("title.late")
	case StateDropped:
		return c.Say("title.dropped")
	case StateRefunded:
		return c.Say("title.refunded")
	}
	return "PIPE"
}

// announcement is the one sentence that assistive technology reads when the state changes, and whether it interrupts.
func (d *door) announcement(c web.Catalogue, v engine.View, s State, dep depth) (text string, assertive bool) {
	switch s {
	case StateChoose:
		return c.Say("choose"), false
	case StateAwait:
		if renewed(v) {
			return c.Say("more.done", "a", web.Coin(v.Quote.Due)), false
		}
		return c.Say("await.status"), false
	case StateEnding:
		return c.Say("ending", "n", web.Minutes(payUntil(v).Sub(v.Now))), false
	case StateLapsed:
		return c.Say("lapsed"), false
	case StateSeen:
		return c.Say("seen"), false
	case StateConfirming:
		if dep.Final {
			return c.Say("confirming.final"), false
		}
		return c.Say("confirming", "n", dep.Have, "m", dep.Need), false
	case StatePaid, StateOverpaid:
		return c.Say("paid"), true
	case StateReversed:
		return c.Say("reversed"), true
	case StatePartial:
		return c.Say("partial", "a", web.Coin(v.Seen), "b", web.Coin(v.Missing)), false
	case StateShort:
		if !v.Invoice.CancelledAt.IsZero() {
			return c.Say("partial.cancelled"), false
		}
		return c.Say("partial.end"), false
	case StateExpired:
		return c.Say("expired"), false
	case StateLate:
		return c.Say("late"), false
	case StateDropped:
		return c.Say("dropped"), true
	case StateRefunded:
		return c.Say("refunded"), false
	}
	return "", false
}

// status answers the state as JSON. Scripts of the application's own origins may read it.
func (d *door) status(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	v, err := d.Desk.Page(r.Context(), id)
	if err != nil {
		return err
	}
	body, err := json.Marshal(d.statusOf(d.catalogue(r, v.Invoice.Language), v))
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	h := w.Header()
	h.Set("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" && slices.Contains(web.Origins(v.Application.Origins), origin) {
		h.Set("Access-Control-Allow-Origin", origin)
	}
	dataHeaders(h)
	return web.Send(w, r, http.StatusOK, body)
}

func dataHeaders(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// failedData answers a failed /status or /feed.
func failedData(w http.ResponseWriter, r *http.Request, f web.Failure) {
	dataHeaders(w.Header())
	w.WriteHeader(f.Status)
	body, err := json.Marshal(map[string]string{"error": f.Err.Word, "request_id": f.RequestID})
	if err != nil || r.Method == http.MethodHead {
		return
	}
	if _, err := w.Write(body); err != nil {
		return // the caller left; the log line says so by its size
	}
}

// catalogue is the language that was asked for, else the invoice's.
func (d *door) catalogue(r *http.Request, otherwise payment.Language) web.Catalogue {
	if l, ok := askedLanguage(r); ok {
		return d.Texts.In(l)
	}
	return d.Texts.In(otherwise)
}

// askedLanguage is the one that the address or form names.
func askedLanguage(r *http.Request) (payment.Language, bool) {
	text := r.URL.Query().Get("lang")
	if text == "" && r.PostForm != nil {
		text = r.PostForm.Get("lang")
	}
	l, err := engine.ParseLanguage(strings.TrimSpace(text))
	return l, err == nil && text != ""
}
