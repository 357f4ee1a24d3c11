package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// An Office serves the people behind shops: it knows who somebody is, what they may do, and writes down what they did.
// Every act and its audit record are one transaction.
type Office struct {
	Store  Store
	Sealer Sealer
	Hasher *Hasher
	URL    string // origin of the admin, for links
	SignUp SignUp
	Mails  bool // letters can be sent
	// Verifier checks passkeys; nil: there are none here.
	Verifier Verifier
	// Trial: no coin here has a worth, so a password is enough to step up for who has no second factor.
	Trial bool
	Log   *slog.Logger
}

// SignUp says who may make an account.
type SignUp string

// The ways to sign up.
const (
	SignUpOpen    SignUp = "open"    // everybody with an e-mail address
	SignUpInvited SignUp = "invited" // who is invited into a team
	SignUpClosed  SignUp = "closed"  // nobody: teams do not grow
)

// ParseSignUp reads the setting.
func ParseSignUp(text string) (SignUp, bool) {
	s := SignUp(text)
	return s, s == SignUpOpen || s == SignUpInvited || s == SignUpClosed
}

// The words of the office's own refusals.
const (
	WordSignIn   = "sign-in"       // not logged in, or not like this
	WordLink     = "dead-link"     // a one-time link that does not work any more
	WordPassword = "bad-password"  // a password that is too short, too long or too simple
	WordFactor   = "second-factor" // a code is wrong, or a second factor is needed first
	WordRole     = "role"          // the role does not allow it
	WordTaken    = "taken"         // there is one already
)

// A Caller is where a request comes from.
type Caller struct {
	IP, Agent string
	// Device is what an earlier log-in left in this browser (Entrance.Device); "": nothing, or too many tries with it.
	Device string
}

// A By is who does something: a person who is logged in, with the merchant they chose and their role there.
type By struct {
	User     payment.User
	Session  payment.Session
	Merchant payment.Merchant // zero: none chosen
	Role     payment.Role     // "" without a merchant
	Passkeys bool             // the person has at least one
	Now      time.Time        // of the look at all this
	Caller
}

// May tells whether they may do something at their merchant.
func (b By) May(p payment.Permission) bool { return b.Role.May(p) }

// SteppedUp tells whether dangerous acts are allowed now.
func (b By) SteppedUp() bool { return b.Now.Before(b.Session.StepUpTill) }

// Guarded tells whether the person has a second factor.
func (b By) Guarded() bool { return b.User.HasFactor() || b.Passkeys }

// newToken makes a secret that only its holder knows, and the hash that is kept of it.
func newToken() (token string, hash []byte, err error) {
	b := make([]byte, TokenBytes)
	if _, err := rand.Read(b); err != nil {
		return "", nil, fmt.Errorf("make token: %w", err)
	}
	token = base64.RawURLEncoding.EncodeToString(b)
	return token, hashToken(token), nil
}

func hashToken(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// Record writes what was done into the audit log, within the transaction that does it. scope is the merchant, or "" for the
// house. data becomes JSON; it holds no secrets.
func Record(tx Tx, by By, scope payment.ID, a Act) error {
	data, err := json.Marshal(a.Data)
	if err != nil {
		return fmt.Errorf("write audit record: %w", err)
	}
	last, err := tx.LastAuditRecord(scope)
	if err != nil && !errors.Is(err, payment.ErrAbsent) {
		return err
	}
	r := payment.AuditRecord{
		Scope: scope, Seq: last.Seq + 1, At: tx.Now(), ActorID: by.User.ID, Actor: by.User.Email, IP: by.IP, Action: a.Action,
		Subject: a.Subject, Data: string(data), Prev: last.Hash,
	}
	if r.Actor == "" {
		r.Actor = "pipe"
	}
	r.Hash = SumRecord(r)
	return tx.AddAuditRecord(r)
}

// An Act is what an audit record says was done.
type Act struct {
	Action  string         // a word like "member.role"
	Subject string         // what it was done to: an id or an address
	Data    map[string]any // what changed
}

// AuditLog is a page of a merchant's audit log, the newest first, before a number (0: from the newest on), of one subject
// where one is given.
func (o *Office) AuditLog(ctx context.Context, scope payment.ID, subject string, before int64) (all []payment.AuditRecord, err error) {
	if before <= 0 {
		before = 1 << 62
	}
	err = o.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.AuditRecords(scope, subject, before, PageRows+1)
		return err
	})
	return all, err
}

