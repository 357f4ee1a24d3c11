// Package store keeps everything, in SQLite or PostgreSQL. It holds all SQL: one text for both databases, checked by sqlc
// and generated into package row. It meets engine.Store.
//
// A disk error or a commit of unknown outcome is fatal: the store calls Options.Fatal, answers nothing but that error from
// then on, and the next start recovers. There is no other recovery code.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

var (
	// ErrSchema: the database's schema does not fit this program.
	ErrSchema = errors.New("store: schema does not fit")
	// ErrInUse: another process uses the SQLite database exclusively.
	ErrInUse = errors.New("store: database is in use")
	// ErrURL: the URL names no database that PIPE can use.
	ErrURL = errors.New("store: bad database URL")
)

// Options say which database and how. Only URL is required.
type Options struct {
	// URL is sqlite:PATH or postgres://…
	URL string
	// Now is the clock of Tx.Now; time.Now by default.
	Now    func() time.Time
	Logger *slog.Logger
	// Exclusive keeps every other exclusive user away from a SQLite database: for pipe serve. Short commands open beside
	// it without. PostgreSQL serves several.
	Exclusive bool
	// RunTwice runs the fn of every Update twice, the first time rolled back, so that tests catch an fn that touches
	// anything outside.
	RunTwice bool
	// Fatal is called once, with the first disk error or commit of unknown outcome; it should end the process. It must not
	// call the store. By default the error is only logged.
	Fatal func(error)
}

// A Store is an open database. It is safe for concurrent use.
type Store struct {
	base base
	back backend
}

var _ engine.Store = (*Store)(nil)

// base is what both databases share.
type base struct {
	now      func() time.Time
	log      *slog.Logger
	runTwice bool

	// observe is told every statement's text: the tests use it to find queries that no case runs. Nil otherwise.
	observe func(text string)

	once  sync.Once // guards fatal
	fatal func(error)
	mu    sync.Mutex // guards dead
	dead  error
}

// A backend is one of the two databases.
type backend interface {
	// update tries once. again tells that another try may succeed.
	update(ctx context.Context, try int, fn func(engine.Tx) error) (again bool, err error)
	view(ctx context.Context, fn func(engine.Tx) error) error
	close() error
}

// Open opens a database whose schema fits this program. Errors: ErrURL, ErrSchema, ErrInUse, and the database's own.
func Open(ctx context.Context, o Options) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, OpenTimeout)
	defer cancel()
	s := &Store{base: base{now: o.Now, log: o.Logger, runTwice: o.RunTwice, fatal: o.Fatal}}
	if s.base.now == nil {
		s.base.now = time.Now
	}
	if s.base.log == nil {
		s.base.log = slog.Default()
	}
	var err error
	switch kind, path := split(o.URL); kind {
	case kindSQLite:
		s.back, err = openSQLite(ctx, &s.base, path, o.Exclusive)
	case kindPostgres:
		s.back, err = openPostgres(ctx, &s.base, o.URL)
	default:
		return nil, fmt.Errorf("%w: want sqlite:PATH or postgres://…", ErrURL)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the use of the database. Callers have ended before.
func (s *Store) Close() error { return s.back.close() }

// Update runs fn in a serialisable transaction, and tries again after a conflict, so fn may run more than once. An error
// from fn rolls everything of it back and is returned as it is. When Update returns nil the change is on disk. fn must not
// call Update: on SQLite it would wait for itself.
func (s *Store) Update(ctx context.Context, fn func(tx engine.Tx) error) error {
	for try := 1; ; try++ {
		again, err := s.back.update(ctx, try, fn)
		if err == nil || !again || try > TxRetries {
			return err
		}
		s.base.log.DebugContext(ctx, "transaction is tried again", "try", try, "err", err)
		if !pause(ctx, try) {
			return fmt.Errorf("wait to try a transaction again: %w", context.Cause(ctx))
		}
	}
}

// View runs fn on one consistent state. Writing in it is an error. fn must not call View, which could wait for itself.
func (s *Store) View(ctx context.Context, fn func(tx engine.Tx) error) error {
	return s.back.view(ctx, fn)
}

// pause waits before another try; false when ctx ended first.
func pause(ctx context.Context, try int) bool {
	d := min(TxPause<<min(try-1, 10), TxPauseMax)
	t := time.NewTimer(d - rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// die ends the use of the store for good and calls Fatal with the first error.
func (b *base) die(err error) error {
	err = fmt.Errorf("store is lost: %w", err)
	b.mu.Lock()
	if b.dead == nil {
		b.dead = err
	}
	b.mu.Unlock()
	b.once.Do(func() {
		if b.fatal == nil {
			b.log.Error("store is lost, the process must end", "err", err)
			return
		}
		b.fatal(err)
	})
	return err
}

// lost is the error of die, if it came to that.
func (b *base) lost() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead
}

// time is now as transactions see it.
func (b *base) time() time.Time { return b.now().UTC().Truncate(time.Millisecond) }

// again tells whether another try of what failed so may succeed.
func again(err error) bool { return errors.Is(err, payment.ErrConflict) }

type kind int

const (
	kindUnknown kind = iota
	kindSQLite
	kindPostgres
)

// split tells which database a URL names, and SQLite's path.
func split(url string) (kind, string) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok && path != "" && !strings.HasPrefix(path, ":memory:") {
		return kindSQLite, path
	}
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		return kindPostgres, ""
	}
	return kindUnknown, ""
}
