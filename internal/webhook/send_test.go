package webhook

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pipe-pg/pipe/internal/payment"
)

var loopbacks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func message(url string) payment.Message {
	return payment.Message{ID: "944B", URL: url, ContentType: "application/json", Body: []byte(`{"code":1}`), Secrets: [][]byte{NewSecret()}}
}

// shop starts a shop on loopback and a sender that may reach it.
func shop(t *testing.T, h http.HandlerFunc) (string, *Sender) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL, sender(t, Options{Open: []Opening{{srv.URL, loopbacks}}})
}

func sender(t *testing.T, o Options) *Sender {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSendDelivers(t *testing.T) {
	m := message("")
	var got *http.Request
	var body []byte
	url, s := shop(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, "ok")
	})
	m.URL = url + "/callback?x=1"
	a := s.Send(t.Context(), m)
	if !a.Delivered || a.Verdict != "delivered" || a.Status != 200 || string(a.Body) != "ok" || a.Took <= 0 {
		t.Errorf("got %+v", a)
	}
	if got.Method != "POST" || got.URL.String() != "/callback?x=1" || string(body) != string(m.Body) {
		t.Errorf("the shop got %s %s %q", got.Method, got.URL, body)
	}
	if got.Header.Get("Accept-Encoding") != "identity" || got.Header.Get("Content-Type") != m.ContentType || got.UserAgent() != "PIPE" {
		t.Errorf("the shop got headers %v", got.Header)
	}
	wh, err := standardwebhooks.NewWebhookRaw(m.Secrets[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify(body, got.Header); err != nil {
		t.Errorf("the shop cannot verify: %v", err)
	}
}

func TestSendJudgesAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   Verdict
	}{
		"plain":               {200, "ok", Delivered},
		"upper case, newline": {200, "OK\r\n", Delivered},
		"mixed":               {201, " \t\n Ok \n", Delivered},
		"BOM":                 {200, "\ufeffok", Delivered},
		"BOM and spaces":      {299, "\n\ufeff ok\n\n", Delivered},
		"two BOMs":            {200, "\ufeff\ufeffok", Delivered},
		"no-break space":      {200, "\u00a0ok\u3000", Delivered},
		"spaces up to 1 KiB":  {200, "ok" + strings.Repeat(" ", MaxReply-2), Delivered},
		"spaces over 1 KiB":   {200, "ok" + strings.Repeat(" ", MaxReply-1), TooLong},
		"quoted":              {200, `"ok"`, Quoted},
		"single quoted":       {200, `'OK'`, Quoted},
		"JSON":                {200, `{"result":"ok"}`, Quoted},
		"JSON true":           {200, `true`, Quoted},
		"PHP notice behind":   {200, "ok<br>Warning: undefined variable", PHPNotice},
		"PHP notice, real":    {200, "ok<br />\n<b>Warning</b>:  Undefined variable $x in <b>/var/www/cb.php</b> on line <b>3</b><br />\n", PHPNotice},
		"PHP notice before":   {200, "<br />\n<b>Deprecated</b>:  Function x() is deprecated in <b>/a.php</b> on line <b>3</b><br />\nok", PHPNotice},
		"PHP notice, plain":   {200, "\nWarning: Undefined variable $x in /var/www/cb.php on line 3\nok", PHPNotice},
		"PHP notice, long":    {200, "ok<br />\n<b>Notice</b>: " + strings.Repeat("x", 4096), PHPNotice},
		"HTML":                {200, "<!DOCTYPE html><html><body>ok</body></html>", HTML},
		"HTML, long":          {200, "\ufeff\n<html>" + strings.Repeat("x", 1<<20), HTML},
		"empty":               {200, "", Empty},
		"only white space":    {200, " \n\ufeff\n", Empty},
		"no content":          {204, "", Empty},
		"long":                {200, strings.Repeat("a", MaxReply+1), TooLong},
		"okay":                {200, "okay", Other},
		"two oks":             {200, "ok ok", Other},
		"zero byte":           {200, "ok\x00", Other},
		"Korean":              {200, "성공", Other},
		"UTF-16":              {200, "\xff\xfeo\x00k\x00", Other},
		"Kelvin sign":         {200, "o\u212a", Other},
		"redirect":            {302, "ok", Redirect},
		"permanent redirect":  {308, "", Redirect},
		"not modified":        {304, "", Redirect},
		"unauthorized":        {401, "", Forbidden},
		"forbidden":           {403, "<html>", Forbidden},
		"not found":           {404, "not found", NotFound},
		"not allowed":         {405, "", Method},
		"ok with 404":         {404, "ok", BadStatus},
		"ok with 403":         {403, "OK\n", BadStatus},
		"ok with 500":         {500, "ok", BadStatus},
		"broken":              {500, "<html>", BadStatus},
		"gateway":             {502, "", BadStatus},
		"teapot":              {418, "", BadStatus},
	} {
		t.Run(name, func(t *testing.T) {
			url, s := shop(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				if c.body != "" {
					io.WriteString(w, c.body)
				}
			})
			a := s.Send(t.Context(), message(url))
			if a.Verdict != string(c.want) || a.Delivered != (c.want == Delivered) || a.Status != c.status {
				t.Errorf("got %s (%v, status %d, %q), want %s", a.Verdict, a.Delivered, a.Status, a.Detail, c.want)
			}
			if len(a.Body) > MaxReply || c.status != 204 && c.status != 304 && !strings.HasPrefix(c.body, string(a.Body)) {
				t.Errorf("kept %d bytes", len(a.Body))
			}
			if len(a.Detail) > MaxDetail+3 {
				t.Errorf("detail of %d bytes", len(a.Detail))
			}
		})
	}
}

