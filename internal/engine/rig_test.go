package engine_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/pgtest"
	"github.com/pipe-pg/pipe/internal/store"
	"github.com/pipe-pg/pipe/internal/webhook"
)

const (
	btcNet = money.Network("bitcoin/regtest")
	ethNet = money.Network("ethereum/1337")
)

// A clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A shop records what it is sent and answers as it is told. It stands outside the process: it survives crashes.
type shop struct {
	mu     sync.Mutex
	got    []payment.Message
	answer func(m payment.Message) payment.Answer
}

func (s *shop) Send(_ context.Context, m payment.Message) payment.Answer {
	s.mu.Lock()
	s.got = append(s.got, m)
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		return answer(m)
	}
	return payment.Answer{Delivered: true, Verdict: "ok", Status: 200, Body: []byte("ok")}
}

// A vault is a signer whose journal survives crashes, as the real one's does.
type vault struct {
	mu    sync.Mutex
	epoch uint64
	next  map[string]chain.Mark
	stamp string
}

func (v *vault) Released(_ context.Context, w chain.Want, from uint32) (chain.Batch, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := chain.Batch{Epoch: v.epoch}
	for i := range uint32(w.Count) {
		b.Addresses = append(b.Addresses, chain.Released{Index: from + i, Address: addressOf(w.Network, w.Branch, from+i)})
	}
	return b, nil
}

func (v *vault) Stamp(_ context.Context, text string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stamp = text
	return nil
}

func (v *vault) Release(_ context.Context, w chain.Want) (chain.Batch, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := fmt.Sprint(w.Branch, " ", w.Network)
	m := v.next[key]
	m.Merchant, m.Branch, m.Network = w.Merchant, w.Branch, w.Network
	b := chain.Batch{Epoch: v.epoch}
	for range w.Count {
		b.Addresses = append(b.Addresses, chain.Released{Index: m.Next, Address: addressOf(w.Network, w.Branch, m.Next)})
		m.Next++
	}
	v.next[key] = m
	return b, nil
}

func (v *vault) Marks(context.Context) (chain.Marks, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := chain.Marks{Epoch: v.epoch, Stamp: v.stamp}
	for _, lane := range v.next {
		m.Lanes = append(m.Lanes, lane)
	}
	return m, nil
}

func (v *vault) NewEpoch(context.Context) (uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.epoch++
	return v.epoch, nil
}

func addressOf(n money.Network, branch, index uint32) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", n, branch, index))
	if n == ethNet {
		return "0x" + hex.EncodeToString(sum[:20])
	}
	return "bcrt1q" + hex.EncodeToString(sum[:19])
}

// rates are fixed, or absent. Prices: 1 BTC is 50,000 USD, 1 ETH is 2,500 USD; KRW at 1,000 each.
type rates struct {
	mu   sync.Mutex
	text map[money.Currency]string // USD
}

func (r *rates) Price(_ context.Context, coin, currency money.Currency) (payment.Price, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, ok := r.text[coin]
	if !ok {
		return payment.Price{}, payment.Refuse(payment.Unavailable, payment.WordNoRate, "no rate")
	}
	if currency == money.KRW {
		text += "000"
	}
	rate, err := money.ParseRate(coin, currency, text)
	return payment.Price{Rate: rate, Votes: []payment.Vote{{Source: "test", Value: text, Counted: true}}}, err
}

func (r *rates) set(coin money.Currency, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text == "" {
		delete(r.text, coin)
		return
	}
	r.text[coin] = text
}

type plain struct{}

func (plain) Seal(b []byte) ([]byte, error) { return append([]byte("sealed"), b...), nil }
func (plain) Open(b []byte) ([]byte, error) { return b[len("sealed"):], nil }

// A rig is the whole engine on a real database and fake chains. boot makes everything anew over what survives a crash: the
// database file, the chains, the signer's journal and the shop.
type rig struct {
	testing.TB
	dir    string
	clock  *clock
	btc    *chaintest.Fake
	eth    *chaintest.Fake
	shop   *shop
	vault  *vault
	hand   *chaintest.Hand
	rates  *rates
	faults *faults
	errors *strings.Builder

	store   *store.Store
	url     string // of the database
	desk    *engine.Desk
	nets    map[money.Currency]engine.Net
	payer   map[money.Currency]*engine.Payer
	at      func(engine.PayStep)
	watch   map[money.Currency]*engine.Watcher
	pool    *engine.Pool
	courier *engine.Courier
	clerk   *engine.Clerk
	auditor *engine.Auditor

	merchant payment.Merchant
	app      payment.Application
}

