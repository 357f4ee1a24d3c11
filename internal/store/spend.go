package store

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddSpend stores a spend and the tickets that it holds from now on, its anchor among them. A ticket that another spend
// holds is payment.ErrConflict.
func (t *tx) AddSpend(s payment.Spend, tickets []payment.Ticket) error {
	if err := coins(s.Network, s.Out, s.Fee); err != nil {
		return t.fail("add spend", err)
	}
	if !slices.ContainsFunc(tickets, func(k payment.Ticket) bool { return k.Ticket == s.Anchor }) {
		return t.fail("add spend", fmt.Errorf("spend %s does not hold its anchor %s", s.ID, s.Anchor))
	}
	err := t.q.AddSpend(t.ctx, row.AddSpendParams{
		ID: string(s.ID), MerchantID: string(s.MerchantID), Network: string(s.Network), Source: string(s.Source),
		Anchor: s.Anchor, State: string(s.State), Version: int64(s.Version), Hold: string(s.Held), Reason: s.Reason,
		TxID: s.TxID, Height: int64(s.Height), BlockHash: s.BlockHash, Failed: s.Failed, Outflow: s.Out.Units(),
		Fee: s.Fee.Units(), Turn: s.Turn, CreatedAt: millis(s.CreatedAt), UpdatedAt: millis(s.UpdatedAt),
		DueAt: millis(s.DueAt), SentAt: millis(s.SentAt), Fence: s.Fence, LeaseUntil: millis(s.LeaseUntil), Rev: s.Rev,
	})
	if err != nil {
		return t.fail("add spend", err)
	}
	for _, k := range tickets {
		if err := t.addTicket(s, k); err != nil {
			return err
		}
	}
	return nil
}

// addTicket stores a ticket as held, and marks the coin that it spends, if it is one.
func (t *tx) addTicket(s payment.Spend, k payment.Ticket) error {
	if k.Network != s.Network || k.SpendID != s.ID {
		return t.fail("take ticket", fmt.Errorf("ticket %s of spend %s on %s is none of spend %s on %s",
			k.Ticket, k.SpendID, k.Network, s.ID, s.Network))
	}
	if err := coins(k.Network, k.Amount); err != nil {
		return t.fail("take ticket", err)
	}
	err := t.q.AddTicket(t.ctx, row.AddTicketParams{
		Network: string(k.Network), Ticket: k.Ticket, SpendID: string(k.SpendID), Address: k.Address, Amount: k.Amount.Units(),
		Idx: int64(k.Index),
	})
	if err != nil {
		return t.fail("take ticket", err)
	}
	return t.fail("take coin", t.q.TakeCoin(t.ctx, row.TakeCoinParams{Taken: true, Network: string(k.Network), Ref: k.Ticket}))
}

// Spend finds a spend.
func (t *tx) Spend(id payment.ID) (payment.Spend, error) {
	r, err := t.q.Spend(t.ctx, string(id))
	return t.spend("find spend", r, err)
}

// SwapSpend saves the parts of a spend that may change: all but its id, merchant, network, source, anchor, CreatedAt and
// Fence.
func (t *tx) SwapSpend(s payment.Spend) error {
	if err := coins(s.Network, s.Out, s.Fee); err != nil {
		return t.fail("save spend", err)
	}
	n, err := t.q.SwapSpend(t.ctx, row.SwapSpendParams{
		Anchor: s.Anchor, State: string(s.State), Version: int64(s.Version), Hold: string(s.Held), Reason: s.Reason, TxID: s.TxID,
		Height: int64(s.Height), BlockHash: s.BlockHash, Failed: s.Failed, Outflow: s.Out.Units(), Fee: s.Fee.Units(),
		Turn: s.Turn, UpdatedAt: millis(s.UpdatedAt), DueAt: millis(s.DueAt), SentAt: millis(s.SentAt),
		LeaseUntil: millis(s.LeaseUntil), ID: string(s.ID), Rev: s.Rev,
	})
	return t.swapped("save spend", n, err)
}

// ClaimSpends takes planned, signed and sent ones that are due and whose lease is over, the longest due first. Of claims at
// the same time each gets others.
func (t *tx) ClaimSpends(q engine.ClaimSpends) ([]payment.Spend, error) {
	rows, err := t.q.ClaimSpends(t.ctx, row.ClaimSpendsParams{
		LeaseUntil: millis(q.Now.Add(q.Lease)), Network: string(q.Network), Now: millis(q.Now), Most: atMost(q.Limit),
	})
	slices.SortFunc(rows, func(a, b row.Spend) int { return cmp.Or(cmp.Compare(a.DueAt, b.DueAt), cmp.Compare(a.N, b.N)) })
	return t.spends("claim spends", rows, err)
}

