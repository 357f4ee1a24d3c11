package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A plan is a spend that is about to be written.
type plan struct {
	draft   chain.Draft
	payouts []payment.Payout
	source  ledger.Account
	tickets []payment.Ticket
}

// Plan makes a spend for every open payout whose time has come. Settlements of one merchant that leave nothing over share one
// where the chain lets them.
func (p *Payer) Plan(ctx context.Context) error {
	all, err := p.due(ctx, payment.PayoutOpen)
	if err != nil {
		return err
	}
	planned := map[payment.ID]bool{}
	return p.each(ctx, "plan payouts", all, func(ctx context.Context, x payment.Payout) error {
		if planned[x.ID] {
			return nil
		}
		group := []payment.Payout{x}
		for _, o := range all {
			if len(group) < p.Rules.Batch && o.ID != x.ID && !planned[o.ID] && batches(x, o) {
				group = append(group, o)
			}
		}
		done, err := p.planOne(ctx, group)
		for _, o := range done {
			planned[o] = true
		}
		return err
	})
}

// batches tells whether two payouts may share a transaction: settlements of one merchant.
func batches(x, o payment.Payout) bool {
	return x.Kind == payment.Settlement && o.Kind == payment.Settlement && x.MerchantID == o.MerchantID
}

// planOne builds and writes a spend for the payouts, or for as many of them as fit, the first in any case. It answers those
// that it has dealt with.
func (p *Payer) planOne(ctx context.Context, group []payment.Payout) (done []payment.ID, err error) {
	var pl plan
	var why payment.Hold
	err = p.Store.View(ctx, func(tx Tx) (err error) {
		pl, why, err = p.choose(tx, group)
		return err
	})
	first := group[0].ID
	switch {
	case errors.Is(err, errGone):
		return []payment.ID{first}, p.giveUp(ctx, first)
	case errors.Is(err, errElsewhere):
		return []payment.ID{first}, p.waitAgain(ctx, first)
	case err != nil:
		return nil, err
	case why == payment.HoldGather:
		return []payment.ID{first}, p.gather(ctx, first)
	case why != payment.HoldNone:
		return []payment.ID{first}, p.keep(ctx, first, why)
	}
	p.at(StepBuild)
	u, err := p.Builder.Build(ctx, pl.draft)
	if errors.Is(err, chain.ErrTooSmall) && len(pl.payouts) > 1 {
		return p.planOne(ctx, group[:1]) // nobody is kept waiting by his company
	}
	if err == nil {
		switch dear := p.tooDear(u); {
		case dear[first]:
			pl.payouts, err = pl.payouts[:1], errTooDear
		case len(dear) > 0: // they have their turn by themselves
			return p.planOne(ctx, slices.DeleteFunc(slices.Clone(group), func(x payment.Payout) bool { return dear[x.ID] }))
		}
	}
	if err != nil {
		return []payment.ID{first}, p.unbuilt(ctx, pl, err)
	}
	p.at(StepPlan)
	for _, x := range pl.payouts {
		done = append(done, x.ID)
	}
	err = p.Store.Update(ctx, func(tx Tx) error { return p.write(tx, pl, u) })
	if errors.Is(err, errMoved) {
		return done, nil // the next step looks again
	}
	return done, err
}

// errGone: no account holds any more what a gather was to move.
var errGone = errors.New("engine: the coins to gather were used elsewhere")

// giveUp ends a gather whose coins were used elsewhere; what waits for it looks again.
func (p *Payer) giveUp(ctx context.Context, id payment.ID) error {
	return p.Store.Update(ctx, func(tx Tx) error {
		x, err := tx.Payout(id)
		if err != nil || x.State != payment.PayoutOpen {
			return err
		}
		return p.fail(tx, x, "its coins were used elsewhere")
	})
}

// errElsewhere: the merchant named another settlement address since a settlement was opened.
var errElsewhere = errors.New("engine: the settlement address was changed")

