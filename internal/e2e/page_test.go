package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// title is the page's title.
func (p page) title() string {
	_, rest, _ := strings.Cut(p.html, "<title>")
	text, _, _ := strings.Cut(rest, "</title>")
	return text
}

var tooEarly = regexp.MustCompile(`(?i)complete|완료`)

// see opens the page in both languages, each of which must be in the state, and holds what every page must be.
func see(t testing.TB, address, state string) (en, ko page) {
	t.Helper()
	b := newBrowser(t)
	for try := 0; ; try++ {
		en = b.open(address + "?lang=en")
		if en.state() == state {
			break
		}
		if try == 40 {
			t.Fatalf("page is in state %q, want %q: %s", en.state(), state, en.visible())
		}
		time.Sleep(250 * time.Millisecond)
	}
	ko = b.open(address + "?lang=ko")
	if ko.state() != state {
		t.Errorf("Korean page is in state %q, want %q", ko.state(), state)
	}
	for lang, p := range map[string]page{"en": en, "ko": ko} {
		if !strings.Contains(p.html, `<html lang="`+lang+`"`) {
			t.Errorf("%s page of %s has another lang: %.80s", lang, state, p.html)
		}
		if text := p.title() + " " + p.visible(); state != "paid" && state != "overpaid" && tooEarly.MatchString(text) {
			t.Errorf("%s page of %s says it is complete: %s", lang, state, text)
		}
		if regexp.MustCompile(`(?i)<script\b[^>]*>[^<]|<style|\bon[a-z]+="|\bstyle="|javascript:`).MatchString(p.html) {
			t.Errorf("%s page of %s has inline script or style", lang, state)
		}
		if strings.Contains(p.html, "%!") || strings.Contains(p.html, "&lt;no value&gt;") || strings.Contains(p.html, "{{") || regexp.MustCompile(`\{\w+\}`).MatchString(p.visible()) {
			t.Errorf("%s page of %s has a hole: %s", lang, state, p.visible())
		}
	}
	if en.visible() == ko.visible() || regexp.MustCompile(`[가-힣]`).MatchString(strings.NewReplacer("한국어", "").Replace(en.visible())) || !regexp.MustCompile(`[가-힣]{2}`).MatchString(ko.visible()) {
		t.Errorf("%s: languages are mixed:\n%s\n%s", state, en.visible(), ko.visible())
	}
	return en, ko
}

