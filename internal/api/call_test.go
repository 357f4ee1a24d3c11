package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/payment"
)

// guide are the curl samples of the merchants' guide, as printed there: testdata/guide.txt.
func guide(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/guide.txt")
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]string{}
	for _, s := range strings.Split(string(text), "\n\n") {
		path := regexp.MustCompile(`/api/v1/[a-z]+/[a-z]+`).FindString(s)
		samples[path] = s
	}
	return samples
}

// runCurl runs a sample with a shell, as a developer would paste it.
func runCurl(t *testing.T, r *rig, sample string) reply {
	t.Helper()
	sample = strings.ReplaceAll(sample, "https://pay.pipeblockchain.com", r.srv.URL)
	sample = strings.Replace(sample, "curl ", `curl -sS -D "$HEAD" `, 1)
	head := t.TempDir() + "/head"
	cmd := exec.Command("sh", "-c", sample)
	cmd.Env = append(os.Environ(), "HEAD="+head)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("curl: %v %s\n%s", err, errs.String(), sample)
	}
	text, err := os.ReadFile(head)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\r\n")
	var status int
	if _, err := fmt.Sscanf(lines[0], "HTTP/1.1 %d", &status); err != nil {
		t.Fatalf("status line %q: %v", lines[0], err)
	}
	h := http.Header{}
	for _, l := range lines[1:] {
		if k, v, ok := strings.Cut(l, ": "); ok {
			h.Add(k, v)
		}
	}
	return decode(t, status, h, out.Bytes())
}

func TestGuideSamples(t *testing.T) {
	r := newRig(t, rigOptions{})
	samples := guide(t)
	bare := func(s string) string { return s }
	for _, c := range []struct {
		name  string
		value func(string) string
		body  func(string) string
	}{
		{"bare", bare, bare},
		{"quoted", func(s string) string { return `"` + s + `"` }, bare},
		{"with white space", bare, func(s string) string {
			return strings.NewReplacer(`,"`, ",\n\t\t  \"", "=>", " => ", "{", "{ \r\n", "}", "\n\t}\n").Replace(s)
		}},
		{"with lines continued inside", bare, func(s string) string { return strings.ReplaceAll(s, `,"`, ", \\\n  \"") }},
		{"in double quotes of the shell", bare, func(s string) string {
			from, to := strings.Index(s, "'{"), strings.Index(s, "}'")
			return s[:from] + `"` + strings.ReplaceAll(s[from+1:to+1], `"`, `\"`) + `"` + s[to+2:]
		}},
		{"single quotes inside", func(s string) string { return `'\''` + s + `'\''` }, func(s string) string {
			from, to := strings.Index(s, "'{"), strings.Index(s, "}'")
			return s[:from+1] + strings.ReplaceAll(s[from+1:to], `"`, `'\''`) + s[to:]
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fill := func(path, invoice string) string {
				s := c.body(samples[path])
				s = strings.ReplaceAll(s, "944B4B9C7367CBA6B0AC751E9C9AFB7663DDB73E6D32210D58885464E61575B5", invoice)
				s = strings.ReplaceAll(s, "YOUR-API-KEY", c.value(r.app.Key))
				return strings.ReplaceAll(s, "YOUR-PAYMENT-CALLBACK-URL", c.value(r.shop.URL+"/cb?x=1,2}&order_id=7"))
			}
			made := runCurl(t, r, fill(createPath, ""))
			made.want(t, 1, "")
			id, _ := made.data["invoice_id"].(string)
			if _, ok := payment.ParseID(id); !ok || made.data["invoice_url"] != "https://pay.example/invoice-"+id {
				t.Fatalf("create answered %s", made.raw)
			}
			got := runCurl(t, r, fill(getPath, id))
			got.want(t, 1, "")
			for name, want := range map[string]any{
				"invoice_id": id, "order_id": "test_order_id", "order_name": "test_order_name", "price": json.Number("12.34"),
				"price_currency": "USD", "request_refund_address": "",
			} {
				if got.data[name] != want {
					t.Errorf("%s is %v, want %v", name, got.data[name], want)
				}
			}
			tried := runCurl(t, r, fill(testPath, id))
			tried.want(t, 1, "")
			r.pay(payment.ID(id), nil)
			asked := runCurl(t, r, strings.ReplaceAll(fill(refundPath, id), "YOUR-REFUND-CALLBACK-URL", c.value(r.shop.URL+"/refund?x=1,2}&order_id=7")))
			asked.want(t, 1, "")
			refund := r.refund(payment.ID(id))
			if asked.data["refund_id"] != string(refund.ID) || asked.data["invoice_id"] != id || refund.CallbackURL != r.shop.URL+"/refund?x=1,2}&order_id=7" {
				t.Errorf("refund answered %s for %+v", asked.raw, refund)
			}
			if tried.data["response"] != "ok" || tried.data["callback_url"] != r.shop.URL+"/cb?x=1,2}&order_id=7" {
				t.Errorf("test/callback answered %s", tried.raw)
			}
		})
	}
}

