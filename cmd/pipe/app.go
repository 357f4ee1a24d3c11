package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

type appCommand struct {
	Add       appAddCommand    `cmd:"" help:"Add an application to a merchant; prints its API key and callback secret, once."`
	List      appListCommand   `cmd:"" help:"List applications."`
	Set       appSetCommand    `cmd:"" help:"Change an application; what is not named stays."`
	AddKey    appAddKeyCommand `cmd:"" help:"Make a further API key, for a server that may do less."`
	RotateKey appRotateCommand `cmd:"" help:"Make a new API key that may do everything; all others end after the overlap."`
}

// settings are the flags that add and set share. Lists replace what was there; give a flag several times, or commas.
type settings struct {
	Name       *string  `help:"Name of the shop."`
	URL        []string `name:"url" help:"Web service URL: callback, redirect and framing are allowed below it."`
	IP         []string `name:"ip" help:"IP address or CIDR that may call the API."`
	Coin       []string `help:"BTC, ETH."`
	Settlement []string `placeholder:"COIN=ADDRESS" help:"Where coins of paid invoices are forwarded to. COIN= takes the address away: then they stay in the PIPE wallet."`
	settleFlags
	QuoteWindow    *time.Duration `help:"How long a quote holds (30m)."`
	ChooseWithin   *time.Duration `help:"How long an invoice waits for a coin to be chosen (24h)."`
	ExchangeWindow *time.Duration `help:"Quote window for payers at an exchange (60m)."`
	Tolerance      *string        `placeholder:"PERCENT" help:"How much may be missing for an invoice to count as paid (0.5)."`
	Confirmations  []string       `placeholder:"COIN[@PRICE]=N" help:"Blocks until a deposit counts: BTC=2, ETH=12, ETH=final, BTC@1000USD=3. Replaces all."`
	AcceptLate     *bool          `negatable:"" help:"Take late payments whose value at arrival is within tolerance."`
	RequireRefund  *bool          `negatable:"" help:"Ask the payer for a refund address first."`
	Color          *string        `placeholder:"#RRGGBB" help:"Colour of buttons and links on the payment page; empty for PIPE's own. Contrast is kept."`
	Logo           *string        `placeholder:"FILE" help:"PNG of at most 32 KiB on the payment page; empty for none."`
	Support        *string        `placeholder:"CONTACT" help:"E-mail address or https URL for payers; empty for none."`
	Encoding       *string        `enum:"json,form" help:"Encoding of callbacks: json or form."`
	Event          []string       `placeholder:"EVENT" help:"Extra callbacks: seen, expired, refunded, reversed; none for none. Replaces all."`
}

