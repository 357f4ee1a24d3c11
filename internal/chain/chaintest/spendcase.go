package chaintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

func spendFees(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	f, err := h.Builder.Fees(t.Context())
	must(t, err)
	if f.Rate.Sign() <= 0 || f.Plain.Sign() <= 0 || f.Least.Sign() <= 0 || f.Plain.Less(f.Rate.PerMillion(1)) || h.Change && (f.Holding.Sign() <= 0 || f.Output.Sign() <= 0 || f.Plain.Less(f.Holding)) {
		t.Errorf("fees %+v", f)
	}
	u, _ := p.build(p.draft(p.holdings()[:1], units(h.Harness, fundMicros)))
	if f.Plain.Less(u.Fee) {
		t.Errorf("a plain payout was said to cost %s, and costs %s", f.Plain, u.Fee)
	}
}

func spendPaid(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	u, s := p.build(p.draft(p.holdings(), units(h.Harness, fundMicros)))
	p.expectUnused(u)
	p.send(s)
	p.pending("after a payout", func(c []chain.Credit) bool {
		return len(c) == 1 && c[0].TxID == s.TxID && c[0].Amount.Equal(u.Pays[0].Net)
	})
	p.mine(1)
	p.expectUsed(u, s)
	p.mine(3)
	p.expectUsed(u, s)
}

func spendChange(t *testing.T, h SpendHarness) {
	p := fund(t, h, 2)
	holdings := p.holdings()
	u, s := p.build(p.draft(holdings, units(h.Harness, fundMicros/2)))
	if u.Change.Sign() <= 0 {
		t.Fatalf("no change in %+v", u)
	}
	p.send(s)
	p.pending("after a payout with change", func(c []chain.Credit) bool { return len(c) == 2 })
	p.mine(1)
	p.expectUsed(u, s)
	found, _ := p.in(s.TxID)
	if !slices.ContainsFunc(found, func(c chain.Credit) bool { return c.To == p.account.Address && c.Amount.Equal(u.Change) }) {
		t.Fatalf("change of %s is not in %+v", u.Change, found)
	}
	next := p.holdings()
	if len(next) != 1 || !next[0].Amount.Equal(u.Change) {
		t.Fatalf("holdings after change %+v", next)
	}
	last := p.draft(next, u.Change)
	last.Pays[0].To = p.to[1]
	u2, s2 := p.build(last)
	p.send(s2)
	p.mine(1)
	p.expectUsed(u2, s2)
	if !u2.Change.IsZero() {
		t.Errorf("change %s of a spend of everything", u2.Change)
	}
}

// spendChained: what was spent on from a payout's change goes with it, and comes back after it.
func spendChained(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	u1, s1 := p.build(p.draft(p.holdings(), units(h.Harness, fundMicros/2)))
	p.send(s1)
	p.mine(1)
	p.expectUsed(u1, s1)
	d := p.draft(p.holdings(), u1.Change)
	d.Pays[0].To = p.to[1]
	u2, s2 := p.build(d)
	p.send(s2)
	p.mine(1)
	p.expectUsed(u2, s2)
	must(t, h.Reorg(t.Context(), 2, []string{s1.TxID}))
	p.expectUnused(u1)
	p.expectUnused(u2)
	if err := h.Builder.Broadcast(t.Context(), s2.Raw); !errors.Is(err, chain.ErrRejected) {
		t.Errorf("sent before what it spends: %v", err)
	}
	p.send(s1)
	p.mine(1)
	p.send(s2)
	p.mine(1)
	p.expectUsed(u1, s1)
	p.expectUsed(u2, s2)
}

func spendMany(t *testing.T, h SpendHarness) {
	p := fund(t, h, 5)
	u, s := p.build(p.draft(p.holdings(), units(h.Harness, fundMicros), units(h.Harness, 2*fundMicros), units(h.Harness, fundMicros/3)))
	p.send(s)
	p.mine(1)
	p.expectUsed(u, s)
}

