package engine

import (
	"errors"
	"slices"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// What stays in a merchant's wallet, and what comes out of it for an invoice that was settled into it.

// insideOf tells whether what a payout brings to its receiver stays the merchant's here: a gather, or a settlement that keeps
// its coins in the wallet.
func insideOf(tx Tx, p payment.Payout) (bool, error) {
	if p.Kind != payment.Settlement || p.To == "" {
		return p.Kind == payment.Gather, nil
	}
	addr, err := tx.Address(p.Network, p.To)
	if errors.Is(err, payment.ErrAbsent) {
		return false, nil
	}
	return err == nil && addr.InvoiceID == "" && addr.MerchantID == p.MerchantID, err
}

// toWallet keeps coins of a paid invoice in the merchant's wallet. Nothing moves on the chain, unless something of the same
// outputs is still the payer's, who may never say where to: then a transaction of ours parts them.
func (p *Payer) toWallet(tx Tx, f payment.Facts, a payment.Assessment, x payment.Payout) error {
	own := ledger.Invoice(string(x.InvoiceID))
	busy, err := tx.SourcePayouts(own, x.Network, true, 1)
	if err != nil {
		return err
	}
	have, err := tx.BalanceOf(own, x.Network)
	if err != nil {
		return err
	}
	back := p.of(a.GiveBack)
	shared := len(busy) > 0 || p.worth(back, p.fees.Plain)
	switch {
	case !shared:
		x.Amount = have
	case p.Net.Accounts:
		if part := have.Sub(back); part.Less(x.Amount) {
			x.Amount = part
		}
	case len(busy) == 0 && p.stays(f, x):
		return p.openInside(tx, x, own)
	}
	if shared && !p.Net.Accounts || x.Amount.Sign() <= 0 {
		return p.hold(tx, x, payment.HoldBusy, p.later(tx)) // what is on its way leaves the rest behind
	}
	return p.moveToWallet(tx, f, x)
}

// stays tells whether the payer's part of an invoice's coins may stay for long: nobody said where to, or it is not worth its
// fee.
func (p *Payer) stays(f payment.Facts, x payment.Payout) bool {
	return f.Invoice.RefundAddress(x.Network.Coin()) == "" || slices.ContainsFunc(f.Payouts, func(o payment.Payout) bool {
		return o.Network == x.Network && o.Kind.IsAutomatic() && o.State == payment.PayoutWaiting && o.Held == payment.HoldFee
	})
}

// openInside opens a settlement that stays in the wallet by a transaction: the merchant's part goes to an address of the wallet's
// and the payer's comes back as change. The fee is the merchant's, and obeys its share.
func (p *Payer) openInside(tx Tx, x payment.Payout, own ledger.Account) error {
	n, most, err := p.holdings(tx, x, own)
	if err != nil {
		return err
	}
	if most.Less(x.Amount) {
		if n < MaxHoldings {
			return p.hold(tx, x, payment.HoldBusy, p.later(tx))
		}
		x.Amount = most // the rest stays with the next settlement
	}
	cost := p.cost(n).Add(p.fees.Output)
	if x.Amount.PerMillion(p.Rules.FeeShare).Less(cost) || !p.worth(x.Amount, cost) {
		return p.hold(tx, x, payment.HoldFee, p.later(tx))
	}
	to, err := receivingAddress(tx, x.MerchantID, x.Network)
	if errors.Is(err, payment.ErrAbsent) {
		return p.hold(tx, x, payment.HoldBusy, p.soon(tx)) // the pool is empty just now
	}
	if err != nil {
		return err
	}
	x.To = to.Address
	return p.open(tx, x, own)
}

// moveToWallet books an invoice's coins as the wallet's: all of them, or where accounts hold them the merchant's part.
func (p *Payer) moveToWallet(tx Tx, f payment.Facts, x payment.Payout) error {
	own, wallet := ledger.Invoice(string(x.InvoiceID)), ledger.Wallet(string(x.MerchantID))
	if err := p.endDust(tx, f); err != nil {
		return err
	}
	if err := tx.Post(ledger.MoveToWallet(ledger.Move{
		Settlement: string(x.ID), Invoice: string(x.InvoiceID), Merchant: string(x.MerchantID), Network: x.Network, Amount: x.Amount,
	})); err != nil {
		return err
	}
	if err := p.moveCoins(tx, x); err != nil {
		return err
	}
	if err := rebook(tx, wallet, x.Network); err != nil {
		return err
	}
	x.To = ""
	x.State, x.Source, x.Held, x.Net, x.DoneAt, x.UpdatedAt = payment.PayoutDone, own, payment.HoldNone, x.Amount, tx.Now(), tx.Now()
	if err := tx.SwapPayout(x); err != nil {
		return err
	}
	if err := p.wake(tx, x); err != nil {
		return err
	}
	return reassess(tx, p.teller(), x.InvoiceID)
}

// moveCoins makes an invoice's confirmed outputs the wallet's. Of an account's coins the sum is noted.
func (p *Payer) moveCoins(tx Tx, x payment.Payout) error {
	own, wallet := ledger.Invoice(string(x.InvoiceID)), ledger.Wallet(string(x.MerchantID))
	addr, err := tx.InvoiceAddress(x.InvoiceID, x.Network)
	if err != nil {
		return err
	}
	if p.Net.Accounts {
		addr.Wallet = addr.Wallet.Add(x.Amount)
		return tx.SwapAddress(addr)
	}
	all, err := tx.AddressDeposits(x.Network, addr.Address)
	if err != nil {
		return err
	}
	if err := p.moveHistory(tx, x, own, wallet); err != nil {
		return err
	}
	for _, d := range all {
		if d.Account != own || d.State != payment.Confirmed {
			continue
		}
		d.Account = wallet
		if err := tx.SwapDeposit(d); err != nil {
			return err
		}
	}
	return nil
}

// moveHistory makes what was paid of the coins that became the wallet's the wallet's too: where a reorganisation takes the coins
// away, all of it steps back in one account.
func (p *Payer) moveHistory(tx Tx, x payment.Payout, own, wallet ledger.Account) error {
	f, err := tx.Facts(x.InvoiceID)
	if err != nil {
		return err
	}
	for _, o := range f.Payouts {
		if o.Network != x.Network || o.Source != own || o.State != payment.PayoutDone || o.SpendID == "" {
			continue
		}
		o.Source = wallet
		if err := tx.SwapPayout(o); err != nil {
			return err
		}
	}
	return nil
}

// float is what of a refund the wallet is to pay: what the invoice does not have any more, less what it cost to bring it into
// the wallet. What the invoice still has goes back to the payer by itself once it is refunded.
func (p *Payer) float(tx Tx, f payment.Facts, x payment.Payout, own money.Amount) (money.Amount, error) {
	need := f.Refundable(x.Network)
	if p.worth(own, p.fees.Plain) {
		need = need.Sub(own)
	}
	for _, o := range f.Payouts {
		if o.Kind != payment.Settlement || o.State != payment.PayoutDone || o.SpendID == "" || o.Network != x.Network {
			continue
		}
		inside, err := insideOf(tx, o)
		if err != nil {
			return need, err
		}
		if inside {
			need = need.Sub(o.Amount.Sub(o.Net))
		}
	}
	return need, nil
}

// arriving tells whether coins of an invoice are on their way into the wallet.
func (p *Payer) arriving(tx Tx, f payment.Facts) (bool, error) {
	for _, o := range f.Payouts {
		if o.Kind != payment.Settlement || o.State != payment.PayoutPaying || o.Network != p.Net.Network {
			continue
		}
		if inside, err := insideOf(tx, o); err != nil || inside {
			return inside, err
		}
	}
	return false, nil
}
