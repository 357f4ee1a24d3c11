package e2e

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // to look at what was stored, from outside
)

// count is how many rows a table of the embedded database has.
func (d *demo) count(t testing.TB, table string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(d.dir, "data", "pipe.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	err = db.QueryRow("SELECT count(*) FROM " + table).Scan(&n)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}
