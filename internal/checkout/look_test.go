package checkout

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/payment"
)

// TestC14AnyColour: whatever colour a shop has, text in it can be read on light and dark, and so can what is written on its
// buttons.
func TestC14AnyColour(t *testing.T) {
	value := regexp.MustCompile(`--(brand|on|edge|accent):(#[0-9a-f]{6})`)
	rapid.Check(t, func(t *rapid.T) {
		c := colour{rapid.Uint8().Draw(t, "red"), rapid.Uint8().Draw(t, "green"), rapid.Uint8().Draw(t, "blue")}
		found := value.FindAllStringSubmatch(tint(c), -1)
		if len(found) != 8 {
			t.Fatalf("%s: %s", c, tint(c))
		}
		for i, card := range []colour{lightCard, darkBox} {
			is := map[string]colour{}
			for _, f := range found[4*i : 4*i+4] {
				is[f[1]], _ = parseColour(f[2])
			}
			if is["brand"] != c || is["brand"].contrast(is["on"]) < 4.5 || is["edge"].contrast(card) < edgeContrast || is["accent"].contrast(card) < textContrast {
				t.Fatalf("%s on %s: %v", c, card, is)
			}
		}
		for _, surface := range []string{"#f4f5f7", "#f1f4f9", "#fff6e0", "#e9f7ef"} {
			s, _ := parseColour(surface)
			if got := c.readable(lightCard, black, textContrast).contrast(s); got < 4.5 {
				t.Fatalf("%s on %s: %.2f", c, surface, got)
			}
		}
		for _, surface := range []string{"#0f1217", "#202631", "#2d2310", "#12291d"} {
			s, _ := parseColour(surface)
			if got := c.readable(darkBox, white, textContrast).contrast(s); got < 4.5 {
				t.Fatalf("%s on %s: %.2f", c, surface, got)
			}
		}
	})
}

// TestLook: colour, logo and contact of the shop are on its pages, as files of our own.
func TestLook(t *testing.T) {
	h, _ := served(t, nil)
	body := ask(h, "GET", pagePath(gallery.ID("await-dressed")), nil).Body.String()
	style := regexp.MustCompile(`/pay/in/c0392b/page\.[0-9a-f]+\.css`).FindString(body)
	logo := regexp.MustCompile(`/invoice/[0-9A-F]{64}/logo/[0-9a-f]{16}`).FindString(body)
	if style == "" || logo == "" || !strings.Contains(body, `href="mailto:help@shop.example?subject=O20190318-0042"`) || strings.Contains(body, "style=") {
		t.Fatalf("page: %s", body)
	}
	w := ask(h, "GET", style, nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "--brand:#c0392b;--on:#ffffff") || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("style: %d %v", w.Code, w.Header())
	}
	w = ask(h, "GET", logo, nil)
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/png" || w.Header().Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(w.Body.String(), "\x89PNG") {
		t.Errorf("logo: %d %v", w.Code, w.Header())
	}
	for _, path := range []string{logo + "0", base("paid") + "/logo/0", "/pay/in/c0392b/page.js", "/pay/in/zzzzzz" + style[14:], "/pay/in/c0392b/page.000000000000.css"} {
		if w := ask(h, "GET", path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestC32Receipt: what was booked, and nothing that was only asked for; no controls; none before it is paid.
func TestC32Receipt(t *testing.T) {
	h, desk := served(t, nil)
	body := func(name, lang string) string {
		w := ask(h, "GET", base(name)+"/receipt?lang="+lang, nil)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		return w.Body.String()
	}
	for _, text := range []string{"Seoul Roastery", "Receipt", "₩10,500", "Payment complete", "O20190318-0042", "0.00066731 BTC", "1 BTC = ₩15,735,051",
		"upbit, bithumb, coinone", gallery.TxID, "(KST)", "http://pay.test" + pagePath(gallery.ID("paid")), "<dd>100</dd>"} {
		if !strings.Contains(body("paid", "en"), text) {
			t.Errorf("paid: no %q", text)
		}
	}
	over := body("overpaid", "en")
	if !strings.Contains(over, "<dt>Amount due</dt><dd>0.00066731 BTC</dd>") || !strings.Contains(over, "<dt>Received and confirmed</dt><dd>0.0007674 BTC</dd>") {
		t.Errorf("overpaid: %s", over)
	}
	if back := body("refunded", "ko"); !strings.Contains(back, "영수증") || !strings.Contains(back, gallery.RefundTxID) || !strings.Contains(back, "0.00065885 BTC") {
		t.Errorf("refunded: %s", back)
	}
	for _, f := range gallery.Fixtures() {
		w := ask(h, "GET", base(f.Name)+"/receipt", nil)
		state := stateOf(f.View)
		if want := state.Done() || state == StateRefunded; (w.Code == 200) != want {
			t.Errorf("%s: receipt answers %d", f.Name, w.Code)
		} else if want {
			for _, control := range []string{"<button", "<form", "<input", `class="qr"`, "<script", "data-until"} {
				if strings.Contains(w.Body.String(), control) {
					t.Errorf("%s: the receipt has a %s", f.Name, control)
				}
			}
		}
	}
	// What is seen but not booked is not on it.
	v := gallery.New("paid").Quote("BTC", 25*time.Minute).Deposit(gallery.Coming{PerMille: 1000, Ago: 20 * time.Minute, State: payment.Confirmed, Blocks: 2}).
		Deposit(gallery.Coming{PerMille: 500, Ago: time.Minute, State: payment.Seen}).View()
	desk.Put(gallery.ID("paid"), v)
	if body := body("paid", "en"); strings.Contains(body, "0.00100096") || !strings.Contains(body, "<dd>0.00066731 BTC</dd>") || strings.Contains(body, "0.00033365") {
		t.Errorf("an unconfirmed deposit is on the receipt: %s", body)
	}
}

// TestHome: who comes without a payment's link is told what this is.
func TestHome(t *testing.T) {
	h, _ := served(t, nil)
	w := ask(h, "GET", "/", nil, func(r *http.Request) { r.Header.Set("Accept-Language", "ko") })
	if w.Code != 200 || !strings.Contains(w.Body.String(), "상점에서 결제를 다시 열거나") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