// whereTo tells whether a settlement still goes where its application says.
func whereTo(tx Tx, x payment.Payout) error {
	if x.Kind != payment.Settlement || x.ApplicationID == "" {
		return nil
	}
	app, err := tx.Application(x.ApplicationID)
	if err != nil {
		return err
	}
	to := x.To
	if inside, err := insideOf(tx, x); err != nil {
		return err
	} else if inside {
		to = ""
	}
	if app.Settlement[x.Network.Coin()] != to {
		return errElsewhere
	}
	return nil
}

// waitAgain opens a payout anew.
func (p *Payer) waitAgain(ctx context.Context, id payment.ID) error {
	return p.Store.Update(ctx, func(tx Tx) error {
		x, err := tx.Payout(id)
		if err != nil || x.State != payment.PayoutOpen || !x.Reserved {
			return err
		}
		if err := unreserve(tx, &x, payment.HoldNone); err != nil {
			return err
		}
		return tx.SwapPayout(x)
	})
}

// errTooDear: the fee would eat more of a settlement than the operator's share.
var errTooDear = errors.New("engine: fee is above its share of a settlement")

// tooDear are the settlements of a transaction of which the fee takes more than the operator's share. The signer looks at each as
// well, so one of them would keep the others waiting.
func (p *Payer) tooDear(u chain.Unsigned) map[payment.ID]bool {
	dear := map[payment.ID]bool{}
	for _, pay := range u.Pays {
		if pay.Cause == chain.CauseSettlement && pay.Amount.PerMillion(p.Rules.FeeShare).Less(pay.Amount.Sub(pay.Net)) {
			dear[payment.ID(pay.Payout)] = true
		}
	}
	return dear
}

// choose picks what the payouts are paid with.
func (p *Payer) choose(tx Tx, group []payment.Payout) (pl plan, why payment.Hold, err error) {
	for i, x := range group {
		if x, err = tx.Payout(x.ID); err != nil {
			return pl, "", err
		}
		if x.State != payment.PayoutOpen || !x.Reserved {
			if i == 0 {
				return pl, payment.HoldBusy, nil
			}
			continue
		}
		if err := whereTo(tx, x); err != nil {
			if i == 0 {
				return pl, "", err
			}
			continue // it has its turn
		}
		tickets, hold, err := p.tickets(tx, x)
		if err != nil || hold != payment.HoldNone {
			if i == 0 {
				return pl, hold, err
			}
			continue
		}
		alone := i > 0 && (len(pl.tickets)+len(tickets) > MaxHoldings || !exact(tickets, x))
		if alone || i > 0 && !exact(pl.tickets[:len(pl.tickets):len(pl.tickets)], pl.payouts...) {
			continue // change would have to be told apart: it has a spend of its own
		}
		pl.payouts, pl.tickets = append(pl.payouts, x), append(pl.tickets, tickets...)
	}
	if len(pl.payouts) == 1 {
		pl.source = pl.payouts[0].Source
	}
	pl.draft, err = p.draft(tx, pl)
	return pl, payment.HoldNone, err
}

// exact tells whether tickets hold just what the payouts take.
func exact(tickets []payment.Ticket, all ...payment.Payout) bool {
	if len(tickets) == 0 {
		return false
	}
	sum := money.Zero(tickets[0].Amount.Currency())
	for _, t := range tickets {
		sum = sum.Add(t.Amount)
	}
	for _, x := range all {
		sum = sum.Sub(x.Amount.Sub(x.Wasted))
	}
	return sum.IsZero()
}

