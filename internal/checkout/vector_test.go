package checkout

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/checkout/gallery"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
)

// realNets are the gallery's networks with the chains' own checks of addresses.
func realNets() map[money.Currency]engine.Net {
	nets := maps.Clone(gallery.Nets())
	for coin, parse := range map[money.Currency]func(money.Network, string) (string, error){money.BTC: bitcoin.ParseAddress, money.ETH: ethereum.ParseAddress} {
		n := nets[coin]
		n.ParseAddress = func(text string) (string, error) { return parse(n.Network, text) }
		nets[coin] = n
	}
	return nets
}

// TestC31AddressVectors: addresses of other networks, coins and kinds, and mistyped ones, are refused with a reason of their
// own; good ones of every kind are taken and shown back.
func TestC31AddressVectors(t *testing.T) {
	h, desk := served(t, func(o *Options) { o.Nets = realNets(); o.RefundPerHour = 1000 })
	send := func(coin, text string) (code int, body string) {
		w := ask(h, "POST", base("choose")+"/refund-address", url.Values{"coin": {coin}, "address": {text}})
		return w.Code, w.Body.String()
	}
	const typo, foreign, other, nobody, token = "typing error", "another network", "another coin", "Nobody holds", "token&#39;s contract"
	for _, c := range []struct{ coin, text, reason string }{
		{"BTC", "", "Enter an address"},
		{"BTC", "hello", typo},
		{"BTC", strings.Repeat("b", 200), "too long"},
		{"BTC", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", typo},                         // last character
		{"BTC", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7Kv8f3t4", typo},                         // mixed case
		{"BTC", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", typo},     // version 1 with bech32
		{"BTC", "bc1rw5uspcuf", typo},                                                       // too short for its version
		{"BTC", "bc1gmk9yu", typo},                                                          // no program
		{"BTC", "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du", typo},                              // version 2 with bech32
		{"BTC", "1BoatSLRHtKNngkdXEeobR76b53LETtpyU", typo},                                 // base58 checksum
		{"BTC", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLz", typo},                                 // base58 checksum
		{"BTC", "1BoatSLRHtKNngkdXEeobR76b53LETtp0O", typo},                                 // not base58
		{"BTC", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", foreign},                      // testnet
		{"BTC", "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x", foreign},                    // regtest
		{"BTC", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", foreign},                              // testnet
		{"BTC", "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", foreign},                             // testnet
		{"BTC", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", other},                        // Ethereum
		{"BTC", "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", typo},                        // Litecoin
		{"BTC", "LZcu1DVxWYLYrHmXCuxGaHUTdLR1qtBFZL", typo},                                 // Litecoin
		{"ETH", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", other},                        // Bitcoin
		{"ETH", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", typo},                         // EIP-55 checksum
		{"ETH", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", typo},                          // one digit short
		{"ETH", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd", typo},                        // one digit long
		{"ETH", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", other},                          // no 0x
		{"ETH", "0x0000000000000000000000000000000000000000", nobody},                       // zero
		{"ETH", "0x000000000000000000000000000000000000dEaD", nobody},                       // burnt
		{"ETH", "0xdAC17F958D2ee523a2206206994597C13D831ec7", token},                        // USDT
		{"ETH", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", token},                        // USDC
		{"ETH", "vitalik.eth", other},                                                       // a name
		{"ETH", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg", typo},                         // not hex
		{"BTC", "bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=1", typo},        // a link with an amount
		{"BTC", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 bc1qar0srrr7xfkvy5l643l", typo}, // two
	} {
		code, body := send(c.coin, c.text)
		if code != 422 || !strings.Contains(body, c.reason) {
			fault := regexp.MustCompile(`role="alert">([^<]*)`).FindString(body)
			t.Errorf("%s %q: %d %s, want %q", c.coin, c.text, code, fault, c.reason)
		}
	}
	for _, c := range []struct{ coin, text string }{
		{"BTC", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, {"BTC", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"},
		{"BTC", "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3"},
		{"BTC", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"},
		{"BTC", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"}, {"BTC", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"}, {"BTC", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"},
		{"BTC", "  " + gallery.BTCAddress + "\n"},
		{"ETH", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}, {"ETH", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"},
		{"ETH", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"}, {"ETH", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"},
	} {
		if code, body := send(c.coin, c.text); code != 200 || !strings.Contains(body, `class="address big"`) {
			fault := regexp.MustCompile(`role="alert">([^<]*)`).FindString(body)
			t.Errorf("%s %q: %d %s", c.coin, c.text, code, fault)
		}
	}
	if acts := desk.Acts(); len(acts) > 0 {
		t.Errorf("looking at addresses did %q", acts)
	}
}

// TestC31Locked: once a refund is on its way its address cannot be changed, by no browser.
func TestC31Locked(t *testing.T) {
	h, desk := served(t, nil)
	for _, name := range []string{"refund-moving", "refund-excess-done", "refund-failed-fixed", "refunded"} {
		w := ask(h, "POST", base(name)+"/refund-address", url.Values{"address": {gallery.BTCAddress}, "step": {"save"}, "right": {"yes"}})
		if w.Code != 422 || strings.Contains(w.Body.String(), "<form") {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if acts := desk.Acts(); len(acts) > 0 {
		t.Errorf("did %q", acts)
	}
}

// TestC20NoNumbersInPages: neither a template nor a script computes with money: they print what the server wrote.
func TestC20NoNumbersInPages(t *testing.T) {
	var files []string
	for _, pattern := range []string{"templates/*.html", "static/*.js"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	sums := regexp.MustCompile(`parseFloat|toFixed|toLocaleString|Intl\.|BigInt|1e18|1e8|printf`)
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := sums.Find(b); at != nil {
			t.Errorf("%s has %s", name, at)
		}
	}
	decimals := regexp.MustCompile(`\d+\.(\d+) (BTC|ETH)`)
	h, _ := served(t, nil)
	for _, f := range gallery.Fixtures() {
		for _, m := range decimals.FindAllStringSubmatch(ask(h, "GET", pagePath(f.View.Invoice.ID), nil).Body.String(), -1) {
			if most := map[string]int{"BTC": 8, "ETH": 18}[m[2]]; len(m[1]) > most || strings.HasSuffix(m[1], "0") {
				t.Errorf("%s: %s", f.Name, m[0])
			}
		}
	}
}

// TestC21Languages: every way to name a language is taken, and the switch keeps the page and all of its address.
func TestC21Languages(t *testing.T) {
	h, _ := served(t, nil)
	for asked, tag := range map[string]string{"kr": "ko", "ko": "ko", "ko-KR": "ko", "KO": "ko", "en": "en", "en-US": "en", "": "en", "xx": "en"} {
		body := ask(h, "GET", pagePath(gallery.ID("await-btc"))+"?cart=7&lang="+asked, nil).Body.String()
		other := map[string]string{"ko": "en", "en": "ko"}[tag]
		if !strings.Contains(body, `<html lang="`+tag+`"`) || !strings.Contains(body, `href="?cart=7&amp;lang=`+other+`"`) {
			t.Errorf("%q: not %s, or the switch loses something", asked, tag)
		}
	}
	refund := ask(h, "GET", base("choose")+"/refund-address?coin=ETH&next=choose&lang=ko", nil).Body.String()
	if !strings.Contains(refund, `href="?coin=ETH&amp;lang=en&amp;next=choose"`) {
		t.Errorf("the switch of a form: %s", refund)
	}
}
