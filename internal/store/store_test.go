package store_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/pgtest"
	"github.com/pipe-pg/pipe/internal/store"
	"github.com/pipe-pg/pipe/internal/store/storetest"
)

// databases are where everything is tested: what answers the URL of an empty database.
var databases = map[string]func(t testing.TB) string{
	"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "a pipe?#%.db") },
	"postgres": pgtest.URL,
}

// open migrates and opens a database; fatal errors fail the test.
func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	ctx := context.Background()
	if _, _, err := store.Migrate(ctx, o.URL, nil); err != nil {
		t.Fatal(err)
	}
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Fatal == nil {
		o.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
	}
	s, err := store.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// Both databases do all that the suite asks, once plainly and once with every fn run twice, and no query is left out.
func TestConformance(t *testing.T) {
	for name, url := range databases {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			ran := map[string]bool{}
			for _, twice := range []bool{false, true} {
				t.Run(map[bool]string{false: "once", true: "twice"}[twice], func(t *testing.T) {
					storetest.Run(t, func(t *testing.T, now func() time.Time) engine.Store {
						s := open(t, store.Options{URL: url(t), Now: now, RunTwice: twice})
						s.Observe(func(text string) {
							if m := queryName.FindStringSubmatch(text); m != nil {
								mu.Lock()
								ran[m[1]] = true
								mu.Unlock()
							}
						})
						return s
					})
				})
			}
			if t.Failed() || strings.Count(flag.Lookup("test.run").Value.String(), "/") > 1 {
				return // not all cases ran
			}
			for _, q := range queries(t) {
				if !ran[q] && q != "OldestProgram" { // which Open runs
					t.Errorf("no case runs the query %s", q)
				}
			}
		})
	}
}

var queryName = regexp.MustCompile(`-- name: (\w+) :`)

// queries are the names of all queries.
func queries(t *testing.T) []string {
	files, err := filepath.Glob("query/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range queryName.FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
	}
	if len(names) < 50 {
		t.Fatalf("only %d queries found", len(names))
	}
	return slices.Sorted(maps.Keys(names))
}

// What does not fit is refused, with the cure.
func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	for _, url := range []string{"", "mysql://x", "sqlite:", "sqlite::memory:", "postgres://%zz"} {
		if _, err := store.Open(ctx, store.Options{URL: url}); !errors.Is(err, store.ErrURL) {
			t.Errorf("open %q: %v", url, err)
		}
	}
	for name, url := range databases {
		t.Run(name, func(t *testing.T) {
			o := store.Options{URL: url(t), Logger: slog.New(slog.DiscardHandler)}
			refused := func(what, cure string) {
				t.Helper()
				_, err := store.Open(ctx, o)
				if !errors.Is(err, store.ErrSchema) || !regexp.MustCompile(cure).MatchString(err.Error()) {
					t.Errorf("%s: got %v, want a refusal that says %q", what, err, cure)
				}
			}
			refused("no schema", "run pipe migrate")
			was, is, err := store.Migrate(ctx, o.URL, nil)
			if err != nil || was != 0 || is < 1 {
				t.Fatalf("migrated from %d to %d: %v", was, is, err)
			}
			if was, again, err := store.Migrate(ctx, o.URL, nil); err != nil || was != is || again != is {
				t.Fatalf("migrated again from %d to %d: %v", was, again, err)
			}
			db, err := store.DB(ctx, o.URL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			do := func(text string) {
				t.Helper()
				if _, err := db.ExecContext(ctx, text); err != nil {
					t.Fatal(err)
				}
			}
			do("INSERT INTO schema_version (version_id, is_applied) VALUES (9999, TRUE)")
			s, err := store.Open(ctx, o) // newer, and says that this program may run on it
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			do("UPDATE schema_rule SET oldest = 9999")
			refused("a newer schema", "newer program")
			do("DELETE FROM schema_version WHERE version_id > 0")
			refused("an older schema", "run pipe migrate")
		})
	}
}

// Only one may serve a SQLite database; short commands open beside it.
func TestExclusive(t *testing.T) {
	ctx := context.Background()
	o := store.Options{URL: databases["sqlite"](t), Exclusive: true}
	if _, _, err := store.Migrate(ctx, o.URL, nil); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(ctx, o); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second exclusive user: %v", err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(strings.TrimPrefix(o.URL, "sqlite:") + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("the file %q may be used by others: %s", suffix, mode)
		}
	}
	beside, err := store.Open(ctx, store.Options{URL: o.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := beside.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := store.Migrate(ctx, o.URL, nil); err != nil {
		t.Errorf("a migration with nothing to do: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again, err := store.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
