package engine

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// VetoPath is where links to veto a settlement address lead: it begins their path.
const VetoPath = "/veto/"

// vetoSeal tells what is sealed for a veto from all else that is.
const vetoSeal = "veto:"

// vetoLink is an address by which whoever holds it forbids payments to a settlement address. What it is about is sealed in it: it needs
// no row, and to do it twice is to do it once.
func (o *Office) vetoLink(app payment.Application, to Target, until time.Time) (string, error) {
	id, err := hex.DecodeString(string(app.ID))
	if err != nil {
		return "", err
	}
	clear := append([]byte(vetoSeal), id...)
	clear = binary.BigEndian.AppendUint64(clear, uint64(until.UnixMilli()))
	sealed, err := o.Sealer.Seal(append(clear, string(to.Coin)+":"+to.Address...))
	return o.URL + VetoPath + base64.RawURLEncoding.EncodeToString(sealed), err
}

// A Forbidding is what a link to veto would forbid.
type Forbidding struct {
	Target
	Application payment.Application
	Merchant    payment.Merchant
}

// OpenVeto tells what a link forbids; it changes nothing, because mail programs look at links too. Error: dead-link.
func (g *Integrator) OpenVeto(ctx context.Context, token string) (f Forbidding, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > MaxVeto {
		return f, deadLink()
	}
	clear, err := g.Office.Sealer.Open(sealed)
	text, ok := strings.CutPrefix(string(clear), vetoSeal)
	const fixed = payment.IDLength/2 + 8
	if err != nil || !ok || len(text) < fixed {
		return f, deadLink()
	}
	coin, address, _ := strings.Cut(text[fixed:], ":")
	f.Target = Target{money.Currency(coin), address}
	id := payment.ID(strings.ToUpper(hex.EncodeToString([]byte(text[:payment.IDLength/2]))))
	until := time.UnixMilli(int64(binary.BigEndian.Uint64([]byte(text[payment.IDLength/2 : fixed])))) //nolint:gosec // as vetoLink wrote it
	err = g.Desk.Store.View(ctx, func(tx Tx) (err error) {
		if !tx.Now().Before(until) {
			return deadLink()
		}
		if f.Application, err = tx.Application(id); err != nil {
			return err
		}
		f.Merchant, err = tx.Merchant(f.Application.MerchantID)
		return err
	})
	if errors.Is(err, payment.ErrAbsent) {
		err = deadLink()
	}
	return f, err
}

// VetoByLink forbids the signer for good to pay to the address that a link names. Where it is still the application's, it is taken away,
// so that its coins stay in the wallet. Errors: dead-link, no-node.
func (g *Integrator) VetoByLink(ctx context.Context, token string, from Caller) error {
	f, err := g.OpenVeto(ctx, token)
	if err != nil {
		return err
	}
	by := By{User: payment.User{Email: "link in a letter"}, Merchant: f.Merchant, Caller: from}
	return g.forbid(ctx, by, f)
}
