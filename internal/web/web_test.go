package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// sameInBoth are keys whose text is no language.
var sameInBoth = map[string]bool{"rate.line": true}

// oneThing are keys that may share a Korean text, because they say one thing in two places.
var oneThing = map[string]bool{"title.refunded": true}

// TestC21Texts: both languages say everything, in their own script, and no two things alike.
func TestC21Texts(t *testing.T) {
	texts, err := LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	holes := regexp.MustCompile(`\{[a-z]+\}`)
	latin := regexp.MustCompile(`[A-Za-z]{2,}`)
	seen := map[string]string{}
	for key, english := range texts.english {
		korean, ok := texts.korean[key]
		if !ok {
			t.Errorf("%s: no Korean", key)
			continue
		}
		if english == "" || korean == "" || strings.TrimSpace(korean) != korean || strings.TrimSpace(english) != english {
			t.Errorf("%s: empty, or white space around it", key)
		}
		count := func(text string) string { return fmt.Sprint(len(holes.FindAllString(text, -1))) }
		for _, hole := range holes.FindAllString(english, -1) {
			if !strings.Contains(korean, hole) || count(korean) != count(english) {
				t.Errorf("%s: %s is not in both", key, hole)
			}
		}
		if sameInBoth[key] {
			continue
		}
		if !strings.ContainsFunc(korean, func(r rune) bool { return r >= '가' && r <= '힣' }) {
			t.Errorf("%s: %q is not Korean", key, korean)
		}
		for _, word := range latin.FindAllString(holes.ReplaceAllString(korean, ""), -1) {
			if !map[string]bool{"ID": true, "QR": true, "PIPE": true, "MetaMask": true}[word] {
				t.Errorf("%s: %q has a foreign word %s", key, korean, word)
			}
		}
		if oneThing[key] {
			continue
		}
		if other, ok := seen[korean]; ok {
			t.Errorf("%s and %s are both %q", key, other, korean)
		}
		seen[korean] = key
		if regexp.MustCompile(`\}(으로|로|을|를|이|가|은|는|과|와)([ .]|$)`).MatchString(korean) {
			t.Errorf("%s: %q has a particle on a name", key, korean)
		}
	}
	if len(texts.english) != len(texts.korean) {
		t.Errorf("%d English, %d Korean texts", len(texts.english), len(texts.korean))
	}
	if got := texts.In("zz").Say("paid"); got != "Payment complete" {
		t.Errorf("unknown language says %q", got)
	}
	if got := texts.In(payment.English).Say("partial", "a", "{b}", "b", "x"); got != "Received {b}, missing x" {
		t.Errorf("a value was read as a placeholder: %q", got)
	}
}

