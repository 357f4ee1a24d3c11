package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// account is an account to explain: how much it should hold before the block, what plainly came to it in the block, and
// what left it by transactions of its own, fees included.
type account struct {
	address   string // EIP-55
	key       common.Address
	explained *big.Int
	plain     []*tx
	left      *big.Int
}

// Scan reads exactly this block. The header is hashed and the transactions are checked against its root. Weighed are the
// hot accounts, and those watched ones that a transaction, a withdrawal from staking or the block's fees went to, or whose
// own transactions are in it; what their balance at this block exceeds the explained one by, what left them counted in,
// is credited, by plain transactions where they explain it, and the rest as "address@blockhash".
//
// Each transaction that a watched account sent is a use, in the block's order: of the ticket "address:nonce", for what the
// receipts say that it cost, which are checked against the header's root. The caller takes Out and Fee off what it explains.
// Senders are recovered from signatures: of what the node says is ours, of everything in the form in which PIPE signs, so
// that no node can hide a payout, and of all transactions of a block after which an account holds less than is explained.
// What another hand sends from a key of ours in another form is thus found as long as its account is weighed.
//
// A node keeps the states of few blocks (geth 128). For a block StateDepth or more below its tip whose state is gone, plain
// transactions with proven success are credited, which are exact for accounts without code as ours are, and
// Found.Unweighed is set: what contracts sent is found by the balances of a later block, by Scan for hot accounts and by Weigh
// for all. Without state of a newer block the scan fails.
//
// An account that holds less than the facts explain is a fall: nothing of it is credited but plain transactions.
//
// Errors: chain.ErrGone, chain.ErrBlind, chain.ErrNetwork; others pass.
func (n *Node) Scan(ctx context.Context, b chain.Block, w chain.Watch) (chain.Found, error) {
	if len(w.Hot) > ActiveSet {
		return chain.Found{}, fmt.Errorf("scan block %d: %d hot accounts, at most %d", b.Height, len(w.Hot), ActiveSet)
	}
	if err := n.ready(ctx); err != nil {
		return chain.Found{}, n.doubt(err)
	}
	found, err := n.scan(ctx, b, w)
	if err != nil {
		return chain.Found{}, n.doubt(fmt.Errorf("scan block %d: %w", b.Height, err))
	}
	return found, nil
}

func (n *Node) scan(ctx context.Context, b chain.Block, w chain.Watch) (chain.Found, error) {
	body, err := n.block(ctx, b)
	if err != nil {
		return chain.Found{}, err
	}
	found, err := n.scanBlock(ctx, body, w, false)
	if err != nil || len(found.Falls) == 0 {
		return found, err
	}
	// Coins are missing: every sender is recovered, and what came plainly is believed to the receipts root alone.
	return n.scanBlock(ctx, body, w, true)
}

func (n *Node) scanBlock(ctx context.Context, body *block, w chain.Watch, deep bool) (chain.Found, error) {
	b := body.place()
	c, err := n.candidates(ctx, body, w, deep)
	if err != nil || len(c.accounts) == 0 {
		return chain.Found{}, err
	}
	weights, err := n.balances(ctx, b, keys(c.accounts))
	switch {
	case errors.Is(err, errState):
		return n.scanUnweighed(ctx, body, c, err)
	case notBlock(err), errors.Is(err, errNull):
		return chain.Found{}, n.gone(ctx, b, err)
	case err != nil:
		return chain.Found{}, err
	}
	judge := n.succeeded
	if deep || len(c.sent) > 0 {
		judge = n.proven
	}
	fates := map[common.Hash]fate{}
	if some := c.txs(); len(some) > 0 {
		fates, err = judge(ctx, body, some)
		if errors.Is(err, errMoved) || errors.Is(err, errNull) {
			return chain.Found{}, n.gone(ctx, b, err)
		}
		if err != nil {
			return chain.Found{}, err
		}
	}
	found := chain.Found{Uses: c.uses(fates)}
	for i, a := range c.accounts {
		if err := n.explain(&found, body, weighing{a, weights[i]}, fates); err != nil {
			return chain.Found{}, err
		}
	}
	return found, nil
}

