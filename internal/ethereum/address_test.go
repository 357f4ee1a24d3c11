package ethereum

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/money"
)

func TestParseAddress(t *testing.T) {
	const mainnet = money.Network("ethereum/1")
	const good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" // EIP-55's first example
	for _, c := range []struct {
		name    string
		network money.Network
		text    string
		want    error // nil: good comes out
	}{
		{"as the EIP writes it", mainnet, good, nil},
		{"lower", mainnet, strings.ToLower(good), nil},
		{"upper", mainnet, "0x" + strings.ToUpper(good[2:]), nil},
		{"any chain", "ethereum/11155111", good, nil},
		{"one case wrong", mainnet, strings.Replace(good, "aA", "AA", 1), ErrChecksum},
		{"one digit wrong", mainnet, strings.Replace(good, "60", "61", 1), ErrChecksum},
		{"0X", mainnet, "0X" + good[2:], ErrForm},
		{"no 0x", mainnet, good[2:], ErrForm},
		{"short", mainnet, good[:41], ErrForm},
		{"long", mainnet, good + "0", ErrForm},
		{"blank before", mainnet, " " + good, ErrForm},
		{"blank after", mainnet, good + "\n", ErrForm},
		{"nothing", mainnet, "", ErrForm},
		{"0x", mainnet, "0x", ErrForm},
		{"not hex", mainnet, "0x" + strings.Repeat("g", 40), ErrForm},
		{"full width", mainnet, "0x" + strings.Repeat("１", 40), ErrForm},
		{"kilobytes", mainnet, strings.Repeat("0x", 5000), ErrForm},
		{"zero", mainnet, "0x" + strings.Repeat("0", 40), ErrKind},
		{"ecrecover", mainnet, "0x0000000000000000000000000000000000000001", ErrKind},
		{"p256verify", mainnet, "0x0000000000000000000000000000000000000100", ErrKind},
		{"last reserved", mainnet, "0x00000000000000000000000000000000000001ff", ErrKind},
		{"burn", mainnet, "0x000000000000000000000000000000000000dead", ErrKind},
		{"USDT", mainnet, "0xdac17f958d2ee523a2206206994597c13d831ec7", ErrKind},
		{"USDC", mainnet, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", ErrKind},
		{"segwit", mainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", ErrForeign},
		{"segwit upper", mainnet, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", ErrForeign},
		{"regtest", mainnet, "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", ErrForeign},
		{"p2pkh", mainnet, "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", ErrForeign},
		{"p2sh", mainnet, "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", ErrForeign},
		{"testnet", mainnet, "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", ErrForeign},
		{"tron", mainnet, "TJCnKsPa7y5okkXvQAidZBzqx3QyQ6sxMW", ErrForeign},
		{"name", mainnet, "vitalik.eth", ErrForeign},
		{"link", mainnet, "ethereum:" + good, ErrForeign},
		{"private key", mainnet, "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318", ErrForeign},
		{"bank form", mainnet, "XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS", ErrForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseAddress(c.network, c.text)
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || got != good) {
				t.Fatalf("got %q, %v", got, err)
			}
			if err != nil && (got != "" || len(err.Error()) > 200 || len(c.text) > 20 && strings.Contains(err.Error(), c.text)) {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
	if _, err := ParseAddress("bitcoin/mainnet", good); err == nil {
		t.Error("a Bitcoin network has Ethereum addresses")
	}
	if got, err := ParseAddress("ethereum/1337", "0xdac17f958d2ee523a2206206994597c13d831ec7"); err != nil || got != "0xdAC17F958D2ee523a2206206994597C13D831ec7" {
		t.Errorf("USDT's address is another's on other chains: %q, %v", got, err)
	}
}

// TestVectors are EIP-55's own examples.
func TestVectors(t *testing.T) {
	for _, text := range []string{
		"0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
		"0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	} {
		if got, err := ParseAddress("ethereum/1", text); err != nil || got != text {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// TestTables: the constants are read without a check of their checksum, so a slip of the pen would pass unseen.
func TestTables(t *testing.T) {
	if len(tokens) != 19 || len(keyless) != 4 {
		t.Fatalf("%d tokens, %d keyless: one stands twice", len(tokens), len(keyless))
	}
	for _, text := range []string{
		"0xdAC17F958D2ee523a2206206994597C13D831ec7", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
		"0x6B175474E89094C44Da98b954EedeAC495271d0F", "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
		"0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599", "0xae7ab96520DE3A18E5e111B5EaAb095312D7fE84",
		"0x7f39C581F595B53c5cb19bD0b3f8dA6c935E2Ca0", "0x514910771AF9Ca656af840dff83E8264EcF986CA",
		"0x1f9840a85d5aF5bf1D1762F925BDADdC4201F984", "0x95aD61b0a150d79219dCF64E1E6Cc01f0B64C4cE",
		"0x6982508145454Ce325dDbE47a25d4ec3d2311933", "0x7D1AfA7B718fb893dB30A3aBc0Cfc608AaCfeBB0",
		"0xB8c77482e45F1F44dE1745F52C74426C631bDD52", "0x7Fc66500c84A76Ad7e9c93437bFc5Ac33E2DDaE9",
		"0x9f8F72aA9304c8B593d555F12eF6589cC3A579A2", "0x0000000000085d4780B73119b644AE5ecd22b376",
		"0x4Fabb145d64652a948d72533023f6E7A623C7C53", "0x6c3ea9036406852006290770BEdFcAbA0e23A0e8",
		"0xc5f0f7b66764F6ec8C8Dff7BA683102295E16409",
	} {
		key := common.HexToAddress(text)
		if key.Hex() != text {
			t.Errorf("%s has the wrong checksum, %s is right", text, key)
		}
		if tokens[key] == "" {
			t.Errorf("%s is missing in the table", text)
		}
	}
}

func TestAddressProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address")
		key := common.BytesToAddress(raw)
		if key.Big().Cmp(big.NewInt(maxReserved)) <= 0 {
			return
		}
		normal, err := ParseAddress(network, strings.ToLower(key.Hex()))
		if err != nil || normal != key.Hex() {
			t.Fatalf("%s: %q, %v", key, normal, err)
		}
		again, err := ParseAddress(network, normal)
		if err != nil || again != normal {
			t.Fatalf("%s: not its own normal form: %q, %v", normal, again, err)
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
	f.Add("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
	f.Fuzz(func(t *testing.T, text string) {
		normal, err := ParseAddress("ethereum/1", text)
		if err == nil && !strings.EqualFold(normal, text) || err != nil && normal != "" {
			t.Fatalf("%q: %q, %v", text, normal, err)
		}
	})
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte(`{"hash":"0x00","number":"0x1","transactions":[{"hash":"0x00"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var fields blockFields
		if json.Unmarshal(text, &fields) == nil {
			if b, err := fields.block(); err == nil && b.hash != b.Header.Hash() {
				t.Fatal("a block with another hash than its own was taken")
			}
		}
		var h header
		if err := h.UnmarshalJSON(text); err == nil && h.opaque == "" && h.hash != h.Header.Hash() {
			t.Fatal("a header with another hash than its own was taken")
		}
		var one txFields
		if json.Unmarshal(text, &one) == nil {
			if read, err := one.tx(); err == nil && (read.value == nil || read.signed != nil && read.signed.Hash() != read.id) {
				t.Fatal("a transaction with another hash than its own was taken")
			}
		}
	})
}
