package app

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/webhook"
)

// openDesk makes the desk with its prices and its sender.
func (a *App) openDesk(ctx context.Context) error {
	sealed, err := a.someSecret(ctx)
	if err != nil {
		return err
	}
	seal, err := openSealer(a.Config, sealed == nil)
	if err != nil {
		return err
	}
	if sealed != nil {
		if _, err := seal.Open(sealed); err != nil {
			a.log.ErrorContext(ctx, "callbacks cannot be signed: set PIPE_SECRET_KEY to the key of this database", "error", err)
		}
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
	look, err := a.openLookers()
	if err != nil {
		return err
	}
	fees, err := a.fees()
	if err != nil {
		return err
	}
	a.Desk = &engine.Desk{
		Store: a.ports.store, Rates: prices{a.board}, Sender: a.ports.sender, Render: webhook.Render, Sealer: seal, Nets: a.Nets, Lookers: look,
		MaxPrice: map[money.Currency]money.Amount{
			money.KRW: money.Of(money.KRW, a.Config.MaxPriceKRW), money.USD: money.Of(money.USD, a.Config.MaxPriceUSD*100),
		},
		Fees: fees, InsecureURLs: a.Config.InsecureURLs, Room: a.room, Peers: engine.NewPeerNotes(),
		World: engine.World{Test: a.sandbox(), Other: strings.TrimSuffix(a.Config.OtherWorld, "/")}, Log: a.log,
	}
	a.Office = a.newOffice(seal)
	return nil
}

// fees tell what withdrawals would cost. They are builders of their own: the desk makes and sends nothing.
func (a *App) fees() (map[money.Network]engine.FeeReader, error) {
	all := map[money.Network]engine.FeeReader{}
	for _, n := range a.Nets {
		b, err := a.Config.builder(n.Network, a.opts.Now, a.log)
		if err != nil {
			return nil, fmt.Errorf("set up fees of %s: %w", n.Network, err)
		}
		all[n.Network] = b
	}
	return all, nil
}

// someSecret is a sealed secret that the database holds, nil where it has none yet.
func (a *App) someSecret(ctx context.Context) (sealed []byte, err error) {
	err = a.ports.store.View(ctx, func(tx engine.Tx) error {
		apps, err := tx.Applications("", 1)
		for _, app := range apps {
			for _, s := range app.Callback.Secrets {
				sealed = s.Sealed
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for secrets: %w", err)
	}
	return sealed, nil
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
