package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
)

const (
	devChain    = 1337
	transfers   = 300
	txsWithData = 3 // one of so many carries a call's data
)

func ethereumBlock(ctx context.Context, b *lab) ([]result, error) {
	r := &random{7}
	first, _, err := toldBlock(0, nil)
	if err != nil {
		return nil, err
	}
	txs, err := someTransfers(r)
	if err != nil {
		return nil, err
	}
	told, header, err := toldBlock(9, txs)
	if err != nil {
		return nil, err
	}
	hash := header.Hash().Hex()
	node, err := b.fakeNode(ctx, map[string][]byte{
		"eth_chainId": fmt.Appendf(nil, `"%#x"`, devChain), "eth_getBlockByNumber": first, "eth_getBlockByHash": told,
	})
	if err != nil {
		return nil, err
	}
	reader, err := ethereum.Open(ethereum.Options{Network: "ethereum/1337", URL: node.url, Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	set, asked := newWatched(r, nil), 0
	watch := chain.Watch{
		Has:       func(a string) bool { asked++; return set.has(a) },
		Explained: func(context.Context, string) (money.Amount, bool, error) { return money.Amount{}, false, nil },
	}
	place := chain.Block{Height: 9, Hash: hash, Parent: header.ParentHash.Hex()}
	res := result{goal: "Ethereum block of 300 transactions, 1 M watched", limit: "raw fetch", unit: "ms"}
	res.base, res.got, res.ratio, err = pairs(ctx, b.pairs, timed(func(ctx context.Context) error {
		_, err := node.fetch(ctx, "eth_getBlockByHash", hash, true)
		return err
	}), timed(func(ctx context.Context) error {
		asked = 0
		_, err := reader.Scan(ctx, place, watch)
		if err == nil && asked < transfers {
			err = fmt.Errorf("only %d addresses were looked at", asked)
		}
		return err
	}))
	if err != nil {
		return nil, err
	}
	beyond := res.got.median() - res.base.median()
	res.more = fmt.Sprintf("%.1f ms beyond the fetch of %d kB; the hash of each transaction and the root of all are computed", beyond, len(told)/1000)
	res.target, res.met = "parse and match ≤ 2 ms", beyond <= 2
	return []result{res}, nil
}

// someTransfers are signed transactions, some with data, to addresses that are not watched.
func someTransfers(r *random) (types.Transactions, error) {
	key, err := crypto.ToECDSA(common.LeftPadBytes([]byte{7}, 32))
	if err != nil {
		return nil, err
	}
	signer := types.LatestSignerForChainID(big.NewInt(devChain))
	var txs types.Transactions
	for i := range transfers {
		to := common.BytesToAddress(r.bytes(20))
		inner := &types.DynamicFeeTx{ChainID: big.NewInt(devChain), Nonce: uint64(i), GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(9), Gas: 90_000,
			To: &to, Value: big.NewInt(int64(1 + r.below(1e9)))}
		if i%txsWithData == 0 {
			inner.Data = r.bytes(68 + r.below(600))
		}
		tx, err := types.SignNewTx(key, signer, inner)
		if err != nil {
			return nil, err
		}
		txs = append(txs, tx)
	}
	return txs, nil
}

// toldBlock is a block as a node tells it.
func toldBlock(number int64, txs types.Transactions) ([]byte, *types.Header, error) {
	h := &types.Header{
		Number: big.NewInt(number), Difficulty: new(big.Int), BaseFee: big.NewInt(7), Time: 1_800_000_000, WithdrawalsHash: &types.EmptyWithdrawalsHash,
		BlobGasUsed: new(uint64), ExcessBlobGas: new(uint64), ParentBeaconRoot: new(common.Hash), RequestsHash: &types.EmptyRequestsHash,
		TxHash: types.DeriveSha(txs, trie.NewStackTrie(nil)),
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, nil, err
	}
	all := make([]any, len(txs))
	for i, tx := range txs {
		text, err := tx.MarshalJSON()
		if err != nil {
			return nil, nil, err
		}
		var one map[string]any
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, nil, err
		}
		one["from"], one["gasPrice"] = common.Address{1}.Hex(), "0x8"
		one["blockHash"], one["blockNumber"], one["transactionIndex"] = h.Hash().Hex(), fmt.Sprintf("%#x", number), fmt.Sprintf("%#x", i)
		all[i] = one
	}
	fields["transactions"], fields["uncles"], fields["withdrawals"] = all, []any{}, []any{}
	text, err = json.Marshal(fields)
	return text, h, err
}
