package engine

import (
	"slices"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// largest keeps what is worth most of all that it is shown, the largest first. The store cannot sort by amounts, so an account is
// read page by page, and no more of it is remembered than one round of gathering can bring together.
type largest[T any] struct {
	value func(T) money.Amount
	most  int // that are kept
	kept  []T
	seen  int // of them, kept or not
}

// add shows a page. Of equal ones those that came first stay first.
func (l *largest[T]) add(page []T) {
	l.seen += len(page)
	l.kept = append(l.kept, page...)
	slices.SortStableFunc(l.kept, func(a, b T) int { return l.value(b).Cmp(l.value(a)) })
	if len(l.kept) > l.most {
		clear(l.kept[l.most:])
		l.kept = l.kept[:l.most]
	}
}

// toCover is how many of them cover an amount together, taken the largest first, at least one. Where the kept ones do not, it
// is all that there are.
func (l *largest[T]) toCover(amount money.Amount) int {
	sum := money.Zero(amount.Currency())
	for i, x := range l.kept {
		if sum = sum.Add(l.value(x)); !sum.Less(amount) {
			return i + 1
		}
	}
	return max(l.seen, 1)
}

// covers tells whether at most so many of them cover an amount together.
func (l *largest[T]) covers(amount money.Amount, most int) bool {
	sum := money.Zero(amount.Currency())
	for _, x := range l.kept[:min(len(l.kept), most)] {
		sum = sum.Add(l.value(x))
	}
	return !sum.Less(amount)
}

// outputs are an account's unspent outputs. It is read until enough says that what was seen will do; nil reads all of it.
func outputs(tx Tx, source ledger.Account, n money.Network, enough func(*largest[Output]) bool) (*largest[Output], error) {
	l := &largest[Output]{value: func(o Output) money.Amount { return o.Amount }, most: MaxGathered}
	for after := int64(0); ; {
		page, err := tx.Coins(source, n, after, Batch)
		if err != nil {
			return nil, err
		}
		l.add(page)
		if len(page) < Batch || enough != nil && enough(l) {
			return l, nil
		}
		after = page[len(page)-1].N
	}
}

// accounts are those that hold something of a merchant's wallet; each is shown to see as well, where there is one.
func accounts(tx Tx, merchant payment.ID, n money.Network, see func(payment.Address)) (*largest[payment.Address], error) {
	l := &largest[payment.Address]{value: func(a payment.Address) money.Amount { return a.Wallet }, most: MaxGathers + 1}
	for after := ""; ; {
		page, err := tx.WalletAddresses(merchant, n, after, Batch)
		if err != nil {
			return nil, err
		}
		for _, a := range page {
			if see != nil {
				see(a)
			}
		}
		l.add(page)
		if len(page) < Batch {
			return l, nil
		}
		after = page[len(page)-1].Address
	}
}
