package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
)

// crashURL and crashApp make this test binary the process that writes until it is killed.
const (
	crashURL = "PIPE_TEST_CRASH_URL"
	crashApp = "PIPE_TEST_CRASH_APP"
	writers  = 16
)

func TestMain(m *testing.M) {
	if url := os.Getenv(crashURL); url != "" {
		fmt.Fprintln(os.Stderr, writeForEver(url, payment.ID(os.Getenv(crashApp))))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver writes rows that belong together, and prints the id of each once it is acknowledged.
func writeForEver(url string, app payment.ID) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{URL: url, Exclusive: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	var a payment.Application
	err = s.View(ctx, func(tx engine.Tx) (err error) {
		a, err = tx.Application(app)
		return err
	})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range writers {
		go func() {
			for {
				var id payment.ID
				err := s.Update(ctx, func(tx engine.Tx) error {
					i := newInvoice(tx, a)
					id = i.ID
					return writeTogether(tx, i)
				})
				if err == nil {
					_, err = fmt.Println(id)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func writeTogether(tx engine.Tx, i payment.Invoice) error {
	return errors.Join(
		tx.AddInvoice(i),
		tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: i.ID, Kind: payment.EventCreated, At: tx.Now()}),
		tx.AddIdempotency(engine.Idempotency{ApplicationID: i.ApplicationID, Key: string(i.ID), Digest: []byte{1}, Made: i.ID, At: tx.Now()}),
		tx.Post(ledger.Entry{Key: string(i.ID), Kind: ledger.DepositConfirmed, Postings: []ledger.Posting{
			{From: ledger.World, To: ledger.Account("invoice/" + i.ID), Network: "bitcoin/regtest", Amount: money.Of(money.BTC, 1)},
		}}),
	)
}

// What was acknowledged before a kill is there afterwards, whole, and what is there is whole.
func TestKill(t *testing.T) {
	for name, url := range databases {
		t.Run(name, func(t *testing.T) {
			target := url(t)
			s := open(t, store.Options{URL: target})
			a := someApplication(t, s)
			acknowledged := map[payment.ID]bool{}
			for round := range 4 {
				for _, id := range killAfter(t, target, a.ID, 50+100*round) {
					acknowledged[id] = true
				}
				checkWhole(t, target, s, acknowledged, (round+1)*writers)
			}
		})
	}
}

// killAfter lets a process write until so many rows are acknowledged, kills it and answers all that it acknowledged.
func killAfter(t *testing.T, url string, app payment.ID, rows int) []payment.ID {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashURL+"="+url, crashApp+"="+string(app))
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []payment.ID
	var once sync.Once
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if id, ok := payment.ParseID(lines.Text()); ok { // the last line may be cut
			ids = append(ids, id)
		}
		if len(ids) >= rows {
			once.Do(func() {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if err := cmd.Wait(); err == nil || len(ids) < rows {
		t.Fatalf("the writer ended by itself: %v: %s", err, complaint.String())
	}
	return ids
}

// checkWhole compares what is stored with what was acknowledged. At most unheard rows may be stored beyond that: their
// acknowledgement was under way.
func checkWhole(t *testing.T, url string, s *store.Store, acknowledged map[payment.ID]bool, unheard int) {
	t.Helper()
	ctx := context.Background()
	db, err := store.DB(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	ask := func(query string) (answer string) {
		t.Helper()
		if err := db.QueryRowContext(ctx, query).Scan(&answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if strings.HasPrefix(url, "sqlite:") {
		if got := ask("PRAGMA integrity_check"); got != "ok" {
			t.Fatalf("integrity: %s", got)
		}
	} else { // a commit that the killed process sent may still be under way
		for ask(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
			AND pid <> pg_backend_pid()`) != "0" {
			time.Sleep(5 * time.Millisecond)
		}
	}
	counts := map[string]bool{}
	for _, table := range []string{"invoice", "event", "idempotency", "entry", "posting", "balance"} {
		counts[ask("SELECT COUNT(*) FROM "+table)] = true
	}
	if len(counts) != 1 {
		t.Errorf("tables that are written together hold different numbers of rows: %v", counts)
	}
	var stored int
	if _, err := fmt.Sscan(ask("SELECT COUNT(*) FROM invoice"), &stored); err != nil {
		t.Fatal(err)
	}
	if stored < len(acknowledged) || stored > len(acknowledged)+unheard {
		t.Errorf("%d rows were acknowledged, %d are stored", len(acknowledged), stored)
	}
	err = s.View(ctx, func(tx engine.Tx) error {
		for id := range acknowledged {
			i, err := tx.Invoice(id)
			if err != nil {
				return fmt.Errorf("acknowledged invoice %s: %w", id, err)
			}
			if _, err := tx.Idempotency(i.ApplicationID, string(id)); err != nil {
				return fmt.Errorf("key of acknowledged invoice %s: %w", id, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
