package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/signer"
)

type seedCommand struct {
	Create  seedCreateCommand  `cmd:"" help:"Make a new seed and print its recovery phrase, once."`
	Restore seedRestoreCommand `cmd:"" help:"Bring a seed back from its recovery phrase, read from standard input."`
	Epoch   seedEpochCommand   `cmd:"" help:"After bringing back an older database: give up every address that is free in it."`
}

// maxPhrase bounds what is read of a recovery phrase, in bytes.
const maxPhrase = 4 << 10

type seedCreateCommand struct{}

func (seedCreateCommand) Run(e *env) error {
	o, dir, err := e.signer()
	if err != nil {
		return err
	}
	phrase, err := signer.Create(o)
	if err != nil {
		return err
	}
	defer phrase.Wipe()
	_, err = fmt.Fprintf(e.stdout, `The seed is in %s, encrypted under PIPE_SIGNER_PASSPHRASE.

Write these 24 words on paper, in this order, and keep them apart from this machine. They alone bring back every
address and coin. They are kept nowhere and shown only now.

%s
`, dir, numbered(phrase.Reveal()))
	return err
}

func numbered(phrase string) string {
	var b strings.Builder
	for i, w := range strings.Fields(phrase) {
		fmt.Fprintf(&b, "%4d %-10s", i+1, w)
		if i%4 == 3 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

type seedRestoreCommand struct{}

func (seedRestoreCommand) Run(e *env) error {
	o, dir, err := e.signer()
	if err != nil {
		return err
	}
	phrase, err := e.phrase()
	if err != nil {
		return err
	}
	defer phrase.Wipe()
	if err := signer.Restore(o, phrase); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "The seed is back in %s.\n", dir)
	return err
}

// phrase reads a recovery phrase from standard input, and asks for it where somebody sits there.
func (e *env) phrase() (signer.Secret, error) {
	if f, ok := e.stdin.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintln(os.Stderr, "Type the 24 words of the recovery phrase in their order, then Enter and Ctrl-D.")
		}
	}
	text, err := io.ReadAll(io.LimitReader(bufio.NewReader(e.stdin), maxPhrase))
	if err != nil {
		return signer.Secret{}, fmt.Errorf("read recovery phrase: %w", err)
	}
	return signer.NewSecret(strings.TrimSpace(string(text))), nil
}

type seedEpochCommand struct{}

// Run begins a new epoch. The server must not be running.
func (seedEpochCommand) Run(e *env) error {
	o, _, err := e.signer()
	if err != nil {
		return err
	}
	epoch, err := app.NewEpoch(e.ctx, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "Epoch %d begins: addresses released before it and not given yet are given up at the next start.\n", epoch)
	return err
}

// signer says where the seed is or shall be, and what encrypts it: for the signer inside the gateway and for one apart.
func (e *env) signer() (signer.Options, string, error) {
	c, log, err := e.signerConfig()
	if err != nil {
		return signer.Options{}, "", err
	}
	if c.Passphrase == "" {
		return signer.Options{}, "", errors.New("set PIPE_SIGNER_PASSPHRASE_FILE to a file with the passphrase that encrypts the seed")
	}
	policy, err := c.Policy()
	return signer.Options{Dir: c.Dir, Passphrase: signer.NewSecret(c.Passphrase), Logger: log, Policy: policy}, c.Dir, err
}
