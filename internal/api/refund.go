package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A refunding is the data of invoice/refund: what the guide's table names, and what its example shows.
type refunding struct {
	RefundID   payment.ID `json:"refund_id"`
	InvoiceID  payment.ID `json:"invoice_id"`
	CreateTime int64      `json:"create_time"`
}

// refund asks for a refund of a paid invoice. Where one was asked for before, the refusal shows it.
func (a *api) refund(ctx context.Context, w http.ResponseWriter, c call) (answer, error) {
	ask := engine.AskRefund{Application: c.app, Key: c.key}
	var err error
	if ask.Invoice, err = invoiceID(ctx, c); err != nil {
		return answer{}, err
	}
	if ask.CallbackURL, err = c.form.text("callback_url"); err != nil {
		return answer{}, err
	}
	if ask.IdempotencyKey, err = idempotencyKey(c.header); err != nil {
		return answer{}, err
	}
	p, f, err := a.desk.AskRefund(ctx, ask)
	if p.ID != "" {
		web.Note(ctx, slog.String("refund_id", string(p.ID)))
	}
	var refused *payment.Error
	if errors.As(err, &refused) && refused.Word == payment.WordState && p.ID != "" {
		return refundThatIs(ctx, w, c, standing{refused, f, p}), nil
	}
	if err != nil {
		return answer{}, err
	}
	return success(refunding{p.ID, f.Invoice.ID, p.CreatedAt.Unix()}), nil
}

// standing is a refund that stands in the way of another.
type standing struct {
	refused *payment.Error
	facts   payment.Facts
	payout  payment.Payout
}

// refundThatIs refuses a refund and shows the one that exists, as its callbacks print it.
func refundThatIs(ctx context.Context, w http.ResponseWriter, c call, s standing) answer {
	code, message := codeOf(s.refused), s.refused.Message
	if c.korean {
		message = inKorean(s.refused)
		w.Header().Set("Content-Language", "ko")
	}
	w.Header().Add("Vary", "Accept-Language")
	data := statement{{Name: "request_id", Kind: payment.TextField, Text: web.RequestID(ctx)}}
	return answer{code.status(), code.number, message, append(data, payment.RefundStatement(s.facts, s.payout)...)}
}
