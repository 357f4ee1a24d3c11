package engine

import (
	"context"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// The ports of money going out.

// A Hand signs. It is met by the embedded signer and by the client of one in a process of its own. Besides the errors of
// chain it may answer that it cannot be reached; then nothing is known of the request, which is simply made again.
type Hand interface {
	// Sign answers the same bytes for the same spend and version, whenever it is asked. Errors: chain.ErrRefused,
	// *chain.Wait.
	Sign(ctx context.Context, u chain.Unsigned) (chain.Signed, error)
	// Void promises never to sign the spend. chain.ErrRefused: it was signed already.
	Void(ctx context.Context, spend string) error
	// Register tells where a merchant's settlements and withdrawals are to go, and is told from when on they may.
	Register(ctx context.Context, d chain.Destination) (chain.Destination, error)
}

// PayoutTx keeps payouts. A second live payout of one kind, invoice and network is payment.ErrConflict, gathers and
// withdrawals apart.
type PayoutTx interface {
	AddPayout(p payment.Payout) error
	Payout(id payment.ID) (payment.Payout, error)
	SwapPayout(p payment.Payout) error
	// DuePayouts are those of a state and network whose time has come, the longest due first.
	DuePayouts(network money.Network, state payment.PayoutState, t time.Time, limit int) ([]payment.Payout, error)
	// SourcePayouts are the open and paying ones that take from an account, with or without its coins set aside, in the order
	// of their making.
	SourcePayouts(a ledger.Account, network money.Network, reserved bool, limit int) ([]payment.Payout, error)
	// SpendPayouts are those that a spend pays, in the order of their making.
	SpendPayouts(spend payment.ID) ([]payment.Payout, error)
	// GatherPayouts are the gathers that a payout asked for.
	GatherPayouts(payout payment.ID) ([]payment.Payout, error)
	// MerchantPayouts are a merchant's, the newest first, before an id; "" for the newest.
	MerchantPayouts(q MerchantPayouts) ([]payment.Payout, error)
}

// MerchantPayouts says which payouts to list; empty fields match all.
type MerchantPayouts struct {
	Merchant payment.ID
	Network  money.Network
	Kinds    []payment.PayoutKind
	Before   payment.ID
	Limit    int
}

// SpendTx keeps spends and the tickets they hold. A ticket that another spend holds is payment.ErrConflict.
type SpendTx interface {
	AddSpend(s payment.Spend, tickets []payment.Ticket) error
	Spend(id payment.ID) (payment.Spend, error)
	SwapSpend(s payment.Spend) error
	// ClaimSpends takes planned, signed and sent ones that are due and whose lease is over; each gets the lease and a raised
	// fence and Rev.
	ClaimSpends(q ClaimSpends) ([]payment.Spend, error)
	// BlockSpends are those that this block holds; MinedSpends are all in state mined, after an id in id order.
	BlockSpends(network money.Network, blockHash string) ([]payment.Spend, error)
	MinedSpends(network money.Network, after payment.ID, limit int) ([]payment.Spend, error)
	// TicketSpend is the spend that holds a ticket; payment.ErrAbsent: none does.
	TicketSpend(network money.Network, ticket string) (payment.Spend, error)
	Tickets(spend payment.ID) ([]payment.Ticket, error)
	// ReleaseTickets gives up the tickets of a spend that is void or whose anchor is finally used up.
	ReleaseTickets(spend payment.ID) error
	// DropTicket takes a ticket from a spend of which a final version did not use it. It does not stay on record.
	DropTicket(t payment.Ticket) error
}

// ClaimSpends says which spends to claim.
type ClaimSpends struct {
	Network money.Network
	Now     time.Time
	Lease   time.Duration
	Limit   int
}

// VersionTx keeps the versions of spends. What was signed is never changed.
type VersionTx interface {
	AddVersion(v payment.Version) error
	// SignVersion stores the signed bytes of a version that had none. Others than those stored are payment.ErrConflict.
	SignVersion(spend payment.ID, number int, raw []byte, txid string) error
	// MarkSent notes the first broadcast of a version.
	MarkSent(spend payment.ID, number int, at time.Time) error
	Version(spend payment.ID, number int) (payment.Version, error)
	// Versions are a spend's, the first one first.
	Versions(spend payment.ID) ([]payment.Version, error)
	// TxIDVersion is the version with this txid.
	TxIDVersion(network money.Network, txid string) (payment.Version, error)
}

// CoinTx finds what can be spent, and keeps whether payouts may go on.
type CoinTx interface {
	// Coins are an account's confirmed deposits, change included, whose ticket no spend holds, in the order of their making,
	// after a number.
	Coins(a ledger.Account, network money.Network, after int64, limit int) ([]Output, error)
	// WalletAddresses are given addresses of a merchant's that hold something of its wallet's, after an address in address
	// order, and ReceivingAddress the one that its wallet receives at; payment.ErrAbsent before the first.
	WalletAddresses(merchant payment.ID, network money.Network, after string, limit int) ([]payment.Address, error)
	ReceivingAddress(merchant payment.ID, network money.Network) (payment.Address, error)
	// DepositRefs are the refs of all deposits of a network in the order of their making, after a number.
	DepositRefs(network money.Network, after int64, limit int) ([]NumberedRef, error)
	// BalanceOf is what an account holds on a network, zero where it never held any.
	BalanceOf(a ledger.Account, network money.Network) (money.Amount, error)
	// Halt is why payouts of every network stand still; "" while they go on.
	Halt() (Halt, error)
	SaveHalt(h Halt) error
}

// An Output is a deposit as far as spending it goes, with its number in the order of their making.
type Output struct {
	N            int64
	Ref, Address string
	Amount       money.Amount
}

// A NumberedRef is a deposit's ref and its number in the order of their making.
type NumberedRef struct {
	N   int64
	Ref string
}

// A Halt is the latch of payouts. Reason is "" while they go on.
type Halt struct {
	Reason string
	Since  time.Time // zero while they go on
	Rev    int64
}
