package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A shop is a merchant's server. It answers as it is told and keeps what came.
type shop struct {
	url string

	mu  sync.Mutex // owns got
	got []arrival
}

// An arrival is one callback.
type arrival struct {
	at     time.Time
	path   string
	order  string
	header http.Header
	body   string
}

// A behaviour answers the nth request for an order, from 1.
type behaviour func(n int, w http.ResponseWriter, r *http.Request)

func newShop(t testing.TB, b behaviour) *shop {
	t.Helper()
	s := &shop{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		a := arrival{at: time.Now(), path: r.URL.Path, header: r.Header.Clone(), body: string(body)}
		if f, err := url.ParseQuery(a.body); err == nil && f.Get("data[order_id]") != "" {
			a.order = f.Get("data[order_id]")
		} else {
			_, rest, _ := strings.Cut(a.body, `"order_id":"`)
			a.order, _, _ = strings.Cut(rest, `"`)
		}
		s.mu.Lock()
		s.got = append(s.got, a)
		n := 0
		for _, g := range s.got {
			if g.order == a.order {
				n++
			}
		}
		s.mu.Unlock()
		b(n, w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *shop) of(order string) (all []arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.got {
		if a.order == order {
			all = append(all, a)
		}
	}
	return all
}

func (s *shop) await(t testing.TB, order string, n int) []arrival {
	t.Helper()
	var all []arrival
	eventually(t, patience, fmt.Sprintf("%d callbacks of %s", n, order), func() bool {
		all = s.of(order)
		return len(all) >= n
	})
	return all
}

func always(status int, body string) behaviour {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if _, err := io.WriteString(w, body); err != nil {
			return
		}
	}
}

// first answers the first request in one way and then ok.
func first(b behaviour) behaviour {
	ok := always(200, "ok")
	return func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			b(n, w, r)
			return
		}
		ok(n, w, r)
	}
}

func hangUp(_ int, w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		panic(err)
	}
}

// wait answers nothing until the caller gives up.
func wait(_ int, _ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(time.Minute):
	}
}

// noise is by how much a busy machine may delay what should come at once; hanging shops, which it tells apart, take longer.
const noise = 8 * time.Second

func TestShopMisbehaviour(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	slowly := func(n int, w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(12 * time.Second):
		case <-r.Context().Done():
		}
		always(200, "ok")(n, w, r)
	}
	trickle := func(_ int, w http.ResponseWriter, r *http.Request) {
		for range 200 { // a byte now and then, for longer than anyone should wait
			if _, err := w.Write([]byte(" ")); err != nil || r.Context().Err() != nil {
				return
			}
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	redirect := func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}
	cases := []struct {
		name      string
		b         behaviour
		delivered bool // by the first answer
		takes     time.Duration
	}{
		{"ok", always(200, "ok"), true, 0},
		{"OK and line", always(200, "OK\n"), true, 0},
		{"BOM", always(200, "\ufeffok"), true, 0},
		{"space", always(201, " \r\n\tOk \r\n"), true, 0},
		{"500", first(always(500, "ok")), false, 0},
		{"400", first(always(400, "ok")), false, 0},
		{"nothing", first(hangUp), false, 0},
		{"empty", first(always(200, "")), false, 0},
		{"204", first(always(204, "")), false, 0},
		{"html", first(always(200, "<!doctype html><html><body>ok</body></html>")), false, 0},
		{"quoted", first(always(200, `"ok"`)), false, 0},
		{"json", first(always(200, `{"result":"ok"}`)), false, 0},
		{"okay", first(always(200, "okay")), false, 0},
		{"redirect", first(redirect), false, 0},
		{"long", first(always(200, "ok"+strings.Repeat("x", 1<<20))), false, 0},
		{"slow", first(slowly), false, 10 * time.Second},
		{"trickle", first(trickle), false, 10 * time.Second},
	}
	var shops []*shop
	var opened []string
	for _, c := range cases {
		s := newShop(t, c.b)
		shops, opened = append(shops, s), append(opened, s.url+"=127.0.0.0/8")
	}
	h := newHouse(t, d, "PIPE_CALLBACK_OPEN="+strings.Join(opened, ","))
	outputs := []object{}
	secrets := make([]string, len(cases))
	for i, c := range cases {
		m, a := h.open("--url=" + shops[i].url)
		secrets[i] = a.Secret
		inv := h.sell(m, "BTC", shops[i].url+"/cb", c.name)
		outputs = append(outputs, object{"address": inv.text("deposit_address"), "amount": inv.text("coin_amount")})
	}
	d.control("/pay", object{"coin": "BTC", "outputs": outputs}, nil) // all in one transaction
	d.mine("BTC", 2)
	mined := time.Now()
	var wg sync.WaitGroup
	for i, c := range cases {
		wg.Go(func() {
			want := 2
			if c.delivered {
				want = 1
			}
			all := shops[i].await(t, c.name, want)
			if took := all[0].at.Sub(mined); took > noise {
				t.Errorf("%s: first callback came %s after the block", c.name, took)
			}
			for _, a := range all {
				if a.path != "/cb" {
					t.Errorf("%s: the redirect was followed to %s", c.name, a.path)
				}
				headers := map[string]string{}
				for k := range a.header {
					headers[strings.ToLower(k)] = a.header.Get(k)
				}
				checkSignature(t, secrets[i], got{At: a.at, Headers: headers, Body: a.body})
			}
			if c.delivered {
				return
			}
			pause := all[1].at.Sub(all[0].at) - c.takes
			if pause < 4*time.Second || pause > 5*time.Second+noise {
				t.Errorf("%s: tried again after %s, want 5 s and a little", c.name, pause)
			}
			if all[0].body != all[1].body || all[0].header.Get("webhook-id") != all[1].header.Get("webhook-id") {
				t.Errorf("%s: the second try differs:\n%v\n%v", c.name, all[0], all[1])
			}
		})
	}
	wg.Wait()
	for i, c := range cases {
		want := 2
		if c.delivered {
			want = 1
		}
		if n := len(shops[i].of(c.name)); n != want {
			t.Errorf("%s: %d callbacks, want %d", c.name, n, want)
		}
	}
	h.auditClean(t)
	h.interrupt(t)
	d.interrupt(t)
}

