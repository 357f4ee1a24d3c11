package tidy

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	takenTypes    = []string{"Payment", "Transaction", "Order", "Delivery", "Sweep", "Service", "Manager", "Gateway"}
	takenPackages = []string{"util", "utils", "common", "types", "models", "helper", "helpers", "misc", "base", "shared"}
)

func sprint(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// Names are those of the glossary: no banned type, no package of odds and ends, singular, no stutter, and each package says
// in a comment what it is.
func ruleWords(tr *tree) []finding {
	var wrong []finding
	comments := map[string]bool{}
	first := map[string]*file{}
	for _, f := range tr.code() {
		name := f.syntax.Name.Name
		comments[f.dir()] = comments[f.dir()] || f.syntax.Doc != nil
		if first[f.dir()] == nil {
			first[f.dir()] = f
			base := path.Base(f.dir())
			if slices.Contains(takenPackages, base) {
				wrong = append(wrong, f.found(f.syntax.Name.Pos(), "package %s says nothing: name what it holds", base))
			}
			if strings.HasSuffix(base, "s") && !strings.HasSuffix(base, "ss") {
				wrong = append(wrong, f.found(f.syntax.Name.Pos(), "package names are singular: %s", base))
			}
		}
		for _, d := range f.syntax.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, s := range d.Specs {
					t, ok := s.(*ast.TypeSpec)
					if !ok {
						continue
					}
					if slices.Contains(takenTypes, t.Name.Name) {
						wrong = append(wrong, f.found(t.Pos(), "there is no type %s: see the glossary, docs/words.md", t.Name.Name))
					}
					if stutters(name, t.Name.Name) {
						wrong = append(wrong, f.found(t.Pos(), "%s.%s says the package's name twice", name, t.Name.Name))
					}
				}
			case *ast.FuncDecl:
				if d.Recv == nil && stutters(name, d.Name.Name) {
					wrong = append(wrong, f.found(d.Pos(), "%s.%s says the package's name twice", name, d.Name.Name))
				}
			}
		}
	}
	for dir, has := range comments {
		if !has {
			wrong = append(wrong, first[dir].found(first[dir].syntax.Name.Pos(), "package %s has no comment that says what it is", dir))
		}
	}
	return wrong
}

// stutters tells whether an exported name begins with its package's name and goes on with another word.
func stutters(pkg, name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(name), pkg)
	return ok && ast.IsExported(name) && rest != "" && len(name) > len(pkg) && strings.ToUpper(name[len(pkg):len(pkg)+1]) == name[len(pkg):len(pkg)+1]
}

// sizeValue is how sizes are written, sizeWord their unit in a comment, sizeName in a constant's name.
var (
	sizeWord  = regexp.MustCompile(`(?i)\b(bytes?|[KMG]i?B)\b`)
	sizeValue = regexp.MustCompile(`<< ?(10|20|30)$`)
	sizeName  = regexp.MustCompile(`(Bytes|[KMG]iB|Tries)$`)
)

// Every constant of a limits.go has a comment, its own or one that speaks of it by name; that of a size tells its unit. A
// duration tells it by itself.
func ruleLimits(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.code() {
		if path.Base(f.path) != "limits.go" {
			continue
		}
		for _, d := range f.syntax.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok.String() != "const" && g.Tok.String() != "var" {
				continue
			}
			shared := g.Doc.Text()
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				text := v.Doc.Text() + v.Comment.Text()
				for _, name := range v.Names {
					own := text
					if own == "" && strings.Contains(shared, name.Name) || len(g.Specs) == 1 && own == "" {
						own = shared
					}
					if v.Doc != nil {
						shared = v.Doc.Text() // one comment may speak of several constants by name
					}
					if own == "" {
						wrong = append(wrong, f.found(name.Pos(), "limit %s has no comment", name.Name))
						continue
					}
					value := ""
					if len(v.Values) > 0 {
						value = f.text[f.fset.Position(v.Values[0].Pos()).Offset:f.fset.Position(v.Values[0].End()).Offset]
					}
					if sizeValue.MatchString(value) && !sizeWord.MatchString(own) && !sizeName.MatchString(name.Name) {
						wrong = append(wrong, f.found(name.Pos(), "the comment of limit %s tells no unit", name.Name))
					}
				}
			}
		}
	}
	return wrong
}

var (
	leftover    = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	machinePath = regexp.MustCompile(`(^|[\s"'` + "`" + `(=:])/(work|root|home/[a-z]+)/`)
)

// Nothing is left for later in comments, and no text speaks of the machine that it was written on.
func ruleLeftovers(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.files {
		if f.path == "tools/go.mod" || f.path == "go.mod" || strings.HasSuffix(f.path, ".svg") {
			continue
		}
		for n, line := range f.lines {
			if leftover.MatchString(line) {
				wrong = append(wrong, finding{path: f.path, line: n + 1, text: "something left for later: do it, or open an issue"})
			}
			if machinePath.MatchString(line) {
				wrong = append(wrong, finding{path: f.path, line: n + 1, text: "a path of somebody's machine"})
			}
		}
	}
	return wrong
}
