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

	// StepTimeout bounds a step of a loop that asks nodes.
	StepTimeout = 2 * time.Minute
	// CourierEvery, TailEvery, PoolEvery and ExpireEvery are the pauses of these loops, which a payer or a shop waits for.
	CourierEvery = 250 * time.Millisecond
	TailEvery    = 200 * time.Millisecond
	PoolEvery    = time.Second
	ExpireEvery  = time.Second
	// PruneEvery and AuditEvery are the pauses of the loops that nobody waits for.
	PruneEvery = 10 * time.Minute
	AuditEvery = time.Hour
	// RecountEvery is the pause between batches of the recount; RecountEveryDev on chains for development.
	RecountEvery    = 30 * time.Second
	RecountEveryDev = 5 * time.Second

	// DoctorTimeout bounds all of pipe doctor.
	DoctorTimeout = time.Minute
	// LagBlocks is how far a node may be behind the highest before it counts as lagging.
	LagBlocks = 3

	// StopWithin is how long requests under way may take when the program stops (store.StopWithin).
	StopWithin = 20 * time.Second
)
