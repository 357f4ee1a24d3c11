package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/payment"
)

// connecting is a block about to be taken in.
type connecting struct {
	block chain.Block
	found chain.Found
	head  chain.Head
	scan  scanned
	ours  map[string]payment.Spend // the spends that transactions of the block carry out, by txid
}

// connect takes in a block: the cursor, the credits as mined deposits, the deposits that are now deep enough as confirmed
// with their ledger entries, and what the invoices have to say of it. One commit: a crash before it leaves the cursor
// below the block, and the next step reads it again.
func (w *Watcher) connect(ctx context.Context, c connecting) error {
	return w.take(ctx, c.block.Height >= c.head.Tip.Height, func(tx Tx, tip bool) error {
		if err := w.atCursor(tx, c.block.Parent); err != nil {
			return err
		}
		if known, err := w.set.complete(tx); err != nil {
			return err
		} else if !known {
			return errMoved // an address was released since the scan began: the block is read again with it
		}
		if err := tx.PushBlock(w.Net.Network, c.block); err != nil {
			return err
		}
		touched := newTouched()
		var err error
		if c.ours, err = w.ours(tx, c.found.Uses); err != nil {
			return err
		}
		for _, credit := range c.found.Credits {
			if err := w.credit(tx, c, credit, touched); err != nil {
				return err
			}
		}
		if err := w.used(ctx, tx, c); err != nil { // after the credits, which compare with the balances of the scan
			return err
		}
		state, err := networkState(tx, w.Net.Network)
		if err != nil {
			return err
		}
		now := depthNow{c.block.Height, c.head, state.BreakerUntil, tx.Now()}
		if err := w.deepen(tx, now, touched); err != nil {
			return err
		}
		if err := w.finish(tx, now, touched); err != nil { // after the deposits: what a spend took is deeper than it
			return err
		}
		if c.block.Height > KeepBlocks {
			if err := tx.PruneBlocks(w.Net.Network, c.block.Height-KeepBlocks); err != nil {
				return err
			}
		}
		return w.say(tx, touched, tip)
	})
}

// touched collects, in order, the invoices whose facts changed, and those whose page should only be woken.
type touched struct {
	changed, waiting []payment.ID
	in               map[payment.ID]bool
}

func newTouched() *touched { return &touched{in: map[payment.ID]bool{}} }

func (t *touched) change(id payment.ID) {
	if id != "" && !t.in[id] { // coins of the wallet, and strays, are no invoice's
		t.in[id] = true
		t.changed = append(t.changed, id)
	}
}

// say assesses the touched invoices anew. At the tip it does so at once; below it, and for invoices whose facts a
// reorganisation is still moving, it only stirs them, and the step that reaches the tip assesses them: what is told is
// never a state that existed only on the way.
func (w *Watcher) say(tx Tx, t *touched, tip bool) error {
	for _, id := range t.changed {
		stirred, err := tx.IsStirred(id, w.Net.Network)
		if err != nil {
			return err
		}
		if tip && !stirred {
			if err = reassess(tx, w.teller(), id); err != nil {
				err = untold{fmt.Errorf("assess invoice %s: %w", id, err)}
			}
		} else if !stirred {
			err = tx.Stir(id, w.Net.Network)
		}
		if err != nil {
			return err
		}
	}
	if !tip {
		return nil
	}
	for _, id := range t.waiting {
		if t.in[id] {
			continue
		}
		t.in[id] = true
		err := tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: id, Kind: payment.EventConfirming, At: tx.Now()})
		if err != nil {
			return err
		}
	}
	return nil
}

