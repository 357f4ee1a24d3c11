package checkout

import (
	"net/url"
	"strings"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A payback is one sum on its way back to the payer (states 15 and 16), ready to be printed.
type payback struct {
	Coin    string
	Status  payment.RefundStatus // 0 before it was opened
	Heading string
	Need    bool // the payer must say where to, in this page's form
	Other   bool // … with another address than the one that failed
	By      string
	Note    string // why it waits, or what happens next
	Sum     []line // amount, fee, what arrives
	Times   []line
	Depth   string
	Reason  string
	Fours   []string // where it goes

	TxID, Explorer string
}

// Moving tells whether the steps are shown. For templates.
func (p payback) Moving() bool {
	return !p.Need && p.Status >= payment.RefundRequested && p.Status <= payment.RefundDone
}

// Failed tells whether it ended in vain. For templates.
func (p payback) Failed() bool { return p.Status == payment.RefundFailed }

// paybacks are the refunds of an invoice that matter now, the oldest first, and what is owed but not opened yet and lacks an
// address. A failed one matters until another takes its place.
func (d *door) paybacks(c web.Catalogue, v engine.View) []payback {
	var all []payback
	for i, o := range v.Outgoing {
		if o.State == payment.PayoutFailed && replaced(o, v.Outgoing[i+1:]) {
			continue
		}
		all = append(all, d.paybackOf(c, v, o))
	}
	for _, coin := range v.Invoice.Coins {
		if owed := owedWithoutAddress(v, coin); owed.Sign() > 0 {
			all = append(all, payback{Coin: string(coin), Need: true, Heading: c.Say("refund.need"), Note: c.Say("refund.why.owed"),
				Sum: []line{{c.Say("refund.of"), web.Coin(owed)}, {c.Say("refund.fee"), c.Say("refund.fee.later")}}})
		}
	}
	return all
}

func replaced(o engine.Outgoing, later []engine.Outgoing) bool {
	for _, n := range later {
		if n.Network == o.Network {
			return true
		}
	}
	return false
}

func (d *door) paybackOf(c web.Catalogue, v engine.View, o engine.Outgoing) payback {
	coin := o.Network.Coin()
	open := v.AddressOpen(coin)
	p := payback{Coin: string(coin), Status: o.RefundStatus(), TxID: o.TxID, Explorer: d.explorer(o.Network, o.TxID)}
	p.Heading = refundWord(c, p.Status)
	if o.Kind == payment.RefundAsked {
		p.By = c.Say("refund.by.shop")
	}
	p.Sum = sumOf(c, v, o)
	p.Fours = web.Fours(o.To)
	if o.To == "" && o.Held != payment.HoldAddress {
		p.Fours = web.Fours(v.Invoice.RefundAddress(coin))
	}
	switch p.Status {
	case payment.RefundRequested:
		p.Note = holdText(c, o.Held)
		if p.Need = v.AsksWhere(o); p.Need {
			p.Heading, p.Note = c.Say("refund.need"), c.Say("refund.why.owed")
		}
	case payment.RefundInProgress:
		if p.Depth = c.Say("refund.pool"); o.Have > 0 {
			p.Depth = c.Say("refund.blocks", "n", o.Have)
			if o.Need > 0 {
				p.Depth = c.Say("refund.blocks.of", "n", min(o.Have, o.Need), "m", o.Need)
			}
		}
	case payment.RefundDone:
	case payment.RefundFailed:
		p.Reason, p.Need, p.Other = o.FailReason, open, true
		p.Note = failedText(c, o, open)
	}
	if !p.Need {
		p.Times = append(p.Times, line{c.Say("refund.asked.at"), c.Clock(o.CreatedAt, v.Now, d.Zone)})
	}
	if !o.SentAt.IsZero() {
		p.Times = append(p.Times, line{c.Say("refund.sent.at"), c.Clock(o.SentAt, v.Now, d.Zone)})
	}
	if p.Status == payment.RefundDone {
		p.Times = append(p.Times, line{c.Say("refund.done.at"), c.Clock(o.DoneAt, v.Now, d.Zone)})
	}
	return p
}

func refundWord(c web.Catalogue, s payment.RefundStatus) string {
	switch s {
	case payment.RefundRequested:
		return c.Say("refund.1")
	case payment.RefundInProgress:
		return c.Say("refund.2")
	case payment.RefundDone:
		return c.Say("refund.3")
	case payment.RefundFailed:
		return c.Say("refund.4")
	}
	return c.Say("refund.need")
}

func failedText(c web.Catalogue, o engine.Outgoing, open bool) string {
	switch {
	case !open:
		return c.Say("refund.failed.fixed")
	case o.Kind == payment.RefundAsked:
		return c.Say("refund.failed.asked")
	}
	return c.Say("refund.failed.do")
}

// holdText is why a refund waits, in the payer's words: what they can know and do, not what is inside.
func holdText(c web.Catalogue, h payment.Hold) string {
	switch h {
	case payment.HoldDepth:
		return c.Say("refund.hold.depth")
	case payment.HoldFee:
		return c.Say("refund.hold.fee")
	case payment.HoldCeiling:
		return c.Say("refund.hold.ceiling")
	case payment.HoldNode:
		return c.Say("refund.hold.node")
	case payment.HoldAddress:
		return c.Say("refund.hold.address")
	case payment.HoldApproval, payment.HoldDelay, payment.HoldRefused, payment.HoldReversed, payment.HoldHalted:
		return c.Say("refund.hold.check")
	case payment.HoldNone, payment.HoldTime, payment.HoldThreshold, payment.HoldGather, payment.HoldBusy, payment.HoldSigner:
	}
	return c.Say("refund.hold.soon")
}

// sumOf is amount − fee = what arrives, as far as it is known.
func sumOf(c web.Catalogue, v engine.View, o engine.Outgoing) []line {
	amount, coin := o.Amount, o.Network.Coin()
	if amount.Currency() == "" || amount.IsZero() {
		amount = money.Zero(coin)
		for _, back := range v.GiveBack {
			if back.Currency() == coin {
				amount = back
			}
		}
	}
	if amount.IsZero() {
		return nil
	}
	all := []line{{c.Say("refund.of"), web.Coin(amount)}}
	if o.Net.Currency() == "" || o.Net.IsZero() {
		if o.State == payment.PayoutFailed {
			return all
		}
		return append(all, line{c.Say("refund.fee"), c.Say("refund.fee.later")})
	}
	return append(all, line{c.Say("refund.fee"), "− " + web.Coin(amount.Sub(o.Net))}, line{c.Say("refund.net"), web.Coin(o.Net)})
}

// owedWithoutAddress is what of a coin goes back, is in no refund yet, and has no address to go to; zero where nothing does.
// It looks ahead of the refund itself, so that the payer is asked while the network still confirms.
func owedWithoutAddress(v engine.View, coin money.Currency) money.Amount {
	none := money.Zero(coin)
	if v.Quote == nil || v.Invoice.RefundAddress(coin) != "" || !v.AddressOpen(coin) {
		return none
	}
	owed := none
	for _, dep := range v.Deposits {
		if dep.Live() && dep.Amount.Currency() == coin {
			owed = owed.Add(dep.Amount)
		}
	}
	switch {
	case v.Status == payment.Paid && coin == v.Quote.Coin:
		owed = v.Excess
	case v.Status == payment.Paid:
	case v.Status == payment.Expired:
		if v.Invoice.Policy.AcceptLate && !settled(v) && v.Invoice.CancelledAt.IsZero() {
			return none // the shop may take it yet
		}
	default:
		return none
	}
	for _, o := range v.Outgoing {
		if o.Network.Coin() != coin {
			continue
		}
		if o.Live() || o.State == payment.PayoutFailed {
			return none // it is shown itself
		}
		if o.State == payment.PayoutDone && o.Kind != payment.RefundAsked {
			owed = owed.Sub(o.Amount)
		}
	}
	return owed
}

// explorer is a link to a transaction, "" where none is configured.
func (d *door) explorer(n money.Network, txid string) string {
	link := d.Explorers[n]
	if link == "" || txid == "" {
		return ""
	}
	return strings.ReplaceAll(link, "{txid}", url.PathEscape(txid))
}

// refundsAnnounced is the sentence that tells how the refunds stand, "" while there are none.
func refundsAnnounced(c web.Catalogue, v engine.View) string {
	if len(v.Outgoing) == 0 {
		return ""
	}
	o := v.Outgoing[len(v.Outgoing)-1]
	if v.AsksWhere(o) {
		return c.Say("refund.need")
	}
	return refundWord(c, o.RefundStatus())
}

// owes tells whether the payer is asked where something shall go.
func owes(v engine.View) bool {
	for _, coin := range v.Invoice.Coins {
		if v.NeedsAddress(coin) && v.AddressOpen(coin) || owedWithoutAddress(v, coin).Sign() > 0 {
			return true
		}
	}
	return false
}
