package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	devbitcoin "github.com/pipe-pg/pipe/internal/devchain/bitcoin"
	devethereum "github.com/pipe-pg/pipe/internal/devchain/ethereum"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/signer"
)

const (
	// payoutsAtOnce is how many refunds are asked for in one measurement.
	payoutsAtOnce = 100
	// payRounds bounds the turns of the payer and the chain until they are done.
	payRounds = 200
	// finalBTC and finalETH are the depths from which payouts are done on local chains (app.DevFinalBTC, app.DevFinalETH).
	finalBTC, finalETH = 2, 6
)

// A localChain is a node of this process with blocks on demand. Amounts are in the smallest unit.
type localChain struct {
	give  func(ctx context.Context, address string, amount *big.Int) (txid string, err error)
	mine  func(ctx context.Context, blocks int) error
	url   string
	final int
}

func (c localChain) pay(ctx context.Context, address string, amount *big.Int) error {
	_, err := c.give(ctx, address, amount)
	return err
}

func (b *lab) bitcoinChain(ctx context.Context) (localChain, error) {
	c, err := devbitcoin.Open(ctx, devbitcoin.Options{Dir: filepath.Join(b.dir, "bitcoin-chain")})
	if err != nil {
		return localChain{}, err
	}
	b.later(c.Close)
	return localChain{
		give: func(ctx context.Context, address string, amount *big.Int) (string, error) {
			return c.Pay(ctx, address, amount.Int64())
		},
		mine: func(ctx context.Context, blocks int) error { _, _, err := c.Mine(ctx, blocks); return err },
		url:  c.URL(), final: finalBTC,
	}, nil
}

func (b *lab) ethereumChain(ctx context.Context) (localChain, error) {
	c, err := devethereum.Open(ctx, devethereum.Options{Dir: filepath.Join(b.dir, "ethereum-chain"), Listen: "127.0.0.1:0"})
	if err != nil {
		return localChain{}, err
	}
	b.later(c.Close)
	return localChain{
		give: c.Pay,
		mine: func(ctx context.Context, blocks int) error { _, _, err := c.Mine(ctx, blocks); return err },
		url:  c.URL(), final: finalETH,
	}, nil
}

// A town is a house on a local chain, whose cranks a case turns itself.
type town struct {
	*house
	local   localChain
	coin    money.Currency
	watcher *engine.Watcher
	payer   *engine.Payer
}

// town opens a house on a chain, with the signer's caps far away.
func (b *lab) town(ctx context.Context, coin money.Currency, c localChain) (*town, error) {
	t := &town{local: c, coin: coin}
	parts := &outParts{}
	var err error
	t.house, err = b.open(ctx, setup{name: "town-" + string(coin), roles: "api,checkout,worker", idle: true, node: c.url, coin: coin, parts: parts})
	if err != nil {
		return nil, err
	}
	b.later(t.house.close)
	n := t.Nets[coin]
	t.watcher = &engine.Watcher{Store: t.Store(), Reader: parts.reader, Net: n, Nets: t.Nets, Render: t.Desk.Render, Log: t.Desk.Log}
	t.payer = &engine.Payer{
		Store: t.Store(), Net: n, Nets: t.Nets, Builder: parts.builder, Hand: parts.hand, Render: t.Desk.Render, Log: t.Desk.Log,
		Rules: engine.PayRules{FeeShare: 1_000_000, BumpAfter: time.Hour, Resend: time.Hour, Batch: engine.MaxHoldings},
	}
	if n.Accounts {
		t.payer.Rules.Batch = 1
	}
	return t, errors.Join(t.local.mine(ctx, 1), t.follow(ctx))
}

// outParts are what a town takes out of the program to turn it by hand.
type outParts struct {
	reader  chain.Reader
	builder chain.Builder
	hand    engine.Hand
}

// loosePolicy is the signer's own one with caps that a benchmark does not meet.
func loosePolicy() *signer.Policy {
	p := signer.DefaultPolicy(false)
	p.DestinationDelay, p.RefundDelay = 0, 0
	for _, c := range []*signer.Caps{&p.BTC, &p.ETH} {
		for _, limit := range []*money.Amount{&c.Settle, &c.SettleDay, &c.Refund, &c.RefundDay, &c.RefundAll, &c.RefundFree} {
			*limit = money.OfBig(limit.Currency(), new(big.Int).Mul(limit.Big(), big.NewInt(1_000_000)))
		}
	}
	return &p
}

