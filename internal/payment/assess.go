package payment

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// Facts are all that is known of an invoice. What was told (paid) is itself a fact. Quotes are in the order of their
// making, deposits (those from outside alone) and payouts in any order.
type Facts struct {
	Invoice  Invoice
	Quotes   []Quote
	Deposits []Deposit
	Payouts  []Payout
}

// An Assessment is what the facts amount to at a moment.
type Assessment struct {
	Status   Status
	Deposit  DepositStatus
	Marks    Marks
	Quote    *Quote // the quote that the amounts speak of; nil before a coin was chosen
	Covers   bool   // live deposits cover the amount due of Quote: in time, late where accepted, or whenever once it was paid
	Deadline time.Time

	Seen, Confirmed, Missing money.Amount   // of Quote's coin; Missing is 0 once covered
	Excess                   money.Amount   // what came beyond Quote's amount due
	GiveBack                 []money.Amount // confirmed coins that belong to the payer, at most one amount per coin

	deep bool // what paid the invoice is there and deep enough
}

// Assess computes an invoice's status from the facts. It is total: any facts give an assessment. now is the invoice's
// sight: the earlier of the clock and the time up to which its networks have been seen completely, so that a blind node
// expires nothing.
func Assess(f Facts, now time.Time) Assessment {
	a := Assessment{Status: f.Invoice.Told.Status, Deadline: Deadline(f)}
	a.Quote, a.Covers = cover(f, a.Deadline, Deposit.Live)
	if a.Status == Waiting || a.Status == Expired {
		deepQuote, deep := cover(f, a.Deadline, isConfirmed)
		switch {
		case f.cancelled():
			a.Status, a.Covers = Expired, false
		case deep:
			// What is deep pays, so the amounts speak of the quote that it covers, not of one that needs more.
			a.Status, a.Quote = Paid, deepQuote
		case !a.Covers && !now.Before(a.Deadline):
			a.Status = Expired
		}
	} else if told := f.told(); told != nil {
		a.Quote = told // paid is told once and never unsaid, nor for another amount than the one it was told for
	}
	if a.Status == Paid || a.Status == Refunded {
		a.Covers, a.deep = holds(f, a, Deposit.Live), holds(f, a, isConfirmed)
	}
	a.sum(f)
	a.Deposit = depositStatus(f, a)
	a.Marks = marks(f, a)
	a.GiveBack = giveBack(f, a)
	if (a.Status == Paid || a.Status == Expired) && refunded(f, a) {
		a.Status = Refunded
		a.GiveBack = giveBack(f, a)
	}
	return a
}

// cover is the quote that the deposits which count pay, in time or late where that is accepted; without cover it is the
// quote that the amounts speak of, false.
func cover(f Facts, deadline time.Time, counts func(Deposit) bool) (*Quote, bool) {
	if q := coveringQuote(f, counts); q != nil {
		return q, true
	}
	return lastQuote(f, counts), lateAccepted(f, deadline, counts)
}

// holds tells whether what a paid invoice was paid with is there. When it came does not matter any more: a reorganisation
// may have moved it into a later block.
func holds(f Facts, a Assessment, counts func(Deposit) bool) bool {
	if a.Quote != nil && !sumOf(f, a.Quote.Coin, counts).Less(a.Quote.enough(f.Invoice.Policy)) {
		return true
	}
	return lateAccepted(f, a.Deadline, counts)
}

func (f Facts) cancelled() bool { return !f.Invoice.CancelledAt.IsZero() }

// Told is the assessment as it is saved, with the times of the steps that happen now.
func (a Assessment) Told(was Told, now time.Time) Told {
	is := was
	is.Status, is.Deposit, is.Marks = a.Status, a.Deposit, a.Marks
	is.Deadline = a.Deadline.UnixMilli()
	is.QuoteID, is.Seen, is.Confirmed = "", "", ""
	if a.Quote != nil {
		is.QuoteID, is.Seen, is.Confirmed = a.Quote.ID, a.Seen.Units(), a.Confirmed.Units()
	}
	if a.Status == Paid && was.PaidAt == 0 {
		is.PaidAt = now.UnixMilli()
	}
	if a.Status == Expired && was.ExpiredAt == 0 {
		is.ExpiredAt = now.UnixMilli()
	}
	switch {
	case a.Deposit != Deposited:
		is.DepositedAt = 0
	case was.DepositedAt == 0:
		is.DepositedAt = now.UnixMilli()
	}
	return is
}

