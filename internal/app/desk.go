package app

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/webhook"
)

// openDesk makes the desk with its prices and its sender.
func (a *App) openDesk() error {
	seal, err := openSealer(a.Config)
	if err != nil {
		return err
	}
	if err := a.openRates(); err != nil {
		return err
	}
	sender, err := a.Config.sender()
	if err != nil {
		return err
	}
	a.ports.sender = sender
	if a.opts.Wrap.Sender != nil {
		a.ports.sender = a.opts.Wrap.Sender(sender)
	}
	a.Desk = &engine.Desk{
		Store: a.ports.store, Rates: prices{a.board}, Sender: a.ports.sender, Render: webhook.Render, Sealer: seal, Nets: a.Nets,
		MaxPrice: map[money.Currency]money.Amount{
			money.KRW: money.Of(money.KRW, a.Config.MaxPriceKRW), money.USD: money.Of(money.USD, a.Config.MaxPriceUSD*100),
		},
		InsecureURLs: a.Config.InsecureURLs, Log: a.log,
	}
	return nil
}

// sender is the guarded way to shops.
func (c Config) sender() (*webhook.Sender, error) {
	deny, err := prefixes(c.CallbackDeny)
	if err != nil {
		return nil, fmt.Errorf("PIPE_CALLBACK_DENY: %w", err)
	}
	var open []webhook.Opening
	for _, text := range split(c.CallbackOpen) {
		origin, nets, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("PIPE_CALLBACK_OPEN: %q is not ORIGIN=CIDR", text)
		}
		o := webhook.Opening{Origin: origin}
		for _, n := range strings.Split(nets, "+") {
			p, err := netip.ParsePrefix(n)
			if err != nil {
				return nil, fmt.Errorf("PIPE_CALLBACK_OPEN: %w", err)
			}
			o.Networks = append(o.Networks, p)
		}
		open = append(open, o)
	}
	return webhook.New(webhook.Options{AllowHTTP: c.InsecureURLs, Deny: deny, Open: open})
}
