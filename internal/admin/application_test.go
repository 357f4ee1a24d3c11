package admin

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webhook"
)

// answers is a sender that always answers the same.
type answers struct{ payment.Answer }

func (a answers) Send(context.Context, payment.Message) payment.Answer { return a.Answer }

// list is a signer's list of destinations.
type list struct {
	from   time.Time
	vetoed map[string]bool
	known  map[string]bool
}

func (l *list) Register(_ context.Context, d chain.Destination) (chain.Destination, error) {
	if l.vetoed[d.Address] {
		return d, chain.ErrRefused
	}
	l.known[d.Address] = true
	d.From = l.from
	return d, nil
}

func (l *list) Veto(_ context.Context, merchant string, n money.Network, address string) (chain.Destination, error) {
	if !l.known[address] {
		return chain.Destination{}, errors.New("not registered")
	}
	l.vetoed[address] = true
	return chain.Destination{Merchant: merchant, Network: n, Address: address}, nil
}

// withNets gives the desk a network whose addresses begin with "own-", a signer, and a shop that answers.
func withNets(l *list) func(*Options) {
	return func(o *Options) {
		parse := func(text string) (string, error) {
			if !strings.HasPrefix(text, "own-") {
				return "", errors.New("is no address")
			}
			return text, nil
		}
		o.Desk.Nets = map[money.Currency]engine.Net{
			money.BTC: {Network: "bitcoin/regtest", ParseAddress: parse}, money.ETH: {Network: "ethereum/1337", ParseAddress: parse},
		}
		o.Desk.Peers, o.Desk.Render = engine.NewPeerNotes(), webhook.Render
		o.Desk.Sender = answers{payment.Answer{Verdict: string(webhook.Empty), Status: 200, Took: 12 * time.Millisecond, Body: []byte("a\x00b")}}
		o.Desk.Rates = noRates{}
		o.Explain = func(verdict, language string) string { return webhook.Verdict(verdict).Explain(language) }
		o.Integrator = &engine.Integrator{Desk: o.Desk, Office: o.Office, Destinations: l, Log: o.Log}
	}
}

type noRates struct{}

func (noRates) Price(context.Context, money.Currency, money.Currency) (payment.Price, error) {
	return payment.Price{}, payment.Refuse(payment.Unavailable, payment.WordNoRate, "none")
}

var keyText = regexp.MustCompile(`pipe_(?:live|test)_[0-9a-f]{72}`)

// addOne makes an application as the owner does, and is its path and first key.
func (b *browser) addOne() (path, key string) {
	b.t.Helper()
	a := b.post("/applications/add", url.Values{"name": {"첫 앱"}})
	b.want("add", a, http.StatusOK, "whsec_")
	all, err := b.desk.MerchantApplications(b.t.Context(), b.shop.ID)
	if err != nil || len(all) != 1 {
		b.t.Fatal(len(all), err)
	}
	return "/applications/" + string(all[0].ID), keyText.FindString(a.body)
}

func (b *browser) one() payment.Application {
	b.t.Helper()
	all, err := b.desk.MerchantApplications(b.t.Context(), b.shop.ID)
	if err != nil || len(all) == 0 {
		b.t.Fatal(len(all), err)
	}
	return all[0]
}

func newList() *list { return &list{vetoed: map[string]bool{}, known: map[string]bool{}} }