// Deadline is when the invoice expires if nothing more comes: the latest moment at which any of its quotes can still be
// paid, or without a quote the time to choose.
func Deadline(f Facts) time.Time {
	if len(f.Quotes) == 0 {
		return f.Invoice.CreatedAt.Add(f.Invoice.Policy.ChooseWithin)
	}
	var last time.Time
	for i := range f.Quotes {
		if d := payableUntil(f, i); d.After(last) {
			last = d
		}
	}
	return last
}

// payableUntil is the deadline of a quote. The first part payment to it moves the deadline once, to a full window from its
// arrival at the same rate, so that a payer who sent too little has time to send the rest. It counts when it was seen, so
// that a block whose miner's clock is slow takes no time away again.
func payableUntil(f Facts, i int) time.Time {
	q := f.Quotes[i]
	var first time.Time
	for _, d := range f.Deposits {
		at := d.SeenAt
		if at.After(q.Deadline) {
			at = d.Arrived()
		}
		if !d.Live() || d.Amount.Currency() != q.Coin || at.After(q.Deadline) || newestAt(f.Quotes, q.Coin, at) != i {
			continue
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if moved := first.Add(q.Window); !first.IsZero() && moved.After(q.Deadline) {
		return moved
	}
	return q.Deadline
}

// newestAt is the index of the newest quote of a coin that existed before that time, -1 for a coin without quotes. A time
// before the first one is that of a block with a slow clock, and means the first.
func newestAt(quotes []Quote, coin money.Currency, at time.Time) int {
	first := -1
	for i := len(quotes) - 1; i >= 0; i-- {
		if quotes[i].Coin != coin {
			continue
		}
		if first = i; quotes[i].CreatedAt.Before(at) {
			return i
		}
	}
	return first
}

// coveringQuote is the quote that the deposits which count pay in time: of several the one with the highest amount due, so
// that nobody is told of an excess who paid what the page last asked for. nil: none.
func coveringQuote(f Facts, counts func(Deposit) bool) *Quote {
	best := -1
	for i, q := range f.Quotes {
		until := payableUntil(f, i)
		sum := sumOf(f, q.Coin, func(d Deposit) bool { return counts(d) && !d.Arrived().After(until) })
		if sum.IsZero() || sum.Less(q.enough(f.Invoice.Policy)) {
			continue
		}
		if best < 0 || f.Quotes[best].Coin == q.Coin && f.Quotes[best].Due.Less(q.Due) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return &f.Quotes[best]
}

// lastQuote is the last quote of the coin that has money on it, else the last one chosen; nil before a coin was chosen.
func lastQuote(f Facts, counts func(Deposit) bool) *Quote {
	for i := len(f.Quotes) - 1; i >= 0; i-- {
		if !sumOf(f, f.Quotes[i].Coin, counts).IsZero() {
			return &f.Quotes[i]
		}
	}
	if len(f.Quotes) == 0 {
		return nil
	}
	return &f.Quotes[len(f.Quotes)-1]
}

// Kept is the value in the price's currency of deposits at the rates at which they came: that of the quote that was the newest
// then, or for late ones what they were valued at.
func Kept(f Facts, deadline time.Time, counts func(Deposit) bool) money.Amount {
	worth := money.Zero(f.Invoice.Price.Currency())
	for _, d := range f.Deposits {
		if !counts(d) {
			continue
		}
		if d.Arrived().After(deadline) {
			worth = worth.Add(d.Worth)
		} else if i := newestAt(f.Quotes, d.Amount.Currency(), d.Arrived()); i >= 0 {
			worth = worth.Add(f.Quotes[i].Rate.Worth(d.Amount))
		}
	}
	return worth
}

// lateAccepted tells whether the application takes late payments and the value at arrival of all that came is within
// tolerance of the price. A deposit that has not been valued yet does not count.
func lateAccepted(f Facts, deadline time.Time, counts func(Deposit) bool) bool {
	if !f.Invoice.Policy.AcceptLate || !anyLate(f, deadline, counts) {
		return false
	}
	price := f.Invoice.Price
	return !Kept(f, deadline, counts).Less(price.Sub(price.PerMillion(f.Invoice.Policy.Tolerance)))
}

func anyLate(f Facts, deadline time.Time, counts func(Deposit) bool) bool {
	return slices.ContainsFunc(f.Deposits, func(d Deposit) bool { return counts(d) && d.Arrived().After(deadline) })
}

// beyondValue is what of a coin came late beyond the price, at the value of arrival, the last to come first. It is the excess
// of an invoice that was paid by value: the coins of its quote say nothing there.
func beyondValue(f Facts, a Assessment, coin money.Currency, counts func(Deposit) bool) money.Amount {
	over, back := Kept(f, a.Deadline, counts).Sub(f.Invoice.Price), money.Zero(coin)
	late := slices.DeleteFunc(slices.Clone(f.Deposits), func(d Deposit) bool {
		return !counts(d) || !d.Arrived().After(a.Deadline) || d.Worth.Sign() <= 0
	})
	slices.SortFunc(late, func(x, y Deposit) int {
		return cmp.Or(y.Arrived().Compare(x.Arrived()), cmp.Compare(x.Network, y.Network), cmp.Compare(x.Ref, y.Ref))
	})
	for _, d := range late {
		if over.Sign() <= 0 {
			break
		}
		part := over
		if d.Worth.Less(part) {
			part = d.Worth
		}
		over = over.Sub(part)
		if d.Amount.Currency() == coin {
			n := new(big.Int).Mul(d.Amount.Big(), part.Big())
			back = back.Add(money.OfBig(coin, n.Quo(n, d.Worth.Big())))
		}
	}
	return back
}

// byValue tells whether the deposits which count pay the invoice by their value only, late.
func byValue(f Facts, a Assessment, counts func(Deposit) bool) bool {
	return coveringQuote(f, counts) == nil && lateAccepted(f, a.Deadline, counts)
}

func (a *Assessment) sum(f Facts) {
	if a.Quote == nil {
		return
	}
	coin := a.Quote.Coin
	a.Seen = sumOf(f, coin, Deposit.Live)
	a.Confirmed = sumOf(f, coin, isConfirmed)
	a.Missing, a.Excess = money.Zero(coin), money.Zero(coin)
	rest := a.Quote.Due.Sub(a.Seen)
	switch {
	case !a.Covers:
		if rest.Sign() > 0 {
			a.Missing = rest
		}
	case byValue(f, *a, Deposit.Live):
		a.Excess = beyondValue(f, *a, coin, Deposit.Live)
	case rest.Sign() < 0:
		a.Excess = rest.Neg()
	}
}

// depositStatus speaks of the amount due, in time or not. It is never Deposited while the invoice waits: what is deep
// enough then pays it.
func depositStatus(f Facts, a Assessment) DepositStatus {
	switch {
	case !slices.ContainsFunc(f.Deposits, Deposit.Live):
		return NoDeposit
	case a.Status == Waiting:
		return InTransit
	case a.deep, a.Quote != nil && !a.Confirmed.Less(a.Quote.enough(f.Invoice.Policy)):
		return Deposited
	}
	return InTransit
}

func marks(f Facts, a Assessment) Marks {
	var m Marks
	live := slices.ContainsFunc(f.Deposits, Deposit.Live)
	late := anyLate(f, a.Deadline, Deposit.Live)
	unpaid := a.Status == Expired || a.Status == Refunded && f.Invoice.Told.PaidAt == 0
	switch {
	case unpaid && late && !a.Covers:
		m |= MarkLate
	case unpaid && live && !a.Covers:
		m |= MarkShort
	case a.Status == Paid && late && coveringQuote(f, Deposit.Live) == nil:
		m |= MarkLate
	}
	if a.Excess.Sign() > 0 {
		m |= MarkExcess
	}
	// Once told, a reversal stands until the money is deep enough again: a transaction that waits outside blocks undoes
	// nothing.
	if a.Status == Paid && (!a.Covers || !a.deep && f.Invoice.Told.Marks.Has(MarkReversed)) {
		m |= MarkReversed
	}
	if len(f.Deposits) > 0 && !live {
		m |= MarkDropped
	}
	return m
}

// giveBack is what of the confirmed coins belongs to the payer and is in no refund that has its coins: everything on an expired
// or refunded invoice; on a paid one the excess and all of other coins. Nothing while the invoice may still be paid, and
// nothing while what paid it is not deep enough, or the shop's refund of everything is under way.
func giveBack(f Facts, a Assessment) []money.Amount {
	asked, was := f.Asked()
	switch a.Status {
	case Expired:
		if !f.cancelled() && (a.Covers || unvalued(f, a)) {
			return nil
		}
	case Paid:
		if !a.deep || a.Marks.Has(MarkReversed) || was && asked.Live() {
			return nil
		}
	case Waiting:
		return nil
	case Refunded:
	}
	var all []money.Amount
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		back := sumOf(f, coin, isConfirmed)
		switch {
		case a.Status == Paid && byValue(f, a, isConfirmed):
			back = beyondValue(f, a, coin, isConfirmed)
		case a.Status == Paid && a.Quote != nil && a.Quote.Coin == coin:
			back = back.Sub(a.Quote.Due)
		}
		back = back.Sub(f.backed(coin, func(p Payout) bool { return p.Kind.IsRefund() })).
			Sub(f.wasted(coin, func(p Payout) bool { return p.Kind.IsRefund() })) // the payer named what did not take them
		if there := f.unspent(coin); there.Less(back) {
			back = there // what was not worth its fee went with the settlement
		}
		if back.Sign() > 0 {
			all = append(all, back)
		}
	}
	return all
}

// RefundKind is the kind of refund that what Assess calls GiveBack is owed by.
func (a Assessment) RefundKind() PayoutKind {
	switch {
	case a.Status == Paid:
		return RefundExcess
	case a.Status == Refunded, a.Marks.Has(MarkLate):
		return RefundLate
	}
	return RefundShort
}

// Unsettled is what of a paid invoice's confirmed coins is the merchant's and in no payout that has its coins. It is the
// coin of the quote that was paid, or of an invoice that was paid by value all that stayed.
func (a Assessment) Unsettled(f Facts) []money.Amount {
	if asked, was := f.Asked(); a.Status != Paid || !a.deep || a.Marks.Has(MarkReversed) || was && asked.Live() {
		return nil
	}
	var all []money.Amount
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		rest := f.unspent(coin)
		for _, back := range a.GiveBack {
			if back.Currency() == coin {
				rest = rest.Sub(back)
			}
		}
		if rest.Sign() > 0 {
			all = append(all, rest)
		}
	}
	return all
}

// refunded tells whether everything that came has gone back: the shop's refund is done, or, of an expired invoice, every coin
// that is the payer's.
func refunded(f Facts, a Assessment) bool {
	done := false
	for _, p := range f.Payouts {
		if !p.Kind.IsRefund() {
			continue
		}
		if p.Live() {
			return false
		}
		done = done || p.State == PayoutDone && (p.Kind == RefundAsked || a.Status == Expired)
	}
	return done && (a.Status == Paid || len(a.GiveBack) == 0)
}

// unvalued tells whether the value of late coins, which may pay the invoice, is yet to be known.
func unvalued(f Facts, a Assessment) bool {
	return f.Invoice.Policy.AcceptLate && anyLate(f, a.Deadline, func(d Deposit) bool { return d.Live() && d.Worth.Currency() == "" })
}

func isConfirmed(d Deposit) bool { return d.State == Confirmed }

func sumOf(f Facts, coin money.Currency, counts func(Deposit) bool) money.Amount {
	sum := money.Zero(coin)
	for _, d := range f.Deposits {
		if d.Amount.Currency() == coin && counts(d) {
			sum = sum.Add(d.Amount)
		}
	}
	return sum
}
