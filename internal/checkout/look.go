package checkout

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// tinted answers the style sheet in a shop's colour: GET /pay/in/<rrggbb>/<hashed name>. It is one file, so that a shop's
// colour costs no further request.
func (d *door) tinted(w http.ResponseWriter, r *http.Request) error {
	c, ok := parseColour("#" + r.PathValue("colour"))
	if !ok || staticPrefix+r.PathValue("name") != d.static.URL(styleName) {
		return noPage()
	}
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	return web.Send(w, r, http.StatusOK, append(d.static.Body(styleName), tint(c)...))
}

const styleName = "page.css"

// styleOf is where the style sheet of an application's pages is.
func (d *door) styleOf(l payment.Look) string {
	plain := d.static.URL(styleName)
	if c, ok := parseColour(l.Color); ok {
		return staticPrefix + "in/" + c.String()[1:] + "/" + plain[len(staticPrefix):]
	}
	return plain
}

// logo answers GET /invoice/<ID>/logo/<hash>: the shop's picture, and nothing else.
func (d *door) logo(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	v, err := d.Desk.Page(r.Context(), id)
	if err != nil {
		return err
	}
	logo := v.Application.Settings.Look.Logo
	if len(logo) == 0 || logoHash(logo) != r.PathValue("hash") {
		return noPage()
	}
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = w.Write(logo)
	return err
}

func logoHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// dress gives a frame the look of the invoice's application.
func (d *door) dress(f *frame, v engine.View) {
	l := v.Application.Settings.Look
	f.Style = d.styleOf(l)
	if len(l.Logo) > 0 {
		f.Logo = basePath(v.Invoice.ID) + "/logo/" + logoHash(l.Logo)
	}
	f.Support = l.Support
	if l.SupportIsMail() {
		f.Support = "mailto:" + l.Support + "?subject=" + percent(v.Invoice.OrderID)
	}
}

// home answers GET /: people come here by hand, from a cut link.
func (d *door) home(w http.ResponseWriter, r *http.Request) error {
	p := d.asked(r, spoken(r))
	m := errorModel{Catalogue: p.Catalogue, frame: d.bareFrame(p), Heading: p.Say("home"), Do: p.Say("home.do")}
	return d.show(w, r, shown{http.StatusOK, "home.html", m, nil})
}
