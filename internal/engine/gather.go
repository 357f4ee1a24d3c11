package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// gather brings a wallet's coins together on its largest account, so that one transaction can pay the payout. It waits until
// that is done.
func (p *Payer) gather(ctx context.Context, id payment.ID) error {
	return p.Store.Update(ctx, func(tx Tx) error {
		x, err := tx.Payout(id)
		if err != nil || x.State != payment.PayoutOpen {
			return err
		}
		if !p.Net.Accounts {
			return p.gatherOutputs(tx, x)
		}
		l, err := accounts(tx, x.MerchantID, x.Network, nil)
		if err != nil {
			return err
		}
		all := l.kept
		if len(all) == 0 {
			return errMoved
		}
		before, err := tx.GatherPayouts(x.ID)
		if err != nil {
			return err
		}
		more := slices.ContainsFunc(all[1:], func(a payment.Address) bool { return p.worth(a.Wallet, p.fees.Plain) })
		if len(before) > 0 && !more { // gathered already: what is together now is what can be paid
			return p.shrinkTo(tx, x, all[0].Wallet)
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
		if err := tx.AddPayout(gatherFor(tx, x, all[0].Address, a.Wallet)); err != nil {
			return err
		}
	}
	return nil
}

// gatherOutputs makes one output of many, as often as it takes until one transaction can spend enough, and of more than MaxGathered
// in as many rounds. Those that the network's fee would eat are left where they are.
func (p *Payer) gatherOutputs(tx Tx, x payment.Payout) error {
	l, err := outputs(tx, x.Source, x.Network, nil)
	if err != nil {
		return err
	}
	coins := l.kept
	most := money.Zero(x.Network.Coin())
	for _, c := range coins[:min(len(coins), MaxHoldings)] {
		most = most.Add(c.Amount)
	}
	coins = slices.DeleteFunc(coins, func(c Output) bool {
		return c.Amount.PerMillion(GatherShare).Less(p.fees.Holding)
	})
	if len(coins) <= MaxHoldings {
		return p.shrinkTo(tx, x, most) // what is left is not worth its fee
	}
	to, err := receivingAddress(tx, x.MerchantID, x.Network)
	if errors.Is(err, payment.ErrAbsent) {
		return p.hold(tx, x, payment.HoldBusy, p.soon(tx)) // the pool is empty just now
	}
	if err != nil {
		return err
	}
	need := x.Amount
	if err := unreserve(tx, &x, payment.HoldGather); err != nil {
		return err
	}
	x.DueAt = p.soon(tx)
	if err := tx.SwapPayout(x); err != nil {
		return err
	}
	for have := money.Zero(x.Network.Coin()); len(coins) > 1 && have.Less(need); {
		chunk := coins[:min(len(coins), MaxHoldings)]
		coins = coins[len(chunk):]
		sum := money.Zero(x.Network.Coin())
		for _, c := range chunk {
			sum = sum.Add(c.Amount)
		}
		have = have.Add(sum)
		if err := tx.AddPayout(gatherFor(tx, x, to.Address, sum)); err != nil {
			return err
		}
	}
	return nil
}

func gatherFor(tx Tx, x payment.Payout, to string, sum money.Amount) payment.Payout {
	nothing := money.Zero(x.Network.Coin())
	return payment.Payout{
		ID: tx.NewID(), Kind: payment.Gather, MerchantID: x.MerchantID, Network: x.Network, To: to, Amount: sum, Wasted: nothing,
		Fee: nothing, State: payment.PayoutWaiting, For: x.ID, Attempt: 1, CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now(),
	}
}

// gatherCost is what gathering for a payout has cost.
func gatherCost(tx Tx, x payment.Payout) (money.Amount, error) {
	cost := money.Zero(x.Network.Coin())
	all, err := tx.GatherPayouts(x.ID)
	for _, g := range all {
		if g.State == payment.PayoutDone {
			cost = cost.Add(g.Amount.Sub(g.Net))
		}
	}
	return cost, err
}

// shrinkTo pays what can be paid at once. A refund is not made smaller than the fees of gathering make it.
func (p *Payer) shrinkTo(tx Tx, x payment.Payout, most money.Amount) error {
	cost, err := gatherCost(tx, x)
	if err != nil {
		return err
	}
	if x.Kind.IsRefund() && most.Add(cost).Less(x.Amount) {
		return p.fail(tx, x, fmt.Sprintf("the coins of the PIPE wallet are too small: together they pay %s now", most))
	}
	x.Amount = most
	return p.shrink(tx, x)
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
