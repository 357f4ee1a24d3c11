package payment

import (
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
)

// A Payout is one sum owed to one destination: a settlement, a refund, a withdrawal, or a gather inside one wallet. The row
// is the job. It waits until everything is there that it needs, reserves its coins in the ledger, and is then paid by one
// spend at a time.
type Payout struct {
	ID            ID
	Kind          PayoutKind
	MerchantID    ID
	ApplicationID ID // "" for a withdrawal or gather
	InvoiceID     ID // "" for a withdrawal or gather
	Network       money.Network
	To            string         // normal form; "" while nobody said where to
	Source        ledger.Account // that its coins are reserved from: the invoice's or the wallet's; "" while waiting
	// Amount is what is owed, the network fee included. While waiting it is what would be owed now, or zero where only
	// opening can tell.
	Amount     money.Amount
	Wasted     money.Amount // of Amount: fees of spends that were carried out in vain
	Fee        money.Amount // network fee: of the newest version while paying, paid at last when done
	Net        money.Amount // what arrives: Amount less Wasted and Fee, once there is a version
	State      PayoutState
	Held       Hold   // why it does not go on just now; "" when it does
	FailReason string // for the guide's fail_reason; "" unless failed
	// CallbackURL is told of a refund that was asked for; "" tells nobody.
	CallbackURL string
	For         ID     // of a gather: the payout that needs it
	SpendID     ID     // the spend that pays it, from paying on
	TxID        string // of the version that counts, as its chain's tools print it; "" before it was sent
	Attempt     int    // how often a spend was carried out in vain, plus one
	Turn        int64  // how often coins were reserved for it; Reserved tells whether they are now
	Reserved    bool
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DueAt       time.Time // not looked at before
	SentAt      time.Time // when it was first broadcast; zero: not yet
	DoneAt      time.Time // when it was done or failed
	Rev         int64     // compare-and-swap
}

// A PayoutKind says why a payout is owed.
type PayoutKind string

// The kinds of payouts. Asked is a refund that the shop asked for; short, excess and late are refunds that PIPE owes by
// itself.
const (
	Settlement   PayoutKind = "settlement"
	RefundAsked  PayoutKind = "asked"
	RefundShort  PayoutKind = "short"
	RefundExcess PayoutKind = "excess"
	RefundLate   PayoutKind = "late"
	Withdrawal   PayoutKind = "withdrawal"
	Gather       PayoutKind = "gather"
)

// IsRefund tells whether coins go back to the payer.
func (k PayoutKind) IsRefund() bool { return k == RefundAsked || k.IsAutomatic() }

// IsAutomatic tells whether it is a refund that nobody has to ask for.
func (k PayoutKind) IsAutomatic() bool {
	return k == RefundShort || k == RefundExcess || k == RefundLate
}

// A PayoutState is where a payout stands.
type PayoutState string

// The states of a payout. Waiting: nothing is reserved. Open: its coins are reserved, no spend yet. Paying: a spend was
// planned for it. Done: paid, and deep enough.
const (
	PayoutWaiting PayoutState = "waiting"
	PayoutOpen    PayoutState = "open"
	PayoutPaying  PayoutState = "paying"
	PayoutDone    PayoutState = "done"
	PayoutFailed  PayoutState = "failed"
)

// PayoutEdges: a payout is paid once. Paying goes back to open when its spend was given up for good or carried out in vain,
// and done back to paying when a reorganisation deeper than final takes the spend away.
var PayoutEdges = Edges[PayoutState]{
	PayoutWaiting: {PayoutOpen, PayoutDone, PayoutFailed}, // Done: coins that stay in the wallet are moved in the ledger alone
	PayoutOpen:    {PayoutPaying, PayoutWaiting, PayoutFailed},
	PayoutPaying:  {PayoutDone, PayoutOpen},
	PayoutDone:    {PayoutPaying},
	PayoutFailed:  {},
}

// Live tells whether the payout is owed or on its way.
func (p Payout) Live() bool {
	return p.State == PayoutWaiting || p.State == PayoutOpen || p.State == PayoutPaying
}

// IsMoved tells whether it is a settlement that was done in the ledger alone: its coins became the wallet's where they are.
func (p Payout) IsMoved() bool {
	return p.Kind == Settlement && p.State == PayoutDone && p.SpendID == ""
}

// A Hold is why a payout does not go on, shown to merchant and operator in their words.
type Hold string

