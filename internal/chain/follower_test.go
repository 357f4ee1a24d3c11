package chain_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/money"
	"pgregory.net/rapid"
)

// book is the least that stands on a follower: stored blocks and the credits of each.
type book struct {
	stored  []chain.Block
	credits map[string][]chain.Credit // by block hash
}

func (b *book) place(head chain.Head) chain.Place {
	return chain.Place{Head: head, Stored: b.stored[max(0, len(b.stored)-chain.RecentBlocks):],
		Watch: chain.Watch{Has: func(string) bool { return true }}}
}

func (b *book) step(ctx context.Context, r chain.Reader) (chain.Step, error) {
	head, err := r.Head(ctx)
	if err != nil {
		return chain.Step{}, err
	}
	s, err := chain.Next(ctx, r, b.place(head))
	if err != nil {
		return s, err
	}
	switch {
	case s.Start != nil:
		b.stored, b.credits = s.Start, map[string][]chain.Credit{}
	case s.Connect != nil:
		b.stored = append(b.stored, *s.Connect)
		b.credits[s.Connect.Hash] = s.Found.Credits
	case s.Disconnect != nil:
		if top := b.stored[len(b.stored)-1]; top != *s.Disconnect {
			return s, fmt.Errorf("disconnected %v, not the cursor %v", *s.Disconnect, top)
		}
		delete(b.credits, s.Disconnect.Hash)
		b.stored = b.stored[:len(b.stored)-1]
	}
	return s, nil
}

// sync steps to the tip and gives how many blocks were disconnected.
func (b *book) sync(ctx context.Context, r chain.Reader) (undone int, err error) {
	for range 2000 {
		s, err := b.step(ctx, r)
		switch {
		case errors.Is(err, chain.ErrGone):
			continue
		case err != nil:
			return undone, err
		case s.AtTip:
			return undone, nil
		case s.Disconnect != nil:
			undone++
		}
	}
	return undone, errors.New("never at the tip")
}

func (b *book) refs() []string {
	var refs []string
	for _, all := range b.credits {
		for _, c := range all {
			refs = append(refs, c.Ref)
		}
	}
	slices.Sort(refs)
	return refs
}

func TestStartsAtTheTip(t *testing.T) {
	ctx := context.Background()
	for _, height := range []int{0, 1, 50, 99, 100, 300} {
		f := chaintest.NewFake("bitcoin/regtest")
		f.Pay("a", money.Of(money.BTC, 1))
		f.Mine(height)
		var b book
		s, err := b.step(ctx, f)
		if err != nil || s.Start == nil {
			t.Fatalf("first step at %d: %+v, %v", height, s, err)
		}
		if len(s.Start) != min(height+1, int(chain.StartBlocks)) || s.Start[len(s.Start)-1] != f.Tip() {
			t.Errorf("at %d: %d blocks to %d", height, len(s.Start), s.Start[len(s.Start)-1].Height)
		}
		for i := 1; i < len(s.Start); i++ {
			if s.Start[i].Parent != s.Start[i-1].Hash {
				t.Fatalf("block %d is not the parent of %d", i-1, i)
			}
		}
		if s, err = b.step(ctx, f); err != nil || !s.AtTip {
			t.Errorf("second step at %d: %+v, %v", height, s, err)
		}
	}
}

func TestFollowsReorganisations(t *testing.T) {
	ctx := context.Background()
	for depth := 1; depth <= 30; depth++ {
		f := chaintest.NewFake("bitcoin/regtest")
		f.Mine(40)
		var b book
		if _, err := b.sync(ctx, f); err != nil {
			t.Fatal(err)
		}
		kept := f.Pay("a", money.Of(money.BTC, 1))
		lost := f.Pay("b", money.Of(money.BTC, 2))
		f.Mine(depth)
		if _, err := b.sync(ctx, f); err != nil {
			t.Fatal(err)
		}
		if got := b.refs(); len(got) != 2 {
			t.Fatalf("before: %v", got)
		}
		fork := f.Tip().Height - uint64(depth)
		f.Reorg(depth, lost)
		head, err := f.Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s, err := chain.Next(ctx, f, b.place(head))
		if err != nil || s.Disconnect == nil || s.Fork != fork {
			t.Fatalf("depth %d: %+v, %v; the fork is at %d", depth, s, err, fork)
		}
		undone, err := b.sync(ctx, f)
		if err != nil || undone != depth {
			t.Fatalf("depth %d: %d undone, %v", depth, undone, err)
		}
		if got := b.refs(); !slices.Equal(got, []string{kept}) {
			t.Errorf("depth %d: found %v, want %v", depth, got, kept)
		}
	}
}

func TestReorganisationRightAfterTheStart(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("bitcoin/regtest")
	f.Mine(10)
	var b book
	if _, err := b.sync(ctx, f); err != nil {
		t.Fatal(err)
	}
	f.Reorg(5)
	if undone, err := b.sync(ctx, f); err != nil || undone != 5 {
		t.Errorf("%d undone, %v", undone, err)
	}
}

