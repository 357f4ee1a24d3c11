package chain_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/money"
)

var everything = chain.Watch{Has: func(string) bool { return true }}

func join(t *testing.T, n money.Network, all ...chain.Reader) *chain.Quorum {
	t.Helper()
	var named []chain.Named
	for i, r := range all {
		named = append(named, chain.Named{Name: string(rune('a' + i)), Reader: r})
	}
	q, err := chain.NewQuorum(n, named...)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestQuorumNeedsEndpointsWithNames(t *testing.T) {
	f := chaintest.NewFake("bitcoin/regtest")
	for _, all := range [][]chain.Named{nil, {{Name: "a", Reader: f}, {Name: "a", Reader: f}}, make([]chain.Named, chain.MaxEndpoints+1)} {
		if _, err := chain.NewQuorum("bitcoin/regtest", all...); err == nil {
			t.Errorf("%d endpoints are taken", len(all))
		}
	}
}

// TestQuorumTable is the row chain.Quorum of the limits, case by case: which states of up to three endpoints tell a tip,
// and which freeze.
func TestQuorumTable(t *testing.T) {
	const (
		ok    = "ok"
		lag   = "lag"   // 8 blocks behind on the same chain
		down  = "down"  // cannot be reached
		fork  = "fork"  // on another branch, as high, since 3 blocks
		stuck = "stuck" // on another branch that ends 5 blocks below
		alien = "alien" // of another network
	)
	boom := errors.New("connection refused")
	for _, n := range []money.Network{"bitcoin/regtest", "ethereum/1337"} {
		for _, c := range []struct {
			states string
			behind uint64
			err    error
		}{
			{"ok", 0, nil}, {"lag", 8, nil}, {"down", 0, boom}, {"alien", 0, chain.ErrNetwork},
			{"ok ok", 0, nil}, {"ok lag", 8, nil}, {"lag ok", 8, nil}, {"ok down", 0, chain.ErrBlind}, {"down down", 0, chain.ErrBlind},
			{"ok fork", 0, chain.ErrDisagree}, {"stuck ok", 0, chain.ErrDisagree}, {"ok alien", 0, chain.ErrNetwork},
			{"ok ok ok", 0, nil}, {"ok lag ok", 0, nil}, {"lag lag ok", 8, nil}, {"ok down ok", 0, nil}, {"down ok down", 0, chain.ErrBlind},
			{"ok ok fork", 0, chain.ErrDisagree}, {"fork ok fork", 0, chain.ErrDisagree}, {"ok stuck ok", 0, chain.ErrDisagree},
			{"ok ok alien", 0, nil}, {"ok lag down", 8, nil}, {"ok fork down", 0, chain.ErrDisagree},
		} {
			f := chaintest.NewFake(n)
			f.Mine(60)
			other := f.Split()
			other.Reorg(3)
			short := f.Split()
			short.ReorgTo(10, 5)
			f.Mine(1)
			var all []chain.Reader
			for state := range strings.FieldsSeq(c.states) {
				e := f.Another()
				switch state {
				case ok:
				case lag:
					e.Lag(8)
				case down:
					e.Fail(chaintest.All, boom)
				case alien:
					e.Fail(chaintest.All, chain.ErrNetwork)
				case fork:
					e = other.Another()
				case stuck:
					e = short.Another()
				}
				all = append(all, e)
			}
			q := join(t, n, all...)
			head, err := q.Head(context.Background())
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s, %s: %v, want %v", n, c.states, err, c.err)
				continue
			}
			if err == nil && head.Tip.Height != f.Tip().Height-c.behind {
				t.Errorf("%s, %s: tip %d, want %d below %d", n, c.states, head.Tip.Height, c.behind, f.Tip().Height)
			}
		}
	}
}

