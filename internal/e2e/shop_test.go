package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// press presses a button of the faucet, found by its label.
func press(p page, label string) page {
	p.b.t.Helper()
	for _, f := range p.forms() {
		if !strings.HasSuffix(f.action, "/demo/faucet") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?s)<button\b([^>]*)>(.*?)</button>`).FindAllStringSubmatch(f.inner, -1) {
			if b := attributesOf(m[1]); strings.Contains(unescape(markup.ReplaceAllString(m[2], "")), label) {
				q := f.submit(b["name"], b["value"])
				if q.status != 200 || q.url.Path != p.url.Path {
					p.b.t.Fatalf("faucet %s: %d at %s: %s", label, q.status, q.url, q.visible())
				}
				return q
			}
		}
	}
	p.b.t.Fatalf("no faucet button %q: %s", label, p.html)
	return page{}
}

func TestDemoShop(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	front := newBrowser(t).open(d.ready["shop_url"])
	if !strings.Contains(front.html, d.url+"/pipe.js") {
		t.Error("the shop does not load /pipe.js")
	}
	for _, want := range []string{"₩10,500", "$12.34", `value="redirect"`, `value="popup"`, `value="layer"`} {
		if !strings.Contains(front.html, want) {
			t.Errorf("the shop has no %s", want)
		}
	}
	for _, product := range []string{"tea", "mug"} {
		for _, open := range []string{"redirect", "popup", "layer"} {
			for _, language := range []string{"en", "kr"} {
				p := newBrowser(t).open(d.ready["shop_url"]).form("/buy", "product", product).submit("open_type", open, "language", language)
				lang := map[string]string{"en": "en", "kr": "ko"}[language]
				if p.status != 200 || p.state() != "choose" || !strings.Contains(p.html, `data-open="`+open+`"`) || !strings.Contains(p.html, `<html lang="`+lang+`"`) {
					t.Errorf("buy %s as %s in %s: %d %s", product, open, language, p.status, p.visible())
				}
			}
		}
	}
	if p := newBrowser(t).do("POST", d.ready["shop_url"]+"/buy", map[string][]string{"product": {"nothing"}}); p.status != 400 {
		t.Errorf("buy nothing: %d", p.status)
	}
	// For its script, the shop tells the invoice.
	b := newBrowser(t)
	b.header["Accept"] = "application/json"
	var told struct {
		URL string `json:"invoice_url"`
	}
	p := b.do("POST", d.ready["shop_url"]+"/buy", map[string][]string{"product": {"tea"}, "open_type": {"layer"}})
	if err := json.Unmarshal([]byte(p.html), &told); err != nil || !strings.HasPrefix(told.URL, d.url+"/invoice-") {
		t.Errorf("buy for a script: %v %s", err, p.html)
	}
	for _, coin := range []string{"BTC", "ETH"} {
		for _, c := range []struct{ label, after, end string }{{"Exact", "seen", "paid"}, {"More", "seen", "overpaid"}, {"Short", "partial", "partial"}} {
			d.faucet(t, coin, c.label, c.after, c.end)
		}
	}
	// The panel speaks Korean with the page.
	p = newBrowser(t).open(d.ready["shop_url"]).form("/buy", "product", "tea").submit("open_type", "redirect", "language", "kr")
	p = p.form("/coin", "coin", "BTC").submit()
	for _, label := range []string{"정확히", "적게", "많이", "블록"} {
		press(p, label)
	}
	// The shop shows what it was told.
	if list := newBrowser(t).open(d.ready["shop_url"] + "/callbacks"); !strings.Contains(list.visible(), `"status":2`) {
		t.Errorf("the shop shows no callbacks: %s", list.visible())
	}
	d.interrupt(t)
}

// faucet buys, pays by a button, mines by another, and comes back to the shop once it is paid.
func (d *demo) faucet(t testing.TB, coin, label, after, end string) {
	t.Helper()
	b := newBrowser(t)
	p := b.open(d.ready["shop_url"]).form("/buy", "product", "mug").submit("open_type", "redirect")
	p = press(p.form("/coin", "coin", coin).submit(), label)
	address := p.url.String()
	see(t, address, after)
	for range needs[coin] {
		p = press(b.open(address), "Mine")
	}
	see(t, address, end)
	if end == "partial" {
		return
	}
	link := regexp.MustCompile(`id="back" href="([^"]*)"`).FindStringSubmatch(b.open(address).html)
	if link == nil {
		t.Errorf("%s %s: paid, but no way back", coin, label)
		return
	}
	if thanks := b.open(unescape(link[1])); !strings.Contains(thanks.visible(), "status 2, deposit status 1") {
		t.Errorf("%s %s: the shop says %s", coin, label, thanks.visible())
	}
}

func TestShopAnswersAsTold(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	d.control("/shop", object{"status": 503, "body": "closed", "delay_ms": 300}, nil)
	a := d.good(t, "invoice/create", d.order("told"))
	choose(t, a.text("invoice_url"), "BTC")
	inv := d.get(t, a.text("invoice_id"))
	d.pay("BTC", inv.text("deposit_address"), inv.text("coin_amount"))
	d.mine("BTC", 2)
	first := d.awaitCallbacks("told", 1)[0]
	var said struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	}
	if err := json.Unmarshal(first.Answer, &said); err != nil || said.Status != 503 || said.Body != "closed" {
		t.Errorf("answer: %s", first.Answer)
	}
	d.control("/shop", object{"status": 200, "body": "ok"}, nil)
	// A kill between the tries loses nothing.
	d.end()
	d.start()
	all := d.awaitCallbacks("told", 2)
	if all[0].Body != all[1].Body || all[0].Headers["webhook-id"] != all[1].Headers["webhook-id"] {
		t.Errorf("the second try differs: %v", all)
	}
	if pause := all[1].At.Sub(all[0].At); pause < 4900*time.Millisecond {
		t.Errorf("tried again after %s", pause)
	}
	if got := fmt.Sprint(message(t, all[1].Body).Data); got != fmt.Sprint(d.get(t, a.text("invoice_id")).Data) {
		t.Errorf("callback and invoice/get differ: %s", got)
	}
	d.interrupt(t)
}
