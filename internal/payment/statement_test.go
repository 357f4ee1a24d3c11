package payment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// write prints fields as JSON does, for comparison with the guide.
func write(fields []Field) string {
	var all []string
	for _, f := range fields {
		if f.Kind == TextField {
			all = append(all, fmt.Sprintf("%s=%q", f.Name, f.Text))
		} else {
			all = append(all, f.Name+"="+f.Text)
		}
	}
	return strings.Join(all, " ")
}

func TestStatement(t *testing.T) {
	id := strings.Repeat("A", 64)
	head := `invoice_id="` + id + `" order_id="order" order_name="name" price_currency="USD" price=1000 `
	born := "create_time=1767268800 create_date=1767268800 "
	paid := func() *world {
		w := newWorld().quote("eth", "20", 0).in("a", "eth", "12.5", Confirmed, 3).in("b", "eth", "7.5", Confirmed, 4)
		w.Deposits[1].From = "0xSecond"
		w.Invoice.Refunds = map[money.Currency]RefundAddress{money.ETH: {Address: "0xBack"}, money.BTC: {Address: "bcBack"}}
		w.Invoice.UpdatedAt = at(5)
		return w.tell(5)
	}
	for _, c := range []struct {
		name string
		got  []Field
		want string
	}{
		{"no coin chosen", Statement(newWorld().Facts), head + `request_refund_address="" status=1 ` + born + `update_time=1767268800 update_date=1767268800 ` +
			`coin_currency="" coin_amount="" sender_address="" deposit_address="" deposit_amount="" deposit_status=0 deposit_date=0`},
		{"chosen", Statement(newWorld().quote("btc", "0.06673", 0).tell(1).Facts), head + `request_refund_address="" status=1 ` + born + `update_time=1767268800 update_date=1767268800 ` +
			`coin_currency="BTC" coin_amount="0.06673" sender_address="" deposit_address="btc-address" deposit_amount="0" deposit_status=0 deposit_date=0`},
		{"a part seen", Statement(newWorld().quote("btc", "1", 0).in("a", "btc", "0.40", Seen, 1).tell(1).Facts), head + `request_refund_address="" status=1 ` + born + `update_time=1767268800 update_date=1767268800 ` +
			`coin_currency="BTC" coin_amount="1" sender_address="" deposit_address="btc-address" deposit_amount="0.4" deposit_status=2 deposit_date=0`},
		{"paid", Statement(paid().Facts), head + `request_refund_address="0xBack" status=2 ` + born + `update_time=1767269100 update_date=1767269100 ` +
			`coin_currency="ETH" coin_amount="20" sender_address="0xSecond" deposit_address="eth-address" deposit_amount="20" deposit_status=1 deposit_date=1767269100`},
		{"expired", Statement(newWorld().tell(1440).Facts), head + `request_refund_address="" status=3 ` + born + `update_time=1767268800 update_date=1767268800 ` +
			`coin_currency="" coin_amount="" sender_address="" deposit_address="" deposit_amount="" deposit_status=0 deposit_date=0`},
		{"sample of a chosen one", Sample(newWorld().quote("btc", "1", 0).tell(1).Facts, at(9), &Quote{ID: "P", Coin: "ETH"}), head + `request_refund_address="" status=2 ` + born + `update_time=1767269340 update_date=1767269340 ` +
			`coin_currency="BTC" coin_amount="1" sender_address="" deposit_address="btc-address" deposit_amount="1" deposit_status=1 deposit_date=1767269340`},
		{"sample of a fresh one", Sample(newWorld().Facts, at(9), nil), head + `request_refund_address="" status=2 ` + born + `update_time=1767269340 update_date=1767269340 ` +
			`coin_currency="" coin_amount="" sender_address="" deposit_address="" deposit_amount="" deposit_status=0 deposit_date=0`},
		{"sample of a fresh one with a pretended quote", Sample(newWorld().Facts, at(9), &Quote{ID: "P", Coin: "ETH", Due: money.Of(money.ETH, 20e17)}), head + `request_refund_address="" status=2 ` + born + `update_time=1767269340 update_date=1767269340 ` +
			`coin_currency="ETH" coin_amount="2" sender_address="" deposit_address="" deposit_amount="2" deposit_status=1 deposit_date=1767269340`},
	} {
		if got := write(c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}

	// A sender is told for accounts alone, and the first one's.
	w := paid()
	w.Deposits[0].From = "0xFirst"
	if got := write(Statement(w.Facts)); !strings.Contains(got, `sender_address="0xFirst"`) {
		t.Error(got)
	}
	b := newWorld().quote("btc", "1", 0).in("a", "btc", "1", Confirmed, 1).tell(2)
	b.Deposits[0].From = "someone"
	if got := write(Statement(b.Facts)); !strings.Contains(got, `sender_address=""`) {
		t.Error(got)
	}
	// Before a coin was chosen the refund address is the one that came with the invoice.
	f := newWorld()
	f.Invoice.Refunds = map[money.Currency]RefundAddress{money.BTC: {Address: "bcBack", Fixed: true}}
	if got := write(Statement(f.Facts)); !strings.Contains(got, `request_refund_address="bcBack"`) {
		t.Error(got)
	}
}

func TestFreeze(t *testing.T) {
	s := DefaultSettings()
	s.Depths = []DepthRule{
		{Coin: money.BTC, Depth: Depth{Blocks: 1}},
		{Coin: money.BTC, From: money.Of(money.USD, 10_000), Depth: Depth{Blocks: 3}},
		{Coin: money.BTC, From: money.Of(money.USD, 100_000), Depth: Depth{Blocks: 6}},
		{Coin: money.BTC, From: money.Of(money.KRW, 1), Depth: Depth{Blocks: 9}},
		{Coin: money.ETH, From: money.Of(money.USD, 100_000), Depth: Depth{Final: true, Stall: 64}},
	}
	for _, c := range []struct {
		price    money.Amount
		btc, eth Depth
	}{
		{money.Of(money.USD, 9_999), Depth{Blocks: 1}, Depth{Blocks: DefaultDepthETH}},
		{money.Of(money.USD, 10_000), Depth{Blocks: 3}, Depth{Blocks: DefaultDepthETH}},
		{money.Of(money.USD, 100_000), Depth{Blocks: 6}, Depth{Final: true, Stall: 64}},
		{money.Of(money.KRW, 5), Depth{Blocks: 9}, Depth{Blocks: DefaultDepthETH}},
	} {
		p := s.Freeze(c.price)
		if p.Depths[money.BTC] != c.btc || p.Depths[money.ETH] != c.eth {
			t.Errorf("%s: %+v", c.price, p.Depths)
		}
	}
	s.Settle = SettlePolicy{Hold: MaxSettleHold, Every: 6 * time.Hour, Above: map[money.Currency]money.Amount{money.BTC: money.Of(money.BTC, 1), money.ETH: money.Of(money.ETH, 1)}}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Settings){
		"window":        func(s *Settings) { s.QuoteWindow = 0 },
		"long window":   func(s *Settings) { s.ExchangeWindow = 8 * 24 * time.Hour },
		"choose":        func(s *Settings) { s.ChooseWithin = -1 },
		"tolerance":     func(s *Settings) { s.Tolerance = MaxTolerance + 1 },
		"no tolerance":  func(s *Settings) { s.Tolerance = -1 },
		"depth 0":       func(s *Settings) { s.Depths = []DepthRule{{Coin: money.BTC}} },
		"hold":          func(s *Settings) { s.Settle.Hold = -1 },
		"long hold":     func(s *Settings) { s.Settle.Hold = MaxSettleHold + 1 },
		"schedule":      func(s *Settings) { s.Settle.Every = time.Millisecond },
		"odd schedule":  func(s *Settings) { s.Settle.Every = 7 * time.Hour },
		"long schedule": func(s *Settings) { s.Settle.Every = 48 * time.Hour },
		"threshold":     func(s *Settings) { s.Settle.Above = map[money.Currency]money.Amount{money.BTC: money.Zero(money.BTC)} },
		"of cash":       func(s *Settings) { s.Settle.Above = map[money.Currency]money.Amount{money.KRW: money.Of(money.KRW, 1)} },
		"of another":    func(s *Settings) { s.Settle.Above = map[money.Currency]money.Amount{money.BTC: money.Of(money.ETH, 1)} },
		"depth of cash": func(s *Settings) { s.Depths = []DepthRule{{Coin: money.KRW, Depth: Depth{Blocks: 1}}} },
		"depth":         func(s *Settings) { s.Depths = []DepthRule{{Coin: money.BTC, Depth: Depth{Blocks: MaxDepth + 1}}} },
	} {
		bad := DefaultSettings()
		spoil(&bad)
		if bad.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestParseID(t *testing.T) {
	good := strings.Repeat("0aF", 21) + "9"
	if id, ok := ParseID(good); !ok || id != ID(strings.ToUpper(good)) {
		t.Errorf("%q, %v", id, ok)
	}
	for _, bad := range []string{"", good[1:], good + "0", strings.Repeat("g", 64), strings.Repeat("1", 63) + " ", strings.Repeat("１", 64), "ſ" + good[2:]} {
		if id, ok := ParseID(bad); ok {
			t.Errorf("%q was taken as %q", bad, id)
		}
	}
}
