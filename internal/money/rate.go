package money

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// A Rate is the price of one whole coin in a price currency, exact and above zero. Rates never change.
type Rate struct {
	coin, price Currency
	value       *big.Rat // price currency per coin, in whole units of both
}

// NewRate makes a rate from an exact number of whole price currency per whole coin. The number is copied.
func NewRate(coin, price Currency, value *big.Rat) (Rate, error) {
	switch {
	case !coin.IsCoin() || !price.IsPrice():
		return Rate{}, fmt.Errorf("make rate: %s in %s is not a coin in a price currency", coin, price)
	case value.Sign() <= 0:
		return Rate{}, errors.New("make rate: a rate is above zero")
	}
	return Rate{coin, price, new(big.Rat).Set(value)}, nil
}

// ParseRate reads plain decimal text ("91234000", "64123.45", at most MaxText bytes) as a rate. It is strict as Parse is,
// except that any number of decimals is taken.
func ParseRate(coin, price Currency, text string) (Rate, error) {
	whole, part, dot := strings.Cut(text, ".")
	if len(text) > MaxText || strings.Trim(whole+part, "0123456789") != "" || whole == "" || dot && part == "" {
		return Rate{}, fmt.Errorf("read rate: %q is not a plain decimal number", clip(text))
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return Rate{}, fmt.Errorf("read rate: %q is not a number", clip(text))
	}
	return NewRate(coin, price, value)
}

// Coin is what is priced.
func (r Rate) Coin() Currency { return r.coin }

// Price is the currency in which the coin is priced.
func (r Rate) Price() Currency { return r.price }

// Value is a copy of the number of whole price currency per whole coin.
func (r Rate) Value() *big.Rat { return new(big.Rat).Set(r.value) }

// IsZero tells whether this is the zero Rate, which is none.
func (r Rate) IsZero() bool { return r.value == nil }

// Cmp compares two rates of the same pair: -1, 0 or +1. It panics when the pairs differ.
func (r Rate) Cmp(o Rate) int {
	if r.coin != o.coin || r.price != o.price {
		panic(fmt.Sprintf("money: rates %s/%s and %s/%s do not compare", r.coin, r.price, o.coin, o.price))
	}
	return r.value.Cmp(o.value)
}

// Text prints the rate as plain decimals, exact where it has at most 18 of them and else rounded to 18, without trailing
// zeros.
func (r Rate) Text() string {
	if r.value == nil {
		return ""
	}
	text := r.value.FloatString(18)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// String prints the rate for logs: "91234000 KRW/BTC".
func (r Rate) String() string { return r.Text() + " " + string(r.price) + "/" + string(r.coin) }

// DueUnit is the grain of amounts due: 1e-8 of a coin, in the coin's smallest unit.
func DueUnit(coin Currency) Amount {
	return OfBig(coin, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(coin.Decimals()-8)), nil))
}

// Due is what a price costs in coins at the rate, rounded up to DueUnit. It panics when the price is in another currency
// than the rate's.
func (r Rate) Due(price Amount) Amount {
	if price.Currency() != r.price {
		panic(fmt.Sprintf("money: a price in %s at a rate in %s", price.Currency(), r.price))
	}
	// units = price * 10^cd / (value * 10^pd), rounded up to the due unit.
	exact := new(big.Rat).SetFrac(price.int(), pow10(r.price.Decimals()))
	exact.Quo(exact, r.value)
	exact.Mul(exact, new(big.Rat).SetInt(pow10(r.coin.Decimals())))
	grain := DueUnit(r.coin).int()
	exact.Quo(exact, new(big.Rat).SetInt(grain))
	return OfBig(r.coin, new(big.Int).Mul(ceil(exact), grain))
}

// Worth is what coins are worth in the price currency at the rate, rounded down to the smallest unit. It panics when the
// amount is of another coin.
func (r Rate) Worth(coins Amount) Amount {
	if coins.Currency() != r.coin {
		panic(fmt.Sprintf("money: %s at a rate of %s", coins.Currency(), r.coin))
	}
	exact := new(big.Rat).SetFrac(coins.int(), pow10(r.coin.Decimals()))
	exact.Mul(exact, r.value)
	exact.Mul(exact, new(big.Rat).SetInt(pow10(r.price.Decimals())))
	return OfBig(r.price, new(big.Int).Quo(exact.Num(), exact.Denom()))
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// ceil rounds a number that is not below zero up to a whole one.
func ceil(r *big.Rat) *big.Int {
	n := new(big.Int).Add(r.Num(), r.Denom())
	n.Sub(n, big.NewInt(1))
	return n.Quo(n, r.Denom())
}
