package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// What a network shows of our own spends. They are known by the tickets that they use, never by their txids alone.

// ours are the spends that transactions of a block carry out, by txid.
func (w *Watcher) ours(tx Tx, uses []chain.Use) (map[string]payment.Spend, error) {
	all := map[string]payment.Spend{}
	for _, u := range uses {
		if err := w.Recovery.met(tx, u.TxID); err != nil {
			return nil, err
		}
		s, err := tx.TicketSpend(w.Net.Network, string(u.Ticket))
		if errors.Is(err, payment.ErrAbsent) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, err := versionOf(tx, s, u.TxID); err == nil {
			all[u.TxID] = s
		} else if !errors.Is(err, payment.ErrAbsent) {
			return nil, err
		}
	}
	return all, nil
}

// versionOf is the version of a spend that has this txid.
func versionOf(tx Tx, s payment.Spend, txid string) (payment.Version, error) {
	v, err := tx.TxIDVersion(s.Network, txid)
	if err == nil && v.SpendID != s.ID {
		return v, payment.ErrAbsent
	}
	return v, err
}

// sourceOf is whose coins a spend spends: an invoice's may have become the wallet's since, with all that was paid of them.
func sourceOf(tx Tx, s payment.Spend) (ledger.Account, error) {
	if s.Source == "" {
		return "", nil
	}
	all, err := tx.SpendPayouts(s.ID)
	for _, p := range all {
		if p.Source != "" {
			return p.Source, err
		}
	}
	return s.Source, err
}

// staysInside tells whether what a spend of ours brings to an address of ours is change, or what a gather moved. It may also be
// a payout to somebody who pays an invoice with it: then it is a deposit as any other.
func staysInside(tx Tx, s payment.Spend, address string) (bool, error) {
	all, err := tx.SpendPayouts(s.ID)
	if err != nil {
		return false, err
	}
	for _, p := range all {
		if p.To == address {
			return insideOf(tx, p)
		}
	}
	return true, nil
}

// used takes in what left our addresses in a block: the spend is mined, or, where the transaction is none of ours, the operator
// is called and payouts stand still.
func (w *Watcher) used(ctx context.Context, tx Tx, c connecting) error {
	done := map[string]bool{}
	for _, u := range c.found.Uses {
		if w.Net.Accounts {
			if ok, err := w.left(tx, u); err != nil || !ok {
				if err != nil {
					return err
				}
				continue // an address that only looked like ours
			}
		}
		s, mine := c.ours[u.TxID]
		if !mine {
			if err := w.foreign(ctx, tx, c.block, u); err != nil {
				return err
			}
			continue
		}
		if done[u.TxID] {
			continue // its other tickets
		}
		done[u.TxID] = true
		if err := w.mined(tx, c.block, s.ID, u); err != nil {
			return err
		}
	}
	return nil
}

// left takes what left an account off the balance that the facts explain; false for an account that is not ours.
func (w *Watcher) left(tx Tx, u chain.Use) (bool, error) {
	addr, err := tx.Address(w.Net.Network, u.From)
	if errors.Is(err, payment.ErrAbsent) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := tx.TicketSpend(w.Net.Network, string(u.Ticket))
	if err != nil && !errors.Is(err, payment.ErrAbsent) {
		return false, err
	}
	gone := u.Out.Add(u.Fee)
	addr.Balance, addr.Nonce = addr.Balance.Sub(gone), addr.Nonce+1
	source, err := sourceOf(tx, s)
	if err != nil {
		return false, err
	}
	if source.IsWallet() {
		addr.Wallet = addr.Wallet.Sub(gone)
	}
	return true, tx.SwapAddress(addr)
}

