package bitcoin

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/database"
	"github.com/btcsuite/btcd/mining"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// blockVersion signals no deployment (BIP 9).
const blockVersion = 0x20000000

// medianBlocks is the number of blocks of median-time-past (BIP 113).
const medianBlocks = 11

var errOrphan = errors.New("parent block is unknown")

// move is one step of the best chain: a block joined its end or left it.
type move struct {
	block *btcutil.Block
	joins bool
}

// noteMove collects moves while the chain works; settle acts on them afterwards, in the right order.
func (c *Chain) noteMove(n *blockchain.Notification) {
	block, ok := n.Data.(*btcutil.Block)
	if !ok || n.Type == blockchain.NTBlockAccepted {
		return
	}
	c.moves = append(c.moves, move{block: block, joins: n.Type == blockchain.NTBlockConnected})
}

// tip is the end of the best chain.
func (c *Chain) tip() *indexed { return c.index[c.chain.BestSnapshot().Hash] }

// medianTime is the median-time-past that a block after n must exceed.
func (n *indexed) medianTime() time.Time {
	times := make([]int64, 0, medianBlocks)
	for b := n; b != nil && len(times) < medianBlocks; b = b.parent {
		times = append(times, b.header.Timestamp.Unix())
	}
	slices.Sort(times)
	return time.Unix(times[len(times)/2], 0)
}

// nextTime is the time of a block after n: the clock's, or the least that consensus allows.
func (c *Chain) nextTime(n *indexed) time.Time {
	least := n.medianTime().Add(time.Second)
	if now := c.opts.Now().Truncate(time.Second); now.After(least) {
		return now
	}
	return least
}

// plan is a block to be made.
type plan struct {
	parent *indexed
	when   time.Time
	script []byte // of the coinbase output
	txs    []*btcutil.Tx
	fees   int64 // satoshi, claimed by the coinbase
}

// assemble makes the planned block, with its proof of work. The coinbase carries a random nonce, so that no two
// blocks and no two chains are alike.
func (c *Chain) assemble(p plan) (*wire.MsgBlock, error) {
	height := p.parent.height + 1
	nonce := make([]byte, 8)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("draw extra nonce: %w", err)
	}
	script, err := txscript.NewScriptBuilder().AddInt64(int64(height)).AddData(nonce).Script()
	if err != nil {
		return nil, fmt.Errorf("build coinbase script: %w", err)
	}
	coinbase := wire.NewMsgTx(2)
	coinbase.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: wire.MaxPrevOutIndex},
		SignatureScript:  script, Sequence: wire.MaxTxInSequenceNum,
	})
	coinbase.AddTxOut(wire.NewTxOut(blockchain.CalcBlockSubsidy(height, c.params)+p.fees, p.script))
	first := btcutil.NewTx(coinbase)
	txs := append([]*btcutil.Tx{first}, p.txs...)
	mining.AddWitnessCommitment(first, txs)
	txs[0] = btcutil.NewTx(coinbase) // its hash was cached before the commitment

	block := wire.NewMsgBlock(&wire.BlockHeader{
		Version: blockVersion, PrevBlock: p.parent.hash, MerkleRoot: blockchain.CalcMerkleRoot(txs, false),
		Timestamp: time.Unix(p.when.Unix(), 0), Bits: c.params.PowLimitBits,
	})
	for _, tx := range txs {
		if err := block.AddTransaction(tx.MsgTx()); err != nil {
			return nil, fmt.Errorf("add transaction to block: %w", err)
		}
	}
	return block, solve(&block.Header)
}

func solve(header *wire.BlockHeader) error {
	target := blockchain.CompactToBig(header.Bits)
	for range maxNonceTries {
		hash := header.BlockHash()
		if blockchain.HashToBig(&hash).Cmp(target) <= 0 {
			return nil
		}
		header.Nonce++
	}
	return errors.New("no proof of work found")
}

// accept gives a block to the chain, records it and settles what it moved. It reports whether the block is now
// on the best chain.
func (c *Chain) accept(msg *wire.MsgBlock) (bool, error) {
	main, err := c.process(msg)
	if err != nil {
		return false, err
	}
	var raw bytes.Buffer
	if err := msg.Serialize(&raw); err != nil {
		return false, fmt.Errorf("serialize block: %w", err)
	}
	return main, c.record(recordBlock, raw.Bytes())
}

