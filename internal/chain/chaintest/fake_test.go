package chaintest_test

import (
	"context"
	"errors"
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
	if err != nil || len(weighed) != 1 || weighed[0].Ref != "b@"+tip.Hash {
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
