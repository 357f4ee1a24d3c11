package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// short is the number that makeID made an id of.
func short(id payment.ID) string { return strings.TrimLeft(string(id), "0") }

// listed are five invoices of two applications of one merchant, and one of a stranger. Only 3 has a coin.
func (s *suite) listed() (a, b payment.Application, stranger payment.Invoice) {
	s.t.Helper()
	a = s.application()
	b = a
	stranger = s.invoice()
	s.update(func(tx engine.Tx) error {
		b.ID, b.Name = newID(tx), "second"
		return tx.AddApplication(b)
	})
	s.update(func(tx engine.Tx) error {
		for n := 1; n <= 5; n++ {
			app := a
			if n == 4 {
				app = b
			}
			i := s.invoiceOf(app, makeID(n))
			i.OrderID = fmt.Sprintf("order-%d", n%3)
			switch n {
			case 2:
				i.Told.Status, i.Told.ExpiredAt, i.Told.Marks = payment.Expired, s.now.UnixMilli(), payment.MarkShort|payment.MarkLate
			case 3:
				q := s.quoteOf(i, makeID(0x33), money.ETH)
				i.Told.Status, i.Told.PaidAt, i.Told.QuoteID, i.Told.Confirmed = payment.Paid, s.now.UnixMilli(), q.ID, "77"
				i.Told.Marks = payment.MarkExcess
				if err := tx.AddInvoice(i); err != nil {
					return err
				}
				if err := tx.AddQuote(q); err != nil {
					return err
				}
				if err := tx.SwapInvoice(i); err != nil { // which tells the coin
					return err
				}
				continue
			}
			if err := tx.AddInvoice(i); err != nil {
				return err
			}
		}
		return nil
	})
	return a, b, stranger
}

func invoiceLists(t *testing.T, s *suite) {
	a, b, stranger := s.listed()
	for _, c := range []struct {
		want string
		q    engine.InvoiceQuery
	}{
		{"5 4 3 2 1", engine.InvoiceQuery{}},
		{"5 4", engine.InvoiceQuery{Limit: 2}},
		{"2 1", engine.InvoiceQuery{Span: engine.Span{Before: makeID(3)}}},
		{"4 3", engine.InvoiceQuery{Span: engine.Span{Since: makeID(3), Before: makeID(5)}}},
		{"5 4 1", engine.InvoiceQuery{Status: payment.Waiting}},
		{"3", engine.InvoiceQuery{Status: payment.Paid}},
		{"", engine.InvoiceQuery{Status: payment.Refunded}},
		{"4", engine.InvoiceQuery{Application: b.ID}},
		{"3 2", engine.InvoiceQuery{Marks: payment.MarkShort | payment.MarkExcess}},
		{"2", engine.InvoiceQuery{Marks: payment.MarkLate}},
		{"3", engine.InvoiceQuery{Coin: money.ETH}},
		{"", engine.InvoiceQuery{Coin: money.BTC}},
		{"5 1", engine.InvoiceQuery{Application: a.ID, Status: payment.Waiting}},
	} {
		c.q.Merchant = a.MerchantID
		if c.q.Limit == 0 {
			c.q.Limit = 9
		}
		var got []string
		for _, line := range get(s, func(tx engine.Tx) ([]engine.InvoiceLine, error) { return tx.InvoicePage(c.q) }) {
			got = append(got, short(line.ID))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %q, want %q", c.q, got, c.want)
		}
	}
	line := get(s, func(tx engine.Tx) (engine.InvoiceLine, error) { return tx.InvoiceLine(a.MerchantID, makeID(3)) })
	q := s.quoteOf(payment.Invoice{ID: makeID(3), Price: line.Price}, makeID(0x33), money.ETH)
	same(t, "line", line, engine.InvoiceLine{
		ID: makeID(3), ApplicationID: a.ID, OrderID: "order-0", OrderName: "A book; 'quoted'", Price: money.Of(money.KRW, 105_000),
		Status: payment.Paid, Marks: payment.MarkExcess, CreatedAt: s.now, PaidAt: s.now, Coin: money.ETH, Rate: q.Rate, Due: q.Due, Confirmed: wei("77"),
	})
	absent(s, "another merchant's line", func(tx engine.Tx) (engine.InvoiceLine, error) { return tx.InvoiceLine(a.MerchantID, stranger.ID) })

	count := func(q engine.InvoiceQuery, limit int) map[payment.Status]int {
		q.Merchant = a.MerchantID
		return get(s, func(tx engine.Tx) (map[payment.Status]int, error) { return tx.InvoiceCounts(q, limit) })
	}
	same(t, "counts", count(engine.InvoiceQuery{Status: payment.Paid}, 99), map[payment.Status]int{payment.Waiting: 3, payment.Paid: 1, payment.Expired: 1})
	same(t, "counts of a coin", count(engine.InvoiceQuery{Coin: money.ETH}, 99), map[payment.Status]int{payment.Paid: 1})
	same(t, "counts of an application", count(engine.InvoiceQuery{Application: b.ID}, 99), map[payment.Status]int{payment.Waiting: 1})
	same(t, "counts of a stretch", count(engine.InvoiceQuery{Span: engine.Span{Since: makeID(2), Before: makeID(4)}}, 99),
		map[payment.Status]int{payment.Expired: 1, payment.Paid: 1})
	same(t, "counts of marks", count(engine.InvoiceQuery{Marks: payment.MarkLate}, 99), map[payment.Status]int{payment.Expired: 1})
	most := 0
	for _, n := range count(engine.InvoiceQuery{}, 2) {
		most += n
	}
	if most != 2 {
		t.Errorf("%d are counted of at most 2", most)
	}
	apps := get(s, func(tx engine.Tx) ([]payment.Application, error) { return tx.MerchantApplications(a.MerchantID, "", 9) })
	if len(apps) != 2 || apps[0].ID >= apps[1].ID {
		t.Errorf("%d applications", len(apps))
	}
	apps = get(s, func(tx engine.Tx) ([]payment.Application, error) {
		return tx.MerchantApplications(a.MerchantID, apps[0].ID, 9)
	})
	if len(apps) != 1 {
		t.Errorf("%d applications after the first", len(apps))
	}
}

