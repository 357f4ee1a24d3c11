// Package demo is the whole program with local chains, a shop and a faucet around it, on loopback. It is what
// cmd/pipe-demo runs, and what the stories and the end-to-end tests run on.
package demo

import (
	"context"
	"fmt"
	"math/big"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
	"github.com/pipe-pg/pipe/internal/devchain/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
)

// A Chain is a local chain as the demo drives it. Amounts are in the smallest unit.
type Chain interface {
	Pay(ctx context.Context, address string, amount *big.Int) (txid string, err error)
	Mine(ctx context.Context, blocks int) (height int64, hash string, err error)
	// Reorg replaces the last blocks by one more, without the dropped transactions.
	Reorg(ctx context.Context, depth int, drop []string) (height int64, hash string, err error)
	DoubleSpend(ctx context.Context, txid string) (string, error)
	// Evict has the node forget a transaction that waits for a block.
	Evict(ctx context.Context, txid string) error
	// Balance is what the chain holds for an address by its blocks.
	Balance(ctx context.Context, address string) (*big.Int, error)
	// Pause takes the RPC endpoint down, Resume brings it up again.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// URL is the RPC endpoint, with user and password where it has them.
	URL() string
	Close() error
}

// An Output is one output of a payment to several addresses.
type Output struct {
	Address string
	Amount  *big.Int
}

// A Batcher pays several addresses, also repeated ones, in one transaction.
type Batcher interface {
	PayMany(ctx context.Context, outputs []Output) (txid string, err error)
}

// A Contractor pays by a contract's internal call.
type Contractor interface {
	PayByContract(ctx context.Context, address string, amount *big.Int) (txid string, err error)
}

// A bitcoinNode is what the in-process chain and a real bitcoind have in common.
type bitcoinNode interface {
	Pay(ctx context.Context, address string, sats int64) (string, error)
	PayMany(ctx context.Context, outputs []bitcoin.Output) (string, error)
	Mine(ctx context.Context, blocks int) (height int64, hash string, err error)
	Reorg(ctx context.Context, depth int, drop []string) (height int64, hash string, err error)
	DoubleSpend(ctx context.Context, txid string) (string, error)
	Evict(ctx context.Context, txid string) error
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	URL() string
	Close() error
}

type bitcoinChain struct{ bitcoinNode }

func (c bitcoinChain) Pay(ctx context.Context, address string, amount *big.Int) (string, error) {
	if !amount.IsInt64() {
		return "", fmt.Errorf("pay %s satoshi: too much", amount)
	}
	return c.bitcoinNode.Pay(ctx, address, amount.Int64())
}

func (c bitcoinChain) PayMany(ctx context.Context, outputs []Output) (string, error) {
	var outs []bitcoin.Output
	for _, o := range outputs {
		if !o.Amount.IsInt64() {
			return "", fmt.Errorf("pay %s satoshi: too much", o.Amount)
		}
		outs = append(outs, bitcoin.Output{Address: o.Address, Sats: o.Amount.Int64()})
	}
	return c.bitcoinNode.PayMany(ctx, outs)
}

type ethereumChain struct{ *ethereum.Chain }

func (c ethereumChain) Pause(context.Context) error  { return c.Chain.Pause() }
func (c ethereumChain) Resume(context.Context) error { return c.Chain.Resume() }

// parseAmount reads whole coins as decimal text.
func parseAmount(coin money.Currency, text string) (*big.Int, error) {
	a, err := money.Parse(coin, text)
	if err != nil {
		return nil, err
	}
	return a.Big(), nil
}
