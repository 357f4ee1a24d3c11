package tidy

import (
	"go/ast"
	"regexp"
	"strings"
)

const (
	maxFunction = 70  // lines of a function, from func to its closing brace
	maxHandler  = 40  // lines of an HTTP handler
	maxFile     = 500 // lines of a file
	maxArgs     = 4   // arguments of a function; more make a struct
)

// Functions, handlers and files are short enough to be read at once, and calls say what their arguments are.
func ruleLength(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.product() {
		if n := len(f.lines) - 1; n > maxFile {
			wrong = append(wrong, finding{path: f.path, line: 1, text: sprint("file has %d lines, more than %d", n, maxFile)})
		}
		f.functions(func(name string, fn *ast.FuncDecl) {
			n := f.at(fn.End()) - f.at(fn.Pos()) + 1
			if n > maxFunction {
				d := f.found(fn.Pos(), "function %s has %d lines, more than %d", name, n, maxFunction)
				d.name = name
				wrong = append(wrong, d)
			}
			ast.Inspect(fn, func(node ast.Node) bool {
				typ, at := funcType(node)
				if typ == nil || !isHandler(typ) {
					return true
				}
				if n := f.at(at.End()) - f.at(at.Pos()) + 1; n > maxHandler {
					d := f.found(at.Pos(), "handler in %s has %d lines, more than %d", name, n, maxHandler)
					d.name = name
					wrong = append(wrong, d)
				}
				return true
			})
		})
	}
	return wrong
}

// funcType is the type of a function, declared or literal.
func funcType(n ast.Node) (*ast.FuncType, ast.Node) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return n.Type, n
	case *ast.FuncLit:
		return n.Type, n
	}
	return nil, nil
}

func isHandler(t *ast.FuncType) bool {
	w, r := false, false
	for _, p := range t.Params.List {
		w = w || typeName(p.Type) == "http.ResponseWriter"
		r = r || typeName(p.Type) == "http.Request"
	}
	return w && r
}

// More than four arguments make a struct.
func ruleArguments(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.product() {
		f.functions(func(name string, fn *ast.FuncDecl) {
			if n := fn.Type.Params.NumFields(); n > maxArgs {
				d := f.found(fn.Pos(), "%s takes %d arguments, more than %d: make a struct", name, n, maxArgs)
				d.name = name
				wrong = append(wrong, d)
			}
		})
	}
	return wrong
}

// errorValue is a name that error values bear.
var errorValue = regexp.MustCompile(`^(err|Err)[A-Z]`)

// makers are calls whose results never change: errors, templates, patterns, numbers and prefixes.
var makers = map[string]bool{
	"errors.New": true, "fmt.Errorf": true, "template.Must": true, "regexp.MustCompile": true, "big.NewInt": true,
	"netip.MustParsePrefix": true, "netip.MustParseAddr": true, "strings.NewReplacer": true, "strings.Fields": true, "crc32.MakeTable": true, "language.NewMatcher": true,
}

var globalSilence = regexp.MustCompile(`//nolint:gochecknoglobals // \S`)

// There is no func init, and a package variable is an error, a template, an embedded file or a table that nothing changes.
func ruleGlobals(tr *tree) []finding {
	var wrong []finding
	tables := map[string]map[string]bool{} // names of package variables by directory
	for _, f := range tr.product() {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				wrong = append(wrong, f.found(fn.Pos(), "no func init: what a package does, it does when asked"))
			}
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok.String() != "var" {
				continue
			}
			embedded := g.Doc != nil && strings.Contains(f.text[f.fset.Position(g.Doc.Pos()).Offset:f.fset.Position(g.Doc.End()).Offset], "//go:embed")
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, name := range v.Names {
					if name.Name == "_" {
						continue
					}
					if tables[f.dir()] == nil {
						tables[f.dir()] = map[string]bool{}
					}
					if globalSilence.MatchString(f.lines[f.at(v.Pos())-1]) {
						continue
					}
					tables[f.dir()][name.Name] = true
					if embedded || errorValue.MatchString(name.Name) || len(v.Values) > i && constant(v.Values[i]) {
						continue
					}
					wrong = append(wrong, f.found(name.Pos(), "package variable %s: only errors, templates, embedded files and fixed tables", name.Name))
				}
			}
		}
	}
	return append(wrong, changed(tr, tables)...)
}

// constant tells whether a value is fixed: a literal, a table of literals, or made by one of makers.
func constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit, *ast.CompositeLit, *ast.FuncLit:
		return true
	case *ast.UnaryExpr:
		return constant(e.X)
	case *ast.ParenExpr:
		return constant(e.X)
	case *ast.Ident, *ast.SelectorExpr, *ast.BinaryExpr:
		return true
	case *ast.CallExpr:
		if _, ok := e.Fun.(*ast.FuncLit); ok || makers[typeName(e.Fun)] {
			return true
		}
		if s, ok := e.Fun.(*ast.SelectorExpr); ok { // template.New("x").Parse, template.Must(…).Funcs
			if inner, ok := s.X.(*ast.CallExpr); ok {
				return constant(inner)
			}
		}
	}
	return false
}

// changed finds assignments to package variables and to what they hold.
func changed(tr *tree, tables map[string]map[string]bool) []finding {
	var wrong []finding
	for _, f := range tr.product() {
		global := func(e ast.Expr) bool {
			for {
				switch x := e.(type) {
				case *ast.IndexExpr:
					e = x.X
				case *ast.SelectorExpr:
					e = x.X
				case *ast.StarExpr:
					e = x.X
				case *ast.Ident:
					if !tables[f.dir()][x.Name] {
						return false
					}
					if x.Obj == nil {
						return true
					}
					_, spec := x.Obj.Decl.(*ast.ValueSpec)
					return spec && f.syntax.Scope.Lookup(x.Name) == x.Obj
				default:
					return false
				}
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, l := range n.Lhs {
					if n.Tok.String() != ":=" && global(l) {
						wrong = append(wrong, f.found(l.Pos(), "a package variable is changed"))
					}
				}
			case *ast.IncDecStmt:
				if global(n.X) {
					wrong = append(wrong, f.found(n.X.Pos(), "a package variable is changed"))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 && global(n.Args[0]) {
					wrong = append(wrong, f.found(n.Pos(), "a package variable is changed"))
				}
			}
			return true
		})
	}
	return wrong
}

// A result is used or refused in words: no bare `_ =`.
func ruleBlank(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.product() {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || a.Tok.String() != "=" {
				return true
			}
			for _, l := range a.Lhs {
				if id, ok := l.(*ast.Ident); !ok || id.Name != "_" {
					return true
				}
			}
			wrong = append(wrong, f.found(a.Pos(), "a result thrown away: handle it, or say why with nolint"))
			return true
		})
	}
	return wrong
}
