package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

var errPoison = errors.New("this row cannot be saved")

// A poisoned store refuses to save one invoice, whatever is done.
type poisoned struct {
	engine.Store
	id payment.ID
}

func (p poisoned) Update(ctx context.Context, fn func(engine.Tx) error) error {
	return p.Store.Update(ctx, func(tx engine.Tx) error { return fn(poisonedTx{tx, p.id}) })
}

type poisonedTx struct {
	engine.Tx
	id payment.ID
}

func (t poisonedTx) SwapInvoice(i payment.Invoice) error {
	if i.ID == t.id {
		return errPoison
	}
	return t.Tx.SwapInvoice(i)
}

// One invoice that cannot be saved keeps none of the others from expiring.
func TestPoisonedInvoiceDoesNotStopExpiry(t *testing.T) {
	r := newRig(t)
	bad, good := r.create("10.00"), r.create("10.00") // ids grow: the bad one comes first
	r.clock.add(25 * time.Hour)
	r.follow()
	r.clerk.Store = poisoned{r.store, bad}
	for n := range 2 * engine.AsideAfter {
		err := r.clerk.Expire(t.Context())
		if quiet := n >= engine.AsideAfter-1; quiet != (err == nil) {
			t.Errorf("step %d answers %v", n, err)
		}
	}
	r.is(good, "3/0")
	r.is(bad, "1/0")

	r.clerk.Store = r.store // cured, it is taken up again by itself
	r.clock.add(engine.AsideFor)
	r.must(r.clerk.Expire(t.Context()))
	r.is(bad, "3/0")
}

// One invoice that cannot be saved stops neither the chain nor the invoices paid in the same block, whether they are told at
// their block or settled after a reorganisation.
func TestPoisonedInvoiceDoesNotStopItsNetwork(t *testing.T) {
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		t.Run(string(coin), func(t *testing.T) {
			r := newRig(t)
			bad, good := r.create("100.00"), r.create("100.00")
			for _, id := range []payment.ID{bad, good} {
				r.choose(id, coin)
			}
			w := r.watch[coin]
			w.Store = poisoned{r.store, bad}
			for _, id := range []payment.ID{bad, good} {
				q := r.facts(id).Quotes[0]
				r.chain(coin).Pay(q.Address, q.Due)
			}
			look := func() {
				for range 4 {
					if err := w.Follow(t.Context()); err != nil && !errors.Is(err, errPoison) {
						t.Fatal(err)
					}
				}
			}
			for range 4 {
				r.mine(coin, 1)
				look()
				if at := r.cursor(coin); at != r.tip(coin) {
					t.Fatalf("the chain is followed to block %d of %d", at, r.tip(coin))
				}
			}
			r.is(good, "2/1")
			r.owes(good, "2")
			r.is(bad, "1/0")

			w.Store = r.store
			r.clock.add(engine.AsideFor)
			look()
			r.is(bad, "2/1")
			r.owes(bad, "2")
			r.clean()
		})
	}
}

// One application whose secret cannot be opened keeps no other shop's callbacks back, and uses up no attempt.
func TestUnreadableSecretStopsOnlyItsOwnCallbacks(t *testing.T) {
	r := newRig(t)
	r.set(nil, func(c *payment.CallbackSettings) { c.Expired = true })
	name, origins := "Other", []string{"https://other.example"}
	made, err := r.desk.AddApplication(t.Context(), r.merchant.ID, engine.Change{Name: &name, Origins: &origins,
		Callback: func(c *payment.CallbackSettings) { c.Expired = true }})
	r.must(err)
	bad := r.create("10.00")
	mine := r.app
	r.app = made.Application
	good := r.create("10.00", func(c *engine.Create) { c.CallbackURL = "https://other.example/callback" })
	r.app = mine
	r.clock.add(25 * time.Hour)
	r.follow()
	r.must(r.clerk.Expire(t.Context()))

	r.courier.Sealer = unreadable{mine.Callback.Secrets[0].Sealed}
	r.send()
	r.send()
	if c := r.callbacks(good); len(c) != 1 || c[0].State != payment.CallbackDelivered {
		t.Errorf("the other shop's callback is %+v", c)
	}
	if c := r.callbacks(bad); len(c) != 1 || c[0].State != payment.CallbackOpen || c[0].Attempts != 0 {
		t.Errorf("the callback that cannot be signed is %+v", c)
	}
	r.courier.Sealer = plain{}
	r.clock.add(engine.AsideFor)
	r.send()
	if c := r.callbacks(bad); c[0].State != payment.CallbackDelivered {
		t.Errorf("cured, the callback is %+v", c)
	}
}

