package store

import (
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// settingsRow, settleRow, depthRuleRow, amountRow, callbackRow and secretRow are how an application's settings are kept: the words of
// the domain may change, these may not.
type settingsRow struct {
	QuoteWindowMS    int64          `json:"quote_window_ms"`
	ChooseWithinMS   int64          `json:"choose_within_ms"`
	ExchangeWindowMS int64          `json:"exchange_window_ms"`
	Tolerance        int64          `json:"tolerance"`
	Depths           []depthRuleRow `json:"depths,omitempty"`
	AcceptLate       bool           `json:"accept_late,omitempty"`
	RequireRefund    bool           `json:"require_refund,omitempty"`
	Look             lookRow        `json:"look,omitzero"`
	Settle           settleRow      `json:"settle,omitzero"`
}

type settleRow struct {
	HoldMS  int64             `json:"hold_ms,omitempty"`
	EveryMS int64             `json:"every_ms,omitempty"`
	Above   map[string]string `json:"above,omitempty"` // units by coin
}

type lookRow struct {
	Color   string `json:"color,omitempty"`
	Logo    []byte `json:"logo,omitempty"`
	Support string `json:"support,omitempty"`
}

func (l lookRow) IsZero() bool { return l.Color == "" && l.Support == "" && len(l.Logo) == 0 }

type depthRuleRow struct {
	Coin  string    `json:"coin"`
	From  amountRow `json:"from,omitzero"`
	Depth depthRow  `json:"depth"`
}

type depthRow struct {
	Blocks int  `json:"blocks,omitempty"`
	Final  bool `json:"final,omitempty"`
	Stall  int  `json:"stall,omitempty"`
}

type amountRow struct {
	Currency string `json:"currency"`
	Units    string `json:"units"`
}

type callbackRow struct {
	Encoding string      `json:"encoding"`
	Seen     bool        `json:"seen,omitempty"`
	Expired  bool        `json:"expired,omitempty"`
	Refunded bool        `json:"refunded,omitempty"`
	Reversed bool        `json:"reversed,omitempty"`
	Secrets  []secretRow `json:"secrets,omitempty"`
}

type secretRow struct {
	Sealed  []byte `json:"sealed"`
	UntilMS int64  `json:"until_ms,omitempty"`
}

// AddApplication stores an application.
func (t *tx) AddApplication(a payment.Application) error {
	r, err := applicationRow(a)
	if err != nil {
		return t.fail("add application", err)
	}
	return t.fail("add application", t.q.AddApplication(t.ctx, row.AddApplicationParams{
		ID: r.ID, MerchantID: r.MerchantID, Name: r.Name, Origins: r.Origins, Networks: r.Networks, Coins: r.Coins,
		Settlement: r.Settlement, Settings: r.Settings, Callback: r.Callback, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		Rev: r.Rev,
	}))
}

// SwapApplication saves everything of an application but its id, merchant and CreatedAt.
func (t *tx) SwapApplication(a payment.Application) error {
	r, err := applicationRow(a)
	if err != nil {
		return t.fail("save application", err)
	}
	n, err := t.q.SwapApplication(t.ctx, row.SwapApplicationParams{
		Name: r.Name, Origins: r.Origins, Networks: r.Networks, Coins: r.Coins, Settlement: r.Settlement,
		Settings: r.Settings, Callback: r.Callback, UpdatedAt: r.UpdatedAt, ID: r.ID, Rev: r.Rev,
	})
	return t.swapped("save application", n, err)
}

// Application finds an application.
func (t *tx) Application(id payment.ID) (payment.Application, error) {
	r, err := t.q.Application(t.ctx, string(id))
	if err != nil {
		return payment.Application{}, t.fail("find application", err)
	}
	a, err := application(r)
	return a, t.fail("read application", err)
}

// Applications are those after an id in id order.
func (t *tx) Applications(after payment.ID, limit int) ([]payment.Application, error) {
	rows, err := t.q.Applications(t.ctx, row.ApplicationsParams{ID: string(after), Most: atMost(limit)})
	if err != nil {
		return nil, t.fail("list applications", err)
	}
	all, err := each(rows, application)
	return all, t.fail("read applications", err)
}

// AddKey stores an API key's hash.
func (t *tx) AddKey(k payment.Key) error {
	return t.fail("add key", t.q.AddKey(t.ctx, row.AddKeyParams{
		ID: string(k.ID), ApplicationID: string(k.ApplicationID), Hash: bytes(k.Hash), Hint: k.Hint, NoRefund: k.NoRefund,
		CreatedAt: millis(k.CreatedAt), ExpiresAt: millis(k.ExpiresAt),
	}))
}

// KeyByHash finds a key, expired or not.
func (t *tx) KeyByHash(hash []byte) (payment.Key, error) {
	r, err := t.q.KeyByHash(t.ctx, bytes(hash))
	if err != nil {
		return payment.Key{}, t.fail("find key", err)
	}
	return key(r), nil
}

// Keys are an application's, in the order of their making.
func (t *tx) Keys(application payment.ID) ([]payment.Key, error) {
	rows, err := t.q.Keys(t.ctx, string(application))
	all := make([]payment.Key, len(rows))
	for i, r := range rows {
		all[i] = key(r)
	}
	return all, t.fail("list keys", err)
}

// ExpireKey sets when a key ends.
func (t *tx) ExpireKey(id payment.ID, end time.Time) error {
	n, err := t.q.ExpireKey(t.ctx, row.ExpireKeyParams{ExpiresAt: millis(end), ID: string(id)})
	if err == nil && n == 0 {
		return fmt.Errorf("expire key: %w", payment.ErrAbsent)
	}
	return t.fail("expire key", err)
}

func key(r row.ApiKey) payment.Key {
	return payment.Key{
		ID: payment.ID(r.ID), ApplicationID: payment.ID(r.ApplicationID), Hash: r.Hash, Hint: r.Hint, NoRefund: r.NoRefund,
		CreatedAt: at(r.CreatedAt), ExpiresAt: at(r.ExpiresAt),
	}
}

func applicationRow(a payment.Application) (row.Application, error) {
	s, cb := a.Settings, a.Callback
	settings := settingsRow{
		QuoteWindowMS: s.QuoteWindow.Milliseconds(), ChooseWithinMS: s.ChooseWithin.Milliseconds(),
		ExchangeWindowMS: s.ExchangeWindow.Milliseconds(), Tolerance: s.Tolerance,
		AcceptLate: s.AcceptLate, RequireRefund: s.RequireRefund, Look: lookRow(s.Look),
	}
	settings.Settle = settleRow{HoldMS: s.Settle.Hold.Milliseconds(), EveryMS: s.Settle.Every.Milliseconds()}
	for coin, least := range s.Settle.Above {
		if least.Currency() != coin {
			return row.Application{}, fmt.Errorf("settle %s above %s", coin, least)
		}
		if settings.Settle.Above == nil {
			settings.Settle.Above = make(map[string]string, len(s.Settle.Above))
		}
		settings.Settle.Above[string(coin)] = least.Units()
	}
	for _, d := range s.Depths {
		settings.Depths = append(settings.Depths, depthRuleRow{string(d.Coin), keepAmount(d.From), depthRow(d.Depth)})
	}
	callback := callbackRow{
		Encoding: string(cb.Encoding), Seen: cb.Seen, Expired: cb.Expired, Refunded: cb.Refunded, Reversed: cb.Reversed,
	}
	for _, secret := range cb.Secrets {
		callback.Secrets = append(callback.Secrets, secretRow{secret.Sealed, millis(secret.Until)})
	}
	var j jsons
	r := row.Application{
		ID: string(a.ID), MerchantID: string(a.MerchantID), Name: a.Name,
		Origins: j.text(list(a.Origins)), Networks: j.text(list(a.Networks)), Coins: j.text(list(a.Coins)),
		Settlement: j.text(a.Settlement), Settings: j.text(settings), Callback: j.text(callback),
		CreatedAt: millis(a.CreatedAt), UpdatedAt: millis(a.UpdatedAt), Rev: a.Rev,
	}
	return r, j.err
}

func application(r row.Application) (payment.Application, error) {
	var j jsons
	var settings settingsRow
	var callback callbackRow
	a := payment.Application{
		ID: payment.ID(r.ID), MerchantID: payment.ID(r.MerchantID), Name: r.Name,
		CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt), Rev: r.Rev,
	}
	j.read(r.Origins, &a.Origins)
	j.read(r.Networks, &a.Networks)
	j.read(r.Coins, &a.Coins)
	j.read(r.Settlement, &a.Settlement)
	j.read(r.Settings, &settings)
	j.read(r.Callback, &callback)
	a.Settings = payment.Settings{
		QuoteWindow: span(settings.QuoteWindowMS), ChooseWithin: span(settings.ChooseWithinMS),
		ExchangeWindow: span(settings.ExchangeWindowMS), Tolerance: settings.Tolerance,
		AcceptLate: settings.AcceptLate, RequireRefund: settings.RequireRefund, Look: payment.Look(settings.Look),
	}
	a.Settings.Settle = payment.SettlePolicy{Hold: span(settings.Settle.HoldMS), Every: span(settings.Settle.EveryMS)}
	for coin, units := range settings.Settle.Above {
		least, err := money.OfUnits(money.Currency(coin), units)
		if err != nil {
			return a, fmt.Errorf("read settlement threshold: %w", err)
		}
		if a.Settings.Settle.Above == nil {
			a.Settings.Settle.Above = make(map[money.Currency]money.Amount, len(settings.Settle.Above))
		}
		a.Settings.Settle.Above[money.Currency(coin)] = least
	}
	for _, d := range settings.Depths {
		from, err := amount(money.Currency(d.From.Currency), d.From.Units)
		if err != nil {
			return a, fmt.Errorf("read depth rule: %w", err)
		}
		a.Settings.Depths = append(a.Settings.Depths,
			payment.DepthRule{Coin: money.Currency(d.Coin), From: from, Depth: payment.Depth(d.Depth)})
	}
	a.Callback = payment.CallbackSettings{
		Encoding: payment.Encoding(callback.Encoding), Seen: callback.Seen, Expired: callback.Expired,
		Refunded: callback.Refunded, Reversed: callback.Reversed,
	}
	for _, s := range callback.Secrets {
		a.Callback.Secrets = append(a.Callback.Secrets, payment.Secret{Sealed: s.Sealed, Until: at(s.UntilMS)})
	}
	return a, j.err
}

func keepAmount(a money.Amount) amountRow {
	if a.Currency() == "" {
		return amountRow{}
	}
	return amountRow{string(a.Currency()), a.Units()}
}

// span is a duration kept in milliseconds.
func span(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
