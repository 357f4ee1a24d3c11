package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"

	"github.com/pipe-pg/pipe/internal/chain"
)

// rate is what to pay for gas now, in wei: the lower median of what the nodes ask for, so that no single one can make it
// dear. Errors: chain.ErrBlind.
func (b *Builder) rate(ctx context.Context) (*big.Int, error) {
	rates, err := askNodes(ctx, b, func(ctx context.Context, n *Node) (*big.Int, error) { return n.rate(ctx) })
	if len(rates) == 0 {
		return nil, blind(ctx, "ask for fee", err)
	}
	slices.SortFunc(rates, (*big.Int).Cmp)
	return rates[(len(rates)-1)/2], nil
}

// feeHistory is the answer of eth_feeHistory. Rewards are tips at the percentile asked for, by block.
type feeHistory struct {
	BaseFees []*hexutil.Big   `json:"baseFeePerGas"` // the last one is the next block's
	Rewards  [][]*hexutil.Big `json:"reward"`
}

// rate is the base fee of the next block, an eighth more for the one after it (EIP-1559 lets it rise by no more), and the
// middle one of the tips of the last FeeBlocks blocks, MinTip at least. Blocks without transactions tell no tip.
func (n *Node) rate(ctx context.Context) (*big.Int, error) {
	if _, err := n.Head(ctx); err != nil { // blind nodes know old fees
		return nil, err
	}
	return n.fees(ctx)
}

func (n *Node) fees(ctx context.Context) (*big.Int, error) {
	h, err := ask[feeHistory](ctx, n.client, "eth_feeHistory", hexutil.Uint64(FeeBlocks), "latest", []int{tipPercentile})
	if err != nil {
		return nil, err
	}
	if len(h.BaseFees) < 2 || h.BaseFees[len(h.BaseFees)-1] == nil {
		return nil, errors.New("read fees: node tells no base fee of the next block")
	}
	base := h.BaseFees[len(h.BaseFees)-1].ToInt()
	tip := big.NewInt(MinTip)
	var tips []*big.Int
	for _, r := range h.Rewards {
		if len(r) == 1 && r[0] != nil && r[0].ToInt().Sign() > 0 {
			tips = append(tips, r[0].ToInt())
		}
	}
	if len(tips) > 0 {
		slices.SortFunc(tips, (*big.Int).Cmp)
		if middle := tips[(len(tips)-1)/2]; middle.Cmp(tip) > 0 {
			tip = middle
		}
	}
	rate := moreByEighth(base)
	rate.Add(rate, tip)
	if base.Sign() < 0 || rate.BitLen() > maxRateBits {
		return nil, fmt.Errorf("read fees: base fee %s and tip %s cannot be", base, tip)
	}
	return rate, nil
}

// reception is what a node says of a payout's receiver.
type reception struct {
	code bool   // it has code
	gas  uint64 // estimated; 0 where there is none
	no   string // why it does not take the coins, in words for the payer; "" where nothing speaks against it
}

// gas is the limit that a payout is given. Errors: chain.ErrReceiver where all nodes that answer say that the receiver does
// not take the coins; chain.ErrBlind.
func (b *Builder) gas(ctx context.Context, p plan, rate *big.Int) (uint64, error) {
	value := new(big.Int).Sub(p.amount, costOf(params.TxGas, rate))
	if value.Sign() <= 0 { // whatever the receiver, Build finds it too small
		return params.TxGas, nil
	}
	said, err := askNodes(ctx, b, func(ctx context.Context, n *Node) (reception, error) { return n.receive(ctx, p, value) })
	if len(said) == 0 {
		return 0, blind(ctx, "ask for receiver", err)
	}
	limit := uint64(0)
	for _, r := range said {
		if r.no == "" {
			limit = max(limit, r.limit())
		}
	}
	if limit == 0 {
		return 0, fmt.Errorf("%w: %s", chain.ErrReceiver, said[0].no)
	}
	return limit, nil
}

// limit is the gas to give. For a plain receiver exactly what is needed, so that nothing is left.
func (r reception) limit() uint64 {
	if !r.code {
		return max(params.TxGas, r.gas)
	}
	return min(r.gas+r.gas/gasMargin, MaxGas)
}

// Why a contract does not take coins, in words for the payer.
const (
	saysNo     = "this address is a contract that refuses the coins; another address is needed"
	saysTooBig = "this address is a contract that needs more work to take the coins than is paid for; another address is needed"
)

// receive asks one node what it takes to give the receiver the coins.
func (n *Node) receive(ctx context.Context, p plan, value *big.Int) (reception, error) {
	code, err := ask[hexutil.Bytes](ctx, n.client, "eth_getCode", p.to, "latest")
	if err != nil {
		return reception{}, err
	}
	r := reception{code: len(code) > 0}
	gas, err := ask[hexutil.Uint64](ctx, n.client, "eth_estimateGas", map[string]any{"from": p.from, "to": p.to, "value": (*hexutil.Big)(value)}, "latest")
	var refusal *rpcError
	switch {
	case err == nil:
		r.gas = uint64(gas)
	case !r.code && errors.As(err, &refusal): // it may lack the money as of its block; nothing else can go wrong
		return r, nil
	case errors.As(err, &refusal) && refusal.says("gas required exceeds", "out of gas"):
		r.no = saysTooBig
		return r, nil
	case errors.As(err, &refusal) && (refusal.Code == codeReverted || refusal.says(refusals...)):
		r.no = saysNo
		return r, nil
	default:
		return reception{}, err
	}
	if r.gas > MaxGas {
		r.no = saysTooBig
	}
	return r, nil
}

// refusals are how nodes say that code ended badly; geth also has a code for it.
var refusals = []string{"revert", "invalid opcode", "bad instruction", "invalid jump", "stack underflow", "stack limit", "execution fails", "vm execution error"}

// says tells whether one of the words is in a refusal, whatever their case.
func (e *rpcError) says(words ...string) bool {
	said := strings.ToLower(e.Message)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
}
