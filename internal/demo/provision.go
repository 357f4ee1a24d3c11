package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// provision makes the demo's merchant and application at the first start, and at every start registers the shop's origin,
// whose port may have changed.
func (d *Demo) provision(ctx context.Context) error {
	shop := origin(d.shopListener)
	name := "Demo shop"
	origins, networks := []string{shop}, []string{"127.0.0.0/8", "::1"}
	change := engine.Change{Name: &name, Origins: &origins, Networks: &networks}
	known, err := d.known(ctx)
	if err != nil {
		return err
	}
	if known {
		if _, err := d.app.Desk.SetApplication(ctx, payment.ID(d.state.ApplicationID), engine.Change{Origins: &origins}); err != nil {
			return fmt.Errorf("register the shop's origin: %w", err)
		}
	} else {
		m, err := d.app.Desk.AddMerchant(ctx, name)
		if err != nil {
			return fmt.Errorf("make the demo's merchant: %w", err)
		}
		a, err := d.app.Desk.AddApplication(ctx, m.ID, change)
		if err != nil {
			return fmt.Errorf("make the demo's application: %w", err)
		}
		// A crash before this is saved leaves an application that nobody has the key of; the next start makes another.
		d.state.MerchantID, d.state.ApplicationID, d.state.APIKey, d.state.Secret = string(m.ID), string(a.ID), a.Key, a.Secret
		if err := d.save(); err != nil {
			return err
		}
	}
	if err := d.settleTo(ctx, !known); err != nil {
		return err
	}
	d.shop.connect(origin(d.pageListener), d.state.APIKey, shop, d.shopWallet)
	return nil
}

// known tells whether the application that is remembered is in this database.
func (d *Demo) known(ctx context.Context) (bool, error) {
	if d.state.ApplicationID == "" {
		return false, nil
	}
	err := d.app.Store().View(ctx, func(tx engine.Tx) error {
		_, err := tx.Application(payment.ID(d.state.ApplicationID))
		return err
	})
	if errors.Is(err, payment.ErrAbsent) {
		return false, nil
	}
	return err == nil, err
}

// awaitReady returns when both chains have been seen and addresses are ready.
func (d *Demo) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, err := d.missing(ctx)
		if err != nil || missing == "" {
			return err
		}
		select {
		case <-d.done:
			return errors.New("start: the program ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("start: still waiting for %s: %w", missing, ctx.Err())
		case <-tick.C:
		}
	}
}

func (d *Demo) missing(ctx context.Context) (what string, err error) {
	err = d.app.Store().View(ctx, func(tx engine.Tx) error {
		for _, n := range d.app.Nets {
			s, err := tx.NetworkState(n.Network)
			if err != nil && !errors.Is(err, payment.ErrAbsent) {
				return err
			}
			if time.Since(s.Sight) > 10*time.Second {
				what = "the first look at " + string(n.Network)
				return nil
			}
			levels, err := tx.PoolLevels(n.Network, "", engine.Batch)
			if err != nil {
				return err
			}
			for _, l := range levels {
				if string(l.Merchant.ID) == d.state.MerchantID && l.Free == 0 {
					what = "addresses of " + string(n.Network)
				}
			}
		}
		return nil
	})
	return what, err
}

func random() string {
	b := make([]byte, 24)
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand does not fail on the systems Go supports
	}
	return hex.EncodeToString(b)
}

// writeFile writes a file whole or not at all.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
