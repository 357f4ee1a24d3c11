package engine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A town lives at random from one seed: shops, payers, blocks, reorganisations, nodes in trouble, a shop that fails, and a
// process that dies at any call. Safety is checked after every act, and the end when all has calmed down.
type town struct {
	*rig
	rng  *rand.Rand
	all  []payment.ID
	was  map[payment.ID]payment.Status
	refs map[money.Currency][]string
}

func (w *town) pick() (payment.ID, bool) {
	if len(w.all) == 0 {
		return "", false
	}
	return w.all[w.rng.IntN(len(w.all))], true
}

func (w *town) coin() money.Currency {
	return []money.Currency{money.BTC, money.ETH}[w.rng.IntN(2)]
}

// live does one random act. What is refused, and what fails by a fault, is part of life.
func (w *town) live() string {
	ctx := w.Context()
	id, some := w.pick()
	coin := w.coin()
	switch n := w.rng.IntN(100); {
	case n < 4 || !some:
		inv, err := w.desk.Create(ctx, w.app, engine.Create{PriceCurrency: "USD", Price: fmt.Sprint(1 + w.rng.IntN(500)), OrderID: "o", CallbackURL: "https://shop.example/cb"})
		if err == nil {
			w.all = append(w.all, inv.ID)
		}
		return fmt.Sprint("create ", err)
	case n < 12:
		return fmt.Sprint("choose ", w.desk.Choose(ctx, id, engine.Choice{Coin: coin, Exchange: n == 11}))
	case n < 15:
		w.rates.set(coin, fmt.Sprint(w.rng.IntN(1000)+map[money.Currency]int{money.BTC: 49500, money.ETH: 2000}[coin]))
		return fmt.Sprint("more time ", w.desk.MoreTime(ctx, id))
	case n < 16:
		cookie, err := w.desk.SetRefundAddress(ctx, id, engine.RefundChange{Coin: coin, Address: map[money.Currency]string{money.BTC: "bcrt1qme", money.ETH: "0xme"}[coin]})
		if err != nil {
			return fmt.Sprint("refund address ", err)
		}
		return fmt.Sprint("cancel ", w.desk.Cancel(ctx, id, cookie))
	case n < 38:
		return w.payer(id)
	case n < 50:
		w.mine(coin, 1+w.rng.IntN(3))
		return fmt.Sprint("mine ", coin)
	case n < 54:
		return w.reorg(coin)
	case n < 57:
		w.chain(coin).FailNext(chaintest.All, 1+w.rng.IntN(3), chain.ErrBlind)
		return "trouble"
	case n < 64:
		w.clock.add([]time.Duration{time.Second, time.Minute, 10 * time.Minute, 31 * time.Minute}[w.rng.IntN(4)])
		return "time passes"
	case n < 66:
		w.boot()
		return "restart"
	}
	return w.work(coin)
}

// work is a step of one of the process's loops.
func (w *town) work(coin money.Currency) string {
	ctx := w.Context()
	switch w.rng.IntN(8) {
	case 0:
		return fmt.Sprint("pool ", w.pool.Step(ctx))
	case 1:
		return fmt.Sprint("expire ", w.clerk.Expire(ctx))
	case 2:
		return fmt.Sprint("value ", w.clerk.Value(ctx))
	case 3:
		err := w.courier.Step(ctx)
		w.courier.Wait()
		return fmt.Sprint("courier ", err)
	case 4:
		return fmt.Sprint("recount ", w.watch[money.ETH].Recount(ctx))
	}
	return fmt.Sprint("follow ", coin, " ", w.watch[coin].Follow(ctx))
}

// payer pays all, a part, or more, to an address of the invoice.
func (w *town) payer(id payment.ID) string {
	f := w.facts(id)
	if len(f.Quotes) == 0 {
		return "no address yet"
	}
	q := f.Quotes[w.rng.IntN(len(f.Quotes))]
	amount := q.Due.PerMillion([]int64{1_000_000, 1_000_000, 996_000, 500_000, 300_000, 1_200_000, 1}[w.rng.IntN(7)])
	if amount.IsZero() {
		return "nothing to pay"
	}
	c := w.chain(q.Coin)
	if q.Coin == money.ETH && w.rng.IntN(2) == 0 {
		c.PayByContract(q.Address, amount)
	} else {
		w.refs[q.Coin] = append(w.refs[q.Coin], c.Pay(q.Address, amount))
	}
	return fmt.Sprint("pay ", amount)
}

func (w *town) reorg(coin money.Currency) string {
	c := w.chain(coin)
	depth := min(1+w.rng.IntN(4), int(c.Tip().Height)-1)
	if depth < 1 {
		return "no reorganisation"
	}
	var drop []string
	if refs := w.refs[coin]; len(refs) > 0 && w.rng.IntN(2) == 0 {
		drop = append(drop, refs[len(refs)-1-w.rng.IntN(min(3, len(refs)))])
	}
	c.SetNow(w.clock.Now())
	c.ReorgTo(depth, depth+1+w.rng.IntN(2), drop...)
	return fmt.Sprint("reorganise ", coin, " ", depth, " ", drop)
}

