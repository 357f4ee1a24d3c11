package money

import (
	"fmt"
	"math/big"
	"strings"
)

// An Amount is a whole number of the smallest unit of a currency. Amounts never change; arithmetic gives new ones. The
// zero Amount has no currency and stands for "nothing known"; it may be added to any amount.
type Amount struct {
	currency Currency
	units    *big.Int // nil reads as zero; never written after construction
}

// Of is the amount of so many smallest units.
func Of(c Currency, units int64) Amount { return Amount{c, big.NewInt(units)} }

// OfBig is the amount of so many smallest units. The number is copied.
func OfBig(c Currency, units *big.Int) Amount { return Amount{c, new(big.Int).Set(units)} }

// OfUnits reads a whole number of smallest units, as Units prints it: an optional minus sign and decimal digits.
func OfUnits(c Currency, text string) (Amount, error) {
	if !c.Known() {
		return Amount{}, fmt.Errorf("read amount: unknown currency %q", string(c))
	}
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || len(digits) > MaxUnitDigits || strings.Trim(digits, "0123456789") != "" {
		return Amount{}, fmt.Errorf("read amount: %q is not a whole number of smallest units", clip(text))
	}
	n, _ := new(big.Int).SetString(text, 10)
	return Amount{c, n}, nil
}

// Zero is nothing of a currency.
func Zero(c Currency) Amount { return Amount{currency: c} }

// Currency is the amount's currency, "" for the zero Amount.
func (a Amount) Currency() Currency { return a.currency }

// Big is a copy of the number of smallest units.
func (a Amount) Big() *big.Int { return new(big.Int).Set(a.int()) }

// Units prints the whole number of smallest units, as the store keeps it.
func (a Amount) Units() string { return a.int().String() }

// Sign is -1, 0 or +1.
func (a Amount) Sign() int { return a.int().Sign() }

// IsZero tells whether there is nothing.
func (a Amount) IsZero() bool { return a.Sign() == 0 }

// Add adds. Both must be of one currency, or one of them the zero Amount; else it panics.
func (a Amount) Add(b Amount) Amount {
	return Amount{a.same(b), new(big.Int).Add(a.int(), b.int())}
}

// Sub subtracts; the result may be below zero. It panics as Add does.
func (a Amount) Sub(b Amount) Amount {
	return Amount{a.same(b), new(big.Int).Sub(a.int(), b.int())}
}

// Neg is the amount with the other sign.
func (a Amount) Neg() Amount { return Amount{a.currency, new(big.Int).Neg(a.int())} }

// Cmp compares: -1, 0 or +1. It panics as Add does.
func (a Amount) Cmp(b Amount) int { a.same(b); return a.int().Cmp(b.int()) }

// Less tells whether a < b. It panics as Add does.
func (a Amount) Less(b Amount) bool { return a.Cmp(b) < 0 }

// Equal tells whether currency and number are the same. It never panics.
func (a Amount) Equal(b Amount) bool { return a.currency == b.currency && a.int().Cmp(b.int()) == 0 }

// Sum adds up amounts of one currency, giving Zero(c) for none. It panics as Add does.
func Sum(c Currency, all ...Amount) Amount {
	sum := Zero(c)
	for _, a := range all {
		sum = sum.Add(a)
	}
	return sum
}

// PerMillion is the part of a that is so many millionths, rounded down. Used for tolerances.
func (a Amount) PerMillion(ppm int64) Amount {
	n := new(big.Int).Mul(a.int(), big.NewInt(ppm))
	return Amount{a.currency, n.Quo(n, big.NewInt(1_000_000))}
}

// Text prints the amount in whole coins or money: plain decimal digits, no exponent, no trailing zeros, no separators
// ("0.06673", "10500", "12.3"). The result parses back to the same amount.
func (a Amount) Text() string {
	if a.currency == "" {
		return "0"
	}
	return decimal(a.int(), a.currency.Decimals(), 0)
}

// Fixed prints like Text, but with at least so many decimals ("12.30" for two).
func (a Amount) Fixed(decimals int) string {
	if a.currency == "" {
		return "0"
	}
	return decimal(a.int(), a.currency.Decimals(), decimals)
}

// String prints the amount with its currency, for logs and errors.
func (a Amount) String() string { return a.Text() + " " + string(a.currency) }

// MarshalJSON writes an amount for machines: the currency and whole smallest units, "BTC:1000"; "" for the zero Amount.
func (a Amount) MarshalJSON() ([]byte, error) {
	if a.currency == "" {
		return []byte(`""`), nil
	}
	return []byte(`"` + string(a.currency) + ":" + a.Units() + `"`), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *Amount) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "" {
		*a = Amount{}
		return nil
	}
	c, units, ok := strings.Cut(text, ":")
	if !ok || !Currency(c).Known() {
		return fmt.Errorf("money: %.80q is no amount", text)
	}
	read, err := OfUnits(Currency(c), units)
	if err != nil {
		return err
	}
	*a = read
	return nil
}

func (a Amount) int() *big.Int {
	if a.units == nil {
		return new(big.Int)
	}
	return a.units
}

func (a Amount) same(b Amount) Currency {
	switch {
	case a.currency == b.currency, b.currency == "":
		return a.currency
	case a.currency == "":
		return b.currency
	}
	panic(fmt.Sprintf("money: %s and %s do not mix", a.currency, b.currency))
}

// decimal prints n / 10^places with at least min decimals and no further trailing zeros.
func decimal(n *big.Int, places, min int) string {
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	digits := new(big.Int).Abs(n).String()
	if pad := places + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	whole, part := digits[:len(digits)-places], strings.TrimRight(digits[len(digits)-places:], "0")
	if short := min - len(part); short > 0 {
		part += strings.Repeat("0", short)
	}
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}
