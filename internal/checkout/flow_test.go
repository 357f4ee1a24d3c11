package checkout

import (
	"bufio"
	"context"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func base(name string) string { return basePath(gallery.ID(name)) }

func wantRedirect(t *testing.T, w *httptest.ResponseRecorder, to string) {
	t.Helper()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != to {
		t.Fatalf("got %d to %q, want 303 to %q\n%s", w.Code, w.Header().Get("Location"), to, w.Body)
	}
}

func TestChooseAndMoreTime(t *testing.T) {
	h, desk := served(t, nil)
	page := pagePath(gallery.ID("choose"))
	wantRedirect(t, ask(h, "POST", base("choose")+"/coin", url.Values{"coin": {"BTC"}, "lang": {"ko"}}), page+"?lang=ko")
	wantRedirect(t, ask(h, "POST", base("choose")+"/more", url.Values{}), page)
	wantRedirect(t, ask(h, "POST", base("choose")+"/coin", url.Values{"coin": {"BTC"}, "exchange": {"yes"}}), page)
	want := []string{"choose BTC false", "more", "choose BTC true"}
	if got := desk.Acts(); !slices.Equal(got, want) {
		t.Errorf("did %q, want %q", got, want)
	}
	if body := ask(h, "GET", page, nil).Body.String(); !strings.Contains(body, "More time given. New amount: 0.00066731 BTC") {
		t.Errorf("the page does not say that there is more time: %s", body)
	}
	if w := ask(h, "POST", base("choose")+"/coin", url.Values{"coin": {"DOGE"}}); w.Code != 400 {
		t.Errorf("unknown coin: %d", w.Code)
	}
}

// TestReadingChangesNothing: link previews and reloads burn neither an address nor time.
func TestReadingChangesNothing(t *testing.T) {
	h, desk := served(t, nil)
	for _, f := range gallery.Fixtures() {
		for _, path := range []string{pagePath(f.View.Invoice.ID), base(f.Name) + "/status", base(f.Name) + "/refund-address?coin=BTC",
			base(f.Name) + "/cancel", base(f.Name) + "/coin", base(f.Name) + "/more"} {
			ask(h, "GET", path, nil)
			ask(h, "HEAD", path, nil)
		}
	}
	if acts := desk.Acts(); len(acts) > 0 {
		t.Errorf("reading did %q", acts)
	}
}

func TestForeignFormsAreRefused(t *testing.T) {
	h, desk := served(t, nil)
	for _, edit := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		func(r *http.Request) { r.Header.Set("Origin", "null") },
		func(r *http.Request) { r.Header.Del("Origin"); r.Header.Set("Sec-Fetch-Site", "cross-site") },
		func(r *http.Request) { r.Header.Del("Origin"); r.Header.Set("Sec-Fetch-Site", "same-site") },
	} {
		w := ask(h, "POST", base("choose")+"/coin", url.Values{"coin": {"BTC"}}, edit)
		if w.Code != http.StatusForbidden {
			t.Errorf("foreign form: %d", w.Code)
		}
	}
	if acts := desk.Acts(); len(acts) > 0 {
		t.Errorf("foreign forms did %q", acts)
	}
}

func TestRefundAddress(t *testing.T) {
	h, desk := served(t, nil)
	path := base("partial-expired") + "/refund-address"
	w := ask(h, "GET", path+"?lang=ko", nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "환불받을 지갑 주소") ||
		!strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Fatalf("form: %d %s", w.Code, w.Body)
	}
	for text, reason := range map[string]string{
		"":                        "Enter an address.",
		gallery.ETHAddress:        "another coin",
		gallery.BTCAddress[:20]:   "typing error",
		strings.Repeat("b", 7000): "too long",
	} {
		w := ask(h, "POST", path, url.Values{"address": {text}, "step": {"save"}, "right": {"yes"}})
		if w.Code != 422 || !strings.Contains(w.Body.String(), reason) {
			t.Errorf("%.30q: %d, want 422 with %q", text, w.Code, reason)
		}
	}
	w = ask(h, "POST", path, url.Values{"address": {" " + gallery.BTCAddress + "\n"}})
	if w.Code != 200 || !strings.Contains(w.Body.String(), "<span>bc1q</span><wbr><span>ar0s</span>") || len(desk.Acts()) > 0 {
		t.Fatalf("shown back: %d, did %q\n%s", w.Code, desk.Acts(), w.Body)
	}
	save := url.Values{"address": {gallery.BTCAddress}, "step": {"save"}, "coin": {"BTC"}}
	if w = ask(h, "POST", path, save); w.Code != 422 || len(desk.Acts()) > 0 {
		t.Fatalf("saved without the tick: %d, did %q", w.Code, desk.Acts())
	}
	save.Set("right", "yes")
	w = ask(h, "POST", path, save)
	wantRedirect(t, w, pagePath(gallery.ID("partial-expired")))
	cookies := w.Result().Cookies()
	if len(cookies) != 2 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Secure ||
		cookies[0].Path != pagePath(gallery.ID("partial-expired")) || cookies[1].Path != base("partial-expired") {
		t.Fatalf("cookies %v", cookies)
	}
	if w = ask(h, "GET", path, nil); !strings.Contains(w.Body.String(), "another browser") || strings.Contains(w.Body.String(), "<form") {
		t.Errorf("another browser gets the form: %s", w.Body)
	}
	w = ask(h, "POST", path, save)
	if w.Code != 422 || len(desk.Acts()) != 1 {
		t.Errorf("another browser saved: %d, did %q", w.Code, desk.Acts())
	}
	own := func(r *http.Request) { r.AddCookie(cookies[1]) }
	wantRedirect(t, ask(h, "POST", path, save, own), pagePath(gallery.ID("partial-expired")))

	secure, _ := served(t, func(o *Options) { o.PublicURL = "https://pay.test" })
	w = ask(secure, "POST", path, save, func(r *http.Request) { r.Header.Set("Origin", "https://pay.test") })
	if c := w.Result().Cookies(); len(c) != 2 || !c[0].Secure {
		t.Errorf("over https the cookie is not secure: %v", c)
	}
}

