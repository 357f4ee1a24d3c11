package ethereum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"golang.org/x/sync/errgroup"

	"github.com/pipe-pg/pipe/internal/chain"
)

// Head is the node's best chain as of now: its latest block, and the height of the one it calls finalized, 0 where it
// calls none so. Errors: chain.ErrBlind while it is syncing, when its tip is older than MaxTipAge, and when it cannot be
// reached; chain.ErrNetwork.
func (n *Node) Head(ctx context.Context) (chain.Head, error) {
	if err := n.ready(ctx); err != nil {
		return chain.Head{}, n.doubt(err)
	}
	s, err := n.look(ctx)
	if err != nil {
		return chain.Head{}, n.doubt(fmt.Errorf("read head: %w", err))
	}
	if s.syncing != "" {
		return chain.Head{}, fmt.Errorf("node %s is syncing, %s: %w", n.client.name, s.syncing, chain.ErrBlind)
	}
	tip := s.latest.place()
	if age := n.options.Now().Sub(tip.Time); n.options.MaxTipAge > 0 && age > n.options.MaxTipAge {
		return chain.Head{}, fmt.Errorf("node %s: its tip %d is %s old: %w", n.client.name, tip.Height, age.Round(time.Second), chain.ErrBlind)
	}
	if s.final > tip.Height {
		return chain.Head{}, n.doubt(fmt.Errorf("node %s calls block %d finalized, above its tip %d", n.client.name, s.final, tip.Height))
	}
	return chain.Head{Tip: tip, Final: s.final}, nil
}

// sight is what a node says of its own standing.
type sight struct {
	latest  header
	final   uint64
	syncing string // how far, else ""
}

func (n *Node) look(ctx context.Context) (sight, error) {
	var s sight
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		s.latest, err = ask[header](ctx, n.client, "eth_getBlockByNumber", "latest", false)
		return err
	})
	group.Go(func() (err error) {
		s.final, err = n.finalized(ctx)
		return err
	})
	group.Go(func() (err error) {
		s.syncing, err = n.syncing(ctx)
		return err
	})
	return s, group.Wait()
}

// finalized is the finalized height. A node that refuses the question or answers null calls nothing final.
func (n *Node) finalized(ctx context.Context) (uint64, error) {
	h, err := ask[header](ctx, n.client, "eth_getBlockByNumber", "finalized", false)
	var refusal *rpcError
	if errors.Is(err, errNull) || errors.As(err, &refusal) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return h.Number.Uint64(), nil
}

// syncing tells how far a syncing node is, "" for one that is not. A node that only builds its indexes has the newest
// block and its state, and is not syncing in our sense.
func (n *Node) syncing(ctx context.Context) (string, error) {
	raw, err := ask[json.RawMessage](ctx, n.client, "eth_syncing")
	if noMethod(err) {
		return "", nil // public nodes; the tip's age still tells
	}
	if err != nil {
		return "", err
	}
	if string(raw) == "false" {
		return "", nil
	}
	var p struct {
		Current *hexutil.Uint64 `json:"currentBlock"`
		Highest *hexutil.Uint64 `json:"highestBlock"`
		Trie    hexutil.Uint64  `json:"healingTrienodes"`
		Code    hexutil.Uint64  `json:"healingBytecode"`
	}
	if err := json.Unmarshal(raw, &p); err != nil || p.Current == nil || p.Highest == nil {
		return "as it says", nil //nolint:nilerr // anything but false and known progress means syncing
	}
	if *p.Highest > 0 && *p.Current >= *p.Highest && p.Trie == 0 && p.Code == 0 {
		return "", nil
	}
	return fmt.Sprintf("at block %d of %d", *p.Current, *p.Highest), nil
}

// BlockAt is the best chain's block at a height. Its hash is computed from its header, not believed. Errors:
// chain.ErrNoBlock above the tip; chain.ErrBlind; chain.ErrNetwork.
func (n *Node) BlockAt(ctx context.Context, height uint64) (chain.Block, error) {
	if err := n.ready(ctx); err != nil {
		return chain.Block{}, n.doubt(err)
	}
	h, err := n.headerAt(ctx, height)
	if err != nil {
		return chain.Block{}, n.doubt(fmt.Errorf("read block at height %d: %w", height, err))
	}
	return h.place(), nil
}

// headerAt is the best chain's header at a height. A null is chain.ErrNoBlock only where the node's tip is lower.
func (n *Node) headerAt(ctx context.Context, height uint64) (header, error) {
	h, err := ask[header](ctx, n.client, "eth_getBlockByNumber", hexutil.Uint64(height), false)
	if errors.Is(err, errNull) {
		tip, tipErr := ask[hexutil.Uint64](ctx, n.client, "eth_blockNumber")
		if tipErr != nil {
			return header{}, tipErr
		}
		if uint64(tip) < height {
			return header{}, fmt.Errorf("node %s has its tip at %d: %w", n.client.name, uint64(tip), chain.ErrNoBlock)
		}
		return header{}, err
	}
	if err != nil {
		return header{}, err
	}
	if h.Number.Uint64() != height {
		return header{}, fmt.Errorf("node %s answered with block %d", n.client.name, h.Number)
	}
	if h.opaque != "" {
		n.warnOnce("block hash is the node's word", "reason", h.opaque, "height", height)
	}
	return h, nil
}

// gone judges why a node does not have a block that it, or another one, named before. It is chain.ErrGone only when the
// node shows another block at that height; else nobody knows, and err passes.
func (n *Node) gone(ctx context.Context, b chain.Block, err error) error {
	h, atErr := n.headerAt(ctx, b.Height)
	if atErr == nil && h.hash.Hex() != b.Hash {
		return fmt.Errorf("block %d is %s now, not %s: %w", b.Height, h.hash, b.Hash, chain.ErrGone)
	}
	if atErr != nil && !errors.Is(atErr, chain.ErrNoBlock) {
		return atErr
	}
	return fmt.Errorf("block %d %s is not at hand: %w", b.Height, b.Hash, err)
}
