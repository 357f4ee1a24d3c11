package chaintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

func blocksAreLinked(t *testing.T, h Harness) {
	ctx := t.Context()
	must(t, h.Mine(ctx, 3))
	head, err := h.Reader.Head(ctx)
	must(t, err)
	above := head.Tip
	for height := head.Tip.Height; height+10 > head.Tip.Height && height > 0; height-- {
		b, err := h.Reader.BlockAt(ctx, height)
		must(t, err)
		switch {
		case b.Height != height || b.Hash == "" || b.Hash != strings.ToLower(b.Hash) || b.Time.IsZero():
			t.Errorf("block at %d: %+v", height, b)
		case height == head.Tip.Height && b != head.Tip:
			t.Errorf("tip is %+v, and block at its height %+v", head.Tip, b)
		case height < head.Tip.Height && (b.Hash != above.Parent || b.Time.After(above.Time)):
			t.Errorf("%+v does not stand on %+v", above, b)
		}
		above = b
	}
	if head.Final > head.Tip.Height {
		t.Errorf("final %d is above tip %d", head.Final, head.Tip.Height)
	}
	for _, height := range []uint64{head.Tip.Height + 1, head.Tip.Height + 1000, 1 << 31} {
		if b, err := h.Reader.BlockAt(ctx, height); !errors.Is(err, chain.ErrNoBlock) {
			t.Errorf("block at %d above the tip: %+v, %v", height, b, err)
		}
	}
	before := head.Tip
	must(t, h.Mine(ctx, 1))
	head, err = h.Reader.Head(ctx)
	must(t, err)
	if head.Tip.Height != before.Height+1 || head.Tip.Parent != before.Hash {
		t.Errorf("after a block on %+v the tip is %+v", before, head.Tip)
	}
}

func seenThenMined(t *testing.T, h Harness) {
	to := h.Addresses(t, 1)[0]
	k := follow(t, h, []string{to})
	amount := units(h, 1234)
	txid := k.pay(to, amount)
	seen := k.pending("after a payment", func(c []chain.Credit) bool { return len(c) == 1 })[0]
	if seen.TxID != txid || seen.To != to || !seen.Amount.Equal(amount) || seen.Ref == "" {
		t.Errorf("seen %+v, paid %s to %s by %s", seen, amount, to, txid)
	}
	k.expect(nil)
	k.mine(1)
	k.expect(map[string]money.Amount{to: amount})
	mined, height := k.in(txid)
	if len(mined) != 1 || !same(mined[0], seen) || mined[0].Spendable != 0 {
		t.Errorf("seen as %+v, mined as %+v", seen, mined)
	}
	if tip := k.stored[len(k.stored)-1].Height; height != tip {
		t.Errorf("mined at %d, the block is %d", height, tip)
	}
	k.pending("after the block", func(c []chain.Credit) bool { return len(c) == 0 })
	k.mine(2)
	k.expect(map[string]money.Amount{to: amount})
}

func severalOutputs(t *testing.T, h Harness) {
	to := h.Addresses(t, 4)
	k := follow(t, h, to[:3])
	outs := []Out{{to[0], units(h, 1000)}, {to[3], units(h, 1001)}, {to[1], units(h, 1002)}, {to[0], units(h, 1000)}, {to[2], units(h, 1003)}}
	txid, err := h.PayMany(t.Context(), outs)
	must(t, err)
	seen := k.pending("after one transaction to three of ours", func(c []chain.Credit) bool { return len(c) == 4 })
	k.mine(1)
	k.expect(map[string]money.Amount{to[0]: units(h, 2000), to[1]: units(h, 1002), to[2]: units(h, 1003)})
	mined, _ := k.in(txid)
	if len(mined) != 4 {
		t.Fatalf("mined %+v", mined)
	}
	for i, vout := range []int{0, 2, 3, 4} {
		if mined[i].Ref != fmt.Sprintf("%s:%d", txid, vout) || mined[i].To != outs[vout].Address || !mined[i].Amount.Equal(outs[vout].Amount) {
			t.Errorf("output %d: %+v", vout, mined[i])
		}
		if !slices.ContainsFunc(seen, func(c chain.Credit) bool { return c.Ref == mined[i].Ref }) {
			t.Errorf("%s was not seen before", mined[i].Ref)
		}
	}
}

func severalPayments(t *testing.T, h Harness) {
	to := h.Addresses(t, 2)
	k := follow(t, h, to)
	for i := range 5 {
		k.pay(to[i%2], units(h, int64(1000+i)))
	}
	k.pending("after five payments", func(c []chain.Credit) bool { return len(c) == 5 })
	k.mine(1)
	k.expect(map[string]money.Amount{to[0]: units(h, 1000+1002+1004), to[1]: units(h, 1001+1003)})
	k.pay(to[0], units(h, 7000))
	k.mine(1)
	k.expect(map[string]money.Amount{to[0]: units(h, 1000+1002+1004+7000), to[1]: units(h, 1001+1003)})
}

