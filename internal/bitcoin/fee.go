package bitcoin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// Terms are what nodes ask of a transaction, in satoshi per 1,000 virtual bytes.
type terms struct {
	rate int64 // to be mined in time, and relayed at all
	step int64 // what a replacement must pay more than what it replaces (BIP 125, rule 4)
}

// terms are the median of the nodes' rates, the lower one of an even number, and the highest of their steps, so that every
// node takes a replacement. A node that cannot tell does not count.
func (b *Builder) terms(ctx context.Context) (terms, error) {
	all, err := askNodes(ctx, b, func(ctx context.Context, r *Reader) (terms, error) { return r.terms(ctx, b.target, b.fallback) })
	switch {
	case len(all) > 0:
	case ctx.Err() != nil:
		return terms{}, fmt.Errorf("ask for fee: %w", ctx.Err())
	case errors.Is(err, chain.ErrBlind):
		return terms{}, fmt.Errorf("ask for fee: %w", err)
	default:
		return terms{}, fmt.Errorf("ask for fee: %w: %w", chain.ErrBlind, err)
	}
	var t terms
	rates := make([]int64, len(all))
	for i, one := range all {
		rates[i], t.step = one.rate, max(t.step, one.step)
	}
	slices.Sort(rates)
	t.rate = rates[(len(rates)-1)/2]
	return t, nil
}

// terms asks one node.
func (r *Reader) terms(ctx context.Context, target int, fallback int64) (terms, error) {
	dev := chain.IsDev(r.net.name)
	if !dev {
		info, err := r.info(ctx)
		if err != nil {
			return terms{}, err
		}
		if info.Syncing {
			return terms{}, fmt.Errorf("node is at block %d of %d, still syncing: %w", info.Blocks, info.Headers, chain.ErrBlind)
		}
	}
	var pool struct {
		Least json.Number `json:"mempoolminfee"`
	}
	if err := r.node.call(ctx, &pool, "getmempoolinfo"); err != nil {
		return terms{}, blind(err)
	}
	var relay struct {
		Least json.Number `json:"relayfee"`
		Step  json.Number `json:"incrementalfee"`
	}
	if err := r.node.call(ctx, &relay, "getnetworkinfo"); err != nil {
		return terms{}, blind(err)
	}
	var floors [3]int64
	for i, text := range []json.Number{pool.Least, relay.Least, relay.Step} {
		rate, err := parseRate(string(text))
		if err != nil {
			return terms{}, fmt.Errorf("read relay fees: %w", malformed(err))
		}
		floors[i] = rate
	}
	rate, err := r.estimate(ctx, target)
	switch {
	case err != nil:
		return terms{}, err
	case rate > 0:
	case fallback > 0:
		rate = fallback
	case !dev:
		return terms{}, fmt.Errorf("node has no fee estimate: %w", chain.ErrBlind)
	}
	return terms{rate: max(rate, floors[0], floors[1], 1), step: floors[2]}, nil
}

// estimate asks a node what a transaction must pay to be mined within the target, or within MaxTarget where it knows no
// more; 0 where it does not know that either.
func (r *Reader) estimate(ctx context.Context, target int) (int64, error) {
	for _, blocks := range slices.Compact([]int{target, MaxTarget}) {
		var answer struct {
			Rate *json.Number `json:"feerate"`
		}
		if err := r.node.call(ctx, &answer, "estimatesmartfee", blocks, "CONSERVATIVE"); err != nil {
			return 0, blind(err)
		}
		if answer.Rate == nil {
			continue
		}
		rate, err := parseRate(string(*answer.Rate))
		if err != nil {
			return 0, fmt.Errorf("estimatesmartfee: %w", malformed(err))
		}
		return rate, nil
	}
	return 0, nil
}

// parseRate reads a rate in BTC per 1,000 virtual bytes as satoshi, rounded up. More than maxRate makes no sense.
func parseRate(text string) (int64, error) {
	rate, _, err := parseDecimal(text)
	if err == nil && rate > maxRate {
		err = fmt.Errorf("a fee rate of %s BTC per 1,000 virtual bytes", text)
	}
	return rate, err
}

