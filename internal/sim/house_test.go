package sim_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/signer"
	"github.com/pipe-pg/pipe/internal/store"
	"github.com/pipe-pg/pipe/internal/webhook"
)

const (
	btcNet = money.Network("bitcoin/regtest")
	ethNet = money.Network("ethereum/1337")
	// phrase is the signer's seed: BIP-39's own test vector.
	phrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
		"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"
)

// seldom is so much that it never comes.
const seldom = 1 << 30

var coins = []money.Currency{money.BTC, money.ETH}

// A sim is one play of one seed.
type sim struct {
	seed uint64
	bug  string
	rng  *rand.Rand
	dir  string
	ctx  context.Context

	now    time.Time     // true time
	offset time.Duration // how wrong the machine's clock is
	ids    uint64
	step   int

	chains map[money.Currency]*truth
	rates  map[money.Currency]*quoted
	shops  map[string]*shopFront
	given  map[money.Currency][]string
	reused map[money.Network]payment.Address

	calm          bool       // no faults: before they begin, and when they are over
	first         sync.Mutex // see portReader.BlockAt
	nested        bool
	meanwhileOdds int
	glitchOdds    int
	crashEvery    int
	jumps         bool
	signerDown    bool
	pays          bool // payouts are played
	hand          *hand
	nets          map[money.Currency]engine.Net
	refusedOnce   map[string]int  // of a planted bug
	sentOnce      map[string]bool // the same
	outsiders     int
	spiked        int64           // the most that fees were multiplied by
	withdrawals   map[string]bool // addresses that merchants asked for
	receivers     map[money.Currency][]string
	runTwice      bool

	audit *auditor
	p     *process
	apps  []payment.Application

	counts map[string]int
	trace  []string
	digest hash.Hash
	bad    error
}

// A violation ends a play.
type violation struct{ text string }

func (v violation) Error() string { return v.text }

func (s *sim) violate(format string, args ...any) {
	if s.bad == nil {
		s.bad = violation{fmt.Sprintf(format, args...)}
		s.tracef("VIOLATION: %s", s.bad)
	}
}

func (s *sim) hit(what string) { s.counts[what]++ }

func (s *sim) tracef(format string, args ...any) {
	line := fmt.Sprintf("%5d %s ", s.step, s.now.Format("02 15:04:05.000")) + fmt.Sprintf(format, args...)
	fmt.Fprintln(s.digest, line)
	s.trace = append(s.trace, line)
}

// machine is the time on the machine's clock.
func (s *sim) machine() time.Time { return s.now.Add(s.offset) }

func (s *sim) chance(percent int) bool { return s.rng.IntN(100) < percent }

// A process is everything that a crash takes away.
type process struct {
	s         *sim
	dead      bool
	countdown int // calls until it dies; 0 or below: never

	store   *store.Store
	signer  *signer.Signer
	desk    *engine.Desk
	watch   map[money.Currency][2]*engine.Watcher
	pay     map[money.Currency][2]*engine.Payer
	recover *engine.Recovery
	pool    *engine.Pool
	courier *engine.Courier
	clerk   *engine.Clerk
	auditor *engine.Auditor
}

// prototype is an empty database, made once.
var prototype = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sim")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "pipe.db")
	if _, _, err := store.Migrate(context.Background(), "sqlite:"+path, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func newSim(ctx context.Context, dir string, seed uint64, bug string) (*sim, error) {
	s := &sim{
		seed: seed, bug: bug, rng: rand.New(rand.NewPCG(seed, 20260301)), dir: dir, ctx: ctx,
		now:    time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		chains: map[money.Currency]*truth{}, rates: map[money.Currency]*quoted{}, shops: map[string]*shopFront{},
		given: map[money.Currency][]string{}, reused: map[money.Network]payment.Address{}, counts: map[string]int{}, digest: sha256.New(), calm: true,
	}
	s.meanwhileOdds = []int{20, 60, 200}[s.rng.IntN(3)]
	s.glitchOdds = []int{40, 150, 1 << 20}[s.rng.IntN(3)]
	s.crashEvery = []int{200, 1500, seldom}[s.rng.IntN(3)] // calls of ports
	s.jumps = s.chance(25)
	s.runTwice = s.chance(25)
	s.readyToPay()
	s.audit = newAuditor(s)
	for _, coin := range coins {
		c := newTruth(coin, map[money.Currency]money.Network{money.BTC: btcNet, money.ETH: ethNet}[coin], s.now)
		c.tipAge, c.every = 6*time.Hour, 10*time.Minute
		if coin == money.ETH {
			c.tipAge, c.every = 2*time.Hour, 4*time.Minute
			if s.chance(40) {
				c.finality = 4 + uint64(s.rng.IntN(30))
			}
		}
		for i := range 1 + s.rng.IntN(3) {
			e := c.fake.Endpoint
			if i > 0 {
				e = c.fake.Another()
			}
			c.nodes = append(c.nodes, &node{Endpoint: e, s: s, c: c})
		}
		s.chains[coin] = c
	}
	s.rates[money.BTC], s.rates[money.ETH] = &quoted{cents: 5_000_000}, &quoted{cents: 250_000}
	database, err := prototype()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.database(), database, 0o600); err != nil {
		return nil, err
	}
	if err := signer.Restore(s.signerOptions(), signer.NewSecret(phrase)); err != nil {
		return nil, err
	}
	if err := s.boot(); err != nil {
		return nil, err
	}
	return s, s.provision()
}

