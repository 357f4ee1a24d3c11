package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// refused checks the word of a refusal.
func (r *rig) refused(err error, word string) {
	r.Helper()
	var e *payment.Error
	if !errors.As(err, &e) || e.Word != word {
		r.Fatalf("error %v, want %s", err, word)
	}
}

func TestCreateRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		field, word string
		change      func(*engine.Create)
	}{
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "1e5" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "-1" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "10.001" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "１０" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "NaN" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "0" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "0.00" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.Price = "1000000.01" }},
		{"price", payment.WordMalformed, func(c *engine.Create) { c.PriceCurrency, c.Price = "KRW", "10.5" }},
		{"price_currency", payment.WordMalformed, func(c *engine.Create) { c.PriceCurrency = "BTC" }},
		{"price_currency", payment.WordMalformed, func(c *engine.Create) { c.PriceCurrency = "usd" }},
		{"order_id", payment.WordMalformed, func(c *engine.Create) { c.OrderID = "" }},
		{"order_id", payment.WordMalformed, func(c *engine.Create) { c.OrderID = strings.Repeat("주", 129) }},
		{"order_id", payment.WordMalformed, func(c *engine.Create) { c.OrderID = "a\nb" }},
		{"order_id", payment.WordMalformed, func(c *engine.Create) { c.OrderID = "a\u202eb" }},
		{"order_id", payment.WordMalformed, func(c *engine.Create) { c.OrderID = "\xff" }},
		{"order_name", payment.WordMalformed, func(c *engine.Create) { c.OrderName = strings.Repeat("x", 256) }},
		{"language", payment.WordMalformed, func(c *engine.Create) { c.Language = "fr" }},
		{"open_type", payment.WordMalformed, func(c *engine.Create) { c.OpenType = "tab" }},
		{"callback_url", payment.WordMalformed, func(c *engine.Create) { c.CallbackURL = "" }},
		{"callback_url", payment.WordMalformed, func(c *engine.Create) { c.CallbackURL = "http://shop.example/x" }},
		{"callback_url", payment.WordURL, func(c *engine.Create) { c.CallbackURL = "https://shop.example.evil/x" }},
		{"callback_url", payment.WordURL, func(c *engine.Create) { c.CallbackURL = "https://shop.example:8443/x" }},
		{"redirect_url", payment.WordURL, func(c *engine.Create) { c.RedirectURL = "https://other.example/x" }},
		{"redirect_url", payment.WordMalformed, func(c *engine.Create) { c.RedirectURL = "javascript:alert(1)" }},
		{"refund_address", payment.WordMalformed, func(c *engine.Create) { c.RefundAddress = "nonsense" }},
		{"refund_address", payment.WordMalformed, func(c *engine.Create) { c.RefundAddress = addressOf(btcNet, r.merchant.Branch, 3) }},
		{"Idempotency-Key", payment.WordMalformed, func(c *engine.Create) { c.IdempotencyKey = strings.Repeat("k", 256) }},
	} {
		create := engine.Create{PriceCurrency: "USD", Price: "10", OrderID: "o", CallbackURL: "https://shop.example/cb"}
		c.change(&create)
		_, err := r.desk.Create(t.Context(), r.app, create)
		var e *payment.Error
		if !errors.As(err, &e) || e.Word != c.word || e.Field != c.field {
			t.Errorf("%+v: %v, want %s of %s", create, err, c.word, c.field)
		}
	}
	r.view(func(tx engine.Tx) error {
		events, err := tx.EventsSince(time.Time{}, "", 10)
		if len(events) > 0 {
			t.Errorf("refused calls left %d events", len(events))
		}
		return err
	})
}

