package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/pgtest"
	"github.com/pipe-pg/pipe/internal/store"
)

func addMerchant(tx engine.Tx) (id payment.ID, err error) {
	id = tx.NewID()
	_, err = tx.AddMerchant(payment.Merchant{ID: id, Name: "x", CreatedAt: tx.Now()})
	return id, err
}

func hasMerchant(t *testing.T, s *store.Store, id payment.ID) bool {
	t.Helper()
	err := s.View(context.Background(), func(tx engine.Tx) error {
		_, err := tx.Merchant(id)
		return err
	})
	if err != nil && !errors.Is(err, payment.ErrAbsent) {
		t.Fatal(err)
	}
	return err == nil
}

// A full disk is fatal, once, for everybody in the group: nobody is told that something is stored that is not, and what
// was acknowledged before is there after the next start.
func TestDiskFull(t *testing.T) {
	ctx := context.Background()
	var fatal atomic.Int64
	o := store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "pipe.db"), Fatal: func(error) { fatal.Add(1) }}
	s := open(t, o)
	if err := s.Lite("PRAGMA max_page_count = 90"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var stored []payment.ID
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				var id payment.ID
				err := s.Update(ctx, func(tx engine.Tx) (err error) {
					id, err = addMerchant(tx)
					return err
				})
				if err != nil {
					return
				}
				mu.Lock()
				stored = append(stored, id)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if n := fatal.Load(); n != 1 {
		t.Errorf("Fatal was called %d times, want once", n)
	}
	if err := s.Update(ctx, func(engine.Tx) error { return nil }); err == nil {
		t.Error("a lost store still writes")
	}
	if err := s.View(ctx, func(engine.Tx) error { return nil }); err == nil {
		t.Error("a lost store still reads")
	}
	after := open(t, store.Options{URL: o.URL})
	for _, id := range stored {
		if !hasMerchant(t, after, id) {
			t.Errorf("merchant %s was acknowledged and is lost", id)
		}
	}
	total := 0
	err := after.View(ctx, func(tx engine.Tx) error {
		all, err := tx.Merchants("", 100_000)
		total = len(all)
		return err
	})
	if err != nil || total != len(stored) || total == 0 {
		t.Errorf("%d were acknowledged, %d are stored: %v", len(stored), total, err)
	}
}

// Callers at the same time share a commit, and within one shared commit each has its own fate.
func TestGroup(t *testing.T) {
	ctx := context.Background()
	s := open(t, store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "pipe.db")})
	var commits atomic.Int64
	s.ObserveCommits(func() { commits.Add(1) })
	const callers = 64
	inside, hold := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	errs := make([]error, callers)
	got := make([]payment.ID, callers)
	group.Go(func() { // keeps the rest waiting until all are there
		errs[0] = s.Update(ctx, func(tx engine.Tx) (err error) {
			close(inside)
			<-hold
			got[0], err = addMerchant(tx)
			return err
		})
	})
	<-inside
	for n := 1; n < callers; n++ {
		group.Go(func() {
			errs[n] = s.Update(ctx, func(tx engine.Tx) (err error) {
				if got[n], err = addMerchant(tx); err != nil {
					return err
				}
				if n%3 == 0 {
					return fmt.Errorf("caller %d gives up", n)
				}
				return nil
			})
		})
	}
	for s.Waiting() < callers-1 {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	group.Wait()
	for n, err := range errs {
		stays := n == 0 || n%3 != 0
		if (err == nil) != stays || hasMerchant(t, s, got[n]) != stays {
			t.Errorf("caller %d: %v, stored %t", n, err, hasMerchant(t, s, got[n]))
		}
	}
	if n := commits.Load(); n > 3 {
		t.Errorf("%d callers took %d commits", callers, n)
	}
}

// proxy stands between the store and PostgreSQL. cut decides, for every message of the client, whether the connection is
// broken before it, after it, or not at all.
type proxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	cut      func(message string) fate
}

type fate int

const (
	pass fate = iota
	cutBefore
	cutAfter // the message goes through, its answer does not
)

