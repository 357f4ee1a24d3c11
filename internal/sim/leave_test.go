package sim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A wire is what a fake chain's transaction says, read by the simulator's own eyes.
type wire struct {
	Ins  []struct{ Ticket, Address, Amount string }
	Outs []struct{ To, Amount string }
}

func readWire(raw []byte) (w wire, err error) {
	err = json.Unmarshal(raw, &w)
	return w, err
}

// A signedTx is a version that the hand signed once. It may take effect for ever after.
type signedTx struct {
	chain.Signed
	u    chain.Unsigned
	wire wire
}

// A leaving is a transaction of ours in a block.
type leaving struct {
	*signedTx
	failed bool
	fee    money.Amount
}

// units is an amount of the chain's coin.
func (c *truth) units(text string) money.Amount {
	a, err := money.OfUnits(c.coin, text)
	if err != nil {
		panic(err)
	}
	return a
}

// signs notes what was signed, so that it is known in blocks.
func (c *truth) signs(tx *signedTx) {
	c.signed[tx.TxID] = tx
	for _, in := range tx.wire.Ins {
		c.spenders[in.Address] = true
	}
}

// leave notes which transactions of ours a new block holds.
func (c *truth) leave(b *truthBlock) {
	if len(c.signed) == 0 {
		return
	}
	mine := func(address string) bool { return c.spenders[address] }
	found, err := c.honest.Scan(context.Background(), b.Block, chain.Watch{Has: mine, Held: func(chain.Ticket) bool { return true },
		Explained: func(_ context.Context, address string) (money.Amount, bool, error) {
			return money.Zero(c.coin), mine(address), nil
		}})
	if err != nil {
		panic(err)
	}
	seen := map[string]bool{}
	for _, u := range found.Uses {
		if seen[u.TxID] {
			continue
		}
		seen[u.TxID] = true
		tx := c.signed[u.TxID]
		if tx == nil {
			c.foreign = u.TxID
			continue
		}
		l := &leaving{signedTx: tx, failed: u.Failed, fee: u.Fee}
		if c.coin == money.BTC {
			l.fee = money.Zero(c.coin)
			for _, in := range tx.wire.Ins {
				l.fee = l.fee.Add(c.units(in.Amount))
			}
			for _, out := range tx.wire.Outs {
				l.fee = l.fee.Sub(c.units(out.Amount))
			}
		}
		b.left = append(b.left, l)
	}
}

// each calls do for every transaction of ours in a version of the chain, with its depth.
func each(blocks []*truthBlock, do func(l *leaving, depth int)) {
	for i, b := range blocks {
		for _, l := range b.left {
			do(l, len(blocks)-i)
		}
	}
}

// balance is what an address holds, by the simulator's own book.
func (c *truth) balance(address string) money.Amount {
	have := sum(c.coin, c.comings(c.blocks, address), func(coming) bool { return true })
	each(c.blocks, func(l *leaving, _ int) {
		if c.coin == money.ETH {
			if l.wire.Ins[0].Address == address {
				have = have.Sub(l.fee)
			}
			if l.failed {
				return
			}
			for _, out := range l.wire.Outs {
				if l.wire.Ins[0].Address == address {
					have = have.Sub(c.units(out.Amount))
				}
				if out.To == address {
					have = have.Add(c.units(out.Amount))
				}
			}
			return
		}
		for _, in := range l.wire.Ins {
			if in.Address == address {
				have = have.Sub(c.units(in.Amount))
			}
		}
		for _, out := range l.wire.Outs {
			if out.To == address {
				have = have.Add(c.units(out.Amount))
			}
		}
	})
	return have
}

// depthOf is how deep a transaction of ours was at most since the last complete look, 0 where no block held it.
func (c *truth) depthOf(txid string, failed bool) (deepest int) {
	for _, blocks := range c.versions {
		each(blocks, func(l *leaving, depth int) {
			if l.TxID == txid && l.failed == failed {
				deepest = max(deepest, depth)
			}
		})
	}
	return deepest
}

// vain tells whether a block holds one of ours that was carried out in vain.
func (c *truth) vain() (any bool) {
	each(c.blocks, func(l *leaving, _ int) { any = any || l.failed })
	return any
}

// gone tells whether the coins that a signed transaction spends are on the best chain no more: it went with them.
func (c *truth) gone(tx *signedTx) bool {
	if c.coin == money.ETH {
		return c.balance(tx.wire.Ins[0].Address).Less(tx.u.Fee.Add(c.units(tx.wire.Outs[0].Amount)))
	}
	return slices.ContainsFunc(tx.wire.Ins, func(in struct{ Ticket, Address, Amount string }) bool { return !c.holds(in.Ticket) })
}

// holds tells whether an outpoint is on the best chain and nothing spent it.
func (c *truth) holds(ticket string) bool {
	there := false
	for _, b := range c.blocks {
		for _, tx := range b.txs {
			for _, o := range tx.outs {
				there = there || ticket == outpoint(tx.id, o.n)
			}
		}
		for _, l := range b.left {
			for i := range l.wire.Outs {
				there = there || ticket == outpoint(l.TxID, i)
			}
			for _, in := range l.wire.Ins {
				there = there && in.Ticket != ticket
			}
		}
	}
	return there
}

func outpoint(txid string, n int) string { return fmt.Sprintf("%s:%d", txid, n) }
