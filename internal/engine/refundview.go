package engine

import (
	"errors"
	"slices"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// Outgoing is how far one refund of an invoice is. Have counts the blocks on its transaction, its own included; 0 while it is
// in none. Need is from how many on it is done; 0 where the chain's own finality is asked for.
type Outgoing struct {
	payment.Payout
	Have, Need int
}

// outgoing is the progress of all refunds of an invoice, the oldest first.
func (d *Desk) outgoing(tx Tx, f payment.Facts, states map[money.Network]NetworkState) ([]Outgoing, error) {
	var all []Outgoing
	for _, p := range f.Payouts {
		if !p.Kind.IsRefund() {
			continue
		}
		o := Outgoing{Payout: p}
		if final := d.Nets[p.Network.Coin()].Final; !final.Final {
			o.Need = final.Blocks
		}
		if p.SpendID != "" {
			s, err := tx.Spend(p.SpendID)
			if err != nil && !errors.Is(err, payment.ErrAbsent) {
				return nil, err
			}
			if tip := states[p.Network].Height; err == nil && s.Height > 0 && tip >= s.Height {
				o.Have = int(min(tip-s.Height+1, payment.MaxDepth))
			}
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Outgoing) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all, nil
}

// asksWhere tells whether a refund waits for the payer's word where it shall go, or soon will.
func (v View) asksWhere(p payment.Payout) bool {
	if p.State != payment.PayoutWaiting {
		return false
	}
	soon := p.Held == payment.HoldNone || p.Held == payment.HoldDepth
	return p.Held == payment.HoldAddress || soon && p.To == "" && v.Invoice.RefundAddress(p.Network.Coin()) == ""
}

// NeedsAddress tells whether a refund of a coin waits for the payer's word where it shall go, or failed and may be tried again
// with another address.
func (v View) NeedsAddress(coin money.Currency) bool {
	var last payment.Payout
	for _, p := range v.Payouts {
		if !p.Kind.IsRefund() || p.Network.Coin() != coin {
			continue
		}
		if v.asksWhere(p) {
			return true
		}
		if !p.CreatedAt.Before(last.CreatedAt) {
			last = p
		}
	}
	return last.State == payment.PayoutFailed
}

// AsksWhere tells whether this refund is one that NeedsAddress speaks of, and the payer may answer.
func (v View) AsksWhere(o Outgoing) bool {
	return v.asksWhere(o.Payout) && v.AddressOpen(o.Network.Coin())
}

// AddressOpen tells whether the refund address of a coin may still be set or changed by the browser it is bound to.
func (v View) AddressOpen(coin money.Currency) bool {
	return !v.Invoice.Refunds[coin].Fixed && (v.Invoice.Told.Status != payment.Refunded || v.NeedsAddress(coin))
}
