package mail

import "time"

const (
	// DialTimeout bounds connecting to the server. A choice.
	DialTimeout = 10 * time.Second
	// TotalTimeout bounds a whole conversation, from the look-up to the last reply: below engine.MailLease. A choice:
	// RFC 5321, 4.5.3.2 allows minutes for each command, which a server next door never needs.
	TotalTimeout = 30 * time.Second
	// MaxReplies bounds what is read of a server in one conversation, in bytes, its certificates included.
	MaxReplies = 256 << 10
	// MaxValue bounds each value in a letter, in characters: names are shorter (payment.MaxName), links too.
	MaxValue = 300
	// MaxSubject bounds a subject, in characters, so that its line stays below 998 bytes (RFC 5322, 2.1.1).
	MaxSubject = 120
	// MaxDetail bounds what is kept of a server's reply, in bytes. A choice: a line of a log.
	MaxDetail = 200
	// lineLength is the length of a line of a body in base64 (RFC 2045, 6.8).
	lineLength = 76
)
