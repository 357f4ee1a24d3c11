package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func spendNames(s *suite, read func(tx engine.Tx) ([]payment.Spend, error)) string {
	s.t.Helper()
	return names(get(s, read), func(p payment.Spend) payment.ID { return p.ID })
}

// spendOf is a spend that is planned, and the tickets that it takes: its anchor is "anchor of <id>" unless texts are given.
func (s *suite) spendOf(merchant, id payment.ID, texts ...string) (payment.Spend, []payment.Ticket) {
	if len(texts) == 0 {
		texts = []string{"anchor of " + string(id)}
	}
	sp := payment.Spend{
		ID: id, MerchantID: merchant, Network: bitcoin, Source: ledger.Wallet(string(merchant)), Anchor: texts[0],
		State: payment.SpendPlanned, Version: 1, Out: money.Zero(money.BTC), Fee: money.Zero(money.BTC),
		CreatedAt: s.now, UpdatedAt: s.now, DueAt: s.now,
	}
	var tickets []payment.Ticket
	for n, text := range texts {
		tickets = append(tickets, payment.Ticket{
			Network: bitcoin, Ticket: text, SpendID: id, Address: fmt.Sprint("bc1", n), Amount: money.Of(money.BTC, int64(n+1)), Index: uint32(n),
		})
	}
	return sp, tickets
}

func (s *suite) addSpend(sp payment.Spend, tickets []payment.Ticket) payment.Spend {
	s.t.Helper()
	s.update(func(tx engine.Tx) error { return tx.AddSpend(sp, tickets) })
	return sp
}

func (s *suite) swapSpend(sp *payment.Spend) {
	s.t.Helper()
	s.update(func(tx engine.Tx) error { return tx.SwapSpend(*sp) })
	sp.Rev++
}

