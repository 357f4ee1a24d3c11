package storetest

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func merchants(t *testing.T, s *suite) {
	absent(s, "merchant", func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(makeID(1)) })
	var all []payment.Merchant
	for i := range 3 {
		m := s.merchant()
		if int(m.Branch) != i+1 {
			t.Errorf("merchant %d has branch %d", i, m.Branch)
		}
		all = append(all, m)
		same(t, "merchant", get(s, func(tx engine.Tx) (payment.Merchant, error) { return tx.Merchant(m.ID) }), m)
	}
	slices.SortFunc(all, func(a, b payment.Merchant) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	page := get(s, func(tx engine.Tx) ([]payment.Merchant, error) { return tx.Merchants("", 2) })
	same(t, "first page", page, all[:2])
	page = get(s, func(tx engine.Tx) ([]payment.Merchant, error) { return tx.Merchants(page[1].ID, 2) })
	same(t, "second page", page, all[2:])
	s.refused("the same id", payment.ErrConflict, func(tx engine.Tx) error {
		_, err := tx.AddMerchant(all[0])
		return err
	})
}

func applications(t *testing.T, s *suite) {
	a := s.application()
	read := func(tx engine.Tx) (payment.Application, error) { return tx.Application(a.ID) }
	same(t, "application", get(s, read), a)
	absent(s, "application", func(tx engine.Tx) (payment.Application, error) { return tx.Application(makeID(1)) })

	was := a
	a.Name, a.Origins, a.Networks, a.Coins, a.Settlement = "new", nil, nil, nil, nil
	a.Settings, a.Callback = payment.DefaultSettings(), payment.CallbackSettings{Encoding: payment.EncodingJSON}
	a.UpdatedAt = start.Add(time.Minute)
	s.update(func(tx engine.Tx) error { return tx.SwapApplication(a) })
	a.Rev++
	same(t, "saved application", get(s, read), a)
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapApplication(was) })
	same(t, "application after a stale save", get(s, read), a)

	b := s.application()
	list := get(s, func(tx engine.Tx) ([]payment.Application, error) { return tx.Applications("", 1) })
	if len(list) != 1 {
		t.Fatalf("a list of one has %d", len(list))
	}
	list = append(list, get(s, func(tx engine.Tx) ([]payment.Application, error) { return tx.Applications(list[0].ID, 9) })...)
	want := []payment.Application{a, b}
	slices.SortFunc(want, func(a, b payment.Application) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	same(t, "all applications", list, want)
}

func keys(t *testing.T, s *suite) {
	a := s.application()
	k := payment.Key{ID: makeID(1), ApplicationID: a.ID, Hash: bytes.Repeat([]byte{7}, 32), Hint: "pk_7", CreatedAt: s.now}
	other := payment.Key{ID: makeID(2), ApplicationID: a.ID, Hash: bytes.Repeat([]byte{8}, 32), Hint: "pk_8", NoRefund: true, CreatedAt: s.now}
	s.update(func(tx engine.Tx) error { return tx.AddKey(k) })
	s.update(func(tx engine.Tx) error { return tx.AddKey(other) })
	twin := other
	twin.ID = makeID(3)
	s.refused("a hash twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddKey(twin) })

	read := func(tx engine.Tx) (payment.Key, error) { return tx.KeyByHash(k.Hash) }
	same(t, "key", get(s, read), k)
	absent(s, "key", func(tx engine.Tx) (payment.Key, error) { return tx.KeyByHash(bytes.Repeat([]byte{9}, 32)) })
	k.ExpiresAt = s.now.Add(time.Hour)
	s.update(func(tx engine.Tx) error { return tx.ExpireKey(k.ID, k.ExpiresAt) })
	same(t, "expired key", get(s, read), k)
	s.refused("expire no key", payment.ErrAbsent, func(tx engine.Tx) error { return tx.ExpireKey(makeID(9), s.now) })
	same(t, "keys", get(s, func(tx engine.Tx) ([]payment.Key, error) { return tx.Keys(a.ID) }), []payment.Key{k, other})
	if n := len(get(s, func(tx engine.Tx) ([]payment.Key, error) { return tx.Keys(makeID(9)) })); n != 0 {
		t.Errorf("an unknown application has %d keys", n)
	}
}

func invoices(t *testing.T, s *suite) {
	i := s.invoice()
	read := func(tx engine.Tx) (payment.Invoice, error) { return tx.Invoice(i.ID) }
	same(t, "invoice", get(s, read), i)
	if got := get(s, read); got.RefundOwner != nil {
		t.Errorf("the owner of no refund address is %v, want nil", got.RefundOwner)
	}
	absent(s, "invoice", func(tx engine.Tx) (payment.Invoice, error) { return tx.Invoice(makeID(1)) })

	was := i
	i.Refunds = map[money.Currency]payment.RefundAddress{money.ETH: {Address: "0xback"}, money.BTC: {Address: "bc1back", Fixed: true}}
	i.RefundOwner, i.CancelledAt, i.UpdatedAt = []byte{1, 2, 3}, start.Add(time.Second), start.Add(time.Minute)
	i.Told = payment.Told{
		Status: payment.Paid, Deposit: payment.Deposited, Marks: payment.MarkLate | payment.MarkExcess, QuoteID: makeID(5),
		Seen: "115792089237316195423570985008687907853269984665640564039457584007913129639935", Confirmed: "0",
		Deadline: 5, DepositedAt: 6, PaidAt: 7, ExpiredAt: 8,
	}
	changed := i
	changed.OrderID, changed.Price, changed.CallbackURL = "another", money.Of(money.KRW, 1), "https://evil.example" // fixed
	s.update(func(tx engine.Tx) error { return tx.SwapInvoice(changed) })
	i.Rev++
	same(t, "saved invoice", get(s, read), i)
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapInvoice(was) })
	same(t, "invoice after a stale save", get(s, read), i)
}

