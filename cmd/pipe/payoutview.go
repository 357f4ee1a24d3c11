package main

import (
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// payoutJSON is a payout as the commands print it. Amounts are in whole coins, "" while they are not known; times are zero for
// what has not come yet.
type payoutJSON struct {
	ID         payment.ID          `json:"id"`
	Kind       string              `json:"kind"`
	State      payment.PayoutState `json:"state"`
	Held       payment.Hold        `json:"held"`
	FailReason string              `json:"fail_reason"`
	InvoiceID  payment.ID          `json:"invoice_id"`
	Network    money.Network       `json:"network"`
	Coin       money.Currency      `json:"coin"`
	Amount     string              `json:"amount"`
	Fee        string              `json:"fee"`
	Net        string              `json:"net"`
	To         string              `json:"to"`
	TxID       string              `json:"txid"`
	CreatedAt  time.Time           `json:"created_at"`
	SentAt     time.Time           `json:"sent_at,omitzero"`
	DoneAt     time.Time           `json:"done_at,omitzero"`
}

func payoutView(p payment.Payout) payoutJSON {
	v := payoutJSON{
		ID: p.ID, Kind: string(p.Kind), State: p.State, Held: p.Held, FailReason: p.FailReason, InvoiceID: p.InvoiceID, Network: p.Network,
		Coin: p.Network.Coin(), To: p.To, TxID: p.TxID, CreatedAt: p.CreatedAt, SentAt: p.SentAt, DoneAt: p.DoneAt,
	}
	if p.Kind.IsRefund() {
		v.Kind = "refund, " + v.Kind
	}
	for _, part := range []struct {
		into   *string
		amount money.Amount
	}{{&v.Amount, p.Amount}, {&v.Fee, p.Fee.Add(p.Wasted)}, {&v.Net, p.Net}} {
		if part.amount.Sign() > 0 {
			*part.into = part.amount.Text()
		}
	}
	return v
}

// words are the state of a payout and why it does not go on.
func (v payoutJSON) words() string {
	switch {
	case v.FailReason != "":
		return string(v.State) + ": " + v.FailReason
	case v.Held != payment.HoldNone:
		return string(v.State) + ": " + held(v.Held)
	}
	if v.State == payment.PayoutDone && v.To == "" {
		return "done: kept in the wallet"
	}
	return string(v.State)
}

// held says what a payout waits for.
func held(h payment.Hold) string {
	switch h {
	case payment.HoldNone:
		return ""
	case payment.HoldDepth:
		return "deposits are not final yet"
	case payment.HoldTime:
		return "held, or not yet on schedule"
	case payment.HoldThreshold:
		return "below the threshold"
	case payment.HoldFee:
		return "not worth its network fee now"
	case payment.HoldCeiling:
		return "network fees are above the ceiling"
	case payment.HoldAddress:
		return "the payer has yet to say where to"
	case payment.HoldApproval:
		return "the signer's operator has yet to approve it"
	case payment.HoldDelay:
		return "signed after a delay"
	case payment.HoldRefused:
		return "the signer refuses it"
	case payment.HoldReversed:
		return "the network took the deposit back"
	case payment.HoldGather:
		return "the wallet's coins are being gathered"
	case payment.HoldBusy:
		return "its coins are in another transaction"
	case payment.HoldHalted:
		return "payouts are halted"
	case payment.HoldNode:
		return "no node to be believed"
	case payment.HoldSigner:
		return "the signer cannot be reached"
	}
	return string(h)
}
