package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// appJSON is an application as the commands print it.
type appJSON struct {
	ID            payment.ID                `json:"id"`
	MerchantID    payment.ID                `json:"merchant_id"`
	Name          string                    `json:"name"`
	URLs          []string                  `json:"urls"`
	IPs           []string                  `json:"ips"`
	Coins         []money.Currency          `json:"coins"`
	Settlement    map[money.Currency]string `json:"settlement"`
	Settle        settleJSON                `json:"settle"`
	QuoteWindow   string                    `json:"quote_window"`
	ChooseWithin  string                    `json:"choose_within"`
	Exchange      string                    `json:"exchange_window"`
	Tolerance     string                    `json:"tolerance_percent"`
	Confirmations []string                  `json:"confirmations"`
	AcceptLate    bool                      `json:"accept_late"`
	RequireRefund bool                      `json:"require_refund"`
	Color         string                    `json:"color"`
	LogoBytes     int                       `json:"logo_bytes"`
	Support       string                    `json:"support"`
	Encoding      payment.Encoding          `json:"encoding"`
	Events        []string                  `json:"events"`
	APIKey        string                    `json:"api_key,omitempty"`
	Secret        string                    `json:"callback_secret,omitempty"`
}

func viewOf(a payment.Application) appJSON {
	v := appJSON{
		ID: a.ID, MerchantID: a.MerchantID, Name: a.Name, URLs: append([]string{}, a.Origins...), IPs: []string{}, Coins: a.Coins,
		Settlement: a.Settlement, Settle: settleView(a.Settings.Settle), QuoteWindow: a.Settings.QuoteWindow.String(), ChooseWithin: a.Settings.ChooseWithin.String(),
		Exchange: a.Settings.ExchangeWindow.String(), Tolerance: percent(a.Settings.Tolerance), Confirmations: []string{},
		AcceptLate: a.Settings.AcceptLate, RequireRefund: a.Settings.RequireRefund, Encoding: a.Callback.Encoding, Events: []string{},
	}
	v.Color, v.LogoBytes, v.Support = a.Settings.Look.Color, len(a.Settings.Look.Logo), a.Settings.Look.Support
	for _, n := range a.Networks {
		v.IPs = append(v.IPs, n.String())
	}
	for _, r := range a.Settings.Depths {
		text := string(r.Coin)
		if r.From.Currency() != "" {
			text += "@" + r.From.Text() + string(r.From.Currency())
		}
		if r.Depth.Final {
			text += "=final"
		} else {
			text += fmt.Sprintf("=%d", r.Depth.Blocks)
		}
		v.Confirmations = append(v.Confirmations, text)
	}
	for name, on := range map[string]bool{
		"seen": a.Callback.Seen, "expired": a.Callback.Expired, "refunded": a.Callback.Refunded, "reversed": a.Callback.Reversed,
	} {
		if on {
			v.Events = append(v.Events, name)
		}
	}
	slices.Sort(v.Events)
	return v
}

// percent prints millionths as a percentage.
func percent(ppm int64) string {
	text := fmt.Sprintf("%d.%04d", ppm/10_000, ppm%10_000)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

func (e *env) show(asJSON bool, v appJSON) error {
	if asJSON {
		return e.json(v)
	}
	var settlement []string
	for _, coin := range slices.Sorted(maps.Keys(v.Settlement)) {
		settlement = append(settlement, string(coin)+"="+v.Settlement[coin])
	}
	logo := ""
	if v.LogoBytes > 0 {
		logo = fmt.Sprintf("of %d bytes", v.LogoBytes)
	}
	_, err := fmt.Fprintf(e.stdout, `application %s
  name            %s
  merchant        %s
  urls            %s
  ips             %s
  coins           %s
  settlement      %s, %s
  quote window    %s (exchange %s, choose within %s)
  tolerance       %s %%
  confirmations   %s
  accept late     %t, require refund address %t
  callbacks       %s, extra events: %s
  page            colour %s, logo %s, support %s
`, v.ID, v.Name, v.MerchantID, list(v.URLs), list(v.IPs), list(v.Coins), list(settlement), v.Settle.text(), v.QuoteWindow, v.Exchange, v.ChooseWithin,
		v.Tolerance, list(v.Confirmations), v.AcceptLate, v.RequireRefund, v.Encoding, list(v.Events), list(one(v.Color)), list(one(logo)), list(one(v.Support)))
	return err
}

// one is a list of a text, empty for none.
func one(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func list[T ~string](all []T) string {
	if len(all) == 0 {
		return "–"
	}
	var texts []string
	for _, t := range all {
		texts = append(texts, string(t))
	}
	return strings.Join(texts, ", ")
}
