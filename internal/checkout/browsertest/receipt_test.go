package browsertest

import (
	"bytes"
	"context"
	"regexp"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/webtest"
)

// TestC32ReceiptOnPaper: printed, the receipt is one A4 page in both languages, with nothing on it that can be pressed.
func TestC32ReceiptOnPaper(t *testing.T) {
	s := serve(t, nil)
	ctx, yes := tab(t), true
	for _, name := range []string{"paid", "overpaid", "refunded"} {
		for _, lang := range []string{"en", "ko"} {
			run(t, ctx, chromedp.Navigate(s.URL+"/invoice/"+string(gallery.ID(name))+"/receipt?lang="+lang), chromedp.WaitVisible(chromedp.CSS(".receipt")))
			wait, cancel := context.WithTimeout(ctx, webtest.Patience)
			printed, err := chromedp.Call(wait, page.PrintToPDF, page.PrintToPDFParams{PreferCSSPageSize: &yes})
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			sheets := regexp.MustCompile(`/Type\s*/Page\b[^s]`).FindAll(printed.Data, -1)
			if len(sheets) != 1 || !regexp.MustCompile(`/MediaBox\s*\[0 0 59[45](\.\d+)? 84[12](\.\d+)?\]`).Match(printed.Data) || !bytes.HasPrefix(printed.Data, []byte("%PDF")) {
				t.Errorf("%s %s: %d sheets, %s", name, lang, len(sheets), regexp.MustCompile(`/MediaBox[^\]]*\]`).Find(printed.Data))
			}
			if n := get[int](t, ctx, "document.querySelectorAll('main button,main input,main form,main a,.qr').length"); n != 0 {
				t.Errorf("%s %s: %d controls", name, lang, n)
			}
		}
	}
}
