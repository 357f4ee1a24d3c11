package ethereum

import "time"

// Limits of the local chain. They bound what one control call or one start may cost; none of them is a rule of Ethereum.
const (
	// maxBlocksPerMine is the number of blocks one Mine may add.
	maxBlocksPerMine = 10_000
	// maxReorgDepth is the number of blocks one Reorg may replace. geth's pool forgets the transactions of deeper ones.
	maxReorgDepth = 64
	// maxPayees is the number of addresses one PayManyByContract may pay: 40,000 gas each stay below the cap of
	// 16,777,216 gas for one transaction (EIP-7825).
	maxPayees = 256
	// maxDrops is the number of transactions one Reorg may drop.
	maxDrops = 1_000
	// maxAppetite is the gas that a contract of NewEater may burn.
	maxAppetite = 10_000_000
	// maxFaults is the number of sends one FailNextSend may fail.
	maxFaults = 1_000
	// maxFeeRate is the highest tip that SetFeeRate takes, in wei per gas.
	maxFeeRate = 10_000_000_000_000
	// maxRecord is the size in bytes of one record of the block log.
	maxRecord = 256 << 20
	// replayStride is the number of blocks replayed between two moves of the head.
	replayStride = 256
	// genesisAge is how far the genesis block is dated back, so that a new chain can be mined in bulk without running
	// ahead of the clock.
	genesisAge = time.Hour
	// safeDepth and finalDepth are how far "safe" and "finalized" trail the head, in blocks, unless told otherwise:
	// one and two epochs, as on mainnet when all goes well.
	safeDepth  = 32
	finalDepth = 64
	// cacheMiB is the size of each of geth's caches; its defaults allocate more than a gigabyte.
	cacheMiB = 16
	// poolSlots bounds pending and, apart, queued transactions, in slots of 32 KiB.
	poolSlots = 16_384
	// poolLifetime is how long a transaction that cannot be mined yet stays in the pool.
	poolLifetime = 30 * 24 * time.Hour
	// rpcBatchItems and rpcBatchBytes bound one JSON-RPC batch, in calls and bytes; rpcBody bounds the body of a request, in
	// bytes. As geth's defaults.
	rpcBatchItems = 1_000
	rpcBatchBytes = 25 << 20
	rpcBody       = 5 << 20
	// rpcHeaderTimeout, rpcReadTimeout, rpcWriteTimeout, rpcIdleTimeout and rpcCloseTimeout are those of the HTTP server.
	rpcHeaderTimeout = 5 * time.Second
	rpcReadTimeout   = 30 * time.Second
	rpcWriteTimeout  = 60 * time.Second
	rpcIdleTimeout   = 2 * time.Minute
	rpcCloseTimeout  = 2 * time.Second
)
