package admin

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// walletPage is the merchant's PIPE wallet: what is there, and what left it.
type walletPage struct {
	frame
	Wallets []engine.Wallet
	Payouts []payment.Payout
	Older   string
}

// wallet shows balances and the history of withdrawals.
func (d *door) wallet(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.walletAgain(w, r, v, nil)
}

func (d *door) walletAgain(w http.ResponseWriter, r *http.Request, v *visit, why error) (err error) {
	p := walletPage{frame: d.frame(r, v, "nav.wallet")}
	if why != nil {
		s, status, ok := d.refusal(v, why)
		if !ok {
			return why
		}
		p.Error, p.Status = s, status
	}
	if p.Wallets, err = d.Desk.Wallets(r.Context(), v.Merchant.ID); err != nil {
		return err
	}
	p.Payouts, p.Older, err = d.payoutsBefore(r, v.By, []payment.PayoutKind{payment.Withdrawal}, "/wallet")
	if err != nil {
		return err
	}
	return d.render(w, r, "wallet", p)
}

type receivePage struct {
	frame
	Network money.Network
	Address string
	QR      template.HTML
}

// receive shows where the wallet receives coins. The address is given at the first call, so this is a POST.
func (d *door) receive(w http.ResponseWriter, r *http.Request, v *visit) error {
	p := receivePage{frame: d.frame(r, v, "wallet.receive"), Network: money.Network(r.PostForm.Get("network"))}
	var err error
	if p.Address, err = d.Desk.ReceivingAddress(r.Context(), v.Merchant.ID, p.Network); err != nil {
		return d.walletAgain(w, r, v, err)
	}
	if p.QR, err = web.DrawQR(p.Address, p.Address); err != nil {
		return err
	}
	return d.render(w, r, "receive", p)
}

// withdrawPage asks for a withdrawal, and shows what it would come to before it is confirmed.
type withdrawPage struct {
	frame
	Wallet engine.Wallet
	ID     payment.ID
	Cost   engine.Cost
	Ready  bool // to be confirmed
	visit  *visit
}

// withdrawForm asks how much and where to. Its id makes what is sent twice happen once.
func (d *door) withdrawForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.withdrawPage(r, v, r.URL.Query().Get("network"))
	if err != nil {
		return err
	}
	return d.render(w, r, "withdraw", p)
}

func (d *door) withdrawPage(r *http.Request, v *visit, network string) (p withdrawPage, err error) {
	p.frame, p.visit = d.frame(r, v, "wallet.withdraw"), v
	all, err := d.Desk.Wallets(r.Context(), v.Merchant.ID)
	if err != nil {
		return p, err
	}
	for _, x := range all {
		if string(x.Network) == network {
			p.Wallet = x
		}
	}
	if p.Wallet.Network == "" {
		return p, payment.Malformed("network", "choose a network")
	}
	if id, ok := payment.ParseID(r.PostForm.Get("id")); ok {
		p.ID = id
		return p, nil
	}
	p.ID, err = d.Desk.NewID(r.Context())
	return p, err
}

// asked is the withdrawal that a form asks for.
func withdrawalAsked(r *http.Request, v *visit, p withdrawPage) engine.AskWithdrawal {
	return engine.AskWithdrawal{ID: p.ID, Merchant: v.Merchant.ID, Network: p.Wallet.Network, To: r.PostForm.Get("address"),
		Amount: cmp.Or(r.PostForm.Get("amount"), "0"), By: v.By}
}

// withdrawCheck shows what a withdrawal would come to.
func (d *door) withdrawCheck(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.withdrawPage(r, v, r.PostForm.Get("network"))
	if err != nil {
		return err
	}
	p.Cost, err = d.Desk.WithdrawalCost(r.Context(), withdrawalAsked(r, v, p))
	p.Ready = err == nil
	return d.withdrawAgain(w, r, p, err)
}

// withdrawAgain shows the form with what was refused, if anything was.
func (d *door) withdrawAgain(w http.ResponseWriter, r *http.Request, p withdrawPage, why error) error {
	if why != nil {
		s, status, ok := d.refusal(p.visit, why)
		if !ok {
			return why
		}
		p.Error, p.Status = s, status
	}
	return d.render(w, r, "withdraw", p)
}

// withdraw asks for it. The form that was confirmed is the form that is obeyed: the second factor was asked for before.
func (d *door) withdraw(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.withdrawPage(r, v, r.PostForm.Get("network"))
	if err != nil {
		return err
	}
	if !r.PostForm.Has("id") {
		return payment.Malformed("id", "fill the form in again")
	}
	if _, err := d.Desk.Withdraw(r.Context(), withdrawalAsked(r, v, p)); err != nil {
		return d.withdrawAgain(w, r, p, err)
	}
	return done(w, r, "/wallet", "withdraw")
}

// cancelWithdrawal gives a withdrawal up for which nothing was sent yet.
func (d *door) cancelWithdrawal(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := d.Desk.CancelWithdrawalBy(r.Context(), v.By, payment.ID(r.PostForm.Get("id")))
	var refusal *payment.Error
	if errors.As(err, &refusal) {
		return d.walletAgain(w, r, v, err)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/wallet", "withdraw-off")
}
