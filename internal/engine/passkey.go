package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A Verifier checks passkeys. Options go to the browser; the session stays here until its answer comes.
type Verifier interface {
	BeginAdd(u payment.User, keys []payment.Credential) (options, session []byte, err error)
	FinishAdd(u payment.User, session, answer []byte) (key, data []byte, err error)
	BeginLogIn() (options, session []byte, err error)
	// FinishLogIn answers which passkey it was, and its data from now on; find knows whom the answer names.
	FinishLogIn(session, answer []byte, find func(user payment.ID) (payment.User, []payment.Credential, error)) (key, data []byte, err error)
}

// A Ceremony is what a browser is asked to do with a passkey. Token comes back with its answer; both work once.
type Ceremony struct {
	Token   string          `json:"token"`
	Options json.RawMessage `json:"options"`
}

// A CeremonyAnswer is what the browser says.
type CeremonyAnswer struct {
	Token  string          `json:"token"`
	Answer json.RawMessage `json:"answer"`
}

// The purposes of ceremonies: an answer to one is none to another.
const (
	purposeAdd    = "add"
	purposeLogIn  = "login"
	purposeStepUp = "stepup"
)

// begun is what is kept of a ceremony.
type begun struct {
	Purpose string          `json:"purpose"`
	Session json.RawMessage `json:"session"`
}

func noPasskey() error {
	e := payment.Refuse(payment.Forbidden, WordFactor, "the passkey was not taken: begin again")
	e.Field = "passkey"
	return e
}

// begin keeps a ceremony for StepUpFor.
func begin(tx Tx, user payment.ID, b begun, options []byte) (c Ceremony, err error) {
	token, hash, err := newToken()
	if err != nil {
		return c, err
	}
	data, err := json.Marshal(b)
	if err != nil {
		return c, fmt.Errorf("keep ceremony: %w", err)
	}
	return Ceremony{token, options}, tx.AddChallenge(payment.Challenge{Hash: hash, UserID: user, Data: data, Until: tx.Now().Add(StepUpFor)})
}

// take takes a ceremony back; ok is false for one that is none, too old, or for something else.
func take(tx Tx, user payment.ID, purpose, token string) (session []byte, ok bool, err error) {
	c, err := tx.TakeChallenge(hashToken(token))
	if errors.Is(err, payment.ErrAbsent) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var b begun
	if err := json.Unmarshal(c.Data, &b); err != nil {
		return nil, false, fmt.Errorf("read ceremony: %w", err)
	}
	return b.Session, b.Purpose == purpose && c.UserID == user && tx.Now().Before(c.Until), nil
}

// Passkeys are the person's, the oldest first.
func (o *Office) Passkeys(ctx context.Context, by By) (all []payment.Credential, err error) {
	err = o.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.Credentials(by.User.ID, MaxPasskeys)
		return err
	})
	return all, err
}

// BeginPasskey begins to add one. Who has a second factor must have stepped up; who has none shows the password. Errors:
// second-factor, too-many-requests.
func (o *Office) BeginPasskey(ctx context.Context, by By, password string) (c Ceremony, err error) {
	if o.Verifier == nil {
		return c, noPasskey()
	}
	right := by.SteppedUp()
	if !right && !by.Guarded() {
		if right, err = o.Hasher.Check(ctx, password, by.User.Password); err != nil {
			return c, err
		}
	}
	ok := false
	err = o.Store.Update(ctx, func(tx Tx) error {
		ok = false
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		two, err := guarded(tx, u)
		if err != nil {
			return err
		}
		if !right || two && !tx.Now().Before(s.StepUpTill) || u.Password != by.User.Password {
			return o.slip(tx, u, s)
		}
		keys, err := tx.Credentials(u.ID, MaxPasskeys)
		if err != nil {
			return err
		}
		if len(keys) >= MaxPasskeys {
			return payment.Refuse(payment.Limit, payment.WordTooMany, "at most %d passkeys", MaxPasskeys)
		}
		options, session, err := o.Verifier.BeginAdd(u, keys)
		if err != nil {
			return err
		}
		ok = true
		c, err = begin(tx, u.ID, begun{purposeAdd, session}, options)
		return err
	})
	if err == nil && !ok {
		err = noFactor("the password is wrong, or you must confirm first that it is you")
	}
	return c, err
}

// AddPasskey takes the browser's answer. Somebody's first second factor brings recovery codes, shown this once. All other
// sessions end. Error: second-factor.
func (o *Office) AddPasskey(ctx context.Context, by By, a CeremonyAnswer, name string) (codes []string, err error) {
	if name == "" {
		name = "passkey"
	}
	if err := printable("name", name, payment.MaxName); err != nil {
		return nil, err
	}
	ok := false
	err = o.Store.Update(ctx, func(tx Tx) error {
		ok, codes = false, nil
		u, _, err := again(tx, by)
		if err != nil {
			return err
		}
		session, mine, err := take(tx, u.ID, purposeAdd, a.Token)
		if err != nil || !mine || o.Verifier == nil {
			return err
		}
		key, data, err := o.Verifier.FinishAdd(u, session, a.Answer)
		if err != nil {
			o.Log.WarnContext(ctx, "passkey was not taken", "user_id", u.ID, "why", err)
			return nil //nolint:nilerr // the ceremony is used up, whatever came of it
		}
		if _, err := tx.CredentialByKey(key); !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		c := payment.Credential{ID: tx.NewID(), UserID: u.ID, Key: key, Data: data, Name: name, CreatedAt: tx.Now()}
		if err := tx.AddCredential(c); err != nil {
			return err
		}
		if len(u.Recovery) == 0 {
			if codes, u.Recovery, err = newRecovery(); err != nil {
				return err
			}
			u.UpdatedAt = tx.Now()
			if err := tx.SwapUser(u); err != nil {
				return err
			}
		}
		ok = true
		return o.changed(tx, by, "passkey.add")
	})
	if err == nil && !ok {
		err = noPasskey()
	}
	return codes, err
}

