package rate

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// a script is a source that says what a test tells it to.
type script struct {
	mu       sync.Mutex
	name     string
	currency money.Currency
	say      map[money.Currency]Quote
	err      error
}

func (s *script) Name() string             { return s.name }
func (s *script) Currency() money.Currency { return s.currency }
func (s *script) Quote(_ context.Context, coin money.Currency) (Quote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.say[coin], s.err
}

func (s *script) set(coin money.Currency, value *big.Rat, at time.Time) {
	s.say[coin] = Quote{value.RatString(), value, at}
}

type scene struct {
	now     time.Time
	board   *Board
	sources []*script
}

func newScene(t testing.TB, fx FX, names ...string) *scene {
	s := &scene{now: start}
	var sources []Source
	for _, n := range names {
		currency := money.KRW
		if n[0] == 'u' {
			currency = money.USD
		}
		sc := &script{name: n, currency: currency, say: map[money.Currency]Quote{}}
		s.sources = append(s.sources, sc)
		sources = append(sources, sc)
	}
	b, err := NewBoard(Options{Sources: sources, FX: fx, Now: func() time.Time { return s.now }})
	if err != nil {
		t.Fatal(err)
	}
	s.board = b
	return s
}

// say sets prices of BTC, true now, by source; 0 makes the source fail.
func (s *scene) say(prices ...int64) {
	for i, p := range prices {
		s.sources[i].err = nil
		if p == 0 {
			s.sources[i].err = errors.New("down")
			continue
		}
		s.sources[i].set(money.BTC, big.NewRat(p, 1), s.now)
		s.sources[i].set(money.ETH, big.NewRat(p, 25), s.now)
	}
}

func (s *scene) refresh(t testing.TB) {
	if err := s.board.Refresh(context.Background()); err != nil {
		t.Logf("refresh: %v", err)
	}
}

func (s *scene) expect(t *testing.T, currency money.Currency, want string) Price {
	t.Helper()
	p, err := s.board.Price(money.BTC, currency)
	var r *Refusal
	switch {
	case errors.As(err, &r):
		if r.Word != want {
			t.Errorf("refused with %s (%v), want %s", r.Word, err, want)
		}
		p.Votes = r.Votes
	case err != nil:
		t.Errorf("an error of another kind: %v", err)
	case p.Rate.Text() != want:
		t.Errorf("got %s, want %s", p.Rate.Text(), want)
	}
	return p
}

func TestQuorum(t *testing.T) {
	for name, c := range map[string]struct {
		prices []int64
		want   string
	}{
		"three agree":             {[]int64{100_000, 100_100, 100_200}, "100100"},
		"four: the lower median":  {[]int64{100_300, 100_000, 100_200, 100_100}, "100100"},
		"one far above":           {[]int64{100_000, 100_100, 100_000_000}, "100100"},
		"one far below":           {[]int64{100, 100_000, 100_100}, "100000"},
		"two of three":            {[]int64{100_000, 100_100, 0}, "100000"},
		"two that disagree":       {[]int64{100_000, 103_000, 0}, WordDisagree},
		"exactly 2 % away":        {[]int64{100_000, 102_000, 0}, "100000"},
		"just over 2 % away":      {[]int64{100_000, 102_001, 0}, WordDisagree},
		"one answers":             {[]int64{100_000, 0, 0}, WordStale},
		"none answers":            {[]int64{0, 0, 0}, WordStale},
		"three that disagree":     {[]int64{90_000, 100_000, 110_000}, WordDisagree},
		"two against two":         {[]int64{90_000, 90_100, 110_000, 110_100}, WordDisagree},
		"three against one":       {[]int64{90_000, 110_200, 110_000, 110_100}, "110000"},
		"a pair among five":       {[]int64{80_000, 100_000, 100_100, 120_000, 140_000}, WordDisagree},
		"three of five":           {[]int64{80_000, 100_000, 100_100, 100_200, 140_000}, "100100"},
		"swapped unit, two liars": {[]int64{100_000, 100_000_000, 100_000_100}, "100000000"}, // two of three lying alike is beyond a quorum
		"all the same":            {[]int64{5, 5, 5, 5}, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			names := []string{"k1", "k2", "k3", "k4", "k5"}[:len(c.prices)]
			s := newScene(t, nil, names...)
			s.say(c.prices...)
			s.refresh(t)
			s.expect(t, money.KRW, c.want)
		})
	}
}

