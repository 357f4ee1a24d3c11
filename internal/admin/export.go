package admin

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// bom tells Excel that a file is UTF-8: without it Korean is garbage there.
const bom = "\ufeff"

// A sheet is a list as a file. next are the rows before an id and the last row's id, "" where there are no more.
type sheet struct {
	name string
	head []string
	next func(before payment.ID) (rows [][]string, last payment.ID, err error)
}

// send streams a sheet as CSV (RFC 4180), MaxExport rows at most. What breaks on the way breaks the download off: a file that
// looks whole is whole.
func (d *door) send(w http.ResponseWriter, r *http.Request, v *visit, s sheet) error {
	rows, last, err := s.next("")
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+s.name+"-"+v.Now.In(d.Zone).Format("20060102-1504")+`.csv"`)
	w.Header().Set("Cache-Control", "no-store")
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if _, err = w.Write([]byte(bom)); err == nil {
		err = out.Write(s.head)
	}
	for n := 0; err == nil; {
		for _, row := range rows {
			for i := range row {
				row[i] = safe(row[i])
			}
		}
		if err = out.WriteAll(rows); err != nil || last == "" {
			break
		}
		if n += len(rows); n >= MaxExport {
			err = out.WriteAll([][]string{{v.texts.Say("export.cut", "n", n)}})
			break
		}
		if err = control.SetWriteDeadline(time.Now().Add(ExportStep)); err != nil {
			break
		}
		rows, last, err = s.next(last)
	}
	if err != nil {
		d.Log.WarnContext(r.Context(), "export was broken off", "name", s.name, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// safe keeps a cell from being read as a formula (OWASP, CSV Injection).
func safe(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(cell[0])) || strings.HasPrefix(cell, "＝") || strings.HasPrefix(cell, "＋") ||
		strings.HasPrefix(cell, "－") || strings.HasPrefix(cell, "＠") {
		return "'" + cell
	}
	return cell
}

// moment is a time as spreadsheets read it, in the admin's zone; the column's head names the zone.
func (d *door) moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(d.Zone).Format(time.DateTime)
}

// paymentsFile is the list of payments, with its filters, as a file.
func (d *door) paymentsFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	apps, err := d.Desk.MerchantApplications(r.Context(), v.Merchant.ID)
	if err != nil {
		return err
	}
	names := map[payment.ID]string{}
	for _, a := range apps {
		names[a.ID] = a.Name
	}
	q := d.invoiceQuery(v, r.URL.Query())
	q.Limit = ExportPage
	say := v.texts.Say
	return d.send(w, r, v, sheet{name: "payments", head: []string{
		say("time") + " (" + d.Zone.String() + ")", say("payment.order"), say("payment.name"), say("app.one"), say("payment.status"), say("payment.mark"),
		say("payment.price"), say("export.currency"), say("payment.coin"), say("export.due"), say("export.confirmed"), say("export.rate"),
		say("export.paid"), say("payment.callback"), say("payment.id"),
	}, next: func(before payment.ID) (rows [][]string, last payment.ID, err error) {
		q := q
		q.Span = paged(q.Span, string(before))
		lines, err := d.Desk.InvoicePage(r.Context(), q)
		for _, line := range lines {
			rows = append(rows, d.paymentRow(v, names[line.ApplicationID], line))
		}
		if len(lines) == ExportPage {
			last = lines[len(lines)-1].ID
		}
		return rows, last, err
	}})
}

func (d *door) paymentRow(v *visit, app string, line engine.InvoiceLine) []string {
	var words []string
	for _, word := range (frame{}).MarksOf(line.Marks) {
		words = append(words, v.texts.Say("payment.mark."+word))
	}
	row := []string{
		d.moment(line.CreatedAt), line.OrderID, line.OrderName, app, v.texts.Say(fmt.Sprintf("payment.status.%d", line.Status)), strings.Join(words, ", "),
		line.Price.Text(), string(line.Price.Currency()), string(line.Coin), "", "", "", d.moment(line.PaidAt), "", string(line.ID),
	}
	if line.Coin != "" {
		row[9], row[10], row[11] = line.Due.Text(), line.Confirmed.Text(), line.Rate.Text()
	}
	if line.Callback != "" {
		row[13] = v.texts.Say("callback.state." + string(line.Callback))
	}
	return row
}

// movesFile is the accounting view: all that came in and went out for good, each with its rate and where that came from.
func (d *door) movesFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	span := d.days(r.URL.Query())
	say := v.texts.Say
	return d.send(w, r, v, sheet{name: "accounting", head: []string{
		say("time") + " (" + d.Zone.String() + ")", say("export.way"), say("money.kind"), say("payment.order"), say("wallet.network"), say("payment.coin"),
		say("money.amount"), say("money.fee"), say("money.net"), say("export.rate"), say("export.currency"), say("export.value"), say("export.fee"),
		say("export.source"), say("export.rated"), say("money.txid"), say("export.address"), say("export.id"),
	}, next: func(before payment.ID) (rows [][]string, last payment.ID, err error) {
		all, more, err := d.Desk.Moves(r.Context(), v.Merchant.ID, paged(span, string(before)), ExportPage)
		for _, m := range all {
			rows = append(rows, d.moveRow(v, m))
		}
		if more {
			last = all[len(all)-1].ID()
		}
		return rows, last, err
	}})
}

func (d *door) moveRow(v *visit, m engine.Move) []string {
	say := v.texts.Say
	var at time.Time
	var way, kind, txid, address string
	var network money.Network
	var amount, fee, net money.Amount
	if x := m.Deposit; x.ID != "" {
		network, amount, net, fee = x.Network, x.Amount, x.Amount, money.Zero(x.Network.Coin())
		at, way, kind, txid, address = x.Arrived(), say("export.in"), say("export.payment"), x.TxID, x.Address
		if m.OrderID == "" && x.InvoiceID == "" {
			kind = say("export.received")
		}
	} else {
		p := m.Payout
		network, amount, fee, net = p.Network, p.Amount, p.Fee.Add(p.Wasted), p.Net
		at, way, kind, txid, address = p.DoneAt, say("export.out"), say("payout.kind."+string(p.Kind)), p.TxID, p.To
	}
	row := []string{d.moment(at), way, kind, m.OrderID, string(network), string(network.Coin()), amount.Text(), fee.Text(), net.Text(),
		"", "", "", "", "", "", txid, address, string(m.ID())}
	if !m.Rate.IsZero() {
		var sources []string
		for _, vote := range m.Votes {
			if vote.Counted {
				sources = append(sources, vote.Source)
			}
		}
		value, cost := m.Rate.Worth(amount), m.Rate.Worth(fee)
		row[9], row[10], row[11], row[12] = m.Rate.Text(), string(m.Rate.Price()), value.Text(), cost.Text()
		row[13], row[14] = strings.Join(sources, " "), d.moment(m.RatedAt)
	}
	return row
}
