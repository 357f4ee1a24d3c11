package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// tickets are what one payout is paid with: coins of its own account alone.
func (p *Payer) tickets(tx Tx, x payment.Payout) ([]payment.Ticket, payment.Hold, error) {
	if p.Net.Accounts {
		return p.account(tx, x)
	}
	coins, err := p.coinsFor(tx, x, x.Source)
	if err != nil {
		return nil, "", err
	}
	need, have := x.Amount.Sub(x.Wasted), money.Zero(p.Net.Network.Coin())
	var all []payment.Ticket
	for _, c := range coins {
		if len(all) == MaxHoldings || !have.Less(need) {
			break
		}
		addr, err := tx.Address(p.Net.Network, c.Address)
		if err != nil {
			return nil, "", err
		}
		have = have.Add(c.Amount)
		all = append(all, payment.Ticket{Network: p.Net.Network, Ticket: c.Ref, Address: c.Address, Amount: c.Amount, Index: addr.Index})
	}
	switch {
	case !have.Less(need):
		return all, payment.HoldNone, nil
	case len(all) < MaxHoldings:
		return nil, payment.HoldBusy, nil // some are in another spend, or came back from one that is not deep enough yet
	case x.Kind == payment.Gather:
		return nil, "", errGone // others took the large ones
	case x.Source.IsWallet():
		return nil, payment.HoldGather, nil // many small ones
	}
	return nil, payment.HoldBusy, nil
}

// coinsFor are the outputs that a payout is paid with, the largest first, so that few of them pay. An excess is paid with those
// that the merchant's part can do without, so that a payer who sends many small ones pays for them himself.
func (p *Payer) coinsFor(tx Tx, x payment.Payout, source ledger.Account) ([]Output, error) {
	need := x.Amount.Sub(x.Wasted)
	enough := func(l *largest[Output]) bool { return l.covers(need, MaxHoldings) }
	if x.Kind == payment.RefundExcess || x.Kind == payment.Gather { // a gather is of the largest ones that there are
		enough = nil
	}
	l, err := outputs(tx, source, p.Net.Network, enough)
	if err != nil {
		return nil, err
	}
	coins := l.kept
	if x.Kind != payment.RefundExcess || len(coins) <= MaxHoldings {
		return coins, nil
	}
	_, a, err := p.assess(tx, x.InvoiceID)
	if err != nil {
		return nil, err
	}
	part, err := tx.BalanceOf(source, x.Network)
	if err != nil {
		return nil, err
	}
	part = part.Sub(p.of(a.GiveBack))
	busy, err := tx.SourcePayouts(source, x.Network, true, Batch)
	if err != nil {
		return nil, err
	}
	for _, o := range busy {
		if o.State == payment.PayoutOpen && o.ID != x.ID {
			part = part.Add(o.Amount)
		}
	}
	if rest := without(coins, part); len(rest) >= MaxHoldings {
		return rest, nil
	}
	return coins, nil
}

// without leaves out what covers a part: the smallest output that does alone, else the largest ones. The largest come first.
func without(coins []Output, part money.Amount) []Output {
	for i := len(coins) - 1; i >= 0; i-- {
		if !coins[i].Amount.Less(part) {
			return slices.Delete(slices.Clone(coins), i, i+1)
		}
	}
	i := 0
	for have := money.Zero(part.Currency()); i < len(coins) && have.Less(part); i++ {
		have = have.Add(coins[i].Amount)
	}
	return coins[i:]
}

// account picks the account that pays: an invoice's own, or the wallet's smallest one that holds enough.
func (p *Payer) account(tx Tx, x payment.Payout) ([]payment.Ticket, payment.Hold, error) {
	need := x.Amount.Sub(x.Wasted)
	if !x.Source.IsWallet() {
		addr, err := tx.InvoiceAddress(x.InvoiceID, x.Network)
		if err != nil {
			return nil, "", err
		}
		return p.nonce(tx, addr, addr.Balance.Sub(addr.Wallet), need)
	}
	var addr payment.Address
	_, err := accounts(tx, x.MerchantID, x.Network, func(a payment.Address) {
		if !a.Wallet.Less(need) && a.Address != x.To && (addr.Address == "" || a.Wallet.Less(addr.Wallet)) {
			addr = a
		}
	})
	switch {
	case err != nil:
		return nil, "", err
	case addr.Address == "" && x.Kind == payment.Gather:
		return nil, "", errGone
	case addr.Address == "":
		return nil, payment.HoldGather, nil
	}
	return p.nonce(tx, addr, addr.Wallet, need)
}

// nonce is the ticket of an account's next transaction. An account has one spend at a time: what could come after it is not
// known before it is final.
func (p *Payer) nonce(tx Tx, a payment.Address, have, need money.Amount) ([]payment.Ticket, payment.Hold, error) {
	ticket := AccountTicket(a.Address, a.Nonce)
	if _, err := tx.TicketSpend(a.Network, ticket); !errors.Is(err, payment.ErrAbsent) {
		return nil, payment.HoldBusy, err
	}
	if a.Nonce > 0 {
		last, err := tx.TicketSpend(a.Network, AccountTicket(a.Address, a.Nonce-1))
		if err != nil && !errors.Is(err, payment.ErrAbsent) {
			return nil, "", err
		}
		if err == nil && last.State != payment.SpendDone {
			return nil, payment.HoldBusy, nil
		}
	}
	if have.Less(need) {
		return nil, payment.HoldBusy, nil
	}
	return []payment.Ticket{{Network: a.Network, Ticket: ticket, Address: a.Address, Amount: need, Index: a.Index}}, payment.HoldNone, nil
}

// AccountTicket names the right to an account's transaction with this nonce.
func AccountTicket(address string, nonce uint64) string { return fmt.Sprintf("%s:%d", address, nonce) }