func TestRefundAddressOfOurs(t *testing.T) {
	h, desk := served(t, nil)
	desk.Fail(payment.Malformed("refund_address", "this is an address of this payment service"))
	w := ask(h, "POST", base("late")+"/refund-address", url.Values{"address": {gallery.BTCAddress}, "step": {"save"}, "right": {"yes"}})
	if w.Code != 422 || !strings.Contains(w.Body.String(), "address of this payment service") {
		t.Errorf("our own address: %d %s", w.Code, w.Body)
	}
}

func TestRefundAddressIsLimited(t *testing.T) {
	h, _ := served(t, func(o *Options) { o.RefundPerHour = 1 })
	save := url.Values{"address": {gallery.BTCAddress}, "step": {"save"}, "right": {"yes"}}
	w := ask(h, "POST", base("late")+"/refund-address", save)
	wantRedirect(t, w, pagePath(gallery.ID("late")))
	own := func(r *http.Request) { r.AddCookie(w.Result().Cookies()[1]) }
	if w := ask(h, "POST", base("late")+"/refund-address", save, own); w.Code != http.StatusTooManyRequests {
		t.Errorf("second save: %d", w.Code)
	}
}

// TestRefundAddressFirst: where the shop requires one, it is asked before the clock starts, and the choice follows.
func TestRefundAddressFirst(t *testing.T) {
	h, desk := served(t, nil)
	v := gallery.New("choose").Edit(func(i *payment.Invoice) { i.Policy.RequireRefund = true }).View()
	desk.Put(gallery.ID("choose"), v)
	w := ask(h, "POST", base("choose")+"/coin", url.Values{"coin": {"ETH"}})
	wantRedirect(t, w, base("choose")+"/refund-address?coin=ETH&next=choose")
	if w = ask(h, "GET", w.Header().Get("Location"), nil); !strings.Contains(w.Body.String(), "The clock has not started") {
		t.Errorf("form: %s", w.Body)
	}
	w = ask(h, "POST", base("choose")+"/refund-address", url.Values{"coin": {"ETH"}, "next": {"choose"}, "address": {gallery.ETHAddress},
		"step": {"save"}, "right": {"yes"}})
	wantRedirect(t, w, pagePath(gallery.ID("choose")))
	if got := desk.Acts(); len(got) != 2 || got[1] != "choose ETH false" {
		t.Errorf("did %q", got)
	}
}

