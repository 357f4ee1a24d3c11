package store

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pipe-pg/pipe/internal/payment"
)

// What PostgreSQL may answer, and what the store makes of it.
func TestErrors(t *testing.T) {
	pg := func(code, severity string) error {
		return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code, Severity: severity})
	}
	for _, c := range []struct {
		name                          string
		err                           error
		conflict, disk, lost, unknown bool
	}{
		{"unique violation", pg("23505", "ERROR"), true, false, false, false},
		{"serialization failure", pg("40001", "ERROR"), true, false, false, false},
		{"deadlock", pg("40P01", "ERROR"), true, false, false, false},
		{"check violation", pg("23514", "ERROR"), false, false, false, false},
		{"disk full", pg("53100", "ERROR"), false, true, false, false},
		{"i/o error", pg("58030", "ERROR"), false, true, false, false},
		{"data corrupted", pg("XX001", "ERROR"), false, true, false, false},
		{"too many connections", pg("53300", "FATAL"), false, false, false, true},
		{"administrator's shutdown", pg("57P01", "FATAL"), false, false, true, true},
		{"statement cancelled", pg("57014", "ERROR"), false, false, false, false},
		{"connection failure", pg("08006", "FATAL"), false, false, true, true},
		{"panic of the server", pg("XX000", "PANIC"), false, false, false, true},
		{"end of the connection", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), false, false, true, true},
		{"rolled back instead", fmt.Errorf("commit: %w", pgx.ErrTxCommitRollback), false, false, false, false},
	} {
		if got := errors.Is(classify(c.err), payment.ErrConflict); got != c.conflict {
			t.Errorf("%s: conflict %t", c.name, got)
		}
		if got := diskError(c.err); got != c.disk {
			t.Errorf("%s: disk error %t", c.name, got)
		}
		if got := lostConnection(c.err); got != c.lost {
			t.Errorf("%s: connection lost %t", c.name, got)
		}
		if got := commitUnknown(c.err); got != c.unknown {
			t.Errorf("%s: unknown commit %t", c.name, got)
		}
	}
}
