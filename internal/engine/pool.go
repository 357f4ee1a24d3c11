package engine

import (
	"context"
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

	checked bool // the store was compared with the signer's journal
}

// Step fills up every merchant's pool that is at most half full. A crash between the signer's release and the commit loses
// the indexes of that batch, and nothing else: the signer never releases them again.
func (p *Pool) Step(ctx context.Context) error {
	if err := p.Check(ctx); err != nil {
		return err
	}
	var failed []error
	for _, coin := range slices.Sorted(maps.Keys(p.Nets)) {
		err := p.levels(ctx, p.Nets[coin].Network, func(ctx context.Context, n money.Network, l PoolLevel) error {
			if err := p.fill(ctx, n, l); err != nil {
				failed = append(failed, err) // one merchant's trouble keeps no address from the others
			}
			return ctx.Err()
		})
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
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
	next, served := map[place]uint32{}, map[money.Network]bool{}
	for _, n := range p.Nets {
		served[n.Network] = true
		err := p.levels(ctx, n.Network, func(_ context.Context, n money.Network, l PoolLevel) error {
			next[place{l.Merchant.Branch, n}] = l.Next
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
	if old {
		if epoch, err = p.Signer.NewEpoch(ctx); err != nil {
			return fmt.Errorf("begin a new epoch: %w", err)
		}
	}
	// Also without a new epoch: a seed that was brought back has one already, and what lay free before it may be given.
	return p.Store.Update(ctx, func(tx Tx) error { return tx.KillAddresses(epoch) })
}

// firstEpoch is the one that every journal begins with.
const firstEpoch = 1

// A place is a branch on a network.
type place struct {
	branch  uint32
	network money.Network
}
