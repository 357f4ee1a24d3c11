package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/pgtest"
	"github.com/pipe-pg/pipe/internal/store"
	"github.com/pipe-pg/pipe/internal/webhook"
)

// paid opens an invoice and pays it, deep enough.
func (r *rig) paid(coin money.Currency, price, coins string, more ...func(*engine.Create)) payment.ID {
	r.Helper()
	id := r.create(price, more...)
	r.chain(coin).Pay(r.choose(id, coin), amount(coin, coins))
	r.mine(coin, 3)
	r.follow()
	if s := r.facts(id).Invoice.Told.Status; s != payment.Paid {
		r.Fatalf("status %d", s)
	}
	return id
}

func (r *rig) askRefund(id payment.ID, more ...func(*engine.AskRefund)) (payment.Payout, error) {
	a := engine.AskRefund{Application: r.app, Invoice: id, CallbackURL: "https://shop.example/refunded"}
	for _, m := range more {
		m(&a)
	}
	p, _, err := r.desk.AskRefund(r.Context(), a)
	return p, err
}

func TestAskRefund(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		coin      money.Currency
		coins, to string
		network   money.Network
	}{{money.BTC, "0.001", "bcrt1qpayer", btcNet}, {money.ETH, "0.02", "0xpayer", ethNet}} {
		id := r.paid(c.coin, "50", c.coins, func(x *engine.Create) { x.RefundAddress = c.to })
		p, f, err := r.desk.AskRefund(t.Context(), engine.AskRefund{Application: r.app, Invoice: id, CallbackURL: "https://shop.example/refunded?a=b"})
		r.must(err)
		want := payment.Payout{
			ID: p.ID, Kind: payment.RefundAsked, MerchantID: r.merchant.ID, ApplicationID: r.app.ID, InvoiceID: id, Network: c.network, To: c.to,
			Amount: money.Zero(c.coin), Wasted: money.Zero(c.coin), Fee: money.Zero(c.coin), Net: money.Zero(c.coin), State: payment.PayoutWaiting,
			CallbackURL: "https://shop.example/refunded?a=b", Attempt: 1, CreatedAt: r.clock.Now(), UpdatedAt: r.clock.Now(), DueAt: r.clock.Now(),
		}
		if fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", want) || len(p.ID) != payment.IDLength {
			t.Errorf("refund\n%+v, want\n%+v", p, want)
		}
		stored, _ := r.facts(id).Asked()
		if told, _ := f.Asked(); stored.ID != p.ID || told.ID != p.ID || stored.To != c.to || stored.State != payment.PayoutWaiting || stored.CallbackURL != p.CallbackURL {
			t.Errorf("stored %+v, facts %+v", stored, told)
		}
		r.view(func(tx engine.Tx) error {
			all, err := tx.Events(id, 100)
			last := all[len(all)-1]
			if last.Kind != payment.EventPayout || last.Data["payout"] != string(p.ID) || last.Data["kind"] != "asked" || last.Data["state"] != "waiting" {
				t.Errorf("last event %+v", last)
			}
			due, err2 := tx.DuePayouts(c.network, payment.PayoutWaiting, tx.Now(), 10)
			found := false
			for _, d := range due {
				found = found || d.ID == p.ID
			}
			if !found {
				t.Errorf("the refund is not due: %+v", due)
			}
			return errors.Join(err, err2)
		})
		r.is(id, "2/1")
		r.owes(id, "2") // paid; nothing is told of a refund that was only asked for
		again, err := r.askRefund(id)
		r.refused(err, payment.WordState)
		if again.ID != p.ID {
			t.Errorf("the refusal shows %s, want %s", again.ID, p.ID)
		}
	}
	// Without an address the refund waits for the payer's word.
	p, err := r.askRefund(r.paid(money.BTC, "50", "0.001"), func(a *engine.AskRefund) { a.CallbackURL = "" })
	r.must(err)
	if p.To != "" || p.CallbackURL != "" || p.RefundStatus() != payment.RefundRequested {
		t.Errorf("refund without an address: %+v", p)
	}
	r.clean()
}

func TestAskRefundRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	waiting, short, paid := r.create("50"), r.create("50"), r.paid(money.BTC, "50", "0.001")
	r.choose(waiting, money.BTC)
	r.btc.Pay(r.choose(short, money.BTC), amount(money.BTC, "0.0001"))
	r.mine(money.BTC, 3)
	r.follow()
	r.clock.add(25 * time.Hour)
	r.mine(money.BTC, 1)
	r.mine(money.ETH, 1)
	r.follow()
	r.must(r.clerk.Expire(t.Context()))
	r.is(short, "3/2 short")
	fresh := r.create("50")
	name := "Other"
	other, err := r.desk.AddApplication(t.Context(), r.merchant.ID, engine.Change{Name: &name})
	r.must(err)
	for _, c := range []struct {
		name, word, field, says string
		ask                     engine.AskRefund
	}{
		{"waiting", payment.WordState, "", "not paid yet", engine.AskRefund{Invoice: fresh}},
		{"expired", payment.WordState, "", "expired", engine.AskRefund{Invoice: waiting}},
		{"expired with money", payment.WordState, "", "goes back", engine.AskRefund{Invoice: short}},
		{"unknown", payment.WordNoInvoice, "invoice_id", "", engine.AskRefund{Invoice: payment.ID(strings.Repeat("0", 64))}},
		{"another application's", payment.WordNoInvoice, "invoice_id", "", engine.AskRefund{Application: other.Application, Invoice: paid}},
		{"callback elsewhere", payment.WordURL, "callback_url", "", engine.AskRefund{Invoice: paid, CallbackURL: "https://evil.example/"}},
		{"callback without TLS", payment.WordMalformed, "callback_url", "", engine.AskRefund{Invoice: paid, CallbackURL: "http://shop.example/"}},
		{"long key", payment.WordMalformed, "Idempotency-Key", "", engine.AskRefund{Invoice: paid, IdempotencyKey: strings.Repeat("k", 256)}},
		{"odd key", payment.WordMalformed, "Idempotency-Key", "", engine.AskRefund{Invoice: paid, IdempotencyKey: "a\nb"}},
	} {
		if c.ask.Application.ID == "" {
			c.ask.Application = r.app
		}
		p, _, err := r.desk.AskRefund(t.Context(), c.ask)
		var e *payment.Error
		if !errors.As(err, &e) || e.Word != c.word || e.Field != c.field || !strings.Contains(e.Message, c.says) || p.ID != "" {
			t.Errorf("%s: %v %+v, want %s", c.name, err, p, c.word)
		}
	}
	for _, id := range []payment.ID{waiting, short, paid, fresh} {
		if p, was := r.facts(id).Asked(); was {
			t.Errorf("refused calls left %+v", p)
		}
	}
}

// A paid invoice whose deposit the chain took back is frozen.
func TestAskRefundOfReversed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("50")
	ref := r.btc.Pay(r.choose(id, money.BTC), amount(money.BTC, "0.001"))
	r.mine(money.BTC, 3)
	r.follow()
	r.is(id, "2/1")
	r.btc.DoubleSpend(ref)
	r.follow()
	if !r.facts(id).Invoice.Told.Marks.Has(payment.MarkReversed) {
		t.Fatalf("not reversed: %+v", r.facts(id).Invoice.Told)
	}
	p, err := r.askRefund(id)
	r.refused(err, payment.WordReversed)
	if p.ID != "" {
		t.Errorf("refusal shows %+v", p)
	}
}

func TestAskRefundAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.paid(money.ETH, "50", "0.02")
	key := func(k string) func(*engine.AskRefund) { return func(a *engine.AskRefund) { a.IdempotencyKey = k } }
	first, err := r.askRefund(id, key("one"))
	r.must(err)
	if again, err := r.askRefund(id, key("one")); err != nil || again.ID != first.ID {
		t.Errorf("same key: %+v %v", again, err)
	}
	_, err = r.askRefund(id, key("one"), func(a *engine.AskRefund) { a.CallbackURL = "" })
	r.refused(err, payment.WordIdempotency)
	_, err = r.desk.Create(t.Context(), r.app, engine.Create{PriceCurrency: "USD", Price: "10", OrderID: "o", CallbackURL: "https://shop.example/cb", IdempotencyKey: "one"})
	r.refused(err, payment.WordIdempotency)
	end := func(p payment.Payout, s payment.PayoutState, reason string) {
		r.update(func(tx engine.Tx) error {
			now, err := tx.Payout(p.ID)
			if err != nil {
				return err
			}
			now.State, now.FailReason, now.DoneAt = s, reason, tx.Now()
			return tx.SwapPayout(now)
		})
	}
	end(first, payment.PayoutFailed, "smaller than its fee")
	if again, err := r.askRefund(id, key("one")); err != nil || again.ID != first.ID || again.RefundStatus() != payment.RefundFailed {
		t.Errorf("same key after the failure: %+v %v", again, err)
	}
	r.clock.add(time.Second)
	second, err := r.askRefund(id, key("two"))
	r.must(err)
	if second.ID == first.ID {
		t.Error("a failed refund was asked for again, and it is the same")
	}
	end(second, payment.PayoutDone, "")
	r.clock.add(time.Second)
	third, err := r.askRefund(id)
	r.refused(err, payment.WordState)
	if third.ID != second.ID {
		t.Errorf("the refusal shows %s, want the one that is done, %s", third.ID, second.ID)
	}
}

