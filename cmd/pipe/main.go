// Command pipe is the payment gateway: the server, and the commands that set it up and look after it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/payment"
)

// commands is the table of subcommands; each stands in its own file.
type commands struct {
	Config string `short:"c" env:"PIPE_CONFIG" type:"path" help:"File of KEY=value settings; the environment wins over it."`

	Serve    serveCommand    `cmd:"" help:"Run the gateway: API, payment page and workers."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database's schema up to date."`
	Seed     seedCommand     `cmd:"" help:"Make the encrypted seed, or bring one back from its recovery phrase."`
	Restore  restoreCommand  `cmd:"" help:"Find every address and coin of a recovery phrase on the chains, without any database."`
	Signer   signerCommand   `cmd:"" help:"Run the signer as a process of its own, and decide what it may sign."`
	Merchant merchantCommand `cmd:"" help:"Add and list merchants."`
	App      appCommand      `cmd:"" help:"Add, list and change applications, and their API keys."`
	User     userCommand     `cmd:"" help:"Make the first operator's account, and check the audit log."`
	Wallet   walletCommand   `cmd:"" help:"Look into PIPE wallets: balances, receiving addresses, withdrawals, history."`
	Payouts  payoutsCommand  `cmd:"" help:"Whether coins may leave: status, halt, resume."`
	Doctor   doctorCommand   `cmd:"" help:"Look at nodes, rates, database, disk and clock, each with its cure."`
	Audit    auditCommand    `cmd:"" help:"Recompute everything from the entries and the chains, and print each difference."`
	Settings settingsCommand `cmd:"" name:"config" help:"Print every setting in force, with what it means."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// env is what a command runs in.
type env struct {
	ctx    context.Context
	file   string
	stdout io.Writer
	stdin  io.Reader
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Parse(&c, kong.Name("pipe"), kong.ShortUsageOnError(),
		kong.Description("PIPE: a payment gateway for shops that are paid in cryptocurrency. Settings come from PIPE_* in the environment or a file; see pipe config."))
	if err := k.Run(&env{ctx: ctx, file: c.Config, stdout: os.Stdout, stdin: os.Stdin}); err != nil {
		fmt.Fprintln(os.Stderr, "pipe:", explain(err))
		os.Exit(1)
	}
}

// explain is the error as people read it.
func explain(err error) string {
	var refusal *payment.Error
	if errors.As(err, &refusal) {
		if refusal.Field != "" {
			return refusal.Field + ": " + refusal.Message
		}
		return refusal.Message
	}
	return err.Error()
}

// config reads the settings and makes the log they ask for.
func (e *env) config() (app.Config, *slog.Logger, error) {
	c, err := app.LoadConfig(e.file, os.Environ())
	if err != nil {
		return c, nil, err
	}
	log, err := c.Logger(os.Stderr)
	return c, log, err
}

// withDesk opens what short commands need, beside a running server, for the time of one call.
func (e *env) withDesk(do func(a *app.App) error) (err error) {
	c, log, err := e.config()
	if err != nil {
		return err
	}
	a, err := app.OpenDesk(e.ctx, c, app.Options{Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return do(a)
}

type versionCommand struct{}

func (versionCommand) Run(e *env) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += " " + s.Value
			}
		}
	}
	_, err := fmt.Fprintln(e.stdout, "pipe", version)
	return err
}
