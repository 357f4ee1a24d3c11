package payment

import (
	"slices"
	"strings"
	"time"
)

// A User is a person who logs in: a member of merchants' teams, or an operator. Email is in lower case and unique.
type User struct {
	ID         ID
	Email      string
	Name       string
	Language   Language
	Operator   bool
	Password   string   // PHC string of argon2id (RFC 9106); "": passkeys only
	TOTP       []byte   // sealed secret (RFC 6238); empty: off
	TOTPStep   int64    // the last time step that was used up: none at or below it is taken again
	Recovery   [][]byte // SHA-256 of the recovery codes that are left
	Failures   int      // wrong passwords and codes in a row
	PausedTill time.Time
	VerifiedAt time.Time // when the e-mail address was proven; zero: never
	DisabledAt time.Time // zero: may log in
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Rev        int64
}

// HasFactor tells whether the user has something beside a password, passkeys apart.
func (u User) HasFactor() bool { return len(u.TOTP) > 0 }

// ParseEmail brings an e-mail address into its one form: lower case, no white space around. ok is false for what cannot be
// one: it is proven by a letter, so this only catches slips.
func ParseEmail(text string) (email string, ok bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	local, domain, found := strings.Cut(text, "@")
	ok = found && local != "" && strings.Contains(strings.Trim(domain, "."), ".") && len(text) <= MaxEmail &&
		!strings.ContainsAny(text, " \t\r\n<>(),;:\\\"[]") && !strings.Contains(domain, "@") && printable(text)
	return text, ok
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd })
}

// A Credential is a user's passkey (WebAuthn Level 2).
type Credential struct {
	ID        ID
	UserID    ID
	Key       []byte // the credential id that the authenticator chose; unique
	Data      []byte // JSON of the library's credential: public key, counter, flags
	Name      string // what the user calls it
	CreatedAt time.Time
	UsedAt    time.Time // zero: never
	Rev       int64
}

// A SessionLevel is how far somebody has come in logging in.
type SessionLevel string

// The levels of sessions. A half one has shown the password, and can do nothing but show the second factor.
const (
	SessionHalf SessionLevel = "half"
	SessionFull SessionLevel = "full"
)

// A Session is one log-in of one browser. Its token is only known to the browser: the row has its hash.
type Session struct {
	ID         ID
	Hash       []byte // SHA-256 of the token
	UserID     ID
	MerchantID ID // chosen, "": none
	Level      SessionLevel
	CreatedAt  time.Time
	SeenAt     time.Time
	Until      time.Time // the end, whatever happens
	StepUpTill time.Time // dangerous acts are allowed until then; zero: never
	IP         string
	Agent      string
	RevokedAt  time.Time // zero: not revoked
	Rev        int64
}

// Live tells whether the session counts at a time: not revoked, not over, not idle for too long.
func (s Session) Live(now time.Time) bool {
	return s.RevokedAt.IsZero() && now.Before(s.Until) && now.Before(s.SeenAt.Add(SessionIdle))
}

// A Member is a user's part in a merchant's team.
type Member struct {
	UserID     ID
	MerchantID ID
	Role       Role
	CreatedAt  time.Time
	Rev        int64
}

// A LinkKind is what a one-time link is for.
type LinkKind string

// The kinds of links.
const (
	LinkSetup  LinkKind = "setup"  // makes an operator
	LinkSignUp LinkKind = "signup" // makes a user with a merchant
	LinkInvite LinkKind = "invite" // makes a user, or takes one, into a team
	LinkEmail  LinkKind = "email"  // changes a user's e-mail address to the one it was sent to
	LinkUndo   LinkKind = "undo"   // sets a user's e-mail address back to the one it was sent to
	LinkReset  LinkKind = "reset"  // sets a new password
)

// LinkKinds are all kinds of links.
func LinkKinds() []LinkKind {
	return []LinkKind{LinkSetup, LinkSignUp, LinkInvite, LinkEmail, LinkUndo, LinkReset}
}

// A Link is a link that works once. Its token is only in the link: the row has its hash.
type Link struct {
	ID         ID
	Kind       LinkKind
	Hash       []byte // SHA-256 of the token
	Email      string // whom it was sent to; "" for a set-up link
	Language   Language
	UserID     ID // whose address or password it changes, "" for others
	MerchantID ID // whose team it leads into, "" for others
	Role       Role
	MadeBy     ID // "": nobody who was logged in
	CreatedAt  time.Time
	Until      time.Time
	UsedAt     time.Time // zero: not used. Also when it was taken back.
	Rev        int64
}

// Open tells whether the link still works.
func (l Link) Open(now time.Time) bool { return l.UsedAt.IsZero() && now.Before(l.Until) }

// A Challenge is what a passkey ceremony was begun with. It works once.
type Challenge struct {
	Hash   []byte // SHA-256 of the token that the browser holds meanwhile
	UserID ID     // "": a log-in that does not say who yet
	Data   []byte // JSON of the library's session data
	Until  time.Time
}

// A Role is what a member may do.
type Role string

// The roles, from the one that may least (experience 4.5).
const (
	Viewer    Role = "viewer"
	Support   Role = "support"
	Developer Role = "developer"
	Admin     Role = "admin"
	Owner     Role = "owner"
)

// Roles are all roles, from the one that may least.
func Roles() []Role { return []Role{Viewer, Support, Developer, Admin, Owner} }

// A Permission is a kind of act that roles may or may not do.
type Permission string

// The permissions of members.
const (
	MayLook      Permission = "look"      // see and export
	MayCall      Permission = "call"      // test calls, resends, sandbox
	MayNote      Permission = "note"      // notes to payments
	MayRefund    Permission = "refund"    // refunds
	MayIntegrate Permission = "integrate" // keys, URLs, IPs, callbacks
	MayGovern    Permission = "policy"    // policies
	MayStaff     Permission = "team"      // the team, owners apart
	MaySpend     Permission = "wallet"    // settlement wallets, withdrawals
	MayCrown     Permission = "owners"    // owners
)

// Permissions are all permissions of members.
func Permissions() []Permission {
	return []Permission{MayLook, MayCall, MayNote, MayRefund, MayIntegrate, MayGovern, MayStaff, MaySpend, MayCrown}
}

// may is what each role may do.
var may = map[Role][]Permission{
	Viewer:    {MayLook},
	Support:   {MayLook, MayCall, MayNote, MayRefund},
	Developer: {MayLook, MayCall, MayNote, MayIntegrate},
	Admin:     {MayLook, MayCall, MayNote, MayRefund, MayIntegrate, MayGovern, MayStaff},
	Owner:     {MayLook, MayCall, MayNote, MayRefund, MayIntegrate, MayGovern, MayStaff, MaySpend, MayCrown},
}

// May tells whether a role may do something. An unknown role may nothing.
func (r Role) May(p Permission) bool { return slices.Contains(may[r], p) }

// ParseRole reads a role.
func ParseRole(text string) (Role, bool) {
	r := Role(text)
	return r, slices.Contains(Roles(), r)
}
