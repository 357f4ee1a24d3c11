package webtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// root is the directory of this module.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "tools", "npm.sh")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("tools/npm.sh is in no directory above this")
}

// checker is the path of axe-core or html-validate, or "" after saying loudly that nothing was proven. CI must have them.
func checker(t *testing.T, path string) string {
	t.Helper()
	dir, err := root()
	var out []byte
	if err == nil {
		out, err = exec.CommandContext(t.Context(), filepath.Join(dir, "tools", "npm.sh")).Output()
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Logf("NOT PROVEN: %s could not be had from npm: %v", path, err)
		return ""
	}
	return filepath.Join(strings.TrimSpace(string(out)), "node_modules", path)
}

// axeRun asks for every rule of WCAG 2.0 to 2.2 A and AA and the best practices, and for what axe could not decide.
const axeRun = `axe.run(document,{runOnly:['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']})
	.then(r=>JSON.stringify({v:r.violations.map(one),i:r.incomplete.map(one),p:r.passes.length}));
	function one(x){return x.id+': '+x.nodes.map(n=>n.target.join(' ')+' '+(n.any.concat(n.all,n.none).map(c=>c.message).join('; '))).join(' | ')}`

// leastRules is how many rules apply to any whole page.
const leastRules = 15

// An Axe is axe-core's judgement, in the page that it runs in. It is loaded in each page anew. A nil one judges nothing.
type Axe struct{ source string }

// LoadAxe is nil, with a word about it, where npm cannot be reached.
func LoadAxe(t *testing.T) *Axe {
	t.Helper()
	path := checker(t, "axe-core/axe.min.js")
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &Axe{string(b)}
}

// Judge fails the test for each violation and for each thing that axe cannot decide.
func (a *Axe) Judge(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if a == nil {
		return
	}
	if !Get[bool](t, ctx, "!!window.axe") {
		Run(t, ctx, chromedp.Steps(evaluate(a.source+";1")))
	}
	var r struct {
		V, I []string
		P    int
	}
	if err := json.Unmarshal([]byte(Get[string](t, ctx, axeRun)), &r); err != nil {
		t.Fatal(err)
	}
	if r.P < leastRules {
		t.Errorf("%s: axe applied only %d rules", name, r.P)
	}
	for _, v := range r.V {
		t.Errorf("%s: axe: %s", name, v)
	}
	for _, v := range r.I {
		t.Errorf("%s: axe cannot decide: %s", name, v)
	}
}

// evaluate runs a script for its effect.
func evaluate(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[int](script))
		return err
	})
}

// HTML fails the test for each error that html-validate finds in pages, which are known by names (C35).
func HTML(t *testing.T, pages map[string][]byte) {
	t.Helper()
	bin := checker(t, "html-validate/bin/html-validate.mjs")
	if bin == "" {
		return
	}
	dir := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		if err := os.WriteFile(filepath.Join(dir, name+".html"), pages[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, ".htmlvalidate.json")
	if err := os.WriteFile(config, []byte(htmlRules), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", bin, "--config", config, "--formatter", "text", fmt.Sprintf("%s/*.html", dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("html-validate: %v\n%s", err, out)
	}
}

// htmlRules are all that html-validate recommends for a document, but for matters of taste: how white space, voids and
// doctypes are written, how long a title is, and that checkboxes of one list have one name.
const htmlRules = `{"root":true,"extends":["html-validate:recommended","html-validate:document"],"rules":{"no-trailing-whitespace":"off",
"void-style":"off","doctype-style":"off","attribute-boolean-style":"off","no-implicit-button-type":"error","long-title":"off","form-dup-name":["error",{"shared":["radio","checkbox","submit","button","reset"]}],"require-sri":["error",{"target":"crossorigin"}]}}`
