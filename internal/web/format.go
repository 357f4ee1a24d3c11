package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// Seoul is the zone in which pages show times by default. Korea has had no summer time since 1988, so it needs no database.
func Seoul() *time.Location { return time.FixedZone("KST", 9*60*60) }

// Price prints a price: 10,500원 in Korean, ₩10,500 in English, $12.34 in both.
func (c Catalogue) Price(a money.Amount) string {
	switch a.Currency() {
	case money.KRW:
		if c.korean() {
			return grouped(a.Text()) + "원"
		}
		return "₩" + grouped(a.Text())
	case money.USD:
		return "$" + grouped(a.Fixed(money.USD.Decimals()))
	}
	return Coin(a)
}

// Coin prints an amount of a coin: plain decimals, then its name.
func Coin(a money.Amount) string { return a.Text() + " " + string(a.Currency()) }

// grouped puts a comma between thousands.
func grouped(text string) string {
	whole, part, dot := strings.Cut(text, ".")
	var b strings.Builder
	for i, r := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	if dot {
		b.WriteString("." + part)
	}
	return b.String()
}

// Time prints a moment with its zone: 2019년 3월 18일 16:12 (KST), 18 Mar 2019, 16:12 (KST).
func (c Catalogue) Time(t time.Time, zone *time.Location) string {
	t = t.In(zone)
	if c.korean() {
		return fmt.Sprintf("%d년 %d월 %d일 %s", t.Year(), int(t.Month()), t.Day(), t.Format("15:04 (MST)"))
	}
	return t.Format("2 Jan 2006, 15:04 (MST)")
}

// Clock prints a moment of today as 15:42 (KST), and any other with its date.
func (c Catalogue) Clock(t, now time.Time, zone *time.Location) string {
	if t.In(zone).Format(time.DateOnly) != now.In(zone).Format(time.DateOnly) {
		return c.Time(t, zone)
	}
	return t.In(zone).Format("15:04 (MST)")
}

// Minutes rounds a wait up to whole minutes, at least one.
func Minutes(d time.Duration) int {
	return max(1, int((d+time.Minute-1)/time.Minute))
}

// Fours cuts an address into groups of four, for eyes to compare. The groups joined are the address. A leading 0x stays with
// the first group.
func Fours(address string) []string {
	var all []string
	first := 4
	if strings.HasPrefix(address, "0x") {
		first = 6
	}
	for n := first; len(address) > n; n = 4 {
		all, address = append(all, address[:n]), address[n:]
	}
	if address == "" {
		return all
	}
	return append(all, address)
}
