package store_test

import (
	"context"
	"fmt"
	"maps"
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

// Both folders of migrations make the same tables, columns, types, and indexes.
func TestSchemasAreEqual(t *testing.T) {
	ctx := context.Background()
	lite, pg := databases["sqlite"](t), pgtest.URL(t)
	open(t, store.Options{URL: lite})
	open(t, store.Options{URL: pg})
	read := func(url, query string) map[string]string {
		db, err := store.DB(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		all := map[string]string{}
		for rows.Next() {
			var name, what string
			if err := rows.Scan(&name, &what); err != nil {
				t.Fatal(err)
			}
			all[name] = what
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	kinds := map[string]string{
		"INTEGER": "INTEGER", "TEXT": "TEXT", "BLOB": "BLOB", "bigint": "INTEGER", "integer": "INTEGER", "boolean": "INTEGER",
		"text": "TEXT", "numeric": "TEXT", "bytea": "BLOB",
	}
	columns := func(all map[string]string) []string {
		var lines []string
		for name, what := range all {
			kind, rest, _ := strings.Cut(what, "|")
			if kinds[kind] == "" {
				t.Errorf("column %s is of type %q", name, kind)
			}
			lines = append(lines, name+" "+kinds[kind]+" "+rest)
		}
		slices.Sort(lines)
		return lines
	}
	liteColumns := columns(read(lite, `SELECT m.name || '.' || c.name,
		c.type || '|' || CASE WHEN c."notnull" = 1 OR c.pk > 0 THEN 'NOT NULL' ELSE '' END
		FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'schema_version'`))
	pgColumns := columns(read(pg, `SELECT table_name || '.' || column_name,
		data_type || '|' || CASE WHEN is_nullable = 'NO' THEN 'NOT NULL' ELSE '' END
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_version'`))
	if len(liteColumns) < 100 {
		t.Fatalf("only %d columns", len(liteColumns))
	}
	for _, line := range differences(liteColumns, pgColumns) {
		t.Error("column only in one database:", line)
	}
	liteIndexes := read(lite, `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`)
	pgIndexes := read(pg, `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
		AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key' AND tablename <> 'schema_version'`)
	for _, line := range differences(slices.Sorted(maps.Keys(liteIndexes)), slices.Sorted(maps.Keys(pgIndexes))) {
		t.Error("index only in one database:", line)
	}
}

func differences(a, b []string) []string {
	var all []string
	for _, line := range a {
		if !slices.Contains(b, line) {
			all = append(all, line+" (sqlite)")
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			all = append(all, line+" (postgres)")
		}
	}
	return all
}

// scans are the queries that may read a whole table or index on SQLite, and why.
var scans = map[string]string{
	"CountDue":         "counts its own bounded choice",
	"PoolLevels":       "counts its own bounded choice",
	"UnvaluedDeposits": "its index holds the answer and nothing else",
	"OldestDue":        "the first of an index",
	"InvoiceCounts":    "counts its own bounded choice",
	"CountCallbacks":   "counts its own bounded choice",
	"CountParkedMails": "counts its own bounded choice",
	"CountUnreached":   "counts its own bounded choice",
}

// firstBy is what some queries must begin by: another index would lead through all that a merchant has.
var firstBy = map[string]string{
	"OrderInvoices":   "invoice_order",
	"DepositInvoices": "deposit_txid",
	"PayoutInvoices":  "payout_txid",
	"InvoicePage":     "invoice_list",
	"CallbackPage":    "callback_list",
	"OwedPayouts":     "payout_owed",
	"MarkedInvoices":  "invoice_marked",
	"PaidPrices":      "invoice_paid",
	"Sold":            "invoice_sold",
	"SaleHours":       "(merchant_id=? AND hour>? AND hour<?)",
}

// No query leads through a whole table.
func TestPlans(t *testing.T) {
	ctx := context.Background()
	var mu sync.Mutex
	texts := map[string]string{}
	t.Run("run", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T, now func() time.Time) engine.Store {
			s := open(t, store.Options{URL: databases["sqlite"](t), Now: now})
			s.Observe(func(text string) {
				mu.Lock()
				texts[queryName.FindStringSubmatch(text)[1]] = text
				mu.Unlock()
			})
			return s
		})
	})
	url := databases["sqlite"](t)
	open(t, store.Options{URL: url})
	db, err := store.DB(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	parameter := regexp.MustCompile(`\$(\d+)`)
	for name, text := range texts {
		most := 0
		for _, m := range parameter.FindAllStringSubmatch(text, -1) {
			var n int
			if _, err := fmt.Sscan(m[1], &n); err != nil {
				t.Fatal(err)
			}
			most = max(most, n)
		}
		rows, err := db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+strings.Replace(text, "FOR UPDATE SKIP LOCKED", "", 1), make([]any, most)...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer rows.Close()
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(plan, "\n\t")
		if scansTable(text, plan) && scans[name] == "" {
			t.Errorf("%s scans:\n\t%s", name, all)
		}
		if by := firstBy[name]; by != "" && !strings.Contains(plan[0], by) {
			t.Errorf("%s does not begin by %s:\n\t%s", name, by, all)
		}
	}
}

var withName = regexp.MustCompile(`(\w+)(?: \(\w+\))? AS (?:MATERIALIZED )?\(`)

// scansTable tells whether a plan reads all of anything but what the query's own WITH chose.
func scansTable(text string, plan []string) bool {
	own := map[string]bool{}
	for _, m := range withName.FindAllStringSubmatch(text, -1) {
		own[m[1]] = true
	}
	return slices.ContainsFunc(plan, func(step string) bool {
		what, scans := strings.CutPrefix(step, "SCAN ")
		return scans && !own[strings.Fields(what)[0]]
	})
}
