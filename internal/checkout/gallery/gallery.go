// Package gallery makes an invoice in every state of the payment page, out of facts that payment.Assess judges as it does
// real ones, and a desk that serves them from memory. It is for tests and for the pictures in the documentation.
package gallery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// Networks and addresses of the gallery. The addresses are well-formed and nobody's.
const (
	Bitcoin    money.Network = "bitcoin/mainnet"
	Ethereum   money.Network = "ethereum/1"
	BTCAddress               = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
	ETHAddress               = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	TxID                     = "4f2a9c0de81b5a7766f3c2d9e40158b7aa90cc1e52f4637d8b21e6f0937ac5d4"
)

// Now is the moment of all fixtures: 18 March 2019, 16:12 in Seoul, the moment of the guide's example.
func Now() time.Time { return time.Date(2019, 3, 18, 7, 12, 0, 0, time.UTC) }

// A Fixture is an invoice in a state.
type Fixture struct {
	Name string
	View engine.View
}

// ID is the invoice id of a fixture by its name.
func ID(name string) payment.ID {
	sum := sha256.Sum256([]byte(name))
	return payment.ID(strings.ToUpper(fmt.Sprintf("%x", sum)))
}

// Nets are the gallery's networks. Their address checks know the gallery's own kind only by its beginning and length.
func Nets() map[money.Currency]engine.Net {
	check := func(prefix string, length int) func(string) (string, error) {
		return func(text string) (string, error) {
			if !strings.HasPrefix(text, prefix) || len(text) != length {
				return "", fmt.Errorf("%q is not an address here", text)
			}
			return text, nil
		}
	}
	return map[money.Currency]engine.Net{
		money.BTC: {Network: Bitcoin, ParseAddress: check("bc1q", len(BTCAddress)), BlockTime: 10 * time.Minute},
		money.ETH: {Network: Ethereum, ParseAddress: check("0x", len(ETHAddress)), BlockTime: 12 * time.Second},
	}
}

// A Make builds a view step by step.
type Make struct {
	view  engine.View
	sight time.Time
}

// New begins an unpaid invoice of 10,500 won, made ten minutes ago.
func New(name string) *Make {
	m := &Make{sight: Now()}
	m.view.Now = Now()
	m.view.Application = payment.Application{
		ID: ID("application"), Name: "Seoul Roastery", Origins: []string{"https://shop.example"},
		Coins: []money.Currency{money.BTC, money.ETH},
	}
	m.view.Invoice = payment.Invoice{
		ID: ID(name), ApplicationID: ID("application"), OrderID: "O20190318-0042", OrderName: "Ethiopia Guji, 500 g",
		Price: money.Of(money.KRW, 10500), Language: payment.English, OpenType: payment.OpenRedirect,
		RedirectURL: "https://shop.example/done?cart=7", CallbackURL: "https://shop.example/callback",
		Policy: payment.DefaultSettings().Freeze(money.Of(money.KRW, 10500)),
		Coins:  []money.Currency{money.BTC, money.ETH}, CreatedAt: Now().Add(-10 * time.Minute),
		Refunds: map[money.Currency]payment.RefundAddress{}, Told: payment.Told{Status: payment.Waiting},
	}
	return m
}

// Dress gives the application a colour, a logo and a contact.
func (m *Make) Dress(colour string) *Make {
	m.view.Application.Settings.Look = payment.Look{Color: colour, Logo: logo(), Support: "help@shop.example"}
	return m
}

