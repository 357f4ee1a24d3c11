package store

import (
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// Idempotency is what a caller's key was used for.
func (t *tx) Idempotency(application payment.ID, key string) (engine.Idempotency, error) {
	r, err := t.q.Idempotency(t.ctx, row.IdempotencyParams{ApplicationID: string(application), Key: key})
	return engine.Idempotency{
		ApplicationID: payment.ID(r.ApplicationID), Key: r.Key, Digest: r.Digest, Made: payment.ID(r.Made), At: at(r.At),
	}, t.fail("find idempotency key", err)
}

// AddIdempotency stores a caller's key.
func (t *tx) AddIdempotency(i engine.Idempotency) error {
	return t.fail("add idempotency key", t.q.AddIdempotency(t.ctx, row.AddIdempotencyParams{
		ApplicationID: string(i.ApplicationID), Key: i.Key, Digest: bytes(i.Digest), Made: string(i.Made), At: millis(i.At),
	}))
}

// PruneIdempotency forgets keys from before a time, the oldest first.
func (t *tx) PruneIdempotency(before time.Time, limit int) (int, error) {
	n, err := t.q.PruneIdempotency(t.ctx, row.PruneIdempotencyParams{T: millis(before), Most: atMost(limit)})
	return int(n), t.fail("prune idempotency keys", err)
}
