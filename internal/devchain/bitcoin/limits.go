package bitcoin

import "time"

const (
	// maxReorgDepth is the deepest reorganisation Reorg makes, in blocks: the coinbase maturity, so that the
	// faucet's own coins survive it.
	maxReorgDepth = 100
	// maxMineBlocks bounds one call of Mine and generatetoaddress, in blocks.
	maxMineBlocks = 10_000
	// maxPayOutputs bounds the outputs of one faucet transaction: about 80 kB, below the standard 100 kvB.
	maxPayOutputs = 2_000
	// maxPayInputs bounds the inputs of one faucet transaction: about 34 kvB.
	maxPayInputs = 500
	// maxBlockWeight is what one mined block is filled to, in weight units; consensus allows 4,000,000 (BIP 141).
	maxBlockWeight = 3_900_000
	// maxRecordBytes bounds one record of the journal: a full block with its framing.
	maxRecordBytes = 8 << 20
	// sigCacheEntries and hashCacheEntries bound the caches that spare a transaction's second check in its block.
	sigCacheEntries  = 50_000
	hashCacheEntries = 1_000
	// utxoCacheBytes bounds the cache of unspent outputs.
	utxoCacheBytes = 16 << 20
	// maxNonceTries bounds the search for one block's proof of work; regtest needs two on average.
	maxNonceTries = 1 << 20

	// maxBodyBytes is the largest request the RPC endpoint reads (Bitcoin Core: MAX_SIZE, 32 MiB).
	maxBodyBytes = 32 << 20
	// maxBatchCalls bounds the calls of one JSON-RPC batch.
	maxBatchCalls = 10_000
	// maxRawTxs bounds the transactions of one testmempoolaccept (Bitcoin Core: MAX_PACKAGE_COUNT).
	maxRawTxs = 25

	// maxFaults bounds the sends that one FailNextSend lets fail.
	maxFaults = 1_000
	// maxScanObjects bounds the descriptors of one scantxoutset.
	maxScanObjects = 100_000

	// headerTimeout bounds the wait for a request's header.
	headerTimeout = 10 * time.Second
	// requestTimeout bounds the reading of a request and the writing of its answer.
	requestTimeout = 60 * time.Second
	// idleTimeout closes connections that nobody uses.
	idleTimeout = 120 * time.Second
	// shutdownTimeout bounds the wait for running requests at Close.
	shutdownTimeout = 5 * time.Second

	// premineBlocks are mined at the first start, all with the full subsidy of 50 BTC.
	premineBlocks = 149
	// premineSpacing is the time between premined blocks.
	premineSpacing = 10 * time.Minute
	// premineInputs and premineOutputs shape the first split: that many coinbases into coins of 1 BTC.
	premineInputs  = 10
	premineOutputs = 499
	// lowCoins is the number of confirmed coins below which a large change is split again.
	lowCoins = 300
	// splitOutputs is the number of coins a large change is split into, splitFrom its least value in satoshi.
	splitOutputs = 20
	splitFrom    = 200_000_000
	// changeDust is the change in satoshi below which it is left to the miner.
	changeDust = 1_000

	// faucetFeeRate is what the faucet pays, in satoshi per vbyte.
	faucetFeeRate = 3
	// minRelayFee is the least fee rate relayed, in satoshi per kvB (Bitcoin Core 29: DEFAULT_MIN_RELAY_TX_FEE).
	minRelayFee = 1_000
	// defaultEstimate is what estimatesmartfee answers unless told otherwise, in satoshi per kvB.
	defaultEstimate = 2_000
	// defaultMaxFeeRate is sendrawtransaction's guard against absurd fees, in satoshi per kvB (Bitcoin Core: 0.10 BTC/kvB).
	defaultMaxFeeRate = 10_000_000
	// tipAge is the age of the tip beyond which a node that was never current reports its initial download
	// (Bitcoin Core: DEFAULT_MAX_TIP_AGE).
	tipAge = 24 * time.Hour
)