func TestPageInEveryState(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	back := d.ready["shop_url"] + "/thanks?keep=1"
	a := d.good(t, "invoice/create", d.order("states").with("redirect_url", back).with("order_name", `<script>alert("x")</script>`))
	address, id := a.text("invoice_url"), a.text("invoice_id")
	en, _ := see(t, address, "choose")
	if strings.Contains(en.html, "<script>alert") || !strings.Contains(en.visible(), `<script>alert("x")</script>`) || !strings.Contains(en.visible(), "$12.34") {
		t.Errorf("order: %s", en.visible())
	}
	choose(t, address, "BTC")
	inv := d.get(t, id)
	due, deposit := inv.text("coin_amount"), inv.text("deposit_address")
	en, ko := see(t, address, "await")
	for _, p := range []page{en, ko} {
		for _, want := range []string{due, `data-copy="` + deposit + `"`, "<svg", `href="bitcoin:` + deposit + `?amount=` + due} {
			if !strings.Contains(p.html, want) {
				t.Errorf("await: no %s in %s", want, p.html)
			}
		}
	}
	// Two parts.
	d.pay("BTC", deposit, "0.0001")
	en, _ = see(t, address, "partial")
	if !strings.Contains(en.visible(), "0.00008015") {
		t.Errorf("partial does not say what is missing: %s", en.visible())
	}
	d.pay("BTC", deposit, "0.00008015")
	see(t, address, "seen")
	d.mine("BTC", 1)
	see(t, address, "confirming")
	// Both deposits are said to be in the block once the page's view of the chain has reached it.
	eventually(t, patience, "the page to say 1 of 2", func() bool {
		return strings.Contains(newBrowser(t).open(address+"?lang=en").visible(), "1 of 2")
	})
	d.mine("BTC", 1)
	en, _ = see(t, address, "paid")
	if !strings.Contains(unescape(en.html), `href="`+back+`&invoice_id=`+id+`&order_id=states&status=2"`) {
		t.Errorf("paid does not lead back to the shop: %s", en.html)
	}
	if told := d.awaitCallbacks("states", 1); len(told) != 1 {
		t.Errorf("%d callbacks", len(told))
	}

	// More than due, in ether, by a contract.
	a = d.good(t, "invoice/create", d.order("over"))
	choose(t, a.text("invoice_url"), "ETH")
	inv = d.get(t, a.text("invoice_id"))
	if p := newBrowser(t).open(a.text("invoice_url")); !strings.Contains(p.html, "ethereum:"+inv.text("deposit_address")+"@1337") {
		t.Errorf("await in ether has no link for wallets: %s", p.html)
	}
	d.control("/pay", object{"coin": "ETH", "address": inv.text("deposit_address"), "amount": "0.01", "contract": true}, nil)
	d.mine("ETH", 12)
	see(t, a.text("invoice_url"), "overpaid")

	// Short within tolerance.
	a = d.good(t, "invoice/create", d.order("tolerated"))
	choose(t, a.text("invoice_url"), "BTC")
	d.pay("BTC", d.get(t, a.text("invoice_id")).text("deposit_address"), "0.00017925") // 0.5 % of 0.00018015 is 0.0000009
	see(t, a.text("invoice_url"), "seen")
	d.mine("BTC", 2)
	d.await(t, a.text("invoice_id"), "status", "2")

	// Dropped: replaced by another transaction before it was in a block.
	a = d.good(t, "invoice/create", d.order("dropped"))
	choose(t, a.text("invoice_url"), "BTC")
	txid := d.pay("BTC", d.get(t, a.text("invoice_id")).text("deposit_address"), due)
	see(t, a.text("invoice_url"), "seen")
	d.control("/double-spend", object{"coin": "BTC", "txid": txid}, nil)
	see(t, a.text("invoice_url"), "dropped")
	d.await(t, a.text("invoice_id"), "deposit_status", "0")

	// Reversed: paid once, then taken back.
	a = d.good(t, "invoice/create", d.order("reversed"))
	choose(t, a.text("invoice_url"), "BTC")
	txid = d.pay("BTC", d.get(t, a.text("invoice_id")).text("deposit_address"), due)
	d.mine("BTC", 2)
	d.await(t, a.text("invoice_id"), "status", "2")
	d.control("/double-spend", object{"coin": "BTC", "txid": txid}, nil)
	see(t, a.text("invoice_url"), "reversed")
	auditClean(t, d.cli)
	d.interrupt(t)
}

