package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// names are ids without their zeros.
func names[T any](all []T, id func(T) payment.ID) string {
	var short []string
	for _, v := range all {
		short = append(short, strings.TrimLeft(string(id(v)), "0"))
	}
	return strings.Join(short, " ")
}

func payoutNames(s *suite, read func(tx engine.Tx) ([]payment.Payout, error)) string {
	s.t.Helper()
	return names(get(s, read), func(p payment.Payout) payment.ID { return p.ID })
}

// refundOf is a refund that waits, with every field that may be set.
func (s *suite) refundOf(i payment.Invoice, id payment.ID) payment.Payout {
	return payment.Payout{
		ID: id, Kind: payment.RefundAsked, MerchantID: i.MerchantID, ApplicationID: i.ApplicationID, InvoiceID: i.ID,
		Network: ethereum, To: "0xback", Amount: wei("340282366920938463463374607431768211456"), Wasted: wei("3"), Fee: wei("2"),
		Net: wei("1"), State: payment.PayoutWaiting, Held: payment.HoldDepth, CallbackURL: "https://shop.example/refund",
		Attempt: 1, CreatedAt: s.now, UpdatedAt: s.now, DueAt: s.now,
	}
}

// withdrawalOf is a withdrawal that waits.
func (s *suite) withdrawalOf(merchant payment.ID, id payment.ID) payment.Payout {
	return payment.Payout{
		ID: id, Kind: payment.Withdrawal, MerchantID: merchant, Network: ethereum, To: "0xfar", Amount: wei("5"),
		Wasted: wei("0"), Fee: wei("0"), Net: wei("0"), State: payment.PayoutWaiting, Attempt: 1,
		CreatedAt: s.now, UpdatedAt: s.now, DueAt: s.now,
	}
}

func (s *suite) addPayout(p payment.Payout) payment.Payout {
	s.t.Helper()
	s.update(func(tx engine.Tx) error { return tx.AddPayout(p) })
	return p
}

func (s *suite) swapPayout(p *payment.Payout) {
	s.t.Helper()
	s.update(func(tx engine.Tx) error { return tx.SwapPayout(*p) })
	p.Rev++
}

func payouts(t *testing.T, s *suite) {
	i := s.invoice()
	p := s.refundOf(i, makeID(1))
	read := func(tx engine.Tx) (payment.Payout, error) { return tx.Payout(p.ID) }
	absent(s, "payout", read)
	s.addPayout(p)
	same(t, "payout", get(s, read), p)
	facts := func(i payment.Invoice) []payment.Payout {
		return get(s, func(tx engine.Tx) (payment.Facts, error) { return tx.Facts(i.ID) }).Payouts
	}
	same(t, "payouts of an invoice", facts(i), []payment.Payout{p})

	stale := p
	p.To, p.Source, p.Amount, p.Wasted, p.Fee, p.Net = "0xelse", ledger.Invoice(string(i.ID)), wei("99"), wei("9"), wei("8"), wei("7")
	p.State, p.Held, p.SpendID, p.TxID = payment.PayoutPaying, payment.HoldNode, makeID(77), "0xtx"
	p.Attempt, p.Turn, p.Reserved = 2, 3, true
	p.UpdatedAt, p.DueAt, p.SentAt = s.now.Add(time.Second), s.now.Add(time.Minute), s.now.Add(time.Hour)
	changed := p
	changed.Kind, changed.MerchantID, changed.Network, changed.CallbackURL = payment.RefundLate, makeID(5), "ethereum/5", "https://evil.example" // fixed
	changed.For, changed.CreatedAt, changed.InvoiceID = makeID(6), s.now.Add(time.Hour), makeID(7)
	s.update(func(tx engine.Tx) error { return tx.SwapPayout(changed) })
	p.Rev++
	same(t, "saved payout", get(s, read), p)
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SwapPayout(stale) })
	p.State, p.DoneAt, p.FailReason, p.Reserved = payment.PayoutFailed, s.now.Add(time.Hour), "no: \"float\"", false
	s.swapPayout(&p)
	same(t, "failed payout", get(s, read), p)

	w := s.withdrawalOf(i.MerchantID, makeID(2))
	w.Amount, w.Wasted, w.Fee, w.Net = wei("4"), money.Amount{}, money.Amount{}, money.Amount{} // not known yet
	s.addPayout(w)
	w.Wasted, w.Fee, w.Net = wei("0"), wei("0"), wei("0")
	same(t, "withdrawal", get(s, func(tx engine.Tx) (payment.Payout, error) { return tx.Payout(w.ID) }), w)
	same(t, "payouts of an invoice", facts(i), []payment.Payout{p})
}

