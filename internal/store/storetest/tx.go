package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func rollback(t *testing.T, s *suite) {
	mine := errors.New("mine")
	add := func(tx engine.Tx) error {
		_, err := tx.AddMerchant(payment.Merchant{ID: makeID(1), Name: "gone", CreatedAt: tx.Now()})
		return err
	}
	err := s.store.Update(context.Background(), func(tx engine.Tx) error {
		if err := add(tx); err != nil {
			return err
		}
		return mine
	})
	if err != mine { //nolint:errorlint // it must be the very error
		t.Errorf("got %v, want the error of fn itself", err)
	}
	absent(s, "a row rolled back", func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(makeID(1)) })
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v", got)
			}
		}()
		s.update(func(tx engine.Tx) error {
			if err := add(tx); err != nil {
				return err
			}
			panic("boom")
		})
	}()
	absent(s, "a row of a panic", func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(makeID(1)) })
	s.update(add)
}

// retry: a conflict is tried again, ten times, and every try begins anew.
func retry(t *testing.T, s *suite) {
	tries := map[int64]bool{} // by the try's own write
	var runs atomic.Int64
	err := s.store.Update(context.Background(), func(tx engine.Tx) error {
		tries[runs.Add(1)] = true
		_, err := tx.AddMerchant(payment.Merchant{ID: makeID(1), Name: "x", CreatedAt: tx.Now()})
		if err != nil {
			return err
		}
		return fmt.Errorf("lost a race: %w", payment.ErrConflict)
	})
	perTry := int64(1)
	if !errors.Is(err, payment.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if n := runs.Load(); n%11 != 0 {
		t.Errorf("fn ran %d times, want 11 tries", n)
	} else {
		perTry = n / 11 // 2 where every fn runs twice
	}
	absent(s, "a row of a lost race", func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(makeID(1)) })
	runs.Store(0)
	s.update(func(tx engine.Tx) error {
		if runs.Add(1) <= 3*perTry {
			return payment.ErrConflict
		}
		_, err := tx.AddMerchant(payment.Merchant{ID: makeID(1), Name: "x", CreatedAt: tx.Now()})
		return err
	})
	if n := runs.Load(); n != 4*perTry {
		t.Errorf("fn ran %d times, want %d", n, 4*perTry)
	}
}

// broken: a statement that failed breaks the transaction, even if fn passes over it.
func broken(t *testing.T, s *suite) {
	i := s.invoice()
	first := s.depositOf(i, makeID(1), "ref")
	s.update(func(tx engine.Tx) error { return tx.AddDeposit(first) })
	second := s.depositOf(i, makeID(2), "ref")
	s.refused("a conflict passed over", payment.ErrConflict, func(tx engine.Tx) error {
		if _, err := tx.AddMerchant(payment.Merchant{ID: makeID(7), Name: "x", CreatedAt: tx.Now()}); err != nil {
			return err
		}
		if err := tx.AddDeposit(second); !errors.Is(err, payment.ErrConflict) {
			t.Errorf("got %v, want a conflict", err)
		}
		return nil
	})
	absent(s, "a row beside a conflict", func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(makeID(7)) })
	// What finds nothing breaks nothing.
	s.update(func(tx engine.Tx) error {
		if _, err := tx.Merchant(makeID(8)); !errors.Is(err, payment.ErrAbsent) {
			return fmt.Errorf("got %w", err)
		}
		_, err := tx.AddMerchant(payment.Merchant{ID: makeID(8), Name: "x", CreatedAt: tx.Now()})
		return err
	})
}

