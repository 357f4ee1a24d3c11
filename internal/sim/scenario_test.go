package sim_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// calmSim is a world without faults, in which a test does one thing.
func calmSim(t *testing.T) *sim {
	t.Helper()
	s, err := newSim(t.Context(), t.TempDir(), 1, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.p.courier.Wait()
		if err := s.p.store.Close(); err != nil {
			t.Error(err)
		}
		if err := s.p.signer.Close(); err != nil {
			t.Error(err)
		}
		if s.bad != nil {
			t.Error(s.bad)
		}
	})
	return s
}

func (s *sim) open(t *testing.T, coin money.Currency) *invoice {
	t.Helper()
	s.ids++
	made, err := s.p.desk.Create(s.ctx, s.apps[0], engine.Create{PriceCurrency: "USD", Price: "100", OrderID: fmt.Sprint(s.ids),
		CallbackURL: s.apps[0].Origins[0] + "/ok"})
	if err != nil {
		t.Fatal(err)
	}
	if coin != "" {
		if err := s.p.desk.Choose(s.ctx, made.ID, engine.Choice{Coin: coin}); err != nil {
			t.Fatal(err)
		}
	}
	return s.audit.invoices[made.ID]
}

func (s *sim) look(coin money.Currency) {
	for range 4 {
		s.did("follow", s.p.watch[coin][0].Follow(s.ctx))
	}
}

// A clock that ran a day ahead for a while, and is right again, hides no address that is released after.
func TestAddressesReleasedAfterAClockRanAheadAreWatched(t *testing.T) {
	s := calmSim(t)
	s.offset = 24 * time.Hour
	s.look(money.BTC)
	s.offset = 0
	for range 11 {
		s.open(t, money.BTC)
	}
	s.did("pool", s.p.pool.Step(s.ctx))
	s.now = s.now.Add(2 * time.Minute)
	s.look(money.BTC)
	var last *invoice
	for range 12 {
		last = s.open(t, money.BTC)
	}
	s.chains[money.BTC].pay(s.now, false, chaintest.Out{Address: last.address[money.BTC], Amount: last.quotes[0].Due})
	s.chains[money.BTC].mine(s.now, 5)
	s.look(money.BTC)
	if last.Told.Status != payment.Paid {
		t.Errorf("the invoice is in status %d", last.Told.Status)
	}
}

// An old copy of the database beside the newest journal of the signer: no address is given a second time, and what was
// given in the history that was lost is given to nobody.
func TestOldBackupReusesNoAddress(t *testing.T) {
	s := calmSim(t)
	if err := s.boot(); err != nil { // a database whose log is folded in
		t.Fatal(err)
	}
	s.p.courier.Wait()
	if err := errors.Join(s.p.store.Close(), s.p.signer.Close()); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(s.database())
	if err != nil {
		t.Fatal(err)
	}
	reopen := func() {
		t.Helper()
		s.p = nil
		if err := s.boot(); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	lost := map[string]bool{}
	for range 30 { // beyond one pool, so that the journal moves on
		lost[s.open(t, money.BTC).address[money.BTC]] = true
		s.did("pool", s.p.pool.Step(s.ctx))
	}
	if err := errors.Join(s.p.store.Close(), s.p.signer.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.database(), old, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(s.database() + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	s.audit = newAuditor(s)
	s.audit.apps = s.apps
	s.notePrices()
	reopen()
	s.did("pool", s.p.pool.Step(s.ctx))
	for range 12 {
		v := s.open(t, money.BTC)
		if lost[v.address[money.BTC]] {
			t.Errorf("invoice %d got an address of the lost history", v.n)
		}
	}
}

// A clock that is a day ahead expires nothing, chosen or not.
func TestClockAheadExpiresNothing(t *testing.T) {
	s := calmSim(t)
	fresh, chosen := s.open(t, ""), s.open(t, money.BTC)
	s.now = s.now.Add(time.Minute)
	s.offset = 25 * time.Hour
	s.look(money.BTC)
	s.look(money.ETH)
	s.did("expire", s.p.clerk.Expire(s.ctx))
	for _, v := range []*invoice{fresh, chosen} {
		if v.Told.Status != payment.Waiting {
			t.Errorf("invoice %d is in status %d", v.n, v.Told.Status)
		}
	}
	s.offset = 0
	s.now = s.now.Add(25 * time.Hour)
	for _, coin := range coins {
		s.chains[coin].mine(s.now, 1)
		s.look(coin)
	}
	s.did("expire", s.p.clerk.Expire(s.ctx))
	for _, v := range []*invoice{fresh, chosen} {
		if v.Told.Status != payment.Expired {
			t.Errorf("invoice %d is in status %d", v.n, v.Told.Status)
		}
	}
}

// While the clock is a day behind, no quote is made that would be over when it is right again.
func TestClockBehindQuotesNothing(t *testing.T) {
	s := calmSim(t)
	v := s.open(t, "")
	s.offset = -24 * time.Hour
	s.look(money.BTC)
	if err := s.p.desk.Choose(s.ctx, v.ID, engine.Choice{Coin: money.BTC}); err == nil {
		t.Error("a quote was made a day in the past")
	}
}
