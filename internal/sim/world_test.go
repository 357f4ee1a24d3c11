package sim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A sent is one output that somebody really sent to one of our addresses.
type sent struct {
	tx       *sentTx
	n        int // its place among the outputs
	to       string
	amount   money.Amount
	coinbase bool
}

// A sentTx is one transaction that was really sent.
type sentTx struct {
	id       string
	coin     money.Currency
	contract bool
	outs     []*sent
	at       time.Time // true time of sending
	dropped  bool      // double-spent: it can never be mined again
}

// A truthBlock is a block as it really is.
type truthBlock struct {
	chain.Block
	txs  []*sentTx
	left []*leaving // transactions of ours
}

// A truth is one chain as it really is, kept beside the fake by its own bookkeeping, so that the fake is checked too.
type truth struct {
	coin     money.Currency
	network  money.Network
	fake     *chaintest.Fake
	honest   *chaintest.Endpoint
	blocks   []*truthBlock
	pool     []*sentTx
	all      []*sentTx
	hashes   map[string]bool // every block that ever was
	versions [][]*truthBlock // best chains since the watchers' last complete look
	nodes    []*node
	tipAge   time.Duration
	every    time.Duration // mean time between blocks
	lastMine time.Time
	final    uint64 // height that the chain calls irreversible; 0: it calls none so
	finality uint64 // how far behind the tip that is; 0: never
	stalled  bool   // it does not move

	signed   map[string]*signedTx // by txid
	spenders map[string]bool      // addresses that they spend from
	foreign  string               // a transaction in a block that nobody signed
}

func newTruth(coin money.Currency, network money.Network, now time.Time) *truth {
	f := chaintest.NewFake(network)
	c := &truth{coin: coin, network: network, fake: f, honest: f.Another(), hashes: map[string]bool{},
		signed: map[string]*signedTx{}, spenders: map[string]bool{}}
	f.SetNow(now)
	c.blocks = []*truthBlock{{Block: f.Tip()}}
	c.hashes[f.Tip().Hash] = true
	c.lastMine = now
	c.version()
	return c
}

func (c *truth) version() { c.versions = append(c.versions, c.blocks) }

// looked forgets the versions before the present one.
func (c *truth) looked() { c.versions = [][]*truthBlock{c.blocks} }

func (c *truth) tip() *truthBlock { return c.blocks[len(c.blocks)-1] }

func (c *truth) at(height int) chain.Block {
	b, err := c.honest.BlockAt(context.Background(), uint64(height))
	if err != nil {
		panic(err)
	}
	return b
}

// grow notes n blocks that the fake has mined; the first took the pool.
func (c *truth) grow(n int, coinbase *sentTx) {
	c.blocks = slices.Clone(c.blocks)
	for i := range n {
		b := &truthBlock{Block: c.at(len(c.blocks))}
		if i == 0 {
			if coinbase != nil {
				b.txs = append(b.txs, coinbase)
			}
			b.txs = append(b.txs, c.pool...)
			c.pool = nil
		}
		c.hashes[b.Hash] = true
		c.blocks = append(c.blocks, b)
		c.leave(b)
	}
	if height := c.tip().Height; c.finality > 0 && !c.stalled && height > c.finality {
		c.final = max(c.final, height-c.finality)
		c.fake.SetFinal(c.final)
	}
	c.version()
}

func (c *truth) mine(now time.Time, n int) {
	c.fake.SetNow(now)
	c.fake.Mine(n)
	c.lastMine = now
	c.grow(n, nil)
}

func (c *truth) mineTo(now time.Time, to string, amount money.Amount) {
	c.fake.SetNow(now)
	ref := c.fake.MineTo(to, amount)
	txid, _, _ := strings.Cut(ref, ":")
	tx := &sentTx{id: txid, coin: c.coin, at: now}
	tx.outs = []*sent{{tx: tx, to: to, amount: amount, coinbase: true}}
	c.all = append(c.all, tx)
	c.lastMine = now
	c.grow(1, tx)
}

// reorg replaces the last depth blocks by count others; what they held waits again, or is mined again when count > 0, apart
// from what is dropped for ever.
func (c *truth) reorg(now time.Time, depth, count int, drop []*sentTx) {
	var refs []string
	for _, tx := range drop {
		tx.dropped = true
		refs = append(refs, tx.id)
	}
	c.fake.SetNow(now)
	c.fake.ReorgTo(depth, count, refs...)
	keep := len(c.blocks) - depth
	var back []*sentTx
	for _, b := range c.blocks[keep:] {
		for _, tx := range b.txs {
			if !tx.outs[0].coinbase {
				back = append(back, tx)
			}
		}
	}
	c.blocks = slices.Clone(c.blocks[:keep])
	c.pool = slices.DeleteFunc(append(back, c.pool...), func(tx *sentTx) bool { return tx.dropped })
	if count == 0 {
		c.version()
		return
	}
	c.lastMine = now
	c.grow(count, nil)
}

// pay sends one transaction.
func (c *truth) pay(now time.Time, contract bool, outs ...chaintest.Out) *sentTx {
	tx := &sentTx{coin: c.coin, contract: contract, at: now}
	for i, o := range outs {
		tx.outs = append(tx.outs, &sent{tx: tx, n: i, to: o.Address, amount: o.Amount})
	}
	if contract {
		tx.id = c.fake.PayByContract(outs[0].Address, outs[0].Amount)
	} else {
		tx.id = c.fake.PayMany(outs...)
	}
	c.pool = append(c.pool, tx)
	c.all = append(c.all, tx)
	return tx
}

