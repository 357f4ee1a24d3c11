package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// tx is one transaction. The methods of the nouns are in the files that bear their names.
type tx struct {
	ctx context.Context // the transaction's own: it ends with it
	q   *row.Queries
	now time.Time
	// broken is the first error of a statement. After it the transaction cannot commit: PostgreSQL would not either.
	broken error
}

var _ engine.Tx = (*tx)(nil)

func newTx(ctx context.Context, b *base, db row.DBTX) *tx {
	if b.observe != nil {
		db = observed{db, b.observe}
	}
	return &tx{ctx: ctx, q: row.New(db), now: b.time()}
}

// Now is one time for the whole transaction.
func (t *tx) Now() time.Time { return t.now }

// NewID makes an id: 48 bits of milliseconds and 208 random bits, so that ids grow with time and rows of one time lie
// together.
func (t *tx) NewID() payment.ID {
	var b [32]byte
	milli := uint64(t.now.UnixMilli())
	for i := range 6 {
		b[i] = byte(milli >> (8 * (5 - i)))
	}
	if _, err := rand.Read(b[6:]); err != nil { // never fails: crypto/rand ends the process itself
		t.broken = fmt.Errorf("make an id: %w", err)
	}
	return payment.ID(strings.ToUpper(hex.EncodeToString(b[:])))
}

// fail names what could not be done, in the engine's words, and remembers that the transaction is broken.
func (t *tx) fail(what string, err error) error {
	if err == nil {
		return nil
	}
	err = classify(err)
	if err == payment.ErrAbsent { //nolint:errorlint // exactly what classify answers for no row
		return fmt.Errorf("%s: %w", what, err)
	}
	if readOnly(err) {
		err = fmt.Errorf("writing in a view: %w", err)
	}
	err = fmt.Errorf("%s: %w", what, err)
	if t.broken == nil {
		t.broken = err
	}
	return err
}

// swapped makes a conflict of a compare-and-swap that found another row than expected.
func (t *tx) swapped(what string, rows int64, err error) error {
	if err != nil {
		return t.fail(what, err)
	}
	if rows != 1 {
		return fmt.Errorf("%s: %w", what, payment.ErrConflict)
	}
	return nil
}

// atMost is a limit as SQL takes it.
func atMost(n int) int32 { return int32(max(0, min(n, math.MaxInt32))) }

// millis is a time as it is kept: milliseconds since 1970, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is the time that millis kept.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// amount reads a kept amount; without a currency it is the zero Amount.
func amount(c money.Currency, units string) (money.Amount, error) {
	if c == "" {
		return money.Amount{}, nil
	}
	return money.OfUnits(c, units)
}

// bytes is never NULL.
func bytes(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// null is NULL for an empty text.
func null(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// each reads rows into what they mean.
func each[R, T any](rows []R, read func(R) (T, error)) ([]T, error) {
	all := make([]T, 0, len(rows))
	for _, r := range rows {
		v, err := read(r)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// ids are texts as ids.
func ids(texts []string) []payment.ID {
	all := make([]payment.ID, len(texts))
	for i, text := range texts {
		all[i] = payment.ID(text)
	}
	return all
}
