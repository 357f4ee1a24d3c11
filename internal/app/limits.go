package app

import "time"

const (
	// DropAfter is how long a deposit seen outside blocks may be missing from a node that tells all it has there, before
	// the page says that the network dropped it. It is no verdict: it may come back.
	DropAfter = 10 * time.Minute
	// DropAfterDev is the same on chains for development.
	DropAfterDev = 2 * time.Second
	// ForgetAfter is the same for nodes that do not tell all: geth keeps a transaction for 3 h.
	ForgetAfter = 3 * time.Hour
	// MaxBlind is how long a network may go unseen before its coin is not offered.
	MaxBlind = 5 * time.Minute

	// FinalBTC is the depth from which Bitcoin is settled and payouts are done, in blocks; DevFinalBTC and DevFinalETH are
	// those of chains for development (payment.FinalDepth).
	FinalBTC    = 6
	DevFinalBTC = 2
	DevFinalETH = 6
	// RetryPart is the part of a block's time after which a payout that waits for the chain is looked at again.
	RetryPart = 4
	// Resend is the pause between two broadcasts of the same bytes (engine.Rebroadcast), ResendDev on chains for development.
	Resend    = 10 * time.Minute
	ResendDev = 5 * time.Second
	// LeaseDev is how long a spend waits after a crash on chains for development (engine.SpendLease elsewhere).
	LeaseDev = 2 * time.Second
	// SettlementBatch is how many settlements of one merchant share a Bitcoin transaction at most.
	SettlementBatch = 50

	// TestFallback is the fee rate on Bitcoin's public test networks where no node has an estimate, in satoshi per virtual byte. A
	// choice: their blocks are seldom full, and a payout that is stuck raises its fee.
	TestFallback = 5

	// ReserveFile is the name of the reserve in the data directory, MaxReserve its largest size, in MiB. It is given up when less
	// than the ReserveLow-th part of it is free beside it. ReserveEvery is the pause between two looks at the disk. Choices.
	ReserveFile  = "reserve"
	MaxReserve   = 16 << 10
	ReserveLow   = 4
	ReserveEvery = 5 * time.Second

	// StepTimeout bounds a step of a loop that asks nodes.
	StepTimeout = 2 * time.Minute
	// CourierEvery, TailEvery, PoolEvery and ExpireEvery are the pauses of these loops, which a payer or a shop waits for.
	CourierEvery = 250 * time.Millisecond
	TailEvery    = 200 * time.Millisecond
	PoolEvery    = time.Second
	ExpireEvery  = time.Second
	// MailEvery is the pause between looks for letters that are due; MailTimeout bounds a step: engine.MailBatch letters of
	// mail.TotalTimeout each.
	MailEvery   = 2 * time.Second
	MailTimeout = 10 * time.Minute
	// PruneEvery and AuditEvery are the pauses of the loops that nobody waits for.
	PruneEvery = 10 * time.Minute
	AuditEvery = time.Hour
	// AuditAgain is the pause before a second look at a difference.
	AuditAgain = 30 * time.Second
	// RecountEvery is the pause between batches of the recount; RecountEveryDev on chains for development.
	RecountEvery    = 30 * time.Second
	RecountEveryDev = 5 * time.Second

	// FindTries is how often accounts are asked for again where the tip changed meanwhile.
	FindTries = 5

	// DoctorTimeout bounds all of pipe doctor.
	DoctorTimeout = time.Minute
	// SocketTimeout bounds its knock at the signer's socket.
	SocketTimeout = 5 * time.Second
	// LagBlocks is how far a node may be behind the highest before it counts as lagging.
	LagBlocks = 3

	// StopWithin is how long requests under way may take when the program stops (store.StopWithin).
	StopWithin = 20 * time.Second
)
