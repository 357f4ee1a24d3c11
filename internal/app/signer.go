package app

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/signer"
)

// keys is all that the engine asks of a signer, in this process or in one of its own.
type keys interface {
	engine.Signer
	engine.Hand
	engine.Journal
	engine.Destinations
	Close() error
}

// openSigner opens the embedded signer, or the way to one in a process of its own.
func (a *App) openSigner() error {
	if a.Config.Signer != "" {
		a.useSigner(signer.Dial(a.Config.Signer))
		return nil
	}
	return a.openEmbedded()
}

func (a *App) useSigner(k keys) {
	a.signer, a.ports.signer, a.ports.hand, a.ports.journal = k, k, k, k
	if a.opts.Wrap.Hand != nil {
		a.ports.hand = a.opts.Wrap.Hand(k)
	}
	if a.opts.Wrap.Signer != nil {
		a.ports.signer = a.opts.Wrap.Signer(k)
	}
}

func (a *App) openEmbedded() error {
	o := a.Config.SignerOptions(a.opts)
	if a.Config.SignerPassphrase == "" {
		return errors.New("PIPE_SIGNER_PASSPHRASE_FILE is not set: the role worker needs it to open the seed")
	}
	s, err := signer.Open(o)
	if errors.Is(err, signer.ErrNoSeed) && a.opts.MakeSeed {
		if _, err := signer.Create(o); err != nil {
			return fmt.Errorf("make seed: %w", err)
		}
		s, err = signer.Open(o)
	}
	if errors.Is(err, signer.ErrNoSeed) {
		return fmt.Errorf("%w: make one with `pipe seed create`, or bring one back with `pipe seed restore`", err)
	}
	if err != nil {
		return fmt.Errorf("open signer: %w", err)
	}
	debug.FreeOSMemory() // the seed's key derivation took 256 MiB, which nothing here needs again
	a.useSigner(s)
	return nil
}

// NewEpoch begins a new epoch in the signer's journal, for an older database that was brought back: which of its free
// addresses were given since it was copied nobody can tell, so from the next start none of them is given any more. It
// needs the signer to itself.
func NewEpoch(ctx context.Context, c Config, o Options) (epoch uint64, err error) {
	s, err := signer.Open(c.SignerOptions(o))
	if err != nil {
		return 0, fmt.Errorf("open signer: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.NewEpoch(ctx)
}

// SignerOptions say where the embedded signer lives and what opens it.
func (c Config) SignerOptions(o Options) signer.Options {
	policy := c.policy
	if o.SignerPolicy != nil {
		policy = *o.SignerPolicy
	}
	return signer.Options{
		Policy: policy,
		Dir:    c.SeedDir(), Passphrase: signer.NewSecret(c.SignerPassphrase), KDF: o.SeedKDF, Logger: o.Log, Now: o.Now,
	}
}
