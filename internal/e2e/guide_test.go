package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// shell runs a command line as a merchant developer pastes it.
func shell(t testing.TB, script string) answer {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	var bad strings.Builder
	cmd.Stderr = &bad
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s\n%v %s", script, err, bad.String())
	}
	head, body, ok := strings.Cut(string(out), "\r\n\r\n")
	for ok && strings.HasPrefix(head, "HTTP/1.1 100") {
		head, body, ok = strings.Cut(body, "\r\n\r\n")
	}
	a := answer{Raw: body, Header: http.Header{}}
	if _, err := fmt.Sscanf(head, "HTTP/1.1 %d", &a.Status); err != nil {
		t.Fatalf("%s\nanswered %s", script, out)
	}
	for _, line := range strings.Split(head, "\r\n")[1:] {
		k, v, _ := strings.Cut(line, ": ")
		a.Header.Add(k, v)
	}
	if err := a.read(); err != nil {
		t.Fatalf("%s\n%v", script, err)
	}
	return a
}

// sample is one of the guide's curl samples as printed, with its placeholders replaced.
func (d *demo) sample(t testing.TB, name string, quoted bool, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "guide-"+name+".sh"))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"https://pay.pipeblockchain.com", d.url}
	for i := 0; i < len(replace); i += 2 {
		value := replace[i+1]
		if quoted {
			value = `"` + value + `"`
		}
		all = append(all, replace[i], value)
	}
	return strings.Replace(strings.NewReplacer(all...).Replace(string(text)), "curl ", "curl -sSi ", 1)
}

const sampleID = `"944B4B9C7367CBA6B0AC751E9C9AFB7663DDB73E6D32210D58885464E61575B5"`

func TestGuideSamplesAsPrinted(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	for _, quoted := range []bool{false, true} {
		callback := d.ready["shop_url"] + "/callback?from=guide&n=1"
		a := shell(t, d.sample(t, "create", quoted, "YOUR-API-KEY", d.key, "YOUR-PAYMENT-CALLBACK-URL", callback))
		if a.Status != 200 || a.Code != "1" {
			t.Fatalf("create, quoted %t: %s", quoted, a)
		}
		id := a.text("invoice_id")
		checkCreated(t, d, a)
		// The id is quoted in print already; a merchant may also replace quotes and all.
		for _, named := range []string{`"` + id + `"`, id} {
			text := d.sample(t, "get", quoted, "YOUR-API-KEY", d.key)
			got := shell(t, strings.Replace(text, sampleID, named, 1))
			if got.Code != "1" || got.number("price") != "12.34" || got.text("order_id") != "test_order_id" || got.text("order_name") != "test_order_name" {
				t.Errorf("get, quoted %t: %s", quoted, got)
			}
			if got.text("request_refund_address") != "" {
				t.Errorf("get: the printed placeholder is no refund address: %s", got)
			}
		}
		sent := shell(t, strings.Replace(d.sample(t, "callback", quoted, "YOUR-API-KEY", d.key), sampleID, `"`+id+`"`, 1))
		if sent.Code != "1" || sent.text("callback_url") != callback || sent.text("response") != "ok" {
			t.Errorf("test/callback, quoted %t: %s", quoted, sent)
		}
	}
	// The guide's own key and id, forgotten: refused clearly.
	a := shell(t, d.sample(t, "create", false))
	if a.Status != 401 || a.Code != "4010" {
		t.Errorf("create with YOUR-API-KEY: %s", a)
	}
	a = shell(t, d.sample(t, "get", false, "YOUR-API-KEY", d.key))
	if a.Status != 404 || a.Code != "4040" {
		t.Errorf("get with the printed id: %s", a)
	}
	d.interrupt(t)
}

var hexID = regexp.MustCompile(`^[0-9A-F]{64}$`)

func checkCreated(t testing.TB, d *demo, a answer) {
	t.Helper()
	if keys := slices.Sorted(maps.Keys(a.Data)); !slices.Equal(keys, []string{"create_time", "invoice_id", "invoice_url"}) {
		t.Errorf("create answers %q", keys)
	}
	id := a.text("invoice_id")
	if !hexID.MatchString(id) || a.text("invoice_url") != d.url+"/invoice-"+id {
		t.Errorf("create: %s", a)
	}
	at, err := strconv.ParseInt(a.number("create_time"), 10, 64)
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
		t.Errorf("create_time: %s", a)
	}
}

