package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Journal tells what was signed. It is met by the signer.
type Journal interface {
	// Signed are the signed versions of spends after a spend's id, in the order of (spend, version).
	Signed(ctx context.Context, after string, limit int) ([]chain.SignedSpend, error)
}

// A Recovery takes spends that the signer signed, and that this store does not know, back into the store: it is an older copy,
// or the commit after a signature never happened. Until that is done nothing new is paid. A spend can only be taken in once
// the deposits that it spends are known: those that came since the copy was made are met again as the chain is followed. What
// is in no block when the tip is reached is taken in all the same.
type Recovery struct {
	Store   Store
	Journal Journal
	Nets    map[money.Currency]Net
	Render  Renderer
	Log     *slog.Logger

	mu   sync.Mutex // owns the fields below
	lost map[payment.ID][]chain.SignedSpend
	by   map[string]payment.ID // txid → spend
	from time.Time             // when the first Step ran
}

// since is when the recovery began, now at the first call: what the network shows after it is of the present.
func (r *Recovery) since(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from.IsZero() {
		r.from = now
	}
	return r.from
}

// Load compares the journal with the store. It runs before anything else does.
func (r *Recovery) Load(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost, r.by = map[payment.ID][]chain.SignedSpend{}, map[string]payment.ID{}
	for after := ""; ; {
		page, err := r.Journal.Signed(ctx, after, SignedBatch)
		if err != nil {
			return fmt.Errorf("ask signer for what it signed: %w", err)
		}
		if len(page) == 0 {
			break
		}
		err = r.Store.View(ctx, func(tx Tx) error {
			for _, s := range page {
				if err := r.compare(tx, s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("compare store with what was signed: %w", err)
		}
		after = page[len(page)-1].Spend
	}
	if n := len(r.lost); n > 0 {
		r.Log.WarnContext(ctx, "store does not know spends that were signed: it is an older copy; they are taken in before anything is paid", "spends", n)
	}
	return nil
}

// compare notes a version that the store does not hold signed.
func (r *Recovery) compare(tx Tx, s chain.SignedSpend) error {
	v, err := tx.Version(payment.ID(s.Spend), s.Version)
	if err != nil && !errors.Is(err, payment.ErrAbsent) {
		return err
	}
	if err == nil && v.Raw != nil {
		return nil
	}
	r.lost[payment.ID(s.Spend)] = append(r.lost[payment.ID(s.Spend)], s)
	r.by[s.TxID] = payment.ID(s.Spend)
	return nil
}

// Done tells whether nothing of a network is left to be taken in.
func (r *Recovery) Done(n money.Network) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, all := range r.lost {
		if all[0].Network == n {
			return false
		}
	}
	return true
}

// Step takes in what can be taken in of a network: spends of known coins, and, once the network has been seen completely since
// the start, all others.
func (r *Recovery) Step(ctx context.Context, n money.Network, caughtUp bool) error {
	r.mu.Lock()
	var ids []payment.ID
	for id, all := range r.lost {
		if all[0].Network == n {
			ids = append(ids, id)
		}
	}
	r.mu.Unlock()
	slices.Sort(ids) // in the order of their making: one may spend what another brought back
	for _, id := range ids {
		var taken bool
		err := r.Store.Update(ctx, func(tx Tx) (err error) {
			taken, err = r.take(tx, id, caughtUp)
			return err
		})
		if err != nil {
			return fmt.Errorf("take in spend %s: %w", id, err)
		}
		if taken {
			r.forget(id)
		}
	}
	return nil
}

func (r *Recovery) forget(id payment.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.lost[id] {
		delete(r.by, s.TxID)
	}
	delete(r.lost, id)
}

// met is the spend that a transaction in a block carries out, where the store has lost it. The watcher takes it in before it
// looks at the uses of the block; the coins that it spends are in earlier blocks.
func (r *Recovery) met(tx Tx, txid string) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	id, lost := r.by[txid]
	r.mu.Unlock()
	if !lost {
		return nil
	}
	if _, err := r.take(tx, id, true); err != nil {
		return fmt.Errorf("take in spend %s: %w", id, err)
	}
	return nil // it is forgotten by the next Step, after this transaction's commit
}

// take writes what the journal says of a spend: the spend as one that may have been sent, its tickets, its versions, and its
// payouts as being paid by it.
func (r *Recovery) take(tx Tx, id payment.ID, anyway bool) (bool, error) {
	r.mu.Lock()
	all := r.lost[id]
	r.mu.Unlock()
	if len(all) == 0 {
		return true, nil
	}
	s, err := tx.Spend(id)
	if errors.Is(err, payment.ErrAbsent) {
		held, known, err := heldBy(tx, all[0])
		if err != nil || !known && !anyway {
			return false, err
		}
		first := all[0]
		first.Anchor = all[len(all)-1].Anchor // which the first one uses too
		if s, err = r.add(tx, first, held); err != nil {
			return false, err
		}
	} else if err != nil {
		return false, err
	}
	for _, v := range all {
		if err := addSigned(tx, v); err != nil {
			return false, err
		}
		if v.Version >= s.Version {
			s.Version, s.Anchor = v.Version, string(v.Anchor)
		}
	}
	if s.State == payment.SpendPlanned || s.State == payment.SpendSigned {
		s.State, s.SentAt = payment.SpendSent, tx.Now()
	}
	s.DueAt, s.UpdatedAt = tx.Now(), tx.Now()
	return true, tx.SwapSpend(s)
}

// heldBy are the tickets of a lost spend, with the addresses that hold them; false while a coin is not known yet.
func heldBy(tx Tx, s chain.SignedSpend) (held []payment.Ticket, known bool, err error) {
	known = true
	for _, h := range s.Holdings {
		t := payment.Ticket{Network: s.Network, Ticket: string(h.Ticket), SpendID: payment.ID(s.Spend), Address: h.Address, Amount: h.Amount}
		if account, _, ok := strings.Cut(t.Ticket, ":"); ok && t.Address == "" && s.Network.Coin() == money.ETH {
			t.Address = account
		}
		if t.Address == "" {
			d, err := tx.Deposit(s.Network, t.Ticket)
			if errors.Is(err, payment.ErrAbsent) {
				known = false
			} else if err != nil {
				return nil, false, err
			}
			t.Address = d.Address
		}
		if t.Address != "" {
			a, err := tx.Address(s.Network, t.Address)
			if err != nil && !errors.Is(err, payment.ErrAbsent) {
				return nil, false, err
			}
			t.Index = a.Index
		}
		held = append(held, t)
	}
	return held, known, nil
}

// add writes a lost spend and sees to its payouts.
func (r *Recovery) add(tx Tx, s chain.SignedSpend, held []payment.Ticket) (payment.Spend, error) {
	coin := s.Network.Coin()
	spend := payment.Spend{
		ID: payment.ID(s.Spend), MerchantID: payment.ID(s.Merchant), Network: s.Network, Anchor: string(s.Anchor),
		State: payment.SpendPlanned, Version: s.Version, Out: money.Zero(coin), Fee: money.Zero(coin),
		CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now(),
	}
	owners, err := ownersOf(tx, spend, held)
	if err != nil {
		return spend, err
	}
	if len(s.Pays) == 1 {
		spend.Source = owners[0].account
	}
	if held, err = letHave(tx, held); err != nil {
		return spend, err
	}
	if err := tx.AddSpend(spend, held); err != nil {
		return spend, err
	}
	for _, pay := range s.Pays {
		if err := r.adopt(tx, spend, pay, owners); err != nil {
			return spend, fmt.Errorf("payout %s: %w", pay.Payout, err)
		}
	}
	return tx.Spend(spend.ID)
}

// An owner is whose coins a spend takes, and how much of them.
type owner struct {
	account ledger.Account
	invoice payment.ID
	sum     money.Amount
	taken   bool // by a payout of the spend
}

// ownersOf are those whose coins a lost spend takes, at least one. Coins of an address that this store never gave are strays.
func ownersOf(tx Tx, s payment.Spend, held []payment.Ticket) (all []*owner, err error) {
	for _, t := range held {
		o, err := ownerOf(tx, s, t)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(x *owner) bool { return x.account == o.account })
		if i < 0 {
			all = append(all, &o)
			continue
		}
		all[i].sum = all[i].sum.Add(o.sum)
	}
	if len(all) == 0 {
		return nil, errors.New("a signed spend without holdings")
	}
	return all, nil
}

