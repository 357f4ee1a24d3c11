package sim_test

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// run plays so many steps, heals the world, and judges what became of everything.
func (s *sim) run(steps int) error {
	s.calm = false
	s.p.countdown = 1 + s.rng.IntN(2*s.crashEvery)
	for s.step = 1; s.step <= steps && s.bad == nil; s.step++ {
		if err := s.one(); err != nil {
			return err
		}
	}
	var err error
	if s.bad == nil {
		err = s.heal()
	}
	s.p.courier.Wait()
	if s.bad != nil {
		err = s.bad // the rest follows from it
	}
	return errors.Join(err, s.p.store.Close(), s.p.signer.Close())
}

func (s *sim) one() error {
	pass := time.Duration(1+s.rng.IntN(60)) * time.Second
	if s.chance(2) {
		pass = time.Duration(1+s.rng.IntN(90)) * time.Minute
		s.hit("long pause")
	}
	s.now = s.now.Add(pass)
	for _, coin := range coins {
		if c := s.chains[coin]; s.rng.Float64() < float64(pass)/float64(c.every) {
			s.mine(c)
		}
	}
	switch n := s.rng.IntN(100); {
	case n < 8:
		s.create()
	case n < 32:
		s.payer()
	case n < 36:
		s.page()
	case n < 39:
		s.nature()
	case n < 43:
		s.fault()
	case n < 46:
		s.moneyOut()
	case n < 50:
		s.payFault()
	}
	s.work()
	if s.p.dead {
		s.hit("crash")
		s.tracef("crash")
		return s.boot()
	}
	return nil
}

// meanwhile is what happens between two calls of the process.
func (s *sim) meanwhile() {
	switch s.rng.IntN(10) {
	case 0, 1:
		s.mine(s.chains[coins[s.rng.IntN(2)]])
	case 2:
		s.reorg(s.chains[coins[s.rng.IntN(2)]])
	case 3:
		s.payer()
	case 4:
		s.page()
	case 5:
		coin := coins[s.rng.IntN(2)]
		s.hit("second watcher between two calls of the first")
		s.did("follow", s.p.watch[coin][1].Follow(s.ctx))
	case 6:
		s.did("expire", s.p.clerk.Expire(s.ctx))
	case 7:
		s.now = s.now.Add(time.Duration(s.rng.IntN(600)) * time.Second)
	case 8:
		if s.pays {
			s.hit("second payer between two calls of the first")
			s.payStep(coins[s.rng.IntN(2)], 1)
		}
	case 9:
		s.payFault()
	}
}

// did judges the error of a step of the process.
func (s *sim) did(what string, err error) {
	var refused *payment.Error
	switch {
	case err == nil, s.p.dead, errors.Is(err, errFault):
	case what == "recount": // says what the node says
	case errors.As(err, &refused):
		s.hit("refused " + refused.Word)
	default:
		s.violate("%s: %s", what, err)
	}
}

// work turns some of the process' cranks.
func (s *sim) work() {
	p := s.p
	for _, coin := range coins {
		for i := range 2 {
			if s.chance(60 - 40*i) {
				s.did("follow", p.watch[coin][i].Follow(s.ctx))
			}
			if s.chance(6) {
				s.did("recount", p.watch[coin][i].Recount(s.ctx))
			}
		}
	}
	s.payOut()
	if s.chance(25) {
		s.did("pool", p.pool.Step(s.ctx))
	}
	if s.chance(40) {
		s.did("expire", p.clerk.Expire(s.ctx))
	}
	if s.chance(20) {
		s.did("value", p.clerk.Value(s.ctx))
	}
	if s.chance(2) {
		s.did("prune", p.clerk.Prune(s.ctx))
	}
	if s.chance(60) {
		s.send()
	}
}

func (s *sim) send() {
	s.did("callback", s.p.courier.Step(s.ctx))
	s.p.courier.Wait()
}

