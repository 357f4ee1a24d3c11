package ethereum

// Limits of talking to an Ethereum node. RPCTimeout and MaxReply stand in package chain. Values without a source are
// choices.
const (
	// BalanceBatch is how many balances one creation call brings: its answer of 32 bytes each is taken for contract code,
	// which is at most 24,576 bytes long (EIP-170).
	BalanceBatch = 500
	// ActiveSet is the most hot accounts that a scan weighs.
	ActiveSet = 5_000
	// WeighMax is the most accounts that one Weigh takes.
	WeighMax = 10_000
	// FindMax is the most addresses that one FindBalances takes.
	FindMax = 10_000
	// StateDepth is how many blocks below the tip every node is expected to keep states of (geth keeps 128, Nethermind 64).
	// A scan without state is an error down to this depth, and a scan of plain transactions below it.
	StateDepth = 64
	// FinalityStall is how many slots finality may lag behind the tip before it counts as stalled.
	FinalityStall = 96
	// BatchCalls is how many calls go into one JSON-RPC batch. Geth takes 1,000, public nodes often 100.
	BatchCalls = 100
	// ReceiptCalls is how many receipts are asked for singly; for more, the block's receipts are asked for at once.
	ReceiptCalls = 8
	// PoolLook is how many transactions a node's pool may hold for it to be read as a whole, about 1 KiB each.
	PoolLook = 2_000
	// MinPeers is the number of peers below which a check warns.
	MinPeers = 3
	// MaxGas is the most gas that a payout is given, for receivers with code.
	MaxGas = 100_000
	// gasMargin is the part of the estimated gas that a receiver with code is given on top: one fifth.
	gasMargin = 5
	// FeeBlocks is how many blocks back tips are looked at: four minutes.
	FeeBlocks = 20
	// tipPercentile is whose tip counts in a block: that of the middle of its gas.
	tipPercentile = 50
	// MinTip is the least tip, in wei per gas: ten times what geth wants for mining.
	MinTip = 10_000_000
	// maxRateBits is the greatest number that is believed to be a rate, in bits.
	maxRateBits = 96
	// MaxTx is the longest transaction that is sent, in bytes. A payout has about 120.
	MaxTx = 1_024
	// maxQuoted is how much of a node's words an error repeats, in bytes.
	maxQuoted = 200
	// maxIdle is how many connections to one node are kept open.
	maxIdle = 4
	// MaxAddress is the longest text that is looked at as an address, in characters.
	MaxAddress = 128
	// maxRepeated is how much of a bad name an error repeats, in bytes.
	maxRepeated = 64
	// maxReserved is the last address kept for precompiled contracts; rollups' own begin at 0x100 (RIP-7212).
	maxReserved = 0x1ff
)
