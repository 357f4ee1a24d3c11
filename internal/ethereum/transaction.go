package ethereum

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
)

// tx is what matters of a transaction.
type tx struct {
	kind   uint64
	id     common.Hash
	from   common.Address // the node's word, until sender recovers it
	proven bool           // it was recovered
	nonce  uint64
	to     *common.Address
	value  *big.Int
	signed *types.Transaction // nil for a type that this version does not know
}

// txFields are a transaction's JSON of every type, after EIP-1474.
type txFields struct {
	Type       hexutil.Uint64               `json:"type"`
	Hash       *common.Hash                 `json:"hash"`
	From       *common.Address              `json:"from"`
	To         *common.Address              `json:"to"`
	Value      *hexutil.Big                 `json:"value"`
	Nonce      hexutil.Uint64               `json:"nonce"`
	Gas        hexutil.Uint64               `json:"gas"`
	GasPrice   *hexutil.Big                 `json:"gasPrice"`
	FeeCap     *hexutil.Big                 `json:"maxFeePerGas"`
	TipCap     *hexutil.Big                 `json:"maxPriorityFeePerGas"`
	Input      hexutil.Bytes                `json:"input"`
	ChainID    *hexutil.Big                 `json:"chainId"`
	AccessList types.AccessList             `json:"accessList"`
	BlobFeeCap *hexutil.Big                 `json:"maxFeePerBlobGas"`
	Blobs      []common.Hash                `json:"blobVersionedHashes"`
	Auth       []types.SetCodeAuthorization `json:"authorizationList"`
	V          *hexutil.Big                 `json:"v"`
	R          *hexutil.Big                 `json:"r"`
	S          *hexutil.Big                 `json:"s"`
	YParity    *hexutil.Uint64              `json:"yParity"`
}

// tx checks a transaction: its hash is computed from its fields and must be the one the node gives.
func (f *txFields) tx() (*tx, error) {
	if f.Hash == nil || f.From == nil || f.Value == nil {
		return nil, errors.New("read transaction: hash, from or value is missing")
	}
	t := &tx{kind: uint64(f.Type), id: *f.Hash, from: *f.From, nonce: uint64(f.Nonce), to: f.To, value: f.Value.ToInt()}
	var err error
	switch f.Type {
	case types.LegacyTxType, types.AccessListTxType, types.DynamicFeeTxType:
		t.signed, err = f.signed()
	case types.BlobTxType, types.SetCodeTxType: // rare: the slower decoder serves
		t.signed, err = f.signedRarely()
	default:
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read transaction %s: %w", f.Hash, err)
	}
	if id := t.signed.Hash(); id != t.id {
		return nil, fmt.Errorf("transaction hashes to %s, not to %s as the node says", id, t.id)
	}
	return t, nil
}

// signedRarely is the transaction of a type with 256-bit fields: blobs (EIP-4844) and delegations (EIP-7702).
func (f *txFields) signedRarely() (*types.Transaction, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	t := new(types.Transaction)
	return t, t.UnmarshalJSON(text)
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
