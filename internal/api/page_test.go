package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/payment"
)

func TestPages(t *testing.T) {
	golden(t, "../../docs/codes.md", codesPage())
	golden(t, "../../docs/openapi.json", string(description))
}

// Every word of package payment has its row, and every row is complete and in order.
func TestEveryWordHasItsCode(t *testing.T) {
	words := map[string]bool{}
	file, err := parser.ParseFile(token.NewFileSet(), "../payment/error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Word") {
			return true
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		words[word] = true
		return true
	})
	if len(words) < 15 {
		t.Fatalf("found only %d words", len(words))
	}
	last := 0
	for _, c := range codes {
		if !words[c.word] {
			t.Errorf("%q is no word, or has two rows", c.word)
		}
		delete(words, c.word)
		if c.number < last || c.status() < 400 || c.status() > 599 {
			t.Errorf("%q: code %d is out of order", c.word, c.number)
		}
		last = c.number
		for _, s := range []string{c.cause.en, c.cause.ko, c.cure.en, c.cure.ko, c.korean} {
			if s == "" || strings.Contains(s, "|") {
				t.Errorf("%q: a text is empty or breaks the table: %q", c.word, s)
			}
		}
		if !hasHangul(c.korean) || !hasHangul(c.cause.ko) || !hasHangul(c.cure.ko) {
			t.Errorf("%q: Korean is missing", c.word)
		}
	}
	for word := range words {
		t.Errorf("the word %q has no code", word)
	}
}

func hasHangul(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 0xac00 && r <= 0xd7a3 })
}

// The messages that a merchant's call can meet all have their Korean phrase: read from the source, so that a new message
// without one is noticed.
func TestEveryMessageIsInKorean(t *testing.T) {
	found := 0
	files := []string{"../engine/create.go", "../engine/refund.go", "../engine/shopurl.go"}
	own, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, own...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := c.Fun.(*ast.SelectorExpr)
			if !ok || s.Sel.Name != "Malformed" || len(c.Args) < 2 {
				return true
			}
			lit, ok := c.Args[1].(*ast.BasicLit)
			if !ok {
				return true
			}
			format, err := strconv.Unquote(lit.Value)
			if err != nil || format == "%s" {
				return true
			}
			found++
			message := strings.NewReplacer("%d", "7", "%s", "seven", "%q", `"seven"`).Replace(format)
			if name == "../engine/shopurl.go" && strings.Contains(format, "query") {
				return true // of registrations, which are not made here
			}
			if korean, ok := translate(message); !ok || !hasHangul(korean) || strings.Contains(korean, "{}") {
				t.Errorf("%s: no Korean phrase for %q", name, format)
			}
			return true
		})
	}
	if found < 25 {
		t.Fatalf("found only %d messages", found)
	}
	for _, p := range phrases {
		if strings.Count(p.en, "{}") != strings.Count(p.ko, "{}") || !hasHangul(p.ko) {
			t.Errorf("phrase %q is not well translated", p.en)
		}
	}
}

// The states' page and codes are read by people: their links and words must exist. Here: each code of the API stands in
// the OpenAPI document.
func TestCodesAreInTheDescription(t *testing.T) {
	body, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range codes {
		if !strings.Contains(string(body), strconv.Itoa(c.number)) {
			t.Errorf("openapi.json does not name %d", c.number)
		}
	}
	if got := codeOf(&payment.Error{Kind: payment.Unavailable, Word: "new"}); got.number != 5033 {
		t.Errorf("an unknown word of kind Unavailable is %d", got.number)
	}
}
