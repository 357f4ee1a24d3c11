package rate

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// A Vote is what one source said when a price was made, for the record.
type Vote struct {
	Source  string
	Text    string    // the value as quoted, "" where there is none
	At      time.Time // when it was true; zero where there is none
	Counted bool      // it was fresh and agreed with the price
	Reason  string    // why it did not count, "" where it did
}

// A Price is what a coin costs, with the votes behind it.
type Price struct {
	Rate  money.Rate
	At    time.Time // when the chosen source's price was true
	Votes []Vote
}

// Words of a Refusal.
const (
	WordSources   = "sources"   // fewer sources set up than a quorum needs
	WordStale     = "stale"     // too few fresh prices
	WordDisagree  = "disagree"  // too few of the fresh ones are near each other
	WordStep      = "step"      // it moved too far too fast for so few sources
	WordBand      = "band"      // a KRW price far from the USD price
	WordUnchecked = "unchecked" // a KRW price that cannot be compared with the USD price
)

// A Refusal is why there is no price that can be trusted. It is the only error of Board.Price.
type Refusal struct {
	Coin, Currency money.Currency
	Word           string
	Detail         string // in English, for people
	Votes          []Vote
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("no trustworthy price of %s in %s: %s", r.Coin, r.Currency, r.Detail)
}

// A held quote is the last thing known of a source and coin.
type held struct {
	source   string
	quote    Quote // Value is nil before the first good answer
	received time.Time
	err      error // of the last question, nil where it was answered
	errAt    time.Time
	asked    bool
}

// A rule is what a price must pass.
type rule struct {
	minSources, minAgree int
	maxAge               time.Duration
	maxStep              int64 // millionths
	krwBand              int64 // millionths
}

// A ballot is everything that decides one price; counting it is pure.
type ballot struct {
	coin, currency money.Currency
	now            time.Time
	rule           rule
	quotes         []held
	history        []point
}

// A point is a price accepted before.
type point struct {
	at    time.Time
	value *big.Rat
}

// count makes the price of the votes, or refuses. The price is the lower median of the fresh ones, so always one that a
// source really quoted; most of them and at least two must be near it. A move that is too fast needs three.
func (b ballot) count() (Price, error) {
	votes := make([]Vote, len(b.quotes))
	var fresh []int
	for i, h := range b.quotes {
		votes[i] = Vote{Source: h.source, Text: h.quote.Text, At: h.quote.At}
		if why := b.unfit(h); why != "" {
			votes[i].Reason = why
			continue
		}
		fresh = append(fresh, i)
	}
	refuse := func(word, format string, args ...any) (Price, error) {
		return Price{}, &Refusal{b.coin, b.currency, word, fmt.Sprintf(format, args...), votes}
	}
	if len(b.quotes) < b.rule.minSources {
		return refuse(WordSources, "%d sources are set up, %d are needed", len(b.quotes), b.rule.minSources)
	}
	if len(fresh) < b.rule.minAgree {
		return refuse(WordStale, "%d of %d sources have a fresh price, %d are needed", len(fresh), len(b.quotes), b.rule.minAgree)
	}
	slices.SortStableFunc(fresh, func(x, y int) int { return b.quotes[x].quote.Value.Cmp(b.quotes[y].quote.Value) })
	chosen := b.quotes[fresh[(len(fresh)-1)/2]]
	agree := 0
	for _, i := range fresh {
		if within(b.quotes[i].quote.Value, chosen.quote.Value, AgreeWithin) {
			votes[i].Counted = true
			agree++
			continue
		}
		votes[i].Reason = "more than 2 % away from the median"
	}
	if agree < b.rule.minAgree || 2*agree <= len(fresh) {
		return refuse(WordDisagree, "%d of %d fresh sources agree within 2 %%: most of them and at least %d must", agree, len(fresh), b.rule.minAgree)
	}
	if old, moved := b.step(chosen.quote.Value); moved && agree < StepAgree {
		return refuse(WordStep, "it moved too far since %s: from %s to %s, and only %d sources agree",
			old.at.UTC().Format(time.TimeOnly), old.value.FloatString(2), chosen.quote.Text, agree)
	}
	rate, err := money.NewRate(b.coin, b.currency, chosen.quote.Value)
	if err != nil {
		return refuse(WordDisagree, "%s quoted no price: %v", chosen.source, err)
	}
	return Price{Rate: rate, At: chosen.quote.At, Votes: votes}, nil
}

// unfit says why a quote does not take part, "" where it does. A quote is as old as its own time or its receipt,
// whichever is earlier, so that neither a stuck source nor a stuck connection passes for fresh.
func (b ballot) unfit(h held) string {
	switch {
	case h.quote.Value == nil && h.err != nil:
		return "no answer: " + clip(h.err.Error())
	case h.quote.Value == nil:
		return "not asked yet"
	case h.quote.Value.Sign() <= 0:
		return "not above zero"
	case h.quote.At.Sub(h.received) > b.rule.maxAge:
		return "from the future"
	case b.now.Sub(h.received) > b.rule.maxAge && h.err != nil:
		return "stale, and no answer since: " + clip(h.err.Error())
	case b.now.Sub(h.received) > b.rule.maxAge, b.now.Sub(h.quote.At) > b.rule.maxAge:
		return "stale"
	case h.received.Sub(b.now) > b.rule.maxAge:
		return "received in the future: the clock went back"
	}
	return ""
}

// step finds an accepted price of the last StepWindow from which this one is too far.
func (b ballot) step(value *big.Rat) (point, bool) {
	for _, p := range b.history {
		if b.now.Sub(p.at) <= StepWindow && !within(value, p.value, b.rule.maxStep) {
			return p, true
		}
	}
	return point{}, false
}

// within tells whether a is at most so many millionths of b away from b, exactly.
func within(a, b *big.Rat, millionths int64) bool {
	away := new(big.Rat).Sub(a, b)
	room := new(big.Rat).Mul(b, big.NewRat(millionths, million))
	return away.Abs(away).Cmp(room.Abs(room)) <= 0
}
