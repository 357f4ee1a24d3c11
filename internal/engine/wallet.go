package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A FeeReader tells what payouts cost now. Every chain.Builder is one. An error means that nobody can say just now.
type FeeReader interface {
	Fees(ctx context.Context) (chain.Fees, error)
}

// A Wallet is what a merchant's PIPE wallet holds on one network. Coins on their way out are still in Balance.
type Wallet struct {
	Network  money.Network
	Balance  money.Amount
	Reserved money.Amount // of Balance: set aside for payouts that are on their way
	Asked    money.Amount // of Balance: asked for by withdrawals that wait
	Free     money.Amount // of Balance: what may be withdrawn
	Address  string       // that it receives at; "" while none was given
}

// Wallets are a merchant's on all networks, in their order. Error: malformed for a merchant that there is not.
func (d *Desk) Wallets(ctx context.Context, merchant payment.ID) ([]Wallet, error) {
	var all []Wallet
	err := d.Store.View(ctx, func(tx Tx) error {
		all = nil
		if err := merchantIs(tx, merchant); err != nil {
			return err
		}
		for _, n := range d.Nets {
			w, err := wallet(tx, merchant, n.Network)
			if err != nil {
				return err
			}
			all = append(all, w)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Wallet) int { return cmp.Compare(a.Network, b.Network) })
	return all, err
}

func merchantIs(tx Tx, merchant payment.ID) error {
	_, err := tx.Merchant(merchant)
	if errors.Is(err, payment.ErrAbsent) {
		return payment.Malformed("merchant", "no such merchant")
	}
	return err
}

// wallet adds one wallet up. The ledger has set aside already what is reserved.
func wallet(tx Tx, merchant payment.ID, n money.Network) (Wallet, error) {
	nothing := money.Zero(n.Coin())
	w := Wallet{Network: n, Reserved: nothing, Asked: nothing}
	account := ledger.Wallet(string(merchant))
	have, err := tx.BalanceOf(account, n)
	if err != nil {
		return w, err
	}
	reserved, err := tx.SourcePayouts(account, n, true, Batch)
	if err != nil {
		return w, err
	}
	for _, p := range reserved {
		w.Reserved = w.Reserved.Add(p.Amount.Sub(p.Wasted))
	}
	asked, err := tx.MerchantPayouts(MerchantPayouts{Merchant: merchant, Network: n, Kinds: []payment.PayoutKind{payment.Withdrawal}, Limit: Batch})
	if err != nil {
		return w, err
	}
	for _, p := range asked {
		if p.State == payment.PayoutWaiting {
			w.Asked = w.Asked.Add(p.Amount)
		}
	}
	w.Balance, w.Free = have.Add(w.Reserved), have.Sub(w.Asked)
	if w.Free.Sign() < 0 {
		w.Free = nothing // a refund took meanwhile what a withdrawal waits for
	}
	a, err := tx.ReceivingAddress(merchant, n)
	if errors.Is(err, payment.ErrAbsent) {
		return w, nil
	}
	w.Address = a.Address
	return w, err
}

// served is the network as the desk knows it. Error: malformed.
func (d *Desk) served(n money.Network) (Net, error) {
	if net, ok := d.Nets[n.Coin()]; ok && net.Network == n {
		return net, nil
	}
	return Net{}, payment.Malformed("network", "%s is not served here", n)
}

// ReceivingAddress is the address at which a merchant's wallet receives coins from outside, given at the first call. Errors:
// malformed, no-address.
func (d *Desk) ReceivingAddress(ctx context.Context, merchant payment.ID, n money.Network) (string, error) {
	if _, err := d.served(n); err != nil {
		return "", err
	}
	var a payment.Address
	err := d.Store.Update(ctx, func(tx Tx) (err error) {
		if err := merchantIs(tx, merchant); err != nil {
			return err
		}
		a, err = receivingAddress(tx, merchant, n)
		if errors.Is(err, payment.ErrAbsent) {
			return payment.Refuse(payment.Unavailable, payment.WordNoAddress, "no address is ready just now: try again shortly")
		}
		return err
	})
	return a.Address, err
}

// receivingAddress is the one that a wallet receives at, given at the first call. payment.ErrAbsent: none is ready.
func receivingAddress(tx Tx, merchant payment.ID, n money.Network) (payment.Address, error) {
	a, err := tx.ReceivingAddress(merchant, n)
	if !errors.Is(err, payment.ErrAbsent) {
		return a, err
	}
	return tx.GiveAddress(GiveAddress{Merchant: merchant, Network: n, HotUntil: tx.Now().Add(HotFor)})
}

// AskWithdrawal asks for coins of a merchant's wallet.
type AskWithdrawal struct {
	// ID is what the withdrawal shall be called, so that asking twice with it is asking once; "" for a new one.
	ID       payment.ID
	Merchant payment.ID
	Network  money.Network
	To       string
	Amount   string // in whole coins, network fee included; All for all that is free
	By       By     // the person who asks, written into the audit log; zero for a command
}

// All is the amount of a withdrawal that takes everything.
const All = "all"

// Withdraw asks for coins of a wallet to be sent to an address. The payout waits until the payer of its network opens it, and
// the signer must know the address; what arrives is its amount less the network fee. Errors: malformed.
func (d *Desk) Withdraw(ctx context.Context, a AskWithdrawal) (payment.Payout, error) {
	var p payment.Payout
	to, err := d.withdrawalTo(a)
	if err != nil {
		return p, err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		if made, err := tx.Payout(a.ID); err == nil && a.ID != "" {
			p = made
			return a.same(made, to)
		} else if err != nil && !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		amount, err := withdrawable(tx, a, to)
		if err != nil {
			return err
		}
		nothing := money.Zero(a.Network.Coin())
		p = payment.Payout{
			ID: cmp.Or(a.ID, tx.NewID()), Kind: payment.Withdrawal, MerchantID: a.Merchant, Network: a.Network, To: to,
			Amount: amount, Wasted: nothing, Fee: nothing, Net: nothing, State: payment.PayoutWaiting, Attempt: 1,
			CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now(),
		}
		if err := tx.AddPayout(p); err != nil || a.By.User.ID == "" {
			return err
		}
		return Record(tx, a.By, a.Merchant, Act{Action: "withdrawal.ask", Subject: string(p.ID), Data: map[string]any{
			"network": p.Network, "to": p.To, "amount": p.Amount.Text(),
		}})
	})
	return p, err
}

