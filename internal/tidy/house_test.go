package tidy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const projectRoot = "../.."

// A rule looks at a tree and finds what breaks it.
type rule struct {
	name  string
	check func(*tree) []finding
}

var rules = []rule{
	{"imports", ruleImports},
	{"guard", ruleGuard},
	{"pure", rulePure},
	{"random", ruleRandom},
	{"signer", ruleSigner},
	{"length", ruleLength},
	{"arguments", ruleArguments},
	{"globals", ruleGlobals},
	{"blank", ruleBlank},
	{"words", ruleWords},
	{"glossary", ruleGlossary},
	{"documents", ruleDocuments},
	{"limits", ruleLimits},
	{"leftovers", ruleLeftovers},
	{"amounts", ruleAmounts},
	{"status", ruleStatus},
	{"sql", ruleSQL},
	{"modules", ruleModules},
}

// maxExceptions is the number of lines in exceptions.txt. It only falls.
const maxExceptions = 0

// An exception is a line "rule path [name] — reason".
type exception struct {
	rule, path, name string
	used             bool
}

func exceptions(t *testing.T) []*exception {
	t.Helper()
	b, err := os.ReadFile("exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []*exception
	for n, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		what, reason, ok := strings.Cut(line, " — ")
		parts := strings.Fields(what)
		if !ok || reason == "" || len(parts) < 2 || len(parts) > 3 {
			t.Fatalf("exceptions.txt:%d: write rule path [name] — reason", n+1)
		}
		e := &exception{rule: parts[0], path: parts[1]}
		if len(parts) == 3 {
			e.name = parts[2]
		}
		all = append(all, e)
	}
	if len(all) != maxExceptions {
		t.Errorf("exceptions.txt has %d lines, maxExceptions says %d: the list only shrinks", len(all), maxExceptions)
	}
	return all
}

func TestHouse(t *testing.T) {
	t.Parallel()
	tr := readTree(t, projectRoot)
	allowed := exceptions(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range r.check(tr) {
				i := slices.IndexFunc(allowed, func(e *exception) bool {
					return e.rule == r.name && e.path == f.path && (e.name == "" || e.name == f.name)
				})
				if i >= 0 {
					allowed[i].used = true
					continue
				}
				t.Error(f)
			}
		})
	}
	for _, e := range allowed {
		if !e.used {
			t.Errorf("exceptions.txt: %s %s %s is not needed any more: take it out", e.rule, e.path, e.name)
		}
	}
}

// Each rule finds the violations planted for it, and nothing else in their tree.
func TestPlanted(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			tr := readTree(t, filepath.Join("testdata", r.name))
			var want, got []string
			for _, f := range tr.files {
				for n, line := range f.lines {
					if strings.Contains(line, "want") {
						want = append(want, finding{path: f.path, line: n + 1}.String())
					}
				}
			}
			if len(want) == 0 {
				t.Fatal("nothing is planted")
			}
			for _, f := range r.check(tr) {
				text := f.text
				f.text = ""
				got = append(got, f.String())
				if !slices.Contains(want, f.String()) {
					t.Errorf("%s %s: found where nothing is planted", f, text)
				}
			}
			for _, w := range want {
				if !slices.Contains(got, w) {
					t.Errorf("%s not found", w)
				}
			}
		})
	}
}