func (s *sim) mine(c *truth) {
	if to := s.someAddress(c.coin); to != "" && c.coin == money.BTC && s.chance(3) {
		c.mineTo(s.now, to, money.Of(money.BTC, int64(1+s.rng.IntN(5_000_000))))
		s.hit("coinbase pays an invoice")
		s.tracef("%s: coinbase in block %d", c.coin, c.tip().Height)
		s.audit.once(c)
		return
	}
	n := 1
	if s.chance(10) {
		n += s.rng.IntN(5)
	}
	c.mine(s.now, n)
	s.tracef("%s: block %d", c.coin, c.tip().Height)
	s.audit.once(c)
}

func (s *sim) someAddress(coin money.Currency) string {
	if all := s.given[coin]; len(all) > 0 {
		return all[s.rng.IntN(len(all))]
	}
	return ""
}

// reorg replaces some last blocks.
func (s *sim) reorg(c *truth) {
	depth := 1 + s.rng.IntN(3)
	switch n := s.rng.IntN(100); {
	case n < 3:
		depth = 13 + s.rng.IntN(60)
		s.hit("reorg of 13 and more")
	case n < 13:
		depth = 4 + s.rng.IntN(9)
		s.hit("reorg of 4 to 12")
	}
	depth = min(depth, len(c.blocks)-2, int(c.tip().Height-c.final)) // what is final stays
	if c.vain() {                                                    // what was carried out in vain is tried again once it is final
		depth = min(depth, s.nets[c.coin].Final.Blocks-1)
	}
	held := 0
	each(c.blocks[len(c.blocks)-max(depth, 0):], func(*leaving, int) { held++ })
	if held > 0 {
		s.hit("reorg under a payout")
	}
	if depth < 1 {
		return
	}
	var drop []*sentTx
	for _, b := range c.blocks[len(c.blocks)-depth:] {
		for _, tx := range b.txs {
			if s.chance(25) {
				drop = append(drop, tx)
				s.hit("mined transaction double-spent")
			}
		}
	}
	count := depth + 1
	switch n := s.rng.IntN(100); {
	case n < 5:
		count = 0
		s.hit("reorg that shows no block yet")
	case n < 10:
		count = 1 + s.rng.IntN(depth)
		s.hit("reorg to fewer or equal blocks")
	case n < 20:
		count = depth + 2
	}
	c.reorg(s.now, depth, count, drop)
	s.hit("reorg")
	s.audit.once(c)
	s.tracef("%s: reorg of %d by %d, %d dropped: tip %d", c.coin, depth, count, len(drop), c.tip().Height)
}

// nature is what no person does.
func (s *sim) nature() {
	c := s.chains[coins[s.rng.IntN(2)]]
	switch s.rng.IntN(5) {
	case 4:
		if c.finality > 0 {
			c.stalled = s.chance(50)
			s.hit("finality stalls or goes on")
		}
	case 0, 1:
		s.reorg(c)
	case 2:
		if len(c.pool) > 0 {
			tx := c.pool[s.rng.IntN(len(c.pool))]
			c.doubleSpend(tx)
			s.hit("waiting transaction double-spent")
			s.tracef("%s: a waiting transaction is double-spent", c.coin)
		}
	case 3:
		q := s.rates[c.coin]
		if s.chance(30) {
			q.out = s.chance(35)
		} else {
			q.cents = q.cents * int64(90+s.rng.IntN(21)) / 100
			q.cents = max(q.cents, 10_000)
			s.hit("rate jump")
		}
		s.notePrices()
	}
}

func (s *sim) notePrices() {
	for _, coin := range coins {
		q := s.rates[coin]
		if q.most = max(q.most, q.cents); q.least == 0 || q.cents < q.least {
			q.least = q.cents
		}
		for _, currency := range []money.Currency{money.KRW, money.USD} {
			was := q.out
			q.out = false
			p, err := s.price(coin, currency)
			q.out = was
			if err != nil {
				panic(err)
			}
			s.audit.prices[string(coin)+p.Rate.Text()] = true
		}
	}
}

