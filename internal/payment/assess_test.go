package payment

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/money"
)

const (
	btcNet = money.Network("bitcoin/regtest")
	ethNet = money.Network("ethereum/1337")
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return noon.Add(time.Duration(minutes * float64(time.Minute))) }

// A world is an invoice of 1000.00 USD made at minute 0, its facts, and what was told last.
type world struct {
	Facts
}

func newWorld() *world {
	w := &world{}
	w.Invoice = Invoice{
		ID: ID(strings.Repeat("A", 64)), OrderID: "order", OrderName: "name", Price: money.Of(money.USD, 100_000), CreatedAt: noon, UpdatedAt: noon,
		Coins: []money.Currency{money.BTC, money.ETH}, Policy: DefaultSettings().Freeze(money.Of(money.USD, 100_000)), Told: Told{Status: Waiting},
	}
	return w
}

func coinOf(name string) (money.Currency, money.Network) {
	if name == "eth" {
		return money.ETH, ethNet
	}
	return money.BTC, btcNet
}

// quote freezes so much of a coin as the price, for 30 minutes.
func (w *world) quote(coin, due string, minute float64) *world {
	c, n := coinOf(coin)
	amount, err := money.Parse(c, due)
	if err != nil {
		panic(err)
	}
	value := new(big.Rat).SetFrac(w.Invoice.Price.Big(), big.NewInt(100))
	whole, _ := new(big.Rat).SetString(due)
	rate, err := money.NewRate(c, money.USD, value.Quo(value, whole))
	if err != nil {
		panic(err)
	}
	w.Quotes = append(w.Quotes, Quote{
		ID: ID(fmt.Sprint("Q", len(w.Quotes)+1)), Coin: c, Network: n, Address: coin + "-address", Rate: rate, Due: amount,
		Window: 30 * time.Minute, CreatedAt: at(minute), Deadline: at(minute + 30),
	})
	return w
}

// in puts a deposit into a state; a name that is there already is changed.
func (w *world) in(name, coin, amount string, state DepositState, minute float64) *world {
	c, n := coinOf(coin)
	a, err := money.Parse(c, amount)
	if err != nil {
		panic(err)
	}
	d := Deposit{ID: ID(name), Network: n, Ref: name, Address: coin + "-address", Amount: a, State: state, SeenAt: at(minute), TxID: name}
	for i := range w.Deposits {
		if w.Deposits[i].Ref == name {
			w.Deposits[i] = d
			return w
		}
	}
	w.Deposits = append(w.Deposits, d)
	return w
}

func (w *world) worth(name string, dollars int64) *world {
	for i := range w.Deposits {
		if w.Deposits[i].Ref == name {
			w.Deposits[i].Worth = money.Of(money.USD, dollars*100)
		}
	}
	return w
}

// tell assesses at a minute and keeps what is told, as the engine does.
func (w *world) tell(minute float64) *world {
	was := w.Invoice.Told
	is := Assess(w.Facts, at(minute)).Told(was, at(minute))
	if err := InvoiceEdges.Check(was.Status, is.Status); err != nil {
		panic(err)
	}
	w.Invoice.Told = is
	return w
}

// line writes an assessment in short: status/deposit, marks, quote, seen, confirmed, missing, excess, give-back.
func line(a Assessment) string {
	s := fmt.Sprintf("%d/%d", a.Status, a.Deposit)
	for _, m := range []struct {
		m    Marks
		name string
	}{{MarkShort, "short"}, {MarkExcess, "excess"}, {MarkLate, "late"}, {MarkReversed, "reversed"}, {MarkDropped, "dropped"}} {
		if a.Marks.Has(m.m) {
			s += " " + m.name
		}
	}
	if a.Quote == nil {
		return s
	}
	s += fmt.Sprintf(" %s seen=%s conf=%s", a.Quote.ID, a.Seen.Text(), a.Confirmed.Text())
	if !a.Missing.IsZero() {
		s += " missing=" + a.Missing.Text()
	}
	if !a.Excess.IsZero() {
		s += " over=" + a.Excess.Text()
	}
	for _, b := range a.GiveBack {
		s += fmt.Sprintf(" back=%s%s", b.Text(), strings.ToLower(string(b.Currency())))
	}
	return s
}

