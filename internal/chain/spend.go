package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

var (
	// ErrFeeTooHigh: what the network asks for now is above the draft's ceiling. The spend waits.
	ErrFeeTooHigh = errors.New("chain: fee is above the ceiling")
	// ErrTooSmall: after the fee less than the network carries would arrive, or nothing.
	ErrTooSmall = errors.New("chain: amount is smaller than its fee")
	// ErrReceiver: the receiver is a contract that refuses the coins or needs more gas than is given. Trying again will
	// not help; another address may.
	ErrReceiver = errors.New("chain: receiver does not take the coins")
	// ErrRejected: the node will not take this transaction now. It is no verdict: an earlier copy may be on its way.
	ErrRejected = errors.New("chain: node does not take the transaction")
	// ErrRefused: the signer's policy forbids it. Only its operator can change that.
	ErrRefused = errors.New("chain: signer refuses")
)

// A Wait is a signer's answer that it will sign later: at a time, or, where Until is zero, once its operator has approved.
type Wait struct {
	Until  time.Time
	Reason string // made to be shown to merchant and operator
}

func (w *Wait) Error() string {
	if w.Until.IsZero() {
		return "chain: signer waits for approval: " + w.Reason
	}
	return fmt.Sprintf("chain: signer waits until %s: %s", w.Until.UTC().Format(time.RFC3339), w.Reason)
}

// A Key says which key of the seed a holding belongs to.
type Key struct {
	Branch, Index uint32
}

// A Holding is value of ours that a ticket can spend: an outpoint ("txid:vout"), or an account at a nonce
// ("0xaddress:nonce"), of which Amount is what the spend may take.
type Holding struct {
	Ticket  Ticket
	Address string
	Amount  money.Amount
	Key     Key
}

// A Cause says why coins leave. The signer has rules for each.
type Cause string

// The causes. A gather moves coins of one wallet to an address of the same wallet.
const (
	CauseSettlement Cause = "settlement"
	CauseRefund     Cause = "refund"
	CauseWithdrawal Cause = "withdrawal"
	CauseGather     Cause = "gather"
)

// A Pay is one payout of a spend. Amount is what was authorised: the payout's share of the network fee is taken from it, and
// Net of it arrives. Attempt counts from 1; it is above 1 only on chains where a transaction can be carried out in vain,
// after that one is final.
type Pay struct {
	Payout  string
	Attempt int
	Cause   Cause
	To      string
	Amount  money.Amount
	Net     money.Amount // set by Build
	Own     *Key         // of a gather: the key that To belongs to, so that the signer can tell that it is the merchant's own
}

// A Draft says what a version of a spend must do. All holdings are of one merchant. On Bitcoin all are used up, and what the
// payouts leave goes back to the address of the first holding; on account chains there is one holding, whose rest stays.
type Draft struct {
	Network  money.Network
	Spend    string
	Version  int // counts from 1
	Merchant string
	Holdings []Holding
	Anchor   Ticket // of Holdings: every version of the spend uses it
	Pays     []Pay
	Previous money.Amount // rate of the version before, which this one must replace; zero Amount: the first
	MaxRate  money.Amount // ceiling of the rate; zero Amount: none
}

// Unsigned is a transaction that waits for its signature. The signer believes nothing of it but Raw, and compares the rest
// with what it reads there.
type Unsigned struct {
	Network  money.Network
	Spend    string
	Version  int
	Merchant string
	Raw      []byte // a PSBT (BIP-174), or the payload that an EIP-1559 signature commits to: 0x02 and RLP
	Holdings []Holding
	Pays     []Pay
	Anchor   Ticket
	Rate     money.Amount // BTC: satoshi per 1,000 virtual bytes; ETH: wei per gas
	Fee      money.Amount // the most that the version can cost; on Bitcoin exactly that
	Change   money.Amount // what goes back to the first holding's address; zero: nothing
}

// Signed is a transaction that can be broadcast.
type Signed struct {
	Raw  []byte
	TxID string
}

// A SignedSpend is a version that a signer's journal holds, for a store that may have lost it.
type SignedSpend struct {
	Spend    string
	Version  int
	Network  money.Network
	Merchant string
	Raw      []byte
	TxID     string
	Anchor   Ticket
	Fee      money.Amount // the most that it can cost; on Bitcoin exactly that
	Holdings []Holding    // Ticket and Amount alone
	Pays     []Pay        // without Own
}

// Fees are what payouts cost now, for choosing and for showing. Plain is the cost of a payout from one holding to one
// plain receiver, Holding and Output that of each further one in the same transaction (zero where there are none), Least
// the smallest amount that the network carries.
type Fees struct {
	Rate, Plain, Holding, Output, Least money.Amount
}

// A Builder makes transactions without any key, and sends what was signed. It keeps nothing; every method is safe for
// concurrent use.
type Builder interface {
	// Fees are those of this moment. Errors: ErrBlind where the node cannot say.
	Fees(ctx context.Context) (Fees, error)
	// Build makes a version. The fee is shared by the payouts and taken from their amounts. Errors: ErrFeeTooHigh, ErrTooSmall,
	// ErrReceiver, ErrBlind.
	Build(ctx context.Context, d Draft) (Unsigned, error)
	// Broadcast sends signed bytes to every endpoint. nil: at least one has them, now or from before. ErrRejected: all
	// that answered will not take them; ErrUnknown: nobody can tell. Neither is a verdict: the same bytes are sent again.
	Broadcast(ctx context.Context, raw []byte) error
}

// A Destination is an address that a merchant's settlements and withdrawals may go to.
type Destination struct {
	Merchant string
	Network  money.Network
	Address  string
	From     time.Time // payable from then on; zero: waits for approval
}