func spendBatch(t *testing.T, h SpendHarness) {
	p := fund(t, h, 6)
	one := units(h.Harness, fundMicros)
	d := p.draft(p.holdings(), one, one, one)
	for i, to := range []string{p.to[1], p.to[0], p.to[1]} {
		d.Pays = append(d.Pays, d.Pays[i])
		d.Pays[3+i].Payout, d.Pays[3+i].To = fmt.Sprintf("payout-%d", 3+i), to
	}
	u, s := p.build(d)
	p.send(s)
	p.mine(1)
	p.expectUsed(u, s)
}

func spendReorganised(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	u, s := p.build(p.draft(p.holdings(), units(h.Harness, fundMicros)))
	p.send(s)
	p.mine(2)
	p.expectUsed(u, s)
	must(t, h.Reorg(t.Context(), 2, nil)) // mined again
	p.expectUsed(u, s)
	must(t, h.Reorg(t.Context(), 3, []string{s.TxID}))
	p.expectUnused(u)
	p.send(s)
	p.mine(1)
	p.expectUsed(u, s)
}

func spendReplaced(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	d := p.draft(p.holdings(), units(h.Harness, fundMicros))
	u1, s1 := p.build(d)
	p.send(s1)
	all := []chain.Signed{s1}
	last := u1
	for range 4 {
		d.Version, d.Previous = d.Version+1, last.Rate
		u, s := p.build(d)
		if !last.Rate.Less(u.Rate) || !last.Fee.Less(u.Fee) || s.TxID == all[len(all)-1].TxID {
			t.Fatalf("version %d costs %s at %s, the one before %s at %s", d.Version, u.Fee, u.Rate, last.Fee, last.Rate)
		}
		p.send(s)
		last, all = u, append(all, s)
	}
	for _, s := range all[:len(all)-1] {
		if err := h.Builder.Broadcast(t.Context(), s.Raw); !errors.Is(err, chain.ErrRejected) {
			t.Errorf("a version that was replaced, sent again: %v", err)
		}
	}
	newest := all[len(all)-1].TxID
	p.pending("after fee bumps", func(c []chain.Credit) bool { return len(c) == 1 && c[0].TxID == newest })
	p.mine(1)
	p.expectUsed(last, all[len(all)-1])
	for _, s := range all[:len(all)-1] {
		if err := h.Builder.Broadcast(t.Context(), s.Raw); !errors.Is(err, chain.ErrRejected) {
			t.Errorf("a version beside the one that is mined: %v", err)
		}
	}
	p.mine(1)
	p.expectUsed(last, all[len(all)-1])
}

func spendAgain(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	u, s := p.build(p.draft(p.holdings(), units(h.Harness, fundMicros)))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if err := h.Builder.Broadcast(t.Context(), s.Raw); err != nil {
				t.Errorf("sent by eight at once: %v", err)
			}
		})
	}
	wait.Wait()
	p.send(s)
	p.mine(1)
	p.send(s) // it is in a block
	p.mine(1)
	p.send(s)
	p.expectUsed(u, s)
}

func spendEvicted(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	u, s := p.build(p.draft(p.holdings(), units(h.Harness, fundMicros)))
	p.send(s)
	must(t, h.Evict(t.Context(), s.TxID))
	p.pending("after eviction", func(c []chain.Credit) bool { return len(c) == 0 })
	p.mine(1)
	p.expectUnused(u)
	p.send(s)
	p.mine(1)
	p.expectUsed(u, s)
}

func spendUnheard(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	u, s := p.build(p.draft(p.holdings(), units(h.Harness, fundMicros)))
	must(t, h.AcceptThenFail(t.Context()))
	if err := h.Builder.Broadcast(t.Context(), s.Raw); err != nil && !errors.Is(err, chain.ErrUnknown) {
		t.Errorf("a node that answers with an error after it took the bytes: %v", err)
	}
	p.pending("after an answer that was lost", func(c []chain.Credit) bool { return len(c) == 1 })
	p.send(s)
	p.mine(1)
	p.expectUsed(u, s)
}

