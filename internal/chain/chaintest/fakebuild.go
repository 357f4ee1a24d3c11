package chaintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

var _ chain.Builder = (*Endpoint)(nil)

// Fees implements chain.Builder.
func (e *Endpoint) Fees(ctx context.Context) (chain.Fees, error) {
	if err := e.enter(ctx, Fees); err != nil {
		return chain.Fees{}, err
	}
	w, _, _ := e.look()
	if w.accounts() {
		none := money.Zero(money.ETH)
		return chain.Fees{Rate: w.coins(w.market.rate()), Plain: w.coins(gasFee(plainGas, w.market.rate())), Holding: none, Output: none, Least: money.Of(money.ETH, 1)}, nil
	}
	rate := w.market.rate()
	return chain.Fees{
		Rate: w.coins(rate), Plain: w.coins(sizeFee(rate, sizeBase+sizeIn+sizeOut)), Holding: w.coins(sizeFee(rate, sizeIn)),
		Output: w.coins(sizeFee(rate, sizeOut)), Least: money.Of(money.BTC, leastShown),
	}, nil
}

func (w *world) coins(n *big.Int) money.Amount { return money.OfBig(w.network.Coin(), n) }

func gasFee(gas uint64, rate *big.Int) *big.Int {
	return new(big.Int).Mul(rate, new(big.Int).SetUint64(gas))
}

// sizeFee is rounded up.
func sizeFee(rate *big.Int, size int) *big.Int {
	n := new(big.Int).Mul(rate, big.NewInt(int64(size)))
	return n.Add(n, big.NewInt(999)).Quo(n, big.NewInt(1000))
}

// Build implements chain.Builder.
func (e *Endpoint) Build(ctx context.Context, d chain.Draft) (chain.Unsigned, error) {
	if err := e.enter(ctx, Build); err != nil {
		return chain.Unsigned{}, err
	}
	w, _, _ := e.look()
	if err := w.check(d); err != nil {
		return chain.Unsigned{}, err
	}
	rate := w.market.rate()
	if least := w.replacing(d.Previous.Big()); rate.Cmp(least) < 0 {
		rate = least
	}
	if ceiling := d.MaxRate.Big(); ceiling.Sign() > 0 && ceiling.Cmp(rate) < 0 {
		return chain.Unsigned{}, fmt.Errorf("the rate is %s, the ceiling %s: %w", rate, ceiling, chain.ErrFeeTooHigh)
	}
	u := chain.Unsigned{
		Network: d.Network, Spend: d.Spend, Version: d.Version, Merchant: d.Merchant, Holdings: slices.Clone(d.Holdings),
		Pays: slices.Clone(d.Pays), Anchor: d.Anchor, Rate: w.coins(rate), Change: money.Zero(w.network.Coin()),
	}
	if w.accounts() {
		return w.buildAccount(u, rate)
	}
	return w.buildOutputs(u, rate)
}

// replacing is the least rate of what replaces a version of this rate.
func (w *world) replacing(previous *big.Int) *big.Int {
	if previous.Sign() == 0 {
		return previous
	}
	more := new(big.Int).Mul(previous, big.NewInt(5))
	if w.accounts() {
		more.Mul(previous, big.NewInt(9))
		return more.Add(more, big.NewInt(7)).Rsh(more, 3)
	}
	return more.Add(more, big.NewInt(4003)).Quo(more, big.NewInt(4)) // a quarter, and the step of a node
}

