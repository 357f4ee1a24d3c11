// Package app wires everything: the same wiring for the program, the demo and the tests. It builds, it does not think.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/rate"
	"github.com/pipe-pg/pipe/internal/signer"
	"github.com/pipe-pg/pipe/internal/store"
	"github.com/pipe-pg/pipe/internal/worker"
)

// Options are what the program's users do not set: for the demo and for tests.
type Options struct {
	Log *slog.Logger
	Now func() time.Time // business time; nil: time.Now
	// Migrate brings the schema up to date before the start.
	Migrate bool
	// MakeSeed makes a seed where there is none. Its recovery phrase is kept nowhere: for the demo and tests only.
	MakeSeed bool
	SeedKDF  signer.KDF
	// SignerPolicy is that of the embedded signer; nil: signer.DefaultPolicy.
	SignerPolicy *signer.Policy
	// At is called as each step of a payout begins, for tests that kill the program there.
	At func(engine.PayStep)
	// Admin is where the admin is served, instead of PIPE_ADMIN_LISTEN; its role must be on.
	Admin net.Listener
	// Panel is served below /demo/ and shown on open payment pages.
	Panel *Panel
	// Wrap lets tests put faults between the engine and its ports.
	Wrap Wrap
	// Fatal is called when the store cannot go on; it should end the process. nil: os.Exit(1).
	Fatal func(error)
}

// Wrap puts something between the engine and its ports; nil parts are left as they are.
type Wrap struct {
	Store  func(engine.Store) engine.Store
	Reader func(chain.Reader) chain.Reader
	Sender func(engine.Sender) engine.Sender
	Signer func(engine.Signer) engine.Signer
	Hand   func(engine.Hand) engine.Hand
	// Builder is called once for each network.
	Builder func(chain.Builder) chain.Builder
}

// An App is the whole program, open but not yet running.
type App struct {
	Config Config
	Desk   *engine.Desk
	Office *engine.Office
	Nets   map[money.Currency]engine.Net

	opts    Options
	log     *slog.Logger
	store   *store.Store
	ports   ports
	signer  keys // nil: this process needs none
	board   *rate.Board
	readers map[money.Network]chain.Reader
	tail    *engine.Tail
	loops   []worker.Loop
	courier *engine.Courier
	bell    engine.Bell // rung when a callback may be due
	pool    *engine.Pool
	recover *engine.Recovery
	reserve *reserve        // nil: this process writes little
	auditor *engine.Auditor // remembers what the audit before found
	handler http.Handler
	admin   http.Handler // nil: none here
}

// ports are what the engine works on, wrapped where tests want it.
type ports struct {
	store  engine.Store
	signer engine.Signer
	hand   engine.Hand
	// journal tells what was signed, for a store that is an older copy.
	journal engine.Journal
	sender  engine.Sender
}

// Open opens the store, checks its schema, opens the signer where this process works with it, and builds all that the
// configured roles need. Nothing runs and nothing is dialled before Run.
func Open(ctx context.Context, c Config, o Options) (*App, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	return open(ctx, c, o, func(a *App) error {
		if c.Has("worker") {
			if err := a.openSigner(); err != nil {
				return err
			}
			if err := a.openWorkers(); err != nil {
				return err
			}
		}
		return a.openServers()
	})
}

// OpenDesk opens what short commands need: the store and the desk, beside a running server.
func OpenDesk(ctx context.Context, c Config, o Options) (*App, error) { return open(ctx, c, o, nil) }

// open opens store, chains and desk, and then what serve does; nil for a short command, which shares the store.
func open(ctx context.Context, c Config, o Options, serve func(*App) error) (a *App, err error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a = &App{Config: c, opts: o, log: o.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return a, fmt.Errorf("make data directory: %w", err)
	}
	if serve != nil && c.Has("worker") { // before the store is opened, which may need the room
		a.reserve = a.newReserve()
		if err := a.reserve.keep(); err != nil {
			a.log.Warn("no room is kept on the disk", "error", err)
		}
	}
	if err := a.openStore(ctx, serve != nil); err != nil {
		return a, err
	}
	if err := a.openChains(); err != nil {
		return a, err
	}
	if err := a.openDesk(ctx); err != nil || serve == nil {
		return a, err
	}
	return a, serve(a)
}

func (a *App) openStore(ctx context.Context, exclusive bool) error {
	if a.opts.Migrate {
		if _, _, err := store.Migrate(ctx, a.Config.DatabaseURL(), a.log); err != nil {
			return fmt.Errorf("migrate database: %w", err)
		}
	}
	s, err := store.Open(ctx, store.Options{
		URL: a.Config.DatabaseURL(), Now: a.opts.Now, Logger: a.log, Exclusive: exclusive, Fatal: a.fatal,
	})
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	a.store, a.ports.store = s, s
	if a.opts.Wrap.Store != nil {
		a.ports.store = a.opts.Wrap.Store(s)
	}
	a.bell, a.tail = engine.NewBell(), &engine.Tail{}
	a.ports.store = engine.Waking{Store: a.ports.store, Callbacks: a.bell, Events: a.tail.Wake}
	a.tail.Store = a.ports.store
	return nil
}

// fatal ends the process. After a disk error, a commit of unknown outcome, or a journal that could not be written, nothing
// may go on as if it knew; the next start recovers.
func (a *App) fatal(err error) {
	a.log.Error("cannot go on: the process ends", "error", err)
	if a.reserve != nil { // a full disk is a reason: the next start finds room
		if err := a.reserve.keep(); err != nil {
			a.log.Error("the disk's reserve is left as it is", "error", err)
		}
	}
	if a.opts.Fatal != nil {
		a.opts.Fatal(err)
		return
	}
	os.Exit(1)
}

// Handler serves the API and the payment page.
func (a *App) Handler() http.Handler { return a.handler }

// Store is the store as the engine sees it.
func (a *App) Store() engine.Store { return a.ports.store }

// Auditor recomputes everything.
func (a *App) Auditor() *engine.Auditor {
	return &engine.Auditor{Store: a.ports.store, Readers: a.readers, Nets: a.Nets}
}

// Run works until ctx is done or something fails that must not go on. It serves on the given listener. When it returns,
// every loop has ended its step and every request has been answered or cut.
func (a *App) Run(ctx context.Context, on net.Listener) error {
	if a.pool != nil { // before anything can be given: an older copy of the store calls addresses free that are not
		if err := a.pool.Check(ctx); err != nil {
			return fmt.Errorf("compare database with signer: %w", err)
		}
		if err := a.recover.Load(ctx); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	if a.courier != nil {
		a.courier.Life = ctx
	}
	if len(a.loops) > 0 {
		g.Go(func() error { return worker.Run(ctx, a.log, a.loops...) })
	}
	if a.handler != nil {
		g.Go(func() error { return a.serve(ctx, on, a.handler) })
	}
	if a.admin != nil {
		g.Go(func() error { return a.serveAdmin(ctx) })
	}
	if s, embedded := a.signer.(*signer.Signer); embedded {
		g.Go(func() error { return s.Operate(ctx) })
	}
	err := g.Wait()
	if a.courier != nil {
		a.courier.Wait()
	}
	return err
}

// Close closes what Open opened, the store last.
func (a *App) Close() error {
	var errs []error
	if a.signer != nil {
		errs = append(errs, a.signer.Close())
		a.signer = nil
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
		a.store = nil
	}
	return errors.Join(errs...)
}

// SeedDir is where the embedded signer keeps its seed and journal.
func (c Config) SeedDir() string { return cmp.Or(c.signerDir, filepath.Join(c.Data, "signer")) }
