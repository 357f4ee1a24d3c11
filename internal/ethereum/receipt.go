package ethereum

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"
)

// outcome is what matters of a receipt.
type outcome struct {
	TxID   *common.Hash    `json:"transactionHash"`
	Block  *common.Hash    `json:"blockHash"`
	Status *hexutil.Uint64 `json:"status"` // absent before the Byzantium fork of 2017
}

// succeeded tells of each of these transactions of a block whether it took effect. The receipts are the node's word: for
// a use where the balances are the proof.
func (n *Node) succeeded(ctx context.Context, b *block, some []*tx) (map[common.Hash]bool, error) {
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

// pick gives each transaction its outcome; one that is missing, of another block, or without a status is an error.
func pick(b *block, some []*tx, all []outcome) (map[common.Hash]bool, error) {
	found := make(map[common.Hash]bool, len(all))
	for _, o := range all {
		if o.TxID == nil || o.Block == nil || o.Status == nil {
			return nil, errors.New("read receipts: transaction, block or status is missing")
		}
		if *o.Block != b.hash {
			return nil, fmt.Errorf("%w: %s is in block %s, not in %s", errMoved, o.TxID, o.Block, b.hash)
		}
		found[*o.TxID] = *o.Status == hexutil.Uint64(types.ReceiptStatusSuccessful)
	}
	for _, t := range some {
		if _, ok := found[t.id]; !ok {
			return nil, fmt.Errorf("read receipts: none of %s", t.id)
		}
	}
	return found, nil
}

// provenSuccess is succeeded with the receipts checked against the root in the block's header: for a use where nothing
// else shows that a transaction took effect. Where the block has parts that this version cannot encode, they are the
// node's word.
func (n *Node) provenSuccess(ctx context.Context, b *block, some []*tx) (map[common.Hash]bool, error) {
	if b.opaque != "" {
		return n.succeeded(ctx, b, some)
	}
	all, err := ask[types.Receipts](ctx, n.client, "eth_getBlockReceipts", b.hash)
	if noMethod(err) {
		n.warnOnce("node offers no receipts of a block: success of old transactions is its word")
		return n.succeeded(ctx, b, some)
	}
	if err != nil {
		return nil, err
	}
	if len(all) != len(b.txs) {
		return nil, fmt.Errorf("read receipts of block %d: %d for %d transactions", b.Number, len(all), len(b.txs))
	}
	found := make(map[common.Hash]bool, len(all))
	for i, r := range all {
		if r == nil {
			return nil, fmt.Errorf("read receipts of block %d: number %d is null", b.Number, i)
		}
		found[b.txs[i].id] = r.Status == types.ReceiptStatusSuccessful // by place, which the root proves
	}
	if root := types.DeriveSha(all, trie.NewStackTrie(nil)); root != b.ReceiptHash {
		return nil, fmt.Errorf("receipts of block %d have root %s, not %s as its header says", b.Number, root, b.ReceiptHash)
	}
	return found, nil
}
