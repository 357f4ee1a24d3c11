package demo

import "time"

const (
	// MineBitcoin and MineEthereum are the pauses between blocks that are mined by themselves.
	MineBitcoin  = 5 * time.Second
	MineEthereum = 2 * time.Second
	// MaxBody bounds the bodies that shop and control take, in bytes.
	MaxBody = 64 << 10
	// MaxCallbacks bounds the callbacks that the shop remembers.
	MaxCallbacks = 10_000
	// MaxDelay bounds how long the shop can be told to wait.
	MaxDelay = time.Minute
	// MaxFees bounds how many times the ordinary fees can be asked for.
	MaxFees = 1_000
	// HoldFor is how long the shop's coins wait for a refund before they are settled.
	HoldFor = 10 * time.Second
	// FillBlocks is how many blocks make the wallet's first coins final.
	FillBlocks = 6
	// ShownSettlements bounds the settlements on the shop's page.
	ShownSettlements = 5
	// CallTimeout bounds the shop's calls to PIPE.
	CallTimeout = 10 * time.Second
	// SoonOver and AtOnceOver are the quote windows of the payments that the panel lets expire, and pays too late.
	SoonOver   = 20 * time.Second
	AtOnceOver = 2 * time.Second
	// PlayWithin bounds how long the panel waits until a payment was seen.
	PlayWithin = 15 * time.Second
	// ReadyWithin is how long the start may take until the first look at both chains and a full pool.
	ReadyWithin = time.Minute
)
