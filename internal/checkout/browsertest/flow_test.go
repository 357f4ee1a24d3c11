package browsertest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webtest"
)

func view(t *testing.T, name string) engine.View {
	t.Helper()
	for _, f := range gallery.Fixtures() {
		if f.Name == name {
			return f.View
		}
	}
	t.Fatalf("no fixture %s", name)
	return engine.View{}
}

func h1(t *testing.T, ctx context.Context) string {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("h1")))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestC2WithoutScript walks a payer's whole way by plain forms.
func TestC2WithoutScript(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	webtest.ScriptOff(t, ctx, true)
	run(t, ctx, chromedp.Navigate(s.page("choose")+"?lang=ko"), chromedp.Click(chromedp.CSS("#coin-BTC")))
	run(t, ctx, chromedp.WaitVisible(chromedp.CSS(".qr")))
	if got := h1(t, ctx); got != "아래 금액을 정확히 보내 주세요" {
		t.Errorf("after choosing: %q", got)
	}
	// The other QR code, the extension and the refresh are there without script.
	run(t, ctx, chromedp.Click(chromedp.CSS("label[for=qr-only]")), chromedp.WaitVisible(chromedp.CSS(".only .qr")),
		chromedp.WaitNotVisible(chromedp.CSS(".both .qr")))
	run(t, ctx, chromedp.Click(chromedp.CSS("noscript form button")), chromedp.WaitVisible(chromedp.CSS(".notice.good")))
	s.Put(gallery.ID("choose"), view(t, "partial-expired"))
	run(t, ctx, chromedp.Click(chromedp.CSS("noscript a.button")), chromedp.WaitVisible(chromedp.CSS(".need")))
	run(t, ctx, chromedp.Click(chromedp.CSS(".need a")), chromedp.SendKeys(chromedp.CSS("input[name=address]"), gallery.BTCAddress),
		chromedp.Click(chromedp.CSS("button.primary")), chromedp.WaitVisible(chromedp.CSS(".address.big")),
		chromedp.Click(chromedp.CSS("input[name=right]")), chromedp.Click(chromedp.CSS("button.primary")), chromedp.WaitVisible(chromedp.CSS("#d-refund")))
	want := "choose BTC false, more, refund BTC " + gallery.BTCAddress
	if got := strings.Join(s.Acts(), ", "); got != want {
		t.Errorf("did %s, want %s", got, want)
	}
	run(t, ctx, chromedp.Click(chromedp.CSS("a.lang")), chromedp.WaitVisible(chromedp.CSS("html[lang=en]")))
}

