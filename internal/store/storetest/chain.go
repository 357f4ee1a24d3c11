package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func (s *suite) addressOf(m payment.ID, index uint32, text string) payment.Address {
	return payment.Address{
		Network: ethereum, Address: text, MerchantID: m, Index: index, Epoch: 1, State: payment.AddressFree,
		Balance: money.Zero(money.ETH), Wallet: money.Zero(money.ETH), ReleasedAt: s.now,
	}
}

// release stores free addresses with these texts, in order of index from first.
func (s *suite) release(m payment.ID, first uint32, texts ...string) []payment.Address {
	s.t.Helper()
	var all []payment.Address
	for i, text := range texts {
		all = append(all, s.addressOf(m, first+uint32(i), text))
	}
	s.update(func(tx engine.Tx) error { return tx.AddAddresses(all) })
	return all
}

func (s *suite) give(i payment.Invoice, hot time.Time) payment.Address {
	s.t.Helper()
	var a payment.Address
	s.update(func(tx engine.Tx) (err error) {
		a, err = tx.GiveAddress(engine.GiveAddress{Merchant: i.MerchantID, Network: ethereum, Invoice: i.ID, HotUntil: hot})
		return err
	})
	return a
}

func addresses(t *testing.T, s *suite) {
	i := s.invoice()
	all := s.release(i.MerchantID, 7, "0xB", "0xa", "0xC")
	read := func(text string) func(tx engine.Tx) (payment.Address, error) {
		return func(tx engine.Tx) (payment.Address, error) { return tx.Address(ethereum, text) }
	}
	same(t, "free address", get(s, read("0xB")), all[0])
	absent(s, "address", read("0xb"))
	absent(s, "given address", func(tx engine.Tx) (payment.Address, error) { return tx.InvoiceAddress(i.ID, ethereum) })
	s.refused("an address twice", payment.ErrConflict, func(tx engine.Tx) error {
		twin := all[0]
		twin.Index = 99
		return tx.AddAddresses([]payment.Address{s.addressOf(i.MerchantID, 98, "0xD"), twin})
	})
	absent(s, "an address beside a refused one", read("0xD"))

	s.now = start.Add(time.Second)
	hot := start.Add(time.Hour)
	want := all[0]
	want.State, want.InvoiceID, want.HotUntil, want.GivenAt, want.Rev = payment.AddressGiven, i.ID, hot, s.now, 1
	same(t, "given address", s.give(i, hot), want)
	same(t, "given address", get(s, func(tx engine.Tx) (payment.Address, error) { return tx.InvoiceAddress(i.ID, ethereum) }), want)
	s.refused("a second address of a network", payment.ErrConflict, func(tx engine.Tx) error {
		_, err := tx.GiveAddress(engine.GiveAddress{Merchant: i.MerchantID, Network: ethereum, Invoice: i.ID, HotUntil: hot})
		return err
	})
	stranger := s.invoice()
	s.refused("an address of another merchant", payment.ErrAbsent, func(tx engine.Tx) error {
		_, err := tx.GiveAddress(engine.GiveAddress{Merchant: stranger.MerchantID, Network: ethereum, Invoice: stranger.ID})
		return err
	})

	stale := want
	want.Balance, want.HotUntil = wei("340282366920938463463374607431768211456"), hot.Add(time.Hour)
	s.update(func(tx engine.Tx) error { return tx.SwapAddress(want) })
	want.Rev++
	same(t, "saved address", get(s, read("0xB")), want)
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapAddress(stale) })
}

