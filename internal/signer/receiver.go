package signer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"
)

// receiver reads an address in its normal form and gives what a transaction holds of it: the output script, or 20 bytes.
func (p place) receiver(text string) ([]byte, error) {
	if len(text) > MaxAddress {
		return nil, fmt.Errorf("an address has at most %d bytes", MaxAddress)
	}
	if p.bitcoin == nil {
		return ethereumReceiver(text)
	}
	a, err := address.DecodeAddress(text, p.bitcoin)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	if !a.IsForNet(p.bitcoin) || a.EncodeAddress() != text {
		return nil, errors.New("an address of another network, or not in its normal form")
	}
	switch a.(type) {
	case *address.AddressPubKeyHash, *address.AddressScriptHash, *address.AddressWitnessPubKeyHash, *address.AddressWitnessScriptHash, *address.AddressTaproot:
	default:
		return nil, errors.New("an address of an unknown kind")
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		return nil, fmt.Errorf("write script: %w", err)
	}
	return script, nil
}

// ethereumReceiver takes the form with the checksum alone. What lies in the first 65,536 addresses are no accounts:
// zero, and precompiled contracts.
func ethereumReceiver(text string) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != 20 || checksummed(raw) != text {
		return nil, errors.New("not an Ethereum address in its normal form")
	}
	if len(bytes.TrimLeft(raw, "\x00")) <= 2 {
		return nil, errors.New("an address that no key opens")
	}
	return raw, nil
}
