package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/btcsuite/btcd/address/v2/bech32"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
)

const (
	blockBytes = 2_500_000
	planted    = 10
)

// A watched set is of the kind that the watcher keeps: fingerprints of addresses.
type watched struct {
	seed maphash.Seed
	set  map[uint64]struct{}
}

func newWatched(r *random, addresses []string) *watched {
	w := &watched{seed: maphash.MakeSeed(), set: make(map[uint64]struct{}, watchedMany)}
	for range watchedMany - len(addresses) {
		w.set[r.next()] = struct{}{}
	}
	for _, a := range addresses {
		w.set[maphash.String(w.seed, a)] = struct{}{}
	}
	return w
}

func (w *watched) has(address string) bool {
	_, ok := w.set[maphash.String(w.seed, address)]
	return ok
}

func bitcoinBlock(ctx context.Context, b *lab) ([]result, error) {
	r := &random{6}
	block, ours, err := bigBlock(r)
	if err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	if err := block.Serialize(&raw); err != nil {
		return nil, err
	}
	hash := block.BlockHash().String()
	node, err := b.fakeNode(ctx, map[string][]byte{
		"getblockchaininfo": []byte(`{"chain":"regtest"}`), "getblockhash 0": fmt.Appendf(nil, "%q", chaincfg.RegressionNetParams.GenesisHash),
		"getblockhash": fmt.Appendf(nil, "%q", hash), "getblock": fmt.Appendf(nil, "%q", hex.EncodeToString(raw.Bytes())),
	})
	if err != nil {
		return nil, err
	}
	reader, err := bitcoin.Open(bitcoin.Options{Network: network, URL: node.url})
	if err != nil {
		return nil, err
	}
	set := newWatched(r, ours)
	place := chain.Block{Height: 7, Hash: hash, Parent: block.Header.PrevBlock.String()}
	fetch := timed(func(ctx context.Context) error { _, err := node.fetch(ctx, "getblock", hash, 0); return err })
	var fetched series
	res := result{goal: "Bitcoin block of 2.5 MB, 1 M watched", limit: "fetch, hex, raw pass over outputs", unit: "ms"}
	res.base, res.got, res.ratio, err = pairs(ctx, b.pairs, func(ctx context.Context) (float64, error) {
		alone, err := fetch(ctx)
		if err != nil {
			return 0, err
		}
		fetched = append(fetched, alone)
		return timed(func(ctx context.Context) error { return rawRead(ctx, node, hash, set) })(ctx)
	}, timed(func(ctx context.Context) error {
		found, err := reader.Scan(ctx, place, chain.Watch{Has: set.has})
		if err == nil && len(found.Credits) != planted {
			err = fmt.Errorf("found %d credits of %d", len(found.Credits), planted)
		}
		return err
	}))
	if err != nil {
		return nil, err
	}
	beyond := res.got.median() - fetched.median()
	res.more = fmt.Sprintf("%.1f ms beyond the fetch (%.1f ms), all %d credits found each time", beyond, fetched.median(), planted)
	res.target, res.met = "≤ 3 ms beyond the fetch", beyond <= 3
	return []result{res}, nil
}

// rawRead is the limit: it believes the node, computes no hash, and looks at the bytes of each output script once.
func rawRead(ctx context.Context, node *fakeNode, hash string, set *watched) error {
	body, err := node.fetch(ctx, "getblock", hash, 0)
	if err != nil {
		return err
	}
	from := bytes.Index(body, []byte(`"result":"`)) + len(`"result":"`)
	to := bytes.LastIndexByte(body, '"')
	if from >= to {
		return errors.New("no block in the answer")
	}
	raw := body[from:to]
	n, err := hex.Decode(raw, raw)
	if err != nil {
		return err
	}
	if outputs := rawPass(raw[:n], set); outputs == 0 {
		return errors.New("no output in the block")
	}
	return nil
}