func (t *town) follow(ctx context.Context) error {
	for range 2 {
		if err := t.watcher.Follow(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sold makes so many invoices that are paid, and final.
func (t *town) sold(ctx context.Context, n int, refund string) ([]payment.ID, error) {
	if err := t.poolOf(ctx, t.coin, n); err != nil {
		return nil, err
	}
	if err := t.follow(ctx); err != nil {
		return nil, err
	}
	var all []payment.ID
	for i := range n {
		inv, err := t.Desk.Create(ctx, t.app.Application, engine.Create{PriceCurrency: "USD", Price: "500", OrderID: fmt.Sprint(i),
			CallbackURL: t.shop + "/callback", RefundAddress: refund})
		if err != nil {
			return nil, err
		}
		if err := t.Desk.Choose(ctx, inv.ID, engine.Choice{Coin: t.coin}); err != nil {
			return nil, err
		}
		f, err := t.Desk.Invoice(ctx, t.app.ID, inv.ID)
		if err != nil {
			return nil, err
		}
		if err := t.local.pay(ctx, f.Quotes[0].Address, f.Quotes[0].Due.Big()); err != nil {
			return nil, err
		}
		all = append(all, inv.ID)
	}
	if err := errors.Join(t.local.mine(ctx, 13), t.follow(ctx)); err != nil {
		return nil, err
	}
	for _, id := range all {
		if f, err := t.Desk.Invoice(ctx, t.app.ID, id); err != nil || f.Invoice.Told.Status != payment.Paid {
			return nil, errors.Join(err, fmt.Errorf("invoice %s is in status %d, not paid", id, f.Invoice.Told.Status))
		}
	}
	return all, nil
}

// finish turns the cranks until all of a kind are done: built, signed, sent, mined, deep and booked.
func (t *town) finish(ctx context.Context, of []payment.ID, kind payment.PayoutKind) error {
	for range payRounds {
		if err := t.payer.Step(ctx); err != nil {
			return err
		}
		sent, done, err := t.standing(ctx, of, kind)
		switch {
		case err != nil:
			return err
		case done:
			return nil
		case sent:
			if err := errors.Join(t.local.mine(ctx, t.local.final), t.follow(ctx)); err != nil {
				return err
			}
		}
	}
	return errors.New("payouts are never done")
}

// standing tells whether all payouts of a kind were sent, and whether they are done.
func (t *town) standing(ctx context.Context, of []payment.ID, kind payment.PayoutKind) (sent, done bool, err error) {
	sent, done = true, true
	err = t.Store().View(ctx, func(tx engine.Tx) error {
		for _, id := range of {
			f, err := tx.Facts(id)
			if err != nil {
				return err
			}
			there := false
			for _, p := range f.Payouts {
				if p.Kind == kind {
					there = true
					sent, done = sent && !p.SentAt.IsZero(), done && p.State == payment.PayoutDone
					if p.State == payment.PayoutFailed {
						return fmt.Errorf("a %s failed: %s", kind, p.FailReason)
					}
				}
			}
			sent, done = sent && there, done && there
		}
		return nil
	})
	return sent, done, err
}

// refunds is how many refunds a second are paid, each by a transaction of its own.
func (t *town) refunds(ctx context.Context, to string) (float64, error) {
	all, err := t.sold(ctx, payoutsAtOnce, to)
	if err != nil {
		return 0, err
	}
	for _, id := range all {
		if _, _, err := t.Desk.AskRefund(ctx, engine.AskRefund{Application: t.app.Application, Invoice: id}); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := t.finish(ctx, all, payment.RefundAsked); err != nil {
		return 0, err
	}
	return payoutsAtOnce / time.Since(began).Seconds(), nil
}

// set changes where and when the application settles.
func (t *town) set(ctx context.Context, to string, hold time.Duration) (err error) {
	t.app.Application, err = t.Desk.SetApplication(ctx, t.app.ID, engine.Change{Settlement: map[money.Currency]string{t.coin: to},
		Settings: func(s *payment.Settings) { s.Settle.Hold = hold }})
	return err
}

func payoutsBitcoin(ctx context.Context, b *lab) ([]result, error) {
	c, err := b.bitcoinChain(ctx)
	if err != nil {
		return nil, err
	}
	t, err := b.town(ctx, money.BTC, c)
	if err != nil {
		return nil, err
	}
	own, err := newBitcoinKey()
	if err != nil {
		return nil, err
	}
	if err := t.set(ctx, "", time.Hour); err != nil {
		return nil, err
	}
	r := result{goal: fmt.Sprintf("payouts on regtest, %d refunds, a transaction each", payoutsAtOnce), limit: "sign and sendrawtransaction, mined", unit: "/s", met: true}
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, func(ctx context.Context) (float64, error) {
		return own.spends(ctx, c, payoutsAtOnce)
	}, func(ctx context.Context) (float64, error) { return t.refunds(ctx, own.address) })
	if err != nil {
		return nil, err
	}
	r.more = "built, signed by the signer with its journal synced, sent, mined 2 deep, booked"
	return []result{r}, nil
}

func payoutsEthereum(ctx context.Context, b *lab) ([]result, error) {
	c, err := b.ethereumChain(ctx)
	if err != nil {
		return nil, err
	}
	t, err := b.town(ctx, money.ETH, c)
	if err != nil {
		return nil, err
	}
	own, err := newEthereumKey()
	if err != nil {
		return nil, err
	}
	if err := t.set(ctx, "", time.Hour); err != nil {
		return nil, err
	}
	r := result{goal: fmt.Sprintf("payouts on a local Ethereum, %d refunds", payoutsAtOnce), limit: "sign and eth_sendRawTransaction, mined", unit: "/s", met: true}
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, func(ctx context.Context) (float64, error) {
		return own.spends(ctx, c, payoutsAtOnce)
	}, func(ctx context.Context) (float64, error) { return t.refunds(ctx, own.address) })
	if err != nil {
		return nil, err
	}
	r.more = "built, signed by the signer with its journal synced, sent, mined 6 deep, booked"
	return []result{r}, nil
}
