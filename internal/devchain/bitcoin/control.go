package bitcoin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Mine mines blocks (1 to 10,000) with what is in the mempool and returns the new tip. Several blocks in one call
// carry the mempool in the first.
func (c *Chain) Mine(ctx context.Context, blocks int) (height int64, hash string, err error) {
	if blocks < 1 || blocks > maxMineBlocks {
		return 0, "", fmt.Errorf("mine %d blocks: out of range", blocks)
	}
	err = c.change(func() error {
		for range blocks {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := c.mineOne(c.faucet.script, nil); err != nil {
				return err
			}
		}
		height, hash = c.where()
		return nil
	})
	if err != nil {
		return 0, "", fmt.Errorf("mine: %w", err)
	}
	return height, hash, nil
}

func (c *Chain) where() (int64, string) {
	best := c.chain.BestSnapshot()
	return int64(best.Height), best.Hash.String()
}

// mineOne mines one block on the tip: first with the given transactions, then with those of the mempool that do
// not conflict with them, oldest first.
func (c *Chain) mineOne(script []byte, first []*btcutil.Tx) (chainhash.Hash, error) {
	tip := c.tip()
	p := plan{parent: tip, when: c.nextTime(tip), script: script}
	p.txs, p.fees = c.choose(first)
	msg, err := c.assemble(p)
	if err != nil {
		return chainhash.Hash{}, err
	}
	if _, err := c.accept(msg); err != nil {
		return chainhash.Hash{}, fmt.Errorf("accept mined block: %w", err)
	}
	return msg.BlockHash(), nil
}

// choose fills a block: the given transactions, then the mempool's, parents before children, up to the weight limit.
func (c *Chain) choose(first []*btcutil.Tx) ([]*btcutil.Tx, int64) {
	fees := c.poolFees()
	spent := map[wire.OutPoint]bool{}
	left := map[chainhash.Hash]bool{}
	weight := int64(0)
	for _, tx := range first {
		weight += blockchain.GetTransactionWeight(tx)
		for _, in := range tx.MsgTx().TxIn {
			spent[in.PreviousOutPoint] = true
		}
	}
	txs := append([]*btcutil.Tx(nil), first...)
	var sum int64
	for _, e := range c.arrived() {
		w := blockchain.GetTransactionWeight(e.tx)
		if weight+w > maxBlockWeight || clashes(e.tx, spent, left) {
			left[*e.tx.Hash()] = true
			continue
		}
		weight += w
		sum += fees[*e.tx.Hash()]
		txs = append(txs, e.tx)
	}
	return txs, sum
}

// clashes says whether a transaction spends what is spent already, or an output of a transaction that is left out.
func clashes(tx *btcutil.Tx, spent map[wire.OutPoint]bool, left map[chainhash.Hash]bool) bool {
	for _, in := range tx.MsgTx().TxIn {
		if spent[in.PreviousOutPoint] || left[in.PreviousOutPoint.Hash] {
			return true
		}
	}
	return false
}

func (c *Chain) poolFees() map[chainhash.Hash]int64 {
	fees := map[chainhash.Hash]int64{}
	for _, d := range c.pool.MiningDescs() {
		fees[*d.Tx.Hash()] = d.Fee
	}
	return fees
}

// Reorg replaces the last depth blocks (1 to 100) by depth+1 new ones: a longer branch wins, as on a real network,
// and the height never falls. The transactions of the replaced blocks are mined again at their old heights, except
// those in drop and what depends on them; the dropped ones also leave the mempool and do not come back unless
// somebody sends them again. What else is in the mempool stays there. Returns the new tip. ErrDepth, ErrUnknownTx.
func (c *Chain) Reorg(ctx context.Context, depth int, drop []string) (height int64, hash string, err error) {
	if err := ctx.Err(); err != nil {
		return 0, "", err
	}
	err = c.change(func() error {
		gone := map[chainhash.Hash]bool{}
		for _, text := range drop {
			id, err := parseTxid(text)
			if err != nil {
				return err
			}
			gone[id] = true
		}
		if err := c.reorganise(depth, gone, nil); err != nil {
			return err
		}
		height, hash = c.where()
		return nil
	})
	if err != nil {
		return 0, "", fmt.Errorf("reorganise: %w", err)
	}
	return height, hash, nil
}

// reorganise is Reorg; instead are mined in the first new block.
func (c *Chain) reorganise(depth int, drop map[chainhash.Hash]bool, instead []*btcutil.Tx) error {
	old, fork, err := c.last(depth)
	if err != nil {
		return err
	}
	branch, err := c.remaining(old, drop, instead)
	if err != nil {
		return err
	}
	if len(drop) > 0 {
		var hashes []byte
		for hash := range drop {
			hashes = append(hashes, hash[:]...)
			c.forget(hash)
		}
		if err := c.record(recordDrop, hashes); err != nil {
			return err
		}
	}
	for i := range depth + 1 {
		p := plan{parent: fork, when: c.nextTime(fork), script: c.faucet.script}
		if i < depth {
			p.txs, p.fees = branch[i].txs, branch[i].fees
		}
		msg, err := c.assemble(p)
		if err != nil {
			return err
		}
		if _, err := c.accept(msg); err != nil {
			return fmt.Errorf("accept block of the new branch: %w", err)
		}
		fork = c.index[msg.BlockHash()]
	}
	if c.tip() != fork {
		return errors.New("the longer branch did not win")
	}
	return nil
}

