package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// Create is what a shop sends to open an invoice, as text. An absent field is "".
type Create struct {
	PriceCurrency, Price, OrderID, OrderName, Language string
	CallbackURL, OpenType, RedirectURL, RefundAddress  string
	IdempotencyKey                                     string
}

// digest is the same for the same parameters and for no others.
func (c Create) digest() []byte {
	return digest(c.PriceCurrency, c.Price, c.OrderID, c.OrderName, c.Language, c.CallbackURL, c.OpenType, c.RedirectURL, c.RefundAddress)
}

// digest is the SHA-256 of texts, each behind its length.
func digest(texts ...string) []byte {
	h := sha256.New()
	for _, s := range texts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	return h.Sum(nil)
}

// Create opens an invoice. With an idempotency key that was used before, it answers the invoice made then. Errors:
// malformed, url-not-registered, idempotency-key-reused.
func (d *Desk) Create(ctx context.Context, app payment.Application, c Create) (payment.Invoice, error) {
	if d.Room != nil && !d.Room() {
		return payment.Invoice{}, payment.Refuse(payment.Unavailable, payment.WordDisk,
			"this gateway is short of disk space and takes no new invoices: try again later")
	}
	inv, err := d.newInvoice(app, c)
	if err != nil {
		return inv, err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		if c.IdempotencyKey != "" {
			made, err := tx.Idempotency(app.ID, c.IdempotencyKey)
			if err == nil {
				inv, err = madeBefore(tx, made, c)
				return err
			}
			if !errors.Is(err, payment.ErrAbsent) {
				return err
			}
		}
		for coin, back := range inv.Refunds {
			if err := notOurs(tx, d.Nets[coin].Network, back.Address); err != nil {
				return err
			}
		}
		inv.ID, inv.CreatedAt, inv.UpdatedAt = tx.NewID(), tx.Now(), tx.Now()
		inv.Told.Deadline = inv.CreatedAt.Add(inv.Policy.ChooseWithin).UnixMilli()
		return d.addInvoice(tx, inv, c)
	})
	return inv, err
}

func madeBefore(tx Tx, made Idempotency, c Create) (payment.Invoice, error) {
	if !bytes.Equal(made.Digest, c.digest()) {
		e := payment.Refuse(payment.Conflict, payment.WordIdempotency,
			"this Idempotency-Key was used with other parameters: use a new key for a new invoice")
		e.Field = "Idempotency-Key"
		return payment.Invoice{}, e
	}
	return tx.Invoice(made.Made)
}

func (d *Desk) addInvoice(tx Tx, inv payment.Invoice, c Create) error {
	if err := tx.AddInvoice(inv); err != nil {
		return err
	}
	if c.IdempotencyKey != "" {
		err := tx.AddIdempotency(Idempotency{inv.ApplicationID, c.IdempotencyKey, c.digest(), inv.ID, tx.Now()})
		if err != nil {
			return err
		}
	}
	return tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: inv.ID, Kind: payment.EventCreated, At: tx.Now(),
		Data: map[string]string{"price": inv.Price.Text(), "price_currency": string(inv.Price.Currency())}})
}

// newInvoice checks what a shop sent and makes the invoice of it, without id and times.
func (d *Desk) newInvoice(app payment.Application, c Create) (payment.Invoice, error) {
	inv := payment.Invoice{
		ApplicationID: app.ID, MerchantID: app.MerchantID, OrderID: c.OrderID, OrderName: c.OrderName,
		Coins: app.Coins, Told: payment.Told{Status: payment.Waiting},
	}
	var err error
	if inv.Price, err = d.price(c); err != nil {
		return inv, err
	}
	if err := printable("order_id", c.OrderID, payment.MaxOrderID); err != nil {
		return inv, err
	}
	if inv.OrderName == "" {
		inv.OrderName = c.OrderID
	}
	if err := printable("order_name", inv.OrderName, payment.MaxOrderName); err != nil {
		return inv, err
	}
	if err := printable("Idempotency-Key", c.IdempotencyKey+"-", payment.MaxKey+1); err != nil {
		return inv, err
	}
	if inv.Language, err = ParseLanguage(c.Language); err != nil {
		return inv, err
	}
	if inv.CallbackURL, err = d.shopURL(app, "callback_url", c.CallbackURL); err != nil {
		return inv, err
	}
	if inv.OpenType, err = openType(c.OpenType); err != nil {
		return inv, err
	}
	if c.RedirectURL != "" {
		if inv.RedirectURL, err = d.shopURL(app, "redirect_url", c.RedirectURL); err != nil {
			return inv, err
		}
	}
	if inv.Refunds, err = d.refundAddress(app, c.RefundAddress); err != nil {
		return inv, err
	}
	inv.Policy = app.Settings.Freeze(inv.Price)
	return inv, nil
}

func (d *Desk) price(c Create) (money.Amount, error) {
	currency := money.Currency(c.PriceCurrency)
	if !currency.IsPrice() {
		return money.Amount{}, payment.Malformed("price_currency", "must be KRW or USD")
	}
	price, err := money.Parse(currency, c.Price)
	switch most := d.MaxPrice[currency]; {
	case err != nil:
		return price, payment.Malformed("price", "%s", err)
	case price.Sign() <= 0:
		return price, payment.Malformed("price", "must be above zero")
	case most.Less(price):
		return price, payment.Malformed("price", "must be at most %s", most)
	}
	return price, nil
}

// printable refuses empty text, text over a number of characters, and characters that cannot be seen.
func printable(field, text string, most int) error {
	switch {
	case text == "":
		return payment.Malformed(field, "is missing")
	case !utf8.ValidString(text):
		return payment.Malformed(field, "is not valid UTF-8")
	case utf8.RuneCountInString(text) > most:
		return payment.Malformed(field, "has more than %d characters", most)
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return payment.Malformed(field, "has characters that cannot be printed")
	}
	return nil
}

// ParseLanguage reads a page language as shops write it. "" is English.
func ParseLanguage(text string) (payment.Language, error) {
	switch strings.ToLower(text) {
	case "", "en", "en-us", "en-gb":
		return payment.English, nil
	case "kr", "ko", "ko-kr":
		return payment.Korean, nil
	}
	return "", payment.Malformed("language", "must be en or kr")
}

func openType(text string) (payment.OpenType, error) {
	switch o := payment.OpenType(text); o {
	case "":
		return payment.OpenRedirect, nil
	case payment.OpenRedirect, payment.OpenPopup, payment.OpenLayer:
		return o, nil
	}
	return "", payment.Malformed("open_type", "must be redirect, popup or layer")
}

// refundAddress takes the address for whichever of the application's coins it is an address of.
func (d *Desk) refundAddress(app payment.Application, text string) (map[money.Currency]payment.RefundAddress, error) {
	if text == "" {
		return map[money.Currency]payment.RefundAddress{}, nil
	}
	if len(text) > payment.MaxAddress {
		return nil, payment.Malformed("refund_address", "has more than %d characters", payment.MaxAddress)
	}
	var reasons []string
	for _, coin := range slices.Sorted(slices.Values(app.Coins)) {
		n, ok := d.Nets[coin]
		if !ok {
			continue
		}
		normal, err := n.ParseAddress(text)
		if err == nil {
			return map[money.Currency]payment.RefundAddress{coin: {Address: normal, Fixed: true}}, nil
		}
		reasons = append(reasons, string(coin)+": "+err.Error())
	}
	return nil, payment.Malformed("refund_address", "is not an address of a coin of this application (%s)", strings.Join(reasons, "; "))
}
