package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/mail"
	"github.com/pipe-pg/pipe/internal/worker"
)

// carrier makes the way of letters; PIPE_SMTP must be set.
func (c Config) carrier() (*mail.Sender, error) {
	s, err := mail.New(mail.Options{URL: c.SMTP, From: c.SMTPFrom, User: c.SMTPUser, Password: c.SMTPPassword})
	if err != nil {
		return nil, fmt.Errorf("PIPE_SMTP: %w", err)
	}
	return s, nil
}

// checkMail refuses settings of letters that cannot be right.
func (c Config) checkMail() error {
	if c.SMTP == "" {
		if c.SMTPFrom != "" || c.SMTPUser != "" || c.SMTPPassword != "" {
			return errors.New("PIPE_SMTP is not set: it is required with PIPE_SMTP_FROM, PIPE_SMTP_USER and PIPE_SMTP_PASSWORD")
		}
		return nil
	}
	_, err := c.carrier()
	return err
}

// openPeople adds the loops behind the office: letters, and forgetting what is long over.
func (a *App) openPeople() error {
	a.loops = append(a.loops, worker.Loop{Name: "people", Every: PruneEvery, Timeout: StepTimeout, Run: a.Office.Prune})
	if a.Config.SMTP == "" {
		return nil
	}
	carrier, err := a.Config.carrier()
	if err != nil {
		return err
	}
	p := &engine.Postman{Store: a.ports.store, Sealer: a.Desk.Sealer, Carrier: carrier, Log: a.log}
	a.loops = append(a.loops, worker.Loop{Name: "mail", Every: MailEvery, Timeout: MailTimeout, Run: p.Step})
	return nil
}

// letters looks at the mail server.
func (d *doctor) letters(ctx context.Context) {
	if d.config.AdminListen == "" && d.config.SMTP == "" {
		return
	}
	if d.config.SMTP == "" {
		d.add(chain.Warn, "set PIPE_SMTP and PIPE_SMTP_FROM", "mail: not set up: nobody is told of changes, and a forgotten password has no way back")
		return
	}
	s, err := d.config.carrier()
	if err == nil {
		err = s.Check(ctx)
	}
	if err != nil {
		d.add(chain.Bad, "check PIPE_SMTP, PIPE_SMTP_USER and PIPE_SMTP_PASSWORD; can this machine reach the server?", "mail: %s", err)
		return
	}
	d.add(chain.Fine, "", "mail: %s answers", d.config.SMTP)
}
