package payment

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// A Field is one field of the guide's answer tables: an ordered name, its JSON kind and its text.
type Field struct {
	Name string
	Kind FieldKind
	Text string
}

// A FieldKind is how a field is written in JSON.
type FieldKind int

// The kinds of fields. A NumberField's text is printed as it stands, so no amount ever passes through a float.
const (
	TextField FieldKind = iota
	NumberField
)

// Statement is the invoice as the guide's table prints it, in its order. invoice/get, callbacks and test/callback all
// print this list, so they cannot differ. Fields from coin_currency on are empty texts, or 0, until a coin was chosen.
func Statement(f Facts) []Field {
	inv := f.Invoice
	fields := []Field{
		text("invoice_id", string(inv.ID)),
		text("order_id", inv.OrderID),
		text("order_name", inv.OrderName),
		text("price_currency", string(inv.Price.Currency())),
		{"price", NumberField, inv.Price.Text()},
		text("request_refund_address", f.refundAddress()),
		number("status", int64(inv.Told.Status)),
		number("create_time", inv.CreatedAt.Unix()),
		number("create_date", inv.CreatedAt.Unix()),
		number("update_time", inv.UpdatedAt.Unix()),
		number("update_date", inv.UpdatedAt.Unix()),
	}
	q := f.told()
	if q == nil {
		return append(fields,
			text("coin_currency", ""), text("coin_amount", ""), text("sender_address", ""), text("deposit_address", ""),
			text("deposit_amount", ""), number("deposit_status", 0), number("deposit_date", 0))
	}
	return append(fields,
		text("coin_currency", string(q.Coin)),
		text("coin_amount", q.Due.Text()),
		text("sender_address", sender(f, *q)),
		text("deposit_address", q.Address),
		text("deposit_amount", sumOf(f, q.Coin, Deposit.Live).Text()),
		number("deposit_status", int64(inv.Told.Deposit)),
		number("deposit_date", seconds(inv.Told.DepositedAt)),
	)
}

// Sample is the statement as it would read once paid: what test/callback sends. now stands in for times that are yet to
// come, and pretend, which may be nil, for the quote of an invoice whose payer has chosen no coin yet.
func Sample(f Facts, now time.Time, pretend *Quote) []Field {
	if f.told() == nil && pretend != nil {
		f.Quotes = append(slices.Clone(f.Quotes), *pretend)
		f.Invoice.Told.QuoteID = pretend.ID
	}
	f.Invoice.Told.Status = Paid
	f.Invoice.UpdatedAt = now
	f.Invoice.Told.Deposit = Deposited
	f.Invoice.Told.DepositedAt = now.UnixMilli()
	fields := Statement(f)
	if q := f.told(); q != nil {
		for i := range fields {
			if fields[i].Name == "deposit_amount" {
				fields[i].Text = q.Due.Text()
			}
		}
	}
	return fields
}

// RefundStatement is a refund of the invoice as the guide's table and example print it, in the table's order. Amounts are those
// known by now: before a transaction was made for it the amount is empty, and so is the fee. A failed one is not complete.
func RefundStatement(f Facts, p Payout) []Field {
	inv := f.Invoice
	due, net, fee, address := "", "", "", ""
	for i := range f.Quotes {
		if q := f.Quotes[i]; q.Coin == p.Network.Coin() {
			due, address = q.Due.Text(), q.Address
			if q.ID == inv.Told.QuoteID {
				break
			}
		}
	}
	if p.Net.Sign() > 0 {
		net = p.Net.Text()
	}
	if paid := p.Fee.Add(p.Wasted); paid.Sign() > 0 {
		fee = paid.Text()
	}
	complete := int64(0)
	if p.State == PayoutDone {
		complete = unix(p.DoneAt)
	}
	return []Field{
		text("refund_id", string(p.ID)),
		text("invoice_id", string(inv.ID)),
		text("order_id", inv.OrderID),
		text("order_name", inv.OrderName),
		text("price_currency", string(inv.Price.Currency())),
		{"price", NumberField, inv.Price.Text()},
		text("coin_currency", string(p.Network.Coin())),
		text("coin_amount", due),
		text("deposit_address", address),
		text("refund_amount", net),
		text("refund_network_fee", fee),
		text("transaction_address", strings.TrimPrefix(p.TxID, "0x")),
		text("refund_address", p.To),
		number("status", int64(p.RefundStatus())),
		text("fail_reason", p.FailReason),
		number("create_time", p.CreatedAt.Unix()),
		number("create_date", p.CreatedAt.Unix()),
		number("update_time", p.UpdatedAt.Unix()),
		number("update_date", p.UpdatedAt.Unix()),
		number("transaction_date", unix(p.SentAt)),
		number("complete_date", complete),
	}
}

// unix is a time in seconds, 0 for none.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// told is the quote that the amounts speak of, nil before a coin was chosen.
func (f Facts) told() *Quote {
	for i := range f.Quotes {
		if f.Quotes[i].ID == f.Invoice.Told.QuoteID {
			return &f.Quotes[i]
		}
	}
	return nil
}

// refundAddress is the one for the quote's coin; before a coin was chosen the only one there is.
func (f Facts) refundAddress() string {
	if q := f.told(); q != nil {
		return f.Invoice.RefundAddress(q.Coin)
	}
	for _, coin := range f.Invoice.Coins {
		if address := f.Invoice.RefundAddress(coin); address != "" {
			return address
		}
	}
	return ""
}

// sender is the address that the first live deposit of an account chain came from, "" where it is not known. It is only told,
// and never used as a refund address.
func sender(f Facts, q Quote) string {
	if q.Coin != money.ETH {
		return ""
	}
	var first *Deposit
	for i, d := range f.Deposits {
		if !d.Live() || d.Amount.Currency() != q.Coin || d.From == "" {
			continue
		}
		if first == nil || cmp.Or(d.Arrived().Compare(first.Arrived()), cmp.Compare(d.Ref, first.Ref)) < 0 {
			first = &f.Deposits[i]
		}
	}
	if first == nil {
		return ""
	}
	return first.From
}

func text(name, value string) Field { return Field{name, TextField, value} }

func number(name string, n int64) Field { return Field{name, NumberField, strconv.FormatInt(n, 10)} }

func seconds(milli int64) int64 { return milli / 1000 }
