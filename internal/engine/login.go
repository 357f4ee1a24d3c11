package engine

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pipe-pg/pipe/internal/payment"
)

// An Entrance is a log-in that worked, as far as it has come.
type Entrance struct {
	Token   string // for the cookie; only the browser keeps it
	Device  string // for a cookie that outlives the log-in; "" of a half one
	Session payment.Session
	User    payment.User
}

// badSignIn is the one answer to every log-in that fails, whatever the reason, so that it tells nothing about who has an
// account.
func badSignIn() error {
	return payment.Refuse(payment.Unauthorized, WordSignIn,
		"e-mail address, password or code is wrong; after %d wrong tries an account rests for %d minutes", MaxFailedSignIns, int(SignInPause.Minutes()))
}

// fail counts a wrong password or code; too many in a row make the account rest, and its owner is told.
func (o *Office) fail(tx Tx, u payment.User, from Caller) error {
	if u.Failures++; u.Failures >= MaxFailedSignIns {
		u.Failures, u.PausedTill = 0, tx.Now().Add(SignInPause)
		if err := o.letter(tx, u, payment.MailSecurity, map[string]string{"what": "paused", "ip": from.IP}); err != nil {
			return err
		}
	}
	u.UpdatedAt = tx.Now()
	return tx.SwapUser(u)
}

// slip counts a wrong proof of somebody who is logged in. Too many in a row end that session; the account does not rest, so
// that nobody outside can keep its owner from working.
func (o *Office) slip(tx Tx, u payment.User, s payment.Session) error {
	if u.Failures++; u.Failures >= MaxFailedSignIns {
		u.Failures, s.RevokedAt = 0, tx.Now()
		if err := tx.SwapSession(s); err != nil {
			return err
		}
	}
	u.UpdatedAt = tx.Now()
	return tx.SwapUser(u)
}

// shut tells whether nobody may log in to an account from there now. A browser that logged in before does not wait for the
// end of a pause that others brought about: whoever guesses from outside locks nobody out.
func (o *Office) shut(u payment.User, from Caller, now time.Time) bool {
	return !u.DisabledAt.IsZero() || now.Before(u.PausedTill) && !o.knows(u, from)
}

// deviceText is what is sealed for a browser that somebody logged in with. A new password makes it worthless.
func deviceText(u payment.User) string {
	return fmt.Sprintf("device:%s:%x", u.ID, sha256.Sum256([]byte(u.Password)))
}

func (o *Office) knows(u payment.User, from Caller) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(from.Device)
	if err != nil || from.Device == "" || len(from.Device) > MaxDevice {
		return false
	}
	clear, err := o.Sealer.Open(sealed)
	return err == nil && subtle.ConstantTimeCompare(clear, []byte(deviceText(u))) == 1
}

// guarded tells whether somebody has a second factor: an authenticator app or a passkey. Then a password alone is not enough.
func guarded(tx Tx, u payment.User) (bool, error) {
	keys, err := tx.Credentials(u.ID, 1)
	return u.HasFactor() || len(keys) > 0, err
}

// LogIn takes an e-mail address and a password. Where a second factor is on, the session is half: only Prove completes it.
// Error: sign-in.
func (o *Office) LogIn(ctx context.Context, email, password string, from Caller) (Entrance, error) {
	email, _ = payment.ParseEmail(email)
	var u payment.User
	err := o.Store.View(ctx, func(tx Tx) (err error) {
		if u, err = tx.UserByEmail(email); errors.Is(err, payment.ErrAbsent) {
			return nil
		}
		return err
	})
	if err != nil {
		return Entrance{}, err
	}
	right, err := o.Hasher.Check(ctx, password, u.Password)
	if err != nil {
		return Entrance{}, err
	}
	var in Entrance
	ok := false
	err = o.Store.Update(ctx, func(tx Tx) error {
		ok, in = false, Entrance{}
		if u.ID == "" {
			return nil
		}
		now, err := tx.User(u.ID)
		if err != nil || o.shut(now, from, tx.Now()) {
			return err
		}
		if !right || now.Password != u.Password {
			return o.fail(tx, now, from)
		}
		two, err := guarded(tx, now)
		if err != nil {
			return err
		}
		if ok = true; two {
			in, err = enter(tx, now, payment.SessionHalf, from)
			return err
		}
		in, err = o.admit(tx, now, "password", from)
		return err
	})
	if err == nil && !ok {
		err = badSignIn()
	}
	return in, err
}

