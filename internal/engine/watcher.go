package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Watcher keeps the facts of one network: the blocks followed, the deposits in them, what is seen outside them. It is a
// function of the node's best chain: a reorganisation is facts stepping back, nothing else knows of it. One goroutine
// steps it; several processes may run one each, as every change compares and swaps.
type Watcher struct {
	Store  Store
	Reader chain.Reader
	Net    Net
	Nets   map[money.Currency]Net
	Render Renderer
	Log    *slog.Logger

	// Recovery knows the spends that an older copy of the store has lost; nil: none were.
	Recovery *Recovery

	set      *watchSet
	tickets  *ticketSet
	pending  map[string]time.Time // refs seen outside blocks that the store knows, and when it was told last
	recount  string               // the address up to which the recount has come; only Recount uses it
	anew     atomic.Bool          // the recount must begin anew: a block could not be weighed
	genesis  bool                 // the node's genesis was compared with the database's
	settling aside                // invoices that could not be assessed
}

// errMoved: another process moved the cursor since this one looked.
var errMoved = errors.New("engine: the cursor has moved")

// Follow does one bounded step: it brings the stored chain up to the node's tip, at most BlocksPerStep blocks, and at the
// tip looks at what waits outside blocks. A node that is not to be believed is noted in the network's state, with the
// reason; then nothing is credited and nothing expires, and the error is nil, because waiting is what is right.
func (w *Watcher) Follow(ctx context.Context) error {
	began, err := w.begin(ctx)
	if err != nil {
		return err
	}
	head, err := w.Reader.Head(ctx)
	if err == nil {
		err = w.sameChain(ctx)
	}
	if err == nil {
		err = w.skewed(head, began)
	}
	if err != nil {
		return w.trouble(ctx, err)
	}
	for range BlocksPerStep {
		atTip, err := w.step(ctx, head)
		switch {
		case errors.Is(err, errMoved), errors.Is(err, chain.ErrGone):
			return nil // the next step looks anew
		case isStore(err):
			return err
		case err != nil:
			return w.trouble(ctx, err)
		case atTip:
			return w.atTip(ctx, head, began)
		}
	}
	return nil
}

// begin tells the time at which this look begins and takes in newly released addresses.
func (w *Watcher) begin(ctx context.Context) (began time.Time, err error) {
	if w.set == nil {
		w.set, w.tickets, w.pending = newWatchSet(w.Net.Network), newTicketSet(w.Net.Network), map[string]time.Time{}
	}
	if err := w.set.refresh(ctx, w.Store); err != nil {
		return began, storeError{fmt.Errorf("refresh watched addresses: %w", err)}
	}
	err = w.Store.View(ctx, func(tx Tx) error { began = tx.Now(); return nil })
	return began, err
}

// A storeError is a failure of the store, not of the node.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func isStore(err error) bool {
	var s storeError
	return errors.As(err, &s)
}

// update is a transaction of the watcher; its failures are the store's, save errMoved.
func (w *Watcher) update(ctx context.Context, fn func(tx Tx) error) error {
	err := w.Store.Update(ctx, fn)
	if err == nil || errors.Is(err, errMoved) {
		return err
	}
	return storeError{err}
}

// take takes facts in, and in the same commit tells at the tip what the invoices say of them. Where one of them cannot be
// assessed the facts are taken in all the same, and all of the invoices are stirred: the chain is followed on, and
// settleDown assesses each apart, so that one does not keep the others from being told.
func (w *Watcher) take(ctx context.Context, tip bool, facts func(tx Tx, tip bool) error) error {
	err := w.update(ctx, func(tx Tx) error { return facts(tx, tip) })
	var u untold
	if !tip || !errors.As(err, &u) || ctx.Err() != nil {
		return err
	}
	w.Log.ErrorContext(ctx, "an invoice cannot be assessed: the facts are taken in without it", "network", w.Net.Network, "error", err)
	return w.update(ctx, func(tx Tx) error { return facts(tx, false) })
}

// untold: an invoice could not be assessed.
type untold struct{ error }

func (u untold) Unwrap() error { return u.error }

// sameChain ties the database to the chain it was begun with: another genesis is another chain, whatever it is called.
func (w *Watcher) sameChain(ctx context.Context) error {
	if w.genesis {
		return nil
	}
	first, err := w.Reader.BlockAt(ctx, 0)
	if err != nil {
		return fmt.Errorf("read genesis: %w", err)
	}
	err = w.update(ctx, func(tx Tx) error {
		s, err := networkState(tx, w.Net.Network)
		if err != nil || s.Genesis == first.Hash {
			return err
		}
		if s.Genesis != "" {
			return fmt.Errorf("this database was begun on the chain with genesis %s, the node has %s: %w", s.Genesis, first.Hash, chain.ErrNetwork)
		}
		s.Genesis = first.Hash
		return tx.SaveNetworkState(s)
	})
	if errors.Is(err, chain.ErrNetwork) {
		return errors.Unwrap(err)
	}
	w.genesis = err == nil
	return err
}

