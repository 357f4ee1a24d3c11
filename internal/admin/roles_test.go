package admin

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

var update = flag.Bool("update", false, "write docs/roles.md anew")

// caller kinds of the matrix: nobody, somebody without a merchant, the roles, and an operator without a merchant.
const (
	nobody   = "nobody"
	homeless = "no team"
	house    = "operator"
)

// columns are the callers in the order of the matrix.
func columns() []string {
	all := []string{nobody, homeless}
	for _, r := range payment.Roles() {
		all = append(all, string(r))
	}
	return append(all, house)
}

// by is a caller as the guard sees it.
func by(column string) engine.By {
	switch column {
	case nobody:
		return engine.By{}
	case homeless:
		return engine.By{User: payment.User{ID: "U"}}
	case house:
		return engine.By{User: payment.User{ID: "U", Operator: true}}
	}
	return engine.By{User: payment.User{ID: "U"}, Role: payment.Role(column)}
}

// TestRolesDocument: docs/roles.md is made from the table of routes.
func TestRolesDocument(t *testing.T) {
	var out strings.Builder
	out.WriteString("# Who may do what\n\nMade from the admin's table of routes; a test holds every route to it. *Step-up* asks for a second factor that is at most\n" +
		"five minutes old. An operator has these rights beside those of a role in a team.\n\n| route | needs | step-up |")
	for _, c := range columns() {
		out.WriteString(" " + c + " |")
	}
	out.WriteString("\n" + strings.Repeat("| --- ", len(columns())+3) + "|\n")
	for _, rt := range (&door{}).routes() {
		stepUp := ""
		if rt.stepUp {
			stepUp = "yes"
		}
		fmt.Fprintf(&out, "| `%s %s` | %s | %s |", rt.method, rt.path, rt.needs, stepUp)
		for _, c := range columns() {
			mark := "–"
			if allowed(rt.needs, by(c)) {
				mark = "yes"
			}
			out.WriteString(" " + mark + " |")
		}
		out.WriteString("\n")
	}
	file := filepath.Join("..", "..", "docs", "roles.md")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(file)
	if err != nil || string(was) != out.String() {
		t.Errorf("docs/roles.md is not what the routes say (%v): run make generate", err)
	}
}

// TestA10EveryRoute: each caller gets at each route exactly what the matrix says, over HTTP. A route that is let through may
// answer anything but a refusal of the guard.
func TestA10EveryRoute(t *testing.T) {
	g := newRig(t)
	browsers := map[string]*browser{nobody: g.browser()}
	for _, c := range columns()[1:] {
		role := payment.Role(c)
		if c == homeless || c == house {
			role = ""
		}
		u := g.user(strings.ReplaceAll(c, " ", "-")+"@matrix.example", role)
		if c == house {
			err := g.store.Update(t.Context(), func(tx engine.Tx) error {
				u.Operator = true
				return tx.SwapUser(u)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		browsers[c] = g.browser()
	}
	for _, rt := range (&door{}).routes() {
		for _, c := range columns() {
			t.Run(rt.method+" "+rt.path+" "+c, func(t *testing.T) {
				b := browsers[c]
				if payment.Role(c).May(payment.MayLook) {
					g.join(strings.ReplaceAll(c, " ", "-")+"@matrix.example", payment.Role(c))
				}
				if c != nobody {
					b = g.browser().login(strings.ReplaceAll(c, " ", "-") + "@matrix.example")
				}
				path := strings.NewReplacer("{$}", "", "{token}", "x", "{id}", "x").Replace(rt.path)
				form := url.Values{}
				if c == homeless || c == house {
					form.Set(merchantField, "")
				}
				var a answer
				if rt.method == http.MethodGet {
					a = b.get(path)
				} else {
					a = b.post(path, form)
				}
				toLogin := a.code == http.StatusSeeOther && strings.HasPrefix(a.location, "/login") && rt.needs != anybody
				refused := a.code == http.StatusForbidden && strings.Contains(a.body, "Your role does not allow this") ||
					a.code == http.StatusSeeOther && a.location == "/merchants" && rt.path != "/{$}"
				asked := a.code == http.StatusForbidden && strings.Contains(a.body, "Is it you?")
				switch {
				case c == nobody && rt.needs != anybody:
					if !toLogin {
						t.Errorf("nobody gets %d to %q", a.code, a.location)
					}
				case !allowed(rt.needs, by(c)):
					if !refused {
						t.Errorf("%s gets %d to %q: %s", c, a.code, a.location, a.body)
					}
				case refused || toLogin || rt.stepUp != asked && rt.path != "/step-up" || a.code >= 500:
					t.Errorf("%s gets %d to %q: %s", c, a.code, a.location, a.body)
				}
			})
		}
	}
}
