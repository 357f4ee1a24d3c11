package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// carrier answers as it is told and keeps what it carried.
type carrier struct {
	mu   sync.Mutex // guards all
	err  error
	got  []payment.Letter
	gone []payment.ID // asked for, refused or not
}

func (c *carrier) Send(_ context.Context, l payment.Letter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = append(c.gone, l.ID)
	if c.err == nil {
		c.got = append(c.got, l)
	}
	return c.err
}

func (b *bureau) postman() (*engine.Postman, *carrier) {
	c := &carrier{}
	return &engine.Postman{Store: b.store, Sealer: b.Sealer, Carrier: c, Log: slog.New(slog.DiscardHandler)}, c
}

func (b *bureau) mail(id payment.ID) (m payment.Mail) {
	b.Helper()
	b.must(b.store.View(b.Context(), func(tx engine.Tx) (err error) { m, err = tx.Mail(id); return err }))
	return m
}

// TestPostman: a letter goes once, and what it said is wiped.
func TestPostman(t *testing.T) { eachBureau(t, testPostman) }

func testPostman(t *testing.T, b *bureau) {
	p, c := b.postman()
	b.must(b.AskReset(t.Context(), ownerMail))
	for range 3 {
		b.must(p.Step(t.Context()))
		b.pass(time.Hour)
	}
	if len(c.got) != 1 || c.got[0].To != ownerMail || c.got[0].Values["link"] == "" {
		t.Fatalf("%+v", c.got)
	}
	if m := b.mail(c.got[0].ID); m.State != payment.MailSent || len(m.Sealed) != 0 || m.DoneAt.IsZero() || m.Attempts != 1 {
		t.Errorf("%+v", m)
	}
	b.pass(engine.PersonKeep + time.Hour)
	b.must(b.Prune(t.Context()))
	if err := b.store.View(t.Context(), func(tx engine.Tx) error { _, err := tx.Mail(c.got[0].ID); return err }); !errors.Is(err, payment.ErrAbsent) {
		t.Errorf("kept for ever: %v", err)
	}
}

// TestPostmanTries: a letter that is refused is tried again with growing pauses, then parked; one that is undeliverable at once.
func TestPostmanTries(t *testing.T) { eachBureau(t, testPostmanTries) }

func testPostmanTries(t *testing.T, b *bureau) {
	p, c := b.postman()
	c.err = errors.New("451 later")
	b.must(b.AskReset(t.Context(), ownerMail))
	b.must(p.Step(t.Context()))
	id, last := c.gone[0], time.Duration(0)
	for m := b.mail(id); m.State == payment.MailOpen; m = b.mail(id) {
		pause := m.DueAt.Sub(b.clock())
		if pause <= last || m.Detail != "451 later" || len(m.Sealed) == 0 {
			t.Fatalf("after %d tries: pause %s, before %s: %+v", m.Attempts, pause, last, m)
		}
		last = pause
		b.pass(pause - time.Second)
		n := len(c.gone)
		b.must(p.Step(t.Context()))
		if len(c.gone) != n {
			t.Fatal("tried before its time")
		}
		b.pass(time.Second)
		b.must(p.Step(t.Context()))
	}
	if m := b.mail(id); m.State != payment.MailParked || m.Attempts != len(c.gone) || m.Attempts < 5 || len(m.Sealed) == 0 || m.Detail != "451 later" {
		t.Errorf("%d tries: %+v", len(c.gone), m)
	}
	c.err, c.gone = fmt.Errorf("550: %w", payment.ErrUndeliverable), nil
	b.must(b.AskReset(t.Context(), ownerMail))
	b.must(p.Step(t.Context()))
	if m := b.mail(c.gone[0]); m.State != payment.MailParked || m.Attempts != 1 {
		t.Errorf("%+v", m)
	}
}

// TestPostmanCrash: a letter whose sender died is sent again when the lease is over; two senders do not send one at once.
func TestPostmanCrash(t *testing.T) { eachBureau(t, testPostmanCrash) }

func testPostmanCrash(t *testing.T, b *bureau) {
	p, c := b.postman()
	b.must(b.AskReset(t.Context(), ownerMail))
	dead, cancel := context.WithCancel(t.Context())
	c.err = context.Canceled
	p.Carrier = stopping{c, cancel}
	if err := p.Step(dead); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p.Carrier, c.err = c, nil
	b.must(p.Step(t.Context()))
	if len(c.got) != 0 {
		t.Fatal("sent while another holds it")
	}
	b.pass(engine.MailLease)
	other, _ := b.postman()
	other.Carrier = c
	var wg sync.WaitGroup
	for _, q := range []*engine.Postman{p, other} {
		wg.Go(func() {
			if err := q.Step(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(c.got) != 1 {
		t.Errorf("sent %d times", len(c.got))
	}
}

// stopping ends the program while it sends.
type stopping struct {
	*carrier
	stop func()
}

func (s stopping) Send(ctx context.Context, l payment.Letter) error {
	s.stop()
	return s.carrier.Send(ctx, l)
}
