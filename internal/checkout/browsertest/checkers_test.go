package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// checkers is where axe-core and html-validate are, "" with the reason where npm cannot get them.
var checkers = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("../../../tools/npm.sh").Output()
	if err != nil {
		return "", fmt.Errorf("tools/npm.sh: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// checker is the path of one, or "" after saying loudly that nothing was proven. CI must have them.
func checker(t *testing.T, path string) string {
	t.Helper()
	dir, err := checkers()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Logf("NOT PROVEN: %s could not be had from npm: %v", path, err)
		return ""
	}
	return filepath.Join(dir, "node_modules", path)
}

// axeRun asks for every rule of WCAG 2.0 to 2.2 A and AA and the best practices, and for what axe could not decide.
const axeRun = `axe.run(document,{runOnly:['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']})
	.then(r=>JSON.stringify({v:r.violations.map(one),i:r.incomplete.map(one),p:r.passes.length}));
	function one(x){return x.id+': '+x.nodes.map(n=>n.target.join(' ')+' '+(n.any.concat(n.all,n.none).map(c=>c.message).join('; '))).join(' | ')}`

// An axeCore is axe-core's judgement, in the page that it runs in. It is loaded in each page anew.
type axeCore struct{ source string }

func loadAxe(t *testing.T) *axeCore {
	t.Helper()
	path := checker(t, "axe-core/axe.min.js")
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &axeCore{string(b)}
}

// reviewed are what axe cannot decide and a person did, by the beginning of its line: the reason follows.
var reviewed = map[string]string{}

// judge fails the test for each violation and for each incomplete that nobody reviewed.
func (a *axeCore) judge(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if a == nil {
		return
	}
	if !get[bool](t, ctx, "!!window.axe") {
		run(t, ctx, chromedp.Steps(evaluate(a.source+";1")))
	}
	var r struct {
		V, I []string
		P    int
	}
	if err := json.Unmarshal([]byte(get[string](t, ctx, axeRun)), &r); err != nil {
		t.Fatal(err)
	}
	if r.P < 15 {
		t.Errorf("%s: axe applied only %d rules", name, r.P)
	}
	for _, v := range r.V {
		t.Errorf("%s: axe: %s", name, v)
	}
	for _, v := range r.I {
		rule, _, _ := strings.Cut(v, ":")
		if reviewed[rule] == "" {
			t.Errorf("%s: axe cannot decide: %s", name, v)
		}
	}
}

// evaluate runs a script for its effect.
func evaluate(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[int](script))
		return err
	})
}

// TestC35HTML: html-validate finds no error in any state, language or page beside.
func TestC35HTML(t *testing.T) {
	bin := checker(t, "html-validate/bin/html-validate.mjs")
	if bin == "" {
		return
	}
	s := serve(t, nil)
	dir := t.TempDir()
	for name, url := range pages(s) {
		if err := os.WriteFile(filepath.Join(dir, name+".html"), fetch(t, url), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, ".htmlvalidate.json")
	if err := os.WriteFile(config, []byte(htmlRules), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", bin, "--config", config, "--formatter", "text", dir+"/*.html")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("html-validate: %v\n%s", err, out)
	}
}

// htmlRules are all that html-validate recommends for a document, but for matters of taste: how white space, voids and
// doctypes are written, and how long a title is.
const htmlRules = `{"root":true,"extends":["html-validate:recommended","html-validate:document"],"rules":{"no-trailing-whitespace":"off",
"void-style":"off","doctype-style":"off","attribute-boolean-style":"off","no-implicit-button-type":"error","long-title":"off","require-sri":["error",{"target":"crossorigin"}]}}`
