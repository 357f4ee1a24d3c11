package payment

import (
	"net/netip"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// An Application is one shop integration of a merchant: keys, origins, networks, coins, settlement addresses, policy.
type Application struct {
	ID, MerchantID ID
	Name           string
	Origins        []string       // registered web service URLs: scheme, host and optional path, normalised
	Networks       []netip.Prefix // addresses that may call; none registered: nobody may
	Coins          []money.Currency
	Settlement     map[money.Currency]string // addresses to forward to; a coin without one stays in the wallet
	Settings       Settings
	Callback       CallbackSettings
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Rev            int64 // compare-and-swap
}

// Settings are an application's policies, from which each invoice freezes its own.
type Settings struct {
	QuoteWindow    time.Duration
	ChooseWithin   time.Duration
	ExchangeWindow time.Duration
	Tolerance      int64 // millionths of the amount due that may be missing
	Depths         []DepthRule
	AcceptLate     bool // a late payment is taken when its value at arrival is within tolerance
	Settle         SettlePolicy
	RequireRefund  bool // the page asks for a refund address before it shows where to pay
	Look           Look
}

// A SettlePolicy says when coins of paid invoices go to the settlement address. The zero value is at once.
type SettlePolicy struct {
	Hold  time.Duration                   // after final depth, so that refunds still find the coins
	Every time.Duration                   // at multiples of it since midnight UTC; 0: at once
	Above map[money.Currency]money.Amount // once this much of a coin waits for the application's settlement address
}

// At is when a settlement of what was paid then may go: after the hold, at the next time of the schedule.
func (s SettlePolicy) At(paid time.Time) time.Time {
	at := paid.Add(s.Hold)
	if s.Every <= 0 {
		return at
	}
	if next := at.Truncate(s.Every); next.Before(at) { // Truncate counts from a midnight in UTC
		return next.Add(s.Every)
	}
	return at
}

// A DepthRule asks for a depth for a coin, from a price up. Of the rules that match, the one with the highest From in the
// invoice's currency counts; a rule without From matches every price.
type DepthRule struct {
	Coin  money.Currency
	From  money.Amount // zero Amount: any price
	Depth Depth
}

// A Depth says when a deposit counts: so many blocks (1 is the block that holds it), or when the chain itself calls it
// final. Stall is, for Final, the number of blocks that is enough while the chain's finality stalls; 0 waits.
type Depth struct {
	Blocks int  `json:"blocks,omitempty"`
	Final  bool `json:"final,omitempty"`
	Stall  int  `json:"stall,omitempty"`
}

// CallbackSettings say what an application is told and how.
type CallbackSettings struct {
	Encoding Encoding
	Seen     bool // status 1, deposit seen
	Expired  bool // status 3
	Refunded bool // status 4
	Reversed bool // code 4092, a paid deposit taken back by the chain
	Secrets  []Secret
}

// An Encoding is the form of a callback's body.
type Encoding string

// The encodings of callbacks.
const (
	EncodingJSON Encoding = "json"
	EncodingForm Encoding = "form"
)

// A Secret signs callbacks. Until is zero for the current one; a rotated one signs beside it until then.
type Secret struct {
	Sealed []byte // encrypted under the program's own key
	Until  time.Time
}

// A Key is an API key, of which only the hash is kept.
type Key struct {
	ID            ID
	ApplicationID ID
	Hash          []byte // SHA-256 of the whole key text: keys are 256 random bits, so no slow hash is needed
	Hint          string // the first characters, for lists
	NoRefund      bool   // it may not ask for refunds
	CreatedAt     time.Time
	ExpiresAt     time.Time // zero: never
}

// Policy is what of the settings an invoice froze when it was made.
type Policy struct {
	QuoteWindow    time.Duration
	ChooseWithin   time.Duration
	ExchangeWindow time.Duration
	Tolerance      int64
	Depths         map[money.Currency]Depth
	AcceptLate     bool
	RequireRefund  bool
}

// DefaultSettings are right for most shops.
func DefaultSettings() Settings {
	return Settings{
		QuoteWindow:    DefaultQuoteWindow,
		ChooseWithin:   DefaultChooseWithin,
		ExchangeWindow: DefaultExchangeWindow,
		Tolerance:      DefaultTolerance,
	}
}

// Check refuses settings outside their ranges, naming the one at fault.
func (s Settings) Check() error {
	windows := []struct {
		name string
		d    time.Duration
	}{{"quote_window", s.QuoteWindow}, {"choose_within", s.ChooseWithin}, {"exchange_window", s.ExchangeWindow}}
	for _, w := range windows {
		if w.d < MinQuoteWindow || w.d > MaxQuoteWindow {
			return Malformed(w.name, "must be between %s and %s", MinQuoteWindow, MaxQuoteWindow)
		}
	}
	if s.Tolerance < 0 || s.Tolerance > MaxTolerance {
		return Malformed("tolerance", "must be between 0 and %d millionths (10 %%)", MaxTolerance)
	}
	for _, r := range s.Depths {
		if !r.Coin.IsCoin() || !r.Depth.Final && (r.Depth.Blocks < 1 || r.Depth.Blocks > MaxDepth) {
			return Malformed("confirmations", "must name a coin and 1 to %d blocks, or final", MaxDepth)
		}
	}
	return s.Settle.Check()
}

// Freeze is the policy for an invoice of this price.
func (s Settings) Freeze(price money.Amount) Policy {
	p := Policy{
		QuoteWindow: s.QuoteWindow, ChooseWithin: s.ChooseWithin, ExchangeWindow: s.ExchangeWindow,
		Tolerance: s.Tolerance, AcceptLate: s.AcceptLate, RequireRefund: s.RequireRefund,
		Depths: map[money.Currency]Depth{money.BTC: {Blocks: DefaultDepthBTC}, money.ETH: {Blocks: DefaultDepthETH}},
	}
	from := map[money.Currency]money.Amount{}
	for _, r := range s.Depths {
		if r.From.Currency() != "" && (r.From.Currency() != price.Currency() || price.Less(r.From)) {
			continue
		}
		if best, seen := from[r.Coin]; !seen || !r.From.Less(best) { // of equals the later
			from[r.Coin], p.Depths[r.Coin] = r.From, r.Depth
		}
	}
	return p
}
