package ethereum

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/pipe-pg/pipe/internal/chain"
)

// errState: the node has the block, but the accounts as of that block no longer.
var errState = errors.New("node has no state at that block")

// weigher is code that a call without a receiver runs as if it made a contract. It reads the 20-byte addresses that follow
// it and returns the block's time and each balance, in words of 32 bytes; or, with another opcode in the place of BALANCE,
// what else an account has in one word.
//
//	TIMESTAMP PUSH1 0 MSTORE                           the first word
//	PUSH1 32 PUSH1 40                                  p: where to write; q: where to read, at first the end of this code
//	JUMPDEST (8)
//	PUSH1 20 DUP2 DUP4 PUSH1 12 ADD CODECOPY           memory[p+12:p+32] = code[q:q+20]
//	DUP2 MLOAD BALANCE DUP3 MSTORE                     memory[p] = balance(memory[p])
//	PUSH1 20 ADD SWAP1 PUSH1 32 ADD SWAP1              q += 20, p += 32
//	DUP1 CODESIZE GT PUSH1 8 JUMPI                     until q is the code's size
//	POP PUSH1 0 RETURN                                 memory[0:p]
const (
	weigherHead = "42600052" + "60206028" + "5b" + "60148183600c0139" + "8151"
	weigherTail = "8252" + "6014019060200190" + "803811600857" + "506000f3"
)

// Opcodes that the weigher asks accounts with.
const (
	opBalance  = "31"
	opCodeHash = "3f" // zero for an account that is not there: with no coins, no nonce and no code (EIP-1052)
)

const word = 32 // bytes of a number in the EVM

// atHash names a block's state by its hash (EIP-1898), so that no other block's can be answered, and only while the block
// is on the best chain.
func atHash(b chain.Block) any {
	return map[string]any{"blockHash": b.Hash, "requireCanonical": true}
}

// balances are the accounts' balances in wei at this block, in the order asked: in bulk, or one by one where the node
// refuses the bulk call. Errors: errState.
func (n *Node) balances(ctx context.Context, b chain.Block, accounts []common.Address) ([]*big.Int, error) {
	all := make([]*big.Int, 0, len(accounts))
	bulk := true
	for len(all) < len(accounts) {
		some := accounts[len(all):min(len(all)+BalanceBatch, len(accounts))]
		var got []*big.Int
		var err error
		if bulk {
			got, err = n.bulkBalances(ctx, b, some)
			var refusal *rpcError
			bulk = !errors.Is(err, errBulk) && (!errors.As(err, &refusal) || errors.Is(err, errState))
		}
		if !bulk {
			got, err = n.singleBalances(ctx, b, some)
		}
		if err != nil {
			return nil, fmt.Errorf("read balances at block %d: %w", b.Height, err)
		}
		all = append(all, got...)
	}
	return all, nil
}

// errBulk: the answer of the bulk call is not what the code returns; this node runs it otherwise.
var errBulk = errors.New("bulk call was answered wrongly")

func (n *Node) bulkBalances(ctx context.Context, b chain.Block, accounts []common.Address) ([]*big.Int, error) {
	return n.bulk(ctx, b, opBalance, accounts)
}

// bulk runs the weigher with one of its opcodes: at most BalanceBatch accounts.
func (n *Node) bulk(ctx context.Context, b chain.Block, op string, accounts []common.Address) ([]*big.Int, error) {
	var code strings.Builder
	code.WriteString("0x" + weigherHead + op + weigherTail)
	for _, a := range accounts {
		code.WriteString(hex.EncodeToString(a[:]))
	}
	answer, err := ask[hexutil.Bytes](ctx, n.client, "eth_call", map[string]any{"data": code.String()}, atHash(b))
	if err != nil {
		return nil, stateError(err)
	}
	if len(answer) != word*(1+len(accounts)) {
		return nil, fmt.Errorf("%w: %d bytes for %d accounts", errBulk, len(answer), len(accounts))
	}
	at := new(big.Int).SetBytes(answer[:word])
	if !b.Time.IsZero() && at.Cmp(big.NewInt(b.Time.Unix())) != 0 {
		return nil, fmt.Errorf("%w: it ran at time %s, the block is of %d", errBulk, at, b.Time.Unix())
	}
	weights := make([]*big.Int, len(accounts))
	for i := range weights {
		weights[i] = new(big.Int).SetBytes(answer[word*(i+1) : word*(i+2)])
	}
	return weights, nil
}

func (n *Node) singleBalances(ctx context.Context, b chain.Block, accounts []common.Address) ([]*big.Int, error) {
	params := make([][]any, len(accounts))
	for i, a := range accounts {
		params[i] = []any{a, atHash(b)}
	}
	got, err := askAll[hexutil.Big](ctx, n.client, "eth_getBalance", params)
	if err != nil {
		return nil, stateError(err)
	}
	weights := make([]*big.Int, len(got))
	for i := range got {
		weights[i] = got[i].ToInt()
	}
	return weights, nil
}

// stateWords are how nodes say that they have pruned the state asked for, or are too light to have it.
var stateWords = [][]string{
	{"missing trie node"},           // geth with a hash database
	{"state", "not available"},      // geth with a path database, erigon
	{"state", "unavailable"},        // besu, nethermind
	{"no state available"},          // nethermind
	{"state", "pruned"},             // reth and others
	{"old data", "pruning"},         // erigon
	{"archive"},                     // public nodes
	{"maximum proof window"},        // reth
	{"state histories", "indexed"},  // geth while it indexes
	{"metadata is not found"},       // geth without that state history
	{"state", "not found"},          // others
	{"historical", "not available"}, // others
}

// stateError makes errState of a refusal that says so. The words are all there is: nodes have no code for it in common.
func stateError(err error) error {
	var refusal *rpcError
	if !errors.As(err, &refusal) {
		return err
	}
	said := strings.ToLower(refusal.Message)
next:
	for _, words := range stateWords {
		for _, w := range words {
			if !strings.Contains(said, w) {
				continue next
			}
		}
		return fmt.Errorf("%w: %w", errState, err)
	}
	return err
}

// notBlock tells whether a refusal is about the block itself, not its state (EIP-1898 and what nodes say).
func notBlock(err error) bool {
	var refusal *rpcError
	if !errors.As(err, &refusal) {
		return false
	}
	said := strings.ToLower(refusal.Message)
	return refusal.Code == -32001 || strings.Contains(said, "header not found") || strings.Contains(said, "header for hash not found") ||
		strings.Contains(said, "block not found") || strings.Contains(said, "unknown block") || strings.Contains(said, "not currently canonical")
}
