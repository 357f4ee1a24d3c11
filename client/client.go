// Package client calls PIPE PG and checks its callbacks, with the standard library alone.
//
//	c := client.Client{URL: "https://pay.example", Key: os.Getenv("PIPE_KEY")}
//	made, err := c.Create(ctx, client.Create{PriceCurrency: "KRW", Price: "10500", OrderID: "7", CallbackURL: "https://shop.example/paid"})
//
// A shop ships when a callback's signature is good and Invoice.Check agrees with the shop's own order.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// MaxAnswer bounds an answer of PIPE, in bytes. Timeout bounds a call made without an HTTP client of its own.
const (
	MaxAnswer = 1 << 20
	Timeout   = 30 * time.Second
)

// Statuses of an invoice.
const Waiting, Paid, Expired, Refunded = 1, 2, 3, 4

// A Client calls one PIPE server for one application. It is safe for concurrent use once its fields are set.
type Client struct {
	URL  string // of the server, like https://pay.example
	Key  string // the application's API key
	HTTP *http.Client
}

// Create is what opens an invoice. Price is plain decimal text, like "10500" or "12.34". Optional fields are "".
type Create struct {
	PriceCurrency string `json:"price_currency"`
	Price         string `json:"price"`
	OrderID       string `json:"order_id"`
	CallbackURL   string `json:"callback_url"`
	OrderName     string `json:"order_name,omitempty"`
	Language      string `json:"language,omitempty"`
	OpenType      string `json:"open_type,omitempty"`
	RedirectURL   string `json:"redirect_url,omitempty"`
	RefundAddress string `json:"refund_address,omitempty"`
	// IdempotencyKey makes it safe to call again when no answer came: the same key and parameters are the same invoice.
	IdempotencyKey string `json:"-"`
}

// Created is an invoice just opened; InvoiceURL is its payment page, CreateTime in Unix seconds.
type Created struct {
	InvoiceID  string `json:"invoice_id"`
	InvoiceURL string `json:"invoice_url"`
	CreateTime int64  `json:"create_time"`
}

// An Invoice is what invoice/get and callbacks tell: price as it was printed, coins as decimal text, times in Unix seconds.
type Invoice struct {
	InvoiceID            string      `json:"invoice_id"`
	OrderID              string      `json:"order_id"`
	OrderName            string      `json:"order_name"`
	PriceCurrency        string      `json:"price_currency"`
	Price                json.Number `json:"price"`
	RequestRefundAddress string      `json:"request_refund_address"`
	Status               int         `json:"status"`
	CreateTime           int64       `json:"create_time"`
	UpdateTime           int64       `json:"update_time"`
	CoinCurrency         string      `json:"coin_currency"`
	CoinAmount           string      `json:"coin_amount"`
	SenderAddress        string      `json:"sender_address"`
	DepositAddress       string      `json:"deposit_address"`
	DepositAmount        string      `json:"deposit_amount"`
	DepositStatus        int         `json:"deposit_status"`
	DepositDate          int64       `json:"deposit_date"`
}

// Tested is what came of a test callback: where it went, what was sent, and at most 1 KiB of what came back.
type Tested struct {
	CallbackURL string  `json:"callback_url"`
	Send        Invoice `json:"send"`
	Response    string  `json:"response"`
}

// An Error is an answer of PIPE that is not a success. Code is the stable number of docs/codes.md.
type Error struct {
	Code       int           `json:"-"`
	Message    string        `json:"-"`
	Field      string        `json:"field"` // the parameter at fault, or ""
	RequestID  string        `json:"request_id"`
	Status     int           `json:"-"` // of HTTP
	RetryAfter time.Duration `json:"-"` // for code 4290
	Refund     Refund        `json:"-"` // for code 4090: the refund that exists; zero where none is in the way
}

func (e *Error) Error() string {
	return fmt.Sprintf("pipe: %s (code %d, request %s)", e.Message, e.Code, e.RequestID)
}

// Create opens an invoice. Error: *Error.
func (c *Client) Create(ctx context.Context, p Create) (Created, error) {
	var made Created
	err := c.call(ctx, request{"/api/v1/invoice/create", p.IdempotencyKey, p}, &made)
	return made, err
}

// Get reads an invoice. Error: *Error.
func (c *Client) Get(ctx context.Context, invoiceID string) (Invoice, error) {
	var inv Invoice
	err := c.call(ctx, request{"/api/v1/invoice/get", "", map[string]string{"invoice_id": invoiceID}}, &inv)
	return inv, err
}

// TestCallback sends a sample of an invoice's callback to callbackURL, or to the invoice's own where that is "". When the
// shop's answer is not ok the error is an *Error with code 4220 that says why, and the Tested is filled all the same.
func (c *Client) TestCallback(ctx context.Context, invoiceID, callbackURL string) (Tested, error) {
	var t Tested
	params := map[string]string{"invoice_id": invoiceID, "callback_url": callbackURL}
	err := c.call(ctx, request{"/api/v1/test/callback", "", params}, &t)
	return t, err
}

type request struct {
	path, idempotencyKey string
	params               any
}

func (c *Client) call(ctx context.Context, q request, into any) error {
	body, err := json.Marshal(q.params)
	if err != nil {
		return fmt.Errorf("write call: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(c.URL, "/")+q.path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make call: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.Key)
	if q.idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", q.idempotencyKey)
	}
	own := http.Client{Timeout: Timeout}
	if c.HTTP != nil {
		own = *c.HTTP
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the key goes nowhere else
	res, err := own.Do(req)
	if err != nil {
		return fmt.Errorf("call PIPE: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return fmt.Errorf("read answer of PIPE: %w", err)
	}
	return decode(res, text, into)
}

func decode(res *http.Response, text []byte, into any) error {
	var a struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &a); err != nil || a.Code == 0 || len(text) > MaxAnswer {
		return fmt.Errorf("read answer of PIPE: HTTP status %d and no answer of its form", res.StatusCode)
	}
	failed := &Error{Code: a.Code, Message: a.Message, Status: res.StatusCode}
	targets := []any{failed}
	switch a.Code {
	case 1, 4220:
		targets = append(targets, into)
	case 4090:
		targets = append(targets, &failed.Refund)
	}
	for _, target := range targets {
		if err := json.Unmarshal(a.Data, target); err != nil {
			return fmt.Errorf("read answer of PIPE: %w", err)
		}
	}
	if a.Code == 1 {
		return nil
	}
	if wait, err := time.ParseDuration(res.Header.Get("Retry-After") + "s"); err == nil {
		failed.RetryAfter = wait
	}
	return failed
}