func pool(t *testing.T, s *suite) {
	a := s.application()
	s.release(a.MerchantID, 0, "0xB", "0xa", "0xC", "0xd", "0xE")
	s.now = start.Add(time.Second)
	s.release(a.MerchantID, 5, "0x2", "0x1")
	for n := range 3 {
		s.give(s.invoiceFor(a), start.Add(time.Duration(n)*time.Hour))
	}
	list := func(read func(tx engine.Tx) ([]payment.Address, error)) string {
		var texts []string
		for _, a := range get(s, read) {
			texts = append(texts, a.Address)
		}
		return strings.Join(texts, " ")
	}
	for _, c := range []struct {
		name, want string
		read       func(tx engine.Tx) ([]payment.Address, error)
	}{
		{"hot", "0xC 0xa", func(tx engine.Tx) ([]payment.Address, error) { return tx.HotAddresses(ethereum, start, 9) }},
		{"the hottest", "0xC", func(tx engine.Tx) ([]payment.Address, error) { return tx.HotAddresses(ethereum, start, 1) }},
		{"hot elsewhere", "", func(tx engine.Tx) ([]payment.Address, error) { return tx.HotAddresses(bitcoin, start, 9) }},
		{"all", "0x1 0x2 0xB 0xC 0xE 0xa 0xd", func(tx engine.Tx) ([]payment.Address, error) { return tx.Addresses(ethereum, "", 9) }},
		{"all, after", "0xC", func(tx engine.Tx) ([]payment.Address, error) { return tx.Addresses(ethereum, "0xB", 1) }},
	} {
		if got := list(c.read); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	released := func(then time.Time, after string, limit int) []engine.Released {
		return get(s, func(tx engine.Tx) ([]engine.Released, error) { return tx.ReleasedSince(ethereum, then, after, limit) })
	}
	all := released(start, "", 9)
	var texts []string
	for _, r := range all {
		texts = append(texts, r.Address)
	}
	if got, want := strings.Join(texts, " "), "0xB 0xC 0xE 0xa 0xd 0x1 0x2"; got != want {
		t.Fatalf("released: got %q, want %q", got, want)
	}
	same(t, "released, after", released(start, "0xC", 4), all[2:6])
	same(t, "released later", released(all[6].At, "0x1", 4), all[6:])
}

// levels measures pools, then ends an epoch.
func levels(t *testing.T, s *suite) {
	a := s.application()
	s.release(a.MerchantID, 0, "0xB", "0xa", "0xC", "0xd", "0xE", "0x2", "0x1")
	var given []payment.Address
	for range 3 {
		given = append(given, s.give(s.invoiceFor(a), start))
	}
	empty := s.merchant()
	levels := func(after payment.ID, limit int) []engine.PoolLevel {
		return get(s, func(tx engine.Tx) ([]engine.PoolLevel, error) { return tx.PoolLevels(ethereum, after, limit) })
	}
	found := map[payment.ID]engine.PoolLevel{}
	for after, n := payment.ID(""), 0; n < 9; n++ {
		page := levels(after, 1)
		if len(page) == 0 {
			break
		}
		after = page[0].Merchant.ID
		found[after] = page[0]
	}
	owner := get(s, func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(a.MerchantID) })
	same(t, "levels", found, map[payment.ID]engine.PoolLevel{
		owner.ID: {Merchant: owner, Free: 4, Next: 7, Given: 3}, empty.ID: {Merchant: empty},
	})
	if level := levels("", 9); len(level) != 2 {
		t.Errorf("%d levels of 2 merchants", len(level))
	}

	s.update(func(tx engine.Tx) error {
		young := s.addressOf(a.MerchantID, 7, "0xyoung")
		young.Epoch = 2
		return tx.AddAddresses([]payment.Address{young})
	})
	s.update(func(tx engine.Tx) error { return tx.KillAddresses(2) })
	same(t, "a given address after the kill", get(s, func(tx engine.Tx) (payment.Address, error) {
		return tx.Address(ethereum, given[0].Address)
	}), given[0])
	if got := s.give(s.invoiceFor(a), start); got.Address != "0xyoung" {
		t.Errorf("after the kill %s was given", got.Address)
	}
	s.refused("a dead address", payment.ErrAbsent, func(tx engine.Tx) error {
		_, err := tx.GiveAddress(engine.GiveAddress{Merchant: a.MerchantID, Network: ethereum, Invoice: makeID(1)})
		return err
	})
}

