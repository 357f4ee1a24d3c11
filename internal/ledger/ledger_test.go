package ledger

import (
	"testing"

	"github.com/pipe-pg/pipe/internal/money"
)

func TestEntries(t *testing.T) {
	d := Deposit{Network: "bitcoin/regtest", Ref: "aa:0", Turn: 2, Account: Invoice("I"), Amount: money.Of(money.BTC, 5)}
	in, out := ConfirmDeposit(d), ReverseDeposit(d)
	for _, e := range []Entry{in, out} {
		if err := e.Check(); err != nil {
			t.Error(err)
		}
		if key, ok := e.Deposit(); !ok || key != DepositKey(d.Network, d.Ref) {
			t.Errorf("entry %s books %q, %v", e.Key, key, ok)
		}
	}
	if in.Key == out.Key {
		t.Error("a reversal has the key of what it reverses")
	}
	again := d
	again.Turn++
	if ConfirmDeposit(again).Key == in.Key {
		t.Error("the next turn has the same key")
	}
	if in.Postings[0].From != out.Postings[0].To || in.Postings[0].To != out.Postings[0].From || !in.Postings[0].Amount.Equal(out.Postings[0].Amount) {
		t.Error("a reversal is not the opposite")
	}
	if _, ok := (Entry{Key: "other/1"}).Deposit(); ok {
		t.Error("another entry books a deposit")
	}
	// An Ethereum ref may hold anything a key is cut at.
	eth := Deposit{Network: "ethereum/1", Ref: "0xab@0xcd", Turn: 1, Account: Invoice("I"), Amount: money.Of(money.ETH, 1)}
	if key, _ := ReverseDeposit(eth).Deposit(); key != DepositKey(eth.Network, eth.Ref) {
		t.Errorf("key %q", key)
	}
}

func TestCheck(t *testing.T) {
	good := func() Entry {
		return Entry{Key: "k", Kind: DepositConfirmed, Postings: []Posting{{World, Invoice("I"), "bitcoin/regtest", money.Of(money.BTC, 1)}}}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(e *Entry){
		"no key":          func(e *Entry) { e.Key = "" },
		"no kind":         func(e *Entry) { e.Kind = "" },
		"no postings":     func(e *Entry) { e.Postings = nil },
		"nothing":         func(e *Entry) { e.Postings[0].Amount = money.Zero(money.BTC) },
		"below zero":      func(e *Entry) { e.Postings[0].Amount = money.Of(money.BTC, -1) },
		"other coin":      func(e *Entry) { e.Postings[0].Amount = money.Of(money.ETH, 1) },
		"no coin":         func(e *Entry) { e.Postings[0].Amount = money.Amount{} },
		"other network":   func(e *Entry) { e.Postings[0].Network = "doge/1" },
		"unknown account": func(e *Entry) { e.Postings[0].To = "pocket/me" },
		"no id":           func(e *Entry) { e.Postings[0].To = Wallet("") },
		"false world":     func(e *Entry) { e.Postings[0].From = "world/1" },
		"to itself":       func(e *Entry) { e.Postings[0].From = e.Postings[0].To },
	} {
		e := good()
		spoil(&e)
		if e.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
