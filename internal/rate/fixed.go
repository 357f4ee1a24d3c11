package rate

import (
	"context"
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// FixedName is how fixed prices sign their votes: nobody must take them for a market's.
const FixedName = "fixed (demo)"

// A FixedPrice is a price that never changes.
type FixedPrice struct {
	Coin, Currency money.Currency
	Text           string
}

// NewFixedBoard makes a Board of fixed prices, for the demo and for tests: one source, named FixedName in the votes, and no
// quorum. It needs no Refresh.
func NewFixedBoard(prices []FixedPrice, now func() time.Time) (*Board, error) {
	if now == nil {
		now = time.Now
	}
	b := newBoard(Options{Now: now}, rule{minSources: 1, minAgree: 1, maxAge: DefaultMaxAge, maxStep: DefaultMaxStep, krwBand: DefaultKRWBand})
	for _, p := range prices {
		q, err := NewQuote(p.Text, now())
		if err != nil {
			return nil, fmt.Errorf("set up fixed price of %s in %s: %w", p.Coin, p.Currency, err)
		}
		if _, err := money.NewRate(p.Coin, p.Currency, q.Value); err != nil {
			return nil, fmt.Errorf("set up fixed price of %s in %s: %w", p.Coin, p.Currency, err)
		}
		key := pair{p.Coin, p.Currency}
		if b.slots[key] != nil {
			return nil, fmt.Errorf("set up fixed price of %s in %s: it is there twice", p.Coin, p.Currency)
		}
		b.slots[key] = []*slot{{source: fixed{p.Currency, q, now}, held: held{source: FixedName}}}
	}
	return b, nil
}

// fixed is a source whose answer is always the same and always fresh.
type fixed struct {
	currency money.Currency
	quote    Quote
	now      func() time.Time
}

func (f fixed) Name() string             { return FixedName }
func (f fixed) Currency() money.Currency { return f.currency }

func (f fixed) Quote(context.Context, money.Currency) (Quote, error) {
	return Quote{f.quote.Text, f.quote.Value, f.now()}, nil
}
