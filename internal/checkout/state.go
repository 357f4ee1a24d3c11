package checkout

import (
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A State is what the page shows. It is derived from the invoice's facts and never saved.
type State string

// The states of the page. Each has one next step.
const (
	StateChoose     State = "choose"          // no coin chosen yet
	StateAwait      State = "await"           // where and how much to pay
	StateEnding     State = "ending"          // the same, and time is running out
	StateLapsed     State = "lapsed"          // this quote is over, the invoice is not: more time can be had
	StateSeen       State = "seen"            // covered, outside blocks
	StateConfirming State = "confirming"      // covered, in blocks, not deep enough
	StatePaid       State = "paid"            // the only state that says so, with overpaid
	StateOverpaid   State = "overpaid"        // paid, and more than that came
	StateReversed   State = "reversed"        // paid once, and taken back by the chain
	StatePartial    State = "partial"         // a part came, there is time for the rest
	StateShort      State = "partial-expired" // a part came, and the time is over or the payer gave up
	StateExpired    State = "expired"         // nothing came in time
	StateLate       State = "late"            // something came too late
	StateDropped    State = "dropped"         // what had been seen is gone; payable again
	StateRefunded   State = "refunded"
)

// stateOf derives the state of the page. It is total: any view has one.
func stateOf(v engine.View) State {
	switch v.Status {
	case payment.Refunded:
		return StateRefunded
	case payment.Paid:
		return paidState(v)
	case payment.Expired:
		return expiredState(v)
	case payment.Waiting:
	}
	live := anyLive(v)
	switch {
	case v.Quote == nil && v.Now.Before(v.Deadline):
		return StateChoose
	case v.Quote == nil:
		return StateExpired
	case live && v.Covers:
		return confirmingState(v)
	case live && v.Now.Before(v.Deadline):
		return StatePartial
	case live:
		return expiredState(v)
	case !v.Now.Before(v.Deadline):
		return StateExpired
	case !v.Now.Before(payUntil(v)):
		return StateLapsed
	case v.Marks.Has(payment.MarkDropped):
		return StateDropped
	case payUntil(v).Sub(v.Now) <= EndingFrom:
		return StateEnding
	}
	return StateAwait
}

func paidState(v engine.View) State {
	switch {
	case v.Marks.Has(payment.MarkReversed):
		return StateReversed
	case v.Excess.Sign() > 0:
		return StateOverpaid
	}
	return StatePaid
}

// expiredState is for an invoice whose time is over. One that is covered in time, though found late, is not lost.
func expiredState(v engine.View) State {
	switch {
	case !v.Invoice.CancelledAt.IsZero():
		return StateShort
	case !anyLive(v):
		return StateExpired
	case anyLate(v):
		return StateLate
	case v.Covers:
		return confirmingState(v)
	}
	return StateShort
}

func confirmingState(v engine.View) State {
	for _, p := range v.Progress {
		if p.Have > 0 || p.Deposit.State != payment.Seen {
			return StateConfirming
		}
	}
	return StateSeen
}

// payUntil is until when the amount on the page holds: the quote's own deadline, moved by a part payment.
func payUntil(v engine.View) time.Time {
	if v.Quote == nil || !v.Seen.IsZero() {
		return v.Deadline
	}
	return v.Quote.Deadline
}

func anyLive(v engine.View) bool { return slices.ContainsFunc(v.Deposits, payment.Deposit.Live) }

func anyLate(v engine.View) bool {
	return slices.ContainsFunc(v.Deposits, func(d payment.Deposit) bool {
		return d.Live() && d.Arrived().After(v.Deadline)
	})
}

// settled tells whether all live deposits are deep enough.
func settled(v engine.View) bool {
	return !slices.ContainsFunc(v.Deposits, func(d payment.Deposit) bool {
		return d.Live() && d.State != payment.Confirmed
	})
}

// otherCoins is what came in coins other than the quote's: it pays for nothing.
func otherCoins(v engine.View) []money.Amount {
	var all []money.Amount
	if v.Quote == nil {
		return nil
	}
	for _, coin := range v.Invoice.Coins {
		sum := money.Zero(coin)
		for _, d := range v.Deposits {
			if d.Live() && d.Amount.Currency() == coin && coin != v.Quote.Coin {
				sum = sum.Add(d.Amount)
			}
		}
		if sum.Sign() > 0 {
			all = append(all, sum)
		}
	}
	return all
}

// A depth is how far a covered payment has come.
type depth struct {
	Have, Need int
	Final      bool
	Left       time.Duration
}

// depthOf is the depth of the shallowest deposit that is needed to cover the amount due, taking the deepest ones first.
func depthOf(v engine.View) depth {
	var d depth
	if v.Quote == nil || len(v.Progress) == 0 {
		return d
	}
	byDepth := slices.Clone(v.Progress)
	slices.SortStableFunc(byDepth, func(a, b engine.Progress) int { return b.Have - a.Have })
	sum := money.Zero(v.Quote.Coin)
	for _, p := range byDepth {
		d = depth{p.Have, p.Need, p.Final, p.Left}
		if sum = sum.Add(p.Deposit.Amount); !sum.Less(v.Quote.Due) {
			break
		}
	}
	return d
}

// Attention tells whether something went otherwise than the payer meant. For templates.
func (s State) Attention() bool {
	switch s {
	case StateReversed, StateShort, StateExpired, StateLate, StateDropped, StateLapsed, StatePartial, StateEnding:
		return true
	default:
		return false
	}
}

// Over tells whether nothing more is to be paid, and it was not paid either.
func (s State) Over() bool {
	switch s {
	case StateShort, StateExpired, StateLate, StateRefunded:
		return true
	default:
		return false
	}
}

// Done tells whether the invoice is paid. For templates.
func (s State) Done() bool { return s == StatePaid || s == StateOverpaid }