func TestShopURLs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	origins := []string{"https://shop.example/pay/", "https://Two.example:8443"}
	app, err := r.desk.SetApplication(t.Context(), r.app.ID, engine.Change{Origins: &origins})
	r.must(err)
	r.app = app
	for text, ok := range map[string]bool{
		"https://shop.example/pay": true, "https://shop.example/pay/": true, "https://shop.example/pay/a?b=c": true, "https://shop.example:443/pay/x": true,
		"https://SHOP.example/pay/x": true, "https://two.example:8443": true, "https://two.example:8443/any?x": true, "https://two.example:8443?x": true,
		"https://shop.example/payment": false, "https://shop.example/": false, "https://shop.example/PAY": false, "https://shop.example/pay/../x": false,
		"https://shop.example/pay/%2e%2e/x": false, "https://shop.example/pay%2fx": false, "https://shop.example/pay/%5cx": false, "https://shop.example//pay/x": false,
		"https://two.example/": false, "https://two.example:8443@evil.example/": false, "https://user@two.example:8443/": false, "https://two.example:8443/#x": false,
		"https://two.example:8443/\\x": false, "https://two.example:8443/ x": false, "//two.example:8443/": false, "https:two.example:8443": false, "ftp://two.example:8443/": false,
		"https://two.example.:8443/": false, "https://two.example:08443/": false, "https://shop.example/pay;/x": false, "https://two.example:8443/\u00e9": false,
		"https://shop.example:/pay": false, "https://two.example:8443/x#": false,
	} {
		_, err := r.desk.Create(t.Context(), r.app, engine.Create{PriceCurrency: "USD", Price: "10", OrderID: "o", CallbackURL: text})
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("12.34", func(c *engine.Create) { c.RefundAddress, c.Language, c.OpenType = "bcrt1QPAYER", "ko-KR", "layer" })
	i := r.facts(id).Invoice
	if i.Price.Text() != "12.34" || i.OrderName != "order-1" || i.Language != payment.Korean || i.OpenType != payment.OpenLayer ||
		i.Refunds[money.BTC] != (payment.RefundAddress{Address: "bcrt1qpayer", Fixed: true}) || len(i.ID) != payment.IDLength ||
		i.Told.Status != payment.Waiting || i.Told.Deadline != r.clock.Now().Add(24*time.Hour).UnixMilli() {
		t.Errorf("invoice %+v", i)
	}
	// Two without a key are two.
	if one, other := r.create("1"), r.create("1"); one == other {
		t.Error("two calls, one invoice")
	}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := engine.Create{PriceCurrency: "KRW", Price: "10500", OrderID: "o", CallbackURL: "https://shop.example/cb", IdempotencyKey: "k"}
	const parallel = 100
	ids := make([]payment.ID, parallel)
	var wait sync.WaitGroup
	for i := range parallel {
		wait.Go(func() {
			inv, err := r.desk.Create(t.Context(), r.app, c)
			if err != nil {
				t.Error(err)
			}
			ids[i] = inv.ID
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two invoices for one key: %s and %s", ids[0], id)
		}
	}
	var events []engine.Happened
	r.view(func(tx engine.Tx) (err error) {
		events, err = tx.EventsSince(time.Time{}, "", 1000)
		return err
	})
	if len(events) != 1 {
		t.Errorf("%d events for one invoice", len(events))
	}
	other := c
	other.Price = "10501"
	_, err := r.desk.Create(t.Context(), r.app, other)
	r.refused(err, payment.WordIdempotency)
	// The boundary between two fields does not move.
	shifted := c
	shifted.OrderID, shifted.OrderName = "oo", ""
	_, err = r.desk.Create(t.Context(), r.app, shifted)
	r.refused(err, payment.WordIdempotency)
	// Kept for a day at least, then forgotten.
	r.clock.add(25 * time.Hour)
	r.must(r.clerk.Prune(t.Context()))
	if again, err := r.desk.Create(t.Context(), r.app, c); err != nil || again.ID != ids[0] {
		t.Errorf("a day later: %s, %v", again.ID, err)
	}
	r.clock.add(100 * time.Hour)
	r.must(r.clerk.Prune(t.Context()))
	if again, err := r.desk.Create(t.Context(), r.app, c); err != nil || again.ID == ids[0] {
		t.Errorf("five days later: %s, %v", again.ID, err)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	first := r.choose(id, money.BTC)
	r.must(r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.BTC})) // a double click
	if f := r.facts(id); len(f.Quotes) != 1 || f.Quotes[0].Due.Text() != "0.002" || !f.Quotes[0].Deadline.Equal(r.clock.Now().Add(30*time.Minute)) {
		t.Fatalf("quotes %+v", f.Quotes)
	}
	r.clock.add(time.Minute)
	eth := r.choose(id, money.ETH)
	r.clock.add(time.Minute)
	r.must(r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.BTC}))
	f := r.facts(id)
	if len(f.Quotes) != 3 || f.Quotes[2].Address != first || first == eth {
		t.Fatalf("quotes %+v", f.Quotes)
	}
	r.must(r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.BTC, Exchange: true}))
	if q := r.facts(id).Quotes[3]; q.Window != time.Hour {
		t.Errorf("window %s for an exchange", q.Window)
	}
	r.refused(r.desk.Choose(t.Context(), id, engine.Choice{Coin: "DOGE"}), payment.WordMalformed)
	r.refused(r.desk.Choose(t.Context(), payment.ID(strings.Repeat("0", 64)), engine.Choice{Coin: money.BTC}), payment.WordNoInvoice)

	// Once something was seen the coin stays.
	r.btc.Pay(first, amount(money.BTC, "0.0001"))
	r.follow()
	r.refused(r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.ETH}), payment.WordState)
	r.is(id, "1/2")
}

