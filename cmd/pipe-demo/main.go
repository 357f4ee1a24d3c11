// Command pipe-demo is PIPE with local chains, a shop and a faucet around it: everything on this machine, nothing to set
// up, no coin of any worth.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/pipe-pg/pipe/internal/demo"
)

type options struct {
	Listen   string            `default:"127.0.0.1:8080" help:"Where payment page and API are served; port 0 takes a free one."`
	Data     string            `default:"pipe-demo-data" help:"Directory of everything the demo keeps."`
	Database string            `help:"sqlite:PATH or postgres://…; by default SQLite in the data directory."`
	Ready    string            `help:"File to write, as JSON, when all is up."`
	Bitcoind string            `help:"Run this real bitcoind (regtest) in place of the chain in process."`
	NoMining bool              `help:"Mine no blocks by themselves."`
	Set      map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"A setting of pipe serve, like PIPE_BITCOIN_BUMP_AFTER=5s; may be given several times."`
	Log      string            `default:"" help:"File for the log; by default pipe-demo.log in the data directory."`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("pipe-demo"), kong.Description("PIPE on local chains, with a shop and a faucet."))
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "pipe-demo:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return err
	}
	if o.Log == "" {
		o.Log = filepath.Join(o.Data, "pipe-demo.log")
	}
	f, err := os.OpenFile(o.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fmt.Println("PIPE demo: starting")
	d, err := demo.Start(ctx, demo.Options{
		Listen: o.Listen, Data: o.Data, Database: o.Database, Ready: o.Ready, NoMining: o.NoMining, Bitcoind: o.Bitcoind,
		Set: o.Set, Out: os.Stdout, Log: slog.New(slog.NewTextHandler(f, nil)),
	})
	if err != nil {
		return err
	}
	greet(d.Ready(), o)
	ended := make(chan error, 1)
	go func() { ended <- d.Wait() }()
	select {
	case <-ctx.Done():
		fmt.Println("\nPIPE demo: stopping")
	case <-ended:
	}
	return d.Close()
}

func greet(r demo.Ready, o options) {
	fmt.Printf(`
PIPE demo: ready

  Shop      %s     buy something; the page that opens is PIPE's
  Payment   %s     API and payment page; pay from the faucet on the page
  Admin     %s     log in as %s with the password %s
  Control   %s     POST /pay /mine /reorg /shop …, GET /callbacks /balance …

  API key   %s
  Log       %s

Open the shop, choose a product, choose a coin, then press a button of the faucet and watch. Blocks come by themselves.
Things to try:
  pay               a few blocks and ten seconds later the coins are in the shop's own wallet (see the shop's page)
  refund            press "Refund this order" beside a paid order; on the payment page, say where the coins shall go
  pay too little    after the deadline PIPE gives back what came
  pay too much      paid, and the rest comes back
  pay too late      comes back as well
Where money comes back, the payment page asks for an address; its URL stays the same for ever. Any address that is not
PIPE's will do, like the shop's own:
  Bitcoin   %s
  Ethereum  %s

Ctrl-C stops the demo; started again with --data %s it goes on where it was.
`, r.ShopURL, r.URL, r.AdminURL, r.AdminEmail, r.AdminPassword, r.ControlURL, r.APIKey, o.Log, r.SettlementBTC, r.SettlementETH, o.Data)
}
