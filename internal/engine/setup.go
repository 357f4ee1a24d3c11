package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// AddMerchant makes a merchant. Error: malformed.
func (d *Desk) AddMerchant(ctx context.Context, name string) (payment.Merchant, error) {
	m := payment.Merchant{Name: name}
	if err := printable("name", name, payment.MaxName); err != nil {
		return m, err
	}
	err := d.Store.Update(ctx, func(tx Tx) (err error) {
		m.ID, m.CreatedAt = tx.NewID(), tx.Now()
		m.Branch, err = tx.AddMerchant(m)
		return err
	})
	return m, err
}

// Merchants are those after an id, at most Batch.
func (d *Desk) Merchants(ctx context.Context, after payment.ID) (all []payment.Merchant, err error) {
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.Merchants(after, Batch)
		return err
	})
	return all, err
}

// A Change is what may be set of an application; nil leaves a part as it is. Every part is checked, and all or none is
// saved.
type Change struct {
	Name       *string
	Origins    *[]string
	Networks   *[]string // IP addresses and CIDRs
	Coins      *[]money.Currency
	Settlement map[money.Currency]string // "" takes the coin's address away
	Settings   func(s *payment.Settings)
	Callback   func(c *payment.CallbackSettings)
}

// A NewApplication is an application with the secrets that are shown this once.
type NewApplication struct {
	payment.Application
	Key    string // the API key
	Secret string // whsec_…: what its callbacks are signed with
}

// AddApplication makes an application with a key and a callback secret. Errors: malformed.
func (d *Desk) AddApplication(ctx context.Context, merchant payment.ID, c Change) (NewApplication, error) {
	app, key, err := d.newApplication(merchant, c)
	if err != nil {
		return app, err
	}
	err = d.Store.Update(ctx, func(tx Tx) error { return d.saveApplication(tx, &app, key) })
	return app, err
}

// newApplication makes what an application begins with, and checks it.
func (d *Desk) newApplication(merchant payment.ID, c Change) (NewApplication, payment.Key, error) {
	app := NewApplication{Application: payment.Application{
		MerchantID: merchant, Settings: payment.DefaultSettings(), Settlement: map[money.Currency]string{},
		Callback: payment.CallbackSettings{Encoding: payment.EncodingJSON},
	}}
	for coin := range d.Nets {
		app.Coins = append(app.Coins, coin)
	}
	slices.Sort(app.Coins)
	if err := d.apply(&app.Application, c); err != nil {
		return app, payment.Key{}, err
	}
	if err := printable("name", app.Name, payment.MaxName); err != nil {
		return app, payment.Key{}, err
	}
	secret, sealed, err := d.newSecret()
	if err != nil {
		return app, payment.Key{}, err
	}
	app.Secret, app.Callback.Secrets = secret, []payment.Secret{{Sealed: sealed}}
	key, text, err := d.newKey()
	app.Key = text
	return app, key, err
}

// saveApplication stores a new application with its first key.
func (d *Desk) saveApplication(tx Tx, app *NewApplication, key payment.Key) error {
	if _, err := tx.Merchant(app.MerchantID); errors.Is(err, payment.ErrAbsent) {
		return payment.Malformed("merchant", "no such merchant")
	} else if err != nil {
		return err
	}
	if err := d.settleOutside(tx, app.Application); err != nil {
		return err
	}
	app.ID, app.CreatedAt, app.UpdatedAt = tx.NewID(), tx.Now(), tx.Now()
	key.ID, key.ApplicationID, key.CreatedAt = tx.NewID(), app.ID, tx.Now()
	if err := tx.AddApplication(app.Application); err != nil {
		return err
	}
	return tx.AddKey(key)
}