// prototype is what every rig begins as, made once: one merchant with one application, full pools, both networks in sight.
// The fake chains give the same blocks each time, so that a database made beside some fits all.
var prototype = sync.OnceValues(func() (p struct {
	database []byte
	vault    map[string]chain.Mark
	merchant payment.Merchant
	app      payment.Application
}, err error) {
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := bareRig(nil, dir)
	if err := r.settle(); err != nil {
		return p, err
	}
	p.merchant, p.app, p.vault = r.merchant, r.app, r.vault.next
	if err := r.store.Close(); err != nil {
		return p, err
	}
	p.database, err = os.ReadFile(filepath.Join(dir, "pipe.db"))
	return p, err
})

// settle makes what every rig begins as, in an empty database.
func (r *rig) settle() (err error) {
	ctx := context.Background()
	if _, _, err := store.Migrate(ctx, r.url, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	if r.merchant, err = r.desk.AddMerchant(ctx, "Shop"); err != nil {
		return err
	}
	name, origins := "App", []string{"https://shop.example"}
	made, err := r.desk.AddApplication(ctx, r.merchant.ID, engine.Change{Name: &name, Origins: &origins, Settings: func(s *payment.Settings) {
		s.Depths = []payment.DepthRule{{Coin: money.BTC, Depth: payment.Depth{Blocks: 2}}, {Coin: money.ETH, Depth: payment.Depth{Blocks: 3}}}
	}})
	if err != nil {
		return err
	}
	r.app = made.Application
	if err := r.pool.Step(ctx); err != nil {
		return err
	}
	r.firstBlocks()
	for _, w := range r.watch {
		for range 3 {
			if err := w.Follow(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// newPostgresRig is a newRig whose database is one of PostgreSQL's.
func newPostgresRig(t testing.TB) *rig {
	t.Helper()
	r := bareRig(t, "")
	r.url = pgtest.URL(t)
	r.must(r.settle())
	t.Cleanup(func() {
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
	r.follow()
	return r
}

// bareRig is a rig whose process was not started yet.
func bareRig(t testing.TB, dir string) *rig {
	return &rig{
		TB: t, dir: dir, clock: &clock{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)},
		btc: chaintest.NewFake(btcNet), eth: chaintest.NewFake(ethNet), shop: &shop{}, faults: &faults{}, errors: &strings.Builder{},
		url: "sqlite:" + filepath.Join(dir, "pipe.db"), hand: chaintest.NewHand(),
		vault: &vault{next: map[string]chain.Mark{}}, rates: &rates{text: map[money.Currency]string{money.BTC: "50000", money.ETH: "2500"}},
	}
}

// firstBlocks are there before anybody pays.
func (r *rig) firstBlocks() {
	r.mine(money.BTC, 1)
	r.mine(money.ETH, 1)
}

// ramDir is a directory for databases: in memory where the machine has such a place, so that commits cost no disk.
func ramDir(t testing.TB) string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		if dir, err := os.MkdirTemp("/dev/shm", "engine"); err == nil {
			t.Cleanup(func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			return dir
		}
	}
	return t.TempDir()
}

// newRig has one merchant with one application, full pools, and both networks in sight.
func newRig(t testing.TB) *rig {
	t.Helper()
	p, err := prototype()
	if err != nil {
		t.Fatal(err)
	}
	r := bareRig(t, ramDir(t))
	r.merchant, r.app, r.vault.next = p.merchant, p.app, maps.Clone(p.vault)
	r.must(os.WriteFile(filepath.Join(r.dir, "pipe.db"), p.database, 0o600))
	r.firstBlocks()
	r.boot()
	t.Cleanup(func() {
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
	r.follow()
	return r
}

// boot starts the process anew.
func (r *rig) boot() {
	r.Helper()
	if r.store != nil {
		r.courier.Wait()
		r.must(r.store.Close())
	}
	r.must(r.start())
}

// start opens the database and makes everything over it.
func (r *rig) start() error {
	log := slog.New(slog.NewTextHandler(r.errors, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := store.Open(context.Background(), store.Options{
		URL: r.url, Now: r.clock.Now, Logger: log, RunTwice: true,
		Fatal: func(err error) { r.Errorf("store is lost: %v", err) },
	})
	if err != nil {
		return err
	}
	r.store = s
	parse := func(prefix string) func(string) (string, error) {
		return func(text string) (string, error) {
			if !strings.HasPrefix(text, prefix) {
				return "", fmt.Errorf("does not begin with %s", prefix)
			}
			return strings.ToLower(text), nil
		}
	}
	base := engine.Net{Final: payment.Depth{Blocks: 4}, Retry: 10 * time.Second, MaxBlind: 5 * time.Minute, DropAfter: 10 * time.Minute, ForgetAfter: 3 * time.Hour, BreakerDepth: 3, BlockTime: time.Minute}
	btc, eth := base, base
	btc.Network, btc.ParseAddress = btcNet, parse("bcrt1")
	eth.Network, eth.ParseAddress, eth.Accounts, eth.MaxAhead = ethNet, parse("0x"), true, engine.MaxSkew
	r.nets = map[money.Currency]engine.Net{money.BTC: btc, money.ETH: eth}
	wrapped := faultyStore{r.faults, s}
	readers := map[money.Network]chain.Reader{btcNet: faultyReader{r.faults, r.btc}, ethNet: faultyReader{r.faults, r.eth}}
	sender := faultySender{r.faults, r.shop}
	r.desk = &engine.Desk{
		Store: wrapped, Rates: r.rates, Sender: sender, Render: webhook.Render, Sealer: plain{}, Nets: r.nets, Log: log,
		MaxPrice: map[money.Currency]money.Amount{money.KRW: money.Of(money.KRW, 1_000_000_000), money.USD: money.Of(money.USD, 100_000_000)},
	}
	r.watch, r.payer = map[money.Currency]*engine.Watcher{}, map[money.Currency]*engine.Payer{}
	for coin, n := range r.nets {
		r.payer[coin] = r.newPayer(coin, wrapped, faultyHand{r.faults, r.hand}, faultyBuilder{r.faults, r.chain(coin)})
		r.watch[coin] = &engine.Watcher{Store: wrapped, Reader: readers[n.Network], Net: n, Nets: r.nets, Render: webhook.Render, Log: log}
	}
	r.pool = &engine.Pool{Store: wrapped, Signer: faultySigner{r.faults, r.vault}, Nets: r.nets, Log: log}
	r.courier = &engine.Courier{
		Store: wrapped, Sender: sender, Sealer: plain{}, Log: log, Lanes: webhook.NewLanes(webhook.LaneOptions{Now: r.clock.Now}),
		Pause: func(attempts int) (time.Duration, bool) { return webhook.Pause(attempts, nil) },
	}
	r.clerk = &engine.Clerk{Store: wrapped, Rates: r.rates, Nets: r.nets, Render: webhook.Render, Log: log}
	r.auditor = &engine.Auditor{Store: s, Readers: map[money.Network]chain.Reader{btcNet: r.btc, ethNet: r.eth}, Nets: r.nets}
	return nil
}

// rules are the operator's limits in rigs.
func rules(coin money.Currency) engine.PayRules {
	rules := engine.PayRules{MaxRate: money.Of(money.BTC, 300_000), FeeShare: 50_000, BumpAfter: 30 * time.Minute, Resend: 10 * time.Minute, Batch: 50}
	if coin == money.ETH {
		rules.MaxRate, rules.BumpAfter, rules.Batch = money.Of(money.ETH, 300_000_000_000), 3*time.Minute, 1
	}
	return rules
}

func (r *rig) newPayer(coin money.Currency, s engine.Store, h engine.Hand, b chain.Builder) *engine.Payer {
	return &engine.Payer{
		Store: s, Net: r.nets[coin], Nets: r.nets, Builder: b, Hand: h, Rules: rules(coin), Render: webhook.Render,
		Log: slog.New(slog.NewTextHandler(r.errors, &slog.HandlerOptions{Level: slog.LevelError})), At: func(s engine.PayStep) {
			if r.at != nil {
				r.at(s)
			}
		},
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// set changes the application's settings.
func (r *rig) set(settings func(*payment.Settings), callback func(*payment.CallbackSettings)) {
	r.Helper()
	app, err := r.desk.SetApplication(r.Context(), r.app.ID, engine.Change{Settings: settings, Callback: callback})
	r.must(err)
	r.app = app
}

func (r *rig) chain(coin money.Currency) *chaintest.Fake {
	if coin == money.ETH {
		return r.eth
	}
	return r.btc
}

// mine adds blocks whose time is the clock's.
func (r *rig) mine(coin money.Currency, n int) {
	c := r.chain(coin)
	c.SetNow(r.clock.Now())
	c.Mine(n)
}

// follow brings both watchers to the tip, twice, so that what the first look learned is told.
func (r *rig) follow() {
	r.Helper()
	for range 2 {
		for _, coin := range []money.Currency{money.BTC, money.ETH} {
			for range 5 {
				r.must(r.watch[coin].Follow(r.Context()))
			}
		}
	}
}

func (r *rig) create(price string, more ...func(*engine.Create)) payment.ID {
	r.Helper()
	c := engine.Create{PriceCurrency: "USD", Price: price, OrderID: "order-1", CallbackURL: "https://shop.example/callback"}
	for _, m := range more {
		m(&c)
	}
	inv, err := r.desk.Create(r.Context(), r.app, c)
	r.must(err)
	return inv.ID
}

// choose chooses a coin and gives the address to pay to.
func (r *rig) choose(id payment.ID, coin money.Currency) string {
	r.Helper()
	r.must(r.desk.Choose(r.Context(), id, engine.Choice{Coin: coin}))
	return r.address(id, coin)
}

func (r *rig) address(id payment.ID, coin money.Currency) string {
	r.Helper()
	for _, q := range r.facts(id).Quotes {
		if q.Coin == coin {
			return q.Address
		}
	}
	r.Fatalf("invoice has no address for %s", coin)
	return ""
}

func (r *rig) facts(id payment.ID) (f payment.Facts) {
	r.Helper()
	r.view(func(tx engine.Tx) (err error) {
		f, err = tx.Facts(id)
		return err
	})
	return f
}

func (r *rig) view(fn func(tx engine.Tx) error) {
	r.Helper()
	r.must(r.store.View(r.Context(), fn))
}

func (r *rig) update(fn func(tx engine.Tx) error) {
	r.Helper()
	r.must(r.store.Update(r.Context(), fn))
}

func amount(coin money.Currency, text string) money.Amount {
	a, err := money.Parse(coin, text)
	if err != nil {
		panic(err)
	}
	return a
}

// is checks status/deposit and marks as told.
func (r *rig) is(id payment.ID, want string) {
	r.Helper()
	told := r.facts(id).Invoice.Told
	got := fmt.Sprintf("%d/%d", told.Status, told.Deposit)
	for m, name := range []string{"short", "excess", "late", "reversed", "dropped"} {
		if told.Marks.Has(1 << m) {
			got += " " + name
		}
	}
	if got != want {
		r.Fatalf("invoice is %s, want %s; deposits %+v", got, want, r.facts(id).Deposits)
	}
}

func (r *rig) callbacks(id payment.ID) (all []payment.Callback) {
	r.Helper()
	r.view(func(tx engine.Tx) (err error) {
		all, err = tx.Callbacks(id, 100)
		return err
	})
	return all
}

// owes checks the callbacks of an invoice, as status or code:status.
func (r *rig) owes(id payment.ID, want string) {
	r.Helper()
	var got []string
	for _, c := range r.callbacks(id) {
		s := fmt.Sprint(int(c.Status))
		if c.Code != 1 {
			s = fmt.Sprint(c.Code, ":", s)
		}
		got = append(got, s)
	}
	if strings.Join(got, " ") != want {
		r.Fatalf("callbacks %v, want %q", got, want)
	}
}

// held is what the ledger has for an invoice.
func (r *rig) held(id payment.ID, n money.Network) string {
	r.Helper()
	sum := money.Zero(n.Coin())
	r.view(func(tx engine.Tx) error {
		all, err := tx.Balances("", "", 1000)
		for _, b := range all {
			if string(b.Account) == "invoice/"+string(id) && b.Network == n {
				sum = sum.Add(b.Amount)
			}
		}
		return err
	})
	return sum.Text()
}

func (r *rig) deposit(n money.Network, ref string) (d payment.Deposit) {
	r.Helper()
	r.view(func(tx engine.Tx) (err error) {
		d, err = tx.Deposit(n, ref)
		return err
	})
	return d
}

// send lets the courier send what is due.
func (r *rig) send() {
	r.Helper()
	r.must(r.courier.Step(r.Context()))
	r.courier.Wait()
}

// clean checks that an audit finds nothing, that no block was skipped and that nothing is left half done.
func (r *rig) clean() {
	r.Helper()
	report, err := r.auditor.Audit(r.Context())
	r.must(err)
	for _, d := range report.Differences {
		r.Errorf("audit: %s: %s", d.What, d.Text)
	}
	for _, u := range report.Unchecked {
		r.Errorf("audit could not check %s", u)
	}
	r.view(func(tx engine.Tx) error {
		for _, n := range r.nets {
			blocks, err := tx.RecentBlocks(n.Network, 10_000)
			if err != nil {
				return err
			}
			for i := 1; i < len(blocks); i++ {
				if blocks[i].Parent != blocks[i-1].Hash || blocks[i].Height != blocks[i-1].Height+1 {
					r.Errorf("%s: block %d does not follow", n.Network, blocks[i].Height)
				}
			}
			stirred, err := tx.Stirred(n.Network, 10)
			if err != nil {
				return err
			}
			if len(stirred) > 0 {
				r.Errorf("%s: %d invoices are still stirred", n.Network, len(stirred))
			}
		}
		return nil
	})
	if r.Failed() {
		r.FailNow()
	}
}
