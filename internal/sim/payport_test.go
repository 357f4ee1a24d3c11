package sim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// errNode: no node of a network can be asked.
var errNode = errors.New("sim: no node answers")

// A hand signs for the payers, and keeps a journal that no crash takes.
type hand struct {
	*chaintest.Hand
	journal []chain.SignedSpend // in the order of (spend, version)
	rules   map[chain.Cause]ruling
	due     map[string]time.Time // from when on an address is paid to; zero: waits for approval
}

// A ruling is what the signer's policy says of a cause.
type ruling int

const (
	allows ruling = iota
	refuses
	delays
	asks // its operator
)

func (s *sim) newHand() *hand {
	h := &hand{Hand: chaintest.NewHand(), rules: map[chain.Cause]ruling{}, due: map[string]time.Time{}}
	h.Rule = func(u chain.Unsigned) error {
		r := h.rules[u.Pays[0].Cause]
		if r != allows {
			s.hit(fmt.Sprintf("signer: %s", []string{"", "refuses", "delays", "asks its operator"}[r]))
		}
		switch r {
		case refuses:
			return fmt.Errorf("forbidden: %w", chain.ErrRefused)
		case delays:
			return &chain.Wait{Until: s.machine().Add(17 * time.Minute), Reason: "later"}
		case asks:
			return &chain.Wait{Reason: "the operator has to approve"}
		case allows:
		}
		return nil
	}
	h.Destination = func(d chain.Destination) (time.Time, error) {
		if at, ok := h.due[d.Address]; ok {
			return at, nil
		}
		return time.Unix(1, 0), nil
	}
	return h
}

// keep notes a signed version in the journal.
func (h *hand) keep(u chain.Unsigned, signed chain.Signed) {
	s := chain.SignedSpend{Spend: u.Spend, Version: u.Version, Network: u.Network, Merchant: u.Merchant, Raw: signed.Raw, TxID: signed.TxID,
		Anchor: u.Anchor, Fee: u.Fee}
	for _, held := range u.Holdings {
		s.Holdings = append(s.Holdings, chain.Holding{Ticket: held.Ticket, Amount: held.Amount})
	}
	for _, pay := range u.Pays {
		pay.Own = nil
		s.Pays = append(s.Pays, pay)
	}
	order := func(a chain.SignedSpend) string { return fmt.Sprintf("%s %04d", a.Spend, a.Version) }
	i, again := slices.BinarySearchFunc(h.journal, order(s), func(a chain.SignedSpend, to string) int {
		if order(a) < to {
			return -1
		} else if order(a) > to {
			return 1
		}
		return 0
	})
	if !again {
		h.journal = slices.Insert(h.journal, i, s)
	}
}

// A portJournal is the hand's journal with faults.
type portJournal struct{ p *process }

func (j portJournal) Signed(_ context.Context, after string, limit int) (page []chain.SignedSpend, err error) {
	err = j.p.call("Signed", readWays, func() error {
		for _, s := range j.p.s.hand.journal {
			if s.Spend > after && (len(page) < limit || page[len(page)-1].Spend == s.Spend) {
				page = append(page, s)
			}
		}
		return nil
	})
	return page, err
}

// A portHand is the hand with faults.
type portHand struct{ p *process }

func (g portHand) Sign(ctx context.Context, u chain.Unsigned) (signed chain.Signed, err error) {
	s := g.p.s
	if s.signerDown {
		s.hit("signer down")
		return signed, errFault
	}
	s.strikeHere(g.p, 5)
	err = g.p.call("Sign", anyWay, func() (err error) {
		if s.bug == "refuses after signing" && u.Version == 1 && s.refusedOnce[u.Spend] == 0 && s.chance(30) {
			s.refusedOnce[u.Spend]++
			if _, err := s.hand.Sign(ctx, u); err != nil {
				return err
			}
			return fmt.Errorf("forbidden: %w", chain.ErrRefused)
		}
		s.audit.asked(u)
		signed, err = s.hand.Sign(ctx, u)
		if err == nil {
			s.hand.keep(u, signed)
			s.audit.signed(u, signed)
			s.tracef("  signed version %d of %s: %s", u.Version, short(u.Spend), short(signed.TxID))
		}
		return err
	})
	if err == nil && s.bug == "sends before it saves" {
		g.p.broadcast(ctx, s.chains[u.Network.Coin()], signed.Raw) //nolint:errcheck // the bug
	}
	return signed, err
}

func (g portHand) Void(ctx context.Context, spend string) error {
	g.p.s.strikeHere(g.p, 30)
	return g.p.call("Void", anyWay, func() error {
		if g.p.s.bug == "refuses after signing" {
			return nil
		}
		return g.p.s.hand.Void(ctx, spend)
	})
}

func (g portHand) Register(ctx context.Context, d chain.Destination) (to chain.Destination, err error) {
	if g.p.s.signerDown {
		return to, errFault
	}
	err = g.p.call("Register", anyWay, func() (err error) { to, err = g.p.s.hand.Register(ctx, d); return err })
	return to, err
}

// A portBuilder builds and sends by the nodes of a network, with faults.
type portBuilder struct {
	p *process
	c *truth
}

