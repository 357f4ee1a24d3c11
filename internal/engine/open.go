package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// Open decides for every waiting payout whose time has come: its coins are reserved, or it waits on with a reason, or it
// fails with one.
func (p *Payer) Open(ctx context.Context) error {
	for range 2 { // one that is opened may wake others, which share its transaction
		all, err := p.due(ctx, payment.PayoutWaiting)
		if err != nil {
			return err
		}
		if err := p.each(ctx, "open payouts", all, p.openOne); err != nil {
			return err
		}
	}
	return nil
}

func (p *Payer) openOne(ctx context.Context, x payment.Payout) error {
	p.at(StepOpen)
	to, err := p.destination(ctx, x)
	if err != nil {
		return err
	}
	var d *payable
	if to != "" { // the signer is asked outside the transaction, which then sees whether the destination still is the same
		known, err := p.register(ctx, x.MerchantID, to)
		if errors.Is(err, chain.ErrRefused) {
			return p.keep(ctx, x.ID, payment.HoldRefused)
		}
		if err != nil {
			return errors.Join(err, p.keep(ctx, x.ID, payment.HoldSigner))
		}
		d = &payable{to, known.From}
	}
	p.at(StepReserve)
	return p.Store.Update(ctx, func(tx Tx) error {
		x, err := tx.Payout(x.ID)
		if err != nil || x.State != payment.PayoutWaiting || x.DueAt.After(tx.Now()) {
			return err
		}
		switch {
		case x.Kind == payment.Settlement:
			return p.openSettlement(tx, x, d)
		case x.Kind.IsRefund():
			return p.openRefund(tx, x)
		case x.Kind == payment.Withdrawal:
			return p.openWithdrawal(tx, x, d)
		}
		return p.openGather(tx, x)
	})
}

// keep holds a payout after an act outside that did not work.
func (p *Payer) keep(ctx context.Context, id payment.ID, why payment.Hold) error {
	return p.Store.Update(ctx, func(tx Tx) error {
		x, err := tx.Payout(id)
		if err != nil || x.State != payment.PayoutWaiting && x.State != payment.PayoutOpen {
			return err
		}
		if why == payment.HoldRefused {
			return p.hold(tx, x, why, p.later(tx))
		}
		return p.hold(tx, x, why, p.soon(tx))
	})
}

// A payable is a destination and from when on the signer pays to it; zero while it waits for approval.
type payable struct {
	to   string
	from time.Time
}

// destination is where a settlement or a withdrawal goes; "" for one that stays in the wallet, and for other payouts.
func (p *Payer) destination(ctx context.Context, x payment.Payout) (to string, err error) {
	if x.Kind == payment.Withdrawal {
		return x.To, nil
	}
	if x.Kind != payment.Settlement {
		return "", nil
	}
	err = p.Store.View(ctx, func(tx Tx) error {
		app, err := tx.Application(x.ApplicationID)
		to = app.Settlement[x.Network.Coin()]
		return err
	})
	return to, err
}

// held holds a payout whose destination the signer does not pay to yet.
func (p *Payer) held(tx Tx, x payment.Payout, d payable) (bool, error) {
	switch {
	case d.from.IsZero():
		return true, p.hold(tx, x, payment.HoldApproval, p.later(tx))
	case d.from.After(tx.Now()):
		return true, p.hold(tx, x, payment.HoldDelay, d.from)
	}
	return false, nil
}

// assess is what an invoice's facts amount to, as the clock has it.
func (p *Payer) assess(tx Tx, id payment.ID) (payment.Facts, payment.Assessment, error) {
	f, a, _, err := assess(tx, p.teller(), id)
	return f, a, err
}

// of is the amount of this network's coin among amounts.
func (p *Payer) of(all []money.Amount) money.Amount {
	coin := p.Net.Network.Coin()
	for _, a := range all {
		if a.Currency() == coin {
			return a
		}
	}
	return money.Zero(coin)
}

