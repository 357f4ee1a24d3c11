package store

import (
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// Halt is why payouts of every network stand still; its Reason is "" while they go on.
func (t *tx) Halt() (engine.Halt, error) {
	r, err := t.q.Halt(t.ctx)
	return engine.Halt{Reason: r.Reason, Since: at(r.Since), Rev: r.Rev}, t.fail("find halt", err)
}

// SaveHalt saves it by compare-and-swap, the first time too: its Rev is then that of Halt, 0.
func (t *tx) SaveHalt(h engine.Halt) error {
	n, err := t.q.SwapHalt(t.ctx, row.SwapHaltParams{Reason: h.Reason, Since: millis(h.Since), Rev: h.Rev})
	return t.swapped("save halt", n, err)
}
