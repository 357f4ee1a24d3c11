package admin

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"html"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// eventKinds are all that package payment names, read from its source, so that a new one is asked for here.
func eventKinds(t *testing.T) (all []payment.EventKind) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../payment/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if kind, ok := v.Type.(*ast.Ident); ok && kind.Name == "EventKind" {
				if value, ok := v.Values[0].(*ast.BasicLit); ok {
					text, err := strconv.Unquote(value.Value)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, payment.EventKind(text))
				}
			}
		}
		return true
	})
	if len(all) < 13 {
		t.Fatalf("found only %q", all)
	}
	return all
}

// A line is one of the page's timeline.
type line struct{ when, who, what string }

var lineText = regexp.MustCompile(`<li><span class="quiet">(.*?) · (.*?)</span><strong[^>]*>(.*?)</strong>`)

func timeline(t *testing.T, body string) (all []line) {
	t.Helper()
	_, list, ok := strings.Cut(body, `<ol class="timeline">`)
	list, _, closed := strings.Cut(list, "</ol>")
	if !ok || !closed {
		t.Fatal("the page has no timeline")
	}
	for _, m := range lineText.FindAllStringSubmatch(list, -1) {
		all = append(all, line{html.UnescapeString(m[1]), html.UnescapeString(m[2]), html.UnescapeString(m[3])})
	}
	return all
}

// TestA4Timeline: whatever stands in the event log, in the outbox with its tries, and in the audit log of an invoice has a line of its own
// with its time, who did it, and words of its own; in both languages, in order.
func TestA4Timeline(t *testing.T) {
	g := newShopRig(t)
	i := g.paid(g.app, "paid-1")
	path := "/payments/" + string(i.ID)
	kinds := eventKinds(t)
	var callback payment.Callback
	for n, kind := range kinds {
		g.pass(2 * time.Minute)
		g.update(func(tx tx) error {
			data := map[string]string{"marks": "1"}
			if kind == payment.EventPayout {
				data = map[string]string{"kind": string(payment.Settlement), "state": string(payment.PayoutDone)}
			}
			if err := tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: i.ID, Kind: kind, At: tx.Now(), Data: data}); err != nil || n > 0 {
				return err
			}
			callback = payment.Callback{
				ID: tx.NewID(), InvoiceID: i.ID, ApplicationID: i.ApplicationID, URL: i.CallbackURL, Origin: "https://shop.example", Status: 2, Code: 1,
				ContentType: "application/json", Body: []byte("{}"), State: payment.CallbackParked, Attempts: 3, CreatedAt: tx.Now(), DueAt: tx.Now(), DoneAt: tx.Now(),
			}
			_, err := tx.AddWrongCoin(engine.WrongCoin{InvoiceID: i.ID, MerchantID: i.MerchantID, Network: testNet, TxID: "0xtoken", SeenAt: tx.Now()})
			if err != nil {
				return err
			}
			if callback.Seq, err = tx.AddCallback(callback); err != nil {
				return err
			}
			for try := range 3 {
				a := payment.Attempt{CallbackID: callback.ID, N: try + 1, At: tx.Now().Add(time.Duration(try) * time.Second), HTTPStatus: 500, Verdict: "refused"}
				if err := tx.AddAttempt(a); err != nil {
					return err
				}
			}
			return nil
		})
	}
	owner := g.browser().login(ownerEmail)
	for _, act := range []struct {
		path string
		form url.Values
	}{
		{"/callbacks/" + string(callback.ID) + "/resend", url.Values{"invoice": {string(i.ID)}}},
		{path + "/notes", url.Values{"note": {"kept"}}}, {path + "/notes", url.Values{"note": {"taken away"}}},
		{path + "/handled", nil},
	} {
		g.pass(2 * time.Minute)
		if a := owner.post(act.path, act.form); a.code != 303 {
			t.Fatalf("%s: %d %s", act.path, a.code, a.body)
		}
	}
	s, err := g.desk.Story(t.Context(), g.shop.ID, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	g.pass(2 * time.Minute)
	if a := owner.post(path+"/notes/remove", url.Values{"note": {string(s.Notes[1].ID)}}); a.code != 303 {
		t.Fatalf("remove: %d %s", a.code, a.body)
	}
	for _, language := range []string{"en", "ko"} {
		t.Run(language, func(t *testing.T) { checkTimeline(t, g, owner, i.ID, language) })
	}
}

