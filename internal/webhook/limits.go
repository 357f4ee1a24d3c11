package webhook

import "time"

const (
	// ResolveTimeout bounds looking up the shop's name (webhook.Resolve).
	ResolveTimeout = 3 * time.Second
	// ConnectTimeout bounds connecting, over all addresses that are tried (webhook.Connect).
	ConnectTimeout = 5 * time.Second
	// TLSTimeout bounds the TLS handshake (webhook.TLS).
	TLSTimeout = 5 * time.Second
	// TotalTimeout bounds a whole try, from the look-up to the last byte of the answer (webhook.Total).
	TotalTimeout = 10 * time.Second
	// MaxReply is how much of an answer's body is read and kept, in bytes (webhook.MaxReply).
	MaxReply = 1 << 10
	// MaxReplyHeader bounds the answer's header, in bytes (webhook.MaxReplyHeader).
	MaxReplyHeader = 16 << 10
	// MaxKeptHeader is how much of the headers of an answer is kept, in bytes. A choice: what tells a firewall from a shop is short.
	MaxKeptHeader = 1 << 10
	// MaxAddresses is how many of a name's addresses are tried. A choice: more only lengthen a try.
	MaxAddresses = 4
	// MaxURL bounds a callback URL, in bytes (api.MaxURL).
	MaxURL = 2048
	// MaxDetail bounds the detail of an answer, in bytes. A choice: a line of a log.
	MaxDetail = 200
	// HostRefresh is how old the list of the host's own addresses may be. A choice.
	HostRefresh = 10 * time.Second

	// MaxSecrets is how many secrets may sign one message: the current one and, during rotation, the one before.
	MaxSecrets = 2
	// MinSecret and MaxSecret bound a signing secret, in bytes (Standard Webhooks 1.0.0: 24 to 64).
	MinSecret = 24
	MaxSecret = 64
	// NewSecretSize is the size of a secret that PIPE makes, in bytes: that of the HMAC-SHA256 it feeds.
	NewSecretSize = 32
	// MaxSignatureAge is how old a timestamp a receiver takes (webhook.MaxSignatureAge, Standard Webhooks 1.0.0).
	MaxSignatureAge = 5 * time.Minute

	// Attempts is how often a callback is tried before it is parked (webhook.Schedule).
	Attempts = 20
	// JitterShare is the part of a pause by which jitter may lengthen it: one tenth (webhook.Schedule).
	JitterShare = 10

	// DefaultPerOrigin is how many messages are under way to one origin at once (webhook.PerOrigin). A setting.
	DefaultPerOrigin = 2
	// DefaultGlobal is how many messages are under way in all (webhook.Global). A setting.
	DefaultGlobal = 64
	// BreakerAfter is after how many failures in a row an origin is broken (webhook.Breaker).
	BreakerAfter = 5
	// FirstProbePause and LastProbePause are how long a broken origin rests between probes: the pause doubles with each
	// probe that fails. A choice: the schedule of the callbacks themselves begins with 5 s, and a shop that is back should
	// hear of it within minutes.
	FirstProbePause = 5 * time.Second
	LastProbePause  = 5 * time.Minute
	// FullPause is how long to wait for a lane that is only full. A choice: above the poll, below what a payer notices.
	FullPause = 500 * time.Millisecond
	// DoubtPause is how long an origin in doubt waits when the places for those are taken. A choice: the first pause of
	// the schedule, so that many dead shops cost few claims.
	DoubtPause = 5 * time.Second
	// SlowAnswer is what makes an origin doubtful though it answers ok. A choice: a fifth of TotalTimeout.
	SlowAnswer = 2 * time.Second
	// ProvenPart and DoubtfulPart part the global places. 1 in ProvenPart is kept for origins whose last answer was a
	// quick ok, and origins in doubt have 1 in DoubtfulPart at most, so that dead shops never fill all places. A choice.
	ProvenPart   = 4
	DoubtfulPart = 4
	// MaxOrigins is how many origins are remembered. A choice: the oldest idle ones are forgotten, which only costs what
	// was known of their health.
	MaxOrigins = 10_000
	// MaxBlocked is how many origins Lanes.Blocked names. A choice: they become parameters of one SQL statement.
	MaxBlocked = 256
)

// Ports that callbacks may go to (webhook.Ports). A setting; opened origins have their own.
const (
	// portHTTPS and portHTTPSAlt are the TCP ports that are always open to callbacks.
	portHTTPS    = 443
	portHTTPSAlt = 8443
	// portHTTP is the TCP port that is open too where http is allowed.
	portHTTP = 80
)