func facts(t *testing.T, s *suite) {
	i := s.invoice()
	want := payment.Facts{Invoice: i}
	// The ids run against the order of making, which is what counts.
	for n, coin := range []money.Currency{money.BTC, money.ETH, money.BTC} {
		q := s.quoteOf(i, makeID(90-n), coin)
		s.update(func(tx engine.Tx) error { return tx.AddQuote(q) })
		want.Quotes = append(want.Quotes, q)
		d := s.depositOf(i, makeID(50-n), string(rune('a'+n)))
		s.update(func(tx engine.Tx) error { return tx.AddDeposit(d) })
		want.Deposits = append(want.Deposits, d)
	}
	other := s.invoice()
	s.update(func(tx engine.Tx) error { return tx.AddQuote(s.quoteOf(other, makeID(7), money.BTC)) })

	got := get(s, func(tx engine.Tx) (payment.Facts, error) { return tx.Facts(i.ID) })
	same(t, "facts", got, want)
	for n, q := range got.Quotes {
		if q.Rate.Cmp(want.Quotes[n].Rate) != 0 { // printed rates are rounded
			t.Errorf("quote %d has the rate %s, want %s", n, q.Rate.Value().RatString(), want.Quotes[n].Rate.Value().RatString())
		}
	}
	absent(s, "facts", func(tx engine.Tx) (payment.Facts, error) { return tx.Facts(makeID(1)) })
}

func due(t *testing.T, s *suite) {
	a := s.application()
	end := start.Add(time.Hour)
	add := func(id int, deadline time.Time, status payment.Status) {
		i := s.invoiceOf(a, makeID(id))
		i.Told.Status, i.Told.Deadline = status, deadline.UnixMilli()
		if status == payment.Expired {
			i.Told.ExpiredAt = 1
		}
		s.update(func(tx engine.Tx) error { return tx.AddInvoice(i) })
	}
	add(0xF1, end.Add(-time.Minute), payment.Waiting)
	add(0x22, end, payment.Waiting)
	add(0x33, end.Add(time.Millisecond), payment.Waiting)
	add(0xA4, end.Add(-time.Hour), payment.Waiting)
	add(0x05, end.Add(-time.Hour), payment.Expired)

	list := func(after payment.ID, limit int) []payment.ID {
		return get(s, func(tx engine.Tx) ([]payment.ID, error) { return tx.DueInvoices(end, after, limit) })
	}
	same(t, "due", list("", 9), []payment.ID{makeID(0x22), makeID(0xA4), makeID(0xF1)})
	same(t, "the first two due", list("", 2), []payment.ID{makeID(0x22), makeID(0xA4)})
	same(t, "the rest due", list(makeID(0xA4), 2), []payment.ID{makeID(0xF1)})
}

