// Package chain is the seam to any blockchain: what the engine asks of a chain and what it is told. What the seam says is
// true of every chain that PIPE knows: blocks have parents, addresses get credits, a transaction uses up tickets. Scripts,
// outpoints, nonces and gas stay behind it, in the adapters.
package chain

import (
	"context"
	"errors"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

var (
	// ErrNoBlock: there is no block at that height on the node's best chain.
	ErrNoBlock = errors.New("chain: no block at that height")
	// ErrGone: the block asked for by hash is not on the node's best chain any more, or its data is not at hand. The
	// follower looks at the tip again.
	ErrGone = errors.New("chain: block is gone")
	// ErrDisagree: endpoints contradict each other about the best chain or about a block. Nothing may be credited or
	// expired until they agree.
	ErrDisagree = errors.New("chain: endpoints disagree")
	// ErrBlind: the node is not to be believed about the present: its tip is too old, it is still syncing, or it cannot be
	// reached. Nothing may be credited or expired.
	ErrBlind = errors.New("chain: node is blind")
	// ErrNetwork: the endpoint serves another network than the one configured. Nothing it says counts.
	ErrNetwork = errors.New("chain: endpoint serves another network")
	// ErrUnknown: nobody can tell what became of a call. It is never a verdict: the caller leaves things as they are.
	ErrUnknown = errors.New("chain: outcome unknown")
)

// A Block is a block's place in its chain. Hash and Parent are lower-case hex as the chain's own tools print it (Ethereum
// with 0x). Time is the header's.
type Block struct {
	Height       uint64
	Hash, Parent string
	Time         time.Time
}

// A Head is what a node calls its best chain: the tip and the height the chain itself calls irreversible, 0 where it
// calls none so.
type Head struct {
	Tip   Block
	Final uint64
}

// A Reader reads a chain. An implementation keeps no tables, files or goroutines: it is asked, it never pushes. Every method is
// safe for concurrent use and ends when its context does. An error that is none of this package's is a passing one.
type Reader interface {
	// Head is the best chain as of now. Errors: ErrDisagree, ErrBlind, ErrNetwork.
	Head(ctx context.Context) (Head, error)
	// BlockAt is the best chain's block at a height. Errors: ErrNoBlock above the tip, ErrDisagree, ErrBlind.
	BlockAt(ctx context.Context, height uint64) (Block, error)
	// Scan reads exactly this block, by its hash: every credit to a watched address and every use of a ticket of ours. All
	// or nothing: on an error nothing of the block counts. Errors: ErrGone, ErrDisagree, ErrBlind.
	Scan(ctx context.Context, b Block, w Watch) (Found, error)
	// Pending is what the node has seen but no block holds yet. It never credits; first-seen time counts, and so does
	// being absent. Full is false where the node cannot tell all (then absence means nothing).
	Pending(ctx context.Context, w Watch) (p Pending, err error)
	// Weigh tells which of these addresses hold another amount at this block than the facts explain: more as a credit, less
	// as a fall. Chains without account balances answer nothing.
	Weigh(ctx context.Context, b Block, all []Weighed) (Found, error)
}

// A Watch is what a scan looks for.
type Watch struct {
	// Has tells whether an address may be ours: true for every address ever released, and in rare cases for another one
	// (the caller checks exactly before it credits). Addresses are in the network's normal form.
	Has func(address string) bool
	// Explained is the amount that the facts so far explain on an address of ours, on the chain up to this block's parent.
	// Only asked on chains with account balances. ok is false for an address that is not ours.
	Explained func(ctx context.Context, address string) (amount money.Amount, ok bool, err error)
	// Held tells whether a ticket may be one of ours: true for every outpoint that is or was ours to spend, and in rare
	// cases for another one. Only asked on chains whose tickets are outpoints; on account chains every transaction of an
	// address that Has knows uses a ticket. nil: no uses are looked for.
	Held func(t Ticket) bool
	// Hot are the accounts to weigh at this block whatever its transactions say.
	Hot []Weighed
}

// Weighed is an account and the balance that the facts so far explain.
type Weighed struct {
	Address string
	Balance money.Amount
}

// Found is what a block holds of ours.
type Found struct {
	Credits []Credit
	Uses    []Use
	// Falls are accounts that hold less than the facts explain, by how much: coins left them by a hand that is not PIPE's,
	// or the node's answer is of another time. Of what came to them in the block, Credits has the plain transfers alone.
	Falls []Weighed
	// Unweighed: the block is so old that its account balances are not at hand any more, and Credits are the plain
	// transfers alone. What else came is found by the balances at a later block: the caller weighs all soon.
	Unweighed bool
}

// Pending is what a node has seen outside blocks.
type Pending struct {
	Credits []Credit
	Full    bool // the node told everything it has; what is absent is absent from it
}

// A Credit is one coming of coins to an address. Ref is unique in the network for ever: "txid:vout" on Bitcoin, the txid
// or "address@blockhash" on Ethereum. From is the sender where the chain knows it, else "". TxID is "" where no single
// transaction explains the credit. Spendable is the height from which it may be spent, 0 for at once (coinbase outputs
// mature at depth 100).
type Credit struct {
	Ref, To, From, TxID string
	Amount              money.Amount
	Spendable           uint64
}

// A Ticket is a single-use right to spend: an outpoint, or an account and nonce.
type Ticket string

// A Use is the use of a ticket of ours by a transaction in a block. On account chains From is the account, Out what left it
// beside the fee, and Fee what the transaction cost, carried out or not (Failed); on Bitcoin, where a block does not tell
// them, they are empty.
type Use struct {
	Ticket   Ticket
	TxID     string
	From     string
	Failed   bool
	Out, Fee money.Amount
}

// Want asks a signer for so many further addresses of a merchant's branch on a network, none of which was ever released.
type Want struct {
	Merchant string // the merchant's id, which the signer binds to the branch at first sight
	Branch   uint32
	Network  money.Network
	Count    int // 1 to the signer's MaxRelease
}

// A Batch is what the signer released: addresses whose indexes its journal has already passed for good.
type Batch struct {
	Epoch     uint64
	Addresses []Released
}

// Released is one address with its index in the merchant's branch.
type Released struct {
	Index   uint32
	Address string
}
