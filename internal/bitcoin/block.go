package bitcoin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"

	"github.com/btcsuite/btcd/wire/v2"
)

// errShort: the bytes end before what they announce.
var errShort = errors.New("bytes end too early")

// A txView is a transaction as far as credits and uses need it.
type txView struct {
	id       [32]byte
	coinbase bool
	inputs   int
	ins      []byte // the inputs, serialised
	count    int    // outputs
	outs     []byte // the outputs, serialised
}

// points walks over the outpoints that the inputs use up, 36 bytes each.
func (v txView) points() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		c := cursor{b: v.ins}
		for range v.inputs {
			point := c.take(36)
			c.take(c.varint())
			if c.take(4); !yield(point) {
				return
			}
		}
	}
}

// outputs walks over amount in satoshi and script of each output.
func (v txView) outputs() iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		c := cursor{b: v.outs}
		for range v.count {
			amount := int64(binary.LittleEndian.Uint64(c.take(8)))
			if script := c.take(c.varint()); !yield(amount, script) {
				return
			}
		}
	}
}

// decodeBlock reads a block's transactions and checks them against the header's merkle root, so that a decoder that reads
// wrongly, and a node that leaves out, adds or alters a transaction, are found. A block that the first decoder refuses is
// tried with a second one that was written by others.
func decodeBlock(raw []byte, h header) ([]txView, error) {
	txs, err := walkBlock(raw)
	if err == nil {
		err = checkBlock(txs, h)
	}
	if err == nil {
		return txs, nil
	}
	again, err2 := wireBlock(raw)
	if err2 == nil {
		err2 = checkBlock(again, h)
	}
	if err2 != nil {
		return nil, fmt.Errorf("decode block: %w; second decoder: %w", err, err2)
	}
	return again, nil
}

// checkBlock checks that exactly these transactions make the block.
func checkBlock(txs []txView, h header) error {
	for i, tx := range txs {
		if tx.coinbase != (i == 0) {
			return fmt.Errorf("transaction %d is a coinbase in the wrong place, or none in the first", i)
		}
	}
	ids := make([][32]byte, len(txs))
	for i, tx := range txs {
		ids[i] = tx.id
	}
	root, err := merkleRoot(ids)
	if err != nil {
		return err
	}
	if root != h.merkle {
		return errors.New("merkle root does not match the header")
	}
	return nil
}

// merkleRoot hashes ids up to their root, using their memory. Equal neighbours are refused: they would let a list with
// repeated transactions have the same root (CVE-2012-2459).
func merkleRoot(ids [][32]byte) ([32]byte, error) {
	if len(ids) == 0 {
		return [32]byte{}, errors.New("block without transactions")
	}
	var pair [64]byte
	for len(ids) > 1 {
		for i := 0; i+1 < len(ids); i += 2 {
			if ids[i] == ids[i+1] {
				return [32]byte{}, errors.New("block repeats transactions")
			}
		}
		if len(ids)%2 == 1 {
			ids = append(ids, ids[len(ids)-1])
		}
		for i := 0; i < len(ids); i += 2 {
			copy(pair[:32], ids[i][:])
			copy(pair[32:], ids[i+1][:])
			ids[i/2] = doubleHash(pair[:])
		}
		ids = ids[:len(ids)/2]
	}
	return ids[0], nil
}

// walkBlock finds ids and outputs in the raw bytes without building transactions.
func walkBlock(raw []byte) ([]txView, error) {
	if len(raw) > MaxBlock {
		return nil, fmt.Errorf("block of %d bytes", len(raw))
	}
	c := cursor{b: raw}
	c.take(headerSize)
	n := c.count(51) // one input, no output: what the encoding needs at least, whatever consensus asks
	txs := make([]txView, 0, n)
	w := walker{sum: sha256.New()}
	for i := range n {
		tx := w.tx(&c)
		if c.short {
			return nil, fmt.Errorf("transaction %d: %w", i, errShort)
		}
		txs = append(txs, tx)
	}
	if c.short || len(c.b) != 0 {
		return nil, fmt.Errorf("%d bytes left over: %w", len(c.b), errShort)
	}
	return txs, nil
}

// walkTx reads one transaction that is all of raw.
func walkTx(raw []byte) (txView, error) {
	c := cursor{b: raw}
	w := walker{sum: sha256.New()}
	tx := w.tx(&c)
	if c.short || len(c.b) != 0 {
		return txView{}, fmt.Errorf("decode transaction: %d bytes left over: %w", len(c.b), errShort)
	}
	return tx, nil
}

