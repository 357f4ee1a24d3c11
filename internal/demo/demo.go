package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
	"github.com/pipe-pg/pipe/internal/devchain/bitcoind"
	"github.com/pipe-pg/pipe/internal/devchain/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/signer"
)

// Options say where the demo lives and what it leaves out.
type Options struct {
	Listen   string // of page and API; port 0 takes a free one, the same as last time where it can
	Data     string // directory of everything; made where it is missing
	Database string // sqlite:… or postgres://…; "": sqlite in Data
	Ready    string // file that is written when all is up; "": none
	NoMining bool   // blocks come only by control
	Out      io.Writer
	Log      *slog.Logger

	// Bitcoind runs this real bitcoind, in regtest, in place of the in-process chain; "": the in-process one.
	Bitcoind string
	// App are the options of the program itself, for tests.
	App app.Options
	// Set are further settings of the program by key, for tests.
	Set map[string]string
}

// A Demo is the program with everything around it, up and running after Start.
type Demo struct {
	opts   Options
	state  state
	chains map[money.Currency]Chain
	shop   *shop
	app    *app.App
	crash  *crash
	mu     sync.Mutex // held while state changes after Start

	pageListener, shopListener, controlListener, adminListener net.Listener

	stop context.CancelFunc
	done chan struct{}
	err  error // valid once done is closed
}

// state is what the demo must remember between starts, in demo.json.
type state struct {
	Ports struct{ Page, Shop, Control, Admin int } `json:"ports"`

	BitcoinUser     string `json:"bitcoin_user"`
	BitcoinPassword string `json:"bitcoin_password"`
	Passphrase      string `json:"passphrase"`
	MerchantID      string `json:"merchant_id"`
	ApplicationID   string `json:"application_id"`
	APIKey          string `json:"api_key"`
	Secret          string `json:"webhook_secret"`
	AdminPassword   string `json:"admin_password"`

	// Settlement are the addresses of the shop's own wallet, outside PIPE.
	Settlement map[money.Currency]string `json:"settlement_addresses"`
	// Filled: coins were paid into the PIPE wallet.
	Filled bool `json:"wallet_filled"`
	// Fees are how many times the ordinary ones are in force, which the chains themselves forget.
	Fees map[money.Currency]int64 `json:"fees"`
}

// Ready is what is written to Options.Ready.
type Ready struct {
	URL            string `json:"url"`
	APIKey         string `json:"api_key"`
	ApplicationID  string `json:"application_id"`
	WebhookSecret  string `json:"webhook_secret"`
	ShopURL        string `json:"shop_url"`
	ControlURL     string `json:"control_url"`
	BitcoinRPCURL  string `json:"bitcoin_rpc_url"`
	EthereumRPCURL string `json:"ethereum_rpc_url"`
	AdminURL       string `json:"admin_url"`
	AdminEmail     string `json:"admin_email"`
	AdminPassword  string `json:"admin_password"`

	// The addresses of the shop's own wallet at the first start. Every field is a text, so that scripts read them alike.
	SettlementBTC string `json:"settlement_btc"`
	SettlementETH string `json:"settlement_eth"`
}

// Start brings everything up and returns when it can be used. Stop it with Close, also after an error of Wait.
func Start(ctx context.Context, o Options) (d *Demo, err error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d = &Demo{opts: o, chains: map[money.Currency]Chain{}, done: make(chan struct{}), stop: func() {}}
	defer func() {
		if err != nil {
			close(d.done)
			err = errors.Join(err, d.release())
		}
	}()
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return d, fmt.Errorf("make data directory: %w", err)
	}
	if err := d.load(); err != nil {
		return d, err
	}
	if d.crash, err = openCrash(filepath.Join(o.Data, "crash-step")); err != nil {
		return d, err
	}
	d.say("bitcoin", "starting a regtest chain")
	d.say("ethereum", "starting a chain of its own")
	if err := d.openChains(ctx); err != nil {
		return d, err
	}
	if err := d.listen(ctx); err != nil {
		return d, err
	}
	if d.shop, err = openShop(filepath.Join(o.Data, "shop-callbacks.jsonl"), o.Log); err != nil {
		return d, err
	}
	d.say("pipe", "opening database and signer")
	if err := d.openApp(ctx); err != nil {
		return d, err
	}
	d.run()
	d.say("pipe", "waiting for both chains and a pool of addresses")
	if err = d.awaitReady(ctx); err == nil {
		err = d.fill(ctx)
	}
	if err == nil {
		err = d.writeReady()
	}
	if err != nil {
		d.stop()
		<-d.done
		d.done = make(chan struct{})
		return d, errors.Join(err, d.err)
	}
	return d, nil
}

// Wait returns when the demo has ended, with the reason.
func (d *Demo) Wait() error { <-d.done; return d.err }