func TestC20Formats(t *testing.T) {
	texts, err := LoadTexts()
	if err != nil {
		t.Fatal(err)
	}
	en, ko := texts.In(payment.English), texts.In(payment.Korean)
	at := time.Date(2019, 3, 18, 7, 12, 0, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{en.Price(money.Of(money.KRW, 10500)), "₩10,500"}, {ko.Price(money.Of(money.KRW, 10500)), "10,500원"},
		{ko.Price(money.Of(money.KRW, 100)), "100원"}, {ko.Price(money.Of(money.KRW, 1000000000)), "1,000,000,000원"},
		{en.Price(money.Of(money.USD, 1234)), "$12.34"}, {ko.Price(money.Of(money.USD, 123450)), "$1,234.50"},
		{Coin(money.Of(money.BTC, 66730)), "0.0006673 BTC"},
		{en.Time(at, Seoul()), "18 Mar 2019, 16:12 (KST)"}, {ko.Time(at, Seoul()), "2019년 3월 18일 16:12 (KST)"},
		{en.Clock(at, at.Add(-time.Hour), Seoul()), "16:12 (KST)"}, {ko.Clock(at, at.Add(24*time.Hour), Seoul()), "2019년 3월 18일 16:12 (KST)"},
		{strings.Join(Fours("bc1qar0srr"), " "), "bc1q ar0s rr"}, {strings.Join(Fours("0x5aAeb605"), " "), "0x5aAe b605"},
		{strings.Join(Fours(""), " "), ""}, {ko.Tag(), "ko"}, {en.Tag(), "en"},
		{fmt.Sprint(Minutes(0), Minutes(time.Minute), Minutes(61*time.Second)), "1 1 2"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// TestPeers is the header corpus of K1.
func TestPeers(t *testing.T) {
	p := Peers{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for _, c := range []struct {
		tcp, want string // want "": refused
		header    []string
	}{
		{"203.0.113.9:1", "203.0.113.9", nil},
		{"203.0.113.9:1", "203.0.113.9", []string{"198.51.100.1"}}, // not from a proxy: a lie
		{"[::ffff:203.0.113.9]:1", "203.0.113.9", nil},
		{"10.0.0.1:1", "198.51.100.1", []string{"198.51.100.1"}},
		{"10.0.0.1:1", "198.51.100.1", []string{"1.1.1.1, 198.51.100.1"}}, // the caller wrote the first
		{"10.0.0.1:1", "198.51.100.1", []string{"1.1.1.1", "198.51.100.1, 10.2.2.2"}},
		{"10.0.0.1:1", "198.51.100.1", []string{"198.51.100.1:4711"}},
		{"[fd00::1]:1", "2001:db8::7", []string{"[2001:db8::7]:443"}},
		{"10.0.0.1:1", "2001:db8::7", []string{"[2001:db8::7]"}},
		{"10.0.0.1:1", "10.9.9.9", []string{"10.9.9.9"}},
		{"10.0.0.1:1", "", nil},
		{"10.0.0.1:1", "", []string{""}},
		{"10.0.0.1:1", "", []string{"unknown"}},
		{"10.0.0.1:1", "", []string{"198.51.100.1, _hidden"}},
		{"10.0.0.1:1", "", []string{"198.51.100.1,"}},
		{"10.0.0.1:1", "198.51.100.1", []string{strings.Repeat("junk,", 5000) + "198.51.100.1"}},
		{"nonsense", "", nil},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.tcp
		for _, h := range c.header {
			r.Header.Add("X-Forwarded-For", h)
		}
		r.Header.Set("X-Real-Ip", "9.9.9.9")
		r.Header.Set("Forwarded", "for=9.9.9.9")
		got, err := p.Addr(r)
		if (err != nil) != (c.want == "") || err == nil && got.String() != c.want {
			t.Errorf("%s %q: %v, %v; want %q", c.tcp, c.header, got, err, c.want)
		}
	}
}

func shell(log io.Writer) Shell {
	return Shell{Log: slog.New(slog.NewJSONHandler(log, nil)), Failed: func(w http.ResponseWriter, _ *http.Request, f Failure) {
		w.WriteHeader(f.Status)
		fmt.Fprint(w, f.Err.Word, " ", f.RequestID)
	}}
}

func TestShell(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status int
		word   string
		level  string
	}{
		{"refusal", fmt.Errorf("open: %w", payment.Malformed("price", "bad")), 400, payment.WordMalformed, "INFO"},
		{"limit", TooMany(), 429, payment.WordTooMany, "INFO"},
		{"conflict", payment.ErrConflict, 503, payment.WordBusy, "INFO"},
		{"ours", errors.New("disk: secret"), 500, payment.WordInternal, "ERROR"},
		{"big", &http.MaxBytesError{Limit: 9}, 413, payment.WordBodyTooBig, "INFO"},
		{"fine", nil, 200, "", "INFO"},
	} {
		var log bytes.Buffer
		h := shell(&log).Handle(func(w http.ResponseWriter, r *http.Request) error {
			if PeerAddr(r.Context()).String() != "192.0.2.1" || len(RequestID(r.Context())) != 20 {
				t.Errorf("peer %s, id %s", PeerAddr(r.Context()), RequestID(r.Context()))
			}
			Note(r.Context(), slog.String("invoice", "AB"))
			if c.err == nil {
				fmt.Fprint(w, "ok")
			}
			return c.err
		})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.word) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		line := log.String()
		if strings.Count(line, "\n") != 1 || !strings.Contains(line, `"level":"`+c.level) || !strings.Contains(line, `"invoice":"AB"`) ||
			!strings.Contains(line, fmt.Sprintf(`"status":%d`, c.status)) || !strings.Contains(line, w.Header().Get("X-Request-Id")) {
			t.Errorf("%s: log %s", c.name, line)
		}
	}
}

func TestShellSurvivesPanics(t *testing.T) {
	var log bytes.Buffer
	w := httptest.NewRecorder()
	shell(&log).Handle(func(http.ResponseWriter, *http.Request) error { panic("oops") }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || !strings.Contains(log.String(), "oops") || strings.Contains(w.Body.String(), "oops") {
		t.Errorf("%d %s %s", w.Code, w.Body, log.String())
	}
}

func TestLimiter(t *testing.T) {
	l := NewBurstLimiter(60, time.Minute, 3)
	now := time.Unix(1000, 0)
	for i := range 3 {
		if ok, _ := l.Allow("a", now); !ok {
			t.Fatalf("request %d of the burst refused", i)
		}
	}
	if ok, wait := l.Allow("a", now); ok || wait != time.Second {
		t.Errorf("over the burst: %t, wait %s", ok, wait)
	}
	if ok, _ := l.Allow("b", now); !ok {
		t.Error("another key pays for it")
	}
	if ok, _ := l.Allow("a", now.Add(time.Second)); !ok {
		t.Error("no token after a second")
	}
	if ok, _ := l.Allow("a", now.Add(time.Second)); ok {
		t.Error("two tokens after a second")
	}
	for i := range 3 * LimiterKeys {
		l.Allow(fmt.Sprint("key", i), now)
	}
	if n := len(l.now) + len(l.old); n > LimiterKeys+1 {
		t.Errorf("remembers %d keys", n)
	}
	if a, b := Caller(netip.MustParseAddr("2001:db8::1")), Caller(netip.MustParseAddr("2001:db8::ffff:1")); a != b {
		t.Errorf("one subnet is two callers: %s, %s", a, b)
	}
	if a, b := Caller(netip.MustParseAddr("192.0.2.1")), Caller(netip.MustParseAddr("192.0.2.2")); a == b {
		t.Error("two IPv4 addresses are one caller")
	}
}

func TestSlots(t *testing.T) {
	s := NewSlots(2, 3)
	free1, ok1 := s.Take("a")
	_, ok2 := s.Take("a")
	_, ok3 := s.Take("a")
	_, ok4 := s.Take("b")
	_, ok5 := s.Take("c")
	if !ok1 || !ok2 || ok3 || !ok4 || ok5 {
		t.Errorf("took %t %t %t %t %t", ok1, ok2, ok3, ok4, ok5)
	}
	free1()
	if _, ok := s.Take("a"); !ok {
		t.Error("a freed slot is not free")
	}
}

func TestOrigins(t *testing.T) {
	for text, want := range map[string]string{
		"https://Shop.Example:443/store": "https://shop.example", "http://127.0.0.1:80": "http://127.0.0.1",
		"https://shop.example:8443": "https://shop.example:8443", "ftp://x": "", "javascript:alert(1)": "", "": "",
		"https://a b": "", "https://x;script-src": "", "//shop.example": "", "https://*.example": "",
	} {
		if got := Origin(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestStatic(t *testing.T) {
	s, err := NewStatic("/s/", fstest.MapFS{"a.css": {Data: bytes.Repeat([]byte("a{}"), 1000)}})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, accept string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Encoding", accept)
		shell(io.Discard).Handle(s.Serve).ServeHTTP(w, r)
		return w
	}
	if w := get(s.URL("a.css"), "br, gzip"); w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > 300 ||
		!strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := get(s.URL("a.css"), "gzip;q=0"); w.Header().Get("Content-Encoding") != "" || w.Body.Len() != 3000 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for _, path := range []string{"/s/a.css", "/s/", "/s/../a.css", "/s/a.0000.css"} {
		if w := get(path, ""); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestShutdownEndsFeeds: an open feed does not keep the server from stopping.
func TestShutdownEndsFeeds(t *testing.T) {
	h := shell(io.Discard).Handle(func(w http.ResponseWriter, r *http.Request) error {
		f, err := OpenFeed(w, r)
		if err != nil {
			return err
		}
		if err := f.Send("1", []byte(`{}`)); err != nil {
			return err
		}
		<-f.End()
		return nil
	})
	s := httptest.NewUnstartedServer(nil)
	s.Config = NewServer("", h, slog.New(slog.NewTextHandler(io.Discard, nil)))
	s.Start()
	defer s.Close()
	w, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Config.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	body, err := io.ReadAll(w.Body)
	if err != nil || !strings.Contains(string(body), "id: 1\ndata: {}\n\n") {
		t.Errorf("%q %v", body, err)
	}
}