func (w *world) check(d chain.Draft) error {
	in, out := money.Zero(w.network.Coin()), money.Zero(w.network.Coin())
	if d.Network != w.network || len(d.Holdings) == 0 || len(d.Pays) == 0 || w.accounts() && (len(d.Holdings) > 1 || len(d.Pays) > 1) {
		return fmt.Errorf("draft of %d holdings and %d payouts on %s cannot be", len(d.Holdings), len(d.Pays), d.Network)
	}
	anchored := false
	for _, h := range d.Holdings {
		in, anchored = in.Add(h.Amount), anchored || h.Ticket == d.Anchor
	}
	for _, p := range d.Pays {
		out = out.Add(p.Amount)
		if prefix := map[money.Currency]string{money.BTC: "bcrt1", money.ETH: "0x"}[w.network.Coin()]; !strings.HasPrefix(p.To, prefix) {
			return fmt.Errorf("%q is no address: %w", p.To, chain.ErrReceiver)
		}
	}
	if !anchored || in.Less(out) {
		return fmt.Errorf("draft spends %s of %s, anchor %s", out, in, d.Anchor)
	}
	return nil
}

func (w *world) buildAccount(u chain.Unsigned, rate *big.Int) (chain.Unsigned, error) {
	h, pay := u.Holdings[0], &u.Pays[0]
	gas := uint64(plainGas)
	if need := w.market.hungry[pay.To]; need > 0 {
		gas = min(need+need/4, gasCap)
		if need > gasCap {
			return chain.Unsigned{}, fmt.Errorf("needs more gas: %w", chain.ErrReceiver)
		}
	}
	if w.market.refuses[pay.To] {
		return chain.Unsigned{}, fmt.Errorf("refuses coins: %w", chain.ErrReceiver)
	}
	u.Fee = w.coins(gasFee(gas, rate))
	if pay.Net = pay.Amount.Sub(u.Fee); pay.Net.Sign() <= 0 {
		return chain.Unsigned{}, fmt.Errorf("%s costs %s: %w", pay.Amount, u.Fee, chain.ErrTooSmall)
	}
	nonce, err := strconv.ParseUint(string(h.Ticket[strings.LastIndexByte(string(h.Ticket), ':')+1:]), 10, 64)
	if err != nil || ticketOf(h.Address, nonce) != h.Ticket {
		return chain.Unsigned{}, fmt.Errorf("ticket %s of %s: %w", h.Ticket, h.Address, errors.Join(err, errDraft))
	}
	u.Raw, err = payload{
		Network: u.Network, Nonce: nonce, Gas: gas, Rate: rate.String(),
		Ins:  []payloadIn{{string(h.Ticket), h.Address, h.Amount.Units()}},
		Outs: []payloadOut{{pay.To, pay.Net.Units()}},
	}.bytes()
	return u, err
}

var errDraft = errors.New("chaintest: a draft that cannot be")

func (w *world) buildOutputs(u chain.Unsigned, rate *big.Int) (chain.Unsigned, error) {
	p := payload{Network: u.Network, Rate: rate.String()}
	rest := money.Zero(money.BTC)
	for _, h := range u.Holdings {
		rest = rest.Add(h.Amount)
		p.Ins = append(p.Ins, payloadIn{string(h.Ticket), h.Address, h.Amount.Units()})
	}
	for _, pay := range u.Pays {
		rest = rest.Sub(pay.Amount)
	}
	outs := len(u.Pays)
	if !rest.Less(money.Of(money.BTC, leastOut)) {
		u.Change = rest
		outs++
	}
	fee := sizeFee(rate, sizeBase+sizeIn*len(u.Holdings)+sizeOut*outs)
	each, odd := new(big.Int).QuoRem(fee, big.NewInt(int64(len(u.Pays))), new(big.Int))
	u.Fee = w.coins(fee).Add(rest.Sub(u.Change))
	for i := range u.Pays {
		share := new(big.Int).Set(each)
		if int64(i) < odd.Int64() {
			share.Add(share, big.NewInt(1))
		}
		u.Pays[i].Net = u.Pays[i].Amount.Sub(w.coins(share))
		if u.Pays[i].Net.Less(money.Of(money.BTC, leastOut)) {
			return chain.Unsigned{}, fmt.Errorf("%s costs %s: %w", u.Pays[i].Amount, w.coins(share), chain.ErrTooSmall)
		}
		p.Outs = append(p.Outs, payloadOut{u.Pays[i].To, u.Pays[i].Net.Units()})
	}
	if !u.Change.IsZero() {
		p.Outs = append(p.Outs, payloadOut{u.Holdings[0].Address, u.Change.Units()})
	}
	var err error
	u.Raw, err = p.bytes()
	return u, err
}