func (p *Payer) openSettlement(tx Tx, x payment.Payout, d *payable) error {
	f, a, err := p.assess(tx, x.InvoiceID)
	if err != nil {
		return err
	}
	if a.Marks.Has(payment.MarkReversed) {
		return p.hold(tx, x, payment.HoldReversed, p.later(tx))
	}
	rest := p.of(a.Unsettled(f))
	if rest.IsZero() {
		if asked, was := f.Asked(); was && asked.Live() {
			return p.hold(tx, x, payment.HoldBusy, p.later(tx)) // the refund decides
		}
		return p.fail(tx, x, "nothing is left to settle: the money went back to the payer")
	}
	x.Amount = rest
	if ok, err := p.deepEnough(tx, f); err != nil || !ok {
		if err != nil {
			return err
		}
		return p.hold(tx, x, payment.HoldDepth, p.soon(tx))
	}
	app, err := tx.Application(x.ApplicationID)
	if err != nil {
		return err
	}
	if at := app.Settings.Settle.At(time.UnixMilli(f.Invoice.Told.PaidAt)); tx.Now().Before(at) {
		if soon := p.later(tx); soon.Before(at) {
			at = soon // the application may have a shorter hold by then
		}
		return p.hold(tx, x, payment.HoldTime, at)
	}
	to := app.Settlement[x.Network.Coin()]
	if (d == nil) != (to == "") || d != nil && d.to != to {
		return p.hold(tx, x, x.Held, p.soon(tx)) // it was changed a moment ago
	}
	x.Amount = rest.Add(p.dust(a))
	if to == "" {
		return p.toWallet(tx, f, a, x)
	}
	if held, err := p.held(tx, x, *d); held || err != nil {
		return err
	}
	x.To = to
	return p.openWorth(tx, f, x, app)
}

// openWorth opens a settlement once enough has come together, so that it is worth its fee.
func (p *Payer) openWorth(tx Tx, f payment.Facts, x payment.Payout, app payment.Application) error {
	group, err := p.group(tx, x)
	if err != nil {
		return err
	}
	n, most, err := p.holdings(tx, x, ledger.Invoice(string(x.InvoiceID)))
	if err != nil {
		return err
	}
	if most.Less(x.Amount) && n >= MaxHoldings {
		x.Amount = most // more outputs than one transaction may spend: the rest is settled by the next one
	}
	total, cost := x.Amount, p.cost(n)
	for _, o := range group {
		total = total.Add(o.Amount)
		cost = cost.Add(p.fees.Holding).Add(p.fees.Output)
	}
	if above, ok := app.Settings.Settle.Above[x.Network.Coin()]; ok && total.Less(above) {
		return p.hold(tx, x, payment.HoldThreshold, p.later(tx))
	}
	if p.Net.Accounts {
		total = x.Amount // each is a transaction of its own
		cost = p.fees.Plain
	}
	more := p.cost(n).Sub(p.fees.Plain).Add(p.fees.Holding)
	own := x.Amount.PerMillion(p.Rules.FeeShare).Less(more) // its own part alone is too dear, however large the company
	if own || total.PerMillion(p.Rules.FeeShare).Less(cost) || !p.worth(x.Amount, p.fees.Plain) {
		return p.hold(tx, x, payment.HoldFee, p.later(tx))
	}
	for _, o := range group {
		if o.State != payment.PayoutWaiting || !o.DueAt.After(tx.Now()) {
			continue
		}
		o.DueAt = tx.Now() // together they are enough
		if err := tx.SwapPayout(o); err != nil {
			return err
		}
	}
	if err := p.endDust(tx, f); err != nil {
		return err
	}
	return p.open(tx, x, ledger.Invoice(string(x.InvoiceID)))
}

// group are the other settlements of the same application and network that wait for company, or are about to be paid.
func (p *Payer) group(tx Tx, x payment.Payout) (group []payment.Payout, err error) {
	all, err := tx.MerchantPayouts(MerchantPayouts{
		Merchant: x.MerchantID, Network: x.Network, Kinds: []payment.PayoutKind{payment.Settlement}, Limit: Batch,
	})
	for _, o := range all {
		waits := o.State == payment.PayoutWaiting && (o.Held == payment.HoldThreshold || o.Held == payment.HoldFee)
		if o.ID != x.ID && o.ApplicationID == x.ApplicationID && (waits || o.State == payment.PayoutOpen) {
			group = append(group, o)
		}
	}
	return group, err
}