// foreign meets a transaction that used a ticket of ours and that PIPE did not make: somebody else has the key, or an older
// copy of the store forgot what it signed.
func (w *Watcher) foreign(ctx context.Context, tx Tx, b chain.Block, u chain.Use) error {
	if !w.Net.Accounts {
		if _, err := tx.Deposit(w.Net.Network, string(u.Ticket)); errors.Is(err, payment.ErrAbsent) {
			return nil // the fingerprint was another outpoint's
		} else if err != nil {
			return err
		}
	}
	w.Log.ErrorContext(ctx, "coins left by a transaction that PIPE does not know: payouts are halted, call the operator",
		"network", w.Net.Network, "ticket", u.Ticket, "txid", u.TxID, "block", b.Height)
	s, err := tx.TicketSpend(w.Net.Network, string(u.Ticket))
	if err == nil && s.State != payment.SpendDone {
		if err := payment.SpendEdges.Check(s.State, payment.SpendLost); err != nil {
			return fmt.Errorf("spend %s: %w", s.ID, err)
		}
		s.State, s.Reason, s.UpdatedAt = payment.SpendLost, "used by "+u.TxID, tx.Now()
		s.Height, s.BlockHash, s.Out, s.Fee = b.Height, b.Hash, u.Out, u.Fee
		err = tx.SwapSpend(s)
	}
	if err != nil && !errors.Is(err, payment.ErrAbsent) {
		return err
	}
	return halt(tx, fmt.Sprintf("%s: %s was used by %s, which PIPE did not make", w.Net.Network, u.Ticket, u.TxID))
}

// mined notes that a block holds a version of a spend.
func (w *Watcher) mined(tx Tx, b chain.Block, id payment.ID, u chain.Use) error {
	s, err := tx.Spend(id)
	if err != nil || s.State == payment.SpendMined || s.State == payment.SpendDone {
		return err
	}
	v, err := versionOf(tx, s, u.TxID)
	if err != nil {
		return err
	}
	if err := payment.SpendEdges.Check(s.State, payment.SpendMined); err != nil {
		return fmt.Errorf("spend %s: %w", s.ID, err)
	}
	s.State, s.TxID, s.Height, s.BlockHash, s.UpdatedAt = payment.SpendMined, u.TxID, b.Height, b.Hash, tx.Now()
	s.Failed, s.Out, s.Fee, s.Held, s.Reason = u.Failed, u.Out, u.Fee, payment.HoldNone, ""
	if !w.Net.Accounts {
		s.Out, s.Fee = money.Zero(v.Fee.Currency()), v.Fee
	}
	if s.SentAt.IsZero() {
		s.SentAt = tx.Now() // its broadcast was never booked: the node's answer was lost, or it was an error
	}
	if err := tx.SwapSpend(s); err != nil {
		return err
	}
	if err := w.whole(tx, s, v); err != nil {
		return err
	}
	return w.eachPayout(tx, s, func(p *payment.Payout) error {
		share, ok := shareOf(v, p.ID)
		if !ok {
			return nil // a version that leaves it out: it steps back when that is final
		}
		p.TxID, p.Held, p.Net, p.Fee = u.TxID, payment.HoldNone, share.Net, share.Fee
		if w.Net.Accounts {
			p.Fee = u.Fee
		}
		return w.sent(tx, p)
	})
}

// sent notes the first broadcast of a payout and tells it.
func (w *Watcher) sent(tx Tx, p *payment.Payout) error {
	if !p.SentAt.IsZero() {
		return nil
	}
	p.SentAt = tx.Now()
	return w.teller().tell(tx, *p)
}

// eachPayout changes the payouts of a spend, and saves and tells each.
func (w *Watcher) eachPayout(tx Tx, s payment.Spend, change func(p *payment.Payout) error) error {
	all, err := tx.SpendPayouts(s.ID)
	if err != nil {
		return err
	}
	for _, p := range all {
		p.UpdatedAt = tx.Now()
		if err := change(&p); err != nil {
			return fmt.Errorf("payout %s: %w", p.ID, err)
		}
		if err := tx.SwapPayout(p); err != nil {
			return err
		}
	}
	return nil
}

func shareOf(v payment.Version, payout payment.ID) (payment.Share, bool) {
	for _, s := range v.Shares {
		if s.PayoutID == payout {
			return s, true
		}
	}
	return payment.Share{}, false
}