// startProxy answers the URL of the same database by way of the proxy.
func startProxy(t *testing.T, base string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	network := "tcp"
	p.target = u.Host
	if dir := u.Query().Get("host"); dir != "" {
		network, p.target = "unix", filepath.Join(dir, ".s.PGSQL.5432")
	}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.listener.Close(); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			client, err := p.listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, p.target)
			if err != nil {
				client.Close()
				return
			}
			mute := &atomic.Bool{}
			go p.forward(client, server, mute)
			go func() {
				defer client.Close()
				buf := make([]byte, 1<<16)
				for {
					n, err := server.Read(buf)
					if err != nil || mute.Load() {
						return // an answer that nobody hears
					}
					if _, err := client.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	q := u.Query()
	q.Del("host")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = p.listener.Addr().String(), q.Encode()
	return p, u.String()
}

func (p *proxy) forward(client, server net.Conn, mute *atomic.Bool) {
	defer server.Close()
	defer client.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		f := pass
		if p.cut != nil {
			f = p.cut(string(buf[:n]))
		}
		p.mu.Unlock()
		if f == cutBefore {
			return
		}
		mute.Store(f == cutAfter)
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) set(cut func(string) fate) {
	p.mu.Lock()
	p.cut = cut
	p.mu.Unlock()
}

// A connection that breaks before the commit is tried again; one that breaks during it is fatal, whether the commit
// happened or not.
func TestConnectionLost(t *testing.T) {
	ctx := context.Background()
	base := pgtest.URL(t)
	plain := open(t, store.Options{URL: base})
	for _, c := range []struct {
		name   string
		at     string
		fate   fate
		fatal  bool
		stored bool
	}{
		{"before a statement", "INSERT INTO merchant", cutBefore, false, true},
		{"after a statement", "INSERT INTO merchant", cutAfter, false, true},
		{"before begin", "begin", cutBefore, false, true},
		{"before commit", "commit", cutBefore, true, false},
		{"after commit", "commit", cutAfter, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, url := startProxy(t, base)
			var fatal atomic.Int64
			s := open(t, store.Options{URL: url, Fatal: func(error) { fatal.Add(1) }})
			var once sync.Once
			p.set(func(message string) (f fate) {
				if strings.Contains(message, c.at) {
					once.Do(func() { f = c.fate })
				}
				return f
			})
			var id payment.ID
			err := s.Update(ctx, func(tx engine.Tx) (err error) {
				id, err = addMerchant(tx)
				return err
			})
			if (err != nil) != c.fatal || (fatal.Load() == 1) != c.fatal {
				t.Errorf("got %v and %d fatal errors", err, fatal.Load())
			}
			if got := hasMerchant(t, plain, id); got != c.stored {
				t.Errorf("stored: %t, want %t", got, c.stored)
			}
		})
	}
}

// A note taken back while the same invoice is stirred again is not lost.
func TestStirDuringCalm(t *testing.T) {
	ctx := context.Background()
	s := open(t, store.Options{URL: pgtest.URL(t)})
	const network = "bitcoin/regtest"
	i := someInvoice(t, s)
	stir := func(ref string) error {
		return s.Update(ctx, func(tx engine.Tx) error {
			if err := tx.AddDeposit(someDeposit(tx, i, ref)); err != nil {
				return err
			}
			return tx.Stir(i.ID, network)
		})
	}
	if err := stir("one"); err != nil {
		t.Fatal(err)
	}
	seen, runs := 0, 0
	err := s.Update(ctx, func(tx engine.Tx) error {
		runs++
		f, err := tx.Facts(i.ID)
		if err != nil {
			return err
		}
		seen = len(f.Deposits)
		if runs == 1 { // beside, while this one is under way
			if err := stir("two"); err != nil {
				return err
			}
		}
		return tx.Calm(i.ID, network)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(ctx, func(tx engine.Tx) error {
		stirred, err := tx.IsStirred(i.ID, network)
		if !stirred && seen != 2 {
			t.Errorf("calm after %d runs, having seen %d of 2 deposits", runs, seen)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if runs < 2 {
		t.Errorf("a transaction that read what another changed committed at the first try")
	}
}
