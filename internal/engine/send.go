package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// Advance moves every spend on that is due: planned ones are signed, signed ones sent, sent ones sent again, and those that
// no block takes get another version with a higher fee.
func (p *Payer) Advance(ctx context.Context) error {
	var all []payment.Spend
	err := p.Store.Update(ctx, func(tx Tx) (err error) {
		p.now = tx.Now()
		all, err = tx.ClaimSpends(ClaimSpends{Network: p.Net.Network, Now: tx.Now(), Lease: cmp.Or(p.Rules.Lease, SpendLease), Limit: SpendBatch})
		return err
	})
	if err != nil {
		return fmt.Errorf("claim spends: %w", err)
	}
	round := asideRound{what: "move spends on", now: p.now}
	by := map[payment.ID]payment.Spend{}
	for _, s := range all {
		round.ids = append(round.ids, s.ID)
		by[s.ID] = s
	}
	round.do = func(id payment.ID) error {
		err := p.advance(ctx, by[id])
		if errors.Is(err, errMoved) {
			return nil // the watcher, or another process, was faster
		}
		if err != nil {
			return fmt.Errorf("spend %s: %w", id, err)
		}
		return nil
	}
	return p.aside.each(ctx, p.Log, round)
}

func (p *Payer) advance(ctx context.Context, s payment.Spend) error {
	var v payment.Version
	var halted bool
	var left remains
	err := p.Store.View(ctx, func(tx Tx) (err error) {
		if v, err = tx.Version(s.ID, s.Version); err != nil {
			return err
		}
		if left, err = p.remains(tx, s, v); err != nil {
			return err
		}
		h, err := tx.Halt()
		halted = h.Reason != ""
		return err
	})
	switch {
	case err != nil:
		return err
	case halted && (s.State != payment.SpendSent || v.Raw == nil):
		return p.wait(ctx, s, rest{payment.HoldHalted, "", LookAgain * p.Net.Retry})
	case v.Raw == nil:
		return p.sign(ctx, s, v)
	case left.some() && !halted && s.Held == payment.HoldNode && v.Number < MaxVersions:
		return p.narrow(ctx, s, v, left) // the nodes miss the coins too
	case left.lost && !left.some() && s.Held == payment.HoldNode: // nothing else can be done than to say so
		return errors.Join(p.resend(ctx, v), p.wait(ctx, s, rest{payment.HoldReversed, "", LookAgain * p.Net.Retry}))
	case s.State == payment.SpendSent && !v.SentAt.IsZero() && !halted && !left.lost && p.stuck(v):
		return p.bump(ctx, s, v)
	}
	return p.send(ctx, s, v)
}

// change writes a spend that this step has claimed. errMoved: somebody else changed it since.
func (p *Payer) change(ctx context.Context, was payment.Spend, do func(tx Tx, s *payment.Spend) error) error {
	return p.Store.Update(ctx, func(tx Tx) error {
		s, err := tx.Spend(was.ID)
		if err != nil {
			return err
		}
		if s.Fence != was.Fence || s.State != was.State || s.Version != was.Version {
			return errMoved
		}
		s.LeaseUntil, s.UpdatedAt = time.Time{}, tx.Now()
		if err := do(tx, &s); err != nil {
			return err
		}
		if err := payment.SpendEdges.Check(was.State, s.State); err != nil {
			return err
		}
		return tx.SwapSpend(s)
	})
}

// A rest is why and for how long a spend waits.
type rest struct {
	why   payment.Hold
	words string
	d     time.Duration
}

// wait leaves a spend where it is, with the reason in sight of all that it pays.
func (p *Payer) wait(ctx context.Context, was payment.Spend, r rest) error {
	return p.change(ctx, was, func(tx Tx, s *payment.Spend) error {
		s.Held, s.Reason, s.DueAt = r.why, r.words, tx.Now().Add(r.d)
		return p.payouts(tx, s.ID, func(x *payment.Payout) bool {
			was := x.Held
			if x.Held != payment.HoldReversed { // until it is sent, or its coins are set aside again
				x.Held = r.why
			}
			return was != x.Held
		})
	})
}

