package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pipe-pg/pipe/internal/checkout"
	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webtest"
)

// TestC1Clicks counts what stands between the URL and a code to pay. TestC1OneCoin is the case of none.
func TestC1Clicks(t *testing.T) {
	s := serve(t, nil)
	for _, c := range []struct {
		name, press string
		script      bool
	}{{"choose", "#coin-ETH", true}, {"choose-one", "#coin-BTC", false}} {
		ctx := tab(t)
		if !c.script {
			webtest.ScriptOff(t, ctx, true)
		}
		run(t, ctx, chromedp.Navigate(s.page(c.name)), chromedp.Click(chromedp.CSS(c.press)), chromedp.WaitVisible(chromedp.CSS(".qr")))
	}
	if got := len(s.Acts()); got != 2 {
		t.Errorf("did %q", s.Acts())
	}
}

// A load is what the first visit of a page costs.
type load struct {
	total, script      float64 // bytes on the wire, headers included
	requests           int
	fcp, lcp, tbt, cls float64 // milliseconds, and layout shift
}

// fast tells whether the times are within the goals.
func (l load) fast() bool { return l.fcp <= 1000 && l.lcp <= 1300 && l.tbt <= 50 }

// table is the load beside the goals and BTCPay's figures.
func (l load) table() string {
	return fmt.Sprintf(`
first load, slow 4G, slow CPU     PIPE      target   BTCPay
everything, gzip, with headers    %5.1f kB  40 kB    168 kB before HTML
script                            %5.1f kB  12 kB
requests                          %5d     5
first contentful paint            %5.2f s   1.0 s
largest contentful paint          %5.2f s   1.3 s
layout shift                      %5.3f     0.01
blocking time                     %5.0f ms  50 ms`, l.total/1000, l.script/1000, l.requests, l.fcp/1000, l.lcp/1000, l.cls, l.tbt)
}

// TestC4C5SlowNetwork loads a page as a slow phone does and prints what C3, C4 and C5 ask for, plain and with a shop's own colour
// and logo. Sizes, requests and shifts are exact and must hold. Times are a busy machine's: the goals must hold in one of five
// tries where the whole is asked for (make test-browser); else they only fail when they are far off.
func TestC4C5SlowNetwork(t *testing.T) {
	s := serve(t, nil)
	for _, name := range []string{"await-btc", "await-dressed"} {
		l := firstLoad(t, s, name)
		for tries := 1; webtest.Whole() && !l.fast(); tries++ {
			if tries == 5 {
				t.Errorf("%s: slower than the goals", name)
				break
			}
			l = firstLoad(t, s, name)
		}
		t.Log(name + l.table())
		if l.total > 40_000 || l.script > 12_000 || l.requests > 5 || l.cls > 0.01 {
			t.Errorf("%s: more than the goals allow", name)
		}
		if l.fcp == 0 || l.lcp == 0 || l.fcp > 4000 || l.lcp > 5200 || l.tbt > 1000 {
			t.Errorf("%s: the times are far off", name)
		}
	}
}

