package signer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// Run is a signer as a process of its own: it forbids core dumps, opens the seed, and serves both sockets until the context
// ends. What it was asked before is answered first. Errors: as Open, and whatever keeps a socket from being served.
func Run(ctx context.Context, c Config, log *slog.Logger) (err error) {
	if err := noDumps(); err != nil {
		return err
	}
	if c.Passphrase == "" {
		return errors.New("set PIPE_SIGNER_PASSPHRASE_FILE to a file with the passphrase that opens the seed")
	}
	policy, err := c.Policy()
	if err != nil {
		return err
	}
	secret := NewSecret(c.Passphrase)
	s, err := Open(Options{Dir: c.Dir, Passphrase: secret, Logger: log, Policy: policy})
	secret.Wipe()
	if err != nil {
		return fmt.Errorf("open signer: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	debug.FreeOSMemory() // the key derivation took 256 MiB, which nothing here needs again
	house, err := Listen(ctx, c.Socket, 0o660, c.Group)
	if err != nil {
		return err
	}
	operator, err := Listen(ctx, c.Operator, 0o600, "")
	if err != nil {
		return errors.Join(err, house.Close())
	}
	log.Info("signer: ready", "socket", c.Socket, "operator", c.Operator, "approve", policy.Approve)
	return serveBoth(ctx, s, house, operator)
}

func serveBoth(ctx context.Context, s *Signer, house, operator net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return Serve(ctx, s, house) })
	group.Go(func() error { return ServeOperator(ctx, s, operator) })
	return group.Wait()
}

// Operate serves the operator of a signer inside another process on a socket in the signer's directory, until the context
// ends. Where no socket can be made there it says so in the log, and the signer works without: nothing can be approved then.
func (s *Signer) Operate(ctx context.Context) error {
	path := s.home.path(operatorName)
	l, err := Listen(ctx, path, 0o600, "")
	if err != nil {
		s.log.Warn("signer: no socket for its operator, so nothing can be approved", "path", path, "error", err)
		return nil
	}
	return ServeOperator(ctx, s, l)
}
