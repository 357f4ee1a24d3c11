package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

const newMail = "new@shop.example"

// stepped is somebody who is logged in and has just confirmed that it is them.
func (b *bureau) stepped(email string) (engine.Entrance, engine.By) {
	b.Helper()
	e, by := b.in(email)
	b.must(b.store.Update(b.Context(), func(tx engine.Tx) error {
		s, err := tx.SessionByHash(by.Session.Hash)
		if err != nil {
			return err
		}
		s.StepUpTill = tx.Now().Add(engine.StepUpFor)
		return tx.SwapSession(s)
	}))
	return e, b.visit(e.Token)
}

// TestChangeOfEmail: nothing changes before the new address is confirmed, by a link that works once and not for ever; then the other
// sessions are over, and the old address was told twice.
func TestChangeOfEmail(t *testing.T) { eachBureau(t, testChangeOfEmail) }

func testChangeOfEmail(t *testing.T, b *bureau) {
	_, plain := b.in(ownerMail)
	b.refused("without a step-up", b.AskEmail(t.Context(), plain, newMail), engine.WordFactor)
	e, by := b.stepped(ownerMail)
	other, _ := b.in(ownerMail)
	b.refused("no address", b.AskEmail(t.Context(), by, "new@nowhere"), payment.WordMalformed)
	b.refused("the same address", b.AskEmail(t.Context(), by, " OWNER@shop.example "), engine.WordTaken)
	b.must(b.AskEmail(t.Context(), by, " New@Shop.example "))
	if u := b.user(ownerMail); u.ID != b.owner.ID {
		t.Error("the address changed before it was confirmed")
	}
	if all := b.letters(ownerMail); len(all) != 1 || !strings.HasPrefix(all[0], "undo ") || !strings.Contains(all[0], newMail) || !strings.Contains(all[0], "192.0.2.1") {
		t.Errorf("the old address got %q", all)
	}
	token := b.token(newMail, "email ")
	for _, wrong := range []string{b.token(ownerMail, "undo "), "x"} {
		b.refused("confirm by another link", b.ConfirmEmail(t.Context(), engine.By{}, wrong), engine.WordLink)
	}
	_, err := b.Enter(t.Context(), token, engine.Entry{Name: "x", Password: "quite another sentence"}, engine.Caller{})
	b.refused("make an account by it", err, engine.WordLink)
	b.refused("set a password by it", b.Reset(t.Context(), token, "quite another sentence", engine.Caller{}), engine.WordLink)
	_, err = b.UndoEmail(t.Context(), token, engine.Caller{})
	b.refused("undo by it", err, engine.WordLink)

	b.must(b.ConfirmEmail(t.Context(), b.visit(e.Token), token))
	if u := b.user(newMail); u.ID != b.owner.ID || u.VerifiedAt.UnixMilli() != b.clock().UnixMilli() {
		t.Errorf("confirmed: %+v", u)
	}
	if by := b.visit(e.Token); by.User.Email != newMail {
		t.Errorf("the session is %s's", by.User.Email)
	}
	_, err = b.Visit(t.Context(), other.Token, engine.Caller{})
	b.refused("another session", err, engine.WordSignIn)
	b.refused("the link again", b.ConfirmEmail(t.Context(), engine.By{}, token), engine.WordLink)
	if all := b.letters(ownerMail); len(all) != 2 || !strings.Contains(all[1], "email.change") {
		t.Errorf("the old address got %q", all)
	}
	_, err = b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
	b.refused("log in with the old address", err, engine.WordSignIn)

	_, by = b.stepped(newMail)
	b.must(b.AskEmail(t.Context(), by, "third@shop.example"))
	token = b.token("third@shop.example", "email ")
	b.pass(engine.EmailFor)
	b.refused("too late", b.ConfirmEmail(t.Context(), engine.By{}, token), engine.WordLink)
	log, err := b.AuditLog(t.Context(), b.shop.ID, string(b.owner.ID), 0)
	b.must(err)
	if len(log) < 3 || log[0].Action != "email.ask" || log[2].Action != "email.change" || !strings.Contains(log[2].Data, newMail) {
		t.Errorf("audit log: %+v", log)
	}
}

// TestUndoOfEmail: who has the old address takes a change back, before it is confirmed and after; sessions and password are over, and a
// thief can neither confirm nor undo any more.
func TestUndoOfEmail(t *testing.T) { eachOffice(t, testUndoOfEmail) }

