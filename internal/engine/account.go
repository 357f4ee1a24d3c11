package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

func noFactor(format string, args ...any) error {
	e := payment.Refuse(payment.Forbidden, WordFactor, format, args...)
	e.Field = "code"
	return e
}

// StepUp allows dangerous acts for StepUpFor. secret is a code of the authenticator app, which works once, a CeremonyAnswer in
// JSON, or with Trial the password of somebody without a second factor. Wrong ones count as they do at log-in. Error: second-factor.
func (o *Office) StepUp(ctx context.Context, by By, secret string) error {
	var answer CeremonyAnswer
	if strings.HasPrefix(secret, "{") && json.Unmarshal([]byte(secret), &answer) == nil {
		return o.stepUpByPasskey(ctx, by, answer)
	}
	trial := o.Trial && !by.Guarded()
	right := false
	if trial {
		var err error
		if right, err = o.Hasher.Check(ctx, secret, by.User.Password); err != nil {
			return err
		}
	}
	ok := false
	err := o.Store.Update(ctx, func(tx Tx) error {
		ok = false
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		two, err := guarded(tx, u)
		if err != nil {
			return err
		}
		switch {
		case trial && !two:
			ok = right && u.Password == by.User.Password
		default:
			before := u.Recovery
			how, err := o.factor(tx.Now(), &u, secret)
			if err != nil {
				return err
			}
			ok, u.Recovery = how == "totp", before // recovery codes are for logging in
		}
		if !ok {
			return o.slip(tx, u, s)
		}
		u.Failures = 0
		s.StepUpTill = tx.Now().Add(StepUpFor)
		return errors.Join(tx.SwapUser(u), tx.SwapSession(s))
	})
	if err == nil && !ok {
		err = noFactor("the code is wrong, or was used before: wait for the next one")
	}
	return err
}

// again reads who acts within the transaction, and that their session still counts. Error: sign-in.
func again(tx Tx, by By) (payment.User, payment.Session, error) {
	s, err := tx.SessionByHash(by.Session.Hash)
	if err != nil {
		return payment.User{}, s, err
	}
	if !s.Live(tx.Now()) || s.Level != payment.SessionFull {
		return payment.User{}, s, notSignedIn()
	}
	u, err := tx.User(s.UserID)
	return u, s, err
}

// CanStepUp tells what the person can step up with: "totp", "passkey" where there is nothing else, "password" where that is enough, or "" for nothing yet.
func (o *Office) CanStepUp(by By) string {
	switch {
	case by.User.HasFactor():
		return "totp"
	case by.Passkeys:
		return "passkey"
	case o.Trial && by.User.Password != "":
		return "password"
	}
	return ""
}

// An Enrolment is what proves that an authenticator app holds a secret, and who says so.
type Enrolment struct {
	Sealed         []byte // as NewTOTP gave it
	Code, Password string
}

// EnrolTOTP turns the authenticator app on, once a code proves that it holds the secret. Somebody who has a second factor
// already must have stepped up; who has none shows the password. It answers new recovery codes, shown this once. All other
// sessions end. Errors: second-factor, sign-in.
func (o *Office) EnrolTOTP(ctx context.Context, by By, e Enrolment) (codes []string, err error) {
	clear, err := o.Sealer.Open(e.Sealed)
	if err != nil {
		return nil, payment.Malformed("secret", "begin again: this form is broken")
	}
	secret, ok := strings.CutPrefix(string(clear), totpSeal+string(by.User.ID))
	if !ok || len(secret) != totpBytes {
		return nil, payment.Malformed("secret", "begin again: this form is broken")
	}
	right := by.SteppedUp()
	if !right && !by.Guarded() {
		if right, err = o.Hasher.Check(ctx, e.Password, by.User.Password); err != nil {
			return nil, err
		}
	}
	good := false
	err = o.Store.Update(ctx, func(tx Tx) error {
		good = false
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		two, err := guarded(tx, u)
		if err != nil {
			return err
		}
		if two && !tx.Now().Before(s.StepUpTill) || u.Password != by.User.Password {
			right = false
		}
		step := totpStep([]byte(secret), e.Code, tx.Now(), 0)
		if !right || step == 0 {
			if !right {
				return o.slip(tx, u, s)
			}
			return nil
		}
		if u.TOTP, err = o.Sealer.Seal([]byte(secret)); err != nil {
			return err
		}
		u.TOTPStep, u.UpdatedAt = step, tx.Now()
		if codes, u.Recovery, err = newRecovery(); err != nil {
			return err
		}
		good = true
		s.StepUpTill = tx.Now().Add(StepUpFor)
		if err := errors.Join(tx.SwapUser(u), tx.SwapSession(s)); err != nil {
			return err
		}
		return o.changed(tx, by, "totp.on")
	})
	if err == nil && !good {
		err = noFactor("the code or the password is wrong")
	}
	return codes, err
}

