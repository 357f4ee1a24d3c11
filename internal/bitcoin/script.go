package bitcoin

import (
	"crypto/sha256"
)

const bech32Letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// base58Letters is Bitcoin's alphabet: no 0, O, I and l.
const base58Letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// A teller names the address that an output script pays. It keeps buffers, so it is for one goroutine.
type teller struct {
	pkh, sh  byte
	hrp      string
	hrpState uint32
	text     []byte
}

func newTeller(net network) *teller {
	t := &teller{pkh: net.params.PubKeyHashAddrID, sh: net.params.ScriptHashAddrID, hrp: net.params.Bech32HRPSegwit}
	t.hrpState = 1
	for i := range len(t.hrp) {
		t.hrpState = polymod(t.hrpState, t.hrp[i]>>5)
	}
	t.hrpState = polymod(t.hrpState, 0)
	for i := range len(t.hrp) {
		t.hrpState = polymod(t.hrpState, t.hrp[i]&31)
	}
	return t
}

// address gives the normal form of the address that a script of one of the standard kinds pays, valid until the next
// call, and nil for any other script.
func (t *teller) address(script []byte) []byte {
	switch n := len(script); {
	case n == 22 && script[0] == 0x00 && script[1] == 20: // P2WPKH
		return t.segwit(0, script[2:])
	case n == 34 && script[0] == 0x00 && script[1] == 32: // P2WSH
		return t.segwit(0, script[2:])
	case n == 34 && script[0] == 0x51 && script[1] == 32: // P2TR
		return t.segwit(1, script[2:])
	case n == 25 && script[0] == 0x76 && script[1] == 0xa9 && script[2] == 20 && script[23] == 0x88 && script[24] == 0xac: // P2PKH
		return t.base58(t.pkh, script[3:23])
	case n == 23 && script[0] == 0xa9 && script[1] == 20 && script[22] == 0x87: // P2SH
		return t.base58(t.sh, script[2:22])
	}
	return nil
}

// segwit writes bech32 for version 0 (BIP 173) and bech32m for later ones (BIP 350).
func (t *teller) segwit(version byte, program []byte) []byte {
	out := append(append(t.text[:0], t.hrp...), '1', bech32Letters[version])
	state := polymod(t.hrpState, version)
	acc, bits := uint32(0), 0
	for _, b := range program {
		for acc, bits = acc<<8|uint32(b), bits+8; bits >= 5; {
			bits -= 5
			v := byte(acc>>bits) & 31
			state = polymod(state, v)
			out = append(out, bech32Letters[v])
		}
	}
	if bits > 0 {
		v := byte(acc<<(5-bits)) & 31
		state = polymod(state, v)
		out = append(out, bech32Letters[v])
	}
	for range 6 {
		state = polymod(state, 0)
	}
	if version == 0 {
		state ^= 1
	} else {
		state ^= 0x2bc830a3
	}
	for i := range 6 {
		out = append(out, bech32Letters[state>>(5*(5-i))&31])
	}
	t.text = out
	return out
}

// polymod is one step of the checksum of BIP 173.
func polymod(state uint32, v byte) uint32 {
	return (state&0x1ffffff)<<5 ^ uint32(v) ^ generator[state>>25&31]
}

// generator holds, for each five bits that leave the state, the sum of BIP 173's generator words for its bits.
var generator = func() (sums [32]uint32) {
	for bits := range sums {
		for i, word := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if bits>>i&1 == 1 {
				sums[bits] ^= word
			}
		}
	}
	return sums
}()

// base58 writes base58check of a version byte and 20 bytes.
func (t *teller) base58(version byte, hash []byte) []byte {
	var raw [28]byte // 25 bytes at the end, so that they read as seven 32-bit words
	raw[3] = version
	copy(raw[4:24], hash)
	sum := sha256.Sum256(raw[3:24])
	sum = sha256.Sum256(sum[:])
	copy(raw[24:], sum[:4])

	var words [7]uint32
	for i := range words {
		words[i] = uint32(raw[4*i])<<24 | uint32(raw[4*i+1])<<16 | uint32(raw[4*i+2])<<8 | uint32(raw[4*i+3])
	}
	var digits [40]byte
	at := len(digits)
	const five = 58 * 58 * 58 * 58 * 58 // five digits at a time
	for first := 0; first < len(words); {
		rest := uint64(0)
		for i := first; i < len(words); i++ {
			v := rest<<32 | uint64(words[i])
			words[i], rest = uint32(v/five), v%five
		}
		for range 5 {
			at--
			digits[at], rest = byte(rest%58), rest/58
		}
		for first < len(words) && words[first] == 0 {
			first++
		}
	}
	for at < len(digits) && digits[at] == 0 {
		at++
	}
	out := t.text[:0]
	for _, b := range raw[3:] {
		if b != 0 {
			break
		}
		out = append(out, '1')
	}
	for ; at < len(digits); at++ {
		out = append(out, base58Letters[digits[at]])
	}
	t.text = out
	return out
}
