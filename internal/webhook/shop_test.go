package webhook

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The shop that docs/callbacks.md shows takes what is signed as ours are, once, and nothing else.
func TestShopOfTheGuide(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: the shop of docs/examples needs Node", err)
	}
	var order struct {
		ID string `json:"order_id"`
	}
	pipe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/invoice/create" || r.Header.Get("Authorization") != "Bearer KEY" {
			t.Errorf("the shop calls %s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, `{"code":1,"message":"success","data":{"invoice_id":"A","invoice_url":"http://pay/invoice-A"}}`)
	}))
	defer pipe.Close()
	secret := make([]byte, NewSecretSize)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	shop := startShop(t, node, "PIPE_URL="+pipe.URL, "PIPE_KEY=KEY", "PIPE_SECRET=whsec_"+base64.StdEncoding.EncodeToString(secret), "SHOP_URL=http://shop")

	noFollow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	bought, err := noFollow.PostForm(shop+"/buy", url.Values{}) //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	if err := bought.Body.Close(); err != nil || bought.Header.Get("Location") != "http://pay/invoice-A" {
		t.Errorf("the shop sends the payer to %q: %v", bought.Header.Get("Location"), err)
	}
	state := func() string {
		_, text := tell(t, shop+"/orders", nil, "")
		var all []struct{ State string }
		if err := json.Unmarshal([]byte(text), &all); err != nil || len(all) != 1 {
			t.Fatalf("%v %s", err, text)
		}
		return all[0].State
	}
	for _, c := range []struct {
		name, id, fields string
		code             int
		age              time.Duration
		key              []byte
		status           int
		want             string
	}{
		{"another secret", "1", `"status":2,"price":10500`, 1, 0, make([]byte, NewSecretSize), 403, "open"},
		{"an old one", "1", `"status":2,"price":10500`, 1, 6 * time.Minute, secret, 403, "open"},
		{"a trial", "test_1", `"status":2,"price":10500`, 1, 0, secret, 200, "open"},
		{"a refund", "1", `"status":2,"price":10500,"refund_id":"B"`, 1, 0, secret, 200, "open"},
		{"another price", "1", `"status":2,"price":10`, 1, 0, secret, 200, "open"},
		{"paid", "1", `"status":2,"price":10500`, 1, 0, secret, 200, "paid"},
		{"paid, again", "1", `"status":2,"price":10500`, 1, 0, secret, 200, "paid"},
		{"taken back", "2", `"status":2,"price":10500`, 4092, 0, secret, 200, "reversed"},
	} {
		body := fmt.Sprintf(`{"code":%d,"message":"","data":{"order_id":%q,"price_currency":"KRW",%s}}`, c.code, order.ID, c.fields)
		at := time.Now().Add(-c.age)
		signed, err := Sign(c.id, at, []byte(body), [][]byte{c.key})
		if err != nil {
			t.Fatal(err)
		}
		status, _ := tell(t, shop+"/callback", map[string]string{
			HeaderID: c.id, HeaderTimestamp: strconv.FormatInt(at.Unix(), 10), HeaderSignature: signed,
		}, body)
		if got := state(); status != c.status || got != c.want {
			t.Errorf("%s: the shop answers %d and the order is %s", c.name, status, got)
		}
	}
}

// startShop runs docs/examples/shop.mjs until the test ends.
func startShop(t *testing.T, node string, env ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once: only its port is wanted
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(address, ":")
	cmd := exec.CommandContext(t.Context(), node, "../../docs/examples/shop.mjs")
	var out bytes.Buffer
	cmd.Env, cmd.Stderr = append(append(os.Environ(), "PORT="+port), env...), &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Wait() // the context killed it
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address) //nolint:noctx // of a test
		if err == nil {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			return "http://" + address
		}
		if time.Now().After(end) {
			t.Fatalf("the shop does not start: %v", err)
		}
	}
}

// tell posts a body, or gets where there is none.
func tell(t *testing.T, to string, headers map[string]string, body string) (status int, text string) {
	t.Helper()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	q, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		q.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}
