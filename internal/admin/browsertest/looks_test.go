package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webtest"
)

// chromium is the one browser of these tests.
var chromium webtest.Browser

// A sight is one page as somebody sees it: by its address, or as the answer to a form.
type sight struct {
	name, who, path string
	form            url.Values
	unsure          bool // nothing was confirmed yet
}

// sights are all pages of the admin, each in the states that look different.
func (s *shop) sights() []sight {
	s.t.Helper()
	link := func(text string, err error) string {
		s.must(err)
		return strings.TrimPrefix(text, s.url)
	}
	all, err := s.desk.InvoicePage(s.t.Context(), engine.InvoiceQuery{Merchant: s.of.ID, Limit: 20})
	s.must(err)
	story := map[string]string{}
	for _, i := range all {
		story[i.OrderID] = "/payments/" + string(i.ID)
	}
	id, err := s.desk.NewID(s.t.Context())
	s.must(err)
	app, eth := "/applications/"+string(s.app.ID), url.QueryEscape(string(ethereum))
	withdrawal := func(to string) url.Values {
		return url.Values{"network": {string(ethereum)}, "id": {string(id)}, "address": {to}, "amount": {"0.5"}}
	}
	return []sight{
		{name: "login", path: "/login"},
		{name: "login-refused", path: "/login", form: url.Values{"email": {owner}, "password": {"wrong"}}},
		{name: "code", who: halfway, path: "/login/code"},
		{name: "signup", path: "/signup"},
		{name: "signup-sent", path: "/signup", form: url.Values{"email": {"next@shop.example"}}},
		{name: "forgot", path: "/forgot"},
		{name: "setup", path: link(s.office.SetupLink(s.t.Context(), true))},
		{name: "invited", path: s.links[payment.MailInvite]},
		{name: "account-opened", path: s.links[payment.MailSignUp]},
		{name: "reset", path: s.links[payment.MailReset]},
		{name: "veto", path: s.links[payment.MailVeto]},
		{name: "first-steps", who: fresh, path: "/"},
		{name: "home", who: owner, path: "/"},
		{name: "applications-none", who: fresh, path: "/applications"},
		{name: "applications", who: owner, path: "/applications"},
		{name: "application", who: owner, path: app},
		{name: "application-refused", who: owner, path: app + "/urls", form: url.Values{"urls": {"http://shop.example"}}},
		{name: "application-tested", who: owner, path: app + "/test", form: url.Values{"url": {"https://shop.example/pipe/callback.php"}}},
		{name: "application-key", who: owner, path: app + "/keys/rotate", form: url.Values{"overlap": {"24h"}}},
		{name: "payments", who: owner, path: "/payments"},
		{name: "payments-none", who: owner, path: "/payments?q=nothing-like-it"},
		{name: "payment", who: owner, path: story["O202603-9002"]},
		{name: "payment-reversed", who: owner, path: story["O202603-9003"]},
		{name: "payment-waiting", who: owner, path: story["O202603-9004"]},
		{name: "refund", who: owner, path: story["O202603-9003"] + "/refund"},
		{name: "callbacks", who: owner, path: "/callbacks?pile=parked"},
		{name: "callbacks-none", who: fresh, path: "/callbacks"},
		{name: "refunds", who: owner, path: "/refunds"},
		{name: "settlements", who: owner, path: "/settlements"},
		{name: "wallet", who: owner, path: "/wallet"},
		{name: "wallet-none", who: fresh, path: "/wallet"},
		{name: "receive", who: owner, path: "/wallet/receive", form: url.Values{"network": {string(bitcoin)}}},
		{name: "withdraw", who: owner, path: "/wallet/withdraw?network=" + eth},
		{name: "withdraw-refused", who: owner, path: "/wallet/withdraw/check", form: withdrawal("bc1")},
		{name: "withdraw-check", who: owner, path: "/wallet/withdraw/check", form: withdrawal("0x" + s.hex(40))},
		{name: "team", who: owner, path: "/team"},
		{name: "team-invited", who: owner, path: "/team/invite", form: url.Values{"email": {"desk@shop.example"}, "role": {"support"}}},
		{name: "audit", who: owner, path: "/audit"},
		{name: "account", who: owner, path: "/account"},
		{name: "account-fresh", who: fresh, path: "/account"},
		{name: "stepup", who: owner, unsure: true, path: "/account/recovery", form: url.Values{}},
		{name: "stepup-none", who: fresh, unsure: true, path: "/applications/add", form: url.Values{"name": {"가게"}}},
		{name: "passkeys", who: owner, path: "/account/passkeys"},
		{name: "totp", who: fresh, path: "/account/totp"},
		{name: "recovery", who: owner, path: "/account/recovery", form: url.Values{}},
		{name: "sessions", who: owner, path: "/sessions"},
		{name: "merchants", who: owner, path: "/merchants"},
		{name: "house", who: boss, path: "/house"},
		{name: "house-halted", who: boss, path: "/house/halt", form: url.Values{"reason": {"감사에서 bitcoin/mainnet 차이 발견"}}},
		{name: "error", who: owner, path: "/payments/0"},
	}
}