// rawPass walks over a block that is known to be well formed.
func rawPass(raw []byte, set *watched) (outputs int) {
	at := 80
	count := func() int {
		n := int(raw[at])
		at++
		switch n {
		case 0xfd:
			n = int(binary.LittleEndian.Uint16(raw[at:]))
			at += 2
		case 0xfe:
			n = int(binary.LittleEndian.Uint32(raw[at:]))
			at += 4
		}
		return n
	}
	skip := func() { n := count(); at += n }
	hits := 0
	for range count() {
		at += 4
		witness := raw[at] == 0
		if witness {
			at += 2
		}
		ins := count()
		for range ins {
			at += 36
			skip()
			at += 4
		}
		for range count() {
			at += 8
			n := count()
			if _, ok := set.set[maphash.Bytes(set.seed, raw[at:at+n])]; ok {
				hits++
			}
			at += n
			outputs++
		}
		if witness {
			for range ins {
				for range count() {
					skip()
				}
			}
		}
		at += 4
	}
	return outputs
}

// bigBlock is a block whose outputs are of the kinds and sizes seen on mainnet, some of them to us.
func bigBlock(r *random) (*wire.MsgBlock, []string, error) {
	coinbase := wire.NewMsgTx(1)
	coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, 0xffffffff), []byte{1, 2, 3}, nil))
	coinbase.AddTxOut(wire.NewTxOut(1, []byte{0x51}))
	txs, size := []*wire.MsgTx{coinbase}, 0
	var programs [][]byte
	for size < blockBytes {
		tx := wire.NewMsgTx(2)
		for range 1 + r.below(3) {
			tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash(r.bytes(32))}, nil, [][]byte{r.bytes(72), r.bytes(33), r.bytes(r.below(400))}))
		}
		for range 1 + r.below(3) {
			tx.AddTxOut(wire.NewTxOut(int64(1+r.below(1e9)), someScript(r)))
		}
		if len(txs)%500 == 0 && len(programs) < planted {
			program := r.bytes(20)
			programs = append(programs, program)
			tx.AddTxOut(wire.NewTxOut(1_000, append([]byte{0x00, 20}, program...)))
		}
		txs, size = append(txs, tx), size+tx.SerializeSize()
	}
	for len(programs) < planted {
		program := r.bytes(20)
		programs = append(programs, program)
		txs[len(txs)-1].AddTxOut(wire.NewTxOut(1_000, append([]byte{0x00, 20}, program...)))
	}
	ours := make([]string, len(programs))
	for i, program := range programs {
		words, err := bech32.ConvertBits(program, 8, 5, true)
		if err != nil {
			return nil, nil, err
		}
		if ours[i], err = bech32.Encode("bcrt", append([]byte{0}, words...)); err != nil {
			return nil, nil, err
		}
	}
	block := &wire.MsgBlock{Transactions: txs, Header: wire.BlockHeader{
		Version: 4, MerkleRoot: merkle(txs), Timestamp: time.Unix(1_800_000_000, 0), Bits: chaincfg.RegressionNetParams.PowLimitBits,
	}}
	for hash := block.BlockHash(); hash[31] > 0x7e; hash = block.BlockHash() {
		block.Header.Nonce++
	}
	return block, ours, nil
}

func someScript(r *random) []byte {
	switch r.below(10) {
	case 0:
		return append(append([]byte{0x76, 0xa9, 20}, r.bytes(20)...), 0x88, 0xac)
	case 1:
		return append(append([]byte{0xa9, 20}, r.bytes(20)...), 0x87)
	case 2, 3, 4:
		return append([]byte{0x51, 32}, r.bytes(32)...)
	}
	return append([]byte{0x00, 20}, r.bytes(20)...)
}

func merkle(txs []*wire.MsgTx) chainhash.Hash {
	row := make([]chainhash.Hash, len(txs))
	for i, tx := range txs {
		row[i] = tx.TxHash()
	}
	for len(row) > 1 {
		if len(row)%2 == 1 {
			row = append(row, row[len(row)-1])
		}
		for i := range len(row) / 2 {
			once := sha256.Sum256(append(row[2*i][:], row[2*i+1][:]...))
			row[i] = sha256.Sum256(once[:])
		}
		row = row[:len(row)/2]
	}
	return row[0]
}
