package checkout

import (
	"context"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
)

type fixedRates struct{}

func (fixedRates) Price(_ context.Context, coin, currency money.Currency) (payment.Price, error) {
	rate, err := money.NewRate(coin, currency, big.NewRat(15735051, 1))
	return payment.Price{Rate: rate, At: time.Now(), Votes: []payment.Vote{{Source: "fixed", Value: "15735051", Counted: true}}}, err
}

// realDesk is an engine.Desk over a SQLite database with one application and one free Bitcoin address.
func realDesk(t *testing.T) (*engine.Desk, payment.Application) {
	t.Helper()
	ctx, dburl := t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "pipe.db")
	if _, _, err := store.Migrate(ctx, dburl, discard()); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, store.Options{URL: dburl, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var app payment.Application
	err = s.Update(ctx, func(tx engine.Tx) error {
		m := payment.Merchant{ID: tx.NewID(), Name: "M", CreatedAt: tx.Now()}
		if _, err := tx.AddMerchant(m); err != nil {
			return err
		}
		app = payment.Application{ID: tx.NewID(), MerchantID: m.ID, Name: "Seoul Roastery", Origins: []string{"https://shop.example"},
			Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Coins: []money.Currency{money.BTC},
			Settings: payment.DefaultSettings(), Callback: payment.CallbackSettings{Encoding: payment.EncodingJSON},
			CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
		if err := tx.AddApplication(app); err != nil {
			return err
		}
		if err := tx.SaveNetworkState(engine.NetworkState{Network: gallery.Bitcoin, Sight: tx.Now(), Height: 100}); err != nil {
			return err
		}
		return tx.AddAddresses([]payment.Address{{Network: gallery.Bitcoin, Address: gallery.BTCAddress, MerchantID: m.ID, Epoch: 1,
			State: payment.AddressFree, ReleasedAt: tx.Now(), Balance: money.Zero(money.BTC)}})
	})
	if err != nil {
		t.Fatal(err)
	}
	nets := gallery.Nets()
	btc := nets[money.BTC]
	btc.MaxBlind = time.Hour
	return &engine.Desk{Store: s, Rates: fixedRates{}, Nets: map[money.Currency]engine.Net{money.BTC: btc}, Log: discard(),
		MaxPrice: map[money.Currency]money.Amount{money.KRW: money.Of(money.KRW, 1_000_000)}}, app
}

// TestOnTheRealDesk: the page over engine.Desk and a database, from the coin to the refund address.
func TestOnTheRealDesk(t *testing.T) {
	desk, app := realDesk(t)
	inv, err := desk.Create(t.Context(), app, engine.Create{PriceCurrency: "KRW", Price: "10500", OrderID: "O-1", OrderName: `<b>"Coffee"</b> & more`,
		Language: "kr", CallbackURL: "https://shop.example/cb"})
	if err != nil {
		t.Fatal(err)
	}
	h, _ := served(t, func(o *Options) { o.Desk, o.Nets = desk, desk.Nets })
	page, act := pagePath(inv.ID), basePath(inv.ID)
	first := ask(h, "GET", page, nil).Body.String()
	if !strings.Contains(first, "10,500원") || !strings.Contains(first, `id="auto-choose"`) || strings.Contains(first, "<b>") {
		t.Fatalf("first page: %s", first)
	}
	for range 2 { // a double click harms nothing
		wantRedirect(t, ask(h, "POST", act+"/coin", url.Values{"coin": {"BTC"}}), page)
	}
	body := ask(h, "GET", page, nil).Body.String()
	if !strings.Contains(body, "0.00066731") || !strings.Contains(body, "<span>bc1q</span>") || strings.Contains(body, "%3Cb%3E\"") {
		t.Fatalf("after choosing: %s", body)
	}
	wantRedirect(t, ask(h, "POST", act+"/more", url.Values{}), page)
	ours := url.Values{"address": {gallery.BTCAddress}, "step": {"save"}, "right": {"yes"}}
	if w := ask(h, "POST", act+"/refund-address", ours); w.Code != 422 || !strings.Contains(w.Body.String(), "이 결제 서비스의 입금 주소") {
		t.Errorf("our own address: %d %s", w.Code, w.Body)
	}
	mine := url.Values{"address": {"bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0g"}, "step": {"save"}, "right": {"yes"}}
	w := ask(h, "POST", act+"/refund-address", mine)
	wantRedirect(t, w, page)
	if w := ask(h, "POST", act+"/refund-address", mine); w.Code != 422 {
		t.Errorf("another browser: %d", w.Code)
	}
	own := func(r *http.Request) { r.AddCookie(w.Result().Cookies()[1]) }
	wantRedirect(t, ask(h, "POST", act+"/refund-address", mine, own), page)
	if w := ask(h, "POST", act+"/cancel", url.Values{}, own); w.Code != http.StatusConflict {
		t.Errorf("cancel with nothing paid: %d", w.Code)
	}
	if w := ask(h, "GET", act+"/status", nil); w.Code != 200 || !strings.Contains(w.Body.String(), `"state":"await"`) {
		t.Errorf("status: %d %s", w.Code, w.Body)
	}
}

// TestHostileOrder: nothing that a shop sends as text becomes markup, script, or another parameter of a wallet link.
func TestHostileOrder(t *testing.T) {
	for _, text := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
		`{{.Pay}}`, `</title><script>`, `&amount=0.1&req-x=1`, "\u202Egnp.exe", `--><svg onload=alert(1)>`} {
		h, desk := served(t, nil)
		v := gallery.New("await-btc").Edit(func(i *payment.Invoice) { i.OrderName, i.OrderID = text, text }).Quote(money.BTC, time.Minute).View()
		v.Application.Name = text
		desk.Put(gallery.ID("await-btc"), v)
		body := ask(h, "GET", pagePath(gallery.ID("await-btc")), nil).Body.String()
		for _, bad := range []string{"<script>", "<img", "<svg onload", "?amount=0.00066731&amp;amount="} {
			if strings.Contains(body, bad) {
				t.Errorf("%q: the page has %q", text, bad)
			}
		}
		if strings.Count(body, "amount=0.00066731") != 1 {
			t.Errorf("%q: the wallet link is not what it should be", text)
		}
	}
}

// TestC12TenExtensions: more time is given ten times, for the same address.
func TestC12TenExtensions(t *testing.T) {
	desk, app := realDesk(t)
	inv, err := desk.Create(t.Context(), app, engine.Create{PriceCurrency: "KRW", Price: "10500", OrderID: "O-1", CallbackURL: "https://shop.example/cb"})
	if err != nil {
		t.Fatal(err)
	}
	h, _ := served(t, func(o *Options) { o.Desk, o.Nets = desk, desk.Nets })
	wantRedirect(t, ask(h, "POST", basePath(inv.ID)+"/coin", url.Values{"coin": {"BTC"}}), pagePath(inv.ID))
	for i := range 10 {
		before, err := desk.Page(t.Context(), inv.ID)
		if err != nil {
			t.Fatal(err)
		}
		wantRedirect(t, ask(h, "POST", basePath(inv.ID)+"/more", url.Values{}), pagePath(inv.ID))
		after, err := desk.Page(t.Context(), inv.ID)
		if err != nil || after.Quote.ID == before.Quote.ID || after.Quote.Address != before.Quote.Address || after.Quote.Deadline.Before(before.Quote.Deadline) {
			t.Fatalf("extension %d: %v %+v", i+1, err, after.Quote)
		}
	}
}
