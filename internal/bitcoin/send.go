package bitcoin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
)

// Error codes with which sendrawtransaction answers (Bitcoin Core's rpc/protocol.h).
const (
	codeDeserialization = -22
	codeVerify          = -25
	codeRejected        = -26
	codeAlreadyMined    = -27
)

// Broadcast implements chain.Builder. A node that refuses, or whose answer says nothing, is asked whether the transaction is
// in its mempool all the same: an answer may be lost after the bytes were taken.
func (b *Builder) Broadcast(ctx context.Context, raw []byte) error {
	if len(raw) > MaxTx {
		return fmt.Errorf("broadcast: a transaction of %d bytes", len(raw))
	}
	tx, err := walkTx(raw)
	if err != nil {
		return fmt.Errorf("broadcast: %w", err)
	}
	txid, text := idText(tx.id), hex.EncodeToString(raw)
	took, err := askNodes(ctx, b, func(ctx context.Context, r *Reader) (struct{}, error) { return struct{}{}, r.send(ctx, txid, text) })
	switch {
	case len(took) > 0:
		return nil
	case errors.Is(err, chain.ErrRejected):
		return fmt.Errorf("broadcast %s: %w", txid, err)
	}
	return fmt.Errorf("broadcast %s: %w: %w", txid, chain.ErrUnknown, err)
}

// send gives the transaction to one node. nil: it has it.
func (r *Reader) send(ctx context.Context, txid, text string) error {
	var answer string
	err := r.node.call(ctx, &answer, "sendrawtransaction", text)
	var refused *RPCError
	switch {
	case err == nil && answer == txid:
		return nil
	case err == nil:
		err = fmt.Errorf("sendrawtransaction: %w", malformed(fmt.Errorf("it took %s for %s", clip(answer), txid)))
	case errors.As(err, &refused) && isKnown(refused):
		return nil
	case errors.As(err, &refused) && isRefusal(refused):
		err = fmt.Errorf("%w: %w", chain.ErrRejected, err)
	}
	if r.waits(ctx, txid) {
		return nil
	}
	return err
}

// isKnown: the node has the transaction, in a block or in its mempool. One that differs in nothing but its signatures has
// the same txid, and so pays the same.
func isKnown(e *RPCError) bool {
	if e.Code == codeAlreadyMined {
		return true
	}
	for _, words := range []string{"txn-already-in-mempool", "txn-already-known", "txn-same-nonwitness-data-in-mempool", "already in block chain", "already in utxo set"} {
		if strings.Contains(e.Message, words) {
			return true
		}
	}
	return false
}

// isRefusal: the node looked at the transaction and did not take it.
func isRefusal(e *RPCError) bool {
	return e.Code == codeVerify || e.Code == codeRejected || e.Code == codeDeserialization
}

// waits tells whether a transaction is in the node's mempool; false where the node does not say.
func (r *Reader) waits(ctx context.Context, txid string) bool {
	var entry struct {
		VSize int `json:"vsize"`
	}
	return r.node.call(ctx, &entry, "getmempoolentry", txid) == nil && entry.VSize > 0
}
