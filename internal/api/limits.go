package api

import "time"

const (
	// MaxBody, MaxParts and MaxPart bound a request's body, in bytes and fields (contract). They hold for all encodings.
	MaxBody  = 64 << 10
	MaxParts = 32
	MaxPart  = 8 << 10
	// MaxPartHeader bounds the header lines of one multipart part, in bytes: they hold a name and a content type.
	MaxPartHeader = 1 << 10
	// MaxContentType bounds the Content-Type of a request, in bytes. A boundary has at most 70 characters (RFC 2046).
	MaxContentType = 512
	// ReadBody is how long a body may take to arrive. A setting.
	ReadBody = 10 * time.Second
	// BigBody is from where on a body counts as big, in bytes: the parameters of a call, at their longest, are smaller. Of big
	// bodies, BigBodiesPerIP and BigBodies are in memory at once, per address and in all.
	BigBody        = 8 << 10
	BigBodiesPerIP = 32
	BigBodies      = 256
	// MaxDrain is how much of a refused body is thrown away before the answer, in bytes. A choice: above what a shop sends by
	// mistake. Nothing of it is kept.
	MaxDrain = 16 << 20
	// firstRead is what is allocated for a body before it arrives, in bytes: memory follows what really came.
	firstRead = 2 << 10

	// DefaultRatePerKey is how many calls an application may make each second in the long run (api.RatePerKey). A setting.
	DefaultRatePerKey = 20
	// BurstSeconds is how many seconds' worth of calls may come at once.
	BurstSeconds = 5
	// IPShare is how many applications' worth of calls one address may make before anything of a call is read: servers of
	// several shops share one.
	IPShare = 5
	// DefaultTestsPerMinute bounds test/callback, per application. A setting.
	DefaultTestsPerMinute = 10

	// maxLanguages bounds what is read of Accept-Language, in entries.
	maxLanguages = 10
	// maxName is how much of a field's name an error repeats, in bytes.
	maxName = 64
)