// However many callbacks hang at one shop, another's come at once.
func TestOtherShopsSeeNoDelay(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	healthy := newShop(t, always(200, "ok"))
	open := []string{healthy.url + "=127.0.0.0/8"}
	var hanging []*shop
	for range 3 {
		s := newShop(t, wait)
		hanging, open = append(hanging, s), append(open, s.url+"=127.0.0.0/8")
	}
	h := newHouse(t, d, "PIPE_CALLBACK_OPEN="+strings.Join(open, ","))
	outputs := []object{}
	for i, s := range hanging {
		m, _ := h.open("--url=" + s.url)
		for n := range 8 {
			inv := h.sell(m, "BTC", s.url+"/cb", fmt.Sprintf("hangs-%d-%d", i, n))
			outputs = append(outputs, object{"address": inv.text("deposit_address"), "amount": inv.text("coin_amount")})
		}
	}
	d.control("/pay", object{"coin": "BTC", "outputs": outputs}, nil)
	d.mine("BTC", 2)
	for i, s := range hanging {
		eventually(t, patience, "a callback hangs", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.got) > 0 })
		_ = i
	}
	m, _ := h.open("--url=" + healthy.url)
	var waits []time.Duration
	for n := range 6 {
		order := fmt.Sprintf("healthy-%d", n)
		inv := h.sell(m, "BTC", healthy.url+"/cb", order)
		d.pay("BTC", inv.text("deposit_address"), inv.text("coin_amount"))
		d.mine("BTC", 2)
		mined := time.Now()
		waits = append(waits, max(healthy.await(t, order, 1)[0].at.Sub(mined), 0))
	}
	slices.Sort(waits)
	t.Logf("callback of a healthy shop while 24 hang: median %s, slowest %s", waits[len(waits)/2], waits[len(waits)-1])
	if median := waits[len(waits)/2]; median > 2*time.Second {
		t.Errorf("a healthy shop waited %s, half of the times or more", median)
	}
	// Calls that hang do not keep the program from stopping cleanly.
	h.interrupt(t)
	d.interrupt(t)
}

// statuses are code, status and deposit_status of callbacks in the form encoding, as PHP reads them.
func statuses(t testing.TB, all []arrival) (told []string) {
	t.Helper()
	for _, a := range all {
		if kind := a.header.Get("Content-Type"); kind != "application/x-www-form-urlencoded" {
			t.Errorf("callback is %s", kind)
		}
		f, err := url.ParseQuery(a.body)
		if err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
		data := url.Values{}
		for k := range f {
			if name, ok := strings.CutPrefix(k, "data["); ok {
				data[strings.TrimSuffix(name, "]")] = f[k]
			} else if k != "code" && k != "message" {
				t.Errorf("callback has %s", k)
			}
		}
		for name := range types {
			if !data.Has(name) {
				t.Errorf("callback has no data[%s]: %s", name, a.body)
			}
		}
		if len(data) != len(types) {
			t.Errorf("callback has %d fields, the guide %d: %s", len(data), len(types), a.body)
		}
		told = append(told, f.Get("code")+"/"+data.Get("status")+"/"+data.Get("deposit_status"))
		if f.Get("code") == "1" && f.Get("message") != "success" || f.Get("code") != "1" && (f.Get("message") == "" || f.Get("message") == "success") {
			t.Errorf("callback's message: %s", a.body)
		}
	}
	return told
}

