package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	official "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/pipe-pg/pipe/client"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webhook"
)

// server answers every call alike and keeps the last request.
func server(t *testing.T, status int, answer string) (*client.Client, *http.Request, *string) {
	t.Helper()
	last, body := new(http.Request), new(string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*last, *body = *r, string(text)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	return &client.Client{URL: s.URL + "/", Key: "the key"}, last, body
}

const sample = `{"invoice_id":"I","order_id":"O","order_name":"N","price_currency":"KRW","price":10500.0,"request_refund_address":"","status":2,` +
	`"create_time":1,"create_date":1,"update_time":2,"update_date":2,"coin_currency":"ETH","coin_amount":"0.06673","sender_address":"",` +
	`"deposit_address":"0xe7","deposit_amount":"0.06673","deposit_status":1,"deposit_date":3}`

const refundSample = `{"refund_id":"F","invoice_id":"I","order_id":"O","order_name":"N","price_currency":"KRW","price":10500,"coin_currency":"ETH",` +
	`"coin_amount":"0.06673","deposit_address":"0x13","refund_amount":"0.0667258","refund_network_fee":"0.0000042","transaction_address":"e9b8",` +
	`"refund_address":"0x71","status":2,"fail_reason":"","create_time":1,"create_date":1,"update_time":2,"update_date":2,"transaction_date":3,"complete_date":0}`

func TestCalls(t *testing.T) {
	ctx := context.Background()
	c, last, body := server(t, 200, `{"code":1,"message":"success","data":{"invoice_id":"I","invoice_url":"U","create_time":5}}`)
	made, err := c.Create(ctx, client.Create{PriceCurrency: "USD", Price: "12.30", OrderID: "7", CallbackURL: "https://shop.example/", IdempotencyKey: "k"})
	if err != nil || made != (client.Created{InvoiceID: "I", InvoiceURL: "U", CreateTime: 5}) {
		t.Fatal(made, err)
	}
	if want := `{"price_currency":"USD","price":"12.30","order_id":"7","callback_url":"https://shop.example/"}`; *body != want {
		t.Errorf("sent %s", *body)
	}
	if last.URL.Path != "/api/v1/invoice/create" || last.Header.Get("Authorization") != "Bearer the key" || last.Header.Get("Idempotency-Key") != "k" {
		t.Errorf("sent %v", last.Header)
	}

	c, last, body = server(t, 200, `{"code":1,"message":"success","data":`+sample+`}`)
	inv, err := c.Get(ctx, "I")
	if err != nil || inv.Price != "10500.0" || inv.Status != client.Paid || inv.CoinAmount != "0.06673" || inv.DepositDate != 3 {
		t.Fatal(inv, err)
	}
	if *body != `{"invoice_id":"I"}` || last.URL.Path != "/api/v1/invoice/get" {
		t.Errorf("sent %s", *body)
	}

	c, last, body = server(t, 200, `{"code":1,"message":"success","data":{"refund_id":"R","invoice_id":"I","create_time":5}}`)
	asked, err := c.Refund(ctx, client.AskRefund{InvoiceID: "I", CallbackURL: "https://shop.example/refunded", IdempotencyKey: "k"})
	if err != nil || asked != (client.Asked{RefundID: "R", InvoiceID: "I", CreateTime: 5}) {
		t.Fatal(asked, err)
	}
	if *body != `{"invoice_id":"I","callback_url":"https://shop.example/refunded"}` || last.URL.Path != "/api/v1/invoice/refund" || last.Header.Get("Idempotency-Key") != "k" {
		t.Errorf("sent %s %v", *body, last.Header)
	}

	c, _, _ = server(t, 422, `{"code":4220,"message":"no ok","data":{"callback_url":"C","send":`+sample+`,"response":"<html>","request_id":"R"}}`)
	tried, err := c.TestCallback(ctx, "I", "")
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != 4220 || refused.RequestID != "R" || tried.Response != "<html>" || tried.Send.OrderID != "O" {
		t.Fatal(tried, err)
	}
}

func TestRefusals(t *testing.T) {
	c, _, _ := server(t, 429, `{"code":4290,"message":"slowly","data":{"request_id":"R","field":"price"}}`)
	_, err := c.Get(context.Background(), "I")
	var e *client.Error
	if !errors.As(err, &e) || *e != (client.Error{Code: 4290, Message: "slowly", RequestID: "R", Field: "price", Status: 429, RetryAfter: 7 * time.Second}) {
		t.Errorf("%#v", err)
	}
	c, _, _ = server(t, 409, `{"code":4090,"message":"asked before","data":{"request_id":"R",`+refundSample[1:]+`}`)
	if asked, err := c.Refund(context.Background(), client.AskRefund{InvoiceID: "I"}); !errors.As(err, &e) || asked != (client.Asked{}) ||
		e.Code != 4090 || e.RequestID != "R" || e.Refund.RefundID != "F" || e.Refund.Status != client.RefundInProgress {
		t.Errorf("%+v %#v", asked, err)
	}
	c, _, _ = server(t, 409, `{"code":4090,"message":"not paid","data":{"request_id":"R"}}`)
	if _, err := c.Refund(context.Background(), client.AskRefund{InvoiceID: "I"}); !errors.As(err, &e) || e.Code != 4090 || e.Refund != (client.Refund{}) {
		t.Errorf("%#v", err)
	}
	for _, answer := range []string{"", "<html>", "null", "{}", `{"code":1}`, `{"code":1,"data":[]}`, strings.Repeat(" ", client.MaxAnswer) + "{}"} {
		c, _, _ := server(t, 200, answer)
		if _, err := c.Get(context.Background(), "I"); err == nil || errors.As(err, &e) {
			t.Errorf("%.20q was taken: %v", answer, err)
		}
	}
	c, _, _ = server(t, 307, "")
	if _, err := c.Get(context.Background(), "I"); err == nil || strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("followed a redirect: %v", err)
	}
}

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	other  = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)

