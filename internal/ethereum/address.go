package ethereum

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/pipe-pg/pipe/internal/money"
)

// Why a text is no address to pay to. Every error of ParseAddress for a right network is one of them; its text is in words
// fit for a payer.
var (
	// ErrForm: it is no address at all.
	ErrForm = errors.New("not an Ethereum address")
	// ErrChecksum: it looks like one, but some character is wrong.
	ErrChecksum = errors.New("the address has a typing mistake")
	// ErrKind: it is an address, but one from which coins never come back.
	ErrKind = errors.New("this address cannot be paid to")
	// ErrForeign: it is an address of another coin, or something else that can be named.
	ErrForeign = errors.New("this is something else than an Ethereum address")
)

const (
	hexDigits = "0123456789abcdef"
	base58    = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
)

// ParseAddress reads an address: 0x and 40 hex digits, with the checksum of EIP-55 or in one case. normal is the form in
// which PIPE stores, shows and compares it, with the checksum. Addresses look alike on every Ethereum network. Refused are
// those that no key opens: zero, burning and placeholder addresses, precompiled contracts, and on mainnet well-known
// tokens' contracts.
func ParseAddress(network money.Network, text string) (normal string, err error) {
	chainID, err := ChainID(network)
	if err != nil {
		return "", err
	}
	key, ok := read(text)
	if !ok {
		return "", refuse(text)
	}
	normal = key.Hex()
	digits := text[2:]
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && text != normal {
		return "", fmt.Errorf("%w: upper and lower case do not match its checksum", ErrChecksum)
	}
	if why := unpayable(chainID, key); why != "" {
		return "", fmt.Errorf("%w: %s", ErrKind, why)
	}
	return normal, nil
}

// read reads 0x and 40 hex digits of any case.
func read(text string) (key common.Address, ok bool) {
	if len(text) != 2+2*common.AddressLength || text[:2] != "0x" || strings.Trim(strings.ToLower(text[2:]), hexDigits) != "" {
		return key, false
	}
	return common.HexToAddress(text), true
}

// unpayable tells why coins sent to an address would be lost, or is "".
func unpayable(chainID uint64, key common.Address) string {
	number := key.Big()
	switch {
	case number.Sign() == 0:
		return "it is the zero address; coins sent there are lost"
	case number.Cmp(big.NewInt(maxReserved)) <= 0:
		return "it belongs to Ethereum's own code; coins sent there are lost"
	}
	if what := keyless[key]; what != "" {
		return "it is " + what + "; coins sent there are lost"
	}
	if chainID == 1 {
		if token := tokens[key]; token != "" {
			return "it is the contract of the token " + token + ", not of a person; coins sent there are lost"
		}
	}
	return ""
}

// keyless are addresses that are used as words and that nobody has a key to.
var keyless = map[common.Address]string{
	common.HexToAddress("0x000000000000000000000000000000000000dEaD"): "an address for burning coins",
	common.HexToAddress("0xdEAD000000000000000042069420694206942069"): "an address for burning coins",
	common.HexToAddress("0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"): "a placeholder for ETH",
	common.HexToAddress("0xFFfFfFffFFfffFFfFFfFFFFFffFFFffffFfFFFfF"): "a placeholder",
}

