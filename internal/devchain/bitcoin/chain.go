// Package bitcoin is a real Bitcoin regtest chain in one process: btcd's consensus rules, script checks and
// mempool behind a JSON-RPC endpoint of Bitcoin Core's shape, with a faucet and controls for payments, blocks,
// reorganisations and double spends. It serves the demo and the tests.
//
// Every accepted block, mempool transaction and invalidation is in a journal on disk before anyone can see it,
// so that the chain comes back with the same tip and the same mempool after a clean stop and after SIGKILL.
package bitcoin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/database"
	_ "github.com/btcsuite/btcd/database/ffldb" // the block database's driver registers itself
	"github.com/btcsuite/btcd/mempool"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/gofrs/flock"
)

var (
	// ErrClosed says that the chain was closed.
	ErrClosed = errors.New("chain is closed")
	// ErrInUse says that another process has the chain's directory open.
	ErrInUse = errors.New("chain directory is in use")
	// ErrAddress says that an address is not one of regtest.
	ErrAddress = errors.New("not a regtest address")
	// ErrAmount says that an amount is not positive, below dust, or more than the faucet has.
	ErrAmount = errors.New("amount cannot be paid")
	// ErrUnknownTx says that a txid is neither in the mempool nor in a block that may be replaced.
	ErrUnknownTx = errors.New("unknown txid")
	// ErrNotFaucet says that a transaction's inputs are not the faucet's to spend.
	ErrNotFaucet = errors.New("inputs are not the faucet's")
	// ErrDepth says that a reorganisation is not between 1 and 100 blocks, or reaches below the first block.
	ErrDepth = errors.New("depth cannot be reorganised")
)

// Options tell where and how a chain lives.
type Options struct {
	Dir         string           // data directory, created if missing
	Listen      string           // RPC address; empty: 127.0.0.1 and a free port
	RPCUser     string           // basic auth; empty: "pipe"
	RPCPassword string           // basic auth; empty: a random one for this run
	FeeRate     int64            // what estimatesmartfee answers, satoshi per kvB; 0: 2,000; below 0: no estimate
	Now         func() time.Time // clock of blocks; nil: time.Now
	Logger      *slog.Logger     // nil: nothing is logged
}

// Chain is a running regtest chain with its RPC endpoint. Safe for concurrent use.
type Chain struct {
	opts   Options
	log    *slog.Logger
	params *chaincfg.Params
	server *endpoint
	lock   *flock.Flock
	began  time.Time

	Faults // of sendrawtransaction

	mu      sync.RWMutex // owns all below; held for writing through a whole change, so readers see no half reorganisation
	clock   *clock
	db      database.DB
	chain   *blockchain.BlockChain
	pool    *mempool.TxPool
	journal *journal
	faucet  *faucet
	index   map[chainhash.Hash]*indexed
	entries map[chainhash.Hash]*poolEntry
	dropped map[chainhash.Hash]struct{} // never put back into the mempool by a reorganisation
	moves   []move                      // blocks connected and disconnected by the change under way
	arrival uint64                      // of the last mempool entry
	changes uint64                      // mempool_sequence
	feeRate int64
	current bool  // the initial download is over; never false again
	broken  error // set when the journal could not be written: memory is ahead of disk, nothing may follow
}

// indexed is one known block, on the best chain or off it.
type indexed struct {
	hash   chainhash.Hash
	header wire.BlockHeader
	height int32
	txs    int
	parent *indexed
}

// Open opens the chain in o.Dir, replaying its journal, or makes a new one with mature faucet coins, and serves
// its RPC endpoint until Close. A new chain takes about 0.2 s. It fails with ErrInUse when the directory is open elsewhere.
func Open(ctx context.Context, o Options) (*Chain, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.FeeRate == 0 {
		o.FeeRate = defaultEstimate
	}
	params := chaincfg.RegressionNetParams // a copy: the deployments hold a clock of the chain they belong to
	c := &Chain{
		opts: o, log: o.Logger, params: &params, began: o.Now(), feeRate: o.FeeRate,
		clock:   &clock{now: o.Now},
		index:   map[chainhash.Hash]*indexed{},
		entries: map[chainhash.Hash]*poolEntry{},
		dropped: map[chainhash.Hash]struct{}{},
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Chain) start(ctx context.Context) error {
	if err := os.MkdirAll(c.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("make chain directory: %w", err)
	}
	lock := flock.New(filepath.Join(c.opts.Dir, "lock"))
	held, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock chain directory: %w", err)
	}
	if !held {
		return fmt.Errorf("%w: %s", ErrInUse, c.opts.Dir)
	}
	c.lock = lock
	if err := c.openNode(); err != nil {
		return err
	}
	began := time.Now()
	c.journal, err = openJournal(filepath.Join(c.opts.Dir, "journal"), c.replay)
	if err != nil {
		return err
	}
	best := c.chain.BestSnapshot()
	c.log.Info("bitcoin regtest chain replayed", "height", best.Height, "hash", best.Hash.String(),
		"mempool", c.pool.Count(), "took", time.Since(began))
	if best.Height <= premineBlocks { // at that height the split is still missing
		if err := c.premine(ctx); err != nil {
			return fmt.Errorf("premine: %w", err)
		}
	}
	c.server, err = listen(c)
	return err
}

