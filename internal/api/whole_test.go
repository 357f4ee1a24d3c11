package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/client"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// The public client against the real API and a callback as a shop really gets it.
func TestPublicClient(t *testing.T) {
	r := newRig(t, rigOptions{})
	ctx := context.Background()
	c := client.Client{URL: r.srv.URL, Key: r.app.Key}
	p := client.Create{PriceCurrency: "USD", Price: "12.30", OrderID: "7", OrderName: "양말", CallbackURL: r.shop.URL + "/cb",
		OpenType: "popup", Language: "kr", IdempotencyKey: "7"}
	made, err := c.Create(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Create(ctx, p); err != nil || again != made {
		t.Errorf("again: %v %v", again, err)
	}
	inv, err := c.Get(ctx, made.InvoiceID)
	if err != nil || inv.CreateTime != made.CreateTime || inv.OrderName != "양말" {
		t.Fatal(inv, err)
	}
	if err := inv.Check("7", "USD", "12.3", client.Waiting); err != nil {
		t.Error(err)
	}
	tried, err := c.TestCallback(ctx, made.InvoiceID, "")
	if err != nil || tried.Response != "ok" || tried.CallbackURL != p.CallbackURL {
		t.Fatal(tried, err)
	}
	cb, err := client.Verify(r.shop.got[0].Header, r.shop.bodies[0], time.Now(), r.app.Secret)
	if err != nil || !cb.Test || cb.Invoice != tried.Send {
		t.Fatalf("%+v %v", cb, err)
	}
	if err := cb.Invoice.Check("7", "USD", "12.3", client.Paid); err != nil {
		t.Error(err)
	}
	var refused *client.Error
	ask := client.AskRefund{InvoiceID: made.InvoiceID, CallbackURL: r.shop.URL + "/refunded", IdempotencyKey: "refund 7"}
	if _, err := c.Refund(ctx, ask); !errors.As(err, &refused) || refused.Code != 4090 || refused.Refund != (client.Refund{}) {
		t.Errorf("not paid: %#v", err)
	}
	r.pay(payment.ID(made.InvoiceID), nil)
	asked, err := c.Refund(ctx, ask)
	if err != nil || asked.InvoiceID != made.InvoiceID || asked.RefundID != string(r.refund(payment.ID(made.InvoiceID)).ID) {
		t.Fatal(asked, err)
	}
	if again, err := c.Refund(ctx, ask); err != nil || again != asked {
		t.Errorf("again: %v %v", again, err)
	}
	ask.IdempotencyKey = ""
	if _, err := c.Refund(ctx, ask); !errors.As(err, &refused) || refused.Code != 4090 || refused.Refund.RefundID != asked.RefundID ||
		refused.Refund.Status != client.RefundRequested || refused.Refund.OrderName != "양말" || refused.RequestID == "" {
		t.Errorf("%#v", err)
	}
	p.Price = "12.31"
	if _, err := c.Create(ctx, p); !errors.As(err, &refused) || refused.Code != 4091 || refused.Field != "Idempotency-Key" || refused.RequestID == "" {
		t.Errorf("%#v", err)
	}
}

// What goes wrong on our side says nothing of why, but the log does, under the same request id.
func TestInternalErrors(t *testing.T) {
	r := newRig(t, rigOptions{})
	id := r.create()
	body := "api_key=" + r.app.Key + "&invoice_id=" + id
	secret := errors.New("disk at /var/secret is on fire")
	r.desk.Store = brokenStore{r.store, secret}
	var ids []string
	for _, path := range []string{createPath, getPath, refundPath, testPath} {
		a := r.post(path, urlencoded, body)
		a.want(t, 5000, "")
		if strings.Contains(string(a.raw), "secret") {
			t.Errorf("told: %s", a.raw)
		}
		ids = append(ids, a.header.Get("X-Request-Id"))
	}
	r.desk.Store = brokenStore{r.store, payment.ErrConflict}
	r.post(getPath, urlencoded, body).want(t, 5033, "")
	r.desk.Store = brokenStore{r.store, nil} // panics
	a := r.post(getPath, urlencoded, body, "Accept-Language", "ko")
	a.want(t, 5000, "")
	if !hasHangul(a.msg) {
		t.Errorf("%s", a.raw)
	}
	log := r.logs()
	for _, id := range ids {
		if !strings.Contains(log, "request_id="+id) {
			t.Errorf("the log has no line of request %s", id)
		}
	}
	if !strings.Contains(log, "on fire") || !strings.Contains(log, "panicked") {
		t.Error("the log does not tell why")
	}
}

// brokenStore fails every transaction, or panics without an error.
type brokenStore struct {
	engine.Store
	err error
}

func (b brokenStore) View(context.Context, func(engine.Tx) error) error   { return b.fail() }
func (b brokenStore) Update(context.Context, func(engine.Tx) error) error { return b.fail() }

func (b brokenStore) fail() error {
	if b.err == nil {
		panic("broken on purpose")
	}
	return b.err
}

func TestLanguages(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "ko": true, "ko-KR": true, "KO-kr": true, "en": false, "en,ko": false, "ko,en": true, "ko;q=0.5,en;q=0.9": false,
		"en;q=0.5, ko;q=0.9": true, "fr,ko;q=0.1": true, "ko;q=0": false, "ko;q=x,en": false, "kok": false, "*": false, "ko;q=NaN": false,
		strings.Repeat("fr,", 20) + "ko": false,
	} {
		r := &http.Request{Header: http.Header{"Accept-Language": {header}}}
		if got := wantsKorean(r); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

// A number of a statement that is none would be a bug; it must not become an answer.
func TestStatementRefuses(t *testing.T) {
	if text, err := (statement{{Name: "price", Kind: payment.NumberField, Text: "1e"}}).MarshalJSON(); err == nil {
		t.Errorf("printed %s", text)
	}
	big := money.Of(money.USD, 9007199254740993)
	text, err := (statement{{Name: "price", Kind: payment.NumberField, Text: big.Text()}}).MarshalJSON()
	if err != nil || string(text) != `{"price":90071992547409.93}` {
		t.Errorf("%s %v", text, err)
	}
}

func TestOptions(t *testing.T) {
	r := newRig(t, rigOptions{})
	good := Options{Desk: r.desk, PublicURL: "https://pay.example", Log: r.desk.Log}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Options){
		func(o *Options) { o.PublicURL = "" }, func(o *Options) { o.PublicURL = "pay.example" }, func(o *Options) { o.PublicURL = "ftp://pay.example" },
		func(o *Options) { o.Desk = nil }, func(o *Options) { o.Log = nil },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
