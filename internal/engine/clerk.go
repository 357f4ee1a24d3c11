package engine

import (
	"context"
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
}

// Expire assesses the waiting invoices whose deadline has passed. Those of a network out of sight stay as they are: the
// assessment counts by sight, not by the clock.
func (c *Clerk) Expire(ctx context.Context) error {
	for after := payment.ID(""); ; {
		var ids []payment.ID
		err := c.Store.View(ctx, func(tx Tx) (err error) {
			ids, err = tx.DueInvoices(tx.Now(), after, Batch)
			return err
		})
		if err != nil {
			return fmt.Errorf("list due invoices: %w", err)
		}
		for _, id := range ids {
			after = id
			err := c.Store.Update(ctx, func(tx Tx) error { return c.reassess(tx, id) })
			if err != nil {
				return fmt.Errorf("expire invoice %s: %w", id, err)
			}
		}
		if len(ids) < Batch {
			return nil
		}
	}
}

// Value values late deposits of invoices whose application takes late payments: what they are worth when they are seen
// decides. Without a trustworthy price they wait.
func (c *Clerk) Value(ctx context.Context) error {
	var late []payment.Deposit
	err := c.Store.View(ctx, func(tx Tx) (err error) {
		late, err = tx.UnvaluedDeposits(Batch)
		return err
	})
	if err != nil {
		return fmt.Errorf("list late deposits: %w", err)
	}
	for _, d := range late {
		if err := c.valueOne(ctx, d); err != nil {
			return err
		}
	}
	return nil
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
	return c.Store.Update(ctx, func(tx Tx) error {
		_, err := tx.PruneIdempotency(tx.Now().Add(-IdempotencyKeep), Batch)
		return err
	})
}
