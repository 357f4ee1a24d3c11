package tidy

import (
	"go/ast"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	requirement = regexp.MustCompile(`^(?:require )?([a-z0-9.-]+\.[a-z]+(?:/\S+)?) v\S+`)
	moduleEntry = regexp.MustCompile("^\\| *`([^` ]+)`")
)

// Every direct module has its line in docs/adr, with why it was taken, and every line has its module.
func ruleModules(tr *tree) []finding {
	var wrong []finding
	direct, told := map[string]int{}, map[string]finding{}
	for _, f := range tr.files {
		if f.path == "go.mod" {
			for n, line := range f.lines {
				if m := requirement.FindStringSubmatch(strings.TrimSpace(line)); m != nil && !strings.Contains(line, "// indirect") {
					direct[m[1]] = n + 1
				}
			}
		}
		if path.Dir(f.path) == "docs/adr" && strings.Contains(f.path, "modules") {
			for n, line := range f.lines {
				if m := moduleEntry.FindStringSubmatch(line); m != nil {
					told[m[1]] = finding{path: f.path, line: n + 1, text: "go.mod does not require " + m[1] + " directly"}
				}
			}
		}
	}
	for name, line := range direct {
		if _, ok := told[name]; !ok {
			wrong = append(wrong, finding{path: "go.mod", line: line, name: name, text: "no line in docs/adr tells why " + name + " was taken"})
		}
		if !tr.imports(name) {
			wrong = append(wrong, finding{path: "go.mod", line: line, name: name, text: "nothing imports " + name})
		}
	}
	for name, f := range told {
		if direct[name] == 0 {
			wrong = append(wrong, f)
		}
	}
	return wrong
}

// imports tells whether anything imports a package of the module.
func (tr *tree) imports(module string) bool {
	return slices.ContainsFunc(tr.files, func(f *file) bool {
		return f.syntax != nil && slices.ContainsFunc(f.syntax.Imports, func(s *ast.ImportSpec) bool {
			return strings.HasPrefix(strings.Trim(s.Path.Value, `"`)+"/", module+"/")
		})
	})
}

// nodeCode is what makes a blockchain node; the product carries none of it.
var nodeCode = regexp.MustCompile(`^github\.com/(ethereum/go-ethereum/(node|eth|miner|p2p|core/txpool|core/vm)(/|$)|btcsuite/btcd/(blockchain|mempool|mining|database)(/|$)|pipe-pg/pipe/internal/(devchain|demo)(/|$))`)

// The product carries no node and nothing that only tests need.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command string
		banned  *regexp.Regexp
	}{
		{"./cmd/pipe", nodeCode},
		{"./cmd/pipe", regexp.MustCompile(`^testing$|^net/http/pprof$|^expvar$`)},
	} {
		for _, dep := range deps(t, c.command) {
			if c.banned.MatchString(dep) {
				t.Errorf("%s links %s", c.command, dep)
			}
		}
	}
	if !nodeCode.MatchString("github.com/ethereum/go-ethereum/core/vm") || nodeCode.MatchString("github.com/ethereum/go-ethereum/core/types") {
		t.Error("the pattern of node code is wrong")
	}
	if !strings.Contains(strings.Join(deps(t, "./cmd/pipe-demo"), "\n"), "go-ethereum/node") {
		t.Error("the demo links no geth node: this test looks at the wrong thing")
	}
}

func deps(t *testing.T, command string) []string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", "list", "-deps", command)
	c.Dir = projectRoot
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", command, err)
	}
	return strings.Fields(string(out))
}
