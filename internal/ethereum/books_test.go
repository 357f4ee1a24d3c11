package ethereum

import (
	"errors"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/params"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// ledger follows the chain as the engine does: what each block brought and took is kept, and undone with its block.
type ledger struct {
	r      *rig
	blocks []chain.Block
	books  []book // after the block of the same place
	failed int    // uses that were carried out in vain
}

// follow steps to the tip, the accounts in hot weighed at each block whatever it says, and compares what is explained
// with what is there.
func (l *ledger) follow(hot func() []string) {
	l.r.t.Helper()
	ctx := l.r.t.Context()
	for range 1_000 {
		head, err := l.r.node.Head(ctx)
		if err != nil {
			l.r.t.Fatal(err)
		}
		now := l.books[len(l.books)-1]
		s, err := chain.Next(ctx, l.r.node, chain.Place{Head: head, Stored: l.blocks, Watch: now.watch(hot()...)})
		if err != nil {
			l.r.t.Fatal(err)
		}
		switch {
		case s.AtTip:
			l.check()
			return
		case s.Disconnect != nil:
			l.blocks, l.books = l.blocks[:len(l.blocks)-1], l.books[:len(l.books)-1]
		case s.Connect != nil:
			next := maps.Clone(now)
			next.take(s.Found)
			for _, u := range s.Found.Uses {
				if u.Failed {
					l.failed++
				}
				if u.Fee.Sign() <= 0 || u.Failed != u.Out.IsZero() {
					l.r.t.Fatalf("use %+v", u)
				}
			}
			if len(s.Found.Falls) != 0 {
				l.r.t.Fatalf("falls in block %d: %+v", s.Connect.Height, s.Found.Falls)
			}
			l.blocks, l.books = append(l.blocks, *s.Connect), append(l.books, next)
		}
	}
	l.r.t.Fatal("the tip is never reached")
}

// check weighs every account at the tip, after what came without a transaction was found.
func (l *ledger) check() {
	l.r.t.Helper()
	tip, b := l.blocks[len(l.blocks)-1], l.books[len(l.books)-1]
	for range 2 {
		found, err := l.r.node.Weigh(l.r.t.Context(), tip, b.watch(slices.Sorted(maps.Keys(b))...).Hot)
		if err != nil {
			l.r.t.Fatal(err)
		}
		if len(found.Falls) != 0 {
			l.r.t.Fatalf("at block %d fell %+v", tip.Height, found.Falls)
		}
		b.take(found)
	}
	for a, amount := range b {
		if there := l.r.balance(a); !there.Equal(amount) || amount.Sign() < 0 {
			l.r.t.Fatalf("at block %d %s is explained on %s, %s is there", tip.Height, amount, a, there)
		}
	}
}

// TestBooksBalance: whatever comes and goes, mixed in blocks by chance, reorganised and sent again, the credits less what the
// uses took are what is there.
func TestBooksBalance(t *testing.T) {
	failed := 0
	for seed := range uint64(3) {
		r := newRig(t)
		random := rand.New(rand.NewPCG(seed, 3))
		b, to := openBuilder(t, r.URL()), r.address()
		eater, moody := r.did(r.NewEater(t.Context(), 20_000)), r.did(r.NewEater(t.Context(), 0))
		purses := make([]*purse, 6)
		start := book{}
		for i := range purses {
			purses[i] = r.purse(nil)
			start[purses[i].address] = eth(0)
		}
		l := &ledger{r: r, blocks: []chain.Block{r.mine(1)}, books: []book{start}}
		var sent []chain.Signed
		for round := range 25 {
			for range 1 + random.IntN(6) {
				p := purses[random.IntN(len(purses))]
				amount := wei(random.Int64N(params.Ether) + 1)
				switch random.IntN(4) {
				case 0:
					r.did(r.Pay(t.Context(), p.address, amount))
				case 1:
					r.did(r.PayByContract(t.Context(), p.address, amount))
				case 2:
					r.did(r.Revert(t.Context(), p.address, amount))
				case 3:
					r.did(r.SetAppetite(t.Context(), moody, []uint64{0, 500_000}[random.IntN(2)]))
				}
			}
			for _, p := range purses {
				s, ok := p.sendSome(b, random, []string{to, eater, moody, purses[0].address})
				if !ok {
					continue
				}
				sent = append(sent, s)
				if random.IntN(2) == 0 { // else it is sent after the next blocks, when the receiver may have changed
					r.send(b, s)
				}
			}
			switch random.IntN(5) {
			case 0:
				if depth := random.IntN(3) + 1; round > depth {
					l.reorg(depth, sent[max(0, len(sent)-random.IntN(3)):])
				}
			case 1: // nothing: it all comes in one block with what follows
			default:
				r.mine(1 + random.IntN(2))
			}
			l.follow(func() []string {
				var hot []string
				for _, p := range purses {
					if random.IntN(2) == 0 {
						hot = append(hot, p.address)
					}
				}
				return hot
			})
			for _, s := range sent { // whatever a reorganisation took is sent again
				r.send(b, s)
			}
		}
		if len(sent) < 20 {
			t.Errorf("only %d payouts", len(sent))
		}
		failed += l.failed
	}
	if failed == 0 {
		t.Error("no payout was carried out in vain")
	}
}

// reorg drops some of what was sent.
func (l *ledger) reorg(depth int, drop []chain.Signed) {
	l.r.t.Helper()
	var ids []string
	for _, s := range drop {
		ids = append(ids, s.TxID)
	}
	if _, _, err := l.r.Reorg(l.r.t.Context(), depth, ids); err != nil {
		if _, _, err := l.r.Reorg(l.r.t.Context(), depth, nil); err != nil { // one of them is deeper
			l.r.t.Fatal(err)
		}
	}
}

// sendSome signs a payout of a part of what the account has at the tip, if its last payout is mined.
func (p *purse) sendSome(b *Builder, random *rand.Rand, to []string) (chain.Signed, bool) {
	p.r.t.Helper()
	found, _, err := p.r.node.FindBalances(p.r.t.Context(), []string{p.address})
	if err != nil {
		p.r.t.Fatal(err)
	}
	if len(found) == 0 || found[0].Balance.Sign() == 0 || found[0].Nonce < p.nonce {
		return chain.Signed{}, false
	}
	amount := found[0].Balance
	if random.IntN(2) == 0 {
		amount = money.OfBig(money.ETH, new(big.Int).Rsh(amount.Big(), 1))
	}
	receiver := to[random.IntN(len(to))]
	if receiver == p.address {
		return chain.Signed{}, false
	}
	p.nonce = found[0].Nonce
	d := p.draft(receiver, amount)
	u, err := b.Build(p.r.t.Context(), d)
	if errors.Is(err, chain.ErrTooSmall) || errors.Is(err, chain.ErrReceiver) {
		return chain.Signed{}, false
	}
	if err != nil {
		p.r.t.Fatal(err)
	}
	s, err := p.sign(u)
	if err != nil {
		p.r.t.Fatal(err)
	}
	p.nonce++
	return s, true
}

// send sends what may have been sent before, or be too late.
func (r *rig) send(b *Builder, s chain.Signed) {
	r.t.Helper()
	if err := b.Broadcast(r.t.Context(), s.Raw); err != nil && !errors.Is(err, chain.ErrRejected) {
		r.t.Fatal(err)
	}
}

// TestUsesOfTwoNodes: where one of two nodes hides who sent, both still find the same, or they disagree; never less.
func TestUsesOfTwoNodes(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	p := r.purse(wei(params.Ether))
	bk := newBook(p.address)
	bk.take(r.scan(r.mine(1), bk.watch()))
	_, s := p.build(b, p.draft(r.address(), bk[p.address]))
	r.broadcast(b, s)
	block := r.mine(1)
	r.hideSenders(true)
	q, err := chain.NewQuorum(network, chain.Named{Name: "honest", Reader: open(t, network, r.URL())}, chain.Named{Name: "hiding", Reader: r.node})
	if err != nil {
		t.Fatal(err)
	}
	found, err := q.Scan(t.Context(), block, bk.watch())
	if err != nil {
		t.Fatal(err)
	}
	if use := r.one(found); use.TxID != s.TxID {
		t.Errorf("use %+v", use)
	}
}