// TestQuorumRaceAtTheTip: on Ethereum two newest blocks may differ for a moment, so the one below is the tip; on Bitcoin
// they contradict.
func TestQuorumRaceAtTheTip(t *testing.T) {
	for _, n := range []money.Network{"bitcoin/regtest", "ethereum/1337"} {
		f := chaintest.NewFake(n)
		f.Mine(50)
		shared := f.Tip()
		other := f.Split()
		f.Mine(1)
		other.Mine(1)
		head, err := join(t, n, f, other).Head(context.Background())
		if n.Coin() == money.BTC && !errors.Is(err, chain.ErrDisagree) {
			t.Errorf("%s: %+v, %v", n, head, err)
		}
		if n.Coin() == money.ETH && (err != nil || head.Tip != shared) {
			t.Errorf("%s: %+v, %v; want %+v", n, head, err, shared)
		}
	}
}

func TestQuorumBlockAt(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("bitcoin/regtest")
	f.Mine(10)
	a, b, c := f.Another(), f.Another(), f.Another()
	q := join(t, "bitcoin/regtest", a, b, c)
	b.Lag(3)
	if got, err := q.BlockAt(ctx, 10); err != nil || got != f.Tip() {
		t.Errorf("%+v, %v", got, err)
	}
	c.Lag(1)
	if _, err := q.BlockAt(ctx, 10); !errors.Is(err, chain.ErrNoBlock) {
		t.Errorf("held by one only: %v", err)
	}
	if _, err := q.BlockAt(ctx, 11); !errors.Is(err, chain.ErrNoBlock) {
		t.Errorf("above all: %v", err)
	}
	a.Fail(chaintest.BlockAt, errors.New("reset"))
	c.Fail(chaintest.BlockAt, errors.New("reset"))
	if _, err := q.BlockAt(ctx, 5); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("one answers: %v", err)
	}
	c.Fail(chaintest.BlockAt, nil)
	c.LieAboutBlocks(func(b chain.Block) chain.Block { b.Parent = "x"; return b })
	if _, err := q.BlockAt(ctx, 5); !errors.Is(err, chain.ErrDisagree) {
		t.Errorf("a lie about the parent: %v", err)
	}
}

func TestQuorumScanComparesWhatIsFound(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("bitcoin/regtest")
	f.PayMany(chaintest.Out{Address: "x", Amount: money.Of(money.BTC, 1)}, chaintest.Out{Address: "y", Amount: money.Of(money.BTC, 2)})
	f.Mine(1)
	tip := f.Tip()
	for name, c := range map[string]struct {
		lie func(chain.Block, chain.Found) chain.Found
		err error
	}{
		"other order":   {func(_ chain.Block, f chain.Found) chain.Found { slices.Reverse(f.Credits); return f }, nil},
		"one left out":  {func(_ chain.Block, f chain.Found) chain.Found { f.Credits = f.Credits[1:]; return f }, chain.ErrDisagree},
		"none":          {func(chain.Block, chain.Found) chain.Found { return chain.Found{} }, chain.ErrDisagree},
		"one too many":  {func(_ chain.Block, f chain.Found) chain.Found { f.Credits = append(f.Credits, f.Credits[0]); return f }, chain.ErrDisagree},
		"larger amount": {func(_ chain.Block, f chain.Found) chain.Found { f.Credits[0].Amount = money.Of(money.BTC, 9); return f }, chain.ErrDisagree},
		"other ref":     {func(_ chain.Block, f chain.Found) chain.Found { f.Credits[0].Ref = "z:0"; return f }, chain.ErrDisagree},
		"other address": {func(_ chain.Block, f chain.Found) chain.Found { f.Credits[0].To = "z"; return f }, chain.ErrDisagree},
		"spendable":     {func(_ chain.Block, f chain.Found) chain.Found { f.Credits[0].Spendable = 5; return f }, chain.ErrDisagree},
		"a use": {func(_ chain.Block, f chain.Found) chain.Found {
			f.Uses = append(f.Uses, chain.Use{Ticket: "t"})
			return f
		}, chain.ErrDisagree},
	} {
		for liar := range 2 {
			all := []*chaintest.Endpoint{f.Another(), f.Another()}
			all[liar].LieAboutCredits(c.lie)
			found, err := join(t, "bitcoin/regtest", all[0], all[1]).Scan(ctx, tip, everything)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s: %v", name, err)
			}
			if err != nil && (found.Credits != nil || found.Uses != nil) {
				t.Errorf("%s: something is found in spite of %v", name, err)
			}
		}
	}
}

