package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// selectors reports the uses of imported names for which judge has an answer.
func (f *file) selectors(judge func(imported, name string) string) []finding {
	var wrong []finding
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if n == nil {
			return false
		}
		if imported, name := f.uses(n); imported != "" {
			if text := judge(imported, name); text != "" {
				wrong = append(wrong, f.found(n.Pos(), "%s", text))
			}
		}
		return true
	})
	return wrong
}

var (
	purePackages = []string{"internal/money", "internal/ledger", "internal/payment"}
	pureImports  = []string{"bytes", "cmp", "encoding/json", "errors", "fmt", "iter", "maps", "math/big", "math/bits", "net/netip", "regexp",
		"slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8"}
	clockNames = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"}
)

// The pure packages know no float, clock, randomness, context, log, input or output.
func rulePure(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.code() {
		if !slices.Contains(purePackages, f.dir()) {
			continue
		}
		for _, s := range f.syntax.Imports {
			p := strings.Trim(s.Path.Value, `"`)
			if !slices.Contains(pureImports, p) && !strings.HasPrefix(p, module+"/") {
				wrong = append(wrong, f.found(s.Pos(), "a pure package must not import %s", p))
			}
		}
		wrong = append(wrong, f.selectors(func(imported, name string) string {
			switch {
			case imported == "time" && slices.Contains(clockNames, name):
				return fmt.Sprintf("time.%s reads a clock: take the time as an argument", name)
			case imported == "fmt" && (strings.HasPrefix(name, "Print") || strings.HasPrefix(name, "Scan")):
				return fmt.Sprintf("fmt.%s is input or output", name)
			case imported == "math/big" && strings.Contains(name, "Float"):
				return "money is never a float"
			}
			return ""
		})...)
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if n.Name == "float64" || n.Name == "float32" {
					wrong = append(wrong, f.found(n.Pos(), "money is never a float"))
				}
			case *ast.BasicLit:
				if n.Kind == token.FLOAT {
					wrong = append(wrong, f.found(n.Pos(), "money is never a float"))
				}
			case *ast.SelectorExpr:
				if n.Sel.Name == "Float64" || n.Sel.Name == "Float32" || n.Sel.Name == "SetFloat64" {
					wrong = append(wrong, f.found(n.Pos(), "money is never a float"))
				}
			case *ast.GoStmt:
				wrong = append(wrong, f.found(n.Pos(), "a pure package starts no goroutine"))
			}
			return true
		})
	}
	return wrong
}

// jitter are the only files outside tests that may import math/rand: they lengthen pauses.
var jitter = []string{"internal/app/workers.go", "internal/worker/loop.go", "internal/store/store.go"}

// Ids, keys and tokens come from crypto/rand; math/rand is for jitter.
func ruleRandom(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.product() {
		for _, s := range f.syntax.Imports {
			p := strings.Trim(s.Path.Value, `"`)
			if (p == "math/rand" || p == "math/rand/v2") && !slices.Contains(jitter, f.path) {
				wrong = append(wrong, f.found(s.Pos(), "%s is for jitter only: ids, keys and tokens come from crypto/rand", p))
			}
		}
	}
	return wrong
}

// Only app makes a signer, and of the engine only Pool and Payer hold one.
func ruleSigner(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.product() {
		if f.dir() != "internal/app" && f.dir() != "internal/signer" {
			wrong = append(wrong, f.selectors(func(imported, name string) string {
				if imported == module+"/internal/signer" && name == "Open" {
					return "only app makes a signer"
				}
				return ""
			})...)
		}
		if f.dir() == "internal/app" || f.dir() == "internal/signer" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok || f.dir() == "internal/engine" && (spec.Name.Name == "Pool" || spec.Name.Name == "Payer") {
				return true
			}
			for _, field := range s.Fields.List {
				if name := typeName(field.Type); name == "Signer" || name == "engine.Signer" || name == "signer.Signer" {
					wrong = append(wrong, f.found(field.Pos(), "only Pool and Payer hold a signer"))
				}
			}
			return true
		})
	}
	return wrong
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return ""
}