func spends(t *testing.T, s *suite) {
	m := s.merchant().ID
	sp, tickets := s.spendOf(m, makeID(0x20), "b:1", "a:0")
	read := func(tx engine.Tx) (payment.Spend, error) { return tx.Spend(sp.ID) }
	holder := func(tx engine.Tx) (payment.Spend, error) { return tx.TicketSpend(bitcoin, "a:0") }
	absent(s, "spend", read)
	absent(s, "a ticket's spend", holder)
	s.addSpend(sp, tickets)
	same(t, "spend", get(s, read), sp)
	same(t, "a ticket's spend", get(s, holder), sp)
	held := func() []payment.Ticket {
		return get(s, func(tx engine.Tx) ([]payment.Ticket, error) { return tx.Tickets(sp.ID) })
	}
	same(t, "tickets", held(), tickets)
	absent(s, "a ticket's spend elsewhere", func(tx engine.Tx) (payment.Spend, error) { return tx.TicketSpend(ethereum, "a:0") })

	stale := sp
	sp.State, sp.Version, sp.Held, sp.Reason, sp.TxID = payment.SpendMined, 3, payment.HoldFee, "dear \"now\"", "tx"
	sp.Height, sp.BlockHash, sp.Failed, sp.Out, sp.Fee, sp.Turn = 9, hash("a"), true, money.Of(money.BTC, 8), money.Of(money.BTC, 7), 6
	sp.UpdatedAt, sp.DueAt, sp.SentAt, sp.LeaseUntil = s.now.Add(time.Second), s.now.Add(time.Minute), s.now.Add(time.Hour), s.now.Add(2*time.Hour)
	changed := sp
	changed.MerchantID, changed.Network, changed.Source, changed.CreatedAt = makeID(4), "bitcoin/test", "wallet/x", s.now.Add(time.Hour) // fixed
	s.update(func(tx engine.Tx) error { return tx.SwapSpend(changed) })
	sp.Rev++
	same(t, "saved spend", get(s, read), sp)
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapSpend(stale) })

	add := func(id int, state payment.SpendState, block string) {
		x, tickets := s.spendOf(m, makeID(id))
		x.State, x.BlockHash, x.TxID, x.Turn = state, block, "tx of "+fmt.Sprint(id), 1
		s.addSpend(x, tickets)
	}
	add(0x31, payment.SpendMined, hash("b"))
	add(0x30, payment.SpendMined, hash("a"))
	add(0x11, payment.SpendDone, hash("a"))
	add(0x12, payment.SpendSent, "")
	for _, c := range []struct {
		name, want string
		read       func(tx engine.Tx) ([]payment.Spend, error)
	}{
		{"of a block", "20 30 11", func(tx engine.Tx) ([]payment.Spend, error) { return tx.BlockSpends(bitcoin, hash("a")) }},
		{"of a block elsewhere", "", func(tx engine.Tx) ([]payment.Spend, error) { return tx.BlockSpends(ethereum, hash("a")) }},
		{"of no block", "", func(tx engine.Tx) ([]payment.Spend, error) { return tx.BlockSpends(bitcoin, "") }},
		{"mined", "20 30 31", func(tx engine.Tx) ([]payment.Spend, error) { return tx.MinedSpends(bitcoin, "", 9) }},
		{"mined, after", "30", func(tx engine.Tx) ([]payment.Spend, error) { return tx.MinedSpends(bitcoin, makeID(0x20), 1) }},
		{"mined elsewhere", "", func(tx engine.Tx) ([]payment.Spend, error) { return tx.MinedSpends(ethereum, "", 9) }},
	} {
		if got := spendNames(s, c.read); got != c.want {
			t.Errorf("spends %s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// tickets are held by one spend at a time, for ever if it is never given up.
func tickets(t *testing.T, s *suite) {
	m := s.merchant().ID
	add := func(id int, texts ...string) func(tx engine.Tx) error {
		sp, tickets := s.spendOf(m, makeID(id), texts...)
		return func(tx engine.Tx) error { return tx.AddSpend(sp, tickets) }
	}
	s.update(add(1, "a", "b"))
	s.refused("a ticket that is held", payment.ErrConflict, add(2, "c", "b"))
	absent(s, "a spend beside a ticket that is held", func(tx engine.Tx) (payment.Spend, error) { return tx.Spend(makeID(2)) })
	absent(s, "a ticket beside one that is held", func(tx engine.Tx) (payment.Spend, error) { return tx.TicketSpend(bitcoin, "c") })
	s.refused("a spend twice", payment.ErrConflict, add(1, "d"))
	elsewhere, same1 := s.spendOf(m, makeID(3), "a")
	elsewhere.Network, elsewhere.Out, elsewhere.Fee = ethereum, wei("0"), wei("0")
	same1[0].Network, same1[0].Amount = ethereum, wei("1")
	s.addSpend(elsewhere, same1)

	first := get(s, func(tx engine.Tx) (payment.Spend, error) { return tx.Spend(makeID(1)) })
	first.State = payment.SpendVoid
	s.swapSpend(&first)
	s.refused("a ticket of a void spend that was not given up", payment.ErrConflict, add(2, "b"))
	release := func(tx engine.Tx) error { return tx.ReleaseTickets(makeID(1)) }
	s.update(release)
	s.update(release)
	absent(s, "a ticket that was given up", func(tx engine.Tx) (payment.Spend, error) { return tx.TicketSpend(bitcoin, "a") })
	if n := len(get(s, func(tx engine.Tx) ([]payment.Ticket, error) { return tx.Tickets(makeID(1)) })); n != 2 {
		t.Errorf("%d tickets are on record, want 2", n)
	}
	s.update(add(2, "c", "b"))
	s.update(release) // of old tickets, which are another's now
	for text, want := range map[string]int{"b": 2, "c": 2} {
		got := get(s, func(tx engine.Tx) (payment.Spend, error) { return tx.TicketSpend(bitcoin, text) })
		if got.ID != makeID(want) {
			t.Errorf("ticket %s is held by %s", text, got.ID)
		}
	}
	if got := get(s, func(tx engine.Tx) (payment.Spend, error) { return tx.TicketSpend(ethereum, "a") }); got.ID != makeID(3) {
		t.Errorf("the ticket of the other network is held by %s", got.ID)
	}

	drop := func(tx engine.Tx) error {
		return tx.DropTicket(payment.Ticket{Network: bitcoin, Ticket: "c", SpendID: makeID(2)})
	}
	s.update(drop)
	s.update(drop)
	absent(s, "a ticket that was dropped", func(tx engine.Tx) (payment.Spend, error) { return tx.TicketSpend(bitcoin, "c") })
	if all := get(s, func(tx engine.Tx) ([]payment.Ticket, error) { return tx.Tickets(makeID(2)) }); len(all) != 1 || all[0].Ticket != "b" {
		t.Errorf("the spend has %v, want b alone", all)
	}

	// Of many that want the same ticket at once one gets it.
	won := make([]bool, 16)
	together(t, len(won), func(n int) error {
		return s.store.Update(context.Background(), func(tx engine.Tx) error {
			won[n] = false
			if _, err := tx.TicketSpend(bitcoin, "prize"); err == nil {
				return nil
			}
			won[n] = true
			return add(100+n, fmt.Sprint("own ", n), "prize")(tx)
		})
	})
	count := 0
	for n, w := range won {
		if w {
			count++
			got := get(s, func(tx engine.Tx) (payment.Spend, error) { return tx.TicketSpend(bitcoin, "prize") })
			if got.ID != makeID(100+n) {
				t.Errorf("%d was told that it holds the ticket of %s", n, got.ID)
			}
		}
	}
	if count != 1 {
		t.Errorf("%d hold one ticket", count)
	}
}

func (s *suite) claimSpends(limit int) string {
	s.t.Helper()
	var got []payment.Spend
	s.update(func(tx engine.Tx) (err error) {
		got, err = tx.ClaimSpends(engine.ClaimSpends{Network: bitcoin, Now: s.now, Lease: time.Minute, Limit: limit})
		return err
	})
	for _, sp := range got {
		if !sp.LeaseUntil.Equal(s.now.Add(time.Minute)) {
			s.t.Errorf("claimed until %s", sp.LeaseUntil)
		}
		same(s.t, "claimed", get(s, func(tx engine.Tx) (payment.Spend, error) { return tx.Spend(sp.ID) }), sp)
	}
	return names(got, func(sp payment.Spend) payment.ID { return sp.ID })
}

func spendClaims(t *testing.T, s *suite) {
	m := s.merchant().ID
	add := func(id int, state payment.SpendState, due time.Duration) {
		sp, tickets := s.spendOf(m, makeID(id))
		sp.State, sp.DueAt = state, s.now.Add(due)
		if state == payment.SpendMined || state == payment.SpendDone {
			sp.BlockHash, sp.TxID, sp.Turn = hash("a"), "tx", 1
		}
		s.addSpend(sp, tickets)
	}
	add(0x11, payment.SpendPlanned, 0)
	add(0x12, payment.SpendSigned, -time.Hour)
	add(0x13, payment.SpendSent, -2*time.Hour)
	add(0x14, payment.SpendMined, -time.Hour)
	add(0x15, payment.SpendDone, -time.Hour)
	add(0x16, payment.SpendVoid, -time.Hour)
	add(0x17, payment.SpendLost, -time.Hour)
	add(0x18, payment.SpendSent, 2*time.Minute)
	elsewhere, tickets := s.spendOf(m, makeID(0x19))
	elsewhere.Network, tickets[0].Network = ethereum, ethereum
	elsewhere.Out, elsewhere.Fee, tickets[0].Amount = wei("0"), wei("0"), wei("0")
	s.addSpend(elsewhere, tickets)
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: claimed %q, want %q", what, got, want)
		}
	}
	before := get(s, func(tx engine.Tx) (payment.Spend, error) { return tx.Spend(makeID(0x13)) })
	expect("two", s.claimSpends(2), "13 12")
	after := get(s, func(tx engine.Tx) (payment.Spend, error) { return tx.Spend(makeID(0x13)) })
	if after.Fence != before.Fence+1 || after.Rev != before.Rev+1 {
		t.Errorf("fence %d → %d, rev %d → %d", before.Fence, after.Fence, before.Rev, after.Rev)
	}
	s.refused("a save by who lost the claim", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapSpend(before) })
	expect("the rest", s.claimSpends(9), "11")
	expect("none left", s.claimSpends(9), "")
	s.now = s.now.Add(time.Minute - time.Millisecond)
	expect("before the leases end", s.claimSpends(9), "")
	s.now = s.now.Add(time.Millisecond)
	expect("when the leases end", s.claimSpends(9), "13 12 11")
	s.now = s.now.Add(time.Minute)
	expect("later", s.claimSpends(9), "13 12 11 18")
}

