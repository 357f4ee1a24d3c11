package store

import (
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddAddresses stores addresses that were released.
func (t *tx) AddAddresses(all []payment.Address) error {
	for _, a := range all {
		err := t.q.AddAddress(t.ctx, row.AddAddressParams{
			Network: string(a.Network), Address: a.Address, MerchantID: string(a.MerchantID), Idx: int64(a.Index),
			Epoch: int64(a.Epoch), State: string(a.State), InvoiceID: null(string(a.InvoiceID)),
			Coin: string(a.Network.Coin()), Balance: a.Balance.Units(), Wallet: a.Wallet.Units(),
			Laden: !a.Wallet.IsZero(), Nonce: int64(a.Nonce), HotUntil: millis(a.HotUntil),
			ReleasedAt: millis(a.ReleasedAt), GivenAt: millis(a.GivenAt), Rev: a.Rev,
		})
		if err != nil {
			return t.fail("add address", err)
		}
	}
	return nil
}

// GiveAddress gives the free address with the lowest index to an invoice, or to the merchant's wallet where there is no
// invoice; of transactions at the same time each gets
// another.
func (t *tx) GiveAddress(g engine.GiveAddress) (payment.Address, error) {
	r, err := t.q.GiveAddress(t.ctx, row.GiveAddressParams{
		InvoiceID: null(string(g.Invoice)), HotUntil: millis(g.HotUntil), GivenAt: millis(t.now),
		MerchantID: string(g.Merchant), Network: string(g.Network),
	})
	return t.address("give address", r, err)
}

// Address finds an address of ours, free or given.
func (t *tx) Address(network money.Network, text string) (payment.Address, error) {
	r, err := t.q.Address(t.ctx, row.AddressParams{Network: string(network), Address: text})
	return t.address("find address", r, err)
}

// InvoiceAddress is the address an invoice was given on a network.
func (t *tx) InvoiceAddress(invoice payment.ID, network money.Network) (payment.Address, error) {
	r, err := t.q.InvoiceAddress(t.ctx, row.InvoiceAddressParams{InvoiceID: null(string(invoice)), Network: string(network)})
	return t.address("find invoice's address", r, err)
}

// SwapAddress saves the state, invoice, balances, nonce and times of an address.
func (t *tx) SwapAddress(a payment.Address) error {
	n, err := t.q.SwapAddress(t.ctx, row.SwapAddressParams{
		State: string(a.State), InvoiceID: null(string(a.InvoiceID)), Balance: a.Balance.Units(),
		Wallet: a.Wallet.Units(), Laden: !a.Wallet.IsZero(), Nonce: int64(a.Nonce), HotUntil: millis(a.HotUntil), GivenAt: millis(a.GivenAt),
		Network: string(a.Network), Address: a.Address, Rev: a.Rev,
	})
	return t.swapped("save address", n, err)
}

// HotAddresses are given ones with HotUntil after then, the latest first.
func (t *tx) HotAddresses(network money.Network, then time.Time, limit int) ([]payment.Address, error) {
	rows, err := t.q.HotAddresses(t.ctx, row.HotAddressesParams{Network: string(network), T: millis(then), Most: atMost(limit)})
	return t.addresses("list hot addresses", rows, err)
}

// Addresses are all that were ever released, dead ones too, after an address in text order.
func (t *tx) Addresses(network money.Network, after string, limit int) ([]payment.Address, error) {
	rows, err := t.q.Addresses(t.ctx, row.AddressesParams{Network: string(network), Address: after, Most: atMost(limit)})
	return t.addresses("list addresses", rows, err)
}

// ReleasedSince are all after the pair (then, after) in the order of (At, Address).
func (t *tx) ReleasedSince(network money.Network, then time.Time, after string, limit int) ([]engine.Released, error) {
	rows, err := t.q.ReleasedSince(t.ctx, row.ReleasedSinceParams{
		Network: string(network), T: millis(then), Address: after, Most: atMost(limit),
	})
	all := make([]engine.Released, len(rows))
	for i, r := range rows {
		all[i] = engine.Released{At: at(r.ReleasedAt), Address: r.Address}
	}
	return all, t.fail("list released addresses", err)
}

// PoolLevels tells how many addresses merchants after an id have ready. Given counts to CountGiven and no further.
func (t *tx) PoolLevels(network money.Network, after payment.ID, limit int) ([]engine.PoolLevel, error) {
	rows, err := t.q.PoolLevels(t.ctx, row.PoolLevelsParams{
		Network: string(network), CountGiven: CountGiven, ID: string(after), Most: atMost(limit),
	})
	all := make([]engine.PoolLevel, len(rows))
	for i, r := range rows {
		all[i] = engine.PoolLevel{
			Merchant: merchant(row.Merchant{ID: r.ID, Name: r.Name, Branch: r.Branch, CreatedAt: r.CreatedAt}),
			Free:     int(r.Free), Next: uint32(r.Next), Given: int(r.Given),
		}
	}
	return all, t.fail("measure pools", err)
}

// KillAddresses makes all free addresses of epochs before this one dead.
func (t *tx) KillAddresses(epoch uint64) error {
	return t.fail("kill addresses", t.q.KillAddresses(t.ctx, int64(epoch)))
}

func (t *tx) address(what string, r row.Address, err error) (payment.Address, error) {
	if err != nil {
		return payment.Address{}, t.fail(what, err)
	}
	a, err := address(r)
	return a, t.fail(what, err)
}

func (t *tx) addresses(what string, rows []row.Address, err error) ([]payment.Address, error) {
	if err != nil {
		return nil, t.fail(what, err)
	}
	all, err := each(rows, address)
	return all, t.fail(what, err)
}

func address(r row.Address) (payment.Address, error) {
	m := moneys{coin: money.Currency(r.Coin)}
	return payment.Address{
		Network: money.Network(r.Network), Address: r.Address, MerchantID: payment.ID(r.MerchantID), Index: uint32(r.Idx),
		Epoch: uint64(r.Epoch), State: payment.AddressState(r.State), InvoiceID: payment.ID(r.InvoiceID.String),
		Balance: m.read(r.Balance), Wallet: m.read(r.Wallet), Nonce: uint64(r.Nonce), HotUntil: at(r.HotUntil), ReleasedAt: at(r.ReleasedAt), GivenAt: at(r.GivenAt), Rev: r.Rev,
	}, m.err
}
