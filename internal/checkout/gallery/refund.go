package gallery

import (
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// RefundTxID is the transaction of the gallery's refunds.
const RefundTxID = "b1d7c2e0a95f4836be12740dd7c6f18a02f3e4d5968710cbae64f2093d8b17ca"

// A Return is a refund of the last quote's coin.
type Return struct {
	Kind   payment.PayoutKind
	Amount int64 // satoshi
	State  payment.PayoutState
	Held   payment.Hold
	To     string
	Fee    int64 // satoshi; 0: no version yet
	Have   int   // blocks on its transaction
	Why    string
}

// Return adds a refund.
func (m *Make) Return(r Return) *Make {
	q := m.view.Quotes[len(m.view.Quotes)-1]
	p := payment.Payout{
		ID: ID(fmt.Sprint("payout", len(m.view.Payouts))), Kind: r.Kind, InvoiceID: m.view.Invoice.ID, Network: q.Network, To: r.To,
		Amount: money.Of(q.Coin, r.Amount), State: r.State, Held: r.Held, FailReason: r.Why,
		CreatedAt: Now().Add(time.Duration(len(m.view.Payouts)-15) * time.Minute), UpdatedAt: Now(),
		Reserved: r.State == payment.PayoutOpen || r.State == payment.PayoutPaying,
	}
	if r.Fee > 0 {
		p.Fee = money.Of(q.Coin, r.Fee)
		p.Net = p.Amount.Sub(p.Fee)
	}
	if r.State == payment.PayoutDone || r.State == payment.PayoutPaying && r.Fee > 0 {
		p.TxID, p.SentAt = RefundTxID, Now().Add(-12*time.Minute)
	}
	if r.State == payment.PayoutDone || r.State == payment.PayoutFailed {
		p.DoneAt = Now().Add(-2 * time.Minute)
	}
	m.view.Payouts = append(m.view.Payouts, p)
	m.view.Outgoing = append(m.view.Outgoing, engine.Outgoing{Payout: p, Have: r.Have, Need: 6})
	return m
}

// to sets the refund address; fixed once a refund is on its way.
func (m *Make) to(address string, fixed bool) *Make {
	return m.Edit(func(i *payment.Invoice) {
		i.Refunds[money.BTC] = payment.RefundAddress{Address: address, Fixed: fixed}
	})
}

// returns are states 15 and 16: refunds, from the question for an address to the end.
func returns() []Fixture {
	short := func(name string) *Make {
		return New(name).Quote(money.BTC, 90*time.Minute).Deposit(Coming{749, 80 * time.Minute, payment.Confirmed, 2})
	}
	over := func(name string) *Make {
		return New(name).Quote(money.BTC, 55*time.Minute).Deposit(Coming{1150, 50 * time.Minute, payment.Confirmed, 2})
	}
	paid := func(name string) *Make {
		return New(name).Quote(money.BTC, 60*time.Minute).Deposit(Coming{1000, 50 * time.Minute, payment.Confirmed, 2})
	}
	return []Fixture{
		{"refund-need", short("refund-need").Return(Return{Kind: payment.RefundShort, Amount: 49981, State: payment.PayoutWaiting, Held: payment.HoldAddress}).View()},
		{"refund-need-asked", paid("refund-need-asked").Return(Return{Kind: payment.RefundAsked, Amount: 66731, State: payment.PayoutWaiting, Held: payment.HoldAddress}).View()},
		{"refund-waiting", short("refund-waiting").to(BTCAddress, false).
			Return(Return{Kind: payment.RefundShort, Amount: 49981, State: payment.PayoutWaiting, Held: payment.HoldDepth}).View()},
		{"refund-small", over("refund-small").to(BTCAddress, false).
			Return(Return{Kind: payment.RefundExcess, Amount: 10009, State: payment.PayoutWaiting, Held: payment.HoldFee}).View()},
		{"refund-moving", short("refund-moving").to(BTCAddress, true).
			Return(Return{Kind: payment.RefundShort, Amount: 49981, State: payment.PayoutPaying, To: BTCAddress, Fee: 846, Have: 1}).View()},
		{"refund-excess-done", over("refund-excess-done").to(BTCAddress, true).
			Return(Return{Kind: payment.RefundExcess, Amount: 10009, State: payment.PayoutDone, To: BTCAddress, Fee: 846, Have: 6}).View()},
		{"refund-failed", short("refund-failed").to(BTCAddress, false).
			Return(Return{Kind: payment.RefundShort, Amount: 49981, State: payment.PayoutFailed, To: BTCAddress, Why: "receiver does not take the coins"}).View()},
		{"refund-failed-fixed", paid("refund-failed-fixed").to(BTCAddress, true).
			Return(Return{Kind: payment.RefundAsked, Amount: 66731, State: payment.PayoutFailed, To: BTCAddress, Why: "deposit is smaller than the network fee"}).View()},
		{"refunded", paid("refunded").to(BTCAddress, true).
			Return(Return{Kind: payment.RefundAsked, Amount: 66731, State: payment.PayoutDone, To: BTCAddress, Fee: 846, Have: 6}).View()},
	}
}
