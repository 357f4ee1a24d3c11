package engine_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// ring is a verifier that believes every answer: what the engine does around one is what is tested here. An answer is the user's
// id; the session must be the one that was begun.
type ring struct{}

func (ring) BeginAdd(payment.User, []payment.Credential) (options, session []byte, err error) {
	return []byte(`{}`), []byte(`"add"`), nil
}

func (ring) FinishAdd(u payment.User, session, _ []byte) (key, data []byte, err error) {
	if string(session) != `"add"` {
		return nil, nil, errors.New("another ceremony")
	}
	return []byte("key of " + u.ID), []byte(`{}`), nil
}

func (ring) BeginLogIn() (options, session []byte, err error) {
	return []byte(`{}`), []byte(`"login"`), nil
}

func (ring) FinishLogIn(_, answer []byte, find func(payment.ID) (payment.User, []payment.Credential, error)) (key, data []byte, err error) {
	var id payment.ID
	if err := json.Unmarshal(answer, &id); err != nil {
		return nil, nil, err
	}
	u, _, err := find(id)
	return []byte("key of " + u.ID), []byte(`{"n":1}`), err
}

// as is the browser's answer in the name of somebody.
func as(u payment.User, c engine.Ceremony) engine.CeremonyAnswer {
	return engine.CeremonyAnswer{Token: c.Token, Answer: json.RawMessage(`"` + string(u.ID) + `"`)}
}

// TestCeremonies: each works once, in its time, for its purpose and its person; a passkey makes the password half a log-in and
// brings recovery codes; nobody steps up with somebody else's.
func TestCeremonies(t *testing.T) { eachBureau(t, testCeremonies) }

func testCeremonies(t *testing.T, b *bureau) {
	b.Verifier = ring{}
	other := b.member("other@shop.example", payment.Viewer)
	e, by := b.in(ownerMail)
	_, err := b.BeginPasskey(t.Context(), by, "wrong")
	b.refused("add with a wrong password", err, engine.WordFactor)
	c, err := b.BeginPasskey(t.Context(), by, sesame)
	b.must(err)
	_, them := b.in("other@shop.example")
	_, err = b.AddPasskey(t.Context(), them, as(other, c), "stolen")
	b.refused("add in another's ceremony", err, engine.WordFactor)
	_, err = b.AddPasskey(t.Context(), by, as(b.owner, c), "late")
	b.refused("a ceremony that was tried", err, engine.WordFactor)
	c, err = b.BeginPasskey(t.Context(), by, sesame)
	b.must(err)
	codes, err := b.AddPasskey(t.Context(), by, as(b.owner, c), "phone")
	if b.must(err); len(codes) != engine.RecoveryCodes {
		t.Errorf("%d recovery codes", len(codes))
	}
	by = b.visit(e.Token)
	_, err = b.BeginPasskey(t.Context(), by, sesame)
	b.refused("add a second one with the password alone", err, engine.WordFactor)

	half, err := b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
	b.must(err)
	if half.Session.Level != payment.SessionHalf {
		t.Error("the password alone is enough")
	}
	_, err = b.Prove(t.Context(), half.Token, codes[0], engine.Caller{})
	b.must(err)

	c, err = b.BeginPasskeyLogIn(t.Context(), engine.By{})
	b.must(err)
	step, err := b.BeginPasskeyLogIn(t.Context(), by)
	b.must(err)
	_, err = b.LogInByPasskey(t.Context(), as(b.owner, step), engine.Caller{})
	b.refused("log in by a step-up", err, engine.WordSignIn)
	full, err := b.LogInByPasskey(t.Context(), as(b.owner, c), engine.Caller{})
	b.must(err)
	if !b.visit(full.Token).SteppedUp() {
		t.Error("a passkey is no step-up")
	}
	_, err = b.LogInByPasskey(t.Context(), as(b.owner, c), engine.Caller{})
	b.refused("again", err, engine.WordSignIn)

	stepUp := func(u payment.User, c engine.Ceremony) error {
		secret, err := json.Marshal(as(u, c))
		b.must(err)
		return b.StepUp(t.Context(), by, string(secret))
	}
	step, err = b.BeginPasskeyLogIn(t.Context(), by)
	b.must(err)
	b.refused("step up as somebody else", stepUp(other, step), engine.WordFactor)
	c, err = b.BeginPasskeyLogIn(t.Context(), engine.By{})
	b.must(err)
	b.refused("step up by a log-in", stepUp(b.owner, c), engine.WordFactor)
	step, err = b.BeginPasskeyLogIn(t.Context(), by)
	b.must(err)
	b.must(stepUp(b.owner, step))
	step, err = b.BeginPasskeyLogIn(t.Context(), by)
	b.must(err)
	b.pass(engine.StepUpFor)
	b.refused("too late", stepUp(b.owner, step), engine.WordFactor)

	keys, err := b.Passkeys(t.Context(), by)
	b.must(err)
	b.refused("remove without step-up", b.RemovePasskey(t.Context(), b.visit(e.Token), keys[0].ID), engine.WordFactor)
	step, err = b.BeginPasskeyLogIn(t.Context(), by)
	b.must(err)
	b.must(stepUp(b.owner, step))
	b.must(b.RemovePasskey(t.Context(), b.visit(e.Token), keys[0].ID))
	if len(b.user(ownerMail).Recovery) != 0 {
		t.Error("recovery codes without a second factor")
	}
}

// TestPasskeyWhilePaused: a pause that others brought about does not keep a passkey out; a disabled account does.
func TestPasskeyWhilePaused(t *testing.T) { eachBureau(t, testPasskeyWhilePaused) }

func testPasskeyWhilePaused(t *testing.T, b *bureau) {
	b.Verifier = ring{}
	_, by := b.in(ownerMail)
	c, err := b.BeginPasskey(t.Context(), by, sesame)
	b.must(err)
	_, err = b.AddPasskey(t.Context(), by, as(b.owner, c), "phone")
	b.must(err)
	for range engine.MaxFailedSignIns {
		_, err := b.LogIn(t.Context(), ownerMail, "wrong", engine.Caller{})
		b.refused("wrong", err, engine.WordSignIn)
	}
	logIn := func() error {
		c, err := b.BeginPasskeyLogIn(t.Context(), engine.By{})
		b.must(err)
		_, err = b.LogInByPasskey(t.Context(), as(b.owner, c), engine.Caller{})
		return err
	}
	b.must(logIn())
	u := b.user(ownerMail)
	u.DisabledAt = b.clock()
	b.must(b.store.Update(t.Context(), func(tx engine.Tx) error { return tx.SwapUser(u) }))
	b.refused("disabled", logIn(), engine.WordSignIn)
}
