package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// An Auditor recomputes everything: balances from the entries, entries from the deposits, payouts and spends, and all that is
// held from the chains. In each coin, in = settled + refunded + withdrawn + fees + held, to the last unit.
type Auditor struct {
	Store   Store
	Readers map[money.Network]chain.Reader
	Nets    map[money.Currency]Net

	mu   sync.Mutex
	last map[string]bool // the differences of the report before, for Latch
}

// A Difference is one thing that does not hold, in words.
type Difference struct {
	What string // "balance", "entry", "deposit", "payout", "spend", "held", "chain", "sales"
	Text string
}

// Totals are what became of all coins of a network, by the entries. In is the sum of the others.
type Totals struct {
	In                           money.Amount // deposits of any kind
	Settled, Refunded, Withdrawn money.Amount // what arrived at the destinations of payouts that are done
	Fees                         money.Amount // to the network
	Held                         money.Amount // on addresses of ours, or on its way out
}

// A Report is the outcome of an audit. It is clean when there are no differences; what could not be checked is said.
type Report struct {
	Entries, Balances, Deposits, Addresses, Payouts, Spends int
	Held                                                    map[money.Network]money.Amount // as in Totals
	Totals                                                  map[money.Network]Totals
	Differences                                             []Difference
	Unchecked                                               []string
}

// Clean tells whether everything that was checked holds.
func (r Report) Clean() bool { return len(r.Differences) == 0 }

func (r *Report) differ(what, format string, args ...any) {
	r.Differences = append(r.Differences, Difference{what, fmt.Sprintf(format, args...)})
}

// Audit reads one consistent state of the store and compares it with itself and with the chains. A node that cannot be
// asked leaves its part unchecked, which the report says; an error is a failure to read the store.
func (a *Auditor) Audit(ctx context.Context) (Report, error) {
	var l look
	err := a.Store.View(ctx, func(tx Tx) error {
		l = newLook()
		if err := l.entries(tx); err != nil {
			return err
		}
		if err := l.balances(tx); err != nil {
			return err
		}
		if err := l.payouts(tx); err != nil {
			return err
		}
		for _, coin := range slices.Sorted(maps.Keys(a.Nets)) {
			if err := l.network(tx, a.Nets[coin]); err != nil {
				return err
			}
		}
		if err := l.spends(tx); err != nil {
			return err
		}
		return l.sales(tx)
	})
	if err != nil {
		return l.Report, err
	}
	l.leftOver()
	for _, coin := range slices.Sorted(maps.Keys(a.Nets)) {
		l.held(a.Nets[coin])
	}
	l.sum()
	for _, coin := range slices.Sorted(maps.Keys(a.Nets)) {
		a.onChain(ctx, &l, a.Nets[coin])
	}
	return l.Report, nil
}

// Latch halts payouts where a report shows a difference that the report before showed too: what only a moment between two
// commits shows does not come twice. It tells whether payouts were halted by it.
func (a *Auditor) Latch(ctx context.Context, r Report) (halted bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, why := map[string]bool{}, ""
	for _, d := range r.Differences {
		if d.What == differsInSales {
			continue // no coins are wrong, only a chart is
		}
		now[d.Text] = true
		if a.last[d.Text] && why == "" {
			why = d.Text
		}
	}
	a.last = now
	if why == "" {
		return false, nil
	}
	err = a.Store.Update(ctx, func(tx Tx) error {
		h, err := tx.Halt()
		halted = err == nil && h.Reason == ""
		return errors.Join(err, halt(tx, "the audit found a difference: "+why))
	})
	return halted && err == nil, err
}

// A look is one state of the store, as an audit reads it.
type look struct {
	Report
	sums   map[holder]money.Amount   // of the postings
	booked map[string]money.Amount   // what the entries say of each deposit that no row has explained yet
	moves  map[string]ledger.Posting // by settlement
	moved  map[holder]money.Amount   // of invoices' coins, to wallets, by settlements without a spend
	done   map[string]finished       // what the entries say of spends
	totals map[money.Network]*Totals
	paid   []ledger.Posting // of spends, out of payouts' accounts to the world

	owners  map[string]payment.Payout // by payout
	carried map[payment.ID][]payment.Payout
	known   map[payment.ID]bool // spends that something names
	carry   map[payment.ID]carrying
	nets    map[money.Network]*netLook
}

// A holder is an account on a network.
type holder struct {
	account ledger.Account
	network money.Network
}

// finished is what the entries say of one spend: how often it was booked and taken back, and what its last booking posts.
type finished struct {
	turns, back int64
	postings    []ledger.Posting
}

// carrying is a spend with what it holds and made.
type carrying struct {
	payment.Spend
	tickets []payment.Ticket
	inside  money.Amount // what it brought to addresses of ours, in blocks
	fee     money.Amount // of the version that a block holds; on account chains what it did cost
}

// A netLook is what the store says of one network.
type netLook struct {
	accounts  bool
	cursor    chain.Block
	deposits  map[string][]payment.Deposit // by address
	refs      map[string]payment.Deposit
	addresses map[string]payment.Address
}

func newLook() look {
	return look{
		Report: Report{Held: map[money.Network]money.Amount{}, Totals: map[money.Network]Totals{}},
		sums:   map[holder]money.Amount{}, booked: map[string]money.Amount{}, moves: map[string]ledger.Posting{}, moved: map[holder]money.Amount{},
		done: map[string]finished{}, totals: map[money.Network]*Totals{}, owners: map[string]payment.Payout{},
		carried: map[payment.ID][]payment.Payout{}, known: map[payment.ID]bool{}, carry: map[payment.ID]carrying{},
		nets: map[money.Network]*netLook{},
	}
}

// total is the sum line of a network.
func (l *look) total(n money.Network) *Totals {
	t, ok := l.totals[n]
	if !ok {
		zero := money.Zero(n.Coin())
		t = &Totals{zero, zero, zero, zero, zero, zero}
		l.totals[n] = t
	}
	return t
}

// sum closes the books: what came in is what left and what is held.
func (l *look) sum() {
	for _, p := range l.paid {
		id, _ := p.From.Payout()
		t := l.total(p.Network)
		amount := p.Amount
		if p.From == ledger.World {
			id, _ = p.To.Payout()
			amount = amount.Neg()
		}
		switch kind := l.owners[id].Kind; {
		case kind == payment.Settlement:
			t.Settled = t.Settled.Add(amount)
		case kind.IsRefund():
			t.Refunded = t.Refunded.Add(amount)
		case kind == payment.Withdrawal:
			t.Withdrawn = t.Withdrawn.Add(amount)
		default:
			l.differ("entry", "%s on %s left by payout %q, which there is not, or which stays inside", amount, p.Network, id)
		}
	}
	for h, sum := range l.sums {
		switch t := l.total(h.network); {
		case h.account == ledger.Fees(h.network):
			t.Fees = t.Fees.Add(sum)
		case !h.account.Outside():
			t.Held = t.Held.Add(sum)
		}
	}
	for n, t := range l.totals {
		l.Totals[n], l.Held[n] = *t, t.Held
		if out := money.Sum(n.Coin(), t.Settled, t.Refunded, t.Withdrawn, t.Fees, t.Held); !t.In.Equal(out) {
			l.differ("entry", "%s came in on %s, and %s is settled, refunded, withdrawn, paid as fees or held", t.In, n, out)
		}
	}
}
