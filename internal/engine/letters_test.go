package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// TestParkedLetters: what was given up is listed, and tried again with what it said, unless its link is dead; what is put away is gone.
func TestParkedLetters(t *testing.T) { eachBureau(t, testParkedLetters) }

func testParkedLetters(t *testing.T, b *bureau) {
	p, c := b.postman()
	c.err = fmt.Errorf("550 no: %w", payment.ErrUndeliverable)
	_, by := b.in(ownerMail)
	b.must(b.AskReset(t.Context(), ownerMail))
	b.pass(time.Second)
	if _, err := b.Invite(t.Context(), by, "new@shop.example", payment.Viewer); err != nil {
		t.Fatal(err)
	}
	b.must(p.Step(t.Context()))
	parked := func(want ...bool) []engine.ParkedLetter {
		t.Helper()
		all, n, err := b.ParkedLetters(t.Context(), "")
		b.must(err)
		var useless []bool
		for _, l := range all {
			useless = append(useless, l.Useless)
			if len(l.Sealed) != 0 {
				t.Error("what it says gets out")
			}
		}
		if fmt.Sprint(useless) != fmt.Sprint(want) || n != len(want) {
			t.Errorf("%d letters, useless %v, want %v", n, useless, want)
		}
		return all
	}
	all := parked(false, false)
	if n, err := b.Undelivered(t.Context(), b.shop.ID); n != 1 || err != nil {
		t.Errorf("%d invitations were not delivered: %v", n, err)
	}
	team, invites, err := b.Team(t.Context(), by)
	b.must(err)
	if len(invites) != 1 || invites[0].Letter != payment.MailParked || !team[0].Unreached {
		t.Errorf("%+v %+v", team, invites)
	}

	c.err = nil
	if n, err := b.RetryLetters(t.Context(), by, all[0].ID); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	b.must(p.Step(t.Context()))
	if len(c.got) != 1 || c.got[0].Values["link"] == "" || c.got[0].To != "new@shop.example" {
		t.Errorf("%+v", c.got)
	}
	_, err = b.RetryLetters(t.Context(), by, all[0].ID)
	b.refused("one that left", err, payment.WordNoRoute)
	parked(false)
	b.pass(engine.ResetFor)
	parked(true)
	_, err = b.RetryLetters(t.Context(), by, all[1].ID)
	b.refused("one whose link is dead", err, engine.WordLink)
	if n, err := b.RetryLetters(t.Context(), by, ""); n != 0 || err != nil {
		t.Errorf("all useful ones: %d, %v", n, err)
	}
	if n, err := b.DropLetters(t.Context(), by, ""); n != 1 || err != nil {
		t.Errorf("put away: %d, %v", n, err)
	}
	parked()
	log, err := b.AuditLog(t.Context(), "", "", 0)
	b.must(err)
	if len(log) < 3 || log[0].Action != "letter.drop" || log[1].Action != "letter.retry" {
		t.Errorf("%+v", log)
	}
}

// TestInviteAgain: another invitation takes the place of one whose letter was lost; the old link is dead, and an old letter that has not
// left does not leave any more.
func TestInviteAgain(t *testing.T) { eachBureau(t, testInviteAgain) }

func testInviteAgain(t *testing.T, b *bureau) {
	p, c := b.postman()
	c.err = errors.New("451 later")
	_, by := b.in(ownerMail)
	first, err := b.Invite(t.Context(), by, "new@shop.example", payment.Developer)
	b.must(err)
	b.must(p.Step(t.Context()))
	_, invites, err := b.Team(t.Context(), by)
	b.must(err)
	if invites[0].Letter != payment.MailOpen || invites[0].Tries != 1 {
		t.Errorf("%+v", invites)
	}
	second, err := b.InviteAgain(t.Context(), by, invites[0].ID)
	b.must(err)
	_, err = b.OpenLink(t.Context(), first[len("https://admin.example/link/"):])
	b.refused("the old link", err, engine.WordLink)
	d, err := b.OpenLink(t.Context(), second[len("https://admin.example/link/"):])
	if err != nil || d.Role != payment.Developer || d.Email != "new@shop.example" {
		t.Errorf("%+v %v", d, err)
	}
	c.err, c.gone = nil, nil
	b.pass(payment.SessionIdle)
	b.must(p.Step(t.Context()))
	if len(c.got) != 1 || c.got[0].Values["link"] != second {
		t.Errorf("%+v", c.got)
	}
	_, by = b.in(ownerMail)
	_, err = b.InviteAgain(t.Context(), by, invites[0].ID)
	b.refused("the old one again", err, engine.WordLink)
	_, invites, err = b.Team(t.Context(), by)
	b.must(err)
	if len(invites) != 1 || invites[0].Letter != payment.MailSent {
		t.Errorf("%+v", invites)
	}
	b.must(b.TakeBack(t.Context(), by, invites[0].ID))
	stranger := b.member("viewer@shop.example", payment.Viewer)
	_, by = b.in(stranger.Email)
	_, err = b.InviteAgain(t.Context(), by, invites[0].ID)
	b.refused("a viewer", err, engine.WordLink)
}
