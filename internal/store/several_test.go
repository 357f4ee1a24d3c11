package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/pgtest"
	"github.com/pipe-pg/pipe/internal/store"
)

// Several programs on one PostgreSQL, as different stores, give no address twice, and no caller is starved by conflicts.
func TestSeveral(t *testing.T) {
	const stores, callers, rounds = 3, 8, 10
	const network = "ethereum/1337"
	ctx := context.Background()
	url := pgtest.URL(t)
	all := make([]*store.Store, stores)
	for i := range all {
		all[i] = open(t, store.Options{URL: url})
	}
	a := someApplication(t, all[0])
	err := all[0].Update(ctx, func(tx engine.Tx) error {
		var pool []payment.Address
		for n := range stores * callers * rounds {
			pool = append(pool, payment.Address{
				Network: network, Address: fmt.Sprintf("0x%05d", n), MerchantID: a.MerchantID, Index: uint32(n),
				State: payment.AddressFree, Balance: money.Zero(money.ETH), ReleasedAt: tx.Now(),
			})
		}
		return tx.AddAddresses(pool)
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	owner := map[string]payment.ID{}
	var group sync.WaitGroup
	for n := range stores * callers {
		group.Go(func() {
			for range rounds {
				var given payment.Address
				err := all[n%stores].Update(ctx, func(tx engine.Tx) error {
					if err := create(tx, a); err != nil {
						return err
					}
					i := newInvoice(tx, a)
					if err := tx.AddInvoice(i); err != nil {
						return err
					}
					var err error
					given, err = tx.GiveAddress(engine.GiveAddress{Merchant: a.MerchantID, Network: network, Invoice: i.ID, HotUntil: tx.Now()})
					return err
				})
				if err != nil {
					t.Errorf("caller %d: %v", n, err)
					return
				}
				mu.Lock()
				if other, twice := owner[given.Address]; twice {
					t.Errorf("%s was given to %s and %s", given.Address, other, given.InvoiceID)
				}
				owner[given.Address] = given.InvoiceID
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(owner) != stores*callers*rounds {
		t.Errorf("%d addresses were given, want %d", len(owner), stores*callers*rounds)
	}
}