// Close ends everything cleanly.
func (d *Demo) Close() error {
	d.stop()
	<-d.done
	return errors.Join(d.err, d.release())
}

func (d *Demo) release() error {
	var errs []error
	if d.app != nil {
		errs = append(errs, d.app.Close())
	}
	if d.shop != nil {
		errs = append(errs, d.shop.file.Close())
	}
	for _, c := range d.chains {
		errs = append(errs, c.Close())
	}
	for _, l := range []net.Listener{d.pageListener, d.shopListener, d.controlListener, d.adminListener} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (d *Demo) say(who, what string) {
	fmt.Fprintf(d.opts.Out, "  %-9s %s\n", who, what) //nolint:errcheck // progress that nobody can read is not missed
}

func (d *Demo) statePath() string { return filepath.Join(d.opts.Data, "demo.json") }

// load reads what was remembered, or makes up what a first start needs.
func (d *Demo) load() error {
	b, err := os.ReadFile(d.statePath())
	switch {
	case errors.Is(err, os.ErrNotExist):
		d.state.BitcoinUser, d.state.BitcoinPassword, d.state.Passphrase = "pipe", random(), random()
		return d.save()
	case err != nil:
		return fmt.Errorf("read demo state: %w", err)
	}
	if err := json.Unmarshal(b, &d.state); err != nil {
		return fmt.Errorf("read demo state %s: %w", d.statePath(), err)
	}
	return nil
}

func (d *Demo) save() error {
	b, err := json.MarshalIndent(d.state, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(d.statePath(), b)
}

func (d *Demo) openChains(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	var btc, eth Chain
	g.Go(func() (err error) {
		dir := filepath.Join(d.opts.Data, "bitcoin")
		if d.opts.Bitcoind != "" {
			n, err := bitcoind.Start(gctx, bitcoind.Options{Path: d.opts.Bitcoind, Dir: dir + "d", Logger: d.opts.Log})
			if err == nil {
				btc = bitcoinChain{n}
			}
			return err
		}
		c, err := bitcoin.Open(gctx, bitcoin.Options{
			Dir: dir, RPCUser: d.state.BitcoinUser, RPCPassword: d.state.BitcoinPassword, Logger: d.opts.Log,
		})
		if err == nil {
			btc = localBitcoin{bitcoinChain{c}, c}
		}
		return err
	})
	g.Go(func() error {
		c, err := ethereum.Open(gctx, ethereum.Options{Dir: filepath.Join(d.opts.Data, "ethereum"), Listen: "127.0.0.1:0", Logger: d.opts.Log})
		if err == nil {
			eth = ethereumChain{c}
		}
		return err
	})
	err := g.Wait()
	if btc != nil {
		d.chains[money.BTC] = btc
	}
	if eth != nil {
		d.chains[money.ETH] = eth
	}
	if errors.Is(err, bitcoin.ErrInUse) || errors.Is(err, ethereum.ErrInUse) {
		return fmt.Errorf("%s is in use by another pipe-demo: stop that one, or name another directory with --data (%w)", d.opts.Data, err)
	}
	if err != nil {
		return fmt.Errorf("start local chains: %w", err)
	}
	return d.restoreFees(ctx)
}

// listen takes the ports of last time where they are free: the callback URLs of open invoices name the shop's.
func (d *Demo) listen(ctx context.Context) error {
	host, port, err := net.SplitHostPort(d.opts.Listen)
	if err != nil {
		return fmt.Errorf("listen on %q: want host:port: %w", d.opts.Listen, err)
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return fmt.Errorf("listen on %q: the demo has no lock on its doors, so it listens on loopback only, like 127.0.0.1:8080", d.opts.Listen)
	}
	page := 0
	if port == "0" {
		page = d.state.Ports.Page
	} else if page, err = net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil {
		return err
	}
	p := &d.state.Ports
	if d.pageListener, p.Page, err = listenOn(ctx, host, page, port == "0"); err != nil {
		return err
	}
	if d.shopListener, p.Shop, err = listenOn(ctx, host, p.Shop, true); err != nil {
		return err
	}
	if d.controlListener, p.Control, err = listenOn(ctx, host, p.Control, true); err != nil {
		return err
	}
	if d.adminListener, p.Admin, err = listenOn(ctx, host, p.Admin, true); err != nil {
		return err
	}
	return d.save()
}

func listenOn(ctx context.Context, host string, port int, orFree bool) (net.Listener, int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil && orFree && port != 0 {
		l, err = lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, port, fmt.Errorf("listen: %w", err)
	}
	return l, l.Addr().(*net.TCPAddr).Port, nil
}

func origin(l net.Listener) string { return "http://" + l.Addr().String() }

// FixedRates are the demo's prices, named as such in every quote.
const FixedRates = "fixed:BTC/KRW=95000000;BTC/USD=68500;ETH/KRW=4750000;ETH/USD=3425"

func (d *Demo) config() (app.Config, error) {
	shop := origin(d.shopListener)
	env := map[string]string{
		"PIPE_DISK_FLOOR": "64", "PIPE_DISK_RESERVE": "1", "PIPE_DATA": d.opts.Data, "PIPE_DATABASE": d.opts.Database, "PIPE_PUBLIC_URL": origin(d.pageListener),
		"PIPE_BITCOIN": "regtest", "PIPE_BITCOIN_NODES": d.chains[money.BTC].URL(),
		"PIPE_ETHEREUM": "1337", "PIPE_ETHEREUM_NODES": d.chains[money.ETH].URL(),
		"PIPE_RATES": FixedRates, "PIPE_INSECURE_URLS": "true", "PIPE_CALLBACK_OPEN": shop + "=127.0.0.0/8+::1/128",
		"PIPE_SIGNER_PASSPHRASE": d.state.Passphrase, "PIPE_ADMIN_URL": d.adminURL(), "PIPE_SIGN_UP": "open",
	}
	for k, v := range d.opts.Set {
		env[k] = v
	}
	var list []string
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	return app.LoadConfig("", list)
}

func (d *Demo) openApp(ctx context.Context) error {
	c, err := d.config()
	if err != nil {
		return err
	}
	o := d.opts.App
	o.Log, o.Migrate, o.MakeSeed, o.SeedKDF = d.opts.Log, true, true, weakKDF()
	o.Panel, o.Admin = d.panel(), d.adminListener
	if o.At == nil {
		o.At = d.crash.at
	}
	if o.SignerPolicy == nil {
		o.SignerPolicy = loosePolicy()
	}
	if d.app, err = app.Open(ctx, c, o); err != nil {
		return err
	}
	if err := d.provision(ctx); err != nil {
		return err
	}
	return d.addAdmin(ctx)
}

// loosePolicy lets the demo's signer sign at once and without limits that one would meet: its coins are worth nothing.
func loosePolicy() *signer.Policy {
	p := signer.DefaultPolicy(false)
	p.DestinationDelay, p.RefundDelay = 0, 0
	for _, c := range []*signer.Caps{&p.BTC, &p.ETH} {
		for _, limit := range []*money.Amount{
			&c.Settle, &c.SettleDay, &c.Withdraw, &c.WithdrawDay, &c.Refund, &c.RefundDay, &c.RefundAll, &c.RefundFree, &c.GatherFee,
		} {
			*limit = money.OfBig(limit.Currency(), new(big.Int).Mul(limit.Big(), big.NewInt(1_000)))
		}
	}
	return &p
}

// weakKDF opens the seed fast: its passphrase lies in clear beside it, and its coins are worth nothing.
func weakKDF() signer.KDF { return signer.KDF{Memory: 8 << 10, Passes: 1, Lanes: 1} }

// Ready is how to reach everything.
func (d *Demo) Ready() Ready {
	return Ready{
		URL: origin(d.pageListener), APIKey: d.state.APIKey, ApplicationID: d.state.ApplicationID, WebhookSecret: d.state.Secret,
		ShopURL: origin(d.shopListener), ControlURL: origin(d.controlListener),
		BitcoinRPCURL: d.chains[money.BTC].URL(), EthereumRPCURL: d.chains[money.ETH].URL(),
		AdminURL: d.adminURL(), AdminEmail: AdminEmail, AdminPassword: d.state.AdminPassword,
		SettlementBTC: d.state.Settlement[money.BTC], SettlementETH: d.state.Settlement[money.ETH],
	}
}

func (d *Demo) writeReady() error {
	if d.opts.Ready == "" {
		return nil
	}
	b, err := json.MarshalIndent(d.Ready(), "", "  ")
	if err != nil {
		return err
	}
	return writeFile(d.opts.Ready, b)
}

// run starts program, shop, control and miners; d.done is closed when all have ended.
func (d *Demo) run() {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.app.Run(ctx, d.pageListener) })
	g.Go(func() error { return serve(ctx, d.shopListener, d.shop.handler()) })
	g.Go(func() error { return serve(ctx, d.controlListener, d.control()) })
	if !d.opts.NoMining {
		g.Go(func() error { return d.mine(ctx, money.BTC, MineBitcoin) })
		g.Go(func() error { return d.mine(ctx, money.ETH, MineEthereum) })
	}
	go func() {
		d.err = g.Wait()
		close(d.done)
	}()
}

func (d *Demo) mine(ctx context.Context, coin money.Currency, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, _, err := d.chains[coin].Mine(ctx, 1); err != nil && ctx.Err() == nil {
			return fmt.Errorf("mine %s: %w", coin, err)
		}
	}
}

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	end := context.AfterFunc(ctx, func() {
		if err := s.Close(); err != nil {
			return // it was closed already
		}
	})
	defer end()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
