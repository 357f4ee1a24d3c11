package engine

import (
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// What only the journal knows of a version can be told from one that can be built on, and names the tickets that it uses.
func TestLostVersionNamesItsTickets(t *testing.T) {
	one := chain.SignedSpend{Holdings: []chain.Holding{{Ticket: "a:1", Amount: money.Of(money.BTC, 5)}, {Ticket: "b:0", Amount: money.Of(money.BTC, 7)}}}
	unsigned, err := lostFrom(one)
	if err != nil {
		t.Fatal(err)
	}
	v := payment.Version{Unsigned: unsigned}
	u, err := unsignedOf(v)
	if err != nil || !v.Lost() || len(u.Raw) > 0 || len(u.Holdings) != 2 || u.Holdings[1].Ticket != "b:0" || !u.Holdings[1].Amount.Equal(money.Of(money.BTC, 7)) {
		t.Errorf("%s: lost %t, %+v, %v", unsigned, v.Lost(), u, err)
	}
	if older := (payment.Version{Unsigned: []byte(payment.LostVersion)}); !older.Lost() {
		t.Error("a lost version of an older store is not known")
	}
}
