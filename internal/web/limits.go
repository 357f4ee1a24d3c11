package web

import "time"

const (
	// ReadHeader, Read, Write and Idle bound a connection. Write does not bind a live feed, which sets its own deadline at
	// every send.
	ReadHeader = 5 * time.Second
	Read       = 15 * time.Second
	Write      = 30 * time.Second
	Idle       = 60 * time.Second
	// MaxHeader bounds the headers of a request, in bytes.
	MaxHeader = 16 << 10
	// MaxForm bounds the body of a page's form, in bytes.
	MaxForm = 8 << 10

	// SSEPerPage is how many live feeds one address may hold open on one invoice.
	SSEPerPage = 4
	// SSEBeat is how often a silent feed sends a comment, so that proxies keep it open and a dead peer is noticed.
	SSEBeat = 15 * time.Second
	// MaxFeeds bounds the live feeds of one process.
	MaxFeeds = 20_000

	// LimiterKeys bounds what a Limiter remembers: about 100 bytes each.
	LimiterKeys = 100_000
	// v6Prefix is how many bits of an IPv6 address a limit counts as one caller: the customary size of one site's subnet.
	v6Prefix = 64

	// MaxHops bounds the forwarded addresses read from one request.
	MaxHops = 16

	// compressFrom is the smallest body worth compressing, in bytes.
	compressFrom = 1 << 10

	// requestIDBytes is the randomness of a request id.
	requestIDBytes = 10
)