// changed ends all other sessions of somebody whose way to log in was changed, notes it and tells them.
func (o *Office) changed(tx Tx, by By, what string) error {
	if err := endOthers(tx, by); err != nil {
		return err
	}
	if err := o.letter(tx, by.User, payment.MailSecurity, map[string]string{"what": what, "ip": by.IP}); err != nil {
		return err
	}
	return Record(tx, by, by.Merchant.ID, Act{Action: what, Subject: string(by.User.ID)})
}

// endOthers ends all sessions of somebody but the one that they act in, if any.
func endOthers(tx Tx, by By) error {
	all, err := tx.Sessions(by.User.ID, MaxSessions)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.ID == by.Session.ID {
			continue
		}
		s.RevokedAt = tx.Now()
		if err := tx.SwapSession(s); err != nil {
			return err
		}
	}
	return nil
}

// DropTOTP turns the authenticator app off. The person must have stepped up.
func (o *Office) DropTOTP(ctx context.Context, by By) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		if !tx.Now().Before(s.StepUpTill) {
			return noFactor("confirm that it is you first")
		}
		u.TOTP, u.UpdatedAt = nil, tx.Now()
		if two, err := guarded(tx, u); err != nil {
			return err
		} else if !two {
			u.Recovery = nil
		}
		if err := tx.SwapUser(u); err != nil {
			return err
		}
		return o.changed(tx, by, "totp.off")
	})
}

// NewRecovery replaces all recovery codes. The person must have stepped up.
func (o *Office) NewRecovery(ctx context.Context, by By) (codes []string, err error) {
	err = o.Store.Update(ctx, func(tx Tx) error {
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		two, err := guarded(tx, u)
		if err != nil {
			return err
		}
		if !two || !tx.Now().Before(s.StepUpTill) {
			return noFactor("confirm that it is you first")
		}
		if codes, u.Recovery, err = newRecovery(); err != nil {
			return err
		}
		u.UpdatedAt = tx.Now()
		if err := tx.SwapUser(u); err != nil {
			return err
		}
		return o.changed(tx, by, "recovery.new")
	})
	return codes, err
}

// ChangePassword sets a new password for who knows the old one. All other sessions end. Errors: bad-password, sign-in.
func (o *Office) ChangePassword(ctx context.Context, by By, old, password string) error {
	if err := goodPassword(password, by.User.Email); err != nil {
		return err
	}
	right, err := o.Hasher.Check(ctx, old, by.User.Password)
	if err != nil {
		return err
	}
	hash, err := o.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	ok := false
	err = o.Store.Update(ctx, func(tx Tx) error {
		ok = false
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		if (!right || u.Password != by.User.Password) && u.Password != "" {
			return o.slip(tx, u, s)
		}
		if u.Password == "" && !tx.Now().Before(s.StepUpTill) {
			return noFactor("confirm that it is you first")
		}
		ok = true
		u.Password, u.UpdatedAt = hash, tx.Now()
		if err := tx.SwapUser(u); err != nil {
			return err
		}
		return o.changed(tx, by, "password.changed")
	})
	if err == nil && !ok {
		e := payment.Refuse(payment.Forbidden, WordSignIn, "the old password is wrong")
		e.Field = "old"
		err = e
	}
	return err
}

// SetProfile changes name and language. Error: malformed.
func (o *Office) SetProfile(ctx context.Context, by By, name string, language payment.Language) error {
	if err := printable("name", name, payment.MaxName); err != nil {
		return err
	}
	return o.Store.Update(ctx, func(tx Tx) error {
		u, _, err := again(tx, by)
		if err != nil {
			return err
		}
		u.Name, u.Language, u.UpdatedAt = name, language, tx.Now()
		return tx.SwapUser(u)
	})
}

// Sessions are the person's log-ins that are live, the newest first.
func (o *Office) Sessions(ctx context.Context, by By) (all []payment.Session, err error) {
	err = o.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.Sessions(by.User.ID, MaxSessions)
		return err
	})
	return all, err
}

// EndSession ends one of the person's own sessions; "" ends all others. Error: no such session.
func (o *Office) EndSession(ctx context.Context, by By, id payment.ID) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		all, err := tx.Sessions(by.User.ID, MaxSessions)
		if err != nil {
			return err
		}
		n := 0
		for _, s := range all {
			if s.ID != id && (id != "" || s.ID == by.Session.ID) {
				continue
			}
			s.RevokedAt = tx.Now()
			if err := tx.SwapSession(s); err != nil {
				return err
			}
			n++
		}
		if n == 0 && id != "" {
			return payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is no such session")
		}
		return Record(tx, by, by.Merchant.ID, Act{Action: "session.end", Subject: string(by.User.ID), Data: map[string]any{"sessions": n}})
	})
}

// LogOut ends a session by its token. One that is over already is no error.
func (o *Office) LogOut(ctx context.Context, token string) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		s, err := tx.SessionByHash(hashToken(token))
		if errors.Is(err, payment.ErrAbsent) || err == nil && !s.RevokedAt.IsZero() {
			return nil
		}
		if err != nil {
			return err
		}
		s.RevokedAt = tx.Now()
		return tx.SwapSession(s)
	})
}