// credit books a credit of a block as a mined deposit: a new one, or one that was seen before.
func (w *Watcher) credit(tx Tx, c connecting, credit chain.Credit, t *touched) error {
	addr, err := tx.Address(w.Net.Network, credit.To)
	if errors.Is(err, payment.ErrAbsent) {
		return nil // the watch set's fingerprint was another address's
	}
	if err != nil {
		return err
	}
	if addr.State == payment.AddressFree {
		if addr, err = w.stray(tx, addr, credit); err != nil {
			return err
		}
	}
	if explained, ok := c.scan[addr.Address]; ok && !explained.Equal(addr.Balance) && w.Net.Accounts {
		first := true
		for _, earlier := range c.found.Credits { // several credits of one block to one account are one look
			if earlier.Ref == credit.Ref {
				break
			}
			first = first && earlier.To != credit.To
		}
		if first {
			return errMoved
		}
	}
	d, err := tx.Deposit(w.Net.Network, credit.Ref)
	if err == nil && credit.TxID == "" && !d.Live() && !d.Amount.Equal(credit.Amount) {
		// What only a balance shows is named by its block. When the chain comes back to that block, more or less of it may
		// be explained by then: it is another deposit, never the old one's amount.
		credit.Ref += "=" + credit.Amount.Units()
		d, err = tx.Deposit(w.Net.Network, credit.Ref)
	}
	switch {
	case errors.Is(err, payment.ErrAbsent):
		d, err = w.addMined(tx, c, credit, addr)
	case err == nil && (d.State == payment.Mined || d.State == payment.Confirmed):
		return nil // known already
	case err == nil:
		err = w.mine(tx, c.block, d)
	}
	if err != nil {
		return err
	}
	addr.Balance = addr.Balance.Add(credit.Amount)
	if w.Net.Accounts { // elsewhere an invoice's coins become the wallet's without a note on the address
		kept, err := keptOf(tx, d, inBlock)
		if err != nil {
			return err
		}
		addr.Wallet = addr.Wallet.Add(kept)
	}
	if hot := tx.Now().Add(HotFor); addr.HotUntil.Before(hot) {
		addr.HotUntil = hot
	}
	if err := tx.SwapAddress(addr); err != nil {
		return err
	}
	if d.InvoiceID != "" && d.SpendID == "" {
		t.change(d.InvoiceID)
	}
	return nil
}

// stray meets coins that came to an address which nobody was given: one that an older copy of the store does not know to be
// given, or one that somebody found out. They are booked as strays of the merchant, whose key holds them; the address is never
// given to an invoice, whose money these coins are not, and the operator is told. The block is followed all the same.
func (w *Watcher) stray(tx Tx, addr payment.Address, credit chain.Credit) (payment.Address, error) {
	w.Log.Error("coins came to an address that nobody was given: it is given up, call the operator",
		"network", w.Net.Network, "address", addr.Address, "amount", credit.Amount, "ref", credit.Ref)
	if err := payment.AddressEdges.Check(addr.State, payment.AddressDead); err != nil {
		return addr, fmt.Errorf("address %s: %w", addr.Address, err)
	}
	addr.State = payment.AddressDead
	err := tx.SwapAddress(addr)
	addr.Rev++
	return addr, err
}

func (w *Watcher) addMined(tx Tx, c connecting, credit chain.Credit, addr payment.Address) (payment.Deposit, error) {
	d := newDeposit(tx, credit, addr)
	if s, ok := c.ours[credit.TxID]; ok && credit.TxID != "" {
		inside, err := staysInside(tx, s, addr.Address)
		if err != nil {
			return d, err
		}
		if inside {
			d.SpendID = s.ID
			source, err := sourceOf(tx, s)
			if err != nil {
				return d, err
			}
			if source != "" && (w.Net.Accounts || addr.InvoiceID != "") { // elsewhere it is the wallet's own address
				d.Account = source
			}
		}
	}
	since, err := w.arrivedBefore(tx, d)
	if err != nil {
		return d, err
	}
	d.SeenAt = since
	d.State, d.Height, d.BlockHash, d.BlockTime = payment.Mined, c.block.Height, c.block.Hash, c.block.Time
	return d, tx.AddDeposit(d)
}

