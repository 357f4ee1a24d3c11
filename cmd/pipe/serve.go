package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/pipe-pg/pipe/internal/app"
)

type serveCommand struct{}

// Run serves until it is told to stop. Start is recovery: whatever a crash left, the same steps take up.
func (serveCommand) Run(e *env) (err error) {
	c, log, err := e.config()
	if err != nil {
		return err
	}
	if len(c.Networks()) == 0 {
		return errors.New("no network is set up: set PIPE_BITCOIN and PIPE_BITCOIN_NODES, or PIPE_ETHEREUM and PIPE_ETHEREUM_NODES")
	}
	a, err := app.Open(e.ctx, c, app.Options{Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	var lc net.ListenConfig
	l, err := lc.Listen(e.ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s (PIPE_LISTEN): %w", c.Listen, err)
	}
	log.InfoContext(e.ctx, "serving", "listen", l.Addr().String(), "url", c.PublicURL, "roles", c.Roles)
	if err := a.Run(e.ctx, l); err != nil {
		return err
	}
	log.Info("stopped cleanly")
	return nil
}
