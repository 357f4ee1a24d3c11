package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A spend that a reorganisation has left without some of its coins. Whether they come back nobody can tell: perhaps their
// transaction was replaced for ever. The other payouts of a batch need not wait for that. The next version of the same spend
// uses the coins that are left, and pays those whose coins they are. Each version uses tickets of the one before alone, so all
// use all tickets of the newest, and at most one takes effect whatever the chain does. Only when a version is final do the
// payouts that it left out leave the spend, and its other tickets become free: the versions that pay them are dead.

// lacks tells whether a payout is on its way without its coins.
func lacks(x payment.Payout) bool { return x.Held == payment.HoldReversed && !x.Reserved }

// remains is what the chain has left of a version.
type remains struct {
	lost     bool // some coins are gone
	holdings []chain.Holding
	pays     []chain.Pay
}

// some tells whether a next version can pay a part.
func (r remains) some() bool { return r.lost && len(r.pays) > 0 }

// remains looks which coins of a sent version the chain has taken away, and whose payouts can be paid with the others.
func (p *Payer) remains(tx Tx, s payment.Spend, v payment.Version) (r remains, err error) {
	if s.State != payment.SpendSent || v.Lost() || v.SentAt.IsZero() {
		return r, nil
	}
	u, err := unsignedOf(v)
	if err != nil {
		return r, err
	}
	if p.Net.Accounts {
		a, err := tx.Address(s.Network, u.Holdings[0].Address)
		r.lost = err == nil && a.Balance.Less(u.Holdings[0].Amount)
		return r, err
	}
	short, has := map[ledger.Account]bool{}, map[ledger.Account]money.Amount{}
	of := map[chain.Ticket]ledger.Account{}
	for _, h := range u.Holdings {
		d, err := tx.Deposit(s.Network, string(h.Ticket))
		if err != nil {
			return r, err
		}
		of[h.Ticket] = d.Account
		has[d.Account] = has[d.Account].Add(h.Amount)
		if d.State == payment.Reversed || d.State == payment.Dropped {
			r.lost, short[d.Account] = true, true
		}
	}
	if !r.lost {
		return r, nil
	}
	paid := map[ledger.Account]bool{}
	for _, pay := range u.Pays {
		x, err := tx.Payout(payment.ID(pay.Payout))
		if err != nil {
			return r, err
		}
		sum, ok := has[x.Source]
		if ok && x.Reserved && !short[x.Source] && !paid[x.Source] && sum.Equal(pay.Amount) { // else change would be another's
			paid[x.Source] = true
			r.pays = append(r.pays, pay)
		}
	}
	for _, h := range u.Holdings {
		if paid[of[h.Ticket]] {
			r.holdings = append(r.holdings, h)
		}
	}
	return r, nil
}

func unsignedOf(v payment.Version) (u chain.Unsigned, err error) {
	if err := json.Unmarshal(v.Unsigned, &u); err != nil {
		return u, fmt.Errorf("read unsigned version: %w", err)
	}
	return u, nil
}

// narrow builds the next version of a spend from what is left of it.
func (p *Payer) narrow(ctx context.Context, s payment.Spend, v payment.Version, left remains) error {
	p.at(StepNarrow)
	d := chain.Draft{
		Network: s.Network, Spend: string(s.ID), Version: v.Number + 1, Merchant: string(s.MerchantID), Holdings: left.holdings,
		Anchor: left.holdings[0].Ticket, Pays: slices.Clone(left.pays), Previous: v.Rate, MaxRate: p.Rules.MaxRate,
	}
	for _, h := range left.holdings {
		if string(h.Ticket) == s.Anchor {
			d.Anchor = h.Ticket
		}
	}
	next, ok, err := p.rebuild(ctx, s, v, d)
	if !ok {
		return err
	}
	p.Log.ErrorContext(ctx, "the chain took coins of a payout back: those that are left are paid without them",
		"spend", s.ID, "network", s.Network, "version", next.Version, "payouts", len(next.Pays), "tickets", len(next.Holdings))
	p.at(StepNarrowed)
	return p.change(ctx, s, func(tx Tx, s *payment.Spend) error {
		row, err := versionFrom(tx, *s, next)
		if err != nil {
			return err
		}
		s.Version, s.Anchor, s.DueAt = row.Number, string(next.Anchor), tx.Now()
		if err := tx.AddVersion(row); err != nil {
			return err
		}
		return p.payouts(tx, s.ID, func(x *payment.Payout) bool {
			_, ok := shareOf(row, x.ID)
			if !ok {
				x.Held = payment.HoldReversed
			}
			return !ok
		})
	})
}

