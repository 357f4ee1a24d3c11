package ethereum

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/pipe-pg/pipe/internal/chain"
)

// Pending is the plain transactions to watched addresses that no block holds yet. It is Full where the node opens a pool of at
// most PoolLook transactions; of a greater one, and on public nodes, the block that the node would build now is looked
// at. Those that wait for an earlier one of their sender are left out: nothing says that they can ever be mined.
func (n *Node) Pending(ctx context.Context, w chain.Watch) (chain.Pending, error) {
	if err := n.ready(ctx); err != nil {
		return chain.Pending{}, n.doubt(err)
	}
	txs, full, err := n.pool(ctx)
	if err == nil && !full {
		txs, err = n.nextBlock(ctx)
	}
	if err != nil {
		return chain.Pending{}, n.doubt(fmt.Errorf("read pending transactions: %w", err))
	}
	p := chain.Pending{Full: full}
	for _, f := range txs {
		if f == nil || f.To == nil || w.Has == nil {
			continue
		}
		to := f.To.Hex()
		if !w.Has(to) {
			continue
		}
		t, err := f.tx()
		if err != nil {
			return chain.Pending{}, fmt.Errorf("read pending transactions: %w", err)
		}
		if t.value.Sign() == 0 || t.from == *t.to { // nothing comes
			continue
		}
		c, err := n.plainCredit(to, t)
		if err != nil {
			return chain.Pending{}, fmt.Errorf("read pending transactions: %w", err)
		}
		p.Credits = append(p.Credits, c)
	}
	return p, nil
}

// pool reads the node's whole pool. full is false where the node does not offer it, or where it is too big to be read
// every few seconds.
func (n *Node) pool(ctx context.Context) (txs []*txFields, full bool, err error) {
	var refusal *rpcError
	size, err := ask[map[string]hexutil.Uint64](ctx, n.client, "txpool_status")
	if errors.As(err, &refusal) || errors.Is(err, errNull) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if uint64(size["pending"]) > PoolLook || uint64(size["queued"]) > PoolLook {
		return nil, false, nil
	}
	if size["pending"] == 0 {
		return nil, true, nil
	}
	content, err := ask[map[string]map[string]map[string]*txFields](ctx, n.client, "txpool_content")
	if errors.As(err, &refusal) || errors.Is(err, errNull) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, ofSender := range content["pending"] {
		for _, t := range ofSender {
			txs = append(txs, t)
		}
	}
	return txs, true, nil
}

// nextBlock is what the node would put into the next block. A node that does not build blocks answers with nothing, or
// with its latest block, which is not pending.
func (n *Node) nextBlock(ctx context.Context) ([]*txFields, error) {
	tip, err := ask[hexutil.Uint64](ctx, n.client, "eth_blockNumber")
	if err != nil {
		return nil, err
	}
	next, err := ask[struct {
		Number *hexutil.Uint64 `json:"number"`
		Txs    []*txFields     `json:"transactions"`
	}](ctx, n.client, "eth_getBlockByNumber", "pending", true)
	var refusal *rpcError
	switch {
	case errors.As(err, &refusal), errors.Is(err, errNull):
		return []*txFields{}, nil // nothing is known
	case err != nil:
		return nil, err
	case next.Number != nil && *next.Number <= tip:
		return []*txFields{}, nil // mined already
	}
	return next.Txs, nil
}