func TestVotes(t *testing.T) {
	s := newScene(t, nil, "k1", "k2", "k3", "k4", "k5")
	s.say(100_000, 100_100, 200_000, 0, 100_050)
	s.sources[4].set(money.BTC, big.NewRat(100_050, 1), s.now.Add(-time.Hour))
	s.refresh(t)
	p := s.expect(t, money.KRW, "100100")
	want := []Vote{
		{"k1", "100000", s.now, true, ""},
		{"k2", "100100", s.now, true, ""},
		{"k3", "200000", s.now, false, "more than 2 % away from the median"},
		{"k4", "", time.Time{}, false, "no answer: down"},
		{"k5", "100050", s.now.Add(-time.Hour), false, "stale"},
	}
	if fmt.Sprint(p.Votes) != fmt.Sprint(want) || !p.At.Equal(s.now) {
		t.Errorf("got %+v\nwant %+v", p.Votes, want)
	}
	if _, err := s.board.Price(money.BTC, money.USD); err == nil {
		t.Error("a price in USD without a source")
	}
	if _, err := s.board.Price(money.KRW, money.BTC); err == nil {
		t.Error("a price of KRW")
	}
}

func TestFreshness(t *testing.T) {
	s := newScene(t, nil, "k1", "k2", "k3")
	s.expect(t, money.KRW, WordStale)
	s.say(100_000, 100_100, 100_200)
	s.refresh(t)
	s.expect(t, money.KRW, "100100")
	s.now = start.Add(DefaultMaxAge)
	s.expect(t, money.KRW, "100100")
	s.now = start.Add(DefaultMaxAge + time.Millisecond)
	s.expect(t, money.KRW, WordStale)
	// Answers that keep coming but stand still in time are stale too.
	s.refresh(t)
	s.expect(t, money.KRW, WordStale)
	// A source from the future does not count, however long ago it was asked.
	s.say(100_000, 100_100, 100_200)
	s.sources[0].set(money.BTC, big.NewRat(1, 1), s.now.Add(DefaultMaxAge+time.Second))
	s.sources[1].set(money.BTC, big.NewRat(1, 1), s.now.Add(24*time.Hour))
	s.refresh(t)
	s.expect(t, money.KRW, WordStale)
	// Without a time of its own a price is as old as the question.
	for i := range s.sources {
		s.sources[i].set(money.BTC, big.NewRat(70_000, 1), time.Time{})
	}
	s.refresh(t)
	p, err := s.board.Price(money.BTC, money.KRW)
	if err != nil || !p.At.Equal(s.now) {
		t.Errorf("got %v, %v", p, err)
	}
	s.now = start.Add(-time.Hour)
	s.expect(t, money.KRW, WordStale)
}

func TestStep(t *testing.T) {
	s := newScene(t, nil, "k1", "k2", "k3")
	s.say(100_000, 100_000, 0)
	s.refresh(t)
	s.now = s.now.Add(20 * time.Second)
	s.say(110_000, 110_000, 0)
	s.refresh(t)
	s.expect(t, money.KRW, "110000") // exactly 10 %
	s.now = s.now.Add(20 * time.Second)
	s.say(110_001, 110_001, 0)
	s.refresh(t)
	s.expect(t, money.KRW, WordStep)
	s.say(110_001, 110_001, 110_002)
	s.refresh(t)
	s.expect(t, money.KRW, "110001")
	s.say(89_000, 89_000, 0)
	s.sources[2].say = map[money.Currency]Quote{}
	s.now = s.now.Add(DefaultMaxAge + time.Second)
	s.say(89_000, 89_000, 0)
	s.refresh(t)
	s.expect(t, money.KRW, WordStep)
	// What was accepted longer ago than the window does not bind.
	s.now = s.now.Add(StepWindow + time.Second)
	s.say(89_000, 89_000, 0)
	s.refresh(t)
	s.expect(t, money.KRW, "89000")
	if n := len(s.board.history[pair{money.BTC, money.KRW}]); n > MaxHistory {
		t.Errorf("%d points kept", n)
	}
}