// SetApplication changes an application. Invoices that exist keep the policy they froze. Errors: malformed.
func (d *Desk) SetApplication(ctx context.Context, id payment.ID, c Change) (payment.Application, error) {
	var app payment.Application
	err := d.Store.Update(ctx, func(tx Tx) (err error) {
		if app, err = application(tx, id); err != nil {
			return err
		}
		return d.change(tx, &app, c)
	})
	return app, err
}

// change checks a change of an application and saves it.
func (d *Desk) change(tx Tx, app *payment.Application, c Change) error {
	if err := d.apply(app, c); err != nil {
		return err
	}
	if err := d.settleOutside(tx, *app); err != nil {
		return err
	}
	app.UpdatedAt = tx.Now()
	return tx.SwapApplication(*app)
}

func application(tx Tx, id payment.ID) (payment.Application, error) {
	app, err := tx.Application(id)
	if errors.Is(err, payment.ErrAbsent) {
		return app, payment.Malformed("application", "no such application")
	}
	return app, err
}

// Applications are those after an id, at most Batch.
func (d *Desk) Applications(ctx context.Context, after payment.ID) (all []payment.Application, err error) {
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.Applications(after, Batch)
		return err
	})
	return all, err
}

// RotateKey makes a new API key that may do everything; all others end after overlap. Errors: malformed.
func (d *Desk) RotateKey(ctx context.Context, id payment.ID, overlap time.Duration) (string, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", payment.Malformed("overlap", "must be between 0 and %s", MaxOverlap)
	}
	key, text, err := d.newKey()
	if err != nil {
		return "", err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		if _, err := application(tx, id); err != nil {
			return err
		}
		key.ApplicationID = id
		return replaceKeys(tx, &key, overlap)
	})
	return text, err
}

// replaceKeys ends all keys of an application after overlap, and stores the new one.
func replaceKeys(tx Tx, key *payment.Key, overlap time.Duration) error {
	old, err := tx.Keys(key.ApplicationID)
	if err != nil {
		return err
	}
	end, live := tx.Now().Add(overlap), 0
	for _, k := range old {
		if !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(end) {
			continue
		}
		live++
		if err := tx.ExpireKey(k.ID, end); err != nil {
			return err
		}
	}
	if live >= payment.MaxKeys {
		return tooManyKeys()
	}
	key.ID, key.CreatedAt = tx.NewID(), tx.Now()
	return tx.AddKey(*key)
}

// AddKey makes a further API key beside those that there are. One that may not refund suits servers that only sell. Error:
// malformed, too-many-requests.
func (d *Desk) AddKey(ctx context.Context, id payment.ID, noRefund bool) (string, error) {
	key, text, err := d.newKey()
	if err != nil {
		return "", err
	}
	key.NoRefund = noRefund
	err = d.Store.Update(ctx, func(tx Tx) error {
		if _, err := application(tx, id); err != nil {
			return err
		}
		key.ApplicationID = id
		return addKey(tx, &key)
	})
	return text, err
}

// addKey stores a further key.
func addKey(tx Tx, key *payment.Key) error {
	all, err := tx.Keys(key.ApplicationID)
	if err != nil {
		return err
	}
	live := 0
	for _, k := range all {
		if k.ExpiresAt.IsZero() || tx.Now().Before(k.ExpiresAt) {
			live++
		}
	}
	if live >= payment.MaxKeys {
		return tooManyKeys()
	}
	key.ID, key.CreatedAt = tx.NewID(), tx.Now()
	return tx.AddKey(*key)
}

func tooManyKeys() error {
	return payment.Refuse(payment.Limit, payment.WordTooMany, "at most %d keys may be live at once: let old ones end first", payment.MaxKeys)
}

// newKey is 256 random bits in hex behind a prefix, with a checksum, so that a typo is told from an unknown key.
func (d *Desk) newKey() (payment.Key, string, error) {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return payment.Key{}, "", fmt.Errorf("make api key: %w", err)
	}
	body := hex.EncodeToString(random)
	text := fmt.Sprintf("%s%s%08x", d.World.KeyPrefix(), body, crc32.ChecksumIEEE([]byte(body)))
	hash := sha256.Sum256([]byte(text))
	return payment.Key{Hash: hash[:], Hint: text[:len(KeyLive)+4]}, text, nil
}

