package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
	"github.com/pipe-pg/pipe/internal/web"
	"github.com/pipe-pg/pipe/internal/webhook"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// plainSealer keeps secrets as they are: sealing is not under test here.
type plainSealer struct{}

func (plainSealer) Seal(clear []byte) ([]byte, error)  { return bytes.Clone(clear), nil }
func (plainSealer) Open(sealed []byte) ([]byte, error) { return bytes.Clone(sealed), nil }

// shop is a real shop server that answers as it is told.
type shop struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	got    []*http.Request
	bodies [][]byte
}

func newShop(t testing.TB) *shop {
	s := &shop{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("shop reads callback: %v", err)
		}
		s.mu.Lock()
		s.got, s.bodies = append(s.got, r), append(s.bodies, body)
		answer := s.answer
		s.mu.Unlock()
		if answer == nil {
			fmt.Fprint(w, "ok")
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) say(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = h
}

// rig is the API on a real desk, a real SQLite store, a real sender and a real listener.
type rig struct {
	t      testing.TB
	desk   *engine.Desk
	store  *store.Store
	shop   *shop
	srv    *httptest.Server
	client *http.Client
	app    engine.NewApplication
	log    *lockedBuffer
}

type rigOptions struct {
	networks []string // nil: loopback
	proxies  []netip.Prefix
	api      Options
	logFrom  slog.Level
}

func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	ctx := context.Background()
	r := &rig{t: t, shop: newShop(t), log: &lockedBuffer{}}
	address := "sqlite:" + filepath.Join(t.TempDir(), "pipe.db")
	quiet := slog.New(slog.DiscardHandler)
	if _, _, err := store.Migrate(ctx, address, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.store, err = store.Open(ctx, store.Options{URL: address, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	sender, err := webhook.New(webhook.Options{AllowHTTP: true, Open: []webhook.Opening{{Origin: r.shop.URL, Networks: loopback}}})
	if err != nil {
		t.Fatal(err)
	}
	r.desk = &engine.Desk{
		Store: r.store, Rates: plainRates{}, Sender: sender, Render: webhook.Render, Sealer: plainSealer{}, InsecureURLs: true, Log: quiet,
		Nets: map[money.Currency]engine.Net{
			money.BTC: {Network: "bitcoin/regtest", ParseAddress: func(s string) (string, error) { return bitcoin.ParseAddress("bitcoin/regtest", s) }},
			money.ETH: {Network: "ethereum/1337", ParseAddress: func(s string) (string, error) { return ethereum.ParseAddress("ethereum/1337", s) }},
		},
		MaxPrice: map[money.Currency]money.Amount{money.KRW: money.Of(money.KRW, 1_000_000_000), money.USD: money.Of(money.USD, 100_000_000)},
	}
	m, err := r.desk.AddMerchant(ctx, "A shop owner")
	if err != nil {
		t.Fatal(err)
	}
	if o.networks == nil {
		o.networks = []string{"127.0.0.0/8", "::1"}
	}
	name, origins := "A shop", []string{r.shop.URL}
	r.app, err = r.desk.AddApplication(ctx, m.ID, engine.Change{Name: &name, Origins: &origins, Networks: &o.networks})
	if err != nil {
		t.Fatal(err)
	}
	o.api.Desk, o.api.PublicURL, o.api.Peers = r.desk, "https://pay.example/", web.Peers{Proxies: o.proxies}
	o.api.Log = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: o.logFrom}))
	o.api.Explain = func(v, language string) string { return webhook.Verdict(v).Explain(language) }
	if o.api.RatePerKey == 0 {
		o.api.RatePerKey = 1_000_000
	}
	if o.api.TestsPerMinute == 0 {
		o.api.TestsPerMinute = 1_000_000
	}
	handler, err := New(o.api)
	if err != nil {
		t.Fatal(err)
	}
	r.srv = httptest.NewUnstartedServer(handler)
	limits := web.NewServer("", r.srv.Config.Handler, o.api.Log)
	limits.ConnState = r.srv.Config.ConnState
	r.srv.Config = limits
	r.srv.Start()
	t.Cleanup(r.srv.Close)
	r.client = r.srv.Client()
	return r
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// logs stops the server, which ends all requests with their lines, and is everything that was logged.
func (r *rig) logs() string {
	r.srv.Close()
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return r.log.b.String()
}

// reply is an answer of the API, decoded with numbers as their text.
type reply struct {
	status int
	header http.Header
	raw    []byte
	code   string
	msg    string
	data   map[string]any
}

func readReply(t testing.TB, res *http.Response) reply {
	t.Helper()
	defer func() {
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, res.StatusCode, res.Header, raw)
}

func decode(t testing.TB, status int, h http.Header, raw []byte) reply {
	t.Helper()
	var a struct {
		Code    json.Number
		Message *string
		Data    map[string]any
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&a); err != nil || a.Message == nil {
		t.Fatalf("answer %d %q: %v", status, raw, err)
	}
	if got := h.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	return reply{status, h, raw, a.Code.String(), *a.Message, a.Data}
}

// want checks code and status, and for failures the request id and the field.
func (a reply) want(t testing.TB, code int, field string) {
	t.Helper()
	status := code / 10
	if code == 1 {
		status = 200
	}
	if a.code != fmt.Sprint(code) || a.status != status {
		t.Errorf("code %s status %d, want %d: %s", a.code, a.status, code, a.raw)
		return
	}
	if code == 1 {
		return
	}
	if id, _ := a.data["request_id"].(string); id == "" || id != a.header.Get("X-Request-Id") {
		t.Errorf("request_id %q, header %q", id, a.header.Get("X-Request-Id"))
	}
	if got, _ := a.data["field"].(string); got != field {
		t.Errorf("field is %q, want %q: %s", got, field, a.raw)
	}
}

func (r *rig) post(path, contentType, body string, header ...string) reply {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.srv.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	a := readReply(r.t, res)
	checkDescribed(r.t, req, body, a)
	return a
}

const (
	createPath = "/api/v1/invoice/create"
	getPath    = "/api/v1/invoice/get"
	refundPath = "/api/v1/invoice/refund"
	testPath   = "/api/v1/test/callback"
	urlencoded = "application/x-www-form-urlencoded"
)

// good are parameters of create that are taken.
func (r *rig) good() url.Values {
	return url.Values{
		"api_key": {r.app.Key}, "price_currency": {"USD"}, "price": {"12.34"}, "order_id": {"test_order_id"},
		"callback_url": {r.shop.URL + "/callback"},
	}
}

func (r *rig) create(change ...string) string {
	r.t.Helper()
	v := r.good()
	for i := 0; i+1 < len(change); i += 2 {
		v.Set(change[i], change[i+1])
	}
	a := r.post(createPath, urlencoded, v.Encode())
	a.want(r.t, 1, "")
	id, _ := a.data["invoice_id"].(string)
	return id
}

// invoices counts what is stored.
func (r *rig) invoices() int {
	r.t.Helper()
	n := 0
	err := r.store.View(context.Background(), func(tx engine.Tx) error {
		due, err := tx.DueInvoices(time.Now().Add(365*24*time.Hour), "", 100_000)
		n = len(due)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// choose gives an invoice a quote, as if the payer had chosen Ethereum.
func (r *rig) choose(id payment.ID, address string) {
	r.t.Helper()
	rate, err := money.ParseRate(money.ETH, money.USD, "2000")
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.store.Update(context.Background(), func(tx engine.Tx) error {
		f, err := tx.Facts(id)
		if err != nil {
			return err
		}
		q := payment.Quote{ID: tx.NewID(), InvoiceID: id, Coin: money.ETH, Network: "ethereum/1337", Address: address, Rate: rate,
			Due: rate.Due(f.Invoice.Price), Window: time.Hour, CreatedAt: tx.Now(), Deadline: tx.Now().Add(time.Hour)}
		if err := tx.AddQuote(q); err != nil {
			return err
		}
		f.Invoice.Told.QuoteID, f.Invoice.Told.Deadline = q.ID, q.Deadline.UnixMilli()
		f.Invoice.Told.Seen, f.Invoice.Told.Confirmed = "0", "0"
		f.Invoice.UpdatedAt = tx.Now()
		return tx.SwapInvoice(f.Invoice)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// golden compares a generated page with its file.
func golden(t *testing.T, file, is string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) || string(was) != is {
		t.Fatalf("%s is not current: run go test ./internal/api -update", file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// plainRates has one price for all.
type plainRates struct{}

func (plainRates) Price(_ context.Context, coin, currency money.Currency) (payment.Price, error) {
	r, err := money.ParseRate(coin, currency, "2000")
	return payment.Price{Rate: r}, err
}