// ask asks the nodes in turn.
func (b portBuilder) ask(do func(n *node) error) error {
	errs := []error{errNode}
	for _, n := range b.c.nodes {
		err := do(n)
		if errors.Is(err, chain.ErrFeeTooHigh) || errors.Is(err, chain.ErrTooSmall) || errors.Is(err, chain.ErrReceiver) || err == nil {
			return err
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("%w: %w", chain.ErrBlind, errors.Join(errs...))
}

func (b portBuilder) Fees(ctx context.Context) (f chain.Fees, err error) {
	err = b.p.call("Fees", readWays, func() error {
		return b.ask(func(n *node) (err error) { f, err = n.Fees(ctx); return err })
	})
	return f, err
}

func (b portBuilder) Build(ctx context.Context, d chain.Draft) (u chain.Unsigned, err error) {
	s := b.p.s
	if s.bug == "pays to another" && s.chance(20) && d.Pays[0].Cause == chain.CauseSettlement {
		d.Pays = slices.Clone(d.Pays)
		d.Pays[0].To = s.outside(b.c.coin)
	}
	if s.bug == "bumps without the anchor" && d.Version > 1 && b.c.coin == money.ETH {
		d.Holdings = slices.Clone(d.Holdings)
		d.Holdings[0].Ticket = chain.Ticket(engine.AccountTicket(d.Holdings[0].Address, uint64(d.Version)))
		d.Anchor = d.Holdings[0].Ticket
	}
	err = b.p.call("Build", readWays, func() error {
		return b.ask(func(n *node) (err error) { u, err = n.Build(ctx, d); return err })
	})
	return u, err
}

func (b portBuilder) Broadcast(ctx context.Context, raw []byte) error {
	s := b.p.s
	s.audit.sends(raw)
	s.strikeHere(b.p, 5)
	return b.p.call("Broadcast", anyWay, func() error {
		if s.bug == "never sends again" && s.sentOnce[string(raw)] {
			return nil
		}
		s.sentOnce[string(raw)] = true
		return b.p.broadcast(ctx, b.c, raw)
	})
}

// broadcast gives bytes to every node.
func (p *process) broadcast(ctx context.Context, c *truth, raw []byte) error {
	errs := []error{errNode}
	there := false
	for _, n := range c.nodes {
		if err := n.Broadcast(ctx, raw); err != nil {
			errs = append(errs, err)
		} else {
			there = true
		}
	}
	if there {
		return nil
	}
	return errors.Join(errs...)
}

func short(id string) string { return id[max(0, len(id)-40):max(0, len(id)-32)] }

func (t *portTx) AddPayout(p payment.Payout) error {
	err := t.Tx.AddPayout(p)
	t.note(func(a *auditor) { a.addPayout(p) })
	return err
}

func (t *portTx) SwapPayout(p payment.Payout) error {
	err := t.Tx.SwapPayout(p)
	t.note(func(a *auditor) { a.swapPayout(p) })
	return err
}

func (t *portTx) AddSpend(s payment.Spend, tickets []payment.Ticket) error {
	kept := tickets
	if t.bug == "forgets tickets" {
		kept = nil
	}
	err := t.Tx.AddSpend(s, kept)
	t.note(func(a *auditor) { a.addSpend(s, tickets) })
	return err
}

func (t *portTx) SwapSpend(s payment.Spend) error {
	err := t.Tx.SwapSpend(s)
	t.note(func(a *auditor) { a.swapSpend(s) })
	return err
}

func (t *portTx) AddVersion(v payment.Version) error {
	err := t.Tx.AddVersion(v)
	t.note(func(a *auditor) { a.addVersion(v) })
	return err
}

func (t *portTx) SignVersion(id payment.ID, number int, raw []byte, txid string) error {
	err := t.Tx.SignVersion(id, number, raw, txid)
	t.note(func(a *auditor) { a.signVersion(id, number, raw) })
	return err
}

func (t *portTx) SaveHalt(h engine.Halt) error {
	err := t.Tx.SaveHalt(h)
	t.note(func(a *auditor) { a.halted(h) })
	return err
}

func (t *portTx) BlockSpends(n money.Network, hash string) ([]payment.Spend, error) {
	if t.bug == "forgets to take payouts back" {
		return []payment.Spend{}, nil
	}
	return t.Tx.BlockSpends(n, hash)
}

func (t *portTx) TxIDVersion(n money.Network, txid string) (payment.Version, error) {
	v, err := t.Tx.TxIDVersion(n, txid)
	if t.bug == "knows the newest txid alone" && err == nil {
		s, err := t.Tx.Spend(v.SpendID)
		if err != nil || s.Version != v.Number {
			return v, errors.Join(err, payment.ErrAbsent)
		}
	}
	return v, err
}

func (t *portTx) Facts(id payment.ID) (payment.Facts, error) {
	f, err := t.Tx.Facts(id)
	switch {
	case err != nil:
	case t.bug == "settles the excess":
		for i, q := range f.Quotes {
			came := money.Zero(q.Coin)
			for _, d := range f.Deposits {
				if d.State == payment.Confirmed && d.Amount.Currency() == q.Coin {
					came = came.Add(d.Amount)
				}
			}
			if f.Invoice.Told.Status == payment.Paid && q.Due.Less(came) {
				f.Quotes[i].Due = came
			}
		}
	case t.bug == "forgets refunds":
		f.Payouts = slices.DeleteFunc(f.Payouts, func(p payment.Payout) bool {
			return p.Kind.IsAutomatic() && p.State == payment.PayoutDone
		})
	}
	return f, err
}
