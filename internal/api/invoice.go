package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A created is the data of invoice/create.
type created struct {
	InvoiceID  payment.ID `json:"invoice_id"`
	InvoiceURL string     `json:"invoice_url"`
	CreateTime int64      `json:"create_time"`
}

// create opens an invoice.
func (a *api) create(ctx context.Context, _ http.ResponseWriter, c call) (answer, error) {
	var p engine.Create
	for _, f := range []struct {
		name string
		into *string
	}{
		{"price_currency", &p.PriceCurrency}, {"price", &p.Price}, {"order_id", &p.OrderID}, {"order_name", &p.OrderName},
		{"language", &p.Language}, {"callback_url", &p.CallbackURL}, {"open_type", &p.OpenType},
		{"redirect_url", &p.RedirectURL}, {"refund_address", &p.RefundAddress},
	} {
		var err error
		if *f.into, err = c.form.text(f.name); err != nil {
			return answer{}, err
		}
	}
	var err error
	if p.IdempotencyKey, err = idempotencyKey(c.header); err != nil {
		return answer{}, err
	}
	inv, err := a.desk.Create(ctx, c.app, p)
	if err != nil {
		return answer{}, err
	}
	web.Note(ctx, slog.String("invoice_id", string(inv.ID)))
	return success(created{inv.ID, a.publicURL + "/invoice-" + string(inv.ID), inv.CreatedAt.Unix()}), nil
}

// get answers an invoice as it stands.
func (a *api) get(ctx context.Context, _ http.ResponseWriter, c call) (answer, error) {
	id, err := invoiceID(ctx, c)
	if err != nil {
		return answer{}, err
	}
	f, err := a.desk.Invoice(ctx, c.app.ID, id)
	if err != nil {
		return answer{}, err
	}
	return success(statement(payment.Statement(f))), nil
}

// invoiceID reads the parameter invoice_id. Error: malformed.
func invoiceID(ctx context.Context, c call) (payment.ID, error) {
	text, err := c.form.text("invoice_id")
	if err != nil {
		return "", err
	}
	if text == "" {
		return "", payment.Malformed("invoice_id", "is missing")
	}
	id, ok := payment.ParseID(text)
	if !ok {
		return "", payment.Malformed("invoice_id", "must be the %d hex digits that invoice/create answered", payment.IDLength)
	}
	web.Note(ctx, slog.String("invoice_id", string(id)))
	return id, nil
}
