package checkout

import (
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// addressFault names, as a key of the texts, why a text is no refund address on a network, or "" where nothing can be said
// without the network's own check. It looks only at how the text begins, as a payer's eye would.
func addressFault(n money.Network, text string) string {
	low := strings.ToLower(text)
	isHex := strings.HasPrefix(low, "0x")
	switch {
	case text == "":
		return "refund.bad.empty"
	case len(text) > payment.MaxAddress:
		return "refund.bad.long"
	case n.Coin() == money.ETH && len(low) == 42 && len(strings.TrimLeft(low[2:], "0")) <= nobodysDigits:
		return "refund.bad.zero"
	case n.Coin() == money.BTC && isHex, n.Coin() == money.ETH && !isHex:
		return "refund.bad.coin"
	case n.Coin() == money.BTC && otherBitcoin(n, low):
		return "refund.bad.network"
	}
	return ""
}

// nobodysDigits is how few hex digits, leading zeros apart, make an Ethereum address that nobody holds: the zero address,
// the precompiled contracts (EIP-1352) and 0x…dEaD.
const nobodysDigits = 4

// minBase58 is the length of the shortest Base58Check address, in characters.
const minBase58 = 26

// otherBitcoin tells whether an address begins as those of another Bitcoin network do (BIP 173, Base58Check versions).
func otherBitcoin(n money.Network, low string) bool {
	begins := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(low, p) {
				return true
			}
		}
		return false
	}
	base58 := len(low) >= minBase58 // shorter texts are no addresses of any network
	switch n.Name() {
	case "mainnet":
		return begins("tb1", "bcrt1") || base58 && begins("m", "n", "2")
	case "regtest":
		return begins("bc1", "tb1") || base58 && begins("1", "3")
	}
	return begins("bc1", "bcrt1") || base58 && begins("1", "3")
}