func (s *sim) database() string { return filepath.Join(s.dir, "pipe.db") }

func (s *sim) signerOptions() signer.Options {
	return signer.Options{
		Dir: filepath.Join(s.dir, "signer"), Passphrase: signer.NewSecret("correct horse battery"),
		KDF: signer.KDF{Memory: 8, Passes: 1, Lanes: 1}, Now: s.machine, RestoreGap: 1,
	}
}

// boot starts a process over what survives a crash: the database, the signer's directory, the chains and the shops.
func (s *sim) boot() error {
	if s.p != nil {
		s.p.courier.Wait()
		if err := errors.Join(s.p.store.Close(), s.p.signer.Close()); err != nil {
			return err
		}
	}
	p := &process{s: s, countdown: -1}
	if !s.calm {
		p.countdown = 1 + s.rng.IntN(2*s.crashEvery)
		if s.crashEvery < seldom && s.chance(20) {
			p.countdown = 1 + s.rng.IntN(25) // again while it recovers
			s.hit("crash planned while recovering")
		}
	}
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(s.ctx, store.Options{URL: "sqlite:" + s.database(), Now: s.machine, Logger: log, RunTwice: s.runTwice,
		Fatal: func(err error) { s.violate("store is lost: %s", err) }})
	if err != nil {
		return err
	}
	sg, err := signer.Open(s.signerOptions())
	if err != nil {
		return errors.Join(err, st.Close())
	}
	p.store, p.signer = st, sg
	if err := p.wire(log); err != nil {
		return err
	}
	s.p = p
	s.audit.booted()
	s.nested = true                            // nothing else of the process runs before
	if err = p.pool.Check(s.ctx); err == nil { // as the program does, before anything is followed or given
		err = p.recover.Load(s.ctx)
	}
	s.nested = false
	if err != nil && !p.dead && !errors.Is(err, errFault) {
		return err
	} else if err != nil {
		s.hit("crash before the journal is compared")
		return s.boot()
	}
	return nil
}

func nets() map[money.Currency]engine.Net {
	base := engine.Net{Retry: 30 * time.Second, MaxBlind: 5 * time.Minute, DropAfter: 10 * time.Minute, ForgetAfter: 3 * time.Hour, BlockTime: time.Minute}
	btc, eth := base, base
	btc.Network, btc.BreakerDepth, btc.MaxAhead = btcNet, 3, 2*time.Hour+engine.MaxSkew
	btc.ParseAddress = func(text string) (string, error) { return bitcoin.ParseAddress(btcNet, text) }
	eth.Network, eth.BreakerDepth, eth.MaxAhead, eth.Accounts = ethNet, 8, engine.MaxSkew, true
	eth.ParseAddress = func(text string) (string, error) { return ethereum.ParseAddress(ethNet, text) }
	return map[money.Currency]engine.Net{money.BTC: btc, money.ETH: eth}
}

// wire makes everything over the open store and signer, as package app does.
func (p *process) wire(log *slog.Logger) error {
	s := p.s
	all, st, render := s.nets, portStore{p, p.store}, webhook.Render
	p.recover = &engine.Recovery{Store: st, Journal: portJournal{p}, Nets: all, Render: render, Log: log}
	p.pay = map[money.Currency][2]*engine.Payer{}
	p.desk = &engine.Desk{
		Store: st, Rates: portRates{p}, Sender: portSender{p}, Render: render, Sealer: plain{}, Nets: all, Log: log,
		MaxPrice: map[money.Currency]money.Amount{money.KRW: money.Of(money.KRW, 1_000_000_000), money.USD: money.Of(money.USD, 100_000_000)},
	}
	honest := map[money.Network]chain.Reader{}
	p.watch = map[money.Currency][2]*engine.Watcher{}
	for _, coin := range coins {
		c := s.chains[coin]
		var named []chain.Named
		for i, n := range c.nodes {
			named = append(named, chain.Named{Name: fmt.Sprint("node ", i), Reader: n})
		}
		q, err := chain.NewQuorum(c.network, named...)
		if err != nil {
			return err
		}
		honest[c.network] = c.honest
		var pair [2]*engine.Watcher
		for i := range pair {
			pair[i] = &engine.Watcher{Store: st, Reader: portReader{p, q, c}, Net: all[coin], Nets: all, Render: render, Log: log, Recovery: p.recover}
		}
		var payers [2]*engine.Payer
		for i := range payers {
			payers[i] = &engine.Payer{Store: st, Net: all[coin], Nets: all, Builder: portBuilder{p, c}, Hand: portHand{p}, Rules: payRules(coin),
				Recovery: p.recover, Render: render, Log: log}
		}
		p.pay[coin] = payers
		p.watch[coin] = pair
	}
	p.pool = &engine.Pool{Store: st, Signer: portSigner{p, p.signer}, Nets: all, Log: log}
	lanes := &serialLanes{Lanes: webhook.NewLanes(webhook.LaneOptions{Now: s.machine}), free: make(chan struct{}, 1)}
	lanes.free <- struct{}{}
	pause := func(attempts int) (time.Duration, bool) {
		if s.bug == "give up early" && attempts >= 4 {
			return 0, false
		}
		return webhook.Pause(attempts, s.rng.Int64N)
	}
	p.courier = &engine.Courier{Store: st, Sender: portSender{p}, Sealer: plain{}, Log: log, Lanes: lanes, Pause: pause}
	p.clerk = &engine.Clerk{Store: st, Rates: portRates{p}, Nets: all, Render: render, Log: log}
	p.auditor = &engine.Auditor{Store: p.store, Readers: honest, Nets: all}
	return nil
}

