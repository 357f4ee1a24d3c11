package checkout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// TestTextsAreThere: every key that is used exists, and no English catalogue text stands unused.
func TestTextsAreThere(t *testing.T) {
	texts, err := web.LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, pattern := range []string{"templates/*.html", "*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	var all strings.Builder
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(body)
	}
	en := texts.In(payment.English)
	for _, m := range regexp.MustCompile(`(?:Say\(?\s*"|return ")([a-z][a-z.-]+\.[a-z.-]+|[a-z]+)"`).FindAllStringSubmatch(all.String(), -1) {
		if strings.Contains(m[0], "Say") && !en.Has(m[1]) {
			t.Errorf("no text %q", m[1])
		}
	}
	for _, key := range en.Keys() {
		used := func(key string) bool { return strings.Contains(all.String(), `"`+key+`"`) }
		if !used(key) && !used(strings.TrimSuffix(key, ".do")) && !strings.HasPrefix(key, "error.") {
			t.Errorf("text %q is not used", key)
		}
	}
	for _, word := range []string{payment.WordNoInvoice, payment.WordNoRoute, payment.WordScope, payment.WordState, payment.WordNoRate,
		payment.WordNoNode, payment.WordNoAddress, payment.WordTooMany, payment.WordMalformed, payment.WordBusy, payment.WordInternal} {
		if !en.Has("error."+word) || !en.Has("error."+word+".do") {
			t.Errorf("no text for the refusal %q", word)
		}
	}
}