// payouts changes what a spend pays; change tells whether there is something to save.
func (p *Payer) payouts(tx Tx, spend payment.ID, change func(x *payment.Payout) bool) error {
	all, err := tx.SpendPayouts(spend)
	if err != nil {
		return err
	}
	for _, x := range all {
		if !change(&x) {
			continue
		}
		x.UpdatedAt = tx.Now()
		if err := tx.SwapPayout(x); err != nil {
			return err
		}
		if err := p.wake(tx, x); err != nil {
			return err
		}
	}
	return nil
}

// sign asks for the signature of a version and keeps the bytes before anything else happens with them.
func (p *Payer) sign(ctx context.Context, s payment.Spend, v payment.Version) error {
	var u chain.Unsigned
	if err := json.Unmarshal(v.Unsigned, &u); err != nil {
		return fmt.Errorf("read unsigned version: %w", err)
	}
	p.at(StepSign)
	signed, err := p.Hand.Sign(ctx, u)
	if err != nil && s.State == payment.SpendSent {
		err = errors.Join(err, p.resendBefore(ctx, v)) // the version before goes on meanwhile
	}
	var wait *chain.Wait
	switch {
	case errors.As(err, &wait) && wait.Until.IsZero():
		return p.wait(ctx, s, rest{payment.HoldApproval, wait.Reason, LookAgain * p.Net.Retry})
	case errors.As(err, &wait):
		return p.wait(ctx, s, rest{payment.HoldDelay, wait.Reason, max(wait.Until.Sub(p.now), p.Net.Retry)})
	case errors.Is(err, chain.ErrRefused):
		return p.refused(ctx, s, err)
	case err != nil:
		return errors.Join(fmt.Errorf("ask for signature: %w", err), p.wait(ctx, s, rest{payment.HoldSigner, "", p.Net.Retry}))
	}
	p.at(StepSigned)
	return p.change(ctx, s, func(tx Tx, s *payment.Spend) error {
		if err := tx.SignVersion(s.ID, v.Number, signed.Raw, signed.TxID); err != nil {
			return err
		}
		if s.State == payment.SpendPlanned {
			s.State = payment.SpendSigned
		}
		s.Held, s.Reason, s.DueAt = payment.HoldNone, "", tx.Now()
		return nil
	})
}

// resendBefore sends the newest version again that is signed before this one.
func (p *Payer) resendBefore(ctx context.Context, v payment.Version) error {
	var all []payment.Version
	err := p.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.Versions(v.SpendID)
		return err
	})
	for i := len(all) - 1; i >= 0 && err == nil; i-- {
		if all[i].Number < v.Number && all[i].Raw != nil {
			return p.resend(ctx, all[i])
		}
	}
	return err
}

// refused gives up a spend that the signer's policy forbids. Only after its promise never to sign it are the tickets free, and
// the payouts wait with the reason in sight. A later version that is refused changes nothing of the earlier ones.
func (p *Payer) refused(ctx context.Context, s payment.Spend, why error) error {
	p.Log.ErrorContext(ctx, "the signer refuses a payout: call the operator", "spend", s.ID, "network", s.Network, "reason", why)
	if s.State != payment.SpendPlanned {
		return p.wait(ctx, s, rest{payment.HoldRefused, shown(why), LookAgain * p.Net.Retry})
	}
	p.at(StepVoid)
	if err := p.Hand.Void(ctx, string(s.ID)); err != nil {
		return errors.Join(fmt.Errorf("void: %w", err), p.wait(ctx, s, rest{payment.HoldRefused, shown(why), p.Net.Retry}))
	}
	p.at(StepVoided)
	return p.change(ctx, s, func(tx Tx, s *payment.Spend) error {
		s.State, s.Held, s.Reason = payment.SpendVoid, payment.HoldRefused, shown(why)
		if err := tx.ReleaseTickets(s.ID); err != nil {
			return err
		}
		return p.reopen(tx, s.ID)
	})
}

