package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func TestPaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		coin  money.Currency
		due   string
		depth int
	}{{money.BTC, "0.002", 2}, {money.ETH, "0.04", 3}} {
		t.Run(string(c.coin), func(t *testing.T) {
			r := newRig(t)
			r.set(nil, func(s *payment.CallbackSettings) { s.Seen = true })
			id := r.create("100")
			n := r.nets[c.coin].Network
			ref := r.chain(c.coin).Pay(r.choose(id, c.coin), amount(c.coin, c.due))
			r.is(id, "1/0")
			r.follow()
			r.is(id, "1/2")
			r.owes(id, "1")
			for range c.depth - 1 {
				r.mine(c.coin, 1)
				r.follow()
				r.is(id, "1/2")
				if got := r.held(id, n); got != "0" {
					t.Fatalf("the ledger holds %s before it is deep", got)
				}
			}
			r.mine(c.coin, 1)
			r.must(r.watch[c.coin].Follow(t.Context())) // one look: deposit, ledger, status, callback
			r.is(id, "2/1")
			r.owes(id, "1 2")
			if got := r.held(id, n); got != c.due {
				t.Fatalf("the ledger holds %s", got)
			}
			if d := r.deposit(n, ref); d.State != payment.Confirmed || d.Turn != 1 {
				t.Errorf("deposit %+v", d)
			}
			body := string(r.callbacks(id)[1].Body)
			if !strings.Contains(body, `"status":2`) || !strings.Contains(body, `"deposit_status":1`) || !strings.Contains(body, fmt.Sprintf("%q:%q", "deposit_amount", c.due)) {
				t.Errorf("body %s", body)
			}
			r.mine(c.coin, 5)
			r.follow()
			r.owes(id, "1 2")
			r.clean()
		})
	}
}

// One transaction pays several invoices and one of them twice; another is found many blocks later, all in one go.
func TestManyOutputs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.create("100"), r.create("50")
	toA, toB := r.choose(a, money.BTC), r.choose(b, money.BTC)
	tx := r.btc.PayMany(chaintest.Out{Address: toA, Amount: amount(money.BTC, "0.0015")}, chaintest.Out{Address: "bcrt1qstranger", Amount: amount(money.BTC, "9")},
		chaintest.Out{Address: toB, Amount: amount(money.BTC, "0.001")}, chaintest.Out{Address: toA, Amount: amount(money.BTC, "0.0005")})
	r.mine(money.BTC, 200) // more than a step takes
	r.must(r.watch[money.BTC].Follow(t.Context()))
	r.is(a, "1/0") // nothing is told of a state on the way
	r.follow()
	r.is(a, "2/1")
	r.is(b, "2/1")
	if d := r.deposit(btcNet, tx+":3"); d.InvoiceID != a || d.Amount.Text() != "0.0005" {
		t.Errorf("deposit %+v", d)
	}
	if r.held(a, btcNet) != "0.002" || r.held(b, btcNet) != "0.001" {
		t.Errorf("the ledger holds %s and %s", r.held(a, btcNet), r.held(b, btcNet))
	}
	r.owes(a, "2")
	r.owes(b, "2")
	r.clean()
}

