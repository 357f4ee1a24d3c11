package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A group is the limit program of everything that stores a row: callers hand in one invoice-like row each (600 bytes,
// three indexes), one writer commits all that wait together, and answers after the commit.
type group struct {
	rows chan pending
	done chan error
	seed random
}

type pending struct {
	id, order, text string
	done            chan error
}

// sink writes rows in one durable commit.
type sink func(ctx context.Context, rows []pending) error

const limitSchema = `CREATE TABLE limit_row (n %s PRIMARY KEY, id TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL,
	status INTEGER NOT NULL, deadline BIGINT NOT NULL, body TEXT NOT NULL)`

var limitIndexes = []string{ //nolint:gochecknoglobals // immutable
	"CREATE INDEX limit_order ON limit_row (order_id)",
	"CREATE INDEX limit_due ON limit_row (deadline, id) WHERE status = 1",
}

func newGroup(ctx context.Context, seed uint64, write sink) *group {
	g := &group{rows: make(chan pending, groupMost), done: make(chan error, 1), seed: random{seed}}
	go func() {
		for row := range g.rows {
			batch := []pending{row}
			for more := true; more && len(batch) < groupMost; {
				select {
				case row, ok := <-g.rows:
					if more = ok; ok {
						batch = append(batch, row)
					}
				default:
					more = false
				}
			}
			err := write(ctx, batch)
			for _, row := range batch {
				row.done <- err
			}
		}
		g.done <- nil
	}()
	return g
}

func (g *group) close() error { close(g.rows); return <-g.done }

// work is what one caller does. Rows grow with time, as the product's ids do.
func (g *group) work(i int) (func(context.Context) error, error) {
	r := random{g.seed.next()}
	text := strings.Repeat("x", 440)
	done := make(chan error, 1)
	return func(context.Context) error {
		g.rows <- pending{id: timeID(&r), order: fmt.Sprintf("order-%d-%d", i, r.below(1<<40)), text: text, done: done}
		return <-done
	}, nil
}

// sqliteSink commits to a database of its own, with the product's settings.
func (b *lab) sqliteSink(ctx context.Context, name string) (sink, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.Join(b.dir, name)}).EscapedPath()+"?"+url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}, "_txlock": {"immediate"}}.Encode())
	if err != nil {
		return nil, err
	}
	b.later(db.Close)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	b.later(conn.Close)
	for _, text := range append([]string{fmt.Sprintf(limitSchema, "INTEGER")}, limitIndexes...) {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	insert, err := conn.PrepareContext(ctx, "INSERT INTO limit_row (id, order_id, status, deadline, body) VALUES (?, ?, 1, ?, ?)")
	if err != nil {
		return nil, err
	}
	b.later(insert.Close)
	begin, err := conn.PrepareContext(ctx, "BEGIN IMMEDIATE")
	if err != nil {
		return nil, err
	}
	b.later(begin.Close)
	commit, err := conn.PrepareContext(ctx, "COMMIT")
	if err != nil {
		return nil, err
	}
	b.later(commit.Close)
	n := int64(0)
	return func(ctx context.Context, rows []pending) error {
		if _, err := begin.ExecContext(ctx); err != nil {
			return err
		}
		for _, row := range rows {
			n++
			if _, err := insert.ExecContext(ctx, row.id, row.order, n, row.text); err != nil {
				return err
			}
		}
		_, err := commit.ExecContext(ctx)
		return err
	}, nil
}

// postgresSink commits to tables of its own on the same server, each group in one round trip.
func (b *lab) postgresSink(ctx context.Context, address string) (sink, error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	b.later(func() error { return conn.Close(context.WithoutCancel(ctx)) })
	for _, text := range append([]string{fmt.Sprintf(limitSchema, "BIGINT GENERATED ALWAYS AS IDENTITY")}, limitIndexes...) {
		if _, err := conn.Exec(ctx, text); err != nil {
			return nil, err
		}
	}
	n := int64(0)
	return func(ctx context.Context, rows []pending) error {
		var batch pgx.Batch // outside an explicit transaction a batch is one
		for _, row := range rows {
			n++
			batch.Queue("INSERT INTO limit_row (id, order_id, status, deadline, body) VALUES ($1, $2, 1, $3, $4)", row.id, row.order, n, row.text)
		}
		return conn.SendBatch(ctx, &batch).Close()
	}, nil
}