// spendWorkers: of many that claim at the same time none gets what another holds.
func spendWorkers(t *testing.T, s *suite) {
	const total, crew = 60, 8
	m := s.merchant().ID
	for n := range total {
		s.addSpend(s.spendOf(m, makeID(n+1)))
	}
	claimed := make([]map[payment.ID]int, crew)
	together(t, crew, func(n int) error {
		claimed[n] = map[payment.ID]int{}
		for empty := 0; empty < 3; { // an empty answer may mean that others hold the rest just now
			var got []payment.Spend
			err := s.store.Update(context.Background(), func(tx engine.Tx) (err error) {
				got, err = tx.ClaimSpends(engine.ClaimSpends{Network: bitcoin, Now: start, Lease: time.Hour, Limit: 5})
				return err
			})
			if err != nil {
				return err
			}
			if len(got) > 5 {
				return fmt.Errorf("claimed %d at a limit of 5", len(got))
			}
			if len(got) == 0 {
				empty++
			}
			for _, sp := range got {
				claimed[n][sp.ID]++
			}
		}
		return nil
	})
	all := map[payment.ID]int{}
	for _, mine := range claimed {
		for id, n := range mine {
			all[id] += n
		}
	}
	for _, sp := range s.claimLeft() {
		all[sp.ID]++
	}
	for id, n := range all {
		if n != 1 {
			t.Errorf("spend %s was claimed %d times", id, n)
		}
	}
	if len(all) != total {
		t.Errorf("%d of %d were claimed", len(all), total)
	}
}

