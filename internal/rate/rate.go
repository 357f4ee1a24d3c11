// Package rate tells what coins cost: sources at exchanges, and a board that makes one price of their answers, or none.
// There is no average and no float: a price is one that a source really quoted and that others confirm.
package rate

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// Options say where prices come from. Zero values take the defaults of limits.go.
type Options struct {
	Sources []Source
	FX      FX // nil: KRW prices are not compared with USD prices
	MaxAge  time.Duration
	Timeout time.Duration
	MaxStep int64            // millionths in StepWindow
	KRWBand int64            // millionths
	Now     func() time.Time // nil: time.Now
}

// A Board holds the last answer of each source and makes prices of them. Refresh asks; Price only counts what is held, so
// it never waits for anybody. A Board may be used by many goroutines at once.
type Board struct {
	rule    rule
	timeout time.Duration
	now     func() time.Time
	fx      FX

	mu      sync.Mutex // owns all below, and the held part of slots
	slots   map[pair][]*slot
	history map[pair][]point
	fxHeld  held
}

type pair struct{ coin, currency money.Currency }

type slot struct {
	source Source
	held   held
}

// NewBoard makes a Board that asks each source for BTC and ETH. It fails where sources share a name, a source is of no
// price currency, a currency has fewer sources than its quorum needs, or an exchange rate is set up without USD sources.
func NewBoard(o Options) (*Board, error) {
	b := newBoard(o, rule{
		minSources: MinSources, minAgree: MinAgree,
		maxAge: cmpOr(o.MaxAge, DefaultMaxAge), maxStep: cmpOr(o.MaxStep, DefaultMaxStep), krwBand: cmpOr(o.KRWBand, DefaultKRWBand),
	})
	if len(o.Sources) == 0 || len(o.Sources) > MaxSources {
		return nil, fmt.Errorf("set up rates: there are 1 to %d sources, not %d", MaxSources, len(o.Sources))
	}
	var names []string
	for _, s := range o.Sources {
		switch {
		case slices.Contains(names, s.Name()):
			return nil, fmt.Errorf("set up rates: source %s is there twice", s.Name())
		case !s.Currency().IsPrice():
			return nil, fmt.Errorf("set up rates: source %s quotes in %s", s.Name(), s.Currency())
		}
		names = append(names, s.Name())
		for _, coin := range []money.Currency{money.BTC, money.ETH} {
			key := pair{coin, s.Currency()}
			b.slots[key] = append(b.slots[key], &slot{source: s, held: held{source: s.Name()}})
		}
	}
	for key, slots := range b.slots {
		if len(slots) < MinSources {
			return nil, fmt.Errorf("set up rates: %s has %d sources, %d are needed", key.currency, len(slots), MinSources)
		}
	}
	if o.FX != nil && b.slots[pair{money.BTC, money.USD}] == nil {
		return nil, errors.New("set up rates: an exchange rate needs USD sources to compare KRW prices with")
	}
	return b, nil
}

func newBoard(o Options, r rule) *Board {
	b := &Board{
		rule: r, timeout: cmpOr(o.Timeout, DefaultTimeout), now: o.Now, fx: o.FX,
		slots: make(map[pair][]*slot), history: make(map[pair][]point),
	}
	if b.now == nil {
		b.now = time.Now
	}
	if o.FX != nil {
		b.fxHeld.source = o.FX.Name()
	}
	return b
}

func cmpOr[T int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Refresh asks all sources once, at the same time, each for at most the timeout, and notes the prices that result for the
// step rule. It fails only where no source at all gave a price; what single ones said is in Diagnosis.
func (b *Board) Refresh(ctx context.Context) error {
	var wg sync.WaitGroup
	var failed sync.Mutex
	var failures []error
	asked := 0
	for key, slots := range b.slots { // the map never changes after it was made
		for _, s := range slots {
			asked++
			wg.Go(func() {
				if err := b.ask(ctx, key.coin, s); err != nil {
					failed.Lock()
					defer failed.Unlock()
					failures = append(failures, err)
				}
			})
		}
	}
	if b.fx != nil {
		wg.Go(func() { b.askFX(ctx) })
	}
	wg.Wait()
	b.note()
	if len(failures) == asked {
		return fmt.Errorf("refresh prices: none of %d questions to sources was answered, one because: %w", asked, failures[0])
	}
	return nil
}

func (b *Board) ask(ctx context.Context, coin money.Currency, s *slot) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	asked := b.now()
	q, err := s.source.Quote(ctx, coin)
	b.mu.Lock()
	defer b.mu.Unlock()
	s.held.take(q, err, asked)
	return err
}

