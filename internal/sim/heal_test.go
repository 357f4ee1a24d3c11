package sim_test

import (
	"errors"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// heal ends all faults, lets time pass, and judges.
func (s *sim) heal() error {
	s.tracef("the faults are over")
	s.calm, s.offset, s.signerDown = true, 0, false
	for _, coin := range coins {
		s.rates[coin].out = false
		s.chains[coin].stalled = false
		for _, n := range s.chains[coin].nodes {
			n.set(fine)
		}
	}
	s.p.countdown = -1
	if s.p.dead || s.chance(50) {
		if err := s.boot(); err != nil {
			return err
		}
	}
	if err := s.healPayouts(); err != nil {
		return err
	}
	rounds := func(n int, pause time.Duration, blocks int) {
		for range n {
			if s.bad != nil {
				return
			}
			s.now = s.now.Add(pause)
			for _, coin := range coins {
				s.chains[coin].mine(s.now, blocks)
				s.audit.once(s.chains[coin])
			}
			s.crank()
		}
	}
	rounds(20, time.Minute, 1)
	rounds(1, time.Minute, 110) // coinbases mature
	rounds(28, time.Hour, 2)    // the last has chosen nothing, and the breaker is off again
	if s.jumps {
		rounds(25, time.Hour, 1) // what was made while the clock ran ahead ends, too
	}
	for range maxSends {
		due, open := s.audit.nextDue()
		if !open || s.bad != nil {
			break
		}
		s.now = s.now.Add(6 * time.Minute) // longer than a broken shop rests
		if s.now.Before(due) {
			s.now = due
		}
		s.send()
	}
	if s.pays {
		rounds(40, 11*time.Minute, 2) // what the signer refused has rested for a day
	}
	for range maxSends {
		if _, open := s.audit.nextDue(); !open || s.bad != nil {
			break
		}
		s.now = s.now.Add(6 * time.Minute)
		s.send()
	}
	rounds(2, time.Minute, 1)
	return errors.Join(s.bad, s.judge())
}

// crank turns every crank until nothing is left to do now.
func (s *sim) crank() {
	p := s.p
	for _, coin := range coins {
		for range 4 {
			s.did("follow", p.watch[coin][0].Follow(s.ctx))
		}
		s.did("follow", p.watch[coin][1].Follow(s.ctx))
		if err := p.watch[coin][0].Recount(s.ctx); err != nil {
			s.violate("recount: %s", err)
		}
	}
	s.did("pool", p.pool.Step(s.ctx))
	s.did("expire", p.clerk.Expire(s.ctx))
	s.did("value", p.clerk.Value(s.ctx))
	if s.pays {
		for _, coin := range coins {
			s.payStep(coin, 0)
		}
	}
	for range 4 {
		s.send()
	}
}

// maxSends bounds how often the courier goes at the end: some callbacks to dead shops, 20 attempts each.
const maxSends = 5_000

// nextDue is when the next open callback is due, if one is open.
func (a *auditor) nextDue() (next time.Time, open bool) {
	for _, v := range a.list {
		for _, o := range v.owing {
			if o.State != payment.CallbackOpen {
				continue
			}
			if !open || o.DueAt.Before(next) {
				next, open = o.DueAt, true
			}
			break // the later ones wait for it
		}
	}
	return next, open
}

// judge looks at everything once more, from the database.
func (s *sim) judge() error {
	report, err := s.p.auditor.Audit(s.ctx)
	if err != nil {
		return err
	}
	for _, d := range report.Differences {
		s.violate("audit: %s: %s", d.What, d.Text)
	}
	for _, u := range report.Unchecked {
		s.violate("audit could not check %s", u)
	}
	return s.p.store.View(s.ctx, func(tx engine.Tx) error {
		for _, coin := range coins {
			if err := s.judgeNetwork(tx, s.chains[coin]); err != nil {
				return err
			}
		}
		for _, v := range s.audit.list {
			f, err := tx.Facts(v.ID)
			if err != nil {
				return err
			}
			callbacks, err := tx.Callbacks(v.ID, 1000)
			if err != nil {
				return err
			}
			s.judgeInvoice(v, f)
			s.judgeCallbacks(v, callbacks)
		}
		if s.pays {
			return s.judgePayouts(tx)
		}
		return nil
	})
}

func (s *sim) judgeNetwork(tx engine.Tx, c *truth) error {
	state, err := tx.NetworkState(c.network)
	if err != nil {
		return err
	}
	blocks, err := tx.RecentBlocks(c.network, 10_000)
	if err != nil {
		return err
	}
	if state.Trouble != "" || state.Sight.Before(s.now.Add(-time.Minute)) {
		s.violate("%s is out of sight at the end, since %s: %s", c.network, state.Sight, state.Trouble)
	}
	if len(blocks) != len(c.blocks) {
		s.violate("%s: %d blocks are stored of %d", c.network, len(blocks), len(c.blocks))
		return nil
	}
	for i, b := range blocks {
		if b.Hash != c.blocks[i].Hash {
			s.violate("%s: block %d is not the best chain's", c.network, b.Height)
		}
	}
	stirred, err := tx.Stirred(c.network, 10)
	if len(stirred) > 0 {
		s.violate("%s: %d invoices are left stirred", c.network, len(stirred))
	}
	return err
}

// judgeInvoice compares what became of an invoice with what the chains hold for it.
func (s *sim) judgeInvoice(v *invoice, f payment.Facts) {
	told := f.Invoice.Told
	if told != v.Told || len(f.Quotes) != len(v.quotes) {
		s.violate("invoice %d is stored as %+v, the commits said %+v", v.n, told, v.Told)
	}
	for _, coin := range coins {
		c := s.chains[coin]
		there := sum(coin, c.comings(c.blocks, v.address[coin]), func(coming) bool { return true })
		if v.address[coin] == "" {
			there = money.Zero(coin)
		}
		booked := money.Zero(coin).Add(v.booked[coin])
		confirmed, live := money.Zero(coin), money.Zero(coin)
		for _, d := range f.Deposits {
			if d.Amount.Currency() == coin && d.State == payment.Confirmed {
				confirmed = confirmed.Add(d.Amount)
			}
			if d.Amount.Currency() == coin && d.Live() {
				live = live.Add(d.Amount)
			}
		}
		if s.pays {
			booked = there // judgePayouts compares the book with the chain
		}
		if !there.Equal(booked) || !there.Equal(confirmed) || !there.Equal(live) {
			s.violate("invoice %d: the chain holds %s, the ledger %s, confirmed are %s, live %s", v.n, there, booked, confirmed, live)
		}
		if coin == c.coin && v.address[coin] != "" && !c.fake.Balance(v.address[coin]).Equal(c.balance(v.address[coin])) {
			s.violate("the simulator's two books of %s differ", coin)
		}
	}
	s.judgeStatus(v, f)
	if !s.pays {
		s.judgeGiveBack(v, f)
	}
}

// judgeGiveBack compares what belongs to the payer with what the chains hold.
func (s *sim) judgeGiveBack(v *invoice, f payment.Facts) {
	told, given := f.Invoice.Told, map[money.Currency]money.Amount{}
	for _, back := range payment.Assess(f, s.now).GiveBack {
		given[back.Currency()] = back
	}
	if told.Status == payment.Paid && v.Policy.AcceptLate {
		return
	}
	for _, coin := range coins {
		want := money.Zero(coin)
		if v.address[coin] != "" {
			want = sum(coin, s.chains[coin].comings(s.chains[coin].blocks, v.address[coin]), func(coming) bool { return true })
		}
		for _, q := range v.quotes {
			if told.Status == payment.Paid && q.ID == told.QuoteID && q.Coin == coin {
				want = want.Sub(q.Due)
			}
		}
		if want.Sign() < 0 || told.Marks.Has(payment.MarkReversed) {
			want = money.Zero(coin)
		}
		if got := money.Zero(coin).Add(given[coin]); !got.Equal(want) {
			s.violate("invoice %d in status %d gives back %s, the chain says %s", v.n, told.Status, got, want)
		}
	}
}

func (s *sim) judgeStatus(v *invoice, f payment.Facts) {
	told := f.Invoice.Told
	sure := s.audit.sure(v, true)
	switch {
	case told.Status != payment.Paid && told.Status != payment.Expired && (!s.pays || told.Status != payment.Refunded):
		s.violate("invoice %d is in status %d at the end", v.n, told.Status)
	case sure != nil && v.CancelledAt.IsZero() && told.Status != payment.Paid && told.PaidAt == 0:
		s.violate("invoice %d was paid in time and is in status %d", v.n, told.Status)
	case s.audit.surelyLate(v) && v.CancelledAt.IsZero() && told.Status != payment.Paid && told.PaidAt == 0:
		s.violate("invoice %d was paid late, which its application takes, and is in status %d", v.n, told.Status)
	case !v.CancelledAt.IsZero() && told.Status == payment.Paid:
		s.violate("invoice %d was cancelled and is paid", v.n)
	}
	switch {
	case v.dirty:
		s.hit("judged: clock was wrong")
	case sure != nil, s.audit.surelyLate(v):
		s.hit("judged: surely paid")
	case told.Status == payment.Expired:
		s.hit("judged: expired")
	default:
		s.hit("judged: paid")
	}
	total := money.Amount{}
	i := slices.IndexFunc(v.quotes, func(q payment.Quote) bool { return q.ID == told.QuoteID })
	if len(v.quotes) > 0 && i < 0 {
		s.violate("invoice %d: what is told speaks of no quote", v.n)
		return
	}
	if i < 0 {
		return
	}
	q := v.quotes[i]
	total = sum(q.Coin, s.chains[q.Coin].comings(s.chains[q.Coin].blocks, q.Address), func(coming) bool { return true })
	if told.Seen != total.Units() || told.Confirmed != total.Units() {
		s.violate("invoice %d tells %s seen and %s confirmed of %s", v.n, told.Seen, told.Confirmed, total.Units())
	}
	covered := !total.Less(enough(q, v.Policy))
	if told.Status == payment.Paid && !v.Policy.AcceptLate {
		if reversed := told.Marks.Has(payment.MarkReversed); reversed == covered {
			s.violate("invoice %d: %s of %s are there, reversed is %t", v.n, total, q.Due, reversed)
		}
		if excess := told.Marks.Has(payment.MarkExcess); excess != q.Due.Less(total) {
			s.violate("invoice %d: %s of %s are there, excess is %t", v.n, total, q.Due, excess)
		}
		if deposited := told.Deposit == payment.Deposited; deposited != covered {
			s.violate("invoice %d: %s of %s are there, deposit is %d", v.n, total, q.Due, told.Deposit)
		}
	}
	if told.Status == payment.Paid && told.Marks.Has(payment.MarkReversed) {
		s.hit("reversed at the end")
	}
}

func (s *sim) judgeCallbacks(v *invoice, all []payment.Callback) {
	if len(all) != len(v.owing) {
		s.violate("invoice %d has %d callbacks, the commits wrote %d", v.n, len(all), len(v.owing))
		return
	}
	for i, c := range all {
		o := v.owing[i]
		switch {
		case c.ID != o.ID || c.State != o.State:
			s.violate("invoice %d: callback %d is stored otherwise than the commits said", v.n, c.Seq)
		case c.State == payment.CallbackOpen:
			s.violate("invoice %d: callback %d is open at the end, after %d attempts", v.n, c.Seq, c.Attempts)
		case c.State == payment.CallbackDelivered && !s.audit.acked[c.ID]:
			s.violate("invoice %d: callback %d is called delivered", v.n, c.Seq)
		}
	}
}
