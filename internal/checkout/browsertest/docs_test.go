package browsertest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/webtest"
)

const (
	docsPage   = "../../../docs/payment-page.md"
	docsImages = "../../../docs/images/page"
	// maxPictures bounds all pictures of the page together, in bytes.
	maxPictures = 3 << 20
)

// TestDocsPictures: the document of all states has a picture of each in both languages, and they are small. With PIPE_DOCS set it
// takes the pictures and the figures anew.
func TestDocsPictures(t *testing.T) {
	s := serve(t, nil)
	if os.Getenv("PIPE_DOCS") != "" {
		takePictures(t, s)
		writeDocs(t, s)
	}
	text, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for name := range pages(s) {
		info, err := os.Stat(filepath.Join(docsImages, name+".png"))
		if err != nil || !strings.Contains(string(text), "images/page/"+name+".png") {
			t.Errorf("%s has no picture in docs/payment-page.md: PIPE_DOCS=1 go test -run TestDocsPictures %v", name, err)
			continue
		}
		sum += info.Size()
	}
	if sum > maxPictures {
		t.Errorf("the pictures have %d bytes", sum)
	}
}

// takePictures keeps a picture of every page, English in light and Korean in dark, as a phone shows it.
func takePictures(t *testing.T, s site) {
	t.Helper()
	if err := os.RemoveAll(docsImages); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(docsImages, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx := tab(t)
	for name, url := range pages(s) {
		webtest.ScriptOff(t, ctx, strings.HasPrefix(name, "choose-one")) // script leaves that one at once
		webtest.Colours(t, ctx, map[bool]string{true: "dark", false: "light"}[strings.HasSuffix(name, "-ko")])
		run(t, ctx, chromedp.EmulateViewport(390, 500), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("h1")))
		path := filepath.Join(docsImages, name+".png")
		webtest.Keep(t, ctx, path)
		webtest.Shrink(t, path)
	}
	for path, show := range map[string][2]string{"../payment-page.png": {"await-dressed", "en"}, "desktop-overpaid.png": {"overpaid", "ko"}} {
		webtest.Colours(t, ctx, map[string]string{"en": "light", "ko": "dark"}[show[1]])
		run(t, ctx, chromedp.EmulateViewport(1100, 700), chromedp.Navigate(s.page(show[0])+"?lang="+show[1]), chromedp.WaitReady(chromedp.CSS("h1")))
		path = filepath.Join(docsImages, path)
		webtest.Keep(t, ctx, path)
		webtest.Shrink(t, path)
	}
}

// writeDocs writes the document: figures, pictures, and which test proves which goal.
func writeDocs(t *testing.T, s site) {
	t.Helper()
	plain, dressed := firstLoad(t, s, "await-btc"), firstLoad(t, s, "await-dressed")
	all := []load{plain}
	for len(all) < 5 {
		all = append(all, firstLoad(t, s, "await-btc"))
	}
	span := func(of func(load) float64) string {
		least, most := all[0], all[0]
		for _, l := range all {
			if of(l) < of(least) {
				least = l
			}
			if of(l) > of(most) {
				most = l
			}
		}
		return fmt.Sprintf("%.2f to %.2f", of(least)/1000, of(most)/1000)
	}
	var b strings.Builder
	fmt.Fprintf(&b, docsHead, plain.total/1000, dressed.total/1000, plain.script/1000, plain.requests, dressed.requests,
		span(func(l load) float64 { return l.fcp }), span(func(l load) float64 { return l.lcp }), plain.cls, span(func(l load) float64 { return l.tbt }))
	row := func(name, what string) {
		fmt.Fprintf(&b, "| **%s**<br>%s | <img src=\"images/page/%s-en.png\" width=\"270\" alt=\"%s, English\"> | <img src=\"images/page/%s-ko.png\" width=\"270\" alt=\"%s, Korean\"> |\n",
			name, what, name, name, name, name)
	}
	heading := func(url string) string {
		found := regexp.MustCompile(`<h1[^>]*>([^<]*)</h1>`).FindSubmatch(fetch(t, url+"lang=en"))
		if found == nil {
			t.Fatalf("%s has no heading", url)
		}
		return string(found[1])
	}
	for _, f := range gallery.Fixtures() {
		row(f.Name, heading(s.page(f.Name)+"?"))
	}
	b.WriteString("\n## The pages beside it\n\n| page | English | 한국어 |\n| --- | --- | --- |\n")
	others := beside(s)
	for _, name := range slices.Sorted(maps.Keys(others)) {
		row(name, heading(others[name]))
	}
	b.WriteString("\n## Which test proves which goal\n\n| goal | tests |\n| --- | --- |\n")
	for _, line := range goalTests(t) {
		b.WriteString(line)
	}
	if err := os.WriteFile(docsPage, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// goalTests are the tests that bear the number of a goal in their name.
func goalTests(t *testing.T) []string {
	t.Helper()
	found := map[int][]string{}
	for _, dir := range []string{".", "..", "../../web", "../../demo"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test((?:C\d+)+)\w*)\(`).FindAllStringSubmatch(string(src), -1) {
				for _, n := range regexp.MustCompile(`C(\d+)`).FindAllStringSubmatch(m[2], -1) {
					var goal int
					if _, err := fmt.Sscan(n[1], &goal); err != nil {
						t.Fatal(err)
					}
					found[goal] = append(found[goal], "`"+m[1]+"`")
				}
			}
		}
	}
	var lines []string
	for goal := 1; goal <= 35; goal++ {
		slices.Sort(found[goal])
		if len(found[goal]) == 0 {
			t.Errorf("no test bears the number of C%d", goal)
		}
		lines = append(lines, fmt.Sprintf("| C%d | %s |\n", goal, strings.Join(slices.Compact(found[goal]), ", ")))
	}
	return lines
}

const docsHead = `# The payment page, in pictures

Made by the tests of the page: ` + "`PIPE_DOCS=1 go test -run TestDocsPictures ./internal/checkout/browsertest`" + `. Another test fails while a
state lacks its picture. English is shown in light colours and Korean in dark ones; each follows the browser's setting.

## What a first visit costs

Measured in headless Chromium at 360 × 640 over a slow network (150 ms, 1.6 Mbit/s) with a CPU slowed four times, from a cold cache,
on two cores that others worked on too; the times are the best and the worst of five. BTCPay is btcpayserver at 03345c28.

| | PIPE | goal | BTCPay |
| --- | --- | --- | --- |
| everything, gzip, headers included | %.1f kB; %.1f kB with a shop's colour and logo | 40 kB | 168 kB before its HTML |
| script | %.1f kB | 12 kB | – |
| requests, the live feed included | %d; %d with a logo | 5 | – |
| requests to others | 0 | 0 | – |
| first contentful paint | %s s | 1.0 s | – |
| largest contentful paint | %s s | 1.3 s | – |
| layout shift | %.3f | 0.01 | – |
| blocking time | %s s | 0.05 s | – |
| without JavaScript | every state, every action | every state | nothing: the page is script |
| content security policy | no unsafe-*, Trusted Types on | the same | unsafe-eval |
| may be framed by | the shop's registered origins, for the open type layer only | the same | any site |
| a payment that was merely seen, in Korean | 입금을 감지했습니다 (payment seen) | never "complete" early | 결제가 완료되었습니다 (payment complete) |

## On a desktop

![Waiting for a payment, in a shop's own colour](images/payment-page.png)
![Paid, with too much, in Korean and in the dark](images/page/desktop-overpaid.png)

## Every state, on a phone

| state | English | 한국어 |
| --- | --- | --- |
`
