package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
)

func TestKeys(t *testing.T) {
	r := newRig(t, rigOptions{})
	v := r.good()
	v.Del("api_key")
	noKey := v.Encode()
	for _, c := range []struct {
		name, body string
		header     []string
		code       int
		field      string
	}{
		{"in the body", r.good().Encode(), nil, 1, ""},
		{"as a bearer", noKey, []string{"Authorization", "Bearer " + r.app.Key}, 1, ""},
		{"as a bearer, other case", noKey, []string{"Authorization", "bearer  " + r.app.Key}, 1, ""},
		{"both, equal", r.good().Encode(), []string{"Authorization", "Bearer " + r.app.Key}, 1, ""},
		{"both, different", r.good().Encode(), []string{"Authorization", "Bearer x"}, 4001, "api_key"},
		{"none", noKey, nil, 4010, "api_key"},
		{"empty", noKey + "&api_key=", nil, 4010, "api_key"},
		{"unknown", noKey + "&api_key=pipe_live_0", nil, 4010, "api_key"},
		{"too long", noKey + "&api_key=" + strings.Repeat("x", 300), nil, 4010, "api_key"},
		{"unreplaced", noKey + "&api_key=YOUR-API-KEY", nil, 4010, "api_key"},
		{"of another case", noKey + "&api_key=" + strings.ToUpper(r.app.Key), nil, 4010, "api_key"},
		{"as basic", r.good().Encode(), []string{"Authorization", "Basic eDp5"}, 4001, "Authorization"},
		{"twice as a bearer", noKey, []string{"Authorization", "Bearer " + r.app.Key, "Authorization", "Bearer " + r.app.Key}, 4001, "Authorization"},
		{"bearer alone", noKey, []string{"Authorization", "Bearer"}, 4001, "Authorization"},
		{"twice in the body", r.good().Encode() + "&api_key=" + r.app.Key, nil, 4001, "api_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := r.invoices()
			a := r.post(createPath, urlencoded, c.body, c.header...)
			a.want(t, c.code, c.field)
			if made := r.invoices() - before; made != map[bool]int{true: 1, false: 0}[c.code == 1] {
				t.Errorf("%d invoices made", made)
			}
			if a.status == 401 && a.header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
			if strings.Contains(string(a.raw), r.app.Key) {
				t.Error("the answer repeats the key")
			}
		})
	}
	if strings.Contains(r.logs(), r.app.Key) {
		t.Error("the log holds the key")
	}
}

func TestRotatedKeys(t *testing.T) {
	r := newRig(t, rigOptions{})
	fresh, err := r.desk.RotateKey(context.Background(), r.app.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.post(createPath, urlencoded, r.good().Encode()).want(t, 1, "")
	if _, err := r.desk.RotateKey(context.Background(), r.app.ID, 0); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{r.app.Key, fresh} {
		v := r.good()
		v.Set("api_key", old)
		r.post(createPath, urlencoded, v.Encode()).want(t, 4010, "api_key")
	}
}

func TestAddresses(t *testing.T) {
	proxy := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		name      string
		networks  []string
		proxies   []netip.Prefix
		forwarded []string
		code      int
	}{
		{"none registered", []string{}, nil, nil, 4030},
		{"the address", []string{"127.0.0.1"}, nil, nil, 1},
		{"a CIDR", []string{"10.0.0.0/8", "127.0.0.0/30"}, nil, nil, 1},
		{"another address", []string{"127.0.0.2", "10.0.0.0/8", "::/0"}, nil, nil, 4030},
		{"a header from nobody's proxy", []string{"203.0.113.7"}, nil, []string{"203.0.113.7"}, 4030},
		{"a header does not hurt the peer", []string{"127.0.0.1"}, nil, []string{"203.0.113.7"}, 1},
		{"from a proxy", []string{"203.0.113.7"}, proxy, []string{"203.0.113.7"}, 1},
		{"from a proxy, IPv6", []string{"2001:db8::/32"}, proxy, []string{"2001:db8::7"}, 1},
		{"from a proxy, mapped", []string{"203.0.113.0/24"}, proxy, []string{"::ffff:203.0.113.7"}, 1},
		{"right to left", []string{"203.0.113.7"}, proxy, []string{"203.0.113.7, 198.51.100.9"}, 4030},
		{"right to left, over lines", []string{"203.0.113.7"}, proxy, []string{"203.0.113.7", "198.51.100.9"}, 4030},
		{"a proxy that names none", []string{"127.0.0.1"}, proxy, nil, 4030},
		{"a proxy that names nonsense", []string{"127.0.0.1"}, proxy, []string{"unknown"}, 4030},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, rigOptions{networks: c.networks, proxies: c.proxies})
			var header []string
			for _, f := range c.forwarded {
				header = append(header, "X-Forwarded-For", f)
			}
			for _, spoof := range []string{"X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"} {
				header = append(header, spoof, "203.0.113.7")
			}
			r.post(createPath, urlencoded, r.good().Encode(), header...).want(t, c.code, "")
			if n := r.invoices(); (n == 1) != (c.code == 1) {
				t.Errorf("%d invoices", n)
			}
		})
	}
}