// finish books the mined spends that are deep enough now.
func (w *Watcher) finish(tx Tx, now depthNow, t *touched) error {
	for after := payment.ID(""); ; {
		page, err := tx.MinedSpends(w.Net.Network, after, Batch)
		if err != nil {
			return err
		}
		for _, s := range page {
			after = s.ID
			if !deep(s.Height, 0, w.Net.Final, now) {
				if err := w.deeper(tx, s, t); err != nil {
					return err
				}
				continue
			}
			if err := w.finishOne(tx, s, t); err != nil {
				return fmt.Errorf("spend %s: %w", s.ID, err)
			}
		}
		if len(page) < Batch {
			return nil
		}
	}
}

// deeper wakes the pages of a spend that is one block deeper.
func (w *Watcher) deeper(tx Tx, s payment.Spend, t *touched) error {
	all, err := tx.SpendPayouts(s.ID)
	for _, p := range all {
		if p.InvoiceID != "" && p.Kind.IsRefund() {
			t.waiting = append(t.waiting, p.InvoiceID)
		}
	}
	return err
}

func (w *Watcher) finishOne(tx Tx, s payment.Spend, t *touched) error {
	book, ready, err := w.book(tx, s)
	if err != nil || !ready {
		return err
	}
	if err := payment.SpendEdges.Check(s.State, payment.SpendDone); err != nil {
		return err
	}
	if len(book.Paid) == 0 { // it was in vain, taken back, and is carried out again: its payout is another spend's by now
		s.State, s.UpdatedAt = payment.SpendDone, tx.Now()
		return tx.SwapSpend(s)
	}
	s.State, s.Turn, s.UpdatedAt = payment.SpendDone, s.Turn+1, tx.Now()
	book.Turn = s.Turn
	if err := tx.SwapSpend(s); err != nil {
		return err
	}
	if err := tx.Post(ledger.FinishSpend(book)); err != nil {
		return err
	}
	for _, paid := range book.Paid {
		if paid.Inside == "" {
			continue
		}
		if err := rebook(tx, paid.Inside, s.Network); err != nil {
			return err
		}
	}
	if err := w.letGo(tx, s, t); err != nil {
		return err
	}
	return w.eachPayout(tx, s, func(p *payment.Payout) error {
		is := payment.PayoutDone
		if s.Failed {
			is = payment.PayoutOpen
		}
		if err := payment.PayoutEdges.Check(p.State, is); err != nil {
			return err
		}
		p.State, p.DueAt = is, tx.Now()
		if s.Failed { // in vain: the same intent again, now that this nonce is final
			p.Wasted, p.Attempt = p.Wasted.Add(s.Fee), p.Attempt+1
			p.SpendID, p.TxID, p.Net, p.Fee = "", "", money.Amount{}, money.Zero(s.Network.Coin())
		} else {
			p.Reserved, p.DoneAt = false, tx.Now()
		}
		if p.InvoiceID != "" {
			t.change(p.InvoiceID)
		}
		if s.Failed {
			return nil
		}
		if s.Turn > 1 {
			p.CallbackURL = "" // a deep reorganisation took it back: that it is done was told before
		}
		return w.teller().tell(tx, *p)
	})
}

// book is what the ledger is told of a mined spend; false while coins of one of its payouts are not reserved, because the
// deposit that they came from is not deep enough again after a reorganisation.
func (w *Watcher) book(tx Tx, s payment.Spend) (ledger.Spend, bool, error) {
	b := ledger.Spend{ID: string(s.ID), Turn: s.Turn, Network: s.Network}
	v, err := versionOf(tx, s, s.TxID)
	if err != nil {
		return b, false, err
	}
	all, err := tx.SpendPayouts(s.ID)
	if err != nil {
		return b, false, err
	}
	for _, p := range all {
		share, ok := shareOf(v, p.ID)
		if !ok {
			continue // its coins were gone when the version was made
		}
		if !p.Reserved && p.State != payment.PayoutDone {
			return b, false, nil
		}
		paid := ledger.Paid{Payout: string(p.ID), Source: p.Source, Net: share.Net, Fee: share.Fee}
		if w.Net.Accounts {
			paid.Fee = s.Fee
		}
		inside, err := insideOf(tx, p)
		if err != nil {
			return b, false, err
		}
		if inside {
			paid.Inside = ledger.Wallet(string(p.MerchantID))
		}
		reserved := p.Amount.Sub(p.Wasted)
		if s.Failed {
			paid.Net = money.Zero(s.Network.Coin())
		} else {
			paid.Rest = reserved.Sub(paid.Net).Sub(paid.Fee)
		}
		b.Paid = append(b.Paid, paid)
	}
	return b, true, nil
}