// Prove completes a half session with a code of the authenticator app, or with a recovery code, which works once. The
// session gets a new token: the half one is over. Error: sign-in.
func (o *Office) Prove(ctx context.Context, token, code string, from Caller) (Entrance, error) {
	var in Entrance
	ok := false
	err := o.Store.Update(ctx, func(tx Tx) error {
		ok, in = false, Entrance{}
		s, err := tx.SessionByHash(hashToken(token))
		if errors.Is(err, payment.ErrAbsent) || err == nil && (!s.Live(tx.Now()) || s.Level != payment.SessionHalf) {
			return nil
		}
		if err != nil {
			return err
		}
		u, err := tx.User(s.UserID)
		if err != nil || o.shut(u, from, tx.Now()) {
			return err
		}
		how, err := o.factor(tx.Now(), &u, code)
		if err != nil {
			return err
		}
		if how == "" {
			return o.fail(tx, u, from)
		}
		s.RevokedAt = tx.Now()
		if err := tx.SwapSession(s); err != nil {
			return err
		}
		if how == "recovery" {
			if err := o.letter(tx, u, payment.MailSecurity, map[string]string{"what": "recovery.used"}); err != nil {
				return err
			}
		}
		ok = true
		in, err = o.admit(tx, u, how, from)
		return err
	})
	if err == nil && !ok {
		err = badSignIn()
	}
	return in, err
}

// factor tells what a code is: "totp", "recovery", or "" for a wrong one. It uses the code up in u, which the caller saves.
func (o *Office) factor(now time.Time, u *payment.User, code string) (string, error) {
	code = strings.TrimSpace(code)
	if len(code) > MaxCode {
		return "", nil
	}
	if len(u.TOTP) > 0 {
		secret, err := o.Sealer.Open(u.TOTP)
		if err != nil {
			return "", err
		}
		if step := totpStep(secret, code, now, u.TOTPStep); step > 0 {
			u.TOTPStep = step
			return "totp", nil
		}
	}
	if left, ok := useRecovery(u.Recovery, code); ok {
		u.Recovery = left
		return "recovery", nil
	}
	return "", nil
}

// admit makes a full session for somebody who has shown all that is asked, saves the user and notes it.
func (o *Office) admit(tx Tx, u payment.User, how string, from Caller) (Entrance, error) {
	u.Failures, u.UpdatedAt = 0, tx.Now()
	if err := tx.SwapUser(u); err != nil {
		return Entrance{}, err
	}
	u.Rev++
	in, err := enter(tx, u, payment.SessionFull, from)
	if err != nil {
		return in, err
	}
	sealed, err := o.Sealer.Seal([]byte(deviceText(u)))
	if err != nil {
		return in, fmt.Errorf("seal device: %w", err)
	}
	in.Device = base64.RawURLEncoding.EncodeToString(sealed)
	if how != "password" {
		in.Session.StepUpTill = tx.Now().Add(StepUpFor)
		if err := tx.SwapSession(in.Session); err != nil {
			return in, err
		}
		in.Session.Rev++
	}
	by := By{User: u, Session: in.Session, Caller: from}
	return in, Record(tx, by, in.Session.MerchantID, Act{Action: "login", Subject: string(u.ID), Data: map[string]any{"how": how}})
}