func TestChooseUnavailable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	r.rates.set(money.BTC, "")
	r.refused(r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.BTC}), payment.WordNoRate)
	r.rates.set(money.BTC, "50000")
	for i := range 20 {
		r.choose(r.create("1", func(c *engine.Create) { c.OrderID = fmt.Sprint(i) }), money.BTC)
	}
	r.refused(r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.BTC}), payment.WordNoAddress)
	r.must(r.pool.Step(t.Context()))
	r.choose(id, money.BTC)
	other := r.create("100")
	r.clock.add(6 * time.Minute) // nobody followed meanwhile
	r.refused(r.desk.Choose(t.Context(), other, engine.Choice{Coin: money.BTC}), payment.WordNoNode)
	v, err := r.desk.Page(t.Context(), other)
	r.must(err)
	if len(v.Offers) != 2 || v.Offers[0].Refusal != payment.WordNoNode {
		t.Errorf("offers %+v", v.Offers)
	}
	r.follow()
	r.choose(other, money.BTC)
}

// Each invoice gets an address of its own, however many choose at once.
func TestChooseTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var ids []payment.ID
	for i := range 15 {
		ids = append(ids, r.create("1", func(c *engine.Create) { c.OrderID = fmt.Sprint(i) }))
	}
	var wait sync.WaitGroup
	for _, id := range ids {
		for range 3 {
			wait.Go(func() {
				if err := r.desk.Choose(t.Context(), id, engine.Choice{Coin: money.BTC}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	seen := map[string]payment.ID{}
	for _, id := range ids {
		f := r.facts(id)
		if len(f.Quotes) != 1 {
			t.Errorf("%d quotes of one choice", len(f.Quotes))
		}
		if other, ok := seen[f.Quotes[0].Address]; ok {
			t.Errorf("%s and %s share %s", other, id, f.Quotes[0].Address)
		}
		seen[f.Quotes[0].Address] = id
	}
}

func TestMoreTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	r.refused(r.desk.MoreTime(t.Context(), id), payment.WordState)
	to := r.choose(id, money.BTC)
	r.clock.add(29 * time.Minute)
	r.follow()
	r.rates.set(money.BTC, "40000")
	r.must(r.desk.MoreTime(t.Context(), id))
	f := r.facts(id)
	if q := f.Quotes[1]; q.Address != to || q.Due.Text() != "0.0025" || !q.Deadline.Equal(r.clock.Now().Add(30*time.Minute)) {
		t.Fatalf("quote %+v", q)
	}
	// The old amount, within the old deadline, still pays.
	r.btc.Pay(to, amount(money.BTC, "0.002"))
	r.mine(money.BTC, 2)
	r.follow()
	r.is(id, "2/1")
	r.clean()
}

// What came keeps the value it came with, however often more time is asked for and whatever the rate does; what waits outside
// blocks does not, as it may be taken back.
func TestMoreTimeKeepsValue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	to := r.choose(id, money.BTC)
	r.btc.Pay(to, amount(money.BTC, "0.001")) // 50 USD
	r.follow()
	r.rates.set(money.BTC, "40000")
	r.must(r.desk.MoreTime(t.Context(), id))
	if due := r.facts(id).Quotes[1].Due.Text(); due != "0.0025" {
		t.Errorf("due %s while the part is not in a block", due)
	}
	r.mine(money.BTC, 1)
	r.follow()
	for i := range 5 {
		r.clock.add(20 * time.Minute)
		r.follow()
		r.must(r.desk.MoreTime(t.Context(), id))
		if due := r.facts(id).Quotes[2+i].Due.Text(); due != "0.00225" { // 0.001 and 50 USD at 40,000
			t.Fatalf("due %s after %d times", due, i+1)
		}
	}
	r.btc.Pay(to, amount(money.BTC, "0.00125"))
	r.mine(money.BTC, 2)
	r.follow()
	r.is(id, "2/1")
}

func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.create("100")
	r.choose(id, money.BTC)
	asked := 0
	for range 200 {
		r.clock.add(25 * time.Minute)
		r.follow()
		if err := r.desk.MoreTime(t.Context(), id); err != nil {
			r.refused(err, payment.WordState)
			break
		}
		asked++
	}
	if asked < 10 || asked > payment.MaxQuotes {
		t.Errorf("more time was given %d times", asked)
	}
	// Changing the coin is no way round it, and quotes are bounded however fast they are made.
	id = r.create("100")
	made := 0
	for i := range 2 * payment.MaxQuotes {
		if err := r.desk.Choose(t.Context(), id, engine.Choice{Coin: []money.Currency{money.BTC, money.ETH}[i%2]}); err != nil {
			r.refused(err, payment.WordState)
			break
		}
		made++
	}
	if made != payment.MaxQuotes {
		t.Errorf("%d quotes were made", made)
	}
	id = r.create("100")
	r.choose(id, money.BTC)
	for i := range 200 {
		r.clock.add(25 * time.Minute)
		r.follow()
		if err := r.desk.Choose(t.Context(), id, engine.Choice{Coin: []money.Currency{money.ETH, money.BTC}[i%2]}); err != nil {
			r.refused(err, payment.WordState)
			return
		}
	}
	t.Error("changing the coin gives time for ever")
}

func TestRefundAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	id := r.create("100")
	to := r.choose(id, money.BTC)
	mine := engine.RefundChange{Coin: money.BTC, Address: "bcrt1qmine"}
	cookie, err := r.desk.SetRefundAddress(ctx, id, mine)
	r.must(err)
	if len(cookie) < 32 || !engine.Owns(r.facts(id).Invoice, cookie) {
		t.Fatalf("cookie %q does not own", cookie)
	}
	for _, other := range []string{"", "x", strings.Repeat("0", 64)} {
		_, err = r.desk.SetRefundAddress(ctx, id, engine.RefundChange{Coin: money.BTC, Address: "bcrt1qthief", Cookie: other})
		r.refused(err, payment.WordScope)
	}
	again, err := r.desk.SetRefundAddress(ctx, id, engine.RefundChange{Coin: money.BTC, Address: "bcrt1qmine2", Cookie: cookie})
	r.must(err)
	if again != cookie {
		t.Error("the cookie changed")
	}
	// The binding holds for every coin.
	_, err = r.desk.SetRefundAddress(ctx, id, engine.RefundChange{Coin: money.ETH, Address: "0xthief"})
	r.refused(err, payment.WordScope)
	for _, bad := range []engine.RefundChange{
		{Coin: money.BTC, Address: to, Cookie: cookie}, {Coin: money.BTC, Address: addressOf(btcNet, r.merchant.Branch, 15), Cookie: cookie},
		{Coin: money.BTC, Address: "0xether", Cookie: cookie}, {Coin: money.BTC, Address: "", Cookie: cookie}, {Coin: "KRW", Address: "x", Cookie: cookie},
	} {
		_, err = r.desk.SetRefundAddress(ctx, id, bad)
		r.refused(err, payment.WordMalformed)
	}
	if got := r.facts(id).Invoice.RefundAddress(money.BTC); got != "bcrt1qmine2" {
		t.Errorf("refund address %s", got)
	}
	// One that came with the invoice is fixed; for the other coin the page asks.
	fixed := r.create("100", func(c *engine.Create) { c.RefundAddress = "bcrt1qshop" })
	_, err = r.desk.SetRefundAddress(ctx, fixed, mine)
	r.refused(err, payment.WordState)
	if _, err = r.desk.SetRefundAddress(ctx, fixed, engine.RefundChange{Coin: money.ETH, Address: "0xpayer"}); err != nil {
		t.Error(err)
	}
	// A coin that the application does not take has no refund.
	only := []money.Currency{money.BTC}
	app, err := r.desk.SetApplication(ctx, r.app.ID, engine.Change{Coins: &only})
	r.must(err)
	r.app = app
	_, err = r.desk.SetRefundAddress(ctx, r.create("1"), engine.RefundChange{Coin: money.ETH, Address: "0xpayer"})
	r.refused(err, payment.WordMalformed)
	// Two browsers at once: one is bound, the other is told.
	race := r.create("100")
	var wait sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 8 {
		wait.Go(func() {
			_, err := r.desk.SetRefundAddress(ctx, race, engine.RefundChange{Coin: money.BTC, Address: fmt.Sprint("bcrt1q", i)})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, &payment.Error{Word: payment.WordScope}) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if won != 1 {
		t.Errorf("%d browsers were bound", won)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.set(nil, func(c *payment.CallbackSettings) { c.Expired = true })
	ctx := t.Context()
	id := r.create("100")
	r.refused(r.desk.Cancel(ctx, id, ""), payment.WordState)
	to := r.choose(id, money.BTC)
	r.refused(r.desk.Cancel(ctx, id, ""), payment.WordState)
	r.btc.Pay(to, amount(money.BTC, "0.001"))
	r.mine(money.BTC, 2)
	r.follow()
	r.refused(r.desk.Cancel(ctx, id, ""), payment.WordScope)
	cookie, err := r.desk.SetRefundAddress(ctx, id, engine.RefundChange{Coin: money.BTC, Address: "bcrt1qmine"})
	r.must(err)
	r.refused(r.desk.Cancel(ctx, id, "other"), payment.WordScope)
	r.must(r.desk.Cancel(ctx, id, cookie))
	r.is(id, "3/2 short")
	r.owes(id, "3")
	r.refused(r.desk.Cancel(ctx, id, cookie), payment.WordState)
	// The rest, in time, does not revive it.
	r.btc.Pay(to, amount(money.BTC, "0.001"))
	r.mine(money.BTC, 2)
	r.follow()
	r.is(id, "3/1 short")
	// Anybody may where the address came with the invoice; nobody once it is covered.
	fixed := r.create("100", func(c *engine.Create) { c.RefundAddress = "bcrt1qshop" })
	to = r.choose(fixed, money.BTC)
	r.btc.Pay(to, amount(money.BTC, "0.001"))
	r.follow()
	r.must(r.desk.Cancel(ctx, fixed, ""))
	r.is(fixed, "3/2 short")
	full := r.create("100", func(c *engine.Create) { c.RefundAddress = "bcrt1qshop" })
	r.btc.Pay(r.choose(full, money.BTC), amount(money.BTC, "0.002"))
	r.follow()
	r.refused(r.desk.Cancel(ctx, full, ""), payment.WordState)
	r.mine(money.BTC, 3)
	r.follow()
	r.clean()
}

func TestSetup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	// An application without settlement addresses takes one.
	app, err := r.desk.SetApplication(ctx, r.app.ID, engine.Change{Settlement: map[money.Currency]string{money.BTC: "bcrt1QSHOP"}})
	r.must(err)
	if app.Settlement[money.BTC] != "bcrt1qshop" {
		t.Errorf("settlement %v", app.Settlement)
	}
	app, err = r.desk.SetApplication(ctx, r.app.ID, engine.Change{Settlement: map[money.Currency]string{money.BTC: ""}})
	r.must(err)
	if len(app.Settlement) != 0 {
		t.Errorf("settlement %v", app.Settlement)
	}
	text := func(s ...string) *[]string { return &s }
	name := strings.Repeat("x", payment.MaxName+1)
	for what, c := range map[string]engine.Change{
		"name": {Name: &name}, "origin": {Origins: text("http://shop.example")}, "origin query": {Origins: text("https://shop.example?x")},
		"ip": {Networks: text("1.2.3")}, "ip zone": {Networks: text("fe80::1%eth0")}, "mapped": {Networks: text("::ffff:1.2.3.0/120")},
		"no coins": {Coins: &[]money.Currency{}}, "coin": {Coins: &[]money.Currency{"DOGE"}},
		"settlement": {Settlement: map[money.Currency]string{money.BTC: "0x1"}}, "settlement coin": {Settlement: map[money.Currency]string{"DOGE": "D1"}},
		"settings": {Settings: func(s *payment.Settings) { s.Tolerance = -1 }}, "encoding": {Callback: func(c *payment.CallbackSettings) { c.Encoding = "xml" }},
	} {
		if _, err := r.desk.SetApplication(ctx, r.app.ID, c); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	_, err = r.desk.SetApplication(ctx, payment.ID(strings.Repeat("0", 64)), engine.Change{})
	r.refused(err, payment.WordMalformed)
	_, err = r.desk.AddApplication(ctx, payment.ID(strings.Repeat("0", 64)), engine.Change{Name: &r.app.Name})
	r.refused(err, payment.WordMalformed)
}

func TestCreateWithoutRoom(t *testing.T) {
	r := newRig(t)
	r.desk.Room = func() bool { return false }
	_, err := r.desk.Create(t.Context(), r.app, engine.Create{PriceCurrency: "KRW", Price: "1000", OrderID: "1", CallbackURL: "https://shop.example/cb"})
	if !errors.Is(err, &payment.Error{Word: payment.WordDisk}) {
		t.Errorf("error %v, want %s", err, payment.WordDisk)
	}
}
