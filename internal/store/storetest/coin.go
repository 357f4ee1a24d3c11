package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// coinOf is a confirmed deposit on Bitcoin.
func (s *suite) coinOf(i payment.Invoice, id payment.ID, ref string) payment.Deposit {
	d := s.depositOf(i, id, ref)
	d.Network, d.Amount, d.State, d.Turn, d.BlockHash, d.Height = bitcoin, money.Of(money.BTC, 5), payment.Confirmed, 1, hash("c"), 5
	return d
}

func (s *suite) addDeposit(d payment.Deposit) payment.Deposit {
	s.t.Helper()
	s.update(func(tx engine.Tx) error { return tx.AddDeposit(d) })
	return d
}

// deposits that are no invoice's, or come from spends of ours, are deposits like others; invoices do not count them.
func strays(t *testing.T, s *suite) {
	a := s.application() // accepts late payments
	i := s.invoiceFor(a)
	deadline := time.UnixMilli(i.Told.Deadline)
	own := s.addDeposit(s.depositOf(i, makeID(1), "own"))
	change := s.depositOf(i, makeID(2), "change")
	change.SpendID, change.SeenAt = makeID(50), deadline.Add(time.Hour)
	s.addDeposit(change)
	stray := s.depositOf(i, makeID(3), "stray")
	stray.InvoiceID, stray.Account, stray.SeenAt = "", ledger.Stray(string(a.MerchantID)), deadline.Add(time.Hour)
	s.addDeposit(stray)
	for _, d := range []payment.Deposit{own, change, stray} {
		same(t, "deposit", get(s, func(tx engine.Tx) (payment.Deposit, error) { return tx.Deposit(ethereum, d.Ref) }), d)
	}
	same(t, "deposits of the invoice", get(s, func(tx engine.Tx) (payment.Facts, error) { return tx.Facts(i.ID) }).Deposits,
		[]payment.Deposit{own})

	stray.State, stray.BlockHash, stray.Account, stray.SpendID = payment.Mined, hash("d"), ledger.Wallet(string(a.MerchantID)), makeID(51)
	s.update(func(tx engine.Tx) error { return tx.SwapDeposit(stray) })
	stray.Rev++
	same(t, "saved deposit", get(s, func(tx engine.Tx) (payment.Deposit, error) { return tx.Deposit(ethereum, "stray") }), stray)
	late := func(what string) {
		t.Helper()
		if got := get(s, func(tx engine.Tx) ([]payment.Deposit, error) { return tx.UnvaluedDeposits(9) }); len(got) > 0 {
			t.Errorf("%s: %s is to be valued", what, got[0].Ref)
		}
	}
	late("added")
	i.Told.Deadline = s.now.Add(time.Minute).UnixMilli()
	s.update(func(tx engine.Tx) error { return tx.SwapInvoice(i) })
	late("a deadline moved")
	list := func(read func(tx engine.Tx) ([]payment.Deposit, error)) string {
		return names(get(s, read), func(d payment.Deposit) payment.ID { return d.ID })
	}
	for _, c := range []struct {
		name, want string
		read       func(tx engine.Tx) ([]payment.Deposit, error)
	}{
		{"open", "1 2 3", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.OpenDeposits(ethereum, "", 9) }},
		{"of a block", "3", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.BlockDeposits(ethereum, hash("d")) }},
		{"of an address", "1 2 3", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.AddressDeposits(ethereum, "0xabc") }},
	} {
		if got := list(c.read); got != c.want {
			t.Errorf("deposits %s: got %q, want %q", c.name, got, c.want)
		}
	}
	for name, account := range map[string]ledger.Account{"nobody's": "", "the world's": ledger.World} {
		d := s.depositOf(i, makeID(9), "nobody's")
		d.Account = account
		if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.AddDeposit(d) }); err == nil {
			t.Errorf("a deposit that is %s was stored", name)
		}
	}
}