// types are the guide's fields of an invoice; the times in both spellings (contract).
var types = map[string]string{
	"invoice_id": "text", "order_id": "text", "order_name": "text", "price_currency": "text", "price": "number",
	"request_refund_address": "text", "status": "number", "create_time": "number", "create_date": "number", "update_time": "number",
	"update_date": "number", "coin_currency": "text", "coin_amount": "text", "sender_address": "text", "deposit_address": "text",
	"deposit_amount": "text", "deposit_status": "number", "deposit_date": "number",
}

var plainAmount = regexp.MustCompile(`^(0|[1-9]\d*)(\.\d*[1-9])?$`)

// checkStatement holds the fields to the guide, and their values to what is wanted.
func checkStatement(t testing.TB, data object, want map[string]string) {
	t.Helper()
	for name, kind := range types {
		value, ok := data[name]
		_, isText := value.(string)
		_, isNumber := value.(json.Number)
		if !ok || kind == "text" && !isText || kind == "number" && !isNumber {
			t.Errorf("%s should be a %s: %v (%T)", name, kind, value, value)
		}
	}
	for name := range data {
		if types[name] == "" {
			t.Errorf("%s is not in the guide", name)
		}
	}
	for name, value := range want {
		if fmt.Sprint(data[name]) != value {
			t.Errorf("%s is %v, want %s", name, data[name], value)
		}
	}
	for _, name := range []string{"coin_amount", "deposit_amount"} {
		if s := fmt.Sprint(data[name]); s != "" && !plainAmount.MatchString(s) {
			t.Errorf("%s is %q", name, s)
		}
	}
	for _, pair := range [][2]string{{"create_time", "create_date"}, {"update_time", "update_date"}} {
		if data[pair[0]] != data[pair[1]] {
			t.Errorf("%s %v, %s %v", pair[0], data[pair[0]], pair[1], data[pair[1]])
		}
	}
}

// message is a callback's body.
func message(t testing.TB, body string) (m answer) {
	t.Helper()
	m = answer{Raw: body, Header: http.Header{"Content-Type": {"application/json"}}}
	if err := m.read(); err != nil {
		t.Fatalf("callback: %v", err)
	}
	return m
}

// checkSignature verifies with the official library, and by hand.
func checkSignature(t testing.TB, secret string, c got) {
	t.Helper()
	h := http.Header{}
	for k, v := range c.Headers {
		h.Set(k, v)
	}
	w, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.VerifyIgnoringTimestamp([]byte(c.Body), h); err != nil {
		t.Errorf("signature: %v: %v", err, c.Headers)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "." + c.Body))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); !slices.Contains(strings.Fields(h.Get("webhook-signature")), want) {
		t.Errorf("signature is %s, by hand %s", h.Get("webhook-signature"), want)
	}
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || c.At.Sub(time.Unix(at, 0)).Abs() > 5*time.Minute {
		t.Errorf("webhook-timestamp is %s, callback came at %s", h.Get("webhook-timestamp"), c.At)
	}
}

// wantDue is the price in coins at the demo's fixed rates, rounded up to 1e-8, reckoned anew.
var wantDue = map[string]map[string]string{
	"KRW": {"BTC": "0.00011053", "ETH": "0.00221053"}, // 10500/95000000, 10500/4750000
	"USD": {"BTC": "0.00018015", "ETH": "0.00360292"}, // 12.34/68500, 12.34/3425
}

var needs = map[string]int{"BTC": 2, "ETH": 12}

func TestShopFromTheGuideAlone(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	var waits []time.Duration
	for _, currency := range []string{"KRW", "USD"} {
		for _, coin := range []string{"BTC", "ETH"} {
			for i := range 3 {
				waits = append(waits, d.sell(t, currency, coin, fmt.Sprintf("%s-%s-%d", currency, coin, i)))
			}
		}
	}
	slices.Sort(waits)
	t.Logf("callback after the confirming block: median %s, slowest %s of %d", waits[len(waits)/2], waits[len(waits)-1], len(waits))
	// The median, because a shared machine may stop for seconds whenever it likes.
	if median := waits[len(waits)/2]; median > 2*time.Second {
		t.Errorf("half of the callbacks came more than %s after the confirming block", median)
	}
	d.interrupt(t)
}

