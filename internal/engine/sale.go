package engine

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// SaleTx is what charts read: sums of what was paid. An invoice is paid at the moment of the transaction that says so, and stays
// paid then whatever becomes of it. So nothing is added any more to an hour that is over, and adding it up then needs no row that every payment
// would write.
type SaleTx interface {
	// SalesFolded is how far the sums go.
	SalesFolded() (Folded, error)
	SwapSalesFolded(f Folded) error
	// Sold are the invoices of all merchants that were paid before a time, the first paid first, after one of them.
	Sold(after Sold, until time.Time, limit int) ([]Sold, error)
	AddSaleHour(s SaleHour) error
	// DropSaleHours forgets the sums from an hour on.
	DropSaleHours(since int64) error
	// SaleHours are a merchant's of some hours, the newest first.
	SaleHours(merchant payment.ID, since, until int64, limit int) ([]SaleHour, error)
	// AllSaleHours are all merchants' in order of time, after one of them.
	AllSaleHours(after SaleHour, limit int) ([]SaleHour, error)
}

// Folded says that the hours before Until are added up.
type Folded struct{ Until, Rev int64 }

// Sold is one paid invoice.
type Sold struct {
	ID, Merchant payment.ID
	At           time.Time
	Coin         money.Currency // "" where it is not known
	Price        money.Amount
}

// A SaleHour is what a merchant's invoices come to that were paid within an hour with one coin, in one currency.
type SaleHour struct {
	Merchant payment.ID
	Hour     int64          // since 1970 in UTC
	Coin     money.Currency // that of the invoice's quote when it was added up
	Total    money.Amount
	Invoices int64
}

// A SaleDay is what they come to within a day.
type SaleDay struct {
	Day      int64 // since 1970-01-01 in the zone that was asked for
	Coin     money.Currency
	Total    money.Amount
	Invoices int64
}

const hourMS = int64(time.Hour / time.Millisecond)

// Sales are what a merchant's invoices come to that were paid from a time on, by days of a zone that is so far ahead of UTC. Where a day
// begins within an hour of UTC, invoices are read instead of hours. whole is false where there were too many.
func (d *Desk) Sales(ctx context.Context, merchant payment.ID, since time.Time, zone time.Duration) (all []SaleDay, whole bool, err error) {
	err = d.Store.View(ctx, func(tx Tx) error {
		all = nil
		from := since.UnixMilli()
		var hours []SaleHour
		if from%hourMS == 0 && zone%time.Hour == 0 {
			f, err := tx.SalesFolded()
			if err != nil {
				return err
			}
			if hours, err = tx.SaleHours(merchant, from/hourMS, f.Until, MaxSaleHours+1); err != nil {
				return err
			}
			from = max(from, f.Until*hourMS)
		}
		prices, err := tx.PaidPrices(merchant, time.UnixMilli(from), zone, MaxPrices+1)
		if err != nil {
			return err
		}
		whole = len(hours) <= MaxSaleHours && len(prices) <= MaxPrices
		all = byDay(hours[:min(len(hours), MaxSaleHours)], prices[:min(len(prices), MaxPrices)], zone)
		return nil
	})
	return all, whole, err
}

// byDay adds up, the newest day first.
func byDay(hours []SaleHour, prices []PaidPrice, zone time.Duration) (all []SaleDay) {
	type key struct {
		day            int64
		coin, currency money.Currency
	}
	place := map[key]int{}
	add := func(day int64, coin money.Currency, total money.Amount, invoices int64) {
		k := key{day, coin, total.Currency()}
		i, ok := place[k]
		if !ok {
			i, place[k] = len(all), len(all)
			all = append(all, SaleDay{day, coin, money.Zero(total.Currency()), 0})
		}
		all[i].Total = all[i].Total.Add(total)
		all[i].Invoices += invoices
	}
	for _, p := range prices {
		add(p.Day, p.Coin, money.OfBig(p.Price.Currency(), new(big.Int).Mul(p.Price.Big(), big.NewInt(p.Invoices))), p.Invoices)
	}
	for _, h := range hours {
		add((h.Hour+int64(zone/time.Hour))/24, h.Coin, h.Total, h.Invoices)
	}
	return all
}

// Fold adds up the sales of hours that are over, as many as there are.
func (c *Clerk) Fold(ctx context.Context) error {
	for {
		more, err := c.foldOnce(ctx)
		if err != nil {
			return fmt.Errorf("add up sales: %w", err)
		}
		if !more {
			return nil
		}
	}
}