// parseBTC reads an amount in BTC as satoshi, exactly.
func parseBTC(text string) (int64, error) {
	amount, exact, err := parseDecimal(text)
	if err == nil && !exact {
		err = fmt.Errorf("%s BTC are no whole satoshi", text)
	}
	return amount, err
}

// parseDecimal reads a JSON number of BTC, from 0 to all that can exist, as satoshi, rounded up.
func parseDecimal(text string) (n int64, exact bool, err error) {
	if len(text) > maxDecimal {
		return 0, false, fmt.Errorf("a number of %d characters", len(text))
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(text), "e"); ok {
		if n, err := strconv.Atoi(exponent); err != nil || n < -maxDecimal || n > maxDecimal {
			return 0, false, fmt.Errorf("%q is no number", text)
		}
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok || strings.Trim(text, "0123456789.eE+-") != "" {
		return 0, false, fmt.Errorf("%q is no number", text)
	}
	value.Mul(value, big.NewRat(1e8, 1))
	up, rest := new(big.Int).QuoRem(value.Num(), value.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		up.Add(up, big.NewInt(1))
	}
	if value.Sign() < 0 || up.Cmp(big.NewInt(maxMoney)) > 0 {
		return 0, false, fmt.Errorf("%s BTC cannot exist", text)
	}
	return up.Int64(), rest.Sign() == 0, nil
}

// The kinds of output script that PIPE pays to.
type kind int

const (
	p2pkh kind = iota
	p2sh
	p2wpkh
	p2wsh
	p2tr
)

// kindOf tells the kind of a script that scriptOf made: each kind has its own length or first byte.
func kindOf(script []byte) kind {
	switch {
	case len(script) == 25:
		return p2pkh
	case len(script) == 23:
		return p2sh
	case len(script) == 22:
		return p2wpkh
	case script[0] == 0x00:
		return p2wsh
	}
	return p2tr
}

// dustOf is the least amount that nodes relay to a script, in satoshi: what it would cost to spend it, at Core's
// dustrelayfee of 3,000 satoshi per 1,000 virtual bytes (Core: GetDustThreshold).
func dustOf(script []byte) int64 {
	switch kindOf(script) {
	case p2pkh:
		return highestDust
	case p2sh:
		return 540
	case p2wpkh:
		return 294
	case p2wsh, p2tr:
	}
	return 330
}

// highestDust is the dust limit of P2PKH.
const highestDust = 546

// longestScript is the length of the longest output script, P2WSH's and P2TR's.
const longestScript = 34

// inputVSize is what a P2WPKH input adds, rounded up: 41 bytes, and 108 of witness at a quarter.
const inputVSize = 68

// A shape is what a transaction's size depends on: how many P2WPKH inputs, and the lengths of its output scripts.
type shape struct {
	inputs  int
	outputs []int
}

// vsize is the virtual size (BIP 141), with signatures of 72 bytes, the longest that are standard: signed, it is at most a
// quarter byte per input smaller.
func (s shape) vsize() int {
	base := 4 + 1 + 41*s.inputs + 1 + 4 // counts below 253 take one byte each
	for _, n := range s.outputs {
		base += outputSize(n)
	}
	const witness = 1 + 1 + 72 + 1 + 33
	weight := 4*base + 2 + witness*s.inputs
	return (weight + 3) / 4
}

// outputSize is an output's size in bytes: amount, length, script.
func outputSize(script int) int { return 8 + 1 + script }

// feeAt is the fee for a size, rounded up.
func feeAt(rate int64, vsize int) int64 { return ceilDiv(rate*int64(vsize), 1000) }

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

func sats(n int64) money.Amount { return money.Of(money.BTC, n) }

// satoshi reads an amount that is more than zero and can exist.
func satoshi(a money.Amount) (int64, error) {
	n := a.Big()
	if a.Currency() != money.BTC || n.Sign() <= 0 || !n.IsInt64() || n.Int64() > maxMoney {
		return 0, fmt.Errorf("%s is no amount to spend", a)
	}
	return n.Int64(), nil
}
