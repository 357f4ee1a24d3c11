package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/pipe-pg/pipe/internal/store/row"
)

//go:embed migrations
var migrations embed.FS

// versionTable is where goose notes what was applied.
const versionTable = "schema_version"

// Migrate moves the database's schema to this program's version, making a SQLite database that does not exist. Several
// may start at once on PostgreSQL. A SQLite database that pipe serve uses is only moved when nothing is to do: ErrInUse.
// It answers the version before and after.
func Migrate(ctx context.Context, url string, log *slog.Logger) (was, is int64, err error) {
	k, path := split(url)
	var db *sql.DB
	switch k {
	case kindSQLite:
		if err := makeFile(path); err != nil {
			return 0, 0, err
		}
		db, err = sql.Open("sqlite", dsn(path))
	case kindPostgres:
		db, err = openPool(url, 2, nil)
	default:
		return 0, 0, fmt.Errorf("%w: want sqlite:PATH or postgres://…", ErrURL)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("open database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := provider(k, db, log)
	if err != nil {
		return 0, 0, err
	}
	was, is, err = p.GetVersions(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read the schema's version: %w", err)
	}
	if was >= is {
		return was, was, nil
	}
	if k == kindSQLite {
		held, err := lockFile(ctx, path)
		if err != nil {
			return was, was, err
		}
		defer func() { err = errors.Join(err, held.Close()) }()
	}
	if _, err := p.Up(ctx); err != nil {
		return was, was, fmt.Errorf("migrate the schema: %w", err)
	}
	return was, is, nil
}

// provider is goose on this database's folder of migrations.
func provider(k kind, db *sql.DB, log *slog.Logger) (*goose.Provider, error) {
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	options := []goose.ProviderOption{
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true),
	}
	if log != nil {
		options = append(options, goose.WithSlog(log))
	} else {
		options = append(options, goose.WithLogger(goose.NopLogger()))
	}
	if k == kindPostgres {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, fmt.Errorf("set up migrations: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return nil, fmt.Errorf("set up migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, db, files, options...)
	if err != nil {
		return nil, fmt.Errorf("set up migrations: %w", err)
	}
	return p, nil
}

// checkSchema refuses a schema that is older than this program, and a newer one that does not say that this program may
// still run on it. It changes nothing.
func checkSchema(ctx context.Context, k kind, db *sql.DB) error {
	p, err := provider(k, db, nil)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	mine := sources[len(sources)-1].Version
	var have int64
	query := "SELECT COALESCE(MAX(version_id), 0) FROM " + versionTable
	if err := db.QueryRowContext(ctx, query).Scan(&have); err != nil {
		if noTable(err) {
			return fmt.Errorf("%w: the database is empty: run pipe migrate", ErrSchema)
		}
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if have < mine {
		return fmt.Errorf("%w: the database has version %d, this program needs %d: run pipe migrate", ErrSchema, have, mine)
	}
	oldest, err := row.New(db).OldestProgram(ctx)
	if err != nil {
		return fmt.Errorf("read which programs the schema serves: %w", err)
	}
	if oldest > mine {
		return fmt.Errorf("%w: the database has version %d and serves programs from version %d on, this one is %d: "+
			"install the newer program (pipe migrate never goes back)", ErrSchema, have, oldest, mine)
	}
	return nil
}

// openPool is a pool of connections to PostgreSQL with run-time parameters.
func openPool(url string, size int, params map[string]string) (*sql.DB, error) {
	config, err := parseConfig(url, params)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}
