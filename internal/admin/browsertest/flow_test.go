package browsertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webtest"
)

const partner = "partner@shop.example" // a second owner, who confirms with the password

func (s *shop) partner() {
	s.t.Helper()
	s.office.Trial = true
	_, err := s.office.AddUser(s.t.Context(), engine.NewUser{Email: partner, Name: "이소리", Password: sesame, Language: payment.Korean, Merchant: s.of.ID})
	s.must(err)
}

// sold is the page of an invoice.
func (s *shop) sold(order string) string {
	s.t.Helper()
	all, err := s.desk.InvoicePage(s.t.Context(), engine.InvoiceQuery{Merchant: s.of.ID, Limit: 20})
	s.must(err)
	for _, i := range all {
		if i.OrderID == order {
			return s.url + "/payments/" + string(i.ID)
		}
	}
	s.t.Fatalf("no order %s", order)
	return ""
}

// TestA2WithoutScript logs in, sets an application up, refunds, sends a callback again and withdraws by plain forms.
func TestA2WithoutScript(t *testing.T) {
	s := open(t)
	s.partner()
	x := tester{t, chromium.Tab(t)}
	webtest.ScriptOff(t, x.ctx, true)
	see, click, good := chromedp.WaitVisible[chromedp.CSS], chromedp.Click[chromedp.CSS], chromedp.WaitVisible(css(".notice.good"))
	write := func(field, text string) chromedp.Action[chromedp.Void] { return chromedp.SendKeys(css(field), text) }
	x.do("log in", chromedp.Navigate(s.url+"/login"), write("input[name=email]", partner), write("input[name=password]", sesame), click(css("form[action='/login'] button")),
		see(css("#steps")))
	x.do("set an application up", chromedp.Navigate(s.url+"/applications"), click(css("h2 a")), write("textarea[name=ips]", "203.0.113.99\n"), click(css("#ips form button")))
	x.do("confirm", write("input[name=step_up]", sesame), click(css("main form button")), good)
	x.do("refund", chromedp.Navigate(s.sold("O202603-2801")), click(css("a[href$='/refund']")), click(css("form[action$='/refund'] button")), good)
	x.do("resend", chromedp.Navigate(s.url+"/callbacks?pile=parked"), click(css("td form button")), good)
	x.do("find", chromedp.Navigate(s.url+"/payments"), write("input[name=q]", "O202603-9001"), click(css("form[role=search] button")), see(css("td a")))
	x.do("withdraw", chromedp.Navigate(s.url+"/wallet"), click(css("a[href='/wallet/withdraw?network=ethereum%2f1']")),
		write("input[name=address]", "0x"+strings.Repeat("ab", 20)), write("input[name=amount]", "0.5"), click(css("main form button")))
	x.do("confirm the withdrawal", click(css("form[action='/wallet/withdraw'] button")), good)
	x.do("log out", click(css("form[action='/logout'] button")), see(css("form[action='/login']")))
}

// TestA2Keyboard: whatever the Tab key reaches is seen to have the focus (of a date, its day, month or year), the first of it skips the navigation, and one can log in.
func TestA2Keyboard(t *testing.T) {
	s := open(t)
	s.partner()
	ctx := chromium.Tab(t)
	webtest.Run(t, ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(s.url+"/login"), chromedp.WaitVisible(css("input[name=email]")),
		chromedp.KeyEvent(partner+kb.Tab+sesame+kb.Enter), chromedp.WaitVisible(css("#steps")))
	focus := `(()=>{const e=document.activeElement,r=e.getBoundingClientRect(),s=getComputedStyle(e);return e===document.body?'':
		[e.textContent.trim().slice(0,30)||e.name,e.type==='date'||s.outlineStyle!=='none'&&parseFloat(s.outlineWidth)>=2,r.width>0&&r.top<innerHeight&&r.bottom>0].join('|')})()`
	webtest.Run(t, ctx, chromedp.KeyEvent(kb.Tab))
	if got := webtest.Get[string](t, ctx, focus); !strings.Contains(got, "본문으로") {
		t.Errorf("first comes %s", got)
	}
	webtest.Run(t, ctx, chromedp.KeyEvent(kb.Enter))
	webtest.Wait(t, ctx, "location.hash==='#main'")
	for _, path := range []string{"/", "/payments", "/applications/" + string(s.app.ID), "/team"} {
		webtest.Run(t, ctx, chromedp.Navigate(s.url+path), chromedp.WaitReady(css("h1")))
		n := 0
		for range 400 {
			webtest.Run(t, ctx, chromedp.KeyEvent(kb.Tab))
			got := webtest.Get[string](t, ctx, focus)
			if got == "" {
				break // past the last
			}
			if n++; !strings.HasSuffix(got, "|true|true") {
				t.Errorf("%s: the focus is not seen: %s", path, got)
			}
		}
		want := webtest.Get[int](t, ctx, "[...document.querySelectorAll('main a,main button,main select,main textarea')].filter(e=>e.offsetParent&&!e.disabled).length")
		if n < want {
			t.Errorf("%s: the Tab key reaches %d of %d", path, n, want)
		}
	}
}

// TestA11Fields: password managers know every field, and what they or the clipboard put there is taken.
func TestA11Fields(t *testing.T) {
	s := open(t)
	v := s.viewer(t, payment.English)
	want := map[string]string{
		"login": "email username webauthn, password current-password", "code": "code one-time-code", "signup": "email email", "forgot": "email username",
		"setup": "email username, name name, shop organization, password new-password", "stepup": "step_up one-time-code",
		"totp": "code one-time-code",
	}
	for _, x := range s.sights() {
		fields := want[x.name]
		if fields == "" {
			continue
		}
		v.show(x)
		if got := webtest.Get[string](t, v.ctx, "[...document.querySelectorAll('main input:not([type=hidden])')].filter(e=>e.offsetParent).map(e=>e.name+' '+e.autocomplete).join(', ')"); got != fields {
			t.Errorf("%s: the fields are %q, want %q", x.name, got, fields)
		}
		paste := `[...document.querySelectorAll('main input:not([type=hidden])')].every(e=>e.dispatchEvent(new ClipboardEvent('paste',{bubbles:true,cancelable:true}))&&!e.readOnly&&(e.maxLength<0||e.maxLength>=128))`
		if !webtest.Get[bool](t, v.ctx, paste) {
			t.Errorf("%s: a field does not take what is pasted", x.name)
		}
		if n := webtest.Get[int](t, v.ctx, "document.querySelectorAll('img,canvas,iframe').length"); n > 0 {
			t.Errorf("%s: %s", x.name, fmt.Sprint(n, " things that could be a puzzle"))
		}
	}
}