// RemovePasskey forgets one of the person's own. They must have stepped up. Recovery codes go with the last second factor.
func (o *Office) RemovePasskey(ctx context.Context, by By, id payment.ID) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		if !tx.Now().Before(s.StepUpTill) {
			return noFactor("confirm that it is you first")
		}
		keys, err := tx.Credentials(u.ID, MaxPasskeys)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if k.ID != id {
				continue
			}
			if len(keys) == 1 && !u.HasFactor() {
				u.Recovery, u.UpdatedAt = nil, tx.Now()
				if err := tx.SwapUser(u); err != nil {
					return err
				}
			}
			if err := tx.RemoveCredential(k); err != nil {
				return err
			}
			return o.changed(tx, by, "passkey.remove")
		}
		return payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is no such passkey")
	})
}

// BeginPasskeyLogIn begins a log-in by passkey; nobody says who they are yet. With by it is a step-up of that person.
func (o *Office) BeginPasskeyLogIn(ctx context.Context, by By) (c Ceremony, err error) {
	if o.Verifier == nil {
		return c, noPasskey()
	}
	options, session, err := o.Verifier.BeginLogIn()
	if err != nil {
		return c, err
	}
	purpose := purposeOf(by)
	err = o.Store.Update(ctx, func(tx Tx) error {
		c, err = begin(tx, by.User.ID, begun{purpose, session}, options)
		return err
	})
	return c, err
}

// LogInByPasskey takes the browser's answer and makes a full session: a passkey is two factors. A pause of the account does not
// count, as nobody guesses a key. Error: sign-in.
func (o *Office) LogInByPasskey(ctx context.Context, a CeremonyAnswer, from Caller) (in Entrance, err error) {
	ok := false
	err = o.Store.Update(ctx, func(tx Tx) error {
		ok, in = false, Entrance{}
		u, found, err := o.shown(ctx, tx, By{}, a)
		if err != nil || !found {
			return err
		}
		ok = true
		in, err = o.admit(tx, u, "passkey", from)
		return err
	})
	if err == nil && !ok {
		err = badSignIn()
	}
	return in, err
}

func purposeOf(by By) string {
	if by.User.ID != "" {
		return purposeStepUp
	}
	return purposeLogIn
}

// shown checks a passkey that was shown and keeps its counter; ok is false where it does not count. With by it is a step-up of that
// person, else a log-in.
func (o *Office) shown(ctx context.Context, tx Tx, by By, a CeremonyAnswer) (u payment.User, ok bool, err error) {
	purpose := purposeOf(by)
	session, ok, err := take(tx, by.User.ID, purpose, a.Token)
	if err != nil || !ok || o.Verifier == nil {
		return u, false, err
	}
	var keys []payment.Credential
	var broken error // of the store, which is no fault of the passkey's
	key, data, err := o.Verifier.FinishLogIn(session, a.Answer, func(id payment.ID) (payment.User, []payment.Credential, error) {
		if u, err = tx.User(id); err == nil {
			keys, err = tx.Credentials(id, MaxPasskeys)
		}
		if err != nil && !errors.Is(err, payment.ErrAbsent) {
			broken = err
		}
		return u, keys, err
	})
	if broken != nil {
		return u, false, broken
	}
	if err != nil {
		o.Log.WarnContext(ctx, "passkey does not count", "why", err, "ip", by.IP)
		return u, false, nil //nolint:nilerr // the ceremony is used up, whatever came of it
	}
	if !u.DisabledAt.IsZero() || by.User.ID != "" && u.ID != by.User.ID {
		return u, false, nil
	}
	for _, k := range keys {
		if bytes.Equal(k.Key, key) {
			k.Data, k.UsedAt = data, tx.Now()
			return u, true, tx.SwapCredential(k)
		}
	}
	return u, false, nil
}

// stepUpByPasskey allows dangerous acts after a passkey was shown.
func (o *Office) stepUpByPasskey(ctx context.Context, by By, a CeremonyAnswer) error {
	ok := false
	err := o.Store.Update(ctx, func(tx Tx) error {
		ok = false
		_, s, err := again(tx, by)
		if err != nil {
			return err
		}
		if _, ok, err = o.shown(ctx, tx, by, a); err != nil || !ok {
			return err
		}
		s.StepUpTill = tx.Now().Add(StepUpFor)
		return tx.SwapSession(s)
	})
	if err == nil && !ok {
		err = noPasskey()
	}
	return err
}