// process is accept without the record.
func (c *Chain) process(msg *wire.MsgBlock) (bool, error) {
	parent, ok := c.index[msg.Header.PrevBlock]
	if !ok {
		return false, errOrphan
	}
	hash := msg.BlockHash()
	c.moves = nil
	main, _, err := c.chain.ProcessBlock(btcutil.NewBlock(msg), blockchain.BFNone)
	if err != nil {
		return false, errors.Join(err, c.settle())
	}
	c.clock.raise(msg.Header.Timestamp)
	c.index[hash] = &indexed{
		hash: hash, header: msg.Header, height: parent.height + 1, txs: len(msg.Transactions), parent: parent,
	}
	return main, c.settle()
}

// settle brings mempool and faucet in line with the moves of the best chain. Transactions of blocks that left
// return to the mempool, parents first, before what was there already is checked again.
func (c *Chain) settle() error {
	var returned []*btcutil.Tx
	for _, m := range c.moves {
		txs := m.block.Transactions()
		if m.joins {
			c.faucet.connect(m.block)
			for _, tx := range txs[1:] {
				c.pool.RemoveTransaction(tx, false)
				c.pool.RemoveDoubleSpends(tx)
				delete(c.dropped, *tx.Hash())
			}
			continue
		}
		c.faucet.disconnect(m.block)
		returned = append(slices.Clone(txs[1:]), returned...)
	}
	reorganised := slices.ContainsFunc(c.moves, func(m move) bool { return !m.joins })
	c.moves = nil
	if reorganised {
		c.rebuildPool(returned)
	}
	c.prunePool()
	if !c.current && c.opts.Now().Sub(c.tip().header.Timestamp) < tipAge {
		c.current = true
	}
	return nil
}

// invalidate marks a block and all that follow it as invalid, and records that.
func (c *Chain) invalidate(hash chainhash.Hash) error {
	if err := c.processInvalidate(hash); err != nil {
		return err
	}
	return c.record(recordInvalidate, hash[:])
}

func (c *Chain) processInvalidate(hash chainhash.Hash) error {
	c.moves = nil
	if err := c.chain.InvalidateBlock(&hash); err != nil {
		return fmt.Errorf("invalidate block: %w", err)
	}
	return c.settle()
}

// replay applies one record of the journal. It takes the very steps that were taken when the record was
// written, so that the same chain and the same mempool come out.
func (c *Chain) replay(kind recordKind, payload []byte) error {
	switch kind {
	case recordBlock:
		var msg wire.MsgBlock
		if err := msg.Deserialize(bytes.NewReader(payload)); err != nil {
			return fmt.Errorf("decode block: %w", err)
		}
		c.clock.raise(msg.Header.Timestamp)
		_, err := c.process(&msg)
		return err
	case recordInvalidate:
		hash, err := chainhash.NewHash(payload)
		if err != nil {
			return fmt.Errorf("decode hash: %w", err)
		}
		return c.processInvalidate(*hash)
	case recordTx:
		return c.replayTx(payload)
	case recordDrop:
		for at := 0; at+chainhash.HashSize <= len(payload); at += chainhash.HashSize {
			c.forget(chainhash.Hash(payload[at : at+chainhash.HashSize]))
		}
		return nil
	}
	return fmt.Errorf("%w: unknown record %q", errDamaged, kind)
}

func (c *Chain) replayTx(payload []byte) error {
	if len(payload) < 8 {
		return fmt.Errorf("%w: short transaction", errDamaged)
	}
	var tx wire.MsgTx
	if err := tx.Deserialize(bytes.NewReader(payload[8:])); err != nil {
		return fmt.Errorf("decode transaction: %w", err)
	}
	return c.admit(btcutil.NewTx(&tx), time.Unix(int64(binary.BigEndian.Uint64(payload)), 0))
}

// rawBlock reads a known block, on the best chain or off it.
func (c *Chain) rawBlock(hash chainhash.Hash) ([]byte, error) {
	if hash == *c.params.GenesisHash {
		var raw bytes.Buffer
		err := c.params.GenesisBlock.Serialize(&raw)
		return raw.Bytes(), err
	}
	var raw []byte
	err := c.db.View(func(tx database.Tx) error {
		found, err := tx.FetchBlock(&hash)
		raw = bytes.Clone(found) // the database's memory is valid inside the transaction only
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read block: %w", err)
	}
	return raw, nil
}

func (c *Chain) block(hash chainhash.Hash) (*btcutil.Block, error) {
	raw, err := c.rawBlock(hash)
	if err != nil {
		return nil, err
	}
	block, err := btcutil.NewBlockFromBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	return block, nil
}