type unreadable struct{ sealed []byte }

func (u unreadable) Seal(b []byte) ([]byte, error) { return plain{}.Seal(b) }

func (u unreadable) Open(b []byte) ([]byte, error) {
	if string(b) == string(u.sealed) {
		return nil, errors.New("unseal: another key")
	}
	return plain{}.Open(b)
}

// A merchant for whom the signer releases nothing takes no address from the others.
func TestRefusedMerchantDoesNotStopThePool(t *testing.T) {
	r := newRig(t)
	bad, err := r.desk.AddMerchant(t.Context(), "Bad")
	r.must(err)
	good, err := r.desk.AddMerchant(t.Context(), "Good")
	r.must(err)
	r.pool.Signer = refusing{r.vault, string(bad.ID)}
	if err := r.pool.Step(t.Context()); !errors.Is(err, errPoison) {
		t.Errorf("the step answers %v", err)
	}
	for _, n := range []money.Network{btcNet, ethNet} {
		if got := r.free(n)[good.ID]; got != engine.PoolSize {
			t.Errorf("the good merchant has %d free addresses on %s", got, n)
		}
	}
}

type refusing struct {
	engine.Signer
	merchant string
}

func (s refusing) Release(ctx context.Context, w chain.Want) (chain.Batch, error) {
	if w.Merchant == s.merchant {
		return chain.Batch{}, errPoison
	}
	return s.Signer.Release(ctx, w)
}

func (r *rig) cursor(coin money.Currency) (height uint64) {
	r.Helper()
	r.view(func(tx engine.Tx) error {
		b, err := tx.Cursor(r.nets[coin].Network)
		height = b.Height
		return err
	})
	return height
}

func (r *rig) tip(coin money.Currency) uint64 {
	r.Helper()
	head, err := r.chain(coin).Head(r.Context())
	r.must(err)
	return head.Tip.Height
}

// free counts the free addresses per merchant.
func (r *rig) free(n money.Network) map[payment.ID]int {
	r.Helper()
	all := map[payment.ID]int{}
	r.view(func(tx engine.Tx) error {
		levels, err := tx.PoolLevels(n, "", 100)
		for _, l := range levels {
			all[l.Merchant.ID] = l.Free
		}
		return err
	})
	return all
}

// A seed brought back from its phrase has lost its journal. What an older copy of the store calls free may have been given
// since: it is dead before anything is given.
func TestRestoredSeedKillsWhatLayFree(t *testing.T) {
	r := newRig(t)
	if r.free(btcNet)[r.merchant.ID] == 0 {
		t.Fatal("nothing lies free before")
	}
	r.vault.epoch, r.vault.next = 1_700_000_000, map[string]chain.Mark{}
	r.boot()
	r.must(r.pool.Check(t.Context()))
	for _, n := range []money.Network{btcNet, ethNet} {
		if got := r.free(n)[r.merchant.ID]; got != 0 {
			t.Errorf("%d addresses of %s still lie free", got, n)
		}
	}
}

// Another seed, or a journal older than a merchant's first addresses, is not this store's: nothing is released from it.
func TestForeignJournalIsRefused(t *testing.T) {
	r := newRig(t)
	r.vault.epoch, r.vault.next = 1, map[string]chain.Mark{}
	r.boot()
	if err := r.pool.Step(t.Context()); !errors.Is(err, engine.ErrOldJournal) {
		t.Errorf("the step answers %v, want ErrOldJournal", err)
	}
}