// fault changes how nodes, the signer or the clock behave.
func (s *sim) fault() {
	c := s.chains[coins[s.rng.IntN(2)]]
	switch n := s.rng.IntN(10); {
	case n < 7:
		nd := c.nodes[s.rng.IntN(len(c.nodes))]
		m := mode(s.rng.IntN(int(modes)))
		if s.chance(50) {
			m = fine
		}
		// One that is alone is believed, and two that lie alike cannot be told from the truth.
		lies := func(m mode) bool { return m == liesBlocks || m == liesCredits }
		if lies(m) {
			if len(c.nodes) == 1 {
				m = fine
			}
			for _, other := range c.nodes {
				if other != nd && lies(other.mode) {
					m = fine
				}
			}
		}
		nd.set(m)
		s.hit("node " + modeNames[m])
		s.tracef("%s: a node is %s", c.coin, modeNames[m])
	case n < 8:
		s.signerDown = s.chance(30)
	case s.jumps:
		s.offset = []time.Duration{0, 0, 0, 24 * time.Hour, -24 * time.Hour, 2 * time.Hour, -2 * time.Hour, -10 * time.Minute}[s.rng.IntN(8)]
		s.audit.clockJumped()
		s.hit("clock jump")
		s.tracef("the clock is wrong by %s", s.offset)
	}
}

var kinds = []string{"ok", "ok", "ok", "500", "hang", "garbage", "flap", "flap"}

// create opens an invoice, and now and then asks again with the same key.
func (s *sim) create() {
	app := s.apps[s.rng.IntN(len(s.apps))]
	kind := kinds[s.rng.IntN(len(kinds))]
	if s.seed%4 == 0 && s.chance(3) {
		kind = "dead"
	}
	s.ids++
	c := engine.Create{
		PriceCurrency: "USD", Price: fmt.Sprintf("%d.%02d", 1+s.rng.IntN(900), s.rng.IntN(100)), OrderID: fmt.Sprint("order-", s.ids),
		CallbackURL: app.Origins[0] + "/" + kind,
	}
	if s.chance(40) {
		c.PriceCurrency, c.Price = "KRW", fmt.Sprint(1000+s.rng.IntN(2_000_000))
	}
	if s.chance(30) {
		c.RefundAddress = s.refundAddress(coins[s.rng.IntN(2)])
	}
	if s.chance(30) {
		c.IdempotencyKey = fmt.Sprint("key-", s.ids)
	}
	first, err := s.p.desk.Create(s.ctx, app, c)
	s.did("create", err)
	if c.IdempotencyKey == "" || s.p.dead {
		return
	}
	before := len(s.audit.list)
	again, err2 := s.p.desk.Create(s.ctx, app, c)
	s.did("create", err2)
	if err == nil && err2 == nil && (first.ID != again.ID || len(s.audit.list) != before) {
		s.violate("one idempotency key made two invoices")
	}
}

func (s *sim) refundAddress(coin money.Currency) string {
	to := s.outside(coin)
	s.receivers[coin] = append(s.receivers[coin], to)
	return to
}

// pick is an invoice, mostly a young one.
func (s *sim) pick() *invoice {
	all := s.audit.list
	if len(all) == 0 {
		return nil
	}
	if young := 6; len(all) > young && s.chance(85) {
		all = all[len(all)-young:]
	}
	return all[s.rng.IntN(len(all))]
}

// page is what payers click beside paying.
func (s *sim) page() {
	v := s.pick()
	if v == nil {
		return
	}
	switch s.rng.IntN(5) {
	case 0:
		s.choose(v)
	case 1:
		err := s.p.desk.MoreTime(s.ctx, v.ID)
		s.did("more time", err)
		if err == nil {
			s.hit("more time")
		}
	case 2:
		coin := coins[s.rng.IntN(2)]
		cookie, err := s.p.desk.SetRefundAddress(s.ctx, v.ID, engine.RefundChange{Coin: coin, Address: s.refundAddress(coin), Cookie: v.cookie})
		if err == nil {
			v.cookie = cookie
		}
		s.did("refund address", err)
		if coin := coins[s.rng.IntN(2)]; s.someAddress(coin) != "" && s.chance(20) {
			_, err := s.p.desk.SetRefundAddress(s.ctx, v.ID, engine.RefundChange{Coin: coin, Address: s.someAddress(coin), Cookie: v.cookie})
			if err == nil {
				s.violate("invoice %d took an address of ours for its refund", v.n)
			}
		}
	case 3:
		if len(v.quotes) > 0 && v.Told.Deposit != 0 && v.cookie == "" {
			coin := v.quotes[0].Coin
			cookie, err := s.p.desk.SetRefundAddress(s.ctx, v.ID, engine.RefundChange{Coin: coin, Address: s.refundAddress(coin)})
			v.cookie = cookie
			s.did("refund address", err)
		}
		err := s.p.desk.Cancel(s.ctx, v.ID, v.cookie)
		s.did("cancel", err)
	case 4:
		_, err := s.p.desk.Page(s.ctx, v.ID)
		s.did("page", err)
	}
}