func TestAssess(t *testing.T) {
	w := newWorld
	accept := func() *world { x := w(); x.Invoice.Policy.AcceptLate = true; return x }
	cancel := func(x *world, minute float64) *world { x.Invoice.CancelledAt = at(minute); return x }
	for _, c := range []struct {
		name string
		w    *world
		at   float64 // sight
		want string
	}{
		// Nothing.
		{"fresh", w(), 1, "1/0"},
		{"never chosen, in time", w(), 24*60 - 1, "1/0"},
		{"never chosen, over", w(), 24 * 60, "3/0"},
		{"chosen, nothing came", w().quote("btc", "1", 5), 34.9, "1/0 Q1 seen=0 conf=0 missing=1"},
		{"expired, nothing came", w().quote("btc", "1", 5), 35, "3/0 Q1 seen=0 conf=0 missing=1"},
		{"blind: sight stands before the deadline", w().quote("btc", "1", 5), 5, "1/0 Q1 seen=0 conf=0 missing=1"},

		// Exact.
		{"seen", w().quote("btc", "1", 0).in("a", "btc", "1", Seen, 3), 4, "1/2 Q1 seen=1 conf=0"},
		{"the clock stops when it is seen", w().quote("btc", "1", 0).in("a", "btc", "1", Seen, 3), 400, "1/2 Q1 seen=1 conf=0"},
		{"mined", w().quote("btc", "1", 0).in("a", "btc", "1", Mined, 3), 400, "1/2 Q1 seen=1 conf=0"},
		{"paid", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3), 4, "2/1 Q1 seen=1 conf=1"},
		{"in time by its block", func() *world {
			x := w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 60)
			x.Deposits[0].BlockTime = at(29)
			return x
		}(), 61, "2/1 Q1 seen=1 conf=1"},
		{"a block with a slow clock, before the quote", func() *world {
			x := w().quote("btc", "1", 5).in("a", "btc", "0.5", Confirmed, 6)
			x.Deposits[0].BlockTime = at(-50)
			return x
		}(), 6, "1/2 Q1 seen=0.5 conf=0.5 missing=0.5"},
		{"found late though in time", func() *world {
			x := w().quote("btc", "1", 0).tell(31).in("a", "btc", "1", Confirmed, 60)
			x.Deposits[0].BlockTime = at(30)
			return x
		}(), 61, "2/1 Q1 seen=1 conf=1"},
		{"found late though in time, not deep: nothing goes back", func() *world {
			x := w().quote("btc", "1", 0).tell(31).in("a", "btc", "0.5", Confirmed, 29).in("b", "btc", "0.5", Mined, 29.5)
			return x
		}(), 61, "3/2 Q1 seen=1 conf=0.5"},

		// Parts and tolerance.
		{"first part", w().quote("btc", "1", 0).in("a", "btc", "0.4", Confirmed, 3), 4, "1/2 Q1 seen=0.4 conf=0.4 missing=0.6"},
		{"two parts, one not deep", w().quote("btc", "1", 0).in("a", "btc", "0.4", Confirmed, 3).in("b", "btc", "0.6", Mined, 5), 9, "1/2 Q1 seen=1 conf=0.4"},
		{"two parts", w().quote("btc", "1", 0).in("a", "btc", "0.4", Confirmed, 3).in("b", "btc", "0.6", Confirmed, 5), 9, "2/1 Q1 seen=1 conf=1"},
		{"short within tolerance, at the edge", w().quote("btc", "1", 0).in("a", "btc", "0.995", Confirmed, 3), 9, "2/1 Q1 seen=0.995 conf=0.995"},
		{"short beyond tolerance by one unit", w().quote("btc", "1", 0).in("a", "btc", "0.99499999", Confirmed, 3), 9, "1/2 Q1 seen=0.99499999 conf=0.99499999 missing=0.00500001"},
		{"short, over", w().quote("btc", "1", 0).in("a", "btc", "0.9", Confirmed, 3), 33, "3/2 short Q1 seen=0.9 conf=0.9 missing=0.1 back=0.9btc"},
		{"short, over, not deep", w().quote("btc", "1", 0).in("a", "btc", "0.9", Mined, 3), 33, "3/2 short Q1 seen=0.9 conf=0 missing=0.1"},
		{"the first part moves the deadline", w().quote("btc", "1", 0).in("a", "btc", "0.4", Seen, 29), 58.9, "1/2 Q1 seen=0.4 conf=0 missing=0.6"},
		{"… once", w().quote("btc", "1", 0).in("a", "btc", "0.4", Seen, 29).in("b", "btc", "0.4", Seen, 50), 59, "3/2 short Q1 seen=0.8 conf=0 missing=0.2"},
		{"… and no further for a second within the time", w().quote("btc", "1", 0).in("a", "btc", "0.1", Seen, 10).in("b", "btc", "0.1", Seen, 29), 40, "3/2 short Q1 seen=0.2 conf=0 missing=0.8"},
		{"the rest within the moved deadline", w().quote("btc", "1", 0).in("a", "btc", "0.4", Confirmed, 29).in("b", "btc", "0.6", Confirmed, 59), 99, "2/1 Q1 seen=1 conf=1"},
		{"the rest after it", w().quote("btc", "1", 0).in("a", "btc", "0.4", Confirmed, 29).in("b", "btc", "0.6", Confirmed, 59.1), 99, "3/1 late Q1 seen=1 conf=1 back=1btc"},
		{"a slow block takes no time away", func() *world {
			x := w().quote("btc", "1", 0).in("a", "btc", "0.4", Mined, 29)
			x.Deposits[0].BlockTime = at(10)
			return x
		}(), 58, "1/2 Q1 seen=0.4 conf=0 missing=0.6"},

		// More.
		{"more", w().quote("btc", "1", 0).in("a", "btc", "1.2", Confirmed, 3), 4, "2/1 excess Q1 seen=1.2 conf=1.2 over=0.2 back=0.2btc"},
		{"more, in two, one not deep", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).in("b", "btc", "0.2", Seen, 4), 5, "2/1 excess Q1 seen=1.2 conf=1 over=0.2"},
		{"again, late, when paid", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).tell(5).in("b", "btc", "1", Confirmed, 300), 301, "2/1 excess Q1 seen=2 conf=2 over=1 back=1btc"},
		{"within tolerance and then more", w().quote("btc", "1", 0).in("a", "btc", "0.996", Confirmed, 3).tell(5).in("b", "btc", "0.1", Confirmed, 6), 7, "2/1 excess Q1 seen=1.096 conf=1.096 over=0.096 back=0.096btc"},

		// Late.
		{"late, seen", w().quote("btc", "1", 0).tell(31).in("a", "btc", "1", Seen, 40), 41, "3/2 late Q1 seen=1 conf=0"},
		{"late", w().quote("btc", "1", 0).tell(31).in("a", "btc", "1", Confirmed, 40), 41, "3/1 late Q1 seen=1 conf=1 back=1btc"},
		{"late, a part", w().quote("btc", "1", 0).tell(31).in("a", "btc", "0.5", Confirmed, 40), 41, "3/2 late Q1 seen=0.5 conf=0.5 missing=0.5 back=0.5btc"},
		{"late, deep before sight passed the deadline", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 40), 20, "1/2 Q1 seen=1 conf=1"},
		{"late, accepted, not valued: nothing goes back yet", accept().quote("btc", "1", 0).tell(31).in("a", "btc", "1", Confirmed, 40), 41, "3/1 late Q1 seen=1 conf=1"},
		{"late, accepted, not deep", accept().quote("btc", "1", 0).tell(31).in("a", "btc", "1", Mined, 40).worth("a", 1000), 41, "3/2 Q1 seen=1 conf=0"},
		{"late, accepted", accept().quote("btc", "1", 0).tell(31).in("a", "btc", "1", Confirmed, 40).worth("a", 1000), 41, "2/1 late Q1 seen=1 conf=1"},
		{"late, accepted, within tolerance", accept().quote("btc", "1", 0).tell(31).in("a", "btc", "1", Confirmed, 40).worth("a", 995), 41, "2/1 late Q1 seen=1 conf=1"},
		{"late, worth too little", accept().quote("btc", "1", 0).tell(31).in("a", "btc", "1", Confirmed, 40).worth("a", 994), 41, "3/1 late Q1 seen=1 conf=1 back=1btc"},
		{"late, accepted, fewer coins at a higher rate", accept().quote("btc", "1", 0).tell(31).in("a", "btc", "0.8", Confirmed, 40).worth("a", 1000), 41, "2/1 late Q1 seen=0.8 conf=0.8"},
		{"late, accepted, more coins at a lower rate: no excess", accept().quote("btc", "1", 0).tell(31).in("a", "btc", "1.25", Confirmed, 40).worth("a", 1000), 41, "2/1 late Q1 seen=1.25 conf=1.25"},
		{"late, accepted, too much by value", accept().quote("btc", "1", 0).tell(31).in("a", "btc", "2", Confirmed, 40).worth("a", 1600), 41, "2/1 excess late Q1 seen=2 conf=2 over=0.75 back=0.75btc"},
		{"a part in time and the rest late, accepted", accept().quote("btc", "1", 0).in("a", "btc", "0.5", Confirmed, 3).tell(40).in("b", "btc", "0.4", Confirmed, 41).worth("b", 500), 42, "2/1 late Q1 seen=0.9 conf=0.9"},

		// Several quotes.
		{"old amount until its own deadline", w().quote("btc", "1", 0).quote("btc", "1.1", 10).in("a", "btc", "1", Confirmed, 29), 31, "2/1 Q1 seen=1 conf=1"},
		{"old amount after it", w().quote("btc", "1", 0).quote("btc", "1.1", 10).in("a", "btc", "1", Confirmed, 31), 32, "1/2 Q2 seen=1 conf=1 missing=0.1"},
		{"new amount", w().quote("btc", "1", 0).quote("btc", "1.1", 10).in("a", "btc", "1.1", Confirmed, 20), 32, "2/1 Q2 seen=1.1 conf=1.1"},
		{"new amount, lower", w().quote("btc", "1.1", 0).quote("btc", "1", 10).in("a", "btc", "1", Confirmed, 35), 36, "2/1 Q2 seen=1 conf=1"},
		{"paid by the old amount, more under way: deep money pays", w().quote("btc", "1", 0).quote("btc", "1.1", 10).in("a", "btc", "1", Confirmed, 12).in("b", "btc", "0.1", Seen, 13), 14, "2/1 excess Q1 seen=1.1 conf=1 over=0.1"},
		{"… and stays so when the rest is dropped", w().quote("btc", "1", 0).quote("btc", "1.1", 10).in("a", "btc", "1", Confirmed, 12).in("b", "btc", "0.1", Seen, 13).tell(14).in("b", "btc", "0.1", Dropped, 13), 50, "2/1 Q1 seen=1 conf=1"},
		{"the part moves the newest quote's deadline", w().quote("btc", "1", 0).quote("btc", "1.1", 10).in("a", "btc", "0.5", Seen, 39), 68, "1/2 Q2 seen=0.5 conf=0 missing=0.6"},

		// Two coins.
		{"coin changed", w().quote("btc", "1", 0).quote("eth", "20", 5), 6, "1/0 Q2 seen=0 conf=0 missing=20"},
		{"coin changed, the old one paid in time", w().quote("btc", "1", 0).quote("eth", "20", 5).in("a", "btc", "1", Confirmed, 29), 33, "2/1 Q1 seen=1 conf=1"},
		{"a part in each: neither covers", w().quote("btc", "1", 0).quote("eth", "20", 5).in("a", "btc", "0.5", Confirmed, 6).in("b", "eth", "10", Confirmed, 7), 40, "3/2 short Q2 seen=10 conf=10 missing=10 back=0.5btc back=10eth"},
		{"paid in one, the other comes too", w().quote("btc", "1", 0).quote("eth", "20", 5).in("a", "eth", "20", Confirmed, 6).tell(7).in("b", "btc", "1", Confirmed, 8), 9, "2/1 Q2 seen=20 conf=20 back=1btc"},
		{"both under way, the second is deep first", w().quote("btc", "1", 0).quote("eth", "20", 5).in("a", "btc", "1", Seen, 6).in("b", "eth", "20", Confirmed, 7), 9, "2/1 Q2 seen=20 conf=20"},
		{"… then the first is deep too", w().quote("btc", "1", 0).quote("eth", "20", 5).in("a", "btc", "1", Seen, 6).in("b", "eth", "20", Confirmed, 7).tell(9).in("a", "btc", "1", Confirmed, 6), 30, "2/1 Q2 seen=20 conf=20 back=1btc"},
		{"late in two coins, accepted: what counted is kept", accept().quote("btc", "1", 0).quote("eth", "20", 5).tell(40).in("a", "btc", "0.5", Confirmed, 41).worth("a", 500).in("b", "eth", "10", Confirmed, 42).worth("b", 600), 43, "2/1 excess late Q2 seen=10 conf=10 over=1.666666666666666666 back=1.666666666666666666eth"},

		// Dropped and reversed.
		{"dropped", w().quote("btc", "1", 0).in("a", "btc", "1", Dropped, 3), 4, "1/0 dropped Q1 seen=0 conf=0 missing=1"},
		{"dropped, the time is over", w().quote("btc", "1", 0).in("a", "btc", "1", Seen, 29).tell(40).in("a", "btc", "1", Dropped, 29), 41, "3/0 dropped Q1 seen=0 conf=0 missing=1"},
		{"dropped and seen again", w().quote("btc", "1", 0).in("a", "btc", "1", Dropped, 29).tell(40).in("a", "btc", "1", Seen, 29), 41, "3/2 Q1 seen=1 conf=0"},
		{"… and deep", w().quote("btc", "1", 0).in("a", "btc", "1", Dropped, 29).tell(40).in("a", "btc", "1", Confirmed, 29), 41, "2/1 Q1 seen=1 conf=1"},
		{"replaced by another", w().quote("btc", "1", 0).in("a", "btc", "1", Dropped, 3).in("b", "btc", "1", Seen, 4), 5, "1/2 Q1 seen=1 conf=0"},
		{"reversed", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).tell(9).in("a", "btc", "1", Reversed, 3), 300, "2/0 reversed dropped Q1 seen=0 conf=0 missing=1"},
		{"paid, back outside blocks: not lost, not deposited", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).tell(9).in("a", "btc", "1", Seen, 3), 300, "2/2 Q1 seen=1 conf=0"},
		{"reversed, seen again: still reversed", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).tell(9).in("a", "btc", "1", Reversed, 3).tell(10).in("a", "btc", "1", Seen, 3), 300, "2/2 reversed Q1 seen=1 conf=0"},
		{"reversed and deep again", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).tell(9).in("a", "btc", "1", Reversed, 3).tell(10).in("a", "btc", "1", Confirmed, 3), 300, "2/1 Q1 seen=1 conf=1"},
		{"reversed, the excess stays: frozen", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).in("b", "btc", "0.5", Confirmed, 4).tell(9).in("a", "btc", "1", Reversed, 3), 300, "2/2 reversed Q1 seen=0.5 conf=0.5 missing=0.5"},
		{"one of two parts reversed", w().quote("btc", "1", 0).in("a", "btc", "0.5", Confirmed, 3).in("b", "btc", "0.5", Confirmed, 4).tell(9).in("a", "btc", "0.5", Reversed, 3), 300, "2/2 reversed Q1 seen=0.5 conf=0.5 missing=0.5"},
		{"the excess reversed", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).in("b", "btc", "0.5", Confirmed, 4).tell(9).in("b", "btc", "0.5", Reversed, 3), 300, "2/1 Q1 seen=1 conf=1"},
		{"paid, re-mined in a later block: when does not matter any more", w().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 3).tell(9).in("a", "btc", "1", Reversed, 3).in("b", "btc", "1", Confirmed, 77), 300, "2/1 late Q1 seen=1 conf=1"},

		// Cancelled.
		{"cancelled", cancel(w().quote("btc", "1", 0).in("a", "btc", "0.4", Confirmed, 3), 5), 5, "3/2 short Q1 seen=0.4 conf=0.4 missing=0.6 back=0.4btc"},
		{"cancelled, the rest comes in time: all goes back", cancel(w().quote("btc", "1", 0).in("a", "btc", "0.4", Confirmed, 3).in("b", "btc", "0.6", Confirmed, 6), 5), 7, "3/1 short Q1 seen=1 conf=1 back=1btc"},
		{"cancelled, late accepted no more", cancel(accept().quote("btc", "1", 0).in("a", "btc", "0.4", Confirmed, 3), 5).in("b", "btc", "1", Confirmed, 60).worth("b", 1000), 61, "3/1 late Q1 seen=1.4 conf=1.4 back=1.4btc"},
	} {
		got := line(Assess(c.w.Facts, at(c.at)))
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
			continue
		}
		if again := line(Assess(c.w.tell(c.at).Facts, at(c.at))); again != got {
			t.Errorf("%s: told, it reads %s, was %s", c.name, again, got)
		}
	}
}

