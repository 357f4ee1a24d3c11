package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

// SendFault is what goes wrong with a transaction that is sent over JSON-RPC.
type SendFault int

// The faults. Lost: it is taken, and the sender is told of an error. Forgotten: the sender is told of success, and it is
// not kept. Refused: neither taken nor confirmed.
const (
	SendLost SendFault = iota + 1
	SendForgotten
	SendRefused
)

// errFault is what the sender is told.
var errFault = errors.New("internal error")

// FailNextSend has the next transactions sent over JSON-RPC fail, one for each fault, in this order.
func (c *Chain) FailNextSend(ctx context.Context, faults ...SendFault) error {
	if len(faults) > maxFaults {
		return fmt.Errorf("fail %d sends: %w", len(faults), ErrRange)
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	c.faults = append([]SendFault(nil), faults...)
	return nil
}

// nextFault takes the fault of the transaction being sent, 0 for none. The caller holds the lock.
func (c *Chain) nextFault() SendFault {
	if len(c.faults) == 0 {
		return 0
	}
	f := c.faults[0]
	c.faults = c.faults[1:]
	return f
}

// Evict takes a waiting transaction out of the pool, as a node does whose pool is full or which restarts. It may be sent
// again at any time. What waits behind it stays, and waits. The block log keeps it, so the next Open brings it back.
// ErrUnknownTx for one that does not wait.
func (c *Chain) Evict(ctx context.Context, txid string) error {
	h, err := parseTxid(txid)
	if err != nil {
		return err
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if !c.eth.TxPool().Has(h) {
		return fmt.Errorf("evict %s: %w", h, ErrUnknownTx)
	}
	c.refill(map[common.Hash]bool{h: true}, nil)
	return nil
}

// refill makes the pool anew of what it holds, but for what is gone, and of more. The caller holds the lock.
func (c *Chain) refill(gone map[common.Hash]bool, more []*types.Transaction) {
	pool := c.eth.TxPool()
	runnable, blocked := pool.Content()
	pool.Clear()
	for _, content := range []map[common.Address][]*types.Transaction{runnable, blocked} {
		for _, txs := range content {
			for _, tx := range txs {
				if !gone[tx.Hash()] {
					more = append(more, tx)
				}
			}
		}
	}
	for i, err := range pool.Add(more, true) {
		if err != nil {
			c.log.Warn("transaction fell out of the pool", "txid", more[i].Hash().Hex(), "err", err)
		}
	}
}

// SetFeeRate sets the least tip, in wei per gas, with which a transaction is mined from now on, until Close: lower ones
// wait. eth_feeHistory tells it as the tip of all blocks. 0 is the start's 0.001 gwei. At most 10,000 gwei.
func (c *Chain) SetFeeRate(ctx context.Context, wei *big.Int) error {
	if wei == nil || wei.Sign() < 0 || wei.Cmp(big.NewInt(maxFeeRate)) > 0 {
		return fmt.Errorf("set fee rate: %w", ErrRange)
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	least := new(big.Int).Set(wei)
	c.least = least
	if least.Sign() == 0 {
		c.least, least = nil, big.NewInt(params.GWei/1000)
	}
	if err := c.eth.Miner().SetGasTip(least); err != nil {
		return fmt.Errorf("set fee rate: %w", err)
	}
	return nil
}

// feeAPI is geth's eth_feeHistory with the tip of SetFeeRate.
type feeAPI struct{ chain *Chain }

// feeHistory is the answer of eth_feeHistory.
type feeHistory struct {
	OldestBlock  *hexutil.Big     `json:"oldestBlock"`
	Reward       [][]*hexutil.Big `json:"reward,omitempty"`
	BaseFees     []*hexutil.Big   `json:"baseFeePerGas,omitempty"`
	GasUsed      []float64        `json:"gasUsedRatio"`
	BlobBaseFees []*hexutil.Big   `json:"baseFeePerBlobGas,omitempty"`
	BlobsUsed    []float64        `json:"blobGasUsedRatio,omitempty"`
}

// FeeHistory is eth_feeHistory.
func (a *feeAPI) FeeHistory(ctx context.Context, blocks math.HexOrDecimal64, last rpc.BlockNumber, percentiles []float64) (*feeHistory, error) {
	oldest, rewards, base, used, blobBase, blobUsed, err := a.chain.eth.APIBackend.FeeHistory(ctx, uint64(blocks), last, percentiles)
	if err != nil {
		return nil, err
	}
	if err := a.chain.lock(ctx); err != nil {
		return nil, err
	}
	least := a.chain.least
	a.chain.mu.Unlock()
	h := &feeHistory{OldestBlock: (*hexutil.Big)(oldest), BaseFees: hexAll(base), GasUsed: used, BlobBaseFees: hexAll(blobBase), BlobsUsed: blobUsed}
	for _, r := range rewards {
		if least != nil {
			told := make([]*big.Int, len(r))
			for i := range told {
				told[i] = least
			}
			r = told
		}
		h.Reward = append(h.Reward, hexAll(r))
	}
	return h, nil
}

func hexAll(all []*big.Int) []*hexutil.Big {
	told := make([]*hexutil.Big, len(all))
	for i, n := range all {
		told[i] = (*hexutil.Big)(n)
	}
	return told
}
