package admin

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/api"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// TestNotes: a note is shown with its author in the story, escaped, to the team only; it is bounded, and who wrote it or an admin takes it
// away, which leaves a record without what it said.
func TestNotes(t *testing.T) {
	g := newShopRig(t)
	i := g.paid(g.app, "paid-1")
	path := "/payments/" + string(i.ID)
	g.user("support@shop.example", payment.Support)
	g.user("dev@shop.example", payment.Developer)
	g.user("viewer@shop.example", payment.Viewer)
	s, dev, viewer := g.browser().login("support@shop.example"), g.browser().login("dev@shop.example"), g.browser().login("viewer@shop.example")
	add := func(b *browser, text string) answer { return b.post(path+"/notes", url.Values{"note": {text}}) }
	if a := add(s, " <script>alert(1)</script>\r\n전화함 "); a.code != http.StatusSeeOther || a.location != path+"#notes" {
		t.Fatalf("add: %d %q %s", a.code, a.location, a.body)
	}
	a := viewer.get(path)
	for _, text := range []string{"support@shop.example", "&lt;script&gt;alert(1)&lt;/script&gt;\n전화함", "<span>&lt;script&gt;alert(1)&lt;/script&gt;</span><span>전화함</span>"} {
		viewer.want("a viewer reads", a, http.StatusOK, text)
	}
	if strings.Contains(a.body, "/notes\"") || strings.Contains(a.body, "/notes/remove") {
		t.Error("a viewer is shown a form")
	}
	viewer.want("a viewer writes", add(viewer, "x"), http.StatusForbidden, "Your role does not allow this")
	for what, text := range map[string]string{"nothing": " \n ", "too long": strings.Repeat("가", engine.MaxNote+1), "a bell": "a\x07b"} {
		s.want(what, add(s, text), http.StatusBadRequest, `role="alert"`)
	}
	if a := add(dev, strings.Repeat("가", engine.MaxNote)); a.code != http.StatusSeeOther {
		t.Errorf("the longest: %d", a.code)
	}
	story, err := g.desk.Story(t.Context(), g.shop.ID, i.ID)
	if err != nil || len(story.Notes) != 2 {
		t.Fatal(story.Notes, err)
	}
	remove := func(b *browser, n payment.Note) answer {
		return b.post(path+"/notes/remove", url.Values{"note": {string(n.ID)}})
	}
	dev.want("another's", remove(dev, story.Notes[0]), http.StatusForbidden, "Only who wrote a note")
	if a := remove(dev, story.Notes[1]); a.code != http.StatusSeeOther {
		t.Errorf("one's own: %d %s", a.code, a.body)
	}
	owner := g.browser().login(ownerEmail)
	if a := remove(owner, story.Notes[0]); a.code != http.StatusSeeOther {
		t.Errorf("an owner: %d %s", a.code, a.body)
	}
	owner.want("twice", remove(owner, story.Notes[0]), http.StatusNotFound, "There is no such note any more")
	a = owner.get(path)
	owner.want("after", a, http.StatusOK, "Took a note away")
	owner.want("after", a, http.StatusOK, "Wrote a note, which was taken away since")
	if log := owner.get("/audit").body; strings.Contains(log, "전화함") || !strings.Contains(log, "note.remove") {
		t.Error("the audit log keeps what a note said, or not that it was there")
	}
	other, err := g.desk.AddMerchant(t.Context(), "Other")
	if err != nil {
		t.Fatal(err)
	}
	foreign := g.paid(g.application(other.ID, "Foreign"), "foreign-1")
	if a := owner.post("/payments/"+string(foreign.ID)+"/notes", url.Values{"note": {"x"}}); a.code != http.StatusNotFound {
		t.Errorf("a note to another merchant's payment: %d", a.code)
	}
	for n := range engine.MaxNotes + 1 {
		if a := add(s, fmt.Sprint("note ", n)); (a.code == http.StatusSeeOther) != (n < engine.MaxNotes) {
			t.Fatalf("note %d: %d %s", n, a.code, a.body)
		}
	}
}

