package chain

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// A Place is where a follower stands: what the node calls its best chain, and what is stored of the chain so far.
type Place struct {
	Head Head
	// Stored are the newest blocks connected so far, in ascending order without gaps; the last one is the cursor. Empty
	// only before the very first start. RecentBlocks of them are enough; fewer shorten the reorganisations that can be
	// followed.
	Stored []Block
	Watch  Watch
}

// A Step is the next bounded piece of work: exactly one of Start, Disconnect, Connect and AtTip is set. The caller applies
// it in one commit with its cursor and asks again.
type Step struct {
	// Start is the first step ever: blocks to store, in ascending order, none of which is scanned. The last is the cursor.
	Start []Block
	// Disconnect is the cursor, which is not on the best chain any more. The block below it becomes the cursor.
	Disconnect *Block
	// Fork is the height of the newest stored block that is still on the best chain. Only with Disconnect.
	Fork uint64
	// Connect is the block above the cursor, and Found what it holds. It becomes the cursor.
	Connect *Block
	Found   Found
	// AtTip: the cursor is the tip of p.Head.
	AtTip bool
}

// Next decides the next step towards the tip. It reads one block at most, or only compares; it changes nothing.
//
// Errors: ErrBlind when the node is behind what is stored but does not contradict it; ErrGone when the chain changed
// between two answers (call Head and Next again); ErrDisagree when no stored block is on the node's chain, so that
// following it would give up everything stored; and the reader's own.
func Next(ctx context.Context, r Reader, p Place) (Step, error) {
	if len(p.Stored) == 0 {
		return start(ctx, r, p.Head.Tip)
	}
	cursor, tip := p.Stored[len(p.Stored)-1], p.Head.Tip
	switch {
	case tip.Height == cursor.Height && tip.Hash == cursor.Hash:
		return Step{AtTip: true}, nil
	case tip.Height < cursor.Height:
		return behind(ctx, r, p)
	case tip.Height == cursor.Height:
		return stepBack(ctx, r, p)
	}
	next, err := blockAt(ctx, r, cursor.Height+1)
	if err != nil {
		return Step{}, fmt.Errorf("read next block: %w", err)
	}
	if next.Parent != cursor.Hash {
		return stepBack(ctx, r, p)
	}
	found, err := r.Scan(ctx, next, p.Watch)
	if err != nil {
		return Step{}, fmt.Errorf("scan block %d %s: %w", next.Height, next.Hash, err)
	}
	return Step{Connect: &next, Found: found}, nil
}

// start collects the last StartBlocks up to the tip, several at once for nodes that are far away, and checks that each is
// its successor's parent.
func start(ctx context.Context, r Reader, tip Block) (Step, error) {
	n := min(StartBlocks, tip.Height+1)
	blocks := make([]Block, n)
	blocks[n-1] = tip
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(startAtOnce)
	for i := range n - 1 {
		group.Go(func() (err error) {
			blocks[i], err = blockAt(ctx, r, tip.Height+1-n+i)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Step{}, fmt.Errorf("read first blocks: %w", err)
	}
	for i := range n - 1 {
		if blocks[i].Hash != blocks[i+1].Parent {
			return Step{}, fmt.Errorf("read first blocks: chain changed at height %d: %w", blocks[i].Height, ErrGone)
		}
	}
	return Step{Start: blocks}, nil
}

// behind decides what a tip below the cursor means: another branch, or a node that does not know our blocks yet.
func behind(ctx context.Context, r Reader, p Place) (Step, error) {
	cursor, tip := p.Stored[len(p.Stored)-1], p.Head.Tip
	lowest := p.Stored[0]
	if tip.Height < lowest.Height {
		return Step{}, fmt.Errorf("node's tip %d is lagging behind block %d, and below all stored blocks: %w", tip.Height, cursor.Height, ErrBlind)
	}
	if at := p.Stored[tip.Height-lowest.Height]; at.Hash == tip.Hash {
		return Step{}, fmt.Errorf("node's tip %d is lagging behind block %d: %w", tip.Height, cursor.Height, ErrBlind)
	}
	return stepBack(ctx, r, p)
}

// stepBack gives up the cursor, once the node's own answers show from where on its chain is another one.
func stepBack(ctx context.Context, r Reader, p Place) (Step, error) {
	top := min(len(p.Stored)-1, int(p.Head.Tip.Height-min(p.Head.Tip.Height, p.Stored[0].Height)))
	onChain := func(i int) (bool, error) {
		b, err := blockAt(ctx, r, p.Stored[i].Height)
		if err != nil {
			return false, fmt.Errorf("find fork: %w", err)
		}
		return b.Hash == p.Stored[i].Hash, nil
	}
	if same, err := onChain(top); err != nil {
		return Step{}, err
	} else if same {
		return Step{}, fmt.Errorf("find fork: chain changed at height %d: %w", p.Stored[top].Height, ErrGone)
	}
	if same, err := onChain(0); err != nil {
		return Step{}, err
	} else if !same {
		return Step{}, fmt.Errorf("find fork: node's chain shares none of the last %d blocks, down to height %d: %w", len(p.Stored), p.Stored[0].Height, ErrDisagree)
	}
	low, high := 0, top // low is on the node's chain, high is not
	for low+1 < high {
		mid := (low + high) / 2
		same, err := onChain(mid)
		if err != nil {
			return Step{}, err
		}
		if same {
			low = mid
		} else {
			high = mid
		}
	}
	cursor := p.Stored[len(p.Stored)-1]
	return Step{Disconnect: &cursor, Fork: p.Stored[low].Height}, nil
}

// blockAt reads a block that a moment ago was there: its absence is a race.
func blockAt(ctx context.Context, r Reader, height uint64) (Block, error) {
	b, err := r.BlockAt(ctx, height)
	switch {
	case errors.Is(err, ErrNoBlock):
		return Block{}, fmt.Errorf("chain got shorter than %d: %w", height, ErrGone)
	case err != nil:
		return Block{}, err
	case b.Height != height:
		return Block{}, fmt.Errorf("asked for height %d, was told %d: %w", height, b.Height, ErrDisagree)
	}
	return b, nil
}