func byContract(t *testing.T, h Harness) {
	to := h.Addresses(t, 2)
	k := follow(t, h, to)
	_, err := h.PayByContract(t.Context(), to[0], units(h, 500))
	must(t, err)
	k.mine(1)
	k.expect(map[string]money.Amount{to[0]: units(h, 500)})
	_, err = h.PayByContract(t.Context(), to[0], units(h, 70))
	must(t, err)
	k.pay(to[0], units(h, 3))
	_, err = h.PayByContract(t.Context(), to[1], units(h, 11))
	must(t, err)
	k.mine(1)
	want := map[string]money.Amount{to[0]: units(h, 573), to[1]: units(h, 11)}
	k.expect(want)
	must(t, h.Reorg(t.Context(), 2, nil))
	k.expect(want)

	tip := k.stored[len(k.stored)-1]
	got, err := h.Reader.Weigh(t.Context(), tip, []chain.Weighed{{Address: to[0], Balance: units(h, 573)}, {Address: to[1], Balance: units(h, 1)}})
	must(t, err)
	if len(got.Falls) != 0 || len(got.Credits) != 1 || got.Credits[0].To != to[1] || !got.Credits[0].Amount.Equal(units(h, 10)) {
		t.Errorf("weighed %+v", got)
	}
	got, err = h.Reader.Weigh(t.Context(), tip, []chain.Weighed{{Address: to[0], Balance: units(h, 574)}})
	must(t, err)
	if len(got.Credits) != 0 || len(got.Falls) != 1 || got.Falls[0].Address != to[0] || !got.Falls[0].Balance.Equal(units(h, 1)) {
		t.Errorf("weighed an account that holds less: %+v", got)
	}
}

func foreignAddresses(t *testing.T, h Harness) {
	all := h.Addresses(t, 2)
	k := follow(t, h, all[:1])
	k.pay(all[1], units(h, 1000))
	p, err := h.Reader.Pending(t.Context(), k.watch())
	must(t, err)
	if len(p.Credits) != 0 {
		t.Errorf("pending %+v", p.Credits)
	}
	k.mine(2)
	k.expect(nil)
}

func manyBlocksMissed(t *testing.T, h Harness) {
	to := h.Addresses(t, 3)
	k := follow(t, h, to)
	want := map[string]money.Amount{}
	for i := range 12 {
		a := to[i%3]
		k.pay(a, units(h, int64(100+i)))
		want[a] = want[a].Add(units(h, int64(100+i)))
		k.mine(1 + i*2)
	}
	before := k.stored[len(k.stored)-1].Height
	k.expect(want)
	if after := k.stored[len(k.stored)-1].Height; after != before+12+2*66 {
		t.Errorf("from %d to %d", before, after)
	}
	for i := 1; i < len(k.stored); i++ {
		if k.stored[i].Parent != k.stored[i-1].Hash || k.stored[i].Height != k.stored[i-1].Height+1 {
			t.Fatalf("%+v does not stand on %+v", k.stored[i], k.stored[i-1])
		}
	}
}

func reorganisations(t *testing.T, h Harness) {
	for _, depth := range append([]int{1, 2, 3, 4, 5, 6}, h.Deeper...) {
		to := h.Addresses(t, 3)
		k := follow(t, h, to)
		kept := k.pay(to[0], units(h, 1000))
		k.mine(1)
		lost := k.pay(to[1], units(h, 2000))
		both := k.pay(to[2], units(h, 3000))
		k.mine(depth)
		k.expect(map[string]money.Amount{to[0]: units(h, 1000), to[1]: units(h, 2000), to[2]: units(h, 3000)})
		was, _ := k.in(both)
		tip := k.stored[len(k.stored)-1]

		must(t, h.Reorg(t.Context(), depth, []string{lost}))
		k.expect(map[string]money.Amount{to[0]: units(h, 1000), to[2]: units(h, 3000)})
		if c, _ := k.in(kept); len(c) != 1 {
			t.Errorf("depth %d: below the fork: %+v", depth, c)
		}
		if c, _ := k.in(both); len(c) != 1 || len(was) != 1 || !same(c[0], was[0]) {
			t.Errorf("depth %d: mined again as %+v, before as %+v", depth, c, was)
		}
		if now := k.stored[len(k.stored)-1]; now.Height <= tip.Height {
			t.Errorf("depth %d: tip went from %d to %d", depth, tip.Height, now.Height)
		}
		k.pending("after a dropped payment", func(c []chain.Credit) bool { return len(c) == 0 })
		k.mine(1)
		k.expect(map[string]money.Amount{to[0]: units(h, 1000), to[2]: units(h, 3000)})
	}
}

