package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/rate"
	"github.com/pipe-pg/pipe/internal/signer"
)

// Doctor looks at everything the program stands on. What goes wrong is a finding, never an error; each that is not fine
// says what to do.
func Doctor(ctx context.Context, c Config, log *slog.Logger) []chain.Finding {
	ctx, cancel := context.WithTimeout(ctx, DoctorTimeout)
	defer cancel()
	d := &doctor{config: c, log: log}
	d.settings()
	d.signer(ctx)
	d.database(ctx)
	d.disk()
	for _, n := range c.Networks() {
		d.network(ctx, n)
	}
	d.rates(ctx)
	d.letters(ctx)
	return d.findings
}

type doctor struct {
	config   Config
	log      *slog.Logger
	findings []chain.Finding
}

func (d *doctor) add(level chain.Level, cure, format string, args ...any) {
	d.findings = append(d.findings, chain.Finding{Level: level, What: fmt.Sprintf(format, args...), Cure: cure})
}

func (d *doctor) settings() {
	switch url := d.config.PublicURL; {
	case url == "":
		d.add(chain.Bad, "set PIPE_PUBLIC_URL to the address under which payers reach this server, like https://pay.example", "public URL: not set")
	case !strings.HasPrefix(url, "https://"):
		d.add(chain.Warn, "serve over https: PIPE_TLS_CERT and PIPE_TLS_KEY, or a reverse proxy", "public URL: %s is not https", url)
	default:
		d.add(chain.Fine, "", "public URL: %s", url)
	}
	if len(d.config.Networks()) == 0 {
		d.add(chain.Bad, "set PIPE_BITCOIN and PIPE_BITCOIN_NODES, or PIPE_ETHEREUM and PIPE_ETHEREUM_NODES", "networks: none is set up")
	}
	if d.config.InsecureURLs {
		d.add(chain.Warn, "take PIPE_INSECURE_URLS away, unless this is a test", "callbacks: http:// is allowed")
	}
}

// signer looks at the signer where this process works with it: inside, or behind its socket.
func (d *doctor) signer(ctx context.Context) {
	switch {
	case !d.config.Has("worker"):
		return
	case d.config.Signer != "":
		d.socket(ctx)
		return
	case d.config.SignerPassphrase == "":
		d.add(chain.Bad, "set PIPE_SIGNER_PASSPHRASE_FILE; for a signer in a process of its own, set PIPE_SIGNER", "signer: no passphrase is set")
		return
	}
	s, err := signer.Open(d.config.SignerOptions(Options{Log: slog.New(slog.DiscardHandler)}))
	switch {
	case errors.Is(err, signer.ErrLocked):
		d.add(chain.Fine, "", "signer: in use by a running server")
	case errors.Is(err, signer.ErrNoSeed):
		d.add(chain.Bad, "run pipe seed create", "signer: no seed in %s", d.config.SeedDir())
	case err != nil:
		d.add(chain.Bad, "check PIPE_SIGNER_PASSPHRASE and the files in "+d.config.SeedDir(), "signer: %s", err)
	default:
		d.add(chain.Fine, "", "signer: seed and journal open")
		if err := s.Close(); err != nil {
			d.add(chain.Warn, "look at the disk", "signer: %s", err)
		}
	}
}

// socket only connects: to ask anything would take the signer from the running server.
func (d *doctor) socket(ctx context.Context) {
	dialer := net.Dialer{Timeout: SocketTimeout}
	c, err := dialer.DialContext(ctx, "unix", d.config.Signer)
	if err == nil {
		err = c.Close()
	}
	if err != nil {
		d.add(chain.Bad, "start pipe signer run; PIPE_SIGNER is its PIPE_SIGNER_SOCKET, which the group PIPE_SIGNER_GROUP may use", "signer: %s", err)
		return
	}
	d.add(chain.Fine, "", "signer: listens on %s", d.config.Signer)
}

func (d *doctor) database(ctx context.Context) {
	a, err := OpenDesk(ctx, d.config, Options{Log: d.log})
	if err != nil {
		d.add(chain.Bad, "check PIPE_DATABASE; bring the schema up to date with pipe migrate", "database: %s", err)
		return
	}
	began := time.Now()
	err = a.Store().View(ctx, func(tx engine.Tx) error {
		for _, n := range a.Nets {
			s, err := tx.NetworkState(n.Network)
			if errors.Is(err, payment.ErrAbsent) {
				d.add(chain.Warn, "start pipe serve", "%s: never followed yet", n.Network)
				continue
			}
			if err != nil {
				return err
			}
			d.followed(s, tx.Now())
		}
		due, err := tx.OldestDue()
		if err == nil && tx.Now().Sub(due) > time.Minute {
			d.add(chain.Warn, "see the log of pipe serve for what shops answer", "callbacks: the oldest is due since %s", tx.Now().Sub(due).Round(time.Second))
		} else if err != nil && !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		return nil
	})
	if err != nil {
		d.add(chain.Bad, "look at the database's own log", "database: %s", err)
	} else {
		d.add(chain.Fine, "", "database: answers in %s", time.Since(began).Round(time.Microsecond))
	}
	if err := a.Close(); err != nil {
		d.add(chain.Warn, "look at the database's own log", "database: close: %s", err)
	}
}