func TestExplainKnowsAll(t *testing.T) {
	all := []Verdict{Delivered, Quoted, PHPNotice, HTML, Empty, Redirect, Forbidden, NotFound, Method, BadStatus, Timeout, TLS, DNS,
		RefusedConnection, NotPublic, TooLong, Interrupted, Other}
	if len(all) != len(explanations) {
		t.Errorf("%d verdicts, %d explanations", len(all), len(explanations))
	}
	seen := map[string]Verdict{}
	for _, v := range all {
		for _, lang := range []string{"en", "ko"} {
			line := v.Explain(lang)
			if line == "" || strings.Contains(line, "\n") {
				t.Errorf("%s in %s: %q", v, lang, line)
			}
			if was, twice := seen[line]; twice {
				t.Errorf("%s and %s say the same: %q", v, was, line)
			}
			seen[line] = v
		}
	}
	if HTML.Explain("kr") != HTML.Explain("ko") || Verdict("x").Explain("fr") != Other.Explain("en") {
		t.Error("a language or word falls through")
	}
}

// raw starts a shop that writes what it likes to the connection.
func raw(t *testing.T, serve func(c net.Conn)) (string, *Sender) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	url := "http://" + l.Addr().String()
	return url, sender(t, Options{Open: []Opening{{url, loopbacks}}})
}

func readRequest(c net.Conn) {
	buf := make([]byte, 4096)
	for n := 0; n < len(buf); {
		k, err := c.Read(buf[n:])
		if n += k; err != nil || strings.Contains(string(buf[:n]), `{"code":1}`) {
			return
		}
	}
}

func TestSendBoundsHostileAnswers(t *testing.T) {
	const short = 2 * time.Second
	drip := func(c net.Conn, text string) {
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	cases := []struct {
		name   string
		want   Verdict
		within time.Duration
		serve  func(c net.Conn)
	}{
		{"endless body", TooLong, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := io.WriteString(c, strings.Repeat("x", 4096)); err != nil {
					return
				}
			}
		}},
		{"endless header", Other, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, "X: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}},
		{"too long, then silence", TooLong, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", MaxReply+1))
			time.Sleep(short + time.Second)
		}},
		{"header of 20 KiB", Other, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"+strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 20)+"\r\nok")
		}},
		{"dripping header", Timeout, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			drip(c, "X: y\r\n")
		}},
		{"dripping ok", Timeout, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nok")
			time.Sleep(short + time.Second)
		}},
		{"silence", Timeout, short + time.Second, func(c net.Conn) { time.Sleep(short + time.Second) }},
		{"not HTTP", Other, short + time.Second, func(c net.Conn) { io.WriteString(c, "220 smtp ready\r\n") }},
		{"closes at once", Other, short + time.Second, func(c net.Conn) {}},
		{"reset", Other, short + time.Second, func(c net.Conn) {
			if err := c.(*net.TCPConn).SetLinger(0); err != nil {
				t.Error(err)
			}
		}},
		{"cut off", Other, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
		}},
		{"two lengths", Other, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok")
		}},
		{"many informational answers", Other, short + time.Second, func(c net.Conn) {
			for range 1000 {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
					return
				}
			}
		}},
		{"gzip bomb", TooLong, short + time.Second, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
			zip := gzip.NewWriter(c)
			zeros := make([]byte, 1<<20)
			for range 64 {
				if _, err := zip.Write(zeros); err != nil {
					return
				}
			}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, s := raw(t, func(conn net.Conn) { readRequest(conn); c.serve(conn) })
			s.total = short
			started := time.Now()
			a := s.Send(t.Context(), message(url))
			if a.Verdict != string(c.want) || a.Delivered {
				t.Errorf("got %s (%q), want %s", a.Verdict, a.Detail, c.want)
			}
			if strings.Contains(a.Detail, "127.0.0.1") {
				t.Errorf("the detail names this host's address: %q", a.Detail)
			}
			if took := time.Since(started); took > c.within {
				t.Errorf("took %v, at most %v was allowed", took, c.within)
			}
			if len(a.Body) > MaxReply {
				t.Errorf("kept %d bytes", len(a.Body))
			}
		})
	}
}

func TestSendInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, s := raw(t, func(c net.Conn) { readRequest(c); cancel(); io.ReadAll(c) })
	if a := s.Send(ctx, message(url)); a.Verdict != string(Interrupted) || a.Delivered {
		t.Errorf("got %+v", a)
	}
}

func TestSendTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }))
	srv.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	old := httptest.NewUnstartedServer(srv.Config.Handler)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	plain := httptest.NewServer(srv.Config.Handler)
	defer plain.Close()
	plainAsTLS := strings.Replace(plain.URL, "http:", "https:", 1)
	wrongName := strings.Replace(srv.URL, "127.0.0.1", "shop.test", 1)

	open := []Opening{{srv.URL, loopbacks}, {old.URL, loopbacks}, {plainAsTLS, loopbacks}, {wrongName, loopbacks}}
	resolver := answers{"shop.test": {netip.MustParseAddr("127.0.0.1")}}
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	pool.AddCert(old.Certificate())
	trusting := sender(t, Options{Open: open, RootCAs: pool, Resolver: resolver})
	strict := sender(t, Options{Open: open, Resolver: resolver})
	for name, c := range map[string]struct {
		s    *Sender
		url  string
		want Verdict
	}{
		"trusted":            {trusting, srv.URL, Delivered},
		"unknown authority":  {strict, srv.URL, TLS},
		"wrong name":         {trusting, wrongName, TLS},
		"TLS 1.1":            {trusting, old.URL, TLS},
		"plain HTTP at port": {trusting, plainAsTLS, TLS},
	} {
		a := c.s.Send(t.Context(), message(c.url))
		if a.Verdict != string(c.want) {
			t.Errorf("%s: got %s (%q), want %s", name, a.Verdict, a.Detail, c.want)
		}
	}
}

// hanging is a resolver that never answers.
type hanging struct{}

func (hanging) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestSendWithoutAShop(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	s := sender(t, Options{Open: []Opening{{closed, loopbacks}}, Resolver: answers{}})
	if a := s.Send(t.Context(), message(closed)); a.Verdict != string(RefusedConnection) {
		t.Errorf("closed port: got %+v", a)
	}
	a := s.Send(t.Context(), message("https://nobody.test/"))
	if a.Verdict != string(DNS) || strings.Contains(a.Detail, "53") {
		t.Errorf("no such name: got %+v", a)
	}
	slow := sender(t, Options{Resolver: hanging{}})
	if slow.total != TotalTimeout {
		t.Errorf("a try takes up to %v", slow.total)
	}
	started := time.Now()
	if a := slow.Send(t.Context(), message("https://slow.test/")); a.Verdict != string(DNS) || time.Since(started) > ResolveTimeout+time.Second {
		t.Errorf("slow name server: got %+v", a)
	}
	m := message(closed)
	m.Secrets = nil
	if a := s.Send(t.Context(), m); a.Delivered || a.Verdict != string(Other) {
		t.Errorf("without a secret: got %+v", a)
	}
}

// Nothing in this package may reach out but through the guard.
func TestNoOtherWayOut(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, banned := range []string{"http.Client", "http.DefaultClient", "http.DefaultTransport", "http.Get(", "http.Post(", "http.PostForm(",
			"http.Head(", "net.Dial(", "net.DialTimeout(", "net.DialTCP(", "tls.Dial", "ProxyFromEnvironment", "InsecureSkipVerify"} {
			if strings.Contains(string(text), banned) {
				t.Errorf("%s uses %s", file, banned)
			}
		}
		if strings.Contains(string(text), "net.Dialer") && file != "guard.go" {
			t.Errorf("%s has a dialer of its own", file)
		}
	}
}

