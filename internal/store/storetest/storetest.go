// Package storetest is what a store must do, whatever the database: the conformance suite of engine.Store. A query
// without a case here does not exist.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// Open opens an empty store with this clock, which is closed when the test ends.
type Open func(t *testing.T, now func() time.Time) engine.Store

// Networks of the tests.
const (
	bitcoin  money.Network = "bitcoin/regtest"
	ethereum money.Network = "ethereum/1337"
)

// start is when the tests begin: a whole millisecond.
var start = time.Date(2026, 11, 3, 9, 30, 0, 123_000_000, time.UTC)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"merchants", merchants}, {"applications", applications}, {"keys", keys},
		{"invoices", invoices}, {"facts", facts}, {"due", due}, {"stir", stir}, {"checks", checks},
		{"addresses", addresses}, {"pool", pool}, {"levels", levels}, {"deposits", deposits}, {"late", late},
		{"blocks", blocks}, {"networks", networks}, {"ledger", book}, {"overdraft", overdraft},
		{"payouts", payouts}, {"live", live}, {"owed", owed}, {"merchant payouts", merchantPayouts}, {"payout checks", payoutChecks},
		{"halt", halt}, {"stamp", stamp}, {"spends", spends}, {"tickets", tickets}, {"spend claims", spendClaims}, {"spend workers", spendWorkers},
		{"spend checks", spendChecks}, {"versions", versions},
		{"strays", strays}, {"coins", coins}, {"wallets", wallets}, {"balance of", balanceOf},
		{"events", events}, {"callbacks", callbacks}, {"claims", claims}, {"claims among many", claimsAmong}, {"idempotency", idempotency},
		{"users", users}, {"credentials", credentials}, {"sessions", sessions}, {"challenges", challenges}, {"members", members},
		{"links", links}, {"audit records", auditRecords}, {"mails", mails},
		{"invoice lists", invoiceLists}, {"searches", searches}, {"callback lists", callbackLists}, {"moves", moves},
		{"notes", notes}, {"saved views", savedViews}, {"attention", attention},
		{"paid prices", paidPrices}, {"sales", sales}, {"owed payouts", owedPayouts},
		{"rollback", rollback}, {"retry", retry}, {"broken", broken}, {"view", view}, {"ids", ids}, {"cancelled", cancelled},
		{"crowd", crowd}, {"counter", counter}, {"workers", workers}, {"skew", skew},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{t: t, now: start}
			s.store = open(t, func() time.Time { return s.now })
			c.run(t, s)
		})
	}
}

// suite is a store with a clock that stands still and makers of rows.
type suite struct {
	t     *testing.T
	store engine.Store
	now   time.Time
}

