package engine

import (
	"cmp"
	"context"
	"errors"
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
		more := slices.ContainsFunc(all[1:], func(a payment.Address) bool { return p.worth(a.Wallet, p.fees.Plain) })
		if len(before) > 0 && !more { // gathered already: what is together now is what can be paid
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
