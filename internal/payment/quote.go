package payment

import (
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// A Quote is a rate and the coin amount that it makes of the price, frozen when the payer chose a coin or took more
// time. An older quote stays payable until its own deadline.
type Quote struct {
	ID        ID
	InvoiceID ID
	Coin      money.Currency
	Network   money.Network
	Address   string // the invoice's address for this coin, the same in all its quotes of the coin
	Rate      money.Rate
	Due       money.Amount // the whole amount due, deposits so far included
	Votes     []Vote
	Window    time.Duration
	Exchange  bool // chosen for paying from an exchange
	CreatedAt time.Time
	Deadline  time.Time
}

// A Vote is what one price source said when the quote was made.
type Vote struct {
	Source  string    `json:"source"`
	Value   string    `json:"value"`
	At      time.Time `json:"at"`
	Counted bool      `json:"counted"`
	Reason  string    `json:"reason,omitempty"` // why it did not count
}

// A Price is a rate now, with the votes behind it.
type Price struct {
	Rate  money.Rate
	At    time.Time
	Votes []Vote
}

// enough is the least that pays a quote: what is due less the tolerance.
func (q Quote) enough(p Policy) money.Amount { return q.Due.Sub(q.Due.PerMillion(p.Tolerance)) }