// networkState is the state of a network, or an empty one before the first.
func networkState(tx Tx, n money.Network) (NetworkState, error) {
	s, err := tx.NetworkState(n)
	if errors.Is(err, payment.ErrAbsent) {
		return NetworkState{Network: n}, nil
	}
	return s, err
}

func (w *Watcher) skewed(head chain.Head, now time.Time) error {
	if ahead := head.Tip.Time.Sub(now); w.Net.MaxAhead > 0 && ahead > w.Net.MaxAhead {
		return fmt.Errorf("the newest block is %s ahead of this machine's clock: set the clock: %w", ahead.Round(time.Second), chain.ErrBlind)
	}
	return nil
}

// trouble notes why the node is not believed. Sight stands still from here on, so nothing expires.
func (w *Watcher) trouble(ctx context.Context, why error) error {
	if isStore(why) {
		return why
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) { // a node that uses up the step's time is not to be believed either
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), BookWithin)
		defer cancel()
		ctx = late
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return w.update(ctx, func(tx Tx) error {
		s, err := networkState(tx, w.Net.Network)
		if err != nil || s.Trouble == why.Error() {
			return err
		}
		if s.Trouble == "" {
			s.TroubleSince = tx.Now()
		}
		s.Trouble = why.Error()
		w.Log.WarnContext(ctx, "network is not believed: nothing is credited and nothing expires", "network", w.Net.Network, "why", why)
		return tx.SaveNetworkState(s)
	})
}

// step applies one block.
func (w *Watcher) step(ctx context.Context, head chain.Head) (atTip bool, err error) {
	place := chain.Place{Head: head}
	scan := scanned{}
	err = w.Store.View(ctx, func(tx Tx) (err error) {
		if place.Stored, err = tx.RecentBlocks(w.Net.Network, chain.RecentBlocks); err != nil {
			return err
		}
		place.Watch, err = w.watch(tx, scan)
		return err
	})
	if err != nil {
		return false, storeError{err}
	}
	s, err := chain.Next(ctx, w.Reader, place)
	if err != nil {
		return false, err
	}
	switch {
	case s.Start != nil:
		return false, w.start(ctx, s.Start)
	case s.Disconnect != nil:
		return false, w.disconnect(ctx, *s.Disconnect, s.Fork)
	case s.Connect != nil:
		if s.Found.Unweighed {
			w.anew.Store(true)
		}
		w.fell(ctx, s.Found.Falls)
		return false, w.connect(ctx, connecting{block: *s.Connect, found: s.Found, head: head, scan: scan})
	}
	return true, nil
}

// scanned remembers which balances a scan took as explained, so that the commit can see whether they still are.
type scanned map[string]money.Amount

// watch is what a scan looks for. Accounts are only weighed on chains that have them.
func (w *Watcher) watch(tx Tx, scan scanned) (chain.Watch, error) {
	watch := chain.Watch{Has: w.set.has, Explained: func(ctx context.Context, address string) (amount money.Amount, ok bool, err error) {
		err = w.Store.View(ctx, func(tx Tx) error {
			a, err := tx.Address(w.Net.Network, address)
			if errors.Is(err, payment.ErrAbsent) {
				return nil
			}
			amount, ok = a.Balance, err == nil
			return err
		})
		if ok {
			scan[address] = amount
		}
		if err != nil {
			err = storeError{err}
		}
		return amount, ok, err
	}}
	if !w.Net.Accounts {
		watch.Held = w.tickets.has
		return watch, w.tickets.refresh(tx)
	}
	hot, err := tx.HotAddresses(w.Net.Network, tx.Now(), HotAccounts)
	for _, a := range hot {
		watch.Hot = append(watch.Hot, chain.Weighed{Address: a.Address, Balance: a.Balance})
		scan[a.Address] = a.Balance
	}
	return watch, err
}

// start stores the first blocks; none is scanned, as no address was given before.
func (w *Watcher) start(ctx context.Context, blocks []chain.Block) error {
	return w.update(ctx, func(tx Tx) error {
		if _, err := tx.Cursor(w.Net.Network); !errors.Is(err, payment.ErrAbsent) {
			return errors.Join(err, errMoved)
		}
		for _, b := range blocks {
			if err := tx.PushBlock(w.Net.Network, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// atCursor checks that the cursor still is where this step looked from.
func (w *Watcher) atCursor(tx Tx, hash string) error {
	cursor, err := tx.Cursor(w.Net.Network)
	if err != nil {
		return err
	}
	if cursor.Hash != hash {
		return errMoved
	}
	return nil
}

func (w *Watcher) teller() teller { return teller{w.Nets, w.Render} }
