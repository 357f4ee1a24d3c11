package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/pipe-pg/pipe/internal/app"
)

type userCommand struct {
	SetupLink setupLinkCommand `cmd:"" name:"setup-link" help:"Print the one-time link by which the first operator's account is made."`
	AuditLog  auditLogCommand  `cmd:"" name:"check-log" help:"Walk the audit log's chain of hashes and print the first record that does not follow."`
}

type setupLinkCommand struct {
	Another bool `help:"Make the link though there is an operator already."`
}

// Run prints the link. It works once, for an hour; there is no default password.
func (c setupLinkCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		if a.Office.URL == "" {
			return errors.New("PIPE_ADMIN_URL is not set: the link needs it")
		}
		link, err := a.Office.SetupLink(e.ctx, c.Another)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "Open this in a browser within an hour. It works once.")
		_, err = fmt.Fprintln(e.stdout, link)
		return err
	})
}

type auditLogCommand struct{}

// Run walks the chains of the house and of every merchant.
func (auditLogCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		n, err := a.Office.CheckAuditLogs(e.ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%d records, each follows the one before\n", n)
		return err
	})
}
