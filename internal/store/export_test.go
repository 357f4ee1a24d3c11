package store

import (
	"context"
	"database/sql"
	"errors"
)

// Observe tells of every statement that transactions run from now on.
func (s *Store) Observe(tell func(text string)) { s.base.observe = tell }

// Lite runs a statement on SQLite's writing connection, so that tests can set limits there.
func (s *Store) Lite(text string) error { return s.back.(*sqlite).write.do(text) }

// DB opens a plain pool on a database.
func DB(ctx context.Context, url string) (*sql.DB, error) {
	k, path := split(url)
	if k == kindSQLite {
		return sql.Open("sqlite", dsn(path))
	}
	return openPool(url, 2, nil)
}

// ObserveCommits tells of every commit on SQLite.
func (s *Store) ObserveCommits(tell func()) { s.back.(*sqlite).committed = tell }

// Waiting is how many callers wait for SQLite's baton.
func (s *Store) Waiting() int64 { return s.back.(*sqlite).waiting.Load() }

// MigrateTo moves an empty database's schema to an older version than this program's.
func MigrateTo(ctx context.Context, url string, version int64) error {
	k, path := split(url)
	if k == kindSQLite {
		if err := makeFile(path); err != nil {
			return err
		}
	}
	db, err := DB(ctx, url)
	if err != nil {
		return err
	}
	p, err := provider(k, db, nil)
	if err == nil {
		_, err = p.UpTo(ctx, version)
	}
	return errors.Join(err, db.Close())
}
