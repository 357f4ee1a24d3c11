package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// purse is what an account holds on one network.
type purse struct {
	account ledger.Account
	network money.Network
}

// Post books an entry and changes the balances. The key is unique for ever. No balance goes below zero.
func (t *tx) Post(e ledger.Entry) error {
	if err := e.Check(); err != nil {
		return t.fail("post entry", err)
	}
	n, err := t.q.AddEntry(t.ctx, row.AddEntryParams{Key: e.Key, Kind: string(e.Kind), At: millis(t.now)})
	if err != nil {
		return t.fail("post entry "+e.Key, err)
	}
	change := map[purse]money.Amount{}
	for i, p := range e.Postings {
		err := t.q.AddPosting(t.ctx, row.AddPostingParams{
			EntryN: n, I: int64(i), Source: string(p.From), Target: string(p.To), Network: string(p.Network), Amount: p.Amount.Units(),
		})
		if err != nil {
			return t.fail("post entry "+e.Key, err)
		}
		from, to := purse{p.From, p.Network}, purse{p.To, p.Network}
		change[from] = change[from].Sub(p.Amount)
		change[to] = change[to].Add(p.Amount)
	}
	return t.apply(e.Key, change)
}

// apply changes balances, in one order for all transactions. World holds whatever makes the sum zero and is not kept.
func (t *tx) apply(key string, change map[purse]money.Amount) error {
	purses := make([]purse, 0, len(change))
	for p := range change {
		purses = append(purses, p)
	}
	slices.SortFunc(purses, func(a, b purse) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.network, b.network))
	})
	for _, p := range purses {
		if by := change[p]; p.account != ledger.World && !by.IsZero() {
			if err := t.add(p, by); err != nil {
				return fmt.Errorf("post entry %s: %w", key, err)
			}
		}
	}
	return nil
}

func (t *tx) add(p purse, by money.Amount) error {
	rev, was, err := t.purse(p)
	fresh := errors.Is(err, payment.ErrAbsent)
	if err != nil && !fresh {
		return err
	}
	is := was.Add(by)
	switch {
	case is.Sign() < 0:
		return t.fail("change balance", fmt.Errorf("account %s on %s holds %s and would fall to %s", p.account, p.network, was, is))
	case fresh:
		return t.fail("add balance", t.q.AddBalance(t.ctx, row.AddBalanceParams{
			Account: string(p.account), Network: string(p.network), Amount: is.Units(),
		}))
	}
	n, err := t.q.SwapBalance(t.ctx, row.SwapBalanceParams{
		Amount: is.Units(), Account: string(p.account), Network: string(p.network), Rev: rev,
	})
	return t.swapped("change balance", n, err)
}

// purse reads a balance and its rev. payment.ErrAbsent: there never was any, and it is zero.
func (t *tx) purse(p purse) (rev int64, held money.Amount, err error) {
	held = money.Zero(p.network.Coin())
	r, err := t.q.Balance(t.ctx, row.BalanceParams{Account: string(p.account), Network: string(p.network)})
	if err != nil {
		return 0, held, t.fail("find balance", err)
	}
	held, err = amount(p.network.Coin(), r.Amount)
	return r.Rev, held, t.fail("read balance", err)
}

// Balances are those of all accounts but world, in the order of (account, network), after the given pair.
func (t *tx) Balances(after ledger.Account, network money.Network, limit int) ([]engine.Balance, error) {
	rows, err := t.q.Balances(t.ctx, row.BalancesParams{Account: string(after), Network: string(network), Most: atMost(limit)})
	if err != nil {
		return nil, t.fail("list balances", err)
	}
	all, err := each(rows, func(r row.Balance) (engine.Balance, error) {
		a, err := amount(money.Network(r.Network).Coin(), r.Amount)
		return engine.Balance{Account: ledger.Account(r.Account), Network: money.Network(r.Network), Amount: a}, err
	})
	return all, t.fail("read balances", err)
}

// Entries are those after a number in the order of booking.
func (t *tx) Entries(after int64, limit int) ([]engine.NumberedEntry, error) {
	rows, err := t.q.Entries(t.ctx, row.EntriesParams{N: after, Most: atMost(limit)})
	if err != nil || len(rows) == 0 {
		return nil, t.fail("list entries", err)
	}
	all := make([]engine.NumberedEntry, len(rows))
	place := make(map[int64]int, len(rows))
	for i, r := range rows {
		all[i] = engine.NumberedEntry{N: r.N, At: at(r.At), Entry: ledger.Entry{Key: r.Key, Kind: ledger.Kind(r.Kind)}}
		place[r.N] = i
	}
	postings, err := t.q.Postings(t.ctx, row.PostingsParams{Low: rows[0].N, High: rows[len(rows)-1].N})
	if err != nil {
		return nil, t.fail("list postings", err)
	}
	for _, p := range postings {
		a, err := amount(money.Network(p.Network).Coin(), p.Amount)
		if err != nil {
			return nil, t.fail("read posting", err)
		}
		e := &all[place[p.EntryN]]
		e.Postings = append(e.Postings, ledger.Posting{
			From: ledger.Account(p.Source), To: ledger.Account(p.Target), Network: money.Network(p.Network), Amount: a,
		})
	}
	return all, nil
}