// signed are the headers that the official library makes for a body.
func signed(t *testing.T, secret, id string, at time.Time, body string) http.Header {
	t.Helper()
	w, err := official.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	text, err := w.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {fmt.Sprint(at.Unix())}, "Webhook-Signature": {text}}
}

func TestVerify(t *testing.T) {
	now := time.Unix(1_552_893_129, 0)
	body := `{"code":1,"message":"success","data":` + sample + `}`
	good := func() http.Header { return signed(t, secret, "msg", now, body) }
	for _, c := range []struct {
		name    string
		change  func(h http.Header)
		body    string
		now     time.Time
		secrets []string
		ok      bool
	}{
		{"good", func(http.Header) {}, body, now, []string{secret}, true},
		{"rotated", func(http.Header) {}, body, now, []string{other, secret}, true},
		{"two signatures", func(h http.Header) {
			h.Set("webhook-signature", "v1,AAAA v2,x "+h.Get("webhook-signature"))
		}, body, now, []string{secret}, true},
		{"5 minutes old", func(http.Header) {}, body, now.Add(5 * time.Minute), []string{secret}, true},
		{"older", func(http.Header) {}, body, now.Add(5*time.Minute + time.Second), []string{secret}, false},
		{"from the future", func(http.Header) {}, body, now.Add(-6 * time.Minute), []string{secret}, false},
		{"another secret", func(http.Header) {}, body, now, []string{other}, false},
		{"no secret", func(http.Header) {}, body, now, nil, false},
		{"another body", func(http.Header) {}, strings.Replace(body, "10500", "10501", 1), now, []string{secret}, false},
		{"another id", func(h http.Header) { h.Set("webhook-id", "msg2") }, body, now, []string{secret}, false},
		{"no id", func(h http.Header) { h.Del("webhook-id") }, body, now, []string{secret}, false},
		{"another time", func(h http.Header) { h.Set("webhook-timestamp", fmt.Sprint(now.Unix()+1)) }, body, now, []string{secret}, false},
		{"no time", func(h http.Header) { h.Del("webhook-timestamp") }, body, now, []string{secret}, false},
		{"no signature", func(h http.Header) { h.Del("webhook-signature") }, body, now, []string{secret}, false},
		{"another version", func(h http.Header) {
			h.Set("webhook-signature", "v1a"+strings.TrimPrefix(h.Get("webhook-signature"), "v1"))
		}, body, now, []string{secret}, false},
		{"moved dots", func(h http.Header) {
			h.Set("webhook-id", "msg."+h.Get("webhook-timestamp"))
		}, body, now, []string{secret}, false},
		{"too long", func(http.Header) {}, strings.Repeat(" ", client.MaxCallback) + body, now, []string{secret}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := good()
			c.change(h)
			cb, err := client.Verify(h, []byte(c.body), c.now, c.secrets...)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, client.ErrSignature) {
				t.Fatalf("%v", err)
			}
			if c.ok && (cb.Invoice.OrderID != "O" || cb.Code != 1 || cb.ID != "msg" || cb.Test || cb.Reversed) {
				t.Errorf("%+v", cb)
			}
			if !c.ok && cb.Invoice != (client.Invoice{}) {
				t.Error("what is not believed is handed out")
			}
		})
	}
	if _, err := client.Verify(good(), []byte(body), now, "whsec_short"); err == nil || errors.Is(err, client.ErrSignature) {
		t.Errorf("a bad secret: %v", err)
	}
	reversed := strings.Replace(body, `"code":1`, `"code":4092`, 1)
	cb, err := client.Verify(signed(t, secret, "test_x", now, reversed), []byte(reversed), now, secret)
	if err != nil || !cb.Reversed || !cb.Test {
		t.Error(cb, err)
	}
}