// claimLeft claims what a crew left.
func (s *suite) claimLeft() (got []payment.Spend) {
	s.t.Helper()
	s.update(func(tx engine.Tx) (err error) {
		got, err = tx.ClaimSpends(engine.ClaimSpends{Network: bitcoin, Now: start, Lease: time.Hour, Limit: 1_000})
		return err
	})
	return got
}

func spendChecks(t *testing.T, s *suite) {
	m := s.merchant().ID
	for name, change := range map[string]func(*payment.Spend, *[]payment.Ticket){
		"mined without a block": func(sp *payment.Spend, _ *[]payment.Ticket) { sp.State, sp.TxID = payment.SpendMined, "x" },
		"mined without a txid":  func(sp *payment.Spend, _ *[]payment.Ticket) { sp.State, sp.BlockHash = payment.SpendMined, "x" },
		"sent in a block":       func(sp *payment.Spend, _ *[]payment.Ticket) { sp.State, sp.BlockHash = payment.SpendSent, "x" },
		"done for the noughth time": func(sp *payment.Spend, _ *[]payment.Ticket) {
			sp.State, sp.BlockHash, sp.TxID = payment.SpendDone, "x", "x"
		},
		"in a state nobody knows":        func(sp *payment.Spend, _ *[]payment.Ticket) { sp.State = "gone" },
		"without a version":              func(sp *payment.Spend, _ *[]payment.Ticket) { sp.Version = 0 },
		"without an anchor":              func(sp *payment.Spend, _ *[]payment.Ticket) { sp.Anchor = "" },
		"that does not hold its anchor":  func(sp *payment.Spend, _ *[]payment.Ticket) { sp.Anchor = "another" },
		"without tickets":                func(_ *payment.Spend, k *[]payment.Ticket) { *k = nil },
		"with a ticket twice":            func(_ *payment.Spend, k *[]payment.Ticket) { *k = append(*k, (*k)[0]) },
		"with a ticket of another spend": func(_ *payment.Spend, k *[]payment.Ticket) { (*k)[0].SpendID = makeID(9) },
		"with a ticket elsewhere":        func(_ *payment.Spend, k *[]payment.Ticket) { (*k)[0].Network = ethereum },
		"with a ticket of another coin":  func(_ *payment.Spend, k *[]payment.Ticket) { (*k)[0].Amount = wei("1") },
		"with a fee of another coin":     func(sp *payment.Spend, _ *[]payment.Ticket) { sp.Fee = wei("1") },
		"of an unknown merchant":         func(sp *payment.Spend, _ *[]payment.Ticket) { sp.MerchantID = makeID(9) },
		"below zero":                     func(sp *payment.Spend, _ *[]payment.Ticket) { sp.Out = money.Of(money.BTC, -1) },
	} {
		sp, tickets := s.spendOf(m, makeID(2))
		change(&sp, &tickets)
		if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.AddSpend(sp, tickets) }); err == nil {
			t.Errorf("a spend %s was stored", name)
		}
	}
	sp, tickets := s.spendOf(m, makeID(3))
	s.addSpend(sp, tickets)
	sp.Out = wei("1")
	if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.SwapSpend(sp) }); err == nil {
		t.Error("a spend of another coin was saved")
	}
}