// A hourKey is whose sum it is.
type hourKey struct {
	hour           int64
	merchant       payment.ID
	coin, currency money.Currency
}

// foldOnce reads what was paid outside the transaction that saves: it changes no more. more tells that there is more.
func (c *Clerk) foldOnce(ctx context.Context) (more bool, err error) {
	var f Folded
	var end int64
	var sums map[hourKey]SaleHour
	err = c.Store.View(ctx, func(tx Tx) (err error) {
		if f, err = tx.SalesFolded(); err != nil {
			return err
		}
		end, more = tx.Now().Add(-FoldAfter).UnixMilli()/hourMS, false
		if f.Until < end {
			sums, end, more, err = hoursSold(tx, f.Until, end)
		}
		return err
	})
	if err != nil || f.Until == end {
		return false, err
	}
	return more, c.Store.Update(ctx, func(tx Tx) error {
		if now, err := tx.SalesFolded(); err != nil || now != f {
			return err // somebody else was faster
		}
		if f.Until > end { // a clock was ahead when these were added up, and invoices may be paid in them yet
			if err := tx.DropSaleHours(end); err != nil {
				return err
			}
		}
		for _, s := range sums {
			if err := tx.AddSaleHour(s); err != nil {
				return err
			}
		}
		return tx.SwapSalesFolded(Folded{end, f.Rev})
	})
}

// hoursSold adds up whole hours from one on, to the end or to the hour in which FoldRows are reached.
func hoursSold(tx Tx, from, end int64) (sums map[hourKey]SaleHour, to int64, more bool, err error) {
	sums = map[hourKey]SaleHour{}
	after := Sold{At: time.UnixMilli(from*hourMS - 1), ID: lastOfAll}
	for read := 0; ; {
		page, err := tx.Sold(after, time.UnixMilli(end*hourMS), FoldRows)
		if err != nil {
			return nil, from, false, err
		}
		for _, s := range page {
			if hour := s.At.UnixMilli() / hourMS; read >= FoldRows && hour > after.At.UnixMilli()/hourMS {
				return sums, hour, true, nil
			}
			addSold(sums, s)
			read++
			after = s
		}
		if len(page) < FoldRows {
			return sums, end, false, nil
		}
	}
}

// lastOfAll is above every id.
const lastOfAll payment.ID = "Z"

func addSold(sums map[hourKey]SaleHour, s Sold) {
	k := hourKey{s.At.UnixMilli() / hourMS, s.Merchant, s.Coin, s.Price.Currency()}
	sum, ok := sums[k]
	if !ok {
		sum = SaleHour{s.Merchant, k.hour, s.Coin, money.Zero(k.currency), 0}
	}
	sum.Total = sum.Total.Add(s.Price)
	sum.Invoices++
	sums[k] = sum
}

const differsInSales = "sales"

// sales compares the sums of hours with the invoices. Coins are put together: a reorganisation may leave an invoice with the quote
// of the other one.
func (l *look) sales(tx Tx) error {
	f, err := tx.SalesFolded()
	if err != nil {
		return err
	}
	sums := map[hourKey]SaleHour{}
	for after, more := (Sold{}), f.Until > 0; more; {
		page, err := tx.Sold(after, time.UnixMilli(f.Until*hourMS), FoldRows)
		if err != nil {
			return err
		}
		for _, s := range page {
			after, s.Coin = s, ""
			addSold(sums, s)
		}
		more = len(page) == FoldRows
	}
	for after, more := (SaleHour{}), true; more; {
		page, err := tx.AllSaleHours(after, FoldRows)
		if err != nil {
			return err
		}
		for _, s := range page {
			after = s
			k := hourKey{s.Hour, s.Merchant, "", s.Total.Currency()}
			sum, ok := sums[k]
			if !ok {
				sum = SaleHour{s.Merchant, s.Hour, "", money.Zero(k.currency), 0}
			}
			sum.Total, sum.Invoices = sum.Total.Sub(s.Total), sum.Invoices-s.Invoices
			sums[k] = sum
		}
		more = len(page) == FoldRows
	}
	for k, rest := range sums {
		if !rest.Total.IsZero() || rest.Invoices != 0 {
			l.differ(differsInSales, "sales of merchant %s in the hour of %s: invoices and their sum differ by %s and %d", k.merchant,
				time.UnixMilli(k.hour*hourMS).UTC().Format(time.RFC3339), rest.Total, rest.Invoices)
		}
	}
	return nil
}
