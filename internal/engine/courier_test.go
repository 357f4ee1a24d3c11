package engine_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/webhook"
)

// pay opens an invoice and pays it.
func (r *rig) pay(price, coins string) payment.ID {
	r.Helper()
	id := r.create(price)
	r.btc.Pay(r.choose(id, money.BTC), amount(money.BTC, coins))
	r.mine(money.BTC, 2)
	r.follow()
	r.is(id, "2/1")
	return id
}

func (r *rig) attempts(id payment.ID) (all []payment.Attempt) {
	r.Helper()
	r.view(func(tx engine.Tx) (err error) {
		all, err = tx.Attempts(id, 100)
		return err
	})
	return all
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.pay("100", "0.002")
	r.send()
	r.send()
	got := r.shop.got
	cb := r.callbacks(id)[0]
	if len(got) != 1 || got[0].ID != string(cb.ID) || got[0].URL != "https://shop.example/callback" || !bytes.Equal(got[0].Body, cb.Body) ||
		len(got[0].Secrets) != 1 || len(got[0].Secrets[0]) != 32 {
		t.Fatalf("sent %+v", got)
	}
	if cb.State != payment.CallbackDelivered || cb.Attempts != 1 || !cb.DoneAt.Equal(r.clock.Now()) || !cb.LeaseUntil.IsZero() {
		t.Errorf("callback %+v", cb)
	}
	if a := r.attempts(cb.ID); len(a) != 1 || a[0].N != 1 || a[0].HTTPStatus != 200 || string(a[0].Answer) != "ok" {
		t.Errorf("attempts %+v", a)
	}
}

// A shop that never says ok is asked over more than four days, each time with the same id and body, and then parked.
func TestParked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.pay("100", "0.002")
	r.shop.answer = func(payment.Message) payment.Answer {
		return payment.Answer{Status: 500, Verdict: "status", Body: []byte("no")}
	}
	began := r.clock.Now()
	for range 5000 {
		r.send()
		if r.callbacks(id)[0].State != payment.CallbackOpen {
			break
		}
		r.clock.add(2 * time.Minute)
	}
	cb := r.callbacks(id)[0]
	if took := r.clock.Now().Sub(began); cb.State != payment.CallbackParked || cb.Attempts != webhook.Attempts || took < 4*24*time.Hour {
		t.Errorf("callback %+v after %s", cb, took)
	}
	for i, m := range r.shop.got {
		if m.ID != string(cb.ID) || !bytes.Equal(m.Body, cb.Body) {
			t.Errorf("attempt %d was another message", i+1)
		}
	}
	if n := len(r.attempts(cb.ID)); n != len(r.shop.got) || n != webhook.Attempts {
		t.Errorf("%d attempts booked, %d made", n, len(r.shop.got))
	}
}

// In order per invoice: the second waits for the first, whatever its own time; another invoice does not wait.
func TestOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.set(nil, func(c *payment.CallbackSettings) { c.Seen = true })
	bad := r.create("100")
	r.btc.Pay(r.choose(bad, money.BTC), amount(money.BTC, "0.002"))
	r.follow()
	refuse := true
	r.shop.answer = func(m payment.Message) payment.Answer {
		if refuse && strings.Contains(string(m.Body), string(bad)) {
			return payment.Answer{Status: 500, Verdict: "status"}
		}
		return payment.Answer{Delivered: true, Status: 200}
	}
	r.send()
	r.mine(money.BTC, 2)
	r.follow()
	r.owes(bad, "1 2")
	good := r.pay("50", "0.001")
	r.send()
	if all := r.callbacks(bad); all[1].Attempts != 0 || all[0].Attempts != 1 {
		t.Errorf("callbacks %+v", all)
	}
	for _, cb := range r.callbacks(good) {
		r.send()
		if cb.State != payment.CallbackDelivered && r.callbacks(good)[cb.Seq-1].State != payment.CallbackDelivered {
			t.Errorf("the other invoice waits: %+v", cb)
		}
	}
	refuse = false
	for range 5 {
		r.clock.add(time.Minute)
		r.send()
	}
	all := r.callbacks(bad)
	if all[0].State != payment.CallbackDelivered || all[1].State != payment.CallbackDelivered || all[1].DoneAt.Before(all[0].DoneAt) {
		t.Errorf("callbacks %+v", all)
	}
}

// A worker that died with a claim: when the lease is over another one sends. One that was only slow loses against it.
func TestLease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.pay("100", "0.002")
	claim := func() (all []payment.Callback) {
		r.update(func(tx engine.Tx) (err error) {
			all, err = tx.ClaimCallbacks(engine.ClaimCallbacks{Now: tx.Now(), Lease: engine.CallbackLease, Limit: 10, PerOrigin: 2})
			return err
		})
		return all
	}
	dead := claim()
	if len(dead) != 1 {
		t.Fatalf("claimed %+v", dead)
	}
	r.send()
	if len(r.shop.got) != 0 {
		t.Fatal("sent under another's lease")
	}
	r.clock.add(engine.CallbackLease + time.Second)
	r.send()
	if len(r.shop.got) != 1 || r.callbacks(id)[0].State != payment.CallbackDelivered {
		t.Fatalf("sent %d times, %+v", len(r.shop.got), r.callbacks(id)[0])
	}
	if err := r.store.Update(t.Context(), func(tx engine.Tx) error { return tx.SwapCallback(dead[0], dead[0].Fence) }); err == nil {
		t.Error("the slow worker's word counted")
	}
	// Two couriers at once: one takes it.
	second := r.pay("100", "0.002")
	if a, b := claim(), claim(); len(a)+len(b) != 1 || a[0].InvoiceID != second {
		t.Errorf("claimed %+v and %+v", a, b)
	}
}

