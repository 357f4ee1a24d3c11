package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
)

// BenchmarkCreate stores what creating an invoice stores: a look-up of its idempotency key, the invoice, an event and the
// key. The private PostgreSQL of the tests does not wait for the disk; SQLite does.
func BenchmarkCreate(b *testing.B) {
	for name, url := range databases {
		for _, callers := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) {
				ctx := context.Background()
				s := open(b, store.Options{URL: url(b)})
				a := someApplication(b, s)
				var left, tries atomic.Int64
				left.Store(int64(b.N))
				var group sync.WaitGroup
				b.ResetTimer()
				for range callers {
					group.Go(func() {
						for left.Add(-1) >= 0 {
							if err := s.Update(ctx, func(tx engine.Tx) error {
								tries.Add(1)
								return create(tx, a)
							}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
				b.ReportMetric(float64(tries.Load())/float64(b.N), "tries/create")
			})
		}
	}
}

func create(tx engine.Tx, a payment.Application) error {
	i := newInvoice(tx, a)
	if _, err := tx.Idempotency(a.ID, string(i.ID[20:])); !errors.Is(err, payment.ErrAbsent) {
		return fmt.Errorf("key: %w", err)
	}
	if err := tx.AddInvoice(i); err != nil {
		return err
	}
	e := payment.Event{ID: tx.NewID(), InvoiceID: i.ID, Kind: payment.EventCreated, At: tx.Now()}
	if err := tx.AddEvent(e); err != nil {
		return err
	}
	return tx.AddIdempotency(engine.Idempotency{
		ApplicationID: a.ID, Key: string(i.ID[20:]), Digest: make([]byte, 32), Made: i.ID, At: tx.Now(),
	})
}

// BenchmarkClaim claims while many callbacks of a shop that does not answer are due and skipped.
func BenchmarkClaim(b *testing.B) {
	const dead = 20_000
	for name, url := range databases {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			s := open(b, store.Options{URL: url(b)})
			a := someApplication(b, s)
			for range dead / 500 {
				if err := s.Update(ctx, func(tx engine.Tx) error {
					for range 500 {
						i := newInvoice(tx, a)
						if err := tx.AddInvoice(i); err != nil {
							return err
						}
						if _, err := tx.AddCallback(payment.Callback{
							ID: tx.NewID(), InvoiceID: i.ID, ApplicationID: a.ID, URL: "https://dead.example/cb",
							Origin: "https://dead.example", Status: int(payment.Paid), Code: 1, State: payment.CallbackOpen,
							CreatedAt: tx.Now(), DueAt: tx.Now(),
						}); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if err := s.Update(ctx, func(tx engine.Tx) error {
					got, err := tx.ClaimCallbacks(engine.ClaimCallbacks{
						Now: tx.Now(), Lease: time.Minute, Limit: 64, PerOrigin: 2, Skip: []string{"https://dead.example"},
					})
					if err == nil && len(got) != 0 {
						err = fmt.Errorf("claimed %d", len(got))
					}
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