// A viewer goes from sight to sight in one tab.
type viewer struct {
	*shop
	t      *testing.T
	ctx    context.Context
	lang   payment.Language
	tokens map[string]string
}

func (s *shop) viewer(t *testing.T, l payment.Language) *viewer {
	t.Helper()
	s.speak(l)
	return &viewer{s, t, chromium.Tab(t), l, map[string]string{}}
}

// token is the session of who sees it.
func (v *viewer) token(x sight) string {
	v.t.Helper()
	if x.who == nobody {
		return ""
	}
	key := fmt.Sprint(x.who, x.unsure)
	if v.tokens[key] == "" {
		v.tokens[key] = v.enter(x.who, !x.unsure)
	}
	return v.tokens[key]
}

// filled is the form with the merchant that it is for.
func (v *viewer) filled(x sight) url.Values {
	form := url.Values{"merchant": {string(v.of.ID)}}
	if x.who == fresh {
		form.Set("merchant", string(v.empty.ID))
	}
	for name, values := range x.form {
		form[name] = values
	}
	return form
}

func (v *viewer) address(x sight) string {
	path := x.path
	if x.who == nobody || x.who == halfway {
		path += "?lang=" + string(v.lang)
	}
	return v.url + path
}

// show leads the tab there.
func (v *viewer) show(x sight) {
	v.t.Helper()
	if _, err := chromedp.Call(v.ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		v.t.Fatal(err)
	}
	if token := v.token(x); token != "" {
		if _, err := chromedp.Call(v.ctx, network.SetCookie, network.SetCookieParams{Name: "pipe", Value: token, URL: v.url}); err != nil {
			v.t.Fatal(err)
		}
	}
	if x.form == nil {
		webtest.Run(v.t, v.ctx, chromedp.Navigate(v.address(x)), chromedp.WaitReady(chromedp.CSS("h1")))
		return
	}
	form, err := json.Marshal(v.filled(x))
	if err != nil {
		v.t.Fatal(err)
	}
	webtest.Run(v.t, v.ctx, chromedp.Navigate(v.url+"/login/none"), chromedp.WaitReady(chromedp.CSS("h1")))
	webtest.Get[int](v.t, v.ctx, fmt.Sprintf(`(()=>{const f=document.createElement('form');f.method='post';f.action=%q;
		for(const [k,v] of Object.entries(%s))for(const one of v){const i=document.createElement('input');i.name=k;i.value=one;f.append(i)}
		document.body.append(f);f.id='sent';f.submit();return 1})()`, v.address(x), form))
	webtest.Wait(v.t, v.ctx, "document.readyState==='complete'&&!document.getElementById('sent')&&document.querySelector('h1')")
}

