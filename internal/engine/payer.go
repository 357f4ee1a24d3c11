package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Payer moves coins out on one network. The rows are its jobs: a waiting payout is opened once everything is there that it
// needs, which reserves its coins; an open one gets a spend; a spend is signed, sent, sent again and bumped until a block
// holds it. The watcher says when. Every act outside stands between two commits, the first of which says what is about to
// be done, so a crash anywhere leaves a row from which the same step goes on.
type Payer struct {
	Store   Store
	Net     Net
	Nets    map[money.Currency]Net
	Builder chain.Builder
	Hand    Hand
	Rules   PayRules
	// Recovery takes in what an older copy of the store has lost, before anything new is paid; nil: nothing was.
	Recovery *Recovery
	Render   Renderer
	Log      *slog.Logger
	// At is called as each step begins, for progress and for tests that kill the process there. nil: nobody asks.
	At func(step PayStep)

	fees    chain.Fees // as of the running step
	now     time.Time  // the same
	aside   aside
	claimed map[string]chain.Destination // answered by the signer in this step
}

// PayRules are the operator's limits for one network.
type PayRules struct {
	MaxRate   money.Amount  // ceiling of the fee rate (engine.FeeCeiling), as chain.Fees counts it; zero: none
	FeeShare  int64         // millionths of a settlement that its fee may be (engine.SettlementFeeShare)
	BumpAfter time.Duration // a version that no block took for so long is replaced (engine.BumpAfter)
	Resend    time.Duration // between two broadcasts of the same bytes (engine.Rebroadcast)
	Lease     time.Duration // of a claimed spend; 0: SpendLease
	Batch     int           // settlements of one merchant in one transaction; 1 on account chains
}

// A PayStep is one place in a payout's way where a crash may come. Tests go through PaySteps, so a new one cannot be
// forgotten.
type PayStep int

// The steps. The comment says what a crash at its beginning leaves, and who goes on.
const (
	StepOpen     PayStep = iota + 1 // a waiting payout; the next Open
	StepRegister                    // the same; the signer may know the destination already, and answers the same again
	StepReserve                     // the same
	StepBuild                       // an open payout with its coins reserved; the next Plan
	StepPlan                        // the same: what was built is thrown away
	StepSign                        // a planned spend with its tickets; the next Advance asks for the signature
	StepSigned                      // the same, and the signer may have signed: it answers the same bytes again
	StepSend                        // a signed version; the next Advance sends it
	StepSent                        // the same, and the node may have it: sending it again does no harm
	StepResend                      // a sent spend; the next Advance sends it again
	StepBump                        // the same; the next version may be built again
	StepBumped                      // the same: what was built is thrown away
	StepVoid                        // a planned spend that the signer refuses; the next Advance asks again
	StepVoided                      // the same; the signer promised already, and promises again
	StepNarrow                      // a sent spend, coins of which the chain took away; the next version may be built again
	StepNarrowed                    // the same: what was built is thrown away
)

// PaySteps are all steps.
var PaySteps = []PayStep{
	StepOpen, StepRegister, StepReserve, StepBuild, StepPlan, StepSign, StepSigned, StepSend, StepSent, StepResend, StepBump,
	StepBumped, StepVoid, StepVoided, StepNarrow, StepNarrowed,
}

func (p *Payer) at(s PayStep) {
	if p.At != nil {
		p.At(s)
	}
}

func (p *Payer) teller() teller { return teller{p.Nets, p.Render} }

