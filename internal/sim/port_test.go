package sim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

var errFault = errors.New("sim: fault")

// A way to fail.
type way int

const (
	never  way = iota
	glitch     // fails without effect, the process goes on
	lost       // takes effect, the answer is lost, the process goes on
	before     // the process dies before the effect
	after      // the process dies behind the effect
)

var wayNames = []string{"never", "glitch", "lost", "before", "after"}

// call does one call of the process to a port, or what the faults leave of it. What happens meanwhile in the world happens
// before it.
func (p *process) call(name string, may func(way) bool, do func() error) error {
	s := p.s
	s.now = s.now.Add(time.Millisecond)
	if p.dead {
		return errFault
	}
	if !s.calm && !s.nested && s.rng.IntN(s.meanwhileOdds) == 0 {
		s.nested = true
		s.meanwhile()
		s.nested = false
		if p.dead {
			return errFault
		}
	}
	strike := never
	if !s.calm {
		p.countdown--
		if p.countdown == 0 {
			strike = []way{before, after}[s.rng.IntN(2)]
		} else if s.rng.IntN(s.glitchOdds) == 0 {
			strike = []way{glitch, lost}[s.rng.IntN(2)]
		}
		if strike != never && !may(strike) {
			strike = map[way]way{lost: glitch, after: before, glitch: never, before: before}[strike]
			if strike == glitch && !may(glitch) {
				strike = never
			}
		}
	}
	if strike != never {
		s.hit("fault " + wayNames[strike] + " " + name)
		s.tracef("  fault: %s %s", wayNames[strike], name)
	}
	switch strike {
	case glitch:
		return errFault
	case before:
		p.dead = true
		return errFault
	case never, lost, after:
	}
	err := do()
	if strike == after {
		p.dead = true
		return errFault
	}
	if err == nil && strike == lost {
		return errFault
	}
	return err
}

// strikeHere makes rare calls die more often than by their share.
func (s *sim) strikeHere(p *process, percent int) {
	if !s.calm && s.crashEvery < seldom && s.chance(percent) {
		p.countdown = 1
	}
}

func anyWay(way) bool { return true }

// storeWays: a commit of unknown outcome ends the process, so an answer is never lost while it goes on.
func storeWays(w way) bool { return w != lost }

func readWays(w way) bool { return w == glitch || w == before }

// A portStore is the store with faults; it tells the auditor what each commit wrote.
type portStore struct {
	p *process
	s engine.Store
}

func (st portStore) Update(ctx context.Context, fn func(engine.Tx) error) error {
	return st.p.call("Update", storeWays, func() error {
		var written []func(*auditor)
		err := st.s.Update(ctx, func(tx engine.Tx) error {
			written = nil
			return fn(&portTx{Tx: tx, s: st.p.s, bug: st.p.s.bug, written: &written})
		})
		if err == nil {
			st.p.s.audit.commit(written)
		}
		return err
	})
}

func (st portStore) View(ctx context.Context, fn func(engine.Tx) error) error {
	return st.p.call("View", readWays, func() error {
		return st.s.View(ctx, func(tx engine.Tx) error {
			return fn(&portTx{Tx: tx, s: st.p.s, bug: st.p.s.bug, written: new([]func(*auditor))})
		})
	})
}

// A portTx is a transaction that notes what is written, makes ids that depend on the seed alone, and holds the seeded bugs
// that lie in the store's face.
type portTx struct {
	engine.Tx
	s       *sim
	bug     string
	written *[]func(*auditor)
}

func (t *portTx) note(f func(*auditor)) { *t.written = append(*t.written, f) }

func (t *portTx) NewID() payment.ID {
	t.s.ids++
	return payment.ID(strings.ToUpper(fmt.Sprintf("%012x%020x%032x", t.Now().UnixMilli(), t.s.ids, t.s.seed)))
}

func (t *portTx) AddInvoice(i payment.Invoice) error {
	err := t.Tx.AddInvoice(i)
	t.note(func(a *auditor) { a.addInvoice(i) })
	return err
}

func (t *portTx) Invoice(id payment.ID) (payment.Invoice, error) {
	i, err := t.Tx.Invoice(id)
	if t.bug == "paid early" {
		i.Policy.Depths = map[money.Currency]payment.Depth{money.BTC: {Blocks: 1}, money.ETH: {Blocks: 1}}
	}
	return i, err
}

func (t *portTx) SwapInvoice(i payment.Invoice) error {
	err := t.Tx.SwapInvoice(i)
	t.note(func(a *auditor) { a.swapInvoice(i) })
	return err
}

