package demo_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A payer clicks: it follows redirects and keeps the page that it is at.
type payer struct {
	*testing.T
	s    *stage
	page string // path of the payment page
}

func (p *payer) post(address string, form url.Values) (path, body string) {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.Fatalf("POST %s %v: %d %s %v", address, form, resp.StatusCode, b, err)
	}
	return resp.Request.URL.Path, string(b)
}

// buy opens a payment in the demo's shop and chooses a coin.
func (p *payer) buy(coin string) {
	p.Helper()
	p.page, _ = p.post(p.s.ready.ShopURL+"/buy", url.Values{"product": {"mug"}, "open_type": {"redirect"}})
	p.post(p.act("coin"), url.Values{"coin": {coin}})
}

func (p *payer) act(name string) string {
	return p.s.ready.URL + "/invoice/" + strings.TrimPrefix(p.page, "/invoice-") + "/" + name
}

// press presses a button of the panel by the value that begins so.
func (p *payer) press(do string) {
	p.Helper()
	body := p.get(p.s.ready.URL + p.page)
	if !regexp.MustCompile(`name="do" value="` + do + `"`).MatchString(body) {
		p.Fatalf("no button %s: %s", do, body)
	}
	form := url.Values{"do": {do}}
	for _, name := range []string{"coin", "address", "back", "invoice"} {
		found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(panelPart(body))
		if found == nil {
			p.Fatalf("the panel has no %s: %s", name, body)
		}
		form.Set(name, html.UnescapeString(found[1]))
	}
	p.page, _ = p.post(p.s.ready.URL+"/demo/faucet", form)
}

func panelPart(body string) string { return body[strings.Index(body, `<form class="panel"`):] }

func (p *payer) get(address string) string {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), http.MethodGet, address, nil)
	if err != nil {
		p.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatal(err)
	}
	return string(b)
}

// sees waits until the page is in a state.
func (p *payer) sees(state string) {
	p.Helper()
	end, body := time.Now().Add(45*time.Second), ""
	for time.Now().Before(end) {
		body = p.get(p.act("status"))
		var s struct {
			State string `json:"state"`
		}
		if err := json.Unmarshal([]byte(body), &s); err == nil && s.State == state {
			return
		}
		time.Sleep(1200 * time.Millisecond) // a page may be asked once a second
	}
	p.Fatalf("never %s: %s", state, body)
}

// TestC29Panel plays every exception by the buttons of the demo's panel, as a visitor does, on both coins.
func TestC29Panel(t *testing.T) {
	t.Parallel()
	s := raise(t)
	for _, coin := range []string{"BTC", "ETH"} {
		mined := map[string]int{"BTC": 2, "ETH": 12}[coin]
		for _, c := range []struct {
			name string
			do   []string
			want string
		}{
			{"two", []string{"two"}, "seen"},
			{"dropped", []string{"dropped"}, "dropped"},
			{"reversed", []string{"two", "mine*", "reorg"}, "reversed"},
			{"late", []string{"late", "mine*"}, "late"},
			{"expire", []string{"expire"}, "expired"},
		} {
			t.Run(fmt.Sprint(coin, " ", c.name), func(t *testing.T) {
				p := &payer{T: t, s: s}
				p.buy(coin)
				for _, do := range c.do {
					if do == "mine*" {
						for range mined {
							p.press("mine")
						}
						continue
					}
					if do == "reorg" {
						p.sees("paid")
					}
					p.press(do)
					if do == "two" {
						p.sees("seen")
					}
				}
				p.sees(c.want)
			})
		}
		t.Run(coin+" wrong coin", func(t *testing.T) {
			p := &payer{T: t, s: s}
			p.buy(coin)
			p.press("wrong")
			p.sees("seen")
			if body := p.get(p.s.ready.URL + p.page); !strings.Contains(body, "Another coin or network was used") {
				t.Errorf("page: %s", body)
			}
		})
	}
}