func TestReorganised(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T) (r *rig, id payment.ID, ref string) {
		r = newRig(t)
		r.set(nil, func(c *payment.CallbackSettings) { c.Reversed = true })
		id = r.create("100")
		ref = r.btc.Pay(r.choose(id, money.BTC), amount(money.BTC, "0.002"))
		r.mine(money.BTC, 1)
		r.follow()
		r.is(id, "1/2")
		return r, id, ref
	}
	t.Run("before paid, mined again", func(t *testing.T) {
		t.Parallel()
		r, id, ref := open(t)
		r.btc.Reorg(1)
		r.follow()
		r.is(id, "2/1") // two blocks came for one
		if d := r.deposit(btcNet, ref); d.Turn != 1 {
			t.Errorf("deposit %+v", d)
		}
		r.clean()
	})
	t.Run("before paid, back outside blocks, then gone", func(t *testing.T) {
		t.Parallel()
		r, id, ref := open(t)
		r.clock.add(15 * time.Minute)
		r.btc.ReorgTo(1, 0)
		r.follow() // the node lags: nothing changes
		r.is(id, "1/2")
		r.btc.DoubleSpend(ref)
		r.mine(money.BTC, 2)
		r.follow()
		r.is(id, "1/2") // patience
		r.clock.add(11 * time.Minute)
		r.follow()
		r.is(id, "1/0 dropped")
		r.clock.add(20 * time.Minute)
		r.follow()
		r.must(r.clerk.Expire(t.Context()))
		r.is(id, "3/0 dropped")
		r.clean()
	})
	t.Run("after paid, mined again", func(t *testing.T) {
		t.Parallel()
		r, id, ref := open(t)
		r.mine(money.BTC, 1)
		r.follow()
		r.is(id, "2/1")
		r.btc.ReorgTo(2, 3)
		r.follow()
		r.is(id, "2/1")
		if d := r.deposit(btcNet, ref); d.Turn != 2 || d.State != payment.Confirmed {
			t.Errorf("deposit %+v", d)
		}
		r.owes(id, "2")
		r.clean()
	})
	t.Run("after paid, under way: no false reversal", func(t *testing.T) {
		t.Parallel()
		r, id, _ := open(t)
		r.mine(money.BTC, 5)
		r.follow()
		r.btc.ReorgTo(6, 7)
		r.btc.Before(chaintest.Scan, func() {}) // the first scan of the new branch …
		r.btc.FailNext(chaintest.Scan, 3, chain.ErrBlind)
		for range 3 {
			r.must(r.watch[money.BTC].Follow(t.Context()))
			r.clock.add(time.Hour)
			r.must(r.clerk.Expire(t.Context()))
			r.is(id, "2/1")
			r.owes(id, "2")
		}
		r.follow()
		r.is(id, "2/1")
		r.owes(id, "2")
		r.clean()
	})
	t.Run("covered, the time over, under way: not expired", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		id := r.create("100")
		to := r.choose(id, money.ETH)
		r.eth.PayByContract(to, amount(money.ETH, "0.04"))
		r.mine(money.ETH, 1)
		r.follow()
		r.is(id, "1/2")
		r.clock.add(40 * time.Minute)
		r.follow()
		r.must(r.clerk.Expire(t.Context()))
		r.is(id, "1/2")
		r.mine(money.ETH, 1)
		r.follow()
		r.eth.SetNow(r.clock.Now())
		r.eth.ReorgTo(2, 3) // the coins come again in a block after the deadline, under another ref
		r.eth.FailNext(chaintest.Scan, 1, chain.ErrBlind)
		r.must(r.watch[money.ETH].Follow(t.Context()))
		r.must(r.clerk.Expire(t.Context()))
		r.is(id, "1/2")
		r.follow()
		r.is(id, "2/1")
		r.clean()
	})
	t.Run("after paid, double-spent, and paid again", func(t *testing.T) {
		t.Parallel()
		r, id, ref := open(t)
		r.mine(money.BTC, 1)
		r.follow()
		r.btc.DoubleSpend(ref)
		r.follow()
		r.is(id, "2/0 reversed dropped")
		r.owes(id, "2 4092:2")
		if got := r.held(id, btcNet); got != "0" {
			t.Errorf("the ledger holds %s", got)
		}
		r.clock.add(time.Hour)
		r.btc.Pay(r.address(id, money.BTC), amount(money.BTC, "0.002"))
		r.follow()
		r.is(id, "2/2 late reversed")
		r.mine(money.BTC, 2)
		r.follow()
		r.is(id, "2/1 late")
		r.owes(id, "2 4092:2")
		r.clean()
	})
	t.Run("in time by a block that is gone", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		id := r.create("100")
		r.btc.Pay(r.choose(id, money.BTC), amount(money.BTC, "0.002"))
		r.mine(money.BTC, 1)
		r.clock.add(2 * time.Hour) // nobody looked; now it is found, in time by its block
		r.follow()
		r.is(id, "1/2")
		r.btc.SetNow(r.clock.Now())
		r.btc.Reorg(1)
		r.follow()
		r.is(id, "2/1")
		r.clean()
	})
}

func TestRefuseOtherChain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.btc.LieAboutBlocks(func(b chain.Block) chain.Block {
		if b.Height == 0 {
			b.Hash = "other"
		}
		return b
	})
	r.boot() // the genesis is compared once per process
	sight := r.state(btcNet).Sight
	r.clock.add(time.Minute)
	r.must(r.watch[money.BTC].Follow(t.Context()))
	s := r.state(btcNet)
	if !strings.Contains(s.Trouble, "genesis") || !s.Sight.Equal(sight) {
		t.Errorf("state %+v", s)
	}
	r.btc.LieAboutBlocks(nil)
	r.must(r.watch[money.BTC].Follow(t.Context()))
	if s := r.state(btcNet); s.Trouble != "" || !s.Sight.After(sight) {
		t.Errorf("state %+v", s)
	}
}

func (r *rig) state(n money.Network) (s engine.NetworkState) {
	r.Helper()
	r.view(func(tx engine.Tx) (err error) {
		s, err = tx.NetworkState(n)
		return err
	})
	return s
}

