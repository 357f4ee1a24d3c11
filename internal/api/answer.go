package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// An answer is what a call says. Status is the HTTP status.
type answer struct {
	Status  int    `json:"-"`
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data"`
}

// success is the answer with code 1.
func success(data any) answer { return answer{http.StatusOK, 1, "success", data} }

// Print is what invoice/get answers of an invoice with these fields.
func Print(fields []payment.Field) ([]byte, error) {
	var b bytes.Buffer
	err := writeJSON(&b, success(statement(fields)))
	return b.Bytes(), err
}

// A statement prints its fields in their order, numbers as the text they are, so that no amount passes through a float.
type statement []payment.Field

// MarshalJSON writes an object. Error: a NumberField whose text is no JSON number.
func (s statement) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		var value any = f.Text
		if f.Kind == payment.NumberField {
			value = json.Number(f.Text)
		}
		if err := writeJSON(&b, f.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := writeJSON(&b, value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// writeJSON writes a value with < and & as they are, and no line break behind it.
func writeJSON(b *bytes.Buffer, value any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	b.Truncate(b.Len() - 1)
	return nil
}

// send writes an answer. An error means that nothing was written, or that the caller is gone.
func send(w http.ResponseWriter, a answer) error {
	var b bytes.Buffer
	if err := writeJSON(&b, a); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.Status)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("send answer: %w", err)
	}
	return nil
}

// A failing is the data of an answer that is not a success.
type failing struct {
	RequestID string `json:"request_id"`
	Field     string `json:"field,omitempty"`
}

// failed answers a request that failed, in the only form that /api/v1 has.
func (a *api) failed(w http.ResponseWriter, r *http.Request, f web.Failure) {
	code := codeOf(f.Err)
	message := f.Err.Message
	if f.Err.Word == payment.WordMalformed && f.Err.Field != "" {
		message = f.Err.Field + ": " + message
	}
	if wantsKorean(r) {
		message = inKorean(f.Err)
		w.Header().Set("Content-Language", "ko")
	}
	w.Header().Add("Vary", "Accept-Language")
	if code.status() == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="PIPE"`)
	}
	err := send(w, answer{code.status(), code.number, message, failing{f.RequestID, f.Err.Field}})
	if err != nil {
		a.log.DebugContext(r.Context(), "answer not sent", "request_id", f.RequestID, "error", err)
	}
}