// BlockSpends are those that this block holds, in the order of their making.
func (t *tx) BlockSpends(network money.Network, blockHash string) ([]payment.Spend, error) {
	rows, err := t.q.BlockSpends(t.ctx, row.BlockSpendsParams{Network: string(network), BlockHash: blockHash})
	return t.spends("list a block's spends", rows, err)
}

// MinedSpends are all in state mined, after an id in id order.
func (t *tx) MinedSpends(network money.Network, after payment.ID, limit int) ([]payment.Spend, error) {
	rows, err := t.q.MinedSpends(t.ctx, row.MinedSpendsParams{Network: string(network), ID: string(after), Most: atMost(limit)})
	return t.spends("list mined spends", rows, err)
}

// TicketSpend is the spend that holds a ticket.
func (t *tx) TicketSpend(network money.Network, ticket string) (payment.Spend, error) {
	r, err := t.q.TicketSpend(t.ctx, row.TicketSpendParams{Network: string(network), Ticket: ticket})
	return t.spend("find a ticket's spend", r, err)
}

// Tickets are those that a spend took, in the order in which it named them, given up or not.
func (t *tx) Tickets(spend payment.ID) ([]payment.Ticket, error) {
	rows, err := t.q.Tickets(t.ctx, string(spend))
	if err != nil {
		return nil, t.fail("list tickets", err)
	}
	all, err := each(rows, ticket)
	return all, t.fail("read tickets", err)
}

// ReleaseTickets gives up the tickets of a spend: others may take them. They stay on record.
func (t *tx) ReleaseTickets(spend payment.ID) error {
	rows, err := t.q.Tickets(t.ctx, string(spend))
	if err != nil {
		return t.fail("list tickets", err)
	}
	for _, k := range rows {
		if k.Held {
			if err := t.q.TakeCoin(t.ctx, row.TakeCoinParams{Taken: false, Network: k.Network, Ref: k.Ticket}); err != nil {
				return t.fail("free coin", err)
			}
		}
	}
	return t.fail("release tickets", t.q.ReleaseTickets(t.ctx, string(spend)))
}

// DropTicket takes a ticket from a spend as if the spend had never named it: others may take it.
func (t *tx) DropTicket(k payment.Ticket) error {
	n, err := t.q.DropTicket(t.ctx, row.DropTicketParams{SpendID: string(k.SpendID), Ticket: k.Ticket})
	if err != nil || n == 0 {
		return t.fail("drop ticket", err)
	}
	return t.fail("free coin", t.q.TakeCoin(t.ctx, row.TakeCoinParams{Taken: false, Network: string(k.Network), Ref: k.Ticket}))
}

func (t *tx) spend(what string, r row.Spend, err error) (payment.Spend, error) {
	if err != nil {
		return payment.Spend{}, t.fail(what, err)
	}
	s, err := spend(r)
	return s, t.fail(what, err)
}

func (t *tx) spends(what string, rows []row.Spend, err error) ([]payment.Spend, error) {
	if err != nil {
		return nil, t.fail(what, err)
	}
	all, err := each(rows, spend)
	return all, t.fail(what, err)
}

func spend(r row.Spend) (payment.Spend, error) {
	m := moneys{coin: money.Network(r.Network).Coin()}
	return payment.Spend{
		ID: payment.ID(r.ID), MerchantID: payment.ID(r.MerchantID), Network: money.Network(r.Network),
		Source: ledger.Account(r.Source), Anchor: r.Anchor, State: payment.SpendState(r.State), Version: int(r.Version),
		Held: payment.Hold(r.Hold), Reason: r.Reason, TxID: r.TxID, Height: uint64(r.Height), BlockHash: r.BlockHash,
		Failed: r.Failed, Out: m.read(r.Outflow), Fee: m.read(r.Fee), Turn: r.Turn, CreatedAt: at(r.CreatedAt),
		UpdatedAt: at(r.UpdatedAt), DueAt: at(r.DueAt), SentAt: at(r.SentAt), Fence: r.Fence, LeaseUntil: at(r.LeaseUntil),
		Rev: r.Rev,
	}, m.err
}

func ticket(r row.Ticket) (payment.Ticket, error) {
	m := moneys{coin: money.Network(r.Network).Coin()}
	return payment.Ticket{
		Network: money.Network(r.Network), Ticket: r.Ticket, SpendID: payment.ID(r.SpendID), Address: r.Address,
		Amount: m.read(r.Amount), Index: uint32(r.Idx),
	}, m.err
}
