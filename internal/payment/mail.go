package payment

import (
	"errors"
	"time"
)

// A MailKind is which letter it is.
type MailKind string

// The letters.
const (
	MailSignUp   MailKind = "signup"   // link
	MailKnown    MailKind = "known"    // somebody signed up with an address that has an account
	MailInvite   MailKind = "invite"   // link, merchant, by
	MailReset    MailKind = "reset"    // link
	MailEmail    MailKind = "email"    // link: prove a new address
	MailTaken    MailKind = "taken"    // somebody wants to log in with an address that has an account
	MailUndo     MailKind = "undo"     // what, subject, ip, link: the address is about to change, or did, which can be undone
	MailSecurity MailKind = "security" // what: a text's key of what was changed
	MailChange   MailKind = "change"   // what, subject, link: a change that can be vetoed
	MailVeto     MailKind = "veto"     // subject, link: a settlement address that the link forbids
	MailNotice   MailKind = "notice"   // what, subject: something that owners should know
)

// A MailState is how far a letter has come.
type MailState string

// The states of letters.
const (
	MailOpen   MailState = "open"
	MailSent   MailState = "sent"
	MailParked MailState = "parked" // given up: a person may have it tried again
)

// Mail is one letter owed to one address: the row is the job. What it says is sealed, because it may hold a link that works,
// and wiped once it is sent. One that was given up keeps it until it is forgotten, so that it can be tried again.
type Mail struct {
	ID         ID
	To         string
	Language   Language
	Kind       MailKind
	Sealed     []byte // JSON of the letter's values, sealed; empty once it is sent
	LinkID     ID     // the one-time link in it, "" for none
	State      MailState
	Attempts   int
	Detail     string // what the last server said, "" before
	CreatedAt  time.Time
	DueAt      time.Time
	LeaseUntil time.Time
	Fence      int64
	DoneAt     time.Time // zero while open
}

// A Letter is what a Mail says, open: for whom carries it.
type Letter struct {
	ID       ID
	To       string
	Language Language
	Kind     MailKind
	Values   map[string]string // as MailKind names them; they may be anything that people typed
	At       time.Time         // when it was owed
}

// ErrUndeliverable is the answer of a server that will never take a letter, so that trying again is in vain.
var ErrUndeliverable = errors.New("letter is undeliverable")
