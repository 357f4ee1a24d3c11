package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/pgtest"
	"github.com/pipe-pg/pipe/internal/store"
)

// till is a store with two merchants' paid invoices, on a clock that tests move.
type till struct {
	*testing.T
	store *store.Store
	clock clock
	desk  *engine.Desk
	clerk *engine.Clerk
	shops []payment.Application
	sold  []engine.Sold
}

func newTill(t *testing.T, url string) *till {
	t.Helper()
	l := &till{T: t, clock: clock{now: time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)}}
	log := slog.New(slog.DiscardHandler)
	if _, _, err := store.Migrate(t.Context(), url, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.store, err = store.Open(t.Context(), store.Options{URL: url, Logger: log, Now: l.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.store.Close(); err != nil {
			t.Error(err)
		}
	})
	l.desk = &engine.Desk{Store: l.store, Log: log}
	l.clerk = &engine.Clerk{Store: l.store, Log: log}
	for range 2 {
		m, err := l.desk.AddMerchant(t.Context(), "가게")
		if err != nil {
			t.Fatal(err)
		}
		l.update(func(tx engine.Tx) error {
			a := payment.Application{ID: tx.NewID(), MerchantID: m.ID, Name: "shop", CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
			a.Settings = payment.DefaultSettings()
			l.shops = append(l.shops, a)
			return tx.AddApplication(a)
		})
	}
	return l
}

func (l *till) update(fn func(tx engine.Tx) error) {
	l.Helper()
	if err := l.store.Update(l.Context(), fn); err != nil {
		l.Fatal(err)
	}
}

// sell stores an invoice that is paid by now.
func (l *till) sell(shop int, price money.Amount, coin money.Currency) {
	l.Helper()
	l.update(func(tx engine.Tx) error {
		a := l.shops[shop]
		i := payment.Invoice{
			ID: tx.NewID(), ApplicationID: a.ID, MerchantID: a.MerchantID, OrderID: "o", OrderName: "n", Price: price,
			Language: payment.Korean, CallbackURL: "https://shop.example/", OpenType: payment.OpenRedirect, Policy: a.Settings.Freeze(price),
			Coins: []money.Currency{money.BTC, money.ETH}, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
			Told: payment.Told{Status: payment.Paid, PaidAt: tx.Now().UnixMilli()},
		}
		l.sold = append(l.sold, engine.Sold{ID: i.ID, Merchant: a.MerchantID, At: tx.Now(), Coin: coin, Price: price})
		if coin == "" {
			return tx.AddInvoice(i)
		}
		rate, err := money.ParseRate(coin, price.Currency(), "5000000")
		if err != nil {
			return err
		}
		q := payment.Quote{
			ID: tx.NewID(), InvoiceID: i.ID, Coin: coin, Network: btcNet, Address: "a", Rate: rate, Due: rate.Due(price), Window: time.Hour,
			CreatedAt: tx.Now(), Deadline: tx.Now().Add(time.Hour),
		}
		i.Told.QuoteID = q.ID
		if err := tx.AddInvoice(i); err != nil {
			return err
		}
		return tx.AddQuote(q)
	})
}

// want adds up from what was sold.
func (l *till) want(shop int, since time.Time, zone time.Duration) (lines []string) {
	sums := map[string]engine.SaleDay{}
	for _, s := range l.sold {
		if s.Merchant != l.shops[shop].MerchantID || s.At.Before(since) {
			continue
		}
		day := s.At.Add(zone).UnixMilli() / (24 * time.Hour).Milliseconds()
		key := fmt.Sprint(day, s.Coin, s.Price.Currency())
		sum, ok := sums[key]
		if !ok {
			sum = engine.SaleDay{Day: day, Coin: s.Coin, Total: money.Zero(s.Price.Currency())}
		}
		sum.Total, sum.Invoices = sum.Total.Add(s.Price), sum.Invoices+1
		sums[key] = sum
	}
	for _, sum := range sums {
		lines = append(lines, fmt.Sprint(sum))
	}
	slices.Sort(lines)
	return lines
}

func (l *till) check(what string, since time.Time, zone time.Duration) {
	l.Helper()
	for shop := range l.shops {
		days, whole, err := l.desk.Sales(l.Context(), l.shops[shop].MerchantID, since, zone)
		if err != nil || !whole {
			l.Fatalf("%s: whole %t, %v", what, whole, err)
		}
		var got []string
		for _, d := range days {
			got = append(got, fmt.Sprint(d))
		}
		slices.Sort(got)
		if want := l.want(shop, since, zone); !slices.Equal(got, want) {
			l.Errorf("%s, shop %d:\n got %q\nwant %q", what, shop, got, want)
		}
	}
}

func (l *till) fold() engine.Folded {
	l.Helper()
	if err := l.clerk.Fold(l.Context()); err != nil {
		l.Fatal(err)
	}
	var f engine.Folded
	if err := l.store.View(l.Context(), func(tx engine.Tx) (err error) { f, err = tx.SalesFolded(); return err }); err != nil {
		l.Fatal(err)
	}
	return f
}

func (l *till) differences() []string {
	l.Helper()
	r, err := (&engine.Auditor{Store: l.store}).Audit(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	var all []string
	for _, d := range r.Differences {
		all = append(all, d.What+": "+d.Text)
	}
	return all
}

// What is read from hours that were added up is what the invoices come to, to the last won and at every moment: before they are added up,
// half way, after, in zones that begin their days within an hour, and after the clock was put back.
func TestSales(t *testing.T) {
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "pipe.db") },
		"postgres": func() string { return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newTill(t, url())
			midnight := l.clock.Now().Truncate(24 * time.Hour).Add(-9 * time.Hour) // in Seoul
			zones := func(what string) {
				t.Helper()
				l.check(what+", Seoul", midnight, 9*time.Hour)
				l.check(what+", UTC", midnight.Add(9*time.Hour), 0)
				l.check(what+", Mumbai", midnight.Add(3*time.Hour+30*time.Minute), 5*time.Hour+30*time.Minute)
				l.check(what+", Honolulu", midnight.Add(19*time.Hour), -10*time.Hour)
			}
			for n := range 40 {
				l.sell(n%2, money.Of(money.KRW, int64(10_500+n*n)), []money.Currency{money.BTC, money.ETH, ""}[n%3])
				l.sell(n%2, money.Of(money.USD, int64(999+n)), money.ETH)
				l.clock.add(37 * time.Minute)
				if n == 20 {
					zones("before")
					l.fold()
					zones("half way")
				}
			}
			zones("more")
			f := l.fold()
			if want := l.clock.Now().Add(-engine.FoldAfter).UnixMilli() / time.Hour.Milliseconds(); f.Until != want {
				t.Errorf("added up to %d, want %d", f.Until, want)
			}
			zones("after")
			if again := l.fold(); again != f {
				t.Errorf("added up again: %+v", again)
			}
			if all := l.differences(); len(all) > 0 {
				t.Errorf("the audit says %q", all)
			}

			l.clock.add(-5 * time.Hour)
			l.sell(0, money.Of(money.KRW, 7), money.BTC)
			if all := l.differences(); len(all) != 1 || !strings.Contains(all[0], "sales") {
				t.Errorf("the audit says %q of a sale in an hour that was added up", all)
			}
			l.fold()
			zones("with the clock put back")
			if all := l.differences(); len(all) > 0 {
				t.Errorf("the audit says %q after the clock was put back", all)
			}
			l.clock.add(6 * time.Hour)
			l.fold()
			zones("with the clock right again")
		})
	}
}