type fullLanes struct{ engine.Lanes }

func (fullLanes) TryEnter(string) bool      { return false }
func (fullLanes) Wait(string) time.Duration { return time.Minute }

// A callback whose lane is full is given back without using up an attempt.
func TestGiveBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.pay("100", "0.002")
	lanes := r.courier.Lanes
	r.courier.Lanes = fullLanes{lanes}
	r.send()
	cb := r.callbacks(id)[0]
	if cb.Attempts != 0 || cb.State != payment.CallbackOpen || !cb.LeaseUntil.Equal(r.clock.Now().Add(time.Minute)) || len(r.shop.got) != 0 {
		t.Errorf("callback %+v", cb)
	}
	r.courier.Lanes = lanes
	r.send()
	if len(r.shop.got) != 0 {
		t.Error("sent before the wait was over")
	}
	r.clock.add(time.Minute)
	r.send()
	if r.callbacks(id)[0].State != payment.CallbackDelivered {
		t.Error("not sent after the wait")
	}
}

func TestCallbackSwitches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.pay("100", "0.002")
	r.owes(id, "2")
	late := r.create("100")
	r.clock.add(25 * time.Hour)
	r.follow()
	r.must(r.clerk.Expire(t.Context()))
	r.owes(late, "")
	r.set(nil, func(c *payment.CallbackSettings) { c.Expired, c.Encoding = true, payment.EncodingForm })
	late = r.create("100")
	r.clock.add(25 * time.Hour)
	r.follow()
	r.must(r.clerk.Expire(t.Context()))
	r.owes(late, "3")
	cb := r.callbacks(late)[0]
	if cb.ContentType != "application/x-www-form-urlencoded" || !strings.Contains(string(cb.Body), "data%5Bstatus%5D=3") {
		t.Errorf("callback %s %s", cb.ContentType, cb.Body)
	}
}

// test/callback sends the sample by the same path and changes nothing.
func TestTestCallback(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	r.choose(id, money.BTC)
	before := r.facts(id)
	call, err := r.desk.TestCallback(t.Context(), r.app, id, "")
	r.must(err)
	m := r.shop.got[0]
	if !call.Answer.Delivered || call.URL != "https://shop.example/callback" || !strings.HasPrefix(m.ID, "test_") || len(m.Secrets) != 1 ||
		!strings.Contains(string(m.Body), `"status":2`) || !strings.Contains(string(m.Body), `"deposit_amount":"0.002"`) {
		t.Errorf("call %+v, message %s", call, m.Body)
	}
	if fmt.Sprint(r.facts(id)) != fmt.Sprint(before) || len(r.callbacks(id)) != 0 {
		t.Error("something changed")
	}
	_, err = r.desk.TestCallback(t.Context(), r.app, id, "https://evil.example/")
	r.refused(err, payment.WordURL)
	_, err = r.desk.TestCallback(t.Context(), r.app, payment.ID(strings.Repeat("0", 64)), "")
	r.refused(err, payment.WordNoInvoice)
	other := r.app
	other.ID = payment.ID(strings.Repeat("1", 64))
	_, err = r.desk.TestCallback(t.Context(), other, id, "")
	r.refused(err, payment.WordNoInvoice)
}

func TestClerk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.set(func(s *payment.Settings) { s.AcceptLate = true }, nil)
	var fresh []payment.ID
	for i := range 3 {
		fresh = append(fresh, r.create("100", func(c *engine.Create) { c.OrderID = fmt.Sprint(i) }))
	}
	id := r.create("100")
	to := r.choose(id, money.BTC)
	r.clock.add(31 * time.Minute)
	r.must(r.clerk.Expire(t.Context()))
	r.is(id, "1/0") // nobody looked since
	r.follow()
	r.must(r.clerk.Expire(t.Context()))
	r.is(id, "3/0")
	r.is(fresh[0], "1/0")
	r.rates.set(money.BTC, "")
	r.clock.add(time.Minute)
	r.btc.Pay(to, amount(money.BTC, "0.0016"))
	r.mine(money.BTC, 2)
	r.follow()
	r.must(r.clerk.Value(t.Context())) // no rate: it waits
	r.is(id, "3/2 late")
	r.rates.set(money.BTC, "62500")
	r.must(r.clerk.Value(t.Context()))
	r.is(id, "2/1 late") // 0.0016 at 62,500 are 100
	r.owes(id, "2")
	r.rates.set(money.BTC, "1")
	r.must(r.clerk.Value(t.Context())) // valued once
	r.is(id, "2/1 late")
	r.clock.add(24 * time.Hour)
	r.must(r.clerk.Expire(t.Context()))
	for _, id := range fresh {
		r.is(id, "1/0") // no network bears the clock out
	}
	for range 5 {
		r.must(r.watch[money.ETH].Follow(t.Context()))
	}
	r.must(r.clerk.Expire(t.Context()))
	for _, id := range fresh {
		r.is(id, "3/0") // without a coin one network is enough
	}
	r.follow()
	r.clean()
}