// tokens are contracts on mainnet whose addresses people copy by mistake.
var tokens = map[common.Address]string{
	common.HexToAddress("0xdAC17F958D2ee523a2206206994597C13D831ec7"): "USDT",
	common.HexToAddress("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"): "USDC",
	common.HexToAddress("0x6B175474E89094C44Da98b954EedeAC495271d0F"): "DAI",
	common.HexToAddress("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"): "WETH",
	common.HexToAddress("0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599"): "WBTC",
	common.HexToAddress("0xae7ab96520DE3A18E5e111B5EaAb095312D7fE84"): "stETH",
	common.HexToAddress("0x7f39C581F595B53c5cb19bD0b3f8dA6c935E2Ca0"): "wstETH",
	common.HexToAddress("0x514910771AF9Ca656af840dff83E8264EcF986CA"): "LINK",
	common.HexToAddress("0x1f9840a85d5aF5bf1D1762F925BDADdC4201F984"): "UNI",
	common.HexToAddress("0x95aD61b0a150d79219dCF64E1E6Cc01f0B64C4cE"): "SHIB",
	common.HexToAddress("0x6982508145454Ce325dDbE47a25d4ec3d2311933"): "PEPE",
	common.HexToAddress("0x7D1AfA7B718fb893dB30A3aBc0Cfc608AaCfeBB0"): "MATIC",
	common.HexToAddress("0xB8c77482e45F1F44dE1745F52C74426C631bDD52"): "BNB",
	common.HexToAddress("0x7Fc66500c84A76Ad7e9c93437bFc5Ac33E2DDaE9"): "AAVE",
	common.HexToAddress("0x9f8F72aA9304c8B593d555F12eF6589cC3A579A2"): "MKR",
	common.HexToAddress("0x0000000000085d4780B73119b644AE5ecd22b376"): "TUSD",
	common.HexToAddress("0x4Fabb145d64652a948d72533023f6E7A623C7C53"): "BUSD",
	common.HexToAddress("0x6c3ea9036406852006290770BEdFcAbA0e23A0e8"): "PYUSD",
	common.HexToAddress("0xc5f0f7b66764F6ec8C8Dff7BA683102295E16409"): "FDUSD",
}

// refuse tells what is wrong with a text that is no address. It never repeats the text, which may be a secret.
func refuse(text string) error {
	if len(text) <= MaxAddress {
		if what := nameForeign(text); what != "" {
			return fmt.Errorf("%w: %s", ErrForeign, what)
		}
	}
	lower := strings.ToLower(text)
	digits := strings.TrimPrefix(lower, "0x")
	switch {
	case strings.Trim(digits, hexDigits) != "":
		return fmt.Errorf("%w: it is 0x and 40 digits from 0 to 9 and a to f", ErrForm)
	case len(digits) != 2*common.AddressLength:
		return fmt.Errorf("%w: it has 40 digits after 0x, not %d", ErrForm, len(digits))
	}
	return fmt.Errorf("%w: it begins with 0x", ErrForm)
}

// nameForeign names texts that tell by their look what they are, or gives "".
func nameForeign(text string) string {
	lower := strings.ToLower(text)
	for _, known := range []struct{ prefix, name string }{
		{"bc1", "it is a Bitcoin address"},
		{"tb1", "it is a Bitcoin address"},
		{"bcrt1", "it is a Bitcoin address"},
		{"bitcoin:", "it is a Bitcoin payment link"},
		{"lightning:", "it is a Lightning invoice"},
		{"lnbc", "it is a Lightning invoice"},
		{"ltc1", "it is a Litecoin address"},
		{"bitcoincash:", "it is a Bitcoin Cash address"},
		{"xrb_", "it is a Nano address"},
		{"ethereum:", "it is a payment link; give the address in it alone"},
		{"xpub", "it is an extended key; give one address"},
		{"xprv", "it is a private key; never show it to anyone"},
		{"xe", "it is an address in the form of a bank account (ICAP); give the form that begins with 0x"},
	} {
		if strings.HasPrefix(lower, known.prefix) {
			return known.name
		}
	}
	hex := strings.TrimPrefix(lower, "0x")
	isBase58 := text != "" && strings.Trim(text, base58) == ""
	switch {
	case len(hex) == 64 && strings.Trim(hex, hexDigits) == "":
		return "it has the length of a private key or of a transaction; never show a private key to anyone"
	case strings.HasSuffix(lower, ".eth"):
		return "it is a name; give the address that it stands for"
	case len(text) == 34 && text[0] == 'T' && isBase58:
		return "it is a Tron address"
	case len(text) >= 26 && len(text) <= 35 && isBase58 && strings.ContainsRune("13mn2", rune(text[0])):
		return "it is a Bitcoin address"
	}
	return ""
}
