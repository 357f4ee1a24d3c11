package admin

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
)

// TestAuditCSV: the whole log, in order, readable by Excel, and no cell a formula.
func TestAuditCSV(t *testing.T) {
	g := newRig(t)
	b := g.browser().login(ownerEmail).stepUp()
	if a := b.post("/team/invite", url.Values{"email": {"=cmd@x.example"}, "role": {"viewer"}}); a.code != http.StatusOK {
		t.Fatalf("invite: %d %s", a.code, a.body)
	}
	a := b.get("/audit.csv")
	body, ok := strings.CutPrefix(a.body, "\ufeff")
	if a.code != http.StatusOK || !ok || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
		t.Fatalf("%d %v %q", a.code, a.header, a.body)
	}
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	all, err := g.office.AuditLog(t.Context(), g.shop.ID, "", 0)
	if err != nil || len(all) > engine.PageRows || len(rows) != len(all)+1 {
		t.Fatalf("%d rows of %d records: %v", len(rows), len(all), err)
	}
	last := rows[len(rows)-1]
	if last[5] != "member.invite" || last[6] != "'=cmd@x.example" || last[8] != rows[len(rows)-2][9] {
		t.Errorf("%q", last)
	}
}
