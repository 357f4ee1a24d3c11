// Package ethereum runs a real Ethereum chain inside the process: go-ethereum's consensus rules, EVM, pool and JSON-RPC,
// without peers. Blocks are made only when asked, so a demo or a test decides what the chain does.
//
// The truth about the chain is an append-only block log, synced to disk before a block becomes visible. geth's own
// data directory is a cache of it: whatever a crash took from the directory is replayed at the next Open, and a
// directory that cannot be opened is built anew. So the tip after SIGKILL is the tip before it.
//
// State is kept for ever (hash scheme, archive): a balance can be asked at any block, also at one that was reorganised
// away while this data directory lived. The path scheme would serve only the last 128 states.
package ethereum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/node"
)

var (
	// ErrAddress is returned for text that is not a 20-byte address in hexadecimal.
	ErrAddress = errors.New("not an Ethereum address")
	// ErrAmount is returned for an amount that is not positive or that the faucet does not have.
	ErrAmount = errors.New("amount out of range")
	// ErrUnknownTx is returned for a transaction that is neither in the pool nor in the part of the chain in question.
	ErrUnknownTx = errors.New("transaction not found")
	// ErrForeign is returned when another sender's key would be needed.
	ErrForeign = errors.New("transaction was not sent by the faucet")
	// ErrFinal is returned for a reorganisation that would undo a finalized block.
	ErrFinal = errors.New("block is finalized")
	// ErrRange is returned for a count or depth outside its limits.
	ErrRange = errors.New("number out of range")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("chain is closed")
	// ErrLogCorrupt is returned by Open when the block log is damaged before its end.
	ErrLogCorrupt = errors.New("block log is corrupt")
	// ErrInUse says that another process has the chain's directory open.
	ErrInUse = node.ErrDatadirUsed
)

// Options say where a chain lives. Dir and Listen are required.
type Options struct {
	// Dir holds the block log and geth's data directory. It is created when missing.
	Dir string
	// Listen is the loopback address of the JSON-RPC endpoint; port 0 takes a free one.
	Listen string
	// ChainID is 1337 when zero. It is fixed by the first Open of a directory.
	ChainID uint64
	// Now gives block times; time.Now when nil.
	Now func() time.Time
	// Logger gets geth's own log at debug level; nil discards.
	Logger *slog.Logger
	// Debug serves the debug module, with tracers. Off, the node shows no internal calls to anyone.
	Debug bool
}

// Chain is a running chain. Its methods may be called from several goroutines.
type Chain struct {
	log    *slog.Logger
	now    func() time.Time
	dir    string
	faucet faucet
	node   *node.Node
	eth    *eth.Ethereum
	rpc    *endpoint

	mu       sync.Mutex // guards what follows, and orders every change of head, pool and block log
	closed   bool
	blocks   *blockLog
	finality Finality
	least    *big.Int    // as SetFeeRate set it; nil: it did not
	faults   []SendFault // of the next transactions sent
}

// Open starts the chain in o.Dir, making it when there is none, and replays what the last run did not store. It fails
// when another process has the directory open.
func Open(ctx context.Context, o Options) (*Chain, error) {
	if o.Dir == "" || o.Listen == "" {
		return nil, errors.New("open local Ethereum chain: Dir and Listen are required")
	}
	if o.ChainID == 0 {
		o.ChainID = 1337
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make chain directory: %w", err)
	}
	quietGeth(o.Logger)
	c := &Chain{log: o.Logger, now: o.Now, dir: o.Dir, finality: Finality{Safe: safeDepth, Final: finalDepth}}
	if err := c.open(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open local Ethereum chain: %w", err), c.Close())
	}
	return c, nil
}