func (p *Payer) draft(tx Tx, pl plan) (chain.Draft, error) {
	m, err := tx.Merchant(pl.payouts[0].MerchantID)
	if err != nil {
		return chain.Draft{}, err
	}
	d := chain.Draft{
		Network: p.Net.Network, Spend: string(tx.NewID()), Version: 1, Merchant: string(m.ID),
		Anchor: chain.Ticket(pl.tickets[0].Ticket), MaxRate: p.Rules.MaxRate,
	}
	for _, t := range pl.tickets {
		d.Holdings = append(d.Holdings, chain.Holding{
			Ticket: chain.Ticket(t.Ticket), Address: t.Address, Amount: t.Amount, Key: chain.Key{Branch: m.Branch, Index: t.Index},
		})
	}
	for _, x := range pl.payouts {
		pay := chain.Pay{Payout: string(x.ID), Attempt: x.Attempt, Cause: causeOf(x.Kind), To: x.To, Amount: x.Amount.Sub(x.Wasted)}
		inside, err := insideOf(tx, x)
		if err != nil {
			return d, err
		}
		if inside {
			pay.Cause = chain.CauseGather // it stays the merchant's, as the signer can tell by the key
			to, err := tx.Address(x.Network, x.To)
			if err != nil {
				return d, err
			}
			pay.Own = &chain.Key{Branch: m.Branch, Index: to.Index}
		}
		d.Pays = append(d.Pays, pay)
	}
	return d, nil
}

func causeOf(k payment.PayoutKind) chain.Cause {
	switch k {
	case payment.Settlement:
		return chain.CauseSettlement
	case payment.Withdrawal:
		return chain.CauseWithdrawal
	case payment.Gather:
		return chain.CauseGather
	case payment.RefundAsked, payment.RefundShort, payment.RefundExcess, payment.RefundLate:
	}
	return chain.CauseRefund
}

