package signer

import "time"

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
	// MaxStamp is the longest stamp, in bytes.
	MaxStamp = 128
	// MaxMerchant is the longest merchant id, in bytes of printable ASCII.
	MaxMerchant = 128
	// MaxNetwork is the longest name of a network, in bytes.
	MaxNetwork = 64
	// MaxBranchKeys is how many branches' public keys stay in memory; above it the least lucky ones are derived again.
	MaxBranchKeys = 10_000
	// MaxRecord is the largest payload of a journal record, in bytes: the intent of a spend with MaxInputs tickets and MaxPays
	// payouts, all with their longest names. It also bounds what an interrupted write can leave behind.
	MaxRecord = 64 << 10
	// MaxInputs is how many tickets a spend may use, as bitcoin.MaxInputs has it.
	MaxInputs = 50
	// MaxPays is how many payouts a spend may carry out.
	MaxPays = 100
	// MaxVersions is how many versions a spend may have, as engine.BumpAfter has it.
	MaxVersions = 10
	// MaxAttempts is how often a payout may be tried on a chain that can carry out a transaction in vain.
	MaxAttempts = 10
	// MaxID is the longest id of a spend or payout, in bytes of printable ASCII.
	MaxID = 128
	// MaxAddress is the longest address, and MaxTicket the longest ticket, in bytes.
	MaxAddress = 128
	MaxTicket  = 128
	// MaxUnsigned is the longest unsigned transaction that is read, and MaxSigned the longest signed one that is made, in
	// bytes: 50 inputs and 101 outputs of the largest kind take 14 kB.
	MaxUnsigned = 48 << 10
	MaxSigned   = 32 << 10
	// MaxGas is the most gas of a payout on Ethereum, as ethereum.MaxGas has it.
	MaxGas = 100_000
	// MaxDropped is how much more than the payouts' own fee a Bitcoin spend may give to the miner, in satoshi: change that
	// would be dust is not worth an output.
	MaxDropped = 1000
	// MaxAsks is how many payouts may wait for time or approval; the oldest one without approval makes room for the next.
	MaxAsks = 10_000
	// MaxDestinations is how many addresses one merchant may have registered on one network.
	MaxDestinations = 100
	// MaxListed is how many signed spends one answer lists, and maxListedBytes how many bytes of transactions; one spend is
	// always listed whole.
	MaxListed      = 100
	maxListedBytes = 1 << 20
	// dayHours is the length of a day of the caps, counted in whole hours, the current one besides.
	dayHours = 24
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

// Limits of the sockets.
const (
	// MaxRequest is the longest request that a signer reads, in bytes: an unsigned transaction of MaxUnsigned in base64, and
	// its claims.
	MaxRequest = 256 << 10
	// maxReply is the longest answer that a client reads, in bytes: the marks of some 100,000 merchants.
	maxReply = 32 << 20
	// Lease is how long a signer keeps other programs away from one that fell silent, and renewEvery how often a program
	// says that it lives.
	Lease      = 30 * time.Second
	renewEvery = 10 * time.Second
	// maxConns is how many connections a socket serves at once.
	maxConns = 16
	// idleFor is how long a connection may say nothing, readWithin how long a request may take to arrive once it began,
	// writeWithin an answer to leave, and serveWithin a request to be served.
	idleFor     = 60 * time.Second
	readWithin  = 10 * time.Second
	writeWithin = 10 * time.Second
	serveWithin = 30 * time.Second
	// dialWithin is how long a client tries to connect, and callWithin how long it waits for an answer at most.
	dialWithin = 5 * time.Second
	callWithin = 60 * time.Second
	// maxInstance is the longest name of a program that asks for a lease, in bytes.
	maxInstance = 64
)
