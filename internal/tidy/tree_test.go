package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pipe-pg/pipe"

// A tree is all files of the project, or of a planted violation, by their slash-separated path below its root.
type tree struct {
	root  string
	files []*file
}

// A file is one text; of a Go file also its syntax.
type file struct {
	path  string
	text  string
	lines []string

	fset      *token.FileSet
	syntax    *ast.File // nil: not a Go file
	imported  map[string]string
	test      bool
	generated bool
}

// A finding is one place that breaks a rule.
type finding struct {
	path string
	line int
	name string // of the function or whatever an exception would name; may be empty
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.text) }

// skipped are directories that hold nothing of ours: what builds and runs leave behind, and what is planted.
var skipped = []string{".git", "bin", "node_modules", "data", "pipe-demo-data"}

var generatedLine = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func readTree(t *testing.T, root string) *tree {
	t.Helper()
	tr := &tree{root: root}
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if slices.Contains(skipped, rel) || d.Name() == "node_modules" || rel == "internal/tidy/testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := readFile(root, rel)
		if f != nil {
			tr.files = append(tr.files, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

var texts = []string{".go", ".md", ".sh", ".sql", ".html", ".js", ".css", ".json", ".yaml", ".txt", ".mod", ".svg", ".txtar"}

func readFile(root, rel string) (*file, error) {
	name := path.Base(rel)
	if !slices.Contains(texts, path.Ext(name)) && name != "Makefile" && name != ".gitignore" && rel != ".ci/run" {
		return nil, nil //nolint:nilnil // not a text: nothing to read
	}
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
	if err != nil {
		return nil, err
	}
	f := &file{path: rel, text: string(b), lines: strings.Split(string(b), "\n"), test: strings.HasSuffix(rel, "_test.go")}
	if path.Ext(rel) == ".go" && !inTestdata(rel) {
		f.fset = token.NewFileSet()
		f.generated = generatedLine.MatchString(f.text)
		if f.syntax, err = parser.ParseFile(f.fset, rel, b, parser.ParseComments); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func inTestdata(rel string) bool { return slices.Contains(strings.Split(rel, "/"), "testdata") }

// dir is the package's directory.
func (f *file) dir() string { return path.Dir(f.path) }

func (f *file) at(pos token.Pos) int { return f.fset.Position(pos).Line }

func (f *file) found(pos token.Pos, format string, args ...any) finding {
	return finding{path: f.path, line: f.at(pos), text: fmt.Sprintf(format, args...)}
}

// code are the Go files that people wrote and that are no tests, below internal, client and cmd.
func (tr *tree) code() []*file {
	return tr.where(func(f *file) bool {
		return f.syntax != nil && !f.test && !f.generated && !strings.HasPrefix(f.path, "tools/")
	})
}

// product is code without packages that only tests and measurements link.
func (tr *tree) product() []*file {
	var all []*file
	for _, f := range tr.code() {
		if !supports(f.dir()) {
			all = append(all, f)
		}
	}
	return all
}

// supports tells whether a package only helps tests and measurements: its name says so.
func supports(dir string) bool {
	return strings.HasSuffix(dir, "test") || path.Base(dir) == "gallery" || dir == "internal/bench" || dir == "internal/sim"
}

func (tr *tree) where(keep func(*file) bool) []*file {
	var all []*file
	for _, f := range tr.files {
		if keep(f) {
			all = append(all, f)
		}
	}
	return all
}

var major = regexp.MustCompile(`^v\d+$`)

// imports are the import paths of a file by their local names.
func (f *file) imports() map[string]string {
	if f.imported != nil {
		return f.imported
	}
	all := map[string]string{}
	for _, s := range f.syntax.Imports {
		p := strings.Trim(s.Path.Value, `"`)
		local := path.Base(p)
		if s.Name != nil {
			local = s.Name.Name
		} else if major.MatchString(local) {
			local = path.Base(path.Dir(p))
		}
		all[local] = p
	}
	f.imported = all
	return all
}

// uses tells the import path and the name of an expression like pkg.Name; "" when it is none.
func (f *file) uses(n ast.Node) (imported, name string) {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok || x.Obj != nil {
		return "", ""
	}
	return f.imports()[x.Name], s.Sel.Name
}

// functions calls do for each function of a file, literals of package variables apart.
func (f *file) functions(do func(name string, fn *ast.FuncDecl)) {
	for _, d := range f.syntax.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := fn.Name.Name
		if fn.Recv != nil && len(fn.Recv.List) == 1 {
			typ := fn.Recv.List[0].Type
			if s, ok := typ.(*ast.StarExpr); ok {
				typ = s.X
			}
			if i, ok := typ.(*ast.IndexExpr); ok {
				typ = i.X
			}
			if id, ok := typ.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		do(name, fn)
	}
}