// TestA6Headers: the headers of a try are kept as they went and as they came, without what somebody could use, and within a bound.
func TestA6Headers(t *testing.T) {
	var got http.Header
	url, s := shop(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Server", "nginx\tand \xff")
		w.Header().Add("Set-Cookie", "session=secret")
		w.Header().Set("X-Long", strings.Repeat("가", 1000))
		w.WriteHeader(403)
	})
	a := s.Send(t.Context(), message(url))
	for _, name := range []string{HeaderID, HeaderTimestamp, "Content-Type", "User-Agent"} {
		if line := http.CanonicalHeaderKey(name) + ": " + got.Get(name); !strings.Contains("\n"+a.Sent+"\n", "\n"+line+"\n") {
			t.Errorf("no %q in %q", line, a.Sent)
		}
	}
	if strings.Contains(a.Sent, got.Get(HeaderSignature)) || !strings.Contains(a.Sent, "Webhook-Signature: v1,…") {
		t.Errorf("sent: %q", a.Sent)
	}
	if !strings.Contains(a.Headers, "Server: nginx and \ufffd\n") || strings.Contains(a.Headers, "secret") || len(a.Headers) > MaxKeptHeader || !utf8.ValidString(a.Headers) {
		t.Errorf("came: %d bytes: %q", len(a.Headers), a.Headers)
	}
	if a := s.Send(t.Context(), message("https://127.0.0.1:1/cb")); a.Sent != "" || a.Headers != "" {
		t.Errorf("nothing went, but: %q %q", a.Sent, a.Headers)
	}
}

// TestA7Diagnosis: every answer that shops give by mistake, and every way in which none comes, is told from the others by a real shop, and
// explained with its cure in both languages; harmless ones count (experience 4.4).
func TestA7Diagnosis(t *testing.T) {
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	secure := httptest.NewTLSServer(says(200, "ok"))
	t.Cleanup(secure.Close)
	for _, c := range []struct {
		name    string
		shop    http.HandlerFunc
		url     string // in place of a shop
		verdict Verdict
		en, ko  string
	}{
		{"ok", says(200, "ok"), "", Delivered, "Delivered", "정상 수신"},
		{"OK", says(201, "OK"), "", Delivered, "Delivered", "정상 수신"},
		{"white space and a BOM", says(200, "\ufeff \r\n ok\n"), "", Delivered, "Delivered", "정상 수신"},
		{"quotes", says(200, `"ok"`), "", Quoted, "without quotes, not JSON", "따옴표나 JSON 없이"},
		{"JSON", says(200, `{"result":"ok"}`), "", Quoted, "without quotes, not JSON", "따옴표나 JSON 없이"},
		{"a notice of PHP", says(200, "ok<br>Warning: x"), "", PHPNotice, "display_errors", "display_errors"},
		{"a page", says(200, "<!doctype html><title>Log in</title>"), "", HTML, "login page or a catch-all route", "로그인 페이지나 기본 페이지"},
		{"nothing", says(200, ""), "", Empty, "The script ended before it printed", "출력하기 전에 스크립트가 끝"},
		{"a redirect", says(302, ""), "", Redirect, "Register the final URL", "최종 URL을 등록"},
		{"401", says(401, ""), "", Forbidden, "Let our IP addresses in", "IP 주소를 허용"},
		{"403", says(403, "<html>"), "", Forbidden, "Let our IP addresses in", "IP 주소를 허용"},
		{"404", says(404, ""), "", NotFound, "Check the URL", "URL을 확인"},
		{"405", says(405, ""), "", Method, "Route POST", "POST 요청을 처리"},
		{"ok with 404", says(404, "ok"), "", BadStatus, "both are needed", "모두 필요"},
		{"ok with 500", says(500, "ok"), "", BadStatus, "both are needed", "모두 필요"},
		{"no answer in time", func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, "", Timeout, "Answer ok first, work later", "먼저 ok를 응답"},
		{"a certificate of nobody", nil, secure.URL, TLS, "Check the certificate", "인증서와 체인"},
		{"a name of nobody", nil, "https://nobody.test/cb", DNS, "the DNS records", "DNS 레코드"},
		{"an address of its own", nil, "https://127.0.0.1/cb", NotPublic, "public address", "공인 주소"},
		{"nobody listens", nil, "https://shop.test:1/cb", RefusedConnection, "Is the server running", "서버가 실행 중인지"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := c.url
			open := []Opening{{secure.URL, loopbacks}, {"https://shop.test:1", loopbacks}}
			if c.shop != nil {
				srv := httptest.NewServer(c.shop)
				t.Cleanup(srv.Close)
				url, open = srv.URL, []Opening{{srv.URL, loopbacks}}
			}
			s := sender(t, Options{Open: open, Resolver: answers{"shop.test": {netip.MustParseAddr("127.0.0.1")}}})
			s.total = 500 * time.Millisecond
			a := s.Send(t.Context(), message(url))
			if a.Verdict != string(c.verdict) || a.Delivered != (c.verdict == Delivered) {
				t.Errorf("%s (%q), want %s", a.Verdict, a.Detail, c.verdict)
			}
			for language, want := range map[string]string{"en": c.en, "ko": c.ko} {
				if said := Verdict(a.Verdict).Explain(language); !strings.Contains(said, want) {
					t.Errorf("in %s: %q does not name %q", language, said, want)
				}
			}
		})
	}
}