func testUndoOfEmail(t *testing.T, open func(t *testing.T) *bureau) {
	for _, confirmed := range []bool{false, true} {
		t.Run(fmt.Sprintf("confirmed %t", confirmed), func(t *testing.T) {
			b := open(t)
			e, by := b.stepped(ownerMail)
			b.must(b.AskEmail(t.Context(), by, "thief@evil.example"))
			undo := b.token(ownerMail, "undo ")
			b.pass(time.Second)
			b.must(b.AskEmail(t.Context(), by, "thief2@evil.example"))
			theirs := []string{b.token("thief@evil.example", "email "), b.token("thief2@evil.example", "email ")}
			var backdoor string
			if confirmed {
				b.must(b.ConfirmEmail(t.Context(), by, theirs[0]))
				b.pass(time.Second)
				b.must(b.AskEmail(t.Context(), b.visit(e.Token), "thief3@evil.example"))
				theirs = append(theirs, b.token("thief3@evil.example", "email "))
				backdoor = b.token("thief@evil.example", "undo ")
			}
			path, err := b.UndoEmail(t.Context(), undo, engine.Caller{IP: "198.51.100.7"})
			b.must(err)
			u := b.user(ownerMail)
			if u.ID != b.owner.ID || u.Password != "" {
				t.Errorf("undone: %+v", u)
			}
			_, err = b.Visit(t.Context(), e.Token, engine.Caller{})
			b.refused("the thief's session", err, engine.WordSignIn)
			_, err = b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
			b.refused("the thief's password", err, engine.WordSignIn)
			for _, token := range theirs {
				b.refused("the thief confirms", b.ConfirmEmail(t.Context(), engine.By{}, token), engine.WordLink)
			}
			if backdoor != "" {
				_, err = b.UndoEmail(t.Context(), backdoor, engine.Caller{})
				b.refused("the thief undoes the undoing", err, engine.WordLink)
			}
			_, err = b.UndoEmail(t.Context(), undo, engine.Caller{})
			b.refused("again", err, engine.WordLink)
			b.must(b.Reset(t.Context(), strings.TrimPrefix(path, engine.LinkPath), "quite another sentence", engine.Caller{}))
			_, err = b.LogIn(t.Context(), ownerMail, "quite another sentence", engine.Caller{})
			b.must(err)
		})
	}
}

// TestUndoOfEmailInTime: the link to undo works for a week.
func TestUndoOfEmailInTime(t *testing.T) { eachBureau(t, testUndoOfEmailInTime) }

func testUndoOfEmailInTime(t *testing.T, b *bureau) {
	_, by := b.stepped(ownerMail)
	b.must(b.AskEmail(t.Context(), by, newMail))
	b.pass(engine.UndoFor)
	_, err := b.UndoEmail(t.Context(), b.token(ownerMail, "undo "), engine.Caller{})
	b.refused("too late", err, engine.WordLink)
}

// TestEmailTaken: whether an address has an account is told to who holds it, and to nobody else, and nobody gets two.
func TestEmailTaken(t *testing.T) { eachBureau(t, testEmailTaken) }

func testEmailTaken(t *testing.T, b *bureau) {
	b.member("other@shop.example", payment.Viewer)
	_, by := b.stepped(ownerMail)
	b.must(b.AskEmail(t.Context(), by, "other@shop.example"))
	if all := b.letters("other@shop.example"); len(all) != 1 || !strings.HasPrefix(all[0], "taken ") || strings.Contains(all[0], "link") {
		t.Errorf("the other got %q", all)
	}
	b.must(b.AskEmail(t.Context(), by, newMail))
	b.member(newMail, payment.Viewer)
	b.refused("taken meanwhile", b.ConfirmEmail(t.Context(), engine.By{}, b.token(newMail, "email ")), engine.WordTaken)
	b.must(b.AskEmail(t.Context(), by, "third@shop.example"))
	b.refused("letters without end", b.AskEmail(t.Context(), by, "fourth@shop.example"), payment.WordTooMany)

	b.must(b.ConfirmEmail(t.Context(), by, b.token("third@shop.example", "email ")))
	b.member(ownerMail, payment.Viewer) // the old address is free, and somebody takes it
	_, err := b.UndoEmail(t.Context(), b.token(ownerMail, "undo "), engine.Caller{})
	b.refused("undo what another has now", err, engine.WordTaken)
	b.Mails = false
	_, by = b.stepped("third@shop.example")
	b.refused("without letters", b.AskEmail(t.Context(), by, "fifth@shop.example"), engine.WordRole)
}

// TestEmailRace: whichever of confirming and undoing comes first, the address is its owner's in the end.
func TestEmailRace(t *testing.T) { eachOffice(t, testEmailRace) }

func testEmailRace(t *testing.T, open func(t *testing.T) *bureau) {
	for range 5 {
		b := open(t)
		_, by := b.stepped(ownerMail)
		b.must(b.AskEmail(t.Context(), by, "thief@evil.example"))
		confirm, undo := b.token("thief@evil.example", "email "), b.token(ownerMail, "undo ")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = b.ConfirmEmail(context.Background(), engine.By{}, confirm) }) //nolint:errcheck // one wins, if any
		}
		wg.Go(func() {
			if _, err := b.UndoEmail(context.Background(), undo, engine.Caller{}); err != nil {
				b.Error(err)
			}
		})
		wg.Wait()
		if u := b.user(ownerMail); u.ID != b.owner.ID {
			t.Errorf("the address is %s's", u.ID)
		}
	}
}
