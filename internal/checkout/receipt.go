package checkout

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A receiptModel is what a shop's payer keeps: one page of paper, of what was booked and nothing that was only asked for.
type receiptModel struct {
	web.Catalogue
	frame
	State   string
	Price   string
	Order   []line
	Coin    []line
	In, Out []moved
	Times   []line
	At      string // the page's own URL
}

// moved is one sum that came or went.
type moved struct {
	Amount, TxID string
	Lines        []line
}

// receipt answers GET /invoice/<ID>/receipt. Error: wrong-state while nothing was paid.
func (d *door) receipt(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	v, err := d.Desk.Page(r.Context(), id)
	if err != nil {
		return err
	}
	if !hasReceipt(v) {
		return payment.Refuse(payment.Conflict, payment.WordState, "there is a receipt once the payment is complete")
	}
	return d.show(w, r, shown{http.StatusOK, "receipt.html", d.receiptOf(d.asked(r, v.Invoice.Language), v), ancestorsOf(v)})
}

// hasReceipt tells whether something was paid, and stands.
func hasReceipt(v engine.View) bool {
	return v.Quote != nil && (v.Status == payment.Paid || v.Status == payment.Refunded) && !v.Marks.Has(payment.MarkReversed)
}

func (d *door) receiptOf(r pageRequest, v engine.View) receiptModel {
	c := r.Catalogue
	m := receiptModel{Catalogue: c, frame: d.frameOf(r, v), Price: c.Price(v.Invoice.Price), At: d.PublicURL + pagePath(v.Invoice.ID)}
	m.Title, m.State = c.Say("receipt"), c.Say("paid")
	if v.Status == payment.Refunded {
		m.State = c.Say("refunded")
	}
	m.Order = []line{{c.Say("order.name"), v.Invoice.OrderName}, {c.Say("order.number"), v.Invoice.OrderID}}
	q := v.Quote
	one := money.OfBig(q.Coin, pow10(q.Coin.Decimals()))
	var sources []string
	for _, vote := range q.Votes {
		if vote.Counted {
			sources = append(sources, vote.Source)
		}
	}
	m.Coin = []line{{c.Say("receipt.due"), web.Coin(q.Due)}, {c.Say("receipt.received"), web.Coin(v.Confirmed)},
		{c.Say("sent.net"), netName(c, q.Network)}, {c.Say("receipt.rate"), c.Say("rate.line", "coin", q.Coin, "price", c.Price(q.Rate.Worth(one)))},
		{c.Say("receipt.rate.at"), c.Time(q.CreatedAt, d.Zone)}, {c.Say("receipt.sources"), strings.Join(sources, ", ")}}
	m.Times = []line{{c.Say("receipt.ordered"), c.Time(v.Invoice.CreatedAt, d.Zone)}}
	if at := v.Invoice.Told.PaidAt; at != 0 {
		m.Times = append(m.Times, line{c.Say("paid.at"), c.Time(time.UnixMilli(at), d.Zone)})
	}
	d.fillMoved(&m, v)
	return m
}

// fillMoved lists what came and is confirmed, and what was sent back and is done.
func (d *door) fillMoved(m *receiptModel, v engine.View) {
	c := m.Catalogue
	for _, dep := range v.Deposits {
		if dep.State == payment.Confirmed {
			row := moved{Amount: web.Coin(dep.Amount), TxID: dep.TxID}
			row.Lines = []line{{c.Say("time"), c.Time(dep.Arrived(), d.Zone)}, {c.Say("receipt.block"), strconv.FormatUint(dep.Height, 10)}}
			m.In = append(m.In, row)
		}
	}
	for _, o := range v.Outgoing {
		if o.State != payment.PayoutDone {
			continue
		}
		row := moved{Amount: web.Coin(o.Amount), TxID: o.TxID}
		if o.Net.Currency() != "" {
			row.Lines = []line{{c.Say("refund.fee"), web.Coin(o.Amount.Sub(o.Net))}, {c.Say("refund.net"), web.Coin(o.Net)}}
		}
		row.Lines = append(row.Lines, line{c.Say("refund.to"), o.To}, line{c.Say("refund.done.at"), c.Time(o.DoneAt, d.Zone)})
		m.Out = append(m.Out, row)
	}
}