// same refuses the id of a payout that is another one than what is asked for.
func (a AskWithdrawal) same(made payment.Payout, to string) error {
	if made.Kind != payment.Withdrawal || made.MerchantID != a.Merchant || made.Network != a.Network || made.To != to {
		return payment.Malformed("id", "is another payout's")
	}
	return nil
}

// withdrawalTo checks what needs no look at the store, and is the address's normal form.
func (d *Desk) withdrawalTo(a AskWithdrawal) (string, error) {
	n, err := d.served(a.Network)
	if err != nil {
		return "", err
	}
	if id, ok := payment.ParseID(string(a.ID)); a.ID != "" && (!ok || id != a.ID) {
		return "", payment.Malformed("id", "must be %d upper-case hex digits", payment.IDLength)
	}
	if len(a.To) > payment.MaxAddress {
		return "", payment.Malformed("address", "has more than %d characters", payment.MaxAddress)
	}
	to, err := n.ParseAddress(a.To)
	if err != nil {
		return "", payment.Malformed("address", "%s", err)
	}
	return to, nil
}

// withdrawable is the amount that is asked for, if the wallet has it to spare.
func withdrawable(tx Tx, a AskWithdrawal, to string) (money.Amount, error) {
	nothing := money.Zero(a.Network.Coin())
	if err := merchantIs(tx, a.Merchant); err != nil {
		return nothing, err
	}
	if err := outside(tx, "address", a.Network, to); err != nil {
		return nothing, err
	}
	w, err := wallet(tx, a.Merchant, a.Network)
	if err != nil {
		return nothing, err
	}
	amount := w.Free
	if !strings.EqualFold(a.Amount, All) {
		if amount, err = money.Parse(a.Network.Coin(), a.Amount); err != nil {
			return nothing, payment.Malformed("amount", "%s", err)
		}
	}
	switch {
	case w.Free.Less(amount):
		return nothing, payment.Malformed("amount", "the wallet has only %s to spare", w.Free)
	case amount.IsZero() && w.Free.IsZero():
		return nothing, payment.Malformed("amount", "the wallet has nothing to spare")
	case amount.IsZero():
		return nothing, payment.Malformed("amount", "must be above zero")
	}
	return amount, nil
}

// outside refuses an address of our own: coins would leave and not leave.
func outside(tx Tx, field string, n money.Network, address string) error {
	_, err := tx.Address(n, address)
	switch {
	case err == nil:
		return payment.Malformed(field, "%s is an address of this payment service: give one of a wallet of your own", address)
	case errors.Is(err, payment.ErrAbsent):
		return nil
	}
	return err
}

// settleOutside refuses settlement addresses of our own.
func (d *Desk) settleOutside(tx Tx, app payment.Application) error {
	for coin, address := range app.Settlement {
		if n, ok := d.Nets[coin]; ok {
			if err := outside(tx, "settlement_address", n.Network, address); err != nil {
				return err
			}
		}
	}
	return nil
}

// A Cost is what a withdrawal would come to now. Fee is an estimate of all network fees, and Net what would arrive of Amount.
// Where nobody can say what fees are now, both are the zero Amount.
type Cost struct {
	Amount, Fee, Net money.Amount
}