// block reads a block by its hash.
func (n *Node) block(ctx context.Context, b chain.Block) (*block, error) {
	fields, err := ask[blockFields](ctx, n.client, "eth_getBlockByHash", b.Hash, true)
	if errors.Is(err, errNull) || notBlock(err) {
		return nil, n.gone(ctx, b, err)
	}
	if err != nil {
		return nil, err
	}
	body, err := fields.block()
	if errors.Is(err, errHash) { // perhaps of a fork that this version does not know: the slower reader tells
		alone, headErr := ask[header](ctx, n.client, "eth_getBlockByHash", b.Hash, false)
		if headErr != nil {
			return nil, headErr
		}
		if alone.opaque == "" {
			return nil, err
		}
		body.opaque, err = alone.opaque, nil
	}
	if err != nil {
		return nil, err
	}
	if p := body.place(); p.Hash != b.Hash || p.Height != b.Height || b.Parent != "" && p.Parent != b.Parent {
		return nil, fmt.Errorf("node %s answered with block %d %s on %s", n.client.name, p.Height, p.Hash, p.Parent)
	}
	if body.opaque != "" {
		n.warnOnce("parts of a block are the node's word", "reason", body.opaque, "height", b.Height)
	}
	return body, nil
}

// receivers are the accounts that a block itself names as getting something.
func receivers(b *block) []common.Address {
	all := make([]common.Address, 0, len(b.txs)+len(b.receivers)+1)
	for _, t := range b.txs {
		if t.to != nil {
			all = append(all, *t.to)
		}
	}
	return append(append(all, b.receivers...), b.Coinbase)
}

// weighed reads an account as the caller names it.
func weighed(w chain.Weighed) (*account, error) {
	key, ok := read(w.Address)
	if !ok || key.Hex() != w.Address {
		return nil, fmt.Errorf("%q is not an address in normal form", clip(w.Address, maxRepeated))
	}
	return newAccount(key, w.Balance), nil
}

func keys(accounts []*account) []common.Address {
	all := make([]common.Address, len(accounts))
	for i, a := range accounts {
		all[i] = a.key
	}
	return all
}

// rise is by how much the account holds more than the facts explain, what left it in the block counted in.
func (a *account) rise(weight *big.Int) *big.Int {
	rise := new(big.Int).Sub(weight, a.explained)
	return rise.Add(rise, a.left)
}

// weighing is an account and what it holds.
type weighing struct {
	*account
	weight *big.Int
}

// explain adds what became of an account in a block: a credit for each plain transaction that took effect, and one for
// the rest of its rise; or its fall.
func (n *Node) explain(found *chain.Found, b *block, a weighing, fates map[common.Hash]fate) error {
	rest := a.rise(a.weight)
	credits, sum, err := n.plainCredits(a.account, fates)
	if err != nil {
		return err
	}
	found.Credits = append(found.Credits, credits...)
	switch rest.Sub(rest, sum); rest.Sign() {
	case -1:
		found.Falls = append(found.Falls, fall(a.address, rest))
	case 1:
		found.Credits = append(found.Credits, restCredit(a.address, b.hash.Hex(), rest))
	}
	return nil
}

// fall is by how much an account holds less than the facts explain.
func fall(address string, rest *big.Int) chain.Weighed {
	return chain.Weighed{Address: address, Balance: money.OfBig(money.ETH, new(big.Int).Neg(rest))}
}

// plainCredits is a credit for each plain transaction to the account that took effect, and their sum.
func (n *Node) plainCredits(a *account, fates map[common.Hash]fate) ([]chain.Credit, *big.Int, error) {
	var credits []chain.Credit
	sum := new(big.Int)
	for _, t := range a.plain {
		if !fates[t.id].success {
			continue
		}
		c, err := n.plainCredit(a.address, t)
		if err != nil {
			return nil, nil, err
		}
		credits = append(credits, c)
		sum.Add(sum, t.value)
	}
	return credits, sum, nil
}