func TestCancel(t *testing.T) {
	h, desk := served(t, nil)
	path := base("partial") + "/cancel"
	if w := ask(h, "GET", path, nil); w.Code != 200 || strings.Contains(w.Body.String(), `method="post"`) {
		t.Errorf("a browser without a refund address may cancel: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", path, url.Values{}); w.Code != http.StatusForbidden {
		t.Errorf("cancelled without a refund address: %d", w.Code)
	}
	w := ask(h, "POST", base("partial")+"/refund-address", url.Values{"address": {gallery.BTCAddress}, "step": {"save"}, "right": {"yes"}, "next": {"cancel"}})
	wantRedirect(t, w, path)
	own := func(r *http.Request) { r.AddCookie(w.Result().Cookies()[1]) }
	if w := ask(h, "GET", path, nil, own); !strings.Contains(w.Body.String(), `method="post"`) {
		t.Errorf("the bound browser may not cancel: %s", w.Body)
	}
	wantRedirect(t, ask(h, "POST", path, url.Values{}, own), pagePath(gallery.ID("partial")))
	if v, err := desk.Page(t.Context(), gallery.ID("partial")); err != nil || stateOf(v) != StateShort {
		t.Errorf("state %s, %v", stateOf(v), err)
	}
	if w := ask(h, "GET", base("paid")+"/cancel", nil); w.Code != http.StatusConflict {
		t.Errorf("cancel of a paid invoice: %d", w.Code)
	}
}

func TestStatusIsOpenToTheShopOnly(t *testing.T) {
	h, _ := served(t, nil)
	for origin, open := range map[string]bool{"https://shop.example": true, "https://shop.example.evil": false, "http://shop.example": false,
		"https://shop.example:8443": false, "null": false, "": false} {
		w := ask(h, "GET", base("paid")+"/status", nil, func(r *http.Request) {
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
		})
		if got := w.Header().Get("Access-Control-Allow-Origin"); (got == origin && got != "") != open || w.Header().Get("Vary") == "" {
			t.Errorf("origin %q: allowed %q", origin, got)
		}
		var s status
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || s.State != StatePaid || s.Status != 2 || s.CoinAmount != "0.00066731" {
			t.Errorf("%v %+v", err, s)
		}
	}
}

func TestC24FramingIsForLayersOnly(t *testing.T) {
	h, desk := served(t, nil)
	v := gallery.New("choose").Edit(func(i *payment.Invoice) { i.OpenType = payment.OpenLayer }).View()
	v.Application.Origins = []string{"https://shop.example/store", "HTTPS://Other.Example:443", "javascript:alert(1)", "https://a.example; script-src *"}
	desk.Put(gallery.ID("choose"), v)
	w := ask(h, "GET", pagePath(gallery.ID("choose")), nil)
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors https://shop.example https://other.example;") {
		t.Errorf("policy %q", csp)
	}
	if w.Header().Get("X-Frame-Options") != "" {
		t.Error("X-Frame-Options contradicts the policy")
	}
	for _, path := range []string{pagePath(gallery.ID("paid")), base("choose") + "/refund-address?coin=BTC"} {
		w := ask(h, "GET", path, nil)
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || w.Header().Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	h, desk := served(t, nil)
	for word, kind := range map[string]payment.Kind{payment.WordNoRate: payment.Unavailable, payment.WordNoNode: payment.Unavailable,
		payment.WordNoAddress: payment.Unavailable, payment.WordState: payment.Conflict, payment.WordScope: payment.Forbidden} {
		desk.Fail(payment.Refuse(kind, word, "secret detail"))
		w := ask(h, "POST", base("choose")+"/coin", url.Values{"coin": {"BTC"}, "lang": {"ko"}})
		text := w.Body.String()
		if w.Code < 400 || !strings.Contains(text, `lang="ko"`) || !strings.Contains(text, w.Header().Get("X-Request-Id")) ||
			strings.Contains(text, "secret") || strings.Contains(text, "일시적인") || !strings.Contains(text, pagePath(gallery.ID("choose"))) {
			t.Errorf("%s: %d %s", word, w.Code, text)
		}
	}
	desk.Fail(io.ErrUnexpectedEOF)
	if w := ask(h, "POST", base("choose")+"/coin", url.Values{"coin": {"BTC"}}); w.Code != 500 || !strings.Contains(w.Body.String(), "went wrong on our side") {
		t.Errorf("internal: %d %s", w.Code, w.Body)
	}
	big := url.Values{"coin": {strings.Repeat("x", 9000)}}
	if w := ask(h, "POST", base("choose")+"/coin", big); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("big form: %d", w.Code)
	}
}

func TestPagesAreLimited(t *testing.T) {
	h, _ := served(t, func(o *Options) { o.RatePerPage = 3 })
	codes := []int{}
	for range 4 {
		codes = append(codes, ask(h, "GET", pagePath(gallery.ID("paid")), nil).Code)
	}
	codes = append(codes, ask(h, "GET", base("paid")+"/status", nil).Code, ask(h, "GET", pagePath(gallery.ID("late")), nil).Code)
	if want := []int{200, 200, 200, 429, 429, 200}; !slices.Equal(codes, want) {
		t.Errorf("codes %v, want %v", codes, want)
	}
}