// TestCurl: the calls that a payment's page shows are what a shell gives to curl, whatever the shop's URL holds, and the invoice is
// printed as invoice/get does.
func TestCurl(t *testing.T) {
	g := newShopRig(t)
	g.server.Config.Handler = nil
	o := Options{Office: g.office, Desk: g.desk, URL: g.server.URL, Log: g.office.Log, SignInRate: 1000, SignInBurst: 1000, RatePerIP: 10_000,
		PublicURL: "https://pay.example", Statement: api.Print}
	var err error
	if g.server.Config.Handler, err = New(o); err != nil {
		t.Fatal(err)
	}
	const evil = `https://shop.example/cb?a='$(touch evil)'&b="` + "`x`" + `\`
	i := g.invoice(g.app, "order-1", func(i *payment.Invoice) { i.CallbackURL = evil })
	b := g.browser().login(ownerEmail)
	a := b.get("/payments/" + string(i.ID))
	b.want("page", a, http.StatusOK, "YOUR-API-KEY")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][]string{
		"curl-get":    {"https://pay.example/api/v1/invoice/get", "api_key=YOUR-API-KEY", "invoice_id=" + string(i.ID)},
		"curl-refund": {"https://pay.example/api/v1/invoice/refund", "api_key=YOUR-API-KEY", "invoice_id=" + string(i.ID), "callback_url=" + evil},
		"curl-test":   {"https://pay.example/api/v1/test/callback", "api_key=YOUR-API-KEY", "invoice_id=" + string(i.ID)},
	} {
		text := html.UnescapeString(between(a.body, `id="`+id+`">`, "</pre>"))
		sh := exec.CommandContext(t.Context(), "sh", "-c", text) //nolint:gosec // what the page shows is what is tested
		sh.Env, sh.Dir = []string{"PATH=" + dir}, dir
		out, err := sh.CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != strings.Join(want, "\n--data-urlencode\n") {
			t.Errorf("%s: %v\n%s\nbecomes\n%s", id, err, text, got)
		}
	}
	story, err := g.desk.Story(t.Context(), g.shop.ID, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	line, err := api.Print(payment.Statement(story.Facts))
	if err != nil {
		t.Fatal(err)
	}
	raw := b.get("/payments/" + string(i.ID) + "/json")
	if raw.body != string(line) || raw.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(raw.body)) {
		t.Errorf("%s is not %s", raw.body, line)
	}
	shown := html.UnescapeString(between(a.body, `id="json">`, "</pre>"))
	if !strings.Contains(shown, `"order_id": "order-1"`) || !strings.Contains(shown, `"price": 10500`) {
		t.Errorf("the page shows %s", shown)
	}
}

// TestSavedViews: a set of filters has a name, for one person at one merchant; it is opened, renamed and removed.
func TestSavedViews(t *testing.T) {
	g := newShopRig(t)
	g.paid(g.app, "paid-1")
	g.user("viewer@shop.example", payment.Viewer)
	b, other := g.browser().login("viewer@shop.example"), g.browser().login(ownerEmail)
	if a := b.get("/payments"); strings.Contains(a.body, "Saved views") {
		t.Error("a view of everything is offered")
	}
	const query = "coin=ETH&from=2026-11-30&status=2"
	b.want("offered", b.get("/payments?"+query), http.StatusOK, "Save this view")
	save := func(name, query string) answer {
		return b.post("/payments/views/add", url.Values{"view": {name}, "query": {query}})
	}
	if a := save(" <b>어제</b> ", query+"&before=x&evil=1&pile=due"); a.code != http.StatusSeeOther || a.location != "/payments?"+query {
		t.Fatalf("save: %d %q %s", a.code, a.location, a.body)
	}
	a := b.get("/payments?" + query)
	b.want("the view", a, http.StatusOK, `<a class="button" href="/payments?coin=ETH&amp;from=2026-11-30&amp;status=2" aria-current="true">&lt;b&gt;어제&lt;/b&gt;</a>`)
	if strings.Contains(a.body, "Save this view") {
		t.Error("the same view is offered again")
	}
	b.want("the name again", save("<b>어제</b>", "status=3"), http.StatusConflict, "You have a view of this name already")
	b.want("no filter", save("all", "before=1"), http.StatusBadRequest, `role="alert"`)
	b.want("no name", save("", query), http.StatusBadRequest, `role="alert"`)
	if a := other.get("/payments?" + query); strings.Contains(a.body, "어제") {
		t.Error("another person sees it")
	}
	id := between(a.body, `name="id" value="`, `"`)
	edit := func(b *browser, do, name string) answer {
		return b.post("/payments/views/"+do, url.Values{"id": {id}, "view": {name}, "query": {query}})
	}
	other.want("another renames it", edit(other, "rename", "x"), http.StatusNotFound, "There is no such view any more")
	other.want("another removes it", edit(other, "remove", ""), http.StatusNotFound, "There is no such view any more")
	if a := edit(b, "rename", "Paid in ETH"); a.code != http.StatusSeeOther {
		t.Fatalf("rename: %d %s", a.code, a.body)
	}
	b.want("renamed", b.get("/payments"), http.StatusOK, ">Paid in ETH</a>")
	if a := edit(b, "remove", ""); a.code != http.StatusSeeOther {
		t.Fatalf("remove: %d %s", a.code, a.body)
	}
	for n := range engine.MaxViews + 1 {
		if a := save(fmt.Sprint("view ", n), fmt.Sprint("q=order-", n)); (a.code == http.StatusSeeOther) != (n < engine.MaxViews) {
			t.Fatalf("view %d: %d %s", n, a.code, a.body)
		}
	}
	b.want("a search", b.get("/payments?q=order-3"), http.StatusOK, `href="/payments?q=order-3" aria-current="true">view 3</a>`)
}