// A walker reads transactions; it keeps a hash to use it again.
type walker struct{ sum hash.Hash }

// tx reads one transaction (BIP 144). Its id is the hash of version, inputs, outputs and lock time, without marker, flag
// and witnesses.
func (w *walker) tx(c *cursor) txView {
	whole := c.b
	version := c.take(4)
	segwit := len(c.b) > 2 && c.b[0] == 0 && c.b[1] == 1
	if segwit {
		c.take(2)
	}
	body := c.b
	inputs := c.count(41)
	tx := txView{inputs: inputs}
	ins := c.b
	for range inputs {
		point := c.take(36)
		c.take(c.varint())
		c.take(4)
		tx.coinbase = tx.coinbase || len(point) == 36 && isNull(point)
	}
	tx.ins = ins[:len(ins)-len(c.b)]
	tx.count = c.count(9)
	outs := c.b
	for range tx.count {
		c.take(8)
		c.take(c.varint())
	}
	tx.outs = outs[:len(outs)-len(c.b)]
	body = body[:len(body)-len(c.b)]
	if segwit {
		for range inputs {
			for range c.count(1) {
				c.take(c.varint())
			}
		}
	}
	lock := c.take(4)
	if c.short {
		return txView{}
	}
	if !segwit {
		tx.id = doubleHash(whole[:len(whole)-len(c.b)])
		return tx
	}
	w.sum.Reset()
	for _, part := range [][]byte{version, body, lock} {
		w.sum.Write(part) //nolint:errcheck // a hash never fails
	}
	w.sum.Sum(tx.id[:0])
	tx.id = sha256.Sum256(tx.id[:])
	return tx
}

// isNull tells the outpoint that only a coinbase uses.
func isNull(point []byte) bool {
	return binary.LittleEndian.Uint32(point[32:]) == 0xffffffff && [32]byte(point) == [32]byte{}
}

// A cursor takes bytes from the front. After it came to the end too early it is short, and gives as many zeros as a field
// has.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.short = nil, true
		return make([]byte, min(max(n, 0), headerSize))
	}
	part := c.b[:n:n]
	c.b = c.b[n:]
	return part
}

// varint reads a CompactSize. One too large to be a length here, or written longer than need be (which Core refuses),
// makes the cursor short.
func (c *cursor) varint() int {
	var n, least uint64
	switch first := c.take(1)[0]; first {
	case 0xfd:
		n, least = uint64(binary.LittleEndian.Uint16(c.take(2))), 0xfd
	case 0xfe:
		n, least = uint64(binary.LittleEndian.Uint32(c.take(4))), 0x10000
	case 0xff:
		n, least = binary.LittleEndian.Uint64(c.take(8)), 0x100000000
	default:
		return int(first)
	}
	if n < least || n > MaxBlock {
		c.b, c.short = nil, true
		return 0
	}
	return int(n)
}

// count reads how many things follow that take at least so many bytes each.
func (c *cursor) count(least int) int {
	n := c.varint()
	if n > len(c.b)/least {
		c.b, c.short = nil, true
		return 0
	}
	return n
}

// wireBlock decodes with btcd's wire package.
func wireBlock(raw []byte) ([]txView, error) {
	var block wire.MsgBlock
	in := bytes.NewReader(raw)
	if err := block.Deserialize(in); err != nil {
		return nil, fmt.Errorf("read block: %w", err)
	}
	if in.Len() != 0 {
		return nil, fmt.Errorf("%d bytes left over", in.Len())
	}
	txs := make([]txView, 0, len(block.Transactions))
	for _, tx := range block.Transactions {
		v := txView{id: tx.TxHash(), inputs: len(tx.TxIn), count: len(tx.TxOut)}
		for _, in := range tx.TxIn {
			p := in.PreviousOutPoint
			v.coinbase = v.coinbase || p.Index == 0xffffffff && p.Hash == [32]byte{}
			v.ins = binary.LittleEndian.AppendUint32(append(v.ins, p.Hash[:]...), p.Index)
			v.ins = append(v.ins, 0, 0, 0, 0, 0) // an empty script and a sequence: uses need neither
		}
		var outs bytes.Buffer
		for _, out := range tx.TxOut {
			if err := wire.WriteTxOut(&outs, 0, tx.Version, out); err != nil {
				return nil, fmt.Errorf("write output: %w", err)
			}
		}
		v.outs = outs.Bytes()
		txs = append(txs, v)
	}
	return txs, nil
}
