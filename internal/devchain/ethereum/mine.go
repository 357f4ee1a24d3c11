package ethereum

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/miner"
)

// Mine adds blocks (1 to 10,000), each filled from the pool, and returns the new tip. On an error the blocks made
// before it stay.
//
// Block times follow the clock but grow by at least a second a block, as the protocol asks. Blocks mined together are
// dated back, a second apart, as far as the block before them allows; what is left runs ahead of the clock until
// fewer than one block a second are mined.
func (c *Chain) Mine(ctx context.Context, blocks int) (height int64, hash string, err error) {
	if blocks < 1 || blocks > maxBlocksPerMine {
		return 0, "", fmt.Errorf("mine %d blocks: %w", blocks, ErrRange)
	}
	if err := c.lock(ctx); err != nil {
		return 0, "", err
	}
	defer c.mu.Unlock()
	for left := blocks; left > 0; left-- {
		if err := ctx.Err(); err != nil {
			return 0, "", err
		}
		if err := c.mineOne(ctx, left); err != nil {
			return 0, "", fmt.Errorf("mine block: %w", err)
		}
	}
	height, hash = c.tip()
	return height, hash, nil
}

func (c *Chain) mineOne(ctx context.Context, left int) error {
	if err := c.syncPool(); err != nil {
		return err
	}
	parent := c.eth.BlockChain().CurrentBlock()
	b, err := c.build(parent, left, nil, false)
	if err != nil {
		return err
	}
	if err := c.insert(ctx, b); err != nil {
		return err
	}
	return c.adopt([]*types.Block{b}, nil)
}

func (c *Chain) tip() (height int64, hash string) {
	head := c.eth.BlockChain().CurrentBlock()
	return head.Number.Int64(), head.Hash().Hex()
}

// build makes a block on parent out of txs; of the pool if there are none and empty is not set. left is the number of
// blocks, with this one, that are being made in a row.
func (c *Chain) build(parent *types.Header, left int, txs []*types.Transaction, empty bool) (*types.Block, error) {
	var random common.Hash // makes blocks of equal content differ
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	at := parent.Time + 1
	if now := c.now().Unix() - int64(left) + 1; now > int64(at) {
		at = uint64(now)
	}
	b, _, err := c.eth.Miner().BuildTestingPayload(&miner.BuildPayloadArgs{
		Parent:       parent.Hash(),
		Timestamp:    at,
		FeeRecipient: common.HexToAddress(feesAddress),
		Random:       random,
		Withdrawals:  types.Withdrawals{},
		BeaconRoot:   new(common.Hash),
	}, txs, empty, []byte("local chain"))
	return b, err
}

// insert executes and stores a block beside the canonical chain.
func (c *Chain) insert(ctx context.Context, b *types.Block) error {
	if _, err := c.eth.BlockChain().InsertBlockWithoutSetHead(ctx, b, false); err != nil {
		return fmt.Errorf("insert block %d: %w", b.NumberU64(), err)
	}
	return nil
}

// adopt logs blocks and then makes them canonical, so that nobody ever sees a block that a crash could undo.
func (c *Chain) adopt(blocks []*types.Block, drops []drop) error {
	if err := c.blocks.addBlocks(blocks, drops); err != nil {
		return err
	}
	if err := c.setHead(blocks[len(blocks)-1]); err != nil {
		return err
	}
	c.setFinality()
	return c.syncPool()
}

// Reorg replaces the last depth blocks (1 to 64) by depth+1 new ones and returns the new tip. Each transaction of the
// old blocks is mined again one block higher; the extra block is the first one and empty.
//
// Transactions in drop (at most 1,000) are gone for good. Those of the faucet are double-spent: a payment of the faucet
// to itself takes their place and nonce. Those of others are forgotten, but their senders may send them again; what can
// not be mined without them waits in the pool. A txid in drop may also be pending, or gone before.
//
// Errors: ErrFinal below the finalized block, ErrUnknownTx for a txid in drop that is mined deeper or unknown; nothing
// has changed then.
func (c *Chain) Reorg(ctx context.Context, depth int, drop []string) (height int64, hash string, err error) {
	if depth < 1 || depth > maxReorgDepth || len(drop) > maxDrops {
		return 0, "", fmt.Errorf("reorganise %d blocks: %w", depth, ErrRange)
	}
	if err := c.lock(ctx); err != nil {
		return 0, "", err
	}
	defer c.mu.Unlock()
	dropped := map[common.Hash]bool{}
	for _, id := range drop {
		h, err := parseTxid(id)
		if err != nil {
			return 0, "", err
		}
		dropped[h] = true
	}
	if err := c.reorg(ctx, uint64(depth), dropped); err != nil {
		return 0, "", fmt.Errorf("reorganise %d blocks: %w", depth, err)
	}
	height, hash = c.tip()
	return height, hash, nil
}

