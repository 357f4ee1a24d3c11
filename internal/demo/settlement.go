package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// The shop has a wallet of its own, outside PIPE, to which PIPE settles. Nobody has its keys: its coins are only looked at.

// shopAddress is a new address that no key opens.
func (d *Demo) shopAddress(coin money.Currency) (string, error) {
	hash := make([]byte, 20)
	if _, err := rand.Read(hash); err != nil {
		return "", fmt.Errorf("make address: %w", err)
	}
	text := "0x" + hex.EncodeToString(hash)
	if coin == money.BTC {
		a, err := address.NewAddressWitnessPubKeyHash(hash, &chaincfg.RegressionNetParams)
		if err != nil {
			return "", fmt.Errorf("make address: %w", err)
		}
		text = a.EncodeAddress()
	}
	return d.app.Nets[coin].ParseAddress(text)
}

// settleTo makes the addresses of the shop's wallet where there are none yet, and sets those that a new application, or one
// made by an earlier version, does not have.
func (d *Demo) settleTo(ctx context.Context, fresh bool) error {
	set := map[money.Currency]string{}
	if fresh {
		d.state.Filled = false
	}
	for coin := range d.app.Nets {
		text := d.state.Settlement[coin]
		if text != "" && !fresh {
			continue // it is as the application's owner wants it
		}
		if text == "" {
			var err error
			if text, err = d.shopAddress(coin); err != nil {
				return err
			}
		}
		set[coin] = text
	}
	if len(set) == 0 {
		return nil
	}
	change := engine.Change{Settlement: set, Settings: func(s *payment.Settings) { s.Settle.Hold = HoldFor }}
	if _, err := d.app.Desk.SetApplication(ctx, payment.ID(d.state.ApplicationID), change); err != nil {
		return fmt.Errorf("set the shop's settlement addresses: %w", err)
	}
	kept := map[money.Currency]string{}
	maps.Copy(kept, d.state.Settlement)
	maps.Copy(kept, set)
	d.state.Settlement = kept
	return d.save()
}

// The demo's PIPE wallet starts with some coins, in whole ones, so that a refund that comes after the settlement finds some.
const (
	startBTC = "1"
	startETH = "20"
)

// fill pays coins into the PIPE wallet once, and mines them deep enough. A crash in between fills it again, which does no harm.
func (d *Demo) fill(ctx context.Context) error {
	if d.state.Filled {
		return nil
	}
	for coin, whole := range map[money.Currency]string{money.BTC: startBTC, money.ETH: startETH} {
		to, err := d.app.Desk.ReceivingAddress(ctx, payment.ID(d.state.MerchantID), d.app.Nets[coin].Network)
		if err != nil {
			return fmt.Errorf("find the wallet's %s address: %w", coin, err)
		}
		amount, err := parseAmount(coin, whole)
		if err != nil {
			return err
		}
		if _, err := d.chains[coin].Pay(ctx, to, amount); err != nil {
			return fmt.Errorf("fill the wallet with %s: %w", coin, err)
		}
		if _, _, err := d.chains[coin].Mine(ctx, FillBlocks); err != nil {
			return fmt.Errorf("mine what fills the wallet: %w", err)
		}
	}
	d.state.Filled = true
	return d.save()
}
