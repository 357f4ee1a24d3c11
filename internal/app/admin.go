package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/pipe-pg/pipe/internal/admin"
	"github.com/pipe-pg/pipe/internal/api"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/passkey"
	"github.com/pipe-pg/pipe/internal/signer"
	"github.com/pipe-pg/pipe/internal/web"
	"github.com/pipe-pg/pipe/internal/webhook"
)

// checkAdmin refuses settings of the admin that cannot be right.
func (c Config) checkAdmin() error {
	if _, ok := engine.ParseSignUp(c.SignUp); !ok && c.SignUp != "" {
		return fmt.Errorf("PIPE_SIGN_UP: %q is none of open, invited, closed", c.SignUp)
	}
	if c.AdminURL != "" && web.Origin(c.AdminURL) != c.AdminURL {
		return fmt.Errorf("PIPE_ADMIN_URL: %q is not an origin like https://admin.example", c.AdminURL)
	}
	if c.AdminListen != "" && c.AdminURL == "" {
		return errors.New("PIPE_ADMIN_URL is not set: it is required with PIPE_ADMIN_LISTEN")
	}
	return nil
}

// newOffice makes the office of people.
func (a *App) newOffice(seal sealer) *engine.Office {
	return &engine.Office{
		Store: a.ports.store, Sealer: seal, Hasher: engine.NewHasher(), URL: strings.TrimSuffix(a.Config.AdminURL, "/"),
		SignUp: engine.SignUp(a.Config.SignUp), Mails: a.Config.SMTP != "", Trial: a.trial(), Log: a.log,
	}
}

// trial tells whether no network here holds coins of any worth.
func (a *App) trial() bool {
	for _, n := range a.Nets {
		if !chain.IsDev(n.Network) {
			return false
		}
	}
	return len(a.Nets) > 0
}

// openAdmin builds the handler of the role admin, where it is served at all.
func (a *App) openAdmin(peers web.Peers) (err error) {
	if !a.Config.Has("admin") || a.Config.AdminListen == "" && a.opts.Admin == nil {
		return nil
	}
	apps := &engine.Integrator{Desk: a.Desk, Office: a.Office, Log: a.log}
	if a.signer != nil { // a process without the role worker has no way to one
		apps.Destinations = a.signer
	}
	if passkey.Possible(a.Office.URL) {
		keys, err := passkey.New(a.Office.URL)
		if err != nil {
			return err
		}
		a.Office.Verifier = keys
	}
	a.admin, err = admin.New(admin.Options{
		Integrator: apps, Signer: a.signerState(), Settings: a.Config.inForce,
		Office: a.Office, Desk: a.Desk, URL: a.Office.URL, Peers: peers, Log: a.log, Sandbox: a.sandbox(), Explorers: explorers(),
		PublicURL: strings.TrimSuffix(a.Config.PublicURL, "/"), Statement: api.Print,
		Explain: func(verdict, language string) string { return webhook.Verdict(verdict).Explain(language) },
	})
	return err
}

// serveAdmin answers the admin's requests until ctx is done.
func (a *App) serveAdmin(ctx context.Context) error {
	on := a.opts.Admin
	if on == nil {
		var lc net.ListenConfig
		var err error
		if on, err = lc.Listen(ctx, "tcp", a.Config.AdminListen); err != nil {
			return fmt.Errorf("listen on %s (PIPE_ADMIN_LISTEN): %w", a.Config.AdminListen, err)
		}
	}
	a.log.InfoContext(ctx, "serving admin", "listen", on.Addr().String(), "url", a.Config.AdminURL)
	switch vacant, err := a.Office.Vacant(ctx); {
	case err != nil:
		return errors.Join(err, on.Close())
	case vacant:
		a.log.WarnContext(ctx, "nobody has an account yet: pipe user setup-link prints the one-time link to the first one")
	}
	return a.serve(ctx, on, a.admin)
}

// signerState tells how the signer is; nil in a process without one.
func (a *App) signerState() func(ctx context.Context) (string, error) {
	if a.signer == nil {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		if s, embedded := a.signer.(*signer.Signer); embedded {
			is, err := s.Status(ctx)
			return fmt.Sprintf("epoch %d, halted %t, spends signed %d, destinations %d, payouts that wait %d, journal %d bytes",
				is.Epoch, is.Halted, is.Signed, is.Destinations, is.Pending, is.Bytes), err
		}
		m, err := a.signer.Marks(ctx)
		return fmt.Sprintf("epoch %d", m.Epoch), err
	}
}

// inForce are all settings, secrets covered.
func (c Config) inForce() (all []admin.Setting) {
	for _, s := range c.settings() {
		all = append(all, admin.Setting{Key: s.key, Value: s.value})
	}
	return all
}