func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		name string
		w    *world
		want float64
	}{
		{"no coin", newWorld(), 24 * 60},
		{"quote", newWorld().quote("btc", "1", 7), 37},
		{"more time", newWorld().quote("btc", "1", 0).quote("btc", "1", 20), 50},
		{"a quote that ends earlier does not shorten", func() *world {
			w := newWorld().quote("btc", "1", 0).quote("eth", "20", 5)
			w.Quotes[0].Window, w.Quotes[0].Deadline = time.Hour, at(60)
			return w
		}(), 60},
		{"first part", newWorld().quote("btc", "1", 0).in("a", "btc", "0.1", Seen, 20), 50},
		{"a dropped part moves nothing", newWorld().quote("btc", "1", 0).in("a", "btc", "0.1", Dropped, 20), 30},
		{"a late part moves nothing", newWorld().quote("btc", "1", 0).in("a", "btc", "0.1", Seen, 30.1), 30},
		{"another coin moves nothing", newWorld().quote("btc", "1", 0).in("a", "eth", "0.1", Seen, 20), 30},
	} {
		if got := Deadline(c.w.Facts); !got.Equal(at(c.want)) {
			t.Errorf("%s: minute %v, want %v", c.name, got.Sub(noon).Minutes(), c.want)
		}
	}
}

