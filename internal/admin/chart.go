package admin

import (
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
)

// A chart is what was paid in one currency, day by day, with a bar for each day that is stacked by coin.
type chart struct {
	Currency      money.Currency
	Total         string
	Invoices      int64
	Bars          []bar
	Rows          []chartRow // what the bars show, for the table, days without anything left out
	Width, Height int
	First, Last   string // days below the axis
	Most          string // at its top
	Coins         []money.Currency
}

// A bar is one part of a day's bar, in pixels.
type bar struct {
	X, Y, Width, Height int
	Coin                money.Currency
	Tip                 string
}

// A chartRow is one day and coin.
type chartRow struct {
	Day, Value string
	Coin       money.Currency
	Invoices   int64
}

const (
	chartWidth  = 720
	chartHeight = 160
)

// draw makes a chart for each currency that something was paid in. Days begin at first.
func draw(sales []engine.SaleDay, first int64, days int, say func(money.Amount) string) []chart {
	var all []chart
	for _, currency := range []money.Currency{money.KRW, money.USD} {
		own := slices.DeleteFunc(slices.Clone(sales), func(p engine.SaleDay) bool { return p.Total.Currency() != currency || p.Day < first })
		if len(own) > 0 {
			all = append(all, axis{first, days, say}.draw(currency, own))
		}
	}
	return all
}

// place is a day and a coin.
type place struct {
	day  int64
	coin money.Currency
}

// An axis is the days of a chart, and how its amounts are written.
type axis struct {
	first int64
	days  int
	say   func(money.Amount) string
}

func (a axis) draw(currency money.Currency, sales []engine.SaleDay) chart {
	first, days, say := a.first, a.days, a.say
	c := chart{Currency: currency, Width: chartWidth, Height: chartHeight, First: dayText(first), Last: dayText(first + int64(days) - 1)}
	values, counts := map[place]money.Amount{}, map[place]int64{}
	perDay := map[int64]money.Amount{}
	total := money.Zero(currency)
	for _, p := range sales {
		at := place{p.Day, p.Coin}
		value := p.Total
		values[at] = or(values[at], currency).Add(value)
		perDay[p.Day] = or(perDay[p.Day], currency).Add(value)
		counts[at] += p.Invoices
		c.Invoices += p.Invoices
		total = total.Add(value)
		if !slices.Contains(c.Coins, p.Coin) {
			c.Coins = append(c.Coins, p.Coin)
		}
	}
	slices.Sort(c.Coins)
	c.Total = say(total)
	most := money.Zero(currency)
	for _, v := range perDay {
		if most.Less(v) {
			most = v
		}
	}
	c.Most = say(most)
	step := chartWidth / days
	for d := range days {
		top := chartHeight
		for _, coin := range c.Coins {
			at := place{first + int64(d), coin}
			v, ok := values[at]
			if !ok {
				continue
			}
			c.Rows = append(c.Rows, chartRow{dayText(at.day), say(v), coin, counts[at]})
			tall := max(1, scale(v, most))
			top -= tall
			c.Bars = append(c.Bars, bar{d * step, top, max(1, step-2), tall, coin, dayText(at.day) + " " + string(coin) + " " + say(v) + " (" + strconv.FormatInt(counts[at], 10) + ")"})
		}
	}
	slices.Reverse(c.Rows) // the newest first
	return c
}

// or is an amount, or zero of a currency where there is none yet.
func or(a money.Amount, currency money.Currency) money.Amount {
	if a.Currency() == "" {
		return money.Zero(currency)
	}
	return a
}

// scale is how tall a value's bar is.
func scale(v, most money.Amount) int {
	if most.IsZero() {
		return 0
	}
	n := new(big.Int).Mul(v.Big(), big.NewInt(chartHeight))
	return int(n.Div(n, most.Big()).Int64())
}

func dayText(n int64) string {
	return time.Unix(n*int64(day/time.Second), 0).UTC().Format(time.DateOnly)
}