// A shelf is a desk on an empty database with an application; several on PostgreSQL are several processes on one.
type shelf struct {
	*testing.T
	desks    []*engine.Desk
	merchant payment.Merchant
	app      payment.Application
}

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, run func(*shelf)) {
	for name, open := range map[string]func(t *testing.T) []string{
		"sqlite":   func(t *testing.T) []string { return []string{"sqlite:" + filepath.Join(ramDir(t), "pipe.db")} },
		"postgres": func(t *testing.T) []string { url := pgtest.URL(t); return []string{url, url, url} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{T: t}
			quiet := slog.New(slog.DiscardHandler)
			for i, url := range open(t) {
				if i == 0 {
					if _, _, err := store.Migrate(t.Context(), url, quiet); err != nil {
						t.Fatal(err)
					}
				}
				kept, err := store.Open(t.Context(), store.Options{URL: url, Logger: quiet, Fatal: func(err error) { t.Errorf("store is lost: %v", err) }})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := kept.Close(); err != nil {
						t.Error(err)
					}
				})
				parse := func(text string) (string, error) { return text, nil }
				s.desks = append(s.desks, &engine.Desk{
					Store: kept, Render: webhook.Render, Sealer: plain{}, Log: quiet,
					Nets:     map[money.Currency]engine.Net{money.BTC: {Network: btcNet, ParseAddress: parse}, money.ETH: {Network: ethNet, ParseAddress: parse, Accounts: true}},
					MaxPrice: map[money.Currency]money.Amount{money.KRW: money.Of(money.KRW, 1_000_000), money.USD: money.Of(money.USD, 1_000_000)},
				})
			}
			var err error
			if s.merchant, err = s.desks[0].AddMerchant(t.Context(), "Shop"); err != nil {
				t.Fatal(err)
			}
			shop, origins := "App", []string{"https://shop.example"}
			made, err := s.desks[0].AddApplication(t.Context(), s.merchant.ID, engine.Change{Name: &shop, Origins: &origins})
			if err != nil {
				t.Fatal(err)
			}
			s.app = made.Application
			run(s)
		})
	}
}

func (s *shelf) update(fn func(tx engine.Tx) error) {
	s.Helper()
	if err := s.desks[0].Store.Update(s.Context(), fn); err != nil {
		s.Fatal(err)
	}
}

// paid is an invoice that was paid in BTC, as far as rows tell.
func (s *shelf) paid() payment.ID {
	s.Helper()
	i, err := s.desks[0].Create(s.Context(), s.app, engine.Create{PriceCurrency: "USD", Price: "50", OrderID: "o", CallbackURL: "https://shop.example/cb", RefundAddress: "bcrt1qpayer"})
	if err != nil {
		s.Fatal(err)
	}
	rate, err := money.ParseRate(money.BTC, money.USD, "50000")
	if err != nil {
		s.Fatal(err)
	}
	s.update(func(tx engine.Tx) error {
		i, err := tx.Invoice(i.ID)
		if err != nil {
			return err
		}
		q := payment.Quote{ID: tx.NewID(), InvoiceID: i.ID, Coin: money.BTC, Network: btcNet, Address: "bcrt1qours", Rate: rate, Due: rate.Due(i.Price),
			Window: time.Hour, CreatedAt: tx.Now(), Deadline: tx.Now().Add(time.Hour)}
		if err := tx.AddQuote(q); err != nil {
			return err
		}
		i.Told = payment.Told{Status: payment.Paid, Deposit: payment.Deposited, QuoteID: q.ID, Seen: q.Due.Units(), Confirmed: q.Due.Units(),
			Deadline: q.Deadline.UnixMilli(), PaidAt: tx.Now().UnixMilli(), DepositedAt: tx.Now().UnixMilli()}
		return tx.SwapInvoice(i)
	})
	return i.ID
}