// unuse gives up the spends of a block that the chain took back. Their bytes may take effect again at any time, so they are
// sent again, and nothing else may use their tickets.
func (w *Watcher) unuse(ctx context.Context, tx Tx, b chain.Block) error {
	all, err := tx.BlockSpends(w.Net.Network, b.Hash)
	if err != nil {
		return err
	}
	for i := len(all) - 1; i >= 0; i-- { // of one account the last nonce first
		if err := w.unuseOne(ctx, tx, all[i]); err != nil {
			return fmt.Errorf("spend %s: %w", all[i].ID, err)
		}
	}
	return nil
}

func (w *Watcher) unuseOne(ctx context.Context, tx Tx, s payment.Spend) error {
	if s.State == payment.SpendDone {
		w.Log.ErrorContext(ctx, "a reorganisation deeper than final took a payout back", "spend", s.ID, "network", s.Network)
		room, err := w.makeRoom(tx, s)
		if err != nil {
			return err
		}
		if !room { // it stays done: the node has its transaction again, and the operator looks
			if w.Net.Accounts {
				err = w.cameBack(tx, s)
			}
			return errors.Join(err, halt(tx, fmt.Sprintf("%s: a reorganisation took back %s, while another payout of its kind is being paid", s.Network, s.TxID)))
		}
		if err := w.unfinish(tx, s); err != nil {
			return err
		}
	}
	if w.Net.Accounts {
		if err := w.cameBack(tx, s); err != nil {
			return err
		}
	}
	if s.State != payment.SpendLost { // a lost one stays so until the operator has looked
		if err := payment.SpendEdges.Check(s.State, payment.SpendSent); err != nil {
			return err
		}
		s.State = payment.SpendSent
	}
	coin := s.Network.Coin()
	s.TxID, s.Height, s.BlockHash, s.Failed, s.Out, s.Fee = "", 0, "", false, money.Zero(coin), money.Zero(coin)
	s.UpdatedAt, s.DueAt = tx.Now(), tx.Now()
	return tx.SwapSpend(s)
}

// cameBack gives an account what left it in a block that is gone.
func (w *Watcher) cameBack(tx Tx, s payment.Spend) error {
	held, err := tx.Tickets(s.ID)
	if err != nil || len(held) == 0 {
		return err
	}
	addr, err := tx.Address(w.Net.Network, held[0].Address)
	if err != nil {
		return err
	}
	back := s.Out.Add(s.Fee)
	addr.Balance, addr.Nonce = addr.Balance.Add(back), addr.Nonce-1
	source, err := sourceOf(tx, s)
	if err != nil {
		return err
	}
	if source.IsWallet() {
		addr.Wallet = addr.Wallet.Add(back)
	}
	return tx.SwapAddress(addr)
}

// tell writes the event and the callback of a payout's step. Only refunds that were asked for have a callback.
func (t teller) tell(tx Tx, p payment.Payout) error {
	if p.InvoiceID == "" {
		return nil
	}
	err := tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: p.InvoiceID, Kind: payment.EventPayout, At: tx.Now(), Data: map[string]string{
		"payout": string(p.ID), "kind": string(p.Kind), "state": string(p.State), "held": string(p.Held),
		"amount": p.Amount.Text(), "coin": string(p.Network.Coin()), "txid": p.TxID,
	}})
	if err != nil || p.CallbackURL == "" {
		return err
	}
	f, err := tx.Facts(p.InvoiceID)
	if err != nil {
		return err
	}
	return t.oweRefund(tx, f, p)
}
