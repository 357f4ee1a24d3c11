package chaintest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/money"
)

func watch(addresses ...string) chain.Watch {
	ours := map[string]bool{}
	for _, a := range addresses {
		ours[a] = true
	}
	return chain.Watch{Has: func(a string) bool { return ours[a] }}
}

func TestFakeFindsContractCreditsByBalance(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("ethereum/1337")
	f.PayByContract("a", money.Of(money.ETH, 7))
	plain := f.Pay("a", money.Of(money.ETH, 5))
	f.PayByContract("b", money.Of(money.ETH, 1))
	f.Mine(1)
	tip := f.Tip()

	w := watch("a", "b")
	w.Explained = func(context.Context, string) (money.Amount, bool, error) { return money.Zero(money.ETH), true, nil }
	found, err := f.Scan(ctx, tip, w)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Credits) != 2 || found.Credits[0].Ref != plain || found.Credits[0].From == "" ||
		found.Credits[1].Ref != "a@"+tip.Hash || found.Credits[1].Amount.Units() != "7" {
		t.Errorf("touched account: %+v", found.Credits)
	}
	w.Hot = []chain.Weighed{{Address: "b", Balance: money.Zero(money.ETH)}}
	if found, err = f.Scan(ctx, tip, w); err != nil || len(found.Credits) != 3 {
		t.Errorf("hot account: %+v, %v", found.Credits, err)
	}
	weighed, err := f.Weigh(ctx, tip, []chain.Weighed{{Address: "b"}, {Address: "a", Balance: money.Of(money.ETH, 12)}})
	if err != nil || len(weighed.Credits) != 1 || weighed.Credits[0].Ref != "b@"+tip.Hash {
		t.Errorf("weigh: %+v, %v", weighed, err)
	}
}

func TestFakeFaults(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("bitcoin/regtest")
	boom := errors.New("boom")
	f.FailNext(chaintest.Head, 2, boom)
	for range 2 {
		if _, err := f.Head(ctx); !errors.Is(err, boom) {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := f.Head(ctx); err != nil {
		t.Fatal(err)
	}
	f.Fail(chaintest.All, chain.ErrBlind)
	if _, err := f.BlockAt(ctx, 0); !errors.Is(err, chain.ErrBlind) {
		t.Fatalf("got %v", err)
	}
	f.Fail(chaintest.All, nil)
	f.Mine(3)
	f.Lag(2)
	head, err := f.Head(ctx)
	if err != nil || head.Tip.Height != 1 {
		t.Fatalf("lagging head %+v, %v", head, err)
	}
	if _, err := f.BlockAt(ctx, 2); !errors.Is(err, chain.ErrNoBlock) {
		t.Fatalf("got %v", err)
	}
}

// fakeHarness runs the suite against the fake chain itself: what stands on it relies on that.
func fakeHarness(n money.Network) chaintest.Harness {
	f := chaintest.NewFake(n)
	f.Mine(10)
	serial := 0
	h := chaintest.Harness{
		Network: n, Reader: f, Deeper: []int{24, 100},
		Addresses: func(_ testing.TB, n int) []string {
			var all []string
			for range n {
				serial++
				all = append(all, fmt.Sprintf("address%d", serial))
			}
			return all
		},
		Pay: func(_ context.Context, a string, amount money.Amount) (string, error) {
			txid, _, _ := strings.Cut(f.Pay(a, amount), ":")
			return txid, nil
		},
		DoubleSpend: func(_ context.Context, txid string) error { f.DoubleSpend(txid); return nil },
		Mine:        func(_ context.Context, n int) error { f.Mine(n); return nil },
		Reorg:       func(_ context.Context, depth int, drop []string) error { f.Reorg(depth, drop...); return nil },
		Pause:       func(context.Context) error { f.Fail(chaintest.All, chain.ErrBlind); return nil },
		Resume:      func(context.Context) error { f.Fail(chaintest.All, nil); return nil },
	}
	if n.Coin() == money.BTC {
		h.PayMany = func(_ context.Context, outs []chaintest.Out) (string, error) { return f.PayMany(outs...), nil }
	} else {
		h.PayByContract = func(_ context.Context, a string, amount money.Amount) (string, error) {
			return f.PayByContract(a, amount), nil
		}
	}
	return h
}

func TestConformance(t *testing.T) {
	for _, n := range []money.Network{"bitcoin/regtest", "ethereum/1337"} {
		t.Run(string(n), func(t *testing.T) { chaintest.Run(t, fakeHarness(n)) })
	}
}

func TestConformanceOfQuorum(t *testing.T) {
	for _, n := range []money.Network{"bitcoin/regtest", "ethereum/1337"} {
		for size := 1; size <= 3; size++ {
			t.Run(fmt.Sprintf("%s/%d", n, size), func(t *testing.T) {
				h := fakeHarness(n)
				f := h.Reader.(*chaintest.Fake)
				named := []chain.Named{{Name: "first", Reader: f}}
				others := []*chaintest.Endpoint{f.Another(), f.Another()}
				for i := range size - 1 {
					named = append(named, chain.Named{Name: fmt.Sprint(i), Reader: others[i]})
				}
				if size == 3 {
					others[1].Lag(2) // the two others suffice
				}
				q, err := chain.NewQuorum(n, named...)
				if err != nil {
					t.Fatal(err)
				}
				h.Reader = q
				h.Pause = func(context.Context) error {
					for _, e := range []*chaintest.Endpoint{f.Endpoint, others[0], others[1]} {
						e.Fail(chaintest.All, chain.ErrBlind)
					}
					return nil
				}
				h.Resume = func(context.Context) error {
					for _, e := range []*chaintest.Endpoint{f.Endpoint, others[0], others[1]} {
						e.Fail(chaintest.All, nil)
					}
					return nil
				}
				chaintest.Run(t, h)
			})
		}
	}
}
