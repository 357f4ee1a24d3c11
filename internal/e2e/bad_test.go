package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// cli runs pipe against the demo's data, beside the running demo.
func (d *demo) cli(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	return run(d.t, d.settings(), "", "pipe", args...)
}

// settings are those a second process needs to work on the demo's data and chains.
func (d *demo) settings() []string {
	env := []string{
		"PIPE_DISK_RESERVE=1", "PIPE_DATA=" + filepath.Join(d.dir, "data"), "PIPE_PUBLIC_URL=" + d.url, "PIPE_INSECURE_URLS=true",
		"PIPE_BITCOIN=regtest", "PIPE_BITCOIN_NODES=" + d.ready["bitcoin_rpc_url"],
		"PIPE_ETHEREUM=1337", "PIPE_ETHEREUM_NODES=" + d.ready["ethereum_rpc_url"],
		"PIPE_RATES=fixed:BTC/KRW=95000000;BTC/USD=68500;ETH/KRW=4750000;ETH/USD=3425",
	}
	if i := slices.Index(d.args, "--database"); i >= 0 {
		env = append(env, "PIPE_DATABASE="+d.args[i+1])
	}
	return env
}

// cliJSON runs a command that prints JSON.
func (d *demo) cliJSON(out any, args ...string) {
	d.t.Helper()
	stdout, stderr, code := d.cli(append(args, "--json")...)
	if code != 0 {
		d.t.Fatalf("pipe %q: exit code %d: %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), out); err != nil {
		d.t.Fatalf("pipe %q: %v: %s", args, err, stdout)
	}
}

// An application is one as pipe app prints it.
type application struct {
	ID         string `json:"id"`
	Key        string `json:"api_key"`
	Secret     string `json:"callback_secret"`
	MerchantID string `json:"merchant_id"`
}

// addApp makes another merchant with an application that may do what the demo's may.
func (d *demo) addApp(more ...string) (*merchant, application) {
	d.t.Helper()
	var m, a application
	d.cliJSON(&m, "merchant", "add", "Another")
	d.cliJSON(&a, append([]string{"app", "add", m.ID, "--name=Another shop", "--url=" + d.ready["shop_url"], "--ip=127.0.0.1"}, more...)...)
	return &merchant{d.url, a.Key}, a
}

// A refusal is what a bad call must answer.
type refusal struct {
	name   string
	r      request
	status int
	code   string
	field  string
}

// check sends and holds the answer to the table of the contract.
func (m *merchant) refused(t testing.TB, c refusal) {
	t.Helper()
	if c.r.path == "" {
		c.r.path = "/api/v1/invoice/create"
	}
	a := m.send(t, c.r)
	for a.Code == "4290" && c.code != "4290" {
		time.Sleep(time.Second)
		a = m.send(t, c.r)
	}
	if a.Status != c.status || a.Code.String() != c.code {
		t.Errorf("%s: %.600s\nwant %d, code %s", c.name, a, c.status, c.code)
		return
	}
	if a.text("request_id") == "" {
		t.Errorf("%s: no request_id: %s", c.name, a)
	}
	if a.text("field") != c.field {
		t.Errorf("%s: field is %q, want %q: %s", c.name, a.text("field"), c.field, a)
	}
	if a.Message == "" || a.Message == "success" {
		t.Errorf("%s: message says nothing: %s", c.name, a)
	}
}

// tables are where a refused call could leave something.
var tables = []string{"invoice", "quote", "idempotency", "event", "callback", "entry", "deposit"}

// nothingStored runs calls that must leave no trace.
func (d *demo) nothingStored(t testing.TB, f func()) {
	t.Helper()
	eventually(t, patience, "the float of the demo's wallet is booked", func() bool { return d.count(t, "entry") >= 2 })
	before := map[string]int{}
	for _, table := range tables {
		before[table] = d.count(t, table)
	}
	f()
	for _, table := range tables {
		if n := d.count(t, table); n != before[table] {
			t.Errorf("%s had %d rows, has %d", table, before[table], n)
		}
	}
}

func TestBadParameters(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	good := append(fields{{"api_key", d.key}}, d.order("bad")...)
	var all []refusal
	bad := func(status int, code, field, value string) {
		for name, encode := range map[string]func(fields) (string, string){"multipart": fields.multipart, "form": fields.form, "json": fields.json} {
			if field != "price" && name != "multipart" {
				continue // one field in every encoding is enough
			}
			kind, body := encode(good.with(field, value))
			all = append(all, refusal{fmt.Sprintf("%s %.60q as %s", field, value, name), request{kind: kind, body: body}, status, code, field})
		}
	}
	for _, price := range []string{
		"1e5", "-1", "10.001", "１０", "NaN", "Inf", "+1", "0", "0.00", "", " 10", "10 ", "1,000", "1_000", "0x10", ".5", "5.", "1.2.3",
		"12.34\x00", "٣", "1000000.01", "99999999999999999999999999", "1E2", "--1", "1/2", "010", "00", "$5", "12.34 USD", "null", "true",
	} {
		bad(400, "4001", "price", price)
	}
	for _, currency := range []string{"", "krw", "EUR", "BTC", "KRW ", "usd", "KRWUSD"} {
		bad(400, "4001", "price_currency", currency)
	}
	for _, order := range []string{"", strings.Repeat("x", 129), "a\nb", "a\x00b", "a\u202eb", "\u200b"} {
		bad(400, "4001", "order_id", order)
	}
	bad(400, "4001", "order_name", strings.Repeat("x", 256))
	bad(400, "4001", "order_name", "a\tb")
	for _, language := range []string{"fr", "EN!", "korean"} {
		bad(400, "4001", "language", language)
	}
	bad(400, "4001", "open_type", "iframe")
	bad(400, "4001", "open_type", "Redirect ")
	for _, address := range []string{
		"nonsense", "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56077", "0x71A4A8c7286e048eb2E4dAE3bD8EACe119C56076", "0x0", "71a4A8c7286e048eb2E4dAE3bD8EACe119C5607",
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
		"0x0000000000000000000000000000000000000000", strings.Repeat("1", 129),
	} {
		bad(400, "4001", "refund_address", address)
	}
	for _, name := range []string{"price", "price_currency", "order_id", "callback_url"} {
		kind, body := good.without(name).multipart()
		all = append(all, refusal{"without " + name, request{kind: kind, body: body}, 400, "4001", name})
	}
	won := good.with("price_currency", "KRW")
	for _, price := range []string{"100.5", "100.01", "1000000001"} {
		kind, body := won.with("price", price).multipart()
		all = append(all, refusal{"KRW " + price, request{kind: kind, body: body}, 400, "4001", "price"})
	}
	for _, value := range []string{`[1]`, `{"a":1}`, `true`, `null`, `1e2`, `-5`, `12.345`, `0`} {
		kind, body := good.without("price").json()
		all = append(all, refusal{"JSON price " + value, request{kind: kind, body: strings.Replace(body, "{", `{"price":`+value+",", 1)}, 400, "4001", "price"})
	}
	kind, body := good.multipart()
	for name, value := range map[string]string{"too long": strings.Repeat("k", 256), "not printable": "a\tb"} {
		all = append(all, refusal{"Idempotency-Key " + name, request{kind: kind, body: body, header: map[string]string{"Idempotency-Key": value}}, 400, "4001", "Idempotency-Key"})
	}
	d.nothingStored(t, func() {
		for _, c := range all {
			d.refused(t, c)
		}
	})
	t.Logf("%d bad calls", len(all))
	d.interrupt(t)
}

func TestBadURLs(t *testing.T) {
	t.Parallel()
	d := shared(t)
	m, _ := d.addApp("--url=https://shop.example/pay", "--url=https://shop.example:8443", "--url=http://127.0.0.1:4444/only/here")
	shop := "https://shop.example/pay"
	malformed := []string{
		"shop.example/pay/x", "//shop.example/pay", "/pay/x", "ftp://shop.example/pay", "javascript:alert(1)//https://shop.example/pay", "data:,x", "file:///etc/passwd",
		"https://user@shop.example/pay", "https://user:pass@shop.example/pay", "https://@shop.example/pay", "https://shop.example@evil.example/pay",
		shop + "#x", shop + "/#", shop + "\\x", "https:\\\\shop.example\\pay", "https://shop.example\\@evil.example/pay", shop + "/\r\nHost: evil", shop + "/\n",
		shop + "/ x", " " + shop, shop + " ", shop + "\t", shop + "\x00", shop + "/\u202e", "https://shop。example/pay", "https://ѕhop.example/pay",
		"https://evil.example/https://shop.example/pay", "https:///pay", "https://", "https:", "https:shop.example/pay", "https://shop.example:port/pay", "https://shop.example:99999999/pay", "https://[::1/pay", "https://shop.example/%zz",
		shop + "/../admin", shop + "/..", shop + "/%2e%2e/admin", shop + "/%2E./admin", shop + "/.%2e/admin", shop + "/./x", shop + "/x%2f..%2fadmin", shop + "/x%5c..%5cadmin",
		shop + "/" + strings.Repeat("a", 2048), "ws://shop.example/pay",
	}
	foreign := []string{
		"http://shop.example/pay", "https://shop.example/", "https://shop.example", "https://shop.example/payment", "https://shop.example/pay2/x", "https://shop.example/PAY/x", "https://shop.example/pa",
		"https://www.shop.example/pay", "https://shop.example.evil.example/pay", "https://evilshop.example/pay", "https://evil.example/?u=https://shop.example/pay",
		"https://shop.example:444/pay", "https://shop.example:80/pay", "http://shop.example:443/pay", "https://shop.example./pay", "https://shop.example/%70ay%2e", "https://shop.example/pay%00",
		"http://127.0.0.1:4444/only", "http://127.0.0.1:4444/only/herex", "http://127.0.0.1/only/here", "http://127.0.0.2:4444/only/here", "http://localhost:4444/only/here", "http://0x7f.1:4444/only/here", "http://2130706433:4444/only/here",
		"http://[::ffff:127.0.0.1]:4444/only/here", "http://[::1]:4444/only/here", "http://169.254.169.254/latest/meta-data", "https://shop.example:8444/x", "http://shop.example:8443/x",
	}
	good := append(fields{{"api_key", m.key}}, d.order("url").with("callback_url", shop+"/cb")...)
	n := 0
	for _, field := range []string{"callback_url", "redirect_url"} {
		for _, u := range malformed {
			kind, body := good.with(field, u).multipart()
			a := m.send(t, request{path: "/api/v1/invoice/create", kind: kind, body: body})
			for a.Code == "4290" {
				time.Sleep(time.Second)
				a = m.send(t, request{path: "/api/v1/invoice/create", kind: kind, body: body})
			}
			// Either code is right for what is neither a URL of the shop's nor any: that it is refused and named counts.
			if !(a.Status == 400 && a.Code == "4001" || a.Status == 403 && a.Code == "4031") || a.text("field") != field || a.text("request_id") == "" {
				t.Errorf("%s %q: %s", field, u, a)
			}
			n++
		}
		for _, u := range foreign {
			kind, body := good.with(field, u).multipart()
			m.refused(t, refusal{field + " " + u, request{kind: kind, body: body}, 403, "4031", field})
			n++
		}
		for _, u := range []string{
			shop, shop + "/", shop + "/cb", shop + "?x=1", shop + "/cb?u=https://evil.example/", "https://SHOP.example/pay/x", "https://shop.example:443/pay/x", "https://shop.example:8443/anything",
			"http://127.0.0.1:4444/only/here/x", "HTTPS://shop.example/pay/x", shop + "/%ED%95%9C", shop + "/a;b=c",
		} {
			m.good(t, "invoice/create", good.with(field, u)[1:])
		}
	}
	t.Logf("%d bad URLs", n)
}

func TestBadEncodings(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	good := append(fields{{"api_key", d.key}}, d.order("encoding")...)
	multipart, multipartBody := good.multipart()
	form, formBody := good.form()
	_, jsonBody := good.json()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(bytes.Repeat([]byte("a"), 1<<20)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	many := slices.Clone(good)
	for i := range 40 {
		many = append(many, [2]string{fmt.Sprint("extra", i), "x"})
	}
	manyMultipart, manyMultipartBody := many.multipart()
	_, manyForm := many.form()
	_, manyJSON := many.json()
	bigMultipart, bigMultipartBody := good.with("note", strings.Repeat("x", 9<<10)).multipart()
	_, bigForm := good.with("note", strings.Repeat("x", 9<<10)).form()
	huge, hugeBody := good.with("note", strings.Repeat("x", 70<<10)).multipart()
	twice, twiceBody := append(slices.Clone(good), [2]string{"price", "1"}).multipart()
	_, twiceForm := append(slices.Clone(good), [2]string{"price", "1"}).form()
	rocket := func(body string) request { return request{kind: "multipart/form-data", body: body} }
	all := []refusal{
		{"no Content-Type", request{body: formBody}, 415, "4150", "Content-Type"},
		{"text/plain", request{kind: "text/plain", body: jsonBody}, 415, "4150", "Content-Type"},
		{"XML", request{kind: "application/xml", body: "<price>1</price>"}, 415, "4150", "Content-Type"},
		{"broken Content-Type", request{kind: "multipart/form-data; boundary", body: multipartBody}, 415, "4150", "Content-Type"},
		{"UTF-16", request{kind: "application/json; charset=utf-16", body: jsonBody}, 415, "4150", "Content-Type"},
		{"gzip", request{kind: "application/json", body: zipped.String(), header: map[string]string{"Content-Encoding": "gzip"}}, 415, "4150", "Content-Type"},
		{"JSON announced as a form", request{kind: form, body: jsonBody}, 415, "4150", "Content-Type"},
		{"multipart without its boundary", rocket(multipartBody), 415, "4150", "Content-Type"},
		{"rockets announced as JSON", request{kind: "application/json", body: `{"api_key"=>"x"}`}, 400, "4001", ""},
		{"rockets, twice", rocket(`{"api_key"=>` + d.key + `,"price"=>1,"price"=>2}`), 400, "4001", "price"},
		{"rockets, nested", rocket(`{"api_key"=>` + d.key + `,"price"=>{"a"=>1}}`), 400, "4001", "price"},
		{"rockets, no end", rocket(`{"api_key"=>` + d.key), 400, "4001", ""},
		{"rockets, a list", rocket(`["api_key"]`), 415, "4150", "Content-Type"},
		{"empty JSON", request{kind: "application/json"}, 400, "4001", ""},
		{"JSON list", request{kind: "application/json", body: "[]"}, 400, "4001", ""},
		{"JSON with a tail", request{kind: "application/json", body: jsonBody + "{}"}, 400, "4001", ""},
		{"JSON cut short", request{kind: "application/json", body: jsonBody[:len(jsonBody)-5]}, 400, "4001", ""},
		{"JSON with a field twice", request{kind: "application/json", body: strings.Replace(jsonBody, "{", `{"price":"1",`, 1)}, 400, "4001", "price"},
		{"JSON, deep", request{kind: "application/json", body: strings.Repeat("[", 30_000)}, 400, "4001", ""},
		{"form with a field twice", request{kind: form, body: twiceForm}, 400, "4001", "price"},
		{"multipart with a field twice", request{kind: twice, body: twiceBody}, 400, "4001", "price"},
		{"form with a broken escape", request{kind: form, body: "api_key=" + d.key + "&price=%zz"}, 400, "4001", "price"},
		{"multipart, many parts", request{kind: manyMultipart, body: manyMultipartBody}, 413, "4130", ""},
		{"form, many fields", request{kind: form, body: manyForm}, 413, "4130", ""},
		{"JSON, many fields", request{kind: "application/json", body: manyJSON}, 413, "4130", ""},
		{"multipart, big part", request{kind: bigMultipart, body: bigMultipartBody}, 413, "4130", "note"},
		{"form, big field", request{kind: form, body: bigForm}, 413, "4130", "note"},
		{"body over 64 KiB", request{kind: huge, body: hugeBody}, 413, "4130", ""},
		{"10 MB", request{kind: multipart, body: strings.Repeat("x", 10<<20)}, 413, "4130", ""},
		{"10 MB of JSON", request{kind: "application/json", body: `{"price":"` + strings.Repeat("1", 10<<20) + `"}`}, 413, "4130", ""},
		{"GET", request{method: "GET", kind: "", body: ""}, 405, "4050", ""},
		{"PUT", request{method: "PUT", kind: form, body: formBody}, 405, "4050", ""},
		{"unknown path", request{path: "/api/v1/invoice/delete", kind: form, body: formBody}, 404, "4041", ""},
		{"path with a slash", request{path: "/api/v1/invoice/create/", kind: form, body: formBody}, 404, "4041", ""},
		{"version 2", request{path: "/api/v2/invoice/create", kind: form, body: formBody}, 404, "4041", ""},
	}
	d.nothingStored(t, func() {
		for _, c := range all {
			d.refused(t, c)
		}
		bigFromSimpleClients(t, d)
		endless(t, d)
	})
	d.interrupt(t)
}

// bigFromSimpleClients sends as simple HTTP libraries do: all of the body, and only then they look for the answer.
func bigFromSimpleClients(t testing.TB, d *demo) {
	t.Helper()
	for _, c := range []struct{ kind, status string }{
		{"application/json", "413"}, {"application/x-www-form-urlencoded", "413"}, {"multipart/form-data; boundary=x", "413"}, {"multipart/form-data", "413"}, {"text/plain", "415"},
	} {
		for _, chunked := range []bool{false, true} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			body, length := strings.Repeat("x", 10<<20), fmt.Sprintf("Content-Length: %d", 10<<20)
			if chunked {
				body, length = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body), "Transfer-Encoding: chunked"
			}
			err = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if err == nil {
				_, err = fmt.Fprintf(conn, "POST /api/v1/invoice/create HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s\r\n\r\n%s", c.kind, length, body)
			}
			if err != nil {
				t.Errorf("10 MB as %s, chunked %t: %v", c.kind, chunked, err)
			}
			head := make([]byte, 12)
			if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 "+c.status {
				t.Errorf("10 MB as %s, chunked %t: %q %v", c.kind, chunked, head, err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// endless sends a body without a length that never ends: it is cut with an answer, or with none.
func endless(t testing.TB, d *demo) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "POST /api/v1/invoice/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat("1", 64<<10))
	sent := 0
	for sent < 64<<20 {
		n, err := fmt.Fprint(conn, chunk)
		if sent += n; err != nil {
			break
		}
	}
	if sent >= 64<<20 {
		t.Errorf("%d bytes of a body were taken in", sent)
	}
}

func TestKeysAndAddresses(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	kind, _ := fields{{"a", "b"}}.form()
	send := func(m *merchant, header map[string]string) answer {
		_, body := append(fields{{"api_key", m.key}}, d.order("key")...).form()
		if m.key == "" {
			_, body = d.order("key").form()
		}
		return m.send(t, request{path: "/api/v1/invoice/create", kind: kind, body: body, header: header})
	}
	d.nothingStored(t, func() {
		for _, key := range []string{"", "x", d.key + "0", strings.ToUpper(d.key), d.key[:len(d.key)-1], "pipe_test_" + strings.Repeat("0", 72), strings.Repeat("k", 8000), "' OR 1=1 --"} {
			a := send(&merchant{d.url, key}, nil)
			if a.Status != 401 || a.Code != "4010" || a.text("request_id") == "" {
				t.Errorf("key %.20q: %s", key, a)
			}
		}
		for _, h := range []string{"Basic " + d.key, "Bearer", d.key} {
			if a := send(&merchant{d.url, ""}, map[string]string{"Authorization": h}); a.Status != 400 && a.Status != 401 {
				t.Errorf("Authorization %.10q: %s", h, a)
			}
		}
		if a := send(d.merchant, map[string]string{"Authorization": "Bearer other"}); a.Status != 400 || a.Code != "4001" || a.text("field") != "api_key" {
			t.Errorf("two different keys: %s", a)
		}
	})
	if a := send(&merchant{d.url, ""}, map[string]string{"Authorization": "bearer " + d.key}); a.Code != "1" {
		t.Errorf("key in Authorization: %s", a)
	}

	// Another application sees nothing of this one's invoice.
	id := d.good(t, "invoice/create", d.order("mine")).text("invoice_id")
	other, _ := d.addApp()
	for _, call := range []string{"invoice/get", "test/callback"} {
		for _, who := range []string{id, strings.Repeat("0", 64)} {
			if a := other.call(t, call, fields{{"invoice_id", who}}); a.Status != 404 || a.Code != "4040" {
				t.Errorf("%s of a stranger's invoice: %s", call, a)
			}
		}
		for _, bad := range []string{"", "xyz", id[1:], id + "0"} {
			if a := d.call(t, call, fields{{"invoice_id", bad}}); a.Status != 400 || a.Code != "4001" || a.text("field") != "invoice_id" {
				t.Errorf("%s of %q: %s", call, bad, a)
			}
		}
	}

	// Only registered addresses; a forwarded header counts for nothing without a proxy.
	var set object
	for _, c := range []struct {
		ip   string
		code string
	}{
		{"203.0.113.7", "4030"}, {"2001:db8::/32", "4030"}, {"127.0.0.2", "4030"}, {"127.0.0.1/32", "1"}, {"127.0.0.0/8", "1"}, {"::1", "4030"}, {"0.0.0.0/0", "1"}, {"::/0", "4030"},
	} {
		d.cliJSON(&set, "app", "set", d.ready["application_id"], "--ip="+c.ip)
		a := send(d.merchant, map[string]string{"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7"})
		if a.Code.String() != c.code || c.code == "4030" && (a.Status != 403 || !strings.Contains(a.Message, "127.0.0.1")) {
			t.Errorf("registered %s: %s", c.ip, a)
		}
	}
	stranger, _ := d.addApp("--ip=198.51.100.1")
	if a := stranger.call(t, "invoice/create", d.order("x")); a.Code != "1" { // --ip given twice: both count
		t.Errorf("two addresses: %s", a)
	}
	// Nobody registered: nobody may.
	d.cliJSON(&set, "app", "set", d.ready["application_id"], "--ip=")
	if a := send(d.merchant, nil); a.Code != "4030" {
		t.Errorf("no address registered: %s", a)
	}
	d.cliJSON(&set, "app", "set", d.ready["application_id"], "--ip=127.0.0.1")

	// A rotated key ends when told.
	var key application
	d.cliJSON(&key, "app", "rotate-key", d.ready["application_id"], "--overlap=0s")
	if a := send(d.merchant, nil); a.Code != "4010" {
		t.Errorf("old key after rotation without overlap: %s", a)
	}
	fresh := &merchant{d.url, key.Key}
	if a := send(fresh, nil); a.Code != "1" {
		t.Errorf("new key: %s", a)
	}
	d.cliJSON(&key, "app", "rotate-key", d.ready["application_id"], "--overlap=1h")
	for _, m := range []*merchant{fresh, {d.url, key.Key}} {
		if a := send(m, nil); a.Code != "1" {
			t.Errorf("keys in overlap: %s", a)
		}
	}
	// No key is kept in clear.
	for _, name := range []string{"pipe.db", "pipe.db-wal", "pipe-demo.log"} {
		b, err := os.ReadFile(filepath.Join(d.dir, "data", name))
		if err == nil && (bytes.Contains(b, []byte(key.Key)) || bytes.Contains(b, []byte(d.ready["webhook_secret"]))) {
			t.Errorf("%s holds a key or a secret in clear", name)
		}
	}
	d.interrupt(t)
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	d := shared(t)
	m, _ := d.addApp()
	id := m.good(t, "invoice/create", d.order("many")).text("invoice_id")
	var last answer
	for range 15 {
		last = m.call(t, "test/callback", fields{{"invoice_id", id}})
	}
	if last.Status != http.StatusTooManyRequests || last.Code != "4290" || last.Header.Get("Retry-After") == "" {
		t.Errorf("15 test callbacks: %s", last)
	}
	answers := make(chan answer)
	for range 150 {
		go func() { answers <- m.call(t, "invoice/get", fields{{"invoice_id", id}}) }()
	}
	refused := 0
	for range 150 {
		a := <-answers
		if a.Code == "4290" {
			refused++
		} else if a.Code != "1" {
			t.Errorf("get: %s", a)
		}
	}
	if refused == 0 {
		t.Error("150 calls at once were all taken; the limit is 20/s with a burst of 100")
	}
}