// A difference of a chart is reported, and stops no payouts.
func TestSalesDifferAndPayoutsGoOn(t *testing.T) {
	l := newTill(t, "sqlite:"+filepath.Join(t.TempDir(), "pipe.db"))
	a := &engine.Auditor{Store: l.store}
	r := engine.Report{Differences: []engine.Difference{{What: "sales", Text: "differ"}}}
	for range 3 {
		if halted, err := a.Latch(t.Context(), r); err != nil || halted {
			t.Fatalf("halted %t, %v", halted, err)
		}
	}
}

// Two programs that add up at once add up once.
func TestSalesAddedUpByTwo(t *testing.T) {
	url := pgtest.URL(t)
	l := newTill(t, url)
	other, err := store.Open(t.Context(), store.Options{URL: url, Logger: slog.New(slog.DiscardHandler), Now: l.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	second := &engine.Clerk{Store: other, Log: slog.New(slog.DiscardHandler)}
	for n := range 12 {
		l.sell(n%2, money.Of(money.KRW, int64(n+1)), money.BTC)
		l.clock.add(time.Hour)
		done := make(chan error, 2)
		for _, c := range []*engine.Clerk{l.clerk, second} {
			go func() { done <- c.Fold(context.WithoutCancel(t.Context())) }()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	l.check("by two", l.clock.Now().Truncate(24*time.Hour), 0)
	if all := l.differences(); len(all) > 0 {
		t.Errorf("the audit says %q", all)
	}
}