// history is a random invoice whose facts change step by step, with a clock that never goes back.
type history struct {
	*world
	minute float64
	next   int
}

func drawHistory(t *rapid.T) *history {
	h := &history{world: newWorld()}
	h.Invoice.Policy.AcceptLate = rapid.Bool().Draw(t, "acceptLate")
	h.Invoice.Policy.Tolerance = rapid.SampledFrom([]int64{0, 5_000, 100_000}).Draw(t, "tolerance")
	return h
}

func (h *history) step(t *rapid.T) {
	h.minute += rapid.SampledFrom([]float64{0, 0.5, 3, 11, 29, 31, 200}).Draw(t, "pass")
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0:
		if len(h.Quotes) < 5 && h.Invoice.Told.Status == Waiting {
			coin := rapid.SampledFrom([]string{"btc", "eth"}).Draw(t, "coin")
			due := rapid.SampledFrom([]string{"1", "1.1", "0.9", "2"}).Draw(t, "due")
			h.quote(coin, due, h.minute)
		}
	case 1, 2:
		if len(h.Quotes) > 0 && len(h.Deposits) < 6 {
			q := rapid.SampledFrom(h.Quotes).Draw(t, "to")
			amount := rapid.SampledFrom([]string{"1", "0.5", "0.4", "0.1", "0.996", "1.5", "0.00000001"}).Draw(t, "amount")
			h.next++
			name := fmt.Sprint("d", h.next)
			h.in(name, strings.ToLower(string(q.Coin)), amount, rapid.SampledFrom([]DepositState{Seen, Mined}).Draw(t, "state"), h.minute)
			d := &h.Deposits[len(h.Deposits)-1]
			if d.State == Mined {
				d.BlockTime = at(h.minute - rapid.SampledFrom([]float64{-5, 0, 2, 40}).Draw(t, "slow"))
			}
		}
	case 3, 4:
		if len(h.Deposits) > 0 {
			h.move(t, rapid.IntRange(0, len(h.Deposits)-1).Draw(t, "which"))
		}
	case 5:
		if h.Invoice.Told.Status == Waiting && rapid.IntRange(0, 4).Draw(t, "cancel") == 0 {
			h.Invoice.CancelledAt = at(h.minute)
		}
	}
}

