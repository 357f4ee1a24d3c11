package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/payment"
)

// atTip ends a look at the network: what waits outside blocks is taken in, what is not there any more is dropped, the
// invoices that were stirred are assessed, and sight moves to the time at which this look began: everything that the
// network showed until then has been seen.
func (w *Watcher) atTip(ctx context.Context, head chain.Head, began time.Time) error {
	p, err := w.Reader.Pending(ctx, chain.Watch{Has: w.set.has})
	if err != nil {
		return w.trouble(ctx, fmt.Errorf("read what waits outside blocks: %w", err))
	}
	if err := w.see(ctx, p, began); err != nil {
		return err
	}
	if err := w.drop(ctx, p); err != nil {
		return err
	}
	if err := w.saw(ctx, head, began); err != nil {
		return err
	}
	return w.settleDown(ctx)
}

// see takes in credits outside blocks: never as money, but the time they were first seen counts.
func (w *Watcher) see(ctx context.Context, p chain.Pending, began time.Time) error {
	var fresh, again []chain.Credit
	for _, c := range p.Credits {
		if told, ok := w.pending[c.Ref]; !ok {
			fresh = append(fresh, c)
		} else if began.Sub(told) > w.Net.DropAfter/2 {
			again = append(again, c)
		}
	}
	fresh = append(fresh, again...) // somebody waits for what is new
	for len(fresh) > 0 {
		page := fresh[:min(len(fresh), SeenBatch)]
		fresh = fresh[len(page):]
		err := w.take(ctx, true, func(tx Tx, tip bool) error {
			t := newTouched()
			for _, c := range page {
				if err := w.seeOne(tx, c, t); err != nil {
					return err
				}
			}
			return w.say(tx, t, tip)
		})
		if err != nil {
			return err
		}
		for _, c := range page {
			w.pending[c.Ref] = began
		}
	}
	return nil
}

func (w *Watcher) seeOne(tx Tx, c chain.Credit, t *touched) error {
	addr, err := tx.Address(w.Net.Network, c.To)
	if errors.Is(err, payment.ErrAbsent) || err == nil && addr.InvoiceID == "" {
		return nil
	}
	if err != nil {
		return err
	}
	if c.TxID != "" {
		if v, err := tx.TxIDVersion(w.Net.Network, c.TxID); !errors.Is(err, payment.ErrAbsent) {
			if err != nil {
				return err
			}
			s, err := tx.Spend(v.SpendID)
			if err != nil {
				return err
			}
			if inside, err := staysInside(tx, s, c.To); err != nil || inside {
				return err
			}
		}
	}
	d, err := tx.Deposit(w.Net.Network, c.Ref)
	if errors.Is(err, payment.ErrAbsent) {
		d = newDeposit(tx, c, addr)
		d.State, d.PendingAt = payment.Seen, tx.Now()
		t.change(addr.InvoiceID)
		return tx.AddDeposit(d)
	}
	if err != nil || d.State == payment.Mined || d.State == payment.Confirmed {
		return err // the node's two answers are of different moments; the block counts
	}
	if d.State != payment.Seen {
		if err := payment.DepositEdges.Check(d.State, payment.Seen); err != nil {
			return fmt.Errorf("deposit %s: %w", d.Ref, err)
		}
		d.State = payment.Seen
		t.change(addr.InvoiceID)
	}
	d.PendingAt = tx.Now()
	return tx.SwapDeposit(d)
}

// drop gives up deposits that were seen outside blocks and are not there any more. It is no verdict: if they come back,
// they are seen again, with the time they were first seen.
func (w *Watcher) drop(ctx context.Context, p chain.Pending) error {
	there := make(map[string]bool, len(p.Credits))
	for _, c := range p.Credits {
		there[c.Ref] = true
	}
	for ref := range w.pending {
		if !there[ref] {
			delete(w.pending, ref)
		}
	}
	patience := w.Net.DropAfter
	if !p.Full {
		patience = w.Net.ForgetAfter
	}
	gone, err := w.missing(ctx, there, patience)
	if err != nil || len(gone) == 0 {
		return err
	}
	return w.take(ctx, true, func(tx Tx, tip bool) error {
		t := newTouched()
		for _, g := range gone {
			d, err := tx.Deposit(w.Net.Network, g.Ref)
			if err != nil {
				return err
			}
			if d.State != payment.Seen || d.Rev != g.Rev {
				continue
			}
			d.State = payment.Dropped
			if err := tx.SwapDeposit(d); err != nil {
				return err
			}
			t.change(d.InvoiceID)
		}
		return w.say(tx, t, tip)
	})
}

// missing lists seen deposits that have not been outside blocks for longer than patience, at most Batch.
func (w *Watcher) missing(ctx context.Context, there map[string]bool, patience time.Duration) (gone []payment.Deposit, err error) {
	err = w.Store.View(ctx, func(tx Tx) error {
		gone = nil
		for after := payment.ID(""); ; {
			page, err := tx.OpenDeposits(w.Net.Network, after, Batch)
			if err != nil {
				return err
			}
			for _, d := range page {
				after = d.ID
				last := d.PendingAt
				if last.IsZero() {
					last = d.SeenAt
				}
				if d.State == payment.Seen && !there[d.Ref] && tx.Now().Sub(last) >= patience && len(gone) < Batch {
					gone = append(gone, d)
				}
			}
			if len(page) < Batch {
				return nil
			}
		}
	})
	return gone, err
}

