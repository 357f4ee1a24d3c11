package signer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"strconv"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A transfer is the payload of an EIP-1559 transaction that moves coins and does nothing else.
type transfer struct {
	chainID, nonce, gas uint64
	tip, feeCap, value  *big.Int
	to                  [20]byte
}

const (
	type1559  = 0x02
	plainGas  = 21_000
	maxList   = 512 // bytes of a payload: nine fields of at most 33
	emptyText = 0x80
	emptyList = 0xc0
)

// readTransfer reads 0x02 and RLP of nine fields strictly: every number in its shortest form, no data, no access list, no
// other type, nothing behind it.
func readTransfer(raw []byte) (*transfer, error) {
	if len(raw) < 2 || len(raw) > maxList || raw[0] != type1559 {
		return nil, errors.New("not a payload of EIP-1559")
	}
	r := &byteReader{rest: raw[1:]}
	body := &byteReader{rest: r.list()}
	if r.bad || len(r.rest) > 0 {
		return nil, errors.New("payload is no list, or goes on behind it")
	}
	t := &transfer{chainID: body.number64(), nonce: body.number64(), tip: body.number(), feeCap: body.number(), gas: body.number64()}
	to := body.text()
	t.value = body.number()
	data, access := body.byte(), body.byte()
	if body.bad || len(body.rest) > 0 || len(to) != len(t.to) || data != emptyText || access != emptyList {
		return nil, errors.New("payload is not a plain transfer")
	}
	copy(t.to[:], to)
	return t, nil
}

// list reads the header of an RLP list that is longer than its header's byte can say only where it must be.
func (r *byteReader) list() []byte {
	first := r.byte()
	switch {
	case first >= emptyList && first <= 0xf7:
		return r.take(int(first - emptyList))
	case first == 0xf8:
		if n := int(r.byte()); n > 55 {
			return r.take(n)
		}
	case first == 0xf9:
		if n := int(binary.BigEndian.Uint16(r.take(2))); n > 255 {
			return r.take(n)
		}
	}
	r.bad, r.rest = true, nil
	return nil
}

// text reads an RLP string of at most 55 bytes.
func (r *byteReader) text() []byte {
	first := r.byte()
	switch {
	case first < emptyText:
		return []byte{first}
	case first <= 0xb7:
		b := r.take(int(first - emptyText))
		if len(b) != 1 || b[0] >= emptyText {
			return b
		}
	}
	r.bad, r.rest = true, nil
	return nil
}

// number reads an RLP integer of at most 256 bits.
func (r *byteReader) number() *big.Int {
	b := r.text()
	if len(b) > 32 || len(b) > 0 && b[0] == 0 {
		r.bad, r.rest = true, nil
		return new(big.Int)
	}
	return new(big.Int).SetBytes(b)
}

func (r *byteReader) number64() uint64 {
	n := r.number()
	if !n.IsUint64() {
		r.bad, r.rest = true, nil
		return 0
	}
	return n.Uint64()
}

// ethereumReading reads what a payload does, and compares it with what is claimed of it.
func (s *Signer) ethereumReading(c claim) (reading, error) {
	t, err := readTransfer(c.u.Raw)
	if err != nil {
		return reading{}, refuse("%v", err)
	}
	if len(c.u.Holdings) != 1 || len(c.u.Pays) != 1 {
		return reading{}, refuse("a transfer has one holding and one payout")
	}
	h, pay := c.u.Holdings[0], c.u.Pays[0]
	ticket := chain.Ticket(c.addresses[0] + ":" + strconv.FormatUint(t.nonce, 10))
	value := money.OfBig(money.ETH, t.value)
	fee := money.OfBig(money.ETH, new(big.Int).Mul(t.feeCap, new(big.Int).SetUint64(t.gas)))
	switch {
	case strconv.FormatUint(t.chainID, 10) != c.u.Network.Name():
		return reading{}, refuse("the payload is for chain %d", t.chainID)
	case h.Ticket != ticket:
		return reading{}, refuse("the payload uses ticket %s", ticket)
	case !bytes.Equal(t.to[:], c.receivers[0]) || !pay.Net.Equal(value):
		return reading{}, refuse("the payload sends %s to %s", value, checksummed(t.to[:]))
	case t.gas < plainGas || t.gas > MaxGas || t.feeCap.Cmp(t.tip) < 0:
		return reading{}, refuse("the payload gives %d gas, or a tip above its fee", t.gas)
	case pay.Amount.Less(value.Add(fee)) || h.Amount.Less(value.Add(fee)):
		return reading{}, refuse("the payload takes up to %s", value.Add(fee))
	}
	return reading{uses: []use{{ticket, h.Amount}}, fee: fee, rate: money.OfBig(money.ETH, t.feeCap),
		sign: func() (chain.Signed, error) { return s.signEthereum(c) }}, nil
}

// signEthereum signs the payload (EIP-1559), and recovers the account from the signature before anybody sees it.
func (s *Signer) signEthereum(c claim) (out chain.Signed, err error) {
	payload := c.u.Raw
	sum := keccak(payload)
	err = s.keys.with(c.place, c.u.Holdings[0].Key, func(key *btcec.PrivateKey) error {
		const base = 27 // of the first byte, which tells how to recover the key
		sig := ecdsa.SignCompact(key, sum, false)
		point, _, err := ecdsa.RecoverCompact(sig, sum)
		if err != nil || !point.IsEqual(key.PubKey()) || sig[0] > base+1 {
			return errors.New("a signature came out wrong")
		}
		fields := bytes.Clone(listBody(payload))
		fields = appendNumber(fields, []byte{sig[0] - base})
		fields = appendNumber(appendNumber(fields, sig[1:33]), sig[33:65])
		out.Raw = append([]byte{type1559}, append(listHead(len(fields)), fields...)...)
		return nil
	})
	if err != nil {
		return chain.Signed{}, err
	}
	out.TxID = "0x" + hex.EncodeToString(keccak(out.Raw))
	return out, nil
}

// listBody is what stands in the list of a payload that was read.
func listBody(payload []byte) []byte { return (&byteReader{rest: payload[1:]}).list() }

func listHead(n int) []byte {
	switch {
	case n <= 55:
		return []byte{emptyList + byte(n)}
	case n <= 255:
		return []byte{0xf8, byte(n)}
	}
	return []byte{0xf9, byte(n >> 8), byte(n)}
}

// appendNumber writes an RLP integer of at most 32 bytes.
func appendNumber(out, b []byte) []byte {
	b = bytes.TrimLeft(b, "\x00")
	if len(b) == 1 && b[0] < emptyText {
		return append(out, b[0])
	}
	return append(append(out, emptyText+byte(len(b))), b...)
}
