package checkout

import (
	"html/template"
	"math/big"
	"strconv"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/web"
)

// payable tells in which states the page shows where to pay. In all others there is neither QR code nor address, so that
// nobody pays twice.
func payable(s State) bool {
	switch s {
	case StateAwait, StateEnding, StateDropped, StatePartial:
		return true
	default:
		return false
	}
}

// payOf is where and how much to pay, and in a lapsed state, how to go on.
func (d *door) payOf(c web.Catalogue, v engine.View, state State) (*pay, error) {
	q := v.Quote
	due := q.Due
	if state == StatePartial {
		due = v.Missing
	}
	net := netName(c, q.Network)
	p := &pay{
		Coin: string(q.Coin), Net: net, Amount: web.Coin(due), AmountText: due.Text(),
		Address: q.Address, Fours: web.Fours(q.Address),
		Deadline: c.Clock(payUntil(v), v.Now, d.Zone), Until: payUntil(v).UnixMilli(),
		Exchange: q.Exchange, CanExchange: v.CanChange && !q.Exchange,
		ExchangeMinutes: web.Minutes(v.Invoice.Policy.ExchangeWindow), CanExtend: v.CanExtend,
	}
	d.rateOf(c, v, p)
	if state == StateLapsed {
		return p, nil
	}
	ask := request{Network: q.Network, Address: q.Address, Amount: due, Label: v.Application.Name, Message: v.Invoice.OrderName}
	p.Link = template.URL(ask.link()) // scheme, checked address, number, and percent-encoded text
	if q.Coin == money.ETH {
		p.App = template.URL(ask.app())
		p.ChainHex, p.ValueHex = ask.chainHex(), "0x"+due.Big().Text(16)
	}
	var err error
	p.Both, err = web.DrawQR(ask.code(), c.Say("qr.alt.both", "a", p.Amount, "address", p.Address))
	if err != nil {
		return nil, err
	}
	p.Only, err = web.DrawQR(q.Address, c.Say("qr.alt.address", "coin", p.Coin, "address", p.Address))
	return p, err
}

func (d *door) rateOf(c web.Catalogue, v engine.View, p *pay) {
	q := v.Quote
	one := money.OfBig(q.Coin, pow10(q.Coin.Decimals()))
	p.Rate = c.Say("rate.line", "coin", p.Coin, "price", c.Price(q.Rate.Worth(one)))
	counted, name := 0, ""
	for _, vote := range q.Votes {
		if vote.Counted {
			counted, name = counted+1, vote.Source
		}
	}
	at := c.Time(q.CreatedAt, d.Zone)
	if counted == 1 {
		p.RateAt = c.Say("rate.source", "time", at, "name", name)
	} else {
		p.RateAt = c.Say("rate.at", "time", at, "n", counted)
	}
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// netName is a network as payers know it. Test networks say so.
func netName(c web.Catalogue, n money.Network) string {
	name := n.Name()
	switch n.Coin() {
	case money.BTC:
		if name == "mainnet" {
			return c.Say("net.bitcoin")
		}
		return c.Say("net.test", "net", c.Say("net.bitcoin"), "name", name)
	case money.ETH:
		switch name { // EIP-155 chain ids
		case "1":
			return c.Say("net.ethereum")
		case "11155111":
			return c.Say("net.test", "net", c.Say("net.ethereum"), "name", "Sepolia")
		case "560048":
			return c.Say("net.test", "net", c.Say("net.ethereum"), "name", "Hoodi")
		case "1337", "31337":
			return c.Say("net.test", "net", c.Say("net.ethereum"), "name", name)
		}
		return c.Say("net.chain", "net", c.Say("net.ethereum"), "name", name)
	}
	return string(n)
}

func minutesText(d time.Duration) string { return strconv.Itoa(web.Minutes(d)) }