// The holds. Each names who can end it: time and the chain themselves, the payer (address), the operator (approval, halted,
// refused), or the merchant (threshold, float).
const (
	HoldNone      Hold = ""
	HoldDepth     Hold = "depth"     // the deposits are not final yet
	HoldTime      Hold = "time"      // the application's hold or schedule
	HoldThreshold Hold = "threshold" // below the application's threshold
	HoldFee       Hold = "fee"       // not worth its network fee now
	HoldCeiling   Hold = "ceiling"   // network fees are above the operator's ceiling
	HoldAddress   Hold = "address"   // the payer has yet to say where to
	HoldApproval  Hold = "approval"  // above the caps: the signer's operator must approve
	HoldDelay     Hold = "delay"     // the signer signs it later
	HoldRefused   Hold = "refused"   // the signer's policy forbids it
	HoldReversed  Hold = "reversed"  // the chain took the deposit back
	HoldGather    Hold = "gather"    // the wallet's coins are being gathered
	HoldBusy      Hold = "busy"      // its coins are in another spend
	HoldHalted    Hold = "halted"    // payouts are halted
	HoldNode      Hold = "node"      // no node to be believed, or none that knows the fee
	HoldSigner    Hold = "signer"    // the signer cannot be reached
)

// RefundStatus is the status of a refund, as the guide numbers it.
type RefundStatus int

// The statuses of a refund.
const (
	RefundRequested  RefundStatus = 1
	RefundInProgress RefundStatus = 2
	RefundDone       RefundStatus = 3
	RefundFailed     RefundStatus = 4
)

// RefundStatus is how far a refund is: in progress from its first broadcast on.
func (p Payout) RefundStatus() RefundStatus {
	switch p.State {
	case PayoutDone:
		return RefundDone
	case PayoutFailed:
		return RefundFailed
	case PayoutWaiting, PayoutOpen, PayoutPaying:
	}
	if p.SentAt.IsZero() {
		return RefundRequested
	}
	return RefundInProgress
}

// Asked is the refund that the shop asked for: the one that is not failed, else the newest; false where it never did.
func (f Facts) Asked() (Payout, bool) {
	var asked []Payout
	for _, p := range f.Payouts {
		if p.Kind != RefundAsked {
			continue
		}
		if p.State != PayoutFailed {
			return p, true
		}
		asked = append(asked, p)
	}
	if len(asked) == 0 {
		return Payout{}, false
	}
	return slices.MaxFunc(asked, func(a, b Payout) int { return a.CreatedAt.Compare(b.CreatedAt) }), true
}

// backed is what of a coin has left, or is reserved to leave, by payouts of these kinds.
func (f Facts) backed(coin money.Currency, is func(Payout) bool) money.Amount {
	sum := money.Zero(coin)
	for _, p := range f.Payouts {
		if p.Network.Coin() == coin && is(p) && (p.Reserved || p.State == PayoutDone) {
			sum = sum.Add(p.Amount)
		}
	}
	return sum
}

// wasted is what fees of spends in vain cost of a coin, for payouts of these kinds that failed in the end.
func (f Facts) wasted(coin money.Currency, is func(Payout) bool) money.Amount {
	sum := money.Zero(coin)
	for _, p := range f.Payouts {
		if p.Network.Coin() == coin && p.State == PayoutFailed && p.Wasted.Sign() > 0 && is(p) && !p.Source.IsWallet() {
			sum = sum.Add(p.Wasted)
		}
	}
	return sum
}

// unspent is what of a coin is left of the invoice's own confirmed coins, as the facts have it.
func (f Facts) unspent(coin money.Currency) money.Amount {
	own := ledger.Invoice(string(f.Invoice.ID))
	return sumOf(f, coin, isConfirmed).Sub(f.backed(coin, func(p Payout) bool {
		return p.Source == own || p.Kind != RefundAsked // all others spend the invoice's coins, also where these are the wallet's by now
	})).Sub(f.wasted(coin, func(Payout) bool { return true }))
}

// Network is the network of a coin on which the invoice has deposits or quotes, "" where it has none.
func (f Facts) Network(coin money.Currency) money.Network {
	for _, d := range f.Deposits {
		if d.Network.Coin() == coin {
			return d.Network
		}
	}
	for _, q := range f.Quotes {
		if q.Coin == coin {
			return q.Network
		}
	}
	return ""
}

// Refundable is what the refund that a shop asks for pays back: all that came on the network of the coin and has not gone
// back already.
func (f Facts) Refundable(n money.Network) money.Amount {
	coin := n.Coin()
	back := f.backed(coin, func(p Payout) bool { return p.Kind.IsRefund() && p.Kind != RefundAsked })
	return sumOf(f, coin, isConfirmed).Sub(back).Sub(f.wasted(coin, func(p Payout) bool { return p.Kind.IsRefund() }))
}