func checkTimeline(t *testing.T, g *shopRig, b *browser, id payment.ID, language string) {
	words := map[string]string{}
	for _, name := range []string{"daily", "home", "shell"} {
		text, err := os.ReadFile("text/" + name + "." + language + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &words); err != nil {
			t.Fatal(err)
		}
	}
	g.update(func(tx tx) error {
		u, err := tx.UserByEmail(ownerEmail)
		if err != nil {
			return err
		}
		u.Language = map[string]payment.Language{"en": payment.English, "ko": payment.Korean}[language]
		return tx.SwapUser(u)
	})
	a := b.get("/payments/" + string(id))
	if strings.Contains(a.body, "⟦") {
		t.Errorf("a text is missing: %s", regexp.MustCompile(`⟦[^⟧]*⟧`).FindString(a.body))
	}
	all := timeline(t, a.body)
	seoul, err := time.LoadLocation("Asia/Seoul")
	if err != nil {
		t.Fatal(err)
	}
	// has takes one line out, so that each must have its own.
	has := func(what string, at time.Time, who string) {
		t.Helper()
		n := slices.IndexFunc(all, func(l line) bool {
			return what != "" && strings.HasPrefix(l.what, what) && strings.Contains(l.when, at.In(seoul).Format("15:04")) && l.who != "" && (who == "" || l.who == who)
		})
		if n < 0 {
			t.Errorf("no line %q of %s by %q in %q", what, at.In(seoul).Format("15:04"), who, all)
			return
		}
		all = slices.Delete(all, n, n+1)
	}
	s, err := g.desk.Story(t.Context(), g.shop.ID, id)
	if err != nil {
		t.Fatal(err)
	}
	var events []payment.Event
	var records []payment.AuditRecord
	view(t, g.rig, func(tx tx) (err error) {
		if events, err = tx.Events(id, 1_000); err != nil {
			return err
		}
		records, err = tx.AuditRecords(g.shop.ID, "", math.MaxInt64, 1_000)
		return err
	})
	for _, e := range events {
		key := "story.event." + string(e.Kind)
		if e.Kind == payment.EventPayout {
			key = "payout.kind." + e.Data["kind"]
		}
		has(words[key], e.At, "")
	}
	for _, c := range s.Callbacks {
		for _, try := range c.Tries {
			what := strings.NewReplacer("{n}", strconv.FormatInt(int64(c.Seq), 10), "{try}", strconv.Itoa(try.N)).Replace(words["story.try"])
			has(what, try.At, "")
		}
	}
	kept := 0
	for _, r := range records {
		if r.Subject != string(id) {
			continue
		}
		what := words["story.act."+r.Action]
		if r.Action == engine.ActNote && noteOf(r) == string(s.Notes[0].ID) {
			what, kept = words["story.note"], kept+1
		}
		has(what, r.At, ownerEmail)
	}
	if kept != 1 {
		t.Errorf("%d records of the note that is kept", kept)
	}
}

// TestA4EveryActHasWords: whatever people do to an invoice, as the engine writes it down, has words of its own.
func TestA4EveryActHasWords(t *testing.T) {
	files, err := filepath.Glob("../engine/*.go")
	if err != nil {
		t.Fatal(err)
	}
	act := regexp.MustCompile(`Act\{Action: (?:"([a-z.-]+)"|ActNote), Subject: string\((?:invoice|(?:p|c)\.InvoiceID)\)`)
	found := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range act.FindAllStringSubmatch(string(text), -1) {
			if m[1] == "" {
				m[1] = engine.ActNote
			}
			found[m[1]] = true
			if actKey(m[1]) != m[1] {
				t.Errorf("%s has no words in a payment's timeline", m[1])
			}
		}
	}
	if len(found) < 4 {
		t.Errorf("found only %v", found)
	}
}