// firstLoad opens a page in a fresh browser context over a slow network, with a slow CPU.
func firstLoad(t *testing.T, s site, name string) load {
	t.Helper()
	ctx := tab(t)
	type request struct {
		url  string
		size float64
	}
	requests := make(chan request, 100)
	urls := map[network.RequestID]string{}
	err := chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			urls[e.RequestID] = e.Request.URL
			if strings.Contains(e.Request.URL, "/feed") {
				requests <- request{e.Request.URL, 0} // it never ends
			}
		case *network.EventLoadingFinished:
			requests <- request{urls[e.RequestID], e.EncodedDataLength}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	if err == nil {
		_, err = chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{Latency: 150, DownloadThroughput: 1.6e6 / 8, UploadThroughput: 750e3 / 8}}})
	}
	if err == nil {
		_, err = chromedp.Call(ctx, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: 4})
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, ctx, chromedp.EmulateViewport(360, 640, chromedp.EmulateMobile), chromedp.Navigate(s.page(name)+"?lang=ko"), chromedp.WaitVisible(chromedp.CSS(".qr")))
	wait(t, ctx, "performance.getEntriesByType('resource').some(e=>/page\\..*js/.test(e.name))")
	m := get[map[string]float64](t, ctx, `new Promise(done=>{const r={fcp:0,lcp:0,cls:0,tbt:0};
		new PerformanceObserver(l=>l.getEntries().forEach(e=>{if(e.name==='first-contentful-paint')r.fcp=e.startTime})).observe({type:'paint',buffered:true});
		new PerformanceObserver(l=>l.getEntries().forEach(e=>{r.lcp=e.startTime})).observe({type:'largest-contentful-paint',buffered:true});
		new PerformanceObserver(l=>l.getEntries().forEach(e=>{if(!e.hadRecentInput)r.cls+=e.value})).observe({type:'layout-shift',buffered:true});
		new PerformanceObserver(l=>l.getEntries().forEach(e=>{r.tbt+=Math.max(0,e.duration-50)})).observe({type:'longtask',buffered:true});
		setTimeout(()=>done(r),1500)})`)
	l := load{fcp: m["fcp"], lcp: m["lcp"], tbt: m["tbt"], cls: m["cls"]}
	for len(requests) > 0 {
		r := <-requests
		if strings.HasPrefix(r.url, "data:") {
			continue
		}
		l.requests++
		l.total += r.size
		if strings.HasSuffix(r.url, ".js") {
			l.script = r.size
		}
		if !strings.HasPrefix(r.url, s.URL) {
			t.Errorf("C4: a third party is asked: %s", r.url)
		}
	}
	cookies, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil || len(cookies.Cookies) > 0 {
		t.Errorf("C4: cookies %v %v", cookies.Cookies, err)
	}
	if kept := get[int](t, ctx, "(async()=>localStorage.length+sessionStorage.length+(await indexedDB.databases()).length)()"); kept > 0 {
		t.Error("C4: the page stores something")
	}
	run(t, ctx, chromedp.Navigate("about:blank")) // gives its live feed back: a browser may hold four of one invoice
	return l
}