func coins(t *testing.T, s *suite) {
	a := s.application()
	i := s.invoiceFor(a)
	mine, wallet := ledger.Invoice(string(i.ID)), ledger.Wallet(string(a.MerchantID))
	var last engine.Output
	after := func(account ledger.Account, n int64, limit int) string {
		var refs []string
		for _, o := range get(s, func(tx engine.Tx) ([]engine.Output, error) { return tx.Coins(account, bitcoin, n, limit) }) {
			last = o
			refs = append(refs, o.Ref)
		}
		return strings.Join(refs, " ")
	}
	list := func(account ledger.Account, limit int) string { return after(account, 0, limit) }
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	swap := func(d *payment.Deposit) {
		t.Helper()
		s.update(func(tx engine.Tx) error { return tx.SwapDeposit(*d) })
		d.Rev++
	}
	b := s.addDeposit(s.coinOf(i, makeID(9), "b"))
	s.addDeposit(s.coinOf(i, makeID(8), "a"))
	change := s.coinOf(i, makeID(7), "change")
	change.SpendID = makeID(77)
	s.addDeposit(change)
	young := s.coinOf(i, makeID(6), "young")
	young.State = payment.Mined
	s.addDeposit(young)
	elsewhere := s.coinOf(i, makeID(5), "elsewhere")
	elsewhere.Network, elsewhere.Amount = ethereum, wei("5")
	s.addDeposit(elsewhere)
	expect("coins", list(mine, 9), "b a change")
	expect("the oldest coin", list(mine, 1), "b")
	if last.Address != b.Address || !last.Amount.Equal(b.Amount) || last.N <= 0 {
		t.Errorf("the oldest coin is %+v", last)
	}
	expect("the next coin", after(mine, last.N, 1), "a")
	expect("the last coin", after(mine, last.N, 9), "change")
	expect("after the last coin", after(mine, last.N, 9), "")
	expect("coins of nobody", list(wallet, 9), "")
	young.State = payment.Confirmed
	swap(&young)
	expect("one confirmed", list(mine, 9), "b a change young")

	take := func(id int, refs ...string) {
		t.Helper()
		s.addSpend(s.spendOf(a.MerchantID, makeID(id), refs...))
	}
	take(1, "b", "young", "yet unseen")
	expect("two taken", list(mine, 9), "a change")
	b.Account = wallet
	swap(&b)
	expect("taken and moved", list(wallet, 9), "")
	s.addDeposit(s.coinOf(i, makeID(4), "yet unseen"))
	expect("taken before it was seen", list(mine, 9), "a change")
	take(2, "elsewhere") // on Bitcoin
	s.update(func(tx engine.Tx) error { return tx.ReleaseTickets(makeID(1)) })
	expect("given up", list(mine, 9), "a change young yet unseen")
	expect("given up and moved", list(wallet, 9), "b")
	take(3, "a", "young")
	s.update(func(tx engine.Tx) error { return tx.ReleaseTickets(makeID(1)) })
	expect("taken by another", list(mine, 9), "change yet unseen")
	change.State, change.BlockHash = payment.Reversed, ""
	swap(&change)
	expect("one reversed", list(mine, 9), "yet unseen")
	eth := get(s, func(tx engine.Tx) ([]engine.Output, error) { return tx.Coins(mine, ethereum, 0, 9) })
	if len(eth) != 1 || eth[0].Ref != "elsewhere" {
		t.Errorf("coins of the other network: %v", eth)
	}

	refs := func(after int64, limit int) []engine.NumberedRef {
		return get(s, func(tx engine.Tx) ([]engine.NumberedRef, error) { return tx.DepositRefs(bitcoin, after, limit) })
	}
	var all []string
	for after := int64(0); len(all) < 99; {
		page := refs(after, 2)
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			if r.N <= after {
				t.Errorf("ref %s has number %d after %d", r.Ref, r.N, after)
			}
			after = r.N
			all = append(all, r.Ref)
		}
	}
	expect("refs", fmt.Sprint(all), "[b a change young yet unseen]")
}

