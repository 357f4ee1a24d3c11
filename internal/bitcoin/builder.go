package bitcoin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// BuilderOptions say which nodes a builder asks, and what it does where they know no fee.
type BuilderOptions struct {
	Network money.Network
	URLs    []string // 1 to chain.MaxEndpoints nodes, as in Options.URL
	// Target is within how many blocks a payout should be mined: 2 to MaxTarget; 0 is DefaultTarget.
	Target int
	// Fallback is the fee rate where no node has an estimate, in satoshi per 1,000 virtual bytes. Where it is zero, chains
	// for development take the least rate that the node relays, and on other networks the builder is blind.
	Fallback money.Amount
	Client   *http.Client // nil for one that follows no redirect, uses no proxy and keeps few connections
}

// A Builder makes and sends Bitcoin transactions through one or more nodes, without any key: it implements
// chain.Builder. Nothing is asked of the nodes before the first call. A node that fails slowly is left alone for
// chain.RestFor, as long as there is another one.
type Builder struct {
	net      network
	nodes    []*Reader
	target   int
	fallback int64

	mu    sync.Mutex // owns rests
	rests []time.Time
}

var _ chain.Builder = (*Builder)(nil)

// OpenBuilder makes a builder. It does not dial.
func OpenBuilder(o BuilderOptions) (*Builder, error) {
	net, err := networkOf(o.Network)
	if err != nil {
		return nil, err
	}
	if len(o.URLs) == 0 || len(o.URLs) > chain.MaxEndpoints {
		return nil, fmt.Errorf("open builder of %s: between 1 and %d nodes are needed, got %d", o.Network, chain.MaxEndpoints, len(o.URLs))
	}
	b := &Builder{net: net, target: o.Target}
	if b.target == 0 {
		b.target = DefaultTarget
	}
	if b.target < minTarget || b.target > MaxTarget {
		return nil, fmt.Errorf("open builder of %s: a target of %d blocks is not between %d and %d", o.Network, b.target, minTarget, MaxTarget)
	}
	if o.Fallback.Sign() != 0 {
		if b.fallback, err = satoshi(o.Fallback); err != nil || b.fallback > maxRate {
			return nil, fmt.Errorf("open builder of %s: a fee rate of %s is out of range", o.Network, o.Fallback)
		}
	}
	for i, url := range o.URLs {
		r, err := Open(Options{Network: o.Network, URL: url, Client: o.Client})
		if err != nil {
			return nil, fmt.Errorf("open builder of %s: node %d: %w", o.Network, i+1, err)
		}
		b.nodes = append(b.nodes, r)
	}
	b.rests = make([]time.Time, len(b.nodes)) // until when each rests
	return b, nil
}

// awake are the places of the nodes that do not rest, or of all.
func (b *Builder) awake() (at []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for i, until := range b.rests {
		if !now.Before(until) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		for i := range b.rests {
			at = append(at, i)
		}
	}
	return at
}

// note keeps how a node did.
func (b *Builder) note(at int, took time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.rests[at] = time.Time{}
	case took >= chain.SlowFailure:
		b.rests[at] = time.Now().Add(chain.RestFor)
	}
}

// askNodes asks all nodes that do not rest, at once, once they showed to be of the right network. It gives what those said
// that answered, and why the others did not.
func askNodes[T any](ctx context.Context, b *Builder, ask func(context.Context, *Reader) (T, error)) (answers []T, err error) {
	awake := b.awake()
	all := make([]T, len(awake))
	errs := make([]error, len(awake))
	var wait sync.WaitGroup
	for i, at := range awake {
		wait.Go(func() {
			began := time.Now()
			if errs[i] = b.nodes[at].greet(ctx); errs[i] == nil {
				all[i], errs[i] = ask(ctx, b.nodes[at])
			}
			if ctx.Err() == nil {
				b.note(at, time.Since(began), errs[i])
			}
		})
	}
	wait.Wait()
	for i, err := range errs {
		if err == nil {
			answers = append(answers, all[i])
		}
	}
	return answers, errors.Join(errs...)
}