func view(t *testing.T, s *suite) {
	m := s.merchant()
	err := s.store.View(context.Background(), func(tx engine.Tx) error {
		_, err := tx.AddMerchant(payment.Merchant{ID: makeID(1), Name: "x", CreatedAt: tx.Now()})
		return err
	})
	if err == nil {
		t.Error("a view wrote")
	}
	err = s.store.View(context.Background(), func(tx engine.Tx) error {
		if err := tx.KillAddresses(5); err == nil {
			t.Error("a view updated")
		}
		return nil
	})
	absent(s, "what a view wrote", func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(makeID(1)) })
	if err != nil {
		t.Log(err)
	}
	// One state: what is committed beside a view does not show in it.
	s.view(func(tx engine.Tx) error {
		if _, err := tx.Merchant(m.ID); err != nil {
			return err
		}
		s.update(func(tx engine.Tx) error {
			_, err := tx.AddMerchant(payment.Merchant{ID: makeID(2), Name: "x", CreatedAt: tx.Now()})
			return err
		})
		if _, err := tx.Merchant(makeID(2)); !errors.Is(err, payment.ErrAbsent) {
			t.Errorf("a view saw what was committed beside it: %v", err)
		}
		return nil
	})
	get(s, func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(makeID(2)) })
}

func ids(t *testing.T, s *suite) {
	s.now = start.Add(987_654 * time.Nanosecond)
	seen := map[payment.ID]bool{}
	s.update(func(tx engine.Tx) error {
		same(t, "now", tx.Now(), start)
		for range 1_000 {
			id := tx.NewID()
			if parsed, ok := payment.ParseID(string(id)); !ok || parsed != id || seen[id] {
				t.Fatalf("id %s", id)
			}
			seen[id] = true
			if want := fmt.Sprintf("%012X", start.UnixMilli()); string(id[:12]) != want {
				t.Fatalf("id %s does not begin with the time %s", id, want)
			}
		}
		return nil
	})
}