// doubleSpend makes a waiting transaction impossible.
func (c *truth) doubleSpend(tx *sentTx) {
	tx.dropped = true
	c.fake.DoubleSpend(tx.id)
	c.pool = slices.DeleteFunc(c.pool, func(t *sentTx) bool { return t == tx })
}

// A coming is an output in a block of a version of the chain.
type coming struct {
	*sent
	block *truthBlock
	depth int
	final bool
}

// comings are the outputs to an address on a version of the chain.
func (c *truth) comings(blocks []*truthBlock, to string) (all []coming) {
	for _, b := range blocks {
		for _, tx := range b.txs {
			for _, o := range tx.outs {
				if o.to == to {
					all = append(all, coming{o, b, int(blocks[len(blocks)-1].Height-b.Height) + 1, b.Height <= c.final})
				}
			}
		}
	}
	return all
}

// deep tells whether a coming counts: as deep as asked for, or final. Coinbases wait for a hundred blocks.
func (c coming) deep(need payment.Depth) bool {
	switch {
	case c.coinbase && c.depth < 100:
		return false
	case need.Final:
		return c.final || need.Stall > 0 && c.depth >= need.Stall
	}
	return c.depth >= need.Blocks
}

func sum(coin money.Currency, all []coming, counts func(coming) bool) money.Amount {
	total := money.Zero(coin)
	for _, c := range all {
		if counts(c) {
			total = total.Add(c.amount)
		}
	}
	return total
}

// A mode is how a node behaves.
type mode int

const (
	fine mode = iota
	down
	blind
	lagging
	liesBlocks
	liesCredits
	forgets  // its mempool shows nothing, and it says that this is all
	stammers // one of its methods fails
	modes
)

var modeNames = [modes]string{"fine", "down", "blind", "lagging", "lies about blocks", "lies about credits", "forgets", "stammers"}

// A node is one endpoint of a chain with a mode. What it answers depends on nothing but its mode and the chain, so that
// the order of calls does not matter.
type node struct {
	*chaintest.Endpoint
	s    *sim
	c    *truth
	mode mode
}

func (n *node) set(m mode) {
	e := n.Endpoint
	for _, method := range []string{chaintest.All, chaintest.Head, chaintest.BlockAt, chaintest.Scan, chaintest.Pending, chaintest.Weigh} {
		e.Fail(method, nil)
	}
	e.Lag(0)
	e.LieAboutBlocks(nil)
	e.LieAboutCredits(nil)
	n.mode = m
	r := n.s.rng
	switch m {
	case down:
		e.Fail(chaintest.All, errors.New("connection refused"))
	case blind:
		e.Fail(chaintest.Head, fmt.Errorf("still syncing: %w", chain.ErrBlind))
	case lagging:
		e.Lag(1 + r.IntN(4))
	case stammers:
		method := []string{chaintest.Head, chaintest.BlockAt, chaintest.Scan, chaintest.Pending, chaintest.Weigh}[r.IntN(5)]
		e.Fail(method, []error{errors.New("EOF"), chain.ErrGone, chain.ErrUnknown, context.DeadlineExceeded}[r.IntN(4)])
	case liesBlocks:
		from := n.c.tip().Height - min(n.c.tip().Height, uint64(r.IntN(4)))
		e.LieAboutBlocks(func(b chain.Block) chain.Block {
			if b.Height >= from {
				b.Hash = "ee" + b.Hash[2:]
			}
			return b
		})
	case liesCredits:
		kind, salt := r.IntN(3), r.IntN(1<<30)
		e.LieAboutCredits(func(b chain.Block, f chain.Found) chain.Found { return n.lie(kind, salt, b, f) })
	case fine, forgets, modes:
	}
}

// lie hides credits, or changes them, or invents one.
func (n *node) lie(kind, salt int, b chain.Block, f chain.Found) chain.Found {
	f.Credits, f.Uses = slices.Clone(f.Credits), slices.Clone(f.Uses)
	switch {
	case kind == 0:
		f.Credits, f.Uses = nil, nil
	case kind == 1:
		for i := range f.Credits {
			f.Credits[i].Amount = f.Credits[i].Amount.Add(f.Credits[i].Amount)
		}
	case len(n.s.given[n.c.coin]) > 0:
		to := n.s.given[n.c.coin][salt%len(n.s.given[n.c.coin])]
		id := fmt.Sprintf("%064x", salt+int(b.Height))
		f.Credits = append(f.Credits, chain.Credit{Ref: id + ":0", To: to, TxID: id, Amount: money.OfBig(n.c.coin, money.DueUnit(n.c.coin).Big())})
	}
	return f
}

// Head is blind when the tip is too old, as the adapters are.
func (n *node) Head(ctx context.Context) (chain.Head, error) {
	h, err := n.Endpoint.Head(ctx)
	if err != nil {
		return h, err
	}
	if age := n.s.machine().Sub(h.Tip.Time); age > n.c.tipAge {
		return chain.Head{}, fmt.Errorf("tip is %s old: %w", age, chain.ErrBlind)
	}
	return h, nil
}

// Pending forgets where the mode says so.
func (n *node) Pending(ctx context.Context, w chain.Watch) (chain.Pending, error) {
	p, err := n.Endpoint.Pending(ctx, w)
	if err == nil && n.mode == forgets {
		p.Credits = nil
	}
	return p, err
}