func ownerOf(tx Tx, s payment.Spend, t payment.Ticket) (owner, error) {
	stray := owner{account: ledger.Stray(string(s.MerchantID)), sum: t.Amount}
	d, err := tx.Deposit(s.Network, t.Ticket)
	if err == nil {
		return owner{account: d.Account, invoice: d.InvoiceID, sum: t.Amount}, nil
	}
	if !errors.Is(err, payment.ErrAbsent) {
		return stray, err
	}
	a, err := tx.Address(s.Network, t.Address)
	switch {
	case errors.Is(err, payment.ErrAbsent):
		return stray, nil
	case err != nil:
		return stray, err
	case a.InvoiceID != "" && a.Wallet.IsZero():
		return owner{account: ledger.Invoice(string(a.InvoiceID)), invoice: a.InvoiceID, sum: t.Amount}, nil
	case a.State == payment.AddressGiven:
		return owner{account: ledger.Wallet(string(s.MerchantID)), sum: t.Amount}, nil
	}
	return stray, nil
}

// theirs picks the owner whose coins a payout takes: of a batch each takes all of one invoice's.
func theirs(owners []*owner, p payment.Payout, amount money.Amount) *owner {
	for _, o := range owners {
		if !o.taken && p.InvoiceID != "" && o.invoice == p.InvoiceID {
			return o
		}
	}
	for _, o := range owners {
		if !o.taken && o.sum.Equal(amount) {
			return o
		}
	}
	return owners[0]
}