// short is how much a test does: less where the race detector makes everything slow.
func short(whole, less int) int {
	if testing.Short() {
		return less
	}
	return whole
}

// 1,000 refunds of one invoice asked for at once, in several processes where the database allows them, are one refund, and
// every caller is told which.
func TestRefundRush(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *shelf) {
		id := s.paid()
		calls := short(1000, 100)
		var mu sync.Mutex
		taken, refused := 0, 0
		shown := map[payment.ID]int{}
		begin := make(chan struct{})
		var all sync.WaitGroup
		for n := range calls {
			all.Go(func() {
				<-begin
				p, _, err := s.desks[n%len(s.desks)].AskRefund(context.Background(), engine.AskRefund{Application: s.app, Invoice: id})
				mu.Lock()
				defer mu.Unlock()
				var e *payment.Error
				switch {
				case err == nil:
					taken++
				case errors.As(err, &e) && e.Word == payment.WordState:
					refused++
				default:
					s.Errorf("call %d: %v", n, err)
				}
				shown[p.ID]++
			})
		}
		close(begin)
		all.Wait()
		if taken != 1 || refused != calls-1 || len(shown) != 1 {
			s.Errorf("%d taken, %d refused, shown %v", taken, refused, shown)
		}
		s.update(func(tx engine.Tx) error {
			f, err := tx.Facts(id)
			if len(f.Payouts) != 1 || shown[f.Payouts[0].ID] != calls {
				s.Errorf("payouts %+v", f.Payouts)
			}
			return err
		})
	})
}

// One key, asked with 200 times at once: all are told the same.
func TestRefundRushWithOneKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *shelf) {
		id := s.paid()
		const calls = 200
		got := make([]payment.ID, calls)
		var all sync.WaitGroup
		for n := range calls {
			all.Go(func() {
				p, _, err := s.desks[n%len(s.desks)].AskRefund(context.Background(), engine.AskRefund{Application: s.app, Invoice: id, IdempotencyKey: "k"})
				if err != nil {
					s.Error(err)
				}
				got[n] = p.ID
			})
		}
		all.Wait()
		for _, id := range got {
			if id != got[0] || id == "" {
				s.Fatalf("two refunds for one key: %s and %s", got[0], id)
			}
		}
	})
}

// fund gives the merchant's wallet coins, one deposit each, as if they had come there and were deep enough.
func (s *shelf) fund(n money.Network, coins ...string) {
	s.Helper()
	coin := n.Coin()
	s.update(func(tx engine.Tx) error {
		for i, text := range coins {
			a := payment.Address{Network: n, Address: fmt.Sprintf("%s-%d", n, i), MerchantID: s.merchant.ID, Index: uint32(i), State: payment.AddressFree,
				Balance: money.Zero(coin), Wallet: money.Zero(coin), ReleasedAt: tx.Now()}
			if err := tx.AddAddresses([]payment.Address{a}); err != nil {
				return err
			}
			a, err := tx.GiveAddress(engine.GiveAddress{Merchant: s.merchant.ID, Network: n, HotUntil: tx.Now()})
			if err != nil {
				return err
			}
			v := amount(coin, text)
			a.Balance, a.Wallet = v, v
			if err := tx.SwapAddress(a); err != nil {
				return err
			}
			d := payment.Deposit{ID: tx.NewID(), Account: ledger.Wallet(string(s.merchant.ID)), Network: n, Ref: fmt.Sprintf("tx:%d", i), Address: a.Address, Amount: v,
				State: payment.Confirmed, SeenAt: tx.Now(), Height: 1, BlockHash: "b", BlockTime: tx.Now(), Turn: 1}
			if err := tx.AddDeposit(d); err != nil {
				return err
			}
			err = tx.Post(ledger.ConfirmDeposit(ledger.Deposit{Network: n, Ref: d.Ref, Turn: 1, Account: d.Account, Amount: v}))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
