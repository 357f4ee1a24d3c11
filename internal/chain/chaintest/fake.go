// Package chaintest proves chain readers: a conformance suite that runs against anything that can pay, mine and
// reorganise, and a fake chain with faults for tests of what stands on a reader. It is linked by tests only.
package chaintest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A Fake is a chain in memory, with a clock of its own. It is itself an endpoint of that chain; Endpoint opens others,
// which fail, lag and lie apart. All methods are safe for concurrent use.
//
// On a Bitcoin network a credit's Ref is "txid:vout". On an Ethereum network a plain payment's Ref is its txid, and
// credits by contracts (PayByContract) are found by balances only: of accounts that Watch.Hot names or that a plain
// payment of the same block touches, as "address@blockhash". The addresses' form does not matter to a Fake.
type Fake struct {
	*Endpoint
	world *world
}

// world is the chain; its mutex owns all fields.
type world struct {
	mu      sync.Mutex
	network money.Network
	now     time.Time
	serial  int
	blocks  []fakeBlock // best chain, by height
	pool    []fakeTx
	gone    []fakeTx // dropped by reorganisations
	final   uint64
	market  market
}

type fakeBlock struct {
	chain.Block
	txs []fakeTx
}

type fakeTx struct {
	id, from string
	outs     []Out
	contract bool
	coinbase bool
	spend    *fakeSpend // of a transaction that spends coins of the chain's own: the others' are paid from nowhere
	failed   bool       // in its block it was carried out in vain: its outs did not come
}

// came are the outputs that took effect.
func (t fakeTx) came() []Out {
	if t.failed {
		return nil
	}
	return t.outs
}

// An Out is one payment to make.
type Out struct {
	Address string
	Amount  money.Amount
}

// NewFake is a chain of one block, at height 0. Its clock stands at the beginning of 2026 until SetNow.
func NewFake(network money.Network) *Fake {
	w := &world{network: network, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), market: newMarket(network)}
	w.blocks = []fakeBlock{{Block: chain.Block{Hash: w.hash("block"), Parent: w.zero(), Time: w.now}}}
	return &Fake{Endpoint: newEndpoint(w), world: w}
}

// Another is another endpoint of the same chain.
func (f *Fake) Another() *Endpoint { return newEndpoint(f.world) }

// Split is another chain with the same past and another future.
func (f *Fake) Split() *Fake {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	w := &world{network: f.world.network, now: f.world.now, serial: f.world.serial + 1_000_000, final: f.world.final,
		blocks: slices.Clone(f.world.blocks), pool: slices.Clone(f.world.pool), market: f.world.market.clone()}
	return &Fake{Endpoint: newEndpoint(w), world: w}
}

// SetNow sets the chain's clock, which is the time of the blocks mined from now on.
func (f *Fake) SetNow(t time.Time) { f.do(func(w *world) { w.now = t }) }

// SetFinal sets the height that the chain calls irreversible.
func (f *Fake) SetFinal(height uint64) { f.do(func(w *world) { w.final = height }) }

// Pay puts a payment into the mempool and gives the Ref that its credit has or will have.
func (f *Fake) Pay(address string, amount money.Amount) (ref string) {
	txid := f.PayMany(Out{address, amount})
	if f.world.network.Coin() == money.ETH {
		return txid
	}
	return txid + ":0"
}

// PayMany puts one transaction with several outputs into the mempool and gives its txid. On Ethereum a transaction pays one
// address only, so that more outputs panic.
func (f *Fake) PayMany(outs ...Out) (txid string) {
	if len(outs) > 1 && f.world.network.Coin() == money.ETH {
		panic("chaintest: an Ethereum transaction pays one address")
	}
	return f.add(fakeTx{from: "payer", outs: outs})
}

// PayByContract puts a payment into the mempool that no transaction shows, only the balance does.
func (f *Fake) PayByContract(address string, amount money.Amount) (txid string) {
	return f.add(fakeTx{outs: []Out{{address, amount}}, contract: true})
}

