package demo

import (
	"context"
	"fmt"
	"maps"
	"net/url"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// The control endpoints of money out: what goes wrong with it, where it goes, and how far it is.

type txIn struct {
	Coin string `json:"coin"`
	TxID string `json:"txid"`
}

func (d *Demo) controlEvict(ctx context.Context, in txIn) (txIn, error) {
	_, chain, err := d.chain(in.Coin)
	if err != nil {
		return in, err
	}
	return in, chain.Evict(ctx, in.TxID)
}

func (d *Demo) weather(coin string) (Weather, error) {
	_, chain, err := d.chain(coin)
	if err != nil {
		return nil, err
	}
	w, ok := chain.(Weather)
	if !ok {
		return nil, fmt.Errorf("%s is a real node here: its sends do not fail and its fees do not change on demand", coin)
	}
	return w, nil
}

type failIn struct {
	Coin string `json:"coin"`
	Mode string `json:"mode"` // lost, cut, forgotten or refused
}

func (d *Demo) controlFailNextSend(ctx context.Context, in failIn) (failIn, error) {
	w, err := d.weather(in.Coin)
	if err != nil {
		return in, err
	}
	return in, w.FailNextSend(ctx, in.Mode)
}

type feesIn struct {
	Coin   string `json:"coin"`
	Factor int64  `json:"factor"` // 1 is ordinary
}

func (d *Demo) controlFees(ctx context.Context, in feesIn) (feesIn, error) {
	if in.Factor < 1 || in.Factor > MaxFees {
		return in, fmt.Errorf("factor must be between 1 and %d", MaxFees)
	}
	w, err := d.weather(in.Coin)
	if err != nil {
		return in, err
	}
	if err := w.SetFees(ctx, in.Factor); err != nil {
		return in, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fees := map[money.Currency]int64{}
	maps.Copy(fees, d.state.Fees)
	fees[money.Currency(in.Coin)] = in.Factor
	d.state.Fees = fees
	return in, d.save()
}

type coinIn struct {
	Coin string `json:"coin"`
}

type addressOut struct {
	Address string `json:"address"`
}

// controlRefuser makes a contract that refuses coins.
func (d *Demo) controlRefuser(ctx context.Context, in coinIn) (out addressOut, err error) {
	coin, chain, err := d.chain(in.Coin)
	if err != nil {
		return out, err
	}
	r, ok := chain.(Refuser)
	if !ok {
		return out, fmt.Errorf("%s has no contracts", coin)
	}
	if out.Address, err = r.NewRefuser(ctx); err != nil {
		return out, err
	}
	_, _, err = chain.Mine(ctx, 1)
	return out, err
}

type settlementIn struct {
	Coin    string `json:"coin"`
	Address string `json:"address"` // "": coins stay in the PIPE wallet
}

func (d *Demo) controlSettlement(ctx context.Context, in settlementIn) (settlementIn, error) {
	coin, _, err := d.chain(in.Coin)
	if err != nil {
		return in, err
	}
	app, err := d.app.Desk.SetApplication(ctx, payment.ID(d.state.ApplicationID), engine.Change{Settlement: map[money.Currency]string{coin: in.Address}})
	in.Address = app.Settlement[coin]
	return in, err
}

// controlReceive tells the receiving address of the merchant's PIPE wallet.
func (d *Demo) controlReceive(ctx context.Context, in coinIn) (out addressOut, err error) {
	coin, _, err := d.chain(in.Coin)
	if err != nil {
		return out, err
	}
	out.Address, err = d.app.Desk.ReceivingAddress(ctx, payment.ID(d.state.MerchantID), d.app.Nets[coin].Network)
	return out, err
}

type withdrawIn struct {
	Coin    string `json:"coin"`
	Address string `json:"address"`
	Amount  string `json:"amount"` // whole coins, decimal text, or all
}

func (d *Demo) controlWithdraw(ctx context.Context, in withdrawIn) (payoutOut, error) {
	coin, _, err := d.chain(in.Coin)
	if err != nil {
		return payoutOut{}, err
	}
	p, err := d.app.Desk.Withdraw(ctx, engine.AskWithdrawal{
		Merchant: payment.ID(d.state.MerchantID), Network: d.app.Nets[coin].Network, To: in.Address, Amount: in.Amount,
	})
	if err != nil {
		return payoutOut{}, err
	}
	return payoutView(p), nil
}

type crashIn struct {
	Step int `json:"step"` // 0 takes an armed one back
}

func (d *Demo) controlCrash(_ context.Context, in crashIn) (crashIn, error) {
	return in, d.crash.arm(engine.PayStep(in.Step))
}

type stepOut struct {
	Step int    `json:"step"`
	Name string `json:"name"`
}

// lookSteps lists where a crash can be armed.
func (d *Demo) lookSteps(context.Context, url.Values) (all []stepOut, err error) {
	for _, s := range engine.PaySteps {
		all = append(all, stepOut{int(s), s.String()})
	}
	return all, nil
}

type balanceOut struct {
	Amount string `json:"amount"` // whole coins, decimal text
}

func (d *Demo) lookBalance(ctx context.Context, q url.Values) (balanceOut, error) {
	coin, chain, err := d.chain(q.Get("coin"))
	if err != nil {
		return balanceOut{}, err
	}
	n, err := chain.Balance(ctx, q.Get("address"))
	if err != nil {
		return balanceOut{}, err
	}
	return balanceOut{money.OfBig(coin, n).Text()}, nil
}

// payoutOut is a payout as the endpoints print it. Amounts are whole coins, decimal text; "" is not known yet.
type payoutOut struct {
	ID        payment.ID `json:"payout_id"`
	InvoiceID payment.ID `json:"invoice_id"`
	Kind      string     `json:"kind"`
	Coin      string     `json:"coin"`
	State     string     `json:"state"`
	Held      string     `json:"held"`
	Reason    string     `json:"fail_reason"`
	To        string     `json:"to"`
	Amount    string     `json:"amount"`
	Fee       string     `json:"fee"` // with what was wasted on transactions in vain
	Net       string     `json:"net"`
	Spend     payment.ID `json:"spend_id"`
	TxID      string     `json:"txid"`
}

func payoutView(p payment.Payout) payoutOut {
	text := func(a money.Amount) string {
		if a.Currency() == "" {
			return ""
		}
		return a.Text()
	}
	return payoutOut{
		ID: p.ID, InvoiceID: p.InvoiceID, Kind: string(p.Kind), Coin: string(p.Network.Coin()), State: string(p.State), Held: string(p.Held),
		Reason: p.FailReason, To: p.To, Amount: text(p.Amount), Fee: text(p.Fee.Add(p.Wasted)), Net: text(p.Net), Spend: p.SpendID, TxID: p.TxID,
	}
}

// lookPayouts lists the newest payouts, those of an invoice where one is named.
func (d *Demo) lookPayouts(ctx context.Context, q url.Values) ([]payoutOut, error) {
	all, err := d.app.Desk.Payouts(ctx, engine.MerchantPayouts{Merchant: payment.ID(d.state.MerchantID)})
	list := []payoutOut{}
	for _, p := range all {
		if id := q.Get("invoice_id"); id == "" || id == string(p.InvoiceID) {
			list = append(list, payoutView(p))
		}
	}
	return list, err
}

type walletOut struct {
	Network  string `json:"network"`
	Coin     string `json:"coin"`
	Balance  string `json:"balance"`
	Reserved string `json:"reserved"`
	Free     string `json:"free"`
	Address  string `json:"address"`
}

// lookWallet tells what the merchant's PIPE wallet holds.
func (d *Demo) lookWallet(ctx context.Context, _ url.Values) ([]walletOut, error) {
	all, err := d.app.Desk.Wallets(ctx, payment.ID(d.state.MerchantID))
	list := []walletOut{}
	for _, w := range all {
		list = append(list, walletOut{
			string(w.Network), string(w.Network.Coin()), w.Balance.Text(), w.Reserved.Text(), w.Free.Text(), w.Address,
		})
	}
	return list, err
}