// open reserves a payout's coins.
func (p *Payer) open(tx Tx, x payment.Payout, source ledger.Account) error {
	if err := payment.PayoutEdges.Check(x.State, payment.PayoutOpen); err != nil {
		return err
	}
	x.State, x.Source, x.DueAt, x.UpdatedAt = payment.PayoutOpen, source, tx.Now(), tx.Now()
	if err := reserve(tx, &x); err != nil {
		return err
	}
	if err := tx.SwapPayout(x); err != nil {
		return err
	}
	return p.wake(tx, x)
}

// dust is what of an excess is not worth its own fee: it cannot go back alone, and it cannot be kept apart in what a
// settlement spends, which takes it with it.
func (p *Payer) dust(a payment.Assessment) money.Amount {
	if dust := p.of(a.GiveBack); !p.worth(dust, p.fees.Plain) {
		return dust
	}
	return money.Zero(p.Net.Network.Coin())
}

// endDust ends the refunds that waited for an amount that a settlement takes with it, being dust.
func (p *Payer) endDust(tx Tx, f payment.Facts) error {
	_, a, err := p.assess(tx, f.Invoice.ID)
	if err != nil || p.dust(a).IsZero() {
		return err
	}
	for _, o := range f.Payouts {
		if o.Network == p.Net.Network && o.Kind.IsAutomatic() && o.State == payment.PayoutWaiting {
			if err := end(tx, &o, "worth less than its network fee"); err != nil {
				return err
			}
		}
	}
	return nil
}

// worth tells whether something arrives of an amount after the fee.
func (p *Payer) worth(amount, fee money.Amount) bool {
	return amount.Sign() > 0 && !amount.Sub(fee).Less(p.fees.Least) && fee.Less(amount)
}

func (p *Payer) openRefund(tx Tx, x payment.Payout) error {
	f, a, err := p.assess(tx, x.InvoiceID)
	if err != nil {
		return err
	}
	if a.Marks.Has(payment.MarkReversed) {
		return p.hold(tx, x, payment.HoldReversed, p.later(tx))
	}
	if arriving, err := p.arriving(tx, f); err != nil || arriving && x.Kind == payment.RefundAsked {
		return errors.Join(err, p.hold(tx, x, payment.HoldBusy, p.soon(tx)))
	}
	if gathering, err := p.gathering(tx, x); err != nil || gathering {
		return err
	}
	owed, source, reason, err := p.owed(tx, f, a, x)
	switch {
	case err != nil:
		return err
	case reason != "":
		return p.fail(tx, x, reason)
	case owed.IsZero():
		return p.fail(tx, x, "nothing is owed any more")
	}
	x.Amount, x.To = owed, f.Invoice.RefundAddress(x.Network.Coin())
	if x.To == "" {
		return p.hold(tx, x, payment.HoldAddress, tx.Now().Add(AddressAgain))
	}
	n, most, err := p.holdings(tx, x, source)
	if err != nil {
		return err
	}
	if most.Less(x.Amount) && n >= MaxHoldings && !source.IsWallet() {
		x.Amount = most // more outputs than one transaction may spend: the rest goes with the next refund
	}
	if !p.worth(x.Amount, p.cost(n)) {
		if x.Kind == payment.RefundAsked {
			return p.fail(tx, x, fmt.Sprintf("the deposit of %s is smaller than the network fee", x.Amount))
		}
		return p.hold(tx, x, payment.HoldFee, p.later(tx))
	}
	if err := p.lockAddress(tx, f.Invoice, x); err != nil {
		return err
	}
	return p.open(tx, x, source)
}

// lockAddress keeps the payer from changing where a refund goes that is on its way there.
func (p *Payer) lockAddress(tx Tx, inv payment.Invoice, x payment.Payout) error {
	coin := x.Network.Coin()
	if inv.Refunds[coin].Fixed {
		return nil
	}
	inv.Refunds = maps.Clone(inv.Refunds)
	inv.Refunds[coin] = payment.RefundAddress{Address: x.To, Fixed: true}
	return tx.SwapInvoice(inv)
}