func (t *portTx) AddQuote(q payment.Quote) error {
	if t.bug == "long quote" {
		q.Deadline = q.Deadline.Add(time.Minute)
	}
	err := t.Tx.AddQuote(q)
	t.note(func(a *auditor) { a.addQuote(q) })
	return err
}

func (t *portTx) AddEvent(e payment.Event) error {
	t.note(func(a *auditor) { a.addEvent(e) })
	if t.bug == "two events" && e.Kind == payment.EventPaid {
		t.note(func(a *auditor) { a.addEvent(e) })
	}
	return t.Tx.AddEvent(e)
}

func (t *portTx) AddCallback(c payment.Callback) (int64, error) {
	if t.bug == "lose callback" && c.Code != 1 || t.bug == "loses refunds' callbacks" && c.PayoutID != "" && c.Status == 3 {
		return 1, nil
	}
	if t.bug == "calls refunds done when sent" && c.PayoutID != "" && c.Status == 2 {
		c.Status = 3
	}
	seq, err := t.Tx.AddCallback(c)
	c.Seq = seq
	t.note(func(a *auditor) { a.addCallback(c) })
	return seq, err
}

func (t *portTx) SwapCallback(c payment.Callback, fence int64) error {
	err := t.Tx.SwapCallback(c, fence)
	t.note(func(a *auditor) { a.swapCallback(c) })
	return err
}

func (t *portTx) AddDeposit(d payment.Deposit) error {
	if t.bug == "drop deposit" && d.State == payment.Mined && t.s.audit.total%5 == 4 {
		return nil
	}
	err := t.Tx.AddDeposit(d)
	t.note(func(a *auditor) { a.swapDeposit(d) })
	return err
}

func (t *portTx) SwapDeposit(d payment.Deposit) error {
	err := t.Tx.SwapDeposit(d)
	t.note(func(a *auditor) { a.swapDeposit(d) })
	return err
}

func (t *portTx) BlockDeposits(n money.Network, hash string) ([]payment.Deposit, error) {
	if t.bug == "forget to reverse" {
		return []payment.Deposit{}, nil
	}
	return t.Tx.BlockDeposits(n, hash)
}

func (t *portTx) NetworkState(n money.Network) (engine.NetworkState, error) {
	s, err := t.Tx.NetworkState(n)
	if t.bug == "expire while blind" && err == nil {
		s.Sight = t.Now()
	}
	return s, err
}

func (t *portTx) SaveNetworkState(n engine.NetworkState) error {
	err := t.Tx.SaveNetworkState(n)
	t.note(func(a *auditor) { a.saveState(n) })
	return err
}

func (t *portTx) GiveAddress(g engine.GiveAddress) (payment.Address, error) {
	a, err := t.Tx.GiveAddress(g)
	if err != nil {
		return a, err
	}
	if t.bug == "reuse address" {
		if first, ok := t.s.reused[g.Network]; ok {
			a = first
		} else {
			t.s.reused[g.Network] = a
		}
	}
	t.note(func(au *auditor) { au.giveAddress(a, g) })
	return a, nil
}

func (t *portTx) AddAddresses(all []payment.Address) error {
	err := t.Tx.AddAddresses(all)
	t.note(func(a *auditor) { a.addAddresses(all) })
	return err
}

func (t *portTx) PushBlock(n money.Network, b chain.Block) error {
	err := t.Tx.PushBlock(n, b)
	t.note(func(a *auditor) { a.pushBlock(n, b) })
	return err
}

func (t *portTx) PopBlock(n money.Network, b chain.Block) error {
	err := t.Tx.PopBlock(n, b)
	t.note(func(a *auditor) { a.popBlock(n, b) })
	return err
}

func (t *portTx) Post(e ledger.Entry) error {
	err := t.Tx.Post(e)
	t.note(func(a *auditor) { a.post(e) })
	return err
}

// A portReader is a network's quorum with faults.
type portReader struct {
	p *process
	r chain.Reader
	c *truth
}

func (r portReader) Head(ctx context.Context) (h chain.Head, err error) {
	err = r.p.call("Head", readWays, func() (err error) { h, err = r.r.Head(ctx); return err })
	if err == nil {
		r.p.s.audit.head(r.c, h)
	}
	return h, err
}

func (r portReader) BlockAt(ctx context.Context, height uint64) (b chain.Block, err error) {
	if r.p.s.calm { // the first blocks of all are read several at once
		r.p.s.first.Lock()
		defer r.p.s.first.Unlock()
	}
	err = r.p.call("BlockAt", readWays, func() (err error) { b, err = r.r.BlockAt(ctx, height); return err })
	return b, err
}