// Broadcast implements chain.Builder.
func (e *Endpoint) Broadcast(ctx context.Context, raw []byte) error {
	if err := e.enter(ctx, Broadcast); err != nil {
		return fmt.Errorf("broadcast: %w: %w", chain.ErrUnknown, err)
	}
	var p payload
	if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("broadcast: %w", err)
	}
	e.world.mu.Lock()
	defer e.world.mu.Unlock()
	w := e.world
	tx, err := w.read(p, raw)
	if err != nil {
		return err
	}
	err = w.take(tx)
	if err == nil && w.market.lose > 0 {
		w.market.lose--
		return w.market.lost
	}
	return err
}

// read makes a transaction of signed bytes.
func (w *world) read(p payload, raw []byte) (fakeTx, error) {
	id, err := p.txid()
	if err != nil || len(p.Ins) == 0 || len(p.Outs) == 0 || p.Network != w.network || p.Signature != "of "+p.Ins[0].Address {
		return fakeTx{}, fmt.Errorf("broadcast: bytes that nobody signed: %w", errors.Join(err, errDraft))
	}
	coin := w.network.Coin()
	rate, err := money.OfUnits(coin, p.Rate)
	tx := fakeTx{id: id, spend: &fakeSpend{raw: raw, rate: rate, nonce: p.Nonce, fee: money.Zero(coin)}}
	for _, in := range p.Ins {
		amount, bad := money.OfUnits(coin, in.Amount)
		err = errors.Join(err, bad)
		tx.spend.ins = append(tx.spend.ins, fakeIn{chain.Ticket(in.Ticket), in.Address, amount})
		tx.spend.fee = tx.spend.fee.Add(amount)
	}
	for _, out := range p.Outs {
		amount, bad := money.OfUnits(coin, out.Amount)
		err = errors.Join(err, bad)
		tx.outs = append(tx.outs, Out{out.To, amount})
		tx.spend.fee = tx.spend.fee.Sub(amount)
	}
	if w.accounts() {
		used := p.Gas
		if need := w.market.hungry[p.Outs[0].To]; need > 0 {
			used = min(used, need)
		}
		tx.from, tx.spend.fee = p.Ins[0].Address, w.coins(gasFee(used, rate.Big()))
	}
	return tx, err
}

// take puts a spend into the mempool, as a node does: what it has already is fine, what replaces another must pay more.
func (w *world) take(tx fakeTx) error {
	for _, b := range w.blocks {
		if slices.ContainsFunc(b.txs, func(o fakeTx) bool { return o.id == tx.id }) {
			return nil
		}
	}
	if slices.ContainsFunc(w.pool, func(o fakeTx) bool { return o.id == tx.id }) {
		return nil
	}
	switch {
	case w.market.deaf:
		return fmt.Errorf("the node takes nothing: %w", chain.ErrRejected)
	case w.standing(tx) == dead:
		return fmt.Errorf("its coins are gone: %w", chain.ErrRejected)
	}
	for _, o := range w.pool {
		least := new(big.Int)
		if o.spend != nil {
			least.Mul(o.spend.rate.Big(), big.NewInt(11))
		}
		if o.conflicts(tx) && new(big.Int).Mul(tx.spend.rate.Big(), big.NewInt(10)).Cmp(least) < 0 {
			return fmt.Errorf("replacement pays too little: %w", chain.ErrRejected)
		}
	}
	w.pool = slices.DeleteFunc(w.pool, func(o fakeTx) bool { return o.conflicts(tx) })
	w.pool = append(w.pool, tx)
	return nil
}
