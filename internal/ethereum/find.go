package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// Standing is what an account has at a block: its balance, and the nonce of its next transaction.
type Standing struct {
	Address string
	Balance money.Amount
	Nonce   uint64
}

// FindBalances tells which of these addresses, at most FindMax in normal form, were ever used, as of the node's tip: those
// that hold coins or have sent a transaction, in the order asked, and the tip. One that only took part in transactions
// without coins is not there. It finds the coins and the nonces of a seed without any other record.
//
// Errors: as of Head; chain.ErrGone where the tip changed meanwhile, and the caller asks again.
func (n *Node) FindBalances(ctx context.Context, addresses []string) ([]Standing, chain.Block, error) {
	if len(addresses) > FindMax {
		return nil, chain.Block{}, fmt.Errorf("find balances: %d addresses, at most %d", len(addresses), FindMax)
	}
	all := make([]common.Address, len(addresses))
	for i, address := range addresses {
		key, ok := read(address)
		if !ok || key.Hex() != address {
			return nil, chain.Block{}, fmt.Errorf("find balances: %q is not an address in normal form", clip(address, maxRepeated))
		}
		all[i] = key
	}
	head, err := n.Head(ctx)
	if err != nil {
		return nil, chain.Block{}, err
	}
	found, err := n.findUsed(ctx, head.Tip, all)
	if notBlock(err) || errors.Is(err, errNull) {
		err = n.gone(ctx, head.Tip, err)
	}
	if err != nil {
		return nil, chain.Block{}, n.doubt(fmt.Errorf("find balances at block %d: %w", head.Tip.Height, err))
	}
	return found, head.Tip, nil
}

func (n *Node) findUsed(ctx context.Context, b chain.Block, all []common.Address) ([]Standing, error) {
	there, err := n.existing(ctx, b, all)
	if err != nil {
		return nil, err
	}
	balances, err := n.balances(ctx, b, there)
	if err != nil {
		return nil, err
	}
	params := make([][]any, len(there))
	for i, a := range there {
		params[i] = []any{a, atHash(b)}
	}
	nonces, err := askAll[hexutil.Uint64](ctx, n.client, "eth_getTransactionCount", params)
	if err != nil {
		return nil, stateError(err)
	}
	var found []Standing
	for i, a := range there {
		if balances[i].Sign() > 0 || nonces[i] > 0 {
			found = append(found, Standing{Address: a.Hex(), Balance: money.OfBig(money.ETH, balances[i]), Nonce: uint64(nonces[i])})
		}
	}
	return found, nil
}

// existing are the accounts that are in the state at all; all of them where the node refuses to tell in bulk.
func (n *Node) existing(ctx context.Context, b chain.Block, all []common.Address) ([]common.Address, error) {
	var there []common.Address
	for left := all; len(left) > 0; {
		some := left[:min(len(left), BalanceBatch)]
		hashes, err := n.bulk(ctx, b, opCodeHash, some)
		var refusal *rpcError
		if errors.Is(err, errBulk) || errors.As(err, &refusal) && !errors.Is(err, errState) && !notBlock(err) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		for i, hash := range hashes {
			if hash.Cmp(new(big.Int)) != 0 {
				there = append(there, some[i])
			}
		}
		left = left[len(some):]
	}
	return there, nil
}
