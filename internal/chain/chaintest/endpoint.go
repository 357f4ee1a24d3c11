package chaintest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// The methods of a reader and of a builder, as Fail and Before name them. All stands for each of them.
const (
	All       = "*"
	Head      = "Head"
	BlockAt   = "BlockAt"
	Scan      = "Scan"
	Pending   = "Pending"
	Weigh     = "Weigh"
	Fees      = "Fees"
	Build     = "Build"
	Broadcast = "Broadcast"
)

// An Endpoint is a node of a fake chain: a chain.Reader with faults. Its mutex owns its own fields.
type Endpoint struct {
	world *world

	mu     sync.Mutex
	fail   map[string]error
	times  map[string]int // how often fail still strikes; absent is for ever
	before map[string]func()
	lag    int
	calls  map[string]int

	alterBlock func(chain.Block) chain.Block
	alterFound func(chain.Block, chain.Found) chain.Found
}

var _ chain.Reader = (*Endpoint)(nil)

func newEndpoint(w *world) *Endpoint {
	return &Endpoint{world: w, fail: map[string]error{}, times: map[string]int{}, before: map[string]func(){}, calls: map[string]int{}}
}

// Fail makes every call of the method (or All) fail with the error, from now until Fail(method, nil).
func (e *Endpoint) Fail(method string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.times, method)
	if err == nil {
		delete(e.fail, method)
		return
	}
	e.fail[method] = err
}

// FailNext makes the next n calls of the method (or All) fail with the error.
func (e *Endpoint) FailNext(method string, n int, err error) {
	e.Fail(method, err)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.times[method] = n
}

// Before runs f once, right before the next call of the method (or All) is answered: to change the chain between two
// calls.
func (e *Endpoint) Before(method string, f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.before[method] = f
}

// Lag hides the newest n blocks, and the mempool with them, as a node does that is behind.
func (e *Endpoint) Lag(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lag = n
}

// LieAboutBlocks alters each block that Head and BlockAt tell; nil stops it.
func (e *Endpoint) LieAboutBlocks(alter func(chain.Block) chain.Block) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.alterBlock = alter
}

// LieAboutCredits alters what Scan finds; nil stops it.
func (e *Endpoint) LieAboutCredits(alter func(chain.Block, chain.Found) chain.Found) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.alterFound = alter
}

// Calls is how often the method was called so far.
func (e *Endpoint) Calls(method string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[method]
}

// enter counts the call, runs what waits for it and gives the fault that strikes it.
func (e *Endpoint) enter(ctx context.Context, method string) error {
	e.mu.Lock()
	e.calls[method]++
	var run []func()
	for _, m := range []string{method, All} {
		if f := e.before[m]; f != nil {
			run = append(run, f)
			delete(e.before, m)
		}
	}
	e.mu.Unlock()
	for _, f := range run {
		f()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range []string{method, All} {
		err := e.fail[m]
		if err == nil {
			continue
		}
		if left, counted := e.times[m]; counted {
			if e.times[m] = left - 1; left <= 1 {
				delete(e.fail, m)
				delete(e.times, m)
			}
		}
		return err
	}
	return nil
}

// look copies the chain as this endpoint knows it, so that it can be read without a lock: the callbacks of a Watch may
// reach back into the chain. tip is the height this endpoint takes for the tip; lie is what it does to a block's truth.
func (e *Endpoint) look() (w *world, tip int, lie func(chain.Block) chain.Block) {
	e.mu.Lock()
	lag := e.lag
	lie = e.alterBlock
	e.mu.Unlock()
	if lie == nil {
		lie = func(b chain.Block) chain.Block { return b }
	}
	e.world.mu.Lock()
	defer e.world.mu.Unlock()
	w = &world{network: e.world.network, now: e.world.now, final: e.world.final,
		blocks: slices.Clone(e.world.blocks), pool: slices.Clone(e.world.pool), market: e.world.market.clone()}
	return w, max(len(w.blocks)-1-lag, 0), lie
}

// Head implements chain.Reader.
func (e *Endpoint) Head(ctx context.Context) (chain.Head, error) {
	if err := e.enter(ctx, Head); err != nil {
		return chain.Head{}, err
	}
	w, tip, lie := e.look()
	return chain.Head{Tip: lie(w.blocks[tip].Block), Final: min(w.final, uint64(tip))}, nil
}

// BlockAt implements chain.Reader.
func (e *Endpoint) BlockAt(ctx context.Context, height uint64) (chain.Block, error) {
	if err := e.enter(ctx, BlockAt); err != nil {
		return chain.Block{}, err
	}
	w, tip, lie := e.look()
	if height > uint64(tip) {
		return chain.Block{}, fmt.Errorf("height %d above tip %d: %w", height, tip, chain.ErrNoBlock)
	}
	return lie(w.blocks[height].Block), nil
}

// Scan implements chain.Reader.
func (e *Endpoint) Scan(ctx context.Context, b chain.Block, watch chain.Watch) (chain.Found, error) {
	if err := e.enter(ctx, Scan); err != nil {
		return chain.Found{}, err
	}
	w, tip, _ := e.look()
	at := w.find(b.Hash)
	if at < 0 || at > tip {
		return chain.Found{}, fmt.Errorf("scan %s: %w", b.Hash, chain.ErrGone)
	}
	found, err := w.scan(ctx, at, watch)
	if err != nil {
		return chain.Found{}, err
	}
	e.mu.Lock()
	alter := e.alterFound
	e.mu.Unlock()
	if alter != nil {
		found = alter(b, found)
	}
	return found, nil
}

// Pending implements chain.Reader.
func (e *Endpoint) Pending(ctx context.Context, watch chain.Watch) (chain.Pending, error) {
	if err := e.enter(ctx, Pending); err != nil {
		return chain.Pending{}, err
	}
	w, tip, _ := e.look()
	if tip < len(w.blocks)-1 {
		return chain.Pending{}, nil
	}
	p := chain.Pending{Full: true}
	for _, tx := range w.pool {
		p.Credits = append(p.Credits, w.credits(tx, 0, watch)...)
	}
	return p, nil
}

// Weigh implements chain.Reader.
func (e *Endpoint) Weigh(ctx context.Context, b chain.Block, all []chain.Weighed) (chain.Found, error) {
	if err := e.enter(ctx, Weigh); err != nil {
		return chain.Found{}, err
	}
	w, tip, _ := e.look()
	if w.network.Coin() != money.ETH {
		return chain.Found{}, nil
	}
	at := w.find(b.Hash)
	if at < 0 || at > tip {
		return chain.Found{}, fmt.Errorf("weigh at %s: %w", b.Hash, chain.ErrGone)
	}
	return w.weigh(at, all), nil
}