// source is the page as the server sends it.
func (v *viewer) source(x sight) []byte {
	v.t.Helper()
	method, body := http.MethodGet, ""
	if x.form != nil {
		method, body = http.MethodPost, v.filled(x).Encode()
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.address(x), strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token := v.token(x); token != "" {
		req.AddCookie(&http.Cookie{Name: "pipe", Value: token})
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		v.t.Fatalf("%s: %d %v %s", x.name, resp.StatusCode, err, b)
	}
	return b
}

// leave undoes what a sight did to the house.
func (v *viewer) leave(x sight) {
	v.t.Helper()
	if x.name == "house-halted" {
		v.update(func(tx engine.Tx) error {
			h, err := tx.Halt()
			if err != nil {
				return err
			}
			h.Reason, h.Since = "", time.Time{}
			return tx.SaveHalt(h)
		})
	}
}

// TestA2Matrix draws every page in both languages, light and dark, at 320, 768 and 1280 px, and looks for what breaks in all of
// them: axe's rules, sideways scrolling, small targets, policy violations, requests to others, foreign words. PIPE_PICTURES
// names a directory that keeps the pictures, PIPE_SIGHT the one page that is drawn.
func TestA2Matrix(t *testing.T) {
	s := open(t)
	axe := webtest.LoadAxe(t)
	n, drawn := 0, 0
	for _, lang := range []payment.Language{payment.English, payment.Korean} {
		v := s.viewer(t, lang)
		others := v.others()
		for _, x := range s.sights() {
			n++
			v.show(x)
			v.words(x)
			for i, width := range []int64{320, 768, 1280} {
				for j, colour := range []string{"light", "dark"} {
					if !webtest.Whole() && (i != n%3 || j != n/3%2) {
						continue
					}
					drawn++
					webtest.Colours(t, v.ctx, colour)
					webtest.Run(t, v.ctx, chromedp.EmulateViewport(width, 800))
					at := fmt.Sprintf("%s-%s-%s-%d", x.name, lang, colour, width)
					webtest.Looks(t, v.ctx, at)
					axe.Judge(t, v.ctx, at)
					if dir := webtest.Pictures(); dir != "" {
						webtest.Keep(t, v.ctx, filepath.Join(dir, at+".png"))
					}
				}
			}
			v.leave(x)
		}
		if asked := others(); len(asked) > 0 {
			t.Errorf("asked others: %q", asked)
		}
	}
	t.Logf("%d pages, %d drawings", n, drawn)
}

// others begins to count the requests that go elsewhere.
func (v *viewer) others() func() []string {
	v.t.Helper()
	seen := make(chan string, 100)
	err := chromedp.Listen(v.ctx, func(ev any) {
		if e, ok := ev.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(e.Request.URL, v.url) && !strings.HasPrefix(e.Request.URL, "data:") {
			select {
			case seen <- e.Request.URL:
			default:
			}
		}
	})
	if err == nil {
		_, err = chromedp.Call(v.ctx, network.Enable, network.EnableParams{})
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return func() (all []string) {
		for len(seen) > 0 {
			all = append(all, <-seen)
		}
		return all
	}
}

// given is what people and machines gave: addresses of all kinds, networks, versions, words with digits. Sentences of machines are
// marked as English.
var given = regexp.MustCompile(`[^\s(]*[\w)][./@:-]+\w[^\s,)]*|\b\w*\d\w*…?`)

var latin = regexp.MustCompile(`[A-Za-z]{2,}`)

// koreanMayHave are the Latin words that Korean pages have: names, units, and what programs call things.
var koreanMayHave = map[string]bool{"PIPE": true, "BTC": true, "ETH": true, "KRW": true, "USD": true, "KST": true, "UTC": true, "API": true, "URL": true, "IP": true,
	"ID": true, "CSV": true, "JSON": true, "PNG": true, "KiB": true, "QR": true, "PIN": true, "CIDR": true, "HTTP": true, "JavaScript": true, "English": true,
	"ok": true, "form": true, "final": true, "webhook": true, "id": true, "https": true, "all": true, "xx": true, "ms": true, "curl": true, "PHP": true,
	"display": true, "errors": true, "pipe": true, "Gift": true, "card": true, "upbit": true, "bithumb": true, "coinone": true, "Kim": true, "Alex": true, "Doe": true}

// words reads the texts of the page as a person sees them: none is missing or not filled, and Korean pages are Korean.
func (v *viewer) words(x sight) {
	v.t.Helper()
	text := webtest.Get[string](v.t, v.ctx, `document.title+'\n'+[...document.querySelectorAll('body *')].filter(e=>!e.closest('code,pre,script,noscript,textarea,.brand,.merchant,[lang=en]'))
		.flatMap(e=>[...e.childNodes].filter(n=>n.nodeType===3).map(n=>n.data).concat(e.getAttribute('aria-label')||[],e.placeholder&&!/:\/\/|^[0-9.]+$/.test(e.placeholder)?e.placeholder:[])).join('\n')`)
	if strings.Contains(text, "⟦") || regexp.MustCompile(`\{[a-z]+\}`).MatchString(text) {
		v.t.Errorf("%s: a text is missing or not filled: %s", x.name, text)
	}
	if v.lang != payment.Korean {
		return
	}
	text = given.ReplaceAllString(text, "")
	for _, word := range latin.FindAllString(text, -1) {
		if !koreanMayHave[word] {
			v.t.Errorf("%s: stray word %q in %q", x.name, word, regexp.MustCompile(`[^\n]*\b`+word+`\b[^\n]*`).FindString(text))
		}
	}
	if tag := webtest.Get[string](v.t, v.ctx, "document.documentElement.lang"); tag != "ko" {
		v.t.Errorf("%s: lang is %s", x.name, tag)
	}
}

// TestA2HTML: html-validate finds no error in any page of any language.
func TestA2HTML(t *testing.T) {
	s := open(t)
	all := map[string][]byte{}
	for _, lang := range []payment.Language{payment.English, payment.Korean} {
		s.speak(lang)
		v := &viewer{s, t, nil, lang, map[string]string{}}
		for _, x := range s.sights() {
			all[x.name+"-"+string(lang)] = v.source(x)
			v.leave(x)
		}
	}
	webtest.HTML(t, all)
}
