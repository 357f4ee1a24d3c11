package engine

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// entries adds up the postings, and for each deposit, move and spend what was booked and taken back.
func (l *look) entries(tx Tx) error {
	for after := int64(0); ; {
		page, err := tx.Entries(after, Batch)
		if err != nil {
			return err
		}
		for _, e := range page {
			after = e.N
			l.Entries++
			if err := e.Check(); err != nil {
				l.differ("entry", "%s", err)
			}
			l.entry(e.Entry)
		}
		if len(page) < Batch {
			return nil
		}
	}
}

func (l *look) entry(e ledger.Entry) {
	ref, isDeposit := e.Deposit()
	spend, isSpend := e.Spend()
	for _, p := range e.Postings {
		from, to := holder{p.From, p.Network}, holder{p.To, p.Network}
		l.sums[from] = l.sums[from].Sub(p.Amount)
		l.sums[to] = l.sums[to].Add(p.Amount)
		world := p.From == ledger.World || p.To == ledger.World
		switch {
		case isDeposit && world:
			in := p.Amount
			if p.To == ledger.World {
				in = in.Neg()
			}
			l.booked[ref] = l.booked[ref].Add(in)
			t := l.total(p.Network)
			t.In = t.In.Add(in)
		case isSpend && world:
			l.paid = append(l.paid, p)
		case world:
			l.differ("entry", "%s moves %s over the border, and is no deposit and no spend", e.Key, p.Amount)
		}
	}
	if isSpend {
		f := l.done[spend]
		if e.Kind == ledger.SpendDone {
			f.turns, f.postings = f.turns+1, e.Postings
		} else {
			f.back++
		}
		l.done[spend] = f
	}
	if id, ok := strings.CutPrefix(e.Key, "move/"); ok && len(e.Postings) == 1 {
		l.moves[id] = e.Postings[0]
	}
}

// balances compares the kept balances with the sums of the postings.
func (l *look) balances(tx Tx) error {
	seen := map[holder]bool{}
	for after := (Balance{}); ; {
		page, err := tx.Balances(after.Account, after.Network, Batch)
		if err != nil {
			return err
		}
		for _, b := range page {
			after = b
			l.Balances++
			h := holder{b.Account, b.Network}
			if sum := l.sums[h]; sum.Cmp(b.Amount) != 0 {
				l.differ("balance", "%s on %s is kept as %s, its entries sum to %s", b.Account, b.Network, b.Amount, sum)
			}
			if b.Amount.Sign() < 0 {
				l.differ("balance", "%s on %s is below zero: %s", b.Account, b.Network, b.Amount)
			}
			seen[h] = true
		}
		if len(page) < Batch {
			break
		}
	}
	for h, sum := range l.sums {
		if h.account != ledger.World && !sum.IsZero() && !seen[h] {
			l.differ("balance", "%s on %s is not kept, its entries sum to %s", h.account, h.network, sum)
		}
	}
	return nil
}

// payouts reads all payouts of all merchants.
func (l *look) payouts(tx Tx) error {
	for after := payment.ID(""); ; {
		merchants, err := tx.Merchants(after, Batch)
		if err != nil {
			return err
		}
		for _, m := range merchants {
			after = m.ID
			if err := l.merchant(tx, m.ID); err != nil {
				return err
			}
		}
		if len(merchants) < Batch {
			return nil
		}
	}
}

func (l *look) merchant(tx Tx, id payment.ID) error {
	for before := payment.ID(""); ; {
		page, err := tx.MerchantPayouts(MerchantPayouts{Merchant: id, Before: before, Limit: Batch})
		if err != nil {
			return err
		}
		for _, p := range page {
			before = p.ID
			l.Payouts++
			l.owners[string(p.ID)] = p
			if p.IsMoved() {
				h := holder{ledger.Invoice(string(p.InvoiceID)), p.Network}
				l.moved[h] = l.moved[h].Add(p.Amount)
			}
			if p.SpendID != "" {
				l.known[p.SpendID] = true
				l.carried[p.SpendID] = append(l.carried[p.SpendID], p)
			}
			l.payout(p)
		}
		if len(page) < Batch {
			return nil
		}
	}
}

