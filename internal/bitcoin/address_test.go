package bitcoin

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/pipe-pg/pipe/internal/money"
	"pgregory.net/rapid"
)

const (
	mainnet = money.Network("bitcoin/mainnet")
	regtest = money.Network("bitcoin/regtest")
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		network      money.Network
		text, normal string
		err          error
	}{
		// Addresses of the BIPs.
		{mainnet, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", nil},
		{mainnet, "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", nil},
		{mainnet, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", nil},
		{mainnet, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", nil},
		{"bitcoin/testnet4", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", nil},
		{"bitcoin/signet", "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c", "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c", nil},
		{"bitcoin/testnet4", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", nil},
		{regtest, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", nil},

		// Typing mistakes.
		{mainnet, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "", ErrChecksum},
		{mainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "", ErrChecksum},
		{mainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8F3t4", "", ErrChecksum},
		// Bech32 where bech32m belongs, and the other way round (BIP 350).
		{mainnet, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "", ErrChecksum},
		{mainnet, "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL", "", ErrChecksum},
		{mainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", "", ErrChecksum},
		{mainnet, "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "", ErrChecksum},

		// Other networks.
		{mainnet, "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "", ErrOtherNetwork},
		{regtest, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "", ErrOtherNetwork},
		{"bitcoin/signet", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "", ErrOtherNetwork},
		{mainnet, "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "", ErrOtherNetwork},
		{regtest, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "", ErrOtherNetwork},

		// Kinds: later witness versions, pay to anchor, a taproot key that is on no curve.
		{mainnet, "BC1SW50QGDZ25J", "", ErrKind},
		{mainnet, "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "", ErrKind},
		{mainnet, "bc1pfeessrawgf", "", ErrKind},
		{mainnet, "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y", "", ErrKind},
		{mainnet, offCurve(t), "", ErrKind},
		{mainnet, "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "", ErrForm},

		// Something else.
		{mainnet, "0x52908400098527886E0F7030069857D2E4169EE7", "", ErrForeign},
		{mainnet, "52908400098527886e0f7030069857d2e4169ee7", "", ErrForeign},
		{mainnet, "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", "", ErrForeign},
		{mainnet, "LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1", "", ErrForeign},
		{mainnet, "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8", "", ErrForeign},
		{mainnet, "5Kb8kLf9zgWQnogidDA76MzPL6TsZZY36hWXMssSzNydYXYB9KF", "", ErrForeign},
		{mainnet, "bitcoin:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa?amount=1", "", ErrForeign},
		{mainnet, "lnbc2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpuaztrnwngzn3kdzw5hydlzf03qdgm2hdq27cqv3agm2awhz5se903vruatfhq77w3ls4evs3ch9zw97j25emudupq63nyw24cg27h2rspfj9srp", "", ErrForeign},

		// Nothing.
		{mainnet, "", "", ErrForm},
		{mainnet, " 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "", ErrForm},
		{mainnet, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfN\u00e4", "", ErrForm},
		{mainnet, strings.Repeat("1", 90), "", ErrForm},
		{mainnet, strings.Repeat("q", 9000), "", ErrForm},
		{mainnet, "hello", "", ErrForm},
		{mainnet, "bc1", "", ErrChecksum},
	} {
		normal, err := ParseAddress(c.network, c.text)
		if normal != c.normal || !errors.Is(err, c.err) {
			t.Errorf("%s %.100q: %q, %v; want %q, %v", c.network, c.text, normal, err, c.normal, c.err)
		}
		if err != nil && strings.Contains(err.Error(), "5Kb8kLf9") {
			t.Error("the error repeats a private key")
		}
	}
	if _, err := ParseAddress("ethereum/1", "x"); err == nil {
		t.Error("an Ethereum network was taken")
	}
}

// offCurve is a taproot address whose key is no point of the curve.
func offCurve(t *testing.T) string {
	a, err := address.NewAddressTaproot(bytes.Repeat([]byte{0xff}, 32), known(t, mainnet).params)
	if err != nil {
		t.Fatal(err)
	}
	return a.EncodeAddress()
}

func known(t testing.TB, n money.Network) network {
	t.Helper()
	net, err := networkOf(n)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// TestTellerAgreesWithTheLibrary: for scripts of every kind, and broken ones, our fast way says what btcd says, and what
// it says parses.
func TestTellerAgreesWithTheLibrary(t *testing.T) {
	for _, n := range []money.Network{mainnet, "bitcoin/testnet4", "bitcoin/signet", regtest} {
		net := known(t, n)
		tell := newTeller(net)
		rapid.Check(t, func(t *rapid.T) {
			kind := rapid.IntRange(0, 5).Draw(t, "kind")
			hash := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")
			if rapid.Bool().Draw(t, "zeros") {
				copy(hash, make([]byte, rapid.IntRange(1, 20).Draw(t, "n")))
			}
			var a address.Address
			var err error
			switch kind {
			case 0:
				a, err = address.NewAddressPubKeyHash(hash[:20], net.params)
			case 1:
				a, err = address.NewAddressScriptHashFromHash(hash[:20], net.params)
			case 2:
				a, err = address.NewAddressWitnessPubKeyHash(hash[:20], net.params)
			case 3:
				a, err = address.NewAddressWitnessScriptHash(hash, net.params)
			default:
				a, err = address.NewAddressTaproot(hash, net.params)
			}
			if err != nil {
				t.Fatal(err)
			}
			script, err := txscript.PayToAddrScript(a)
			if err != nil {
				t.Fatal(err)
			}
			got := string(tell.address(script))
			if got != a.EncodeAddress() {
				t.Fatalf("%x: %q, library says %q", script, got, a.EncodeAddress())
			}
			if normal, err := ParseAddress(n, got); err != nil && !errors.Is(err, ErrKind) || err == nil && normal != got {
				t.Fatalf("%q parses as %q, %v", got, normal, err)
			}
			if kind == 5 { // broken: any one changed opcode byte makes it another kind or none
				at := rapid.SampledFrom([]int{0, 1}).Draw(t, "at")
				script[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				got := tell.address(script)
				_, all, _, err := txscript.ExtractPkScriptAddrs(script, net.params)
				if err == nil && len(all) == 1 && string(got) != all[0].EncodeAddress() || (err != nil || len(all) == 0) && got != nil {
					t.Fatalf("%x: %q, library says %v, %v", script, got, all, err)
				}
			}
		})
	}
}

// TestTypingMistakes: whatever single character is wrong or two neighbours change places, nothing else is paid.
func TestTypingMistakes(t *testing.T) {
	good := []string{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
		"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"}
	tried := 0
	for _, a := range good {
		for i := range len(a) {
			for b := byte('!'); b <= '~'; b++ {
				if b == a[i] {
					continue
				}
				tried++
				if normal, err := ParseAddress(mainnet, a[:i]+string(rune(b))+a[i+1:]); err == nil {
					t.Fatalf("%s with %q at %d is taken as %s", a, b, i, normal)
				}
			}
			if i+1 < len(a) && a[i] != a[i+1] {
				if normal, err := ParseAddress(mainnet, a[:i]+string(a[i+1])+string(a[i])+a[i+2:]); err == nil {
					t.Fatalf("%s with %d and %d swapped is taken as %s", a, i, i+1, normal)
				}
			}
		}
	}
	t.Logf("%d mistakes refused", tried)
}

func FuzzParseAddress(f *testing.F) {
	f.Add("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
	f.Add("3P14159f73E4gFr7JterCCQh9QjiTjiZrG")
	f.Fuzz(func(t *testing.T, text string) {
		normal, err := ParseAddress(mainnet, text)
		if err != nil {
			return
		}
		if again, err := ParseAddress(mainnet, normal); err != nil || again != normal {
			t.Fatalf("%q: its normal form %q parses as %q, %v", text, normal, again, err)
		}
	})
}
