package checkout

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pipe-pg/pipe/internal/money"
)

// A request is what a wallet is asked to send.
type request struct {
	Network money.Network
	Address string // normal form: lower-case bech32, or checksummed hex
	Amount  money.Amount
	Label   string // the shop; only in links
	Message string // the order; only in links
}

// link is the text of a wallet link: BIP 321 with label and message, or ERC-681.
func (r request) link() string {
	uri := r.code()
	if r.Network.Coin() != money.BTC {
		return uri
	}
	if r.Label != "" {
		uri += "&label=" + percent(r.Label)
	}
	if r.Message != "" {
		uri += "&message=" + percent(r.Message)
	}
	return uri
}

// code is the text of a QR code: BIP 321 with the amount in whole coins, or ERC-681 with the chain id and the amount in
// wei as a plain integer. It holds nothing else, so that it stays small and every wallet reads it.
func (r request) code() string {
	switch r.Network.Coin() {
	case money.BTC:
		return "bitcoin:" + r.Address + "?amount=" + r.Amount.Text()
	case money.ETH:
		return "ethereum:" + r.Address + "@" + r.Network.Name() + "?value=" + r.Amount.Units()
	}
	return r.Address
}

// app is the link that MetaMask's app takes from any browser, with the chain id and the amount in wei.
func (r request) app() string {
	return "https://link.metamask.io/send/" + r.Address + "@" + r.Network.Name() + "?value=" + r.Amount.Units()
}

// chainHex is the chain id as wallets name it (EIP-695), "" where the network has none.
func (r request) chainHex() string {
	id, err := strconv.ParseUint(r.Network.Name(), 10, 64)
	if err != nil {
		return ""
	}
	return "0x" + strconv.FormatUint(id, 16)
}

// percent encodes all but unreserved characters (RFC 3986): spaces as %20, which every wallet reads, never as a plus.
func percent(text string) string {
	if len(text) > MaxLabel {
		text = text[:MaxLabel]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