// TestC6EventToText: from a change on the server to its text on the screen, over the live feed, and with the feed blocked.
func TestC6EventToText(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	follow := func(t *testing.T, ctx context.Context, id payment.ID, rounds int) []time.Duration {
		var took []time.Duration
		for i := range rounds {
			name := []string{"confirming-btc", "seen"}[i%2]
			start := time.Now()
			s.Put(id, view(t, name))
			wait(t, ctx, fmt.Sprintf("document.getElementById('live').dataset.state===%q", strings.TrimSuffix(name, "-btc")))
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took
	}
	ctx := tab(t)
	run(t, ctx, chromedp.Navigate(s.page("await-btc")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	live := follow(t, ctx, gallery.ID("await-btc"), 20)
	ctx = tab(t)
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	if err == nil {
		_, err = chromedp.Call(ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: []*network.BlockPattern{{URLPattern: s.URL + "/invoice/*/feed", Block: true}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, ctx, chromedp.Navigate(s.page("await-eth")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	polled := follow(t, ctx, gallery.ID("await-eth"), 2)
	t.Logf("event to text: live p50 %v, p95 %v; feed blocked, worst %v", live[9], live[18], polled[1])
	if live[18] > time.Second || polled[1] > 6*time.Second {
		t.Error("slower than the goals")
	}
	if polled[0] < 50*time.Millisecond {
		t.Error("the feed was not blocked")
	}
}

// TestC7NetworkLoss: the page says so, keeps code, address and copying, is right within 3 s of the network's return, and
// repeats nothing.
func TestC7NetworkLoss(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	ctx := tab(t)
	id := gallery.ID("await-btc")
	run(t, ctx, chromedp.Navigate(s.page("await-btc")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	get[int](t, ctx, `(window.told=[],new MutationObserver(()=>told.push(document.getElementById('say').textContent)).observe(document.getElementById('say'),{childList:true}),1)`)
	s.cut(true)
	wait(t, ctx, "!document.getElementById('lost').hidden")
	run(t, ctx, chromedp.Click(chromedp.CSS(".amount .copy")))
	if !get[bool](t, ctx, "!!document.querySelector('.both .qr')&&!!document.querySelector('.address')") {
		t.Error("QR code or address are gone")
	}
	s.Put(id, view(t, "seen"))
	s.cut(false)
	start := time.Now()
	wait(t, ctx, "document.title==='Seen'&&document.getElementById('lost').hidden")
	took := time.Since(start)
	t.Logf("right %s after the network came back", took.Round(time.Millisecond))
	if took > 3*time.Second {
		t.Errorf("right only %s after the network came back", took)
	}
	s.cut(true)
	s.cut(false) // a restart with nothing new
	wait(t, ctx, "document.getElementById('lost').hidden")
	if told := get[[]string](t, ctx, "told"); strings.Join(told, "|") != "Copied|Payment seen. Waiting for the network." {
		t.Errorf("told %q", told)
	}
}

// TestC8SameEverywhere: reload, back, a second tab and another device show the same, and looking changes nothing.
func TestC8SameEverywhere(t *testing.T) {
	s := serve(t, nil)
	const shown = `[document.querySelector('.amount strong').textContent,document.querySelector('.address .fours').textContent,document.querySelector('.deadline').textContent].join(' ')`
	ctx := tab(t)
	run(t, ctx, chromedp.Navigate(s.page("await-eth")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	want := get[string](t, ctx, shown)
	run(t, ctx, chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS(".qr")))
	reloaded := get[string](t, ctx, shown)
	run(t, ctx, chromedp.Navigate(s.page("expired")), chromedp.NavigateBack(), chromedp.WaitVisible(chromedp.CSS(".qr")))
	back := get[string](t, ctx, shown)
	other := tab(t) // another browser context: no cookie, no cache
	run(t, other, chromedp.Navigate(s.page("await-eth")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	if device := get[string](t, other, shown); reloaded != want || back != want || device != want || !strings.Contains(want, gallery.ETHAddress) {
		t.Errorf("%q, reloaded %q, back %q, elsewhere %q", want, reloaded, back, device)
	}
	if acts := s.Acts(); len(acts) > 0 {
		t.Errorf("looking did %q", acts)
	}
}

// TestC10Keyboard walks each state by Tab: everything that can be pressed is reached once around, and is seen to be.
func TestC10Keyboard(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	for _, name := range []string{"choose", "await-eth", "ending", "partial", "expired", "paid", "overpaid"} {
		run(t, ctx, chromedp.EmulateViewport(390, 800), chromedp.Navigate(s.page(name)), chromedp.WaitReady(chromedp.CSS("#heading")))
		all := get[int](t, ctx, `[...document.querySelectorAll('a[href],button,summary,input')].filter(e=>e.checkVisibility()&&!e.closest('dialog,details:not([open])>:not(summary)')&&!(e.type==='radio'&&!e.checked)).length`)
		met := map[string]bool{}
		for range all {
			run(t, ctx, chromedp.KeyEvent(kb.Tab))
			at := get[string](t, ctx, `(()=>{const e=document.activeElement,o=getComputedStyle(e.type==='radio'?e.nextElementSibling:e);
				return e===document.body?'':(o.outlineStyle!=='none'&&parseFloat(o.outlineWidth)>=2?'':'UNSEEN ')+e.tagName+(e.id||e.textContent.slice(0,30)||e.className)+[...document.querySelectorAll('*')].indexOf(e)})()`)
			if strings.HasPrefix(at, "UNSEEN") {
				t.Errorf("%s: focus cannot be seen: %s", name, at)
			}
			met[at] = true
		}
		if delete(met, ""); len(met) != all {
			t.Errorf("%s: Tab reached %d of %d: %v", name, len(met), all, met)
		}
	}
	run(t, ctx, chromedp.Navigate(s.page("choose")), chromedp.Focus(chromedp.CSS("#coin-BTC")), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(".qr")))
}

// TestC10LayerKeyboard: in a layer Escape asks once while unpaid, and the focus goes back to the opener.
func TestC10LayerKeyboard(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	origin := shop(t, "shop.test", s, opens(s.page("await-btc"), "layer"))
	s.Put(gallery.ID("await-btc"), layered(origin, "await-btc", t))
	run(t, ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(origin), chromedp.Focus(chromedp.CSS("#pay")), chromedp.KeyEvent(kb.Enter))
	wait(t, ctx, "log.length===1")
	wait(t, ctx, "document.activeElement.tagName==='IFRAME'")
	asked := make(chan string, 10)
	err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*page.EventJavascriptDialogOpening); ok {
			asked <- e.Message
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	pressed := make(chan error, 1)
	go func() { pressed <- chromedp.Do(ctx, chromedp.KeyEvent(kb.Escape)) }()
	select {
	case text := <-asked:
		if text != "Not paid yet. Close?" {
			t.Errorf("asked %q", text)
		}
	case <-time.After(webtest.Patience):
		t.Fatal("Escape asks nothing")
	}
	if _, err := chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-pressed; err != nil {
		t.Error(err)
	}
	wait(t, ctx, "log.includes('closed 1')")
	if got := get[string](t, ctx, "document.activeElement.id+' '+log.join(', ')"); got != "pay status 1/0, closed 1" {
		t.Errorf("after closing: %s", got)
	}
}

// TestC11ScreenReader: copy buttons say what they copy, and the code has a text that names amount and coin.
func TestC11ScreenReader(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	run(t, ctx, chromedp.Navigate(s.page("await-btc")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	tree, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range tree.Nodes {
		if !n.Ignored && n.Role != nil && n.Name != nil {
			names = append(names, strings.Trim(string(n.Role.Value), `"`)+" "+strings.Trim(string(n.Name.Value), `"`))
		}
	}
	for _, want := range []string{"button Copy amount", "button Copy address", "image QR code: send 0.00066731 BTC to " + gallery.BTCAddress,
		"heading Send exactly this amount", "radio Address and amount", "link Open wallet app"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %q in %q", want, names)
		}
	}
	if got := get[int](t, ctx, "document.querySelectorAll('[role=status]').length"); got != 1 {
		t.Errorf("%d status regions", got)
	}
}

// TestC12MoreTime: the extension is offered at two minutes, and without script from the beginning. That it is given ten times,
// for the same address, is proven on the real desk.
func TestC12MoreTime(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	run(t, ctx, chromedp.Navigate(s.page("ending")), chromedp.WaitVisible(chromedp.CSS(".timer button")))
	wait(t, ctx, "/^0[01]:\\d\\d left$/.test(document.querySelector('[data-clock]').textContent)")
	webtest.ScriptOff(t, ctx, true)
	run(t, ctx, chromedp.Navigate(s.page("await-btc")))
	run(t, ctx, chromedp.Click(chromedp.CSS("form[action$='/more'] button")), chromedp.WaitVisible(chromedp.CSS(".notice.good")))
	if got := strings.Join(s.Acts(), ", "); got != "more" {
		t.Errorf("did %s", got)
	}
}

// TestC13Layout: at 360×640 the amount, the network and the buttons that copy are seen without scrolling; zoomed to 400 %,
// on a low screen and with spread text nothing scrolls sideways or is cut off.
func TestC13Layout(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	for _, lang := range []string{"en", "ko"} {
		for _, name := range []string{"await-btc", "await-eth", "await-renewed", "dropped"} {
			run(t, ctx, chromedp.EmulateViewport(360, 640, chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Navigate(s.page(name)+"?lang="+lang), chromedp.WaitVisible(chromedp.CSS(".qr")))
			for _, what := range []string{".amount strong", ".amount .copy", ".net", ".row .copy", ".row .wallet"} {
				if low := get[float64](t, ctx, fmt.Sprintf("document.querySelector(%q).getBoundingClientRect().bottom", what)); low > 640 && name != "dropped" {
					t.Errorf("%s %s: %s ends at %.0f px", name, lang, what, low)
				}
			}
			for _, size := range [][2]int64{{320, 256}, {640, 320}} {
				run(t, ctx, chromedp.EmulateViewport(size[0], size[1]))
				webtest.Looks(t, ctx, fmt.Sprint(name, lang, size))
			}
			// WCAG 1.4.12, through CSSOM, which the policy allows.
			get[int](t, ctx, `(document.querySelectorAll('body *').forEach(e=>{e.style.setProperty('line-height','1.5','important');e.style.setProperty('letter-spacing','.12em','important');e.style.setProperty('word-spacing','.16em','important')}),1)`)
			run(t, ctx, chromedp.EmulateViewport(320, 640))
			webtest.Looks(t, ctx, name+lang+" spread")
			if cut := get[[]string](t, ctx, `[...document.querySelectorAll('button,a,p,h1,dd,label,summary')].filter(e=>e.checkVisibility()&&!e.classList.contains('sr')&&e.scrollWidth>e.clientWidth+1&&getComputedStyle(e).overflow!=='visible').map(e=>e.textContent)`); len(cut) > 0 {
				t.Errorf("%s %s: cut off: %q", name, lang, cut)
			}
		}
	}
}

// TestC14Contrast: amount and address have 7:1, light and dark. The rest is axe's.
func TestC14Contrast(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	for _, colour := range []string{"light", "dark"} {
		webtest.Colours(t, ctx, colour)
		run(t, ctx, chromedp.Navigate(s.page("await-btc")), chromedp.WaitVisible(chromedp.CSS(".qr")))
		for _, what := range []string{".amount strong", ".address .fours span:nth-of-type(1)", ".address .fours span:nth-of-type(2)"} {
			ratio := get[float64](t, ctx, fmt.Sprintf(`(()=>{const rgb=c=>c.match(/[\d.]+/g).map(Number),lum=c=>rgb(c).slice(0,3).map(v=>v/255).map(v=>v<=.04045?v/12.92:((v+.055)/1.055)**2.4).reduce((s,v,i)=>s+v*[.2126,.7152,.0722][i],0);
				const e=document.querySelector(%q),a=lum(getComputedStyle(e).color),b=lum(getComputedStyle(e.closest('.card')).backgroundColor);return (Math.max(a,b)+.05)/(Math.min(a,b)+.05)})()`, what))
			if ratio < 7 {
				t.Errorf("%s %s: %.2f:1", colour, what, ratio)
			}
		}
	}
}

// TestC15Media: nothing moves where motion is reduced; with forced colours the code stays dark on white.
func TestC15Media(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "forced-colors", Value: "active"}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"await-btc", "seen", "paid"} {
		run(t, ctx, chromedp.Navigate(s.page(name)), chromedp.WaitReady(chromedp.CSS("#heading")))
		if moving := get[int](t, ctx, "document.getAnimations().length"); moving > 0 {
			t.Errorf("%s: %d things move", name, moving)
		}
	}
	run(t, ctx, chromedp.Navigate(s.page("await-btc")))
	if got := get[string](t, ctx, "[...document.querySelectorAll('.both .qr path')].map(p=>getComputedStyle(p).fill).join(' ')"); got != "rgb(255, 255, 255) rgb(0, 0, 0)" {
		t.Errorf("the code is %s", got)
	}
	if !get[bool](t, ctx, `(()=>{const q=document.querySelector('.both .qr'),n=q.viewBox.baseVal.width,d=q.lastChild.getBBox();return d.x>=4&&d.y>=4&&n-d.x-d.width>=4&&n-d.y-d.height>=4})()`) {
		t.Error("the code has less than four modules of margin")
	}
}

// TestC18Clipboard: where there is a Clipboard API, it gets the server's text.
func TestC18Clipboard(t *testing.T) {
	s := serve(t, func(o *checkout.Options) { o.PublicURL = strings.Replace(o.PublicURL, "pay.test", "localhost", 1) })
	home := strings.Replace(s.URL, "pay.test", "localhost", 1) // a secure context
	ctx := tab(t)
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted, Origin: home,
			BrowserContextID: chromedp.FromContext(ctx).BrowserContextID}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, ctx, chromedp.Navigate(strings.Replace(s.page("await-eth"), s.URL, home, 1)), chromedp.WaitVisible(chromedp.CSS(".qr")))
	for selector, want := range map[string]string{".amount .copy": "0.00231001", ".row .copy": gallery.ETHAddress} {
		run(t, ctx, chromedp.Click(chromedp.CSS(selector)))
		wait(t, ctx, "document.getElementById('say').textContent==='Copied'")
		if got := get[string](t, ctx, "navigator.clipboard.readText()"); got != want {
			t.Errorf("%s copied %q, want %q", selector, got, want)
		}
	}
}

// TestC19WholeAddress: at 320 px every part of the address is seen, within the card.
func TestC19WholeAddress(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	for _, name := range []string{"await-btc", "await-eth"} {
		run(t, ctx, chromedp.EmulateViewport(320, 640), chromedp.Navigate(s.page(name)), chromedp.WaitVisible(chromedp.CSS(".qr")))
		if !get[bool](t, ctx, `(()=>{const c=document.querySelector('.card').getBoundingClientRect();return [...document.querySelectorAll('.address .fours span')].every(e=>{const r=e.getBoundingClientRect();return r.width>0&&r.left>=c.left&&r.right<=c.right})})()`) {
			t.Errorf("%s: a part of the address is not seen", name)
		}
	}
}

// TestC23TrustedTypes: the browser refuses to make text into HTML on the page.
func TestC23TrustedTypes(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	run(t, ctx, chromedp.Navigate(s.page("await-btc")))
	if got := get[string](t, ctx, "(()=>{window.expected=true;try{document.body.innerHTML='<b>x</b>';return 'took it'}catch(e){return e.name}})()"); got != "TypeError" {
		t.Errorf("innerHTML: %s", got)
	}
	if get[bool](t, ctx, "new Promise(done=>{try{setTimeout('window.ran=1')}catch(e){}setTimeout(()=>done(!!window.ran),50)})") {
		t.Error("a text was run as script")
	}
}

// TestC25Messages: forged messages change nothing, whatever they copy; the scripts post to named origins only.
func TestC25Messages(t *testing.T) {
	for _, name := range []string{"page.js", "pipe.js"} {
		b, err := os.ReadFile(filepath.Join("..", "static", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), `'*'`) || strings.Contains(string(b), `"*"`) {
			t.Errorf("%s posts to anybody", name)
		}
	}
	s := serve(t, nil)
	ctx := tab(t)
	id := gallery.ID("await-btc")
	origin := shop(t, "shop.test", s, opens(s.page("await-btc"), "layer"))
	s.Put(id, layered(origin, "await-btc", t))
	run(t, ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(origin), chromedp.Click(chromedp.CSS("#pay")))
	wait(t, ctx, "log[0]==='status 1/0'")
	get[int](t, ctx, fmt.Sprintf(`(()=>{const frame=document.querySelector('iframe').contentWindow,home=%q,id=%q;
		for(const origin of [home+'.evil.test',home.replace('pay','xpay'),'null','',home+':443',home.toUpperCase(),location.origin])
		for(const source of [frame,window,null])
		for(const type of ['status','close','height','ready'])
		dispatchEvent(new MessageEvent('message',{origin,source,data:{pipe:1,type,invoice_id:id,status:2,deposit_status:1,height:9999}}));
		for(const data of [null,1,'close',[],{},{pipe:1},{pipe:'1',type:'close',invoice_id:id},{pipe:1,type:'close',invoice_id:id.toLowerCase()},{pipe:1,type:'close',invoice_id:'0'.repeat(64)},{pipe:1,type:'__proto__',invoice_id:id}])
		dispatchEvent(new MessageEvent('message',{origin:home,source:frame,data}));return 1})()`, s.URL, id))
	if got := get[string](t, ctx, "log.join(', ')+!!document.querySelector('dialog')"); got != "status 1/0true" {
		t.Errorf("forgeries did %s", got)
	}
	get[int](t, ctx, fmt.Sprintf(`(()=>{const frame=document.querySelector('iframe').contentWindow;handle.close();
		for(const type of ['status','close'])dispatchEvent(new MessageEvent('message',{origin:%q,source:frame,data:{pipe:1,type,invoice_id:%q,status:2,deposit_status:1}}));return 1})()`, s.URL, id))
	if got := get[string](t, ctx, "log.join(', ')"); got != "status 1/0, closed 1" {
		t.Errorf("after close a replay did %s", got)
	}
}

// TestC26BlockedPopup: where no window may be opened, the payment goes on in this one.
func TestC26BlockedPopup(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	origin := shop(t, "shop.test", s, "window.open=()=>null;"+opens(s.page("await-btc"), "popup"))
	run(t, ctx, chromedp.Navigate(origin), chromedp.Click(chromedp.CSS("#pay")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	if got := get[string](t, ctx, "location.href"); got != s.page("await-btc") {
		t.Errorf("at %s", got)
	}
}

// TestC27Phone: auto never frames on a phone; a wallet link that nothing took is followed by help.
func TestC27Phone(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	origin := shop(t, "shop.test", s, opens(s.page("await-eth"), "auto"))
	s.Put(gallery.ID("await-eth"), layered(origin, "await-eth", t))
	run(t, ctx, chromedp.EmulateViewport(390, 800, chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Navigate(origin), chromedp.Click(chromedp.CSS("#pay")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	if !get[bool](t, ctx, "window.parent===window") {
		t.Error("framed on a phone")
	}
	want := "https://link.metamask.io/send/" + gallery.ETHAddress + "@1?value=2310010000000000"
	if got := get[string](t, ctx, "(()=>{const a=document.querySelector('.touch a');return a.checkVisibility()?a.href:'hidden'})()"); got != want {
		t.Errorf("MetaMask: %s", got)
	}
	start := time.Now()
	get[int](t, ctx, "(document.addEventListener('click',e=>e.preventDefault()),document.querySelector('.row .wallet').click(),1)")
	wait(t, ctx, "!document.getElementById('wallet-help').hidden")
	if took := time.Since(start); took < 1400*time.Millisecond || took > 4*time.Second {
		t.Errorf("help after %s", took)
	}
}

// TestC34BackgroundTab: the title of a page that was told it is hidden is right within a second.
func TestC34BackgroundTab(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	run(t, ctx, chromedp.Navigate(s.page("await-btc")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	get[int](t, ctx, "(Object.defineProperty(document,'hidden',{value:true}),document.dispatchEvent(new Event('visibilitychange')),1)")
	start := time.Now()
	s.Put(gallery.ID("await-btc"), view(t, "seen"))
	wait(t, ctx, "document.title==='Seen'")
	if took := time.Since(start); took > time.Second {
		t.Errorf("the title of a hidden tab took %s", took)
	}
}
