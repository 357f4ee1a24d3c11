package checkout

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// TestC31RefundPanel: every way that a refund can stand has its words, amounts and one next step, and none says more than is
// true.
func TestC31RefundPanel(t *testing.T) {
	h, _ := served(t, func(o *Options) {
		o.Explorers = map[money.Network]string{gallery.Bitcoin: "https://explorer.example/tx/{txid}"}
	})
	sum := []string{"0.00049981 BTC", "− 0.00000846 BTC", "0.00049135 BTC"}
	for name, c := range map[string]struct {
		has, hasNot []string
		title       string
	}{
		"refund-need": {[]string{"Where should the refund go?", "/refund-address?coin=BTC", "0.00049981 BTC", "known when it is sent"},
			[]string{"Refund requested", gallery.RefundTxID}, "Refund"},
		"refund-need-asked":   {[]string{"Where should the refund go?", "The shop refunds this payment."}, []string{"data-after"}, "✓ Paid"},
		"refund-waiting":      {[]string{"Refund requested", "confirmed deeply enough", "<span>bc1q</span>"}, []string{"/refund-address"}, "Closed"},
		"refund-small":        {[]string{"Refund requested", "more than this amount is worth"}, []string{"/refund-address"}, "✓ Paid"},
		"refund-moving":       {append(sum, "Refund on its way", gallery.RefundTxID, "https://explorer.example/tx/"+gallery.RefundTxID, "confirmations: 1 of 6"), []string{"/refund-address", "Refund complete"}, "Refunding"},
		"refund-excess-done":  {[]string{"Refund complete", "Payment complete", "0.00009163 BTC", "Done at"}, []string{"/refund-address", "It will be refunded"}, "✓ Paid"},
		"refund-failed":       {[]string{"Refund failed", "receiver does not take the coins", "Enter another address", "/refund-address?coin=BTC"}, []string{"On its way"}, "Refund"},
		"refund-failed-fixed": {[]string{"Refund failed", "Contact it."}, []string{"/refund-address"}, "✓ Paid"},
		"refunded":            {[]string{"What you paid has been refunded", "Refund complete", "0.00065885 BTC"}, []string{"/refund-address"}, "Refunded"},
		"partial-expired":     {[]string{"Where should the refund go?", "/refund-address?coin=BTC"}, []string{"Refund requested"}, "Refund"},
		"late-waiting":        {nil, []string{"Where should the refund go?"}, "Late"},
	} {
		body := ask(h, "GET", pagePath(gallery.ID(name)), nil).Body.String()
		for _, text := range c.has {
			if !strings.Contains(body, text) {
				t.Errorf("%s: no %q", name, text)
			}
		}
		for _, text := range c.hasNot {
			if strings.Contains(body, text) {
				t.Errorf("%s: says %q", name, text)
			}
		}
		if !strings.Contains(body, "<title>"+c.title+"</title>") {
			t.Errorf("%s: the title is not %s", name, c.title)
		}
	}
}

// TestRefundOfAnotherCoin: coins that paid for nothing go back too, each to an address of their own coin.
func TestRefundOfAnotherCoin(t *testing.T) {
	h, desk := served(t, nil)
	id := gallery.ID("other-coin")
	v, err := desk.Page(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	other := payment.Payout{ID: gallery.ID("p"), Kind: payment.RefundExcess, Network: gallery.Ethereum, State: payment.PayoutWaiting,
		Held: payment.HoldAddress, Amount: money.Of(money.ETH, 9e14), CreatedAt: gallery.Now()}
	v.Payouts, v.Outgoing = []payment.Payout{other}, []engine.Outgoing{{Payout: other}}
	v.Invoice.Refunds = map[money.Currency]payment.RefundAddress{money.BTC: {Address: gallery.BTCAddress}}
	v.Status, v.Invoice.Told.Status = payment.Paid, payment.Paid
	desk.Put(id, v)
	body := ask(h, "GET", pagePath(id), nil).Body.String()
	if !strings.Contains(body, "/refund-address?coin=ETH") || strings.Contains(body, "/refund-address?coin=BTC") || !strings.Contains(body, "0.0009 ETH") {
		t.Errorf("page: %s", body)
	}
	wantRedirect(t, ask(h, "POST", base("other-coin")+"/refund-address", url.Values{"coin": {"ETH"}, "address": {gallery.ETHAddress}, "step": {"save"}, "right": {"yes"}}), pagePath(id))
	if got := strings.Join(desk.Acts(), ","); got != "refund ETH "+gallery.ETHAddress {
		t.Errorf("did %s", got)
	}
}

// TestRefundChangesAreSeen: the feed's version moves with each step of a refund, and each is announced.
func TestRefundChangesAreSeen(t *testing.T) {
	h, desk := served(t, nil)
	id := gallery.ID("partial-expired")
	seen := map[string]string{}
	for _, name := range []string{"partial-expired", "refund-need", "refund-waiting", "refund-moving", "refund-failed", "refunded"} {
		v, err := desk.Page(t.Context(), gallery.ID(name))
		if err != nil {
			t.Fatal(err)
		}
		desk.Put(id, v)
		body := ask(h, "GET", basePath(id)+"/status", nil).Body.String()
		version, _, _ := strings.Cut(strings.TrimPrefix(body, `{"version":"`), `"`)
		if before, was := seen[version]; was {
			t.Errorf("%s and %s have one version", before, name)
		}
		seen[version] = name
	}
	v := gallery.New("x").Quote(money.BTC, time.Hour).Deposit(gallery.Coming{PerMille: 749, Ago: 50 * time.Minute, State: payment.Confirmed, Blocks: 2}).
		Return(gallery.Return{Kind: payment.RefundShort, Amount: 49981, State: payment.PayoutPaying, To: gallery.BTCAddress, Fee: 846, Have: 2}).View()
	desk.Put(id, v)
	if body := ask(h, "GET", basePath(id)+"/status", nil).Body.String(); !strings.Contains(body, `"refund":2,"also":"Refund on its way"`) {
		t.Errorf("status: %s", body)
	}
}

// TestRefundAsksEarly: where no address is known the page asks for one at once, not only when nothing else is waited for.
func TestRefundAsksEarly(t *testing.T) {
	h, desk := served(t, nil)
	id := gallery.ID("refund-need")
	for held, asks := range map[payment.Hold]bool{payment.HoldNone: true, payment.HoldDepth: true, payment.HoldAddress: true, payment.HoldFee: false, payment.HoldApproval: false} {
		v := gallery.New("refund-need").Quote(money.BTC, 90*time.Minute).Deposit(gallery.Coming{PerMille: 749, Ago: 80 * time.Minute, State: payment.Confirmed, Blocks: 2}).
			Return(gallery.Return{Kind: payment.RefundShort, Amount: 49981, State: payment.PayoutWaiting, Held: held}).View()
		desk.Put(id, v)
		if got := strings.Contains(ask(h, "GET", pagePath(id), nil).Body.String(), "/refund-address?coin=BTC"); got != asks {
			t.Errorf("held for %q: asks for an address: %t", held, got)
		}
	}
}
