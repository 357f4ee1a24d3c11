package tidy

import (
	"go/ast"
	"regexp"
)

var glossaryType = regexp.MustCompile("`([a-z]+)\\.([A-Z][A-Za-z]*)`")

// The types that the glossary names exist.
func ruleGlossary(tr *tree) []finding {
	types := map[string]bool{}
	for _, f := range tr.code() {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if t, ok := n.(*ast.TypeSpec); ok {
				types[f.syntax.Name.Name+"."+t.Name.Name] = true
			}
			return true
		})
	}
	var wrong []finding
	for _, f := range tr.files {
		if f.path != "docs/words.md" {
			continue
		}
		for n, line := range f.lines {
			for _, m := range glossaryType.FindAllStringSubmatch(line, -1) {
				if !types[m[1]+"."+m[2]] {
					wrong = append(wrong, finding{path: f.path, line: n + 1, text: "there is no type " + m[1] + "." + m[2]})
				}
			}
		}
	}
	return wrong
}
