package browsertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webtest"
)

// TestC2EveryState: without script every state says what it is and has its next step, and nothing is offered that only script
// could do.
func TestC2EveryState(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	next := map[string]string{ // what can be done; "" waits
		"choose": "form[action$='/coin'] button", "await": "a.wallet", "ending": "form[action$='/more'] button", "dropped": "a.wallet",
		"lapsed": "form[action$='/more'] button", "partial": "a.wallet", "seen": "", "confirming": "", "paid": "#back,#may-close", "overpaid": "#back",
		"expired": "main a.button", "late": "main a.button", "partial-expired": "main a.button", "reversed": "main a.button", "refunded": "main a.button",
	}
	run(t, ctx, chromedp.Navigate(s.page("paid")))
	webtest.ScriptOff(t, ctx, true)
	for i, f := range gallery.Fixtures() {
		for j, lang := range []string{"en", "ko"} {
			if !webtest.Whole() && i%2 != j {
				continue
			}
			run(t, ctx, chromedp.Navigate(s.page(f.Name)+"?lang="+lang), chromedp.WaitReady(chromedp.CSS("#heading")))
			state := get[string](t, ctx, "document.getElementById('live').dataset.state")
			what, ok := next[state]
			if !ok {
				t.Fatalf("%s: no next step is known for %s", f.Name, state)
			}
			if what != "" && f.Name != "choose-refused" && f.Name != "expired-checking" {
				if n := get[int](t, ctx, fmt.Sprintf("[...document.querySelectorAll(%q)].filter(e=>e.checkVisibility()).length", what)); n == 0 {
					t.Errorf("%s %s: no %s", f.Name, lang, what)
				}
			}
			if idle := get[[]string](t, ctx, `[...document.querySelectorAll('button[type=button],[data-clock],#wallets,#say')].filter(e=>e.checkVisibility()&&e.textContent.trim()).map(e=>e.outerHTML.slice(0,80))`); len(idle) > 0 {
				t.Errorf("%s %s: needs script: %q", f.Name, lang, idle)
			}
			if !get[bool](t, ctx, "[...document.querySelectorAll('noscript a')].some(e=>e.checkVisibility())") {
				t.Errorf("%s %s: cannot be refreshed", f.Name, lang)
			}
		}
	}
}

// TestC6EveryConfirmation: each of Ethereum's twelve confirmations is shown and announced, in order and once.
func TestC6EveryConfirmation(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	id := gallery.ID("await-eth")
	run(t, ctx, chromedp.Navigate(s.page("await-eth")), chromedp.WaitVisible(chromedp.CSS(".qr")))
	get[int](t, ctx, `(window.told=[],new MutationObserver(()=>told.push(document.getElementById('say').textContent)).observe(document.getElementById('say'),{childList:true}),1)`)
	var want []string
	for n := range 12 {
		n++
		state := payment.Mined
		text := fmt.Sprintf("Confirming: %d of 12", n)
		if n == 12 {
			state, text = payment.Confirmed, "Payment complete"
		}
		s.Put(id, gallery.New("await-eth").Quote(money.ETH, 9*time.Minute).Deposit(gallery.Coming{PerMille: 1000, Ago: time.Minute, State: state, Blocks: n}).View())
		wait(t, ctx, fmt.Sprintf("document.getElementById('say').textContent===%q", text))
		want = append(want, text)
	}
	if told := get[[]string](t, ctx, "told"); strings.Join(told, "|") != strings.Join(want, "|") {
		t.Errorf("told %q", told)
	}
}

// TestC31RefundLive: who leaves the page open sees the refund go its way, each step announced once, and is asked for an address
// when it is wanted.
func TestC31RefundLive(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	id := gallery.ID("partial-expired")
	run(t, ctx, chromedp.Navigate(s.page("partial-expired")), chromedp.WaitVisible(chromedp.CSS(".payback.need a.button")))
	get[int](t, ctx, `(window.told=[],new MutationObserver(()=>told.push(document.getElementById('say').textContent)).observe(document.getElementById('say'),{childList:true}),1)`)
	for _, step := range []struct{ fixture, title, text string }{
		{"refund-need", "Refund", "Where should the refund go?"},
		{"refund-waiting", "Closed", "Refund requested"},
		{"refund-moving", "Refunding", "Refund on its way"},
		{"refund-failed", "Refund", "Refund failed"},
	} {
		s.Put(id, view(t, step.fixture))
		wait(t, ctx, fmt.Sprintf("document.title===%q&&document.getElementById('say').textContent===%q", step.title, step.text))
	}
	s.Put(id, view(t, "refunded"))
	wait(t, ctx, "document.title==='Refunded'")
	want := "Where should the refund go?|Refund requested|Refund on its way|Refund failed|What you paid has been refunded Refund complete"
	if told := get[[]string](t, ctx, "told"); strings.Join(told, "|") != want {
		t.Errorf("told %q", told)
	}
}

// TestC30Double: from the moment that the amount due was seen nothing on the page can be paid to, in any state.
func TestC30Double(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	for _, f := range gallery.Fixtures() {
		if !f.View.Covers && f.View.Status == payment.Waiting {
			continue
		}
		run(t, ctx, chromedp.Navigate(s.page(f.Name)), chromedp.WaitReady(chromedp.CSS("#heading")))
		pays := get[int](t, ctx, `document.querySelectorAll('.qr,a[href^="bitcoin:"],a[href^="ethereum:"],.wallet,#wallets,.amount').length`)
		if pays > 0 && f.View.Status != payment.Waiting || pays > 0 && f.View.Covers {
			t.Errorf("%s: %d things to pay with", f.Name, pays)
		}
	}
}

// TestC30SentAnswer: what is said of a transaction looks as the other pages do, and can be read by all.
func TestC30SentAnswer(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	axe := webtest.LoadAxe(t)
	for lang, colour := range map[string]string{"en": "light", "ko": "dark"} {
		for txid, want := range map[string]string{gallery.TxID: "main.done", gallery.RefundTxID: "main.attention", "nonsense": ".fault"} {
			webtest.Colours(t, ctx, colour)
			run(t, ctx, chromedp.EmulateViewport(320, 700), chromedp.Navigate(s.URL+"/invoice/"+string(gallery.ID("seen"))+"/sent?lang="+lang),
				chromedp.SendKeys(chromedp.CSS("input[name=txid]"), txid), chromedp.Click(chromedp.CSS("main button")), chromedp.WaitVisible(chromedp.CSS(want)))
			at := "sent " + lang + " " + want
			webtest.Looks(t, ctx, at)
			axe.Judge(t, ctx, at)
			words(t, ctx, "sent-answer-"+lang)
			if dir := webtest.Pictures(); dir != "" {
				webtest.Keep(t, ctx, fmt.Sprintf("%s/sent-%s-%s.png", dir, lang, strings.Trim(want, ".")))
			}
		}
	}
}