// TestQuorumComparesUses: endpoints must agree on all that a use tells.
func TestQuorumComparesUses(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("ethereum/1337")
	f.Mine(1)
	wei := func(n int64) money.Amount { return money.Of(money.ETH, n) }
	use := chain.Use{Ticket: "a:1", TxID: "t", From: "a", Out: wei(5), Fee: wei(3)}
	scan := func(x, y []chain.Use) (chain.Found, error) {
		a, b := f.Another(), f.Another()
		a.LieAboutCredits(func(chain.Block, chain.Found) chain.Found { return chain.Found{Uses: x} })
		b.LieAboutCredits(func(chain.Block, chain.Found) chain.Found { return chain.Found{Uses: y} })
		return join(t, "ethereum/1337", a, b).Scan(ctx, f.Tip(), chain.Watch{Has: func(string) bool { return true }})
	}
	other := chain.Use{Ticket: "a:2", TxID: "u", From: "a", Out: wei(1), Fee: wei(1)}
	if found, err := scan([]chain.Use{use, other}, []chain.Use{other, use}); err != nil || len(found.Uses) != 2 {
		t.Errorf("the same uses: %+v, %v", found, err)
	}
	for name, alter := range map[string]func(*chain.Use){
		"ticket": func(u *chain.Use) { u.Ticket = "a:2" }, "txid": func(u *chain.Use) { u.TxID = "u" }, "from": func(u *chain.Use) { u.From = "b" },
		"failed": func(u *chain.Use) { u.Failed = true }, "out": func(u *chain.Use) { u.Out = wei(6) }, "fee": func(u *chain.Use) { u.Fee = wei(4) },
	} {
		altered := use
		alter(&altered)
		for _, pair := range [][2][]chain.Use{{{use}, {altered}}, {{altered}, {use}}} {
			if found, err := scan(pair[0], pair[1]); !errors.Is(err, chain.ErrDisagree) || len(found.Uses) != 0 {
				t.Errorf("%s: %+v, %v", name, found, err)
			}
		}
	}
	if _, err := scan([]chain.Use{use}, nil); !errors.Is(err, chain.ErrDisagree) {
		t.Errorf("a use left out: %v", err)
	}
	if _, err := scan([]chain.Use{use}, []chain.Use{use, use}); !errors.Is(err, chain.ErrDisagree) {
		t.Errorf("a use twice: %v", err)
	}
}

// TestQuorumScanOfAnOldBlock: where one endpoint has not its balances any more, the transactions still count, and the rest
// is left to a later weighing.
func TestQuorumScanOfAnOldBlock(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("ethereum/1337")
	ref := f.Pay("x", money.Of(money.ETH, 1))
	f.PayByContract("x", money.Of(money.ETH, 2))
	f.Mine(1)
	w := chain.Watch{Has: func(string) bool { return true }, Hot: []chain.Weighed{{Address: "x"}}}
	a, b := f.Another(), f.Another()
	b.LieAboutCredits(func(_ chain.Block, f chain.Found) chain.Found {
		return chain.Found{Credits: f.Credits[:1], Unweighed: true}
	})
	for _, q := range []*chain.Quorum{join(t, "ethereum/1337", a, b), join(t, "ethereum/1337", b, a)} {
		found, err := q.Scan(ctx, f.Tip(), w)
		if err != nil || !found.Unweighed || len(found.Credits) != 1 || found.Credits[0].Ref != ref {
			t.Errorf("%+v, %v", found, err)
		}
	}
	b.LieAboutCredits(func(chain.Block, chain.Found) chain.Found { return chain.Found{Unweighed: true} })
	if _, err := join(t, "ethereum/1337", a, b).Scan(ctx, f.Tip(), w); !errors.Is(err, chain.ErrDisagree) {
		t.Errorf("a transfer left out: %v", err)
	}
}

