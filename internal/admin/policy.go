package admin

import (
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A policyForm is an application's policies as its form shows them.
type policyForm struct {
	Quote, Choose, Exchange string // minutes, hours, minutes
	Tolerance               string // percent
	Hold                    string // hours
	Every                   string // a duration, "0s" at once
	Rules                   []ruleLine
	Above                   []aboveLine
	AcceptLate, Require     bool
	Schedules               []overlap
}

// A ruleLine is a rule of confirmations. Depth is a number of blocks, or "final".
type ruleLine struct {
	N                   int
	Coin                money.Currency
	From, Currency      string
	Depth               string
	Coins, FromCurrency []money.Currency
}

// An aboveLine is a coin with the least amount that is settled.
type aboveLine struct {
	Coin   money.Currency
	Amount string
}

const wordFinal = "final"

// moreRules is how many empty rows the form has for rules that are yet to be made, maxRules how many rules there may be.
const (
	moreRules = 2
	maxRules  = 20
)

func schedules() []overlap {
	return []overlap{{"0s", "schedule.once"}, {"1h0m0s", "schedule.hour"}, {"6h0m0s", "schedule.six"}, {"12h0m0s", "schedule.twelve"}, {"24h0m0s", "schedule.day"}}
}

// policyOf is what the form shows of settings.
func policyOf(s payment.Settings, served []coinLine) policyForm {
	f := policyForm{
		Quote: number(s.QuoteWindow, time.Minute), Choose: number(s.ChooseWithin, time.Hour), Exchange: number(s.ExchangeWindow, time.Minute),
		Tolerance: percent(s.Tolerance), Hold: number(s.Settle.Hold, time.Hour), Every: s.Settle.Every.String(),
		AcceptLate: s.AcceptLate, Require: s.RequireRefund, Schedules: schedules(),
	}
	known := false
	for _, o := range f.Schedules {
		known = known || o.Value == f.Every
	}
	if !known { // set by a command: kept as it is
		f.Schedules = append(f.Schedules, overlap{f.Every, ""})
	}
	coins := []money.Currency{}
	for _, c := range served {
		coins = append(coins, c.Coin)
		line := aboveLine{Coin: c.Coin}
		if a, ok := s.Settle.Above[c.Coin]; ok {
			line.Amount = a.Text()
		}
		f.Above = append(f.Above, line)
	}
	prices := []money.Currency{money.KRW, money.USD}
	for _, r := range s.Depths {
		line := ruleLine{N: len(f.Rules) + 1, Coin: r.Coin, Currency: string(r.From.Currency()), Depth: strconv.Itoa(r.Depth.Blocks), Coins: coins, FromCurrency: prices}
		if line.Currency != "" {
			line.From = r.From.Text()
		}
		if r.Depth.Final {
			line.Depth = wordFinal
		}
		f.Rules = append(f.Rules, line)
	}
	for range moreRules {
		f.Rules = append(f.Rules, ruleLine{N: len(f.Rules) + 1, Coins: coins, FromCurrency: prices})
	}
	return f
}

// number is a time in whole units, with decimals where it is none.
func number(d, unit time.Duration) string {
	text := new(big.Rat).SetFrac64(int64(d), int64(unit)).FloatString(3)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// percent is millionths in per cent.
func percent(millionths int64) string {
	text := new(big.Rat).SetFrac64(millionths, 10_000).FloatString(4)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// scaled reads a plain number, times a factor, as a whole number. Error: malformed.
func scaled(form url.Values, name string, factor int64) (int64, error) {
	text := strings.TrimSpace(form.Get(name))
	bad := payment.Malformed(name, "must be a plain number")
	if text == "" || len(text) > 16 || strings.Trim(text, "0123456789.") != "" {
		return 0, bad
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, bad
	}
	n.Mul(n, new(big.Rat).SetInt64(factor))
	if !n.IsInt() || !n.Num().IsInt64() {
		return 0, bad
	}
	return n.Num().Int64(), nil
}

// readPolicy reads the form into settings. What the form does not show stays as it is.
func readPolicy(form url.Values, was payment.Settings) (payment.Settings, error) {
	s := was
	for _, t := range []struct {
		name string
		unit time.Duration
		into *time.Duration
	}{
		{"quote_window", time.Minute, &s.QuoteWindow}, {"choose_within", time.Hour, &s.ChooseWithin},
		{"exchange_window", time.Minute, &s.ExchangeWindow}, {"settle_hold", time.Hour, &s.Settle.Hold},
	} {
		n, err := scaled(form, t.name, int64(t.unit))
		if err != nil {
			return s, err
		}
		*t.into = time.Duration(n)
	}
	var err error
	if s.Tolerance, err = scaled(form, "tolerance", 10_000); err != nil {
		return s, err
	}
	if s.Settle.Every, err = time.ParseDuration(form.Get("settle_every")); err != nil {
		return s, payment.Malformed("settle_every", "choose a schedule")
	}
	if s.Settle.Above, err = readAbove(form); err != nil {
		return s, err
	}
	s.AcceptLate, s.RequireRefund = form.Get("accept_late") != "", form.Get("require_refund") != ""
	s.Depths, err = readRules(form, was.Depths)
	return s, err
}

// readAbove reads the least amounts that are settled; an empty field is no least.
func readAbove(form url.Values) (map[money.Currency]money.Amount, error) {
	all := map[money.Currency]money.Amount{}
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		text := strings.TrimSpace(form.Get("above_" + string(coin)))
		if text == "" {
			continue
		}
		least, err := money.Parse(coin, text)
		if err != nil {
			return nil, payment.Malformed("settle_above", "%s: %s", coin, err)
		}
		all[coin] = least
	}
	return all, nil
}

// readRules reads the rules of confirmations; a row without a depth is none.
func readRules(form url.Values, was []payment.DepthRule) ([]payment.DepthRule, error) {
	var all []payment.DepthRule
	for n := 1; n <= maxRules; n++ {
		field := func(name string) string { return strings.TrimSpace(form.Get("rule_" + name + "_" + strconv.Itoa(n))) }
		if field("depth") == "" {
			continue
		}
		rule := payment.DepthRule{Coin: money.Currency(field("coin"))}
		if field("depth") == wordFinal {
			rule.Depth.Final = true
			if n <= len(was) && was[n-1].Depth.Final {
				rule.Depth.Stall = was[n-1].Depth.Stall
			}
		} else {
			blocks, err := strconv.Atoi(field("depth"))
			if err != nil {
				return nil, payment.Malformed("confirmations", "must be a number of blocks, or final")
			}
			rule.Depth.Blocks = blocks
		}
		if from := field("from"); from != "" {
			currency := money.Currency(field("currency"))
			if !currency.IsPrice() {
				return nil, payment.Malformed("confirmations", "choose the currency of the price")
			}
			amount, err := money.Parse(currency, from)
			if err != nil {
				return nil, payment.Malformed("confirmations", "%s", err)
			}
			rule.From = amount
		}
		all = append(all, rule)
	}
	return all, nil
}

// savePolicy sets all policies of an application.
func (d *door) savePolicy(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := payment.ID(r.PathValue("id"))
	app, _, err := d.Integrator.Application(r.Context(), v.By, id)
	if err != nil {
		return err
	}
	is, err := readPolicy(r.PostForm, app.Settings)
	if err != nil {
		return d.changed(w, r, v, change{"policy", err})
	}
	_, err = d.Integrator.Set(r.Context(), v.By, id, engine.Edit{
		Change: engine.Change{Settings: func(s *payment.Settings) {
			is.Look = s.Look
			*s = is
		}}, Action: "application.policy",
		Data: func(was, is payment.Application) map[string]any {
			return map[string]any{"from": told(was.Settings), "to": told(is.Settings)}
		},
	})
	return d.changed(w, r, v, change{"policy", err})
}

// told is what the audit log says of settings.
func told(s payment.Settings) map[string]any {
	depths := []string{}
	for _, r := range s.Depths {
		depth := strconv.Itoa(r.Depth.Blocks)
		if r.Depth.Final {
			depth = wordFinal
		}
		text := string(r.Coin) + " " + depth
		if r.From.Currency() != "" {
			text += " from " + r.From.String()
		}
		depths = append(depths, text)
	}
	above := []string{}
	for _, least := range s.Settle.Above {
		above = append(above, least.String())
	}
	return map[string]any{
		"quote_window": s.QuoteWindow.String(), "choose_within": s.ChooseWithin.String(), "exchange_window": s.ExchangeWindow.String(),
		"tolerance_millionths": s.Tolerance, "confirmations": depths, "accept_late": s.AcceptLate, "require_refund": s.RequireRefund,
		"settle_hold": s.Settle.Hold.String(), "settle_every": s.Settle.Every.String(), "settle_above": above,
	}
}
