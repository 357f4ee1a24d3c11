package ethereum

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// NewTicket names an account's nonce: the address in normal form, a colon and the nonce in decimal.
func NewTicket(address string, nonce uint64) chain.Ticket {
	return chain.Ticket(address + ":" + strconv.FormatUint(nonce, 10))
}

// ParseTicket is the opposite of NewTicket, and takes nothing that NewTicket does not make.
func ParseTicket(t chain.Ticket) (address string, nonce uint64, err error) {
	address, number, _ := strings.Cut(string(t), ":")
	key, ok := read(address)
	nonce, err = strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || NewTicket(key.Hex(), nonce) != t {
		return "", 0, fmt.Errorf("%q is no address in normal form with a nonce", clip(string(t), maxRepeated))
	}
	return address, nonce, nil
}

// sender is who signed a transaction, or the node's word where its type is unknown.
func (n *Node) sender(t *tx) (common.Address, error) {
	if t.signed == nil || t.proven {
		return t.from, nil
	}
	from, err := types.Sender(n.signer, t.signed)
	if err != nil {
		return from, fmt.Errorf("recover sender of %s: %w", t.id, err)
	}
	t.from, t.proven = from, true
	return from, nil
}

// candidates are the accounts to weigh in a block, and what they sent in it.
type candidates struct {
	watch    chain.Watch
	judged   map[common.Address]*account // nil: not ours
	accounts []*account
	sent     []sending
}

// sending is a transaction of an account of ours.
type sending struct {
	*tx
	by *account
}

func newAccount(key common.Address, explained money.Amount) *account {
	return &account{address: key.Hex(), key: key, explained: explained.Big(), left: new(big.Int)}
}

// candidates are the hot accounts, and what a filter of the caller's lets through of those that the block names and the
// caller knows. Every sender is recovered where deep is set; else of what may be ours.
func (n *Node) candidates(ctx context.Context, b *block, w chain.Watch, deep bool) (*candidates, error) {
	c := &candidates{watch: w, judged: make(map[common.Address]*account, len(w.Hot)), accounts: make([]*account, 0, len(w.Hot))}
	for _, hot := range w.Hot {
		a, err := weighed(hot)
		if err != nil {
			return nil, err
		}
		if c.judged[a.key] == nil {
			c.judged[a.key] = a
			c.accounts = append(c.accounts, a)
		}
	}
	for _, key := range receivers(b) {
		if _, err := c.judge(ctx, key); err != nil {
			return nil, err
		}
	}
	for _, t := range b.txs {
		if err := n.addSent(ctx, c, t, deep); err != nil {
			return nil, err
		}
		if t.to == nil || t.value.Sign() == 0 || c.judged[*t.to] == nil {
			continue
		}
		from, err := n.sender(t)
		if err != nil {
			return nil, err
		}
		if from != *t.to { // to itself: nothing came
			a := c.judged[*t.to]
			a.plain = append(a.plain, t)
		}
	}
	return c, nil
}

// addSent adds a transaction if an account of ours sent it.
func (n *Node) addSent(ctx context.Context, c *candidates, t *tx, deep bool) error {
	ours, err := c.judge(ctx, t.from)
	if err != nil || !ours && !deep && !t.likeOurs() {
		return err
	}
	said := t.from
	from, err := n.sender(t)
	if err != nil {
		return err
	}
	if from != said {
		if ours, err = c.judge(ctx, from); err != nil {
			return err
		}
		n.warnOnce("node names a wrong sender", "txid", t.id, "said", said, "signed", from)
	}
	if ours {
		c.sent = append(c.sent, sending{t, c.judged[from]})
	}
	return nil
}

// likeOurs tells whether a transaction has the form in which PIPE signs: EIP-1559 with tip = fee cap, no data, little gas.
func (t *tx) likeOurs() bool {
	return t.signed != nil && t.kind == types.DynamicFeeTxType && t.to != nil && len(t.signed.Data()) == 0 && t.signed.Gas() <= MaxGas &&
		t.signed.GasTipCap().Cmp(t.signed.GasFeeCap()) == 0
}

// judge tells whether an account is one of ours, and has it weighed if so. The caller is asked once for each.
func (c *candidates) judge(ctx context.Context, key common.Address) (ours bool, err error) {
	if a, judged := c.judged[key]; judged {
		return a != nil, nil
	}
	c.judged[key] = nil
	address := key.Hex()
	if c.watch.Has == nil || !c.watch.Has(address) {
		return false, nil
	}
	explained, ok, err := c.watch.Explained(ctx, address)
	if err != nil {
		return false, fmt.Errorf("look up what %s should hold: %w", address, err)
	}
	if !ok {
		return false, nil
	}
	a := newAccount(key, explained)
	c.judged[key] = a
	c.accounts = append(c.accounts, a)
	return true, nil
}

// txs are the transactions whose fate matters.
func (c *candidates) txs() []*tx {
	var all []*tx
	for _, a := range c.accounts {
		all = append(all, a.plain...)
	}
	for _, s := range c.sent {
		all = append(all, s.tx)
	}
	return all
}

// uses are what was sent, in the block's order. It notes with each account what left it.
func (c *candidates) uses(fates map[common.Hash]fate) []chain.Use {
	var uses []chain.Use
	for _, s := range c.sent {
		f := fates[s.id]
		out := new(big.Int)
		if f.success && (s.to == nil || *s.to != s.by.key) {
			out.Set(s.value)
		}
		s.by.left.Add(s.by.left, out).Add(s.by.left, f.fee)
		uses = append(uses, chain.Use{Ticket: NewTicket(s.by.address, s.nonce), TxID: s.id.Hex(), From: s.by.address, Failed: !f.success,
			Out: money.OfBig(money.ETH, out), Fee: money.OfBig(money.ETH, f.fee)})
	}
	return uses
}
