package payment

import (
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
)

// A Spend is the one transaction that carries out one or more payouts of one merchant, in all its versions. Whatever happens,
// at most one version takes effect: all use the anchor. Where a reorganisation took coins away, a version may leave out the
// payouts of those coins; then the anchor is a ticket that it uses, and so did all before it.
type Spend struct {
	ID         ID
	MerchantID ID
	Network    money.Network
	Source     ledger.Account // whose coins it spends; "" for a batch of settlements, where each payout has its own
	Anchor     string         // a ticket that every version uses
	State      SpendState
	Version    int // the newest one; counts from 1
	Held       Hold
	Reason     string // in words, where Held is not enough
	TxID       string // of the version that a block holds
	Height     uint64 // the block that holds it; 0 and "" outside blocks
	BlockHash  string
	Failed     bool         // on account chains: it was carried out in vain, and only its fee is gone
	Out, Fee   money.Amount // on account chains, once mined: what left the account, and the fee
	Turn       int64        // how often it was done: a deep reorganisation may take it away
	CreatedAt  time.Time
	UpdatedAt  time.Time
	DueAt      time.Time // when its next step is due
	SentAt     time.Time // when its newest version was first broadcast; zero: not yet
	Fence      int64     // raised with every claim: a step that lost its claim changes nothing
	LeaseUntil time.Time
	Rev        int64 // compare-and-swap
}

// A SpendState is where a spend stands.
type SpendState string

// The states of a spend. Planned: its tickets are taken and its bytes are being signed. Signed: a signed version is stored.
// Sent: a version was broadcast, or may have been. Void: the signer promised never to sign it. Lost: a transaction that is
// none of ours used its anchor, which halts payouts.
const (
	SpendPlanned SpendState = "planned"
	SpendSigned  SpendState = "signed"
	SpendSent    SpendState = "sent"
	SpendMined   SpendState = "mined"
	SpendDone    SpendState = "done"
	SpendVoid    SpendState = "void"
	SpendLost    SpendState = "lost"
)

// SpendEdges: bytes once sent may take effect for ever, so there is no way from sent to void.
var SpendEdges = Edges[SpendState]{
	SpendPlanned: {SpendSigned, SpendVoid, SpendLost, SpendMined}, // Mined: signed and sent in a history that this store lost
	SpendSigned:  {SpendSent, SpendMined, SpendLost},
	SpendSent:    {SpendMined, SpendLost},
	SpendMined:   {SpendDone, SpendSent, SpendLost},
	SpendDone:    {SpendSent}, // a reorganisation deeper than final
	SpendVoid:    {},
	SpendLost:    {SpendMined}, // the foreign transaction went with its block, and one of ours is in the next
}

// A Version is one form of a spend: built, then signed, then sent.
type Version struct {
	SpendID  ID
	Number   int // counts from 1
	Rate     money.Amount
	Fee      money.Amount // the most that it can cost
	Change   money.Amount // back to the first holding's address; zero: nothing
	Unsigned []byte
	Raw      []byte // nil before it was signed
	TxID     string // "" before it was signed
	Shares   []Share
	MadeAt   time.Time
	SentAt   time.Time // zero: not yet
}

// Lost tells whether only its signed bytes are known: the store lost the rest, so no further version can be made from it.
func (v Version) Lost() bool {
	return string(v.Unsigned) == LostVersion || strings.HasPrefix(string(v.Unsigned), LostHoldings)
}

// LostVersion stands for an unsigned version that the store has lost, and LostHoldings begins one of which it knows the tickets
// from the signer's journal.
const (
	LostVersion  = "{}"
	LostHoldings = `{"Lost":true,`
)

// A Share is what a payout gets out of a version.
type Share struct {
	PayoutID ID           `json:"payout"`
	Net      money.Amount `json:"net"`
	Fee      money.Amount `json:"fee"`
}

// A Ticket is a single-use right to spend that a spend has taken.
type Ticket struct {
	Network money.Network
	Ticket  string
	SpendID ID
	Address string
	Amount  money.Amount
	Index   uint32 // of the key in the merchant's branch
}
