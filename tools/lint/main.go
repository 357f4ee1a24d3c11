// Command lint holds the project's linters in one program. `go vet -vettool` runs it, so results are cached as those of
// vet are. A finding is silenced on its line, with the linter and the reason:
//
//	h.Write(part) //nolint:errcheck // a hash never fails
//
// A silence without a linter or without a reason is itself a finding.
package main

import (
	"flag"
	"go/ast"
	"regexp"
	"slices"
	"strings"

	nilnil "github.com/Antonboom/nilnil/pkg/analyzer"
	"github.com/gostaticanalysis/nilerr"
	"github.com/jingyugao/rowserrcheck/passes/rowserr"
	"github.com/kisielk/errcheck/errcheck"
	"github.com/nishanths/exhaustive"
	"github.com/polyfloyd/go-errorlint/errorlint"
	sqlclosecheck "github.com/ryanrolds/sqlclosecheck/pkg/analyzer"
	"github.com/sonatard/noctx"
	"github.com/timakin/bodyclose/passes/bodyclose"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	// A hash never fails, also not through fmt.
	errcheck.DefaultExcludedSymbols = append(errcheck.DefaultExcludedSymbols, "fmt.Fprint(hash.Hash)", "fmt.Fprintf(hash.Hash)", "fmt.Fprintln(hash.Hash)")
	set(&exhaustive.Analyzer.Flags, "default-signifies-exhaustive", "false")
	all := []*analysis.Analyzer{
		product(errcheck.Analyzer),
		product(noctx.Analyzer),
		product(bodyclose.Analyzer),
		quiet(exhaustive.Analyzer),
		quiet(errorlint.NewAnalyzer()),
		quiet(nilerr.Analyzer),
		quiet(nilnil.New()),
		quiet(rowserr.NewAnalyzer("database/sql")),
		quiet(sqlclosecheck.NewAnalyzer()),
		silence,
	}
	unitchecker.Main(all...)
}

func set(flags *flag.FlagSet, name, value string) {
	if err := flags.Set(name, value); err != nil {
		panic(err) // a name that the pinned version does not know
	}
}

// quiet takes findings back that a comment silences, and those in generated code.
func quiet(a *analysis.Analyzer) *analysis.Analyzer { return filtered(a, false) }

// product is quiet for code that only tests run.
func product(a *analysis.Analyzer) *analysis.Analyzer { return filtered(a, true) }

func filtered(a *analysis.Analyzer, productOnly bool) *analysis.Analyzer {
	b := *a
	b.Run = func(pass *analysis.Pass) (any, error) {
		silenced := map[string]map[int]bool{}
		generated := map[string]bool{}
		for _, f := range pass.Files {
			name := pass.Fset.Position(f.Package).Filename
			silenced[name] = silences(pass, f, a.Name)
			generated[name] = ast.IsGenerated(f)
		}
		p := *pass
		p.Report = func(d analysis.Diagnostic) {
			at := pass.Fset.Position(d.Pos)
			test := strings.HasSuffix(at.Filename, "_test.go") || strings.Contains(pass.Pkg.Path(), "test")
			if productOnly && test || generated[at.Filename] || silenced[at.Filename][at.Line] || a.Name == exhaustive.Analyzer.Name && defaulted(pass, d) {
				return
			}
			d.Message += " (" + a.Name + ")"
			pass.Report(d)
		}
		return a.Run(&p)
	}
	return &b
}

// defaulted tells whether a switch has a default and switches over something other than a status: a default would hide a
// new status from the places that must know it. A switch over currencies is mostly about coins, or about prices, alone.
func defaulted(pass *analysis.Pass, d analysis.Diagnostic) (has bool) {
	if strings.Contains(d.Message, "Status:") {
		return false
	}
	if strings.Contains(d.Message, "money.Currency:") {
		return true
	}
	for _, f := range pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SwitchStmt)
			if ok && s.Pos() == d.Pos {
				has = slices.ContainsFunc(s.Body.List, func(c ast.Stmt) bool { return c.(*ast.CaseClause).List == nil })
			}
			return true
		})
	}
	return has
}

var nolint = regexp.MustCompile(`^//nolint(:([a-z0-9,]+))?( // \S.*)?$`)

// silences are the lines on which a comment silences the linter.
func silences(pass *analysis.Pass, f *ast.File, linter string) map[int]bool {
	lines := map[int]bool{}
	for _, group := range f.Comments {
		for _, c := range group.List {
			if m := nolint.FindStringSubmatch(c.Text); m != nil && slices.Contains(strings.Split(m[2], ","), linter) {
				lines[pass.Fset.Position(c.Pos()).Line] = true
			}
		}
	}
	return lines
}

var silence = &analysis.Analyzer{
	Name: "silence",
	Doc:  "check that every nolint comment names its linter and gives a reason",
	Run: func(pass *analysis.Pass) (any, error) {
		for _, f := range pass.Files {
			for _, group := range f.Comments {
				for _, c := range group.List {
					if !strings.HasPrefix(c.Text, "//nolint") {
						continue
					}
					if m := nolint.FindStringSubmatch(c.Text); m == nil || m[2] == "" || m[3] == "" {
						pass.Reportf(c.Pos(), "write //nolint:LINTER // REASON (silence)")
					}
				}
			}
		}
		return nil, nil
	},
}