// CheckAuditLog walks a scope's whole chain. It answers how many records there are; an error names the first that does not
// follow.
func (o *Office) CheckAuditLog(ctx context.Context, scope payment.ID) (int64, error) {
	var prev payment.AuditRecord
	for {
		var all []payment.AuditRecord
		err := o.Store.View(ctx, func(tx Tx) (err error) {
			all, err = tx.AuditRecordsAfter(scope, prev.Seq, Batch)
			return err
		})
		if err != nil {
			return prev.Seq, err
		}
		for _, r := range all {
			if !Follows(r, prev) {
				return prev.Seq, fmt.Errorf("audit record %d of %q does not follow the one before", r.Seq, scope)
			}
			prev = r
		}
		if len(all) < Batch {
			return prev.Seq, nil
		}
	}
}

// EachAuditRecord hands over a scope's records, the oldest first, until do fails.
func (o *Office) EachAuditRecord(ctx context.Context, scope payment.ID, do func(payment.AuditRecord) error) error {
	for after := int64(0); ; {
		var all []payment.AuditRecord
		err := o.Store.View(ctx, func(tx Tx) (err error) {
			all, err = tx.AuditRecordsAfter(scope, after, Batch)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range all {
			if err := do(r); err != nil {
				return err
			}
			after = r.Seq
		}
		if len(all) < Batch {
			return nil
		}
	}
}

// CheckAuditLogs walks the chains of the house and of all merchants, and answers how many records there are.
func (o *Office) CheckAuditLogs(ctx context.Context) (int64, error) {
	all, err := o.CheckAuditLog(ctx, "")
	for after := payment.ID(""); err == nil; {
		var page []payment.Merchant
		err = o.Store.View(ctx, func(tx Tx) (err error) {
			page, err = tx.Merchants(after, Batch)
			return err
		})
		for _, m := range page {
			n, err := o.CheckAuditLog(ctx, m.ID)
			if err != nil {
				return all, err
			}
			all, after = all+n, m.ID
		}
		if len(page) < Batch {
			break
		}
	}
	return all, err
}

// letter owes somebody a letter, if letters can be sent at all.
func (o *Office) letter(tx Tx, to payment.User, kind payment.MailKind, values map[string]string) error {
	if !o.Mails || to.Email == "" {
		return nil
	}
	clear, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("write letter: %w", err)
	}
	sealed, err := o.Sealer.Seal(clear)
	if err != nil {
		return fmt.Errorf("seal letter: %w", err)
	}
	m := payment.Mail{
		ID: tx.NewID(), To: to.Email, Language: to.Language, Kind: kind, Sealed: sealed, State: payment.MailOpen, CreatedAt: tx.Now(), DueAt: tx.Now(),
	}
	if token, ok := strings.CutPrefix(values["link"], o.URL+LinkPath); ok {
		l, err := tx.LinkByHash(hashToken(token))
		if err != nil {
			return err
		}
		m.LinkID = l.ID
	}
	return tx.AddMail(m)
}

// TellOwners owes all owners of a merchant a letter, within the transaction of what it tells.
func (o *Office) TellOwners(tx Tx, merchant payment.ID, kind payment.MailKind, values map[string]string) error {
	members, err := tx.Members(merchant, "", MaxMembers)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Role != payment.Owner {
			continue
		}
		u, err := tx.User(m.UserID)
		if err != nil {
			return err
		}
		if err := o.letter(tx, u, kind, values); err != nil {
			return err
		}
	}
	return nil
}

// Prune forgets log-ins, ceremonies and links that are long over, and letters that were sent.
func (o *Office) Prune(ctx context.Context) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		if _, err := tx.PruneChallenges(tx.Now(), Batch); err != nil { // anybody makes them, and they are of no use when over
			return err
		}
		before := tx.Now().Add(-PersonKeep)
		for _, prune := range []func(time.Time, int) (int, error){tx.PruneSessions, tx.PruneLinks, tx.PruneMails} {
			if _, err := prune(before, Batch); err != nil {
				return err
			}
		}
		return nil
	})
}