func cancelled(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(context.Background())
	err := s.store.Update(ctx, func(tx engine.Tx) error {
		_, err := tx.AddMerchant(payment.Merchant{ID: makeID(1), Name: "x", CreatedAt: tx.Now()})
		cancel()
		if err != nil {
			return err
		}
		_, err = tx.Merchant(makeID(1))
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}
	absent(s, "a row of a cancelled transaction", func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(makeID(1)) })
	if err := s.store.Update(ctx, func(engine.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("began under an ended context: %v", err)
	}
	if err := s.store.View(ctx, func(tx engine.Tx) error {
		_, err := tx.Merchant(makeID(1))
		return err
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("read under an ended context: %v", err)
	}
}

// together runs n goroutines and gathers their errors.
func together(t *testing.T, n int, run func(n int) error) {
	t.Helper()
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		group.Go(func() { errs[i] = run(i) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// crowd: callers at the same time each get their own rows and address, and one's error is nobody else's.
func crowd(t *testing.T, s *suite) {
	const callers, rounds = 32, 6
	a := s.application()
	texts := make([]string, callers*rounds)
	for i := range texts {
		texts[i] = fmt.Sprintf("0x%04d", i)
	}
	s.release(a.MerchantID, 0, texts...)
	mine := errors.New("mine")
	var mu sync.Mutex
	kept, dropped := map[payment.ID]string{}, map[payment.ID]bool{}
	together(t, callers, func(n int) error {
		for round := range rounds {
			fail := (n+round)%4 == 0
			var id payment.ID
			var given payment.Address
			err := s.store.Update(context.Background(), func(tx engine.Tx) (err error) {
				id = tx.NewID()
				if err := tx.AddInvoice(s.invoiceOf(a, id)); err != nil {
					return err
				}
				given, err = tx.GiveAddress(engine.GiveAddress{Merchant: a.MerchantID, Network: ethereum, Invoice: id})
				if err != nil {
					return err
				}
				if fail {
					return mine
				}
				return nil
			})
			if fail != errors.Is(err, mine) || !fail && err != nil {
				return fmt.Errorf("caller %d round %d: %w", n, round, err)
			}
			mu.Lock()
			if fail {
				dropped[id] = true
			} else {
				kept[id] = given.Address
			}
			mu.Unlock()
		}
		return nil
	})
	owners := map[string]payment.ID{}
	for id, address := range kept {
		if other, twice := owners[address]; twice {
			t.Errorf("%s was given to %s and %s", address, id, other)
		}
		owners[address] = id
		got := get(s, func(tx engine.Tx) (payment.Address, error) { return tx.InvoiceAddress(id, ethereum) })
		if got.Address != address || got.State != payment.AddressGiven {
			t.Errorf("invoice %s was told %s and has %s", id, address, got.Address)
		}
	}
	for id := range dropped {
		absent(s, "an invoice rolled back", func(tx engine.Tx) (payment.Invoice, error) { return tx.Invoice(id) })
	}
	given := get(s, func(tx engine.Tx) ([]payment.Address, error) { return tx.Addresses(ethereum, "", callers*rounds+1) })
	given = slices.DeleteFunc(given, func(a payment.Address) bool { return a.State != payment.AddressGiven })
	if len(given) != len(kept) {
		t.Errorf("%d addresses are given, %d were kept", len(given), len(kept))
	}
}

// counter: no change of a balance is lost among many.
func counter(t *testing.T, s *suite) {
	const callers, rounds = 16, 5
	together(t, callers, func(n int) error {
		for round := range rounds {
			err := s.store.Update(context.Background(), func(tx engine.Tx) error {
				return tx.Post(ledger.Entry{
					Key: fmt.Sprintf("%d/%d", n, round), Kind: ledger.DepositConfirmed, Postings: []ledger.Posting{
						{From: ledger.World, To: "wallet/m", Network: bitcoin, Amount: money.Of(money.BTC, int64(n+1))},
					},
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	got := get(s, func(tx engine.Tx) ([]engine.Balance, error) { return tx.Balances("", "", 9) })
	same(t, "balance", got, []engine.Balance{
		{Account: "wallet/m", Network: bitcoin, Amount: money.Of(money.BTC, rounds*callers*(callers+1)/2)},
	})
}

// workers: of many that claim at the same time none gets what another holds.
func workers(t *testing.T, s *suite) {
	const total, crew = 120, 8
	a := s.application()
	for n := range total {
		in := s.invoiceFor(a)
		s.update(func(tx engine.Tx) error {
			_, err := tx.AddCallback(s.callbackOf(in, makeID(n+1), fmt.Sprintf("https://%d.example", n%7)))
			return err
		})
	}
	var mu sync.Mutex
	claimed := map[payment.ID]int{}
	together(t, crew, func(int) error {
		for {
			var got []payment.Callback
			err := s.store.Update(context.Background(), func(tx engine.Tx) (err error) {
				got, err = tx.ClaimCallbacks(engine.ClaimCallbacks{Now: start, Lease: time.Hour, Limit: 5, PerOrigin: 2})
				return err
			})
			if err != nil {
				return err
			}
			mu.Lock()
			for _, c := range got {
				claimed[c.ID]++
			}
			all := len(claimed) == total
			mu.Unlock()
			if all { // before that an empty answer only means that others hold the rest just now
				return nil
			}
		}
	})
	for id, n := range claimed {
		if n != 1 {
			t.Errorf("callback %s was claimed %d times", id, n)
		}
	}
}

// skew: two transactions that each read what the other writes do not both commit on what they read.
func skew(t *testing.T, s *suite) {
	for round := range 10 {
		a := s.application()
		one, two := s.invoiceFor(a), s.invoiceFor(a)
		// Each may cancel its invoice only while the other's is not cancelled.
		cancel := func(mine, other payment.ID) error {
			return s.store.Update(context.Background(), func(tx engine.Tx) error {
				o, err := tx.Invoice(other)
				if err != nil || !o.CancelledAt.IsZero() {
					return err
				}
				m, err := tx.Invoice(mine)
				if err != nil {
					return err
				}
				m.CancelledAt = tx.Now()
				return tx.SwapInvoice(m)
			})
		}
		together(t, 2, func(n int) error {
			if n == 0 {
				return cancel(one.ID, two.ID)
			}
			return cancel(two.ID, one.ID)
		})
		count := 0
		for _, id := range []payment.ID{one.ID, two.ID} {
			if i := get(s, func(tx engine.Tx) (payment.Invoice, error) { return tx.Invoice(id) }); !i.CancelledAt.IsZero() {
				count++
			}
		}
		if count != 1 {
			t.Errorf("round %d: %d of 2 are cancelled, want 1", round, count)
		}
	}
}
