package engine_test

import (
	"errors"
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

	cookies   map[payment.ID]string
	withdrawn []payment.ID
	shut      map[payment.ID]bool
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
		if err := w.refundTo(id, places[map[money.Currency]int{money.BTC: 0, money.ETH: 1}[coin]]); err != nil {
			return fmt.Sprint("refund address ", err)
		}
		return fmt.Sprint("cancel ", w.desk.Cancel(ctx, id, w.cookies[id]))
	case n < 38:
		return w.pays(id)
	case n < 50:
		w.mine(coin, 1+w.rng.IntN(3))
		return fmt.Sprint("mine ", coin)
	case n < 54:
		return w.reorg(coin)
	case n < 57:
		w.chain(coin).FailNext(chaintest.All, 1+w.rng.IntN(3), chain.ErrBlind)
		return "trouble"
	case n < 59:
		w.settle(coin)
		return "settings"
	case n < 64:
		w.clock.add([]time.Duration{time.Second, time.Minute, 10 * time.Minute, 31 * time.Minute}[w.rng.IntN(4)])
		return "time passes"
	case n < 66:
		w.boot()
		return "restart"
	case n < 72:
		return w.out(id, coin)
	case n < 75:
		return w.weather(coin)
	}
	return w.work(coin)
}

// settle changes where the shop's coins go, or whether they stay in the wallet.
func (w *town) settle(coin money.Currency) {
	for _, c := range places {
		if c.coin == coin {
			w.settles(c, []string{"", c.shop}[w.rng.IntN(2)], func(s *payment.SettlePolicy) {
				s.Hold = []time.Duration{0, 0, time.Hour}[w.rng.IntN(3)]
			})
		}
	}
}

// out asks for money to go out.
func (w *town) out(id payment.ID, coin money.Currency) string {
	c := places[0]
	if coin == money.ETH {
		c = places[1]
	}
	switch w.rng.IntN(5) {
	case 0:
		_, err := w.askRefund(id)
		return fmt.Sprint("ask refund ", err)
	case 1:
		return fmt.Sprint("refund address ", w.refundTo(id, c))
	case 2:
		p, err := w.desk.Withdraw(w.Context(), engine.AskWithdrawal{Merchant: w.merchant.ID, Network: c.n, To: c.other, Amount: engine.All})
		w.withdrawn = append(w.withdrawn, p.ID)
		return fmt.Sprint("withdraw all ", err)
	case 3:
		p, err := w.desk.Withdraw(w.Context(), engine.AskWithdrawal{Merchant: w.merchant.ID, Network: c.n, To: c.other, Amount: "0.0015"})
		w.withdrawn = append(w.withdrawn, p.ID)
		return fmt.Sprint("withdraw ", err)
	}
	if len(w.withdrawn) == 0 {
		return "nothing to cancel"
	}
	_, err := w.desk.CancelWithdrawal(w.Context(), w.merchant.ID, w.withdrawn[w.rng.IntN(len(w.withdrawn))])
	return fmt.Sprint("cancel withdrawal ", err)
}

// refundTo is the payer's browser saying where coins go back to.
func (w *town) refundTo(id payment.ID, c coinPlace) error {
	cookie, err := w.desk.SetRefundAddress(w.Context(), id, engine.RefundChange{Coin: c.coin, Address: c.payer, Cookie: w.cookies[id]})
	if err == nil && cookie != "" {
		w.cookies[id] = cookie
	}
	return err
}

// weather changes what nodes, fees and the signer are like.
func (w *town) weather(coin money.Currency) string {
	f := w.chain(coin)
	switch w.rng.IntN(7) {
	case 0:
		times := []int64{1, 1, 2, 10, 60, 200}[w.rng.IntN(6)]
		f.Spike(times)
		return fmt.Sprint("fees times ", times)
	case 1:
		waiting := f.Waiting()
		for _, txid := range waiting {
			f.Evict(txid)
		}
		return fmt.Sprint("evict ", len(waiting))
	case 2:
		f.LoseAnswers(1+w.rng.IntN(2), []error{chain.ErrRejected, chain.ErrUnknown}[w.rng.IntN(2)])
		return "answers to broadcasts get lost"
	case 3:
		on := w.rng.IntN(2) == 0
		f.Deaf(on)
		return fmt.Sprint("deaf ", on)
	case 4:
		said := []error{nil, nil, chain.ErrRefused, &chain.Wait{Reason: "above the cap"}, errFault}[w.rng.IntN(5)]
		w.hand.Set(func(h *chaintest.Hand) { h.Rule = func(chain.Unsigned) error { return said } })
		return fmt.Sprint("the signer says ", said)
	case 5:
		on := w.rng.IntN(2) == 0
		f.Traps("0xpayer", on)
		return fmt.Sprint("trap ", on)
	}
	on := w.rng.IntN(2) == 0
	f.Refuses("0xother", on)
	return fmt.Sprint("the receiver refuses ", on)
}