// reopen lets the payouts of a void spend wait again.
func (p *Payer) reopen(tx Tx, spend payment.ID) error {
	all, err := tx.SpendPayouts(spend)
	if err != nil {
		return err
	}
	for _, x := range all {
		if err := payment.PayoutEdges.Check(x.State, payment.PayoutOpen); err != nil {
			return err
		}
		coin := x.Network.Coin()
		x.State, x.SpendID, x.Net, x.Fee = payment.PayoutOpen, "", money.Amount{}, money.Zero(coin)
		if x.Reserved {
			if err := unreserve(tx, &x, payment.HoldRefused); err != nil {
				return err
			}
		} else {
			x.State, x.Source, x.Held, x.UpdatedAt = payment.PayoutWaiting, "", payment.HoldReversed, tx.Now()
		}
		x.DueAt = tx.Now().Add(p.refusedFor(x))
		if err := tx.SwapPayout(x); err != nil {
			return err
		}
		if err := p.wake(tx, x); err != nil {
			return err
		}
	}
	return nil
}

// refusedFor is how long a payout rests that the signer refused: what it refuses may end by itself, as high fees do, or take its
// operator. It doubles with every try, up to AddressAgain.
func (p *Payer) refusedFor(x payment.Payout) time.Duration {
	d := LookAgain * p.Net.Retry
	for range x.Turn {
		if d = 2 * d; d >= AddressAgain {
			return AddressAgain
		}
	}
	return d
}

// send broadcasts the bytes of the newest version. What the node says is no verdict: whatever it is, the same bytes are sent
// again until a block holds one of the versions.
func (p *Payer) send(ctx context.Context, s payment.Spend, v payment.Version) error {
	if s.State == payment.SpendSent {
		p.at(StepResend)
	} else {
		p.at(StepSend)
	}
	said := p.Builder.Broadcast(ctx, v.Raw)
	p.at(StepSent)
	if said != nil {
		p.Log.WarnContext(ctx, "broadcast of a payout", "spend", s.ID, "version", v.Number, "txid", v.TxID, "error", said)
	}
	return p.change(ctx, s, func(tx Tx, s *payment.Spend) error {
		s.Held, s.Reason, s.DueAt = payment.HoldNone, "", tx.Now().Add(p.Rules.Resend)
		if said != nil {
			s.Held, s.Reason, s.DueAt = payment.HoldNode, shown(said), tx.Now().Add(LookAgain*p.Net.Retry)
		}
		if said != nil && v.SentAt.IsZero() {
			return p.unsent(tx, s, v)
		}
		if v.SentAt.IsZero() {
			if err := tx.MarkSent(s.ID, v.Number, tx.Now()); err != nil {
				return err
			}
		}
		if due := v.SentAt.Add(p.Rules.BumpAfter); v.SentAt.IsZero() || due.After(tx.Now()) {
			if v.SentAt.IsZero() {
				due = tx.Now().Add(p.Rules.BumpAfter)
			}
			if due.Before(s.DueAt) {
				s.DueAt = due
			}
		}
		s.State = payment.SpendSent
		if taken := said == nil; !taken {
			return nil // nobody is told of what no node has said it has
		}
		if s.SentAt.IsZero() {
			s.SentAt = tx.Now()
		}
		return p.tellSent(tx, *s, v)
	})
}

// unsent leaves a version that no node has taken yet. A node that will not take it for its fee gets a better one in time.
func (p *Payer) unsent(tx Tx, s *payment.Spend, v payment.Version) error {
	if tx.Now().Sub(v.MadeAt) < p.Rules.BumpAfter {
		return nil
	}
	// It may have been taken all the same: from here on it counts as sent, so that the next version replaces it.
	s.State = payment.SpendSent
	return tx.MarkSent(s.ID, v.Number, tx.Now())
}

