package money

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Parse reads plain decimal text as an amount: digits, then optionally a dot and more digits. A sign, an exponent,
// separators, white space, digits other than ASCII 0 to 9, a missing whole part and a superfluous leading zero are
// refused. Decimals beyond the currency's smallest unit are refused unless they are zeros. The error tells what is wrong
// and how to write it, in words fit for a caller.
func Parse(c Currency, text string) (Amount, error) {
	if !c.Known() {
		return Amount{}, fmt.Errorf("unknown currency %q", string(c))
	}
	if len(text) > MaxText {
		return Amount{}, fmt.Errorf("a number has at most %d characters", MaxText)
	}
	whole, part, dot := strings.Cut(text, ".")
	switch {
	case text == "":
		return Amount{}, errors.New("a number is missing")
	case strings.Trim(whole+part, "0123456789") != "", whole == "", dot && part == "":
		return Amount{}, fmt.Errorf("%q is not a plain decimal number like 10500 or 12.34", clip(text))
	case len(whole) > 1 && whole[0] == '0':
		return Amount{}, fmt.Errorf("%q begins with a superfluous zero", clip(text))
	}
	places := c.Decimals()
	kept := strings.TrimRight(part, "0")
	if len(kept) > places {
		return Amount{}, fmt.Errorf("%s has at most %d decimals, %q has more", c, places, clip(text))
	}
	n, ok := new(big.Int).SetString(whole+kept+strings.Repeat("0", places-len(kept)), 10)
	if !ok {
		return Amount{}, fmt.Errorf("%q is not a number", clip(text))
	}
	return Amount{c, n}, nil
}

// clip shortens text that is repeated in an error.
func clip(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}
