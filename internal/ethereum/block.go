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

// UnmarshalJSON reads a block with full transactions and checks them against the header's root.
func (b *block) UnmarshalJSON(text []byte) error {
	if err := b.header.UnmarshalJSON(text); err != nil {
		return err
	}
	var body struct {
		Transactions *[]*tx `json:"transactions"`
		Withdrawals  []struct {
			Address common.Address `json:"address"`
		} `json:"withdrawals"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return fmt.Errorf("read transactions of block %d: %w", b.Number, err)
	}
	if body.Transactions == nil {
		return fmt.Errorf("read block %d: transactions are missing", b.Number)
	}
	b.txs = *body.Transactions
	for _, w := range body.Withdrawals {
		b.receivers = append(b.receivers, w.Address)
	}
	return b.checkRoot()
}

// checkRoot recomputes the transactions root. A transaction of a type that this version cannot encode leaves the node's
// word for the fields that every type has.
func (b *block) checkRoot() error {
	signed := make(types.Transactions, len(b.txs))
	for i, t := range b.txs {
		if t == nil {
			return fmt.Errorf("read block %d: transaction %d is null", b.Number, i)
		}
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

// tx is what matters of a transaction.
type tx struct {
	kind   uint64
	id     common.Hash
	from   common.Address // the node's word
	to     *common.Address
	value  *big.Int
	signed *types.Transaction // nil for a type that this version does not know
}

// txFields are a transaction's JSON of every type, after EIP-1474.
type txFields struct {
	Type       hexutil.Uint64   `json:"type"`
	Hash       *common.Hash     `json:"hash"`
	From       *common.Address  `json:"from"`
	To         *common.Address  `json:"to"`
	Value      *hexutil.Big     `json:"value"`
	Nonce      hexutil.Uint64   `json:"nonce"`
	Gas        hexutil.Uint64   `json:"gas"`
	GasPrice   *hexutil.Big     `json:"gasPrice"`
	FeeCap     *hexutil.Big     `json:"maxFeePerGas"`
	TipCap     *hexutil.Big     `json:"maxPriorityFeePerGas"`
	Input      hexutil.Bytes    `json:"input"`
	ChainID    *hexutil.Big     `json:"chainId"`
	AccessList types.AccessList `json:"accessList"`
	V          *hexutil.Big     `json:"v"`
	R          *hexutil.Big     `json:"r"`
	S          *hexutil.Big     `json:"s"`
	YParity    *hexutil.Uint64  `json:"yParity"`
}

// UnmarshalJSON reads a transaction. Its hash is computed from its fields and must be the one the node gives.
func (t *tx) UnmarshalJSON(text []byte) error {
	var f txFields
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("read transaction: %w", err)
	}
	if f.Hash == nil || f.From == nil || f.Value == nil {
		return errors.New("read transaction: hash, from or value is missing")
	}
	*t = tx{kind: uint64(f.Type), id: *f.Hash, from: *f.From, to: f.To, value: f.Value.ToInt()}
	var err error
	switch f.Type {
	case types.LegacyTxType, types.AccessListTxType, types.DynamicFeeTxType:
		t.signed, err = f.signed()
	case types.BlobTxType, types.SetCodeTxType: // rare: the slower decoder serves
		t.signed = new(types.Transaction)
		err = t.signed.UnmarshalJSON(text)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("read transaction %s: %w", f.Hash, err)
	}
	if id := t.signed.Hash(); id != t.id {
		return fmt.Errorf("transaction hashes to %s, not to %s as the node says", id, t.id)
	}
	return nil
}

// signed is the transaction of one of the three common types (EIP-2718). It spares them the general decoder, which takes
// twice as long and would be most of a scan's time.
func (f *txFields) signed() (*types.Transaction, error) {
	if f.V == nil && f.YParity != nil {
		f.V = (*hexutil.Big)(new(big.Int).SetUint64(uint64(*f.YParity)))
	}
	price, tip, chainID := f.GasPrice, f.TipCap, f.ChainID
	if f.Type == types.DynamicFeeTxType {
		price = f.FeeCap
	} else {
		tip = new(hexutil.Big)
	}
	if f.Type == types.LegacyTxType {
		chainID = new(hexutil.Big) // it is in V
	}
	for _, number := range []*hexutil.Big{f.V, f.R, f.S, price, tip, chainID} {
		if number == nil {
			return nil, errors.New("a field of its type is missing")
		}
	}
	nonce, gas := uint64(f.Nonce), uint64(f.Gas)
	value, v, r, s := f.Value.ToInt(), f.V.ToInt(), f.R.ToInt(), f.S.ToInt()
	switch f.Type {
	case types.AccessListTxType:
		return types.NewTx(&types.AccessListTx{ChainID: chainID.ToInt(), Nonce: nonce, GasPrice: price.ToInt(), Gas: gas,
			To: f.To, Value: value, Data: f.Input, AccessList: f.AccessList, V: v, R: r, S: s}), nil
	case types.DynamicFeeTxType:
		return types.NewTx(&types.DynamicFeeTx{ChainID: chainID.ToInt(), Nonce: nonce, GasTipCap: tip.ToInt(),
			GasFeeCap: price.ToInt(), Gas: gas, To: f.To, Value: value, Data: f.Input, AccessList: f.AccessList,
			V: v, R: r, S: s}), nil
	}
	return types.NewTx(&types.LegacyTx{Nonce: nonce, GasPrice: price.ToInt(), Gas: gas, To: f.To, Value: value,
		Data: f.Input, V: v, R: r, S: s}), nil
}
