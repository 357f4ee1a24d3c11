package signer

import (
	"math/big"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A Policy is what a signer signs. It is the signer's own: no request can change it. The zero Policy stands for
// DefaultPolicy(false).
type Policy struct {
	// Approve: every destination waits for its approval on the signer's host before its delay begins. Otherwise the first
	// one of a merchant and network is payable at once.
	Approve          bool
	DestinationDelay time.Duration // from registration, or approval, until a destination is payable
	RefundDelay      time.Duration // for refunds above Caps.RefundFree
	SettleShare      int64         // the most that a settlement gives to the network fee, in millionths
	WithdrawShare    int64         // the same for withdrawals and gathers
	BTC, ETH         Caps
}

// Caps are what may leave in one coin. A day is this hour and the 24 before it. What is above a cap waits for approval on
// the signer's host; what is above a cap of a day waits for approval or the next day. What was approved counts for no day.
type Caps struct {
	FeeRate     money.Amount // BTC: satoshi per 1,000 virtual bytes; ETH: wei per gas
	Fee         money.Amount // per transaction
	Settle      money.Amount // per transaction
	SettleDay   money.Amount // per merchant and day
	Withdraw    money.Amount // per transaction
	WithdrawDay money.Amount // per merchant and day
	Refund      money.Amount // per payout
	RefundDay   money.Amount // per merchant and day
	RefundAll   money.Amount // of all merchants per day
	RefundFree  money.Amount // per merchant and day without delay
	GatherFee   money.Amount // network fees of gathers per merchant and day
}

// DefaultPolicy is the policy where nothing else is set.
func DefaultPolicy(approve bool) Policy {
	btc := func(thousandths int64) money.Amount { return money.Of(money.BTC, thousandths*100_000) }
	eth := func(thousandths int64) money.Amount {
		return money.OfBig(money.ETH, new(big.Int).Mul(big.NewInt(thousandths), big.NewInt(1e15)))
	}
	return Policy{
		Approve: approve, DestinationDelay: 24 * time.Hour, RefundDelay: 30 * time.Minute, SettleShare: 50_000, WithdrawShare: 200_000,
		BTC: Caps{FeeRate: money.Of(money.BTC, 500_000), Fee: btc(20), Settle: btc(5_000), SettleDay: btc(20_000), Withdraw: btc(500),
			WithdrawDay: btc(2_000), Refund: btc(100), RefundDay: btc(500), RefundAll: btc(2_000), RefundFree: btc(50), GatherFee: btc(50)},
		ETH: Caps{FeeRate: money.Of(money.ETH, 500e9), Fee: eth(50), Settle: eth(100_000), SettleDay: eth(400_000), Withdraw: eth(10_000),
			WithdrawDay: eth(40_000), Refund: eth(2_000), RefundDay: eth(10_000), RefundAll: eth(40_000), RefundFree: eth(1_000), GatherFee: eth(1_000)},
	}
}

func (p Policy) caps(n money.Network) Caps {
	if n.Coin() == money.BTC {
		return p.BTC
	}
	return p.ETH
}

// payableFrom is when a destination is payable; zero: once it was approved.
func (p Policy) payableFrom(d *destination) time.Time {
	switch {
	case d.vetoed, p.Approve && d.approved == 0:
		return time.Time{}
	case d.first && !p.Approve:
		return time.UnixMilli(d.registered)
	}
	return time.UnixMilli(max(d.registered, d.approved)).Add(p.DestinationDelay)
}

// A judge decides about the payouts of one spend.
type judge struct {
	policy Policy
	book   *book
	now    time.Time
	u      chain.Unsigned
	asks   []ask // to be written, so that time and approval can count
	wait   *chain.Wait
}

// later notes that the spend has to wait, for approval or, where until is not zero, for a time. Approval outweighs time.
func (j *judge) later(until time.Time, reason string) {
	if j.wait == nil || !j.wait.Until.IsZero() && (until.IsZero() || until.After(j.wait.Until)) {
		j.wait = &chain.Wait{Until: until, Reason: reason}
	}
}

// shares refuses what gives too much of a payout to the network fee. Refunds may shrink to what the network carries.
func (j *judge) shares() error {
	for _, p := range j.u.Pays {
		most := p.Amount
		switch p.Cause {
		case chain.CauseSettlement:
			most = p.Amount.PerMillion(j.policy.SettleShare)
		case chain.CauseWithdrawal, chain.CauseGather:
			most = p.Amount.PerMillion(j.policy.WithdrawShare)
		case chain.CauseRefund:
		}
		if most.Less(p.Amount.Sub(p.Net)) {
			return refuse("the network fee takes %s of %s from payout %s, above its share", p.Amount.Sub(p.Net), p.Amount, p.Payout)
		}
	}
	return nil
}

// destinations looks whether settlements and withdrawals go where they may.
func (j *judge) destinations() error {
	for _, p := range j.u.Pays {
		if p.Cause != chain.CauseSettlement && p.Cause != chain.CauseWithdrawal {
			continue
		}
		d := j.book.destinations[nameOf(j.u.Merchant, string(j.u.Network), p.To)]
		if d == nil || d.vetoed {
			return refuse("%s is no registered destination of the merchant", p.To)
		}
		from := j.policy.payableFrom(d)
		if from.IsZero() {
			j.later(from, "the destination "+p.To+" waits for approval on the signer's host")
		} else if from.After(j.now) {
			j.later(from, "the destination "+p.To+" is new")
		}
	}
	return nil
}

// gathers looks at what gathers give to the network, in every version.
func (j *judge) gathers(before []share) {
	more := new(big.Int)
	for n, p := range j.u.Pays {
		if p.Cause != chain.CauseGather {
			continue
		}
		from := p.Amount
		if before != nil {
			from = before[n].net
		}
		more.Add(more, from.Sub(p.Net).Big())
	}
	if more.Sign() == 0 {
		return
	}
	limit := j.policy.caps(j.u.Network).GatherFee
	day := j.book.days[dayKey{j.u.Merchant, j.u.Network, classGather}]
	if at := day.fits(j.now.UnixMilli(), more, limit.Big()); at.After(j.now) {
		j.later(at, "the cap of a day's network fees for gathering is reached")
	}
}

// caps looks at amounts. It runs for the first version of a spend alone; the others can only pay less.
func (j *judge) caps() {
	c := j.policy.caps(j.u.Network)
	j.together(classSettle, c.Settle, c.SettleDay)
	j.together(classWithdraw, c.Withdraw, c.WithdrawDay)
	open := j.open(classRefund)
	sum := money.Zero(j.u.Network.Coin())
	for _, p := range open {
		if c.Refund.Less(p.Amount) {
			j.ask(p)
			j.later(time.Time{}, "a refund of "+p.Amount.String()+" is above the cap and waits for approval on the signer's host")
		}
		sum = sum.Add(p.Amount)
	}
	j.perDay(open, dayKey{j.u.Merchant, j.u.Network, classRefund}, sum, c.RefundDay)
	j.perDay(open, dayKey{"", j.u.Network, classRefund}, sum, c.RefundAll)
	today := j.book.days[dayKey{j.u.Merchant, j.u.Network, classRefund}].sum(j.now.UnixMilli())
	if len(open) == 0 || today.Add(today, sum.Big()).Cmp(c.RefundFree.Big()) <= 0 {
		return
	}
	for _, p := range open {
		if from := j.ask(p).Add(j.policy.RefundDelay); from.After(j.now) {
			j.later(from, "refunds above "+c.RefundFree.String()+" a day are signed after a delay")
		}
	}
}

// together looks at the caps of a class whose payouts count together.
func (j *judge) together(is class, once, day money.Amount) {
	open := j.open(is)
	sum := money.Zero(j.u.Network.Coin())
	for _, p := range open {
		sum = sum.Add(p.Amount)
	}
	if len(open) == 0 {
		return
	}
	if once.Less(sum) {
		for _, p := range open {
			j.ask(p)
		}
		j.later(time.Time{}, sum.String()+" at once is above the cap and waits for approval on the signer's host")
	}
	j.perDay(open, dayKey{j.u.Merchant, j.u.Network, is}, sum, day)
}

func (j *judge) perDay(open []chain.Pay, key dayKey, sum, limit money.Amount) {
	now := j.now.UnixMilli()
	if len(open) == 0 {
		return
	}
	if at := j.book.days[key].fits(now, sum.Big(), limit.Big()); at.After(j.now) {
		for _, p := range open {
			j.ask(p)
		}
		if limit.Less(sum) { // no day is long enough
			at = time.Time{}
		}
		j.later(at, "the cap of a day is reached")
	}
}

// open are the payouts of a class that nobody approved.
func (j *judge) open(is class) []chain.Pay {
	var open []chain.Pay
	for _, p := range j.u.Pays {
		if classOf(p.Cause) != is {
			continue
		}
		if a := j.book.asks[nameOf(p.Payout)]; a == nil || !a.approved || a.terms != j.terms(p).name() {
			open = append(open, p)
		}
	}
	return open
}

// ask gives when a payout asked first for what it asks now, and sees to it that this is written down.
func (j *judge) ask(p chain.Pay) time.Time {
	t := j.terms(p)
	if a := j.book.asks[nameOf(p.Payout)]; a != nil && a.terms == t.name() {
		return time.UnixMilli(a.at)
	}
	for _, a := range j.asks {
		if a.terms.payout == p.Payout {
			return j.now
		}
	}
	j.asks = append(j.asks, ask{actRegister, t})
	return j.now
}

func (j *judge) terms(p chain.Pay) terms {
	return terms{j.u.Merchant, j.u.Network, p.Payout, p.Attempt, p.Cause, p.To, p.Amount}
}