// sell goes the whole way with one invoice and answers how long after the confirming block the callback came.
func (d *demo) sell(t testing.TB, currency, coin, order string) time.Duration {
	t.Helper()
	price := map[string]string{"KRW": "10500", "USD": "12.34"}[currency]
	a := shell(t, fmt.Sprintf("curl -sSi %s/api/v1/invoice/create -F api_key=%s -F price_currency=%s -F price=%s -F order_id=%s -F 'order_name=주문 %s' -F callback_url=%s/callback",
		d.url, d.key, currency, price, order, order, d.ready["shop_url"]))
	if a.Code != "1" {
		t.Fatalf("create: %s", a)
	}
	checkCreated(t, d, a)
	id := a.text("invoice_id")
	want := map[string]string{
		"invoice_id": id, "order_id": order, "order_name": "주문 " + order, "price_currency": currency, "price": price, "status": "1",
		"request_refund_address": "", "coin_currency": "", "coin_amount": "", "sender_address": "", "deposit_address": "",
		"deposit_amount": "", "deposit_status": "0", "deposit_date": "0", "create_time": a.number("create_time"),
	}
	checkStatement(t, d.get(t, id).Data, want)

	choose(t, a.text("invoice_url"), coin)
	inv := d.get(t, id)
	due, address := wantDue[currency][coin], inv.text("deposit_address")
	maps.Copy(want, map[string]string{"coin_currency": coin, "coin_amount": due, "deposit_address": address, "deposit_amount": "0"})
	checkStatement(t, inv.Data, want)

	d.pay(coin, address, due)
	inv = d.await(t, id, "deposit_status", "2")
	maps.Copy(want, map[string]string{"deposit_amount": due, "deposit_status": "2", "sender_address": inv.text("sender_address")})
	checkStatement(t, inv.Data, want)
	d.mine(coin, needs[coin]-1)
	checkStatement(t, d.get(t, id).Data, want)
	if n := len(d.callbacks(order)); n != 0 {
		t.Errorf("%s: %d callbacks before it is confirmed", order, n)
	}
	d.mine(coin, 1)
	mined := time.Now()
	told := d.awaitCallbacks(order, 1)

	inv = d.await(t, id, "status", "2")
	maps.Copy(want, map[string]string{"status": "2", "deposit_status": "1", "sender_address": inv.text("sender_address")})
	delete(want, "deposit_date")
	checkStatement(t, inv.Data, want)
	if coin == "ETH" != regexp.MustCompile(`^0x[0-9a-fA-F]{40}$`).MatchString(inv.text("sender_address")) {
		t.Errorf("%s: sender_address is %q", coin, inv.text("sender_address"))
	}
	if at, err := strconv.ParseInt(inv.number("deposit_date"), 10, 64); err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Hour {
		t.Errorf("deposit_date: %s", inv)
	}
	m := message(t, told[0].Body)
	if m.Code != "1" || m.Message != "success" {
		t.Errorf("callback: %s", told[0].Body)
	}
	if got, want := fmt.Sprint(m.Data), fmt.Sprint(inv.Data); got != want {
		t.Errorf("callback and invoice/get differ:\n%s\n%s", got, want)
	}
	if kind := told[0].Headers["content-type"]; !strings.HasPrefix(kind, "application/json") {
		t.Errorf("callback is %s", kind)
	}
	checkSignature(t, d.ready["webhook_secret"], told[0])
	return max(told[0].At.Sub(mined), 0)
}

