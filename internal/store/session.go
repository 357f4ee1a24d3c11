package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/pipe-pg/pipe/internal/store/row"
)

// A session is one SQLite connection with the statements prepared on it. One goroutine uses it at a time. The texts are
// the constants of package row, so the map is bounded.
//
// Statements run without their caller's cancellation: SQLite rolls the whole transaction back when a write is interrupted,
// and others may share it. Each is short; the context is looked at between them.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, stmts: map[string]*sql.Stmt{}}, nil
}

func (s *session) close() error {
	for _, stmt := range s.stmts {
		if err := stmt.Close(); err != nil {
			return err
		}
	}
	return s.conn.Close()
}

// do runs one of the statements that begin and end transactions.
func (s *session) do(text string) error {
	_, err := s.ExecContext(context.Background(), text)
	return err
}

func (s *session) prepared(text string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts[text]; ok {
		return stmt, nil
	}
	// SQLite has one writer at a time and no row locks to ask for.
	stmt, err := s.conn.PrepareContext(context.Background(), strings.Replace(text, "FOR UPDATE SKIP LOCKED", "", 1))
	if err != nil {
		return nil, err
	}
	s.stmts[text] = stmt
	return stmt, nil
}

// ExecContext runs a statement.
func (s *session) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stmt, err := s.prepared(text) //nolint:sqlclosecheck // kept for the connection's life
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(context.WithoutCancel(ctx), args...)
}

// PrepareContext prepares a statement that the caller closes.
func (s *session) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	return s.conn.PrepareContext(ctx, text)
}

// QueryContext runs a query.
func (s *session) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stmt, err := s.prepared(text) //nolint:sqlclosecheck // kept for the connection's life
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(context.WithoutCancel(ctx), args...)
}

// QueryRowContext runs a query of which one row is read. A statement that cannot be prepared, and an ended context, answer
// their error from Scan.
func (s *session) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	stmt, err := s.prepared(text) //nolint:sqlclosecheck // kept for the connection's life
	if err == nil && ctx.Err() == nil {
		return stmt.QueryRowContext(context.WithoutCancel(ctx), args...)
	}
	return s.conn.QueryRowContext(ctx, text, args...)
}

// observed tells of every statement before it runs.
type observed struct {
	row.DBTX
	tell func(text string)
}

func (o observed) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	o.tell(text)
	return o.DBTX.ExecContext(ctx, text, args...)
}

func (o observed) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	o.tell(text)
	return o.DBTX.QueryContext(ctx, text, args...)
}

func (o observed) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	o.tell(text)
	return o.DBTX.QueryRowContext(ctx, text, args...)
}
