package admin

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

type auditPage struct {
	frame
	Records []payment.AuditRecord
	Subject string
	Older   string // the next page, "" where there is none
}

// auditLog shows what was done, the newest first, in pages by number.
func (d *door) auditLog(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	before, err := strconv.ParseInt(q.Get("before"), 10, 64)
	if err != nil {
		before = 0
	}
	p := auditPage{frame: d.frame(r, v, "nav.audit"), Subject: q.Get("subject")}
	if p.Records, err = d.Office.AuditLog(r.Context(), v.Merchant.ID, p.Subject, before); err != nil {
		return err
	}
	if len(p.Records) > engine.PageRows {
		p.Records = p.Records[:engine.PageRows]
		next := url.Values{"before": {strconv.FormatInt(p.Records[len(p.Records)-1].Seq, 10)}}
		if p.Subject != "" {
			next.Set("subject", p.Subject)
		}
		p.Older = "/audit?" + next.Encode()
	}
	return d.render(w, r, "auditlog", p)
}
