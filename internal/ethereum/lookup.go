package ethereum

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// tokenTransfer begins a call of transfer(address,uint256), and tokenCall is its whole length in bytes (ERC-20).
var tokenTransfer = []byte{0xa9, 0x05, 0x9c, 0xbb}

const tokenCall = 4 + 32 + 32

// Lookup tells what the node knows of a transaction, by its hash in lower-case hex with 0x. Errors: chain.ErrBlind,
// chain.ErrNetwork.
func (n *Node) Lookup(ctx context.Context, txid string) (chain.Looked, error) {
	if err := n.ready(ctx); err != nil {
		return chain.Looked{}, err
	}
	f, err := ask[txFields](ctx, n.client, "eth_getTransactionByHash", txid)
	if errors.Is(err, errNull) {
		return chain.Looked{}, nil
	} else if err != nil {
		return chain.Looked{}, err
	}
	t, err := f.tx()
	if err == nil && t.id != common.HexToHash(txid) {
		err = errors.New("it is another one")
	}
	if err != nil {
		return chain.Looked{}, fmt.Errorf("look up transaction: %w", err)
	}
	l := chain.Looked{Known: true, Called: t.to == nil || len(f.Input) > 0}
	if t.to != nil && t.value.Sign() > 0 {
		l.Pays = []chain.Paid{{To: t.to.Hex(), Amount: money.OfBig(money.ETH, t.value)}}
	}
	if len(f.Input) == tokenCall && bytes.HasPrefix(f.Input, tokenTransfer) {
		l.Tokens = []string{common.BytesToAddress(f.Input[4:36]).Hex()}
	}
	receipt, err := ask[outcome](ctx, n.client, "eth_getTransactionReceipt", txid)
	switch {
	case errors.Is(err, errNull):
		return l, nil // no block holds it yet
	case err != nil:
		return chain.Looked{}, err
	}
	l.Mined = true
	l.Failed = receipt.Status != nil && *receipt.Status == 0
	return l, nil
}