// WithdrawalCost estimates what a withdrawal would cost if it were asked for now, which it refuses as Withdraw would. Errors:
// malformed, also for an amount that its fee would eat.
func (d *Desk) WithdrawalCost(ctx context.Context, a AskWithdrawal) (Cost, error) {
	var c Cost
	to, err := d.withdrawalTo(a)
	if err != nil {
		return c, err
	}
	var fees chain.Fees
	if reader, ok := d.Fees[a.Network]; ok {
		if fees, err = reader.Fees(ctx); err != nil {
			d.Log.WarnContext(ctx, "fees are not known just now", "network", a.Network, "error", err)
			fees = chain.Fees{}
		}
	}
	tickets := 0
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		if c.Amount, err = withdrawable(tx, a, to); err != nil {
			return err
		}
		tickets, err = d.tickets(tx, a, c.Amount)
		return err
	})
	if err != nil || fees.Plain.IsZero() {
		return c, err
	}
	more := fees.Holding
	if d.Nets[a.Network.Coin()].Accounts {
		more = fees.Plain // each further account is gathered into the first
	}
	c.Fee = fees.Plain
	for range tickets - 1 {
		c.Fee = c.Fee.Add(more)
	}
	if c.Net = c.Amount.Sub(c.Fee); c.Net.Sign() <= 0 || c.Net.Less(fees.Least) {
		return c, payment.Malformed("amount", "%s is smaller than its network fee, about %s now", c.Amount, c.Fee)
	}
	return c, nil
}

// tickets is from how many of the wallet's holdings an amount would come, at least one.
func (d *Desk) tickets(tx Tx, a AskWithdrawal, amount money.Amount) (int, error) {
	if d.Nets[a.Network.Coin()].Accounts {
		l, err := accounts(tx, a.Merchant, a.Network, nil)
		if err != nil {
			return 0, err
		}
		return l.toCover(amount), nil
	}
	l, err := outputs(tx, ledger.Wallet(string(a.Merchant)), a.Network, nil)
	if err != nil {
		return 0, err
	}
	return l.toCover(amount), nil
}

// Payouts are a merchant's, at most Batch, the newest first.
func (d *Desk) Payouts(ctx context.Context, q MerchantPayouts) (all []payment.Payout, err error) {
	if q.Limit <= 0 || q.Limit > Batch {
		q.Limit = Batch
	}
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		if err := merchantIs(tx, q.Merchant); err != nil {
			return err
		}
		all, err = tx.MerchantPayouts(q)
		return err
	})
	return all, err
}

// CancelWithdrawal gives up a withdrawal for which no transaction was made yet: it failed, and its coins are free again. Errors:
// malformed for one that the merchant does not have, wrong-state.
func (d *Desk) CancelWithdrawal(ctx context.Context, merchant, id payment.ID) (payment.Payout, error) {
	return d.cancelWithdrawal(ctx, By{}, merchant, id)
}

// CancelWithdrawalBy is CancelWithdrawal for a person, at their merchant, written into the audit log.
func (d *Desk) CancelWithdrawalBy(ctx context.Context, by By, id payment.ID) (payment.Payout, error) {
	return d.cancelWithdrawal(ctx, by, by.Merchant.ID, id)
}

func (d *Desk) cancelWithdrawal(ctx context.Context, by By, merchant, id payment.ID) (payment.Payout, error) {
	var p payment.Payout
	err := d.Store.Update(ctx, func(tx Tx) (err error) {
		p, err = tx.Payout(id)
		if errors.Is(err, payment.ErrAbsent) || err == nil && (p.MerchantID != merchant || p.Kind != payment.Withdrawal) {
			p = payment.Payout{}
			return payment.Malformed("withdrawal", "no such withdrawal")
		} else if err != nil {
			return err
		}
		if p.State != payment.PayoutWaiting && p.State != payment.PayoutOpen {
			return closed("this withdrawal is on its way or over: it cannot be cancelled any more")
		}
		if p.Reserved {
			if err := unreserve(tx, &p, payment.HoldNone); err != nil {
				return err
			}
		}
		if err := payment.PayoutEdges.Check(p.State, payment.PayoutFailed); err != nil {
			return err
		}
		p.State, p.Held, p.FailReason, p.UpdatedAt, p.DoneAt = payment.PayoutFailed, payment.HoldNone, Cancelled, tx.Now(), tx.Now()
		if err := tx.SwapPayout(p); err != nil || by.User.ID == "" {
			return err
		}
		return Record(tx, by, merchant, Act{Action: "withdrawal.cancel", Subject: string(id)})
	})
	return p, err
}

// Cancelled is why a withdrawal failed that the merchant gave up.
const Cancelled = "cancelled by the merchant"