// live: of one invoice, kind and network one payout is owed at a time.
func live(t *testing.T, s *suite) {
	i := s.invoice()
	add := func(id int, change func(*payment.Payout)) func(tx engine.Tx) error {
		p := s.refundOf(i, makeID(id))
		if change != nil {
			change(&p)
		}
		return func(tx engine.Tx) error { return tx.AddPayout(p) }
	}
	s.update(add(1, nil))
	s.refused("a second refund", payment.ErrConflict, add(2, nil))
	s.refused("an id twice", payment.ErrConflict, add(1, func(p *payment.Payout) { p.Kind = payment.RefundExcess }))
	s.update(add(3, func(p *payment.Payout) { p.Kind = payment.RefundExcess }))
	s.update(add(4, func(p *payment.Payout) {
		p.Network, p.Amount, p.Wasted, p.Fee, p.Net = bitcoin, money.Of(money.BTC, 9), money.Amount{}, money.Amount{}, money.Amount{}
	}))
	other := s.invoice()
	s.update(func(tx engine.Tx) error { return tx.AddPayout(s.refundOf(other, makeID(5))) })

	first := get(s, func(tx engine.Tx) (payment.Payout, error) { return tx.Payout(makeID(1)) })
	for n, state := range []payment.PayoutState{payment.PayoutOpen, payment.PayoutPaying} {
		first.State, first.SpendID = state, makeID(50)
		s.swapPayout(&first)
		s.refused("a second refund beside one that is "+string(state), payment.ErrConflict, add(10+n, nil))
	}
	first.State, first.DoneAt, first.FailReason = payment.PayoutFailed, s.now, "no"
	s.swapPayout(&first)
	s.update(add(6, nil))
	second := get(s, func(tx engine.Tx) (payment.Payout, error) { return tx.Payout(makeID(6)) })
	second.State, second.DoneAt = payment.PayoutDone, s.now
	s.swapPayout(&second)
	s.update(add(7, nil))
	s.refused("an old one that lives again beside a new one", payment.ErrConflict, func(tx engine.Tx) error {
		second.State, second.DoneAt, second.SpendID = payment.PayoutPaying, time.Time{}, makeID(50)
		return tx.SwapPayout(second)
	})
	for n := range 3 { // nothing holds back those that are no invoice's
		s.addPayout(s.withdrawalOf(i.MerchantID, makeID(20+n)))
	}
	if n := len(get(s, func(tx engine.Tx) (payment.Facts, error) { return tx.Facts(i.ID) }).Payouts); n != 5 {
		t.Errorf("the invoice has %d payouts, want 5", n)
	}

	// However many ask at once, one refund is owed.
	crowded := s.invoice()
	together(t, 16, func(n int) error {
		return s.store.Update(context.Background(), func(tx engine.Tx) error {
			f, err := tx.Facts(crowded.ID)
			if _, asked := f.Asked(); err != nil || asked {
				return err
			}
			return tx.AddPayout(s.refundOf(crowded, tx.NewID()))
		})
	})
	if n := len(get(s, func(tx engine.Tx) (payment.Facts, error) { return tx.Facts(crowded.ID) }).Payouts); n != 1 {
		t.Errorf("%d refunds are owed, want 1", n)
	}
}