// work is a step of one of the process's loops.
func (w *town) work(coin money.Currency) string {
	ctx := w.Context()
	switch w.rng.IntN(12) {
	case 8, 9, 10, 11:
		return fmt.Sprint("payer ", coin, " ", w.payer[coin].Step(ctx))
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

// pays pays all, a part, or more, to an address of the invoice.
func (w *town) pays(id payment.ID) string {
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
	if w.rng.IntN(2) == 0 {
		w.view(func(tx engine.Tx) error { // spends of ours, which come back by being sent again
			s, err := tx.MinedSpends(w.nets[coin].Network, "", 1)
			for _, s := range s {
				drop = append(drop, s.TxID)
			}
			return err
		})
	}
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
			if c.Code == 1 && c.Status == int(payment.Paid) && c.PayoutID == "" {
				paid++
			}
		}
		if paid > 1 || told.Status == payment.Paid && paid != 1 || told.Status < payment.Refunded && told.Status != payment.Paid && paid > 0 {
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
		c.Spike(1)
		c.Deaf(false)
		c.LoseAnswers(0, nil)
		c.Refuses("0xother", false)
		c.Traps("0xpayer", false)
	}
	w.hand.Set(func(h *chaintest.Hand) { h.Rule = nil })
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
	for _, id := range w.all {
		for _, c := range places { // where it is open
			var e *payment.Error
			switch err := w.refundTo(id, c); {
			case errors.As(err, &e) && e.Word == payment.WordScope:
				w.shut[id] = true // the answer with its cookie was lost: that payer has no browser any more
			case err != nil:
				w.refused(err, payment.WordState)
			}
		}
	}
	for range 12 {
		w.clock.add(25 * time.Hour)
		w.follow()
		for range 5 {
			for _, c := range places {
				w.town(c.coin)
			}
		}
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
			came, least := money.Zero(coin), money.Amount{}
			for _, q := range f.Quotes {
				if q.Coin != coin {
					continue
				}
				came = w.chain(coin).Came(q.Address)
				if least.Currency() == "" || q.Due.Less(least) {
					least = q.Due
				}
			}
			covered = covered || least.Currency() != "" && !came.Less(least.Sub(least.PerMillion(5_000)))
		}
		switch {
		case told.Status == payment.Waiting:
			w.Errorf("invoice %s still waits", id)
		case told.Status == payment.Paid && !covered && !told.Marks.Has(payment.MarkReversed):
			w.Errorf("invoice %s is paid and its coins are not there: %+v", id, told)
		case told.Status == payment.Paid && told.Deposit != payment.Deposited && !told.Marks.Has(payment.MarkReversed):
			w.Errorf("invoice %s: %+v", id, told)
		}
		w.paidOut(id)
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

// town lets one network do a minute's work: a block, and what comes of it.
func (w *town) town(coin money.Currency) {
	w.mine(coin, 1)
	w.clock.add(time.Minute)
	w.must(w.watch[coin].Follow(w.Context()))
	w.must(w.payer[coin].Step(w.Context()))
	w.must(w.payer[coin].Step(w.Context()))
}

// paidOut checks that nothing of an invoice is on its way any more without a reason that stays: what is too small for its fee,
// what was reversed, and what a transaction pays whose coins the chain took back for good.
func (w *town) paidOut(id payment.ID) {
	for _, p := range w.facts(id).Payouts {
		stays := p.Held == payment.HoldReversed || p.Held == payment.HoldFee || p.Held == payment.HoldBusy || p.Held == payment.HoldAddress && w.shut[id]
		switch {
		case p.State == payment.PayoutDone, p.State == payment.PayoutFailed, p.State == payment.PayoutWaiting && stays:
		case p.State == payment.PayoutPaying && !p.Reserved:
		case p.State == payment.PayoutPaying:
			gone := false
			w.view(func(tx engine.Tx) error { // it shares its transaction with one whose coins are gone
				all, err := tx.SpendPayouts(p.SpendID)
				for _, o := range all {
					gone = gone || !o.Reserved
				}
				return err
			})
			if !gone {
				w.Errorf("invoice %s: a %s is on its way for ever: %s", id, p.Kind, w.why(id))
			}
		default:
			w.Errorf("invoice %s: a %s is %s, held by %q: %s", id, p.Kind, p.State, p.Held, w.why(id))
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
	w := &town{rig: newRig(t), rng: rand.New(rand.NewPCG(seed, 7)), was: map[payment.ID]payment.Status{}, refs: map[money.Currency][]string{}, cookies: map[payment.ID]string{}, shut: map[payment.ID]bool{}}
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
	w.once()
	w.clean()
	count := map[string]int{}
	for _, id := range w.all {
		told := w.facts(id).Invoice.Told
		count[fmt.Sprintf("%d/%d marks %d", told.Status, told.Deposit, told.Marks)]++
		for _, p := range w.payouts(id) {
			count[p]++
		}
	}
	t.Log(count)
}