// arrivedBefore is when a deposit first arrived. Coins that only a balance shows have no name but their block's: after a
// reorganisation they come as another deposit, which keeps the time of the one that went with its block.
func (w *Watcher) arrivedBefore(tx Tx, d payment.Deposit) (time.Time, error) {
	if d.TxID != "" {
		return d.SeenAt, nil
	}
	earlier, err := tx.AddressDeposits(d.Network, d.Address)
	if err != nil {
		return d.SeenAt, err
	}
	for _, e := range earlier {
		if e.TxID == "" && !e.Live() && e.Amount.Equal(d.Amount) && e.SeenAt.Before(d.SeenAt) {
			return e.SeenAt, nil
		}
	}
	return d.SeenAt, nil
}

func newDeposit(tx Tx, credit chain.Credit, addr payment.Address) payment.Deposit {
	account := ledger.Invoice(string(addr.InvoiceID))
	switch {
	case addr.State == payment.AddressDead:
		account = ledger.Stray(string(addr.MerchantID))
	case addr.InvoiceID == "":
		account = ledger.Wallet(string(addr.MerchantID))
	}
	return payment.Deposit{
		ID: tx.NewID(), InvoiceID: addr.InvoiceID, Account: account, Network: addr.Network, Ref: credit.Ref, Address: addr.Address,
		Amount: credit.Amount, From: credit.From, TxID: credit.TxID, SeenAt: tx.Now(), Spendable: credit.Spendable,
	}
}

func (w *Watcher) mine(tx Tx, b chain.Block, d payment.Deposit) error {
	if err := payment.DepositEdges.Check(d.State, payment.Mined); err != nil {
		return fmt.Errorf("deposit %s: %w", d.Ref, err)
	}
	d.State, d.Height, d.BlockHash, d.BlockTime = payment.Mined, b.Height, b.Hash, b.Time
	return tx.SwapDeposit(d)
}

// depthNow is what depth is counted from.
type depthNow struct {
	height  uint64
	head    chain.Head
	breaker time.Time
	clock   time.Time
}

// deepen confirms the mined deposits that are deep enough now.
func (w *Watcher) deepen(tx Tx, now depthNow, t *touched) error {
	for after := payment.ID(""); ; {
		page, err := tx.OpenDeposits(w.Net.Network, after, Batch)
		if err != nil {
			return err
		}
		for _, d := range page {
			after = d.ID
			if d.State != payment.Mined {
				continue
			}
			need := w.Net.Final
			outside := d.InvoiceID != "" && d.SpendID == ""
			if outside {
				inv, err := tx.Invoice(d.InvoiceID)
				if err != nil {
					return err
				}
				need = inv.Policy.Depths[d.Amount.Currency()]
			}
			if !deep(d.Height, d.Spendable, need, now) {
				if outside {
					t.waiting = append(t.waiting, d.InvoiceID)
				}
				continue
			}
			if err := w.confirm(tx, d); err != nil {
				return err
			}
			if outside {
				t.change(d.InvoiceID)
			}
		}
		if len(page) < Batch {
			return nil
		}
	}
}

// deep tells whether what a block at this height holds counts: enough blocks, doubled while the breaker is on, or final where the chain's
// finality is asked for. A coinbase output counts only once it can be spent.
func deep(height, spendable uint64, need payment.Depth, now depthNow) bool {
	if height > now.height || spendable > now.height+1 {
		return false
	}
	have, blocks := int64(now.height-height+1), int64(need.Blocks)
	if need.Final {
		if now.head.Final >= height {
			return true
		}
		stalled := now.head.Final > 0 && now.head.Tip.Height > now.head.Final+FinalityStall
		return stalled && need.Stall > 0 && have >= int64(need.Stall)
	}
	if now.clock.Before(now.breaker) {
		blocks *= 2
	}
	return have >= max(blocks, 1)
}