// A node in trouble expires nothing and says why; when it is back, what was paid in time is paid.
func TestTrouble(t *testing.T) {
	t.Parallel()
	for _, method := range []string{chaintest.Head, chaintest.BlockAt, chaintest.Scan, chaintest.Pending} {
		for _, why := range []error{chain.ErrBlind, chain.ErrDisagree, chain.ErrNetwork, fmt.Errorf("connection refused")} {
			t.Run(fmt.Sprint(method, " ", why), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				paid, idle := r.create("100"), r.create("100")
				to := r.choose(paid, money.BTC)
				r.choose(idle, money.BTC)
				r.clock.add(time.Second)
				r.btc.Fail(method, why)
				r.btc.Pay(to, amount(money.BTC, "0.002"))
				r.mine(money.BTC, 3)
				for range 5 {
					r.clock.add(20 * time.Minute)
					r.must(r.watch[money.BTC].Follow(t.Context()))
					r.must(r.watch[money.ETH].Follow(t.Context()))
					r.must(r.clerk.Expire(t.Context()))
				}
				if s := r.state(btcNet); !strings.Contains(s.Trouble, why.Error()) || s.TroubleSince.IsZero() {
					t.Errorf("state %+v", s)
				}
				r.is(idle, "1/0")
				r.btc.Fail(method, nil)
				r.follow()
				r.must(r.clerk.Expire(t.Context()))
				r.is(paid, "2/1")
				r.is(idle, "3/0")
				if s := r.state(btcNet); s.Trouble != "" || !s.TroubleSince.IsZero() {
					t.Errorf("state %+v", s)
				}
				r.clean()
			})
		}
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mine(money.BTC, 5)
	r.follow()
	id := r.create("100")
	r.btc.Reorg(3)
	r.follow()
	if s := r.state(btcNet); !s.BreakerUntil.After(r.clock.Now().Add(23 * time.Hour)) {
		t.Fatalf("state %+v", s)
	}
	r.btc.Pay(r.choose(id, money.BTC), amount(money.BTC, "0.002"))
	r.mine(money.BTC, 3)
	r.follow()
	r.is(id, "1/2") // twice two are asked for
	r.mine(money.BTC, 1)
	r.follow()
	r.is(id, "2/1")
	r.clean()
}

func TestCoinbaseMatures(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	to := r.choose(id, money.BTC)
	r.btc.SetNow(r.clock.Now())
	r.btc.MineTo(to, amount(money.BTC, "0.002"))
	r.follow()
	r.is(id, "1/2")
	r.mine(money.BTC, 98)
	r.follow()
	r.is(id, "1/2")
	r.mine(money.BTC, 1) // the hundredth
	r.follow()
	r.is(id, "2/1")
	r.clean()
}

func TestFinality(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.set(func(s *payment.Settings) {
		s.Depths = []payment.DepthRule{{Coin: money.ETH, Depth: payment.Depth{Final: true, Stall: 120}}}
	}, nil)
	id := r.create("100")
	r.eth.Pay(r.choose(id, money.ETH), amount(money.ETH, "0.04"))
	r.mine(money.ETH, 40)
	r.follow()
	r.is(id, "1/2")
	r.eth.SetFinal(2) // the block that holds it, with no new block
	r.follow()
	r.is(id, "2/1")
	stalled := r.create("100")
	r.eth.Pay(r.choose(stalled, money.ETH), amount(money.ETH, "0.04"))
	r.mine(money.ETH, 119)
	r.follow()
	r.is(stalled, "1/2")
	r.mine(money.ETH, 1)
	r.follow()
	r.is(stalled, "2/1")
	r.clean()
}

// Coins sent by contracts show in balances alone.
func TestByContract(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	to := r.choose(id, money.ETH)
	r.eth.PayByContract(to, amount(money.ETH, "0.01"))
	r.eth.Pay(to, amount(money.ETH, "0.01"))
	r.eth.Pay(to, amount(money.ETH, "0.005"))
	r.mine(money.ETH, 1)
	r.eth.PayByContract(to, amount(money.ETH, "0.015"))
	r.mine(money.ETH, 3)
	r.follow()
	r.is(id, "2/1")
	if f := r.facts(id); len(f.Deposits) != 4 {
		t.Errorf("deposits %+v", f.Deposits)
	}
	// A reorganisation gives them other refs.
	r.eth.ReorgTo(4, 6)
	r.follow()
	r.is(id, "2/1")
	if got := r.held(id, ethNet); got != "0.04" {
		t.Errorf("the ledger holds %s", got)
	}
	r.clean()
}

