package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// keyPlace stands where the API key belongs: the admin does not know any.
const keyPlace = "YOUR-API-KEY"

// A curl is a call of the API about an invoice, as people paste it into a shell.
type curl struct {
	Key  string // of its name in the texts
	ID   string // in the page
	Text string
}

// curls are the calls that ask about, refund and test an invoice.
func (d *door) curls(s engine.Story) []curl {
	if d.PublicURL == "" {
		return nil
	}
	id, call := string(s.Invoice.ID), d.PublicURL+"/api/v1/"
	return []curl{
		{"curl.get", "curl-get", shellCall(call+"invoice/get", [2]string{"invoice_id", id})},
		{"curl.refund", "curl-refund", shellCall(call+"invoice/refund", [2]string{"invoice_id", id}, [2]string{"callback_url", s.Invoice.CallbackURL})},
		{"curl.test", "curl-test", shellCall(call+"test/callback", [2]string{"invoice_id", id})},
	}
}

// shellCall is a call with the API key and these parameters. --data-urlencode takes what follows the first = as it is, where -F would
// read files for some.
func shellCall(url string, parameters ...[2]string) string {
	var b strings.Builder
	b.WriteString("curl " + quote(url))
	for _, p := range append([][2]string{{"api_key", keyPlace}}, parameters...) {
		b.WriteString(" \\\n    --data-urlencode " + quote(p[0]+"="+p[1]))
	}
	return b.String()
}

// quote is a text as one word of a POSIX shell, whatever is in it (POSIX.1-2017, XCU 2.2.2).
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// printed is an invoice as invoice/get answers it, indented for people; "" where this process does not know how.
func (d *door) printed(s engine.Story) (string, error) {
	if d.Statement == nil {
		return "", nil
	}
	line, err := d.Statement(payment.Statement(s.Facts))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, line, "", "  "); err != nil {
		return "", fmt.Errorf("indent invoice: %w", err)
	}
	return b.String(), nil
}

// invoiceJSON answers what invoice/get would.
func (d *door) invoiceJSON(w http.ResponseWriter, r *http.Request, v *visit) error {
	s, err := d.Desk.Story(r.Context(), v.Merchant.ID, payment.ID(r.PathValue("id")))
	if err != nil {
		return err
	}
	if d.Statement == nil {
		return noPage()
	}
	line, err := d.Statement(payment.Statement(s.Facts))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(line); err != nil {
		return fmt.Errorf("send invoice: %w", err)
	}
	return nil
}
