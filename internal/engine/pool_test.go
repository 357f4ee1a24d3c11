package engine_test

import (
	"database/sql"
	"errors"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// sql spoils the database behind the store's back.
func (r *rig) sql(text string) {
	r.Helper()
	db, err := sql.Open("sqlite", filepath.Join(r.dir, "pipe.db"))
	r.must(err)
	defer func() { r.must(db.Close()) }()
	_, err = db.ExecContext(r.Context(), text)
	r.must(err)
}

func (r *rig) level(n money.Network) (l engine.PoolLevel) {
	r.Helper()
	r.view(func(tx engine.Tx) error {
		all, err := tx.PoolLevels(n, "", 10)
		if err == nil {
			l = all[0]
		}
		return err
	})
	return l
}

func TestPoolFills(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if l := r.level(btcNet); l.Free != engine.PoolSize {
		t.Fatalf("level %+v", l)
	}
	for range engine.PoolSize/2 - 1 {
		r.choose(r.create("1"), money.BTC)
	}
	r.must(r.pool.Step(t.Context()))
	if l := r.level(btcNet); l.Free != engine.PoolSize/2+1 {
		t.Errorf("filled too early: %+v", l)
	}
	r.choose(r.create("1"), money.BTC)
	r.must(r.pool.Step(t.Context()))
	if l := r.level(btcNet); l.Free != engine.PoolSize || l.Next != engine.PoolSize*3/2 {
		t.Errorf("level %+v", l)
	}
	if l := r.level(ethNet); l.Free != engine.PoolSize {
		t.Errorf("level %+v", l)
	}
}

// A crash between release and commit loses indexes, never gives one twice.
func TestPoolCrash(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.vault.Release(t.Context(), chain.Want{Merchant: string(r.merchant.ID), Branch: r.merchant.Branch, Network: btcNet, Count: 7}); err != nil {
		t.Fatal(err)
	}
	given := r.choose(r.create("1"), money.BTC)
	r.boot()
	r.must(r.pool.Step(t.Context()))
	if l := r.level(btcNet); l.Free != engine.PoolSize || l.Next != 2*engine.PoolSize+7 || r.vault.epoch != 1 {
		t.Errorf("level %+v, epoch %d", l, r.vault.epoch)
	}
	// What was given stays given and watched.
	r.btc.Pay(given, amount(money.BTC, "1"))
	r.mine(money.BTC, 2)
	r.follow()
	r.clean()
	// The next start finds nothing to do.
	r.boot()
	r.must(r.pool.Step(t.Context()))
	if l := r.level(btcNet); l.Free != engine.PoolSize || r.vault.epoch != 1 {
		t.Errorf("level %+v, epoch %d", l, r.vault.epoch)
	}
}

// A journal that is older than the store would release addresses again: nothing is released.
func TestOldJournal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := maps.Clone(r.vault.next)
	for range engine.PoolSize {
		r.choose(r.create("1"), money.BTC)
	}
	r.must(r.pool.Step(t.Context()))
	r.vault.next = old
	r.boot()
	for range 2 {
		if err := r.pool.Step(t.Context()); !errors.Is(err, engine.ErrOldJournal) {
			t.Fatalf("error %v", err)
		}
	}
	if l := r.level(btcNet); l.Free != engine.PoolSize {
		t.Errorf("level %+v", l)
	}
}

// A network that is not served any more costs the others nothing.
func TestPoolUnserved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	delete(r.nets, money.ETH)
	r.must(r.pool.Step(t.Context()))
	if r.vault.epoch != 0 || r.level(btcNet).Free != engine.PoolSize {
		t.Errorf("epoch %d, level %+v", r.vault.epoch, r.level(btcNet))
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	tail := &engine.Tail{Store: r.store}
	r.must(tail.Step(ctx))
	a, b := r.create("100"), r.create("100")
	r.clock.add(time.Minute)
	wakeA, leaveA, err := tail.Subscribe(a)
	r.must(err)
	wakeB, leaveB, err := tail.Subscribe(b)
	r.must(err)
	woken := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	r.must(tail.Step(ctx))
	if woken(wakeA) || woken(wakeB) {
		t.Error("woken by what was long ago")
	}
	r.choose(a, money.BTC)
	r.must(tail.Step(ctx))
	if !woken(wakeA) || woken(wakeB) {
		t.Error("not the page that changed")
	}
	r.must(tail.Step(ctx))
	r.clock.add(3 * time.Second)
	r.must(tail.Step(ctx))
	if woken(wakeA) {
		t.Error("woken twice by one event")
	}
	// A row that commits late, with a time before the last step.
	r.update(func(tx engine.Tx) error {
		return tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: b, Kind: payment.EventConfirming, At: tx.Now().Add(-4 * time.Second)})
	})
	r.must(tail.Step(ctx))
	if !woken(wakeB) {
		t.Error("a late row was passed over")
	}
	leaveA()
	leaveA()
	leaveB()
	if _, cancel, err := tail.Subscribe(a); err != nil {
		t.Error(err)
	} else {
		cancel()
	}
}
