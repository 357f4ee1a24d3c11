package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/signer"
)

const network = money.Network("bitcoin/regtest")

// A house is the whole program as pipe serve wires it, with one application, in this process.
type house struct {
	*app.App
	addr     string
	key      string
	app      engine.NewApplication
	merchant payment.Merchant
	shop     string // origin of its callbacks
	shops    []string
	ids      []payment.ID
	paid     []string      // addresses of waiting invoices
	signer   engine.Signer // of roles with worker
	used     int           // invoices that a callback was made of
	seed     random
	cancel   context.CancelFunc
	ran      chan error
}

// setup says how to open a house.
type setup struct {
	name     string
	database string // empty: SQLite of its own
	roles    string // empty: api,checkout
	origins  []string
	reader   func(chain.Reader) chain.Reader
	proxied  bool // callers come through a proxy, each payer with an address of its own
	idle     bool // nothing runs: the case steps what it needs itself

	// Of a house on a local chain:
	node  string
	coin  money.Currency
	parts *outParts
}

// networks are the settings of the networks of a house.
func (s setup) networks() []string {
	switch s.coin {
	case money.BTC:
		return []string{"PIPE_BITCOIN=regtest", "PIPE_BITCOIN_NODES=" + s.node, "PIPE_RATES=fixed:BTC/KRW=95000000;BTC/USD=68500"}
	case money.ETH:
		return []string{"PIPE_ETHEREUM=1337", "PIPE_ETHEREUM_NODES=" + s.node, "PIPE_RATES=fixed:ETH/KRW=3400000;ETH/USD=2500"}
	default:
		return []string{"PIPE_BITCOIN=regtest", "PIPE_BITCOIN_NODES=http://user:password@127.0.0.1:9", "PIPE_RATES=fixed:BTC/KRW=95000000;BTC/USD=68500"}
	}
}

// wrap takes out of the program what a case turns by hand.
func (s setup) wrap(h *house) app.Wrap {
	w := app.Wrap{Reader: s.reader, Signer: func(real engine.Signer) engine.Signer { h.signer = real; return real }}
	if s.parts != nil {
		w.Reader = func(real chain.Reader) chain.Reader { s.parts.reader = real; return real }
		w.Builder = func(real chain.Builder) chain.Builder { s.parts.builder = real; return real }
		w.Hand = func(real engine.Hand) engine.Hand { s.parts.hand = real; return real }
	}
	return w
}

// open builds a house and, unless it is to stay idle, runs it on a free port.
func (b *lab) open(ctx context.Context, s setup) (*house, error) {
	if s.roles == "" {
		s.roles = "api,checkout"
	}
	if len(s.origins) == 0 {
		s.origins = []string{"http://127.0.0.1:9"}
	}
	proxies := ""
	if s.proxied {
		proxies = "127.0.0.0/8"
	}
	var open []string
	for _, o := range s.origins {
		open = append(open, o+"=127.0.0.0/8")
	}
	c, err := app.LoadConfig("", append(s.networks(),
		"PIPE_DISK_RESERVE=0", "PIPE_DATA="+filepath.Join(b.dir, s.name), "PIPE_DATABASE="+s.database, "PIPE_ROLES="+s.roles,
		"PIPE_PUBLIC_URL=http://127.0.0.1", "PIPE_TRUSTED_PROXIES="+proxies,
		"PIPE_INSECURE_URLS=true", "PIPE_CALLBACK_OPEN="+strings.Join(open, ","), "PIPE_RATE_PER_KEY=10000000",
		"PIPE_SECRET_KEY="+strings.Repeat("0b", 32), "PIPE_SIGNER_PASSPHRASE=a passphrase of the benchmark", "PIPE_SECRET_KEY="+strings.Repeat("ab", 32),
	))
	if err != nil {
		return nil, err
	}
	if s.reader == nil && s.parts == nil {
		node := chaintest.NewFake(network)
		node.SetNow(time.Now())
		node.Mine(3)
		s.reader = func(chain.Reader) chain.Reader { return node }
	}
	h := &house{shop: s.origins[0], shops: s.origins, seed: random{uint64(len(s.name))}, cancel: func() {}, ran: make(chan error, 1)}
	var a *app.App
	a, err = app.Open(ctx, c, app.Options{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Migrate: true, MakeSeed: true,
		SeedKDF: signer.KDF{Memory: 8 << 10, Passes: 1, Lanes: 1},
		Wrap:    s.wrap(h), SignerPolicy: loosePolicy(),
	})
	if err != nil {
		return nil, err
	}
	h.App = a
	if err := h.settle(ctx, s); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if s.idle {
		h.ran <- nil
	} else if err := h.start(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return h, nil
}

func (h *house) start(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.addr = l.Addr().String()
	run, cancel := context.WithCancel(ctx)
	h.cancel = cancel
	go func() { h.ran <- h.Run(run, l) }()
	return nil
}

func (h *house) close() error {
	h.cancel()
	return errors.Join(<-h.ran, h.Close())
}

// settle makes the merchant and the application, and lets the network count as seen.
func (h *house) settle(ctx context.Context, s setup) (err error) {
	if h.merchant, err = h.Desk.AddMerchant(ctx, "A shop owner"); err != nil {
		return err
	}
	name, nets := "A shop", []string{"127.0.0.0/8", "10.0.0.0/8"}
	origins := s.origins[:min(len(s.origins), payment.MaxOrigins)]
	h.app, err = h.Desk.AddApplication(ctx, h.merchant.ID, engine.Change{
		Name: &name, Origins: &origins, Networks: &nets, Callback: func(c *payment.CallbackSettings) { c.Seen = true },
	})
	if err != nil {
		return err
	}
	h.key = h.app.Key
	if s.parts != nil {
		return nil // the case looks at its network itself
	}
	return h.Store().Update(ctx, func(tx engine.Tx) error {
		return tx.SaveNetworkState(engine.NetworkState{Network: network, Sight: tx.Now().Add(24 * time.Hour)})
	})
}

// batches runs do for parts of n, each in one commit.
func (h *house) batches(ctx context.Context, n int, do func(tx engine.Tx, from, to int) error) error {
	for from := 0; from < n; from += fillBatch {
		err := h.Store().Update(ctx, func(tx engine.Tx) error { return do(tx, from, min(from+fillBatch, n)) })
		if err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	return nil
}

// fill stores invoices as create does, until there are n.
func (h *house) fill(ctx context.Context, n int) error {
	n -= len(h.ids)
	if n <= 0 {
		return nil
	}
	all := make([]payment.ID, n)
	err := h.batches(ctx, n, func(tx engine.Tx, from, to int) error {
		for i := from; i < to; i++ {
			inv := h.invoice(tx, i)
			all[i] = inv.ID
			if err := h.addInvoice(tx, inv); err != nil {
				return err
			}
		}
		return nil
	})
	h.ids = append(h.ids, all...)
	return err
}

func (h *house) addInvoice(tx engine.Tx, inv payment.Invoice) error {
	if err := tx.AddInvoice(inv); err != nil {
		return err
	}
	return tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: inv.ID, Kind: payment.EventCreated, At: tx.Now(),
		Data: map[string]string{"price": inv.Price.Text(), "price_currency": "USD"}})
}