func spendRefused(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	u, s := p.build(p.draft(p.holdings(), units(h.Harness, fundMicros)))
	must(t, h.Refuse(t.Context(), true))
	if err := h.Builder.Broadcast(t.Context(), s.Raw); !errors.Is(err, chain.ErrRejected) || errors.Is(err, chain.ErrUnknown) {
		t.Errorf("refused: %v", err)
	}
	must(t, h.Refuse(t.Context(), false))
	p.mine(1)
	p.expectUnused(u)
	p.send(s)
	p.mine(1)
	p.expectUsed(u, s)
}

func spendSpike(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	before, err := h.Builder.Fees(t.Context())
	must(t, err)
	d := p.draft(p.holdings(), units(h.Harness, fundMicros))
	d.MaxRate = before.Rate.Add(before.Rate)
	must(t, h.Spike(t.Context(), 50))
	defer func() { must(t, h.Spike(context.WithoutCancel(t.Context()), 1)) }()
	after, err := h.Builder.Fees(t.Context())
	must(t, err)
	if after.Rate.Less(before.Rate.PerMillion(40_000_000)) {
		t.Errorf("rate was %s, is %s", before.Rate, after.Rate)
	}
	if _, err := h.Builder.Build(t.Context(), d); !errors.Is(err, chain.ErrFeeTooHigh) {
		t.Errorf("above the ceiling: %v", err)
	}
	d.MaxRate = money.Amount{}
	u, s := p.build(d)
	p.send(s)
	must(t, h.Spike(t.Context(), 1))
	d.Version, d.Previous = 2, u.Rate
	u, s = p.build(d) // must still replace the dear one
	p.send(s)
	p.mine(1)
	p.expectUsed(u, s)
}

func spendImpossible(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	holdings := p.holdings()
	good := p.draft(holdings, units(h.Harness, fundMicros))
	for _, c := range []struct {
		name string
		want error
		edit func(d *chain.Draft)
	}{
		{"smaller than its fee", chain.ErrTooSmall, func(d *chain.Draft) { d.Pays[0].Amount = money.Of(h.Network.Coin(), 1) }},
		{"above the ceiling", chain.ErrFeeTooHigh, func(d *chain.Draft) { d.MaxRate = money.Of(h.Network.Coin(), 1) }},
		{"more than there is", nil, func(d *chain.Draft) { d.Pays[0].Amount = units(h.Harness, fundMicros+1) }},
		{"other network", nil, func(d *chain.Draft) { d.Network = "bitcoin/mainnet" }},
		{"nothing to spend", nil, func(d *chain.Draft) { d.Holdings = nil }},
		{"nobody to pay", nil, func(d *chain.Draft) { d.Pays = nil }},
		{"no address", nil, func(d *chain.Draft) { d.Pays[0].To = "nowhere" }},
		{"strange anchor", nil, func(d *chain.Draft) { d.Anchor = "elsewhere" }},
	} {
		d := good
		d.Holdings, d.Pays = slices.Clone(good.Holdings), slices.Clone(good.Pays)
		c.edit(&d)
		u, err := h.Builder.Build(t.Context(), d)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || len(u.Raw) != 0 {
			t.Errorf("%s: %+v, %v", c.name, u, err)
		}
	}
	if err := h.Builder.Broadcast(t.Context(), []byte("no transaction at all")); err == nil {
		t.Error("bytes that are no transaction were sent")
	}
}

func spendDown(t *testing.T, h SpendHarness) {
	p := fund(t, h, 1)
	d := p.draft(p.holdings(), units(h.Harness, fundMicros))
	u, s := p.build(d)
	must(t, h.Pause(t.Context()))
	if _, err := h.Builder.Fees(t.Context()); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("fees of a node that is down: %v", err)
	}
	if _, err := h.Builder.Build(t.Context(), d); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("build with a node that is down: %v", err)
	}
	if err := h.Builder.Broadcast(t.Context(), s.Raw); !errors.Is(err, chain.ErrUnknown) || errors.Is(err, chain.ErrRejected) {
		t.Errorf("send to a node that is down: %v", err)
	}
	must(t, h.Resume(t.Context()))
	p.send(s)
	p.mine(1)
	p.expectUsed(u, s)
}
