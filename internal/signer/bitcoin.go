package signer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A coin is an output that an input spends, as the PSBT tells it.
type coin struct {
	value  int64
	script []byte
}

// A partial is a PSBT that was read: a transaction without signatures, and the coins of its inputs.
type partial struct {
	tx    *wire.MsgTx
	coins []coin
}

// Of what BIP-174 knows, this signer takes the least: the transaction, and one witness coin for each input.
const (
	psbtMagic   = "psbt\xff"
	psbtTx      = 0x00
	psbtWitness = 0x01
	psbtEnd     = 0x00
	// replaceable is the sequence of every input: it may be replaced (BIP-125) and is not locked (BIP-68).
	replaceable = 0xfffffffd
	maxSatoshi  = 21e6 * 1e8
)

// readPartial reads a PSBT of version 0 strictly: nothing but what is needed, in one encoding, and nothing behind it.
func readPartial(raw []byte) (*partial, error) {
	r := &byteReader{rest: raw}
	if string(r.take(len(psbtMagic))) != psbtMagic {
		return nil, errors.New("no PSBT")
	}
	inner := r.entry(psbtTx)
	if r.byte() != psbtEnd || r.bad {
		return nil, errors.New("PSBT has more than the transaction in its first part")
	}
	body := &byteReader{rest: inner}
	p := &partial{tx: body.tx()}
	if body.bad || len(body.rest) > 0 {
		return nil, errors.New("transaction cannot be read, or goes on behind its end")
	}
	if err := plainTx(p.tx); err != nil {
		return nil, err
	}
	for range p.tx.TxIn {
		utxo := &byteReader{rest: r.entry(psbtWitness)}
		value := binary.LittleEndian.Uint64(utxo.take(8))
		script := utxo.take(utxo.size())
		if r.byte() != psbtEnd || r.bad || utxo.bad || len(utxo.rest) > 0 || value > maxSatoshi {
			return nil, errors.New("PSBT input has not just its witness coin")
		}
		p.coins = append(p.coins, coin{int64(value), bytes.Clone(script)})
	}
	for range p.tx.TxOut {
		if r.byte() != psbtEnd {
			return nil, errors.New("PSBT output has an entry")
		}
	}
	if r.bad || len(r.rest) > 0 {
		return nil, errors.New("PSBT is cut short, or goes on behind its end")
	}
	return p, nil
}

// tx reads a transaction without signatures: what is counted in it is bounded before room is made for it.
func (r *byteReader) tx() *wire.MsgTx {
	tx := wire.NewMsgTx(int32(r.number32()))
	for range r.count(MaxInputs) {
		in := &wire.TxIn{}
		copy(in.PreviousOutPoint.Hash[:], r.take(len(in.PreviousOutPoint.Hash)))
		in.PreviousOutPoint.Index = r.number32()
		in.SignatureScript = bytes.Clone(r.take(r.size()))
		in.Sequence = r.number32()
		tx.AddTxIn(in)
	}
	for range r.count(MaxPays + 1) {
		value := binary.LittleEndian.Uint64(r.take(8))
		tx.AddTxOut(wire.NewTxOut(int64(min(value, maxSatoshi+1)), bytes.Clone(r.take(r.size()))))
	}
	tx.LockTime = r.number32()
	return tx
}

func (r *byteReader) number32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

// count reads how many there are, at least one.
func (r *byteReader) count(limit int) int {
	if n := r.size(); n >= 1 && n <= limit {
		return n
	}
	r.bad, r.rest = true, nil
	return 0
}

// plainTx refuses what a payout never has.
func plainTx(tx *wire.MsgTx) error {
	if tx.Version != 2 || tx.LockTime != 0 {
		return errors.New("transaction has another version than 2, or a lock time")
	}
	seen := map[wire.OutPoint]bool{}
	for _, in := range tx.TxIn {
		if len(in.SignatureScript) > 0 || in.Sequence != replaceable || seen[in.PreviousOutPoint] {
			return errors.New("transaction has an input twice, signed already, or locked")
		}
		seen[in.PreviousOutPoint] = true
	}
	for _, out := range tx.TxOut {
		if out.Value > maxSatoshi {
			return errors.New("transaction has an output out of range")
		}
	}
	return nil
}

// bitcoinReading reads what a PSBT does, and compares it with what is claimed of it.
func (s *Signer) bitcoinReading(c claim) (reading, error) {
	p, err := readPartial(c.u.Raw)
	if err != nil {
		return reading{}, refuse("%v", err)
	}
	if len(p.tx.TxIn) != len(c.u.Holdings) {
		return reading{}, refuse("%d inputs, %d holdings are claimed", len(p.tx.TxIn), len(c.u.Holdings))
	}
	r := reading{}
	in, own := int64(0), map[string]bool{}
	for i, at := range p.tx.TxIn {
		h := c.u.Holdings[i]
		ticket := at.PreviousOutPoint.Hash.String() + ":" + strconv.FormatUint(uint64(at.PreviousOutPoint.Index), 10)
		script, err := c.place.receiver(c.addresses[i])
		if err != nil {
			return reading{}, err
		}
		if string(h.Ticket) != ticket || !h.Amount.Equal(money.Of(money.BTC, p.coins[i].value)) || !bytes.Equal(script, p.coins[i].script) {
			return reading{}, refuse("input %d spends another coin than is claimed", i)
		}
		own[string(script)] = true
		in += p.coins[i].value
		r.uses = append(r.uses, use{h.Ticket, h.Amount})
	}
	out, err := payOutputs(p.tx, c, own)
	if err != nil {
		return reading{}, err
	}
	fee := in - out
	given := money.Of(money.BTC, fee)
	for _, pay := range c.u.Pays {
		given = given.Sub(pay.Amount.Sub(pay.Net))
	}
	if fee < 0 || given.Sign() < 0 || money.Of(money.BTC, MaxDropped).Less(given) {
		return reading{}, refuse("inputs are %d satoshi, outputs %d, and the payouts bear another fee", in, out)
	}
	r.fee = money.Of(money.BTC, fee)
	r.rate = money.Of(money.BTC, (fee*1000+vsize(p.tx)-1)/vsize(p.tx))
	r.sign = func() (chain.Signed, error) { return s.signBitcoin(c, p) }
	return r, nil
}