// plainCredit is the credit of one plain transaction, its sender recovered from the signature where its type is known.
func (n *Node) plainCredit(to string, t *tx) (chain.Credit, error) {
	from, err := n.sender(t)
	if err != nil {
		return chain.Credit{}, err
	}
	id := t.id.Hex()
	return chain.Credit{Ref: id, To: to, From: from.Hex(), TxID: id, Amount: money.OfBig(money.ETH, t.value)}, nil
}

// restCredit is the credit of what no single transaction explains.
func restCredit(to, blockHash string, amount *big.Int) chain.Credit {
	return chain.Credit{Ref: to + "@" + blockHash, To: to, Amount: money.OfBig(money.ETH, amount)}
}

// scanUnweighed tells what transactions show alone, for a block too old to have its state at hand.
func (n *Node) scanUnweighed(ctx context.Context, b *block, c *candidates, cause error) (chain.Found, error) {
	tip, err := ask[hexutil.Uint64](ctx, n.client, "eth_blockNumber")
	if err != nil {
		return chain.Found{}, err
	}
	if uint64(tip) < b.Number.Uint64()+StateDepth {
		return chain.Found{}, fmt.Errorf("a node must keep the states of its last %d blocks, and its tip is %d: %w", StateDepth, uint64(tip), cause)
	}
	n.warnOnce("node has no state of an old block: only plain transactions are credited there, the rest by later balances", "height", b.Number)
	found := chain.Found{Unweighed: true}
	some := c.txs()
	if len(some) == 0 {
		return found, nil
	}
	fates, err := n.proven(ctx, b, some)
	if err != nil {
		return chain.Found{}, err
	}
	found.Uses = c.uses(fates)
	for _, a := range c.accounts {
		credits, _, err := n.plainCredits(a, fates)
		if err != nil {
			return chain.Found{}, err
		}
		found.Credits = append(found.Credits, credits...)
	}
	return found, nil
}

// Weigh compares balances at this block with the explained ones: each rise is a credit, each shortfall a fall; a credit is "address@blockhash". It must be
// asked at the caller's cursor: what a block above it brings would otherwise count twice. At most WeighMax accounts.
// Errors: chain.ErrGone, chain.ErrBlind; others pass, such as that the block's state is not at hand.
func (n *Node) Weigh(ctx context.Context, b chain.Block, all []chain.Weighed) (chain.Found, error) {
	if len(all) > WeighMax {
		return chain.Found{}, fmt.Errorf("weigh at block %d: %d accounts, at most %d", b.Height, len(all), WeighMax)
	}
	if err := n.ready(ctx); err != nil {
		return chain.Found{}, n.doubt(err)
	}
	found, err := n.weigh(ctx, b, all)
	if err != nil {
		return chain.Found{}, n.doubt(fmt.Errorf("weigh at block %d: %w", b.Height, err))
	}
	return found, nil
}

func (n *Node) weigh(ctx context.Context, b chain.Block, all []chain.Weighed) (chain.Found, error) {
	accounts := make([]*account, len(all))
	for i, w := range all {
		var err error
		if accounts[i], err = weighed(w); err != nil {
			return chain.Found{}, err
		}
	}
	weights, err := n.balances(ctx, b, keys(accounts))
	if notBlock(err) || errors.Is(err, errNull) {
		return chain.Found{}, n.gone(ctx, b, err)
	}
	if err != nil {
		return chain.Found{}, err
	}
	var found chain.Found
	for i, a := range accounts {
		switch rise := a.rise(weights[i]); rise.Sign() {
		case -1:
			found.Falls = append(found.Falls, fall(a.address, rise))
		case 1:
			found.Credits = append(found.Credits, restCredit(a.address, b.Hash, rise))
		}
	}
	return found, nil
}
