package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

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

// LoadSigner reads the settings of a signer from a file and the environment, as LoadConfig does those of the gateway, which
// may stand in the same file. Of the gateway's own it takes PIPE_DATA and the form of the log, which the second result has.
func LoadSigner(file string, environ []string) (s signer.Config, house Config, err error) {
	values, err := readValues(file, environ)
	if err != nil {
		return s, house, err
	}
	env := []string{"PIPE_DATA=" + values["PIPE_DATA"]}
	for k, v := range values {
		if strings.HasPrefix(k, "PIPE_SIGNER_") {
			env = append(env, k+"="+v)
			delete(values, k)
		}
	}
	if err := checkKnown(values); err != nil {
		return s, house, err
	}
	house = Config{LogFormat: cmp.Or(values["PIPE_LOG"], "text"), LogLevel: cmp.Or(values["PIPE_LOG_LEVEL"], "info")}
	s, err = signer.LoadConfig(env)
	return s, house, err
}

// NewEpoch begins a new epoch in the signer's journal, for an older database that was brought back: which of its free
// addresses were given since it was copied nobody can tell, so from the next start none of them is given any more. It
// needs the signer to itself.
func NewEpoch(ctx context.Context, o signer.Options) (epoch uint64, err error) {
	s, err := signer.Open(o)
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
