package engine

import (
	"errors"
	"maps"
	"slices"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// spends reads the spends that payouts, deposits or entries name, and compares each with its entries.
func (l *look) spends(tx Tx) error {
	for id := range l.done {
		l.known[payment.ID(id)] = true
	}
	for _, id := range slices.Sorted(maps.Keys(l.known)) {
		s, err := tx.Spend(id)
		if errors.Is(err, payment.ErrAbsent) {
			l.differ("spend", "spend %s is named, and there is none", id)
			continue
		}
		if err != nil {
			return err
		}
		l.Spends++
		c := carrying{Spend: s, inside: money.Zero(s.Network.Coin()), fee: s.Fee}
		if c.tickets, err = tx.Tickets(id); err != nil {
			return err
		}
		if s.Height > 0 && s.State != payment.SpendLost && !l.onAccounts(s.Network) {
			v, err := tx.TxIDVersion(s.Network, s.TxID)
			if err != nil && !errors.Is(err, payment.ErrAbsent) {
				return err
			}
			c.fee = v.Fee
		}
		l.carry[id] = c
	}
	for n, v := range l.nets {
		for _, d := range v.refs {
			if c, ok := l.carry[d.SpendID]; ok && d.Height > 0 {
				c.inside = c.inside.Add(d.Amount)
				l.carry[d.SpendID] = c
				if c.Network != n || c.Height != d.Height || c.BlockHash != d.BlockHash {
					l.differ("spend", "%s came of spend %s and is in another block", d.Ref, d.SpendID)
				}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.carry)) {
		l.spend(l.carry[id])
	}
	return nil
}

// onAccounts tells whether a network keeps accounts.
func (l *look) onAccounts(n money.Network) bool {
	v, ok := l.nets[n]
	return ok && v.accounts
}

// used is what a spend that a block holds took from addresses of ours.
func (c carrying) used(accounts bool) money.Amount {
	if accounts {
		return c.Out.Add(c.Spend.Fee)
	}
	sum := money.Zero(c.Network.Coin())
	for _, t := range c.tickets {
		sum = sum.Add(t.Amount)
	}
	return sum
}

// spend compares a spend with its entries: booked once more than taken back where it is done, else as often, and what left,
// came back and was paid to the network is what was booked.
func (l *look) spend(c carrying) {
	f, done := l.done[string(c.ID)], c.State == payment.SpendDone
	booked := f.turns-f.back == 1
	if done != booked || !booked && f.turns != f.back || f.turns > c.Turn {
		l.differ("spend", "spend %s is %s, was done %d times, booked %d times and taken back %d times", c.ID, c.State, c.Turn, f.turns, f.back)
	}
	if !done || !booked {
		return
	}
	left, fee := money.Zero(c.Network.Coin()), money.Zero(c.Network.Coin())
	for _, p := range f.postings {
		if p.To == ledger.Fees(c.Network) {
			fee = fee.Add(p.Amount)
		} else if p.To == ledger.World {
			left = left.Add(p.Amount)
		}
	}
	used := c.used(l.onAccounts(c.Network))
	if !fee.Equal(c.fee) || !used.Equal(left.Add(fee).Add(c.inside)) {
		l.differ("spend", "spend %s took %s, brought back %s and cost %s, its entry says that %s left and %s was the fee", c.ID, used, c.inside, c.fee, left, fee)
	}
	for _, p := range l.carried[c.ID] {
		if p.State != payment.PayoutDone {
			l.differ("spend", "spend %s is done, and its payout %s is %s", c.ID, p.ID, p.State)
		}
	}
}

// held compares each account of the ledger with the coins that the facts on the chain leave it: what came and is confirmed,
// less what spends took that are done.
func (l *look) held(n Net) {
	coins := l.atOutputs
	if n.Accounts {
		coins = l.atAccounts
	}
	has, zero := coins(n.Network), money.Zero(n.Network.Coin())
	books := map[ledger.Account]money.Amount{}
	for h, sum := range l.sums {
		account := h.account
		if h.network != n.Network || account.Outside() {
			continue
		}
		if id, ok := account.Payout(); ok {
			account = l.owners[id].Source
		}
		books[account] = books[account].Add(sum)
	}
	for account := range has {
		books[account] = books[account].Add(zero)
	}
	for _, account := range slices.Sorted(maps.Keys(books)) {
		if there := has[account].Add(zero); books[account].Cmp(there) != 0 {
			l.differ("held", "%s on %s has %s in the ledger, and %s of coins", account, n.Network, books[account], there)
		}
	}
}

// atOutputs are the coins of each account where tickets are outpoints: each deposit is one account's.
func (l *look) atOutputs(n money.Network) map[ledger.Account]money.Amount {
	v, coins := l.nets[n], map[ledger.Account]money.Amount{}
	for _, d := range v.refs {
		c, inside := l.carry[d.SpendID]
		if d.State == payment.Confirmed && d.SpendID == "" || inside && c.State == payment.SpendDone && d.Height > 0 {
			coins[d.Account] = coins[d.Account].Add(d.Amount)
		}
	}
	for _, c := range l.carry {
		if c.Network != n || c.State != payment.SpendDone {
			continue
		}
		for _, t := range c.tickets {
			if d, ok := v.refs[t.Ticket]; ok {
				coins[d.Account] = coins[d.Account].Sub(t.Amount)
			} else {
				l.differ("spend", "spend %s uses %s, which never came", c.ID, t.Ticket)
			}
		}
	}
	for _, address := range slices.Sorted(maps.Keys(v.addresses)) {
		sum := money.Zero(n.Coin())
		for _, d := range v.deposits[address] {
			if d.Height > 0 {
				sum = sum.Add(d.Amount)
			}
		}
		if kept := v.addresses[address].Balance; sum.Cmp(kept) != 0 {
			l.differ("deposit", "%s: deposits in blocks sum to %s, they are kept as %s", address, sum, kept)
		}
	}
	return coins
}

// early is what of coins that came again and are not confirmed yet is noted as the wallet's already.
func (l *look) early(n money.Network, a payment.Address, all []payment.Deposit) money.Amount {
	zero := money.Zero(n.Coin())
	moved, there, confirmed := l.moved[holder{ledger.Invoice(string(a.InvoiceID)), n}].Add(zero), zero, zero
	for _, d := range all {
		if d.SpendID != "" || d.Account != ledger.Invoice(string(a.InvoiceID)) {
			continue
		}
		if inBlock(d) {
			there = there.Add(d.Amount)
		}
		if d.State == payment.Confirmed {
			confirmed = confirmed.Add(d.Amount)
		}
	}
	return least(moved, there).Sub(least(moved, confirmed))
}

// atAccounts are the coins of each account of the ledger where the chain has accounts: of each address a part is the wallet's
// and the rest its invoice's. What is not confirmed yet does not count, and what spends took that are not done still does.
func (l *look) atAccounts(n money.Network) map[ledger.Account]money.Amount {
	v, coins := l.nets[n], map[ledger.Account]money.Amount{}
	left := map[string]money.Amount{}
	for _, c := range l.carry {
		if c.Network != n || c.Height == 0 {
			continue
		}
		for _, t := range c.tickets {
			left[t.Address] = left[t.Address].Add(c.used(true))
		}
		if c.State == payment.SpendMined {
			source := c.Source
			for _, p := range l.carried[c.ID] {
				source = p.Source
			}
			coins[source] = coins[source].Add(c.used(true)).Sub(c.inside)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(v.addresses)) {
		a, sum := v.addresses[address], money.Zero(n.Coin())
		for _, d := range v.deposits[address] {
			if d.Height > 0 {
				sum = sum.Add(d.Amount)
			}
			if d.State == payment.Mined && d.SpendID == "" {
				coins[d.Account] = coins[d.Account].Sub(d.Amount)
			}
		}
		if early := l.early(n, a, v.deposits[address]); !early.IsZero() {
			owner, wallet := ledger.Invoice(string(a.InvoiceID)), ledger.Wallet(string(a.MerchantID))
			coins[owner], coins[wallet] = coins[owner].Add(early), coins[wallet].Sub(early)
		}
		if sum = sum.Sub(left[address]); sum.Cmp(a.Balance) != 0 {
			l.differ("deposit", "%s: deposits in blocks less what left sum to %s, its balance is kept as %s", address, sum, a.Balance)
		}
		if a.Wallet.Sign() < 0 || a.Balance.Less(a.Wallet) {
			l.differ("deposit", "%s holds %s, of which %s would be the wallet's", address, a.Balance, a.Wallet)
		}
		owner, wallet := ledger.Invoice(string(a.InvoiceID)), ledger.Wallet(string(a.MerchantID))
		switch {
		case a.State == payment.AddressDead:
			owner = ledger.Stray(string(a.MerchantID))
		case a.InvoiceID == "":
			owner = wallet
		}
		coins[owner] = coins[owner].Add(a.Balance.Sub(a.Wallet))
		coins[wallet] = coins[wallet].Add(a.Wallet)
	}
	return coins
}
