package browsertest

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/webtest"
)

// fetch is a page as the server sends it.
func fetch(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := loopback.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pages are the addresses of all states in both languages, and of the pages beside them, by a name.
func pages(s site) map[string]string {
	all := map[string]string{}
	for _, lang := range []string{"en", "ko"} {
		for _, f := range gallery.Fixtures() {
			all[f.Name+"-"+lang] = s.page(f.Name) + "?lang=" + lang
		}
		for name, path := range beside(s) {
			all[name+"-"+lang] = path + "lang=" + lang
		}
	}
	return all
}

func beside(s site) map[string]string {
	base := func(name string) string { return s.URL + "/invoice/" + string(gallery.ID(name)) }
	return map[string]string{
		"refund": base("partial-expired") + "/refund-address?", "refund-closed": base("await-usd") + "/refund-address?",
		"cancel": base("partial") + "/cancel?", "error": s.URL + "/invoice-0?", "home": s.URL + "/?",
		"sent": base("expired") + "/sent?", "receipt": base("paid") + "/receipt?", "receipt-refunded": base("refunded") + "/receipt?",
	}
}

// TestC9Matrix draws every state in both languages, light and dark, at 320, 768 and 1280 px, and looks for what breaks in
// all of them: axe's rules (C9), sideways scrolling (C13), small targets (C14), policy violations (C23), foreign words
// (C21), and "complete" where nothing is (C22). PIPE_PICTURES names a directory that keeps the pictures.
func TestC9Matrix(t *testing.T) {
	s := serve(t, nil)
	ctx := tab(t)
	axe := webtest.LoadAxe(t)
	widths := []int64{320, 768, 1280}
	n, drawn := 0, 0
	for _, lang := range []string{"en", "ko"} {
		for name, url := range pages(s) {
			if !strings.HasSuffix(name, "-"+lang) || strings.HasPrefix(name, "choose-one") { // script leaves that one at once
				continue
			}
			n++
			run(t, ctx, chromedp.Navigate(url))
			words(t, ctx, name)
			for i, width := range widths {
				for j, colour := range []string{"light", "dark"} {
					if !webtest.Whole() && (i != n%3 || j != n/3%2) {
						continue
					}
					drawn++
					webtest.Colours(t, ctx, colour)
					run(t, ctx, chromedp.EmulateViewport(width, 800))
					at := name + "-" + colour + "-" + map[int64]string{320: "320", 768: "768", 1280: "1280"}[width]
					webtest.Looks(t, ctx, at)
					axe.Judge(t, ctx, at)
					if dir := webtest.Pictures(); dir != "" {
						webtest.Keep(t, ctx, filepath.Join(dir, at+".png"))
					}
				}
			}
		}
	}
	t.Logf("%d pages, %d drawings", n, drawn)
}

var (
	english  = regexp.MustCompile(`[A-Za-z]{2,}`)
	complete = regexp.MustCompile(`(?i)완료|complete`)
)

// koreanMayHave are the Latin words that Korean pages have: names, units, and what the shop wrote.
var koreanMayHave = map[string]bool{"BTC": true, "ETH": true, "KST": true, "ID": true, "QR": true, "PIPE": true, "English": true, "MetaMask": true}

// words reads the text of the page as a payer sees it.
func words(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	text := get[string](t, ctx, `document.title+'\n'+[...document.querySelectorAll('body *')].filter(e=>!e.closest('noscript,code,.address,.shop,.lines dd,.x,.payback h2'))
		.flatMap(e=>[...e.childNodes].filter(n=>n.nodeType===3).map(n=>n.data).concat(e.closest('svg')?[]:e.getAttribute('aria-label')||[])).join('\n')`)
	if strings.Contains(text, "⟦") || regexp.MustCompile(`\{[a-z]+\}`).MatchString(text) {
		t.Errorf("C21 %s: a text is missing or not filled: %s", name, text)
	}
	if strings.HasSuffix(name, "-ko") {
		for _, word := range english.FindAllString(text, -1) {
			if !koreanMayHave[word] {
				t.Errorf("C21 %s: stray word %q", name, word)
			}
		}
		if tag := get[string](t, ctx, "document.documentElement.lang"); tag != "ko" {
			t.Errorf("C21 %s: lang is %s", name, tag)
		}
	}
	state := get[string](t, ctx, "(document.getElementById('live')||{dataset:{}}).dataset.state||''")
	if state != "paid" && state != "overpaid" && state != "refunded" && !strings.HasPrefix(name, "receipt") && complete.MatchString(text) {
		t.Errorf("C22 %s: says %q", name, complete.FindString(text))
	}
}