func stir(t *testing.T, s *suite) {
	one, two := s.invoice(), s.invoice()
	stirred := func(network money.Network) []payment.ID {
		return get(s, func(tx engine.Tx) ([]payment.ID, error) { return tx.Stirred(network, 9) })
	}
	for _, i := range []payment.Invoice{two, one, two} {
		s.update(func(tx engine.Tx) error { return tx.Stir(i.ID, bitcoin) })
	}
	s.update(func(tx engine.Tx) error { return tx.Stir(one.ID, ethereum) })
	same(t, "stirred", stirred(bitcoin), []payment.ID{two.ID, one.ID})
	same(t, "one stirred", get(s, func(tx engine.Tx) ([]payment.ID, error) { return tx.Stirred(bitcoin, 1) }), []payment.ID{two.ID})
	is := func(i payment.Invoice, network money.Network) bool {
		return get(s, func(tx engine.Tx) (bool, error) { return tx.IsStirred(i.ID, network) })
	}
	s.update(func(tx engine.Tx) error { return tx.Calm(one.ID, bitcoin) })
	s.update(func(tx engine.Tx) error { return tx.Calm(one.ID, bitcoin) })
	same(t, "stirred after a calm", stirred(bitcoin), []payment.ID{two.ID})
	same(t, "stirred on the other network", stirred(ethereum), []payment.ID{one.ID})
	if is(one, bitcoin) || !is(one, ethereum) || !is(two, bitcoin) {
		t.Errorf("stirred: %t %t %t", is(one, bitcoin), is(one, ethereum), is(two, bitcoin))
	}
}

// checks are contradictions that the database itself refuses.
func checks(t *testing.T, s *suite) {
	i := s.invoice()
	for name, told := range map[string]payment.Told{
		"no status":                  {},
		"paid without a time":        {Status: payment.Paid},
		"waiting and paid":           {Status: payment.Waiting, PaidAt: 5},
		"expired without a time":     {Status: payment.Expired},
		"deposited without a time":   {Status: payment.Waiting, Deposit: payment.Deposited},
		"a time without a deposit":   {Status: payment.Waiting, DepositedAt: 5},
		"refunded from nothing":      {Status: payment.Refunded},
		"an amount below zero":       {Status: payment.Waiting, Seen: "-1"},
		"an amount that is a number": {Status: payment.Waiting, Seen: "1.5e3x"},
	} {
		bad := i
		bad.Told = told
		if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.SwapInvoice(bad) }); err == nil {
			t.Errorf("%s was stored", name)
		}
	}
	for name, change := range map[string]func(*payment.Deposit){
		"mined without a block":     func(d *payment.Deposit) { d.State = payment.Mined },
		"seen in a block":           func(d *payment.Deposit) { d.BlockHash = "x" },
		"confirmed without a turn":  func(d *payment.Deposit) { d.State, d.BlockHash = payment.Confirmed, "x" },
		"of an unknown invoice":     func(d *payment.Deposit) { d.InvoiceID = makeID(1) },
		"below zero":                func(d *payment.Deposit) { d.Amount = money.Of(money.ETH, -1) },
		"without a time":            func(d *payment.Deposit) { d.SeenAt = time.Time{} },
		"with an id that is no id":  func(d *payment.Deposit) { d.ID = "short" },
		"in a state nobody knows":   func(d *payment.Deposit) { d.State = "lost" },
		"of a coin nobody knows":    func(d *payment.Deposit) { d.Amount = money.Of("DOGE", 1) },
		"without a ref":             func(d *payment.Deposit) { d.Ref = "" },
		"reversed without a turn":   func(d *payment.Deposit) { d.State = payment.Reversed },
		"with an amount of nothing": func(d *payment.Deposit) { d.Amount = money.Amount{} },
	} {
		d := s.depositOf(i, makeID(2), "ref")
		change(&d)
		if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.AddDeposit(d) }); err == nil {
			t.Errorf("a deposit %s was stored", name)
		}
	}
}