func TestEventsInFormEncodingInOrder(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	// The first callback of every order fails once: nothing may overtake it.
	s := newShop(t, first(always(500, "down")))
	quiet := newShop(t, always(200, "ok"))
	h := newHouse(t, d, "PIPE_CALLBACK_OPEN="+s.url+"=127.0.0.0/8,"+quiet.url+"=127.0.0.0/8")
	m, app := h.open("--url="+s.url, "--encoding=form", "--event=seen,expired,reversed")
	inv := h.sell(m, "BTC", s.url+"/cb", "events")
	id := inv.text("invoice_id")
	txid := d.pay("BTC", inv.text("deposit_address"), inv.text("coin_amount"))
	m.await(t, id, "deposit_status", "2")
	d.mine("BTC", 2)
	m.await(t, id, "status", "2")
	all := s.await(t, "events", 3)
	if told := fmt.Sprint(statuses(t, all)); told != "[1/1/2 1/1/2 1/2/1]" {
		t.Errorf("callbacks were %s: seen, seen again, paid wanted", told)
	}
	for i, a := range all {
		headers := map[string]string{}
		for k := range a.header {
			headers[strings.ToLower(k)] = a.header.Get(k)
		}
		checkSignature(t, app.Secret, got{At: a.at, Headers: headers, Body: a.body})
		if same := a.header.Get("webhook-id") == all[0].header.Get("webhook-id"); same != (i < 2) {
			t.Errorf("callback %d: webhook-id %s, first %s", i, a.header.Get("webhook-id"), all[0].header.Get("webhook-id"))
		}
	}
	// The chain takes it back: another transaction spends its coins, in blocks that replace those of the payment.
	d.control("/double-spend", object{"coin": "BTC", "txid": txid}, nil)
	all = s.await(t, "events", 4)
	if told := statuses(t, all); told[3][:6] != "4092/2" {
		t.Errorf("after the reorganisation: %s", told)
	}
	if after := m.get(t, id); after.number("status") != "2" {
		t.Errorf("paid was unsaid: %s", after)
	}

	// Expired with nothing.
	late, _ := h.open("--url="+s.url, "--encoding=form", "--event=expired", "--quote-window=1s", "--choose-within=1s")
	a := late.good(t, "invoice/create", fields{{"price_currency", "KRW"}, {"price", "100"}, {"order_id", "expires"}, {"callback_url", s.url + "/cb"}})
	late.await(t, a.text("invoice_id"), "status", "3")
	if told := fmt.Sprint(statuses(t, s.await(t, "expires", 2))); told != "[1/3/0 1/3/0]" {
		t.Errorf("expired told %s", told)
	}

	// Switched off, nothing but paid is told.
	silent, _ := h.open("--url="+quiet.url, "--quote-window=1s", "--choose-within=1s")
	b := silent.good(t, "invoice/create", fields{{"price_currency", "KRW"}, {"price", "100"}, {"order_id", "silent"}, {"callback_url", quiet.url + "/cb"}})
	silent.await(t, b.text("invoice_id"), "status", "3")
	plain, _ := h.open("--url=" + quiet.url)
	paid := h.sell(plain, "ETH", quiet.url+"/cb", "plain")
	d.pay("ETH", paid.text("deposit_address"), paid.text("coin_amount"))
	d.mine("ETH", 12)
	told := quiet.await(t, "plain", 1)
	plain.await(t, paid.text("invoice_id"), "status", "2")
	if len(quiet.of("silent")) != 0 || len(quiet.of("plain")) != 1 || !strings.Contains(told[0].body, `"status":2`) {
		t.Errorf("with no events: %v %v", quiet.of("silent"), quiet.of("plain"))
	}
	h.interrupt(t)
	d.interrupt(t)
}

// Callbacks go to no address that is not public, unless the operator opened exactly that origin.
func TestCallbacksOnlyToOpenedOrigins(t *testing.T) {
	t.Parallel()
	d := shared(t)
	s := newShop(t, always(200, "ok"))
	h := newHouse(t, d)
	m, _ := h.open("--url="+s.url, "--url=http://169.254.169.254", "--url=http://[::1]", "--url=http://localhost")
	id := m.good(t, "invoice/create", fields{{"price_currency", "KRW"}, {"price", "100"}, {"order_id", "private"}, {"callback_url", s.url + "/cb"}}).text("invoice_id")
	for _, to := range []string{s.url + "/cb", "http://169.254.169.254/latest/meta-data", "http://[::1]/x", "http://localhost/x"} {
		a := m.call(t, "test/callback", fields{{"invoice_id", id}, {"callback_url", to}})
		if a.Code == "1" || a.Status != 422 || a.text("callback_url") != to || a.text("response") != "" {
			t.Errorf("test/callback to %s: %s", to, a)
		}
	}
	if len(s.of("private")) != 0 {
		t.Error("a private address was reached")
	}
	h.interrupt(t)
}
