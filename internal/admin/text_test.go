package admin

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// twice are Korean texts that two keys may share.
var twice = []string{}

// TestTexts: both languages have the same keys, every key that a page says is there, every one there is said, and no two
// Korean texts are the same, as one of them is then wrong somewhere.
func TestTexts(t *testing.T) {
	sub, err := fs.Sub(textFiles, "text")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := web.ReadTexts(sub)
	if err != nil {
		t.Fatal(err)
	}
	en, ko := texts.In(payment.English), texts.In(payment.Korean)
	seen := map[string]string{}
	for _, key := range ko.Keys() {
		text := ko.Say(key)
		if other, ok := seen[text]; ok && !slices.Contains(twice, text) {
			t.Errorf("%q and %q are both %q", key, other, text)
		}
		seen[text] = key
		if !en.Has(key) && !strings.HasPrefix(key, "error.") {
			t.Errorf("no English %q", key)
		}
	}
	said := everything(t)
	for _, key := range en.Keys() {
		if !ko.Has(key) {
			t.Errorf("no Korean %q", key)
		}
		made := regexp.MustCompile(`^(error|done|role|nav|link\.(title|do)|payment\.(status|mark)|callback\.(pile|state|refund)|deposit\.state|story\.(act|event)|payout\.(kind|state)|hold|letters\.kind|need|one)\.|^policy\.[a-z]+\.help$|^lang\.name$|^link\.(email|undo)$`).MatchString(key)
		if !made && !strings.Contains(said, `"`+key+`"`) {
			t.Errorf("nobody says %q", key)
		}
	}
	for _, m := range regexp.MustCompile(`(?:Say|frame\(r, v,|Key:) "([a-z][a-z.-]*[a-z])"`).FindAllStringSubmatch(said, -1) {
		if !en.Has(m[1]) {
			t.Errorf("no text %q", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`done\(w, r, "[^"]*", "([a-z.-]+)"`).FindAllStringSubmatch(said, -1) {
		if !en.Has("done." + m[1]) {
			t.Errorf("no text %q", "done."+m[1])
		}
	}
	for _, role := range payment.Roles() {
		if !en.Has("role."+string(role)) || !en.Has("role."+string(role)+".what") {
			t.Errorf("no texts for the role %s", role)
		}
	}
	for _, word := range []string{engine.WordSignIn, engine.WordLink, engine.WordPassword, engine.WordFactor, engine.WordRole, engine.WordTaken,
		payment.WordMalformed, payment.WordState, payment.WordTooMany, payment.WordScope, payment.WordNoRoute, payment.WordBusy, payment.WordBodyTooBig} {
		if !ko.Has("error." + word) {
			t.Errorf("no Korean for the refusal %q", word)
		}
	}
}

// everything is all source and all templates of this package, one behind the other.
func everything(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"templates/*.html", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") || name == "doc.go" {
				continue
			}
			body, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(body)
		}
	}
	return all.String()
}
