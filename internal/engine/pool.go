package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Pool keeps addresses ready, so that no request waits for the signer.
type Pool struct {
	Store  Store
	Signer Signer
	Nets   map[money.Currency]Net
	Log    *slog.Logger

	checked bool   // the store was compared with the signer's journal
	given   string // how the pools stood when they were stamped last
	// merchants are those of the store, by branch, as Check found them.
	merchants map[uint32]payment.ID
}

// Step fills up every merchant's pool that is at most half full. A crash between the signer's release and the commit loses
// the indexes of that batch, and nothing else: the signer never releases them again.
func (p *Pool) Step(ctx context.Context) error {
	if err := p.Check(ctx); err != nil {
		return err
	}
	var failed []error
	sum, whole := sha256.New(), true
	for _, coin := range slices.Sorted(maps.Keys(p.Nets)) {
		err := p.levels(ctx, p.Nets[coin].Network, func(ctx context.Context, n money.Network, l PoolLevel) error {
			if _, err := fmt.Fprintln(sum, n, l.Merchant.ID, l.Free, l.Given, l.Next); err != nil {
				return err
			}
			if err := p.fill(ctx, n, l); err != nil {
				failed = append(failed, err) // one merchant's trouble keeps no address from the others
			}
			return ctx.Err()
		})
		if err != nil {
			whole, failed = false, append(failed, err)
		}
	}
	if whole { // what was filled now is stamped by the next step
		failed = append(failed, p.stamp(ctx, hex.EncodeToString(sum.Sum(nil))))
	}
	return errors.Join(failed...)
}

// stamp changes the stamp that the store and the signer keep, after addresses were given or released, so that an older copy of
// the store is known by its older stamp; now is how all pools stand. A crash between the two leaves them different, which costs an epoch and nothing else.
func (p *Pool) stamp(ctx context.Context, now string) error {
	if now == p.given {
		return nil
	}
	text := rand.Text()
	if err := p.Signer.Stamp(ctx, text); err != nil {
		return fmt.Errorf("stamp journal: %w", err)
	}
	if err := p.Store.Update(ctx, func(tx Tx) error { return tx.SaveStamp(text) }); err != nil {
		return fmt.Errorf("stamp store: %w", err)
	}
	p.given = now
	return nil
}

// Check compares the store with the signer's journal, once. Nothing may be given out before: an older copy of the store
// calls addresses free that were given since.
func (p *Pool) Check(ctx context.Context) error {
	if p.checked {
		return nil
	}
	if err := p.behind(ctx); err != nil {
		return err
	}
	p.checked = true
	return nil
}

// ErrOldJournal: the signer's journal is older than the store, so it would release addresses a second time.
var ErrOldJournal = errors.New("engine: the signer's journal is an old copy: bring back the newest one")

// levels calls do for each merchant's pool on a network.
func (p *Pool) levels(ctx context.Context, n money.Network, do func(context.Context, money.Network, PoolLevel) error) error {
	for after := payment.ID(""); ; {
		var page []PoolLevel
		err := p.Store.View(ctx, func(tx Tx) (err error) {
			page, err = tx.PoolLevels(n, after, Batch)
			return err
		})
		if err != nil {
			return fmt.Errorf("read pool levels: %w", err)
		}
		for _, l := range page {
			after = l.Merchant.ID
			if err := do(ctx, n, l); err != nil {
				return err
			}
		}
		if len(page) < Batch {
			return nil
		}
	}
}

// target is how many addresses to keep ready: PoolSize, doubled with use.
func target(given int) int {
	size := PoolSize
	for size < MaxPool && size < given/5 {
		size *= 2
	}
	return min(size, MaxPool)
}

func (p *Pool) fill(ctx context.Context, n money.Network, l PoolLevel) error {
	want := target(l.Given)
	if l.Free > want/2 {
		return nil
	}
	batch, err := p.Signer.Release(ctx, chain.Want{
		Merchant: string(l.Merchant.ID), Branch: l.Merchant.Branch, Network: n, Count: min(want-l.Free, ReleaseBatch),
	})
	if err != nil {
		return fmt.Errorf("release addresses of %s for merchant %s: %w", n, l.Merchant.ID, err)
	}
	return p.Store.Update(ctx, func(tx Tx) error {
		all := make([]payment.Address, 0, len(batch.Addresses))
		for _, r := range batch.Addresses {
			all = append(all, payment.Address{
				Network: n, Address: r.Address, MerchantID: l.Merchant.ID, Index: r.Index, Epoch: batch.Epoch,
				State: payment.AddressFree, Balance: money.Zero(n.Coin()), ReleasedAt: tx.Now(),
			})
		}
		return tx.AddAddresses(all)
	})
}

