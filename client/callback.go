package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxAge is how far off a callback's timestamp may be (Standard Webhooks 1.0.0). MaxCallback bounds its body, in bytes.
const (
	MaxAge      = 5 * time.Minute
	MaxCallback = 64 << 10
)

var (
	// ErrSignature: the callback is not signed with the application's secret, or its time is off. Do not believe it.
	ErrSignature = errors.New("pipe: callback is not signed well")
	// ErrMismatch: the invoice is not the one that the shop expects. Do not ship.
	ErrMismatch = errors.New("pipe: invoice is not as expected")
)

// A Callback is what PIPE tells of an invoice, or of a refund: the other one is zero. Reversed is code 4092: the chain took a
// paid deposit back. ID is the same at every try of one message, and begins with test_ for one of test/callback.
type Callback struct {
	ID       string
	Code     int
	Message  string
	Invoice  Invoice
	Refund   Refund
	Reversed bool
	Test     bool
}

// Verify reads a callback that was sent as JSON, body as it was received, and checks its signature and age with the
// application's secrets ("whsec_…"; two while one is rotated). Answer it with the text ok. Error: ErrSignature.
func Verify(h http.Header, body []byte, now time.Time, secrets ...string) (Callback, error) {
	cb := Callback{ID: h.Get("webhook-id")}
	seconds, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || cb.ID == "" || len(body) > MaxCallback {
		return cb, fmt.Errorf("%w: a header is missing or the body too long", ErrSignature)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > MaxAge || age < -MaxAge {
		return cb, fmt.Errorf("%w: its time is %s off", ErrSignature, age.Round(time.Second))
	}
	if err := verify(h, body, secrets); err != nil {
		return cb, err
	}
	var sent struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	err = json.Unmarshal(body, &sent)
	if err == nil {
		err = json.Unmarshal(sent.Data, &cb.Refund)
	}
	if err == nil && cb.Refund.RefundID == "" { // a refund's status must never be read as an invoice's
		cb.Refund, err = Refund{}, json.Unmarshal(sent.Data, &cb.Invoice)
	}
	if err != nil {
		return Callback{ID: cb.ID}, fmt.Errorf("read callback: %w", err)
	}
	cb.Code, cb.Message = sent.Code, sent.Message
	cb.Reversed, cb.Test = sent.Code == 4092, strings.HasPrefix(cb.ID, "test_")
	return cb, nil
}

// verify tells whether any of the signatures was made with any of the secrets. It takes the same time whatever differs.
func verify(h http.Header, body []byte, secrets []string) error {
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < 24 {
			return errors.New("pipe: the secret is not one like whsec_…")
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, signature := range strings.Fields(h.Get("webhook-signature")) {
			text, ok := strings.CutPrefix(signature, "v1,")
			got, err := base64.StdEncoding.DecodeString(text)
			if ok && err == nil && hmac.Equal(got, want) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: no signature fits", ErrSignature)
}

// Check compares an invoice with the shop's own order: order id, currency, price and the status expected, Paid before
// shipping. Prices are compared as numbers: 12.30 is 12.3. Error: ErrMismatch, naming what differs.
func (i Invoice) Check(orderID, priceCurrency, price string, status int) error {
	switch {
	case i.OrderID != orderID:
		return fmt.Errorf("%w: order_id is %q", ErrMismatch, i.OrderID)
	case i.PriceCurrency != priceCurrency:
		return fmt.Errorf("%w: price_currency is %q", ErrMismatch, i.PriceCurrency)
	case !equal(i.Price.String(), price):
		return fmt.Errorf("%w: price is %s", ErrMismatch, i.Price)
	case i.Status != status:
		return fmt.Errorf("%w: status is %d", ErrMismatch, i.Status)
	}
	return nil
}

// equal compares two plain decimal numbers exactly.
func equal(a, b string) bool {
	for _, text := range []string{a, b} {
		if text == "" || len(text) > 80 || strings.Trim(text, "0123456789.") != "" {
			return false
		}
	}
	x, ok := new(big.Rat).SetString(a)
	y, fine := new(big.Rat).SetString(b)
	return ok && fine && x.Cmp(y) == 0
}
