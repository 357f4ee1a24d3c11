package tidy

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	makeLine = regexp.MustCompile("`make ([a-z-]+)")
	target   = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// Links between documents lead somewhere, and make has the targets that they name.
func ruleDocuments(tr *tree) []finding {
	targets := map[string]bool{}
	for _, f := range tr.files {
		if f.path == "Makefile" {
			for _, m := range target.FindAllStringSubmatch(f.text, -1) {
				targets[m[1]] = true
			}
		}
	}
	var wrong []finding
	for _, f := range tr.files {
		if path.Ext(f.path) != ".md" {
			continue
		}
		for n, line := range f.lines {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				to, _, _ := strings.Cut(m[1], "#")
				if to == "" || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
					continue
				}
				if _, err := os.Stat(filepath.Join(tr.root, filepath.FromSlash(path.Join(path.Dir(f.path), to)))); err != nil {
					wrong = append(wrong, finding{path: f.path, line: n + 1, name: to, text: "the link to " + to + " leads nowhere"})
				}
			}
			for _, m := range makeLine.FindAllStringSubmatch(line, -1) {
				if !targets[m[1]] {
					wrong = append(wrong, finding{path: f.path, line: n + 1, text: "make has no target " + m[1]})
				}
			}
		}
	}
	return wrong
}
