package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/webhook"
)

// badParams are values of create's parameters that are refused, with the code. None is stored.
func badParams() []struct {
	field, value string
	code         int
} {
	type bad = struct {
		field, value string
		code         int
	}
	var all []bad
	for _, price := range []string{"", "1e5", "1E5", "-1", "-0", "+5", "10.001", "１０", "NaN", "nan", "Inf", "-Infinity", "1,000", " 5", "5 ",
		"5\n", "0", "0.00", "00", "01", ".5", "5.", "1.2.3", "0x10", "1_000", "1000000.01", "99999999999999999999", strings.Repeat("9", 400),
		"1" + strings.Repeat("0", 7000), "٣", "५", "12.34 USD", "$5", "₩5", "1/2", "1'000", "\u200b5", "5\u0000", "true", "null", "1٫5", "½"} {
		all = append(all, bad{"price", price, 4001})
	}
	for _, c := range []string{"", "usd", "EUR", "BTC", "KRW ", "US", "USD\x00", "ＵＳＤ"} {
		all = append(all, bad{"price_currency", c, 4001})
	}
	for _, id := range []string{"", "a\x00b", "a\nb", "\u200b", "\u202e", strings.Repeat("x", 129), "\xff", "\u2028"} {
		all = append(all, bad{"order_id", id, 4001})
	}
	for _, name := range []string{"\t", strings.Repeat("가", 256), "\x1b[31m", "\xed\xa0\x80"} {
		all = append(all, bad{"order_name", name, 4001})
	}
	all = append(all, bad{"language", "fr", 4001}, bad{"language", "en\x00", 4001}, bad{"open_type", "iframe", 4001},
		bad{"refund_address", "refund_address", 4001}, bad{"refund_address", "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56077", 4001},
		bad{"refund_address", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", 4001}, bad{"refund_address", strings.Repeat("x", 129), 4001})
	return all
}

func badURLs(origin string) map[string]int {
	host := strings.TrimPrefix(origin, "http://")
	return map[string]int{
		"http://shop.example/cb": 4031, "https://" + host + "/cb": 4031, origin + ".evil.example/cb": 4001,
		"http://user@" + host + "/": 4001, "http://user:pw@" + host + "/": 4001, origin + "/a#b": 4001, origin + "/a#": 4001,
		origin + `/a\b`: 4001, origin + "/a\tb": 4001, origin + "/../b": 4001, origin + "/%2e%2e/b": 4001, origin + "/a%2fb": 4001,
		origin + "//a": 4001, "//" + host + "/a": 4001, "/callback": 4001, "callback": 4001, "javascript:alert(1)": 4001,
		"ftp://" + host + "/": 4001, "http:" + host: 4001, origin + "/" + strings.Repeat("x", 2048): 4001, "http://": 4001,
		"http://127.0.0.1/": 4031, "http://[::1]/": 4031, "http://[::1%25lo]/": 4031, " " + origin: 4001, origin + "/가": 4001,
		"http://127.0.0.1:99999999/": 4031, "YOUR-PAYMENT-CALLBACK-URL": 4001, "http://한국.example/": 4001,
	}
}

func TestBadParameters(t *testing.T) {
	r := newRig(t, rigOptions{})
	check := func(field, value string, code int, more url.Values) {
		t.Helper()
		v := r.good()
		for k := range more {
			v.Set(k, more.Get(k))
		}
		v.Set(field, value)
		a := r.post(createPath, urlencoded, v.Encode())
		a.want(t, code, field)
		if code == 4001 && !strings.HasPrefix(a.msg, field+": ") {
			t.Errorf("%s=%.40q: the message does not name it: %s", field, value, a.msg)
		}
		ko := r.post(createPath, urlencoded, v.Encode(), "Accept-Language", "ko-KR,ko;q=0.9,en;q=0.8")
		ko.want(t, code, field)
		if !hasHangul(ko.msg) || ko.header.Get("Content-Language") != "ko" || strings.Contains(ko.msg, "올바르지 않은 값") {
			t.Errorf("%s=%.40q: no Korean: %s", field, value, ko.msg)
		}
	}
	for _, b := range badParams() {
		check(b.field, b.value, b.code, nil)
	}
	for u, code := range badURLs(r.shop.URL) {
		check("callback_url", u, code, nil)
		check("redirect_url", u, code, nil)
	}
	check("callback_url", "", 4001, nil)
	for _, p := range []string{"10500.5", "0.01", "0.9", "1000000001"} {
		check("price", p, 4001, url.Values{"price_currency": {"KRW"}})
	}
	if n := r.invoices(); n != 0 {
		t.Errorf("%d invoices stored", n)
	}
	// The edge of what is taken.
	for _, good := range []url.Values{
		{"price_currency": {"KRW"}, "price": {"10500.00"}}, {"price_currency": {"KRW"}, "price": {"1000000000"}}, {"price": {"0.01"}},
		{"price": {"1000000.00"}}, {"language": {"ko-KR"}}, {"language": {"kr"}}, {"open_type": {"layer"}}, {"order_id": {strings.Repeat("가", 128)}},
		{"order_name": {strings.Repeat("😀", 255)}}, {"refund_address": {"0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076"}},
		{"redirect_url": {r.shop.URL + "/done?a=b&c=%20"}}, {"unknown": {"ignored"}}, {"callback_url": {r.shop.URL}},
	} {
		v := r.good()
		for k := range good {
			v.Set(k, good.Get(k))
		}
		r.post(createPath, urlencoded, v.Encode()).want(t, 1, "")
	}
}

// JSON numbers are taken as the text they are.
func TestJSONNumbers(t *testing.T) {
	r := newRig(t, rigOptions{})
	for literal, want := range map[string]string{"12.34": "12.34", "12.30": "12.3", "10500": "10500", "1e5": "", "1E+2": "", "-1": "", "10.001": "",
		"0": "", "0.00": "", "9007199254740993": "", `"12.34"`: "12.34", "true": "", "null": "", `["1"]`: "", "0.1": "0.1"} {
		a := r.post(createPath, "application/json", fmt.Sprintf(
			`{"api_key":%q,"price_currency":"USD","price":%s,"order_id":7,"callback_url":%q,"metadata":{"ignored":[true]}}`, r.app.Key, literal, r.shop.URL))
		if want == "" {
			a.want(t, 4001, "price")
			continue
		}
		a.want(t, 1, "")
		got := r.post(getPath, "application/json", fmt.Sprintf(`{"api_key":%q,"invoice_id":%q}`, r.app.Key, a.data["invoice_id"]))
		if !strings.Contains(string(got.raw), `"price":`+want+`,`) || got.data["order_id"] != "7" {
			t.Errorf("%s: %s", literal, got.raw)
		}
	}
}

func TestInvoiceIDs(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, path := range []string{getPath, refundPath, testPath} {
		for _, id := range []string{"", "x", strings.Repeat("g", 64), strings.Repeat("0", 63), strings.Repeat("0", 65), "../" + strings.Repeat("0", 61), strings.Repeat("０", 64)} {
			r.post(path, urlencoded, url.Values{"api_key": {r.app.Key}, "invoice_id": {id}}.Encode()).want(t, 4001, "invoice_id")
		}
		r.post(path, urlencoded, "api_key="+r.app.Key+"&invoice_id="+strings.Repeat("A", 64)).want(t, 4040, "invoice_id")
	}
}

func TestTestCallback(t *testing.T) {
	r := newRig(t, rigOptions{})
	id := r.create()
	call := func(header ...string) reply {
		return r.post(testPath, urlencoded, "api_key="+r.app.Key+"&invoice_id="+id, header...)
	}
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		verdict webhook.Verdict
		back    string
	}{
		"html":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>login") }, webhook.HTML, "<html>login"},
		"500":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, "ok") }, webhook.BadStatus, "ok"},
		"empty": {func(http.ResponseWriter, *http.Request) {}, webhook.Empty, ""},
		"json":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"ok"`) }, webhook.Quoted, `"ok"`},
		"long":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 5000)) }, webhook.TooLong, strings.Repeat("x", 1024)},
		"bytes": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\xff\xfeno") }, webhook.Other, "\ufffdno"},
	} {
		r.shop.say(c.answer)
		a := call()
		if a.code != "4220" || a.status != 422 || a.data["response"] != c.back || a.data["callback_url"] != r.shop.URL+"/callback" ||
			!strings.HasPrefix(a.msg, c.verdict.Explain("en")) || a.data["request_id"] != a.header.Get("X-Request-Id") {
			t.Errorf("%s: %s", name, a.raw)
		}
		if sent, _ := a.data["send"].(map[string]any); sent["invoice_id"] != id || len(sent) != 18 {
			t.Errorf("%s: sent %v", name, sent)
		}
		if ko := call("Accept-Language", "ko"); !strings.HasPrefix(ko.msg, c.verdict.Explain("ko")) {
			t.Errorf("%s: %s", name, ko.msg)
		}
	}
	for _, ok := range []string{"ok", "OK\n", "\ufeff Ok \r\n"} {
		r.shop.say(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, ok) })
		call().want(t, 1, "")
	}
	body := url.Values{"api_key": {r.app.Key}, "invoice_id": {id}, "callback_url": {r.shop.URL + "/other"}}
	r.post(testPath, urlencoded, body.Encode()).want(t, 1, "")
	if got := r.shop.got[len(r.shop.got)-1].URL.Path; got != "/other" {
		t.Errorf("sent to %s", got)
	}
	n := len(r.shop.got)
	for u, code := range badURLs(r.shop.URL) {
		body.Set("callback_url", u)
		r.post(testPath, urlencoded, body.Encode()).want(t, code, "callback_url")
	}
	if len(r.shop.got) != n {
		t.Error("something was sent to an URL that was refused")
	}
	r.shop.Close()
	if a := call(); a.code != "4220" || a.data["response"] != "" || !strings.HasPrefix(a.msg, webhook.RefusedConnection.Explain("en")) {
		t.Errorf("dead shop: %s", a.raw)
	}
}

// A body of 10 MB is refused, whether its length is told or not.
func TestBigBodies(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, kind := range []string{urlencoded, "application/json", "multipart/form-data; boundary=b", "multipart/form-data"} {
		r.post(createPath, kind, strings.Repeat("x", 10<<20)).want(t, 4130, "")
		pr, pw := io.Pipe()
		go func() { // of unknown length; ends when the server hangs up
			for {
				if _, err := pw.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}()
		res, err := r.srv.Client().Post(r.srv.URL+createPath, kind, pr)
		if err != nil {
			t.Fatal(err)
		}
		readReply(t, res).want(t, 4130, "")
		if err := pr.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := r.invoices(); n != 0 {
		t.Errorf("%d invoices stored", n)
	}
}

// A body that trickles is cut off.
func TestSlowBodies(t *testing.T) {
	const within = 300 * time.Millisecond
	r := newRig(t, rigOptions{api: Options{ReadBody: within}})
	start := time.Now()
	answer, ok := r.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 60000\r\n\r\na=1", createPath, urlencoded), false)
	if !ok {
		t.Fatal("no answer to a slow body")
	}
	answer.want(t, 4080, "")
	if took := time.Since(start); took < within || took > within+2*time.Second {
		t.Errorf("took %s", took)
	}
	body := r.good().Encode()
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", createPath, urlencoded, len(body)+1, body)
	if answer, ok := r.raw(head, true); ok { // cut off early
		answer.want(t, 4001, "")
	}
	chunks := "POST " + createPath + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + urlencoded + "\r\nTransfer-Encoding: chunked\r\n\r\n"
	if answer, ok := r.raw(chunks+"zz\r\n", false); ok {
		answer.want(t, 4001, "")
	}
	if n := r.invoices(); n != 0 {
		t.Errorf("%d invoices stored", n)
	}
}

// The time that a body may take does not bind the call that waits for a slow shop.
func TestSlowShop(t *testing.T) {
	r := newRig(t, rigOptions{api: Options{ReadBody: 200 * time.Millisecond}})
	id := r.create()
	r.shop.say(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(700 * time.Millisecond)
		fmt.Fprint(w, "ok")
	})
	r.post(testPath, urlencoded, "api_key="+r.app.Key+"&invoice_id="+id).want(t, 1, "")
}

// raw sends bytes as they are and reads the answer, if there is one.
func (r *rig) raw(request string, hangUp bool) (reply, bool) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.srv.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	if hangUp {
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			r.t.Fatal(err)
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return reply{}, false
	}
	if !res.Close {
		r.t.Error("the connection is kept, though nobody knows where the next request begins")
	}
	return readReply(r.t, res), true
}

// generated makes many bad requests from a seed: mutations of good bodies in all encodings, and noise.
func generated(r *rig, rng *rand.Rand, id string) (contentType, body string) {
	values := []string{"", "1e5", "-1", "NaN", "１０", "\x00", "\xff", strings.Repeat("9", 100), "'\"><script>", "{}", "[]", "null", "../..", "%00", "=>", "--b"}
	names := []string{"price", "price_currency", "order_id", "callback_url", "redirect_url", "refund_address", "language", "open_type", "invoice_id"}
	v := r.good()
	v.Set("invoice_id", id)
	v.Set(names[rng.IntN(len(names))], values[rng.IntN(len(values))])
	v.Set("price", values[rng.IntN(8)]) // always bad for create
	v.Set("invoice_id", values[rng.IntN(len(values))])
	kinds := []string{urlencoded, "application/json", "multipart/form-data; boundary=b", "multipart/form-data", "text/plain", "multipart/form-data; boundary=\"", "\x7f"}
	var b strings.Builder
	form := rng.IntN(4)
	contentType = kinds[form]
	if form == 1 && rng.IntN(2) == 0 {
		contentType = kinds[3]
	}
	if rng.IntN(3) == 0 {
		contentType = kinds[rng.IntN(len(kinds)-1)]
	}
	switch form {
	case 0:
		b.WriteString(v.Encode())
	case 1:
		b.WriteString("{")
		for k := range v {
			value, err := json.Marshal(v.Get(k))
			if err != nil {
				r.t.Fatal(err)
			}
			fmt.Fprintf(&b, "%q%s%s,", k, map[bool]string{true: ":", false: "=>"}[contentType == kinds[1]], value)
		}
		b.WriteString("\"z\":1}")
	case 2:
		for k := range v {
			fmt.Fprintf(&b, "--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", k, v.Get(k))
		}
		b.WriteString("--b--\r\n")
	case 3:
		for range rng.IntN(300) {
			b.WriteByte(byte(rng.IntN(256)))
		}
	}
	body = b.String()
	for range max(0, rng.IntN(6)-2) { // damage, often none
		if len(body) > 0 {
			at := rng.IntN(len(body))
			body = []string{body[:at], body[:at] + string(rune(rng.IntN(256))) + body[at:], body[at:], body + body[:at]}[rng.IntN(4)]
		}
	}
	return contentType, body
}

func TestGeneratedBadInput(t *testing.T) {
	r := newRig(t, rigOptions{})
	id := r.create()
	const each = 600
	for n, path := range []string{createPath, getPath, testPath, refundPath} {
		rng := rand.New(rand.NewPCG(7, uint64(n)))
		codes := map[string]int{}
		var took []time.Duration
		for range each {
			kind, body := generated(r, rng, id)
			start := time.Now()
			a := r.post(path, kind, body)
			took = append(took, time.Since(start))
			codes[a.code]++
			if a.status >= 500 || a.status < 400 {
				t.Errorf("%s %q %q: %s", path, kind, body, a.raw)
			}
		}
		slices.Sort(took)
		t.Logf("%s: %v, p50 %s, p99 %s", path, codes, took[each/2], took[each*99/100])
	}
	if log := r.logs(); strings.Contains(log, "panicked") || strings.Contains(log, "level=ERROR") {
		t.Error("the log tells of a panic or an error")
	}
	if n := r.invoices(); n != 1 {
		t.Errorf("%d invoices stored", n)
	}
}

// 10,000 bombs in parallel do not make the process grow.
func TestBombs(t *testing.T) {
	header := strings.Repeat("X-A: b\r\n", 9000)
	bombs := []struct{ kind, body string }{
		{"multipart/form-data; boundary=b", strings.Repeat("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n", 1000)},
		{"multipart/form-data; boundary=b", "--b\r\n" + header[:60_000]},
		{"multipart/form-data; boundary=b", strings.Repeat("--b\r\n", 13_000)},
		{"multipart/form-data; boundary=" + strings.Repeat("b", 70), "--" + strings.Repeat("b", 65_000)},
		{"multipart/form-data", "{" + strings.Repeat(`"a"=>,`, 10_000) + "}"},
		{"multipart/form-data", `{"a"=>` + strings.Repeat(`,"a `, 16_000) + "}"},
		{"multipart/form-data", `{"a"=>` + strings.Repeat(`,`, 65_000) + "}"},
		{"multipart/form-data", `{"a"=>x` + strings.Repeat(", \t\n", 16_000) + "}"},
		{"multipart/form-data", `{"a"=>"` + strings.Repeat(`\u0041`, 10_000) + "}"},
		{"application/json", strings.Repeat("[", 65_000)},
		{"application/json", `{"a":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5001)},
		{urlencoded, strings.Repeat("a&", 32_000)},
		{urlencoded, strings.Repeat("%61=%61&", 8000)},
	}
	// The server runs in a process of its own, so that what is measured is not the callers.
	server := startServer(t)
	for _, b := range bombs {
		if a := server.post(createPath, b.kind, b.body); a.status < 400 || a.status >= 500 {
			t.Errorf("%.60q: %s", b.body, a.raw)
		}
	}
	before := server.peak()
	const total, parallel = 10_000, 500
	var all sync.WaitGroup
	next := make(chan int)
	for range parallel {
		all.Go(func() {
			for i := range next {
				b := bombs[i%len(bombs)]
				res, err := server.client.Post(server.srv.URL+createPath, b.kind, strings.NewReader(b.body))
				if err != nil {
					t.Error(err)
					continue
				}
				if err := res.Body.Close(); err != nil || res.StatusCode < 400 || res.StatusCode >= 500 {
					t.Errorf("bomb %d: %d %v", i%len(bombs), res.StatusCode, err)
				}
			}
		})
	}
	start := time.Now()
	for i := range total {
		next <- i
	}
	close(next)
	all.Wait()
	grown := (server.peak() - before) >> 10
	t.Logf("%d bombs, %d at once, in %s: resident memory grew by %d MiB at most", total, parallel, time.Since(start), grown)
	if grown > 64 {
		t.Errorf("the process grew by %d MiB", grown)
	}
}

// apart is a server in a process of its own.
type apart struct {
	rig
	pid int
}

// startServer starts this test program once more, as a server. It ends when its standard input does.
func startServer(t *testing.T) apart {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeApart$", "-test.count=1")
	cmd.Env = append(os.Environ(), "PIPE_TEST_SERVE=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1_000}}
	t.Cleanup(client.CloseIdleConnections)
	a := apart{pid: cmd.Process.Pid}
	a.t, a.srv = t, &httptest.Server{URL: strings.TrimSpace(url)}
	a.client = client
	return a
}

// peak is the most memory that the process ever had resident, in KiB.
func (a apart) peak() int {
	a.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0 // not Linux: the bombs are thrown all the same
	}
	if err != nil {
		a.t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(after, &kib); err != nil || !ok {
		a.t.Fatal("no VmHWM", err)
	}
	return kib
}

// TestServeApart is the server of startServer; in a run of its own it does nothing.
func TestServeApart(t *testing.T) {
	if os.Getenv("PIPE_TEST_SERVE") == "" {
		return
	}
	r := newRig(t, rigOptions{logFrom: slog.LevelError}) // the log of all would count as memory of the server
	fmt.Println(r.srv.URL)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Error(err)
	}
	if n := r.invoices(); n != 0 {
		t.Errorf("%d invoices stored", n)
	}
	if log := r.logs(); strings.Contains(log, "panicked") || strings.Contains(log, "level=ERROR") {
		t.Error("the log tells of a panic or an error")
	}
}
