package api

import "time"

// MaxBody is in bytes.
const MaxBody = 64 << 10

const MaxParts = len("want")

const (
	// MaxKey is long enough. It tells no unit.
	MaxKey = 255 << 10 // want
	// Wait and Rest are pauses.
	Wait = time.Second
	Rest = 2 * time.Second
	Last = time.Duration(len("want"))
	// cacheMiB is what a cache may hold.
	cacheMiB = 16 << 20
)
