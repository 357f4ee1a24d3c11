package checkout

import (
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A model is all that the templates show, ready to be printed: they compute nothing.
type model struct {
	web.Catalogue
	frame
	Status  status
	Lines   []line // the order, beside the payment
	Price   string
	Now     int64  // milliseconds since 1970
	Waiting bool   // something may be sent
	Renewed bool   // more time was given
	Trouble string // the network that cannot be seen
	Others  string // what came in a coin that pays for nothing

	Offers                    []offer
	Auto                      bool // the only coin may be chosen by script
	ChooseUntil, Window, Late string
	Pay                       *pay
	Depth                     depth
	DepthMinutes              int
	Deposits                  []deposit
	Received, Missing, Excess string
	Settled                   bool // all that came is deep enough
	Cancelled, Checking       bool
	Receipt                   bool
	LateAccepted              bool // paid, though it came late
	Policy                    payment.Policy
	Refund                    refund
	Paybacks                  []payback
	CanCancel                 bool
	Closing                   closing
	Panel                     template.HTML
}

// A frame is what every page has around its content.
type frame struct {
	Title, Shop   string
	Page, Base    string // paths, "" where there is no invoice
	Query         string // ?lang=… or ""
	Lang          string // the value for forms
	Switch        string // the same page in the other language
	Other         string // the other language's name
	OtherTag      string
	Sandbox, Live bool // Live: the page's script runs
	Origins       string
	OpenType      string
	Back          string
	Style         string // the style sheet, in the shop's colour
	Logo, Support string // links, "" where there is none
	Blank         bool   // in a layer, forms that must not be framed open in a new tab
}

type line struct{ Name, Text string }

type offer struct {
	Coin, Net, Due, Refusal string
	Minutes                 int
	Blank                   bool // leads to the refund form, which is never framed
}

// pay is where and how much to send.
type pay struct {
	Coin, Net, Amount, AmountText string
	Address                       string
	Fours                         []string
	Link                          template.URL
	App                           template.URL // MetaMask's own link, for phones; "" for other coins
	ChainHex, ValueHex            string       // what wallets in the browser are asked for; "" for other coins
	Both, Only                    template.HTML
	Deadline                      string
	Exchange, CanExchange         bool
	ExchangeMinutes               int
	Rate, RateAt                  string
	CanExtend                     bool
	Until                         int64 // milliseconds since 1970
}

type deposit struct{ Amount, TxID, Explorer, Depth string }

// refund says where money goes back to, and what can be done about it.
type refund struct {
	Known, Fixed, Open, Need bool
	Fours                    []string
	Coin                     string
}

// closing is how the page ends once paid.
type closing struct {
	Auto  bool
	After int // seconds
}

// pageOf is the model of an invoice's page.
func (d *door) pageOf(r pageRequest, v engine.View) (model, error) {
	c := r.Catalogue
	m := model{Catalogue: c, frame: d.frameOf(r, v), Status: d.statusOf(c, v)}
	m.Title, m.Live = m.Status.Title, true
	m.Price, m.Now = c.Price(v.Invoice.Price), v.Now.UnixMilli()
	m.Waiting, m.Renewed = payable(m.Status.State), renewed(v)
	m.Lines = []line{{c.Say("order.name"), v.Invoice.OrderName}}
	if v.Invoice.OrderID != v.Invoice.OrderName {
		m.Lines = append(m.Lines, line{c.Say("order.number"), v.Invoice.OrderID})
	}
	if v.Trouble && v.Quote != nil {
		m.Trouble = netName(c, v.Quote.Network)
	}
	var others []string
	for _, a := range otherCoins(v) {
		others = append(others, web.Coin(a))
	}
	m.Others = strings.Join(others, ", ")
	m.Offers = offersOf(c, v)
	m.Auto = len(v.Invoice.Coins) == 1 && len(m.Offers) == 1 && m.Offers[0].Refusal == "" && !m.Offers[0].Blank &&
		!v.Invoice.Policy.RequireRefund
	m.ChooseUntil = c.Clock(v.Deadline, v.Now, d.Zone)
	m.Window = minutesText(v.Invoice.Policy.QuoteWindow)
	m.Checking = v.Status == payment.Waiting && !v.Now.Before(v.Deadline)
	m.Cancelled = !v.Invoice.CancelledAt.IsZero()
	m.Settled, m.Receipt = settled(v), hasReceipt(v)
	m.LateAccepted = v.Status == payment.Paid && v.Marks.Has(payment.MarkLate)
	m.CanCancel, m.Policy = v.CanCancel, v.Invoice.Policy
	m.Refund, m.Paybacks = refundOf(v), d.paybacks(c, v)
	m.Refund.Need = slices.ContainsFunc(m.Paybacks, func(p payback) bool { return p.Need })
	m.Closing = d.closingOf(v)
	if v.Quote == nil {
		return d.withPanel(m, v)
	}
	d.fillMoney(&m, v)
	if state := m.Status.State; payable(state) || state == StateLapsed {
		var err error
		if m.Pay, err = d.payOf(c, v, state); err != nil {
			return m, err
		}
	}
	return d.withPanel(m, v)
}

// renewed tells whether the quote is a second one for the same coin: more time, or a longer window for an exchange.
func renewed(v engine.View) bool {
	n := len(v.Quotes)
	return n > 1 && v.Quote != nil && v.Quotes[n-1].ID == v.Quote.ID && v.Quotes[n-2].Coin == v.Quote.Coin
}

func (d *door) withPanel(m model, v engine.View) (model, error) {
	if d.Options.Panel == nil {
		return m, nil
	}
	var err error
	m.Panel, err = d.Options.Panel.Render(v, m.Page+m.Query)
	return m, err
}

// frameOf is what an invoice's pages share.
func (d *door) frameOf(r pageRequest, v engine.View) frame {
	id := v.Invoice.ID
	f := d.bareFrame(r)
	d.dress(&f, v)
	f.Shop, f.Page, f.Base = v.Application.Name, pagePath(id), basePath(id)
	f.OpenType = string(v.Invoice.OpenType)
	f.Back = backURL(v.Invoice)
	f.Sandbox = d.Sandbox
	if f.Blank = v.Invoice.OpenType == payment.OpenLayer; f.Blank {
		f.Origins = strings.Join(web.Origins(v.Application.Origins), " ")
	}
	return f
}

// bareFrame is what pages have that speak of no invoice.
func (d *door) bareFrame(r pageRequest) frame {
	other := payment.Korean
	if r.Catalogue.Language == payment.Korean {
		other = payment.English
	}
	o := d.Texts.In(other)
	f := frame{Style: d.static.URL(styleName), Title: "PIPE", Lang: r.Asked, Other: o.Say("lang.name"), OtherTag: o.Tag()}
	if r.Asked != "" {
		f.Query = "?lang=" + r.Asked
	}
	q := url.Values{}
	for k, v := range r.Keep {
		q[k] = v
	}
	q.Set("lang", o.Tag())
	f.Switch = "?" + q.Encode()
	return f
}

func (d *door) fillMoney(m *model, v engine.View) {
	c := m.Catalogue
	m.Depth = depthOf(v)
	m.DepthMinutes = web.Minutes(m.Depth.Left)
	m.Received, m.Missing, m.Excess = web.Coin(v.Seen), web.Coin(v.Missing), web.Coin(v.Excess)
	for _, p := range v.Progress {
		row := deposit{Amount: web.Coin(p.Deposit.Amount), TxID: p.Deposit.TxID, Depth: depthText(c, p)}
		row.Explorer = d.explorer(p.Deposit.Network, row.TxID)
		m.Deposits = append(m.Deposits, row)
		if p.Deposit.Arrived().After(v.Deadline) && m.Late == "" {
			late := p.Deposit.Arrived().Sub(v.Deadline)
			m.Late = c.Say("late.by", "at", c.Clock(p.Deposit.Arrived(), v.Now, d.Zone), "n", web.Minutes(late))
		}
	}
	if !m.Status.State.Done() {
		return
	}
	m.Lines = append(m.Lines, line{c.Say("coin.amount"), web.Coin(v.Seen)})
	if at := v.Invoice.Told.PaidAt; at != 0 {
		m.Lines = append(m.Lines, line{c.Say("paid.at"), c.Time(time.UnixMilli(at), d.Zone)})
	}
}

func depthText(c web.Catalogue, p engine.Progress) string {
	switch {
	case p.Deposit.State == payment.Confirmed:
		return c.Say("deposit.deep")
	case p.Have == 0:
		return c.Say("deposit.pending")
	case p.Final:
		return c.Say("title.confirming.final")
	}
	return c.Say("deposit.blocks", "n", p.Have, "m", p.Need)
}

func offersOf(c web.Catalogue, v engine.View) []offer {
	var all []offer
	for _, o := range v.Offers {
		made := offer{Coin: string(o.Coin), Net: netName(c, o.Network), Minutes: web.Minutes(o.Wait),
			Blank: needsRefundFirst(v, o.Coin) && v.Invoice.OpenType == payment.OpenLayer}
		switch o.Refusal {
		case "":
			made.Due = web.Coin(o.Due)
		case payment.WordNoRate:
			made.Refusal = c.Say("choose.norate")
		default:
			made.Refusal = c.Say("choose.nonode")
		}
		all = append(all, made)
	}
	return all
}

// needsRefundFirst tells whether the shop wants a refund address for this coin before it is paid, and has none.
func needsRefundFirst(v engine.View, coin money.Currency) bool {
	return v.Invoice.Policy.RequireRefund && v.Invoice.RefundAddress(coin) == ""
}

func refundOf(v engine.View) refund {
	if v.Quote == nil {
		return refund{}
	}
	set := v.Invoice.Refunds[v.Quote.Coin]
	return refund{Known: set.Address != "", Fixed: set.Fixed, Open: v.RefundOpen, Fours: web.Fours(set.Address),
		Coin: string(v.Quote.Coin)}
}

// closingOf tells whether a paid page goes away by itself: only just after it was paid, so that it can be kept as a
// receipt, and not while something is still asked of the payer.
func (d *door) closingOf(v engine.View) closing {
	state, at := stateOf(v), time.UnixMilli(v.Invoice.Told.PaidAt)
	done := state == StatePaid && len(v.Outgoing) == 0 || state == StateOverpaid && v.Invoice.RefundAddress(v.Quote.Coin) != ""
	return closing{
		Auto:  done && v.Now.Sub(at) < ReturnWithin,
		After: int(ReturnAfter / time.Second),
	}
}