func TestPageWhenTimeIsOver(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	m, _ := d.addApp("--quote-window=3s", "--choose-within=3s")
	long, _ := d.addApp("--quote-window=3s", "--exchange-window=10m")
	open := func(m *merchant, order string) answer { return m.good(t, "invoice/create", d.order(order)) }

	nothing, short, late := open(m, "nothing"), open(m, "short"), open(m, "late")
	for _, a := range []answer{short, late} {
		chooseSoon(t, d.url, a.text("invoice_id"), "BTC")
	}
	shortInv, lateInv := m.get(t, short.text("invoice_id")), m.get(t, late.text("invoice_id"))
	d.pay("BTC", shortInv.text("deposit_address"), "0.00009")
	for _, a := range []answer{nothing, late} {
		m.await(t, a.text("invoice_id"), "status", "3")
	}
	en, _ := see(t, nothing.text("invoice_url"), "expired")
	if strings.Contains(en.html, "<svg viewBox") && strings.Contains(en.html, "data-copy") {
		t.Errorf("an expired page still tells where to pay: %s", en.visible())
	}
	d.mine("BTC", 2)
	m.await(t, short.text("invoice_id"), "status", "3")
	en, _ = see(t, short.text("invoice_url"), "partial-expired")
	if !strings.Contains(en.html, "/refund-address") {
		t.Errorf("a short payment is not asked for a refund address: %s", en.html)
	}
	time.Sleep(1100 * time.Millisecond) // a block's time has whole seconds: in the deadline's own second it would still be in time
	d.pay("BTC", lateInv.text("deposit_address"), lateInv.text("coin_amount"))
	d.mine("BTC", 2)
	en, _ = see(t, late.text("invoice_url"), "late")
	if !strings.Contains(en.html, "/refund-address") {
		t.Errorf("a late payment is not asked for a refund address: %s", en.html)
	}
	if s := m.get(t, late.text("invoice_id")).number("status"); s != "3" {
		t.Errorf("late: status %s", s)
	}

	// Two minutes before the end the page says so, with a button that gives more time at the same address.
	until := regexp.MustCompile(`data-until="(\d+)"`)
	a := open(m, "more")
	chooseSoon(t, d.url, a.text("invoice_id"), "BTC")
	before := m.get(t, a.text("invoice_id"))
	p := newBrowser(t).open(a.text("invoice_url"))
	if p.state() != "ending" {
		t.Errorf("3 seconds before the end: state %q", p.state())
	}
	was := until.FindStringSubmatch(p.html)
	p = p.form("/more").submit()
	if is := until.FindStringSubmatch(p.html); p.state() != "ending" || was == nil || is == nil || is[1] <= was[1] {
		t.Errorf("after more time: state %q, until %v, was %v: %s", p.state(), is, was, p.visible())
	}
	if after := m.get(t, a.text("invoice_id")); after.text("deposit_address") != before.text("deposit_address") || after.number("status") != "1" {
		t.Errorf("more time: %s, was %s", after, before)
	}

	// The quote is over, the invoice is not: an earlier quote in the other coin lasts longer.
	a = open(long, "lapsed")
	address := a.text("invoice_url")
	chooseSoon(t, d.url, a.text("invoice_id"), "BTC")
	newBrowser(t).open(address).form("/coin", "exchange", "yes").submit()
	newBrowser(t).open(address).form("/coin", "coin", "ETH").submit()
	see(t, address, "lapsed")
	if p = newBrowser(t).open(address).form("/more").submit(); p.state() != "ending" {
		t.Errorf("after more time: state %q: %s", p.state(), p.visible())
	}
	auditClean(t, d.cli)
	d.interrupt(t)
}

