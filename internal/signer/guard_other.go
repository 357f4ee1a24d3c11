//go:build !linux

package signer

// guardedMemory is plain memory where nothing better is known.
func guardedMemory(n int) ([]byte, error) { return make([]byte, n), nil }

func freeGuarded(m []byte) { clear(m) }

func noDumps() error { return nil }
