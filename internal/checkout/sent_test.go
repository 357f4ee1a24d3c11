package checkout

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// TestC30AlreadySent: who has sent it says so first, on every page that asks for coins and on the expired one; looking up
// answers in words, changes nothing, and is limited.
func TestC30AlreadySent(t *testing.T) {
	h, desk := served(t, func(o *Options) { o.LookupPerHour = 7 })
	for _, f := range gallery.Fixtures() {
		state := stateOf(f.View)
		has := strings.Contains(ask(h, "GET", pagePath(f.View.Invoice.ID), nil).Body.String(), `action="`+base(f.Name)+`/sent"`)
		if want := payable(state) || state == StateLapsed || state == StateExpired && f.Name != "expired-checking"; has != want {
			t.Errorf("%s: asks for a transaction id: %t", f.Name, has)
		}
	}
	path := base("seen") + "/sent"
	for _, c := range []struct{ txid, want string }{
		{gallery.TxID, "We have your payment"},
		{"https://explorer.example/tx/" + strings.ToUpper(gallery.TxID) + "?a=1", "We have your payment"},
		{gallery.RefundTxID, "went to another address"},
		{strings.Repeat("a", 64), "does not know this transaction yet"},
		{"nonsense <b>", "This is no transaction ID"},
		{strings.Repeat("b", 5000), "This is no transaction ID"},
		{gallery.TxID + " " + gallery.RefundTxID, "This is no transaction ID"},
		{gallery.TxID, "Too many requests"},
	} {
		w := ask(h, "POST", path, url.Values{"txid": {c.txid}})
		if !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "<b>") {
			t.Errorf("%.80q: %d, no %q: %s", c.txid, w.Code, c.want, w.Body)
		}
	}
	if w := ask(h, "GET", path+"?lang=ko", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "거래 ID") {
		t.Errorf("form: %d %s", w.Code, w.Body)
	}
	if acts := desk.Acts(); len(acts) > 0 {
		t.Errorf("looking did %q", acts)
	}
}

// TestSentIsFramedLikeThePage: the answer can be read in a layer.
func TestSentIsFramedLikeThePage(t *testing.T) {
	h, desk := served(t, nil)
	v := gallery.New("expired").Edit(func(i *payment.Invoice) { i.OpenType = payment.OpenLayer }).View()
	desk.Put(gallery.ID("expired"), v)
	w := ask(h, "GET", base("expired")+"/sent", nil)
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors https://shop.example;") {
		t.Errorf("policy %q", csp)
	}
}

// TestEveryTraceHasWords: each answer says what is known and what to do, in both languages.
func TestEveryTraceHasWords(t *testing.T) {
	d, err := newDoor(Options{Desk: gallery.NewDesk(nil), Wakes: gallery.NewDesk(nil), PublicURL: "https://pay.test", Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []engine.Trace{engine.TraceOurs, engine.TraceRefund, engine.TraceLost, engine.TraceComing, engine.TraceOther, engine.TraceElsewhere,
		engine.TraceToken, engine.TraceContract, engine.TraceFailed, engine.TraceUnknown, engine.TraceBlind} {
		for _, l := range []payment.Language{payment.English, payment.Korean} {
			m := sentModel{Catalogue: d.Texts.In(l)}
			d.tell(&m, engine.Traced{Trace: trace, Network: gallery.Bitcoin, TxID: gallery.TxID})
			if m.Heading == "" || strings.ContainsAny(m.Heading+m.Do, "⟦{") || m.Good != (trace == engine.TraceOurs || trace == engine.TraceRefund || trace == engine.TraceComing) {
				t.Errorf("%s %s: %q %q", trace, l, m.Heading, m.Do)
			}
		}
	}
}