// An account that is not weighed any more at every block is found by the recount.
func TestRecount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	to := r.choose(id, money.ETH)
	r.clock.add(72 * time.Hour)
	r.follow()
	r.must(r.clerk.Expire(t.Context()))
	r.is(id, "3/0")
	r.eth.PayByContract(to, amount(money.ETH, "0.04"))
	r.mine(money.ETH, 3)
	r.follow()
	r.is(id, "3/0")
	r.must(r.watch[money.ETH].Recount(t.Context()))
	r.is(id, "3/2 late")
	r.mine(money.ETH, 3)
	r.follow()
	r.is(id, "3/1 late")
	r.must(r.watch[money.ETH].Recount(t.Context()))
	if f := r.facts(id); len(f.Deposits) != 1 {
		t.Errorf("deposits %+v", f.Deposits)
	}
	r.clean()
	r.must(r.watch[money.BTC].Recount(t.Context())) // nothing to weigh
}

// A contract pays addresses that this store never gave: one of a history that it has lost, and one that lies free. The recount
// finds the coins all the same, as strays of their merchant.
func TestRecountOfLostHistory(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, r *rig) {
		t.Parallel()
		released, err := r.vault.Release(t.Context(), chain.Want{Merchant: string(r.merchant.ID), Branch: r.merchant.Branch, Network: ethNet, Count: 1})
		r.must(err)
		r.boot()
		r.must(r.pool.Step(t.Context()))
		r.follow()
		lost, free := released.Addresses[0].Address, addressOf(ethNet, r.merchant.Branch, 1)
		r.eth.PayByContract(lost, amount(money.ETH, "0.04"))
		r.eth.PayByContract(free, amount(money.ETH, "0.02"))
		r.mine(money.ETH, 3)
		r.follow()
		r.must(r.watch[money.ETH].Recount(t.Context()))
		r.mine(money.ETH, 70)
		r.follow()
		r.view(func(tx engine.Tx) error {
			for _, address := range []string{lost, free} {
				if a, err := tx.Address(ethNet, address); err != nil || a.State != payment.AddressDead {
					t.Errorf("%+v %v", a, err)
				}
			}
			has, err := tx.BalanceOf(ledger.Stray(string(r.merchant.ID)), ethNet)
			if has.Text() != "0.06" {
				t.Errorf("the strays are %s", has)
			}
			return err
		})
		r.must(r.watch[money.ETH].Recount(t.Context()))
		r.clean()
	}
	t.Run("SQLite", func(t *testing.T) { run(t, newRig(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { run(t, newPostgresRig(t)) })
}

// A block too old to be weighed starts the recount anew.
func TestUnweighed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	to := r.choose(id, money.ETH)
	r.eth.PayByContract(to, amount(money.ETH, "0.04"))
	r.mine(money.ETH, 1)
	r.eth.LieAboutCredits(func(_ chain.Block, f chain.Found) chain.Found {
		f.Credits, f.Unweighed = slices.DeleteFunc(f.Credits, func(c chain.Credit) bool { return c.TxID == "" }), true
		return f
	})
	r.follow()
	r.is(id, "1/0")
	r.eth.LieAboutCredits(nil)
	r.must(r.watch[money.ETH].Recount(t.Context()))
	r.is(id, "1/2")
	r.mine(money.ETH, 3)
	r.follow()
	r.is(id, "2/1")
	r.clean()
}

// Coins to an address that no invoice has stop nothing, and no invoice gets that address.
func TestStray(t *testing.T) {
	t.Parallel()
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		r := newRig(t)
		n := r.nets[coin].Network
		free := addressOf(n, r.merchant.Branch, 0)
		r.chain(coin).Pay(free, amount(coin, "1"))
		r.follow()
		r.mine(coin, 3)
		r.follow()
		if s := r.state(n); s.Trouble != "" || s.Height != 4 {
			t.Errorf("state %+v", s)
		}
		if !strings.Contains(r.errors.String(), free) {
			t.Error("nobody was told")
		}
		id := r.create("100")
		if to := r.choose(id, coin); to == free {
			t.Errorf("%s was given", free)
		}
		r.clean()
	}
}

