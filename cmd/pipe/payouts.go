package main

import (
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/app"
)

// payoutsCommand is the operator's latch over everything that leaves.
type payoutsCommand struct {
	Status payoutsStatusCommand `cmd:"" help:"Tell whether payouts go on, and if not, why."`
	Halt   payoutsHaltCommand   `cmd:"" help:"Pay nothing out any more; what was sent already is sent on."`
	Resume payoutsResumeCommand `cmd:"" help:"Pay out again, once the reason of a halt was looked into."`
}

type payoutsStatusCommand struct {
	JSON bool `help:"Answer in JSON."`
}

func (c payoutsStatusCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		h, err := a.Desk.Halted(e.ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			answer := map[string]any{"halted": h.Reason != "", "reason": h.Reason, "since": nil}
			if !h.Since.IsZero() {
				answer["since"] = h.Since
			}
			return e.json(answer)
		}
		if h.Reason == "" {
			_, err = fmt.Fprintln(e.stdout, "payouts go on")
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "payouts are halted since %s: %s\nlook into it, then: pipe payouts resume\n", h.Since.Format(time.RFC3339), h.Reason)
		return err
	})
}

type payoutsHaltCommand struct {
	Reason string `arg:"" help:"Why, for whoever looks next."`
}

func (c payoutsHaltCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		if err := a.Desk.Halt(e.ctx, c.Reason); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, "Payouts are halted, until pipe payouts resume.")
		return err
	})
}

type payoutsResumeCommand struct{}

func (payoutsResumeCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		if err := a.Desk.Resume(e.ctx); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, "Payouts go on.")
		return err
	})
}
