// Package webtest drives pages in a real browser, Debian's chromium, and judges them: axe-core, html-validate, what moves
// sideways, what is too small to touch, what the page's own policy forbids. Without a chromium its tests are skipped on a
// developer's machine and fail where PIPE_NEED_BROWSER is set, as `make test` does.
package webtest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	// Patience is how long anything in a browser may take on a busy machine.
	Patience = 30 * time.Second
	// poll is how often Wait looks.
	poll = 20 * time.Millisecond
)

// A Browser is the one that all tests of a package share. It starts with the first tab.
type Browser struct {
	once sync.Once
	ctx  context.Context
	end  context.CancelFunc
	err  error
}

// Main runs a package's tests and ends the browser after them.
func (b *Browser) Main(m *testing.M) int {
	code := m.Run()
	if b.end != nil {
		b.end()
	}
	return code
}

// Tab opens a new tab with its own cookies. Names that end in .test lead to this machine.
func (b *Browser) Tab(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("PIPE_NEED_BROWSER") != "" {
			t.Fatal("no chromium: apt-get install -y chromium fonts-noto-cjk")
		}
		t.Skip("no chromium: apt-get install -y chromium fonts-noto-cjk")
	}
	b.once.Do(func() {
		alloc, _ := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox,
			chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
			chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
			chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"), chromedp.Flag("disable-popup-blocking", true))
		b.ctx, b.end = chromedp.NewContext(alloc)
		b.err = chromedp.Do(b.ctx)
	})
	if b.err != nil {
		t.Fatalf("start chromium: %v", b.err)
	}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	watch(t, ctx)
	return ctx
}

// watch fails the test at its end for every policy violation (C23) and script error of every page that the tab saw, unless
// the page set window.expected.
func watch(t *testing.T, ctx context.Context) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	err := chromedp.Listen(ctx, func(ev any) {
		if called, ok := ev.(*runtime.EventBindingCalled); ok && called.Name == "violated" {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, called.Payload)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, runtime.AddBinding, runtime.AddBindingParams{Name: "violated"}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `{const tell=(e,text)=>{if(!window.expected)violated(location.pathname+' '+text)};
			addEventListener('securitypolicyviolation',e=>tell(e,e.violatedDirective+' '+e.blockedURI+' '+e.sample));
			addEventListener('error',e=>tell(e,'error '+e.message));addEventListener('unhandledrejection',e=>tell(e,'rejection '+e.reason));}`,
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if len(seen) > 0 {
			t.Errorf("violations and errors: %q", seen)
		}
	})
}

// Run does steps within Patience and fails the test otherwise.
func Run(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	once, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if err := chromedp.Do(once, steps...); err != nil {
		t.Fatal(err)
	}
}

// Get evaluates an expression in the page.
func Get[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Wait polls until an expression is true.
func Wait(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	end := time.Now().Add(Patience)
	for {
		once, cancel := context.WithTimeout(ctx, Patience)
		v, err := chromedp.Run(once, chromedp.Evaluate[bool]("!!("+expression+")"))
		cancel()
		if err == nil && v {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never true: %s (%v)\n%s", expression, err, Get[string](t, ctx, "document.body.innerText"))
		}
		time.Sleep(poll)
	}
}

// ScriptOff forbids scripts, in this tab from the next page on.
func ScriptOff(t *testing.T, ctx context.Context, off bool) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: off}); err != nil {
		t.Fatal(err)
	}
}

// Colours asks for light or dark, with nothing that moves.
func Colours(t *testing.T, ctx context.Context, colour string) {
	t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: colour}, {Name: "prefers-reduced-motion", Value: "reduce"}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
}

// Whole tells whether every combination is drawn, as make test-browser does, or one for each page.
func Whole() bool { return os.Getenv("PIPE_BROWSER_WHOLE") != "" }

// Pictures is the directory that keeps what tests drew, "" for none.
func Pictures() string { return os.Getenv("PIPE_PICTURES") }

// Looks checks what every picture must have: nothing moves sideways, and what is touched is 44 px tall (C13, C14). A link in
// a running text is as tall as its line.
func Looks(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if wide := Get[int](t, ctx, "document.documentElement.scrollWidth-document.documentElement.clientWidth"); wide > 0 {
		t.Errorf("%s: scrolls sideways by %d px", name, wide)
	}
	small := Get[[]string](t, ctx, `[...document.querySelectorAll('a,button,summary,select,textarea,.code label,label.check,input:not([type=hidden],[type=checkbox],[type=radio],.sr)')]
		.filter(e=>e.offsetParent&&!e.disabled&&e.getBoundingClientRect().height<43.5&&!(e.matches('a')&&e.parentElement.textContent.trim().length>e.textContent.trim().length+3&&getComputedStyle(e).display==='inline')).map(e=>e.textContent.trim().slice(0,40)||e.name)`)
	if len(small) > 0 {
		t.Errorf("%s: targets under 44 px: %s", name, strings.Join(small, ", "))
	}
}
