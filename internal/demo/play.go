package demo

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A play acts out one thing that can happen to an invoice, and tells whose page shows it: the same, or one made for it.
type play func(d *Demo, ctx context.Context, v engine.View) (payment.ID, error)

// plays are those that take more than one payment or one block, by the value of their button.
func plays() map[string]play {
	return map[string]play{
		"two": (*Demo).playTwo, "dropped": (*Demo).playDropped, "reorg": (*Demo).playReorg, "wrong": (*Demo).playWrong,
		"expire": (*Demo).playExpire, "late": (*Demo).playLate, "refund": (*Demo).playRefund,
	}
}

// playTwo pays what is due in two transactions.
func (d *Demo) playTwo(ctx context.Context, v engine.View) (payment.ID, error) {
	half := share(v.Missing, 50)
	for _, a := range []money.Amount{half, v.Missing.Sub(half)} {
		if _, err := d.chains[v.Quote.Coin].Pay(ctx, v.Quote.Address, a.Big()); err != nil {
			return "", err
		}
	}
	return v.Invoice.ID, nil
}

// playDropped pays, waits until the payment was seen, and spends its coins elsewhere.
func (d *Demo) playDropped(ctx context.Context, v engine.View) (payment.ID, error) {
	chain := d.chains[v.Quote.Coin]
	txid, err := chain.Pay(ctx, v.Quote.Address, v.Missing.Big())
	if err != nil {
		return "", err
	}
	err = d.awaitView(ctx, v.Invoice.ID, func(now engine.View) bool {
		return slices.ContainsFunc(now.Deposits, func(dep payment.Deposit) bool { return strings.EqualFold(dep.TxID, txid) })
	})
	if err != nil {
		return "", err
	}
	if _, err := chain.DoubleSpend(ctx, txid); err != nil {
		return "", err
	}
	_, _, err = chain.Mine(ctx, 1)
	return v.Invoice.ID, err
}

// playReorg takes the blocks that hold the payment away, and the payment with them.
func (d *Demo) playReorg(ctx context.Context, v engine.View) (payment.ID, error) {
	var tip uint64
	err := d.app.Store().View(ctx, func(tx engine.Tx) error {
		s, err := tx.NetworkState(v.Quote.Network)
		tip = s.Height
		return err
	})
	if err != nil {
		return "", err
	}
	depth, drop := 0, []string{}
	for _, dep := range v.Deposits {
		if dep.Height > 0 && dep.Network == v.Quote.Network && dep.TxID != "" {
			depth, drop = max(depth, int(tip-dep.Height+1)), append(drop, dep.TxID)
		}
	}
	if depth == 0 {
		return "", errors.New("no block holds a payment yet: pay, and mine a block")
	}
	_, _, err = d.chains[v.Quote.Coin].Reorg(ctx, depth, drop)
	return v.Invoice.ID, err
}

// playWrong sends a part in another coin, and then the whole amount in the coin that was asked for.
func (d *Demo) playWrong(ctx context.Context, v engine.View) (payment.ID, error) {
	id, first := v.Invoice.ID, *v.Quote
	other := slices.IndexFunc(v.Invoice.Coins, func(c money.Currency) bool { return c != first.Coin })
	if other < 0 || !v.CanChange {
		return "", errors.New("this needs a payment that may still change to another coin")
	}
	coin := v.Invoice.Coins[other]
	if err := d.app.Desk.Choose(ctx, id, engine.Choice{Coin: coin}); err != nil {
		return "", err
	}
	now, err := d.app.Desk.Page(ctx, id)
	if err != nil {
		return "", err
	}
	if _, err := d.chains[coin].Pay(ctx, now.Quote.Address, share(now.Quote.Due, 40).Big()); err != nil {
		return "", err
	}
	_, err = d.chains[first.Coin].Pay(ctx, first.Address, first.Due.Big())
	return id, err
}

// playExpire makes the same payment anew with little time, and nobody pays it.
func (d *Demo) playExpire(ctx context.Context, v engine.View) (payment.ID, error) {
	made, err := d.hurried(ctx, v, SoonOver)
	return made.Invoice.ID, err
}

// playLate makes the same payment anew with hardly any time, and pays it when that is over.
func (d *Demo) playLate(ctx context.Context, v engine.View) (payment.ID, error) {
	made, err := d.hurried(ctx, v, AtOnceOver)
	if err != nil {
		return "", err
	}
	select {
	case <-time.After(time.Until(made.Deadline) + AtOnceOver):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	_, err = d.chains[made.Quote.Coin].Pay(ctx, made.Quote.Address, made.Quote.Due.Big())
	return made.Invoice.ID, err
}

// playRefund is the shop's own call of invoice/refund.
func (d *Demo) playRefund(ctx context.Context, v engine.View) (payment.ID, error) {
	_, err := d.shop.call(ctx, "invoice/refund", map[string]string{"invoice_id": string(v.Invoice.ID)})
	if err != nil {
		return "", fmt.Errorf("PIPE refuses the shop's refund: %w", err)
	}
	return v.Invoice.ID, nil
}

// hurried is an invoice like another one, in the same coin, whose quote holds for this long.
func (d *Demo) hurried(ctx context.Context, like engine.View, window time.Duration) (engine.View, error) {
	app, i := like.Application, like.Invoice
	app.Settings.QuoteWindow = window
	made, err := d.app.Desk.Create(ctx, app, engine.Create{
		PriceCurrency: string(i.Price.Currency()), Price: i.Price.Text(), OrderID: i.OrderID, OrderName: i.OrderName, Language: string(i.Language),
		CallbackURL: i.CallbackURL, OpenType: string(i.OpenType), RedirectURL: i.RedirectURL,
	})
	if err != nil {
		return engine.View{}, err
	}
	if err := d.app.Desk.Choose(ctx, made.ID, engine.Choice{Coin: like.Quote.Coin}); err != nil {
		return engine.View{}, err
	}
	return d.app.Desk.Page(ctx, made.ID)
}

// awaitView waits until an invoice is as wanted.
func (d *Demo) awaitView(ctx context.Context, id payment.ID, is func(engine.View) bool) error {
	ctx, cancel := context.WithTimeout(ctx, PlayWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		v, err := d.app.Desk.Page(ctx, id)
		if err != nil || is(v) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until PIPE has seen the payment: %w", ctx.Err())
		}
	}
}

// share is so many hundredths of an amount, in whole due units.
func share(a money.Amount, percent int64) money.Amount {
	unit := money.DueUnit(a.Currency()).Big()
	n := new(big.Int).Mul(a.Big(), big.NewInt(percent))
	n.Quo(n, big.NewInt(100))
	return money.OfBig(a.Currency(), n.Sub(n, new(big.Int).Mod(n, unit)))
}
