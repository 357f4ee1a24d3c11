package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// postgres is the backend of one PostgreSQL database. Every Update is SERIALIZABLE: PostgreSQL finds out which of the
// transactions at the same time do not add up to any order, and stops one of them; that one is tried again.
type postgres struct {
	*base
	write, read *sql.DB
	// alone is held for reading by each try, and for writing by one that failed too often, so that it meets no other one of
	// this process, and, by the guard, no other such one of another process.
	alone sync.RWMutex
}

// lonelyLock is the key of PostgreSQL's advisory lock for transactions that failed too often: "PIPE" and a number.
const lonelyLock = 0x5049_5045_0001

// params hold for every connection: the planner's sequential scans would make SERIALIZABLE take a whole table for read, and
// every other writer for a conflict.
var params = map[string]string{"enable_seqscan": "off", "jit": "off", "application_name": "pipe"}

func parseConfig(url string, more map[string]string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%w: PostgreSQL's driver cannot read it", ErrURL) // its error may hold the password
	}
	maps.Copy(config.RuntimeParams, more)
	return config, nil
}

func openPostgres(ctx context.Context, b *base, url string) (_ *postgres, err error) {
	p := &postgres{base: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.write, err = openPool(url, Writers, params); err != nil {
		return nil, err
	}
	if p.read, err = openPool(url, Viewers, params); err != nil {
		return nil, err
	}
	version, err := serverVersion(ctx, p.write)
	if err != nil {
		return nil, err
	}
	if version < MinPostgres {
		return nil, fmt.Errorf("PostgreSQL %d is too old: %d or newer is needed", version, MinPostgres)
	}
	for _, name := range []string{"synchronous_commit", "fsync"} {
		var value string
		if err := p.write.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return nil, fmt.Errorf("ask PostgreSQL's %s: %w", name, err)
		}
		if value == "off" {
			b.log.WarnContext(ctx, "PostgreSQL may lose commits in a power cut: turn the setting on", "setting", name)
		}
	}
	if err := checkSchema(ctx, kindPostgres, p.write); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *postgres) close() error {
	var errs []error
	for _, db := range []*sql.DB{p.read, p.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func (p *postgres) view(ctx context.Context, fn func(engine.Tx) error) error {
	if err := p.lost(); err != nil {
		return err
	}
	sqlTx, err := p.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin reading: %w", err)
	}
	defer p.rollback(ctx, sqlTx)
	t := newTx(ctx, p.base, sqlTx)
	err = fn(t)
	if t.broken != nil && diskError(t.broken) {
		return p.die(t.broken)
	}
	return err
}

func (p *postgres) update(ctx context.Context, try int, fn func(engine.Tx) error) (bool, error) {
	if err := p.lost(); err != nil {
		return false, err
	}
	if try >= TxAlone {
		p.alone.Lock()
		defer p.alone.Unlock()
	} else {
		p.alone.RLock()
		defer p.alone.RUnlock()
	}
	// The transaction outlives its caller's context, so that a commit under way is never cut off.
	long, cancel := context.WithTimeout(context.WithoutCancel(ctx), TxTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("begin a transaction: %w", err)
	}
	if try >= TxAlone {
		guard, err := p.guard(long)
		if err != nil {
			return lostConnection(err), err
		}
		defer p.rollback(ctx, guard)
	}
	sqlTx, err := p.write.BeginTx(long, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return lostConnection(err), fmt.Errorf("begin a transaction: %w", err)
	}
	defer p.rollback(ctx, sqlTx)
	if p.runTwice {
		if err := p.rehearse(ctx, sqlTx, fn); err != nil {
			return p.verdict(err)
		}
	}
	t := newTx(ctx, p.base, sqlTx)
	err = fn(t)
	switch {
	case t.broken != nil:
		again, bad := p.verdict(t.broken)
		if err == nil || again || p.lost() != nil {
			return again, bad
		}
		return false, err
	case err != nil:
		return again(err), err
	case ctx.Err() != nil:
		return false, fmt.Errorf("commit: %w", ctx.Err())
	}
	return p.commit(sqlTx)
}

// guard waits until no other process runs a transaction that failed too often, and keeps them waiting until it is rolled back.
// A process that waits here runs nothing else, so the one that holds the guard meets at most the first tries of the others. It
// is a transaction of its own: the snapshot of the one that it guards must be taken after the wait.
func (p *postgres) guard(ctx context.Context) (*sql.Tx, error) {
	guard, err := p.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin a guard: %w", err)
	}
	if _, err := guard.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lonelyLock); err != nil {
		p.rollback(ctx, guard)
		return nil, fmt.Errorf("take the guard: %w", err)
	}
	return guard, nil
}

// rehearse runs fn and takes it back. Only what breaks the transaction itself is an error.
func (p *postgres) rehearse(ctx context.Context, sqlTx *sql.Tx, fn func(engine.Tx) error) error {
	if _, err := sqlTx.ExecContext(ctx, "SAVEPOINT part"); err != nil {
		return fmt.Errorf("begin a rehearsal: %w", err)
	}
	t := newTx(ctx, p.base, sqlTx)
	if err := fn(t); err != nil {
		p.log.DebugContext(ctx, "rehearsal of a transaction failed", "err", err)
	}
	if _, err := sqlTx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT part"); err != nil {
		return fmt.Errorf("take a rehearsal back: %w", errors.Join(err, t.broken))
	}
	return nil
}

// verdict says what an error of a statement means: try again, end, or answer it.
func (p *postgres) verdict(err error) (bool, error) {
	if diskError(err) {
		return false, p.die(err)
	}
	err = classify(err)
	return errors.Is(err, payment.ErrConflict) || lostConnection(err), err
}

func (p *postgres) commit(sqlTx *sql.Tx) (bool, error) {
	err := sqlTx.Commit()
	if err == nil {
		return false, nil
	}
	err = fmt.Errorf("commit: %w", err)
	if commitUnknown(err) {
		return false, p.die(err)
	}
	return p.verdict(err)
}

// rollback ends a transaction that was not committed; after a commit it does nothing. A connection that cannot even roll
// back is closed by the driver, and PostgreSQL rolls back by itself.
func (p *postgres) rollback(ctx context.Context, sqlTx *sql.Tx) {
	if err := sqlTx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		p.log.DebugContext(ctx, "roll back", "err", err)
	}
}
