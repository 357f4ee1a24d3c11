package store

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	driver "modernc.org/sqlite"

	"github.com/pipe-pg/pipe/internal/payment"
)

// Result codes of SQLite (sqlite.org/rescode.html): the primary ones are the low byte.
const (
	sqliteBusy       = 5
	sqliteReadOnly   = 8
	sqliteIOErr      = 10
	sqliteCorrupt    = 11
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteNotADB     = 26
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
	sqliteRowID      = 2579
)

// Conditions of PostgreSQL (its manual, appendix A).
const (
	pgUnique         = "23505"
	pgSerialization  = "40001"
	pgDeadlock       = "40P01"
	pgReadOnly       = "25006"
	pgNoTable        = "42P01"
	pgDiskFull       = "53100"
	pgSystem         = "58" // class: errors outside PostgreSQL
	pgDataCorrupt    = "XX001"
	pgIndexCorrupt   = "XX002"
	pgConnection     = "08" // class
	pgIntervention   = "57" // class: shut down by somebody
	severityFatal    = "FATAL"
	severityPanic    = "PANIC"
	noTransactionMsg = "no transaction is active"
)

// classify puts the engine's words on what a statement answered, whichever the database.
func classify(err error) error {
	var lite *driver.Error
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return payment.ErrAbsent
	case errors.As(err, &lite):
		switch lite.Code() {
		case sqliteUnique, sqlitePrimaryKey, sqliteRowID:
			return fmt.Errorf("%w: %w", payment.ErrConflict, err)
		}
	case errors.As(err, &pg):
		switch pg.Code {
		case pgUnique, pgSerialization, pgDeadlock:
			return fmt.Errorf("%w: %w", payment.ErrConflict, err)
		}
	}
	return err
}

// diskError tells whether the disk, or what is on it, is at fault. Trying again would hide it: a failed fsync may not be
// repeated.
func diskError(err error) bool {
	var lite *driver.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqliteIOErr, sqliteCorrupt, sqliteFull, sqliteCantOpen, sqliteNotADB:
			return true
		}
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgDiskFull || strings.HasPrefix(pg.Code, pgSystem) || pg.Code == pgDataCorrupt || pg.Code == pgIndexCorrupt
	}
	return false
}

// lostConnection tells whether the connection to PostgreSQL broke.
func lostConnection(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, pgConnection) || strings.HasPrefix(pg.Code, pgIntervention) && pg.Severity == severityFatal
	}
	var op net.Error
	return errors.As(err, &op) || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, sqldriver.ErrBadConn)
}

// commitUnknown tells whether nobody knows if a commit that answered this error happened. pgconn.SafeToRetry is of no use
// here: it calls a commit safe to repeat that was sent, when the connection broke before the answer.
func commitUnknown(err error) bool {
	if errors.Is(err, sql.ErrTxDone) {
		return false // never sent
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return !errors.Is(err, pgx.ErrTxCommitRollback)
	}
	return pg.Severity == severityFatal || pg.Severity == severityPanic
}

// busy tells whether another process held SQLite's lock for too long.
func busy(err error) bool {
	var lite *driver.Error
	return errors.As(err, &lite) && lite.Code()&0xff == sqliteBusy
}

// noTransaction tells whether SQLite had rolled back by itself.
func noTransaction(err error) bool {
	return strings.Contains(err.Error(), noTransactionMsg)
}

// readOnly tells whether a statement tried to write in a View.
func readOnly(err error) bool {
	var lite *driver.Error
	var pg *pgconn.PgError
	return errors.As(err, &lite) && lite.Code()&0xff == sqliteReadOnly || errors.As(err, &pg) && pg.Code == pgReadOnly
}

// noTable tells whether a query named a table that is not there.
func noTable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == pgNoTable || strings.Contains(err.Error(), "no such table")
}

// serverVersion is PostgreSQL's major version.
func serverVersion(ctx context.Context, db *sql.DB) (int, error) {
	var n int
	if err := db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&n); err != nil {
		return 0, fmt.Errorf("reach PostgreSQL (PIPE_DATABASE): %w", err)
	}
	return n / 10_000, nil
}