func (s *sim) choose(v *invoice) {
	coin := coins[s.rng.IntN(2)]
	err := s.p.desk.Choose(s.ctx, v.ID, engine.Choice{Coin: coin, Exchange: s.chance(20)})
	s.did("choose", err)
	if err == nil && len(v.address) == 2 {
		s.hit("both coins chosen")
	}
}

// payer chooses a coin, or sends some.
func (s *sim) payer() {
	v := s.pick()
	if v == nil {
		return
	}
	if len(v.quotes) == 0 {
		s.choose(v)
		return
	}
	q := v.quotes[len(v.quotes)-1]
	if s.chance(5) {
		q = v.quotes[s.rng.IntN(len(v.quotes))]
	}
	c := s.chains[q.Coin]
	out := chaintest.Out{Address: q.Address, Amount: s.amount(c, q)}
	switch n := s.rng.IntN(100); {
	case q.Coin == money.BTC && n < 15:
		outs := []chaintest.Out{out}
		for _, o := range s.audit.list {
			if to := o.address[money.BTC]; to != "" && len(outs) < 4 && s.chance(15) {
				outs = append(outs, chaintest.Out{Address: to, Amount: s.amount(c, o.quotes[len(o.quotes)-1])})
			}
		}
		for i := range outs {
			outs[i].Amount = money.OfBig(money.BTC, outs[i].Amount.Big())
		}
		c.pay(s.now, false, outs...)
		s.hit("batch")
	case q.Coin == money.ETH && n < 25:
		c.pay(s.now, true, out)
		s.hit("contract pays")
	case n > 97:
		s.stray()
		return
	default:
		c.pay(s.now, false, out)
	}
	if s.machine().After(q.Deadline) {
		s.hit("late payment")
	}
	s.tracef("invoice %d gets %s", v.n, out.Amount)
}

// stray sends coins to an address that no invoice has yet.
func (s *sim) stray() {
	ad := s.audit.order[s.rng.IntN(len(s.audit.order))]
	coin := ad.Network.Coin()
	if s.audit.owner[ad.Address] != nil {
		return
	}
	s.chains[coin].pay(s.now, false, chaintest.Out{Address: ad.Address, Amount: money.OfBig(coin, money.DueUnit(coin).Big())})
	s.hit("stray coins")
	s.tracef("%s: stray coins", coin)
}

// amount is what a payer sends for a quote: exact, or not.
func (s *sim) amount(c *truth, q payment.Quote) money.Amount {
	rest := q.Due
	for _, tx := range c.all {
		for _, o := range tx.outs {
			if o.to == q.Address && !tx.dropped {
				rest = rest.Sub(o.amount)
			}
		}
	}
	if q.Coin != c.coin || rest.Sign() <= 0 {
		rest = money.OfBig(c.coin, money.DueUnit(c.coin).Big())
		s.hit("pays more")
	}
	part := func(permille int64) money.Amount {
		n := new(big.Int).Mul(rest.Big(), big.NewInt(permille))
		n.Quo(n, big.NewInt(1000))
		return money.OfBig(c.coin, n.Add(n, big.NewInt(1)))
	}
	switch n := s.rng.IntN(100); {
	case n < 50:
		s.hit("pays exactly")
		return rest
	case n < 70:
		s.hit("pays a part")
		return part(int64(1 + s.rng.IntN(980)))
	case n < 78:
		s.hit("pays short within tolerance")
		return part(int64(996 + s.rng.IntN(4)))
	case n < 90:
		s.hit("pays over")
		return part(int64(1001 + s.rng.IntN(1500)))
	}
	s.hit("pays dust")
	return money.Of(c.coin, int64(1+s.rng.IntN(3)))
}