func TestQuorumScanGoesOnWithoutOne(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("bitcoin/regtest")
	ref := f.Pay("x", money.Of(money.BTC, 1))
	f.Mine(1)
	tip := f.Tip()
	a, b, c := f.Another(), f.Another(), f.Another()
	q := join(t, "bitcoin/regtest", a, b, c)
	if _, err := q.Scan(ctx, tip, everything); err != nil {
		t.Fatal(err)
	}
	if c.Calls(chaintest.Scan) != 0 {
		t.Error("more endpoints read the block than are needed")
	}
	a.Fail(chaintest.Scan, chain.ErrBlind)
	if found, err := q.Scan(ctx, tip, everything); err != nil || len(found.Credits) != 1 || found.Credits[0].Ref != ref {
		t.Errorf("%+v, %v", found, err)
	}
	b.Fail(chaintest.Scan, chain.ErrGone)
	if _, err := q.Scan(ctx, tip, everything); !errors.Is(err, chain.ErrGone) {
		t.Errorf("one reads it, one says gone: %v", err)
	}
	b.Fail(chaintest.Scan, chain.ErrBlind)
	if _, err := q.Scan(ctx, tip, everything); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("one reads it: %v", err)
	}
}

func TestQuorumWeighCompares(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("ethereum/1337")
	f.PayByContract("x", money.Of(money.ETH, 7))
	f.Mine(1)
	a, b := f.Another(), f.Another()
	q := join(t, "ethereum/1337", a, b)
	got, err := q.Weigh(ctx, f.Tip(), []chain.Weighed{{Address: "x"}})
	if err != nil || len(got.Credits) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	b.Fail(chaintest.Weigh, errors.New("missing trie node"))
	if _, err := q.Weigh(ctx, f.Tip(), nil); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("%v", err)
	}
}

func TestQuorumPendingIsTheUnion(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("bitcoin/regtest")
	f.Mine(3)
	a, b := f.Another(), f.Another()
	q := join(t, "bitcoin/regtest", a, b)
	ref := f.Pay("x", money.Of(money.BTC, 1))
	p, err := q.Pending(ctx, everything)
	if err != nil || !p.Full || len(p.Credits) != 1 || p.Credits[0].Ref != ref {
		t.Fatalf("%+v, %v", p, err)
	}
	a.Lag(1)
	if p, err = q.Pending(ctx, everything); err != nil || p.Full || len(p.Credits) != 1 {
		t.Errorf("one is behind: %+v, %v", p, err)
	}
	a.Fail(chaintest.All, errors.New("down"))
	if p, err = q.Pending(ctx, everything); err != nil || !p.Full || len(p.Credits) != 1 {
		t.Errorf("one is down: %+v, %v", p, err)
	}
	b.Fail(chaintest.All, errors.New("down"))
	if _, err = q.Pending(ctx, everything); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("all are down: %v", err)
	}
}

func TestQuorumFinalIsWhatEnoughSay(t *testing.T) {
	f := chaintest.NewFake("ethereum/1337")
	f.Mine(40)
	f.SetFinal(32)
	eager := f.Split()
	eager.SetFinal(39)
	for _, c := range []struct {
		all  []chain.Reader
		want uint64
	}{{[]chain.Reader{f.Another(), eager}, 32}, {[]chain.Reader{eager, f.Another(), f.Another()}, 32}, {[]chain.Reader{eager.Another(), f, eager}, 39}} {
		head, err := join(t, "ethereum/1337", c.all...).Head(context.Background())
		if err != nil || head.Final != c.want {
			t.Errorf("final %d, %v; want %d", head.Final, err, c.want)
		}
	}
}

// slow is an endpoint that hangs until its call's time is over.
type slow struct{ *chaintest.Endpoint }

func (s slow) Head(ctx context.Context) (chain.Head, error) {
	if _, err := s.Endpoint.Head(ctx); err != nil {
		return chain.Head{}, err
	}
	time.Sleep(chain.RPCTimeout)
	return chain.Head{}, chain.ErrBlind
}

