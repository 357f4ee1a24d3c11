package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
)

// oldID is an id in rows of older programs.
func oldID(n int) string { return fmt.Sprintf("%064X", n) }

// A fixture is a row as an older program wrote it.
type fixture struct {
	table   string
	columns string
	values  []any
}

// firstRows are rows of every table of the first version, as its program wrote them, and none in the order of its key.
func firstRows() []fixture {
	merchant, application, invoice, other := oldID(0xA1), oldID(0xB1), oldID(0xC1), oldID(0xC2)
	const huge = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
	settings := `{"quote_window_ms":1800000,"choose_within_ms":86400000,"exchange_window_ms":3600000,"tolerance":5000,` +
		`"depths":[{"coin":"BTC","depth":{"blocks":2}}],"accept_late":true}`
	policy := `{"quote_window_ms":1800000,"choose_within_ms":86400000,"exchange_window_ms":3600000,"tolerance":5000,"depths":{"BTC":{"blocks":2}}}`
	const invoiceColumns = "n, id, application_id, merchant_id, order_id, order_name, price_currency, price, language, callback_url, " +
		"open_type, redirect_url, policy, accept_late, coins, created_at, refunds, refund_owner, cancelled_at, status, deposit_status, " +
		"marks, quote_id, seen, confirmed, deadline, deposited_at, paid_at, expired_at, updated_at, rev"
	const depositColumns = "n, id, invoice_id, network, ref, address, coin, amount, sender, txid, state, seen_at, pending_at, " +
		"spendable, height, block_hash, block_time, arrived_at, turn, worth_currency, worth, unvalued, rev"
	const addressColumns = "n, network, address, merchant_id, idx, epoch, state, invoice_id, coin, balance, hot_until, released_at, given_at, rev"
	const callbackColumns = "n, id, invoice_id, application_id, seq, url, origin, status, code, content_type, body, state, attempts, " +
		"created_at, due_at, lease_until, fence, done_at"
	row := func(table, columns string, values ...any) fixture { return fixture{table, columns, values} }
	return []fixture{
		row("merchant", "n, id, name, branch, created_at", 7, merchant, "가게", 3, 1000),
		row("application", "n, id, merchant_id, name, origins, networks, coins, settlement, settings, callback, created_at, updated_at, rev",
			9, application, merchant, "shop", `["https://shop.example"]`, `["192.0.2.0/24"]`, `["BTC"]`, `{"BTC":"bcrt1qx"}`, settings,
			`{"encoding":"json"}`, 1000, 1001, 4),
		row("api_key", "n, id, application_id, hash, hint, created_at, expires_at",
			2, oldID(0xD1), application, slices.Repeat([]byte{0xFE}, 32), "pk_x", 1000, 0),
		row("invoice", invoiceColumns, 12, invoice, application, merchant, "order", "A book", "KRW", "105000", "ko",
			"https://shop.example/cb", "redirect", "https://shop.example/", policy, true, `["BTC","ETH"]`, 1000,
			`{"BTC":{"address":"bc1back","fixed":true}}`, []byte{1, 2}, 0, 2, 1, 3, oldID(0xE1), huge, "5", 2000, 1500, 1600, 0, 1700, 6),
		row("invoice", invoiceColumns, 5, other, application, merchant, "order", "A book", "USD", "10", "en",
			"https://shop.example/cb", "layer", "", policy, true, `["BTC"]`, 1000, `{}`, []byte{}, 0, 1, 0, 0, "", nil, nil, 2000, 0, 0, 0, 1000, 0),
		row("quote", "n, id, invoice_id, coin, network, address, price_currency, rate, due, votes, window_ms, exchange, created_at, deadline",
			3, oldID(0xE1), invoice, "BTC", "bitcoin/regtest", "bcrt1qa", "KRW", "200000000003/3001", huge, `[]`, 1800000, false, 1000, 2000),
		row("stir", "n, network, invoice_id, turns", 4, "bitcoin/regtest", invoice, 2),
		row("address", addressColumns, 30, "ethereum/1337", "0xB", merchant, 1, 2, "given", invoice, "ETH", huge, 5000, 900, 1100, 3),
		row("address", addressColumns, 20, "ethereum/1337", "0xA", merchant, 2, 2, "free", nil, "ETH", "0", 0, 900, 0, 0),
		row("address", addressColumns, 25, "bitcoin/regtest", "bcrt1qd", merchant, 0, 1, "dead", nil, "BTC", "0", 0, 900, 0, 1),
		row("deposit", depositColumns, 41, oldID(0xF2), invoice, "ethereum/1337", "0xtx", "0xB", "ETH", huge, "0xfrom", "0xtx", "confirmed",
			1200, 1150, 0, 9, "0xblock", 1190, 1190, 2, "KRW", "9000", false, 5),
		row("deposit", depositColumns, 40, oldID(0xF1), other, "bitcoin/regtest", "tx:0", "bcrt1qa", "BTC", "7", "", "tx", "seen",
			2500, 2500, 0, 0, "", 0, 2500, 0, "", "0", true, 0),
		row("block", "network, height, hash, parent, time", "bitcoin/regtest", 9, "b9", "b8", 1190),
		row("network_state", "network, sight, trouble, trouble_since, height, final, genesis, breaker_until, rev",
			"bitcoin/regtest", 1200, "blind", 1100, 9, 3, "regtest:0", 0, 8),
		row("entry", "n, key, kind, at", 6, "deposit/ethereum/1337/0xtx/2", "deposit-confirmed", 1300),
		row("posting", "entry_n, i, source, target, network, amount", 6, 0, "world", "invoice/"+invoice, "ethereum/1337", huge),
		row("balance", "account, network, amount, rev", "invoice/"+invoice, "ethereum/1337", huge, 1),
		row("event", "n, id, invoice_id, kind, at, data", 8, oldID(0x81), invoice, "paid", 1600, `{"a":"б"}`),
		row("callback", callbackColumns, 15, oldID(0x91), invoice, application, 2, "https://shop.example/cb", "https://shop.example", 2, 1,
			"application/json", []byte("{\"a\":\"\xff\x00\"}"), "open", 1, 1600, 1700, 0, 2, 0),
		row("attempt", "callback_id, number, at, took_ms, http_status, verdict, detail, answer",
			oldID(0x91), 1, 1650, 20, 500, "bad-status", "said 500", []byte("no\xff")),
		row("idempotency", "n, application_id, key, digest, made, at", 2, application, "한 key", []byte{1}, invoice, 1000),
	}
}

