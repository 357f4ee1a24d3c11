package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// refuser is a mail server that takes no letter while it says something.
type refuser struct{ says string }

func (r *refuser) Send(context.Context, payment.Letter) error {
	if r.says == "" {
		return nil
	}
	return fmt.Errorf("name recipient: %s: %w", r.says, payment.ErrUndeliverable)
}

// operate makes the owner an operator.
func (g *rig) operate() {
	g.t.Helper()
	err := g.store.Update(g.t.Context(), func(tx engine.Tx) error {
		u, err := tx.User(g.owner.ID)
		if err != nil {
			return err
		}
		u.Operator = true
		return tx.SwapUser(u)
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// TestLettersThatWereGivenUp: the operator sees them without their addresses, and has them tried again; the team sees which invitation
// did not arrive, and invites again. What is resolved is gone from both first pages.
func TestLettersThatWereGivenUp(t *testing.T) {
	g := newRig(t, withNets(newList()))
	g.operate()
	server := &refuser{"550 <b>no such user</b>"}
	postman := &engine.Postman{Store: g.store, Sealer: g.office.Sealer, Carrier: server, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	step := func() {
		t.Helper()
		if err := postman.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := g.browser().login(ownerEmail).stepUp()
	b.want("none", b.get("/house"), http.StatusOK, "Every letter was delivered")
	b.post("/team/invite", url.Values{"email": {"new@shop.example"}, "role": {"viewer"}})
	b.want("on its way", b.get("/team"), http.StatusOK, "On its way")
	step()
	a := b.get("/house")
	for _, text := range []string{"n•••@shop.example", "550 &lt;b&gt;no such user", "Invitation", "Try again", "Letters that could not be delivered: 1"} {
		b.want("given up", a, http.StatusOK, text)
	}
	if strings.Contains(a.body, "new@shop.example") {
		t.Error("the operator's page names the address")
	}
	a = b.get("/team")
	b.want("team", a, http.StatusOK, "Not delivered")
	if strings.Contains(a.body, "no such user") {
		t.Error("a merchant reads what the house's mail server says")
	}
	b.want("home", b.get("/"), http.StatusOK, "invitations whose letters could not be delivered")

	server.says = ""
	if a := b.post("/house/letters/retry", nil); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	step()
	b.want("resolved", b.get("/house"), http.StatusOK, "Every letter was delivered")
	b.want("team", b.get("/team"), http.StatusOK, "Sent")
	if a := b.get("/"); strings.Contains(a.body, "invitations whose letters") {
		t.Error("still needs attention")
	}

	server.says = "550 no"
	id := between(b.get("/team").body, `name="id" value="`, `"`)
	a = b.post("/team/again", url.Values{"id": {id}})
	b.want("again", a, http.StatusOK, "/link/")
	b.want("twice", b.post("/team/again", url.Values{"id": {id}}), http.StatusNotFound, "This link was used")
	step()
	letter := between(b.get("/house").body, `name="id" value="`, `"`)
	if a := b.post("/house/letters/drop", url.Values{"id": {letter}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	b.want("put away twice", b.post("/house/letters/drop", url.Values{"id": {letter}}), http.StatusNotFound, "There is no such letter any more")
	b.want("no server", b.get("/house"), http.StatusOK, "Every letter was delivered")
	g.office.Mails = false
	b.want("no server", b.get("/house"), http.StatusOK, "No mail server is set")
}

// between is the text between two others, "" where they are not.
func between(text, before, after string) string {
	_, text, ok := strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	if !ok {
		return ""
	}
	return text
}
