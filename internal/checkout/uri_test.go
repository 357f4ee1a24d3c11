package checkout

import (
	"math/big"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func TestC17URIExamples(t *testing.T) {
	btc := request{gallery.Bitcoin, gallery.BTCAddress, money.Of(money.BTC, 66730), "Café & Co", "No. 7?&amount=9"}
	eth := request{gallery.Ethereum, gallery.ETHAddress, money.OfBig(money.ETH, big.NewInt(2310000000000000)), "Shop", "Order"}
	for _, c := range []struct{ got, want string }{
		{btc.code(), "bitcoin:bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq?amount=0.0006673"},
		{btc.link(), "bitcoin:bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq?amount=0.0006673&label=Caf%C3%A9%20%26%20Co&message=No.%207%3F%26amount%3D9"},
		{eth.code(), "ethereum:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed@1?value=2310000000000000"},
		{eth.link(), "ethereum:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed@1?value=2310000000000000"},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

// TestC17URIAmount: whatever the amount, the text that a wallet reads is the exact integer.
func TestC17URIAmount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 1, 11).Draw(t, "units"))
		label := rapid.String().Draw(t, "label")
		btc := request{"bitcoin/regtest", "bcrt1q", money.OfBig(money.BTC, units), label, label}
		u, err := url.Parse(btc.link())
		if err != nil {
			t.Fatal(err)
		}
		amount, err := money.Parse(money.BTC, u.Query().Get("amount"))
		if err != nil || amount.Big().Cmp(units) != 0 {
			t.Fatalf("%s: amount %s, %v", btc.link(), amount, err)
		}
		if len(u.Query()["amount"]) != 1 || strings.ContainsAny(btc.link(), "+ <>\"'#") {
			t.Fatalf("%s: label leaks", btc.link())
		}
		eth := request{"ethereum/1337", gallery.ETHAddress, money.OfBig(money.ETH, units), "", ""}
		_, value, _ := strings.Cut(eth.code(), "?value=")
		if value != units.String() {
			t.Fatalf("%s: want %s", eth.code(), units)
		}
	})
}

func TestBackURL(t *testing.T) {
	for _, c := range []struct{ redirect, want string }{
		{"", ""},
		{"https://shop.example/done", "https://shop.example/done?invoice_id=AB&order_id=a+b%26c&status=2"},
		{"https://shop.example/done?cart=7&x=%20y", "https://shop.example/done?cart=7&x=%20y&invoice_id=AB&order_id=a+b%26c&status=2"},
		{"https://shop.example?", "https://shop.example?invoice_id=AB&order_id=a+b%26c&status=2"},
	} {
		got := backURL(payment.Invoice{ID: "AB", OrderID: "a b&c", RedirectURL: c.redirect, Told: payment.Told{Status: payment.Paid}})
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.redirect, got, c.want)
		}
	}
}

func TestC31AddressFault(t *testing.T) {
	for _, c := range []struct {
		network money.Network
		text    string
		want    string
	}{
		{gallery.Bitcoin, "", "refund.bad.empty"},
		{gallery.Bitcoin, strings.Repeat("1", 129), "refund.bad.long"},
		{gallery.Bitcoin, gallery.ETHAddress, "refund.bad.coin"},
		{gallery.Bitcoin, "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x", "refund.bad.network"},
		{gallery.Bitcoin, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "refund.bad.network"},
		{gallery.Bitcoin, "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "refund.bad.network"},
		{gallery.Bitcoin, "nonsense", ""},
		{gallery.Bitcoin, gallery.BTCAddress, ""},
		{gallery.Bitcoin, strings.ToUpper(gallery.BTCAddress), ""},
		{"bitcoin/regtest", gallery.BTCAddress, "refund.bad.network"},
		{"bitcoin/regtest", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "refund.bad.network"},
		{"bitcoin/regtest", "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x", ""},
		{"bitcoin/signet", "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x", "refund.bad.network"},
		{gallery.Ethereum, gallery.BTCAddress, "refund.bad.coin"},
		{gallery.Ethereum, "0x0000000000000000000000000000000000000000", "refund.bad.zero"},
		{gallery.Ethereum, "0x000000000000000000000000000000000000dEaD", "refund.bad.zero"},
		{gallery.Ethereum, "0x0000000000000000000000000000000000000001", "refund.bad.zero"},
		{gallery.Ethereum, gallery.ETHAddress, ""},
		{gallery.Ethereum, "0xdac17f958d2ee523a2206206994597c13d831ec7", "refund.bad.token"},
		{"ethereum/11155111", "0xdac17f958d2ee523a2206206994597c13d831ec7", ""},
	} {
		if got := addressFault(c.network, c.text); got != c.want {
			t.Errorf("%s on %s: %q, want %q", c.text, c.network, got, c.want)
		}
	}
}
