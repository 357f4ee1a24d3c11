package admin

import (
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// auditCSV streams the whole audit log, the oldest record first, with its hashes, so that whoever keeps it can walk the chain.
// Spreadsheets take it for UTF-8 by its mark (BOM).
func (d *door) auditCSV(w http.ResponseWriter, r *http.Request, v *visit) error {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="audit.csv"`)
	if _, err := w.Write([]byte("\ufeff")); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	out := csv.NewWriter(w)
	if err := out.Write([]string{"seq", "time", "actor_id", "actor", "ip", "action", "subject", "data", "prev", "hash"}); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	err := d.Office.EachAuditRecord(r.Context(), v.Merchant.ID, func(a payment.AuditRecord) error {
		return out.Write([]string{
			strconv.FormatInt(a.Seq, 10), a.At.UTC().Format(time.RFC3339Nano), string(a.ActorID), harmless(a.Actor), a.IP, harmless(a.Action),
			harmless(a.Subject), harmless(a.Data), hex.EncodeToString(a.Prev), hex.EncodeToString(a.Hash),
		})
	})
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a spreadsheet from taking a text for a formula (OWASP, CSV injection).
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
