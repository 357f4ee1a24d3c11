package ethereum

import (
	"math/big"
	"strings"
	"testing"
)

// TestLookup: a payer's transaction is found outside blocks and in one; a contract's call and a failure are told apart.
func TestLookup(t *testing.T) {
	r := newRig(t)
	const to = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	txid, err := r.Pay(t.Context(), to, big.NewInt(12345))
	if err != nil {
		t.Fatal(err)
	}
	contract, err := r.PayByContract(t.Context(), to, big.NewInt(1))
	if err != nil {
		t.Fatal(err)
	}
	failed, err := r.Revert(t.Context(), to, big.NewInt(1))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := r.node.Lookup(t.Context(), txid); err != nil || !l.Known || l.Mined || l.Called || len(l.Pays) != 1 ||
		l.Pays[0].To != to || l.Pays[0].Amount.Units() != "12345" {
		t.Errorf("outside blocks: %+v %v", l, err)
	}
	if _, _, err := r.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if l, err := r.node.Lookup(t.Context(), txid); err != nil || !l.Mined || l.Failed {
		t.Errorf("mined: %+v %v", l, err)
	}
	if l, err := r.node.Lookup(t.Context(), contract); err != nil || !l.Mined || !l.Called || l.Failed {
		t.Errorf("contract: %+v %v", l, err)
	}
	if l, err := r.node.Lookup(t.Context(), failed); err != nil || !l.Failed {
		t.Errorf("failed: %+v %v", l, err)
	}
	if l, err := r.node.Lookup(t.Context(), "0x"+strings.Repeat("ab", 32)); err != nil || l.Known {
		t.Errorf("unknown: %+v %v", l, err)
	}
}