// whole halts payouts where a block holds a version that pays what has left its spend since: the version that was final was
// taken back, deeper than final, and another one is there in its place.
func (w *Watcher) whole(tx Tx, s payment.Spend, v payment.Version) error {
	all, err := tx.SpendPayouts(s.ID)
	if err != nil {
		return err
	}
	for _, share := range v.Shares {
		if !slices.ContainsFunc(all, func(x payment.Payout) bool { return x.ID == share.PayoutID }) && s.Turn > 0 && !s.Failed {
			return halt(tx, fmt.Sprintf("%s: a reorganisation deeper than final brought %s, which pays what was given up since", s.Network, s.TxID))
		}
	}
	return nil
}

// letGo ends the payouts that a final version left out, and gives up the tickets that it did not use. What comes again of their
// coins is owed anew, by another payout: this one stays this spend's for ever, also for the signer.
func (w *Watcher) letGo(tx Tx, s payment.Spend, t *touched) error {
	v, err := versionOf(tx, s, s.TxID)
	if err != nil {
		return err
	}
	all, err := tx.SpendPayouts(s.ID)
	if err != nil {
		return err
	}
	for _, x := range all {
		if _, ok := shareOf(v, x.ID); ok {
			continue
		}
		if err := payment.PayoutEdges.Check(x.State, payment.PayoutOpen); err != nil {
			return err
		}
		source := x.Source
		x.State, x.SpendID, x.TxID, x.Net, x.Fee = payment.PayoutOpen, "", "", money.Amount{}, money.Zero(s.Network.Coin())
		if err := tx.SwapPayout(x); err != nil {
			return err
		}
		if x, err = tx.Payout(x.ID); err != nil {
			return err
		}
		if err := end(tx, &x, "the network took its coins back"); err != nil {
			return err
		}
		if err := w.teller().tell(tx, x); err != nil {
			return err
		}
		if x.InvoiceID != "" {
			t.change(x.InvoiceID)
		}
		w.Log.Error("a payout ended: the chain took its coins back while it was on its way", "payout", x.ID, "source", source,
			"network", s.Network, "amount", x.Amount)
	}
	return dropUnused(tx, s.ID, v)
}

// dropUnused takes from a spend the tickets that a version does not use.
func dropUnused(tx Tx, id payment.ID, v payment.Version) error {
	u, err := unsignedOf(v)
	if err != nil || len(u.Holdings) == 0 {
		return err
	}
	held, err := tx.Tickets(id)
	if err != nil {
		return err
	}
	for _, k := range held {
		if !slices.ContainsFunc(u.Holdings, func(h chain.Holding) bool { return string(h.Ticket) == k.Ticket }) {
			if err := tx.DropTicket(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// letHave makes room for the tickets of a spend that is taken in from the signer's journal, and answers those that it gets: what
// the newest version of one spend leaves out may be another one's.
func letHave(tx Tx, tickets []payment.Ticket) (free []payment.Ticket, err error) {
	for _, k := range tickets {
		s, err := tx.TicketSpend(k.Network, k.Ticket)
		if err == nil && s.ID != k.SpendID {
			var v payment.Version
			if v, err = tx.Version(s.ID, s.Version); err != nil {
				return nil, err
			}
			if err = dropUnused(tx, s.ID, v); err == nil {
				_, err = tx.TicketSpend(k.Network, k.Ticket)
			}
		}
		if errors.Is(err, payment.ErrAbsent) {
			free = append(free, k)
		} else if err != nil {
			return nil, err
		}
	}
	return free, nil
}

// lostFrom stands for an unsigned version of which only the signer's journal knows.
func lostFrom(s chain.SignedSpend) ([]byte, error) {
	all, err := json.Marshal(s.Holdings)
	if err != nil {
		return nil, fmt.Errorf("write tickets of a lost version: %w", err)
	}
	return fmt.Appendf(nil, "%s%q:%s}", payment.LostHoldings, "Holdings", all), nil
}