// TestQuorumLetsHangingEndpointsRest: one of three that hangs costs time once in RestFor, not at every look.
func TestQuorumLetsHangingEndpointsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		f := chaintest.NewFake("bitcoin/regtest")
		f.Mine(10)
		hanging := slow{f.Another()}
		q := join(t, "bitcoin/regtest", hanging, f.Another(), f.Another())
		began := time.Now()
		for range 5 {
			if _, err := q.Head(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != chain.RPCTimeout {
			t.Errorf("five looks took %s", took)
		}
		time.Sleep(chain.RestFor)
		if _, err := q.Head(ctx); err != nil || hanging.Calls(chaintest.Head) != 2 {
			t.Errorf("%v; it was asked %d times", err, hanging.Calls(chaintest.Head))
		}
		report, err := q.Health(ctx)
		if err != nil || !report[0].Resting || report[0].Failures != 3 || report[1].Resting || report[1].Err != nil {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

func TestHealthComparesHeights(t *testing.T) {
	f := chaintest.NewFake("bitcoin/regtest")
	f.Mine(10)
	a, b, c := f.Another(), f.Another(), f.Another()
	b.Lag(4)
	c.Fail(chaintest.All, errors.New("down"))
	report, err := join(t, "bitcoin/regtest", a, b, c).Health(context.Background())
	if err != nil || report[0].Behind != 0 || report[1].Behind != 4 || report[2].Err == nil || report[1].Name != "b" {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestNoFalseCreditByLiars: with one, then two of three endpoints that lie in every way, now and then, nothing is ever
// stored that is not on the true chain, and all is found once they stop.
func TestNoFalseCreditByLiars(t *testing.T) {
	ctx := context.Background()
	for liars := 1; liars <= 2; liars++ {
		f := chaintest.NewFake("bitcoin/regtest")
		f.Mine(20)
		ends := []*chaintest.Endpoint{f.Another(), f.Another(), f.Another()}
		q := join(t, "bitcoin/regtest", ends[0], ends[1], ends[2])
		var b book
		if _, err := b.sync(ctx, q); err != nil {
			t.Fatal(err)
		}
		var refs []string
		for round := range 60 {
			refs = append(refs, f.Pay("a", money.Of(money.BTC, 1)))
			f.Mine(1)
			for i := range liars {
				e := ends[(round+i)%3]
				e.Lag(0)
				e.Fail(chaintest.All, nil)
				e.LieAboutBlocks(nil)
				e.LieAboutCredits(nil)
				switch (round + i) % 5 {
				case 0:
					e.Lag(3)
				case 1:
					e.Fail(chaintest.All, errors.New("reset"))
				case 2:
					e.LieAboutBlocks(func(b chain.Block) chain.Block { b.Hash = "f" + b.Hash[1:]; return b })
				case 3:
					// Two liars that tell the same lie about a scan are beyond what a quorum of two can see; each adapter
					// proves its answers by itself. So they lie differently.
					e.LieAboutCredits(func(_ chain.Block, found chain.Found) chain.Found {
						return chain.Found{Credits: append(found.Credits, chain.Credit{Ref: string(rune('0' + i)), To: "a", Amount: money.Of(money.BTC, 9)})}
					})
				case 4:
					e.LieAboutCredits(func(chain.Block, chain.Found) chain.Found { return chain.Found{} })
				}
			}
			for range 3 {
				if _, err := b.step(ctx, q); err == nil || errors.Is(err, chain.ErrDisagree) || errors.Is(err, chain.ErrBlind) || errors.Is(err, chain.ErrGone) {
					continue
				} else {
					t.Fatal(err)
				}
			}
			for _, ref := range b.refs() {
				if !slices.Contains(refs, ref) {
					t.Fatalf("%d liars, round %d: false credit %s", liars, round, ref)
				}
			}
		}
		for _, e := range ends {
			e.Lag(0)
			e.Fail(chaintest.All, nil)
			e.LieAboutBlocks(nil)
			e.LieAboutCredits(nil)
		}
		if _, err := b.sync(ctx, q); err != nil {
			t.Fatal(err)
		}
		slices.Sort(refs)
		if got := b.refs(); !slices.Equal(got, refs) {
			t.Errorf("%d liars: %d credits found after healing, want %d", liars, len(got), len(refs))
		}
	}
}