// provision sets up two merchants with three applications, and shops behind them.
func (s *sim) provision() error {
	for m := range 2 {
		merchant, err := s.p.desk.AddMerchant(s.ctx, fmt.Sprint("Merchant ", m))
		if err != nil {
			return err
		}
		for i := range 2 - m {
			name, origins := fmt.Sprint("App ", i), []string{fmt.Sprintf("https://shop%d%d.example", m, i)}
			depths := []payment.DepthRule{
				{Coin: money.BTC, Depth: payment.Depth{Blocks: 1 + s.rng.IntN(4)}}, {Coin: money.ETH, Depth: payment.Depth{Blocks: 1 + s.rng.IntN(12)}},
			}
			if s.chains[money.ETH].finality > 0 && s.chance(50) {
				depths[1].Depth = payment.Depth{Final: true, Stall: 64 * s.rng.IntN(2)}
			}
			late, extra, form := s.chance(30), s.rng.IntN(16), s.chance(30)
			settle, to := s.settlePolicy()
			app, err := s.p.desk.AddApplication(s.ctx, merchant.ID, engine.Change{Name: &name, Origins: &origins, Settlement: to,
				Settings: func(t *payment.Settings) { t.Depths, t.AcceptLate, t.Settle = depths, late, settle },
				Callback: func(c *payment.CallbackSettings) {
					c.Seen, c.Expired, c.Refunded, c.Reversed = extra&1 > 0, extra&2 > 0, extra&4 > 0, extra&8 > 0
					if form {
						c.Encoding = payment.EncodingForm
					}
				},
			})
			if err != nil {
				return err
			}
			s.apps = append(s.apps, app.Application)
			for _, address := range to {
				s.audit.settleTo[app.ID] = append(s.audit.settleTo[app.ID], address)
			}
		}
	}
	s.audit.apps = s.apps
	s.notePrices()
	for _, coin := range coins {
		s.chains[coin].mine(s.now, 2)
		for range 3 {
			if err := s.p.watch[coin][0].Follow(s.ctx); err != nil {
				return err
			}
		}
	}
	return s.p.pool.Step(s.ctx)
}

// A quoted price, in cents of a dollar; zero while nobody can be trusted.
type quoted struct {
	cents       int64
	least, most int64 // so far
	out         bool
}

func (s *sim) price(coin, currency money.Currency) (payment.Price, error) {
	q := s.rates[coin]
	if q.out {
		s.hit("rate outage met")
		return payment.Price{}, payment.Refuse(payment.Unavailable, payment.WordNoRate, "no rate")
	}
	text := fmt.Sprintf("%d.%02d", q.cents/100, q.cents%100)
	if currency == money.KRW {
		text = fmt.Sprintf("%d", q.cents*13+7)
	}
	rate, err := money.ParseRate(coin, currency, text)
	return payment.Price{Rate: rate, Votes: []payment.Vote{{Source: "sim", Value: text, Counted: true}}, At: s.machine()}, err
}

// A shopFront is one callback URL of a shop.
type shopFront struct {
	kind string // of its path
	got  int
}

// answer is what the shop says, by its kind.
func (s *sim) answer(url string) payment.Answer {
	f := s.shops[url]
	if f == nil {
		f = &shopFront{kind: url[strings.LastIndex(url, "/")+1:]}
		s.shops[url] = f
	}
	f.got++
	kind := f.kind
	if s.calm && kind != "dead" {
		kind = "ok"
	}
	fail := func(status int, verdict, body string) payment.Answer {
		return payment.Answer{Status: status, Verdict: verdict, Body: []byte(body)}
	}
	if kind == "flap" {
		kind = []string{"ok", "500", "hang", "garbage", "ok"}[s.rng.IntN(5)]
	}
	s.hit("shop " + kind)
	switch kind {
	case "500":
		return fail(500, "bad-status", "oops")
	case "hang", "dead":
		return fail(0, "timeout", "")
	case "garbage":
		return fail(200, "html", "<html>ok</html>")
	}
	return payment.Answer{Status: 200, Verdict: "delivered", Body: []byte("ok"), Delivered: true}
}