// saw moves the network's sight and confirms what the chain's finality made final since the last block.
func (w *Watcher) saw(ctx context.Context, head chain.Head, began time.Time) error {
	return w.take(ctx, true, func(tx Tx, tip bool) error {
		s, err := networkState(tx, w.Net.Network)
		if err != nil {
			return err
		}
		if head.Final != s.Final {
			t := newTouched()
			now := depthNow{head.Tip.Height, head, s.BreakerUntil, tx.Now()}
			if err := errors.Join(w.deepen(tx, now, t), w.finish(tx, now, t)); err != nil {
				return err
			}
			t.waiting = nil
			if err := w.say(tx, t, tip); err != nil {
				return err
			}
		}
		if s.Trouble != "" {
			w.Log.InfoContext(ctx, "network is believed again", "network", w.Net.Network, "after", tx.Now().Sub(s.TroubleSince))
		}
		if began.After(s.Sight) || s.Sight.After(tx.Now()) { // a clock that ran ahead saw nothing of the time to come
			s.Sight = began
		}
		s.Trouble, s.TroubleSince = "", time.Time{}
		s.Height, s.Final = head.Tip.Height, head.Final
		return tx.SaveNetworkState(s)
	})
}

// settleDown assesses the stirred invoices, each in a transaction of its own, now that the tip was reached.
func (w *Watcher) settleDown(ctx context.Context) error {
	var failures []error
	tried := map[payment.ID]bool{}
	for {
		round := asideRound{what: "assess invoice", do: func(id payment.ID) error {
			return w.update(ctx, func(tx Tx) error {
				if err := tx.Calm(id, w.Net.Network); err != nil {
					return err
				}
				return reassess(tx, w.teller(), id)
			})
		}}
		err := w.Store.View(ctx, func(tx Tx) error {
			all, err := tx.Stirred(w.Net.Network, Batch)
			round.now, round.ids = tx.Now(), slices.DeleteFunc(all, func(id payment.ID) bool { return tried[id] })
			return err
		})
		if err != nil {
			return err
		}
		for _, id := range round.ids {
			tried[id] = true // once in a step: what failed stays stirred
		}
		if err := w.settling.each(ctx, w.Log, round); err != nil {
			failures = append(failures, err)
		}
		if len(round.ids) == 0 || len(failures) >= MaxFailures || ctx.Err() != nil {
			return errors.Join(failures...)
		}
	}
}

// Recount weighs the next batch of addresses at the cursor's block and takes in what the facts do not explain: coins that came
// while nobody weighed the account. It goes round all that were ever released, for ever: somebody may know one that was given in
// a history which a restored store has lost, and a contract's payment shows in no transaction.
func (w *Watcher) Recount(ctx context.Context) error {
	if !w.Net.Accounts {
		return nil
	}
	var cursor chain.Block
	var all []chain.Weighed
	scan := scanned{}
	if w.anew.Swap(false) {
		w.recount = ""
	}
	err := w.Store.View(ctx, func(tx Tx) (err error) {
		all = nil
		if cursor, err = tx.Cursor(w.Net.Network); err != nil {
			return err
		}
		page, err := tx.Addresses(w.Net.Network, w.recount, Batch)
		for _, a := range page {
			all = append(all, chain.Weighed{Address: a.Address, Balance: a.Balance})
			scan[a.Address] = a.Balance
		}
		return err
	})
	if errors.Is(err, payment.ErrAbsent) {
		return nil // nothing was followed yet
	}
	if err != nil || len(all) == 0 {
		w.recount = ""
		return err
	}
	found, err := w.Reader.Weigh(ctx, cursor, all)
	if err != nil {
		return fmt.Errorf("weigh %d accounts of %s: %w", len(all), w.Net.Network, err)
	}
	w.fell(ctx, found.Falls)
	if len(found.Credits) > 0 {
		err := w.unexplained(ctx, connecting{block: cursor, found: found, scan: scan})
		if errors.Is(err, errMoved) {
			return nil // the next round weighs the same addresses again
		}
		if err != nil {
			return err
		}
	}
	w.recount = all[len(all)-1].Address
	if len(all) < Batch {
		w.recount = ""
	}
	return nil
}

// fell says that coins left accounts by a hand that is not PIPE's. Nothing stops for it: what comes to such an account by
// plain transactions is still found.
func (w *Watcher) fell(ctx context.Context, falls []chain.Weighed) {
	for _, f := range falls {
		w.Log.ErrorContext(ctx, "an account holds less than its deposits explain: did somebody use the seed outside PIPE?",
			"network", w.Net.Network, "address", f.Address, "missing", f.Balance)
	}
}

// unexplained takes in credits that the recount found at the cursor's block. errMoved: the cursor or a balance changed
// since.
func (w *Watcher) unexplained(ctx context.Context, c connecting) error {
	return w.take(ctx, true, func(tx Tx, tip bool) error {
		if err := w.atCursor(tx, c.block.Hash); err != nil {
			return err
		}
		t := newTouched()
		for _, credit := range c.found.Credits {
			if err := w.credit(tx, c, credit, t); err != nil {
				return err
			}
		}
		return w.say(tx, t, tip)
	})
}