// last reads the last depth blocks, oldest first, and the block they stand on.
func (c *Chain) last(depth int) ([]*btcutil.Block, *indexed, error) {
	fork := c.tip()
	if depth < 1 || depth > maxReorgDepth || int32(depth) > fork.height {
		return nil, nil, fmt.Errorf("%w: %d at height %d", ErrDepth, depth, fork.height)
	}
	old := make([]*btcutil.Block, depth)
	for i := depth - 1; i >= 0; i-- {
		block, err := c.block(fork.hash)
		if err != nil {
			return nil, nil, err
		}
		block.SetHeight(fork.height)
		old[i], fork = block, fork.parent
	}
	return old, fork, nil
}

// content is what one block of the new branch carries over.
type content struct {
	txs  []*btcutil.Tx
	fees int64 // satoshi
}

// remaining says what of the old blocks is mined again: all but coinbases, dropped transactions, what conflicts
// with instead, and what depends on any of these. drop grows by what can no longer be mined.
func (c *Chain) remaining(old []*btcutil.Block, drop map[chainhash.Hash]bool, instead []*btcutil.Tx) ([]content, error) {
	spent := map[wire.OutPoint]bool{}
	for _, tx := range instead {
		for _, in := range tx.MsgTx().TxIn {
			spent[in.PreviousOutPoint] = true
		}
	}
	found := map[chainhash.Hash]bool{}
	lost := map[chainhash.Hash]bool{}
	branch := make([]content, len(old))
	branch[0].txs = append(branch[0].txs, instead...)
	for i, block := range old {
		txs := block.Transactions()
		lost[*txs[0].Hash()] = true
		fees, err := c.blockFees(block)
		if err != nil {
			return nil, err
		}
		for n, tx := range txs[1:] {
			found[*tx.Hash()] = true
			if drop[*tx.Hash()] || clashes(tx, spent, lost) {
				lost[*tx.Hash()] = true
				continue
			}
			branch[i].txs = append(branch[i].txs, tx)
			branch[i].fees += fees[n]
		}
	}
	for hash := range drop {
		if _, ok := c.entries[hash]; !ok && !found[hash] {
			return nil, fmt.Errorf("%w: %v is neither in the mempool nor in the last %d blocks", ErrUnknownTx, hash, len(old))
		}
	}
	for hash := range found {
		if lost[hash] {
			drop[hash] = true
		}
	}
	return branch, nil
}

// blockFees lists the fees in satoshi of a main chain block's transactions, without the coinbase.
func (c *Chain) blockFees(block *btcutil.Block) ([]int64, error) {
	spent, err := c.chain.FetchSpendJournal(block)
	if err != nil {
		return nil, fmt.Errorf("read spent outputs: %w", err)
	}
	var fees []int64
	for _, tx := range block.Transactions()[1:] {
		var fee int64
		for range tx.MsgTx().TxIn {
			fee += spent[0].Amount
			spent = spent[1:]
		}
		for _, out := range tx.MsgTx().TxOut {
			fee -= out.Value
		}
		fees = append(fees, fee)
	}
	return fees, nil
}

// DoubleSpend makes a faucet payment void: it mines a transaction that spends the same inputs back to the faucet,
// in the next block when the payment is in the mempool, else by replacing the blocks from the payment's on (at
// most 100). Returns the txid of the conflicting transaction. ErrUnknownTx, ErrNotFaucet.
func (c *Chain) DoubleSpend(ctx context.Context, txid string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	var made string
	err := c.change(func() error {
		hash, err := parseTxid(txid)
		if err != nil {
			return err
		}
		depth := 0
		var victim *btcutil.Tx
		if e, ok := c.entries[hash]; ok {
			victim = e.tx
		} else if victim, depth, err = c.mined(hash); err != nil {
			return err
		}
		coins, err := c.faucet.ours(victim)
		if err != nil {
			return err
		}
		back := wire.NewTxOut(0, c.faucet.script)
		back.Value = total(coins) - 2*faucetFee(len(coins), []*wire.TxOut{back})
		tx, err := c.faucet.sign(coins, []*wire.TxOut{back})
		if err != nil {
			return err
		}
		made = tx.Hash().String()
		if depth > 0 {
			return c.reorganise(depth, map[chainhash.Hash]bool{hash: true}, []*btcutil.Tx{tx})
		}
		_, err = c.mineOne(c.faucet.script, []*btcutil.Tx{tx})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("double-spend: %w", err)
	}
	return made, nil
}

// mined finds a transaction in the last blocks, and how many blocks must be replaced to undo it.
func (c *Chain) mined(hash chainhash.Hash) (*btcutil.Tx, int, error) {
	at := c.tip()
	for depth := 1; depth <= maxReorgDepth && at.height > 0; depth++ {
		block, err := c.block(at.hash)
		if err != nil {
			return nil, 0, err
		}
		for _, tx := range block.Transactions()[1:] {
			if *tx.Hash() == hash {
				return tx, depth, nil
			}
		}
		at = at.parent
	}
	return nil, 0, fmt.Errorf("%w: %v is not in the last %d blocks", ErrUnknownTx, hash, maxReorgDepth)
}

// Pause takes the RPC endpoint down: its port refuses connections until Resume. The chain itself goes on.
func (c *Chain) Pause(context.Context) error { return c.server.pause() }

// Resume brings the RPC endpoint up again, on the same port.
func (c *Chain) Resume(context.Context) error { return c.server.resume() }

// URL is the RPC endpoint with user and password: http://user:password@host:port.
func (c *Chain) URL() string { return c.server.url() }

// Height is the best chain's height and hash.
func (c *Chain) Height() (int64, string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.where()
}

// uptime is the time since Open.
func (c *Chain) uptime() time.Duration { return c.opts.Now().Sub(c.began) }
