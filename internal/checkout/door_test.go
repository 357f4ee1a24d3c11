package checkout

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/payment"
)

// served is the front door over the gallery.
func served(t *testing.T, edit func(*Options)) (http.Handler, *gallery.Desk) {
	t.Helper()
	desk := gallery.NewDesk(gallery.Fixtures())
	o := Options{Desk: desk, Wakes: desk, Nets: gallery.Nets(), PublicURL: "http://pay.test", RatePerPage: 1000, RatePerIP: 10000,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if edit != nil {
		edit(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h, desk
}

func ask(h http.Handler, method, path string, form url.Values, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://pay.test"+path, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://pay.test")
	}
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestStates checks that the gallery's facts lead to the states they are named for.
func TestStates(t *testing.T) {
	named := map[string]State{"choose-one": StateChoose, "choose-refused": StateChoose, "other-coin": StateConfirming,
		"cancelled": StateShort, "paid-popup": StatePaid, "paid-late": StatePaid, "overpaid-known": StateOverpaid,
		"late-waiting": StateLate, "expired-checking": StateExpired, "refund-need": StateShort, "refund-need-asked": StatePaid,
		"refund-waiting": StateShort, "refund-small": StateOverpaid, "refund-moving": StateShort, "refund-excess-done": StateOverpaid,
		"refund-failed": StateShort, "refund-failed-fixed": StatePaid}
	for _, f := range gallery.Fixtures() {
		want, ok := named[f.Name]
		if !ok {
			want = State(f.Name)
			for _, cut := range []string{"await", "confirming"} {
				if strings.HasPrefix(f.Name, cut) {
					want = State(cut)
				}
			}
		}
		if got := stateOf(f.View); got != want {
			t.Errorf("%s: state %s, want %s", f.Name, got, want)
		}
	}
}

func TestC22C23Pages(t *testing.T) {
	h, _ := served(t, nil)
	early := regexp.MustCompile(`(?i)완료|complete`)
	panel := regexp.MustCompile(`(?s)<section class="payback.*?</section>|data-also="[^"]*"|autocomplete`) // C22: refund panel aside
	for _, f := range gallery.Fixtures() {
		for _, lang := range []string{"en", "ko"} {
			w := ask(h, "GET", pagePath(f.View.Invoice.ID)+"?lang="+lang, nil)
			body := w.Body.String()
			if w.Code != 200 {
				t.Fatalf("%s: %d %s", f.Name, w.Code, body)
			}
			state := stateOf(f.View)
			if strings.Contains(body, "⟦") || strings.Contains(body, "{n}") && !strings.Contains(body, "data-") {
				t.Errorf("%s %s: a text is missing", f.Name, lang)
			}
			if !strings.Contains(body, `<html lang="`+lang+`"`) {
				t.Errorf("%s: lang is not %s", f.Name, lang)
			}
			if early.MatchString(panel.ReplaceAllString(body, "")) != (state.Done() || state == StateRefunded && lang == "ko") {
				t.Errorf("%s %s: says complete: %t", f.Name, lang, early.MatchString(body))
			}
			if got := strings.Contains(body, `class="qr"`); got != payable(state) {
				t.Errorf("%s: shows where to pay: %t", f.Name, got)
			}
			if !payable(state) && strings.Contains(strings.ReplaceAll(body, "</span><wbr><span>", ""), gallery.BTCAddress) &&
				f.View.Invoice.RefundAddress("BTC") == "" {
				t.Errorf("%s: shows the address though nothing is to be paid", f.Name)
			}
			if strings.Contains(body, "style=") || strings.Contains(body, "<script>") || strings.Contains(body, " onclick") {
				t.Errorf("%s: inline style or script", f.Name)
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: policy %q", f.Name, csp)
			}
		}
	}
}

func TestUnknownInvoice(t *testing.T) {
	h, _ := served(t, nil)
	for _, path := range []string{"/x", "/invoice-", "/invoice-1", pagePath(gallery.ID("nobody")), "/INVOICE-" + string(gallery.ID("paid")),
		basePath(gallery.ID("nobody")) + "/cancel"} {
		w := ask(h, "GET", path, nil, func(r *http.Request) { r.Header.Set("Accept-Language", "ko-KR,ko;q=0.9") })
		if w.Code != 404 || !strings.Contains(w.Body.String(), "문의 번호") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := ask(h, "GET", "/invoice-"+strings.ToLower(string(gallery.ID("paid"))), nil)
	if w.Code != 200 {
		t.Errorf("lower-case id: %d", w.Code)
	}
	for _, path := range []string{"/invoice/x/status", basePath(gallery.ID("nobody")) + "/feed"} {
		w := ask(h, "GET", path, nil)
		if w.Code != 404 || !strings.Contains(w.Body.String(), payment.WordNoInvoice) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// TestReceiptStays: opened again later, a paid page is a receipt and leads nowhere by itself.
func TestReceiptStays(t *testing.T) {
	h, desk := served(t, nil)
	id := gallery.ID("paid")
	v, err := desk.Page(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for after, auto := range map[time.Duration]bool{0: true, ReturnWithin + time.Minute: false} {
		v.Now = gallery.Now().Add(after)
		desk.Put(id, v)
		if got := strings.Contains(ask(h, "GET", pagePath(id), nil).Body.String(), "data-after="); got != auto {
			t.Errorf("%s after: leaves by itself: %t", after, got)
		}
	}
}