// update fails the test when the transaction fails.
func (s *suite) update(fn func(tx engine.Tx) error) {
	s.t.Helper()
	if err := s.store.Update(context.Background(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *suite) view(fn func(tx engine.Tx) error) {
	s.t.Helper()
	if err := s.store.View(context.Background(), fn); err != nil {
		s.t.Fatal(err)
	}
}

// refused runs a transaction that must fail with want.
func (s *suite) refused(what string, want error, fn func(tx engine.Tx) error) {
	s.t.Helper()
	if err := s.store.Update(context.Background(), fn); !errors.Is(err, want) {
		s.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// get reads one thing.
func get[T any](s *suite, read func(tx engine.Tx) (T, error)) T {
	s.t.Helper()
	var v T
	s.view(func(tx engine.Tx) (err error) {
		v, err = read(tx)
		return err
	})
	return v
}

// absent checks that a look-up finds nothing.
func absent[T any](s *suite, what string, read func(tx engine.Tx) (T, error)) {
	s.t.Helper()
	err := s.store.View(context.Background(), func(tx engine.Tx) error {
		_, err := read(tx)
		return err
	})
	if !errors.Is(err, payment.ErrAbsent) {
		s.t.Errorf("%s: got %v, want %v", what, err, payment.ErrAbsent)
	}
}

// same compares what two values print: amounts and times print what they are worth.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func newID(tx engine.Tx) payment.ID { return tx.NewID() }

// makeID is an id whose order tests choose.
func makeID(n int) payment.ID { return payment.ID(fmt.Sprintf("%064X", n)) }

func (s *suite) merchant() payment.Merchant {
	s.t.Helper()
	var m payment.Merchant
	s.update(func(tx engine.Tx) (err error) {
		m = payment.Merchant{ID: newID(tx), Name: "Corner shop", CreatedAt: tx.Now()}
		m.Branch, err = tx.AddMerchant(m)
		return err
	})
	return m
}

// application is one of a new merchant, with every field set.
func (s *suite) application() payment.Application {
	s.t.Helper()
	m := s.merchant()
	var a payment.Application
	s.update(func(tx engine.Tx) error {
		a = payment.Application{
			ID: newID(tx), MerchantID: m.ID, Name: "가게 \"one\"", Origins: []string{"https://shop.example/pay", "https://b.example"},
			Networks:   []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
			Coins:      []money.Currency{money.BTC, money.ETH},
			Settlement: map[money.Currency]string{money.BTC: "bcrt1qexample"},
			Settings: payment.Settings{
				QuoteWindow: 30 * time.Minute, ChooseWithin: 24 * time.Hour, ExchangeWindow: time.Hour, Tolerance: 5_000,
				Depths: []payment.DepthRule{
					{Coin: money.BTC, Depth: payment.Depth{Blocks: 2}},
					{Coin: money.ETH, From: money.Of(money.USD, 100_000), Depth: payment.Depth{Final: true, Stall: 64}},
				},
				AcceptLate: true, RequireRefund: true,
				Settle: payment.SettlePolicy{
					Hold: time.Hour, Every: 24 * time.Hour,
					Above: map[money.Currency]money.Amount{money.BTC: money.Of(money.BTC, 5), money.ETH: wei("1000000000000000000")},
				},
			},
			Callback: payment.CallbackSettings{
				Encoding: payment.EncodingForm, Seen: true, Expired: true, Refunded: true, Reversed: true,
				Secrets: []payment.Secret{{Sealed: []byte{0, 1, 255}}, {Sealed: []byte("old"), Until: start.Add(time.Hour)}},
			},
			CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		return tx.AddApplication(a)
	})
	return a
}

// invoiceOf is an invoice not stored yet.
func (s *suite) invoiceOf(a payment.Application, id payment.ID) payment.Invoice {
	return payment.Invoice{
		ID: id, ApplicationID: a.ID, MerchantID: a.MerchantID, OrderID: "주문-1", OrderName: "A book; 'quoted'",
		Price: money.Of(money.KRW, 105_000), Language: payment.Korean, CallbackURL: "https://shop.example/cb?x=1",
		OpenType: payment.OpenLayer, RedirectURL: "https://shop.example/done",
		Policy: a.Settings.Freeze(money.Of(money.KRW, 105_000)), Coins: []money.Currency{money.ETH}, CreatedAt: s.now,
		Told:      payment.Told{Status: payment.Waiting, Deadline: s.now.Add(24 * time.Hour).UnixMilli()},
		UpdatedAt: s.now,
	}
}

// invoice is a stored one of a new application.
func (s *suite) invoice() payment.Invoice {
	s.t.Helper()
	return s.invoiceFor(s.application())
}

func (s *suite) invoiceFor(a payment.Application) payment.Invoice {
	s.t.Helper()
	var i payment.Invoice
	s.update(func(tx engine.Tx) error {
		i = s.invoiceOf(a, newID(tx))
		return tx.AddInvoice(i)
	})
	return i
}

func (s *suite) quoteOf(i payment.Invoice, id payment.ID, coin money.Currency) payment.Quote {
	s.t.Helper()
	rate, err := money.NewRate(coin, money.KRW, big.NewRat(200_000_000_003, 3_001))
	if err != nil {
		s.t.Fatal(err)
	}
	network := bitcoin
	if coin == money.ETH {
		network = ethereum
	}
	return payment.Quote{
		ID: id, InvoiceID: i.ID, Coin: coin, Network: network, Address: "address of " + string(coin), Rate: rate,
		Due: rate.Due(i.Price), Window: 30 * time.Minute, Exchange: true, CreatedAt: s.now, Deadline: s.now.Add(30 * time.Minute),
		Votes: []payment.Vote{{Source: "upbit", Value: "66644.5", At: s.now, Counted: true}, {Source: "b", Value: "1", At: s.now, Reason: "far off"}},
	}
}

func (s *suite) depositOf(i payment.Invoice, id payment.ID, ref string) payment.Deposit {
	return payment.Deposit{
		ID: id, InvoiceID: i.ID, Account: ledger.Invoice(string(i.ID)), Network: ethereum, Ref: ref, Address: "0xabc", Amount: wei("115792089237316195423570985008687907853269984665640564039457584007913129639935"),
		From: "0xfrom", TxID: "0xtx", State: payment.Seen, SeenAt: s.now, PendingAt: s.now, Spendable: 100,
	}
}

// wei is an amount that no 64-bit number and no float holds.
func wei(units string) money.Amount {
	a, err := money.OfUnits(money.ETH, units)
	if err != nil {
		panic(err)
	}
	return a
}

// hash is a block hash made of one digit.
func hash(digit string) string { return strings.Repeat(digit, 64) }
