package ethereum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// BuilderOptions say which nodes a builder asks.
type BuilderOptions struct {
	Network   money.Network
	URLs      []string      // 1 to chain.MaxEndpoints nodes, as in Options.URL
	MaxTipAge time.Duration // as in Options: a node with an older tip knows no fee
	Now       func() time.Time
	Log       *slog.Logger
}

// A Builder makes and sends Ethereum transactions through one or more nodes, without any key: it implements chain.Builder.
// Nothing is asked of the nodes before the first call. A node that fails slowly is left alone for chain.RestFor, as long as
// there is another one.
type Builder struct {
	network money.Network
	chainID *big.Int
	nodes   []*Node

	mu   sync.Mutex // owns rest
	rest map[*Node]time.Time
}

var _ chain.Builder = (*Builder)(nil)

// OpenBuilder makes a builder. It does not dial. Errors as of Open.
func OpenBuilder(o BuilderOptions) (*Builder, error) {
	id, err := ChainID(o.Network)
	if err != nil {
		return nil, fmt.Errorf("open builder: %w", err)
	}
	if len(o.URLs) == 0 || len(o.URLs) > chain.MaxEndpoints {
		return nil, fmt.Errorf("open builder of %s: between 1 and %d nodes are needed, got %d", o.Network, chain.MaxEndpoints, len(o.URLs))
	}
	b := &Builder{network: o.Network, chainID: new(big.Int).SetUint64(id), rest: map[*Node]time.Time{}}
	for i, url := range o.URLs {
		n, err := Open(Options{Network: o.Network, URL: url, MaxTipAge: o.MaxTipAge, Now: o.Now, Log: o.Log})
		if err != nil {
			return nil, fmt.Errorf("open builder of %s: node %d: %w", o.Network, i+1, err)
		}
		b.nodes = append(b.nodes, n)
	}
	return b, nil
}

// Close lets go of idle connections.
func (b *Builder) Close() {
	for _, n := range b.nodes {
		n.Close()
	}
}

// Fees implements chain.Builder. Rate is wei per gas, and Plain that of 21,000 gas. There are no further holdings or outputs in
// a transaction, and the network carries a single wei.
func (b *Builder) Fees(ctx context.Context) (chain.Fees, error) {
	rate, err := b.rate(ctx)
	if err != nil {
		return chain.Fees{}, err
	}
	none := money.Zero(money.ETH)
	return chain.Fees{Rate: inWei(rate), Plain: inWei(costOf(params.TxGas, rate)), Holding: none, Output: none, Least: money.Of(money.ETH, 1)}, nil
}

// Build implements chain.Builder. A draft has one holding, whose ticket is the anchor and names account and nonce, and one
// payout, of at most the holding's amount. Raw is the payload that the signature commits to: 0x02 and the RLP of an EIP-1559
// transaction without data or access list. Its tip equals its fee cap, so that the price is known when it is signed: Fee
// is gas times Rate exactly, whatever the base fee will be, and a sweep to a plain receiver leaves nothing.
//
// Receivers without code get 21,000 gas, or what the nodes estimate above that; those with code (EIP-7702 delegations
// are code) what the nodes estimate and a margin, MaxGas at most. What such a receiver does not use stays on the account.
//
// The rate is the median of what the nodes ask for, and a version's above the one before by an eighth.
//
// The text of chain.ErrReceiver ends, behind a colon, in words for the payer. Errors beside those of chain.Builder
// are mistakes in the draft.
func (b *Builder) Build(ctx context.Context, d chain.Draft) (chain.Unsigned, error) {
	p, err := b.read(d)
	if err != nil {
		return chain.Unsigned{}, err
	}
	rate, err := b.rate(ctx)
	if err != nil {
		return chain.Unsigned{}, err
	}
	if least := replacing(d.Previous.Big()); rate.Cmp(least) < 0 {
		rate = least
	}
	if ceiling := d.MaxRate.Big(); ceiling.Sign() > 0 && rate.Cmp(ceiling) > 0 {
		return chain.Unsigned{}, fmt.Errorf("%w: the rate is %s wei per gas, the ceiling %s", chain.ErrFeeTooHigh, rate, ceiling)
	}
	gas, err := b.gas(ctx, p, rate)
	if err != nil {
		return chain.Unsigned{}, err
	}
	fee := costOf(gas, rate)
	net := new(big.Int).Sub(p.amount, fee)
	if net.Sign() <= 0 {
		return chain.Unsigned{}, fmt.Errorf("%w: %s costs %s", chain.ErrTooSmall, d.Pays[0].Amount, inWei(fee))
	}
	raw, err := b.payload(p, terms{gas: gas, rate: rate, value: net})
	if err != nil {
		return chain.Unsigned{}, err
	}
	pay := d.Pays[0]
	pay.Net = inWei(net)
	return chain.Unsigned{
		Network: d.Network, Spend: d.Spend, Version: d.Version, Merchant: d.Merchant, Raw: raw,
		Holdings: []chain.Holding{d.Holdings[0]}, Pays: []chain.Pay{pay}, Anchor: d.Anchor,
		Rate: inWei(rate), Fee: inWei(fee), Change: money.Zero(money.ETH),
	}, nil
}