func TestPanel(t *testing.T) {
	panel := &Panel{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.FormValue("back"), http.StatusSeeOther)
		}),
		Render: func(v engine.View, back string) (template.HTML, error) {
			return template.HTML(`<form method="post" action="/demo/pay"><input name="back" value="` + back + `"><button>Pay</button></form>`), nil
		},
	}
	h, _ := served(t, func(o *Options) { o.Panel = panel })
	page := pagePath(gallery.ID("await-btc")) + "?lang=ko"
	if w := ask(h, "GET", page, nil); !strings.Contains(w.Body.String(), `action="/demo/pay"`) {
		t.Errorf("no panel: %s", w.Body)
	}
	wantRedirect(t, ask(h, "POST", "/demo/pay", url.Values{"back": {page}}), page)
	w := ask(h, "POST", "/demo/pay", url.Values{}, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") })
	if w.Code != http.StatusForbidden {
		t.Errorf("the panel takes foreign forms: %d", w.Code)
	}
	plain, _ := served(t, nil)
	if w := ask(plain, "POST", "/demo/pay", url.Values{}); w.Code != 404 {
		t.Errorf("a panel without the demo: %d", w.Code)
	}
}

// TestC3FirstLoad: everything that a first visit loads, compressed (experience C3).
func TestC3FirstLoad(t *testing.T) {
	h, _ := served(t, nil)
	zip := func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }
	sizes := map[string]int{}
	page := ask(h, "GET", pagePath(gallery.ID("await-btc"))+"?lang=ko", nil, zip)
	sizes["page"] = page.Body.Len()
	d, err := newDoor(Options{Desk: gallery.NewDesk(nil), Wakes: gallery.NewDesk(nil), PublicURL: "http://pay.test", Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"page.css", "page.js", "pipe.js"} {
		w := ask(h, "GET", d.static.URL(name), nil, zip)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		sizes[name] = w.Body.Len()
	}
	t.Logf("bytes, gzip: %v", sizes)
	if sizes["page"]+sizes["page.css"]+sizes["page.js"] > 40_000 || sizes["page.js"] > 12_000 || sizes["page.css"] > 10_000 || sizes["pipe.js"] > 4_000 {
		t.Errorf("too big: %v", sizes)
	}
	if w := ask(h, "GET", "/pipe.js", nil); w.Code != 200 || !strings.Contains(w.Header().Get("Content-Type"), "javascript") {
		t.Errorf("pipe.js: %d %v", w.Code, w.Header())
	}
}

// TestFeed: the state at once, then each change once, woken without waiting for the recheck; four at most.
func TestFeed(t *testing.T) {
	h, desk := served(t, nil)
	s := httptest.NewServer(h)
	defer s.Close()
	defer s.CloseClientConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	open := func() *http.Response {
		r, err := http.NewRequestWithContext(ctx, "GET", s.URL+base("await-btc")+"/feed?lang=ko", nil)
		if err != nil {
			t.Fatal(err)
		}
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	feed := open()
	defer feed.Body.Close()
	lines := bufio.NewScanner(feed.Body)
	next := func() status {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var st status
				if err := json.Unmarshal([]byte(data), &st); err != nil {
					t.Fatal(err)
				}
				return st
			}
		}
		t.Fatal("the feed ended")
		return status{}
	}
	first := next()
	if first.State != StateAwait || first.Announce != "입금을 기다리고 있습니다" || feed.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatalf("first %+v", first)
	}
	view, err := desk.Page(ctx, gallery.ID("await-btc"))
	if err != nil {
		t.Fatal(err)
	}
	desk.Put(gallery.ID("await-btc"), view) // a wake without a change says nothing
	start := time.Now()
	for _, f := range gallery.Fixtures() {
		if f.Name == "seen" {
			desk.Put(gallery.ID("await-btc"), f.View)
		}
	}
	if st := next(); st.State != StateSeen || st.Version == first.Version || time.Since(start) > Recheck-time.Second {
		t.Fatalf("second %+v after %s", st, time.Since(start))
	}
	for range 3 {
		defer open().Body.Close()
	}
	if w := open(); w.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a fifth feed: %d", w.StatusCode)
	} else {
		w.Body.Close()
	}
}

func TestNetNames(t *testing.T) {
	d, err := newDoor(Options{Desk: gallery.NewDesk(nil), Wakes: gallery.NewDesk(nil), PublicURL: "http://pay.test", Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[money.Network]string{"bitcoin/mainnet": "비트코인", "bitcoin/regtest": "비트코인 테스트(regtest)", "ethereum/1": "이더리움",
		"ethereum/11155111": "이더리움 테스트(Sepolia)", "ethereum/10": "이더리움 체인 10"} {
		if got := netName(d.Texts.In(payment.Korean), n); got != want {
			t.Errorf("%s: %s, want %s", n, got, want)
		}
	}
}
