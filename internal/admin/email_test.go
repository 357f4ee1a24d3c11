package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/payment"
)

// letters are the values of all letters of a kind that are owed to somebody, the oldest first.
func (g *rig) letters(to string, kind payment.MailKind) (all []map[string]string) {
	g.t.Helper()
	err := g.store.Update(g.t.Context(), func(tx tx) error {
		all = nil
		mails, err := tx.ClaimMails(tx.Now(), 0, 100)
		for _, m := range mails {
			if m.To != to || m.Kind != kind {
				continue
			}
			clear, err := g.office.Sealer.Open(m.Sealed)
			if err != nil {
				return err
			}
			values := map[string]string{}
			if err := json.Unmarshal(clear, &values); err != nil {
				return err
			}
			all = append(all, values)
		}
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return all
}

// path is where the newest letter of a kind to somebody leads.
func (g *rig) path(to string, kind payment.MailKind) string {
	g.t.Helper()
	all := g.letters(to, kind)
	if len(all) == 0 {
		g.t.Fatalf("%s got no letter %s", to, kind)
	}
	return strings.TrimPrefix(all[len(all)-1]["link"], g.server.URL)
}

// TestA9ChangeOfEmail: another address is asked for with a proof that it is them, confirmed at the new one, and undone from the old one
// with one click, all without script; opening a link changes nothing.
func TestA9ChangeOfEmail(t *testing.T) {
	g := newRig(t)
	b := g.browser().login(ownerEmail)
	form := url.Values{"email": {"new@shop.example"}}
	b.want("without a proof", b.post("/account/email", form), http.StatusForbidden, "Is it you?")
	b.stepUp()
	b.want("the same", b.post("/account/email", url.Values{"email": {ownerEmail}}), http.StatusConflict, "This is your address already")
	if a := b.post("/account/email", form); a.code != http.StatusSeeOther || a.location != "/account?done=email-ask" {
		t.Fatalf("ask: %d %q %s", a.code, a.location, a.body)
	}
	confirm, undo := g.path("new@shop.example", payment.MailEmail), g.path(ownerEmail, payment.MailUndo)
	b.want("before", b.get("/account?done=email-ask"), http.StatusOK, "Nothing has changed yet")
	s := g.browser()
	s.want("the link", s.get(confirm), http.StatusOK, "You log in with this address from now on")
	s.want("in Korean", s.get(undo+"?lang=ko"), http.StatusOK, "되돌리고 모두 로그아웃하기")
	b.want("looked at", b.get("/account"), http.StatusOK, ownerEmail)
	if a := b.post(confirm, nil); a.code != http.StatusSeeOther || a.location != "/account?done=email" {
		t.Fatalf("confirm: %d %q %s", a.code, a.location, a.body)
	}
	b.want("after", b.get("/account?done=email"), http.StatusOK, "<code>new@shop.example</code>")
	b.want("again", b.post(confirm, nil), http.StatusNotFound, "This link was used")

	a := s.post(undo, nil)
	if a.code != http.StatusSeeOther || !regexp.MustCompile(`^/link/[A-Za-z0-9_-]{43}\?done=undone$`).MatchString(a.location) {
		t.Fatalf("undo: %d %q %s", a.code, a.location, a.body)
	}
	s.want("a new password", s.get(a.location), http.StatusOK, "all log-ins have ended")
	if a := b.get("/account"); a.code != http.StatusSeeOther {
		t.Errorf("the session of who changed it still works: %d", a.code)
	}
	if a := s.post(strings.TrimSuffix(a.location, "?done=undone"), url.Values{"password": {"a long sentence of mine"}}); a.code != http.StatusSeeOther {
		t.Fatalf("set a password: %d %s", a.code, a.body)
	}
	if a := s.post("/login", url.Values{"email": {ownerEmail}, "password": {"a long sentence of mine"}}); a.code != http.StatusSeeOther {
		t.Errorf("log in: %d %s", a.code, a.body)
	}
	records, err := g.office.AuditLog(t.Context(), "", "", 0)
	if err != nil || len(records) < 2 {
		t.Fatal(records, err)
	}
	g.office.Mails = false
	s.want("without letters", s.get("/account"), http.StatusOK, "an address cannot be proven")
}
