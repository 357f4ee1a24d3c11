package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// What the ledger sets aside for payouts, and how it makes room when the chain takes coins back.

// bookDeposit is what the ledger is told of a deposit that is confirmed, or was a moment ago.
func (w *Watcher) bookDeposit(tx Tx, d payment.Deposit) (ledger.Deposit, error) {
	b := ledger.Deposit{Network: d.Network, Ref: d.Ref, Turn: d.Turn, Account: d.Account, Amount: d.Amount}
	if !w.Net.Accounts || d.InvoiceID == "" || d.Account.IsWallet() {
		return b, nil
	}
	inv, err := tx.Invoice(d.InvoiceID)
	if err != nil {
		return b, err
	}
	b.Wallet = ledger.Wallet(string(inv.MerchantID))
	b.Kept, err = keptOf(tx, d, func(o payment.Deposit) bool { return o.State == payment.Confirmed })
	return b, err
}

func inBlock(d payment.Deposit) bool { return d.State == payment.Mined || d.State == payment.Confirmed }

// keptOf is what of a deposit to an account is the wallet's. Where a part of an invoice's coins was moved there, no coin can be
// told from another: the first ones that come again after a reorganisation are the wallet's. counts says which others are there.
func keptOf(tx Tx, d payment.Deposit, counts func(payment.Deposit) bool) (money.Amount, error) {
	nothing := money.Zero(d.Network.Coin())
	if d.Account.IsWallet() {
		return d.Amount, nil
	}
	if d.InvoiceID == "" || d.SpendID != "" {
		return nothing, nil
	}
	f, err := tx.Facts(d.InvoiceID)
	if err != nil {
		return nothing, err
	}
	moved, others := nothing, nothing
	for _, p := range f.Payouts {
		if p.IsMoved() && p.Network == d.Network {
			moved = moved.Add(p.Amount)
		}
	}
	for _, o := range f.Deposits {
		if o.Network == d.Network && o.Ref != d.Ref && o.Account == d.Account && counts(o) {
			others = others.Add(o.Amount)
		}
	}
	return least(moved, others.Add(d.Amount)).Sub(least(moved, others)), nil
}

func least(a, b money.Amount) money.Amount {
	if b.Less(a) {
		return b
	}
	return a
}

// makeRoom ends what was owed anew since a spend was done, so that its payouts can be on their way again: of one kind an
// invoice has one live payout. What is owed beyond them is claimed again once they are done. false: one is being paid.
func (w *Watcher) makeRoom(tx Tx, s payment.Spend) (bool, error) {
	all, err := tx.SpendPayouts(s.ID)
	if err != nil {
		return false, err
	}
	var others []payment.Payout
	for _, p := range all {
		if p.InvoiceID == "" || s.Failed {
			continue
		}
		f, err := tx.Facts(p.InvoiceID)
		if err != nil {
			return false, err
		}
		for _, o := range f.Payouts {
			if o.ID != p.ID && o.Kind == p.Kind && o.Network == p.Network && o.Live() {
				others = append(others, o)
			}
		}
	}
	if slices.ContainsFunc(others, func(o payment.Payout) bool { return o.State == payment.PayoutPaying }) {
		return false, nil
	}
	for _, o := range others {
		if o.Reserved {
			if err := unreserve(tx, &o, payment.HoldNone); err != nil {
				return false, err
			}
		}
		o.State, o.Held, o.FailReason = payment.PayoutFailed, payment.HoldNone, "the network took an earlier payout of its kind back, which is paid first"
		o.DoneAt, o.UpdatedAt = tx.Now(), tx.Now()
		if err := tx.SwapPayout(o); err != nil {
			return false, err
		}
		if err := w.teller().tell(tx, o); err != nil {
			return false, err
		}
	}
	return true, nil
}

// unfinish takes back the booking of a spend that was done.
func (w *Watcher) unfinish(tx Tx, s payment.Spend) error {
	if s.Failed { // its payout was tried again since: what it says of its fee may come true again, or both may be paid
		return halt(tx, fmt.Sprintf("%s: a reorganisation took back %s, carried out in vain, whose payout was tried again", s.Network, s.TxID))
	}
	book, _, err := w.book(tx, s)
	if err != nil {
		return err
	}
	if err := w.unfill(tx, s, book); err != nil {
		return err
	}
	if err := tx.Post(ledger.ReverseSpend(book)); err != nil {
		return err
	}
	return w.eachPayout(tx, s, func(p *payment.Payout) error {
		if err := payment.PayoutEdges.Check(p.State, payment.PayoutPaying); err != nil {
			return err
		}
		p.State, p.Reserved, p.DoneAt = payment.PayoutPaying, true, time.Time{}
		if p.InvoiceID == "" {
			return nil
		}
		return tx.Stir(p.InvoiceID, w.Net.Network)
	})
}