func TestKRWBand(t *testing.T) {
	fxAt := start.Add(-MaxFXAge)
	fx, err := FixedFX("1000", fxAt)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		krw, usd int64
		want     string
	}{
		"equal":            {50_000_000, 50_000, "50000000"},
		"20 % above":       {60_000_000, 50_000, "60000000"},
		"above":            {60_000_001, 50_000, WordBand},
		"20 % below":       {40_000_000, 50_000, "40000000"},
		"below":            {39_999_999, 50_000, WordBand},
		"×1000":            {50_000_000_000, 50_000, WordBand},
		"USD as KRW":       {50_000, 50_000, WordBand},
		"USD sources down": {50_000_000, 0, WordUnchecked},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, fx, "k1", "k2", "k3", "u1", "u2", "u3")
			s.say(c.krw, c.krw, c.krw, c.usd, c.usd, c.usd)
			s.refresh(t)
			s.expect(t, money.KRW, c.want)
		})
	}
	s := newScene(t, fx, "k1", "k2", "k3", "u1", "u2", "u3")
	s.expect(t, money.KRW, WordStale)
	s.now = s.now.Add(time.Second) // now the exchange rate is too old
	s.say(50_000_000, 50_000_000, 50_000_000, 50_000, 50_000, 50_000)
	s.refresh(t)
	s.expect(t, money.KRW, WordUnchecked)
	s.expect(t, money.USD, "50000")
	broken := newScene(t, FileFX("/nowhere"), "k1", "k2", "k3", "u1", "u2", "u3")
	broken.say(50_000_000, 50_000_000, 50_000_000, 50_000, 50_000, 50_000)
	broken.refresh(t)
	broken.expect(t, money.KRW, WordUnchecked)
}

