package admin

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// paymentsPage lists invoices. Filters live in the URL, so that a view is kept by its address.
type paymentsPage struct {
	frame
	Lines    []engine.InvoiceLine
	Apps     []payment.Application
	Counts   []count
	Asked    url.Values // the filters
	Statuses []payment.Status
	Marks    []string
	Coins    []money.Currency
	Older    string
	Exports  []export
	Views    []savedView
	Query    string // what a view of this list would keep; "": nothing is chosen
	Kept     bool   // there is a view of it
}

// A count is how many invoices have a status, and where they are listed.
type count struct {
	Status payment.Status
	N      int
	URL    string
	Here   bool
}

// An export is a file that a list can be had as.
type export struct{ Key, URL string }

// marks are the words of marks in URLs, in the order of the form.
func marks() []string { return slices.Sorted(maps.Keys(markWords)) }

var markWords = map[string]payment.Marks{
	"short": payment.MarkShort, "excess": payment.MarkExcess, "late": payment.MarkLate, "reversed": payment.MarkReversed,
	"dropped": payment.MarkDropped,
}

// MarksOf are the words of an invoice's marks.
func (f frame) MarksOf(m payment.Marks) []string {
	return slices.DeleteFunc(marks(), func(word string) bool { return !m.Has(markWords[word]) })
}

// StatusClass is the colour of a status's badge.
func (f frame) StatusClass(s payment.Status) string {
	switch s {
	case payment.Paid:
		return "good"
	case payment.Refunded:
		return "warn"
	case payment.Waiting, payment.Expired:
	}
	return ""
}

// CallbackClass is the colour of a callback's badge.
func (f frame) CallbackClass(s payment.CallbackState) string {
	switch s {
	case payment.CallbackDelivered:
		return "good"
	case payment.CallbackParked:
		return "bad"
	case payment.CallbackOpen:
	}
	return "warn"
}

// payments lists what shops asked for, the newest first.
func (d *door) payments(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.listPayments(w, r, v, paymentsPage{frame: d.frame(r, v, "nav.payments"), Asked: r.URL.Query()})
}

func (d *door) listPayments(w http.ResponseWriter, r *http.Request, v *visit, p paymentsPage) (err error) {
	p.Marks, p.Coins = marks(), d.coins()
	p.Statuses = []payment.Status{payment.Waiting, payment.Paid, payment.Expired, payment.Refunded}
	if err := d.savedViews(r, v, &p); err != nil {
		return err
	}
	if p.Apps, err = d.Desk.MerchantApplications(r.Context(), v.Merchant.ID); err != nil {
		return err
	}
	if text := p.Asked.Get("q"); text != "" { // a search looks at everything
		p.Lines, err = d.Desk.FindInvoices(r.Context(), v.Merchant.ID, text, engine.PageRows)
		if err != nil {
			return err
		}
		return d.render(w, r, "payments", p)
	}
	q := d.invoiceQuery(v, p.Asked)
	counts, err := d.Desk.InvoiceCounts(r.Context(), q)
	if err != nil {
		return err
	}
	for _, s := range p.Statuses {
		p.Counts = append(p.Counts, count{s, counts[s], "/payments?" + with(p.Asked, "status", strconv.Itoa(int(s))), s == q.Status})
	}
	q.Span, q.Limit = paged(q.Span, p.Asked.Get("before")), engine.PageRows+1
	if p.Lines, err = d.Desk.InvoicePage(r.Context(), q); err != nil {
		return err
	}
	if len(p.Lines) > engine.PageRows {
		p.Lines = p.Lines[:engine.PageRows]
		p.Older = "/payments?" + with(p.Asked, "before", string(p.Lines[len(p.Lines)-1].ID))
	}
	p.Exports = []export{{"export.payments", "/payments.csv?" + with(p.Asked, "", "")}, {"export.moves", "/moves.csv?" + with(p.Asked, "", "")}}
	return d.render(w, r, "payments", p)
}

// invoiceQuery reads the filters; what cannot be read is no filter.
func (d *door) invoiceQuery(v *visit, asked url.Values) engine.InvoiceQuery {
	q := engine.InvoiceQuery{Merchant: v.Merchant.ID, Marks: markWords[asked.Get("mark")], Span: d.days(asked)}
	if n, err := strconv.Atoi(asked.Get("status")); err == nil && n >= int(payment.Waiting) && n <= int(payment.Refunded) {
		q.Status = payment.Status(n)
	}
	if id, ok := payment.ParseID(asked.Get("app")); ok {
		q.Application = id
	}
	if coin := money.Currency(asked.Get("coin")); coin.IsCoin() {
		q.Coin = coin
	}
	return q
}

// days are the days that a form names, the last one whole, as a span of ids.
func (d *door) days(asked url.Values) engine.Span {
	var s engine.Span
	if from, err := time.ParseInLocation(time.DateOnly, asked.Get("from"), d.Zone); err == nil {
		s.Since = engine.IDAt(from)
	}
	if to, err := time.ParseInLocation(time.DateOnly, asked.Get("to"), d.Zone); err == nil {
		s.Before = engine.IDAt(to.AddDate(0, 0, 1))
	}
	return s
}

// paged narrows a span to what is older than the last row of the page before.
func paged(s engine.Span, before string) engine.Span {
	id, ok := payment.ParseID(before)
	if ok && (s.Before == "" || id < s.Before) {
		s.Before = id
	}
	return s
}

// with is a query with one value changed, on its first page and without what is empty.
func with(asked url.Values, name, value string) string {
	q := url.Values{}
	for _, key := range []string{"status", "mark", "coin", "app", "from", "to", "pile"} {
		if text := asked.Get(key); text != "" {
			q.Set(key, text)
		}
	}
	if name != "" {
		q.Set(name, value)
	}
	return q.Encode()
}

// coins are those of the networks served, in order.
func (d *door) coins() []money.Currency { return slices.Sorted(maps.Keys(d.Desk.Nets)) }

// AppName is the name of an application of the page.
func (p paymentsPage) AppName(id payment.ID) string {
	for _, a := range p.Apps {
		if a.ID == id {
			return a.Name
		}
	}
	return ""
}
