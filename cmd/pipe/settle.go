package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// settleFlags say when coins of paid invoices go to the settlement address.
type settleFlags struct {
	SettleHold  *time.Duration `placeholder:"DURATION" help:"How long coins are kept after a payment before they are settled, so that refunds still find them (0)."`
	SettleEvery *time.Duration `placeholder:"DURATION" help:"Settle at multiples of it since midnight UTC, like 6h or 24h; 0 for at once."`
	SettleAbove []string       `placeholder:"COIN=AMOUNT" help:"Settle a coin once so much of it waits: BTC=0.01. BTC= for any amount."`
}

// change turns the flags into a change of the policy.
func (s settleFlags) change() (func(to *payment.SettlePolicy), error) {
	above := map[money.Currency]money.Amount{}
	for _, text := range s.SettleAbove {
		name, value, ok := strings.Cut(text, "=")
		coin := money.Currency(strings.ToUpper(name))
		if !ok || !coin.IsCoin() {
			return nil, fmt.Errorf("--settle-above %s: write COIN=AMOUNT, like BTC=0.01", text)
		}
		above[coin] = money.Zero(coin)
		if value != "" {
			least, err := money.Parse(coin, value)
			if err != nil {
				return nil, fmt.Errorf("--settle-above %s: %w", text, err)
			}
			above[coin] = least
		}
	}
	return func(to *payment.SettlePolicy) {
		set(&to.Hold, s.SettleHold)
		set(&to.Every, s.SettleEvery)
		kept := map[money.Currency]money.Amount{}
		maps.Copy(kept, to.Above)
		maps.Copy(kept, above)
		maps.DeleteFunc(kept, func(_ money.Currency, least money.Amount) bool { return least.IsZero() })
		to.Above = kept
	}, nil
}

// settleJSON is a settlement policy as the commands print it.
type settleJSON struct {
	Hold  string                    `json:"hold"`
	Every string                    `json:"every"` // 0s: at once
	Above map[money.Currency]string `json:"above"` // in whole coins
}

func settleView(p payment.SettlePolicy) settleJSON {
	v := settleJSON{p.Hold.String(), p.Every.String(), map[money.Currency]string{}}
	for coin, least := range p.Above {
		v.Above[coin] = least.Text()
	}
	return v
}

// text is the policy in words.
func (v settleJSON) text() string {
	when := "at once"
	if v.Every != "0s" {
		when = "every " + v.Every
	}
	if v.Hold != "0s" {
		when += ", held for " + v.Hold
	}
	for _, coin := range slices.Sorted(maps.Keys(v.Above)) {
		when += fmt.Sprintf(", from %s %s", v.Above[coin], coin)
	}
	return when
}
