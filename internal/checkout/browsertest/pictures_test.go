package browsertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
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
	for name, url := range pages(s) {
		if names != "all" && !strings.Contains(","+names+",", ","+name[:len(name)-3]+",") {
			continue
		}
		for at, size := range map[string][2]int64{"phone": {390, 844}, "desktop": {1280, 800}} {
			colour := "light"
			if strings.HasSuffix(name, "-ko") == (at == "phone") {
				colour = "dark"
			}
			colours(t, ctx, colour)
			run(t, ctx, chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("h1")))
			keep(t, ctx, filepath.Join(dir, name+"-"+at+".png"))
		}
	}
}
