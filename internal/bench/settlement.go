package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// batches are how many invoices are settled together.
var batches = [...]int{1, 10, 50}

// settlementCost is what a settled invoice costs by the program itself: the virtual bytes of what was sent, and its fee.
func settlementCost(ctx context.Context, b *lab) ([]result, error) {
	c, err := b.bitcoinChain(ctx)
	if err != nil {
		return nil, err
	}
	t, err := b.town(ctx, money.BTC, c)
	if err != nil {
		return nil, err
	}
	shop, err := newBitcoinKey()
	if err != nil {
		return nil, err
	}
	if err := t.set(ctx, shop.address, 0); err != nil {
		return nil, err
	}
	var all []result
	for _, n := range batches {
		r := result{goal: fmt.Sprintf("Bitcoin settlement, %d invoices together", n), unit: "vB an invoice", met: true}
		var fee float64
		for range b.pairs {
			ids, err := t.sold(ctx, n, "")
			if err != nil {
				return nil, err
			}
			if err := t.finish(ctx, ids, payment.Settlement); err != nil {
				return nil, err
			}
			size, cost, err := t.weigh(ctx, ids)
			if err != nil {
				return nil, err
			}
			r.got, fee = append(r.got, float64(size)/float64(n)), float64(cost)/float64(n)
		}
		r.more = fmt.Sprintf("%.1f sat an invoice at 2 sat/vB, n=%d", fee, b.pairs)
		if n == 50 {
			r.target, r.met = "≤ 75 vB", r.got.median() <= 75
		}
		all = append(all, r)
	}
	return all, nil
}

// weigh is the virtual size and the fee of the one transaction that settled the invoices.
func (t *town) weigh(ctx context.Context, ids []payment.ID) (size, fee int64, err error) {
	err = t.Store().View(ctx, func(tx engine.Tx) error {
		var spend payment.ID
		for _, id := range ids {
			f, err := tx.Facts(id)
			if err != nil {
				return err
			}
			for _, p := range f.Payouts {
				if spend == "" {
					spend = p.SpendID
				}
				if p.SpendID != spend {
					return errors.New("the invoices were not settled together")
				}
			}
		}
		v, err := tx.Version(spend, 1)
		if err != nil {
			return err
		}
		sent, err := btcutil.NewTxFromBytes(v.Raw)
		if err != nil {
			return err
		}
		size, fee = (blockchain.GetTransactionWeight(sent)+3)/4, v.Fee.Big().Int64()
		return nil
	})
	return size, fee, err
}