// change turns the flags into a change. Only flags that were given are in it.
func (s settings) change() (engine.Change, error) {
	c := engine.Change{Name: s.Name, Settlement: map[money.Currency]string{}}
	if s.URL != nil {
		c.Origins = &s.URL
	}
	if s.IP != nil {
		c.Networks = &s.IP
	}
	if s.Coin != nil {
		var coins []money.Currency
		for _, coin := range s.Coin {
			coins = append(coins, money.Currency(strings.ToUpper(coin)))
		}
		c.Coins = &coins
	}
	for _, text := range s.Settlement {
		coin, address, ok := strings.Cut(text, "=")
		if !ok {
			return c, fmt.Errorf("--settlement %s: write COIN=ADDRESS", text)
		}
		c.Settlement[money.Currency(strings.ToUpper(coin))] = address
	}
	depths, err := s.depths()
	if err != nil {
		return c, err
	}
	tolerance, err := s.tolerance()
	if err != nil {
		return c, err
	}
	logo, err := s.logo()
	if err != nil {
		return c, err
	}
	settle, err := s.settleFlags.change()
	if err != nil {
		return c, err
	}
	c.Settings = func(to *payment.Settings) {
		settle(&to.Settle)
		s.look(&to.Look, logo)
		set(&to.QuoteWindow, s.QuoteWindow)
		set(&to.ChooseWithin, s.ChooseWithin)
		set(&to.ExchangeWindow, s.ExchangeWindow)
		set(&to.Tolerance, tolerance)
		set(&to.AcceptLate, s.AcceptLate)
		set(&to.RequireRefund, s.RequireRefund)
		if s.Confirmations != nil {
			to.Depths = depths
		}
	}
	return c, s.callback(&c)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// look sets what was given.
func (s settings) look(to *payment.Look, logo []byte) {
	if s.Color != nil {
		to.Color = strings.ToLower(*s.Color)
	}
	if s.Logo != nil {
		to.Logo = logo
	}
	set(&to.Support, s.Support)
}

// logo reads the file that was named, no further than one byte above what is taken.
func (s settings) logo() (b []byte, err error) {
	if s.Logo == nil || *s.Logo == "" {
		return nil, nil //nolint:nilnil // none is not an error
	}
	f, err := os.Open(*s.Logo)
	if err != nil {
		return nil, fmt.Errorf("--logo: %w", err)
	}
	if b, err = io.ReadAll(io.LimitReader(f, payment.MaxLogo+1)); err != nil {
		return nil, errors.Join(fmt.Errorf("--logo %s: %w", *s.Logo, err), f.Close())
	}
	return b, f.Close()
}

// tolerance reads a percentage with up to four decimals as millionths.
func (s settings) tolerance() (*int64, error) {
	if s.Tolerance == nil {
		return nil, nil //nolint:nilnil // not given is not an error
	}
	whole, part, _ := strings.Cut(strings.TrimSuffix(*s.Tolerance, "%"), ".")
	digits := whole + (part + "0000")[:4]
	var n int64
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || whole == "" || len(part) > 4 || len(digits) > 8 || strings.Trim(digits, "0123456789") != "" {
		return nil, fmt.Errorf("--tolerance %s: write a percentage like 0.5", *s.Tolerance)
	}
	return &n, nil
}

// depths reads COIN[@PRICE]=N|final.
func (s settings) depths() ([]payment.DepthRule, error) {
	var all []payment.DepthRule
	for _, text := range s.Confirmations {
		wrong := fmt.Errorf("--confirmations %s: write BTC=2, ETH=final or BTC@1000USD=3", text)
		left, right, ok := strings.Cut(text, "=")
		coin, price, from := strings.Cut(left, "@")
		r := payment.DepthRule{Coin: money.Currency(strings.ToUpper(coin))}
		if !ok {
			return nil, wrong
		}
		if from {
			var err error
			cut := max(len(price)-3, 0)
			if r.From, err = money.Parse(money.Currency(strings.ToUpper(price[cut:])), price[:cut]); err != nil || !r.From.Currency().IsPrice() {
				return nil, wrong
			}
		}
		if strings.EqualFold(right, "final") {
			r.Depth.Final = true
		} else if _, err := fmt.Sscanf(right, "%d", &r.Depth.Blocks); err != nil || fmt.Sprint(r.Depth.Blocks) != right {
			return nil, wrong
		}
		all = append(all, r)
	}
	return all, nil
}

func (s settings) callback(c *engine.Change) error {
	for _, event := range s.Event {
		if !slices.Contains([]string{"seen", "expired", "refunded", "reversed", "none"}, event) {
			return fmt.Errorf("--event %s: there are seen, expired, refunded, reversed, none", event)
		}
	}
	c.Callback = func(to *payment.CallbackSettings) {
		if s.Encoding != nil && *s.Encoding != "" {
			to.Encoding = payment.Encoding(*s.Encoding)
		}
		if s.Event != nil {
			has := func(event string) bool { return slices.Contains(s.Event, event) }
			to.Seen, to.Expired, to.Refunded, to.Reversed = has("seen"), has("expired"), has("refunded"), has("reversed")
		}
	}
	return nil
}

type appAddCommand struct {
	Merchant string `arg:"" help:"Id of the merchant."`
	JSON     bool   `help:"Answer in JSON."`
	settings
}

func (c appAddCommand) Run(e *env) error {
	change, err := c.change()
	if err != nil {
		return err
	}
	return e.withDesk(func(a *app.App) error {
		made, err := a.Desk.AddApplication(e.ctx, payment.ID(strings.ToUpper(c.Merchant)), change)
		if err != nil {
			return err
		}
		if c.JSON {
			view := viewOf(made.Application)
			view.APIKey, view.Secret = made.Key, made.Secret
			return e.json(view)
		}
		_, err = fmt.Fprintf(e.stdout, "application     %s\napi key         %s\ncallback secret %s\n\nKey and secret are shown only now.\n", made.ID, made.Key, made.Secret)
		return err
	})
}

type appSetCommand struct {
	Application string `arg:"" help:"Id of the application."`
	JSON        bool   `help:"Answer in JSON."`
	settings
}

func (c appSetCommand) Run(e *env) error {
	change, err := c.change()
	if err != nil {
		return err
	}
	return e.withDesk(func(a *app.App) error {
		set, err := a.Desk.SetApplication(e.ctx, payment.ID(strings.ToUpper(c.Application)), change)
		if err != nil {
			return err
		}
		return e.show(c.JSON, viewOf(set))
	})
}

type appListCommand struct {
	JSON bool `help:"Answer in JSON."`
}

func (c appListCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		all := []appJSON{}
		for after := payment.ID(""); ; {
			page, err := a.Desk.Applications(e.ctx, after)
			if err != nil {
				return err
			}
			for _, one := range page {
				after = one.ID
				all = append(all, viewOf(one))
			}
			if len(page) < engine.Batch {
				break
			}
		}
		if c.JSON {
			return e.json(all)
		}
		for _, v := range all {
			if err := e.show(false, v); err != nil {
				return err
			}
		}
		return nil
	})
}

type appAddKeyCommand struct {
	Application string `arg:"" help:"Id of the application."`
	NoRefund    bool   `help:"The key may not ask for refunds."`
	JSON        bool   `help:"Answer in JSON."`
}

func (c appAddKeyCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		key, err := a.Desk.AddKey(e.ctx, payment.ID(strings.ToUpper(c.Application)), c.NoRefund)
		if err != nil {
			return err
		}
		if c.JSON {
			return e.json(map[string]string{"api_key": key})
		}
		_, err = fmt.Fprintf(e.stdout, "api key %s\n\nIt is shown only now.\n", key)
		return err
	})
}

type appRotateCommand struct {
	Application string        `arg:"" help:"Id of the application."`
	Overlap     time.Duration `default:"24h" help:"How long the old keys still work."`
	JSON        bool          `help:"Answer in JSON."`
}

func (c appRotateCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		key, err := a.Desk.RotateKey(e.ctx, payment.ID(strings.ToUpper(c.Application)), c.Overlap)
		if err != nil {
			return err
		}
		if c.JSON {
			return e.json(map[string]string{"api_key": key})
		}
		_, err = fmt.Fprintf(e.stdout, "api key %s\n\nIt is shown only now. The old keys end in %s.\n", key, c.Overlap)
		return err
	})
}
