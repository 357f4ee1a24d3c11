package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"
)

// outcome is what matters of a receipt.
type outcome struct {
	TxID      *common.Hash    `json:"transactionHash"`
	Block     *common.Hash    `json:"blockHash"`
	Status    *hexutil.Uint64 `json:"status"` // absent before the Byzantium fork of 2017
	GasUsed   *hexutil.Uint64 `json:"gasUsed"`
	Price     *hexutil.Big    `json:"effectiveGasPrice"`
	BlobGas   hexutil.Uint64  `json:"blobGasUsed"`
	BlobPrice *hexutil.Big    `json:"blobGasPrice"`
}

// fate is what became of a transaction in its block, and what its sender paid for that.
type fate struct {
	success bool
	fee     *big.Int
}

// cost is what a transaction paid in all: its gas by the rule of EIP-1559, which makes the price the node's word only where
// its type is unknown; and for blobs (EIP-4844), which PIPE never sends, what the node says.
func (b *block) cost(t *tx, gas uint64, said outcome) *big.Int {
	price := new(big.Int)
	switch {
	case t.signed == nil && said.Price != nil:
		price.Set(said.Price.ToInt())
	case t.signed != nil && b.BaseFee == nil:
		price.Set(t.signed.GasPrice())
	case t.signed != nil:
		price.Add(b.BaseFee, t.signed.GasTipCap())
		if limit := t.signed.GasFeeCap(); price.Cmp(limit) > 0 {
			price.Set(limit)
		}
	}
	fee := price.Mul(price, new(big.Int).SetUint64(gas))
	if said.BlobPrice != nil {
		fee.Add(fee, new(big.Int).Mul(said.BlobPrice.ToInt(), new(big.Int).SetUint64(uint64(said.BlobGas))))
	}
	return fee
}

// succeeded tells the fate of each of these transactions of a block. The receipts are the node's word: for a use where the
// balances are the proof.
func (n *Node) succeeded(ctx context.Context, b *block, some []*tx) (map[common.Hash]fate, error) {
	if len(some) > ReceiptCalls {
		all, err := ask[[]outcome](ctx, n.client, "eth_getBlockReceipts", b.hash)
		if err == nil {
			return pick(b, some, all)
		}
		if !noMethod(err) {
			return nil, err
		}
	}
	params := make([][]any, len(some))
	for i, t := range some {
		params[i] = []any{t.id}
	}
	each, err := askAll[outcome](ctx, n.client, "eth_getTransactionReceipt", params)
	if err != nil {
		return nil, err
	}
	return pick(b, some, each)
}

// errMoved: a transaction of the block is in another one by now.
var errMoved = errors.New("transaction has moved")

// pick gives each transaction its fate; one that is missing, of another block, or without a status is an error.
func pick(b *block, some []*tx, all []outcome) (map[common.Hash]fate, error) {
	told := make(map[common.Hash]outcome, len(all))
	for _, o := range all {
		if o.TxID == nil || o.Block == nil || o.Status == nil || o.GasUsed == nil {
			return nil, errors.New("read receipts: transaction, block, status or gas is missing")
		}
		if *o.Block != b.hash {
			return nil, fmt.Errorf("%w: %s is in block %s, not in %s", errMoved, o.TxID, o.Block, b.hash)
		}
		told[*o.TxID] = o
	}
	found := make(map[common.Hash]fate, len(some))
	for _, t := range some {
		o, ok := told[t.id]
		if !ok {
			return nil, fmt.Errorf("read receipts: none of %s", t.id)
		}
		found[t.id] = fate{*o.Status == hexutil.Uint64(types.ReceiptStatusSuccessful), b.cost(t, uint64(*o.GasUsed), o)}
	}
	return found, nil
}

// proven is succeeded with the receipts checked against the root in the block's header: for a use where nothing else shows
// that a transaction took effect, or what it cost. Where the block has parts that this version cannot encode, they are the
// node's word.
func (n *Node) proven(ctx context.Context, b *block, some []*tx) (map[common.Hash]fate, error) {
	if b.opaque != "" {
		return n.succeeded(ctx, b, some)
	}
	all, err := ask[types.Receipts](ctx, n.client, "eth_getBlockReceipts", b.hash)
	if noMethod(err) {
		n.warnOnce("node offers no receipts of a block: success and cost of transactions are its word")
		return n.succeeded(ctx, b, some)
	}
	if err != nil {
		return nil, err
	}
	if len(all) != len(b.txs) {
		return nil, fmt.Errorf("read receipts of block %d: %d for %d transactions", b.Number, len(all), len(b.txs))
	}
	found := make(map[common.Hash]fate, len(all))
	before := uint64(0)
	for i, r := range all {
		if r == nil || r.CumulativeGasUsed < before {
			return nil, fmt.Errorf("read receipts of block %d: number %d cannot be", b.Number, i)
		}
		t := b.txs[i] // by place, as gas by the sum so far, which the root proves
		said := outcome{BlobGas: hexutil.Uint64(r.BlobGasUsed), BlobPrice: (*hexutil.Big)(r.BlobGasPrice)}
		found[t.id] = fate{r.Status == types.ReceiptStatusSuccessful, b.cost(t, r.CumulativeGasUsed-before, said)}
		before = r.CumulativeGasUsed
	}
	if root := types.DeriveSha(all, trie.NewStackTrie(nil)); root != b.ReceiptHash {
		return nil, fmt.Errorf("receipts of block %d have root %s, not %s as its header says", b.Number, root, b.ReceiptHash)
	}
	return found, nil
}