func TestSampleCallback(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	a := d.good(t, "invoice/create", d.order("sample"))
	id := a.text("invoice_id")
	before := d.get(t, id)
	sent := d.good(t, "test/callback", fields{{"invoice_id", id}})
	if keys := slices.Sorted(maps.Keys(sent.Data)); !slices.Equal(keys, []string{"callback_url", "response", "send"}) {
		t.Errorf("test/callback answers %q", keys)
	}
	send, _ := sent.Data["send"].(object)
	checkStatement(t, send, map[string]string{"status": "2", "invoice_id": id, "order_id": "sample"})
	told := d.awaitCallbacks("sample", 1)
	if !strings.HasPrefix(told[0].Headers["webhook-id"], "test_") {
		t.Errorf("webhook-id is %s", told[0].Headers["webhook-id"])
	}
	checkSignature(t, d.ready["webhook_secret"], told[0])
	if m := message(t, told[0].Body); fmt.Sprint(m.Data) != fmt.Sprint(send) {
		t.Errorf("the shop got\n%v\nsend is\n%v", m.Data, send)
	}
	if after := d.get(t, id); after.Raw != before.Raw {
		t.Errorf("test/callback changed the invoice:\n%s\n%s", before, after)
	}
	choose(t, a.text("invoice_url"), "ETH")
	send, _ = d.good(t, "test/callback", fields{{"invoice_id", id}}).Data["send"].(object)
	checkStatement(t, send, map[string]string{"status": "2", "deposit_status": "1", "coin_currency": "ETH", "coin_amount": "0.00360292",
		"deposit_amount": "0.00360292"})
	if address := d.get(t, id).text("deposit_address"); send["deposit_address"] != address {
		t.Errorf("sample names %v, the invoice %s", send["deposit_address"], address)
	}
	// Again, to another registered URL; and as often as one likes.
	other := d.ready["shop_url"] + "/callback?second=yes"
	if again := d.good(t, "test/callback", fields{{"invoice_id", id}, {"callback_url", other}}); again.text("callback_url") != other {
		t.Errorf("test/callback: %s", again)
	}
	if bad := d.call(t, "test/callback", fields{{"invoice_id", id}, {"callback_url", "http://elsewhere.example/x"}}); bad.Code != "4031" || bad.Status != 403 {
		t.Errorf("test/callback to a stranger: %s", bad)
	}
	// Reached but not ok: a failure that shows why.
	d.control("/shop", object{"status": 500, "body": "<b>oops</b>"}, nil)
	not := d.call(t, "test/callback", fields{{"invoice_id", id}})
	if not.Code == "1" || not.Status < 400 || not.text("response") != "<b>oops</b>" || not.text("callback_url") == "" || not.Data["send"] == nil {
		t.Errorf("test/callback to a broken shop: %s", not)
	}
	d.control("/shop", object{"status": 200, "body": strings.Repeat("x", 3000)}, nil)
	long := d.call(t, "test/callback", fields{{"invoice_id", id}})
	if n := len(long.text("response")); long.Code == "1" || n == 0 || n > 1024 {
		t.Errorf("test/callback with a long answer: %d bytes of response, code %s", n, long.Code)
	}
	d.interrupt(t)
}

func TestThreeEncodingsAreEqual(t *testing.T) {
	t.Parallel()
	d := shared(t)
	f := append(fields{{"api_key", d.key}}, d.order("주문 & = + % \" 1")...)
	var last answer
	for name, encode := range map[string]func() (string, string){"multipart": f.multipart, "form": f.form, "json": f.json} {
		kind, body := encode()
		a := d.send(t, request{path: "/api/v1/invoice/create", kind: kind, body: body})
		if a.Code != "1" {
			t.Errorf("%s: %s", name, a)
			continue
		}
		last = a
		if inv := d.get(t, a.text("invoice_id")); inv.text("order_id") != "주문 & = + % \" 1" || inv.number("price") != "12.34" {
			t.Errorf("%s: %s", name, inv)
		}
	}
	// A JSON number is read as it is written; the key may come in a header.
	for _, price := range []string{"12.34", "12.3", "10", "0.07", "12.340"[:5]} {
		kind, body := d.order("number").without("price").json()
		body = strings.Replace(body, "{", `{"price":`+price+`,"unknown":{"a":[1]},`, 1)
		a := d.send(t, request{path: "/api/v1/invoice/create", kind: kind, body: body, header: map[string]string{"Authorization": "Bearer " + d.key}})
		if a.Code != "1" {
			t.Errorf("JSON number %s: %s", price, a)
			continue
		}
		if inv := d.get(t, a.text("invoice_id")); inv.number("price") != price {
			t.Errorf("price %s became %s", price, inv.number("price"))
		}
	}
	kind, body := fields{{"api_key", d.key}, {"invoice_id", last.text("invoice_id")}}.json()
	if a := d.send(t, request{path: "/api/v1/invoice/get", kind: kind, body: body}); a.Code != "1" {
		t.Errorf("get in JSON: %s", a)
	}
	kind, body = fields{{"api_key", d.key}, {"invoice_id", last.text("invoice_id")}}.form()
	if a := d.send(t, request{path: "/api/v1/test/callback", kind: kind, body: body}); a.Code != "1" {
		t.Errorf("test/callback as a form: %s", a)
	}
}

