package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/signer"
)

// signerCommand runs a signer as a process of its own, and speaks with one as its operator, through a socket that only the
// signer's user may open; the signer inside the gateway has such a socket too. Its settings are PIPE_SIGNER_* in the
// environment or the file.
type signerCommand struct {
	Run           signerRunCommand           `cmd:"" help:"Run the signer as a process of its own."`
	Status        signerStatusCommand        `cmd:"" help:"Tell what the signer holds, and what waits for you."`
	Destinations  signerDestinationsCommand  `cmd:"" help:"List the addresses that settlements and withdrawals may go to."`
	Approve       signerApproveCommand       `cmd:"" help:"Approve a destination; its delay begins."`
	Veto          signerVetoCommand          `cmd:"" help:"Forbid a destination."`
	ApprovePayout signerApprovePayoutCommand `cmd:"" help:"Approve payouts above the caps."`
	Halt          signerHaltCommand          `cmd:"" help:"Sign nothing any more, from now on."`
	Resume        signerResumeCommand        `cmd:"" help:"Sign again after a halt."`
	Config        signerConfigCommand        `cmd:"" help:"Print the signer's settings in force, with what each means."`
}

type signerRunCommand struct{}

func (signerRunCommand) Run(e *env) error {
	c, log, err := e.signerConfig()
	if err != nil {
		return err
	}
	return signer.Run(e.ctx, c, log)
}

// signerConfig reads the signer's settings, from the same file and environment as the gateway's, and makes the log.
func (e *env) signerConfig() (signer.Config, *slog.Logger, error) {
	c, house, err := app.LoadSigner(e.file, os.Environ())
	if err != nil {
		return c, nil, err
	}
	log, err := house.Logger(os.Stderr)
	return c, log, err
}

// operator speaks with the running signer, in a process of its own or inside the gateway.
func (e *env) operator(do func(o *signer.Operator) error) (err error) {
	c, _, err := e.signerConfig()
	if err != nil {
		return err
	}
	o := signer.DialOperator(c.Operator)
	defer func() { err = errors.Join(err, o.Close()) }()
	return do(o)
}

type signerStatusCommand struct{}

func (signerStatusCommand) Run(e *env) error {
	return e.operator(func(o *signer.Operator) error {
		s, err := o.Status(e.ctx)
		if err != nil {
			return err
		}
		state := "signing"
		if s.Halted {
			state = "HALTED: nothing is signed until pipe signer resume"
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		if _, err := fmt.Fprintf(w, "state\t%s\njournal\t%s, %d bytes\nepoch\t%d\nmerchants\t%d\nspends\t%d signed of %d\ndestinations\t%d\n",
			state, s.Journal, s.Bytes, s.Epoch, s.Merchants, s.Signed, s.Spends, s.Destinations); err != nil {
			return err
		}
		all, err := o.Pending(e.ctx)
		if err != nil {
			return err
		}
		for _, q := range all {
			if _, err := fmt.Fprintf(w, "waits\t%s  %s of merchant %s, %s to %s on %s, asked %s%s\n", q.Payout, q.Cause, q.Merchant, q.Amount, q.To, q.Network,
				clock(q.At), choose(q.Approved, ", approved", "")); err != nil {
				return err
			}
		}
		return w.Flush()
	})
}

type signerDestinationsCommand struct{}

func (signerDestinationsCommand) Run(e *env) error {
	return e.operator(func(o *signer.Operator) error {
		all, err := o.Destinations(e.ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		if _, err := fmt.Fprintln(w, "MERCHANT\tNETWORK\tADDRESS\tREGISTERED\tPAYABLE FROM"); err != nil {
			return err
		}
		for _, d := range all {
			from := clock(d.From)
			switch {
			case d.Vetoed:
				from = "vetoed"
			case d.From.IsZero():
				from = "waits for approval"
			}
			if _, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Merchant, d.Network, d.Address, clock(d.At), from); err != nil {
				return err
			}
		}
		return w.Flush()
	})
}

// A destinationArgs names a destination on the command line.
type destinationArgs struct {
	Merchant string `arg:"" help:"Id of the merchant."`
	Network  string `arg:"" help:"Like bitcoin/mainnet or ethereum/1."`
	Address  string `arg:"" help:"As pipe signer destinations prints it."`
}

type signerApproveCommand struct{ destinationArgs }

func (c signerApproveCommand) Run(e *env) error {
	return e.operator(func(o *signer.Operator) error {
		d, err := o.Approve(e.ctx, c.Merchant, money.Network(c.Network), c.Address)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%s is payable from %s on.\n", d.Address, clock(d.From))
		return err
	})
}

type signerVetoCommand struct{ destinationArgs }

func (c signerVetoCommand) Run(e *env) error {
	return e.operator(func(o *signer.Operator) error {
		d, err := o.Veto(e.ctx, c.Merchant, money.Network(c.Network), c.Address)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "Nothing is signed to %s any more.\n", d.Address)
		return err
	})
}

type signerApprovePayoutCommand struct {
	Payouts []string `arg:"" help:"Ids, as pipe signer status prints them."`
}

func (c signerApprovePayoutCommand) Run(e *env) error {
	return e.operator(func(o *signer.Operator) error {
		for _, id := range c.Payouts {
			if err := o.ApprovePayout(e.ctx, strings.TrimSpace(id)); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(e.stdout, "Payout %s is approved.\n", id); err != nil {
				return err
			}
		}
		return nil
	})
}

type signerHaltCommand struct{}

func (signerHaltCommand) Run(e *env) error {
	return e.operator(func(o *signer.Operator) error {
		if err := o.Halt(e.ctx); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, "Halted: nothing is signed until pipe signer resume. What was signed before may still be sent.")
		return err
	})
}

type signerResumeCommand struct{}

func (signerResumeCommand) Run(e *env) error {
	return e.operator(func(o *signer.Operator) error {
		if err := o.Resume(e.ctx); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, "The signer signs again.")
		return err
	})
}

type signerConfigCommand struct{}

func (signerConfigCommand) Run(e *env) error {
	c, _, err := e.signerConfig()
	if err != nil {
		return err
	}
	return c.Print(e.stdout)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func choose(yes bool, then, otherwise string) string {
	if yes {
		return then
	}
	return otherwise
}