// logo is a round cup on nothing.
func logo() []byte {
	const side = 80
	p := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.Transparent, color.RGBA{0xc0, 0x39, 0x2b, 0xff}, color.White})
	for y := range side {
		for x := range side {
			far := (x-side/2)*(x-side/2) + (y-side/2)*(y-side/2)
			switch {
			case far < 15*15:
				p.SetColorIndex(x, y, 2)
			case far < 39*39:
				p.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, p); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Edit changes the invoice.
func (m *Make) Edit(f func(i *payment.Invoice)) *Make { f(&m.view.Invoice); return m }

// Quote chooses a coin so long before now.
func (m *Make) Quote(coin money.Currency, ago time.Duration) *Make {
	value, network, address := big.NewRat(15735051, 1), Bitcoin, BTCAddress
	if coin == money.ETH {
		value, network, address = big.NewRat(4545450, 1), Ethereum, ETHAddress
	}
	rate, err := money.NewRate(coin, money.KRW, value)
	if err != nil {
		panic(err)
	}
	window := m.view.Invoice.Policy.QuoteWindow
	at := Now().Add(-ago)
	m.view.Quotes = append(m.view.Quotes, payment.Quote{
		ID: ID(fmt.Sprint("quote", len(m.view.Quotes))), InvoiceID: m.view.Invoice.ID, Coin: coin, Network: network, Address: address,
		Rate: rate, Due: rate.Due(m.view.Invoice.Price), Window: window, CreatedAt: at, Deadline: at.Add(window),
		Votes: []payment.Vote{{Source: "upbit", Counted: true}, {Source: "bithumb", Counted: true}, {Source: "coinone", Counted: true}},
	})
	return m
}

// A Coming is a deposit to the last quote.
type Coming struct {
	PerMille int64 // of the amount due
	Ago      time.Duration
	State    payment.DepositState
	Blocks   int
}

// Deposit adds a deposit to the last quote's address.
func (m *Make) Deposit(c Coming) *Make {
	q := m.view.Quotes[len(m.view.Quotes)-1]
	n := len(m.view.Deposits)
	d := payment.Deposit{
		ID: ID(fmt.Sprint("deposit", n)), InvoiceID: m.view.Invoice.ID, Network: q.Network, Ref: fmt.Sprint(TxID, ":", n),
		Address: q.Address, Amount: grain(q.Due.PerMillion(c.PerMille * 1000)), TxID: TxID, State: c.State,
		SeenAt: Now().Add(-c.Ago),
	}
	if c.Blocks > 0 {
		d.Height, d.BlockTime = 100, d.SeenAt
	}
	m.view.Deposits = append(m.view.Deposits, d)
	if d.Live() {
		need := m.view.Invoice.Policy.Depths[q.Coin].Blocks
		m.view.Progress = append(m.view.Progress, engine.Progress{
			Deposit: d, Have: min(c.Blocks, need), Need: need,
			Left: time.Duration(max(need-c.Blocks, 0)) * Nets()[q.Coin].BlockTime,
		})
	}
	return m
}

// grain rounds down to 1e-8 of the coin, as amounts on pages are.
func grain(a money.Amount) money.Amount {
	unit := money.DueUnit(a.Currency()).Big()
	n := a.Big()
	return money.OfBig(a.Currency(), n.Sub(n, new(big.Int).Mod(n, unit)))
}

// View judges the facts and fills in what the page may offer, as engine.Desk does.
func (m *Make) View() engine.View {
	v := m.view
	before := v.Invoice.Told
	v.Assessment = payment.Assess(v.Facts, m.sight)
	v.Invoice.Told = v.Assessment.Told(before, Now())
	if v.Invoice.Told.PaidAt != 0 {
		v.Invoice.Told.PaidAt = Now().Add(-time.Minute).UnixMilli()
	}
	v.Progress = slices.DeleteFunc(slices.Clone(v.Progress), func(p engine.Progress) bool {
		return p.Deposit.Amount.Currency() != v.Quote.Coin
	})
	waiting := v.Status == payment.Waiting
	v.CanChange = waiting && v.Seen.IsZero() && v.Now.Before(v.Deadline)
	v.CanExtend = waiting && v.Quote != nil && !v.Covers && v.Now.Before(v.Deadline)
	v.CanCancel = waiting && !v.Seen.IsZero() && !v.Covers
	v.RefundOpen = v.Quote == nil && v.Status != payment.Refunded || v.Quote != nil && v.AddressOpen(v.Quote.Coin)
	if v.CanChange {
		for _, coin := range v.Invoice.Coins {
			o := engine.Offer{Coin: coin, Network: Nets()[coin].Network, Due: money.Of(money.BTC, 66730), Wait: 20 * time.Minute}
			if coin == money.ETH {
				o.Due, o.Wait = money.OfBig(money.ETH, big.NewInt(2310000000000000)), 150*time.Second
			}
			v.Offers = append(v.Offers, o)
		}
	}
	return v
}

// Fixtures are all states, one or more of each, in the order of a payer's life.
func Fixtures() []Fixture {
	all := slices.Concat(before(), after(), returns())
	for i := range all {
		all[i].View.Invoice.ID = ID(all[i].Name)
	}
	return all
}

func before() []Fixture {
	short := New("choose-refused").View()
	short.Offers[0].Refusal, short.Offers[1].Refusal = payment.WordNoNode, payment.WordNoRate
	trouble := New("await-trouble").Quote(money.BTC, time.Minute).View()
	trouble.Trouble = true
	wrong := New("await-other-coin").Quote(money.BTC, 5*time.Minute).Deposit(Coming{1000, time.Minute, payment.Mined, 1}).
		Quote(money.ETH, 3*time.Minute).Deposit(Coming{400, time.Minute, payment.Mined, 3}).View()
	return []Fixture{
		{"choose", New("choose").View()},
		{"choose-one", New("choose-one").Edit(func(i *payment.Invoice) { i.Coins = i.Coins[:1] }).View()},
		{"choose-refused", short},
		{"await-btc", New("await-btc").Quote(money.BTC, 2*time.Minute).View()},
		{"await-eth", New("await-eth").Quote(money.ETH, 2*time.Minute).View()},
		{"await-usd", New("await-usd").Edit(func(i *payment.Invoice) {
			i.OrderName = "Annual plan with a name that is so long that it has to wrap somewhere, 연간 이용권"
			i.Refunds[money.BTC] = payment.RefundAddress{Address: BTCAddress, Fixed: true}
		}).Quote(money.BTC, 2*time.Minute).View()},
		{"await-trouble", trouble},
		{"await-dressed", New("await-dressed").Dress("#c0392b").Quote(money.BTC, 2*time.Minute).View()},
		{"await-renewed", New("await-renewed").Quote(money.ETH, 29*time.Minute).Quote(money.ETH, time.Minute).View()},
		{"ending", New("ending").Quote(money.BTC, 28*time.Minute+28*time.Second).View()},
		{"lapsed", New("lapsed").Quote(money.ETH, 10*time.Minute).Edit(func(i *payment.Invoice) {
			i.Policy.QuoteWindow = 5 * time.Minute
		}).Quote(money.BTC, 6*time.Minute).View()},
		{"dropped", New("dropped").Quote(money.BTC, 9*time.Minute).Deposit(Coming{1000, 8 * time.Minute, payment.Dropped, 0}).View()},
		{"partial", New("partial").Quote(money.BTC, 9*time.Minute).Deposit(Coming{749, 2 * time.Minute, payment.Mined, 1}).View()},
		{"other-coin", wrong},
		{"seen", New("seen").Quote(money.BTC, 9*time.Minute).Deposit(Coming{1000, 30 * time.Second, payment.Seen, 0}).View()},
		{"confirming-btc", New("confirming-btc").Quote(money.BTC, 25*time.Minute).Deposit(Coming{1000, 12 * time.Minute, payment.Mined, 1}).View()},
		{"confirming-eth", New("confirming-eth").Quote(money.ETH, 9*time.Minute).Deposit(Coming{500, 2 * time.Minute, payment.Mined, 9}).
			Deposit(Coming{500, time.Minute, payment.Mined, 4}).View()},
	}
}

func after() []Fixture {
	reversed := New("reversed").Quote(money.BTC, 55*time.Minute).Edit(func(i *payment.Invoice) { i.Told.Status = payment.Paid }).
		Deposit(Coming{1000, 40 * time.Minute, payment.Reversed, 0}).View()
	accepted := New("paid-late").Quote(money.BTC, 60*time.Minute).Edit(func(i *payment.Invoice) { i.Policy.AcceptLate = true }).
		Deposit(Coming{1000, 22 * time.Minute, payment.Confirmed, 2})
	accepted.view.Deposits[0].Worth = money.Of(money.KRW, 10500)
	return []Fixture{
		{"paid", New("paid").Quote(money.BTC, 25*time.Minute).Deposit(Coming{1000, 20 * time.Minute, payment.Confirmed, 2}).View()},
		{"paid-popup", New("paid-popup").Edit(func(i *payment.Invoice) { i.OpenType, i.RedirectURL = payment.OpenPopup, "" }).
			Quote(money.ETH, 25*time.Minute).Deposit(Coming{1000, 20 * time.Minute, payment.Confirmed, 12}).View()},
		{"paid-late", accepted.View()},
		{"overpaid", New("overpaid").Quote(money.BTC, 25*time.Minute).Deposit(Coming{1150, 20 * time.Minute, payment.Confirmed, 2}).View()},
		{"overpaid-known", New("overpaid-known").Edit(func(i *payment.Invoice) {
			i.Refunds[money.BTC] = payment.RefundAddress{Address: BTCAddress}
		}).Quote(money.BTC, 25*time.Minute).Deposit(Coming{1150, 20 * time.Minute, payment.Confirmed, 2}).View()},
		{"reversed", reversed},
		{"partial-expired", New("partial-expired").Quote(money.BTC, 90*time.Minute).Deposit(Coming{749, 80 * time.Minute, payment.Confirmed, 2}).View()},
		{"cancelled", New("cancelled").Edit(func(i *payment.Invoice) {
			i.CancelledAt = Now().Add(-time.Minute)
			i.Refunds[money.BTC] = payment.RefundAddress{Address: BTCAddress}
		}).Quote(money.BTC, 9*time.Minute).Deposit(Coming{749, 5 * time.Minute, payment.Mined, 1}).View()},
		{"expired", New("expired").Quote(money.BTC, 31*time.Minute).View()},
		{"expired-checking", func() engine.View {
			m := New("expired-checking").Quote(money.BTC, 31*time.Minute)
			m.sight = Now().Add(-5 * time.Minute)
			return m.View()
		}()},
		{"late", New("late").Quote(money.BTC, 60*time.Minute).Deposit(Coming{1000, 22 * time.Minute, payment.Confirmed, 2}).View()},
		{"late-waiting", New("late-waiting").Quote(money.BTC, 60*time.Minute).Edit(func(i *payment.Invoice) { i.Policy.AcceptLate = true }).
			Deposit(Coming{1000, 22 * time.Minute, payment.Mined, 1}).View()},
	}
}

// A Desk serves views from memory and remembers what it was told. It is safe for concurrent use.
type Desk struct {
	mu    sync.Mutex // guards what follows
	views map[payment.ID]engine.View
	acts  []string
	wakes map[payment.ID]map[chan struct{}]bool
	fail  error
}

// NewDesk serves these fixtures.
func NewDesk(all []Fixture) *Desk {
	d := &Desk{views: map[payment.ID]engine.View{}, wakes: map[payment.ID]map[chan struct{}]bool{}}
	for _, f := range all {
		d.views[f.View.Invoice.ID] = f.View
	}
	return d
}

// Put replaces a view and wakes its pages.
func (d *Desk) Put(id payment.ID, v engine.View) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v.Invoice.ID = id
	d.views[id] = v
	for c := range d.wakes[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Fail makes every act fail with this error, nil for none.
func (d *Desk) Fail(err error) { d.mu.Lock(); defer d.mu.Unlock(); d.fail = err }

// Acts are what was done, in order.
func (d *Desk) Acts() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.acts...)
}

// Page answers a view. Error: no-such-invoice.
func (d *Desk) Page(_ context.Context, id payment.ID) (engine.View, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.views[id]
	if !ok {
		return v, payment.Refuse(payment.NotFound, payment.WordNoInvoice, "no such invoice")
	}
	return v, nil
}

// Choose quotes a coin now.
func (d *Desk) Choose(_ context.Context, id payment.ID, c engine.Choice) error {
	return d.act(id, fmt.Sprintf("choose %s %t", c.Coin, c.Exchange), func(v engine.View) (engine.View, error) {
		if !c.Coin.IsCoin() {
			return v, payment.Malformed("coin", "choose one of the coins on the page")
		}
		m := &Make{view: v, sight: Now()}
		m.view.Offers = nil
		m.Quote(c.Coin, 0)
		m.view.Quotes[len(m.view.Quotes)-1].Exchange = c.Exchange
		return m.View(), nil
	})
}

// MoreTime quotes the same coin again.
func (d *Desk) MoreTime(_ context.Context, id payment.ID) error {
	return d.act(id, "more", func(v engine.View) (engine.View, error) {
		m := &Make{view: v, sight: Now()}
		m.view.Offers = nil
		return m.Quote(v.Quote.Coin, 0).View(), nil
	})
}

// SetRefundAddress keeps the address and binds the first browser.
func (d *Desk) SetRefundAddress(_ context.Context, id payment.ID, c engine.RefundChange) (cookie string, err error) {
	cookie = "secret-of-" + string(id[:8])
	return cookie, d.act(id, fmt.Sprintf("refund %s %s", c.Coin, c.Address), func(v engine.View) (engine.View, error) {
		hash := sha256.Sum256([]byte(cookie))
		v.Invoice.RefundOwner = hash[:]
		v.Invoice.Refunds = maps.Clone(v.Invoice.Refunds)
		v.Invoice.Refunds[c.Coin] = payment.RefundAddress{Address: c.Address}
		return v, nil
	})
}

// Cancel gives up a part payment.
func (d *Desk) Cancel(_ context.Context, id payment.ID, cookie string) error {
	return d.act(id, "cancel", func(v engine.View) (engine.View, error) {
		if !engine.Owns(v.Invoice, cookie) {
			return v, payment.Refuse(payment.Forbidden, payment.WordScope, "set a refund address in this browser first")
		}
		m := &Make{view: v, sight: Now()}
		m.view.Invoice.CancelledAt = Now()
		return m.View(), nil
	})
}

func (d *Desk) act(id payment.ID, what string, change func(engine.View) (engine.View, error)) error {
	v, err := d.Page(context.Background(), id)
	if err != nil {
		return err
	}
	d.mu.Lock()
	fail := d.fail
	d.acts = append(d.acts, what)
	d.mu.Unlock()
	if fail != nil {
		return fail
	}
	if v, err = change(v); err != nil {
		return err
	}
	d.Put(id, v)
	return nil
}

// Subscribe wakes on every Put.
func (d *Desk) Subscribe(id payment.ID) (wake <-chan struct{}, cancel func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := make(chan struct{}, 1)
	if d.wakes[id] == nil {
		d.wakes[id] = map[chan struct{}]bool{}
	}
	d.wakes[id][c] = true
	return c, func() { d.mu.Lock(); defer d.mu.Unlock(); delete(d.wakes[id], c) }, nil
}

// LookUp knows the gallery's own transactions: TxID is the deposit's, and RefundTxID one that went elsewhere.
func (d *Desk) LookUp(ctx context.Context, id payment.ID, text string) (engine.Traced, error) {
	v, err := d.Page(ctx, id)
	if err != nil {
		return engine.Traced{}, err
	}
	digits, _, ok := engine.ParseTxID(text)
	if !ok {
		return engine.Traced{}, payment.Malformed("txid", "is not a transaction id of a coin of this payment")
	}
	t := engine.Traced{Trace: engine.TraceUnknown, Network: Bitcoin, TxID: digits}
	switch {
	case digits == RefundTxID:
		t.Trace = engine.TraceElsewhere
	case digits == TxID && len(v.Deposits) > 0:
		t.Trace, t.Amount = engine.TraceOurs, v.Deposits[0].Amount
	}
	return t, nil
}
