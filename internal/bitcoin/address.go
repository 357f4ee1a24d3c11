package bitcoin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/address/v2/bech32"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/pipe-pg/pipe/internal/money"
)

// Why a text is no address to pay to. Every error of ParseAddress is one of them; its text is in words fit for a payer.
var (
	// ErrForm: it is no address at all.
	ErrForm = errors.New("not a Bitcoin address")
	// ErrChecksum: it looks like one, but some character is wrong.
	ErrChecksum = errors.New("the address has a typing mistake")
	// ErrOtherNetwork: it is a Bitcoin address, of another Bitcoin network.
	ErrOtherNetwork = errors.New("the address belongs to another Bitcoin network")
	// ErrKind: it is an address of this network, but of a kind that cannot be paid to safely.
	ErrKind = errors.New("this kind of address is not supported")
	// ErrForeign: it is an address of another coin, or something else that can be named.
	ErrForeign = errors.New("this is something else than a Bitcoin address")
)

// ParseAddress reads an address of a network: P2PKH, P2SH (base58check), P2WPKH, P2WSH (bech32, BIP 173) and P2TR (bech32m,
// BIP 350), with full checksums. normal is the form in which PIPE stores, shows and compares it: bech32 in lower case,
// base58 as it is. testnet4 and signet share their forms, so that one's address is the other's.
func ParseAddress(n money.Network, text string) (normal string, err error) {
	net, err := networkOf(n)
	if err != nil {
		return "", err
	}
	if text == "" || len(text) > MaxAddress || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		if foreign := nameForeign(text); foreign != "" {
			return "", fmt.Errorf("%w: %s", ErrForeign, foreign)
		}
		return "", fmt.Errorf("%w: it has letters and digits only, at most %d", ErrForm, MaxAddress)
	}
	lower := strings.ToLower(text)
	for _, hrp := range []string{"bcrt", "bc", "tb"} {
		if strings.HasPrefix(lower, hrp+"1") {
			return parseSegwit(net, hrp, text)
		}
	}
	if foreign := nameForeign(text); foreign != "" {
		return "", fmt.Errorf("%w: %s", ErrForeign, foreign)
	}
	return parseBase58(net, text)
}

// parseSegwit reads bech32 and bech32m.
func parseSegwit(net network, hrp, text string) (string, error) {
	_, data, version, err := bech32.DecodeGeneric(text)
	switch {
	case errors.As(err, new(bech32.ErrMixedCase)):
		return "", fmt.Errorf("%w: it mixes upper and lower case", ErrChecksum)
	case err != nil || len(data) == 0:
		return "", fmt.Errorf("%w: its checksum does not match", ErrChecksum)
	}
	witness := data[0]
	program, err := bech32.ConvertBits(data[1:], 5, 8, false)
	switch {
	case err != nil, witness > 16, len(program) < 2, len(program) > 40:
		return "", fmt.Errorf("%w: it is longer or shorter than its kind", ErrForm)
	case witness == 0 && version != bech32.Version0, witness != 0 && version != bech32.VersionM:
		return "", fmt.Errorf("%w: its checksum is of another kind of address", ErrChecksum)
	case hrp != net.params.Bech32HRPSegwit:
		return "", otherNetwork(net, hrpNetwork(hrp))
	case witness == 0 && len(program) != 20 && len(program) != 32:
		return "", fmt.Errorf("%w: it is longer or shorter than its kind", ErrForm)
	case witness == 1 && len(program) != 32, witness > 1:
		return "", fmt.Errorf("%w: wallets do not know witness version %d with %d bytes yet", ErrKind, witness, len(program))
	}
	if witness == 1 {
		if _, err := schnorr.ParsePubKey(program); err != nil {
			return "", fmt.Errorf("%w: nobody can hold its key, so coins sent there are lost", ErrKind)
		}
	}
	return strings.ToLower(text), nil
}

// parseBase58 reads base58check.
func parseBase58(net network, text string) (string, error) {
	payload, version, err := base58.CheckDecode(text)
	switch {
	case errors.Is(err, base58.ErrChecksum) && len(text) >= 25 && len(text) <= 36:
		return "", fmt.Errorf("%w: its checksum does not match", ErrChecksum)
	case err != nil:
		return "", ErrForm
	}
	if name := base58Name(version, len(payload)); name != "" {
		return "", fmt.Errorf("%w: %s", ErrForeign, name)
	}
	if len(payload) != 20 {
		return "", fmt.Errorf("%w: it is longer or shorter than an address", ErrForm)
	}
	switch version {
	case net.params.PubKeyHashAddrID, net.params.ScriptHashAddrID:
		return text, nil
	case 0x00, 0x05:
		return "", otherNetwork(net, "mainnet")
	case 0x6f, 0xc4:
		return "", otherNetwork(net, "a test network")
	}
	return "", fmt.Errorf("%w: its version is %d", ErrForm, version)
}

func otherNetwork(net network, other string) error {
	return fmt.Errorf("%w: it is for %s, and %s is asked for", ErrOtherNetwork, other, net.name.Name())
}

func hrpNetwork(hrp string) string {
	switch hrp {
	case "bc":
		return "mainnet"
	case "bcrt":
		return "regtest"
	}
	return "a test network"
}

// base58Name names what well-known base58check texts are that are no Bitcoin addresses. Private keys are named too, and
// never repeated.
func base58Name(version byte, size int) string {
	switch {
	case (version == 0x80 || version == 0xef) && (size == 32 || size == 33):
		return "it is a private key; never show it to anyone"
	case size != 20:
		return ""
	case version == 0x30 || version == 0x32:
		return "it is a Litecoin address"
	case version == 0x1e || version == 0x16:
		return "it is a Dogecoin address"
	case version == 0x41:
		return "it is a Tron address"
	case version == 0x4c:
		return "it is a Dash address"
	}
	return ""
}

// nameForeign names texts that tell by their look what they are, or gives "".
func nameForeign(text string) string {
	lower := strings.ToLower(text)
	if hex := strings.TrimPrefix(lower, "0x"); len(hex) == 40 && strings.Trim(hex, "0123456789abcdef") == "" {
		return "it is an Ethereum address"
	}
	for _, known := range []struct{ prefix, name string }{
		{"bitcoin:", "it is a payment link; give the address in it alone"},
		{"ethereum:", "it is an Ethereum payment link"},
		{"lightning:", "it is a Lightning invoice; give an address on the chain"},
		{"lnbc", "it is a Lightning invoice; give an address on the chain"},
		{"lntb", "it is a Lightning invoice; give an address on the chain"},
		{"lnurl", "it is a Lightning address; give an address on the chain"},
		{"lno1", "it is a Lightning offer; give an address on the chain"},
		{"ltc1", "it is a Litecoin address"},
		{"bitcoincash:", "it is a Bitcoin Cash address"},
		{"sp1", "it is a silent payment address, which is not supported"},
		{"xpub", "it is an extended key; give one address"},
		{"ypub", "it is an extended key; give one address"},
		{"zpub", "it is an extended key; give one address"},
		{"tpub", "it is an extended key; give one address"},
		{"xprv", "it is a private key; never show it to anyone"},
		{"tprv", "it is a private key; never show it to anyone"},
	} {
		if strings.HasPrefix(lower, known.prefix) {
			return known.name
		}
	}
	return ""
}
