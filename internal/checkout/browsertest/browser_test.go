// Package browsertest drives the payment page in a real browser.
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
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout"
	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/webtest"
)

// chromium is the one browser of these tests.
var chromium webtest.Browser

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

func tab(t *testing.T) context.Context { t.Helper(); return chromium.Tab(t) }

func run(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	webtest.Run(t, ctx, steps...)
}

func get[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	return webtest.Get[T](t, ctx, expression)
}

func wait(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	webtest.Wait(t, ctx, expression)
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

// loopback reaches the sites of the tests by their names.
var loopback = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
}}}

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
				webtest.Keep(t, ctx, path)
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
			webtest.Looks(t, ctx, name+"-"+lang)
			if webtest.Pictures() != "" {
				webtest.Keep(t, ctx, filepath.Join(webtest.Pictures(), name+"-"+lang+".png"))
			}
			if name != "refund" {
				continue
			}
			run(t, ctx, chromedp.SendKeys(chromedp.CSS("input[name=address]"), "nonsense"), chromedp.Click(chromedp.CSS("button.primary")), chromedp.WaitVisible(chromedp.CSS(".fault")))
			webtest.Looks(t, ctx, "refund-fault-"+lang)
			if webtest.Pictures() != "" {
				webtest.Keep(t, ctx, filepath.Join(webtest.Pictures(), "refund-fault-"+lang+".png"))
			}
			run(t, ctx, chromedp.SetValue(chromedp.CSS("input[name=address]"), gallery.BTCAddress), chromedp.Click(chromedp.CSS("button.primary")), chromedp.WaitVisible(chromedp.CSS(".address.big")))
			webtest.Looks(t, ctx, "refund-check-"+lang)
			if webtest.Pictures() != "" {
				webtest.Keep(t, ctx, filepath.Join(webtest.Pictures(), "refund-check-"+lang+".png"))
			}
		}
	}
}
