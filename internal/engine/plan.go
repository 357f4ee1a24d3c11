package engine

import (
	"cmp"
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
	case err != nil:
		return nil, err
	case why == payment.HoldGather:
		return []payment.ID{first}, p.gather(ctx, first)
	case why != payment.HoldNone:
		return []payment.ID{first}, p.keep(ctx, first, why)
	}
	p.at(StepBuild)
	u, err := p.Builder.Build(ctx, pl.draft)
	if err != nil {
		return []payment.ID{first}, p.unbuilt(ctx, pl, err)
	}
	if p.tooDear(pl, u) {
		return []payment.ID{first}, p.unbuilt(ctx, pl, errTooDear)
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

// errTooDear: the fee would eat more of a settlement than the operator's share.
var errTooDear = errors.New("engine: fee is above its share of a settlement")

func (p *Payer) tooDear(pl plan, u chain.Unsigned) bool {
	if pl.payouts[0].Kind != payment.Settlement {
		return false
	}
	total := money.Zero(p.Net.Network.Coin())
	for _, x := range pl.payouts {
		total = total.Add(x.Amount.Sub(x.Wasted))
	}
	return total.PerMillion(p.Rules.FeeShare).Less(u.Fee)
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
		if x.Kind == payment.Gather {
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

// tickets are what one payout is paid with: coins of its own account alone.
func (p *Payer) tickets(tx Tx, x payment.Payout) ([]payment.Ticket, payment.Hold, error) {
	if p.Net.Accounts {
		return p.account(tx, x)
	}
	coins, err := p.coins(tx, x.Source)
	if err != nil {
		return nil, "", err
	}
	need, have := x.Amount.Sub(x.Wasted), money.Zero(p.Net.Network.Coin())
	var all []payment.Ticket
	for _, c := range coins {
		if len(all) == MaxHoldings || !have.Less(need) {
			break
		}
		addr, err := tx.Address(c.Network, c.Address)
		if err != nil {
			return nil, "", err
		}
		have = have.Add(c.Amount)
		all = append(all, payment.Ticket{Network: c.Network, Ticket: c.Ref, Address: c.Address, Amount: c.Amount, Index: addr.Index})
	}
	if have.Less(need) {
		return nil, payment.HoldBusy, nil // some are in another spend, or came back from one that is not deep enough yet
	}
	return all, payment.HoldNone, nil
}

// coins are an account's unspent outputs, the largest first, so that few of them pay.
func (p *Payer) coins(tx Tx, source ledger.Account) ([]payment.Deposit, error) {
	coins, err := tx.Coins(source, p.Net.Network, Batch)
	slices.SortStableFunc(coins, func(a, b payment.Deposit) int { return b.Amount.Cmp(a.Amount) })
	return coins, err
}

// account picks the account that pays: an invoice's own, or the wallet's smallest one that holds enough.
func (p *Payer) account(tx Tx, x payment.Payout) ([]payment.Ticket, payment.Hold, error) {
	need := x.Amount.Sub(x.Wasted)
	if !x.Source.IsWallet() {
		addr, err := tx.InvoiceAddress(x.InvoiceID, x.Network)
		if err != nil {
			return nil, "", err
		}
		return p.nonce(tx, addr, addr.Balance.Sub(addr.Wallet), need)
	}
	all, err := tx.WalletAddresses(x.MerchantID, x.Network, Batch)
	if err != nil {
		return nil, "", err
	}
	all = slices.DeleteFunc(all, func(a payment.Address) bool { return a.Wallet.Less(need) || a.Address == x.To })
	if len(all) == 0 {
		return nil, payment.HoldGather, nil
	}
	addr := slices.MinFunc(all, func(a, b payment.Address) int {
		return cmp.Or(a.Wallet.Cmp(b.Wallet), cmp.Compare(a.Address, b.Address))
	})
	return p.nonce(tx, addr, addr.Wallet, need)
}

// nonce is the ticket of an account's next transaction. An account has one spend at a time: what could come after it is not
// known before it is final.
func (p *Payer) nonce(tx Tx, a payment.Address, have, need money.Amount) ([]payment.Ticket, payment.Hold, error) {
	ticket := AccountTicket(a.Address, a.Nonce)
	if _, err := tx.TicketSpend(a.Network, ticket); !errors.Is(err, payment.ErrAbsent) {
		return nil, payment.HoldBusy, err
	}
	if a.Nonce > 0 {
		last, err := tx.TicketSpend(a.Network, AccountTicket(a.Address, a.Nonce-1))
		if err != nil && !errors.Is(err, payment.ErrAbsent) {
			return nil, "", err
		}
		if err == nil && last.State != payment.SpendDone {
			return nil, payment.HoldBusy, nil
		}
	}
	if have.Less(need) {
		return nil, payment.HoldBusy, nil
	}
	return []payment.Ticket{{Network: a.Network, Ticket: ticket, Address: a.Address, Amount: need, Index: a.Index}}, payment.HoldNone, nil
}

// AccountTicket names the right to an account's transaction with this nonce.
func AccountTicket(address string, nonce uint64) string { return fmt.Sprintf("%s:%d", address, nonce) }

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
		if now.Rev != x.Rev {
			return errMoved // somebody cancelled it, or the chain took its coins; the next step looks again
		}
		share, _ := shareOf(v, x.ID)
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
	return v, nil
}

// gather brings a wallet's coins together on its largest account, so that one transaction can pay the payout. It waits until
// that is done.
func (p *Payer) gather(ctx context.Context, id payment.ID) error {
	return p.Store.Update(ctx, func(tx Tx) error {
		x, err := tx.Payout(id)
		if err != nil || x.State != payment.PayoutOpen {
			return err
		}
		all, err := tx.WalletAddresses(x.MerchantID, x.Network, Batch)
		if err != nil || len(all) == 0 {
			return errors.Join(err, errMoved)
		}
		slices.SortFunc(all, func(a, b payment.Address) int {
			return cmp.Or(b.Wallet.Cmp(a.Wallet), cmp.Compare(a.Address, b.Address))
		})
		before, err := tx.GatherPayouts(x.ID)
		if err != nil {
			return err
		}
		if len(before) > 0 { // gathered already: what is together now is what can be paid
			x.Amount = all[0].Wallet
			return p.shrink(tx, x)
		}
		if err := unreserve(tx, &x, payment.HoldGather); err != nil {
			return err
		}
		x.DueAt = p.soon(tx)
		if err := tx.SwapPayout(x); err != nil {
			return err
		}
		return p.addGathers(tx, x, all)
	})
}

func (p *Payer) addGathers(tx Tx, x payment.Payout, all []payment.Address) error {
	have := all[0].Wallet
	for _, a := range all[1:] {
		if !have.Less(x.Amount) {
			break
		}
		if !p.worth(a.Wallet, p.fees.Plain) {
			continue
		}
		have = have.Add(a.Wallet)
		err := tx.AddPayout(payment.Payout{
			ID: tx.NewID(), Kind: payment.Gather, MerchantID: x.MerchantID, Network: x.Network, To: all[0].Address, Amount: a.Wallet,
			Wasted: money.Zero(x.Network.Coin()), Fee: money.Zero(x.Network.Coin()), State: payment.PayoutWaiting, For: x.ID, Attempt: 1,
			CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// shrink pays less than was planned: gathering cost its fees.
func (p *Payer) shrink(tx Tx, x payment.Payout) error {
	now, err := tx.Payout(x.ID)
	if err != nil {
		return err
	}
	less := x.Amount
	if err := unreserve(tx, &now, payment.HoldNone); err != nil {
		return err
	}
	now.Amount = less
	return p.open(tx, now, ledger.Wallet(string(now.MerchantID)))
}