// Dropped outside blocks and back again, with the time it was first seen.
func TestDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	r.must(r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.BTC, Exchange: true}))
	to := r.address(id, money.BTC)
	ref := r.btc.Pay(to, amount(money.BTC, "0.002"))
	r.follow()
	for range 10 { // it waits for long, and is seen all the while
		r.clock.add(3 * time.Minute)
		r.follow()
	}
	first := r.deposit(btcNet, ref).SeenAt
	other := r.btc.Split() // a node without it
	other.DoubleSpend(ref)
	w := &engine.Watcher{Store: r.store, Reader: other, Net: r.nets[money.BTC], Nets: r.nets, Render: r.desk.Render, Log: r.desk.Log}
	r.must(w.Follow(t.Context()))
	r.is(id, "1/2")
	r.clock.add(9 * time.Minute)
	r.must(w.Follow(t.Context()))
	r.is(id, "1/2")
	r.clock.add(2 * time.Minute)
	r.must(w.Follow(t.Context()))
	r.is(id, "1/0 dropped")
	r.clock.add(time.Hour)
	r.follow() // it is there again when the time is over
	r.must(r.clerk.Expire(t.Context()))
	if d := r.deposit(btcNet, ref); d.State != payment.Seen || !d.SeenAt.Equal(first) {
		t.Errorf("deposit %+v", d)
	}
	r.is(id, "1/2")
	r.mine(money.BTC, 2)
	r.follow()
	r.is(id, "2/1")
	r.clean()
}

// ordered is a store that tells in which order deposits are written.
type ordered struct {
	engine.Store
	tell func(what string)
}

func (o ordered) Update(ctx context.Context, fn func(tx engine.Tx) error) error {
	return o.Store.Update(ctx, func(tx engine.Tx) error { return fn(orderedTx{tx, o.tell}) })
}

type orderedTx struct {
	engine.Tx
	tell func(what string)
}

func (o orderedTx) AddDeposit(d payment.Deposit) error { o.tell("new"); return o.Tx.AddDeposit(d) }

func (o orderedTx) SwapDeposit(d payment.Deposit) error { o.tell("again"); return o.Tx.SwapDeposit(d) }

// A payer who has just paid does not wait until all others have been seen once more.
func TestNewCoinsFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var did []string
	w := &engine.Watcher{
		Store:  ordered{r.store, func(what string) { did = append(did, what) }},
		Reader: r.btc, Net: r.nets[money.BTC], Nets: r.nets, Render: r.desk.Render, Log: r.desk.Log,
	}
	choose := func() payment.ID {
		id := r.create("100")
		r.must(r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.BTC, Exchange: true}))
		return id
	}
	pay := func(id payment.ID) { r.btc.Pay(r.address(id, money.BTC), amount(money.BTC, "0.002")) }
	r.must(w.Follow(t.Context()))
	id := choose()
	for range engine.SeenBatch + 1 {
		pay(choose())
	}
	r.must(w.Follow(t.Context()))
	r.clock.add(r.nets[money.BTC].DropAfter/2 + time.Second) // they are seen again from now on
	pay(id)
	did = nil
	r.must(w.Follow(t.Context()))
	if len(did) < engine.SeenBatch+2 || did[0] != "new" {
		t.Errorf("written in the order %q", did)
	}
	r.is(id, "1/2")
}

// An address released while a block is being read is not missed in it.
func TestReleasedMeanwhile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mine(money.BTC, 1)
	var id payment.ID
	other := engine.Change{Name: &r.app.Name, Origins: &[]string{"https://shop.example"}}
	r.btc.Before(chaintest.BlockAt, func() {
		m, err := r.desk.AddMerchant(t.Context(), "New")
		r.must(err)
		app, err := r.desk.AddApplication(t.Context(), m.ID, other)
		r.must(err)
		r.app = app.Application
		r.must(r.pool.Step(t.Context()))
		id = r.create("100")
		r.btc.Pay(r.choose(id, money.BTC), amount(money.BTC, "0.002"))
		r.btc.ReorgTo(1, 2) // the block read next is one that pays it
	})
	r.follow()
	r.mine(money.BTC, 2)
	r.follow()
	r.is(id, "2/1")
	r.clean()
}

// Two watchers of one network do everything once.
func TestTwoWatchers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second := &engine.Watcher{Store: r.store, Reader: r.eth, Net: r.nets[money.ETH], Nets: r.nets, Render: r.desk.Render, Log: r.desk.Log}
	var ids []payment.ID
	for range 5 {
		id := r.create("100")
		ids = append(ids, id)
		r.eth.PayByContract(r.choose(id, money.ETH), amount(money.ETH, "0.04"))
		r.mine(money.ETH, 4)
		done := make(chan error)
		go func() { done <- second.Follow(t.Context()) }()
		r.must(r.watch[money.ETH].Follow(t.Context()))
		r.must(<-done)
	}
	r.follow()
	for _, id := range ids {
		r.is(id, "2/1")
		r.owes(id, "2")
	}
	r.clean()
}