// TestA5Secrets: a key is whole in one answer ever and nowhere else, old keys overlap, one that is ended does not work, a key that may not
// refund says so, and its last use is shown with its address.
func TestA5Secrets(t *testing.T) {
	g := newRig(t, withNets(newList()))
	b := g.browser().login(ownerEmail).stepUp()
	path, first := b.addOne()
	if first == "" {
		t.Fatal("no key")
	}
	a := b.get(path)
	b.want("page", a, http.StatusOK, first[:14]+"…")
	if strings.Contains(a.body, first) || strings.Contains(a.body, "whsec_") {
		t.Error("a secret is shown again")
	}
	a = b.post(path+"/keys/add", url.Values{"no_refund": {"1"}})
	b.want("add key", a, http.StatusOK, "no refunds")
	second := keyText.FindString(a.body)
	a = b.post(path+"/keys/rotate", url.Values{"overlap": {"1h"}})
	third := keyText.FindString(a.body)
	works := func(key string) bool {
		_, _, err := g.desk.Authorize(t.Context(), key, netip.MustParseAddr("203.0.113.9"))
		var e *payment.Error
		return errors.As(err, &e) && e.Word == payment.WordIP
	}
	if !works(first) || !works(second) || !works(third) {
		t.Error("a key does not overlap")
	}
	for _, page := range []string{path, "/applications", "/audit", "/audit.csv", "/"} {
		for _, key := range []string{first, second, third} {
			if strings.Contains(b.get(page).body, key) {
				t.Errorf("%s shows a whole key", page)
			}
		}
	}
	if a := b.post(path+"/ips", url.Values{"ips": {"203.0.113.9"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	b.want("never used", b.get(path), http.StatusOK, "none since the last restart")
	if _, _, err := g.desk.Authorize(t.Context(), third, netip.MustParseAddr("203.0.113.9")); err != nil {
		t.Fatal(err)
	}
	b.want("last use", b.get(path), http.StatusOK, `</time> <code>203.0.113.9</code>`)
	if a := b.post(path+"/ips", url.Values{"ips": {"203.0.113.10"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	g.pass(time.Hour)
	if works(first) || works(second) || !works(third) {
		t.Error("an old key outlived its overlap, or the new one did not")
	}
	b = g.browser().login(ownerEmail).stepUp()
	_, keys, err := (&engine.Integrator{Desk: g.desk}).Application(t.Context(), engine.By{Merchant: g.shop}, b.one().ID)
	if err != nil {
		t.Fatal(err)
	}
	a = b.post(path+"/keys/end", url.Values{"key": {string(keys[2].ID)}})
	if a.code != http.StatusSeeOther || works(third) {
		t.Errorf("end: %d %s", a.code, a.body)
	}
	b.want("end again", b.post(path+"/keys/end", url.Values{"key": {string(keys[2].ID)}}), http.StatusBadRequest, "No such live key")
	b.want("audit", b.get("/audit"), http.StatusOK, "key.rotate")
}

// TestReach: URLs and addresses are checked, and the server that was refused is one click from being taken.
func TestReach(t *testing.T) {
	g := newRig(t, withNets(newList()))
	b := g.browser().login(ownerEmail).stepUp()
	path, key := b.addOne()
	a := b.post(path+"/urls", url.Values{"urls": {"https://shop.example\r\nhttp://bad.example"}})
	b.want("bad URL", a, http.StatusBadRequest, "http://bad.example")
	if a = b.post(path+"/urls", url.Values{"urls": {"https://shop.example\r\n\r\nhttps://b.example/x/"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	if got := strings.Join(b.one().Origins, " "); got != "https://shop.example https://b.example/x" {
		t.Errorf("got %q", got)
	}
	peer := netip.MustParseAddr("203.0.113.9")
	if _, _, err := g.desk.Authorize(t.Context(), key, peer); err == nil {
		t.Fatal("was let in")
	}
	b.want("refused", b.get(path), http.StatusOK, "Add 203.0.113.9")
	if a = b.post(path+"/ips/add", url.Values{"ip": {"203.0.113.9"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	if _, _, err := g.desk.Authorize(t.Context(), key, peer); err != nil {
		t.Fatal(err)
	}
	b.want("used", b.get(path), http.StatusOK, "<code>203.0.113.9</code>")
	b.want("bad IP", b.post(path+"/ips", url.Values{"ips": {"nonsense"}}), http.StatusBadRequest, "nonsense")
}

// TestA9DangerousChange: a settlement address is changed with a proof of who it is, checked, told to all owners with a link to veto it,
// payable after a delay only, written down, and gets nothing once it was vetoed. The same proof and letters go with keys and URLs.
func TestA9DangerousChange(t *testing.T) {
	l := newList()
	g := newRig(t, withNets(l))
	l.from = g.clock().Add(24 * time.Hour)
	second := g.user("second@shop.example", payment.Owner)
	g.user("admin@shop.example", payment.Admin)
	b := g.browser().login(ownerEmail).stepUp()
	path, _ := b.addOne()
	plain := g.browser().login(second.Email)
	for _, change := range []string{"/settlement", "/settlement/veto", "/urls", "/ips", "/keys/add", "/keys/rotate", "/keys/end", "/secret", "/coins", "/policy", "/callbacks"} {
		plain.want("without a proof", plain.post(path+change, url.Values{"coin": {"BTC"}, "address": {"own-1"}}), http.StatusForbidden, "Is it you?")
	}
	admin := g.browser().login("admin@shop.example").stepUp()
	admin.want("no owner", admin.post(path+"/settlement", url.Values{"coin": {"BTC"}, "address": {"own-1"}}), http.StatusForbidden, "Your role does not allow this")
	b.want("bad", b.post(path+"/settlement", url.Values{"coin": {"BTC"}, "address": {"nonsense"}}), http.StatusBadRequest, "is no address")
	if a := b.post(path+"/settlement", url.Values{"coin": {"BTC"}, "address": {"own-1"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	b.want("delay", b.get(path), http.StatusOK, "waits: payable from")
	for _, owner := range []string{ownerEmail, second.Email} {
		all := g.letters(owner, payment.MailVeto)
		if len(all) != 1 || all[0]["subject"] != "BTC own-1" || all[0]["by"] != ownerEmail || !strings.HasPrefix(all[0]["link"], g.server.URL+"/veto/") {
			t.Errorf("%s was told %v", owner, all)
		}
		if l := len(all[0]["link"]); l > 300 {
			t.Errorf("a link of %d characters does not go into a letter", l)
		}
	}
	if n := len(g.letters("admin@shop.example", payment.MailChange)); n != 0 {
		t.Errorf("an admin got %d letters of owners", n)
	}
	if a := b.post(path+"/urls", url.Values{"urls": {"https://elsewhere.example"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	if all := g.letters(second.Email, payment.MailChange); all[len(all)-1]["what"] != "application.urls" && all[len(all)-1]["what"] != "application.set" {
		t.Errorf("of the URLs: %v", all[len(all)-1])
	}
	if a := b.post(path+"/settlement/veto", url.Values{"coin": {"BTC"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	if !l.vetoed["own-1"] || b.one().Settlement[money.BTC] != "" {
		t.Error("it was not vetoed")
	}
	b.want("nothing left", b.post(path+"/settlement/veto", url.Values{"coin": {"BTC"}}), http.StatusConflict, "no settlement address")
	if a := b.post(path+"/settlement", url.Values{"coin": {"BTC"}, "address": {"own-1"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	b.want("still vetoed", b.get(path), http.StatusOK, "vetoed: nothing is paid to it")
	b.want("audit", b.get("/audit"), http.StatusOK, "settlement.veto")

	// And the same by one click in the letter, without a log-in.
	if a := b.post(path+"/settlement", url.Values{"coin": {"BTC"}, "address": {"own-2"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	link, reader := g.path(second.Email, payment.MailVeto), g.browser()
	reader.want("the link", reader.get(link), http.StatusOK, "<code>own-2</code>")
	reader.want("in Korean", g.browser().get(link+"?lang=ko"), http.StatusOK, "이 주소를 영구히 금지하기")
	if l.vetoed["own-2"] {
		t.Fatal("looking at the link forbids it")
	}
	for what, bad := range map[string]string{"cut": link[:len(link)-2], "changed": link[:len(link)-3] + "AAA", "empty": "/veto/x", "of a session": "/veto/" + b.cookies()["pipe-device"]} {
		reader.want(what, reader.get(bad), http.StatusNotFound, "This link was used")
		reader.want(what, reader.post(bad, nil), http.StatusNotFound, "This link was used")
	}
	before := len(g.letters(ownerEmail, payment.MailChange))
	for range 2 {
		reader.want("veto", reader.post(link, nil), http.StatusOK, "The address is forbidden")
	}
	if !l.vetoed["own-2"] || b.one().Settlement[money.BTC] != "" {
		t.Error("the letter did not veto it")
	}
	if n := len(g.letters(ownerEmail, payment.MailChange)); n != before+1 {
		t.Errorf("%d letters of one veto", n-before)
	}
	b.want("audit", b.get("/audit"), http.StatusOK, "link in a letter")
	if a := b.post(path+"/settlement", url.Values{"coin": {"BTC"}, "address": {"own-3"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	link = g.path(second.Email, payment.MailVeto)
	g.pass(engine.VetoFor)
	reader.want("too late", reader.get(link), http.StatusNotFound, "This link was used")
}

// policyForm is the form as the page fills it for a new application.
func goodPolicy() url.Values {
	return url.Values{
		"quote_window": {"30"}, "choose_within": {"24"}, "exchange_window": {"60"}, "tolerance": {"0.5"}, "settle_hold": {"0"}, "settle_every": {"0s"},
	}
}

// TestPolicy: what the form of a new application sends changes nothing, each setting is read, and what is refused is named.
func TestPolicy(t *testing.T) {
	g := newRig(t, withNets(newList()))
	b := g.browser().login(ownerEmail).stepUp()
	path, _ := b.addOne()
	was := b.one().Settings
	if a := b.post(path+"/policy", goodPolicy()); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	if is := b.one().Settings; told(is)["tolerance_millionths"] != told(was)["tolerance_millionths"] || is.QuoteWindow != was.QuoteWindow || is.ChooseWithin != was.ChooseWithin || is.ExchangeWindow != was.ExchangeWindow {
		t.Errorf("%+v became %+v", was, is)
	}
	f := goodPolicy()
	for k, v := range map[string]string{
		"tolerance": "1.25", "settle_hold": "72", "settle_every": "24h0m0s", "above_BTC": "0.01", "accept_late": "1", "require_refund": "1",
		"rule_coin_1": "BTC", "rule_depth_1": "6", "rule_from_1": "1000000", "rule_currency_1": "KRW", "rule_coin_3": "ETH", "rule_depth_3": "final",
	} {
		f.Set(k, v)
	}
	if a := b.post(path+"/policy", f); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	s := b.one().Settings
	if s.Tolerance != 12_500 || s.Settle.Hold != 72*time.Hour || s.Settle.Every != 24*time.Hour || s.Settle.Above[money.BTC].Text() != "0.01" ||
		!s.AcceptLate || !s.RequireRefund || len(s.Depths) != 2 || s.Depths[0].From.Text() != "1000000" || s.Depths[0].Depth.Blocks != 6 || !s.Depths[1].Depth.Final {
		t.Errorf("saved %+v", s)
	}
	a := b.get(path)
	for _, want := range []string{`value="1.25"`, `value="72"`, `value="0.01"`, `value="1000000"`, `value="final"`} {
		b.want("shown", a, http.StatusOK, want)
	}
	for name, bad := range map[string]string{
		"quote_window": "-1", "choose_within": "x", "tolerance": "11", "settle_hold": "99999", "settle_every": "7m", "above_BTC": "1,5", "rule_depth_1": "0.5", "exchange_window": "",
	} {
		f := goodPolicy()
		f.Set("rule_coin_1", "BTC")
		f.Set(name, bad)
		if a := b.post(path+"/policy", f); a.code != http.StatusBadRequest || !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%s=%q: %d", name, bad, a.code)
		}
	}
}

// TestCallbackSettings: the encoding and the events are saved, the secret is shown once and overlaps, and a test says what the
// shop answered.
func TestCallbackSettings(t *testing.T) {
	g := newRig(t, withNets(newList()))
	b := g.browser().login(ownerEmail).stepUp()
	path, _ := b.addOne()
	if a := b.post(path+"/callbacks", url.Values{"encoding": {"form"}, "seen": {"1"}, "reversed": {"1"}}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	if c := b.one().Callback; c.Encoding != payment.EncodingForm || !c.Seen || c.Expired || c.Refunded || !c.Reversed {
		t.Errorf("%+v", c)
	}
	a := b.post(path+"/secret", url.Values{"overlap": {"24h"}})
	b.want("secret", a, http.StatusOK, "whsec_")
	if c := b.one().Callback; len(c.Secrets) != 2 || !c.Secrets[0].Until.IsZero() || c.Secrets[1].Until.IsZero() {
		t.Errorf("%+v", c.Secrets)
	}
	b.want("older one", b.get(path), http.StatusOK, "An older secret signs too")
	b.want("not registered", b.post(path+"/test", url.Values{"url": {"https://shop.example/cb"}}), http.StatusForbidden, "not under a web service URL")
	b.post(path+"/urls", url.Values{"urls": {"https://shop.example"}})
	a = b.post(path+"/test", url.Values{"url": {"https://shop.example/cb"}})
	b.want("test", a, http.StatusOK, `a\x00b`)
	b.want("verdict", a, http.StatusOK, "Not delivered.")
}

// TestLook: a logo is a PNG of at most 32 KiB, and a form that is too big is refused.
func TestLook(t *testing.T) {
	g := newRig(t, withNets(newList()))
	b := g.browser().login(ownerEmail).stepUp()
	path, _ := b.addOne()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	send := func(logo []byte, fields map[string]string) answer {
		var body bytes.Buffer
		m := multipart.NewWriter(&body)
		fields[merchantField] = string(g.shop.ID)
		for k, v := range fields {
			if err := m.WriteField(k, v); err != nil {
				t.Fatal(err)
			}
		}
		f, err := m.CreateFormFile("logo", "logo.png")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(logo); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.server.URL+path+"/look", &body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", m.FormDataContentType())
		r.Header.Set("Origin", g.server.URL)
		return b.do(r)
	}
	if a := send(picture.Bytes(), map[string]string{"own_color": "1", "color": "#AA0000", "support": "help@shop.example"}); a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	if l := b.one().Settings.Look; l.Color != "#aa0000" || !bytes.Equal(l.Logo, picture.Bytes()) || l.Support != "help@shop.example" {
		t.Errorf("%+v", l)
	}
	a := b.get(path + "/logo")
	if a.header.Get("Content-Type") != "image/png" || a.body != picture.String() {
		t.Error("the logo is not served")
	}
	b.want("no PNG", send([]byte("<svg>"), map[string]string{}), http.StatusBadRequest, "Is not a PNG")
	b.want("too big", send(make([]byte, payment.MaxLogo+1), map[string]string{}), http.StatusBadRequest, "32 KiB")
	if a := send(make([]byte, MaxApplicationForm), map[string]string{}); a.code != http.StatusRequestEntityTooLarge && a.code != http.StatusBadRequest {
		t.Error(a.code)
	}
	if a := send(nil, map[string]string{"no_logo": "1"}); a.code != http.StatusSeeOther || b.one().Settings.Look.Logo != nil || b.one().Settings.Look.Color != "" {
		t.Errorf("%d %+v", a.code, b.one().Settings.Look)
	}
}

// TestForeignApplication: another merchant's application is not there.
func TestForeignApplication(t *testing.T) {
	g := newRig(t, withNets(newList()))
	b := g.browser().login(ownerEmail).stepUp()
	other, err := g.desk.AddMerchant(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	name := "theirs"
	app, err := g.desk.AddApplication(t.Context(), other.ID, engine.Change{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/name", "/keys/add", "/keys/rotate", "/keys/end", "/urls", "/ips", "/ips/add", "/callbacks", "/secret", "/test", "/coins", "/policy", "/look", "/settlement", "/settlement/veto"} {
		whole := "/applications/" + string(app.ID) + path
		a := b.get(whole)
		if path != "" {
			a = b.post(whole, url.Values{"overlap": {"1h"}, "coin": {"BTC"}, "encoding": {"json"}, "name": {"x"}})
		}
		if a.code != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.code)
		}
	}
}