// openNode builds btcd's chain and mempool on an empty block database. The database is always rebuilt from the
// journal: after a SIGKILL it would reopen at height 0.
func (c *Chain) openNode() error {
	dir := filepath.Join(c.opts.Dir, "blocks")
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clear block database: %w", err)
	}
	var err error
	if c.db, err = database.Create("ffldb", dir, c.params.Net); err != nil {
		return fmt.Errorf("create block database: %w", err)
	}
	sigs := txscript.NewSigCache(sigCacheEntries)
	hashes := txscript.NewHashCache(hashCacheEntries)
	c.chain, err = blockchain.New(&blockchain.Config{
		DB: c.db, UtxoCacheMaxSize: utxoCacheBytes, ChainParams: c.params, TimeSource: c.clock,
		SigCache: sigs, HashCache: hashes,
	})
	if err != nil {
		return fmt.Errorf("open chain: %w", err)
	}
	c.pool = mempool.New(&mempool.Config{
		Policy: mempool.Policy{
			MaxTxVersion:         2,
			DisableRelayPriority: true, // no free transactions: Bitcoin Core knows fee rates only
			MaxSigOpCostPerTx:    blockchain.MaxBlockSigOpsCost / 5,
			MinRelayTxFee:        minRelayFee,
		},
		ChainParams:    c.params,
		FetchUtxoView:  c.chain.FetchUtxoView,
		BestHeight:     func() int32 { return c.chain.BestSnapshot().Height },
		MedianTimePast: func() time.Time { return c.chain.BestSnapshot().MedianTime },
		CalcSequenceLock: func(tx *btcutil.Tx, v *blockchain.UtxoViewpoint) (*blockchain.SequenceLock, error) {
			return c.chain.CalcSequenceLock(tx, v, true)
		},
		IsDeploymentActive: c.chain.IsDeploymentActive,
		SigCache:           sigs,
		HashCache:          hashes,
	})
	if c.faucet, err = newFaucet(c.params); err != nil {
		return err
	}
	genesis := c.params.GenesisBlock
	c.index[*c.params.GenesisHash] = &indexed{hash: *c.params.GenesisHash, header: genesis.Header, txs: len(genesis.Transactions)}
	c.chain.Subscribe(c.noteMove)
	return nil
}

// change runs one change of the chain alone and makes it durable before anyone sees it.
func (c *Chain) change(f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.journal == nil {
		return ErrClosed
	}
	if c.broken != nil {
		return c.broken
	}
	err := f()
	if syncErr := c.journal.sync(); syncErr != nil {
		c.broken = syncErr
		return errors.Join(err, syncErr)
	}
	return err
}

// record appends to the journal; a failure stops the chain, because memory is then ahead of the disk.
func (c *Chain) record(kind recordKind, payload []byte) error {
	if c.broken != nil {
		return c.broken
	}
	if err := c.journal.append(kind, payload); err != nil {
		c.broken = err
		return err
	}
	return nil
}

// SetFeeRate changes what estimatesmartfee answers, in satoshi per kvB; below 1 it has no estimate.
func (c *Chain) SetFeeRate(rate int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.feeRate = rate
}

// Close stops the endpoint and closes the chain. It may be called twice.
func (c *Chain) Close() error {
	var errs []error
	if c.server != nil {
		errs = append(errs, c.server.close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.journal != nil {
		errs = append(errs, c.journal.close())
		c.journal = nil
	}
	if c.chain != nil && c.db != nil {
		errs = append(errs, c.chain.FlushUtxoCache(blockchain.FlushRequired))
	}
	if c.db != nil {
		errs = append(errs, c.db.Close())
		c.db = nil
	}
	if c.lock != nil {
		errs = append(errs, c.lock.Close())
		c.lock = nil
	}
	return errors.Join(errs...)
}

// clock is btcd's view of time: the injected clock, never behind a block that was accepted once. Without the
// floor a journal written under a later clock could not be replayed.
type clock struct {
	now   func() time.Time
	mu    sync.Mutex
	floor time.Time
}

func (k *clock) AdjustedTime() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now().Truncate(time.Second)
	if now.Before(k.floor) {
		return k.floor
	}
	return now
}

func (k *clock) raise(t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.After(k.floor) {
		k.floor = t
	}
}

func (k *clock) AddTimeSample(string, time.Time) {}

func (k *clock) Offset() time.Duration { return 0 }
