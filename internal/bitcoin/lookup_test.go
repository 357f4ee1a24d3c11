package bitcoin_test

import (
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/money"
)

// TestLookup: a payer's transaction is found outside blocks and in one, without an index of transactions; what the node does
// not know is not an error.
func TestLookup(t *testing.T) {
	c := openDev(t)
	r := open(t, c.URL())
	to := addresses(t, 1)[0]
	txid, err := c.Pay(t.Context(), to, 12_345)
	if err != nil {
		t.Fatal(err)
	}
	for _, mined := range []bool{false, true} {
		if mined {
			if _, _, err := c.Mine(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		l, err := r.Lookup(t.Context(), txid)
		if err != nil || !l.Known || l.Mined != mined {
			t.Fatalf("mined %t: %+v %v", mined, l, err)
		}
		paid := money.Zero(money.BTC)
		for _, p := range l.Pays {
			if p.To == to {
				paid = paid.Add(p.Amount)
			}
		}
		if paid.Units() != "12345" || len(l.Pays) < 2 {
			t.Errorf("mined %t: pays %+v", mined, l.Pays)
		}
	}
	if l, err := r.Lookup(t.Context(), strings.Repeat("ab", 32)); err != nil || l.Known {
		t.Errorf("unknown: %+v %v", l, err)
	}
	if err := c.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l, err := r.Lookup(t.Context(), txid); err == nil {
		t.Errorf("a node that does not answer: %+v", l)
	}
}
