package store

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// lastID is above every id.
const lastID = "~"

// AddPayout stores a payout. A second live one of one invoice, kind and network is payment.ErrConflict.
func (t *tx) AddPayout(p payment.Payout) error {
	if err := coins(p.Network, p.Amount, p.Wasted, p.Fee, p.Net); err != nil {
		return t.fail("add payout", err)
	}
	return t.fail("add payout", t.q.AddPayout(t.ctx, row.AddPayoutParams{
		ID: string(p.ID), Kind: string(p.Kind), MerchantID: string(p.MerchantID), ApplicationID: null(string(p.ApplicationID)),
		InvoiceID: null(string(p.InvoiceID)), Network: string(p.Network), Receiver: p.To, Source: string(p.Source),
		Amount: p.Amount.Units(), Wasted: p.Wasted.Units(), Fee: p.Fee.Units(), Net: p.Net.Units(), State: string(p.State),
		Hold: string(p.Held), FailReason: p.FailReason, CallbackURL: p.CallbackURL, ForID: string(p.For),
		SpendID: string(p.SpendID), TxID: p.TxID, Attempt: int64(p.Attempt), Turn: p.Turn, Reserved: p.Reserved,
		CreatedAt: millis(p.CreatedAt), UpdatedAt: millis(p.UpdatedAt), DueAt: millis(p.DueAt), SentAt: millis(p.SentAt),
		DoneAt: millis(p.DoneAt), Rev: p.Rev,
	}))
}

// Payout finds a payout.
func (t *tx) Payout(id payment.ID) (payment.Payout, error) {
	r, err := t.q.Payout(t.ctx, string(id))
	if err != nil {
		return payment.Payout{}, t.fail("find payout", err)
	}
	p, err := payout(r)
	return p, t.fail("read payout", err)
}

// SwapPayout saves the parts of a payout that may change: all but its id, kind, owner, network, For, CallbackURL and
// CreatedAt.
func (t *tx) SwapPayout(p payment.Payout) error {
	if err := coins(p.Network, p.Amount, p.Wasted, p.Fee, p.Net); err != nil {
		return t.fail("save payout", err)
	}
	n, err := t.q.SwapPayout(t.ctx, row.SwapPayoutParams{
		Receiver: p.To, Source: string(p.Source), Amount: p.Amount.Units(), Wasted: p.Wasted.Units(), Fee: p.Fee.Units(),
		Net: p.Net.Units(), State: string(p.State), Hold: string(p.Held), FailReason: p.FailReason, SpendID: string(p.SpendID),
		TxID: p.TxID, Attempt: int64(p.Attempt), Turn: p.Turn, Reserved: p.Reserved, UpdatedAt: millis(p.UpdatedAt),
		DueAt: millis(p.DueAt), SentAt: millis(p.SentAt), DoneAt: millis(p.DoneAt), ID: string(p.ID), Rev: p.Rev,
	})
	return t.swapped("save payout", n, err)
}

// DuePayouts are the waiting, open or paying ones whose time has come, the longest due first. Of the other states none is
// ever due.
func (t *tx) DuePayouts(network money.Network, state payment.PayoutState, then time.Time, limit int) ([]payment.Payout, error) {
	rows, err := t.q.DuePayouts(t.ctx, row.DuePayoutsParams{
		Network: string(network), State: string(state), T: millis(then), Most: atMost(limit),
	})
	return t.payouts("list due payouts", rows, err)
}

// SourcePayouts are those that take from an account, and have coins reserved from it now or have not, the oldest first.
func (t *tx) SourcePayouts(a ledger.Account, network money.Network, reserved bool, limit int) ([]payment.Payout, error) {
	rows, err := t.q.SourcePayouts(t.ctx, row.SourcePayoutsParams{
		Source: string(a), Network: string(network), Reserved: reserved, Most: atMost(limit),
	})
	return t.payouts("list an account's payouts", rows, err)
}