func deposits(t *testing.T, s *suite) {
	i := s.invoice()
	d := s.depositOf(i, makeID(10), "0xtx@1")
	read := func(tx engine.Tx) (payment.Deposit, error) { return tx.Deposit(ethereum, d.Ref) }
	absent(s, "deposit", read)
	s.update(func(tx engine.Tx) error { return tx.AddDeposit(d) })
	same(t, "deposit", get(s, read), d)
	twin := d
	twin.ID = makeID(11)
	s.refused("a ref twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddDeposit(twin) })
	twin.Network, twin.Amount = bitcoin, money.Of(money.BTC, 1)
	s.update(func(tx engine.Tx) error { return tx.AddDeposit(twin) })

	stale := d
	d.State, d.Height, d.BlockHash, d.BlockTime, d.Turn = payment.Mined, 5, hash("a"), start.Add(-time.Minute), 3
	d.Worth, d.From, d.TxID, d.SeenAt, d.PendingAt, d.Spendable = money.Of(money.KRW, 9_000), "0xf", "0xt", start.Add(-time.Second), time.Time{}, 7
	s.update(func(tx engine.Tx) error { return tx.SwapDeposit(d) })
	d.Rev++
	same(t, "saved deposit", get(s, read), d)
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapDeposit(stale) })

	add := func(id int, state payment.DepositState, block string) {
		x := s.depositOf(i, makeID(id), fmt.Sprint(id))
		x.State, x.BlockHash, x.Turn, x.Address = state, block, 1, "0xother"
		s.update(func(tx engine.Tx) error { return tx.AddDeposit(x) })
	}
	add(0x30, payment.Seen, "")
	add(0x21, payment.Mined, hash("a"))
	add(0x22, payment.Confirmed, hash("a"))
	add(0x23, payment.Dropped, "")
	add(0x05, payment.Reversed, "")
	list := func(read func(tx engine.Tx) ([]payment.Deposit, error)) string {
		var all []string
		for _, d := range get(s, read) {
			all = append(all, strings.TrimLeft(string(d.ID), "0"))
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		name, want string
		read       func(tx engine.Tx) ([]payment.Deposit, error)
	}{
		{"open", "5 A 21 30", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.OpenDeposits(ethereum, "", 9) }},
		{"open, after", "21", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.OpenDeposits(ethereum, makeID(10), 1) }},
		{"of a block", "A 21 22", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.BlockDeposits(ethereum, hash("a")) }},
		{"of a block elsewhere", "", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.BlockDeposits(bitcoin, hash("a")) }},
		{"of no block", "", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.BlockDeposits(ethereum, "") }},
		{"of an address", "A", func(tx engine.Tx) ([]payment.Deposit, error) { return tx.AddressDeposits(ethereum, "0xabc") }},
	} {
		if got := list(c.read); got != c.want {
			t.Errorf("deposits %s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// late follows the list of deposits to value through everything that moves one in or out of it.
func late(t *testing.T, s *suite) {
	a := s.application() // accepts late payments
	i := s.invoiceFor(a)
	strict := a
	strict.Settings.AcceptLate = false
	j := s.invoiceFor(strict)
	deadline := time.UnixMilli(i.Told.Deadline)
	add := func(i payment.Invoice, ref string, arrived time.Time) payment.Deposit {
		d := s.depositOf(i, makeID(int(ref[0])), ref)
		d.SeenAt = arrived
		s.update(func(tx engine.Tx) error { return tx.AddDeposit(d) })
		return d
	}
	check := func(what, want string) {
		t.Helper()
		got := ""
		for _, d := range get(s, func(tx engine.Tx) ([]payment.Deposit, error) { return tx.UnvaluedDeposits(9) }) {
			got += d.Ref
		}
		if got != want {
			t.Errorf("%s: to value %q, want %q", what, got, want)
		}
	}
	add(i, "a", deadline) // just in time
	b := add(i, "b", deadline.Add(time.Millisecond))
	c := add(i, "c", deadline.Add(time.Hour))
	add(j, "d", deadline.Add(time.Hour)) // not accepted
	check("added", "bc")
	if n := len(get(s, func(tx engine.Tx) ([]payment.Deposit, error) { return tx.UnvaluedDeposits(1) })); n != 1 {
		t.Errorf("a list of one has %d", n)
	}
	b.BlockTime, b.State, b.BlockHash = deadline.Add(-time.Minute), payment.Mined, hash("b") // its block says it came in time
	s.update(func(tx engine.Tx) error { return tx.SwapDeposit(b) })
	check("in time by its block", "c")
	i.Told.Deadline = deadline.Add(2 * time.Hour).UnixMilli()
	s.update(func(tx engine.Tx) error { return tx.SwapInvoice(i) })
	i.Rev++
	check("more time", "")
	i.Told.Deadline = deadline.UnixMilli()
	s.update(func(tx engine.Tx) error { return tx.SwapInvoice(i) })
	check("less time", "c")
	c.State = payment.Dropped
	s.update(func(tx engine.Tx) error { return tx.SwapDeposit(c) })
	check("dropped", "")
	c.Rev, c.State = c.Rev+1, payment.Seen
	s.update(func(tx engine.Tx) error { return tx.SwapDeposit(c) })
	check("seen again", "c")
	c.Rev, c.Worth = c.Rev+1, money.Of(money.KRW, 1)
	s.update(func(tx engine.Tx) error { return tx.SwapDeposit(c) })
	check("valued", "")
}

func blocks(t *testing.T, s *suite) {
	absent(s, "cursor", func(tx engine.Tx) (chain.Block, error) { return tx.Cursor(bitcoin) })
	at := func(height uint64, digit, parent string) chain.Block {
		return chain.Block{Height: height, Hash: hash(digit), Parent: hash(parent), Time: start.Add(time.Duration(height) * time.Minute)}
	}
	push := func(b chain.Block) func(tx engine.Tx) error {
		return func(tx engine.Tx) error { return tx.PushBlock(bitcoin, b) }
	}
	list := func(limit int) []chain.Block {
		return get(s, func(tx engine.Tx) ([]chain.Block, error) { return tx.RecentBlocks(bitcoin, limit) })
	}
	if n := len(list(9)); n != 0 {
		t.Errorf("%d blocks before the first", n)
	}
	all := []chain.Block{at(5, "5", "4"), at(6, "6", "5"), at(7, "7", "6"), at(8, "8", "7")}
	for _, b := range all {
		s.update(push(b))
		same(t, "cursor", get(s, func(tx engine.Tx) (chain.Block, error) { return tx.Cursor(bitcoin) }), b)
	}
	same(t, "recent", list(9), all)
	same(t, "two recent", list(2), all[2:])
	s.refused("a height twice", payment.ErrConflict, push(at(8, "9", "7")))
	s.refused("a gap", payment.ErrConflict, push(at(10, "a", "9")))
	s.refused("another parent", payment.ErrConflict, push(at(9, "9", "7")))
	s.refused("a pop below the top", payment.ErrConflict, func(tx engine.Tx) error { return tx.PopBlock(bitcoin, all[2]) })
	s.refused("a pop of another block", payment.ErrConflict, func(tx engine.Tx) error { return tx.PopBlock(bitcoin, at(8, "9", "7")) })
	s.refused("a pop of nothing", payment.ErrAbsent, func(tx engine.Tx) error { return tx.PopBlock(ethereum, all[3]) })
	s.update(func(tx engine.Tx) error { return tx.PopBlock(bitcoin, all[3]) })
	same(t, "recent after a pop", list(9), all[:3])
	s.update(push(at(8, "9", "7")))
	s.update(func(tx engine.Tx) error { return tx.PruneBlocks(bitcoin, 7) })
	same(t, "recent after pruning", list(9), []chain.Block{all[2], at(8, "9", "7")})
	s.update(func(tx engine.Tx) error { return tx.PruneBlocks(bitcoin, 99) })
	same(t, "recent after pruning all", list(9), []chain.Block{at(8, "9", "7")})
}

func networks(t *testing.T, s *suite) {
	read := func(tx engine.Tx) (engine.NetworkState, error) { return tx.NetworkState(bitcoin) }
	absent(s, "network state", read)
	n := engine.NetworkState{Network: bitcoin, Sight: start, Height: 5, Final: 2, Genesis: "regtest:" + hash("0")}
	s.update(func(tx engine.Tx) error { return tx.SaveNetworkState(n) })
	s.refused("a second first save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SaveNetworkState(n) })
	n.Rev = 1
	same(t, "network state", get(s, read), n)
	n.Trouble, n.TroubleSince, n.Height, n.BreakerUntil = "node is blind", start, 6, start.Add(time.Hour)
	s.update(func(tx engine.Tx) error { return tx.SaveNetworkState(n) })
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SaveNetworkState(n) })
	n.Rev++
	same(t, "network state", get(s, read), n)
	absent(s, "the other network's state", func(tx engine.Tx) (engine.NetworkState, error) { return tx.NetworkState(ethereum) })
}

func book(t *testing.T, s *suite) {
	huge := wei("115792089237316195423570985008687907853269984665640564039457584007913129639935")
	entry := func(key string, postings ...ledger.Posting) ledger.Entry {
		return ledger.Entry{Key: key, Kind: ledger.DepositConfirmed, Postings: postings}
	}
	in := func(to string, network money.Network, a money.Amount) ledger.Posting {
		return ledger.Posting{From: ledger.World, To: ledger.Account(to), Network: network, Amount: a}
	}
	entries := []ledger.Entry{
		entry("one", in("invoice/1", ethereum, huge)),
		entry("two", in("invoice/1", bitcoin, money.Of(money.BTC, 5)), in("invoice/2", bitcoin, money.Of(money.BTC, 7))),
		entry("three", ledger.Posting{From: "invoice/1", To: "wallet/m", Network: ethereum, Amount: huge.Sub(money.Of(money.ETH, 1))},
			ledger.Posting{From: "wallet/m", To: ledger.World, Network: ethereum, Amount: money.Of(money.ETH, 2)}),
	}
	for _, e := range entries {
		s.update(func(tx engine.Tx) error { return tx.Post(e) })
	}
	s.refused("a key twice", payment.ErrConflict, func(tx engine.Tx) error {
		return tx.Post(entry("two", in("invoice/9", bitcoin, money.Of(money.BTC, 1))))
	})
	if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.Post(entry("empty")) }); err == nil {
		t.Error("an entry without postings was booked")
	}
	want := []engine.Balance{
		{Account: "invoice/1", Network: bitcoin, Amount: money.Of(money.BTC, 5)},
		{Account: "invoice/1", Network: ethereum, Amount: money.Of(money.ETH, 1)},
		{Account: "invoice/2", Network: bitcoin, Amount: money.Of(money.BTC, 7)},
		{Account: "wallet/m", Network: ethereum, Amount: huge.Sub(money.Of(money.ETH, 3))},
	}
	var got []engine.Balance
	for last := (engine.Balance{}); len(got) < 9; {
		page := get(s, func(tx engine.Tx) ([]engine.Balance, error) { return tx.Balances(last.Account, last.Network, 1) })
		if len(page) == 0 {
			break
		}
		last = page[0]
		got = append(got, page...)
	}
	same(t, "balances", got, want)

	var read []ledger.Entry
	for after := int64(0); len(read) < 9; {
		page := get(s, func(tx engine.Tx) ([]engine.NumberedEntry, error) { return tx.Entries(after, 2) })
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if e.N <= after || !e.At.Equal(start) {
				t.Errorf("entry %s has number %d after %d and time %s", e.Key, e.N, after, e.At)
			}
			after = e.N
			read = append(read, e.Entry)
		}
	}
	same(t, "entries", read, entries)
}

