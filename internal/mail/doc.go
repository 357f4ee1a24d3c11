// Package mail writes letters in their reader's language and hands them to an SMTP server (RFC 5321).
package mail