func wallets(t *testing.T, s *suite) {
	a := s.application()
	s.release(a.MerchantID, 0, "0xC", "0xB", "0xA", "0xD", "0xE")
	i := s.invoiceFor(a)
	invoiced := s.give(i, s.now)
	receiving := func(tx engine.Tx) (payment.Address, error) { return tx.ReceivingAddress(a.MerchantID, ethereum) }
	absent(s, "receiving address", receiving)
	give := func() payment.Address {
		s.now = s.now.Add(time.Second)
		return s.give(payment.Invoice{MerchantID: a.MerchantID}, s.now)
	}
	first := give()
	if first.State != payment.AddressGiven || first.InvoiceID != "" || !first.GivenAt.Equal(s.now) {
		t.Errorf("the wallet was given %+v", first)
	}
	same(t, "receiving address", get(s, receiving), first)
	second := give()
	same(t, "the newest receiving address", get(s, receiving), second)
	absent(s, "receiving address elsewhere", func(tx engine.Tx) (payment.Address, error) { return tx.ReceivingAddress(a.MerchantID, bitcoin) })
	same(t, "an invoice's address", get(s, func(tx engine.Tx) (payment.Address, error) { return tx.InvoiceAddress(i.ID, ethereum) }), invoiced)

	after := ""
	list := func(limit int) string {
		var texts []string
		for _, a := range get(s, func(tx engine.Tx) ([]payment.Address, error) {
			return tx.WalletAddresses(a.MerchantID, ethereum, after, limit)
		}) {
			texts = append(texts, a.Address)
		}
		return strings.Join(texts, " ")
	}
	if got := list(9); got != "" {
		t.Errorf("before any coins: %q", got)
	}
	hold := func(a payment.Address, wallet string) payment.Address {
		a.Wallet, a.Balance, a.Nonce = wei(wallet), wei("340282366920938463463374607431768211456"), a.Nonce+7
		s.update(func(tx engine.Tx) error { return tx.SwapAddress(a) })
		a.Rev++
		same(t, "address", get(s, func(tx engine.Tx) (payment.Address, error) { return tx.Address(ethereum, a.Address) }), a)
		return a
	}
	invoiced = hold(invoiced, "340282366920938463463374607431768211456")
	hold(second, "1")
	hold(first, "0")
	if got := list(9); got != "0xA 0xC" {
		t.Errorf("with coins: %q", got)
	}
	if got := list(1); got != "0xA" {
		t.Errorf("the first with coins: %q", got)
	}
	after = "0xA"
	if got := list(9); got != "0xC" {
		t.Errorf("the others with coins: %q", got)
	}
	after = ""
	hold(invoiced, "0")
	if got := list(9); got != "0xA" {
		t.Errorf("after one was emptied: %q", got)
	}
	known := s.addressOf(a.MerchantID, 9, "0x9")
	known.State, known.GivenAt, known.Wallet, known.Nonce = payment.AddressGiven, s.now, wei("3"), 4
	s.update(func(tx engine.Tx) error { return tx.AddAddresses([]payment.Address{known}) })
	same(t, "a known address", get(s, func(tx engine.Tx) (payment.Address, error) { return tx.Address(ethereum, "0x9") }), known)
	if got := list(9); got != "0x9 0xA" {
		t.Errorf("after one was found: %q", got)
	}

	free := s.addressOf(a.MerchantID, 10, "0x10")
	free.InvoiceID = i.ID
	if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.AddAddresses([]payment.Address{free}) }); err == nil {
		t.Error("a free address of an invoice was stored")
	}
}

func balanceOf(t *testing.T, s *suite) {
	of := func(a ledger.Account, network money.Network) money.Amount {
		return get(s, func(tx engine.Tx) (money.Amount, error) { return tx.BalanceOf(a, network) })
	}
	same(t, "an account that never held any", of("wallet/m", ethereum), money.Zero(money.ETH))
	s.update(func(tx engine.Tx) error {
		return tx.Post(ledger.Entry{Key: "in", Kind: ledger.DepositConfirmed, Postings: []ledger.Posting{
			{From: ledger.World, To: "wallet/m", Network: ethereum, Amount: wei("340282366920938463463374607431768211456")},
		}})
	})
	same(t, "balance", of("wallet/m", ethereum), wei("340282366920938463463374607431768211456"))
	same(t, "balance elsewhere", of("wallet/m", bitcoin), money.Zero(money.BTC))
	s.update(func(tx engine.Tx) error { // asking for what is not there breaks nothing
		if _, err := tx.BalanceOf("wallet/none", bitcoin); err != nil {
			return err
		}
		_, err := tx.AddMerchant(payment.Merchant{ID: makeID(1), Name: "x", CreatedAt: tx.Now()})
		return err
	})
}