func overdraft(t *testing.T, s *suite) {
	pay := func(a money.Amount) ledger.Entry {
		return ledger.Entry{Key: "pay " + a.Text(), Kind: ledger.DepositReversed, Postings: []ledger.Posting{
			{From: "invoice/poor", To: "wallet/m", Network: bitcoin, Amount: a},
		}}
	}
	s.update(func(tx engine.Tx) error {
		return tx.Post(ledger.Entry{Key: "in", Kind: ledger.DepositConfirmed, Postings: []ledger.Posting{
			{From: ledger.World, To: "invoice/poor", Network: bitcoin, Amount: money.Of(money.BTC, 9)},
		}})
	})
	for _, units := range []int64{10, 100} { // as numbers and as texts
		err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.Post(pay(money.Of(money.BTC, units))) })
		if err == nil || !strings.Contains(err.Error(), "invoice/poor") {
			t.Errorf("an overdraft of %d: got %v, want an error that names the account", units, err)
		}
	}
	// An error of Post may not be passed over.
	if err := s.store.Update(context.Background(), func(tx engine.Tx) error {
		if err := tx.Post(pay(money.Of(money.BTC, 11))); err == nil {
			t.Error("an overdraft was booked")
		}
		return nil
	}); err == nil {
		t.Error("a refused entry was committed")
	}
	same(t, "balances", get(s, func(tx engine.Tx) ([]engine.Balance, error) { return tx.Balances("", "", 9) }),
		[]engine.Balance{{Account: "invoice/poor", Network: bitcoin, Amount: money.Of(money.BTC, 9)}})
	if n := len(get(s, func(tx engine.Tx) ([]engine.NumberedEntry, error) { return tx.Entries(0, 9) })); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
	s.update(func(tx engine.Tx) error { return tx.Post(pay(money.Of(money.BTC, 9))) })
}
