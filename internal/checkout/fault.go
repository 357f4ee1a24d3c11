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
	case n == "ethereum/1" && tokens[low]:
		return "refund.bad.token"
	case n.Coin() == money.BTC && isHex, n.Coin() == money.ETH && !isHex:
		return "refund.bad.coin"
	case n.Coin() == money.BTC && otherBitcoin(n, low):
		return "refund.bad.network"
	}
	return ""
}

// tokens are the contracts on Ethereum's main network that people take most often for an address of their own: coins sent to
// one are gone. USDT, USDC, DAI, WETH, WBTC, stETH, LINK, SHIB.
var tokens = map[string]bool{
	"0xdac17f958d2ee523a2206206994597c13d831ec7": true, "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": true,
	"0x6b175474e89094c44da98b954eedeac495271d0f": true, "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2": true,
	"0x2260fac5e5542a773aa44fbcfedf7c193bc2c599": true, "0xae7ab96520de3a18e5e111b5eaab095312d7fe84": true,
	"0x514910771af9ca656af840dff83e8264ecf986ca": true, "0x95ad61b0a150d79219dcf64e1e6cc01f0b64c4ce": true,
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