func (c *Chain) open(ctx context.Context, o Options) error {
	if err := c.newNode(); err != nil { // takes the directory's lock, so it comes before the log
		return err
	}
	blocks, err := openLog(filepath.Join(o.Dir, "blocks.log"), c.log)
	if err != nil {
		return err
	}
	c.blocks = blocks
	if blocks.origin == nil {
		if err := c.create(o.ChainID); err != nil {
			return err
		}
	}
	if blocks.origin.ChainID != o.ChainID {
		return fmt.Errorf("directory holds chain %d, not %d", blocks.origin.ChainID, o.ChainID)
	}
	if c.faucet, err = newFaucet(blocks.origin); err != nil {
		return err
	}
	if err := c.tryNode(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.log.Warn("local Ethereum data directory is unusable, rebuilding it from the block log", "err", err)
		if err := c.rebuild(ctx); err != nil {
			return err
		}
	}
	if err := c.restorePool(); err != nil {
		return err
	}
	c.setFinality()
	c.rpc, err = c.newEndpoint(o)
	return err
}

// tryNode starts geth on the files that are there. Its database panics over some that a kill left behind while it was
// being made; that is an error like any other, after which the files are made anew.
func (c *Chain) tryNode(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("start Ethereum node: panic: %v", p)
		}
	}()
	return c.startNode(ctx)
}

// create writes the origin of a new chain.
func (c *Chain) create(chainID uint64) error {
	o, err := newOrigin(chainID, c.now())
	if err != nil {
		return err
	}
	return c.blocks.begin(o)
}

// rebuild throws geth's data directory away and replays the whole log.
func (c *Chain) rebuild(ctx context.Context) error {
	if err := c.node.Close(); err != nil && !errors.Is(err, node.ErrNodeStopped) {
		return fmt.Errorf("close unusable node: %w", err)
	}
	c.node, c.eth = nil, nil
	if err := os.RemoveAll(filepath.Join(c.dir, nodeDir)); err != nil {
		return fmt.Errorf("remove unusable data directory: %w", err)
	}
	if err := c.newNode(); err != nil {
		return err
	}
	return c.startNode(ctx)
}

// restorePool sends the logged transactions that are in no block again. One that the chain has outrun is refused by the
// pool, which is right.
func (c *Chain) restorePool() error {
	var last *types.Block // transactions come in about the order of their blocks, which are slow to read
	mined := func(h common.Hash) bool {
		n := rawdb.ReadTxLookupEntry(c.eth.ChainDb(), h)
		if n == nil {
			return false
		}
		if last == nil || last.NumberU64() != *n {
			last = c.eth.BlockChain().GetBlockByNumber(*n)
		}
		return last != nil && last.Transaction(h) != nil
	}
	raws, err := c.blocks.pending(mined)
	if err != nil {
		return fmt.Errorf("restore pending transactions: %w", err)
	}
	for _, raw := range raws {
		tx := new(types.Transaction)
		if err := tx.UnmarshalBinary(raw); err != nil {
			return fmt.Errorf("decode logged transaction: %w", err)
		}
		if err := c.eth.TxPool().Add([]*types.Transaction{tx}, true)[0]; err != nil {
			c.log.Debug("logged transaction is not pending any more", "txid", tx.Hash().Hex(), "err", err)
		}
	}
	return nil
}

// URL is the address of the JSON-RPC endpoint. It stays the same over Pause and Resume.
func (c *Chain) URL() string { return c.rpc.url() }

// Faucet is the address that pays.
func (c *Chain) Faucet() string { return c.faucet.address.Hex() }

// Pause takes the JSON-RPC endpoint down; connections are refused. The chain lives on.
func (c *Chain) Pause() error { return c.rpc.pause() }

// Resume brings the JSON-RPC endpoint back at the same address.
func (c *Chain) Resume() error { return c.rpc.resume() }

// Close stops the chain cleanly. It may be called twice.
func (c *Chain) Close() error {
	var errs []error
	if c.rpc != nil { // first, and without the lock: requests under way may need it
		errs = append(errs, c.rpc.close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.Join(errs...)
	}
	c.closed = true
	if c.node != nil {
		if err := c.node.Close(); err != nil && !errors.Is(err, node.ErrNodeStopped) {
			errs = append(errs, fmt.Errorf("close node: %w", err))
		}
	}
	if c.blocks != nil {
		errs = append(errs, c.blocks.close())
	}
	return errors.Join(errs...)
}

// lock takes the chain for one change.
func (c *Chain) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	return nil
}