func TestNewBoardRefuses(t *testing.T) {
	fx, err := FixedFX("1390", start)
	if err != nil {
		t.Fatal(err)
	}
	source := func(name string, c money.Currency) Source { return &script{name: name, currency: c} }
	for name, o := range map[string]Options{
		"none":       {},
		"two":        {Sources: []Source{source("a", money.KRW), source("b", money.KRW)}},
		"two in USD": {Sources: []Source{source("a", money.KRW), source("b", money.KRW), source("c", money.KRW), source("d", money.USD), source("e", money.USD)}},
		"twice":      {Sources: []Source{source("a", money.KRW), source("b", money.KRW), source("a", money.KRW)}},
		"of a coin":  {Sources: []Source{source("a", money.BTC), source("b", money.BTC), source("c", money.BTC)}},
		"FX alone":   {Sources: []Source{source("a", money.KRW), source("b", money.KRW), source("c", money.KRW)}, FX: fx},
	} {
		if _, err := NewBoard(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestDiagnosis(t *testing.T) {
	fx, err := FixedFX("1390", start.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, fx, "k1", "k2", "k3", "u1", "u2", "u3")
	s.say(70_000_000, 70_000_000, 0, 50_000, 50_000, 50_000)
	s.refresh(t)
	s.now = s.now.Add(10 * time.Second)
	states := s.board.Diagnosis()
	if len(states) != 13 {
		t.Fatalf("%d states", len(states))
	}
	if first := states[0]; first.Source != "k1" || first.Text != "70000000" || first.Age != 10*time.Second || !first.Fresh || first.Err != nil {
		t.Errorf("first: %+v", first)
	}
	if third := states[2]; third.Source != "k3" || third.Err == nil || third.Fresh || !third.ErrAt.Equal(start) {
		t.Errorf("third: %+v", third)
	}
	if last := states[12]; last.Source != "fixed" || last.Text != "1390" || !last.Fresh || last.Currency != money.KRW {
		t.Errorf("last: %+v", last)
	}
}

func TestRefreshFailsOnlyWhenAllDo(t *testing.T) {
	s := newScene(t, nil, "k1", "k2", "k3")
	s.say(0, 0, 0)
	if err := s.board.Refresh(t.Context()); err == nil {
		t.Error("all failed and nobody said so")
	}
	s.say(0, 0, 100)
	if err := s.board.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFixedBoard(t *testing.T) {
	now := start
	b, err := NewFixedBoard([]FixedPrice{{money.BTC, money.KRW, "150000000"}, {money.ETH, money.USD, "4000.50"}}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(1000 * time.Hour)
	p, err := b.Price(money.ETH, money.USD)
	if err != nil || p.Rate.Text() != "4000.5" || len(p.Votes) != 1 || p.Votes[0].Source != "fixed (demo)" || !p.Votes[0].Counted || !p.At.Equal(now) {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := b.Price(money.BTC, money.USD); err == nil {
		t.Error("a price that was not fixed")
	}
	if err := b.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if states := b.Diagnosis(); len(states) != 2 || !states[0].Fresh {
		t.Errorf("states: %+v", states)
	}
	for _, bad := range [][]FixedPrice{{{money.BTC, money.KRW, "0"}}, {{money.KRW, money.KRW, "1"}}, {{money.BTC, money.KRW, "1"}, {money.BTC, money.KRW, "2"}}} {
		if _, err := NewFixedBoard(bad, nil); err == nil {
			t.Errorf("took %v", bad)
		}
	}
}

// One source lies in any way, the others tell the truth to half a percent, some of them may be down: the price is within
// 2 % of the truth, or there is none.
func TestOneLiar(t *testing.T) {
	lies := []string{"×1000", "÷1000", "inverse", "zero", "negative", "nothing", "stale", "future", "swapped", "other currency", "off a little", "any"}
	const rounds = 9_000
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	priced := 0
	for range rounds {
		n := 3 + r.IntN(6)
		truth := big.NewRat(100_000+r.Int64N(1_000_000_000), 1)
		liar := r.IntN(n)
		b := ballot{coin: money.BTC, currency: money.KRW, now: start,
			rule: rule{minSources: MinSources, minAgree: MinAgree, maxAge: DefaultMaxAge, maxStep: DefaultMaxStep}}
		for i := range n {
			h := held{source: fmt.Sprint(i), received: start, quote: Quote{Value: near(r, truth), At: start}}
			if r.IntN(6) == 0 {
				h = held{source: fmt.Sprint(i), err: errors.New("down")}
			}
			b.quotes = append(b.quotes, h)
		}
		for _, lie := range lies {
			b.quotes[liar] = lying(r, lie, truth, fmt.Sprint(liar))
			p, err := b.count()
			if err != nil {
				var refusal *Refusal
				if !errors.As(err, &refusal) {
					t.Fatalf("seed %d, %s: an error of another kind: %v", seed, lie, err)
				}
				continue
			}
			priced++
			// 0.5 % of honest spread and 2 % to the median.
			if !within(p.Rate.Value(), truth, 26_000) {
				t.Fatalf("seed %d, %s: the price is %s, the truth %s", seed, lie, p.Rate.Text(), truth.RatString())
			}
			if !slices.ContainsFunc(b.quotes, func(h held) bool { return h.quote.Value != nil && h.quote.Value.Cmp(p.Rate.Value()) == 0 }) {
				t.Fatalf("seed %d, %s: nobody quoted %s", seed, lie, p.Rate.Text())
			}
		}
	}
	cases := rounds * len(lies)
	if priced < cases/2 {
		t.Errorf("only %d of %d cases had a price", priced, cases)
	}
	t.Logf("seed %d: %d cases, %d with a price, all in band", seed, cases, priced)
}

func near(r *rand.Rand, truth *big.Rat) *big.Rat {
	return new(big.Rat).Mul(truth, big.NewRat(995_000+r.Int64N(10_001), 1_000_000))
}

func lying(r *rand.Rand, lie string, truth *big.Rat, name string) held {
	h := held{source: name, received: start, quote: Quote{At: start}}
	times := func(a, b int64) { h.quote.Value = new(big.Rat).Mul(truth, big.NewRat(a, b)) }
	switch lie {
	case "×1000":
		times(1000, 1)
	case "÷1000":
		times(1, 1000)
	case "inverse":
		h.quote.Value = new(big.Rat).Inv(truth)
	case "zero":
		h.quote.Value = new(big.Rat)
	case "negative":
		times(-1, 1)
	case "nothing": // NaN and its kin never become a value
		h.err = errors.New("read price: NaN")
	case "stale":
		times(3, 1)
		h.quote.At = start.Add(-DefaultMaxAge - time.Duration(1+r.Int64N(1e12)))
	case "future":
		times(3, 1)
		h.quote.At = start.Add(DefaultMaxAge + time.Duration(1+r.Int64N(1e12)))
	case "swapped":
		times(1, 28)
	case "other currency":
		times(1, 1390)
	case "off a little":
		times(900+r.Int64N(201), 1000)
	default:
		h.quote.Value = big.NewRat(1+r.Int64N(1<<62), 1+r.Int64N(1<<40))
	}
	return h
}