func TestChangingTheCoin(t *testing.T) {
	t.Parallel()
	d := shared(t)
	a := d.good(t, "invoice/create", d.order("change").with("language", "kr"))
	p := newBrowser(t).open(a.text("invoice_url"))
	if !strings.Contains(p.html, `<html lang="ko"`) {
		t.Errorf("language=kr: %.60s", p.html)
	}
	// The switch of languages is a link, and forms keep what was switched to.
	link := regexp.MustCompile(`<a class="lang" href="([^"]*)"`).FindStringSubmatch(p.html)
	if link == nil {
		t.Fatal("no switch of languages")
	}
	to, err := p.url.Parse(unescape(link[1]))
	if err != nil {
		t.Fatal(err)
	}
	if p = p.b.open(to.String()); !strings.Contains(p.html, `<html lang="en"`) {
		t.Errorf("switched: %.60s", p.html)
	}
	p = p.form("/coin", "coin", "BTC").submit()
	if !strings.Contains(p.html, `<html lang="en"`) || p.state() != "await" {
		t.Errorf("the form forgot the language: %s %.60s", p.state(), p.html)
	}
	btc := d.get(t, a.text("invoice_id"))
	p = p.form("/coin", "coin", "ETH").submit()
	eth := d.get(t, a.text("invoice_id"))
	if eth.text("coin_currency") != "ETH" || eth.text("deposit_address") == btc.text("deposit_address") {
		t.Errorf("changed to ether: %s", eth)
	}
	p.form("/coin", "coin", "BTC").submit()
	if again := d.get(t, a.text("invoice_id")); again.text("deposit_address") != btc.text("deposit_address") {
		t.Errorf("back to Bitcoin at another address: %s %s", btc, again)
	}
	for _, coin := range []string{"", "DOGE", "btc", "BTC\x00"} {
		if p := newBrowser(t).do("POST", d.url+"/invoice/"+a.text("invoice_id")+"/coin", url.Values{"coin": {coin}}); p.status < 400 || p.status > 499 {
			t.Errorf("chose %q: %d", coin, p.status)
		}
	}
	// No two invoices share an address.
	seen := map[string]bool{btc.text("deposit_address"): true}
	for i := range 5 {
		b := d.good(t, "invoice/create", d.order(fmt.Sprint("apart", i)))
		choose(t, b.text("invoice_url"), "BTC")
		address := d.get(t, b.text("invoice_id")).text("deposit_address")
		if seen[address] {
			t.Errorf("%s is given twice", address)
		}
		seen[address] = true
	}
}

// setRefund goes through both steps of the refund address form.
func setRefund(b *browser, base, coin, address string) page {
	p := b.open(base + "/refund-address?coin=" + coin)
	p = p.form("/refund-address", "coin", coin).submit("address", address)
	if p.status != http.StatusOK {
		return p
	}
	return p.form("/refund-address", "step", "save").submit("right", "yes")
}

const (
	oneAddress   = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	otherAddress = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
	ethAddress   = "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076"
)