// Fees implements chain.Builder. Plain and Output count an output of the longest kind (P2WSH, P2TR), and Least is the
// dust limit of the kind whose limit is highest (P2PKH): for a receiver of another kind it is less.
func (b *Builder) Fees(ctx context.Context) (chain.Fees, error) {
	t, err := b.terms(ctx)
	if err != nil {
		return chain.Fees{}, err
	}
	plain := shape{inputs: 1, outputs: []int{longestScript}}
	return chain.Fees{
		Rate: sats(t.rate), Plain: sats(feeAt(t.rate, plain.vsize())),
		Holding: sats(feeAt(t.rate, inputVSize)), Output: sats(feeAt(t.rate, outputSize(longestScript))), Least: sats(highestDust),
	}, nil
}

// Build implements chain.Builder. The transaction is a PSBT (BIP 174, version 0) of transaction version 2 with lock time 0;
// it spends the holdings in the draft's order, each signalling that it may be replaced (BIP 125), pays the payouts in
// the draft's order, those to one address together in one output at the place of the first, and gives the rest back to the
// first holding's address in a last output. A rest below the dust limit cannot be given back: it goes to the miner, so that
// Fee is then more than what the payouts bear by just the rest.
//
// The rate is the median of what the nodes ask for, and above the previous version's by a quarter and by what the nodes ask
// of a replacement. Of the fee each payout bears its output, or its equal part of it, and an equal part of all else.
//
// Errors beside those of chain.Builder are mistakes in the draft.
func (b *Builder) Build(ctx context.Context, d chain.Draft) (chain.Unsigned, error) {
	p, err := planOf(b.net, d)
	if err != nil {
		return chain.Unsigned{}, fmt.Errorf("build spend %s: %w", d.Spend, err)
	}
	t, err := b.terms(ctx)
	if err != nil {
		return chain.Unsigned{}, fmt.Errorf("build spend %s: %w", d.Spend, err)
	}
	rate, err := p.rate(t)
	if err != nil {
		return chain.Unsigned{}, fmt.Errorf("build spend %s: %w", d.Spend, err)
	}
	u, err := p.build(rate)
	if err != nil {
		return chain.Unsigned{}, fmt.Errorf("build spend %s: %w", d.Spend, err)
	}
	return u, nil
}

// A plan is a draft that was read and checked.
type plan struct {
	draft    chain.Draft
	holdings []holding
	pays     []pay
	outputs  []joint
	previous int64 // satoshi per 1,000 virtual bytes; 0: the first version
	ceiling  int64 // 0: none but maxRate
	rest     int64 // what the payouts leave
	back     []byte
}

type holding struct {
	point  [36]byte
	amount int64
	script []byte
}

type pay struct {
	amount int64
	output int // its place in outputs
}

// A joint is the one output of all payouts to an address.
type joint struct {
	script []byte
	pays   int64 // how many
}

// planOf reads a draft. All its errors are mistakes of the caller.
func planOf(net network, d chain.Draft) (plan, error) {
	p := plan{draft: d}
	if d.Network != net.name {
		return plan{}, fmt.Errorf("draft is for %s, builder for %s", d.Network, net.name)
	}
	if len(d.Holdings) == 0 || len(d.Holdings) > MaxInputs || len(d.Pays) == 0 || len(d.Pays) > MaxPays {
		return plan{}, fmt.Errorf("draft has %d holdings and %d payouts: 1 to %d and 1 to %d are allowed", len(d.Holdings), len(d.Pays), MaxInputs, MaxPays)
	}
	seen := map[chain.Ticket]bool{}
	for _, h := range d.Holdings {
		read, err := holdingOf(net, h)
		if err != nil {
			return plan{}, fmt.Errorf("holding %s: %w", h.Ticket, err)
		}
		if seen[h.Ticket] {
			return plan{}, fmt.Errorf("holding %s is there twice", h.Ticket)
		}
		seen[h.Ticket] = true
		p.holdings = append(p.holdings, read)
		p.rest += read.amount
	}
	if !seen[d.Anchor] {
		return plan{}, fmt.Errorf("anchor %q is none of the holdings", string(d.Anchor))
	}
	for _, one := range d.Pays {
		if err := p.add(net, one); err != nil {
			return plan{}, fmt.Errorf("payout %s: %w", one.Payout, err)
		}
	}
	if p.rest < 0 {
		return plan{}, fmt.Errorf("payouts are %d satoshi more than the holdings", -p.rest)
	}
	p.back = p.holdings[0].script
	var err error
	if d.Previous.Sign() != 0 {
		if p.previous, err = satoshi(d.Previous); err != nil {
			return plan{}, fmt.Errorf("rate of the version before: %w", err)
		}
	}
	if d.MaxRate.Sign() != 0 {
		if p.ceiling, err = satoshi(d.MaxRate); err != nil {
			return plan{}, fmt.Errorf("ceiling of the rate: %w", err)
		}
	}
	return p, nil
}