func TestAddressOfIPv6Peer(t *testing.T) {
	r := newRig(t, rigOptions{networks: []string{"::1"}})
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Logf("this host has no IPv6 loopback: %v", err)
		return
	}
	srv := &http.Server{Handler: r.srv.Config.Handler, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	res, err := http.Post("http://"+l.Addr().String()+createPath, urlencoded, strings.NewReader(r.good().Encode()))
	if err != nil {
		t.Fatal(err)
	}
	readReply(t, res).want(t, 1, "")
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	<-done
	r.post(createPath, urlencoded, r.good().Encode()).want(t, 4030, "") // by IPv4
}

// Another application's invoice does not exist for this one.
func TestOtherApplication(t *testing.T) {
	r := newRig(t, rigOptions{})
	id := r.create()
	name, origins, networks := "Other", []string{r.shop.URL}, []string{"127.0.0.1"}
	other, err := r.desk.AddApplication(context.Background(), r.app.MerchantID, engine.Change{Name: &name, Origins: &origins, Networks: &networks})
	if err != nil {
		t.Fatal(err)
	}
	unknown := r.post(getPath, urlencoded, "api_key="+other.Key+"&invoice_id="+strings.Repeat("0", 64))
	unknown.want(t, 4040, "invoice_id")
	for _, path := range []string{getPath, refundPath, testPath} {
		a := r.post(path, urlencoded, "api_key="+other.Key+"&invoice_id="+id)
		a.want(t, 4040, "invoice_id")
		if a.msg != unknown.msg {
			t.Errorf("%q tells more than %q", a.msg, unknown.msg)
		}
	}
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestRates(t *testing.T) {
	at := &clock{t: time.Unix(1_700_000_000, 0)}
	r := newRig(t, rigOptions{api: Options{RatePerKey: 2, RatePerIP: 50, TestsPerMinute: 3, Now: at.now}})
	id := r.create() // 1 of 10
	body := "api_key=" + r.app.Key + "&invoice_id=" + id
	for range 9 {
		r.post(getPath, urlencoded, body).want(t, 1, "")
	}
	over := r.post(getPath, urlencoded, body)
	over.want(t, 4290, "")
	if over.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", over.header.Get("Retry-After"))
	}
	at.add(time.Second)
	r.post(getPath, urlencoded, body).want(t, 1, "")
	at.add(time.Minute)
	for range 3 {
		r.post(testPath, urlencoded, body).want(t, 1, "")
	}
	over = r.post(testPath, urlencoded, body)
	over.want(t, 4290, "")
	if over.header.Get("Retry-After") != "20" {
		t.Errorf("Retry-After is %q", over.header.Get("Retry-After"))
	}
	if n := len(r.shop.got); n != 3 {
		t.Errorf("the shop got %d", n)
	}
	// Before authentication the address alone counts: 250 at once.
	at.add(time.Hour)
	codes := map[string]int{}
	for range 300 {
		codes[r.post(getPath, urlencoded, "api_key=x").code]++
	}
	if codes["4010"] != 250 || codes["4290"] != 50 {
		t.Errorf("answers: %v", codes)
	}
}

// 100 parallel equal creates with one Idempotency-Key make one invoice and answer alike.
func TestIdempotency(t *testing.T) {
	r := newRig(t, rigOptions{})
	const key = "order-7 attempt"
	answers := make([]string, 100)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			a := r.post(createPath, urlencoded, r.good().Encode(), "Idempotency-Key", key)
			a.want(t, 1, "")
			answers[i] = string(a.raw)
		})
	}
	all.Wait()
	for _, a := range answers {
		if a != answers[0] {
			t.Fatalf("answers differ: %s, %s", a, answers[0])
		}
	}
	if n := r.invoices(); n != 1 {
		t.Fatalf("%d invoices", n)
	}
	// The encoding is not a parameter.
	js := fmt.Sprintf(`{"api_key":%q,"price_currency":"USD","price":12.34,"order_id":"test_order_id","callback_url":%q}`, r.app.Key, r.shop.URL+"/callback")
	if a := r.post(createPath, "application/json", js, "Idempotency-Key", key); string(a.raw) != answers[0] {
		t.Errorf("as JSON: %s", a.raw)
	}
	v := r.good()
	v.Set("price", "12.35")
	r.post(createPath, urlencoded, v.Encode(), "Idempotency-Key", key).want(t, 4091, "Idempotency-Key")
	r.post(createPath, urlencoded, r.good().Encode(), "Idempotency-Key", "").want(t, 4001, "Idempotency-Key")
	r.post(createPath, urlencoded, r.good().Encode(), "Idempotency-Key", "a", "Idempotency-Key", "a").want(t, 4001, "Idempotency-Key")
	r.post(createPath, urlencoded, r.good().Encode(), "Idempotency-Key", strings.Repeat("x", 256)).want(t, 4001, "Idempotency-Key")
	r.post(createPath, urlencoded, r.good().Encode(), "Idempotency-Key", strings.Repeat("x", 255)).want(t, 1, "")
	r.post(createPath, urlencoded, r.good().Encode()).want(t, 1, "") // without a key an order_id may come again
	if n := r.invoices(); n != 3 {
		t.Errorf("%d invoices", n)
	}
}