// plan is a draft that was read.
type plan struct {
	from, to common.Address
	nonce    uint64
	amount   *big.Int // what may leave, fee included
}

// read checks a draft. All its errors but chain.ErrReceiver are the caller's mistakes.
func (b *Builder) read(d chain.Draft) (plan, error) {
	if d.Network != b.network || d.Version < 1 {
		return plan{}, fmt.Errorf("build version %d on %q: builder of %s", d.Version, clip(string(d.Network), maxRepeated), b.network)
	}
	if len(d.Holdings) != 1 || len(d.Pays) != 1 {
		return plan{}, fmt.Errorf("build: one holding and one payout make a transaction, not %d and %d", len(d.Holdings), len(d.Pays))
	}
	h, pay := d.Holdings[0], d.Pays[0]
	address, nonce, err := ParseTicket(h.Ticket)
	if err != nil {
		return plan{}, fmt.Errorf("build: %w", err)
	}
	if d.Anchor != h.Ticket || h.Address != address {
		return plan{}, fmt.Errorf("build: anchor %q and address %s are not of ticket %q", d.Anchor, h.Address, h.Ticket)
	}
	if pay.Amount.Sign() <= 0 || pay.Amount.Big().Cmp(h.Amount.Big()) > 0 || pay.Amount.Currency() != money.ETH {
		return plan{}, fmt.Errorf("build: payout of %s from a holding of %s", pay.Amount, h.Amount)
	}
	to, err := ParseAddress(b.network, pay.To)
	if err != nil {
		return plan{}, fmt.Errorf("%w: %w", chain.ErrReceiver, err)
	}
	if to == address {
		return plan{}, errors.New("build: the payout goes to the account that pays it")
	}
	return plan{from: common.HexToAddress(address), to: common.HexToAddress(to), nonce: nonce, amount: pay.Amount.Big()}, nil
}

// terms are what a transaction costs and carries.
type terms struct {
	gas         uint64
	rate, value *big.Int
}

// payload is what an EIP-1559 signature commits to.
func (b *Builder) payload(p plan, t terms) ([]byte, error) {
	body, err := rlp.EncodeToBytes([]any{b.chainID, p.nonce, t.rate, t.rate, t.gas, p.to, t.value, []byte{}, types.AccessList{}})
	if err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	return append([]byte{types.DynamicFeeTxType}, body...), nil
}

// replacing is the least rate of a version that replaces one of this rate: an eighth more, rounded up. Geth asks a tenth,
// of tip and fee cap both.
func replacing(previous *big.Int) *big.Int {
	if previous.Sign() == 0 {
		return previous
	}
	return moreByEighth(previous)
}

// moreByEighth is an amount times 9/8, rounded up.
func moreByEighth(n *big.Int) *big.Int {
	more := new(big.Int).Mul(n, big.NewInt(9))
	more.Add(more, big.NewInt(7))
	return more.Rsh(more, 3)
}

func inWei(n *big.Int) money.Amount { return money.OfBig(money.ETH, n) }

func costOf(gas uint64, rate *big.Int) *big.Int {
	return new(big.Int).Mul(rate, new(big.Int).SetUint64(gas))
}

// awake are the nodes to ask: without those that rest, unless all do.
func (b *Builder) awake() []*Node {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	awake := slices.DeleteFunc(slices.Clone(b.nodes), func(n *Node) bool { return now.Before(b.rest[n]) })
	if len(awake) == 0 {
		return b.nodes
	}
	return awake
}

// note has a node rest that failed slowly, and wakes one that did not.
func (b *Builder) note(n *Node, took time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.rest, n)
	if err != nil && took >= chain.SlowFailure {
		b.rest[n] = time.Now().Add(chain.RestFor)
	}
}

// askNodes asks all nodes that do not rest, at once, once they showed to be of the right network. It gives what those said
// that answered, and why the others did not.
func askNodes[T any](ctx context.Context, b *Builder, ask func(context.Context, *Node) (T, error)) (answers []T, errs error) {
	nodes := b.awake()
	all := make([]T, len(nodes))
	failed := make([]error, len(nodes))
	var wait sync.WaitGroup
	for i, n := range nodes {
		wait.Go(func() {
			began := time.Now()
			err := n.ready(ctx)
			if err == nil {
				all[i], err = ask(ctx, n)
			}
			if ctx.Err() == nil {
				b.note(n, time.Since(began), err)
			}
			if err != nil {
				failed[i] = fmt.Errorf("%s: %w", n.Name(), n.doubt(err))
			}
		})
	}
	wait.Wait()
	for i, err := range failed {
		if err == nil {
			answers = append(answers, all[i])
		}
	}
	return answers, errors.Join(failed...)
}

// blind is the error of a question that no node answered.
func blind(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case errors.Is(err, chain.ErrBlind):
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, chain.ErrBlind, err)
}