// SpendPayouts are those that a spend pays, in the order of their making.
func (t *tx) SpendPayouts(spend payment.ID) ([]payment.Payout, error) {
	rows, err := t.q.SpendPayouts(t.ctx, string(spend))
	return t.payouts("list a spend's payouts", rows, err)
}

// GatherPayouts are the gathers that a payout asked for, in the order of their making.
func (t *tx) GatherPayouts(payout payment.ID) ([]payment.Payout, error) {
	rows, err := t.q.GatherPayouts(t.ctx, string(payout))
	return t.payouts("list a payout's gathers", rows, err)
}

// MerchantPayouts are a merchant's, the newest first, before an id; "" for the newest. Each kind is looked up by itself, so
// that a few withdrawals are found among however many settlements.
func (t *tx) MerchantPayouts(q engine.MerchantPayouts) ([]payment.Payout, error) {
	before := cmp.Or(string(q.Before), lastID)
	if len(q.Kinds) == 0 {
		rows, err := t.q.MerchantPayouts(t.ctx, row.MerchantPayoutsParams{
			MerchantID: string(q.Merchant), Before: before, Network: string(q.Network), Most: atMost(q.Limit),
		})
		return t.payouts("list a merchant's payouts", rows, err)
	}
	var all []row.Payout
	for i, kind := range q.Kinds {
		if slices.Contains(q.Kinds[:i], kind) {
			continue
		}
		rows, err := t.q.MerchantKindPayouts(t.ctx, row.MerchantKindPayoutsParams{
			MerchantID: string(q.Merchant), Kind: string(kind), Before: before, Network: string(q.Network), Most: atMost(q.Limit),
		})
		if err != nil {
			return nil, t.fail("list a merchant's payouts", err)
		}
		all = append(all, rows...)
	}
	slices.SortFunc(all, func(a, b row.Payout) int { return cmp.Compare(b.ID, a.ID) })
	return t.payouts("list a merchant's payouts", all[:min(len(all), max(0, q.Limit))], nil)
}

func (t *tx) payouts(what string, rows []row.Payout, err error) ([]payment.Payout, error) {
	if err != nil {
		return nil, t.fail(what, err)
	}
	all, err := each(rows, payout)
	return all, t.fail(what, err)
}

func payout(r row.Payout) (payment.Payout, error) {
	m := moneys{coin: money.Network(r.Network).Coin()}
	return payment.Payout{
		ID: payment.ID(r.ID), Kind: payment.PayoutKind(r.Kind), MerchantID: payment.ID(r.MerchantID),
		ApplicationID: payment.ID(r.ApplicationID.String), InvoiceID: payment.ID(r.InvoiceID.String),
		Network: money.Network(r.Network), To: r.Receiver, Source: ledger.Account(r.Source), Amount: m.read(r.Amount),
		Wasted: m.read(r.Wasted), Fee: m.read(r.Fee), Net: m.read(r.Net), State: payment.PayoutState(r.State),
		Held: payment.Hold(r.Hold), FailReason: r.FailReason, CallbackURL: r.CallbackURL, For: payment.ID(r.ForID),
		SpendID: payment.ID(r.SpendID), TxID: r.TxID, Attempt: int(r.Attempt), Turn: r.Turn, Reserved: r.Reserved,
		CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt), DueAt: at(r.DueAt), SentAt: at(r.SentAt), DoneAt: at(r.DoneAt),
		Rev: r.Rev,
	}, m.err
}

// coins refuses amounts that are not of the network's coin: only their units are kept. An Amount without any currency is
// none.
func coins(n money.Network, all ...money.Amount) error {
	for _, a := range all {
		if n.Coin() == "" || a.Currency() != n.Coin() && (a.Currency() != "" || !a.IsZero()) {
			return fmt.Errorf("%s is no amount on %s", a, n)
		}
	}
	return nil
}

// moneys reads several amounts of one coin and keeps the first error.
type moneys struct {
	coin money.Currency
	err  error
}

func (m *moneys) read(units string) money.Amount {
	a, err := money.OfUnits(m.coin, units)
	if err != nil && m.err == nil {
		m.err = err
	}
	return a
}