func owed(t *testing.T, s *suite) {
	a := s.application()
	wallet := ledger.Wallet(string(a.MerchantID))
	add := func(id int, change func(*payment.Payout)) {
		p := s.withdrawalOf(a.MerchantID, makeID(id))
		change(&p)
		s.addPayout(p)
	}
	state := func(state payment.PayoutState, due time.Duration) func(*payment.Payout) {
		return func(p *payment.Payout) { p.State, p.DueAt = state, s.now.Add(due) }
	}
	reserved := func(source ledger.Account, is bool) func(*payment.Payout) {
		return func(p *payment.Payout) {
			p.State, p.Source, p.Reserved, p.Turn, p.DueAt = payment.PayoutOpen, source, is, 1, s.now.Add(time.Hour)
		}
	}
	add(0x11, state(payment.PayoutWaiting, 0))
	add(0x12, state(payment.PayoutWaiting, -time.Minute))
	add(0x13, state(payment.PayoutWaiting, time.Millisecond)) // not yet
	add(0x14, state(payment.PayoutOpen, -time.Hour))
	add(0x15, func(p *payment.Payout) {
		p.Network, p.Amount = bitcoin, money.Of(money.BTC, 1)
		p.Wasted, p.Fee, p.Net = money.Amount{}, money.Amount{}, money.Amount{}
	})
	add(0x16, func(p *payment.Payout) { state(payment.PayoutDone, -time.Hour)(p); p.DoneAt = s.now })
	add(0x31, reserved(wallet, true))
	add(0x30, reserved(wallet, true))
	add(0x32, reserved(wallet, false))
	add(0x33, reserved(ledger.Wallet("other"), true))
	gather := func(id int, of payment.ID, spend payment.ID) {
		add(id, func(p *payment.Payout) {
			p.Kind, p.For, p.SpendID, p.State, p.DueAt = payment.Gather, of, spend, payment.PayoutPaying, s.now.Add(time.Hour)
		})
	}
	gather(0x42, makeID(0x11), makeID(0x90))
	gather(0x41, makeID(0x11), makeID(0x90))
	gather(0x43, makeID(0x12), makeID(0x91))
	for _, c := range []struct {
		name, want string
		read       func(tx engine.Tx) ([]payment.Payout, error)
	}{
		{"waiting", "12 11 15", func(tx engine.Tx) ([]payment.Payout, error) {
			eth, err := tx.DuePayouts(ethereum, payment.PayoutWaiting, s.now, 9)
			if err != nil {
				return nil, err
			}
			btc, err := tx.DuePayouts(bitcoin, payment.PayoutWaiting, s.now, 9)
			return append(eth, btc...), err
		}},
		{"the first waiting", "12", func(tx engine.Tx) ([]payment.Payout, error) {
			return tx.DuePayouts(ethereum, payment.PayoutWaiting, s.now, 1)
		}},
		{"open", "14", func(tx engine.Tx) ([]payment.Payout, error) {
			return tx.DuePayouts(ethereum, payment.PayoutOpen, s.now, 9)
		}},
		{"done", "", func(tx engine.Tx) ([]payment.Payout, error) {
			return tx.DuePayouts(ethereum, payment.PayoutDone, s.now, 9)
		}},
		{"reserved", "31 30", func(tx engine.Tx) ([]payment.Payout, error) { return tx.SourcePayouts(wallet, ethereum, true, 9) }},
		{"the first reserved", "31", func(tx engine.Tx) ([]payment.Payout, error) { return tx.SourcePayouts(wallet, ethereum, true, 1) }},
		{"reserved elsewhere", "", func(tx engine.Tx) ([]payment.Payout, error) { return tx.SourcePayouts(wallet, bitcoin, true, 9) }},
		{"not reserved", "32", func(tx engine.Tx) ([]payment.Payout, error) { return tx.SourcePayouts(wallet, ethereum, false, 9) }},
		{"of no account", "", func(tx engine.Tx) ([]payment.Payout, error) { return tx.SourcePayouts("", ethereum, false, 9) }},
		{"of a spend", "42 41", func(tx engine.Tx) ([]payment.Payout, error) { return tx.SpendPayouts(makeID(0x90)) }},
		{"of no spend", "", func(tx engine.Tx) ([]payment.Payout, error) { return tx.SpendPayouts("") }},
		{"gathers", "42 41", func(tx engine.Tx) ([]payment.Payout, error) { return tx.GatherPayouts(makeID(0x11)) }},
		{"gathers of nothing", "", func(tx engine.Tx) ([]payment.Payout, error) { return tx.GatherPayouts("") }},
	} {
		if got := payoutNames(s, c.read); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func merchantPayouts(t *testing.T, s *suite) {
	i := s.invoice()
	stranger := s.invoice()
	none := money.Amount{}
	kinds := []payment.PayoutKind{payment.Settlement, payment.RefundAsked, payment.RefundShort, payment.RefundLate}
	for n, kind := range kinds {
		p := s.refundOf(i, makeID(0x11+n))
		p.Kind = kind
		if n%2 == 1 {
			p.Network, p.Amount, p.Wasted, p.Fee, p.Net = bitcoin, money.Of(money.BTC, 1), none, none, none
		}
		s.addPayout(p)
	}
	s.addPayout(s.withdrawalOf(i.MerchantID, makeID(0x0F)))
	s.addPayout(s.withdrawalOf(i.MerchantID, makeID(0x20)))
	s.addPayout(s.withdrawalOf(stranger.MerchantID, makeID(0x19)))
	for _, c := range []struct {
		want string
		q    engine.MerchantPayouts
	}{
		{"20 14 13 12 11 F", engine.MerchantPayouts{Limit: 9}},
		{"20 14", engine.MerchantPayouts{Limit: 2}},
		{"12 11", engine.MerchantPayouts{Limit: 2, Before: makeID(0x13)}},
		{"14 12", engine.MerchantPayouts{Limit: 9, Network: bitcoin}},
		{"20 F", engine.MerchantPayouts{Limit: 9, Kinds: []payment.PayoutKind{payment.Withdrawal}}},
		{"20 11 F", engine.MerchantPayouts{Limit: 9, Kinds: []payment.PayoutKind{payment.Settlement, payment.Withdrawal, payment.Settlement}}},
		{"20 11", engine.MerchantPayouts{Limit: 2, Kinds: []payment.PayoutKind{payment.Settlement, payment.Withdrawal}}},
		{"11 F", engine.MerchantPayouts{Limit: 2, Before: makeID(0x20), Kinds: []payment.PayoutKind{payment.Settlement, payment.Withdrawal}}},
		{"14", engine.MerchantPayouts{Limit: 9, Network: bitcoin, Kinds: []payment.PayoutKind{payment.RefundLate, payment.Settlement}}},
		{"", engine.MerchantPayouts{Limit: 0, Kinds: []payment.PayoutKind{payment.Settlement}}},
	} {
		c.q.Merchant = i.MerchantID
		got := payoutNames(s, func(tx engine.Tx) ([]payment.Payout, error) { return tx.MerchantPayouts(c.q) })
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", c.q, got, c.want)
		}
	}
}

// payoutChecks are contradictions that the database, or the store before it, refuses.
func payoutChecks(t *testing.T, s *suite) {
	i := s.invoice()
	for name, change := range map[string]func(*payment.Payout){
		"of an unknown invoice":           func(p *payment.Payout) { p.InvoiceID = makeID(1) },
		"of an unknown merchant":          func(p *payment.Payout) { p.MerchantID = makeID(1) },
		"of no invoice but its refund":    func(p *payment.Payout) { p.InvoiceID, p.ApplicationID = "", "" },
		"of no application":               func(p *payment.Payout) { p.ApplicationID = "" },
		"of an invoice, to withdraw":      func(p *payment.Payout) { p.Kind = payment.Withdrawal },
		"of a kind nobody knows":          func(p *payment.Payout) { p.Kind = "gift" },
		"in a state nobody knows":         func(p *payment.Payout) { p.State = "gone" },
		"below zero":                      func(p *payment.Payout) { p.Amount = money.Of(money.ETH, -1) },
		"of another network's coin":       func(p *payment.Payout) { p.Fee = money.Of(money.BTC, 1) },
		"of a number without a coin":      func(p *payment.Payout) { p.Amount = money.Of("", 1) },
		"on a network without a coin":     func(p *payment.Payout) { p.Network = "dogecoin/1" },
		"done without a time":             func(p *payment.Payout) { p.State = payment.PayoutDone },
		"failed without a time":           func(p *payment.Payout) { p.State, p.FailReason = payment.PayoutFailed, "x" },
		"waiting with an end":             func(p *payment.Payout) { p.DoneAt = s.now },
		"paying without a spend":          func(p *payment.Payout) { p.State = payment.PayoutPaying },
		"paying to nobody":                func(p *payment.Payout) { p.State, p.SpendID, p.To = payment.PayoutPaying, makeID(3), "" },
		"reserved from nowhere":           func(p *payment.Payout) { p.Reserved, p.Turn = true, 1 },
		"reserved for the noughth time":   func(p *payment.Payout) { p.Reserved, p.Source = true, ledger.Invoice("x") },
		"from the world":                  func(p *payment.Payout) { p.Source = ledger.World },
		"that gives a reason but goes on": func(p *payment.Payout) { p.FailReason = "x" },
		"of a gather that is none":        func(p *payment.Payout) { p.For = makeID(4) },
		"that was never made":             func(p *payment.Payout) { p.CreatedAt = time.Time{} },
	} {
		p := s.refundOf(i, makeID(2))
		change(&p)
		if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.AddPayout(p) }); err == nil {
			t.Errorf("a payout %s was stored", name)
		}
	}
	p := s.addPayout(s.refundOf(i, makeID(2)))
	for name, change := range map[string]func(*payment.Payout){
		"of another network's coin": func(p *payment.Payout) { p.Net = money.Of(money.BTC, 1) },
		"done without a time":       func(p *payment.Payout) { p.State = payment.PayoutDone },
	} {
		bad := p
		change(&bad)
		if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.SwapPayout(bad) }); err == nil {
			t.Errorf("a payout %s was saved", name)
		}
	}
}

