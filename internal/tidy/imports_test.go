package tidy

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A row is a line of the table of packages in ARCHITECTURE.md.
type row struct {
	line int
	may  []string
	all  bool // "all above"
}

var (
	heading = regexp.MustCompile(`^\| *package *\|`)
	quoted  = regexp.MustCompile("`([a-z0-9/-]+)`")
)

// table reads the table: which package may import which others of ours.
func table(tr *tree) (map[string]row, []finding) {
	rows, inside := map[string]row{}, false
	var wrong []finding
	var above []string
	for _, f := range tr.files {
		if f.path != "ARCHITECTURE.md" {
			continue
		}
		for n, line := range f.lines {
			inside = inside && strings.HasPrefix(line, "|") || heading.MatchString(line)
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if !inside || len(cells) != 3 || !strings.Contains(cells[0], "`") {
				continue
			}
			r := row{line: n + 1, all: strings.Contains(cells[2], "all above")}
			for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
				r.may = append(r.may, m[1])
			}
			if r.all {
				r.may = append(r.may, above...)
			}
			for _, m := range quoted.FindAllStringSubmatch(cells[0], -1) {
				rows[m[1]] = r
				above = append(above, m[1])
				if !tr.has(place(m[1])) {
					wrong = append(wrong, finding{path: f.path, line: n + 1, text: "there is no package " + m[1]})
				}
			}
		}
	}
	if len(rows) == 0 {
		wrong = append(wrong, finding{path: "ARCHITECTURE.md", line: 1, text: "there is no table of packages"})
	}
	return rows, wrong
}

// place is the directory of a package of the table.
func place(name string) string {
	if name == "client" || strings.HasPrefix(name, "cmd/") {
		return name
	}
	return "internal/" + name
}

func (tr *tree) has(dir string) bool {
	return slices.ContainsFunc(tr.files, func(f *file) bool { return strings.HasPrefix(f.path, dir+"/") })
}

// home is the row that a package's directory belongs to: its own, or that of the package it lies in.
func home(rows map[string]row, dir string) string {
	for d := strings.TrimPrefix(dir, "internal/"); d != "." && d != "/"; d = path.Dir(d) {
		if _, ok := rows[d]; ok {
			return d
		}
	}
	return ""
}

// imports follow the table of ARCHITECTURE.md, test files apart. A package may import what lies in its own directory.
func ruleImports(tr *tree) []finding {
	rows, wrong := table(tr)
	for _, f := range tr.files {
		if f.syntax == nil || f.test || strings.HasPrefix(f.path, "tools/") {
			continue
		}
		from := home(rows, f.dir())
		if from == "" {
			wrong = append(wrong, f.found(f.syntax.Name.Pos(), "package %s has no row in the table of ARCHITECTURE.md", f.dir()))
			continue
		}
		for _, s := range f.syntax.Imports {
			p := strings.Trim(s.Path.Value, `"`)
			dir, ours := strings.CutPrefix(p, module+"/")
			to := home(rows, dir)
			if ours && to != from && !slices.Contains(rows[from].may, to) {
				wrong = append(wrong, f.found(s.Pos(), "%s must not import %s: see the table of ARCHITECTURE.md", from, dir))
			}
			if (supports(dir) || p == "testing") && !supports(f.dir()) {
				wrong = append(wrong, f.found(s.Pos(), "%s is for tests only", p))
			}
		}
	}
	return wrong
}

// speakers are the packages that may make requests of their own: nodes, price sources, shops, and what plays a client.
var speakers = []string{"internal/bitcoin", "internal/ethereum", "internal/rate", "internal/webhook", "internal/demo", "internal/devchain", "client"}

// Requests to shops leave only through the guard of webhook: no other package that could know a shop's URL has an HTTP
// client, and none uses the default client, which has no guard and no timeout.
func ruleGuard(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.product() {
		speaks := slices.ContainsFunc(speakers, func(s string) bool { return f.dir() == s || strings.HasPrefix(f.dir(), s+"/") })
		wrong = append(wrong, f.selectors(func(imported, name string) string {
			switch {
			case imported != "net/http":
				return ""
			case slices.Contains([]string{"Get", "Post", "Head", "PostForm", "DefaultClient"}, name):
				return fmt.Sprintf("http.%s has no guard and no timeout", name)
			case !speaks && slices.Contains([]string{"Client", "Transport", "NewRequest", "NewRequestWithContext"}, name):
				return "only " + strings.Join(speakers, ", ") + " make requests; those to shops go through webhook"
			}
			return ""
		})...)
	}
	return wrong
}