// DoubleSpend throws a transaction, named by txid or Ref, away for ever, as if another one had spent its coins. One that
// is mined goes by a reorganisation that is one block longer.
func (f *Fake) DoubleSpend(ref string) {
	txid, _, _ := strings.Cut(ref, ":")
	depth := 0
	f.do(func(w *world) {
		for i, b := range w.blocks {
			if slices.ContainsFunc(b.txs, func(tx fakeTx) bool { return tx.id == txid }) {
				depth = len(w.blocks) - i
			}
		}
		w.drop([]string{txid})
	})
	if depth > 0 {
		f.Reorg(depth, txid)
	}
}

// Mine adds n blocks; the first takes everything that waits.
func (f *Fake) Mine(n int) {
	f.do(func(w *world) {
		for range n {
			w.mine(nil)
		}
	})
}

// MineTo adds one block whose coinbase pays the address, and gives the Ref of that credit.
func (f *Fake) MineTo(address string, amount money.Amount) (ref string) {
	f.do(func(w *world) {
		cb := fakeTx{id: w.hash("coinbase"), outs: []Out{{address, amount}}, coinbase: true}
		w.mine(&cb)
		ref = cb.id + ":0"
	})
	return ref
}

// Reorg replaces the last depth blocks by depth+1 others. Their transactions are mined again in the first of them, apart
// from those named by txid or Ref in drop, which are gone for ever; spends that were sent to the chain may be sent again.
// Coinbases of the replaced blocks are gone too.
func (f *Fake) Reorg(depth int, drop ...string) { f.ReorgTo(depth, depth+1, drop...) }

// ReorgTo replaces the last depth blocks by count others, which may be fewer or none.
func (f *Fake) ReorgTo(depth, count int, drop ...string) {
	f.do(func(w *world) {
		keep := len(w.blocks) - depth
		if keep < 1 {
			panic(fmt.Sprintf("chaintest: reorganisation of %d blocks on a chain of %d", depth, len(w.blocks)))
		}
		var back []fakeTx
		for _, b := range w.blocks[keep:] {
			for _, tx := range b.txs {
				if !tx.coinbase {
					tx.failed = false
					back = append(back, tx)
				}
			}
		}
		w.blocks = slices.Clone(w.blocks[:keep])
		w.pool = append(back, w.pool...)
		w.drop(drop)
		for range count {
			w.mine(nil)
		}
	})
}

// Tip is the chain's tip, whatever the endpoint says.
func (f *Fake) Tip() (tip chain.Block) {
	f.do(func(w *world) { tip = w.blocks[len(w.blocks)-1].Block })
	return tip
}

// Balance is what the address holds at the tip.
func (f *Fake) Balance(address string) (sum money.Amount) {
	f.do(func(w *world) { sum = w.balance(address, len(w.blocks)-1) })
	return sum
}

func (f *Fake) do(change func(*world)) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	change(f.world)
}

func (f *Fake) add(tx fakeTx) string {
	f.do(func(w *world) {
		tx.id = w.hash("tx")
		w.pool = append(w.pool, tx)
	})
	return tx.id
}

// mine puts everything that waits into one block. The caller holds the lock.
func (w *world) mine(coinbase *fakeTx) {
	tip := w.blocks[len(w.blocks)-1]
	b := fakeBlock{Block: chain.Block{Height: tip.Height + 1, Hash: w.hash("block"), Parent: tip.Hash, Time: w.now}}
	if coinbase != nil {
		b.txs = append(b.txs, *coinbase)
	}
	w.blocks = append(w.blocks, b)
	w.fill(&w.blocks[len(w.blocks)-1])
}

func (w *world) drop(refs []string) {
	for _, ref := range refs {
		txid, _, _ := strings.Cut(ref, ":")
		w.pool = slices.DeleteFunc(w.pool, func(tx fakeTx) bool {
			if tx.id == txid {
				w.gone = append(w.gone, tx)
			}
			return tx.id == txid
		})
	}
}

// Back puts a transaction into the mempool that a reorganisation has dropped, by its txid or Ref.
func (f *Fake) Back(ref string) {
	txid, _, _ := strings.Cut(ref, ":")
	f.do(func(w *world) {
		for _, tx := range w.gone {
			if tx.id == txid {
				w.pool = append(w.pool, tx)
				return
			}
		}
		panic("chaintest: no reorganisation dropped " + ref)
	})
}

// hash makes an id that never comes twice, in the network's form.
func (w *world) hash(kind string) string {
	w.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", w.network, kind, w.serial))
	if w.network.Coin() == money.ETH {
		return "0x" + hex.EncodeToString(sum[:])
	}
	return hex.EncodeToString(sum[:])
}

