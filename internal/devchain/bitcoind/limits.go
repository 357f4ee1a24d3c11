package bitcoind

import "time"

const (
	// startTimeout bounds the wait for a started node to answer; it takes 0.3 s here.
	startTimeout = 60 * time.Second
	// stopTimeout bounds the wait for a clean stop; then the node is killed.
	stopTimeout = 30 * time.Second
	// pollEvery is the time between looks at a starting node.
	pollEvery = 25 * time.Millisecond
	// startTries is how often a start is tried again when the port chosen was taken meanwhile.
	startTries = 3
	// callTimeout bounds one RPC.
	callTimeout = 60 * time.Second
	// maxAnswerBytes bounds one answer of the node.
	maxAnswerBytes = 64 << 20
	// maxReorgDepth is the deepest reorganisation Reorg makes, in blocks.
	maxReorgDepth = 100
	// maxMineBlocks bounds one call of Mine, in blocks.
	maxMineBlocks = 10_000
	// maxPayOutputs bounds the outputs of one payment.
	maxPayOutputs = 2_000
	// premineBlocks are mined at the first start; those older than 100 blocks can be spent.
	premineBlocks = 111
	// premineCoins of one BTC each are made of them, so that many payments can be in flight: a node takes at most
	// 25 unconfirmed transactions in a row.
	premineCoins = 400
	// largeCoin is the value in satoshi from which a coin is left for large payments.
	largeCoin = 200_000_000
	// feeRate is what the faucet pays, in satoshi per vbyte.
	feeRate = 3
	// logTail is how much of the node's output an error tells, in bytes.
	logTail = 2_000
)
