package bitcoin

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/address/v2/bech32"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/pipe-pg/pipe/internal/chain"
)

// sequence signals that a transaction may be replaced (BIP 125), and asks for no relative lock time (BIP 68).
const sequence = 0xfffffffd

type output struct {
	amount int64
	script []byte
}

// psbt writes a partially signed transaction (BIP 174, version 0) with the outputs that the inputs spend, as a signature of
// a segwit input commits to their amounts.
func psbt(ins []holding, outs []output) ([]byte, error) {
	tx := wire.NewMsgTx(2)
	for _, h := range ins {
		in := &wire.TxIn{Sequence: sequence}
		copy(in.PreviousOutPoint.Hash[:], h.point[:32])
		in.PreviousOutPoint.Index = binary.LittleEndian.Uint32(h.point[32:])
		tx.AddTxIn(in)
	}
	for _, o := range outs {
		tx.AddTxOut(wire.NewTxOut(o.amount, o.script))
	}
	var plain bytes.Buffer
	if err := tx.SerializeNoWitness(&plain); err != nil {
		return nil, fmt.Errorf("write transaction: %w", err)
	}
	const globalUnsignedTx, inWitnessUTXO, end = 0x00, 0x01, 0x00
	raw := append([]byte("psbt\xff"), 1, globalUnsignedTx)
	raw = append(appendVarint(raw, plain.Len()), plain.Bytes()...)
	raw = append(raw, end)
	for _, h := range ins {
		raw = append(raw, 1, inWitnessUTXO)
		raw = appendVarint(raw, outputSize(len(h.script)))
		raw = binary.LittleEndian.AppendUint64(raw, uint64(h.amount))
		raw = append(appendVarint(raw, len(h.script)), h.script...)
		raw = append(raw, end)
	}
	for range outs {
		raw = append(raw, end)
	}
	return raw, nil
}

// appendVarint writes a CompactSize. Nothing here is longer than 65,535.
func appendVarint(to []byte, n int) []byte {
	if n < 0xfd {
		return append(to, byte(n))
	}
	return binary.LittleEndian.AppendUint16(append(to, 0xfd), uint16(n))
}

// parseTicket reads "txid:vout" as an outpoint's 36 bytes. There is one text for each outpoint.
func parseTicket(t chain.Ticket) (point [36]byte, err error) {
	txid, vout, _ := strings.Cut(string(t), ":")
	id, err := hex.DecodeString(txid)
	n, err2 := strconv.ParseUint(vout, 10, 32)
	if err != nil || err2 != nil || len(id) != 32 {
		return point, errors.New("a ticket is a txid, a colon and the output's number")
	}
	slices.Reverse(id)
	copy(point[:], id)
	binary.LittleEndian.PutUint32(point[32:], uint32(n))
	if string(appendTicket(nil, point[:])) != string(t) {
		return point, errors.New("a ticket is in lower case, its number without leading zeros")
	}
	return point, nil
}

// scriptOf is the output script that pays an address.
func scriptOf(net network, text string) ([]byte, error) {
	normal, err := ParseAddress(net.name, text)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	if normal != text {
		return nil, errors.New("read address: it is not in its normal form")
	}
	if payload, version, err := base58.CheckDecode(normal); err == nil && len(payload) == 20 {
		if version == net.params.ScriptHashAddrID {
			return append(append([]byte{0xa9, 20}, payload...), 0x87), nil
		}
		return append(append([]byte{0x76, 0xa9, 20}, payload...), 0x88, 0xac), nil
	}
	_, data, err := bech32.Decode(normal)
	if err != nil || len(data) == 0 {
		return nil, fmt.Errorf("read address: %w", err)
	}
	program, err := bech32.ConvertBits(data[1:], 5, 8, false)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	version := data[0]
	if version > 0 {
		version += 0x50 // OP_1 and on
	}
	return append([]byte{version, byte(len(program))}, program...), nil
}
