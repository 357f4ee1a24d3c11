package signer

// SeedKDF is what a new seed file costs to open by guessing: argon2id, 256 MiB, 3 passes, 4 lanes.
var SeedKDF = KDF{Memory: 256 << 10, Passes: 3, Lanes: 4}

const (
	// MaxRelease is the most addresses that one Release gives: the top of the pool's range.
	MaxRelease = 1000
	// MaxIndex is one more than the last index of a branch: BIP-32 keeps 2^31 and up for hardened keys. The same bound
	// holds for branches themselves.
	MaxIndex = 1 << 31
	// RestoreGap is how many addresses further a restored seed goes on when its journal is lost, and how far a scan from
	// the seed looks behind the last address it found used.
	RestoreGap = 10_000
	// MaxMerchant is the longest merchant id, in bytes of printable ASCII.
	MaxMerchant = 128
	// MaxNetwork is the longest name of a network, in bytes.
	MaxNetwork = 64
	// MaxBranchKeys is how many branches' public keys stay in memory; above it the least lucky ones are derived again.
	MaxBranchKeys = 10_000
	// MaxRecord is the largest payload of a journal record, in bytes: the longest names, and room beside them. It also
	// bounds what an interrupted write can leave behind.
	MaxRecord = 256
	// MaxPhrase is the longest recovery phrase that is read, in bytes: 24 words of 8 letters need 215.
	MaxPhrase = 1024
	// MinPassphrase and MaxPassphrase bound a passphrase, in bytes after normalisation.
	MinPassphrase = 8
	MaxPassphrase = 1024
	// maxKDFMemory, maxKDFPasses and maxKDFLanes bound what a seed file may ask of the machine that opens it: four times
	// the default memory, so that a planted file cannot exhaust it.
	maxKDFMemory = 1 << 20 // KiB
	maxKDFPasses = 16
	maxKDFLanes  = 16
)
