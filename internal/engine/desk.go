package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Desk serves what people do: merchants' calls and payers' clicks. It holds no chain and no key.
type Desk struct {
	Store    Store
	Rates    Rates
	Sender   Sender // for test/callback only
	Render   Renderer
	Sealer   Sealer
	Lookers  map[money.Network]Looker // for transactions that payers name; a network without one is not asked
	Nets     map[money.Currency]Net
	MaxPrice map[money.Currency]money.Amount
	// Fees tell what withdrawals would cost; nil, or without a network: nobody can say.
	Fees map[money.Network]FeeReader
	// InsecureURLs lets callback and redirect URLs be http: for the demo and for tests.
	InsecureURLs bool
	// Room tells whether there is room to keep new invoices; nil: always. What is open goes on either way: the room that is
	// left is for it.
	Room func() bool
	// Peers, where it is there, remembers from where keys were used and from where applications were called in vain.
	Peers *PeerNotes
	World World
	Log   *slog.Logger
}

// Authorize finds an API key and its application, and checks that it may be called from this address. Errors: unknown-key,
// ip-not-registered.
func (d *Desk) Authorize(ctx context.Context, key string, peer netip.Addr) (payment.Application, payment.Key, error) {
	unknown := d.World.unknownKey(key)
	var app payment.Application
	var k payment.Key
	var now time.Time
	if key == "" || len(key) > payment.MaxKey {
		return app, k, unknown
	}
	hash := sha256.Sum256([]byte(key))
	err := d.Store.View(ctx, func(tx Tx) (err error) {
		k, err = tx.KeyByHash(hash[:])
		if errors.Is(err, payment.ErrAbsent) || err == nil && !k.ExpiresAt.IsZero() && !tx.Now().Before(k.ExpiresAt) {
			return unknown
		}
		if err != nil {
			return err
		}
		now = tx.Now()
		app, err = tx.Application(k.ApplicationID)
		return err
	})
	if err != nil {
		return app, k, err
	}
	peer = peer.Unmap()
	for _, n := range app.Networks {
		if n.Contains(peer) {
			d.Peers.used(k, peer, now)
			return app, k, nil
		}
	}
	d.Peers.refused(app.ID, peer, now)
	return app, k, payment.Refuse(payment.Forbidden, payment.WordIP,
		"this IP address, %s, is not registered for the application: register it, then call again", peer)
}

// Invoice is one of the application's invoices. Error: no-such-invoice, also for another application's.
func (d *Desk) Invoice(ctx context.Context, app payment.ID, id payment.ID) (payment.Facts, error) {
	var f payment.Facts
	err := d.Store.View(ctx, func(tx Tx) (err error) {
		f, err = ownFacts(tx, app, id)
		return err
	})
	return f, err
}

func ownFacts(tx Tx, app payment.ID, id payment.ID) (payment.Facts, error) {
	f, err := tx.Facts(id)
	if errors.Is(err, payment.ErrAbsent) || err == nil && f.Invoice.ApplicationID != app {
		return f, noInvoice()
	}
	return f, err
}

func noInvoice() error {
	e := payment.Refuse(payment.NotFound, payment.WordNoInvoice, "no such invoice: check invoice_id")
	e.Field = "invoice_id"
	return e
}

// A TestCall is what came of a sample callback.
type TestCall struct {
	URL    string
	Fields []payment.Field // what was sent as data
	Answer payment.Answer
}

// TestCallback sends the sample of an invoice, as it would read once paid, to url or to the invoice's own callback_url. It
// changes nothing. An answer that is not ok is not an error here: the caller shows why.
func (d *Desk) TestCallback(ctx context.Context, app payment.Application, id payment.ID, url string) (TestCall, error) {
	var call TestCall
	var msg payment.Message
	f, err := d.Invoice(ctx, app.ID, id)
	if err != nil {
		return call, err
	}
	pretend := d.pretend(ctx, f)
	err = d.Store.View(ctx, func(tx Tx) error {
		call.URL = f.Invoice.CallbackURL
		if url != "" {
			if call.URL, err = d.shopURL(app, "callback_url", url); err != nil {
				return err
			}
		}
		call.Fields = payment.Sample(f, tx.Now(), pretend)
		msg.ID = "test_" + string(tx.NewID())
		msg.Secrets, err = openSecrets(d.Sealer, app, tx.Now())
		return err
	})
	if err != nil {
		return call, err
	}
	msg.URL = call.URL
	msg.ContentType, msg.Body = d.Render(1, "success", call.Fields, app.Callback.Encoding)
	call.Answer = d.Sender.Send(ctx, msg)
	return call, nil
}

// pretend is what a payer's choice would come to now, without an address, as none is given for a test; nil where one
// was made or there is no price.
func (d *Desk) pretend(ctx context.Context, f payment.Facts) *payment.Quote {
	if len(f.Quotes) > 0 {
		return nil
	}
	i := f.Invoice
	for _, coin := range i.Coins {
		if p, err := d.Rates.Price(ctx, coin, i.Price.Currency()); err == nil {
			return &payment.Quote{ID: "pretend", Coin: coin, Rate: p.Rate, Due: p.Rate.Due(i.Price)}
		}
	}
	return nil
}

// openSecrets are the clear secrets that sign an application's callbacks at a time, the current one first.
func openSecrets(s Sealer, app payment.Application, now time.Time) ([][]byte, error) {
	var all [][]byte
	for _, secret := range app.Callback.Secrets {
		if !secret.Until.IsZero() && !now.Before(secret.Until) {
			continue
		}
		clear, err := s.Open(secret.Sealed)
		if err != nil {
			return nil, err
		}
		all = append(all, clear)
	}
	return all, nil
}

// net is the network on which the application takes a coin.
func (d *Desk) net(coin money.Currency) (Net, error) {
	n, ok := d.Nets[coin]
	if !ok {
		return Net{}, payment.Malformed("coin", "%s is not taken here", strings.ToUpper(string(coin)))
	}
	return n, nil
}

// FormatSecret writes a callback secret as shops configure it (Standard Webhooks 1.0.0).
func FormatSecret(clear []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(clear) }