func halt(t *testing.T, s *suite) {
	read := func(tx engine.Tx) (engine.Halt, error) { return tx.Halt() }
	h := get(s, read)
	same(t, "no halt", h, engine.Halt{})
	h.Reason, h.Since = "a ticket of ours was used by a stranger", s.now
	s.update(func(tx engine.Tx) error { return tx.SaveHalt(h) })
	s.refused("a stale save", payment.ErrConflict, func(tx engine.Tx) error { return tx.SaveHalt(engine.Halt{}) })
	h.Rev++
	same(t, "halt", get(s, read), h)
	if err := s.store.Update(context.Background(), func(tx engine.Tx) error {
		return tx.SaveHalt(engine.Halt{Reason: "since never", Rev: h.Rev})
	}); err == nil {
		t.Error("a halt without a time was saved")
	}
	s.update(func(tx engine.Tx) error { return tx.SaveHalt(engine.Halt{Rev: h.Rev}) })
	same(t, "no halt", get(s, read), engine.Halt{Rev: h.Rev + 1})
}

func stamp(t *testing.T, s *suite) {
	read := func(tx engine.Tx) (string, error) { return tx.Stamp() }
	same(t, "no stamp", get(s, read), "")
	for _, text := range []string{"one", "two"} {
		s.update(func(tx engine.Tx) error { return tx.SaveStamp(text) })
		same(t, "stamp", get(s, read), text)
	}
}
