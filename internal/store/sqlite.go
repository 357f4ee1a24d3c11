package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/pipe-pg/pipe/internal/engine"
)

// sqlite is the backend of one SQLite database: one connection writes, some read.
//
// Transactions that come at the same time share a commit. Each caller runs its own fn, inside a savepoint of the open
// group, while it holds the baton; whoever finds nobody waiting behind it, or the group full, commits for all. While a
// commit waits for the disk the next callers gather, so groups grow with the load by themselves. Nobody is answered before
// the group's commit, also not with an error, because what it saw may be of the group.
type sqlite struct {
	*base
	lock    *sql.DB // holds the exclusive use; nil without
	writeDB *sql.DB
	readDB  *sql.DB
	readers chan *session

	baton   chan struct{} // full while somebody holds it; guards write and group
	waiting atomic.Int64
	write   *session
	group   *group

	committed func() // told of every commit, for tests; nil otherwise
}

// A group is the transactions that share a commit. err is written before done is closed.
type group struct {
	size   int
	since  time.Time
	broken error // the shared transaction is gone; nothing of it may commit
	err    error
	again  bool
	done   chan struct{}
}

// dsn is the driver's name for a database file, with what every connection needs.
func dsn(path string, more ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_dqs": {"0"}, "_pragma": append([]string{
		fmt.Sprintf("busy_timeout(%d)", BusyTimeout.Milliseconds()),
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "mmap_size(0)",
		fmt.Sprintf("journal_size_limit(%d)", JournalSize),
	}, more...)}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func openSQLite(ctx context.Context, b *base, path string, exclusive bool) (_ *sqlite, err error) {
	s := &sqlite{base: b, baton: make(chan struct{}, 1), readers: make(chan *session, Readers)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := mustExist(path); err != nil {
		return nil, err
	}
	if exclusive {
		if s.lock, err = lockFile(ctx, path); err != nil {
			return nil, err
		}
	}
	if s.writeDB, err = sql.Open("sqlite", dsn(path)); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := checkSQLite(ctx, s.writeDB); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := checkSchema(ctx, kindSQLite, s.writeDB); err != nil {
		return nil, err
	}
	if s.write, err = newSession(ctx, s.writeDB); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if s.readDB, err = sql.Open("sqlite", dsn(path, "query_only(1)")); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	for range Readers {
		r, err := newSession(ctx, s.readDB)
		if err != nil {
			return nil, fmt.Errorf("open database %s for reading: %w", path, err)
		}
		s.readers <- r
	}
	return s, nil
}

// checkSQLite refuses a library or settings with which commits could be lost.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	var major, minor, patch int
	var version string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return fmt.Errorf("cannot be opened: %w; may this user write the file, and in its directory?", err)
	}
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return fmt.Errorf("read SQLite's version %q: %w", version, err)
	}
	if n := major*1_000_000 + minor*1_000 + patch; n < MinSQLite {
		return fmt.Errorf("SQLite %s can corrupt its write-ahead log: 3.51.3 or newer is needed", version)
	}
	for _, want := range []struct{ name, query, value string }{
		{"journal_mode", "PRAGMA journal_mode", "wal"},
		{"synchronous", "PRAGMA synchronous", "2"},
		{"foreign_keys", "PRAGMA foreign_keys", "1"},
	} {
		var got string
		if err := db.QueryRowContext(ctx, want.query).Scan(&got); err != nil {
			return fmt.Errorf("ask SQLite's %s: %w", want.name, err)
		}
		if got != want.value {
			return fmt.Errorf("SQLite's %s is %s and cannot be set to %s: is the disk a network share?", want.name, got, want.value)
		}
	}
	return nil
}