// TestC11Live: the page follows the payment, tells each change once, and keeps what the payer did.
func TestC11Live(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	id := gallery.ID("await-btc")
	run(t, ctx, chromedp.Navigate(s.page("await-btc")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	get[int](t, ctx, `(window.told=[],new MutationObserver(()=>told.push(document.getElementById('say').textContent)).observe(document.getElementById('say'),{childList:true}),
		document.getElementById('d-refund').open=true,document.getElementById('qr-only').checked=true,1)`)
	steps := []struct{ fixture, want string }{
		{"dropped", "document.querySelector('.notice.strong')"},
		{"seen", "document.title==='Seen'&&!document.querySelector('.qr')"},
		{"confirming-btc", "document.title==='Confirming 1/2'&&document.querySelector('.steps .now')"},
		{"paid", "document.title==='✓ Paid'&&document.querySelector('.tickmark')"},
	}
	for i, step := range steps {
		start := time.Now()
		s.Put(id, view(t, step.fixture))
		wait(t, ctx, step.want)
		if took := time.Since(start); took > 3*time.Second { // well under the recheck of 5 s
			t.Errorf("%s took %s", step.fixture, took)
		}
		if i == 0 && !get[bool](t, ctx, "document.getElementById('d-refund').open&&document.getElementById('qr-only').checked") {
			t.Error("a change closed what the payer had opened")
		}
	}
	told := get[[]string](t, ctx, "told")
	want := []string{"The network dropped your payment. Nothing has arrived.", "Payment seen. Waiting for the network.", "Confirming: 1 of 2", "Payment complete"}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if got := get[string](t, ctx, "document.getElementById('say').getAttribute('aria-live')"); got != "assertive" {
		t.Errorf("paid is told %s", got)
	}
}

// TestC1OneCoin: with script no click is needed, and going back does not trap.
func TestC1OneCoin(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	run(t, ctx, chromedp.Navigate(s.page("choose-one")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	if got := s.Acts(); len(got) != 1 || got[0] != "choose BTC false" {
		t.Errorf("did %q", got)
	}
}

func TestC18C19Copy(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	run(t, ctx, chromedp.Navigate(s.page("await-eth")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	// pay.test is no secure context, so this is the way without the Clipboard API.
	get[int](t, ctx, `(document.addEventListener('copy',()=>{window.copied=getSelection().toString()||document.activeElement.value}),1)`)
	for selector, want := range map[string]string{".amount .copy": "0.00231001", ".row .copy": gallery.ETHAddress} {
		run(t, ctx, chromedp.Click(chromedp.CSS(selector)))
		wait(t, ctx, fmt.Sprintf("window.copied===%q", want))
	}
	wait(t, ctx, "document.getElementById('say').textContent==='Copied'")
	whole := get[string](t, ctx, `(()=>{const r=document.createRange();r.selectNodeContents(document.querySelector('.address .fours'));getSelection().removeAllRanges();getSelection().addRange(r);return getSelection().toString()})()`)
	if whole != gallery.ETHAddress {
		t.Errorf("selecting the address gives %q", whole)
	}
}

// shop serves a shop's page under an origin of its own. Its policy allows no inline script or style.
func shop(t *testing.T, host string, pay site, script string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' "+pay.URL+"; frame-src "+pay.URL+"; connect-src "+pay.URL)
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Shop</title><button id="pay">Pay</button><script src="%s/pipe.js"></script><script src="/shop.js"></script>`, pay.URL)
	})
	mux.HandleFunc("/shop.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, `window.log=[];window._PIPE_PG_CLOSE=()=>log.push('close');`+script)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + host + ":" + port
}

func opens(url, mode string) string {
	return fmt.Sprintf(`document.getElementById('pay').onclick=()=>{window.handle=PIPE.open(%q,{mode:%q,onStatus:s=>log.push('status '+s.status+'/'+s.deposit_status),onClose:s=>log.push('closed '+(s&&s.status))})};`, url, mode)
}

func layered(origin string, name string, t *testing.T) engine.View {
	v := view(t, name)
	v.Invoice.OpenType = payment.OpenLayer
	v.Application.Origins = []string{"https://elsewhere.example", origin + "/store"}
	return v
}

func TestC26Layer(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	id := gallery.ID("await-btc")
	origin := shop(t, "shop.test", s, opens(s.page("await-btc"), "layer"))
	s.Put(id, layered(origin, "await-btc", t))
	run(t, ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(origin), chromedp.Click(chromedp.CSS("#pay")))
	wait(t, ctx, "log[0]==='status 1/0'")
	// Forgeries: the right words from the wrong window, and for another invoice.
	get[int](t, ctx, fmt.Sprintf(`(window.postMessage({pipe:1,type:'status',invoice_id:%q,status:2,deposit_status:1},'*'),window.postMessage({pipe:1,type:'close',invoice_id:%q},'*'),1)`, id, id))
	s.Put(id, layered(origin, "seen", t))
	wait(t, ctx, "log[1]==='status 1/2'")
	if dir := webtest.Pictures(); dir != "" {
		webtest.Keep(t, ctx, dir+"/layer.png")
	}
	s.Put(id, layered(origin, "paid", t))
	wait(t, ctx, "log.includes('closed 2')")
	if got := strings.Join(get[[]string](t, ctx, "log"), ", "); got != "status 1/0, status 1/2, status 2/1, close, closed 2" {
		t.Errorf("the shop heard %s", got)
	}
	if got := get[bool](t, ctx, "!document.querySelector('dialog')&&document.activeElement.id==='pay'&&document.documentElement.style.overflow===''"); !got {
		t.Error("the layer left something behind")
	}
	if got := get[[]string](t, ctx, "Object.getOwnPropertyNames(window).filter(k=>k==='PIPE'||/pipe/i.test(k)&&k!=='_PIPE_PG_CLOSE')"); len(got) != 1 {
		t.Errorf("globals %q", got)
	}
}

// TestC26LayerClosedUnpaid: closing before paying calls onClose only.
func TestC26LayerClosedUnpaid(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	origin := shop(t, "shop.test", s, opens(s.page("await-btc"), "layer"))
	s.Put(gallery.ID("await-btc"), layered(origin, "await-btc", t))
	run(t, ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(origin), chromedp.Click(chromedp.CSS("#pay")))
	wait(t, ctx, "log.length===1")
	get[int](t, ctx, "(handle.close(),handle.close(),1)")
	if got := strings.Join(get[[]string](t, ctx, "log"), ", "); got != "status 1/0, closed 1" {
		t.Errorf("the shop heard %s", got)
	}
}

// TestC24StrangersFrameNothing: neither an origin that is not registered, nor anybody for another open type. pipe.js then goes
// on without the frame.
func TestC24StrangersFrameNothing(t *testing.T) {
	t.Parallel()
	for name, openType := range map[string]payment.OpenType{"stranger": payment.OpenLayer, "redirect": payment.OpenRedirect} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil)
			ctx := tab(t)
			origin := shop(t, "evil.test", s, opens(s.page("await-btc"), "layer"))
			v := layered("https://shop.example", "await-btc", t)
			if v.Invoice.OpenType = openType; openType == payment.OpenRedirect {
				v.Application.Origins = []string{origin}
			}
			s.Put(gallery.ID("await-btc"), v)
			run(t, ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(origin), chromedp.Click(chromedp.CSS("#pay")))
			wait(t, ctx, "document.querySelector('iframe')")
			wait(t, ctx, fmt.Sprintf("location.origin===%q&&!!document.querySelector('.qr')", s.URL))
		})
	}
}

func TestC26Popup(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	id := gallery.ID("await-btc")
	origin := shop(t, "shop.test", s, opens(s.page("await-btc"), "popup"))
	put := func(name string) {
		v := view(t, name)
		v.Invoice.OpenType, v.Application.Origins = payment.OpenPopup, []string{origin}
		s.Put(id, v)
	}
	put("await-btc")
	run(t, ctx, chromedp.Navigate(origin), chromedp.Click(chromedp.CSS("#pay")))
	wait(t, ctx, "log[0]==='status 1/0'")
	put("paid")
	wait(t, ctx, "log.includes('closed 2')")
	if got := strings.Join(get[[]string](t, ctx, "log"), ", "); got != "status 1/0, status 2/1, closed 2" {
		t.Errorf("the shop heard %s", got)
	}
}

// TestRedirect: a paid page goes back to the shop with what the shop needs, unless the payer stays.
func TestRedirect(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	origin := shop(t, "shop.test", s, "")
	v := view(t, "paid")
	v.Invoice.RedirectURL = origin + "/done?cart=7"
	s.Put(gallery.ID("paid"), v)
	run(t, ctx, chromedp.Navigate(s.page("paid")), chromedp.Click(chromedp.CSS("#stay")), chromedp.WaitNotVisible(chromedp.CSS("#auto")))
	run(t, ctx, chromedp.Navigate(s.page("paid")))
	wait(t, ctx, "location.pathname==='/done'")
	want := origin + "/done?cart=7&invoice_id=" + string(gallery.ID("paid")) + "&order_id=O20190318-0042&status=2"
	if got := get[string](t, ctx, "location.href"); got != want {
		t.Errorf("went to %s, want %s", got, want)
	}
	v.Invoice.RedirectURL = ""
	s.Put(gallery.ID("paid"), v)
	run(t, ctx, chromedp.Navigate(s.page("paid")), chromedp.WaitVisible(chromedp.CSS("#may-close")))
	if get[bool](t, ctx, "!document.getElementById('auto').hidden||!!document.querySelector('#back')") {
		t.Error("without redirect_url the page wants to leave")
	}
}