// enter makes a session with a token that nobody had before. Somebody with one merchant has it chosen.
func enter(tx Tx, u payment.User, level payment.SessionLevel, from Caller) (Entrance, error) {
	token, hash, err := newToken()
	if err != nil {
		return Entrance{}, err
	}
	s := payment.Session{
		ID: tx.NewID(), Hash: hash, UserID: u.ID, Level: level, CreatedAt: tx.Now(), SeenAt: tx.Now(), Until: tx.Now().Add(payment.SessionMax),
		IP: from.IP, Agent: clip(from.Agent, MaxAgent),
	}
	if level == payment.SessionHalf {
		s.Until = tx.Now().Add(StepUpFor)
	} else {
		mine, err := tx.Memberships(u.ID, "", 2)
		if err != nil {
			return Entrance{}, err
		}
		if len(mine) == 1 {
			s.MerchantID = mine[0].MerchantID
		}
	}
	if err := crowd(tx, u.ID); err != nil {
		return Entrance{}, err
	}
	return Entrance{Token: token, Session: s, User: u}, tx.AddSession(s)
}

// crowd ends the oldest log-ins of somebody who has as many as can be listed, so that all are always seen, and ended, together.
func crowd(tx Tx, user payment.ID) error {
	all, err := tx.Sessions(user, MaxSessions)
	if err != nil || len(all) < MaxSessions {
		return err
	}
	oldest := all[len(all)-1]
	oldest.RevokedAt = tx.Now()
	return tx.SwapSession(oldest)
}

// clip cuts a text to at most so many bytes, at a character.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	for len(text) > most {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// Visit tells who a token belongs to, and notes that they were here. Error: sign-in, also for a half session.
func (o *Office) Visit(ctx context.Context, token string, from Caller) (By, error) {
	by, err := o.look(ctx, token, from)
	if err != nil {
		return By{}, err
	}
	if by.Session.Level != payment.SessionFull {
		return By{}, notSignedIn()
	}
	if by.Now.Before(by.Session.SeenAt.Add(SeenEvery)) {
		return by, nil
	}
	return by, o.Store.Update(ctx, func(tx Tx) error {
		s, err := tx.SessionByHash(by.Session.Hash)
		if err != nil || !s.RevokedAt.IsZero() {
			return err
		}
		s.SeenAt, s.IP = tx.Now(), by.IP
		return tx.SwapSession(s)
	})
}

// Half tells who a half session belongs to. Error: sign-in.
func (o *Office) Half(ctx context.Context, token string, from Caller) (By, error) {
	by, err := o.look(ctx, token, from)
	if err == nil && by.Session.Level != payment.SessionHalf {
		err = notSignedIn()
	}
	return by, err
}

func notSignedIn() error { return payment.Refuse(payment.Unauthorized, WordSignIn, "log in first") }

// look reads who a token belongs to.
func (o *Office) look(ctx context.Context, token string, from Caller) (by By, err error) {
	by.Caller = from
	err = o.Store.View(ctx, func(tx Tx) error {
		by.Now = tx.Now()
		if by.Session, err = tx.SessionByHash(hashToken(token)); err != nil {
			return err
		}
		if !by.Session.Live(tx.Now()) {
			return payment.ErrAbsent
		}
		if by.User, err = tx.User(by.Session.UserID); err != nil {
			return err
		}
		if !by.User.DisabledAt.IsZero() {
			return payment.ErrAbsent
		}
		keys, err := tx.Credentials(by.User.ID, 1)
		if err != nil {
			return err
		}
		by.Passkeys = len(keys) > 0
		if by.Session.MerchantID == "" {
			return nil
		}
		m, err := tx.Member(by.Session.MerchantID, by.User.ID)
		if errors.Is(err, payment.ErrAbsent) { // taken out of the team since
			by.Session.MerchantID = ""
			return nil
		}
		if err != nil {
			return err
		}
		by.Role = m.Role
		by.Merchant, err = tx.Merchant(m.MerchantID)
		return err
	})
	if errors.Is(err, payment.ErrAbsent) {
		err = notSignedIn()
	}
	return by, err
}