// A clock that ran ahead and was set back has seen nothing of the time to come: a blind node freezes expiry all the same.
func TestSightComesBackWithTheClock(t *testing.T) {
	r := newRig(t)
	r.clock.add(3 * time.Hour)
	r.follow()
	r.clock.add(-3 * time.Hour)
	r.follow()
	r.view(func(tx engine.Tx) error {
		s, err := tx.NetworkState(btcNet)
		if s.Sight.After(tx.Now()) {
			t.Errorf("sight is %s ahead of the clock", s.Sight.Sub(tx.Now()))
		}
		return err
	})
}

// The chain leaves a block and comes back to it, and meanwhile more of the block's balance is explained by an earlier one:
// the coins are counted once.
func TestBlockThatComesBackCountsOnce(t *testing.T) {
	r := newRig(t)
	id := r.create("100.00")
	to := r.choose(id, money.ETH)
	r.clock.add(engine.HotFor + 2*time.Hour) // not weighed at every block any more
	r.must(r.clerk.Expire(t.Context()))
	r.mine(money.ETH, 1)
	r.follow()
	other := r.eth.Split()

	r.eth.PayByContract(to, amount(money.ETH, "1"))
	r.mine(money.ETH, 1) // nobody looks
	r.follow()
	r.eth.PayByContract(to, amount(money.ETH, "0.25"))
	r.eth.Pay(to, amount(money.ETH, "0.5"))
	r.mine(money.ETH, 1) // found with what came before, and weighed from now on
	r.follow()

	other.SetNow(r.clock.Now())
	other.Mine(4)
	w := &engine.Watcher{Store: r.store, Reader: other, Net: r.nets[money.ETH], Nets: r.nets, Render: r.desk.Render, Log: r.desk.Log}
	for range 5 {
		r.must(w.Follow(t.Context()))
	}
	r.mine(money.ETH, 6)
	r.follow()
	if got := r.held(id, ethNet); got != "1.75" {
		t.Errorf("%s ETH are counted, 1.75 came", got)
	}
	r.clean()
}

// A node that uses up the whole step is told as trouble, as one that fails is.
func TestSlowNodeIsTrouble(t *testing.T) {
	r := newRig(t)
	w := &engine.Watcher{Store: r.store, Reader: slowReader{r.btc}, Net: r.nets[money.BTC], Nets: r.nets, Render: r.desk.Render, Log: r.desk.Log}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.must(w.Follow(ctx))
	r.view(func(tx engine.Tx) error {
		s, err := tx.NetworkState(btcNet)
		if s.Trouble == "" {
			t.Error("nothing is said of it")
		}
		return err
	})
}

type slowReader struct{ chain.Reader }

func (slowReader) Head(ctx context.Context) (chain.Head, error) {
	<-ctx.Done()
	return chain.Head{}, ctx.Err()
}

// Invoices that are due but may not expire, because their network is out of sight, cost no commits.
func TestBlindInvoicesCostNoCommits(t *testing.T) {
	r := newRig(t)
	id := r.create("10.00")
	r.choose(id, money.BTC)
	r.clock.add(25 * time.Hour) // nobody looks at the network
	counting := &commits{Store: r.store}
	r.clerk.Store = counting
	r.must(r.clerk.Expire(t.Context()))
	r.is(id, "1/0")
	if counting.n != 0 {
		t.Errorf("%d commits for nothing", counting.n)
	}
	r.follow()
	r.must(r.clerk.Expire(t.Context()))
	r.is(id, "3/0")
}

type commits struct {
	engine.Store
	n int
}

func (c *commits) Update(ctx context.Context, fn func(engine.Tx) error) error {
	c.n++
	return c.Store.Update(ctx, fn)
}