// move takes a deposit along one of its edges.
func (h *history) move(t *rapid.T, i int) {
	d := &h.Deposits[i]
	to := DepositEdges[d.State]
	d.State = to[rapid.IntRange(0, len(to)-1).Draw(t, "edge")]
	switch d.State {
	case Mined:
		d.BlockTime = at(h.minute)
	case Seen, Dropped, Reversed:
		d.BlockTime = time.Time{}
	case Confirmed:
		if rapid.Bool().Draw(t, "value") {
			d.Worth = money.Of(money.USD, rapid.SampledFrom([]int64{50_000, 99_600, 100_000, 150_000}).Draw(t, "worth"))
		}
	}
}

// Over any history: no panic, every change is on an edge, paid is never unsaid, assessing twice is the same, the order of
// deposits does not matter, nothing but confirmed money is given back, and the numbers fit each other.
func TestAssessHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		paid := false
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			h.step(t)
			sight := h.minute - rapid.SampledFrom([]float64{0, 0, 0, 7, 500}).Draw(t, "blind")
			was := h.Invoice.Told
			a := Assess(h.Facts, at(sight))
			is := a.Told(was, at(h.minute))
			if err := InvoiceEdges.Check(was.Status, is.Status); err != nil {
				t.Fatal(err)
			}
			if a.Status == Expired && was.Status == Waiting && h.Invoice.CancelledAt.IsZero() && at(sight).Before(a.Deadline) {
				t.Fatalf("expired out of sight: %s", line(a))
			}
			checkNumbers(t, h.Facts, a)
			mixed := h.Facts
			mixed.Deposits = rapid.Permutation(slices.Clone(h.Deposits)).Draw(t, "order")
			if b := Assess(mixed, at(sight)); line(b) != line(a) || b.Told(was, at(h.minute)) != is {
				t.Fatalf("another order gives %s, not %s", line(b), line(a))
			}
			h.Invoice.Told = is
			if b := Assess(h.Facts, at(sight)); b.Told(is, at(h.minute)) != is || line(b) != line(a) {
				t.Fatalf("told, %s became %s", line(a), line(b))
			}
			if paid = paid || is.Status == Paid; paid && is.Status != Paid || paid && is.PaidAt == 0 {
				t.Fatalf("paid was unsaid: %s", line(a))
			}
			if fmt.Sprint(Statement(h.Facts)) != fmt.Sprint(Statement(Facts{Invoice: h.Invoice, Quotes: h.Quotes, Deposits: mixed.Deposits})) {
				t.Fatal("the statement depends on the order of deposits")
			}
		}
	})
}

