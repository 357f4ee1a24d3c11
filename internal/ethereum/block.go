package ethereum

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/pipe-pg/pipe/internal/chain"
)

// header is a block's header whose hash was computed from its fields (Keccak-256 of its RLP), or, where it has fields that
// this version does not know, the node's word.
type header struct {
	types.Header
	hash   common.Hash
	opaque string // why the hash is the node's word, else ""
}

// otherKeys are the keys of a block's JSON that are not hashed into its header.
var otherKeys = map[string]bool{
	"hash": true, "size": true, "totalDifficulty": true, "transactions": true, "uncles": true, "withdrawals": true,
}

// UnmarshalJSON reads a header, or a block's header part.
func (h *header) UnmarshalJSON(text []byte) error {
	var said struct {
		Hash *common.Hash `json:"hash"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("read block: %w", err)
	}
	if said.Hash == nil {
		return errors.New("read block: hash is missing")
	}
	if err := h.Header.UnmarshalJSON(text); err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	if h.Number.Sign() < 0 || !h.Number.IsUint64() {
		return errors.New("read header: number is out of range")
	}
	h.hash = h.Header.Hash()
	if h.hash == *said.Hash {
		return nil
	}
	odd, err := unknownKeys(text)
	if err != nil {
		return err
	}
	if len(odd) == 0 {
		return fmt.Errorf("header of block %d hashes to %s, not to %s as the node says", h.Number, h.hash, said.Hash)
	}
	h.hash, h.opaque = *said.Hash, "header has fields unknown to this version: "+clip(strings.Join(odd, " "), maxQuoted)
	return nil
}

// unknownKeys are the keys of a block that this version's header does not have: a later fork's.
func unknownKeys(text []byte) ([]string, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	ours, err := json.Marshal(&types.Header{
		Number: new(big.Int), Difficulty: new(big.Int), BaseFee: new(big.Int), WithdrawalsHash: new(common.Hash),
		BlobGasUsed: new(uint64), ExcessBlobGas: new(uint64), ParentBeaconRoot: new(common.Hash),
		RequestsHash: new(common.Hash), BlockAccessListHash: new(common.Hash), SlotNumber: new(uint64),
	})
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	var known map[string]json.RawMessage
	if err := json.Unmarshal(ours, &known); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	var odd []string
	for key := range all {
		if _, ok := known[key]; !ok && !otherKeys[key] {
			odd = append(odd, key)
		}
	}
	return odd, nil
}

// place is the header as the seam knows it.
func (h *header) place() chain.Block {
	return chain.Block{
		Height: h.Number.Uint64(), Hash: h.hash.Hex(), Parent: h.ParentHash.Hex(),
		Time: time.Unix(int64(h.Time), 0).UTC(),
	}
}

// block is a block with all its transactions.
type block struct {
	header
	txs       []*tx
	receivers []common.Address // of consensus-layer withdrawals
}

// errHash: a block's header does not have the hash that the node gives.
var errHash = errors.New("header does not have its hash")

// blockFields are a block's JSON with full transactions, read in one pass: blocks are most of what is read.
type blockFields struct {
	Hash         *common.Hash      `json:"hash"`
	ParentHash   *common.Hash      `json:"parentHash"`
	UncleHash    *common.Hash      `json:"sha3Uncles"`
	Coinbase     common.Address    `json:"miner"`
	Root         *common.Hash      `json:"stateRoot"`
	TxHash       *common.Hash      `json:"transactionsRoot"`
	ReceiptHash  *common.Hash      `json:"receiptsRoot"`
	Bloom        *types.Bloom      `json:"logsBloom"`
	Difficulty   *hexutil.Big      `json:"difficulty"`
	Number       *hexutil.Big      `json:"number"`
	GasLimit     *hexutil.Uint64   `json:"gasLimit"`
	GasUsed      *hexutil.Uint64   `json:"gasUsed"`
	Time         *hexutil.Uint64   `json:"timestamp"`
	Extra        hexutil.Bytes     `json:"extraData"`
	MixDigest    common.Hash       `json:"mixHash"`
	Nonce        types.BlockNonce  `json:"nonce"`
	BaseFee      *hexutil.Big      `json:"baseFeePerGas"`
	Withdrawn    *common.Hash      `json:"withdrawalsRoot"`
	BlobGasUsed  *hexutil.Uint64   `json:"blobGasUsed"`
	BlobExcess   *hexutil.Uint64   `json:"excessBlobGas"`
	BeaconRoot   *common.Hash      `json:"parentBeaconBlockRoot"`
	Requests     *common.Hash      `json:"requestsHash"`
	AccessList   *common.Hash      `json:"blockAccessListHash"`
	Slot         *hexutil.Uint64   `json:"slotNumber"`
	Transactions *[]*txFields      `json:"transactions"`
	Withdrawals  []withdrawalField `json:"withdrawals"`
}

type withdrawalField struct {
	Address common.Address `json:"address"`
}

// block checks what was read: the header by its hash, the transactions by the header. Errors: errHash.
func (f *blockFields) block() (*block, error) {
	if f.Hash == nil || f.ParentHash == nil || f.UncleHash == nil || f.Root == nil || f.TxHash == nil || f.ReceiptHash == nil ||
		f.Bloom == nil || f.Difficulty == nil || f.Number == nil || f.GasLimit == nil || f.GasUsed == nil || f.Time == nil ||
		f.Transactions == nil {
		return nil, errors.New("read block: a field is missing")
	}
	if !f.Number.ToInt().IsUint64() {
		return nil, errors.New("read block: number is out of range")
	}
	b := &block{header: header{Header: types.Header{
		ParentHash: *f.ParentHash, UncleHash: *f.UncleHash, Coinbase: f.Coinbase, Root: *f.Root, TxHash: *f.TxHash,
		ReceiptHash: *f.ReceiptHash, Bloom: *f.Bloom, Difficulty: f.Difficulty.ToInt(), Number: f.Number.ToInt(),
		GasLimit: uint64(*f.GasLimit), GasUsed: uint64(*f.GasUsed), Time: uint64(*f.Time), Extra: f.Extra,
		MixDigest: f.MixDigest, Nonce: f.Nonce, BaseFee: (*big.Int)(f.BaseFee), WithdrawalsHash: f.Withdrawn,
		BlobGasUsed: (*uint64)(f.BlobGasUsed), ExcessBlobGas: (*uint64)(f.BlobExcess), ParentBeaconRoot: f.BeaconRoot,
		RequestsHash: f.Requests, BlockAccessListHash: f.AccessList, SlotNumber: (*uint64)(f.Slot),
	}}}
	b.hash = *f.Hash
	for i, t := range *f.Transactions {
		if t == nil {
			return nil, fmt.Errorf("read block %d: transaction %d is null", b.Number, i)
		}
		one, err := t.tx()
		if err != nil {
			return nil, fmt.Errorf("read block %d: %w", b.Number, err)
		}
		b.txs = append(b.txs, one)
	}
	for _, w := range f.Withdrawals {
		b.receivers = append(b.receivers, w.Address)
	}
	if err := b.checkRoot(); err != nil {
		return nil, err
	}
	if b.Header.Hash() != b.hash {
		return b, fmt.Errorf("read block %d: %w %s", b.Number, errHash, b.hash)
	}
	return b, nil
}

// checkRoot recomputes the transactions root. A transaction of a type that this version cannot encode leaves the node's
// word for the fields that every type has.
func (b *block) checkRoot() error {
	signed := make(types.Transactions, len(b.txs))
	for i, t := range b.txs {
		if t.signed == nil {
			b.opaque = fmt.Sprintf("transaction type %#x is unknown to this version", t.kind)
			return nil
		}
		signed[i] = t.signed
	}
	if root := types.DeriveSha(signed, trie.NewStackTrie(nil)); root != b.TxHash {
		return fmt.Errorf("transactions of block %d have root %s, not %s as its header says", b.Number, root, b.TxHash)
	}
	return nil
}