// behind compares the store with the signer's journal. A store that knows less than the journal released is an older
// copy, or lost the end of a batch: which of its free addresses were given since nobody can tell, so a new epoch begins
// and all of them are dead.
func (p *Pool) behind(ctx context.Context) error {
	marks, err := p.Signer.Marks(ctx)
	if err != nil {
		return fmt.Errorf("ask signer for its marks: %w", err)
	}
	p.merchants = map[uint32]payment.ID{}
	next, served := map[place]uint32{}, map[money.Network]bool{}
	for _, n := range p.Nets {
		served[n.Network] = true
		err := p.levels(ctx, n.Network, func(_ context.Context, n money.Network, l PoolLevel) error {
			next[place{l.Merchant.Branch, n}] = l.Next
			p.merchants[l.Merchant.Branch] = l.Merchant.ID
			return nil
		})
		if err != nil {
			return err
		}
	}
	old, released := false, map[place]bool{}
	for _, m := range marks.Lanes {
		released[place{m.Branch, m.Network}] = true
		if !served[m.Network] {
			continue // nothing is given on it, and its addresses were not counted
		}
		known := next[place{m.Branch, m.Network}]
		if known > m.Next {
			return fmt.Errorf("merchant %s on %s: the store knows %d addresses, the journal released %d: %w", m.Merchant, m.Network, known, m.Next, ErrOldJournal)
		}
		if known < m.Next {
			old = true
			p.Log.WarnContext(ctx, "store is behind the signer's journal: its free addresses are given up",
				"merchant", m.Merchant, "network", m.Network, "store", known, "journal", m.Next)
		}
	}
	for at, known := range next {
		// A seed brought back without its journal begins a later epoch; a journal in its first one never forgets a lane.
		if known > 0 && !released[at] && marks.Epoch <= firstEpoch {
			return fmt.Errorf("branch %d on %s: the store knows %d addresses, the journal none: is this the seed of this database? %w",
				at.branch, at.network, known, ErrOldJournal)
		}
	}
	epoch := marks.Epoch
	if !old {
		if old, err = p.otherStamp(ctx, marks); err != nil {
			return err
		}
	}
	if old {
		if err := p.relearn(ctx, marks, next, served); err != nil {
			return err
		}
		if epoch, err = p.Signer.NewEpoch(ctx); err != nil {
			return fmt.Errorf("begin a new epoch: %w", err)
		}
	}
	// Also without a new epoch: a seed that was brought back has one already, and what lay free before it may be given.
	return p.Store.Update(ctx, func(tx Tx) error { return tx.KillAddresses(epoch) })
}

// otherStamp tells whether the store is of another moment than the journal: addresses were given since it was copied, though
// none was released.
func (p *Pool) otherStamp(ctx context.Context, marks chain.Marks) (other bool, err error) {
	err = p.Store.View(ctx, func(tx Tx) error {
		mine, err := tx.Stamp()
		other = mine != marks.Stamp && marks.Stamp != ""
		return err
	})
	if other {
		p.Log.WarnContext(ctx, "store bears another stamp than the signer: it is an older copy, or a crash came between; its free addresses are given up")
	}
	return other, err
}

// relearn adds the addresses that were released in the history which the store lost. They are dead, as nobody knows who was
// given them, and they are watched: coins that come to them are booked as strays.
func (p *Pool) relearn(ctx context.Context, marks chain.Marks, next map[place]uint32, served map[money.Network]bool) error {
	for _, m := range marks.Lanes {
		merchant, known := p.merchants[m.Branch]
		if !served[m.Network] || !known || merchant != payment.ID(m.Merchant) {
			continue // of a merchant that the store has lost too
		}
		for from := next[place{m.Branch, m.Network}]; from < m.Next; {
			w := chain.Want{Merchant: m.Merchant, Branch: m.Branch, Network: m.Network, Count: min(int(m.Next-from), ReleaseBatch)}
			batch, err := p.Signer.Released(ctx, w, from)
			if err != nil {
				return fmt.Errorf("derive released addresses of %s again: %w", m.Network, err)
			}
			err = p.Store.Update(ctx, func(tx Tx) error { return tx.AddAddresses(lostAddresses(tx, w, batch)) })
			if err != nil {
				return fmt.Errorf("add released addresses: %w", err)
			}
			from += uint32(w.Count)
		}
	}
	return nil
}

func lostAddresses(tx Tx, w chain.Want, batch chain.Batch) (all []payment.Address) {
	zero := money.Zero(w.Network.Coin())
	for _, r := range batch.Addresses {
		all = append(all, payment.Address{
			Network: w.Network, Address: r.Address, MerchantID: payment.ID(w.Merchant), Index: r.Index, Epoch: batch.Epoch,
			State: payment.AddressDead, Balance: zero, Wallet: zero, ReleasedAt: tx.Now(),
		})
	}
	return all
}

// firstEpoch is the one that every journal begins with.
const firstEpoch = 1

// A place is a branch on a network.
type place struct {
	branch  uint32
	network money.Network
}
