package engine

import (
	"context"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// Halted is whether payouts stand still on all networks, and why; its Reason is "" while they go on.
func (d *Desk) Halted(ctx context.Context) (h Halt, err error) {
	err = d.Store.View(ctx, func(tx Tx) error {
		h, err = tx.Halt()
		return err
	})
	return h, err
}

// Halt makes payouts stand still, with a reason for people. What was sent already is sent on, since its bytes may take effect
// anyway. A reason that is there stays. Error: malformed, without a reason.
func (d *Desk) Halt(ctx context.Context, reason string) error {
	if reason == "" {
		return payment.Malformed("reason", "say why payouts are to stand still")
	}
	return d.Store.Update(ctx, func(tx Tx) error { return halt(tx, reason) })
}

// Resume lets payouts go on. Whoever calls it has looked at the reason: what it was is not found out again before the next
// audit.
func (d *Desk) Resume(ctx context.Context) error {
	return d.Store.Update(ctx, func(tx Tx) error {
		h, err := tx.Halt()
		if err != nil || h.Reason == "" {
			return err
		}
		h.Reason, h.Since = "", time.Time{}
		return tx.SaveHalt(h)
	})
}

// halt latches payouts. What is on its way already goes on.
func halt(tx Tx, why string) error {
	h, err := tx.Halt()
	if err != nil || h.Reason != "" {
		return err
	}
	h.Reason, h.Since = why, tx.Now()
	return tx.SaveHalt(h)
}