func TestRefundAddressBelongsToOneBrowser(t *testing.T) {
	t.Parallel()
	d := shared(t)
	a := d.good(t, "invoice/create", d.order("refund"))
	id := a.text("invoice_id")
	base := d.url + "/invoice/" + id
	choose(t, a.text("invoice_url"), "BTC")
	own := d.get(t, id).text("deposit_address")
	refund := func() string { return d.get(t, id).text("request_refund_address") }

	alice, mallory := newBrowser(t), newBrowser(t)
	for _, wrong := range []string{
		"", "nonsense", oneAddress[:len(oneAddress)-1] + "9", ethAddress, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", own, strings.Repeat("x", 300),
	} {
		p := setRefund(alice, base, "BTC", wrong)
		if p.status != 422 || !strings.Contains(p.html, `role="alert"`) {
			t.Errorf("refund address %.50q: %d %s", wrong, p.status, p.visible())
		}
		if refund() != "" {
			t.Fatalf("refund address %.50q was kept", wrong)
		}
	}
	// Not without the tick.
	p := alice.open(base+"/refund-address?coin=BTC").form("/refund-address", "coin", "BTC").submit("address", oneAddress)
	if p = p.form("/refund-address", "step", "save").submit(); p.status != 422 || refund() != "" {
		t.Errorf("saved without the tick: %d %s", p.status, refund())
	}
	if p := setRefund(alice, base, "BTC", oneAddress); p.status != 200 || refund() != oneAddress {
		t.Fatalf("refund address was not kept: %d %s %s", p.status, refund(), p.visible())
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	if len(alice.client.Jar.Cookies(u)) != 1 {
		t.Errorf("cookies: %v", alice.client.Jar.Cookies(u))
	}
	// Another browser may look, not change, whatever it sends.
	if p := mallory.open(base + "/refund-address?coin=BTC"); len(p.forms()) > 0 && strings.Contains(p.html, `name="address"`) {
		t.Errorf("another browser is offered the form: %s", p.html)
	}
	direct := url.Values{"coin": {"BTC"}, "address": {otherAddress}, "step": {"save"}, "right": {"yes"}}
	if p := mallory.do("POST", base+"/refund-address", direct); p.status < 400 || refund() != oneAddress {
		t.Errorf("another browser changed the refund address: %d %s", p.status, refund())
	}
	mallory.header["Cookie"] = alice.client.Jar.Cookies(u)[0].Name + "=" + strings.Repeat("0", len(alice.client.Jar.Cookies(u)[0].Value))
	if p := mallory.do("POST", base+"/refund-address", direct); p.status < 400 || refund() != oneAddress {
		t.Errorf("a made-up cookie changed the refund address: %d %s", p.status, refund())
	}
	// Nor for the invoice's other coin.
	if p := mallory.do("POST", base+"/refund-address", url.Values{"coin": {"ETH"}, "address": {ethAddress}, "step": {"save"}, "right": {"yes"}}); p.status < 400 {
		t.Errorf("another browser set the other coin's refund address: %d", p.status)
	}
	if p := setRefund(alice, base, "BTC", otherAddress); p.status != 200 || refund() != otherAddress {
		t.Errorf("the same browser cannot change it: %d %s", p.status, refund())
	}

	// Given at create: fixed.
	a = d.good(t, "invoice/create", d.order("fixed").with("refund_address", oneAddress))
	base = d.url + "/invoice/" + a.text("invoice_id")
	choose(t, a.text("invoice_url"), "BTC")
	if p := newBrowser(t).do("POST", base+"/refund-address", direct); p.status < 400 || d.get(t, a.text("invoice_id")).text("request_refund_address") != oneAddress {
		t.Errorf("an address given at create was changed: %d", p.status)
	}
	// Before a coin is chosen, and asked for first where the application wants it.
	m, _ := d.addApp("--require-refund")
	a = m.good(t, "invoice/create", d.order("must"))
	b := newBrowser(t)
	p = b.open(a.text("invoice_url")).form("/coin", "coin", "BTC").submit()
	if !strings.Contains(p.url.Path, "refund-address") {
		t.Fatalf("no refund address was asked for: %s", p.url)
	}
	p = p.form("/refund-address").submit("address", oneAddress)
	eventuallySaved := func() page {
		for range 40 {
			if q := p.form("/refund-address", "step", "save").submit("right", "yes"); q.status != 503 {
				return q
			}
			time.Sleep(250 * time.Millisecond)
		}
		t.Fatal("no address became ready")
		return page{}
	}
	if p = eventuallySaved(); p.state() != "await" || m.get(t, a.text("invoice_id")).text("coin_currency") != "BTC" {
		t.Errorf("after the refund address: %d %q %s", p.status, p.state(), p.visible())
	}
}

func TestPageHeadersAndDoors(t *testing.T) {
	t.Parallel()
	d := shared(t)
	shopURL := d.ready["shop_url"]
	var address string
	for open, ancestors := range map[string]string{"redirect": "'none'", "popup": "'none'", "layer": shopURL} {
		a := d.good(t, "invoice/create", d.order("door-"+open).with("open_type", open))
		address = a.text("invoice_url")
		p := newBrowser(t).open(address)
		csp := p.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "frame-ancestors "+ancestors+";") && !strings.HasSuffix(csp, "frame-ancestors "+ancestors) || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: %s", open, csp)
		}
		if (p.header.Get("X-Frame-Options") != "") != (open != "layer") {
			t.Errorf("%s: X-Frame-Options %q", open, p.header.Get("X-Frame-Options"))
		}
		for name, value := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8"} {
			if p.header.Get(name) != value {
				t.Errorf("%s: %s is %q", open, name, p.header.Get(name))
			}
		}
		if p.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: looking sets a cookie", open)
		}
		head := newBrowser(t).do("HEAD", address, nil)
		if head.status != 200 || head.html != "" || head.header.Get("Content-Security-Policy") != csp {
			t.Errorf("HEAD: %d %q", head.status, head.html)
		}
		// What the page names can be fetched, and nothing from elsewhere.
		for _, m := range regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(p.html, -1) {
			to, err := p.url.Parse(unescape(m[1]))
			if err != nil {
				t.Errorf("%s: %v", m[1], err)
				continue
			}
			if strings.HasPrefix(m[1], "data:") {
				continue
			}
			if to.Host != p.url.Host {
				t.Errorf("the page leads elsewhere: %s", m[1])
			} else if q := newBrowser(t).do("GET", to.String(), nil); q.status != 200 {
				t.Errorf("%s: %d", to, q.status)
			}
		}
	}
	id := strings.TrimPrefix(address, d.url+"/invoice-")
	script := newBrowser(t).open(d.url + "/pipe.js")
	if kind := script.header.Get("Content-Type"); !strings.Contains(kind, "javascript") || !strings.Contains(script.html, "_PIPE_PG_CLOSE") || !strings.Contains(script.html, "PIPE") {
		t.Errorf("/pipe.js is %s", kind)
	}
	if p := newBrowser(t).do("HEAD", d.url+"/pipe.js", nil); p.status != 200 {
		t.Errorf("HEAD /pipe.js: %d", p.status)
	}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/invoice-" + strings.Repeat("0", 64), 404}, {"HEAD", "/invoice-" + strings.Repeat("0", 64), 404}, {"GET", "/invoice-" + id[1:], 404}, {"GET", "/invoice-", 404}, {"GET", "/invoice-../../etc/passwd", 404},
		{"GET", "/", 200}, {"GET", "/nothing", 404}, {"GET", "/invoice/" + id + "/nothing", 404}, {"POST", "/invoice/" + strings.Repeat("0", 64) + "/coin", 404}, {"POST", "/invoice/" + strings.Repeat("0", 64) + "/more", 404},
		{"GET", "/invoice/" + strings.Repeat("0", 64) + "/status", 404}, {"GET", "/invoice/" + strings.Repeat("0", 64) + "/feed", 404}, {"GET", "/invoice/" + strings.Repeat("0", 64) + "/refund-address", 404}, {"GET", "/pay/none.js", 404},
	} {
		p := newBrowser(t).do(c.method, d.url+c.path, nil)
		if p.status != c.status {
			t.Errorf("%s %s: %d", c.method, c.path, p.status)
		}
		if strings.Contains(p.html, "goroutine") || strings.Contains(p.html, "sql") {
			t.Errorf("%s %s tells too much: %s", c.method, c.path, p.html)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if p := newBrowser(t).do(method, address, nil); p.status != 405 && p.status != 404 {
			t.Errorf("%s %s: %d", method, address, p.status)
		}
	}
	if p := newBrowser(t).do("GET", d.url+"/invoice/"+id+"/coin", nil); p.status != 405 && p.status != 404 {
		t.Errorf("GET of an action: %d", p.status)
	}
	// A form from another site does nothing.
	stranger := newBrowser(t)
	stranger.header["Origin"], stranger.header["Sec-Fetch-Site"] = "https://evil.example", "cross-site"
	if p := stranger.do("POST", d.url+"/invoice/"+id+"/coin", url.Values{"coin": {"BTC"}}); p.status != 403 {
		t.Errorf("a form from another site: %d", p.status)
	}
	if d.get(t, id).text("coin_currency") != "" {
		t.Error("a form from another site chose a coin")
	}
	// The live parts.
	status := newBrowser(t).open(d.url + "/invoice/" + id + "/status")
	if !strings.Contains(status.header.Get("Content-Type"), "application/json") || !strings.Contains(status.html, `"choose"`) {
		t.Errorf("status: %s", status.html)
	}
	resp, err := http.Get(d.url + "/invoice/" + id + "/feed")
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("feed: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	first := make([]byte, 64)
	if n, err := resp.Body.Read(first); n == 0 {
		t.Errorf("feed says nothing: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}