// payOutputs finds the outputs of the payouts in their places, and behind them at most the change, to one of the inputs' own
// addresses. The builder pays those to one receiver in one output.
func payOutputs(tx *wire.MsgTx, c claim, own map[string]bool) (out int64, err error) {
	paid, err := joinedOutputs(c)
	if err != nil {
		return 0, err
	}
	change := int64(0)
	for i, o := range tx.TxOut {
		out += o.Value
		switch {
		case i < len(paid):
			if !bytes.Equal(o.PkScript, paid[i].PkScript) || o.Value != paid[i].Value {
				return 0, refuse("output %d is not what the payouts claim", i)
			}
		case i == len(paid) && own[string(o.PkScript)]:
			change = o.Value
		default:
			return 0, refuse("output %d belongs to no payout and is no change", i)
		}
	}
	if len(tx.TxOut) < len(paid) || c.u.Change.Big().Cmp(money.Of(money.BTC, change).Big()) != 0 {
		return 0, refuse("a payout has no output, or the change is not what is claimed")
	}
	return out, nil
}

// joinedOutputs are the outputs that the payouts claim: one for each receiver, where it is named first.
func joinedOutputs(c claim) (all []*wire.TxOut, err error) {
	for i, pay := range c.u.Pays {
		net := pay.Net.Big()
		if !net.IsInt64() || net.Sign() < 0 || net.Int64() > maxSatoshi { // so that no sum of them overflows
			return nil, refuse("payout %s claims %s", pay.Payout, pay.Net)
		}
		at := slices.IndexFunc(all, func(o *wire.TxOut) bool { return bytes.Equal(o.PkScript, c.receivers[i]) })
		if at < 0 {
			all = append(all, wire.NewTxOut(net.Int64(), c.receivers[i]))
			continue
		}
		all[at].Value += net.Int64()
	}
	return all, nil
}

// vsize is the least that the signed transaction will have, in virtual bytes (BIP-141): each input's witness has a
// signature of 71 bytes with its type, and a key of 33.
func vsize(tx *wire.MsgTx) int64 {
	const witness = 1 + 1 + 71 + 1 + 33
	return (int64(tx.SerializeSizeStripped())*4 + 2 + int64(len(tx.TxIn))*witness + 3) / 4
}

// signBitcoin signs every input (BIP-143, all inputs and outputs), and checks each signature before anybody sees it.
func (s *Signer) signBitcoin(c claim, p *partial) (chain.Signed, error) {
	coins := map[wire.OutPoint]*wire.TxOut{}
	for i, in := range p.tx.TxIn {
		coins[in.PreviousOutPoint] = wire.NewTxOut(p.coins[i].value, p.coins[i].script)
	}
	sums := txscript.NewTxSigHashes(p.tx, txscript.NewMultiPrevOutFetcher(coins))
	for i, in := range p.tx.TxIn {
		sum, err := txscript.CalcWitnessSigHash(p.coins[i].script, sums, txscript.SigHashAll, p.tx, i, p.coins[i].value)
		if err != nil {
			return chain.Signed{}, fmt.Errorf("hash input %d: %w", i, err)
		}
		err = s.keys.with(c.place, c.u.Holdings[i].Key, func(key *btcec.PrivateKey) error {
			sig := ecdsa.Sign(key, sum)
			if !sig.Verify(sum, key.PubKey()) {
				return errors.New("a signature came out wrong")
			}
			in.Witness = wire.TxWitness{append(sig.Serialize(), byte(txscript.SigHashAll)), key.PubKey().SerializeCompressed()}
			return nil
		})
		if err != nil {
			return chain.Signed{}, fmt.Errorf("sign input %d: %w", i, err)
		}
	}
	var out bytes.Buffer
	if err := p.tx.Serialize(&out); err != nil {
		return chain.Signed{}, fmt.Errorf("write transaction: %w", err)
	}
	return chain.Signed{Raw: out.Bytes(), TxID: p.tx.TxID()}, nil
}

// A byteReader takes bytes off the front. After the first that is not there all others are empty, and bad says so.
type byteReader struct {
	rest []byte
	bad  bool
}

func (r *byteReader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, max(0, min(n, 8)))
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *byteReader) byte() byte { return r.take(1)[0] }

// size reads a CompactSize in its shortest form; more than 65,535 is nowhere.
func (r *byteReader) size() int {
	first := r.byte()
	switch {
	case first < 0xfd:
		return int(first)
	case first == 0xfd:
		if n := int(binary.LittleEndian.Uint16(r.take(2))); n >= 0xfd {
			return n
		}
	}
	r.bad, r.rest = true, nil
	return 0
}

// entry reads the value of a key that is one byte long and must be this one.
func (r *byteReader) entry(key byte) []byte {
	if r.size() != 1 || r.byte() != key {
		r.bad, r.rest = true, nil
		return nil
	}
	return r.take(r.size())
}