// unbuilt books that a transaction could not be built, where that says something of the payout.
func (p *Payer) unbuilt(ctx context.Context, pl plan, why error) error {
	return p.Store.Update(ctx, func(tx Tx) error {
		for _, x := range pl.payouts {
			x, err := tx.Payout(x.ID)
			if err != nil {
				return err
			}
			if x.State != payment.PayoutOpen {
				continue
			}
			if err := p.unbuiltOne(tx, x, why); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *Payer) unbuiltOne(tx Tx, x payment.Payout, why error) error {
	switch {
	case errors.Is(why, chain.ErrReceiver) && x.Kind.IsRefund():
		if err := p.freeAddress(tx, x); err != nil {
			return err
		}
		return p.fail(tx, x, "the refund address does not take the coins: "+shown(why))
	case errors.Is(why, chain.ErrReceiver):
		return p.hold(tx, x, payment.HoldRefused, p.later(tx))
	case errors.Is(why, chain.ErrFeeTooHigh):
		return p.hold(tx, x, payment.HoldCeiling, p.later(tx))
	case errors.Is(why, chain.ErrTooSmall) && x.Kind == payment.RefundAsked:
		return p.fail(tx, x, fmt.Sprintf("the deposit of %s is smaller than the network fee", x.Amount))
	case errors.Is(why, chain.ErrTooSmall), errors.Is(why, errTooDear):
		if err := unreserve(tx, &x, payment.HoldFee); err != nil {
			return err
		}
		x.DueAt = p.later(tx)
		return tx.SwapPayout(x)
	}
	if err := p.hold(tx, x, payment.HoldNode, p.soon(tx)); err != nil {
		return err
	}
	p.Log.Warn("a payout could not be built", "payout", x.ID, "network", x.Network, "error", why)
	return nil
}

// shown is an adapter's error without the seam's own words, for people.
func shown(err error) string {
	return strings.TrimPrefix(err.Error(), chain.ErrReceiver.Error()+": ")
}

// freeAddress lets the payer give another refund address after one that does not take the coins.
func (p *Payer) freeAddress(tx Tx, x payment.Payout) error {
	inv, err := tx.Invoice(x.InvoiceID)
	if err != nil {
		return err
	}
	refunds := map[money.Currency]payment.RefundAddress{}
	for coin, r := range inv.Refunds {
		if coin != x.Network.Coin() {
			refunds[coin] = r
		}
	}
	inv.Refunds = refunds
	return tx.SwapInvoice(inv)
}

// write saves the intent: the spend with its tickets, the version as it was built, and the payouts as being paid.
func (p *Payer) write(tx Tx, pl plan, u chain.Unsigned) error {
	s := payment.Spend{
		ID: payment.ID(u.Spend), MerchantID: payment.ID(u.Merchant), Network: u.Network, Source: pl.source, Anchor: string(u.Anchor),
		State: payment.SpendPlanned, Version: 1, Out: money.Zero(u.Network.Coin()), Fee: money.Zero(u.Network.Coin()),
		CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now(),
	}
	for _, x := range pl.payouts {
		if now, err := tx.Payout(x.ID); err != nil || now.Rev != x.Rev {
			return errors.Join(err, errMoved) // somebody cancelled or planned it, or the chain took its coins
		}
	}
	for i := range pl.tickets {
		pl.tickets[i].SpendID = s.ID
	}
	if err := p.heat(tx, pl.tickets); err != nil {
		return err
	}
	if err := tx.AddSpend(s, pl.tickets); err != nil {
		return err
	}
	v, err := versionFrom(tx, s, u)
	if err != nil {
		return err
	}
	if err := tx.AddVersion(v); err != nil {
		return err
	}
	for _, x := range pl.payouts {
		now, err := tx.Payout(x.ID)
		if err != nil {
			return err
		}
		share, _ := shareOf(v, x.ID)
		if over := share.Net.Add(share.Fee).Sub(now.Amount.Sub(now.Wasted)); over.Sign() > 0 { // the network took a rest below dust
			if err := p.setMore(tx, &now, over); err != nil {
				return err
			}
		}
		now.State, now.SpendID, now.Net, now.Fee, now.Held, now.UpdatedAt = payment.PayoutPaying, s.ID, share.Net, share.Fee, payment.HoldNone, tx.Now()
		if err := tx.SwapPayout(now); err != nil {
			return err
		}
		if err := p.wake(tx, now); err != nil {
			return err
		}
	}
	return nil
}

// heat has accounts that are about to pay weighed at every block, so that coins that leave them by another hand are missed at once.
func (p *Payer) heat(tx Tx, all []payment.Ticket) error {
	if !p.Net.Accounts {
		return nil
	}
	for _, t := range all {
		addr, err := tx.Address(t.Network, t.Address)
		if err != nil {
			return err
		}
		if hot := tx.Now().Add(HotFor); addr.HotUntil.Before(hot) {
			addr.HotUntil = hot
			if err := tx.SwapAddress(addr); err != nil {
				return err
			}
		}
	}
	return nil
}

// setMore sets more coins aside for a payout than it was to take: a rest that is too small to come back.
func (p *Payer) setMore(tx Tx, x *payment.Payout, more money.Amount) error {
	if have, err := tx.BalanceOf(x.Source, x.Network); err != nil || have.Less(more) {
		return errors.Join(err, errMoved) // another payout reserved it: later there are other coins
	}
	if err := tx.Post(ledger.Unreserve(reservation(*x))); err != nil {
		return err
	}
	x.Amount = x.Amount.Add(more)
	return reserve(tx, x)
}

// versionFrom is the row of what was built.
func versionFrom(tx Tx, s payment.Spend, u chain.Unsigned) (payment.Version, error) {
	unsigned, err := json.Marshal(u)
	if err != nil {
		return payment.Version{}, fmt.Errorf("write unsigned version: %w", err)
	}
	v := payment.Version{
		SpendID: s.ID, Number: u.Version, Rate: u.Rate, Fee: u.Fee, Change: u.Change, Unsigned: unsigned, MadeAt: tx.Now(),
	}
	for _, pay := range u.Pays {
		v.Shares = append(v.Shares, payment.Share{PayoutID: payment.ID(pay.Payout), Net: pay.Net, Fee: pay.Amount.Sub(pay.Net)})
	}
	if len(v.Shares) == 1 { // what is too small to come back goes to the network too
		v.Shares[0].Fee = v.Fee
	}
	return v, nil
}
