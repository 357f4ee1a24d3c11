package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Clerk does what only time brings about: it expires invoices, values late deposits and forgets what need not be kept.
type Clerk struct {
	Store  Store
	Rates  Rates
	Nets   map[money.Currency]Net
	Render Renderer
	Log    *slog.Logger

	expiring, valuing aside
}

// Expire assesses the waiting invoices whose deadline has passed. Those of a network out of sight stay as they are: the
// assessment counts by sight, not by the clock.
func (c *Clerk) Expire(ctx context.Context) error {
	var failures []error
	t := teller{c.Nets, c.Render}
	for after, more := payment.ID(""), true; more; {
		round := asideRound{what: "expire invoice", do: func(id payment.ID) error {
			if err := c.Store.Update(ctx, func(tx Tx) error { return c.reassess(tx, id) }); err != nil {
				return fmt.Errorf("expire invoice %s: %w", id, err)
			}
			return nil
		}}
		last := after
		err := c.Store.View(ctx, func(tx Tx) error {
			round.now, round.ids = tx.Now(), nil
			due, err := tx.DueInvoices(round.now, after, Batch)
			if err != nil {
				return err
			}
			more = len(due) == Batch
			for _, id := range due {
				last = id
				// Many may be due for long, while a node is blind or deposits grow deep: those cost a look, not a commit.
				if f, _, is, err := assess(tx, t, id); err != nil || f.Invoice.Told != is {
					round.ids = append(round.ids, id)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("list due invoices: %w", err)
		}
		if err := c.expiring.each(ctx, c.Log, round); err != nil {
			failures = append(failures, err)
		}
		if after = last; len(failures) >= MaxFailures || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failures...)
}

// Value values late deposits of invoices whose application takes late payments: what they are worth when they are seen
// decides. Without a trustworthy price they wait.
func (c *Clerk) Value(ctx context.Context) error {
	late := map[payment.ID]payment.Deposit{}
	round := asideRound{what: "value late deposit", do: func(id payment.ID) error { return c.valueOne(ctx, late[id]) }}
	err := c.Store.View(ctx, func(tx Tx) error {
		round.now, round.ids = tx.Now(), nil
		all, err := tx.UnvaluedDeposits(Batch)
		for _, d := range all {
			late[d.ID] = d
			round.ids = append(round.ids, d.ID)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list late deposits: %w", err)
	}
	return c.valuing.each(ctx, c.Log, round)
}

func (c *Clerk) valueOne(ctx context.Context, late payment.Deposit) error {
	var inv payment.Invoice
	err := c.Store.View(ctx, func(tx Tx) (err error) {
		inv, err = tx.Invoice(late.InvoiceID)
		return err
	})
	if err != nil {
		return err
	}
	price, err := c.Rates.Price(ctx, late.Amount.Currency(), inv.Price.Currency())
	if err != nil {
		c.Log.WarnContext(ctx, "late deposit cannot be valued yet", "invoice", inv.ID, "why", err)
		return nil
	}
	return c.Store.Update(ctx, func(tx Tx) error {
		d, err := tx.Deposit(late.Network, late.Ref)
		if err != nil || d.Worth.Currency() != "" {
			return err
		}
		d.Worth = price.Rate.Worth(d.Amount)
		if err := tx.SwapDeposit(d); err != nil {
			return err
		}
		return c.reassess(tx, inv.ID)
	})
}

// reassess leaves an invoice alone whose facts a reorganisation is still moving: the watcher assesses it at the tip.
func (c *Clerk) reassess(tx Tx, id payment.ID) error {
	for _, n := range c.Nets {
		if stirred, err := tx.IsStirred(id, n.Network); err != nil || stirred {
			return err
		}
	}
	return reassess(tx, teller{c.Nets, c.Render}, id)
}

// Prune forgets idempotency keys that need not be kept any more.
func (c *Clerk) Prune(ctx context.Context) error {
	for {
		gone := 0
		err := c.Store.Update(ctx, func(tx Tx) (err error) {
			gone, err = tx.PruneIdempotency(tx.Now().Add(-IdempotencyKeep), Batch)
			return err
		})
		if err != nil || gone < Batch {
			return err
		}
	}
}
