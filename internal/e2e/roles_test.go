package e2e

import (
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/pgtest"
)

// Each role in a process of its own, two workers among them, on one PostgreSQL.
func TestRolesApart(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	s := newShop(t, always(200, "ok"))
	apiAt, pageAt := freeAddress(t), freeAddress(t)
	public := "http://" + pageAt
	h := newHouse(t, d, "PIPE_DATABASE="+pgtest.URL(t), "PIPE_ROLES=worker", "PIPE_CALLBACK_OPEN="+s.url+"=127.0.0.0/8", "PIPE_PUBLIC_URL="+public)
	api := start(t, []string{"PIPE_ROLES=api", "PIPE_LISTEN=" + apiAt, "PIPE_SIGNER_PASSPHRASE_FILE="}, "pipe", "-c", h.config, "serve")
	page := start(t, []string{"PIPE_ROLES=checkout", "PIPE_LISTEN=" + pageAt, "PIPE_SIGNER_PASSPHRASE_FILE="}, "pipe", "-c", h.config, "serve")
	for _, at := range []string{apiAt, pageAt} {
		eventually(t, patience, "serving at "+at, func() bool {
			if api.ended() || page.ended() {
				t.Fatalf("ended: %s\n%s", api.out, page.out)
			}
			resp, err := client.Get("http://" + at + "/healthz")
			if err != nil {
				return false
			}
			readAll(t, resp)
			return resp.StatusCode == 204
		})
	}
	m, _ := h.open("--url=" + s.url)
	m.url = "http://" + apiAt
	a := m.good(t, "invoice/create", fields{{"price_currency", "KRW"}, {"price", "10500"}, {"order_id", "apart"}, {"callback_url", s.url + "/cb"}})
	if !strings.HasPrefix(a.text("invoice_url"), public+"/invoice-") {
		t.Errorf("invoice_url is %s", a.text("invoice_url"))
	}
	chooseSoon(t, public, a.text("invoice_id"), "BTC")
	inv := m.get(t, a.text("invoice_id"))
	d.pay("BTC", inv.text("deposit_address"), inv.text("coin_amount"))
	d.mine("BTC", 2)
	m.await(t, a.text("invoice_id"), "status", "2")
	s.await(t, "apart", 1)
	if p := newBrowser(t).do("GET", "http://"+apiAt+"/invoice-"+a.text("invoice_id"), nil); p.status != 404 {
		t.Errorf("the role api serves the page: %d", p.status)
	}
	if p := newBrowser(t).do("GET", public+"/api/v1/invoice/create", nil); p.status != 404 {
		t.Errorf("the role checkout serves the API: %d", p.status)
	}
	for _, p := range []*program{api, page, h.program} {
		p.interrupt(t)
	}
	d.interrupt(t)
}

// Behind a proxy the caller is the last address that the proxy did not add itself.
func TestBehindAProxy(t *testing.T) {
	t.Parallel()
	d := shared(t)
	h := newHouse(t, d, "PIPE_TRUSTED_PROXIES=127.0.0.1,10.0.0.0/8")
	m, app := h.open("--url="+d.ready["shop_url"], "--ip=203.0.113.7")
	h.must("app", "set", app.ID, "--ip=203.0.113.7")
	f := append(fields{{"api_key", m.key}}, d.order("proxy")...)
	kind, body := f.multipart()
	for _, c := range []struct{ forwarded, code string }{
		{"203.0.113.7", "1"},
		{"198.51.100.1, 203.0.113.7", "1"},
		{"203.0.113.7, 10.1.2.3", "1"},
		{"203.0.113.7, 198.51.100.1", "4030"}, // the left part is the caller's own tale
		{"", "4030"},
		{"nonsense", "4030"},
		{"203.0.113.7, nonsense", "4030"},
		{"203.0.113.7, 127.0.0.1", "1"},
	} {
		header := map[string]string{}
		if c.forwarded != "" {
			header["X-Forwarded-For"] = c.forwarded
		}
		if a := m.send(t, request{path: "/api/v1/invoice/create", kind: kind, body: body, header: header}); a.Code.String() != c.code {
			t.Errorf("X-Forwarded-For %q: %s, want code %s", c.forwarded, a, c.code)
		}
	}
	h.interrupt(t)
}