// Step opens what is due, plans what is open, and moves every spend on that is due. One failing payout stops no other.
func (p *Payer) Step(ctx context.Context) error {
	if done, err := p.recover(ctx); err != nil || !done {
		return errors.Join(err, p.Advance(ctx))
	}
	halted, err := p.halted(ctx)
	if err != nil {
		return err
	}
	if halted {
		return errors.Join(p.stand(ctx, payment.HoldHalted), p.Advance(ctx)) // what is sent goes on: its bytes may take effect anyway
	}
	p.claimed = map[string]chain.Destination{}
	if p.fees, err = p.Builder.Fees(ctx); err != nil {
		err = fmt.Errorf("ask %s for fees: %w", p.Net.Network, err)
		if errors.Is(err, chain.ErrBlind) { // nobody knows: people see why nothing goes on
			err = errors.Join(err, p.stand(ctx, payment.HoldNode))
		}
		return errors.Join(err, p.Advance(ctx))
	}
	return errors.Join(p.Open(ctx), p.Plan(ctx), p.Advance(ctx))
}

// recover takes in spends that the store has lost; false while some are left.
func (p *Payer) recover(ctx context.Context) (bool, error) {
	if p.Recovery == nil || p.Recovery.Done(p.Net.Network) {
		return true, nil
	}
	caughtUp := false
	err := p.Store.View(ctx, func(tx Tx) error {
		s, err := networkState(tx, p.Net.Network)
		caughtUp = err == nil && s.Trouble == "" && p.Recovery.since(tx.Now()).Before(s.Sight)
		return err
	})
	if err == nil {
		err = p.Recovery.Step(ctx, p.Net.Network, caughtUp)
	}
	return err == nil && p.Recovery.Done(p.Net.Network), err
}

func (p *Payer) halted(ctx context.Context) (halted bool, err error) {
	err = p.Store.View(ctx, func(tx Tx) error {
		h, err := tx.Halt()
		halted = h.Reason != ""
		return err
	})
	return halted, err
}

