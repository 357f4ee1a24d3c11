package demo_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	mostInteractions = 12              // A1
	mostTime         = 3 * time.Minute // A1
)

// A newcomer sets a shop up in a browser. Each click, sent form and call is counted.
type newcomer struct {
	*testing.T
	ctx  context.Context
	done []string
}

func (n *newcomer) act(what string, steps ...chromedp.Action[chromedp.Void]) {
	n.Helper()
	n.done = append(n.done, what)
	n.see(steps...)
}

// see does what is no interaction: typing into fields, looking.
func (n *newcomer) see(steps ...chromedp.Action[chromedp.Void]) {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		n.Fatalf("%q: %v", n.done, err)
	}
}

// save sends a form of the page and waits for the page after it, which says that it was done.
func (n *newcomer) save(what, button string) {
	n.Helper()
	n.text("window.before = 'before'")
	n.act(what, chromedp.Click(chromedp.CSS(button)))
	reads(n.T, n.ctx, "String(window.before)+(document.querySelector('p.notice.good')||{}).role", "undefinedstatus")
}

func (n *newcomer) text(expression string) string {
	n.Helper()
	return reads(n.T, n.ctx, expression, "")
}

// TestA1FirstPayment: from the set-up link to a sandbox payment on the home page, in at most 12 interactions and 3 minutes.
// Coins are chosen and the PIPE wallet is kept from the beginning, so neither is a step.
func TestA1FirstPayment(t *testing.T) {
	t.Parallel()
	s := raise(t)
	said, err := (&story{stage: s, t: t}).pipeSays("user", "setup-link", "--another")
	if err != nil {
		t.Fatal(err)
	}
	link, err := url.Parse(strings.TrimSpace(string(said)))
	if err != nil {
		t.Fatal(err)
	}
	n := &newcomer{T: t, ctx: browse(t)}
	css, set, click := func(x string) chromedp.CSS { return chromedp.CSS(x) }, chromedp.SetValue[chromedp.CSS], chromedp.Click[chromedp.CSS]
	see := chromedp.WaitVisible[chromedp.CSS]
	began := time.Now()

	n.act("open the set-up link", chromedp.Navigate(s.ready.AdminURL+link.Path), see(css("input[name=shop]")))
	n.see(set(css("input[name=email]"), "new@shop.example"), set(css("input[name=name]"), "Kim"), set(css("input[name=shop]"), "New shop"),
		set(css("input[name=password]"), "correct horse battery"))
	n.act("make the account", click(css("main form button")), see(css("#steps")))
	n.act("go to the first step", click(css("#steps a[href='/applications']")), see(css("form[action='/applications/add']")))
	n.see(set(css("form[action='/applications/add'] input[name=name]"), "Web shop"))
	n.act("make an application", click(css("form[action='/applications/add'] button")), see(css("input[name=step_up]")))
	n.see(set(css("input[name=step_up]"), "correct horse battery"))
	n.act("confirm with the password", click(css("main form button")), see(css("#new-key")))
	key := n.text("document.getElementById('new-key').textContent")
	n.see(set(css("textarea[name=urls]"), s.ready.ShopURL))
	n.save("save the URL", "#urls form button")
	n.see(set(css("textarea[name=ips]"), "127.0.0.1"))
	n.save("save the IP", "#ips form button")

	page := n.create(s, key)
	n.act("open the payment page", chromedp.Navigate(page), see(css("#coin-BTC")))
	n.act("choose a coin", click(css("#coin-BTC")), see(css("form.panel button")))
	n.act("pay from the faucet", click(css("form.panel button")))
	reads(t, n.ctx, "document.title", "Seen")
	s.steer(t, "/mine", map[string]any{"coin": "BTC", "blocks": 2}) // as time does in the demo
	reads(t, n.ctx, "document.title", "Paid")
	n.act("look at the home page", chromedp.Navigate(s.ready.AdminURL+"/"), see(css("#steps")))
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) { // the shop is told first
		left := n.text("document.querySelectorAll('#steps li a').length") // a step that is done is no link
		if left == "1" && strings.Contains(n.text("document.querySelector('.chart + p, main').innerText"), "10,500") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the home page says %s", n.text("document.body.innerText"))
		}
		n.see(chromedp.Reload())
	}
	took := time.Since(began)
	t.Logf("A1: %d interactions in %s: %s", len(n.done), took.Round(100*time.Millisecond), strings.Join(n.done, ", "))
	if len(n.done) > mostInteractions || took > mostTime {
		t.Errorf("more than %d interactions or %s", mostInteractions, mostTime)
	}
	if got := n.text("JSON.stringify(window.violated)"); got != "[]" {
		t.Errorf("the admin's policy forbids %s", got)
	}
}

// create opens an invoice as the shop's server does, and is its page.
func (n *newcomer) create(s *stage, key string) string {
	n.Helper()
	n.done = append(n.done, "call the API")
	form := url.Values{"api_key": {key}, "order_id": {"A1"}, "order_name": {"T-shirt"}, "price": {"10500"}, "price_currency": {"KRW"}, "open_type": {"redirect"},
		"callback_url": {s.ready.ShopURL + "/callback"}, "redirect_url": {s.ready.ShopURL + "/"}, "language": {"en"}}
	v, err := (&story{stage: s, t: n.T}).api("invoice/create", form)
	if err != nil {
		n.Fatal(err)
	}
	return fmt.Sprint(v["invoice_url"])
}