// add reads a payout.
func (p *plan) add(net network, one chain.Pay) error {
	amount, err := satoshi(one.Amount)
	if err != nil {
		return err
	}
	script, err := scriptOf(net, one.To)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(p.outputs, func(o joint) bool { return bytes.Equal(o.script, script) })
	if at < 0 {
		at = len(p.outputs)
		p.outputs = append(p.outputs, joint{script: script})
	}
	p.outputs[at].pays++
	p.pays = append(p.pays, pay{amount, at})
	p.rest -= amount
	return nil
}

func holdingOf(net network, h chain.Holding) (holding, error) {
	amount, err := satoshi(h.Amount)
	if err != nil {
		return holding{}, err
	}
	script, err := scriptOf(net, h.Address)
	if err != nil {
		return holding{}, err
	}
	if kindOf(script) != p2wpkh {
		return holding{}, errors.New("its address is of a kind that PIPE never gave out")
	}
	point, err := parseTicket(h.Ticket)
	if err != nil {
		return holding{}, err
	}
	return holding{point, amount, script}, nil
}

// rate is what a version must pay: what the network asks for, and what it takes to replace the version before.
func (p plan) rate(t terms) (int64, error) {
	rate := t.rate
	if p.previous > 0 {
		rate = max(rate, ceilDiv(p.previous*(100+bumpPercent), 100), p.previous+t.step+bumpMargin)
	}
	ceiling := int64(maxRate)
	if p.ceiling > 0 {
		ceiling = min(ceiling, p.ceiling)
	}
	if rate > ceiling {
		return 0, fmt.Errorf("%d satoshi per 1,000 virtual bytes are asked for, %d are allowed: %w", rate, ceiling, chain.ErrFeeTooHigh)
	}
	return rate, nil
}

// build makes the transaction at a rate. It is pure: the same plan and rate give the same bytes.
func (p plan) build(rate int64) (chain.Unsigned, error) {
	s := shape{inputs: len(p.holdings)}
	outs := make([]output, len(p.outputs))
	for i, o := range p.outputs {
		s.outputs, outs[i].script = append(s.outputs, len(o.script)), o.script
	}
	var change int64
	if p.rest >= dustOf(p.back) {
		change = p.rest
		s.outputs = append(s.outputs, len(p.back))
	}
	borne := feeAt(rate, s.vsize())
	shares := p.share(rate, borne)
	d := p.draft
	u := chain.Unsigned{
		Network: d.Network, Spend: d.Spend, Version: d.Version, Merchant: d.Merchant,
		Holdings: slices.Clone(d.Holdings), Pays: slices.Clone(d.Pays), Anchor: d.Anchor,
		Rate: sats(rate), Fee: sats(borne + p.rest - change), Change: sats(change),
	}
	for i, one := range p.pays {
		net, out := one.amount-shares[i], &outs[one.output]
		if least := dustOf(out.script); net < least {
			return chain.Unsigned{}, fmt.Errorf("payout %s: of %d satoshi its share of the fee is %d, and the network carries %d or more: %w",
				d.Pays[i].Payout, one.amount, shares[i], least, chain.ErrTooSmall)
		}
		u.Pays[i].Net = sats(net)
		out.amount += net
	}
	if change > 0 {
		outs = append(outs, output{change, p.back})
	}
	raw, err := psbt(p.holdings, outs)
	if err != nil {
		return chain.Unsigned{}, err
	}
	u.Raw = raw
	return u, nil
}

// share divides the fee: each payout bears its equal part of its output, and of all else; what is left over by the division,
// the first ones bear, one satoshi each.
func (p plan) share(rate, fee int64) []int64 {
	shares := make([]int64, len(p.pays))
	rest := fee
	for i, one := range p.pays {
		o := p.outputs[one.output]
		shares[i] = rate * int64(outputSize(len(o.script))) / (1000 * o.pays)
		rest -= shares[i]
	}
	n := int64(len(shares))
	for i := range shares {
		shares[i] += rest / n
		if int64(i) < rest%n {
			shares[i]++
		}
	}
	return shares
}
