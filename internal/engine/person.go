package engine

import (
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// UserTx keeps users. An e-mail address that another has is payment.ErrConflict.
type UserTx interface {
	AddUser(u payment.User) error
	User(id payment.ID) (payment.User, error)
	UserByEmail(email string) (payment.User, error)
	// Users are those after an id in id order.
	Users(after payment.ID, limit int) ([]payment.User, error)
	SwapUser(u payment.User) error
}

// CredentialTx keeps passkeys.
type CredentialTx interface {
	AddCredential(c payment.Credential) error
	CredentialByKey(key []byte) (payment.Credential, error)
	// Credentials are a user's, the oldest first.
	Credentials(user payment.ID, limit int) ([]payment.Credential, error)
	// SwapCredential saves Data, Name and UsedAt.
	SwapCredential(c payment.Credential) error
	RemoveCredential(c payment.Credential) error
}

// SessionTx keeps log-ins.
type SessionTx interface {
	AddSession(s payment.Session) error
	// SessionByHash finds one, live or not.
	SessionByHash(hash []byte) (payment.Session, error)
	// Sessions are a user's that are live now, the newest first.
	Sessions(user payment.ID, limit int) ([]payment.Session, error)
	// SwapSession saves MerchantID, SeenAt, StepUpTill, IP, Agent and RevokedAt.
	SwapSession(s payment.Session) error
	// PruneSessions forgets those that ended before t, at most limit, and tells how many.
	PruneSessions(t time.Time, limit int) (int, error)
}

// ChallengeTx keeps begun passkey ceremonies.
type ChallengeTx interface {
	AddChallenge(c payment.Challenge) error
	// TakeChallenge finds one, over or not, and removes it: it works once.
	TakeChallenge(hash []byte) (payment.Challenge, error)
	PruneChallenges(t time.Time, limit int) (int, error)
}

// MemberTx keeps teams.
type MemberTx interface {
	AddMember(m payment.Member) error
	Member(merchant, user payment.ID) (payment.Member, error)
	// Members are a merchant's after a user in id order; Memberships a user's after a merchant.
	Members(merchant, after payment.ID, limit int) ([]payment.Member, error)
	Memberships(user, after payment.ID, limit int) ([]payment.Member, error)
	SwapMember(m payment.Member) error
	RemoveMember(m payment.Member) error
}

// LinkTx keeps one-time links.
type LinkTx interface {
	AddLink(l payment.Link) error
	Link(id payment.ID) (payment.Link, error)
	// LinkByHash finds one, open or not.
	LinkByHash(hash []byte) (payment.Link, error)
	// OpenLinks are a merchant's that still work, the newest first.
	OpenLinks(merchant payment.ID, limit int) ([]payment.Link, error)
	// PersonLinks are those of a kind about a user that still work, the oldest first.
	PersonLinks(user payment.ID, kind payment.LinkKind, limit int) ([]payment.Link, error)
	// SwapLink saves UsedAt.
	SwapLink(l payment.Link) error
	PruneLinks(t time.Time, limit int) (int, error)
}

// AuditTx keeps the audit log. Records are added and never changed.
type AuditTx interface {
	// LastAuditRecord is the newest of a scope; payment.ErrAbsent before the first.
	LastAuditRecord(scope payment.ID) (payment.AuditRecord, error)
	// AddAuditRecord of a number that is taken is payment.ErrConflict.
	AddAuditRecord(r payment.AuditRecord) error
	// AuditRecords are those before a number, the newest first, of one subject where one is given.
	AuditRecords(scope payment.ID, subject string, before int64, limit int) ([]payment.AuditRecord, error)
	// AuditRecordsAfter are those after a number, the oldest first.
	AuditRecordsAfter(scope payment.ID, after int64, limit int) ([]payment.AuditRecord, error)
}

// MailTx is the outbox of letters.
type MailTx interface {
	AddMail(m payment.Mail) error
	Mail(id payment.ID) (payment.Mail, error)
	SwapMail(m payment.Mail, fence int64) error
	// ClaimMails takes due open ones whose lease is over; each gets the lease and a raised fence.
	ClaimMails(now time.Time, lease time.Duration, limit int) ([]payment.Mail, error)
	// ParkedMails are those that were given up, with a smaller id than before ("": all), the newest first.
	ParkedMails(before payment.ID, limit int) ([]payment.Mail, error)
	// CountParkedMails counts those that were given up, CountUnreached those of them to one address, to a limit.
	CountParkedMails(limit int) (int, error)
	CountUnreached(to string, limit int) (int, error)
	// LinkMails are those with a one-time link, the newest first.
	LinkMails(link payment.ID, limit int) ([]payment.Mail, error)
	// RemoveMail forgets one if nobody touched it since.
	RemoveMail(m payment.Mail) error
	// PruneMails forgets those that were done before t, at most limit, and tells how many.
	PruneMails(t time.Time, limit int) (int, error)
}