func (b *Board) askFX(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	asked := b.now()
	q, err := b.fx.KRWPerUSD(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fxHeld.take(q, err, asked)
}

// take notes an answer. A failure leaves the quote before it, which ages. A quote without a time is as old as the
// question.
func (h *held) take(q Quote, err error, asked time.Time) {
	h.asked = true
	if err == nil && (q.Value == nil || q.Value.Sign() <= 0) {
		err = errors.New("it gave no price above zero")
	}
	if err != nil {
		h.err, h.errAt = err, asked
		return
	}
	if q.At.IsZero() {
		q.At = asked
	}
	h.quote, h.received, h.err = q, asked, nil
}

// note adds the prices that stand now to the history.
func (b *Board) note() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for key := range b.slots {
		old := b.history[key]
		old = slices.DeleteFunc(old, func(p point) bool { return now.Sub(p.at) > StepWindow || p.at.After(now) })
		if price, err := b.price(key, now); err == nil {
			old = append(old, point{now, price.Rate.Value()})
		}
		b.history[key] = old[max(len(old)-MaxHistory, 0):]
	}
}

// Price is what a coin costs now. Its only error is *Refusal: there is no price that can be trusted, and why.
func (b *Board) Price(coin, currency money.Currency) (Price, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.price(pair{coin, currency}, b.now())
}

// price needs the mutex.
func (b *Board) price(key pair, now time.Time) (Price, error) {
	p, err := b.count(key, now)
	if err != nil || key.currency != money.KRW || b.fx == nil {
		return p, err
	}
	refuse := func(word, format string, args ...any) (Price, error) {
		return Price{}, &Refusal{key.coin, key.currency, word, fmt.Sprintf(format, args...), p.Votes}
	}
	fx := b.fxHeld
	switch {
	case fx.quote.Value == nil && fx.err != nil:
		return refuse(WordUnchecked, "the exchange rate is not known: %s", clip(fx.err.Error()))
	case fx.quote.Value == nil:
		return refuse(WordUnchecked, "the exchange rate is not known yet")
	case now.Sub(fx.quote.At) > MaxFXAge || fx.quote.At.Sub(now) > b.rule.maxAge:
		return refuse(WordUnchecked, "the exchange rate is of %s: it may be %v old", fx.quote.At.UTC().Format(time.RFC3339), MaxFXAge)
	}
	usd, err := b.count(pair{key.coin, money.USD}, now)
	if err != nil {
		return refuse(WordUnchecked, "it cannot be compared: %s", err.Error())
	}
	expected := new(big.Rat).Mul(usd.Rate.Value(), fx.quote.Value)
	if !within(p.Rate.Value(), expected, b.rule.krwBand) {
		return refuse(WordBand, "%s is too far from the USD price, which makes %s", p.Rate.Text(), expected.FloatString(0))
	}
	return p, nil
}

// count needs the mutex. A fixed source is asked on the spot: it has no network to wait for.
func (b *Board) count(key pair, now time.Time) (Price, error) {
	slots := b.slots[key]
	quotes := make([]held, len(slots))
	for i, s := range slots {
		if f, ok := s.source.(fixed); ok {
			s.held.take(f.quote, nil, now)
			s.held.quote.At = now
		}
		quotes[i] = s.held
	}
	return ballot{key.coin, key.currency, now, b.rule, quotes, b.history[key]}.count()
}

// A State is what is known of one source and pair, for diagnosis.
type State struct {
	Source         string
	Coin, Currency money.Currency // Coin is USD for an exchange rate
	Text           string         // the last price, "" before the first
	At             time.Time      // when it was true
	Age            time.Duration  // of that price now
	Fresh          bool           // it takes part in the vote now
	Err            error          // why the last question had no answer, nil where it had one
	ErrAt          time.Time
}

// Diagnosis tells the state of every source, ordered by currency, coin and source, the exchange rate last.
func (b *Board) Diagnosis() []State {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	var states []State
	for _, currency := range []money.Currency{money.KRW, money.USD} {
		for _, coin := range []money.Currency{money.BTC, money.ETH} {
			for _, s := range b.slots[pair{coin, currency}] {
				fresh := ballot{now: now, rule: b.rule}.unfit(s.held) == ""
				states = append(states, s.held.state(coin, currency, now, fresh))
			}
		}
	}
	if b.fx != nil {
		fresh := b.fxHeld.quote.Value != nil && now.Sub(b.fxHeld.quote.At) <= MaxFXAge
		states = append(states, b.fxHeld.state(money.USD, money.KRW, now, fresh))
	}
	return states
}

func (h held) state(coin, currency money.Currency, now time.Time, fresh bool) State {
	s := State{Source: h.source, Coin: coin, Currency: currency, Text: h.quote.Text, At: h.quote.At, Fresh: fresh, Err: h.err, ErrAt: h.errAt}
	if h.quote.Value != nil {
		s.Age = max(now.Sub(h.quote.At), 0)
	}
	return s
}
