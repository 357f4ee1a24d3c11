package chain

import (
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// Limits of reading a chain. Values without a source are choices.
const (
	// RPCTimeout is how long one call to a node may take.
	RPCTimeout = 10 * time.Second
	// MaxReply is the longest answer of a node that is read, in bytes. A Bitcoin block of 4 MB weighs 8 MB in hex, and up
	// to 50 MB decoded as JSON.
	MaxReply = 64 << 20
	// StartBlocks is how many blocks up to the tip are remembered, without being scanned, when a chain is followed for the
	// first time: a reorganisation right after the start must find the block from which the branches differ.
	StartBlocks uint64 = 100
	// startAtOnce is how many of them are asked for at once.
	startAtOnce = 8
	// RecentBlocks is the most stored blocks that Next needs to be shown. A deeper reorganisation is ErrDisagree, and a
	// matter for the operator.
	RecentBlocks = 200
	// MinAgree is how many endpoints must give the same answer, where more than one is set up.
	MinAgree = 2
	// SlowFailure is how long a failed call must have taken for its endpoint to be left alone for RestFor, as long as
	// enough others answer.
	SlowFailure = 2 * time.Second
	RestFor     = 30 * time.Second
	// MaxEndpoints is how many endpoints of one network may be set up.
	MaxEndpoints = 8
)

// IsDev tells whether the network is a chain for development, whose blocks come when somebody asks for them: Bitcoin's
// regtest, and the chain ids of geth's and the common tools' local chains.
func IsDev(n money.Network) bool {
	switch n {
	case "bitcoin/regtest", "ethereum/1337", "ethereum/31337":
		return true
	}
	return false
}

// IsTest tells whether nobody gives anything for the network's coins: a chain for development, or a public one for tests.
func IsTest(n money.Network) bool {
	switch n {
	case "bitcoin/testnet4", "bitcoin/signet", "ethereum/11155111", "ethereum/560048", "ethereum/17000": // Sepolia, Hoodi, Holesky
		return true
	}
	return IsDev(n)
}

// Poll is the default pause between two looks at a network.
func Poll(n money.Network) time.Duration {
	switch {
	case IsDev(n):
		return 500 * time.Millisecond
	case n.Coin() == money.ETH:
		return 3 * time.Second
	}
	return 5 * time.Second
}

// TipAge is the default age of the tip from which a node counts as blind; 0 is never.
func TipAge(n money.Network) time.Duration {
	switch {
	case IsDev(n):
		return 0
	case n.Coin() == money.ETH:
		return 5 * time.Minute
	}
	return 2 * time.Hour
}

// BreakerDepth is the default depth of a reorganisation from which required depths double for BreakerFor; 0 is never.
func BreakerDepth(n money.Network) uint64 {
	switch {
	case IsDev(n):
		return 0
	case n.Coin() == money.ETH:
		return 8
	}
	return 3
}

// BreakerFor is how long required depths stay doubled after a reorganisation of BreakerDepth or more.
const BreakerFor = 24 * time.Hour

// CompareDepths are the depths at which endpoints' block hashes are compared, in ascending order; depth 1 is the tip. Above
// the first depth endpoints may differ for a moment without contradicting each other.
func CompareDepths(n money.Network) []uint64 {
	if n.Coin() == money.ETH {
		return []uint64{2, 32}
	}
	return []uint64{1, 6}
}