func checkNumbers(t *rapid.T, f Facts, a Assessment) {
	for _, b := range a.GiveBack {
		if b.Sign() <= 0 || sumOf(f, b.Currency(), isConfirmed).Less(b) {
			t.Fatalf("gives back %s: %s", b, line(a))
		}
	}
	live := slices.ContainsFunc(f.Deposits, Deposit.Live)
	switch {
	case (a.Deposit == NoDeposit) == live:
		t.Fatalf("deposit status %d: %s", a.Deposit, line(a))
	case a.Status == Waiting && a.Deposit == Deposited:
		t.Fatalf("deposited and waiting: %s", line(a))
	case a.Status == Paid && a.Deposit != Deposited && len(a.GiveBack) > 0:
		t.Fatalf("gives back while what paid is not deep: %s", line(a))
	case a.Status == Paid && f.Invoice.Told.Status != Paid && (a.Deposit != Deposited || a.Marks.Has(MarkReversed)):
		t.Fatalf("becomes paid with nothing deep: %s", line(a))
	case a.Quote != nil && (a.Missing.Sign() < 0 || a.Excess.Sign() < 0 || a.Seen.Less(a.Confirmed) || a.Missing.Sign() > 0 && a.Excess.Sign() > 0):
		t.Fatalf("numbers: %s", line(a))
	case a.Covers && a.Missing.Sign() > 0:
		t.Fatalf("covered and missing: %s", line(a))
	}
}

