package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
)

// someApplication stores a merchant and its application.
func someApplication(t testing.TB, s *store.Store) payment.Application {
	t.Helper()
	var a payment.Application
	err := s.Update(context.Background(), func(tx engine.Tx) error {
		id, err := addMerchant(tx)
		if err != nil {
			return err
		}
		a = payment.Application{
			ID: tx.NewID(), MerchantID: id, Name: "x", Settings: payment.DefaultSettings(),
			CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		return tx.AddApplication(a)
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newInvoice is an invoice of an application, not stored yet.
func newInvoice(tx engine.Tx, a payment.Application) payment.Invoice {
	price := money.Of(money.KRW, 105_000)
	return payment.Invoice{
		ID: tx.NewID(), ApplicationID: a.ID, MerchantID: a.MerchantID, OrderID: "order-1", OrderName: "A book", Price: price,
		Language: payment.Korean, CallbackURL: "https://shop.example/callback", OpenType: payment.OpenRedirect,
		RedirectURL: "https://shop.example/done", Policy: a.Settings.Freeze(price), Coins: []money.Currency{money.BTC, money.ETH},
		CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		Told: payment.Told{Status: payment.Waiting, Deadline: tx.Now().Add(24 * time.Hour).UnixMilli()},
	}
}

func someInvoice(t testing.TB, s *store.Store) payment.Invoice {
	t.Helper()
	a := someApplication(t, s)
	var i payment.Invoice
	err := s.Update(context.Background(), func(tx engine.Tx) error {
		i = newInvoice(tx, a)
		return tx.AddInvoice(i)
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func someDeposit(tx engine.Tx, i payment.Invoice, ref string) payment.Deposit {
	return payment.Deposit{
		ID: tx.NewID(), InvoiceID: i.ID, Account: ledger.Invoice(string(i.ID)), Network: "bitcoin/regtest", Ref: ref, Address: "bcrt1q", Amount: money.Of(money.BTC, 5),
		TxID: ref, State: payment.Seen, SeenAt: tx.Now(),
	}
}
