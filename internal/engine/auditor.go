package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// An Auditor recomputes everything: balances from the entries, entries from the deposits, deposits from the chains.
type Auditor struct {
	Store   Store
	Readers map[money.Network]chain.Reader
	Nets    map[money.Currency]Net
}

// A Difference is one thing that does not hold, in words.
type Difference struct {
	What string // "balance", "entry", "deposit", "chain"
	Text string
}

// A Report is the outcome of an audit. It is clean when there are no differences; what could not be checked is said.
type Report struct {
	Entries, Balances, Deposits, Addresses int
	Held                                   map[money.Network]money.Amount // by the entries
	Differences                            []Difference
	Unchecked                              []string
}

// Clean tells whether everything that was checked holds.
func (r Report) Clean() bool { return len(r.Differences) == 0 }

func (r *Report) differ(what, format string, args ...any) {
	r.Differences = append(r.Differences, Difference{what, fmt.Sprintf(format, args...)})
}

// Audit reads one consistent state of the store and compares it with itself and with the chains. A node that cannot be
// asked leaves its part unchecked, which the report says; an error is a failure to read the store.
func (a *Auditor) Audit(ctx context.Context) (Report, error) {
	r := Report{Held: map[money.Network]money.Amount{}}
	book := map[holder]money.Amount{}
	net := map[string]money.Amount{} // what the entries say of each deposit
	all := map[money.Network]map[string][]payment.Deposit{}
	cursors := map[money.Network]chain.Block{}
	err := a.Store.View(ctx, func(tx Tx) error {
		if err := a.entries(tx, &r, book, net); err != nil {
			return err
		}
		if err := a.balances(tx, &r, book); err != nil {
			return err
		}
		for _, n := range a.Nets {
			cursor, err := tx.Cursor(n.Network)
			if err != nil && !errors.Is(err, payment.ErrAbsent) {
				return err
			}
			cursors[n.Network] = cursor
			if all[n.Network], err = a.deposits(tx, &r, n.Network, net); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	for _, key := range slices.Sorted(maps.Keys(net)) {
		if !net[key].IsZero() {
			r.differ("entry", "entries book %s for %s, which no confirmed deposit explains", net[key], key)
		}
	}
	for _, coin := range slices.Sorted(maps.Keys(a.Nets)) {
		n := a.Nets[coin]
		a.onChain(ctx, &r, onChain{n, cursors[n.Network], all[n.Network]})
	}
	return r, nil
}

// A holder is an account on a network.
type holder struct {
	account ledger.Account
	network money.Network
}

// entries adds up the postings, and for each deposit what was booked and taken back.
func (a *Auditor) entries(tx Tx, r *Report, book map[holder]money.Amount, net map[string]money.Amount) error {
	for after := int64(0); ; {
		page, err := tx.Entries(after, Batch)
		if err != nil {
			return err
		}
		for _, e := range page {
			after = e.N
			r.Entries++
			if err := e.Check(); err != nil {
				r.differ("entry", "%s", err)
			}
			for _, p := range e.Postings {
				from, to := holder{p.From, p.Network}, holder{p.To, p.Network}
				book[from] = book[from].Sub(p.Amount)
				book[to] = book[to].Add(p.Amount)
				r.Held[p.Network] = r.Held[p.Network].Add(held(p))
				if ref, ok := e.Deposit(); ok {
					net[ref] = net[ref].Add(held(p))
				}
			}
		}
		if len(page) < Batch {
			return nil
		}
	}
}

// held is what a posting adds to what PIPE holds.
func held(p ledger.Posting) money.Amount {
	switch {
	case p.From == ledger.World:
		return p.Amount
	case p.To == ledger.World:
		return p.Amount.Neg()
	}
	return money.Zero(p.Amount.Currency())
}

// balances compares the kept balances with the sums of the postings.
func (a *Auditor) balances(tx Tx, r *Report, book map[holder]money.Amount) error {
	for after := (Balance{}); ; {
		page, err := tx.Balances(after.Account, after.Network, Batch)
		if err != nil {
			return err
		}
		for _, b := range page {
			after = b
			r.Balances++
			h := holder{b.Account, b.Network}
			if sum := book[h]; sum.Cmp(b.Amount) != 0 {
				r.differ("balance", "%s on %s is kept as %s, its entries sum to %s", b.Account, b.Network, b.Amount, sum)
			}
			if b.Amount.Sign() < 0 {
				r.differ("balance", "%s on %s is below zero: %s", b.Account, b.Network, b.Amount)
			}
			delete(book, h)
		}
		if len(page) < Batch {
			break
		}
	}
	for h, sum := range book {
		if h.account != ledger.World && !sum.IsZero() {
			r.differ("balance", "%s on %s is not kept, its entries sum to %s", h.account, h.network, sum)
		}
	}
	return nil
}

// deposits compares each confirmed deposit with its entries, taking it off net, and lists the network's deposits in
// blocks by address.
func (a *Auditor) deposits(tx Tx, r *Report, n money.Network, net map[string]money.Amount) (map[string][]payment.Deposit, error) {
	all := map[string][]payment.Deposit{}
	for after := ""; ; {
		page, err := tx.Addresses(n, after, Batch)
		if err != nil {
			return nil, err
		}
		for _, addr := range page {
			after = addr.Address
			r.Addresses++
			deposits, err := tx.AddressDeposits(n, addr.Address)
			if err != nil {
				return nil, err
			}
			sum := money.Zero(n.Coin())
			for _, d := range deposits {
				r.Deposits++
				key := ledger.DepositKey(n, d.Ref)
				if d.State == payment.Confirmed {
					if !net[key].Equal(d.Amount) {
						r.differ("deposit", "%s of %s is confirmed, its entries sum to %s", d.Ref, d.Amount, net[key])
					}
					delete(net, key)
				}
				if d.Height > 0 {
					sum = sum.Add(d.Amount)
				}
			}
			if sum.Cmp(addr.Balance) != 0 {
				r.differ("deposit", "%s: deposits in blocks sum to %s, its balance is kept as %s", addr.Address, sum, addr.Balance)
			}
			all[addr.Address] = deposits
		}
		if len(page) < Batch {
			return all, nil
		}
	}
}

// onChain is what the store says of one network: the cursor, and the deposits by address.
type onChain struct {
	net    Net
	cursor chain.Block
	all    map[string][]payment.Deposit
}

// onChain compares the deposits with the network: accounts by their balances at the cursor, outputs by reading their
// blocks again.
func (a *Auditor) onChain(ctx context.Context, r *Report, o onChain) {
	n, cursor, all := o.net, o.cursor, o.all
	reader, ok := a.Readers[n.Network]
	if !ok || cursor.Hash == "" {
		return
	}
	before := len(r.Differences)
	var err error
	if n.Accounts {
		err = a.accounts(ctx, r, weighing{reader, n.Network.Coin(), cursor}, all)
	} else {
		err = a.outputs(ctx, r, reader, all)
	}
	if err == nil {
		err = stillThere(ctx, reader, cursor)
	}
	if err != nil {
		r.Differences = r.Differences[:before] // of a chain that moved meanwhile, or could not be read to the end
		r.Unchecked = append(r.Unchecked, fmt.Sprintf("%s against its chain: %s", n.Network, err))
	}
}

// stillThere tells whether what was compared is of the chain that the store has followed: the cursor is on it.
func stillThere(ctx context.Context, reader chain.Reader, cursor chain.Block) error {
	b, err := reader.BlockAt(ctx, cursor.Height)
	if err != nil {
		return err
	}
	if b.Hash != cursor.Hash {
		return fmt.Errorf("the chain is another one at height %d than was followed: %w", cursor.Height, chain.ErrGone)
	}
	return nil
}

// weighing is where accounts are weighed.
type weighing struct {
	reader chain.Reader
	coin   money.Currency
	at     chain.Block
}

func (a *Auditor) accounts(ctx context.Context, r *Report, w weighing, all map[string][]payment.Deposit) error {
	addresses := slices.Sorted(maps.Keys(all))
	for page := range slices.Chunk(addresses, Batch) {
		var weighed []chain.Weighed
		for _, address := range page {
			sum := money.Zero(w.coin)
			for _, d := range all[address] {
				if d.Height > 0 {
					sum = sum.Add(d.Amount)
				}
			}
			weighed = append(weighed, chain.Weighed{Address: address, Balance: sum})
		}
		found, err := w.reader.Weigh(ctx, w.at, weighed)
		if err != nil {
			return err
		}
		for _, f := range found.Falls {
			r.differ("chain", "%s holds %s less at block %d than its deposits explain", f.Address, f.Balance, w.at.Height)
		}
		for _, c := range found.Credits {
			r.differ("chain", "%s holds %s more at block %d than its deposits explain", c.To, c.Amount, w.at.Height)
		}
	}
	return nil
}

func (a *Auditor) outputs(ctx context.Context, r *Report, reader chain.Reader, all map[string][]payment.Deposit) error {
	blocks := map[uint64][]payment.Deposit{}
	for _, deposits := range all {
		for _, d := range deposits {
			if d.Height > 0 {
				blocks[d.Height] = append(blocks[d.Height], d)
			}
		}
	}
	has := func(address string) bool { _, ok := all[address]; return ok }
	for _, height := range slices.Sorted(maps.Keys(blocks)) {
		b, err := reader.BlockAt(ctx, height)
		if err != nil {
			return err
		}
		found, err := reader.Scan(ctx, b, chain.Watch{Has: has})
		if err != nil {
			return err
		}
		there := map[string]chain.Credit{}
		for _, c := range found.Credits {
			there[c.Ref] = c
		}
		for _, d := range blocks[height] {
			c, ok := there[d.Ref]
			if !ok || d.BlockHash != b.Hash || !c.Amount.Equal(d.Amount) || c.To != d.Address {
				r.differ("chain", "deposit %s of %s is not in block %d as booked", d.Ref, d.Amount, height)
			}
			delete(there, d.Ref)
		}
		for ref, c := range there {
			r.differ("chain", "block %d pays %s to %s in %s, which is not booked", height, c.Amount, c.To, ref)
		}
	}
	return nil
}