func (r portReader) Scan(ctx context.Context, b chain.Block, w chain.Watch) (f chain.Found, err error) {
	err = r.p.call("Scan", readWays, func() (err error) { f, err = r.r.Scan(ctx, b, w); return err })
	if r.p.s.bug == "skip block" && b.Height%7 == 0 {
		f = chain.Found{}
	}
	return f, err
}

func (r portReader) Pending(ctx context.Context, w chain.Watch) (p chain.Pending, err error) {
	err = r.p.call("Pending", readWays, func() (err error) { p, err = r.r.Pending(ctx, w); return err })
	return p, err
}

func (r portReader) Weigh(ctx context.Context, b chain.Block, all []chain.Weighed) (f chain.Found, err error) {
	err = r.p.call("Weigh", readWays, func() (err error) { f, err = r.r.Weigh(ctx, b, all); return err })
	return f, err
}

// A portSigner is the signer with faults.
type portSigner struct {
	p *process
	s engine.Signer
}

func (g portSigner) Release(ctx context.Context, w chain.Want) (b chain.Batch, err error) {
	if g.p.s.signerDown {
		g.p.s.hit("signer down")
		return b, errFault
	}
	g.p.s.strikeHere(g.p, 30)
	err = g.p.call("Release", anyWay, func() (err error) { b, err = g.s.Release(ctx, w); return err })
	return b, err
}

func (g portSigner) Marks(ctx context.Context) (m chain.Marks, err error) {
	err = g.p.call("Marks", readWays, func() (err error) { m, err = g.s.Marks(ctx); return err })
	return m, err
}

func (g portSigner) NewEpoch(ctx context.Context) (e uint64, err error) {
	g.p.s.strikeHere(g.p, 30)
	err = g.p.call("NewEpoch", anyWay, func() (err error) { e, err = g.s.NewEpoch(ctx); return err })
	return e, err
}

func (g portSigner) Released(ctx context.Context, w chain.Want, from uint32) (b chain.Batch, err error) {
	err = g.p.call("Released", readWays, func() (err error) { b, err = g.s.Released(ctx, w, from); return err })
	return b, err
}

func (g portSigner) Stamp(ctx context.Context, text string) error {
	g.p.s.strikeHere(g.p, 30)
	return g.p.call("Stamp", anyWay, func() error { return g.s.Stamp(ctx, text) })
}

// A portSender brings messages to the simulated shops.
type portSender struct{ p *process }

func (d portSender) Send(_ context.Context, m payment.Message) (a payment.Answer) {
	if d.p.s.bug == "another id" && strings.HasSuffix(m.URL, "/flap") {
		d.p.s.ids++
		m.ID = fmt.Sprintf("%064X", d.p.s.ids)
	}
	d.p.s.strikeHere(d.p, 1)
	err := d.p.call("Send", anyWay, func() error { a = d.p.s.audit.receive(m); return nil })
	if err != nil {
		return payment.Answer{Verdict: "timeout", Detail: "no whole answer in time"}
	}
	return a
}

// portRates are prices with outages.
type portRates struct{ p *process }

func (r portRates) Price(_ context.Context, coin, currency money.Currency) (price payment.Price, err error) {
	err = r.p.call("Price", readWays, func() (err error) { price, err = r.p.s.price(coin, currency); return err })
	if errors.Is(err, errFault) {
		err = payment.Refuse(payment.Unavailable, payment.WordNoRate, "fault")
	}
	return price, err
}

// serialLanes let one message out after the other, so that a seed plays the same every time.
type serialLanes struct {
	engine.Lanes
	free chan struct{}
}

func (l *serialLanes) TryEnter(origin string) bool {
	<-l.free
	if l.Lanes.TryEnter(origin) {
		return true
	}
	l.free <- struct{}{}
	return false
}

func (l *serialLanes) Leave(origin string, ok bool) {
	l.Lanes.Leave(origin, ok)
	l.free <- struct{}{}
}

func (l *serialLanes) Cancel(origin string) {
	l.Lanes.Cancel(origin)
	l.free <- struct{}{}
}

// plain keeps secrets as they are.
type plain struct{}

func (plain) Seal(b []byte) ([]byte, error) { return append([]byte("sealed"), b...), nil }
func (plain) Open(b []byte) ([]byte, error) { return b[len("sealed"):], nil }