func (c *Chain) reorg(ctx context.Context, depth uint64, dropped map[common.Hash]bool) error {
	chain := c.eth.BlockChain()
	tip := chain.CurrentBlock().Number.Uint64()
	if depth > tip {
		return fmt.Errorf("only %d blocks: %w", tip, ErrRange)
	}
	fork := chain.GetHeaderByNumber(tip - depth)
	if fork == nil {
		return errors.New("read fork block: missing")
	}
	if final := chain.CurrentFinalBlock(); final != nil && fork.Number.Cmp(final.Number) < 0 {
		return fmt.Errorf("block %d: %w", fork.Number.Uint64()+1, ErrFinal)
	}
	rounds, drops, err := c.replan(fork.Number.Uint64(), tip, dropped)
	if err != nil {
		return err
	}
	blocks := make([]*types.Block, 0, len(rounds)+1)
	rounds = slices.Insert(rounds, 0, nil)
	for i, txs := range rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := c.buildValid(fork, len(rounds)-i, txs)
		if err != nil {
			return err
		}
		if err := c.insert(ctx, b); err != nil {
			return err
		}
		blocks, fork = append(blocks, b), b.Header()
	}
	if err := c.adopt(blocks, drops); err != nil {
		return err
	}
	return c.purge(drops)
}

// replan reads the transactions of the blocks above fork, block by block, with the drops taken out or replaced.
func (c *Chain) replan(fork, tip uint64, dropped map[common.Hash]bool) ([][]*types.Transaction, []drop, error) {
	var rounds [][]*types.Transaction
	var drops []drop
	left := len(dropped)
	for n := fork + 1; n <= tip; n++ {
		b := c.eth.BlockChain().GetBlockByNumber(n)
		if b == nil {
			return nil, nil, fmt.Errorf("read block %d: missing", n)
		}
		var txs []*types.Transaction
		for _, tx := range b.Transactions() {
			if !dropped[tx.Hash()] {
				txs = append(txs, tx)
				continue
			}
			left--
			d, other, err := c.faucet.drop(tx)
			if err != nil {
				return nil, nil, err
			}
			drops = append(drops, d)
			if other != nil {
				txs = append(txs, other)
			}
		}
		rounds = append(rounds, txs)
	}
	if left == 0 {
		return rounds, drops, nil
	}
	pooled, err := c.dropPooled(fork, dropped)
	return rounds, append(drops, pooled...), err
}

// dropPooled handles drops that are in none of the blocks above fork.
func (c *Chain) dropPooled(fork uint64, dropped map[common.Hash]bool) ([]drop, error) {
	var drops []drop
	for h := range dropped {
		if b := c.minedAt(h); b != nil {
			if b.NumberU64() <= fork {
				return nil, fmt.Errorf("%s is mined in block %d: %w", h, b.NumberU64(), ErrUnknownTx)
			}
			continue
		}
		if tx := c.eth.TxPool().Get(h); tx != nil {
			d, _, err := c.faucet.drop(tx)
			if err != nil {
				return nil, err
			}
			drops = append(drops, d)
			continue
		}
		if _, gone := c.blocks.gone[h]; !gone {
			return nil, fmt.Errorf("%s: %w", h, ErrUnknownTx)
		}
	}
	return drops, nil
}

// buildValid makes a block of those txs that are still valid. One that is not, because what it rested on was dropped,
// stays out; the pool takes it back.
func (c *Chain) buildValid(parent *types.Header, left int, txs []*types.Transaction) (*types.Block, error) {
	var valid []*types.Transaction
	var best *types.Block
	// geth does not say which transaction is bad: halve until it is found.
	var add func(txs []*types.Transaction)
	add = func(txs []*types.Transaction) {
		if len(txs) == 0 {
			return
		}
		b, err := c.build(parent, left, append(slices.Clone(valid), txs...), false)
		switch {
		case err == nil:
			best, valid = b, append(valid, txs...)
		case len(txs) == 1:
			c.log.Debug("transaction does not survive the reorganisation", "txid", txs[0].Hash().Hex(), "err", err)
		default:
			add(txs[:len(txs)/2])
			add(txs[len(txs)/2:])
		}
	}
	add(txs)
	if best == nil {
		return c.build(parent, left, nil, true)
	}
	return best, nil
}

// purge takes drops out of the pool, where geth puts whatever a reorganisation leaves out, puts the replacements of
// pending ones in, and logs all replacements like any other transaction.
func (c *Chain) purge(drops []drop) error {
	pool := c.eth.TxPool()
	var keep []*types.Transaction
	gone := map[common.Hash]bool{}
	stale := false
	for _, d := range drops {
		gone[d.Txid] = true
		stale = stale || pool.Has(d.Txid)
		if len(d.Replacement) == 0 {
			continue
		}
		tx := new(types.Transaction)
		if err := tx.UnmarshalBinary(d.Replacement); err != nil {
			return fmt.Errorf("decode replacement: %w", err)
		}
		if err := c.blocks.addTransaction(tx); err != nil {
			return err
		}
		if c.minedAt(tx.Hash()) == nil {
			keep = append(keep, tx)
		}
	}
	if !stale {
		return nil
	}
	c.refill(gone, keep)
	return nil
}