// unlockAddress lets the payer give another refund address after a refund that failed. One that came with the invoice stays.
func (p *Payer) unlockAddress(tx Tx, x payment.Payout) error {
	inv, err := tx.Invoice(x.InvoiceID)
	if err != nil {
		return err
	}
	coin := x.Network.Coin()
	is := inv.Refunds[coin]
	if !is.Fixed || inv.RefundOwner == nil {
		return nil
	}
	is.Fixed = false
	inv.Refunds = maps.Clone(inv.Refunds)
	inv.Refunds[coin] = is
	return tx.SwapInvoice(inv)
}

// owed is how much a refund pays back and from where; reason says why it cannot.
func (p *Payer) owed(tx Tx, f payment.Facts, a payment.Assessment, x payment.Payout) (owed money.Amount, from ledger.Account, reason string, err error) {
	own := ledger.Invoice(string(x.InvoiceID))
	if x.Kind != payment.RefundAsked {
		return p.of(a.GiveBack), own, "", nil
	}
	if err := p.clear(tx, f, x); err != nil {
		return owed, "", "", err
	}
	if f, err = tx.Facts(x.InvoiceID); err != nil {
		return owed, "", "", err
	}
	owed = f.Refundable(x.Network)
	have, err := tx.BalanceOf(own, x.Network)
	if err != nil || !have.Less(owed) {
		return owed, own, "", err
	}
	wallet := ledger.Wallet(string(x.MerchantID))
	if owed, err = p.float(tx, f, x, have); err != nil {
		return owed, "", "", err
	}
	if have, err = tx.BalanceOf(wallet, x.Network); err != nil || !have.Less(owed) {
		return owed, wallet, "", err
	}
	if cost, err := gatherCost(tx, x); err != nil || !have.Add(cost).Less(owed) {
		return have, wallet, "", err // it had enough, and gathering cost its fees
	}
	return owed, "", fmt.Sprintf(floatReason+"%s of the %s needed", have, owed), nil
}

// clear gives up what else would take an invoice's coins while the shop's refund waits for all of them: a settlement or a
// refund of an excess that has no spend yet.
func (p *Payer) clear(tx Tx, f payment.Facts, x payment.Payout) error {
	for _, o := range f.Payouts {
		if o.ID == x.ID || o.Network != x.Network || o.State != payment.PayoutWaiting && o.State != payment.PayoutOpen {
			continue
		}
		if err := end(tx, &o, "part of the refund that the shop asked for"); err != nil {
			return err
		}
	}
	return nil
}

func (p *Payer) openWithdrawal(tx Tx, x payment.Payout, d *payable) error {
	if held, err := p.held(tx, x, *d); held || err != nil {
		return err
	}
	if gathering, err := p.gathering(tx, x); err != nil || gathering {
		return err
	}
	wallet := ledger.Wallet(string(x.MerchantID))
	have, err := tx.BalanceOf(wallet, x.Network)
	if err != nil {
		return err
	}
	if have.Less(x.Amount) {
		cost, err := gatherCost(tx, x)
		if err != nil {
			return err
		}
		if have.Add(cost).Less(x.Amount) || have.IsZero() { // something else took them meanwhile
			return p.fail(tx, x, fmt.Sprintf("the wallet holds %s", have))
		}
		x.Amount = have // gathering cost its fees
	}
	if !p.worth(x.Amount, p.fees.Plain) {
		return p.hold(tx, x, payment.HoldFee, p.later(tx))
	}
	return p.open(tx, x, wallet)
}

// gathering holds a payout while the wallet's coins are being gathered for it.
func (p *Payer) gathering(tx Tx, x payment.Payout) (bool, error) {
	all, err := tx.GatherPayouts(x.ID)
	for _, g := range all {
		if g.Live() {
			return true, p.hold(tx, x, payment.HoldGather, p.soon(tx))
		}
	}
	return false, err
}

func (p *Payer) openGather(tx Tx, x payment.Payout) error {
	wallet := ledger.Wallet(string(x.MerchantID))
	have, err := tx.BalanceOf(wallet, x.Network)
	if err != nil {
		return err
	}
	if have.Less(x.Amount) || !p.worth(x.Amount, p.fees.Plain) {
		return p.fail(tx, x, "not worth its network fee")
	}
	return p.open(tx, x, wallet)
}
