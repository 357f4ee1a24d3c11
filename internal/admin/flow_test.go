package admin

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/payment"
)

var linkIn = regexp.MustCompile(`/link/[A-Za-z0-9_-]{43}`)

// TestA14FirstRun: the first account is made by a link that works once; there is no default password.
func TestA14FirstRun(t *testing.T) {
	g := newRig(t)
	link, err := g.office.SetupLink(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(link, g.server.URL)
	b := g.browser()
	b.want("set-up page", b.get(path), http.StatusOK, "Set up PIPE")
	form := url.Values{"email": {"Boss@House.example"}, "name": {"Boss"}, "password": {"short"}, "shop": {"First shop"}}
	b.want("short password", b.post(path, form), http.StatusBadRequest, "At least 10 characters")
	form.Set("password", "a long sentence of mine")
	if a := b.post(path, form); a.code != http.StatusSeeOther || a.location != "/?done=welcome" {
		t.Fatalf("set up: %d %q %s", a.code, a.location, a.body)
	}
	b.want("home", b.get("/?done=welcome"), http.StatusOK, "First shop")
	b.want("the link again", g.browser().get(path), http.StatusNotFound, "This link was used")
	if _, err := g.office.SetupLink(t.Context(), false); err == nil {
		t.Error("a second operator without being asked for")
	}
	if a := g.browser().post("/login", url.Values{"email": {"boss@house.example"}, "password": {"a long sentence of mine"}}); a.code != http.StatusSeeOther {
		t.Errorf("log in: %d %s", a.code, a.body)
	}
}

// TestTeam: an invitation, a role and a farewell, each confirmed and written down.
func TestTeam(t *testing.T) {
	g := newRig(t)
	b := g.browser().login(ownerEmail).stepUp()
	a := b.post("/team/invite", url.Values{"email": {"new@shop.example"}, "role": {"developer"}})
	b.want("invite", a, http.StatusOK, "The invitation was sent")
	path := linkIn.FindString(a.body)
	n := g.browser()
	n.want("invitation", n.get(path), http.StatusOK, "가게 하나 invites you. Your role: Developer.")
	if a := n.post(path, url.Values{"name": {"New"}, "password": {password}}); a.code != http.StatusSeeOther {
		t.Fatalf("join: %d %s", a.code, a.body)
	}
	n.want("team", n.get("/team"), http.StatusOK, "new@shop.example")
	n.want("a developer invites", n.post("/team/invite", url.Values{"email": {"x@y.example"}, "role": {"viewer"}}), http.StatusForbidden, "Your role does not allow this")
	var u payment.User
	view(t, g, func(tx tx) (err error) { u, err = tx.UserByEmail("new@shop.example"); return err })
	if a := b.post("/team/role", url.Values{"user": {string(u.ID)}, "role": {"admin"}}); a.code != http.StatusSeeOther {
		t.Fatalf("role: %d %s", a.code, a.body)
	}
	n.stepUp()
	n.want("an admin makes an owner", n.post("/team/role", url.Values{"user": {string(u.ID)}, "role": {"owner"}}), http.StatusForbidden, "Only owners change owners")
	n.want("an admin removes an owner", n.post("/team/remove", url.Values{"user": {string(g.owner.ID)}}), http.StatusForbidden, "Only owners change owners")
	b.want("the last owner leaves", b.post("/team/leave", nil), http.StatusConflict, "A merchant keeps at least one owner")
	if a := b.post("/team/remove", url.Values{"user": {string(u.ID)}}); a.code != http.StatusSeeOther {
		t.Fatalf("remove: %d %s", a.code, a.body)
	}
	if a := n.get("/team"); a.code != http.StatusSeeOther || a.location != "/merchants" {
		t.Errorf("removed, but still: %d %q", a.code, a.location)
	}
	page := b.get("/audit")
	for _, action := range []string{"member.invite", "member.join", "member.role", "member.remove"} {
		b.want("audit log", page, http.StatusOK, action)
	}
	if n, err := g.office.CheckAuditLogs(t.Context()); err != nil || n < 6 {
		t.Errorf("%d audit records: %v", n, err)
	}
}
