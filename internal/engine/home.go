package engine

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// HomeTx is what the first page of a merchant reads.
type HomeTx interface {
	// PaidPrices are the prices of a merchant's invoices that were paid from a time on, by day of a zone that is so far ahead of
	// UTC, the newest first, by coin and by price.
	PaidPrices(merchant payment.ID, since time.Time, zone time.Duration, limit int) ([]PaidPrice, error)
	// OwedPayouts are those of a merchant that are waiting, open or paying, gathers apart, the newest first.
	OwedPayouts(merchant payment.ID, limit int) ([]payment.Payout, error)
}

// A PaidPrice is how many invoices of one price were paid with one coin on one day.
type PaidPrice struct {
	Day      int64          // since 1970-01-01 in the zone that was asked for
	Coin     money.Currency // "" where it is not known
	Price    money.Amount
	Invoices int64
}

// Owed are a merchant's payouts that are not done, at most PageRows.
func (d *Desk) Owed(ctx context.Context, merchant payment.ID) (all []payment.Payout, err error) {
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.OwedPayouts(merchant, PageRows)
		return err
	})
	return all, err
}

// Heard tells whether any callback of these applications was delivered.
func (d *Desk) Heard(ctx context.Context, apps []payment.Application) (yes bool, err error) {
	err = d.Store.View(ctx, func(tx Tx) error {
		yes = false
		for _, a := range apps {
			n, err := tx.CountCallbacks(a.ID, payment.CallbackDelivered, 1)
			if err != nil || n > 0 {
				yes = n > 0
				return err
			}
		}
		return nil
	})
	return yes, err
}

// A House is what the operator sees at a glance.
type House struct {
	Networks  []NetworkState
	Halt      Halt
	OldestDue time.Time // when the callback was due that waits longest; zero: none waits
	Risk      map[money.Network]Risk
	RiskWhole bool // false: there are more accounts than were added up
	Now       time.Time
}

// A Risk is what is held on one network, by whose claim it is.
type Risk struct {
	Invoices money.Amount // coins of invoices, not yet settled
	Wallets  money.Amount
	Leaving  money.Amount // set aside for payouts that are on their way
	Strays   money.Amount // coins that nobody asked for
}

// Sum is all of it.
func (r Risk) Sum() money.Amount { return r.Invoices.Add(r.Wallets).Add(r.Leaving).Add(r.Strays) }

// House looks at the networks, the outbox and the book.
func (d *Desk) House(ctx context.Context) (h House, err error) {
	err = d.Store.View(ctx, func(tx Tx) error {
		h = House{Risk: map[money.Network]Risk{}, Now: tx.Now()}
		for _, coin := range []money.Currency{money.BTC, money.ETH} {
			n, ok := d.Nets[coin]
			if !ok {
				continue
			}
			s, err := tx.NetworkState(n.Network)
			if err != nil && !errors.Is(err, payment.ErrAbsent) {
				return err
			}
			s.Network = n.Network
			h.Networks = append(h.Networks, s)
		}
		if h.Halt, err = tx.Halt(); err != nil {
			return err
		}
		if h.OldestDue, err = tx.OldestDue(); err != nil && !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		return h.weigh(tx)
	})
	return h, err
}

// weigh adds up the book, account by account.
func (h *House) weigh(tx Tx) error {
	var after Balance
	for range MaxRiskPages {
		page, err := tx.Balances(after.Account, after.Network, Batch)
		if err != nil {
			return err
		}
		for _, b := range page {
			h.Risk[b.Network] = h.Risk[b.Network].with(b)
			after = b
		}
		if len(page) < Batch {
			h.RiskWhole = true
			return nil
		}
	}
	return nil
}

// with is the risk with one more balance.
func (r Risk) with(b Balance) Risk {
	if r.Wallets.Currency() == "" {
		nothing := money.Zero(b.Network.Coin())
		r = Risk{nothing, nothing, nothing, nothing}
	}
	_, payout := b.Account.Payout()
	switch {
	case b.Account.Outside():
	case b.Account.IsWallet():
		r.Wallets = r.Wallets.Add(b.Amount)
	case payout:
		r.Leaving = r.Leaving.Add(b.Amount)
	case strings.HasPrefix(string(b.Account), string(ledger.Invoice(""))):
		r.Invoices = r.Invoices.Add(b.Amount)
	default:
		r.Strays = r.Strays.Add(b.Amount)
	}
	return r
}

// HaltPayouts makes payouts stand still, for an operator who says why. Error: malformed.
func (o *Office) HaltPayouts(ctx context.Context, by By, reason string) error {
	if err := printable("reason", reason, MaxReason); err != nil {
		return err
	}
	return o.Store.Update(ctx, func(tx Tx) error {
		if err := halt(tx, reason); err != nil {
			return err
		}
		return Record(tx, by, "", Act{Action: "payouts.halt", Data: map[string]any{"reason": reason}})
	})
}

// ResumePayouts lets payouts go on, for an operator who has looked at the reason.
func (o *Office) ResumePayouts(ctx context.Context, by By) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		h, err := tx.Halt()
		if err != nil || h.Reason == "" {
			return err
		}
		was := h.Reason
		h.Reason, h.Since = "", time.Time{}
		if err := tx.SaveHalt(h); err != nil {
			return err
		}
		return Record(tx, by, "", Act{Action: "payouts.resume", Data: map[string]any{"reason": was}})
	})
}
