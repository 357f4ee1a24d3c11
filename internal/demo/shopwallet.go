package demo

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// What the shop shows of money out: the coins that came to its own wallet, and a button to give an order's money back.

// holdings are what the shop's wallet holds by the chain, and how it came there.
type holdings struct {
	Coins       []shopCoin
	Settlements []payoutOut
}

// A shopCoin is one coin of the shop's wallet. Unknown says why nobody can tell its amount just now.
type shopCoin struct {
	Coin, Address, Amount, Unknown string
}

// shopWallet looks at the chains, and asks PIPE for the newest settlements.
func (d *Demo) shopWallet(ctx context.Context) (h holdings) {
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		c := shopCoin{Coin: string(coin), Address: d.state.Settlement[coin]}
		if n, err := d.chains[coin].Balance(ctx, c.Address); err != nil {
			c.Unknown = err.Error()
		} else {
			c.Amount = money.OfBig(coin, n).Text()
		}
		h.Coins = append(h.Coins, c)
	}
	all, err := d.app.Desk.Payouts(ctx, engine.MerchantPayouts{
		Merchant: payment.ID(d.state.MerchantID), Kinds: []payment.PayoutKind{payment.Settlement}, Limit: ShownSettlements,
	})
	if err != nil {
		d.opts.Log.WarnContext(ctx, "shop page without settlements", "error", err)
	}
	for _, p := range all {
		h.Settlements = append(h.Settlements, payoutView(p))
	}
	return h
}

// Refundable is the invoice of a callback that told of a paid order; "" for other callbacks.
func (c gotCallback) Refundable() string {
	var told struct {
		Code int `json:"code"`
		Data struct {
			Status    int    `json:"status"`
			InvoiceID string `json:"invoice_id"`
			RefundID  string `json:"refund_id"`
		} `json:"data"`
	}
	if strings.HasPrefix(c.Headers["content-type"], "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(c.Body)
		if err == nil && form.Get("code") == "1" && form.Get("data[status]") == "2" && !form.Has("data[refund_id]") {
			return form.Get("data[invoice_id]")
		}
		return ""
	}
	if json.Unmarshal([]byte(c.Body), &told) != nil || told.Code != 1 || told.Data.Status != 2 || told.Data.RefundID != "" {
		return ""
	}
	return told.Data.InvoiceID
}

// refund asks PIPE to give an order's money back. How it goes comes as callbacks.
func (s *shop) refund(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	s.mu.Lock()
	self := s.self
	s.mu.Unlock()
	_, err := s.call(r.Context(), "invoice/refund", map[string]string{"invoice_id": r.FormValue("invoice_id"), "callback_url": self + "/callback"})
	if err != nil {
		http.Error(w, "PIPE refused: "+err.Error(), http.StatusBadGateway)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
