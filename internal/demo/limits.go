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
	// CallTimeout bounds the shop's calls to PIPE.
	CallTimeout = 10 * time.Second
	// ReadyWithin is how long the start may take until the first look at both chains and a full pool.
	ReadyWithin = time.Minute
)