func (s *sqlite) close() error {
	var errs []error
	if s.write != nil {
		errs = append(errs, s.write.close())
	}
	for len(s.readers) > 0 {
		errs = append(errs, (<-s.readers).close())
	}
	for _, db := range []*sql.DB{s.readDB, s.writeDB, s.lock} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *sqlite) view(ctx context.Context, fn func(engine.Tx) error) error {
	if err := s.lost(); err != nil {
		return err
	}
	var r *session
	select {
	case r = <-s.readers:
	case <-ctx.Done():
		return fmt.Errorf("wait for a connection: %w", context.Cause(ctx))
	}
	if err := r.do("BEGIN DEFERRED"); err != nil {
		s.readers <- r
		return fmt.Errorf("begin reading: %w", s.judge(err))
	}
	t := newTx(ctx, s.base, r)
	defer func() {
		if err := r.do("ROLLBACK"); err != nil {
			s.log.ErrorContext(ctx, "end reading", "err", err)
		}
		s.readers <- r
	}()
	err := fn(t)
	if t.broken != nil {
		if bad := s.judge(t.broken); s.lost() != nil {
			return bad
		}
	}
	return err
}

func (s *sqlite) update(ctx context.Context, _ int, fn func(engine.Tx) error) (bool, error) {
	s.waiting.Add(1)
	s.baton <- struct{}{}
	s.waiting.Add(-1)
	g, err := s.join(ctx, fn)
	if g == nil {
		return false, err
	}
	<-g.done
	if g.err != nil {
		return g.again, g.err
	}
	return again(err), err
}

// join runs fn in the open group, under the baton, which it gives on. Without a group nothing was done.
func (s *sqlite) join(ctx context.Context, fn func(engine.Tx) error) (g *group, err error) {
	defer s.leave()
	if err := s.lost(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	if s.group == nil {
		if err := s.write.do("BEGIN IMMEDIATE"); err != nil {
			return nil, fmt.Errorf("begin a transaction: %w", s.judge(err))
		}
		s.group = &group{since: time.Now(), done: make(chan struct{})}
	}
	g = s.group
	g.size++
	if s.runTwice {
		if err := s.part(ctx, fn, true); g.broken != nil {
			return g, err
		}
	}
	return g, s.part(ctx, fn, false)
}

// part runs fn in a savepoint. Whatever fn does, a panic too, the savepoint is closed behind it.
func (s *sqlite) part(ctx context.Context, fn func(engine.Tx) error, rehearsal bool) (err error) {
	g := s.group
	if err := s.write.do("SAVEPOINT part"); err != nil {
		g.broken = s.judge(err)
		return g.broken
	}
	t := newTx(ctx, s.base, s.write)
	keep := false
	defer func() {
		end := []string{"ROLLBACK TO part", "RELEASE part"}
		if keep {
			end = end[1:]
		}
		for _, text := range end {
			if bad := s.write.do(text); bad != nil && g.broken == nil {
				g.broken = s.judge(fmt.Errorf("end a part of a shared commit: %w", bad))
			}
		}
	}()
	err = fn(t)
	switch {
	case t.broken != nil && (diskError(t.broken) || readOnly(t.broken)):
		g.broken = s.die(t.broken)
		return g.broken
	case t.broken != nil && err == nil:
		err = t.broken // a failed statement may not be passed over: PostgreSQL would not commit either
	}
	keep = err == nil && !rehearsal
	return err
}

// leave commits when nobody waits or the group is full, and gives the baton on.
func (s *sqlite) leave() {
	defer func() { <-s.baton }()
	g := s.group
	if g == nil {
		return
	}
	if g.broken == nil && s.waiting.Load() > 0 && g.size < GroupSize && time.Since(g.since) < GroupAge {
		return
	}
	s.group = nil
	defer close(g.done)
	if g.broken != nil {
		g.err, g.again = g.broken, s.lost() == nil
		s.rollback()
		return
	}
	err := s.write.do("COMMIT")
	switch {
	case err == nil:
		if s.committed != nil {
			s.committed()
		}
	case busy(err): // the transaction is still open, so nothing is on disk
		g.err, g.again = fmt.Errorf("commit: %w", err), true
		s.rollback()
	default:
		g.err = s.die(fmt.Errorf("commit: %w", err))
	}
}

// rollback ends a group that is broken. When even that fails the connection's state is unknown.
func (s *sqlite) rollback() {
	if err := s.write.do("ROLLBACK"); err != nil && s.lost() == nil && !noTransaction(err) {
		s.die(fmt.Errorf("roll back: %w", err)) //nolint:errcheck // it answers what it is given; the group has its error
	}
}

// judge makes an error fatal when the disk is at fault.
func (s *sqlite) judge(err error) error {
	if diskError(err) {
		return s.die(err)
	}
	return err
}