// adopt makes a payout the one that a lost spend pays: the store's own row of it, or a new one.
func (r *Recovery) adopt(tx Tx, s payment.Spend, pay chain.Pay, owners []*owner) error {
	p, err := tx.Payout(payment.ID(pay.Payout))
	absent := errors.Is(err, payment.ErrAbsent)
	if err != nil && !absent {
		return err
	}
	o := theirs(owners, p, pay.Amount)
	o.taken = true
	if absent {
		if p, err = r.invent(tx, s, pay, o); err != nil {
			return err
		}
	}
	if p.State == payment.PayoutDone || p.State == payment.PayoutPaying {
		return nil
	}
	p.To, p.Attempt, p.Source, p.SpendID, p.UpdatedAt = pay.To, pay.Attempt, o.account, s.ID, tx.Now()
	p.Net, p.Fee, p.Held, p.SentAt = pay.Net, pay.Amount.Sub(pay.Net), payment.HoldNone, tx.Now()
	if !p.Reserved {
		p.Amount = pay.Amount.Add(p.Wasted)
		have, err := tx.BalanceOf(p.Source, p.Network)
		if err != nil {
			return err
		}
		if !have.Less(pay.Amount) { // else it is set aside when the deposit is deep enough
			if err := reserve(tx, &p); err != nil {
				return err
			}
		}
	}
	p.State = payment.PayoutPaying
	return tx.SwapPayout(p)
}

// invent writes a payout that this store never had, from what the journal says of it.
func (r *Recovery) invent(tx Tx, s payment.Spend, pay chain.Pay, o *owner) (payment.Payout, error) {
	coin := s.Network.Coin()
	p := payment.Payout{
		ID: payment.ID(pay.Payout), Kind: kindOfCause(pay.Cause), MerchantID: s.MerchantID, Network: s.Network, Amount: pay.Amount,
		Wasted: money.Zero(coin), Fee: money.Zero(coin), State: payment.PayoutWaiting, Attempt: pay.Attempt,
		CreatedAt: tx.Now(), UpdatedAt: tx.Now(), DueAt: tx.Now(),
	}
	own := o.invoice != "" && !o.account.IsWallet()
	switch {
	case own && !p.Kind.IsRefund():
		p.Kind = payment.Settlement // also of coins that stay in the wallet, or had become its own in the history that is lost
	case !own && p.Kind != payment.Gather:
		p.Kind = payment.Withdrawal // whose refund the wallet paid nobody can tell
	}
	if own {
		inv, err := tx.Invoice(o.invoice)
		if err != nil {
			return p, err
		}
		p.InvoiceID, p.ApplicationID = inv.ID, inv.ApplicationID
		if err := r.giveWay(tx, p); err != nil {
			return p, err
		}
	}
	if err := tx.AddPayout(p); err != nil {
		return p, err
	}
	return tx.Payout(p.ID)
}

// giveWay ends what this store came to owe by itself, since the copy was made, of the kind that a lost payout is: of one kind an invoice
// has one live payout, and the lost one is signed. What is owed beyond it is claimed again once it is done.
func (r *Recovery) giveWay(tx Tx, lost payment.Payout) error {
	f, err := tx.Facts(lost.InvoiceID)
	if err != nil {
		return err
	}
	for _, p := range f.Payouts {
		if p.Kind != lost.Kind || p.Network != lost.Network || !p.Live() {
			continue
		}
		if p.State == payment.PayoutPaying {
			return fmt.Errorf("payout %s of the same kind is being paid, and comes first", p.ID)
		}
		if err := end(tx, &p, "an earlier payout of its kind was signed already, and is paid first"); err != nil {
			return err
		}
		if err := (teller{r.Nets, r.Render}).tell(tx, p); err != nil {
			return err
		}
	}
	return nil
}

func kindOfCause(c chain.Cause) payment.PayoutKind {
	switch c {
	case chain.CauseSettlement:
		return payment.Settlement
	case chain.CauseWithdrawal:
		return payment.Withdrawal
	case chain.CauseGather:
		return payment.Gather
	case chain.CauseRefund:
	}
	return payment.RefundAsked
}

// addSigned writes a signed version, or the bytes of one that the store has unsigned.
func addSigned(tx Tx, s chain.SignedSpend) error {
	id := payment.ID(s.Spend)
	_, err := tx.Version(id, s.Version)
	if errors.Is(err, payment.ErrAbsent) {
		coin := s.Network.Coin()
		unsigned, err := lostFrom(s)
		if err != nil {
			return err
		}
		v := payment.Version{
			SpendID: id, Number: s.Version, Rate: money.Zero(coin), Fee: s.Fee, Change: money.Zero(coin), Unsigned: unsigned, MadeAt: tx.Now(),
		}
		for _, pay := range s.Pays {
			v.Shares = append(v.Shares, payment.Share{PayoutID: payment.ID(pay.Payout), Net: pay.Net, Fee: pay.Amount.Sub(pay.Net)})
		}
		if err := tx.AddVersion(v); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := tx.SignVersion(id, s.Version, s.Raw, s.TxID); err != nil {
		return err
	}
	return tx.MarkSent(id, s.Version, tx.Now())
}
