package tidy

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
)

var (
	amountColumn = regexp.MustCompile(`(?m)^\s+([a-z_]+) NUMERIC\(78, ?0\)`)
	queryName    = regexp.MustCompile(`^-- name: (\w+) :`)
	sqlComment   = regexp.MustCompile(`--.*$`)
	setsStatus   = regexp.MustCompile(`(?is)\bUPDATE\b.*?\bSET\b(.*?)(\bWHERE\b(.*)|$)`)
	statusColumn = regexp.MustCompile(`(?i)(^|[\s,])(status|deposit_status|state)\s*=`)
	sqlText      = regexp.MustCompile(`^\s*(SELECT\s.+\sFROM|INSERT INTO|UPDATE\s\S+\sSET|DELETE FROM|CREATE TABLE)\b`)
)

// A query is one statement of a query file.
type query struct {
	file *file
	name string
	line int
	text string // without comments, one line of the file each
}

func (tr *tree) queries() []query {
	var all []query
	for _, f := range tr.files {
		if path.Ext(f.path) != ".sql" || !strings.Contains(f.path, "/query/") {
			continue
		}
		for n, line := range f.lines {
			if m := queryName.FindStringSubmatch(line); m != nil {
				all = append(all, query{file: f, name: m[1], line: n + 1})
				continue
			}
			if len(all) > 0 && all[len(all)-1].file == f {
				all[len(all)-1].text += sqlComment.ReplaceAllString(line, "") + "\n"
			}
		}
	}
	return all
}

// SQL never compares, sorts, sums or computes amounts: in SQLite they are texts. Assigning one is fine.
func ruleAmounts(tr *tree) []finding {
	columns := map[string]bool{}
	for _, f := range tr.files {
		if path.Ext(f.path) == ".sql" && strings.Contains(f.path, "/postgres/") {
			for _, m := range amountColumn.FindAllStringSubmatch(f.text, -1) {
				columns[m[1]] = true
			}
		}
	}
	var wrong []finding
	for _, q := range tr.queries() {
		text := q.text
		if m := setsStatus.FindStringSubmatchIndex(text); m != nil { // assignments are not comparisons
			set := regexp.MustCompile(`\b[a-z_]+ = (@|excluded\.)[a-z_]+\s*(,|$)`).ReplaceAllString(text[m[2]:m[3]], " ")
			text = text[:m[2]] + set + text[m[3]:]
		}
		for c := range columns {
			use := regexp.MustCompile(`(?i)(\b(SUM|MAX|MIN|AVG|ABS)\s*\(\s*(\w+\.)?` + c + `\b|\bORDER BY[^;]*\b` + c + `\b|\bGROUP BY[^;]*\b` + c +
				`\b|\b` + c + `\s*(<|>|=|\+|-|\*|/|BETWEEN|IN\b)|(<|>|=|\+|-|\*|/)\s*(\w+\.)?` + c + `\b)`)
			if use.MatchString(text) {
				wrong = append(wrong, finding{path: q.file.path, line: q.line, name: q.name, text: sprint("query %s computes with the amount %s", q.name, c)})
			}
		}
	}
	return wrong
}

// A status or state changes only by compare-and-swap: in a query Swap…, or in one that names the state it comes from.
func ruleStatus(tr *tree) []finding {
	var wrong []finding
	for _, q := range tr.queries() {
		m := setsStatus.FindStringSubmatch(q.text)
		if m == nil || strings.HasPrefix(q.name, "Swap") || !statusColumn.MatchString(m[1]) {
			continue
		}
		if !regexp.MustCompile(`(?i)\bstate\s*=\s*'`).MatchString(m[3]) {
			wrong = append(wrong, finding{path: q.file.path, line: q.line, name: q.name, text: sprint("query %s changes a status and is no swap", q.name)})
		}
	}
	return wrong
}

// All SQL is in store.
func ruleSQL(tr *tree) []finding {
	var wrong []finding
	for _, f := range tr.product() {
		if f.dir() == "internal/store" || strings.HasPrefix(f.dir(), "internal/store/") {
			continue
		}
		for _, s := range f.syntax.Imports {
			if s.Path.Value == `"database/sql"` {
				wrong = append(wrong, f.found(s.Pos(), "all SQL is in store"))
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING && sqlText.MatchString(strings.Trim(l.Value, "`\"")) {
				wrong = append(wrong, f.found(l.Pos(), "all SQL is in store"))
			}
			return true
		})
	}
	return wrong
}
