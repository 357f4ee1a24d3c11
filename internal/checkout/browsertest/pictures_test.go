package browsertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
)

// TestLook keeps pictures of the states named in PIPE_LOOK (a comma between, or "all") in PIPE_PICTURES, on a phone and a
// desktop, for whoever works on the page.
func TestLook(t *testing.T) {
	names, dir := os.Getenv("PIPE_LOOK"), pictures()
	if names == "" || dir == "" {
		t.Skip("for eyes: PIPE_LOOK=paid,late PIPE_PICTURES=/tmp/look go test -run TestLook")
	}
	s := serve(t, nil)
	ctx := tab(t)
	for _, f := range gallery.Fixtures() {
		if names != "all" && !strings.Contains(","+names+",", ","+f.Name+",") {
			continue
		}
		for lang, colour := range map[string]string{"en": "light", "ko": "dark"} {
			for at, size := range map[string][2]int64{"phone": {390, 844}, "desktop": {1280, 800}} {
				if lang == "ko" && at == "desktop" {
					colour = "light"
				}
				colours(t, ctx, colour)
				run(t, ctx, chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate(s.page(f.Name)+"?lang="+lang), chromedp.WaitReady(chromedp.CSS("#heading")))
				keep(t, ctx, filepath.Join(dir, f.Name+"-"+lang+"-"+at+".png"))
			}
		}
	}
}