// plain is a pool of its own, closed when the test ends.
func plain(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := store.DB(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// insert stores a row with the numbers that it has.
func insert(t *testing.T, db *sql.DB, f fixture) {
	t.Helper()
	marks := make([]string, len(f.values))
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	text := "INSERT INTO " + f.table + " (" + f.columns + ") VALUES (" + strings.Join(marks, ", ") + ")"
	_, err := db.ExecContext(context.Background(), text, f.values...)
	if err != nil { // PostgreSQL numbers rows itself unless it is told otherwise
		_, err = db.ExecContext(context.Background(), strings.Replace(text, "VALUES", "OVERRIDING SYSTEM VALUE VALUES", 1), f.values...)
	}
	if err != nil {
		t.Fatalf("%s: %v", f.table, err)
	}
}

// dump is every row of a table as its columns' texts.
func dump(t *testing.T, db *sql.DB, table string) []map[string]string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), "SELECT * FROM "+table+" ORDER BY 1, 2")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		line := map[string]string{}
		for i, name := range columns {
			v := *values[i].(*any)
			line[name] = fmt.Sprintf("%T %v", v, v)
		}
		all = append(all, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// A database of the first version goes through the migration with all that it holds.
func TestMigrationKeepsAll(t *testing.T) {
	ctx := context.Background()
	for name, url := range databases {
		t.Run(name, func(t *testing.T) {
			target := url(t)
			if err := store.MigrateTo(ctx, target, 1); err != nil {
				t.Fatal(err)
			}
			db := plain(t, target)
			tables := map[string]bool{}
			for _, f := range firstRows() {
				insert(t, db, f)
				tables[f.table] = true
			}
			for _, table := range tablesOf(t, db, name) {
				if !tables[table] {
					t.Errorf("no row of the table %s goes through the migration", table)
				}
			}
			before := map[string][]map[string]string{}
			for table := range tables {
				before[table] = dump(t, db, table)
			}
			if _, err := store.Open(ctx, store.Options{URL: target, Logger: slog.New(slog.DiscardHandler)}); !errors.Is(err, store.ErrSchema) {
				t.Errorf("open before the migration: %v", err)
			}
			if was, is, err := store.Migrate(ctx, target, nil); err != nil || was != 1 || is < 2 {
				t.Fatalf("migrated from %d to %d: %v", was, is, err)
			}
			db = plain(t, target) // the first one's prepared statements are of the old schema
			for table, rows := range before {
				compareRows(t, table, rows, dump(t, db, table))
			}
			readMigrated(t, target)
		})
	}
}

// tablesOf are the tables that hold what programs write.
func tablesOf(t *testing.T, db *sql.DB, kind string) []string {
	t.Helper()
	catalog, table, column := "information_schema.tables", "table_schema = 'public'", "table_name"
	if kind == "sqlite" {
		catalog, table, column = "sqlite_master", "type = 'table' AND name NOT LIKE 'sqlite%'", "name"
	}
	rows, err := db.QueryContext(context.Background(), "SELECT "+column+" FROM "+catalog+" WHERE "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if name != "schema_version" && name != "schema_rule" {
			all = append(all, name)
		}
	}
	if err := rows.Err(); err != nil || len(all) < 15 {
		t.Fatalf("%d tables: %v", len(all), err)
	}
	return all
}

// compareRows checks that what was there is there, and what is new has the value of nothing.
func compareRows(t *testing.T, table string, before, after []map[string]string) {
	t.Helper()
	if len(before) != len(after) {
		t.Errorf("%s has %d rows, had %d", table, len(after), len(before))
		return
	}
	fresh := map[string][]string{
		"address": {"wallet", "laden", "nonce"}, "deposit": {"account", "spend_id", "taken"}, "callback": {"payout_id"},
		"api_key": {"no_refund"}, "invoice": {"coin"}, "attempt": {"sent", "headers"},
	}
	for i := range before {
		old := maps.Clone(after[i])
		for _, column := range fresh[table] {
			delete(old, column)
		}
		if !maps.Equal(before[i], old) {
			t.Errorf("%s: a row was\n%v\nand is\n%v", table, before[i], old)
		}
	}
}

// readMigrated reads, and goes on writing, what was migrated.
func readMigrated(t *testing.T, url string) {
	t.Helper()
	s := open(t, store.Options{URL: url})
	var deposit payment.Deposit
	err := s.View(context.Background(), func(tx engine.Tx) error {
		f, err := tx.Facts(payment.ID(oldID(0xC1)))
		if err != nil {
			return err
		}
		if len(f.Deposits) != 1 || len(f.Quotes) != 1 || len(f.Payouts) != 0 {
			t.Errorf("the invoice has the facts %+v", f)
		}
		deposit = f.Deposits[0]
		if deposit.Account != ledger.Invoice(oldID(0xC1)) || deposit.SpendID != "" || deposit.Rev != 5 {
			t.Errorf("the deposit is %+v", deposit)
		}
		coins, err := tx.Coins(deposit.Account, "ethereum/1337", 0, 9)
		if err != nil || len(coins) != 1 {
			t.Errorf("coins %v: %v", coins, err)
		}
		unvalued, err := tx.UnvaluedDeposits(9)
		if err != nil || len(unvalued) != 1 || unvalued[0].Ref != "tx:0" {
			t.Errorf("to value: %v: %v", unvalued, err)
		}
		a, err := tx.InvoiceAddress(payment.ID(oldID(0xC1)), "ethereum/1337")
		if err != nil || !a.Wallet.Equal(money.Zero(money.ETH)) || a.Nonce != 0 || a.Index != 1 {
			t.Errorf("the address is %+v: %v", a, err)
		}
		app, err := tx.Application(payment.ID(oldID(0xB1)))
		if p := app.Settings.Settle; err != nil || p.Hold != 0 || p.Every != 0 || len(p.Above) != 0 || !app.Settings.AcceptLate {
			t.Errorf("the application has the settings %+v: %v", app.Settings, err)
		}
		c, err := tx.Callback(payment.ID(oldID(0x91)))
		if err != nil || c.PayoutID != "" || c.Status != int(payment.Paid) {
			t.Errorf("the callback is %+v: %v", c, err)
		}
		h, err := tx.Halt()
		if err != nil || h != (engine.Halt{}) {
			t.Errorf("the halt is %+v: %v", h, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(context.Background(), func(tx engine.Tx) error {
		_, err := tx.GiveAddress(engine.GiveAddress{Merchant: payment.ID(oldID(0xA1)), Network: "ethereum/1337", HotUntil: tx.Now()})
		if err != nil {
			return err
		}
		deposit.Account = ledger.Wallet(oldID(0xA1))
		return tx.SwapDeposit(deposit)
	})
	if err != nil {
		t.Fatal(err)
	}
}