// safe checks what holds at every moment: statuses move along their edges, paid is never unsaid, and the paid callback is
// there exactly when it is.
func (w *town) safe() {
	for _, id := range w.all {
		told := w.facts(id).Invoice.Told
		if err := payment.InvoiceEdges.Check(max(w.was[id], payment.Waiting), told.Status); err != nil {
			w.Fatal(err)
		}
		w.was[id] = told.Status
		paid := 0
		for _, c := range w.callbacks(id) {
			if c.Code == 1 && c.Status == int(payment.Paid) {
				paid++
			}
		}
		if (told.Status == payment.Paid) != (paid == 1) {
			w.Fatalf("invoice %s is %d and owes %d paid callbacks", id, told.Status, paid)
		}
	}
}

// calm ends all trouble and lets everything come to rest.
func (w *town) calm() {
	w.faults.plan(0, never)
	if w.faults.died() {
		w.Fatal("still dead")
	}
	w.boot()
	for _, c := range []*chaintest.Fake{w.btc, w.eth} {
		c.Fail(chaintest.All, nil)
	}
	w.shop.answer = nil
	for range 3 {
		w.clock.add(13 * time.Hour)
		w.mine(money.BTC, 10)
		w.mine(money.ETH, 10)
		w.follow()
		w.must(w.watch[money.ETH].Recount(w.Context()))
		w.follow()
		w.must(w.clerk.Value(w.Context()))
		w.must(w.clerk.Expire(w.Context()))
	}
	for range 100 {
		w.send()
		w.clock.add(10 * time.Minute)
	}
	w.follow()
}

// ends checks each invoice at rest against the chains alone, by rules written apart from the ones that are tested.
func (w *town) ends() {
	for _, id := range w.all {
		f := w.facts(id)
		told := f.Invoice.Told
		covered := false
		for _, coin := range []money.Currency{money.BTC, money.ETH} {
			there, least := money.Zero(coin), money.Amount{}
			for _, q := range f.Quotes {
				if q.Coin != coin {
					continue
				}
				there = w.chain(coin).Balance(q.Address)
				if least.Currency() == "" || q.Due.Less(least) {
					least = q.Due
				}
			}
			if got := w.held(id, w.nets[coin].Network); got != there.Text() {
				w.Errorf("invoice %s: the ledger holds %s, the chain %s", id, got, there)
			}
			covered = covered || least.Currency() != "" && !there.Less(least.Sub(least.PerMillion(5_000)))
		}
		switch {
		case told.Status == payment.Waiting:
			w.Errorf("invoice %s still waits", id)
		case told.Status == payment.Paid && !covered && !told.Marks.Has(payment.MarkReversed):
			w.Errorf("invoice %s is paid and its coins are not there: %+v", id, told)
		case told.Status == payment.Paid && told.Deposit != payment.Deposited && !told.Marks.Has(payment.MarkReversed):
			w.Errorf("invoice %s: %+v", id, told)
		}
		for _, c := range w.callbacks(id) {
			if c.State != payment.CallbackDelivered {
				w.Errorf("invoice %s: callback %d is %s", id, c.Seq, c.State)
			}
			if !slices.ContainsFunc(w.shop.got, func(m payment.Message) bool { return m.ID == string(c.ID) }) {
				w.Errorf("invoice %s: callback %d was never sent", id, c.Seq)
			}
		}
	}
}

func TestTown(t *testing.T) {
	t.Parallel()
	seeds := 12
	if n, err := strconv.Atoi(os.Getenv("PIPE_TOWN_SEEDS")); err == nil {
		seeds = n
	}
	if testing.Short() {
		seeds = 4
	}
	first := rand.Uint64()
	for i := range seeds {
		seed := first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			live(t, seed)
		})
	}
}

// live lives one seed. A failing one is lived again by its number.
func live(t *testing.T, seed uint64) {
	w := &town{rig: newRig(t), rng: rand.New(rand.NewPCG(seed, 7)), was: map[payment.ID]payment.Status{}, refs: map[money.Currency][]string{}}
	w.set(func(s *payment.Settings) { s.AcceptLate = seed%3 == 0 }, func(c *payment.CallbackSettings) { c.Seen, c.Expired, c.Reversed = true, seed%2 == 0, true })
	shop := rand.New(rand.NewPCG(seed, 8))
	w.shop.answer = func(payment.Message) payment.Answer {
		w.shop.mu.Lock()
		defer w.shop.mu.Unlock()
		return payment.Answer{Delivered: shop.IntN(3) > 0, Status: 200}
	}
	var log []string
	defer func() {
		if t.Failed() {
			t.Logf("the end of its life:\n%s", strings.Join(log[max(0, len(log)-60):], "\n"))
		}
	}()
	w.faults.plan(1+w.rng.IntN(40), way(w.rng.IntN(4)))
	for range 250 {
		did := w.live()
		w.courier.Wait()
		if w.faults.died() {
			did += " (died)"
			w.faults.revive()
			w.boot()
		}
		if w.faults.over() {
			w.faults.plan(1+w.rng.IntN(60), way(w.rng.IntN(4)))
		}
		log = append(log, did)
		w.safe()
	}
	w.calm()
	w.ends()
	w.clean()
	count := map[string]int{}
	for _, id := range w.all {
		told := w.facts(id).Invoice.Told
		count[fmt.Sprintf("%d/%d marks %d", told.Status, told.Deposit, told.Marks)]++
	}
	t.Log(count)
}
