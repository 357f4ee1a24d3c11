// Package money holds exact amounts: currencies, networks, amounts, rates, rounding and parsing.
//
// Everything is an integer of the smallest unit (won, cent, satoshi, wei) or an exact rational. There is no float in
// this package and none may reach it.
package money

import (
	"fmt"
	"strings"
)

// A Currency is one of KRW, USD, BTC and ETH. A Coin is a Currency that lives on a chain.
type Currency string

// The currencies that PIPE knows: what a shop may ask in, and what a payer may pay in.
const (
	KRW Currency = "KRW"
	USD Currency = "USD"
	BTC Currency = "BTC"
	ETH Currency = "ETH"
)

// Decimals is the number of decimals of the smallest unit: 0 for KRW, 2 for USD, 8 for BTC, 18 for ETH. It panics on a
// currency that is not one of the four: such a value can only come from a programming error.
func (c Currency) Decimals() int {
	switch c {
	case KRW:
		return 0
	case USD:
		return 2
	case BTC:
		return 8
	case ETH:
		return 18
	}
	panic(fmt.Sprintf("money: unknown currency %q", string(c)))
}

// IsCoin tells whether the currency lives on a chain.
func (c Currency) IsCoin() bool { return c == BTC || c == ETH }

// IsPrice tells whether a shop may price an invoice in the currency.
func (c Currency) IsPrice() bool { return c == KRW || c == USD }

// Known tells whether the currency is one of the four.
func (c Currency) Known() bool { return c.IsCoin() || c.IsPrice() }

// A Network is one chain: "bitcoin/mainnet", "bitcoin/testnet4", "bitcoin/signet", "bitcoin/regtest", or "ethereum/"
// followed by the decimal chain id of EIP-155.
type Network string

// Coin is the native coin of the network, or "" when the network is none that PIPE knows.
func (n Network) Coin() Currency {
	switch {
	case strings.HasPrefix(string(n), "bitcoin/"):
		return BTC
	case strings.HasPrefix(string(n), "ethereum/"):
		return ETH
	}
	return ""
}

// Name is the part behind the slash: "mainnet", "regtest", "1".
func (n Network) Name() string {
	_, name, _ := strings.Cut(string(n), "/")
	return name
}
