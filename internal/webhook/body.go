package webhook

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// The content types of callbacks.
const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// Render writes a statement as the body of a callback, fields in their order: as JSON
// {"code":1,"message":"success","data":{…}}, or as a form that PHP reads into the same shape
// (code=1&message=success&data[invoice_id]=…, brackets percent-encoded). Numbers are printed as the text they are; no
// value passes through a float. An encoding that is not known is JSON.
func Render(code int, message string, fields []payment.Field, e payment.Encoding) (contentType string, body []byte) {
	if e == payment.EncodingForm {
		return formType, renderForm(code, message, fields)
	}
	return jsonType, renderJSON(code, message, fields)
}

func renderJSON(code int, message string, fields []payment.Field) []byte {
	var b bytes.Buffer
	b.WriteString(`{"code":`)
	b.WriteString(strconv.Itoa(code))
	b.WriteString(`,"message":`)
	writeString(&b, message)
	b.WriteString(`,"data":{`)
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		writeString(&b, f.Name)
		b.WriteByte(':')
		if f.Kind == payment.NumberField && isNumber(f.Text) {
			b.WriteString(f.Text)
		} else {
			writeString(&b, f.Text)
		}
	}
	b.WriteString("}}")
	return b.Bytes()
}

func renderForm(code int, message string, fields []payment.Field) []byte {
	var b strings.Builder
	b.WriteString("code=" + strconv.Itoa(code) + "&message=" + url.QueryEscape(message))
	for _, f := range fields {
		b.WriteString("&" + url.QueryEscape("data["+f.Name+"]") + "=" + url.QueryEscape(f.Text))
	}
	return []byte(b.String())
}

// writeString writes a JSON string. Only what JSON asks to be escaped is, so that Korean and < stay readable; bytes that
// are not UTF-8 become U+FFFD.
func writeString(b *bytes.Buffer, text string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		panic("webhook: encode a string: " + err.Error()) // cannot happen: a string always encodes into a buffer
	}
	b.Truncate(b.Len() - 1) // the encoder's newline
}

// isNumber tells whether text is a JSON number (RFC 8259, section 6) without an exponent. What is not is written as a
// string, so that a body is always valid JSON.
func isNumber(text string) bool {
	whole, part, dot := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	switch {
	case whole == "" || dot && part == "" || strings.Trim(whole+part, "0123456789") != "":
		return false
	case len(whole) > 1 && whole[0] == '0':
		return false
	}
	return true
}
