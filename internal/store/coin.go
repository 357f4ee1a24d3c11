package store

import (
	"errors"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// Coins are an account's confirmed deposits, change included, whose ticket no spend holds, in the order of their making, after
// a number.
func (t *tx) Coins(a ledger.Account, network money.Network, after int64, limit int) ([]engine.Output, error) {
	rows, err := t.q.Coins(t.ctx, row.CoinsParams{Account: string(a), Network: string(network), N: after, Most: atMost(limit)})
	if err != nil {
		return nil, t.fail("list coins", err)
	}
	all, err := each(rows, func(r row.CoinsRow) (engine.Output, error) {
		value, err := amount(money.Currency(r.Coin), r.Amount)
		return engine.Output{N: r.N, Ref: r.Ref, Address: r.Address, Amount: value}, err
	})
	return all, t.fail("list coins", err)
}

// WalletAddresses are given addresses of a merchant's that hold something of its wallet's, after an address in address order.
func (t *tx) WalletAddresses(merchant payment.ID, network money.Network, after string, limit int) ([]payment.Address, error) {
	rows, err := t.q.LadenAddresses(t.ctx, row.LadenAddressesParams{
		MerchantID: string(merchant), Network: string(network), Address: after, Most: atMost(limit),
	})
	return t.addresses("list a wallet's addresses", rows, err)
}

// ReceivingAddress is the newest one that a merchant's wallet was given.
func (t *tx) ReceivingAddress(merchant payment.ID, network money.Network) (payment.Address, error) {
	r, err := t.q.ReceivingAddress(t.ctx, row.ReceivingAddressParams{MerchantID: string(merchant), Network: string(network)})
	return t.address("find a wallet's receiving address", r, err)
}

// DepositRefs are the refs of all deposits of a network in the order of their making, after a number.
func (t *tx) DepositRefs(network money.Network, after int64, limit int) ([]engine.NumberedRef, error) {
	rows, err := t.q.DepositRefs(t.ctx, row.DepositRefsParams{Network: string(network), N: after, Most: atMost(limit)})
	all := make([]engine.NumberedRef, len(rows))
	for i, r := range rows {
		all[i] = engine.NumberedRef{N: r.N, Ref: r.Ref}
	}
	return all, t.fail("list refs", err)
}

// BalanceOf is what an account holds on a network, zero where it never held any.
func (t *tx) BalanceOf(a ledger.Account, network money.Network) (money.Amount, error) {
	_, held, err := t.purse(purse{a, network})
	if err != nil && !errors.Is(err, payment.ErrAbsent) {
		return money.Amount{}, err
	}
	return held, nil
}
