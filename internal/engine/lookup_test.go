package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A node knows some transactions by their ids; nil is no node at all.
type node map[string]chain.Looked

func (n node) Lookup(_ context.Context, txid string) (chain.Looked, error) {
	if n == nil {
		return chain.Looked{}, chain.ErrBlind
	}
	return n[txid], nil
}

// TestLookUp: what a payer is told of a transaction, for everything that it can turn out to be.
func TestLookUp(t *testing.T) {
	r := newRig(t)
	mine, other := r.create("25"), r.create("25")
	btc, eth := r.choose(mine, money.BTC), ""
	r.must(r.desk.Choose(t.Context(), mine, engine.Choice{Coin: money.ETH}))
	eth = r.address(mine, money.ETH)
	theirs := r.choose(other, money.BTC)
	ref := r.chain(money.BTC).Pay(btc, amount(money.BTC, "0.0001"))
	r.follow()
	seen, _, _ := strings.Cut(ref, ":")

	id := func(digit string) string { return strings.Repeat(digit, 64) }
	paid := func(to, coin, text string) chain.Paid {
		return chain.Paid{To: to, Amount: amount(money.Currency(coin), text)}
	}
	bitcoin := node{
		id("1"): {Known: true, Pays: []chain.Paid{paid(theirs, "BTC", "1"), paid(btc, "BTC", "0.2"), paid(btc, "BTC", "0.1")}},
		id("2"): {Known: true, Mined: true, Pays: []chain.Paid{paid("bcrt1qstranger", "BTC", "1"), paid(theirs, "BTC", "1")}},
		id("3"): {Known: true, Mined: true, Pays: []chain.Paid{paid("bcrt1qstranger", "BTC", "1")}},
	}
	ether := node{
		"0x" + id("4"): {Known: true, Mined: true, Called: true, Tokens: []string{eth}},
		"0x" + id("5"): {Known: true, Called: true, Pays: []chain.Paid{paid("0xcontract", "ETH", "1")}},
		"0x" + id("6"): {Known: true, Mined: true, Failed: true, Pays: []chain.Paid{paid(eth, "ETH", "1")}},
		"0x" + id("7"): {Known: true, Pays: []chain.Paid{paid(eth, "ETH", "1")}},
		"0x" + id("9"): {Known: true, Mined: true, Called: true, Tokens: []string{"0xstranger"}},
	}
	look := func(lookers map[money.Network]engine.Looker, text string) (engine.Traced, error) {
		r.desk.Lookers = lookers
		return r.desk.LookUp(t.Context(), mine, text)
	}
	both := map[money.Network]engine.Looker{btcNet: bitcoin, ethNet: ether}
	for _, c := range []struct {
		text   string
		trace  engine.Trace
		amount string
	}{
		{id("1"), engine.TraceComing, "0.3 BTC"},
		{"https://explorer.example/tx/" + id("2"), engine.TraceOther, ""},
		{id("3"), engine.TraceElsewhere, ""},
		{id("4"), engine.TraceToken, ""}, // pasted without its 0x
		{"0X" + id("5"), engine.TraceContract, ""},
		{"0x" + id("6"), engine.TraceFailed, ""},
		{id("7"), engine.TraceComing, "1 ETH"},
		{"0x" + id("9"), engine.TraceContract, ""},
		{id("8"), engine.TraceUnknown, ""},
		{"0x" + id("1"), engine.TraceUnknown, ""}, // a Bitcoin transaction is none of Ethereum's
	} {
		got, err := look(both, c.text)
		if err != nil || got.Trace != c.trace || c.amount != "" && got.Amount.String() != c.amount || c.amount == "" && got.Amount.Sign() != 0 {
			t.Errorf("%s: %v %+v %s, want %s %s", c.text, err, got, got.Amount, c.trace, c.amount)
		}
	}
	for _, text := range []string{"", "hello", id("1")[1:], id("1") + "1", id("1") + "," + id("2"), strings.Repeat(" x", 200) + id("1")} {
		var e *payment.Error
		if _, err := look(both, text); !errors.As(err, &e) || e.Field != "txid" {
			t.Errorf("%q is taken for a transaction id: %v", text, err)
		}
	}
	blind := map[money.Network]engine.Looker{btcNet: node(nil), ethNet: ether}
	if got, err := look(blind, id("1")); err != nil || got.Trace != engine.TraceBlind {
		t.Errorf("without a node: %+v %v", got, err)
	}
	if got, err := look(blind, id("7")); err != nil || got.Trace != engine.TraceComing {
		t.Errorf("with one node: %+v %v", got, err)
	}
	if got, err := look(nil, seen); err != nil || got.Trace != engine.TraceOurs || got.Amount.String() != "0.0001 BTC" {
		t.Errorf("a deposit: %+v %v", got, err)
	}
	r.chain(money.BTC).DoubleSpend(ref)
	r.mine(money.BTC, 1)
	r.clock.add(time.Hour)
	r.mine(money.BTC, 1)
	r.follow()
	if got, err := look(nil, seen); err != nil || got.Trace != engine.TraceLost {
		t.Errorf("a dropped deposit: %+v %v", got, err)
	}
}
