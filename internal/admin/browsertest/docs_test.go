package browsertest

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webtest"
)

const (
	docsPage   = "../../../docs/admin.md"
	docsImages = "../../../docs/images/admin"
	// maxPictures bounds all pictures of the admin together, in bytes.
	maxPictures = 2_500_000
	// docsWidth and docsHeight are the window that the pictures show, docsScale how small.
	docsWidth, docsHeight = 1040, 760
	docsScale             = 0.6
)

// TestDocsPictures: the document of the admin has a picture of each page in both languages, and they are small. With PIPE_DOCS
// set it takes the pictures anew.
func TestDocsPictures(t *testing.T) {
	s := open(t)
	if os.Getenv("PIPE_DOCS") != "" {
		s.takePictures(t)
	}
	text, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, x := range s.sights() {
		for _, lang := range []string{"en", "ko"} {
			name := x.name + "-" + lang + ".png"
			info, err := os.Stat(filepath.Join(docsImages, name))
			if err != nil || !strings.Contains(string(text), "images/admin/"+name) {
				t.Errorf("%s has no picture in docs/admin.md: PIPE_DOCS=1 go test -run TestDocsPictures ./internal/admin/browsertest", name)
				continue
			}
			sum += info.Size()
		}
	}
	if sum > maxPictures {
		t.Errorf("the pictures have %d bytes", sum)
	}
}

// takePictures keeps a picture of every page, English in light and Korean in dark, and writes the document around them.
func (s *shop) takePictures(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(docsImages); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(docsImages, 0o755); err != nil {
		t.Fatal(err)
	}
	titles := map[string]string{}
	for _, lang := range []payment.Language{payment.English, payment.Korean} {
		v := s.viewer(t, lang)
		tag, colour := "en", "light"
		if lang == payment.Korean {
			tag, colour = "ko", "dark"
		}
		webtest.Colours(t, v.ctx, colour)
		webtest.Run(t, v.ctx, chromedp.EmulateViewport(docsWidth, docsHeight, chromedp.EmulateScale(docsScale)))
		for _, x := range s.sights() {
			v.show(x)
			if tag == "en" {
				titles[x.name] = webtest.Get[string](t, v.ctx, "document.querySelector('h1').textContent")
			}
			path := filepath.Join(docsImages, x.name+"-"+tag+".png")
			webtest.KeepWindow(t, v.ctx, path)
			webtest.Shrink(t, path)
			v.leave(x)
		}
	}
	var b strings.Builder
	b.WriteString(docsHead)
	for _, x := range s.sights() {
		picture := func(tag, language string) string {
			return fmt.Sprintf(`<img src="images/admin/%s-%s.png" width="420" alt="%s, %s">`, x.name, tag, x.name, language)
		}
		where := regexp.MustCompile(`[0-9A-F]{64}`).ReplaceAllString(x.path, "ID")
		where, _, _ = strings.Cut(regexp.MustCompile(`/(link|veto)/.*`).ReplaceAllString(where, "/$1/…"), "?")
		fmt.Fprintf(&b, "| **%s**<br>`%s` | %s | %s |\n", html.EscapeString(titles[x.name]), where, picture("en", "English"), picture("ko", "Korean"))
	}
	if err := os.WriteFile(docsPage, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

const docsHead = `# The admin, in pictures

What owners, their teams and the operator see, with a made-up shop. English is shown in light colours and Korean in dark ones; each follows
the browser's setting. On phones tables become cards and the navigation a menu. Every page works without JavaScript, except passkeys.
How to come in the first time is in [operate.md](operate.md); who may do what is in [roles.md](roles.md).

Made by the tests of the admin: ` + "`PIPE_DOCS=1 go test -run TestDocsPictures ./internal/admin/browsertest`" + `. Another test fails while a page
lacks its picture.

| page | English | 한국어 |
| --- | --- | --- |
`