// Prices as they were meant, defaults, and spellings that the contract takes.
func TestSpellings(t *testing.T) {
	t.Parallel()
	d := shared(t)
	long := strings.Repeat("가", 128)
	for i, c := range []struct {
		set  [2]string
		want map[string]string
	}{
		{[2]string{"price", "12.30"}, map[string]string{"price": "12.3"}},
		{[2]string{"price", "0.01"}, map[string]string{"price": "0.01"}},
		{[2]string{"price", "1000000"}, map[string]string{"price": "1000000"}},
		{[2]string{"order_id", long}, map[string]string{"order_id": long, "order_name": long}},
		{[2]string{"order_name", strings.Repeat("n", 255)}, map[string]string{"order_name": strings.Repeat("n", 255)}},
		{[2]string{"language", "ko-KR"}, nil},
		{[2]string{"language", "ko"}, nil},
		{[2]string{"language", "kr"}, nil},
		{[2]string{"open_type", "popup"}, nil},
		{[2]string{"open_type", "layer"}, nil},
		{[2]string{"redirect_url", d.ready["shop_url"] + "/thanks?a=b&c=%20d"}, nil},
		{[2]string{"refund_address", "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076"}, map[string]string{"request_refund_address": "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076"}},
		{[2]string{"refund_address", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"}, map[string]string{"request_refund_address": "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"}},
	} {
		a := d.call(t, "invoice/create", d.order(fmt.Sprint("spelling", i)).with(c.set[0], c.set[1]))
		if a.Code == "4290" {
			time.Sleep(time.Second)
			a = d.call(t, "invoice/create", d.order(fmt.Sprint("spelling", i)).with(c.set[0], c.set[1]))
		}
		if a.Code != "1" {
			t.Errorf("%q: %s", c.set, a)
			continue
		}
		inv := d.get(t, a.text("invoice_id"))
		for name, value := range c.want {
			if fmt.Sprint(inv.Data[name]) != value {
				t.Errorf("%q: %s is %v, want %s", c.set, name, inv.Data[name], value)
			}
		}
	}
	for _, price := range []string{"10500", "10500.0", "10500.00", "1", "1000000000"} {
		a := d.good(t, "invoice/create", d.order("won").with("price_currency", "KRW").with("price", price))
		if got := d.get(t, a.text("invoice_id")).number("price"); got != strings.Split(price, ".")[0] {
			t.Errorf("KRW %s became %s", price, got)
		}
	}
}

func TestHundredEqualCreates(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	f := append(fields{{"api_key", d.key}}, d.order("once")...)
	kind, body := f.multipart()
	r := request{path: "/api/v1/invoice/create", kind: kind, body: body, header: map[string]string{"Idempotency-Key": "order-once"}}
	patient := func(r request) answer {
		a := d.send(t, r)
		for a.Code == "4290" || a.Code == "5033" {
			time.Sleep(time.Second)
			a = d.send(t, r)
		}
		return a
	}
	answers := make(chan answer, 100)
	for range 100 {
		go func() { answers <- patient(r) }()
	}
	first := <-answers
	if first.Code != "1" {
		t.Fatalf("create: %s", first)
	}
	for range 99 {
		if a := <-answers; a.Raw != first.Raw {
			t.Errorf("answers differ:\n%s\n%s", first, a)
		}
	}
	if n := d.count(t, "invoice"); n != 1 {
		t.Errorf("100 equal creates made %d invoices", n)
	}
	// Other encoding, same parameters: the same invoice. Other parameters: refused, with no new invoice.
	r.kind, r.body = f.json()
	if a := patient(r); a.Raw != first.Raw {
		t.Errorf("the same in JSON:\n%s\n%s", first, a)
	}
	r.kind, r.body = f.with("price", "12.35").multipart()
	if a := patient(r); a.Code != "4091" || a.Status != 409 {
		t.Errorf("same key, other price: %s", a)
	}
	r.header["Idempotency-Key"] = "another"
	if a := patient(r); a.Code != "1" || a.Raw == first.Raw {
		t.Errorf("another key: %s", a)
	}
	if n := d.count(t, "invoice"); n != 2 {
		t.Errorf("%d invoices, want 2", n)
	}
	// The key outlives a restart.
	d.interrupt(t)
	d.start()
	r.kind, r.body = f.multipart()
	r.header["Idempotency-Key"] = "order-once"
	if a := patient(r); a.Raw != first.Raw {
		t.Errorf("after a restart:\n%s\n%s", first, a)
	}
	d.interrupt(t)
}