func TestUnknownCalls(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, path := range []string{"/api/v1/invoice/refund/", "/api/v1/invoice/create/", "/api/v1//invoice/create", "/api/v2/invoice/create",
		"/", "/api/v1/invoice/../invoice/create", "/api/v1/invoice/%63reate/x", "/API/v1/invoice/create"} {
		r.post(path, urlencoded, r.good().Encode()).want(t, 4041, "")
	}
	if n := r.invoices(); n != 0 {
		t.Errorf("%d invoices stored", n)
	}
}

func TestMethods(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, path := range []string{createPath, getPath, refundPath, testPath, "/openapi.json"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
			req, err := http.NewRequest(method, r.srv.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := r.srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: CORS is offered", method, path)
			}
			reads := method == "GET" || method == "HEAD"
			switch {
			case path == "/openapi.json" && reads:
				if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s %s: %d", method, path, res.StatusCode)
				}
			case method == "HEAD":
				if res.StatusCode != 405 || res.Header.Get("Allow") == "" {
					t.Errorf("HEAD %s: %d", path, res.StatusCode)
				}
			case method == "OPTIONS" && path != "/openapi.json":
				if res.StatusCode != 204 || res.Header.Get("Allow") != "OPTIONS, POST" {
					t.Errorf("OPTIONS %s: %d %q", path, res.StatusCode, res.Header.Get("Allow"))
				}
			default:
				readReply(t, res).want(t, 4050, "")
				if res.Header.Get("Allow") == "" {
					t.Errorf("%s %s: no Allow", method, path)
				}
				continue
			}
			if err := res.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// The answers field by field, with their types and in the guide's order.
func TestAnswers(t *testing.T) {
	r := newRig(t, rigOptions{})
	eth := "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076"
	made := r.post(createPath, urlencoded, func() string {
		v := r.good()
		v.Set("order_name", "<b>주문</b> & \"더\"")
		v.Set("price", "10.50")
		v.Set("refund_address", eth)
		return v.Encode()
	}())
	made.want(t, 1, "")
	id, _ := made.data["invoice_id"].(string)
	at := fmt.Sprint(made.data["create_time"])
	wantRaw(t, "create", made.raw, `{"code":1,"message":"success","data":{"invoice_id":"`+id+`","invoice_url":"https://pay.example/invoice-`+id+
		`","create_time":`+at+`}}`)
	get := func() []byte {
		a := r.post(getPath, urlencoded, "api_key="+r.app.Key+"&invoice_id="+strings.ToLower(id))
		a.want(t, 1, "")
		return a.raw
	}
	head := `"invoice_id":"` + id + `","order_id":"test_order_id","order_name":"<b>주문</b> & \"더\"","price_currency":"USD","price":10.5,` +
		`"request_refund_address":"` + eth + `","status":`
	times := `,"create_time":` + at + `,"create_date":` + at + `,"update_time":U,"update_date":U`
	wantRaw(t, "get", get(), `{"code":1,"message":"success","data":{`+head+`1`+strings.ReplaceAll(times, "U", at)+
		`,"coin_currency":"","coin_amount":"","sender_address":"","deposit_address":"","deposit_amount":"","deposit_status":0,"deposit_date":0}}`)

	r.choose(payment.ID(id), "0xe7EE045db39A13ad577E0E50F2A5255eB5e031dD")
	chosen := regexp.MustCompile(`"update_(time|date)":\d+`).ReplaceAllString(string(get()), `"update_$1":U`)
	wantRaw(t, "get with a coin", []byte(chosen), `{"code":1,"message":"success","data":{`+head+`1`+times+
		`,"coin_currency":"ETH","coin_amount":"0.00525","sender_address":"","deposit_address":"0xe7EE045db39A13ad577E0E50F2A5255eB5e031dD",`+
		`"deposit_amount":"0","deposit_status":0,"deposit_date":0}}`)

	tried := r.post(testPath, urlencoded, "api_key="+r.app.Key+"&invoice_id="+id)
	tried.want(t, 1, "")
	sample := regexp.MustCompile(`"(update_time|update_date|deposit_date)":\d+`).ReplaceAllString(string(tried.raw), `"$1":U`)
	sent := `{` + head + `2` + times + `,"coin_currency":"ETH","coin_amount":"0.00525","sender_address":"",` +
		`"deposit_address":"0xe7EE045db39A13ad577E0E50F2A5255eB5e031dD","deposit_amount":"0.00525","deposit_status":1,"deposit_date":U}`
	wantRaw(t, "test", []byte(sample), `{"code":1,"message":"success","data":{"callback_url":"`+r.shop.URL+`/callback","send":`+sent+`,"response":"ok"}}`)
	if got := string(r.shop.bodies[0]); !strings.Contains(string(tried.raw), strings.TrimSuffix(strings.TrimPrefix(got, `{"code":1,"message":"success","data":`), "}")) {
		t.Errorf("the shop got %s\nbut the caller was told %s", got, tried.raw)
	}
	if h := r.shop.got[0].Header; !strings.HasPrefix(h.Get("webhook-id"), "test_") {
		t.Errorf("webhook-id is %q", h.Get("webhook-id"))
	}
	if again := regexp.MustCompile(`"update_(time|date)":\d+`).ReplaceAllString(string(get()), `"update_$1":U`); again != chosen {
		t.Errorf("test/callback changed the invoice: %s", again)
	}
}

func wantRaw(t *testing.T, name string, got []byte, want string) {
	t.Helper()
	if string(got) != want {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}
