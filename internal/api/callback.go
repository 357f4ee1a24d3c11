package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A tested is the data of test/callback. Response is what came back, at most 1 KiB; bytes that are not UTF-8 become U+FFFD.
type tested struct {
	CallbackURL string    `json:"callback_url"`
	Send        statement `json:"send"`
	Response    string    `json:"response"`
	RequestID   string    `json:"request_id,omitempty"` // of a failure
}

// testCallback sends the sample of an invoice. When the shop's answer is not ok, the data is filled all the same, so that
// the developer sees why.
func (a *api) testCallback(ctx context.Context, w http.ResponseWriter, c call) (answer, error) {
	id, err := invoiceID(ctx, c)
	if err != nil {
		return answer{}, err
	}
	url, err := c.form.text("callback_url")
	if err != nil {
		return answer{}, err
	}
	if err := a.allow(w, a.test, string(c.app.ID)); err != nil {
		return answer{}, err
	}
	sent, err := a.desk.TestCallback(ctx, c.app, id, url)
	if err != nil {
		return answer{}, err
	}
	data := tested{CallbackURL: sent.URL, Send: sent.Fields, Response: strings.ToValidUTF8(string(sent.Answer.Body), "\ufffd")}
	web.Note(ctx, slog.String("verdict", sent.Answer.Verdict))
	if sent.Answer.Delivered {
		return success(data), nil
	}
	data.RequestID = web.RequestID(ctx)
	language := "en"
	if c.korean {
		language = "ko"
		w.Header().Set("Content-Language", "ko")
	}
	w.Header().Add("Vary", "Accept-Language")
	not := codeOf(payment.Refuse(payment.Invalid, payment.WordNotOK, "the answer is not ok"))
	message := a.explain(sent.Answer.Verdict, language)
	if sent.Answer.Detail != "" {
		message += " (" + sent.Answer.Detail + ")"
	}
	return answer{not.status(), not.number, message, data}, nil
}
