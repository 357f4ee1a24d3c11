package payment

import (
	"time"

	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
)

// A Deposit is one credit on a chain to an address of ours. It is never deleted; its state moves with the chain.
type Deposit struct {
	ID        ID
	InvoiceID ID // "" for coins that are no invoice's: a wallet's, or strays
	// Account is whose coins they are in the ledger: the invoice's, the wallet's once moved or received there, or the
	// stray account.
	Account ledger.Account
	// SpendID is the spend of ours that made it: change that came back, or what a gather moved. "" for coins from outside.
	// It is in no sum of the invoice, and no ledger entry books it.
	SpendID ID
	Network money.Network
	Ref     string // unique in the network, for ever
	Address string
	Amount  money.Amount
	From    string // sender where known, else ""
	TxID    string // "" where no single transaction explains it
	State   DepositState

	SeenAt    time.Time // when PIPE first saw it, in a block or outside
	PendingAt time.Time // when the node last had it outside blocks; zero: never
	Spendable uint64    // height from which it may be spent, 0: at once

	Height    uint64 // the block that holds it; 0 and "" outside blocks
	BlockHash string
	BlockTime time.Time

	Turn  int64        // how often it was confirmed: a reorganisation may take it away and bring it back
	Worth money.Amount // value in the price's currency when a late one arrived; zero Amount: not valued
	Rev   int64        // compare-and-swap
}

// Live tells whether the money is there or on its way: seen, mined or confirmed.
func (d Deposit) Live() bool {
	switch d.State {
	case Seen, Mined, Confirmed:
		return true
	case Dropped, Reversed:
		return false
	}
	return false
}

// Arrived is the moment that decides whether it came in time: when it was first seen or the time of its block, the
// earlier one.
func (d Deposit) Arrived() time.Time {
	if !d.BlockTime.IsZero() && d.BlockTime.Before(d.SeenAt) {
		return d.BlockTime
	}
	return d.SeenAt
}
