package chaintest

import (
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// RunFaulty plays payments, blocks and reorganisations while answers are false: faults(true) begins it and faults(false)
// ends it. Meanwhile nothing may be found that was not paid, and steps may fail in any way. Afterwards all is found.
func RunFaulty(t *testing.T, h Harness, rounds int, faults func(on bool)) {
	t.Helper()
	to := h.Addresses(t, 3)
	k := follow(t, h, to)
	paid := map[string]money.Amount{} // by txid
	live := map[string]string{}       // txid to address
	failed, done := 0, 0
	faults(true)
	var last string
	for round := range rounds {
		a := to[round%3]
		txid := k.pay(a, units(h, int64(1000+round)))
		paid[txid], live[txid] = units(h, int64(1000+round)), a
		k.mine(1)
		if round%5 == 4 {
			must(t, h.Reorg(t.Context(), 2, []string{last}))
			delete(live, last)
		}
		last = txid
		for range 4 {
			if _, err := k.step(t.Context()); err != nil {
				failed++
			} else {
				done++
			}
			if p, err := h.Reader.Pending(t.Context(), k.watch()); err == nil {
				k.onlyPaid(p.Credits, paid)
			}
		}
		for _, found := range k.credits {
			k.onlyPaid(found, paid)
		}
	}
	faults(false)
	if failed == 0 {
		t.Error("no fault did anything")
	}
	t.Logf("%d steps failed, %d did not", failed, done)
	want := map[string]money.Amount{}
	for txid, a := range live {
		want[a] = want[a].Add(paid[txid])
	}
	k.expect(want)
}

// onlyPaid checks that credits are of transactions that were sent, with their amounts.
func (k *tracker) onlyPaid(found []chain.Credit, paid map[string]money.Amount) {
	k.t.Helper()
	for _, c := range found {
		if amount, ok := paid[c.TxID]; !ok || !amount.Equal(c.Amount) || !k.ours[c.To] {
			k.t.Fatalf("false credit %+v", c)
		}
	}
}
