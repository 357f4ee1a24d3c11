package payment

import (
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// Facts are all that is known of an invoice. What was told (paid) is itself a fact. Quotes are in the order of their
// making, deposits in any order.
type Facts struct {
	Invoice  Invoice
	Quotes   []Quote
	Deposits []Deposit
}

// An Assessment is what the facts amount to at a moment.
type Assessment struct {
	Status   Status
	Deposit  DepositStatus
	Marks    Marks
	Quote    *Quote // the quote that the amounts speak of; nil before a coin was chosen
	Covers   bool   // live deposits in time cover the amount due of Quote
	Deadline time.Time

	Seen, Confirmed, Missing money.Amount   // of Quote's coin; Missing is 0 once covered
	Excess                   money.Amount   // what came beyond Quote's amount due
	GiveBack                 []money.Amount // confirmed coins that belong to the payer, at most one amount per coin
}

// Assess computes an invoice's status from the facts. It is total: any facts give an assessment. now is the invoice's
// sight: the earlier of the clock and the time up to which its networks have been seen completely, so that a blind node
// expires nothing.
func Assess(f Facts, now time.Time) Assessment {
	a := Assessment{Status: f.Invoice.Told.Status, Deadline: Deadline(f)}
	a.Quote, a.Covers = coveringQuote(f, Deposit.Live)
	_, deep := coveringQuote(f, isConfirmed)
	deep = deep || lateAccepted(f, a.Deadline, isConfirmed)
	a.Covers = a.Covers || lateAccepted(f, a.Deadline, Deposit.Live)

	switch a.Status {
	case Waiting, Expired:
		over := !f.Invoice.CancelledAt.IsZero() || !a.Covers && !now.Before(a.Deadline)
		if deep && f.Invoice.CancelledAt.IsZero() {
			a.Status = Paid
		} else if over {
			a.Status = Expired
		}
	case Paid, Refunded: // told once and never unsaid
	}
	a.sum(f)
	a.Deposit = depositStatus(f, a)
	a.Marks = marks(f, a)
	a.GiveBack = giveBack(f, a)
	return a
}

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
// arrival at the same rate, so that a payer who sent too little has time to send the rest.
func payableUntil(f Facts, i int) time.Time {
	q := f.Quotes[i]
	var first time.Time
	for _, d := range f.Deposits {
		at := d.Arrived()
		if !d.Live() || d.Amount.Currency() != q.Coin || at.Before(q.CreatedAt) || at.After(q.Deadline) {
			continue
		}
		if newer := newestAt(f.Quotes, q.Coin, at); newer != i {
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

// newestAt is the index of the newest quote of a coin that existed at that time, -1 for none.
func newestAt(quotes []Quote, coin money.Currency, at time.Time) int {
	for i := len(quotes) - 1; i >= 0; i-- {
		if quotes[i].Coin == coin && !quotes[i].CreatedAt.After(at) {
			return i
		}
	}
	return -1
}

// coveringQuote is the quote that the deposits which count pay in time: of several the one with the highest amount due, so
// that nobody is told of an excess who paid what the page last asked for. Without one it is the last quote, false.
func coveringQuote(f Facts, counts func(Deposit) bool) (*Quote, bool) {
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
	if best >= 0 {
		return &f.Quotes[best], true
	}
	return lastQuote(f), false
}

func lastQuote(f Facts) *Quote {
	if len(f.Quotes) == 0 {
		return nil
	}
	// Without cover, speak of the coin that has money on it, else of the last one chosen.
	for i := len(f.Quotes) - 1; i >= 0; i-- {
		if !sumOf(f, f.Quotes[i].Coin, Deposit.Live).IsZero() {
			return &f.Quotes[i]
		}
	}
	return &f.Quotes[len(f.Quotes)-1]
}

// lateAccepted tells whether the application takes late payments and the value at arrival of all that came is within
// tolerance of the price. A deposit that has not been valued yet does not count.
func lateAccepted(f Facts, deadline time.Time, counts func(Deposit) bool) bool {
	if !f.Invoice.Policy.AcceptLate {
		return false
	}
	worth, late := money.Zero(f.Invoice.Price.Currency()), false
	for _, d := range f.Deposits {
		if !counts(d) {
			continue
		}
		if d.Arrived().After(deadline) {
			late = true
			worth = worth.Add(d.Worth)
		} else if i := newestAt(f.Quotes, d.Amount.Currency(), d.Arrived()); i >= 0 {
			worth = worth.Add(f.Quotes[i].Rate.Worth(d.Amount))
		}
	}
	price := f.Invoice.Price
	return late && !worth.Less(price.Sub(price.PerMillion(f.Invoice.Policy.Tolerance)))
}

func (a *Assessment) sum(f Facts) {
	if a.Quote == nil {
		return
	}
	coin := a.Quote.Coin
	a.Seen = sumOf(f, coin, Deposit.Live)
	a.Confirmed = sumOf(f, coin, isConfirmed)
	a.Missing, a.Excess = money.Zero(coin), money.Zero(coin)
	if rest := a.Quote.Due.Sub(a.Seen); rest.Sign() > 0 && !a.Covers {
		a.Missing = rest
	}
	if more := a.Seen.Sub(a.Quote.Due); more.Sign() > 0 && a.Covers {
		a.Excess = more
	}
}

// depositStatus speaks of the amount due, in time or not.
func depositStatus(f Facts, a Assessment) DepositStatus {
	live := false
	for _, d := range f.Deposits {
		live = live || d.Live()
	}
	switch {
	case !live:
		return NoDeposit
	case a.Quote != nil && !a.Confirmed.Less(a.Quote.enough(f.Invoice.Policy)):
		return Deposited
	case lateAccepted(f, a.Deadline, isConfirmed):
		return Deposited
	}
	return InTransit
}

func marks(f Facts, a Assessment) Marks {
	var m Marks
	live, lost, late := false, false, false
	for _, d := range f.Deposits {
		live = live || d.Live()
		lost = lost || !d.Live()
		late = late || d.Live() && d.Arrived().After(a.Deadline)
	}
	if a.Status == Expired && live && !a.Covers {
		if late {
			m |= MarkLate
		} else {
			m |= MarkShort
		}
	}
	if a.Status == Paid && late && !coveredInTime(f) {
		m |= MarkLate
	}
	if a.Excess.Sign() > 0 {
		m |= MarkExcess
	}
	if a.Status == Paid && !a.Covers {
		m |= MarkReversed
	}
	if lost && !live {
		m |= MarkDropped
	}
	return m
}

func coveredInTime(f Facts) bool {
	_, ok := coveringQuote(f, Deposit.Live)
	return ok
}

// giveBack is what of the confirmed coins belongs to the payer: everything on an expired invoice; on a paid one the
// excess and all of other coins. Nothing while it may still be paid, and nothing while a payment is reversed.
func giveBack(f Facts, a Assessment) []money.Amount {
	if a.Status == Waiting || a.Status == Refunded || a.Marks.Has(MarkReversed) {
		return nil
	}
	var all []money.Amount
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		back := sumOf(f, coin, isConfirmed)
		if a.Status == Paid && a.Quote != nil && a.Quote.Coin == coin {
			back = back.Sub(a.Quote.Due)
		}
		if back.Sign() > 0 {
			all = append(all, back)
		}
	}
	return all
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