// apply checks a change and makes it.
func (d *Desk) apply(app *payment.Application, c Change) (err error) {
	if c.Name != nil {
		if err := printable("name", *c.Name, payment.MaxName); err != nil {
			return err
		}
		app.Name = *c.Name
	}
	if c.Origins != nil {
		if app.Origins, err = d.origins(*c.Origins); err != nil {
			return err
		}
	}
	if c.Networks != nil {
		if app.Networks, err = networks(*c.Networks); err != nil {
			return err
		}
	}
	if c.Coins != nil {
		if err := d.coins(app, *c.Coins); err != nil {
			return err
		}
	}
	if err := d.settlement(app, c.Settlement); err != nil {
		return err
	}
	if c.Settings != nil {
		app.Settings.Depths = slices.Clone(app.Settings.Depths)
		c.Settings(&app.Settings)
		if err := errors.Join(app.Settings.Check(), checkLook(app.Settings.Look)); err != nil {
			return err
		}
	}
	if c.Callback != nil {
		c.Callback(&app.Callback)
	}
	if e := app.Callback.Encoding; e != payment.EncodingJSON && e != payment.EncodingForm {
		return payment.Malformed("callback_encoding", "must be json or form")
	}
	return nil
}

func (d *Desk) origins(all []string) ([]string, error) {
	if len(all) > payment.MaxOrigins {
		return nil, payment.Malformed("web_service_url", "at most %d may be registered", payment.MaxOrigins)
	}
	var normal []string
	for _, text := range all {
		o, err := CheckOrigin(text, d.InsecureURLs)
		if err != nil {
			return nil, err
		}
		normal = append(normal, o)
	}
	return normal, nil
}

func networks(all []string) ([]netip.Prefix, error) {
	if len(all) > payment.MaxNetworks {
		return nil, payment.Malformed("ip", "at most %d may be registered", payment.MaxNetworks)
	}
	var nets []netip.Prefix
	for _, text := range all {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			nets = append(nets, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() {
			return nil, payment.Malformed("ip", "%q is not an IP address or CIDR like 203.0.113.7 or 2001:db8::/32", text)
		}
		nets = append(nets, p.Masked())
	}
	return nets, nil
}

func (d *Desk) coins(app *payment.Application, coins []money.Currency) error {
	if len(coins) == 0 {
		return payment.Malformed("coins", "at least one coin is needed")
	}
	for _, coin := range coins {
		if _, ok := d.Nets[coin]; !ok {
			return payment.Malformed("coins", "%s is not served here", coin)
		}
	}
	app.Coins = slices.Compact(slices.Sorted(slices.Values(coins)))
	return nil
}

func (d *Desk) settlement(app *payment.Application, addresses map[money.Currency]string) error {
	for coin, text := range addresses {
		n, err := d.net(coin)
		if err != nil {
			return err
		}
		if text == "" {
			delete(app.Settlement, coin)
			continue
		}
		normal, err := n.ParseAddress(text)
		if err != nil {
			return payment.Malformed("settlement_address", "%s: %s", coin, err)
		}
		app.Settlement[coin] = normal
	}
	return nil
}

// newSecret is a callback secret in the form of Standard Webhooks, and sealed for the store.
func (d *Desk) newSecret() (text string, sealed []byte, err error) {
	clear := make([]byte, 32)
	if _, err := rand.Read(clear); err != nil {
		return "", nil, fmt.Errorf("make callback secret: %w", err)
	}
	if sealed, err = d.Sealer.Seal(clear); err != nil {
		return "", nil, fmt.Errorf("seal callback secret: %w", err)
	}
	return FormatSecret(clear), sealed, nil
}
