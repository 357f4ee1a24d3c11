package admin

import (
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// payoutsPage lists coins that leave: refunds, settlements or withdrawals.
type payoutsPage struct {
	frame
	Path    string
	What    string // what the list is of, in words
	Payouts []payment.Payout
	Older   string
}

func refundKinds() []payment.PayoutKind {
	return []payment.PayoutKind{payment.RefundAsked, payment.RefundShort, payment.RefundExcess, payment.RefundLate}
}

// refunds lists what goes back to payers.
func (d *door) refunds(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := payoutsPage{frame: d.frame(r, v, "nav.refunds"), Path: "/refunds", What: v.texts.Say("refunds.what")}
	return d.payouts(w, r, p, refundKinds())
}

// settlements lists what goes to the merchant's own wallets.
func (d *door) settlements(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := payoutsPage{frame: d.frame(r, v, "nav.settlements"), Path: "/settlements", What: v.texts.Say("settlements.what")}
	return d.payouts(w, r, p, []payment.PayoutKind{payment.Settlement})
}

func (d *door) payouts(w http.ResponseWriter, r *http.Request, p payoutsPage, kinds []payment.PayoutKind) (err error) {
	p.Payouts, p.Older, err = d.payoutsBefore(r, p.By, kinds, p.Path)
	if err != nil {
		return err
	}
	return d.render(w, r, "payouts", p)
}

// payoutsBefore is a page of payouts and where the next one is.
func (d *door) payoutsBefore(r *http.Request, by engine.By, kinds []payment.PayoutKind, path string) ([]payment.Payout, string, error) {
	before, _ := payment.ParseID(r.URL.Query().Get("before"))
	all, err := d.Desk.Payouts(r.Context(), engine.MerchantPayouts{Merchant: by.Merchant.ID, Kinds: kinds, Before: before, Limit: engine.PageRows + 1})
	if err != nil || len(all) <= engine.PageRows {
		return all, "", err
	}
	all = all[:engine.PageRows]
	return all, path + "?before=" + string(all[len(all)-1].ID), nil
}

// PayoutClass is the colour of a payout's badge.
func (f frame) PayoutClass(p payment.Payout) string {
	switch {
	case p.State == payment.PayoutDone:
		return "good"
	case p.State == payment.PayoutFailed, p.Held == payment.HoldRefused, p.Held == payment.HoldReversed, p.Held == payment.HoldHalted:
		return "bad"
	case p.Held != payment.HoldNone:
		return "warn"
	}
	return ""
}

// Cost is what the network took, in vain and at last.
func (f frame) Cost(p payment.Payout) money.Amount { return p.Fee.Add(p.Wasted) }

// Cancellable tells whether a withdrawal may still be given up.
func (f frame) Cancellable(p payment.Payout) bool {
	return p.Kind == payment.Withdrawal && (p.State == payment.PayoutWaiting || p.State == payment.PayoutOpen)
}
