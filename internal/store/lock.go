package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
)

// lockFile keeps other exclusive users away from a SQLite database as long as the answer is open. It is a lock of the
// operating system, taken by SQLite itself on a file beside the database, so it is gone when the process is.
func lockFile(ctx context.Context, path string) (*sql.DB, error) {
	name := "file:" + (&url.URL{Path: path + "-lock"}).EscapedPath() +
		"?_txlock=exclusive&_pragma=journal_mode(DELETE)&_pragma=locking_mode(EXCLUSIVE)"
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("lock database %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "BEGIN EXCLUSIVE")
	switch {
	case err != nil && busy(err):
		err = fmt.Errorf("%w: another pipe serves %s; several need PostgreSQL", ErrInUse, path)
	case err != nil:
		err = fmt.Errorf("lock database %s: %w", path, err)
	default:
		return db, nil
	}
	if bad := db.Close(); bad != nil {
		return nil, fmt.Errorf("%w (and %w)", err, bad)
	}
	return nil, err
}

// mustExist refuses a database that was never made: SQLite would make an empty one.
func mustExist(path string) error {
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return fmt.Errorf("%w: there is no database at %s: run pipe migrate", ErrSchema, path)
	} else if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return nil
}

// makeFile makes a database file that only its owner may read, as SQLite makes the files beside it after its model. One
// that exists stays as it is.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make database: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make database: %w", err)
	}
	return nil
}