// unfill makes room in a wallet for what a spend brought there and takes away again.
func (w *Watcher) unfill(tx Tx, s payment.Spend, book ledger.Spend) error {
	held, err := tx.Tickets(s.ID)
	if err != nil || len(held) == 0 {
		return err
	}
	need := map[ledger.Account]money.Amount{}
	for _, paid := range book.Paid {
		if paid.Inside != "" {
			need[paid.Inside] = need[paid.Inside].Add(paid.Net)
		}
	}
	for account, sum := range need {
		if err := free(tx, payment.Deposit{Network: s.Network, Ref: held[0].Ticket, Address: held[0].Address}, account, sum); err != nil {
			return err
		}
	}
	return nil
}

// unbook takes a deposit back in the ledger. Coins of it that are set aside for payouts are set aside no more before.
func (w *Watcher) unbook(tx Tx, d payment.Deposit) error {
	b, err := w.bookDeposit(tx, d)
	if err != nil {
		return err
	}
	if b.Kept.Sign() > 0 {
		if err := free(tx, d, b.Wallet, b.Kept); err != nil {
			return err
		}
	}
	if err := free(tx, d, d.Account, b.Amount.Sub(b.Kept)); err != nil {
		return err
	}
	return tx.Post(ledger.ReverseDeposit(b))
}

// free sets coins of an account aside no more until it has as much as is needed. A payout without a spend waits again; one with
// a spend keeps it, because its bytes go as the deposit goes. Those that spend the deposit itself go first: they cannot be paid
// without it.
func free(tx Tx, d payment.Deposit, a ledger.Account, need money.Amount) error {
	n := d.Network
	have, err := tx.BalanceOf(a, n)
	if err != nil || !have.Less(need) {
		return err
	}
	all, err := tx.SourcePayouts(a, n, true, Batch)
	if err != nil {
		return err
	}
	spends, err := spendersOf(tx, d)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(x, y payment.Payout) int { return cmp.Compare(spends.rank(x), spends.rank(y)) })
	for _, p := range all {
		if !have.Less(need) {
			return nil
		}
		have = have.Add(p.Amount.Sub(p.Wasted))
		if err := unreserve(tx, &p, payment.HoldReversed); err != nil {
			return err
		}
		if err := tx.SwapPayout(p); err != nil {
			return err
		}
	}
	return nil
}

// spenders are the spends that use a deposit, or its account.
type spenders map[payment.ID]bool

// rank says which payouts give up coins first.
func (s spenders) rank(p payment.Payout) int {
	switch {
	case s[p.SpendID]:
		return 0
	case p.SpendID == "":
		return 1
	}
	return 2
}

func spendersOf(tx Tx, d payment.Deposit) (spenders, error) {
	all := spenders{}
	tickets := []string{d.Ref}
	if addr, err := tx.Address(d.Network, d.Address); err == nil {
		tickets = append(tickets, AccountTicket(addr.Address, addr.Nonce))
	}
	for _, t := range tickets {
		s, err := tx.TicketSpend(d.Network, t)
		if errors.Is(err, payment.ErrAbsent) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[s.ID] = true
	}
	return all, nil
}

// unreserve gives a payout's coins back to where they came from.
func unreserve(tx Tx, p *payment.Payout, why payment.Hold) error {
	if err := tx.Post(ledger.Unreserve(reservation(*p))); err != nil {
		return err
	}
	p.Reserved, p.Held, p.UpdatedAt, p.DueAt = false, why, tx.Now(), tx.Now()
	if p.State == payment.PayoutOpen {
		p.State, p.Source = payment.PayoutWaiting, ""
	}
	return nil
}

// reserve sets a payout's coins aside.
func reserve(tx Tx, p *payment.Payout) error {
	p.Turn, p.Reserved, p.Held = p.Turn+1, true, payment.HoldNone
	return tx.Post(ledger.Reserve(reservation(*p)))
}

func reservation(p payment.Payout) ledger.Reservation {
	return ledger.Reservation{Payout: string(p.ID), Turn: p.Turn, Source: p.Source, Network: p.Network, Amount: p.Amount.Sub(p.Wasted)}
}

// rebook sets coins aside again for payouts whose spend is on its way, now that their deposit is deep enough again.
func rebook(tx Tx, a ledger.Account, n money.Network) error {
	all, err := tx.SourcePayouts(a, n, false, Batch)
	if err != nil {
		return err
	}
	for _, p := range all {
		have, err := tx.BalanceOf(a, n)
		if err != nil {
			return err
		}
		if p.State != payment.PayoutPaying || have.Less(p.Amount.Sub(p.Wasted)) {
			continue
		}
		if err := reserve(tx, &p); err != nil {
			return err
		}
		p.UpdatedAt = tx.Now()
		if err := tx.SwapPayout(p); err != nil {
			return err
		}
	}
	return nil
}