func blockThatIsGone(t *testing.T, h Harness) {
	ctx := t.Context()
	to := h.Addresses(t, 1)
	k := follow(t, h, to)
	k.pay(to[0], units(h, 1000))
	k.mine(1)
	k.sync()
	gone := k.stored[len(k.stored)-1]
	must(t, h.Reorg(ctx, 1, nil))
	if found, err := h.Reader.Scan(ctx, gone, k.watch()); !errors.Is(err, chain.ErrGone) || len(found.Credits) != 0 {
		t.Errorf("block of the abandoned branch: %+v, %v", found, err)
	}
	never := gone
	never.Hash = strings.TrimPrefix(gone.Hash, "0x")
	never.Hash = gone.Hash[:len(gone.Hash)-len(never.Hash)] + strings.Repeat("5a", 32)
	if found, err := h.Reader.Scan(ctx, never, k.watch()); !errors.Is(err, chain.ErrGone) || len(found.Credits) != 0 {
		t.Errorf("block that never was: %+v, %v", found, err)
	}
	k.expect(map[string]money.Amount{to[0]: units(h, 1000)})
}

func doubleSpend(t *testing.T, h Harness) {
	to := h.Addresses(t, 3)
	k := follow(t, h, to)
	waiting := k.pay(to[0], units(h, 1000))
	k.pending("after a payment", func(c []chain.Credit) bool { return len(c) == 1 })
	must(t, h.DoubleSpend(t.Context(), waiting))
	k.mine(1)
	k.pending("after its double spend", func(c []chain.Credit) bool { return len(c) == 0 })
	k.expect(nil)

	k.pay(to[1], units(h, 500))
	mined := k.pay(to[2], units(h, 2000))
	k.mine(2)
	k.expect(map[string]money.Amount{to[1]: units(h, 500), to[2]: units(h, 2000)})
	must(t, h.DoubleSpend(t.Context(), mined))
	k.mine(1)
	k.expect(map[string]money.Amount{to[1]: units(h, 500)})
}

func nodeDown(t *testing.T, h Harness) {
	ctx := t.Context()
	to := h.Addresses(t, 1)
	k := follow(t, h, to)
	tip := k.stored[len(k.stored)-1]
	k.pay(to[0], units(h, 1000))
	k.mine(1)
	must(t, h.Pause(ctx))
	began := time.Now()
	if _, err := h.Reader.Head(ctx); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("tip of a node that is down: %v", err)
	}
	if _, err := h.Reader.BlockAt(ctx, tip.Height); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("block of a node that is down: %v", err)
	}
	if found, err := h.Reader.Scan(ctx, tip, k.watch()); !errors.Is(err, chain.ErrBlind) || len(found.Credits) != 0 {
		t.Errorf("scan of a node that is down: %+v, %v", found, err)
	}
	if _, err := h.Reader.Pending(ctx, k.watch()); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("mempool of a node that is down: %v", err)
	}
	if took := time.Since(began); took > 4*chain.RPCTimeout+patience {
		t.Errorf("four calls took %s", took)
	}
	must(t, h.Resume(ctx))
	k.expect(map[string]money.Amount{to[0]: units(h, 1000)})
	k.pay(to[0], units(h, 500))
	k.mine(1)
	k.expect(map[string]money.Amount{to[0]: units(h, 1500)})
}

func usedByMany(t *testing.T, h Harness) {
	to := h.Addresses(t, 1)
	k := follow(t, h, to)
	k.pay(to[0], units(h, 1000))
	k.mine(1)
	head, err := h.Reader.Head(t.Context())
	must(t, err)
	w := k.watch()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			found, err := h.Reader.Scan(t.Context(), head.Tip, w)
			if err != nil || len(found.Credits) != 1 {
				t.Errorf("%+v, %v", found, err)
			}
			if _, err := h.Reader.Pending(t.Context(), w); err != nil {
				t.Error(err)
			}
			if b, err := h.Reader.BlockAt(t.Context(), head.Tip.Height); err != nil || b != head.Tip {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
	wait.Wait()
}

func callerGivesUp(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	head, err := h.Reader.Head(ctx)
	must(t, err)
	cancel()
	for name, call := range map[string]func() error{
		"Head":    func() error { _, err := h.Reader.Head(ctx); return err },
		"BlockAt": func() error { _, err := h.Reader.BlockAt(ctx, head.Tip.Height); return err },
		"Scan": func() error {
			_, err := h.Reader.Scan(ctx, head.Tip, chain.Watch{Has: func(string) bool { return false }})
			return err
		},
		"Pending": func() error {
			_, err := h.Reader.Pending(ctx, chain.Watch{Has: func(string) bool { return false }})
			return err
		},
	} {
		if err := call(); !errors.Is(err, context.Canceled) || errors.Is(err, chain.ErrBlind) {
			t.Errorf("%s after the caller gave up: %v", name, err)
		}
	}
}