func (h *house) invoice(tx engine.Tx, i int) payment.Invoice {
	price := money.Of(money.USD, int64(100+i%100_000))
	return payment.Invoice{
		ID: tx.NewID(), ApplicationID: h.app.ID, MerchantID: h.merchant.ID, OrderID: fmt.Sprintf("fixture-%d", i),
		OrderName: "A hat, size 7", Price: price, Language: payment.English, CallbackURL: h.shop + "/callback",
		OpenType: payment.OpenRedirect, Policy: h.app.Settings.Freeze(price), Coins: h.app.Coins, CreatedAt: tx.Now(),
		Refunds: map[money.Currency]payment.RefundAddress{}, UpdatedAt: tx.Now(),
		Told: payment.Told{Status: payment.Waiting, Deadline: tx.Now().Add(24 * time.Hour).UnixMilli()},
	}
}

// release is n more addresses of the signer, as free ones.
func (h *house) release(ctx context.Context, network money.Network, n int) ([]payment.Address, error) {
	all := make([]payment.Address, 0, n)
	for len(all) < n {
		batch, err := h.signer.Release(ctx, chain.Want{Merchant: string(h.merchant.ID), Branch: h.merchant.Branch, Network: network, Count: min(n-len(all), signer.MaxRelease)})
		if err != nil {
			return nil, err
		}
		for _, one := range batch.Addresses {
			all = append(all, payment.Address{
				Network: network, Address: one.Address, MerchantID: h.merchant.ID, Index: one.Index, Epoch: batch.Epoch,
				State: payment.AddressFree, Balance: money.Zero(network.Coin()), ReleasedAt: time.Now(),
			})
		}
	}
	return all, nil
}

// pool stores n more free addresses.
func (h *house) pool(ctx context.Context, n int) error {
	return h.poolOf(ctx, money.BTC, n)
}

// poolOf is the same for a coin.
func (h *house) poolOf(ctx context.Context, coin money.Currency, n int) error {
	all, err := h.release(ctx, h.Nets[coin].Network, n)
	if err != nil {
		return err
	}
	return h.batches(ctx, n, func(tx engine.Tx, from, to int) error { return tx.AddAddresses(all[from:to]) })
}

// timeID is like payment ids: time in front, the rest random.
func timeID(r *random) string {
	return strings.ToUpper(fmt.Sprintf("%012x%016x%016x%016x%04x", time.Now().UnixMilli(), r.next(), r.next(), r.next(), r.below(1<<16)))
}
