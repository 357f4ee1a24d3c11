package sim_test

import (
	"slices"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// judgePayouts judges at the end what became of all that was owed: each payout is paid or ended with a reason, or waits for
// a reason that holds, and the book is what the chains hold.
func (s *sim) judgePayouts(tx engine.Tx) error {
	for _, o := range s.audit.book.order {
		p, err := tx.Payout(o.ID)
		if err != nil {
			return err
		}
		if p.State != o.State || !p.Amount.Equal(o.Amount) || p.Held != o.Held || p.SpendID != o.SpendID {
			s.violate("payout %d is stored as %s %s, the commits said %s %s", o.n, p.State, p.Held, o.State, o.Held)
		}
		s.judgePayout(tx, o)
	}
	for _, v := range s.audit.list {
		for _, coin := range coins {
			if v.address[coin] != "" {
				s.judgeKept(v, coin)
			}
		}
	}
	s.judgeSums()
	return nil
}

// judgePayout judges where a payout stands at the end.
func (s *sim) judgePayout(tx engine.Tx, o *paying) {
	p, c := o.Payout, s.chains[o.Network.Coin()]
	switch p.State {
	case payment.PayoutDone:
		s.hit("judged: payout done")
	case payment.PayoutFailed:
		s.hit("judged: payout failed")
	case payment.PayoutOpen:
		if s.kept(o) {
			s.hit("judged: payout waits for coins that another keeps which went")
			return
		}
		s.tellCoins(tx, o)
		s.violate("payout %d, a %s of %s, is open at the end: %s", o.n, p.Kind, p.Amount, p.Held)
	case payment.PayoutPaying:
		stuck := false
		for _, one := range s.hand.journal {
			if one.Spend == string(p.SpendID) {
				stuck = stuck || c.gone(c.signed[one.TxID])
			}
		}
		together := len(s.audit.spends[p.SpendID].pays) > 1
		if !stuck || together && p.Reserved || p.Held != payment.HoldReversed { // what has its coins is paid, whatever went beside it
			s.violate("payout %d, a %s of %s, is never paid: %q, reserved %t", o.n, p.Kind, p.Amount, p.Held, p.Reserved)
		}
		s.hit("judged: payout went with its own coins")
	case payment.PayoutWaiting:
		if !s.mayWait(o) {
			s.violate("payout %d, a %s of %s%s, waits at the end: %q, due %s", o.n, p.Kind, p.Amount, s.audit.ofInvoice(p), p.Held, p.DueAt)
		}
		s.hit("judged: payout held: " + string(p.Held))
	}
}

// kept tells whether the address of a payout's invoice is held by a spend in flight that went with other coins.
func (s *sim) kept(o *paying) bool {
	v, c := s.audit.invoices[o.InvoiceID], s.chains[o.Network.Coin()]
	return v != nil && o.Held == payment.HoldBusy && slices.ContainsFunc(s.hand.journal, func(one chain.SignedSpend) bool {
		tx, sp := c.signed[one.TxID], s.audit.spends[payment.ID(one.Spend)]
		return tx != nil && sp.State == payment.SpendSent && tx.wire.Ins[0].Address == v.address[c.coin] && c.gone(tx)
	})
}

// mayWait tells whether a payout's reason to wait holds.
func (s *sim) mayWait(o *paying) bool {
	p, coin := o.Payout, o.Network.Coin()
	v := s.audit.invoices[p.InvoiceID]
	if v == nil {
		return p.Held == payment.HoldFee && p.Amount.Less(s.dust(coin))
	}
	waits := func(also func(x payment.Payout) bool) bool {
		return slices.ContainsFunc(s.audit.book.order, func(x *paying) bool {
			return x.InvoiceID == v.ID && x.Network == p.Network && x.ID != p.ID && x.State != payment.PayoutFailed && x.State != payment.PayoutDone && also(x.Payout)
		})
	}
	switch p.Held {
	case payment.HoldAddress:
		return v.RefundAddress(coin) == ""
	case payment.HoldReversed:
		return v.Told.Marks.Has(payment.MarkReversed)
	case payment.HoldThreshold:
		app := s.apps[slices.IndexFunc(s.apps, func(a payment.Application) bool { return a.ID == v.ApplicationID })]
		above, ok := app.Settings.Settle.Above[coin]
		return ok && p.Amount.Less(above)
	case payment.HoldFee:
		// A settlement's fee may be a twentieth; each coin of an invoice costs another input.
		few := int64(1 + len(s.chains[coin].comings(s.chains[coin].blocks, v.address[coin])))
		usual := money.Of(money.BTC, 220*few)
		if coin == money.ETH {
			usual = money.Of(money.ETH, 21_000*2_000_000_000)
		}
		if p.Kind == payment.Settlement {
			usual = times(usual, 20)
		} else {
			usual = usual.Add(least(coin))
		}
		return !usual.Less(p.Amount)
	case payment.HoldBusy: // what is the payer's is to be told apart first; or another went with a coin, and keeps the rest
		return waits(func(x payment.Payout) bool { return x.Kind.IsRefund() || x.State == payment.PayoutPaying })
	default:
		return false
	}
}

func least(coin money.Currency) money.Amount {
	if coin == money.BTC {
		return money.Of(coin, 546)
	}
	return money.Of(coin, 1)
}

func times(a money.Amount, n int) money.Amount {
	all := a.Sub(a)
	for range n {
		all = all.Add(a)
	}
	return all
}

// judgeKept judges that what is left of an invoice's coins is on its address to the unit, and that there is a reason for it.
func (s *sim) judgeKept(v *invoice, coin money.Currency) {
	c := s.chains[coin]
	key := string(c.network)
	booked := money.Zero(coin).Add(s.audit.accounts[string(ledger.Invoice(string(v.ID)))+" "+key])
	aside, because := money.Zero(coin), v.Told.Marks.Has(payment.MarkReversed)
	for _, o := range s.audit.book.order {
		if o.InvoiceID == v.ID && o.Network == c.network {
			because = because || o.State != payment.PayoutDone
			if rest := o.Amount.Sub(o.Wasted).Sub(o.Net).Sub(o.Fee); coin == money.ETH && o.State == payment.PayoutDone && rest.Sign() > 0 {
				because = true // what a receiver did not use of its gas is booked
				s.hit("judged: gas that was not used stays")
			}
			if o.Source == ledger.Invoice(string(v.ID)) {
				aside = aside.Add(s.audit.accounts[string(ledger.Payout(string(o.ID)))+" "+key])
			}
		}
	}
	if booked.Sign() > 0 && !because && v.everReversed && s.audit.moved[string(v.ID)+key] {
		because = true // what was moved went with a reorganisation deeper than final, and came anew: nobody is owed it by itself
		s.hit("judged: paid anew after its coins were moved and went")
	}
	if booked.Sign() > 0 && !because {
		s.violate("invoice %d in status %d keeps %s for nobody", v.n, v.Told.Status, booked)
	}
	if there := c.balance(v.address[coin]); !s.audit.moved[string(v.ID)+key] && !there.Equal(booked.Add(aside)) {
		s.violate("invoice %d has %s on its address, the book says %s and %s set aside", v.n, there, booked, aside)
	}
}

// judgeSums judges each merchant's coins: what its addresses hold is what its accounts hold.
func (s *sim) judgeSums() {
	merchant := map[string]payment.ID{}
	for _, v := range s.audit.list {
		merchant[string(ledger.Invoice(string(v.ID)))] = v.MerchantID
	}
	for _, o := range s.audit.book.order {
		merchant[string(ledger.Payout(string(o.ID)))] = o.MerchantID
	}
	for _, app := range s.apps {
		merchant[string(ledger.Wallet(string(app.MerchantID)))] = app.MerchantID
		merchant[string(ledger.Stray(string(app.MerchantID)))] = app.MerchantID
	}
	for _, coin := range coins {
		c := s.chains[coin]
		has, owes := map[payment.ID]money.Amount{}, map[payment.ID]money.Amount{}
		for _, ad := range s.audit.order {
			if ad.Network == c.network {
				has[ad.MerchantID] = has[ad.MerchantID].Add(c.balance(ad.Address))
			}
		}
		for account, m := range merchant {
			owes[m] = owes[m].Add(s.audit.accounts[account+" "+string(c.network)])
		}
		for i, app := range s.apps {
			if m := app.MerchantID; (i == 0 || s.apps[i-1].MerchantID != m) && has[m].Cmp(money.Zero(coin).Add(owes[m])) != 0 {
				s.violate("merchant %s has %s on its addresses, its accounts hold %s", short(string(m)), has[m], owes[m])
			}
		}
	}
}

// tellCoins traces the coins that a payout could be paid with.
func (s *sim) tellCoins(tx engine.Tx, o *paying) {
	v := s.audit.invoices[o.InvoiceID]
	if v == nil {
		return
	}
	all, err := tx.AddressDeposits(o.Network, v.address[o.Network.Coin()])
	s.tracef("  coins of payout %d from %s: %v", o.n, o.Source, err)
	if ad, err := tx.Address(o.Network, v.address[o.Network.Coin()]); err == nil {
		last, missing := tx.TicketSpend(o.Network, engine.AccountTicket(ad.Address, max(ad.Nonce, 1)-1))
		s.tracef("    its address has %s, the wallet's %s, nonce %d, the spend before is %s (%v)", ad.Balance, ad.Wallet, ad.Nonce, last.State, missing)
	}
	for _, d := range all {
		holder, err := tx.TicketSpend(o.Network, d.Ref)
		s.tracef("    %s %s of %s, spendable %d, of spend %q, held by %q %s (%v)", d.Amount, d.State, d.Account, d.Spendable, d.SpendID, holder.ID, holder.State, err)
	}
}
