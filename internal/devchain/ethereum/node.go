package ethereum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"
)

// nodeDir is geth's data directory inside the chain's.
const nodeDir = "node"

// faucetEther is what the faucet owns in the genesis block, in whole ether.
const faucetEther = 1_000_000_000

func newOrigin(chainID uint64, now time.Time) (*origin, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make faucet key: %w", err)
	}
	return &origin{ChainID: chainID, Time: uint64(now.Add(-genesisAge).Unix()), FaucetKey: crypto.FromECDSA(key)}, nil
}

// genesis is mainnet's rules up to Osaka from the first block, the faucet's ether and the contracts.
func (c *Chain) genesis() *core.Genesis {
	config := *params.AllDevChainProtocolChanges
	config.ChainID = new(big.Int).SetUint64(c.blocks.origin.ChainID)
	config.BogotaTime = nil
	alloc := core.SystemContractAllocs()
	maps.Copy(alloc, contracts())
	alloc[c.faucet.address] = types.Account{
		Balance: new(big.Int).Mul(big.NewInt(faucetEther), big.NewInt(params.Ether)),
	}
	return &core.Genesis{
		Config:     &config,
		Timestamp:  c.blocks.origin.Time,
		GasLimit:   ethconfig.Defaults.Miner.GasCeil,
		BaseFee:    big.NewInt(params.InitialBaseFee),
		Difficulty: new(big.Int),
		Alloc:      alloc,
	}
}

// newNode makes the shell around geth: no peers, no listeners of its own.
func (c *Chain) newNode() error {
	n, err := node.New(&node.Config{
		Name:    "geth",
		DataDir: filepath.Join(c.dir, nodeDir),
		P2P:     p2p.Config{NoDiscovery: true, NoDial: true, MaxPeers: 0},
		Logger:  gethLogger(c.log),
	})
	if err != nil {
		return fmt.Errorf("make node: %w", err)
	}
	c.node = n
	return nil
}

func (c *Chain) config() *ethconfig.Config {
	config := ethconfig.Defaults
	config.Genesis = c.genesis()
	config.SyncMode = ethconfig.FullSync
	config.DatabaseCache, config.TrieCleanCache, config.TrieDirtyCache = cacheMiB, cacheMiB, cacheMiB
	config.SnapshotCache = 0 // a snapshot would have to be made anew after every crash
	config.StateScheme, config.NoPruning = rawdb.HashScheme, true
	config.TransactionHistory, config.LogNoHistory = 0, true
	config.TxPool.NoLocals, config.TxPool.Journal = true, "" // the block log is the journal
	config.TxPool.AccountSlots, config.TxPool.GlobalSlots = poolSlots, poolSlots
	config.TxPool.AccountQueue, config.TxPool.GlobalQueue = poolSlots, poolSlots
	config.TxPool.Lifetime = poolLifetime
	config.BlobPool.Datadir = ""
	return &config
}

// startNode starts geth and brings its chain to the tip of the block log. geth has no consensus client here: this
// package makes the blocks itself and names the head, as a consensus client would through the engine API.
func (c *Chain) startNode(ctx context.Context) error {
	if err := c.markIndexed(); err != nil {
		return fmt.Errorf("prepare database: %w", err)
	}
	backend, err := eth.New(c.node, c.config())
	if err != nil {
		return fmt.Errorf("make Ethereum node: %w", err)
	}
	if err := c.node.Start(); err != nil {
		return fmt.Errorf("start Ethereum node: %w", err)
	}
	c.eth = backend
	backend.SetSynced()
	if err := c.replay(ctx); err != nil {
		return fmt.Errorf("replay block log: %w", err)
	}
	return c.syncPool()
}

// markIndexed tells a new database that no transaction before its first block waits to be indexed. Without it geth
// answers "indexing is in progress" to questions about transactions until shortly after the first block.
func (c *Chain) markIndexed() error {
	const name = "chaindata"
	_, err := os.Stat(c.node.ResolvePath(name))
	if err == nil && len(c.blocks.canon) > 0 {
		return nil
	} // else it is new, or a kill came before the mark
	db, err := c.node.OpenDatabaseWithOptions(name, node.DatabaseOptions{Cache: cacheMiB})
	if err != nil {
		return err
	}
	if rawdb.ReadTxIndexTail(db) == nil {
		rawdb.WriteTxIndexTail(db, 0)
	}
	return db.Close()
}

// replay executes the logged blocks that geth does not have, and makes the last one the head.
func (c *Chain) replay(ctx context.Context) error {
	chain := c.eth.BlockChain()
	tip := uint64(len(c.blocks.canon))
	have := tip
	for have > 0 && !chain.HasBlockAndState(c.blocks.canon[have-1].hash, have) {
		have--
	}
	if missing := tip - have; missing > 0 {
		c.log.Info("replaying local Ethereum blocks", "from", have+1, "to", tip)
	}
	for h := have + 1; h <= tip; h++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := c.blocks.block(h)
		if err != nil {
			return err
		}
		if _, err := chain.InsertBlockWithoutSetHead(ctx, b, false); err != nil {
			return fmt.Errorf("insert block %d: %w", h, err)
		}
		if h%replayStride == 0 {
			if err := c.setHead(b); err != nil {
				return err
			}
		}
	}
	want := chain.Genesis()
	if tip > 0 {
		want = chain.GetBlock(c.blocks.canon[tip-1].hash, tip)
	}
	if want == nil {
		return errors.New("tip is missing after replay")
	}
	return c.setHead(want)
}

// setHead makes a known block the head, if it is not.
func (c *Chain) setHead(b *types.Block) error {
	chain := c.eth.BlockChain()
	if chain.CurrentBlock().Hash() == b.Hash() {
		return nil
	}
	if _, err := chain.SetCanonical(b); err != nil {
		return fmt.Errorf("set head to block %d: %w", b.NumberU64(), err)
	}
	return nil
}

// syncPool waits until the pool has taken the head in.
func (c *Chain) syncPool() error {
	if err := c.eth.TxPool().Sync(); err != nil {
		return fmt.Errorf("sync transaction pool: %w", err)
	}
	return nil
}

// minedAt returns the canonical block that holds a transaction, or nil.
func (c *Chain) minedAt(txid common.Hash) *types.Block {
	entry, tx := c.eth.BlockChain().GetCanonicalTransaction(txid)
	if tx == nil {
		return nil
	}
	return c.eth.BlockChain().GetBlock(entry.BlockHash, entry.BlockIndex)
}
