// Package browsertest drives the payment page in a real browser: Debian's chromium. Without one its tests are skipped on a
// developer's machine and fail where PIPE_NEED_BROWSER is set, as `make test` does.
package browsertest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout"
	"github.com/pipe-pg/pipe/internal/checkout/gallery"
)

// patience is how long anything in a browser may take on a busy machine.
const patience = 30 * time.Second

var (
	browserOnce sync.Once
	browserCtx  context.Context
	browserEnd  context.CancelFunc
	browserErr  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if browserEnd != nil {
		browserEnd()
	}
	os.Exit(code)
}

// tab opens a new tab, with its own cookies, of the one browser that all tests share.
func tab(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("PIPE_NEED_BROWSER") != "" {
			t.Fatal("no chromium: apt-get install -y chromium fonts-noto-cjk")
		}
		t.Skip("no chromium: apt-get install -y chromium fonts-noto-cjk")
	}
	browserOnce.Do(func() {
		alloc, _ := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox,
			chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
			chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
			chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"), chromedp.Flag("disable-popup-blocking", true))
		browserCtx, browserEnd = chromedp.NewContext(alloc)
		browserErr = chromedp.Do(browserCtx)
	})
	if browserErr != nil {
		t.Fatalf("start chromium: %v", browserErr)
	}
	ctx, cancel := chromedp.NewContext(browserCtx, chromedp.WithNewBrowserContext())
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

// run does steps within patience and fails the test otherwise.
func run(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// get evaluates an expression in the page.
func get[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait polls until an expression is true.
func wait(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		once, cancel := context.WithTimeout(ctx, patience)
		v, err := chromedp.Run(once, chromedp.Evaluate[bool]("!!("+expression+")"))
		cancel()
		if err == nil && v {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never true: %s (%v)\n%s", expression, err, get[string](t, ctx, "document.body.innerText"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A site is the payment page, served on loopback under a name of its own.
type site struct {
	*gallery.Desk
	URL    string
	server *httptest.Server
	down   *atomic.Bool
}

// cut breaks all connections and answers none, until it is told to end.
func (s site) cut(yes bool) {
	if s.down.Store(yes); yes {
		s.server.CloseClientConnections()
	}
}

func serve(t *testing.T, edit func(*checkout.Options)) site {
	t.Helper()
	desk := gallery.NewDesk(gallery.Fixtures())
	var h http.Handler
	var down atomic.Bool
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	}))
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	url := "http://pay.test:" + port
	o := checkout.Options{Desk: desk, Wakes: desk, Nets: gallery.Nets(), PublicURL: url, RatePerPage: 10000, RatePerIP: 100000,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if edit != nil {
		edit(&o)
	}
	if h, err = checkout.New(o); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return site{desk, url, s, &down}
}

func (s site) page(name string) string { return s.URL + "/invoice-" + string(gallery.ID(name)) }

func scriptOff(t *testing.T, ctx context.Context) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
}

// looks checks what every picture must have.
func looks(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if wide := get[int](t, ctx, "document.documentElement.scrollWidth-document.documentElement.clientWidth"); wide > 0 {
		t.Errorf("%s: scrolls sideways by %d px", name, wide)
	}
	small := get[[]string](t, ctx, `[...document.querySelectorAll('a,button,summary,.code label')].filter(e=>e.offsetParent&&(e.getBoundingClientRect().height<43.5)).map(e=>e.textContent)`)
	if len(small) > 0 {
		t.Errorf("%s: targets under 44 px: %q", name, small)
	}
}

func keep(t *testing.T, ctx context.Context, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// loopback reaches the sites of the tests by their names.
var loopback = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
}}}

func pictures() string { return os.Getenv("PIPE_PICTURES") }

// TestC16QRScans reads the QR codes off a screenshot, as a camera would: both coins, both toggles, light and dark.
func TestC16QRScans(t *testing.T) {
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		if os.Getenv("PIPE_NEED_BROWSER") != "" {
			t.Fatal("no zbarimg: apt-get install -y zbar-tools")
		}
		t.Skip("no zbarimg: apt-get install -y zbar-tools")
	}
	s := serve(t, nil)
	ctx := tab(t)
	want := map[string][2]string{
		"await-btc": {"bitcoin:" + gallery.BTCAddress + "?amount=0.00066731", gallery.BTCAddress},
		"await-eth": {"ethereum:" + gallery.ETHAddress + "@1?value=2310010000000000", gallery.ETHAddress},
		"partial":   {"bitcoin:" + gallery.BTCAddress + "?amount=0.0001675", gallery.BTCAddress},
	}
	for _, colour := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colour}}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		for name, texts := range want {
			run(t, ctx, chromedp.EmulateViewport(360, 900), chromedp.Navigate(s.page(name)))
			if !get[bool](t, ctx, "devicePixelRatio===1&&document.querySelector('.both .qr').getBoundingClientRect().width>=240") {
				t.Errorf("%s: the picture is not one of 240 px at one pixel a dot", name)
			}
			for i, toggle := range []string{"both", "only"} {
				run(t, ctx, chromedp.Click(chromedp.CSS("label[for=qr-"+toggle+"]")), chromedp.WaitVisible(chromedp.CSS("."+toggle+" .qr")))
				path := filepath.Join(t.TempDir(), "qr.png")
				keep(t, ctx, path)
				out, err := exec.CommandContext(ctx, zbar, "-q", "--raw", path).Output()
				if got := strings.TrimSpace(string(out)); err != nil || got != texts[i] {
					t.Errorf("%s %s %s: scanned %q (%v), want %q", name, toggle, colour, got, err, texts[i])
				}
			}
		}
	}
}

// TestOtherPages looks at the pages beside the payment page.
func TestOtherPages(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	base := func(name string) string { return s.URL + "/invoice/" + string(gallery.ID(name)) }
	for name, path := range map[string]string{"refund": base("partial-expired") + "/refund-address?x=1", "cancel": base("partial") + "/cancel?x=1",
		"error": s.URL + "/invoice-0?x=1"} {
		for _, lang := range []string{"en", "ko"} {
			run(t, ctx, chromedp.EmulateViewport(390, 800), chromedp.Navigate(path+"&lang="+lang))
			looks(t, ctx, name+"-"+lang)
			if pictures() != "" {
				keep(t, ctx, filepath.Join(pictures(), name+"-"+lang+".png"))
			}
			if name != "refund" {
				continue
			}
			run(t, ctx, chromedp.SendKeys(chromedp.CSS("input[name=address]"), "nonsense"), chromedp.Click(chromedp.CSS("button.primary")), chromedp.WaitVisible(chromedp.CSS(".fault")))
			looks(t, ctx, "refund-fault-"+lang)
			if pictures() != "" {
				keep(t, ctx, filepath.Join(pictures(), "refund-fault-"+lang+".png"))
			}
			run(t, ctx, chromedp.SetValue(chromedp.CSS("input[name=address]"), gallery.BTCAddress), chromedp.Click(chromedp.CSS("button.primary")), chromedp.WaitVisible(chromedp.CSS(".address.big")))
			looks(t, ctx, "refund-check-"+lang)
			if pictures() != "" {
				keep(t, ctx, filepath.Join(pictures(), "refund-check-"+lang+".png"))
			}
		}
	}
}