// confirm counts a deposit, with its ledger entry.
func (w *Watcher) confirm(tx Tx, d payment.Deposit) error {
	if err := payment.DepositEdges.Check(d.State, payment.Confirmed); err != nil {
		return fmt.Errorf("deposit %s: %w", d.Ref, err)
	}
	d.State = payment.Confirmed
	d.Turn++
	if err := tx.SwapDeposit(d); err != nil || d.SpendID != "" {
		return err // what came back from a spend never left the ledger
	}
	b, err := w.bookDeposit(tx, d)
	if err != nil {
		return err
	}
	if err := tx.Post(ledger.ConfirmDeposit(b)); err != nil {
		return err
	}
	if b.Kept.Sign() > 0 {
		if err := rebook(tx, b.Wallet, d.Network); err != nil {
			return err
		}
	}
	return rebook(tx, d.Account, d.Network)
}

// disconnect gives up the top block: its deposits step back, confirmed ones with the opposite ledger entry. The invoices
// are only stirred here, and assessed when the new branch has been followed to its tip. One commit.
func (w *Watcher) disconnect(ctx context.Context, b chain.Block, fork uint64) error {
	return w.update(ctx, func(tx Tx) error {
		if err := w.atCursor(tx, b.Hash); err != nil {
			return err
		}
		if err := tx.PopBlock(w.Net.Network, b); err != nil {
			return err
		}
		if err := w.unuse(ctx, tx, b); err != nil { // before the deposits: the coins of a spend come back first
			return err
		}
		all, err := tx.BlockDeposits(w.Net.Network, b.Hash)
		if err != nil {
			return err
		}
		for _, d := range all {
			if d, err = tx.Deposit(d.Network, d.Ref); err != nil { // the one before may have changed whose it is
				return err
			}
			if err := w.stepBack(tx, d); err != nil {
				return err
			}
		}
		return w.breaker(ctx, tx, b.Height-fork)
	})
}

// stepBack takes a deposit out of its block. One that no transaction explains cannot wait outside blocks: it is gone, and
// if the new branch has the coins too they come as another credit.
func (w *Watcher) stepBack(tx Tx, d payment.Deposit) error {
	is := payment.Seen
	switch {
	case d.State == payment.Confirmed:
		if d.SpendID == "" {
			if err := w.unbook(tx, d); err != nil {
				return err
			}
		}
		is = payment.Reversed
	case d.TxID == "":
		is = payment.Dropped
	}
	if err := payment.DepositEdges.Check(d.State, is); err != nil {
		return fmt.Errorf("deposit %s: %w", d.Ref, err)
	}
	kept, err := keptOf(tx, d, inBlock)
	if err != nil {
		return err
	}
	d.SeenAt = d.Arrived() // it was in a block at that time, whatever block it is in next
	if is == payment.Seen {
		d.PendingAt = tx.Now() // the node has yet to say whether it waits outside blocks
	}
	d.State, d.Height, d.BlockHash, d.BlockTime = is, 0, "", time.Time{}
	if err := tx.SwapDeposit(d); err != nil {
		return err
	}
	addr, err := tx.Address(w.Net.Network, d.Address)
	if err != nil {
		return err
	}
	addr.Balance = addr.Balance.Sub(d.Amount)
	if w.Net.Accounts { // elsewhere an invoice's coins become the wallet's without a note on the address
		addr.Wallet = addr.Wallet.Sub(kept)
	}
	if err := tx.SwapAddress(addr); err != nil {
		return err
	}
	delete(w.pending, d.Ref)
	if d.InvoiceID == "" || d.SpendID != "" {
		return nil
	}
	return tx.Stir(d.InvoiceID, w.Net.Network)
}

// breaker doubles the required depth for a day after a deep reorganisation.
func (w *Watcher) breaker(ctx context.Context, tx Tx, depth uint64) error {
	if w.Net.BreakerDepth == 0 || depth < w.Net.BreakerDepth {
		return nil
	}
	s, err := networkState(tx, w.Net.Network)
	if err != nil {
		return err
	}
	s.BreakerUntil = tx.Now().Add(chain.BreakerFor)
	w.Log.WarnContext(ctx, "deep reorganisation: required depths are doubled", "network", w.Net.Network, "depth", depth, "until", s.BreakerUntil)
	return tx.SaveNetworkState(s)
}
