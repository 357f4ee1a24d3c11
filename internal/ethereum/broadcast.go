package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/pipe-pg/pipe/internal/chain"
)

// JSON-RPC error codes. The codes of passing troubles are those of JSON-RPC 2.0, EIP-1474 and providers.
const codeReverted = 3

var passing = map[int]bool{-32700: true, -32603: true, -32601: true, -32600: true, -32005: true, -32004: true, -32002: true, -32001: true, 429: true}

// Broadcast implements chain.Builder: it sends to all nodes at once, but for those that rest. A node that refuses is asked whether it has the transaction all the same, waiting or in
// a block: the answer to an earlier try may be lost after the bytes were taken.
func (b *Builder) Broadcast(ctx context.Context, raw []byte) error {
	t := new(types.Transaction)
	if len(raw) > MaxTx {
		return fmt.Errorf("broadcast: transaction of %d bytes, at most %d", len(raw), MaxTx)
	}
	if err := t.UnmarshalBinary(raw); err != nil {
		return fmt.Errorf("broadcast: read transaction: %w", err)
	}
	if t.Type() != types.DynamicFeeTxType || t.ChainId().Cmp(b.chainID) != 0 {
		return fmt.Errorf("broadcast: transaction of type %d for chain id %s", t.Type(), t.ChainId())
	}
	if _, err := types.Sender(types.LatestSignerForChainID(new(big.Int).Set(b.chainID)), t); err != nil {
		return fmt.Errorf("broadcast: recover sender: %w", err)
	}
	took, err := askNodes(ctx, b, func(ctx context.Context, n *Node) (struct{}, error) { return struct{}{}, n.send(ctx, t.Hash(), raw) })
	if len(took) > 0 {
		return nil
	}
	if errors.Is(err, chain.ErrRejected) {
		return fmt.Errorf("broadcast %s: %w", t.Hash(), err)
	}
	return fmt.Errorf("broadcast %s: %w: %w", t.Hash(), chain.ErrUnknown, err)
}

// send gives a transaction to one node. nil: it has it. chain.ErrRejected: it looked at it and has it not.
func (n *Node) send(ctx context.Context, id common.Hash, raw []byte) error {
	got, err := ask[common.Hash](ctx, n.client, "eth_sendRawTransaction", hexutil.Bytes(raw))
	if err == nil && got == id {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("node took %s for another transaction", got)
	}
	var refusal *rpcError
	refused := errors.As(err, &refusal)
	if refused && refusal.isKnown() {
		return nil
	}
	has, askErr := n.has(ctx, id)
	switch {
	case has:
		return nil
	case askErr != nil:
		err = errors.Join(err, askErr) // it may have it
	case refused && !passing[refusal.Code]:
		err = fmt.Errorf("%w: %w", chain.ErrRejected, err)
	}
	return err
}

// isKnown: the node has just this transaction.
func (e *rpcError) isKnown() bool {
	return e.says("already known", "alreadyknown", "already imported", "already in mempool") ||
		strings.HasPrefix(strings.ToLower(e.Message), "known transaction")
}

// has tells whether a node knows a transaction, in its pool or in a block.
func (n *Node) has(ctx context.Context, id common.Hash) (bool, error) {
	t, err := ask[struct {
		Hash common.Hash `json:"hash"`
	}](ctx, n.client, "eth_getTransactionByHash", id)
	if errors.Is(err, errNull) {
		return false, nil
	}
	return err == nil && t.Hash == id, err
}