func (w *world) zero() string {
	if w.network.Coin() == money.ETH {
		return "0x" + strings.Repeat("0", 64)
	}
	return strings.Repeat("0", 64)
}

// balance sums what came to an address up to a height, less what left it.
func (w *world) balance(address string, height int) money.Amount {
	sum := new(big.Int)
	for _, b := range w.blocks[:height+1] {
		for _, tx := range b.txs {
			for _, out := range tx.came() {
				if out.Address == address {
					sum.Add(sum, out.Amount.Big())
				}
			}
			sum.Sub(sum, tx.took(address).Big())
		}
	}
	return money.OfBig(w.network.Coin(), sum)
}

// find gives the index of a block on the best chain, or -1.
func (w *world) find(hash string) int {
	return slices.IndexFunc(w.blocks, func(b fakeBlock) bool { return b.Hash == hash })
}

// credits are those of a transaction that go to watched addresses and that the transaction itself shows.
func (w *world) credits(tx fakeTx, height uint64, watch chain.Watch) []chain.Credit {
	if tx.contract {
		return nil
	}
	var found []chain.Credit
	for i, out := range tx.came() {
		if watch.Has == nil || !watch.Has(out.Address) {
			continue
		}
		c := chain.Credit{Ref: fmt.Sprintf("%s:%d", tx.id, i), To: out.Address, TxID: tx.id, Amount: out.Amount}
		if w.network.Coin() == money.ETH {
			c.Ref, c.From = tx.id, tx.from
		}
		if tx.coinbase {
			c.Spendable = height + 100
		}
		found = append(found, c)
	}
	return found
}

// scan reads a block as an adapter of the network's kind does.
func (w *world) scan(ctx context.Context, at int, watch chain.Watch) (chain.Found, error) {
	var found chain.Found
	b := w.blocks[at]
	for _, tx := range b.txs {
		found.Credits = append(found.Credits, w.credits(tx, b.Height, watch)...)
		found.Uses = append(found.Uses, tx.uses(watch)...)
	}
	if w.network.Coin() != money.ETH {
		return found, nil
	}
	weigh := slices.Clone(watch.Hot)
	ours := map[string]bool{}
	for _, h := range weigh {
		ours[h.Address] = true
	}
	judge := func(address string) error {
		if _, judged := ours[address]; judged || watch.Explained == nil {
			return nil
		}
		amount, ok, err := watch.Explained(ctx, address)
		if err != nil {
			return fmt.Errorf("explain %s: %w", address, err)
		}
		if ours[address] = ok; ok {
			weigh = append(weigh, chain.Weighed{Address: address, Balance: amount})
		}
		return nil
	}
	shown := map[string]money.Amount{}
	for _, c := range found.Credits {
		if err := judge(c.To); err != nil {
			return chain.Found{}, err
		}
		shown[c.To] = shown[c.To].Add(c.Amount)
	}
	for _, u := range found.Uses {
		if err := judge(u.From); err != nil {
			return chain.Found{}, err
		}
		shown[u.From] = shown[u.From].Sub(u.Out).Sub(u.Fee)
	}
	found.Uses = slices.DeleteFunc(found.Uses, func(u chain.Use) bool { return !ours[u.From] })
	for i := range weigh {
		weigh[i].Balance = weigh[i].Balance.Add(shown[weigh[i].Address])
	}
	more := w.weigh(at, weigh)
	found.Credits, found.Falls = append(found.Credits, more.Credits...), more.Falls
	return found, nil
}

// weigh gives a credit for each account that holds more than is explained, and a fall for each that holds less.
func (w *world) weigh(at int, all []chain.Weighed) chain.Found {
	var found chain.Found
	for _, a := range all {
		rest := w.balance(a.Address, at).Sub(a.Balance)
		switch rest.Sign() {
		case 1:
			found.Credits = append(found.Credits, chain.Credit{Ref: a.Address + "@" + w.blocks[at].Hash, To: a.Address, Amount: rest})
		case -1:
			found.Falls = append(found.Falls, chain.Weighed{Address: a.Address, Balance: rest.Neg()})
		}
	}
	return found
}