// stand shows in what is due why no payout goes on.
func (p *Payer) stand(ctx context.Context, why payment.Hold) error {
	for _, state := range []payment.PayoutState{payment.PayoutWaiting, payment.PayoutOpen} {
		all, err := p.due(ctx, state)
		if err != nil {
			return err
		}
		err = p.each(ctx, "show that payouts stand still", all, func(ctx context.Context, x payment.Payout) error {
			return p.Store.Update(ctx, func(tx Tx) error {
				x, err := tx.Payout(x.ID)
				if err != nil || x.State != state || x.DueAt.After(tx.Now()) {
					return err
				}
				if why == payment.HoldNode {
					return p.hold(tx, x, why, p.soon(tx))
				}
				return p.hold(tx, x, why, p.later(tx))
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// due are the payouts of a state whose time has come.
func (p *Payer) due(ctx context.Context, state payment.PayoutState) (all []payment.Payout, err error) {
	err = p.Store.View(ctx, func(tx Tx) (err error) {
		p.now = tx.Now()
		all, err = tx.DuePayouts(p.Net.Network, state, p.now, Batch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read due payouts: %w", err)
	}
	return all, nil
}

// each does a step for every payout. One that keeps failing is put aside for a while.
func (p *Payer) each(ctx context.Context, what string, all []payment.Payout, do func(context.Context, payment.Payout) error) error {
	round := asideRound{what: what, now: p.now}
	by := map[payment.ID]payment.Payout{}
	for _, x := range all {
		round.ids = append(round.ids, x.ID)
		by[x.ID] = x
	}
	round.do = func(id payment.ID) error {
		x := by[id]
		if err := do(ctx, x); err != nil {
			return fmt.Errorf("%s %s: %w", x.Kind, id, err)
		}
		return nil
	}
	return p.aside.each(ctx, p.Log, round)
}

// hold leaves a payout where it is, with the reason in sight, and looks again later.
func (p *Payer) hold(tx Tx, x payment.Payout, why payment.Hold, until time.Time) error {
	was := x.Held
	x.Held, x.DueAt = why, until
	if was != why {
		x.UpdatedAt = tx.Now()
	}
	if err := tx.SwapPayout(x); err != nil || was == why {
		return err
	}
	return p.wake(tx, x)
}

// wake lets open pages see what changed of a payout; the shop is told of steps alone.
func (p *Payer) wake(tx Tx, x payment.Payout) error {
	x.CallbackURL = ""
	return p.teller().tell(tx, x)
}

// end makes a payout failed. Coins that were set aside for it go back. Nobody is told.
func end(tx Tx, x *payment.Payout, reason string) error {
	if source := x.Source; x.Reserved {
		if err := unreserve(tx, x, payment.HoldNone); err != nil {
			return err
		}
		x.Source = source // whose coins paid for what was in vain
	}
	if err := payment.PayoutEdges.Check(x.State, payment.PayoutFailed); err != nil {
		return err
	}
	x.State, x.Held, x.FailReason, x.DoneAt, x.UpdatedAt = payment.PayoutFailed, payment.HoldNone, reason, tx.Now(), tx.Now()
	return tx.SwapPayout(*x)
}

// fail ends a payout for good, and tells it.
func (p *Payer) fail(tx Tx, x payment.Payout, reason string) error {
	if err := end(tx, &x, reason); err != nil {
		return err
	}
	if x.Kind.IsRefund() {
		if err := p.unlockAddress(tx, x); err != nil {
			return err
		}
	}
	if err := p.teller().tell(tx, x); err != nil || x.InvoiceID == "" {
		return err
	}
	return reassess(tx, p.teller(), x.InvoiceID)
}

// soon is when a payout that waits for the chain is looked at again.
func (p *Payer) soon(tx Tx) time.Time { return tx.Now().Add(p.Net.Retry) }

// later is the same for one that waits for something that changes slowly, as fees do.
func (p *Payer) later(tx Tx) time.Time { return tx.Now().Add(LookAgain * p.Net.Retry) }

// deepEnough tells whether every confirmed coin of an account is final.
func (p *Payer) deepEnough(tx Tx, f payment.Facts) (bool, error) {
	top, err := tx.Cursor(p.Net.Network)
	if err != nil {
		return false, err
	}
	s, err := networkState(tx, p.Net.Network)
	if err != nil {
		return false, err
	}
	now := depthNow{top.Height, chain.Head{Tip: top, Final: s.Final}, s.BreakerUntil, tx.Now()}
	for _, d := range f.Deposits {
		if d.Network == p.Net.Network && d.State == payment.Confirmed && !deep(d.Height, d.Spendable, p.Net.Final, now) {
			return false, nil
		}
	}
	return true, nil
}

// register asks the signer from when on it pays to a destination.
func (p *Payer) register(ctx context.Context, merchant payment.ID, to string) (chain.Destination, error) {
	key := string(merchant) + "/" + to
	if d, ok := p.claimed[key]; ok {
		return d, nil
	}
	p.at(StepRegister)
	d, err := p.Hand.Register(ctx, chain.Destination{Merchant: string(merchant), Network: p.Net.Network, Address: to})
	if err != nil {
		return d, fmt.Errorf("register destination: %w", err)
	}
	if p.claimed == nil {
		p.claimed = map[string]chain.Destination{}
	}
	p.claimed[key] = d
	return d, nil
}

// cost is what a payout from so many holdings costs now.
func (p *Payer) cost(holdings int) money.Amount {
	c := p.fees.Plain
	for range holdings - 1 {
		c = c.Add(p.fees.Holding)
	}
	return c
}

// holdings are how many tickets a payout from an account would use, and what they hold together.
func (p *Payer) holdings(tx Tx, x payment.Payout, source ledger.Account) (n int, most money.Amount, err error) {
	most = money.Zero(p.Net.Network.Coin())
	if p.Net.Accounts {
		most, err = tx.BalanceOf(source, p.Net.Network)
		return 1, most, err
	}
	coins, err := p.coinsFor(tx, x, source)
	if err != nil {
		return 0, most, err
	}
	for _, c := range coins[:min(len(coins), MaxHoldings)] {
		if !most.Less(x.Amount) {
			break
		}
		n, most = n+1, most.Add(c.Amount)
	}
	return max(n, 1), most, nil
}