// Money that arrives or gets deeper never makes a status worse.
func TestMoreMoneyIsNeverWorse(t *testing.T) {
	rank := map[Status]int{Expired: 0, Waiting: 1, Paid: 2, Refunded: 2}
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			h.step(t)
			h.tell(h.minute)
		}
		sight := at(h.minute + rapid.SampledFrom([]float64{0, 1, 10, 29, 100}).Draw(t, "later"))
		before := Assess(h.Facts, sight)
		if len(h.Deposits) > 0 && rapid.Bool().Draw(t, "deepen") {
			if d := &h.Deposits[rapid.IntRange(0, len(h.Deposits)-1).Draw(t, "which")]; d.Live() {
				d.State = Confirmed
			}
		} else if len(h.Quotes) > 0 {
			q := rapid.SampledFrom(h.Quotes).Draw(t, "to")
			h.in("more", strings.ToLower(string(q.Coin)), rapid.SampledFrom([]string{"0.1", "1", "3"}).Draw(t, "amount"), Confirmed, h.minute)
		}
		after := Assess(h.Facts, sight)
		if rank[after.Status] < rank[before.Status] || after.Marks.Has(MarkReversed) && !before.Marks.Has(MarkReversed) {
			t.Fatalf("%s became %s", line(before), line(after))
		}
	})
}
