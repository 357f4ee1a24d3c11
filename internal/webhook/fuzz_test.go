package webhook

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"net/url"
	"testing"

	"github.com/pipe-pg/pipe/internal/payment"
)

// No answer makes the judgement fail, and delivered is only what the contract says.
func FuzzJudgement(f *testing.F) {
	for _, body := range []string{"ok", "\ufeff OK\r\n", `"ok"`, "ok<br>", "<html>", "", "okay", "\xff\xfe", "o\u212a"} {
		f.Add(200, []byte(body))
		f.Add(500, []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		v := Judgement(status, body)
		if _, known := explanations[v]; !known {
			t.Errorf("%q is no verdict", v)
		}
		bare := bytes.ReplaceAll(body, []byte("\ufeff"), nil)
		is := status >= 200 && status <= 299 && len(body) <= MaxReply && bytes.EqualFold(bytes.TrimSpace(bare), []byte("ok"))
		if v == Delivered && !is {
			t.Errorf("%d %q was delivered", status, body)
		}
	})
}

// What the check lets pass is a URL that net/url, and so the transport, reads in the same way.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{"https://shop.test/cb?x=1", "https://127.0.0.1/", "https://[::1]/", "https://0x7f.1/", "http://u@h/", "https://h\\@x/",
		"https://１.1.1.1/", "https://[::ffff:1.2.3.4]:443/", "https://a:99999/", "https://%31.1.1.1/", "https://[fe80::1%25lo]/", "https://h:/"} {
		f.Add(text)
	}
	s, err := New(Options{AllowHTTP: true, HostAddrs: noAddrs})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s.Check(text) != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
			t.Fatalf("%q passed as %v, %v", text, u, err)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && Judge(addr) != nil {
			t.Errorf("%q passed: %v", text, Judge(addr))
		}
	})
}

func FuzzRender(f *testing.F) {
	f.Add("price", "12.34", true)
	f.Add("order_name", "주문 <b>\"\u2028\x00\xff", false)
	f.Add("data][x", "1e5", true)
	f.Fuzz(func(t *testing.T, name, text string, number bool) {
		field := payment.Field{Name: name, Text: text}
		if number {
			field.Kind = payment.NumberField
		}
		if _, body := Render(1, text, []payment.Field{field}, payment.EncodingJSON); !json.Valid(body) {
			t.Errorf("not JSON: %q", body)
		}
		_, body := Render(1, text, []payment.Field{field}, payment.EncodingForm)
		values, err := url.ParseQuery(string(body))
		if err != nil || values.Get("message") != text || values.Get("data["+name+"]") != text {
			t.Errorf("%q reads as %v, %v", body, values, err)
		}
	})
}