func searches(t *testing.T, s *suite) {
	a, _, stranger := s.listed()
	orders := func(m payment.ID, order string, limit int) string {
		var all []string
		for _, id := range get(s, func(tx engine.Tx) ([]payment.ID, error) { return tx.OrderInvoices(m, order, limit) }) {
			all = append(all, short(id))
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct{ got, want string }{
		{orders(a.MerchantID, "order-1", 9), "4 1"}, {orders(a.MerchantID, "order-1", 1), "4"}, {orders(a.MerchantID, "order", 9), ""},
		{orders(stranger.MerchantID, "order-1", 9), ""},
	} {
		if c.got != c.want {
			t.Errorf("orders: got %q, want %q", c.got, c.want)
		}
	}
	mine := get(s, func(tx engine.Tx) (payment.Invoice, error) { return tx.Invoice(makeID(1)) })
	paid := get(s, func(tx engine.Tx) (payment.Invoice, error) { return tx.Invoice(makeID(2)) })
	s.update(func(tx engine.Tx) error {
		d := s.depositOf(mine, makeID(0x51), "tx:9")
		d.TxID = "0xin"
		if err := tx.AddDeposit(d); err != nil {
			return err
		}
		p := s.refundOf(paid, makeID(0x52))
		p.TxID = "0xout"
		if err := tx.AddPayout(p); err != nil {
			return err
		}
		p = s.refundOf(stranger, makeID(0x53))
		p.TxID = "0xin"
		return tx.AddPayout(p)
	})
	for _, c := range []struct{ txid, want string }{{"0xin", "1"}, {"0xout", "2"}, {"0xnone", ""}, {"", ""}} {
		var got []string
		for _, id := range get(s, func(tx engine.Tx) ([]payment.ID, error) { return tx.TxIDInvoices(a.MerchantID, c.txid, 9) }) {
			got = append(got, short(id))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: got %q, want %q", c.txid, got, c.want)
		}
	}
}

func callbackLists(t *testing.T, s *suite) {
	i := s.invoice()
	other := s.invoice()
	s.update(func(tx engine.Tx) error {
		for n := 1; n <= 5; n++ {
			c := s.callbackOf(i, makeID(n), "https://shop.example")
			switch n {
			case 2:
				c.Attempts = 2
			case 3:
				c.State, c.DoneAt, c.Attempts = payment.CallbackParked, s.now, 1
			case 5:
				c.State, c.DoneAt = payment.CallbackDelivered, s.now
			}
			if _, err := tx.AddCallback(c); err != nil {
				return err
			}
		}
		if _, err := tx.AddCallback(s.callbackOf(other, makeID(9), "https://shop.example")); err != nil {
			return err
		}
		for n := 1; n <= 2; n++ {
			if err := tx.AddAttempt(payment.Attempt{CallbackID: makeID(2), N: n, At: s.now.Add(time.Duration(n) * time.Second), Took: time.Millisecond,
				HTTPStatus: 200 + n, Verdict: fmt.Sprint("verdict-", n), Detail: "d", Answer: []byte{0, 255}}); err != nil {
				return err
			}
		}
		return nil
	})
	list := func(q engine.CallbackQuery) []engine.CallbackLine {
		q.Application, q.Limit = i.ApplicationID, 9
		if q.Utmost == 0 && q.Least == 0 && q.State != payment.CallbackOpen {
			q.Utmost = 9
		}
		return get(s, func(tx engine.Tx) ([]engine.CallbackLine, error) { return tx.CallbackPage(q) })
	}
	for _, c := range []struct {
		want string
		q    engine.CallbackQuery
	}{
		{"4 1", engine.CallbackQuery{State: payment.CallbackOpen}},
		{"2", engine.CallbackQuery{State: payment.CallbackOpen, Least: 1, Utmost: 9}},
		{"4 2 1", engine.CallbackQuery{State: payment.CallbackOpen, Utmost: 9}},
		{"1", engine.CallbackQuery{State: payment.CallbackOpen, Utmost: 9, Span: engine.Span{Before: makeID(2)}}},
		{"4 2", engine.CallbackQuery{State: payment.CallbackOpen, Utmost: 9, Span: engine.Span{Since: makeID(2)}}},
		{"3", engine.CallbackQuery{State: payment.CallbackParked}},
		{"5", engine.CallbackQuery{State: payment.CallbackDelivered}},
	} {
		var got []string
		for _, line := range list(c.q) {
			got = append(got, short(line.ID))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %q, want %q", c.q, got, c.want)
		}
	}
	line := list(engine.CallbackQuery{State: payment.CallbackOpen, Least: 1, Utmost: 9})[0]
	same(t, "last try", line.Last, payment.Attempt{CallbackID: makeID(2), N: 2, At: s.now.Add(2 * time.Second), Took: time.Millisecond,
		HTTPStatus: 202, Verdict: "verdict-2", Detail: "d", Answer: []byte{0, 255}})
	if line.OrderID != i.OrderID || line.Origin != "https://shop.example" || line.Seq != 2 {
		t.Errorf("the line is %+v", line)
	}
	same(t, "no try", list(engine.CallbackQuery{State: payment.CallbackParked})[0].Last, payment.Attempt{})
	count := func(state payment.CallbackState, limit int) int {
		return get(s, func(tx engine.Tx) (int, error) { return tx.CountCallbacks(i.ApplicationID, state, limit) })
	}
	if n, few, none := count(payment.CallbackOpen, 9), count(payment.CallbackOpen, 2), count("gone", 9); n != 3 || few != 2 || none != 0 {
		t.Errorf("counted %d, %d and %d, want 3, 2 and 0", n, few, none)
	}
}

func moves(t *testing.T, s *suite) {
	i := s.invoice()
	stranger := s.invoice()
	s.update(func(tx engine.Tx) error {
		for n, q := range []payment.Quote{s.quoteOf(i, makeID(0x71), money.ETH), s.quoteOf(i, makeID(0x72), money.ETH)} {
			if n == 1 {
				q.Rate, q.CreatedAt = mustRate(t), s.now.Add(time.Second)
			}
			if err := tx.AddQuote(q); err != nil {
				return err
			}
		}
		add := func(id int, of payment.Invoice, change func(d *payment.Deposit)) error {
			d := s.depositOf(of, makeID(id), fmt.Sprintf("ref-%d", id))
			d.State, d.Turn, d.BlockHash, d.Height = payment.Confirmed, 1, "hash", 5
			change(&d)
			return tx.AddDeposit(d)
		}
		wallet := ledger.Wallet(string(i.MerchantID))
		for _, err := range []error{
			add(1, i, func(*payment.Deposit) {}),
			add(2, i, func(d *payment.Deposit) { d.State, d.BlockHash, d.Height = payment.Seen, "", 0 }),
			add(3, i, func(d *payment.Deposit) { d.InvoiceID, d.Account = "", wallet }),
			add(4, i, func(d *payment.Deposit) { d.InvoiceID, d.Account, d.SpendID = "", wallet, makeID(99) }),
			add(5, stranger, func(*payment.Deposit) {}),
		} {
			if err != nil {
				return err
			}
		}
		done := func(p payment.Payout) payment.Payout {
			p.State, p.DoneAt, p.SentAt = payment.PayoutDone, s.now, s.now
			return p
		}
		gather := done(s.withdrawalOf(i.MerchantID, makeID(13)))
		gather.Kind = payment.Gather
		for _, p := range []payment.Payout{
			done(s.refundOf(i, makeID(11))), done(s.withdrawalOf(i.MerchantID, makeID(12))), gather,
			s.withdrawalOf(i.MerchantID, makeID(14)), done(s.withdrawalOf(stranger.MerchantID, makeID(15))),
		} {
			if err := tx.AddPayout(p); err != nil {
				return err
			}
		}
		return nil
	})
	in := func(span engine.Span, limit int) []engine.Move {
		return get(s, func(tx engine.Tx) ([]engine.Move, error) { return tx.MovedDeposits(i.MerchantID, span, limit) })
	}
	out := func(span engine.Span, limit int) []engine.Move {
		return get(s, func(tx engine.Tx) ([]engine.Move, error) { return tx.MovedPayouts(i.MerchantID, span, limit) })
	}
	name := func(all []engine.Move) string {
		var names []string
		for _, m := range all {
			names = append(names, short(m.ID()))
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct{ what, got, want string }{
		{"in", name(in(engine.Span{}, 9)), "3 1"}, {"the first in", name(in(engine.Span{}, 1)), "3"},
		{"in before", name(in(engine.Span{Before: makeID(3)}, 9)), "1"}, {"in since", name(in(engine.Span{Since: makeID(2)}, 9)), "3"},
		{"out", name(out(engine.Span{}, 9)), "C B"}, {"the first out", name(out(engine.Span{}, 1)), "C"},
		{"out before", name(out(engine.Span{Before: makeID(12)}, 9)), "B"}, {"out since", name(out(engine.Span{Since: makeID(12)}, 9)), "C"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	last := in(engine.Span{}, 9)[1]
	if last.OrderID != i.OrderID || last.Rate.IsZero() || last.Rate.Cmp(mustRate(t)) != 0 || len(last.Votes) != 2 || !last.RatedAt.Equal(s.now.Add(time.Second)) {
		t.Errorf("what came in is %+v", last)
	}
	if m := out(engine.Span{}, 9)[1]; m.OrderID != i.OrderID || m.Rate.IsZero() || m.Payout.Kind != payment.RefundAsked {
		t.Errorf("what went out is %+v", m)
	}
	if m := in(engine.Span{}, 9)[0]; !m.Rate.IsZero() || m.OrderID != "" || m.Deposit.Account != ledger.Wallet(string(i.MerchantID)) {
		t.Errorf("what the wallet received is %+v", m)
	}
}

func mustRate(t *testing.T) money.Rate {
	t.Helper()
	r, err := money.ParseRate(money.ETH, money.KRW, "5000000")
	if err != nil {
		t.Fatal(err)
	}
	return r
}
