package bitcoin

import "time"

// Limits of the adapter. Those of one RPC call are chain.RPCTimeout and chain.MaxReply. Values without a source are choices.
const (
	// CoinbaseMaturity is the depth at which coinbase outputs may be spent, in blocks (consensus rule).
	CoinbaseMaturity = 100
	// MaxAddress is the longest text that ParseAddress reads, in bytes: BIP 173 allows 90.
	MaxAddress = 90
	// MaxBlock is the longest block, in bytes: 4,000,000 weight units (BIP 141).
	MaxBlock = 4_000_000
	// MaxPendingFetch is how many unconfirmed transactions one look at the mempool fetches at most. What is left is fetched
	// by the next ones.
	MaxPendingFetch = 2_000
	// PendingBatch is how many of them one batch request asks for: at most 25 large standard transactions of 400,000
	// weight units each would be 10 MB in hex.
	PendingBatch = 100
	// MaxPendingKnown is how many unconfirmed transactions are remembered. Core's default mempool of 300 MB of memory holds
	// some 100,000 to 200,000.
	MaxPendingKnown = 400_000
	// PendingFor is how long one look at the mempool may go on fetching.
	PendingFor = 2 * time.Second
	// PendingMemory is for how long a foreign transaction's outputs are kept, to be compared again with addresses that were
	// released meanwhile by another process.
	PendingMemory = 10 * time.Minute
	// MaxInputs is how many holdings one transaction spends at most.
	MaxInputs = 50
	// MaxPays is how many payouts one transaction carries out at most.
	MaxPays = 100
	// MaxTx is the longest transaction that is sent, in bytes: 400,000 weight units, the most that is standard.
	MaxTx = 400_000
	// minTarget, DefaultTarget and MaxTarget are within how many blocks a payout should be mined; Core estimates no less
	// than 2.
	minTarget     = 2
	DefaultTarget = 3
	MaxTarget     = 6
	// maxRate is the highest fee rate that makes sense, in satoshi per 1,000 virtual bytes: above it Core's
	// sendrawtransaction refuses (its default maxfeerate, 0.1 BTC).
	maxRate = 10_000_000
	// maxDecimal is the longest text of a decimal number that is read, in bytes; also the largest power of ten in it.
	maxDecimal = 32
	// bumpPercent and bumpMargin are by how much a version's rate is above the one before it, in percent and in satoshi per
	// 1,000 virtual bytes; the margin covers the rounding of both fees to whole satoshi, in sizes from 100 bytes on.
	bumpPercent = 25
	bumpMargin  = 10
	// ScanBatch is for how many addresses one scan of all unspent outputs looks: some 700 KB of request, of which Core reads
	// 32 MiB.
	ScanBatch = 10_000
	// ScanFor is how long one scan may take. On mainnet it reads some 180 million outputs.
	ScanFor = 30 * time.Minute
	// maxErrorText is how much of a node's error message is repeated, in bytes.
	maxErrorText = 300
	// maxTrustedHeaders is how many headers are remembered whose work and place were checked.
	maxTrustedHeaders = 16
	// maxConns is how many connections to one node are open at once. Core serves 4 by default (rpcthreads; 16 since 28).
	maxConns = 4
	// maxTicket is the longest text of an outpoint, in bytes: 64 hex digits, a colon, ten digits.
	maxTicket = 64 + 1 + 10
	// maxCookie is the longest cookie file that is read, in bytes.
	maxCookie = 1 << 10
)
