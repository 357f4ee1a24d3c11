package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// browse opens a tab of a browser of its own that counts what the pages' policies forbid.
func browse(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("PIPE_NEED_BROWSER") != "" {
			t.Fatal("no chromium: apt-get install -y chromium fonts-noto-cjk")
		}
		t.Skip("no chromium: apt-get install -y chromium fonts-noto-cjk")
	}
	alloc, _ := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-popup-blocking", true))
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	_, err = chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `window.violated=[];
		addEventListener('securitypolicyviolation',e=>violated.push(e.violatedDirective+' '+e.blockedURI+' '+e.sample));
		{const f=window.fetch;window.fetch=(...a)=>f(...a).then(async r=>{const d=await r.clone().json().catch(()=>({}));if(d.invoice_url)window.invoice=d.invoice_url;return r})}`})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// reads evaluates until the answer is as wanted.
func reads(t *testing.T, ctx context.Context, expression, want string) string {
	t.Helper()
	end, got := time.Now().Add(patience), ""
	for time.Now().Before(end) {
		once, cancel := context.WithTimeout(ctx, 10*time.Second)
		v, err := chromedp.Run(once, chromedp.Evaluate[string]("String("+expression+")"))
		cancel()
		if got = v; err == nil && strings.Contains(got, want) {
			return got
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s is %q, want %q", expression, got, want)
	return ""
}

// steer calls a control endpoint.
func (s *stage) steer(t *testing.T, path string, in any) {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.ready.ControlURL+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
	}
}

// TestC26ShopModes: each page of the demo's shop opens a payment in its way, under a strict policy of the shop, and ends it
// the way it began once it is paid.
func TestC26ShopModes(t *testing.T) {
	t.Parallel()
	s := raise(t)
	for mode, end := range map[string]struct{ expression, want string }{
		"redirect": {"document.body.innerText", "status 2, deposit status 1"},
		"popup":    {"document.getElementById('said').textContent", "closed"},
		"layer":    {"document.getElementById('said').textContent", "closed"},
		"plain":    {"document.getElementById('said').textContent+document.querySelectorAll('iframe').length", "_PIPE_PG_CLOSE()"},
	} {
		t.Run(mode, func(t *testing.T) {
			ctx := browse(t)
			run := func(steps ...chromedp.Action[chromedp.Void]) {
				t.Helper()
				some, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				if err := chromedp.Do(some, steps...); err != nil {
					t.Fatal(err)
				}
			}
			run(chromedp.Navigate(s.ready.ShopURL+"/"+mode), chromedp.Click(chromedp.CSS("form.buy button")))
			invoice := "window.invoice"
			if mode == "redirect" {
				invoice = "location.href"
			}
			u, err := url.Parse(reads(t, ctx, invoice, "/invoice-"))
			if err != nil {
				t.Fatal(err)
			}
			p := &payer{T: t, s: s, page: u.Path}
			p.post(p.act("coin"), url.Values{"coin": {"BTC"}})
			if mode == "layer" || mode == "plain" {
				reads(t, ctx, "document.querySelectorAll('iframe').length", "1")
			}
			var due struct {
				Amount string `json:"coin_amount"`
			}
			if err := json.Unmarshal([]byte(p.get(p.act("status"))), &due); err != nil {
				t.Fatal(err)
			}
			address := panelPart(p.get(p.s.ready.URL + p.page))
			_, address, _ = strings.Cut(address, `name="address" value="`)
			address, _, _ = strings.Cut(address, `"`)
			s.steer(t, "/pay", map[string]any{"coin": "BTC", "address": address, "amount": due.Amount})
			p.sees("seen")
			s.steer(t, "/mine", map[string]any{"coin": "BTC", "blocks": 2})
			reads(t, ctx, end.expression, end.want)
			if got := reads(t, ctx, "JSON.stringify(window.violated)", ""); got != "[]" {
				t.Errorf("the shop's policy forbids %s", got)
			}
			if mode == "plain" && strings.Contains(p.get(s.ready.ShopURL+"/plain"), "pipe.js\"") {
				t.Error("the page without pipe.js loads it")
			}
		})
	}
}