// The audit finds each kind of difference that is planted.
func TestAuditFinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, what string
		plant      func(r *rig, id payment.ID)
	}{
		{"an entry that no deposit explains", "entry", func(r *rig, id payment.ID) {
			r.update(func(tx engine.Tx) error {
				return tx.Post(ledger.ConfirmDeposit(ledger.Deposit{Network: btcNet, Ref: "ghost:0", Turn: 1, Account: ledger.Invoice(string(id)), Amount: money.Of(money.BTC, 5)}))
			})
		}},
		{"a deposit booked twice", "deposit", func(r *rig, id payment.ID) {
			d := r.facts(id).Deposits[0]
			r.update(func(tx engine.Tx) error {
				return tx.Post(ledger.ConfirmDeposit(ledger.Deposit{Network: btcNet, Ref: d.Ref, Turn: 9, Account: ledger.Invoice(string(id)), Amount: d.Amount}))
			})
		}},
		{"a confirmed deposit without entry", "deposit", func(r *rig, id payment.ID) {
			d := r.facts(id).Deposits[0]
			r.update(func(tx engine.Tx) error {
				return tx.Post(ledger.ReverseDeposit(ledger.Deposit{Network: btcNet, Ref: d.Ref, Turn: 1, Account: ledger.Invoice(string(id)), Amount: d.Amount}))
			})
		}},
		{"an address whose balance is off", "deposit", func(r *rig, id payment.ID) {
			r.update(func(tx engine.Tx) error {
				a, err := tx.InvoiceAddress(id, btcNet)
				if err != nil {
					return err
				}
				a.Balance = a.Balance.Add(money.Of(money.BTC, 1))
				return tx.SwapAddress(a)
			})
		}},
		{"a deposit that the chain does not have", "chain", func(r *rig, id payment.ID) {
			r.update(func(tx engine.Tx) error {
				cursor, err := tx.Cursor(btcNet)
				if err != nil {
					return err
				}
				a, err := tx.InvoiceAddress(id, btcNet)
				if err != nil {
					return err
				}
				d := payment.Deposit{ID: tx.NewID(), InvoiceID: id, Account: ledger.Invoice(string(id)), Network: btcNet, Ref: "ghost:1", Address: a.Address, Amount: money.Of(money.BTC, 7), State: payment.Mined,
					SeenAt: tx.Now(), Height: cursor.Height, BlockHash: cursor.Hash, BlockTime: cursor.Time}
				if err := tx.AddDeposit(d); err != nil {
					return err
				}
				a.Balance = a.Balance.Add(d.Amount)
				return tx.SwapAddress(a)
			})
		}},
		{"coins on an account that no deposit explains", "chain", func(r *rig, _ payment.ID) {
			eth := r.create("100")
			to := r.choose(eth, money.ETH)
			r.eth.PayByContract(to, amount(money.ETH, "0.04"))
			r.mine(money.ETH, 1)
			r.update(func(tx engine.Tx) error { // the block is followed, and nobody weighed
				a, err := tx.InvoiceAddress(eth, ethNet)
				if err != nil {
					return err
				}
				a.HotUntil = time.Time{}
				return tx.SwapAddress(a)
			})
			r.follow()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			id := r.pay("100", "0.002")
			r.clean()
			c.plant(r, id)
			report, err := r.auditor.Audit(t.Context())
			r.must(err)
			if report.Clean() || report.Differences[0].What != c.what {
				t.Errorf("report %+v, want a difference of kind %s", report, c.what)
			}
		})
	}
	t.Run("a kept balance that is off", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		id := r.pay("100", "0.002")
		r.sql(`UPDATE balance SET amount = '1' WHERE account = 'invoice/` + string(id) + `'`)
		report, err := r.auditor.Audit(t.Context())
		r.must(err)
		if report.Clean() || report.Differences[0].What != "balance" {
			t.Errorf("report %+v", report)
		}
		r.sql(`DELETE FROM balance`)
		report, err = r.auditor.Audit(t.Context())
		r.must(err)
		if report.Clean() || report.Differences[0].What != "balance" {
			t.Errorf("report %+v", report)
		}
	})
	t.Run("a chain that moves is no difference", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.pay("100", "0.002")
		r.btc.Reorg(2)
		report, err := r.auditor.Audit(t.Context())
		r.must(err)
		if !report.Clean() || len(report.Unchecked) != 1 {
			t.Errorf("report %+v", report)
		}
	})
}
