package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/payment"
)

// onChain compares the deposits and spends with the network: accounts by their balances at the cursor, outputs by reading
// their blocks again.
func (a *Auditor) onChain(ctx context.Context, l *look, n Net) {
	v := l.nets[n.Network]
	reader, ok := a.Readers[n.Network]
	if !ok || v.cursor.Hash == "" {
		return
	}
	before := len(l.Differences)
	var err error
	if n.Accounts {
		err = l.accounts(ctx, reader, n)
	} else {
		err = l.outputs(ctx, reader, n)
	}
	if err == nil {
		err = stillThere(ctx, reader, v.cursor)
	}
	if err != nil {
		l.Differences = l.Differences[:before] // of a chain that moved meanwhile, or could not be read to the end
		l.Unchecked = append(l.Unchecked, fmt.Sprintf("%s against its chain: %s", n.Network, err))
	}
}

// stillThere tells whether what was compared is of the chain that the store has followed: the cursor is on it.
func stillThere(ctx context.Context, reader chain.Reader, cursor chain.Block) error {
	b, err := reader.BlockAt(ctx, cursor.Height)
	if err != nil {
		return err
	}
	if b.Hash != cursor.Hash {
		return fmt.Errorf("the chain is another one at height %d than was followed: %w", cursor.Height, chain.ErrGone)
	}
	return nil
}

// accounts weighs every account at the cursor.
func (l *look) accounts(ctx context.Context, reader chain.Reader, n Net) error {
	v := l.nets[n.Network]
	for page := range slices.Chunk(slices.Sorted(maps.Keys(v.addresses)), Batch) {
		var weighed []chain.Weighed
		for _, address := range page {
			weighed = append(weighed, chain.Weighed{Address: address, Balance: v.addresses[address].Balance})
		}
		found, err := reader.Weigh(ctx, v.cursor, weighed)
		if err != nil {
			return err
		}
		for _, f := range found.Falls {
			l.differ("chain", "%s holds %s less at block %d than what came and left explain", f.Address, f.Balance, v.cursor.Height)
		}
		for _, c := range found.Credits {
			l.differ("chain", "%s holds %s more at block %d than what came and left explain", c.To, c.Amount, v.cursor.Height)
		}
	}
	return nil
}

// A page is what the store says of one block.
type page struct {
	deposits []payment.Deposit
	spends   []carrying
}

// outputs reads again every block in which coins came or left, and the newest ones whatever is in them. Each deposit must be there as booked, each spend must use just
// its tickets, and nothing else of ours may be there.
func (l *look) outputs(ctx context.Context, reader chain.Reader, n Net) error {
	v := l.nets[n.Network]
	blocks := map[uint64]page{}
	for _, d := range v.refs {
		if d.Height > 0 {
			p := blocks[d.Height]
			p.deposits = append(p.deposits, d)
			blocks[d.Height] = p
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.carry)) {
		if c := l.carry[id]; c.Network == n.Network && c.Height > 0 {
			p := blocks[c.Height]
			p.spends = append(p.spends, c)
			blocks[c.Height] = p
		}
	}
	for i := range min(AuditBlocks, v.cursor.Height) {
		height := v.cursor.Height - i
		if _, booked := blocks[height]; !booked {
			blocks[height] = page{} // where nothing is booked nothing may be
		}
	}
	w := chain.Watch{
		Has:  func(address string) bool { _, ok := v.addresses[address]; return ok },
		Held: func(t chain.Ticket) bool { _, ok := v.refs[string(t)]; return ok },
	}
	for _, height := range slices.Sorted(maps.Keys(blocks)) {
		b, err := reader.BlockAt(ctx, height)
		if err != nil {
			return err
		}
		found, err := reader.Scan(ctx, b, w)
		if err != nil {
			return err
		}
		l.came(b, blocks[height].deposits, found.Credits)
		l.went(b, blocks[height].spends, found.Uses)
	}
	return nil
}

// came compares the deposits of a block.
func (l *look) came(b chain.Block, booked []payment.Deposit, found []chain.Credit) {
	there := map[string]chain.Credit{}
	for _, c := range found {
		there[c.Ref] = c
	}
	for _, d := range booked {
		c, ok := there[d.Ref]
		if !ok || d.BlockHash != b.Hash || !c.Amount.Equal(d.Amount) || c.To != d.Address {
			l.differ("chain", "deposit %s of %s is not in block %d as booked", d.Ref, d.Amount, b.Height)
		}
		delete(there, d.Ref)
	}
	for _, ref := range slices.Sorted(maps.Keys(there)) {
		l.differ("chain", "block %d pays %s to %s in %s, which is not booked", b.Height, there[ref].Amount, there[ref].To, ref)
	}
}

// went compares the uses of a block.
func (l *look) went(b chain.Block, booked []carrying, found []chain.Use) {
	there := map[string]string{}
	for _, u := range found {
		there[string(u.Ticket)] = u.TxID
	}
	for _, c := range booked {
		if c.State == payment.SpendLost {
			continue // what used its tickets is none of ours
		}
		for _, t := range c.tickets {
			txid, ok := there[t.Ticket]
			if !ok || c.BlockHash != b.Hash || txid != c.TxID {
				l.differ("chain", "block %d does not use %s by %s, as spend %s says", b.Height, t.Ticket, c.TxID, c.ID)
			}
			delete(there, t.Ticket)
		}
	}
	for _, ticket := range slices.Sorted(maps.Keys(there)) {
		l.differ("chain", "block %d uses %s by %s, which no spend of ours does", b.Height, ticket, there[ticket])
	}
}