func (d *doctor) followed(s engine.NetworkState, now time.Time) {
	switch age := now.Sub(s.Sight).Round(time.Second); {
	case s.Trouble != "":
		d.add(chain.Bad, "cure the node; nothing is credited and nothing expires until then", "%s: not believed since %s: %s", s.Network, s.TroubleSince.Format(time.RFC3339), s.Trouble)
	case age > MaxBlind:
		d.add(chain.Bad, "is pipe serve running, with the role worker?", "%s: last seen completely %s ago", s.Network, age)
	default:
		d.add(chain.Fine, "", "%s: seen completely up to block %d, %s ago", s.Network, s.Height, age)
	}
}

func (d *doctor) disk() {
	free, err := d.config.freeMiB()
	if err != nil {
		d.add(chain.Warn, "make the directory, or set PIPE_DATA", "disk: %s", err)
		return
	}
	if free < d.config.DiskFloor {
		d.add(chain.Bad, "make room: below PIPE_DISK_FLOOR no new invoices are taken", "disk: %d MiB free where %s lies", free, d.config.Data)
		return
	}
	d.add(chain.Fine, "", "disk: %d MiB free where %s lies", free, d.config.Data)
}

func (d *doctor) network(ctx context.Context, n money.Network) {
	all, err := d.config.Endpoints(n, time.Now, d.log)
	if err != nil {
		d.add(chain.Bad, "check the node URLs", "%s: %s", n, err)
		return
	}
	if len(all) == 1 {
		d.add(chain.Warn, "set up a second and a third node, comma-separated: one node's word cannot be checked", "%s: one node only", n)
	}
	heights := map[string]uint64{}
	top := uint64(0)
	for _, e := range all {
		checker, ok := e.Reader.(chain.Checker)
		if !ok {
			continue
		}
		c, bad := checker.Check(ctx), false
		for _, f := range c.Findings {
			d.add(f.Level, f.Cure, "%s: %s", e.Name, f.What)
			bad = bad || f.Level == chain.Bad
		}
		heights[e.Name], top = c.Height, max(top, c.Height)
		if !bad { // what ails it was said
			d.clock(ctx, e, n)
		}
	}
	for name, height := range heights {
		if height+LagBlocks < top {
			d.add(chain.Warn, "wait for it to catch up, or look at its log", "%s: at block %d, %d behind the highest", name, height, top-height)
		}
	}
}

// clock compares this machine's clock with the newest block.
func (d *doctor) clock(ctx context.Context, e chain.Named, n money.Network) {
	head, err := e.Reader.Head(ctx)
	if err != nil {
		d.add(chain.Bad, "cure the node; nothing is credited and nothing expires until then", "%s: %s", e.Name, err)
		return
	}
	if ahead := time.Until(head.Tip.Time); n.Coin() == money.ETH && !chain.IsDev(n) && ahead > time.Minute {
		d.add(chain.Bad, "set this machine's clock (NTP)", "clock: %s behind the newest block of %s", ahead.Round(time.Second), e.Name)
	}
}

func (d *doctor) rates(ctx context.Context) {
	a := &App{Config: d.config, opts: Options{Now: time.Now}, log: d.log}
	if err := a.openRates(); err != nil {
		d.add(chain.Bad, "set PIPE_RATES to at least three sources per currency", "rates: %s", err)
		return
	}
	silent := a.board.Refresh(ctx)
	d.sources(a.board.Diagnosis())
	if silent != nil {
		d.add(chain.Bad, "let this machine reach the exchanges, or name others in PIPE_RATES", "rates: no source answered, so no coin can be chosen")
		return
	}
	for _, currency := range []money.Currency{money.KRW, money.USD} {
		for coin := range d.config.Networks() {
			p, err := a.board.Price(coin, currency)
			if err != nil {
				d.add(chain.Bad, "without a trustworthy price no invoice in this currency can be paid: see the sources above", "rates: %s", err)
				continue
			}
			d.add(chain.Fine, "", "rates: %s (%d sources)", p.Rate, len(p.Votes))
		}
	}
}

// sources names each source that did not answer, once.
func (d *doctor) sources(all []rate.State) {
	told := map[string]bool{}
	for _, s := range all {
		if s.Err != nil && !told[s.Source] {
			told[s.Source] = true
			d.add(chain.Warn, "can this machine reach it?", "rates: %s", s.Err)
		}
	}
}