func TestCheck(t *testing.T) {
	inv := client.Invoice{OrderID: "7", PriceCurrency: "USD", Price: "12.3", Status: client.Paid}
	for _, c := range []struct {
		order, currency, price string
		status                 int
		ok                     bool
	}{
		{"7", "USD", "12.30", client.Paid, true},
		{"7", "USD", "12.3", client.Paid, true},
		{"8", "USD", "12.3", client.Paid, false},
		{"7", "KRW", "12.3", client.Paid, false},
		{"7", "USD", "12.31", client.Paid, false},
		{"7", "USD", "1e1", client.Paid, false},
		{"7", "USD", "123/10", client.Paid, false},
		{"7", "USD", "", client.Paid, false},
		{"7", "USD", "12.3", client.Waiting, false},
	} {
		if err := inv.Check(c.order, c.currency, c.price, c.status); (err == nil) != c.ok || err != nil && !errors.Is(err, client.ErrMismatch) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// A refund's callback as PIPE renders it and the official library signs it is read as a refund, and never as an invoice, whose
// status 2 means that goods may be shipped.
func TestRefundCallback(t *testing.T) {
	now := time.Unix(1_552_893_129, 0)
	f := payment.Facts{Invoice: payment.Invoice{ID: "I", OrderID: "7", OrderName: "양말 <2>", Price: money.Of(money.KRW, 10500)}}
	f.Quotes = []payment.Quote{{ID: "Q", Coin: money.ETH, Network: "ethereum/1", Address: "0x13", Due: money.Of(money.ETH, 66_730_000_000_000_000)}}
	p := payment.Payout{ID: "F", InvoiceID: "I", Network: "ethereum/1", To: "0x71", State: payment.PayoutPaying, TxID: "0xe9b8", CreatedAt: now, UpdatedAt: now, SentAt: now,
		Net: money.Of(money.ETH, 66_725_800_000_000_000), Fee: money.Of(money.ETH, 4_200_000_000_000)}
	failed := payment.Payout{ID: "F", InvoiceID: "I", Network: "ethereum/1", State: payment.PayoutFailed, FailReason: "too small", CreatedAt: now, UpdatedAt: now, DoneAt: now}
	want := client.Refund{RefundID: "F", InvoiceID: "I", OrderID: "7", OrderName: "양말 <2>", PriceCurrency: "KRW", Price: "10500", CoinCurrency: "ETH", CoinAmount: "0.06673",
		DepositAddress: "0x13", CreateTime: now.Unix(), UpdateTime: now.Unix()}
	onItsWay, fails := want, want
	onItsWay.RefundAmount, onItsWay.RefundNetworkFee, onItsWay.TransactionAddress, onItsWay.RefundAddress = "0.0667258", "0.0000042", "e9b8", "0x71"
	onItsWay.Status, onItsWay.TransactionDate = client.RefundInProgress, now.Unix()
	fails.Status, fails.FailReason = client.RefundFailed, "too small"
	for _, c := range []struct {
		payout payment.Payout
		want   client.Refund
	}{{p, onItsWay}, {failed, fails}} {
		_, body := webhook.Render(1, "success", payment.RefundStatement(f, c.payout), payment.EncodingJSON)
		h := signed(t, secret, "msg", now, string(body))
		cb, err := client.Verify(h, body, now, secret)
		if err != nil || cb.Refund != c.want || cb.Invoice != (client.Invoice{}) || cb.Code != 1 {
			t.Errorf("%+v %v\nwant %+v", cb, err, c.want)
		}
		if err := cb.Invoice.Check("7", "KRW", "10500", client.Paid); !errors.Is(err, client.ErrMismatch) {
			t.Errorf("a refund passes for a payment: %v", err)
		}
		body[len(body)-3]++
		if cb, err := client.Verify(h, body, now, secret); !errors.Is(err, client.ErrSignature) || cb.Refund != (client.Refund{}) {
			t.Errorf("another body: %+v %v", cb, err)
		}
	}
	for _, body := range []string{`{"code":1,"message":"success"}`, `{"code":1,"message":"success","data":[]}`, `{"code":1,"message":"success","data":{"refund_id":7}}`, `[]`} {
		if cb, err := client.Verify(signed(t, secret, "msg", now, body), []byte(body), now, secret); err == nil || cb != (client.Callback{ID: "msg"}) {
			t.Errorf("%s: %+v %v", body, cb, err)
		}
	}
}

// The client knows every field of the statements that the API and callbacks print; the second spellings of times are left
// out on purpose.
func TestFields(t *testing.T) {
	for _, c := range []struct {
		of     reflect.Type
		fields []payment.Field
		sample string
	}{
		{reflect.TypeFor[client.Invoice](), payment.Statement(payment.Facts{}), sample},
		{reflect.TypeFor[client.Refund](), payment.RefundStatement(payment.Facts{}, payment.Payout{}), refundSample},
	} {
		known := map[string]bool{"create_date": true, "update_date": true}
		for i := range c.of.NumField() {
			known[c.of.Field(i).Tag.Get("json")] = true
		}
		for _, f := range c.fields {
			if !known[f.Name] {
				t.Errorf("%s is not read", f.Name)
			}
		}
		if len(known) != len(c.fields) {
			t.Errorf("%d known, %d printed", len(known), len(c.fields))
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(c.sample), &v); err != nil || len(v) != len(c.fields) {
			t.Errorf("the sample has %d fields: %v", len(v), err)
		}
	}
}

// A client for one file of a shop stays small.
func TestSize(t *testing.T) {
	lines := 0
	for _, name := range []string{"client.go", "callback.go", "refund.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(text), "\n")
	}
	if lines > 400 {
		t.Errorf("%d lines", lines)
	}
}