// tellSent notes the first broadcast in the payouts, and tells it.
func (p *Payer) tellSent(tx Tx, s payment.Spend, v payment.Version) error {
	all, err := tx.SpendPayouts(s.ID)
	if err != nil {
		return err
	}
	for _, x := range all {
		share, ok := shareOf(v, x.ID)
		held := payment.HoldNone
		if lacks(x) {
			held = x.Held
		}
		if !ok || x.TxID == v.TxID && !x.SentAt.IsZero() && x.Held == held {
			continue
		}
		first := x.SentAt.IsZero()
		x.TxID, x.Net, x.Fee, x.Held, x.UpdatedAt = v.TxID, share.Net, share.Fee, held, tx.Now()
		if first {
			x.SentAt = tx.Now()
		}
		if err := tx.SwapPayout(x); err != nil {
			return err
		}
		if first {
			err = p.teller().tell(tx, x)
		} else {
			err = p.wake(tx, x)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stuck tells whether a version has waited so long for a block that the next one is due.
func (p *Payer) stuck(v payment.Version) bool {
	return v.Number < MaxVersions && len(v.Shares) > 0 && !v.Lost() && p.Rules.BumpAfter > 0 && p.now.Sub(v.SentAt) >= p.Rules.BumpAfter
}

// bump builds the next version: the same payouts, tickets and anchor, at a higher rate. Where the ceiling or the amount does
// not allow one, the old one is sent on.
func (p *Payer) bump(ctx context.Context, s payment.Spend, v payment.Version) error {
	var u chain.Unsigned
	if err := json.Unmarshal(v.Unsigned, &u); err != nil {
		return fmt.Errorf("read unsigned version: %w", err)
	}
	p.at(StepBump)
	d := chain.Draft{
		Network: u.Network, Spend: u.Spend, Version: v.Number + 1, Merchant: u.Merchant, Holdings: u.Holdings, Anchor: u.Anchor,
		Pays: u.Pays, Previous: v.Rate, MaxRate: p.Rules.MaxRate,
	}
	next, ok, err := p.rebuild(ctx, s, v, d)
	if !ok {
		return err
	}
	p.at(StepBumped)
	return p.change(ctx, s, func(tx Tx, s *payment.Spend) error {
		row, err := versionFrom(tx, *s, next)
		if err != nil {
			return err
		}
		s.Version, s.DueAt = row.Number, tx.Now()
		return tx.AddVersion(row)
	})
}

// rebuild builds the version of a spend that comes after v, as d has it. Where the ceiling or the amount does not allow one, or no node
// helps to build it, v is sent on and the spend waits: ok is false then.
func (p *Payer) rebuild(ctx context.Context, s payment.Spend, v payment.Version, d chain.Draft) (next chain.Unsigned, ok bool, err error) {
	for i := range d.Pays {
		d.Pays[i].Net = money.Amount{}
	}
	next, err = p.Builder.Build(ctx, d)
	if err == nil && len(p.tooDear(next)) > 0 {
		err = errTooDear // the signer would refuse it
	}
	switch {
	case errors.Is(err, chain.ErrFeeTooHigh), errors.Is(err, chain.ErrTooSmall), errors.Is(err, errTooDear):
		return next, false, errors.Join(p.resend(ctx, v), p.wait(ctx, s, rest{payment.HoldCeiling, shown(err), p.Rules.Resend}))
	case err != nil:
		return next, false, errors.Join(p.resend(ctx, v), p.wait(ctx, s, rest{payment.HoldNode, shown(err), LookAgain * p.Net.Retry}))
	}
	return next, true, nil
}

// resend sends bytes again without booking anything.
func (p *Payer) resend(ctx context.Context, v payment.Version) error {
	p.at(StepResend)
	if err := p.Builder.Broadcast(ctx, v.Raw); err != nil {
		p.Log.WarnContext(ctx, "broadcast of a payout", "version", v.Number, "txid", v.TxID, "error", err)
	}
	return nil
}