func TestShorterBranchDisconnectsAndLaggingNodeDoesNot(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("bitcoin/regtest")
	f.Mine(20)
	var b book
	if _, err := b.sync(ctx, f); err != nil {
		t.Fatal(err)
	}
	for lag := 1; lag <= 20; lag++ {
		f.Lag(lag)
		if s, err := b.step(ctx, f); !errors.Is(err, chain.ErrBlind) {
			t.Fatalf("lag %d: %+v, %v", lag, s, err)
		}
	}
	f.Lag(0)
	f.ReorgTo(6, 2)
	if undone, err := b.sync(ctx, f); err != nil || undone != 6 || b.stored[len(b.stored)-1] != f.Tip() {
		t.Errorf("%d undone, %v", undone, err)
	}
}

func TestOtherChainDisconnectsNothing(t *testing.T) {
	ctx := context.Background()
	f := chaintest.NewFake("bitcoin/regtest")
	f.Mine(300)
	other := f.Split()
	var b book
	if _, err := b.sync(ctx, f); err != nil {
		t.Fatal(err)
	}
	for _, count := range []int{20, 200, 299, 400} {
		other.ReorgTo(299, 0)
		other.Mine(count)
		_, err := b.step(ctx, other)
		if !errors.Is(err, chain.ErrDisagree) && !errors.Is(err, chain.ErrBlind) {
			t.Errorf("a chain of %d: %v", count, err)
		}
		other = f.Split()
	}
	if uint64(len(b.stored)) != chain.StartBlocks {
		t.Errorf("%d blocks left", len(b.stored))
	}
}

func TestRacesAreTriedAgain(t *testing.T) {
	ctx := context.Background()
	for _, method := range []string{chaintest.BlockAt, chaintest.Scan} {
		f := chaintest.NewFake("bitcoin/regtest")
		f.Mine(10)
		var b book
		if _, err := b.sync(ctx, f); err != nil {
			t.Fatal(err)
		}
		ref := f.Pay("a", money.Of(money.BTC, 1))
		f.Mine(1)
		f.Before(method, func() { f.Reorg(3) })
		if _, err := b.sync(ctx, f); err != nil {
			t.Fatal(err)
		}
		if got := b.refs(); !slices.Equal(got, []string{ref}) {
			t.Errorf("%s: found %v, want %v", method, got, ref)
		}
	}
	f := chaintest.NewFake("bitcoin/regtest")
	f.Mine(10)
	f.Before(chaintest.BlockAt, func() { f.ReorgTo(9, 0) })
	var b book
	if _, err := b.step(ctx, f); !errors.Is(err, chain.ErrGone) {
		t.Errorf("shrunk at the start: %v", err)
	}
}

// TestFollowerIsAFunctionOfTheBestChain: whatever happened on the way, what is stored equals the best chain.
func TestFollowerIsAFunctionOfTheBestChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		f := chaintest.NewFake("bitcoin/regtest")
		f.Mine(20)
		var b book
		if _, err := b.sync(ctx, f); err != nil {
			t.Fatal(err)
		}
		live := map[string]bool{}
		act := func(op int) {
			switch op {
			case 0, 1:
				live[f.Pay("a", money.Of(money.BTC, 1))] = true
			case 2, 3:
				f.Mine(rapid.IntRange(1, 4).Draw(t, "blocks"))
			case 4:
				var drop []string
				if refs := slices.Sorted(maps.Keys(live)); len(refs) > 0 {
					ref := rapid.SampledFrom(refs).Draw(t, "drop")
					if !slices.Contains(b.refs(), ref) || rapid.Bool().Draw(t, "drop mined") {
						drop = append(drop, ref)
					}
				}
				height := int(f.Tip().Height)
				if height == 0 {
					return
				}
				depth := rapid.IntRange(1, min(10, height)).Draw(t, "depth")
				f.ReorgTo(depth, rapid.IntRange(1, depth+3).Draw(t, "count"), drop...)
			}
		}
		for range rapid.IntRange(1, 25).Draw(t, "events") {
			op := rapid.IntRange(0, 6).Draw(t, "op")
			if method := rapid.SampledFrom([]string{"", chaintest.BlockAt, chaintest.Scan, chaintest.Head}).Draw(t, "at"); method != "" {
				f.Before(method, func() { act(op) })
			} else {
				act(op)
			}
			if op >= 5 {
				if _, err := b.step(ctx, f); err != nil && !errors.Is(err, chain.ErrGone) && !errors.Is(err, chain.ErrBlind) && !errors.Is(err, chain.ErrDisagree) {
					t.Fatal(err)
				}
			}
		}
		f.Mine(12) // outgrow whatever was stored, and settle what waits
		if _, err := b.sync(ctx, f); err != nil {
			t.Fatal(err)
		}
		if _, err := b.sync(ctx, f); err != nil {
			t.Fatal(err)
		}
		for i, got := range b.stored {
			want, err := f.BlockAt(ctx, b.stored[0].Height+uint64(i))
			if err != nil || got != want {
				t.Fatalf("stored %v, chain has %v, %v", got, want, err)
			}
			found, err := f.Scan(ctx, want, chain.Watch{Has: func(string) bool { return true }})
			if err != nil {
				t.Fatal(err)
			}
			if got.Height > 20 && len(found.Credits) != len(b.credits[got.Hash]) {
				t.Fatalf("block %d: stored %v, chain has %v", got.Height, b.credits[got.Hash], found.Credits)
			}
		}
	})
}