// payout compares a payout with its entries: what is set aside for it is what it says.
func (l *look) payout(p payment.Payout) {
	set := money.Zero(p.Network.Coin())
	if p.Reserved {
		set = p.Amount.Sub(p.Wasted)
	}
	if sum := l.sums[holder{ledger.Payout(string(p.ID)), p.Network}]; sum.Cmp(set) != 0 {
		l.differ("payout", "%s %s is %s with %s set aside, its entries sum to %s", p.Kind, p.ID, p.State, set, sum)
	}
	moved, isMove := l.moves[string(p.ID)]
	delete(l.moves, string(p.ID))
	stays := p.State == payment.PayoutDone && p.SpendID == ""
	if stays != isMove || isMove && (!moved.Amount.Equal(p.Amount) || p.Kind != payment.Settlement) {
		l.differ("payout", "%s %s of %s is %s without a spend, and its entry moves %s", p.Kind, p.ID, p.Amount, p.State, moved.Amount)
	}
	if p.Reserved && !p.Live() || p.Reserved && p.State == payment.PayoutWaiting || p.State == payment.PayoutOpen && !p.Reserved {
		l.differ("payout", "%s %s is %s, and that its coins are set aside is %t", p.Kind, p.ID, p.State, p.Reserved)
	}
}

// leftOver names entries that nothing explains.
func (l *look) leftOver() {
	for _, key := range slices.Sorted(maps.Keys(l.booked)) {
		if !l.booked[key].IsZero() {
			l.differ("entry", "entries book %s for %s, which no confirmed deposit explains", l.booked[key], key)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.moves)) {
		l.differ("entry", "an entry moves %s to a wallet for settlement %s, which there is not", l.moves[id].Amount, id)
	}
	for h, sum := range l.sums {
		id, ok := h.account.Payout()
		if _, there := l.owners[id]; ok && !there && !sum.IsZero() {
			l.differ("entry", "%s on %s is set aside for payout %s, which there is not", sum, h.network, id)
		}
	}
	for id, f := range l.done {
		if _, ok := l.carry[payment.ID(id)]; !ok {
			l.differ("entry", "entries book spend %s %d times, which there is not", id, f.turns)
		}
	}
}

// network reads what the store says of a network: its deposits and addresses.
func (l *look) network(tx Tx, n Net) error {
	v := &netLook{accounts: n.Accounts, deposits: map[string][]payment.Deposit{}, refs: map[string]payment.Deposit{}, addresses: map[string]payment.Address{}}
	l.nets[n.Network] = v
	l.total(n.Network)
	var err error
	if v.cursor, err = tx.Cursor(n.Network); err != nil && !errors.Is(err, payment.ErrAbsent) {
		return err
	}
	for after := int64(0); ; {
		page, err := tx.DepositRefs(n.Network, after, Batch)
		if err != nil {
			return err
		}
		for _, r := range page {
			after = r.N
			d, err := tx.Deposit(n.Network, r.Ref)
			if err != nil {
				return err
			}
			l.deposit(n.Network, d)
		}
		if len(page) < Batch {
			break
		}
	}
	return l.addresses(tx, n.Network)
}

// deposit compares a deposit with its entries, taking it off what was booked.
func (l *look) deposit(n money.Network, d payment.Deposit) {
	l.Deposits++
	v := l.nets[n]
	v.deposits[d.Address] = append(v.deposits[d.Address], d)
	v.refs[d.Ref] = d
	key := ledger.DepositKey(n, d.Ref)
	switch {
	case d.SpendID != "":
		l.known[d.SpendID] = true
	case d.State == payment.Confirmed:
		if !l.booked[key].Equal(d.Amount) {
			l.differ("deposit", "%s of %s is confirmed, its entries sum to %s", d.Ref, d.Amount, l.booked[key])
		}
		delete(l.booked, key)
	}
}

// addresses reads all addresses of a network that were ever released.
func (l *look) addresses(tx Tx, n money.Network) error {
	v := l.nets[n]
	for after := ""; ; {
		page, err := tx.Addresses(n, after, Batch)
		if err != nil {
			return err
		}
		for _, a := range page {
			after = a.Address
			v.addresses[a.Address] = a
		}
		if len(page) < Batch {
			break
		}
	}
	l.Addresses += len(v.addresses)
	return nil
}
