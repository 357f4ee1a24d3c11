// Package ethereum is the seam over Ethereum nodes: any chain that speaks Ethereum's JSON-RPC. It holds no key.
//
// A credit is a rise of an account's balance at a block's hash. Balances, not transactions, decide, so that coins from
// contracts and exchanges are found on any node without a tracing interface, and so that a transaction that failed, or an
// event of a false token, is worth nothing. Plain transactions only supply the sender and the txid.
package ethereum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strconv"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// Options say which node to ask, and how far to believe it.
type Options struct {
	Network money.Network // "ethereum/" and the decimal chain id
	URL     string        // http or https; user and password may be in it
	// MaxTipAge is the age of the tip from which the node is blind; 0 is never.
	MaxTipAge time.Duration
	// FinalityStall is how many blocks the finalized one may lie behind the tip before Check warns; 0 is the constant of
	// that name.
	FinalityStall uint64
	Now           func() time.Time
	Log           *slog.Logger
}

// A Node is one endpoint of one network. It keeps no table, file or goroutine and meets chain.Reader; every method is safe
// for concurrent use.
type Node struct {
	options Options
	client  *client
	chainID uint64
	signer  types.Signer

	turn chan struct{} // holds one token: who has it may check the network

	mu      sync.Mutex // guards what follows
	checked bool       // the endpoint showed the right network, and nothing went wrong since
	genesis common.Hash
	said    map[string]bool // warnings given once
}

var _ chain.Reader = (*Node)(nil)

// Open makes a Node. It does not dial: the network is checked at the first use, and again after every failure. Errors: a
// network that is not "ethereum/<chain id>", and a URL that is not one of HTTP.
func Open(o Options) (*Node, error) {
	id, err := ChainID(o.Network)
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	c, err := newClient(o.URL)
	if err != nil {
		return nil, fmt.Errorf("open node of %s: %w", o.Network, err)
	}
	if o.Now == nil || o.Log == nil {
		return nil, errors.New("open node: clock or log is missing")
	}
	if o.FinalityStall == 0 {
		o.FinalityStall = FinalityStall
	}
	return &Node{
		options: o, client: c, chainID: id,
		signer: types.LatestSignerForChainID(new(big.Int).SetUint64(id)),
		turn:   make(chan struct{}, 1),
		said:   map[string]bool{},
	}, nil
}

// ChainID is the EIP-155 chain id in a network's name, above zero.
func ChainID(n money.Network) (uint64, error) {
	id, err := strconv.ParseUint(n.Name(), 10, 63)
	if n.Coin() != money.ETH || err != nil || id == 0 || strconv.FormatUint(id, 10) != n.Name() {
		return 0, fmt.Errorf("%q is not ethereum/<chain id>", clip(string(n), maxRepeated))
	}
	return id, nil
}

// Name is the endpoint's host and port: no path, which may hold a provider's key.
func (n *Node) Name() string { return n.client.name }

// Close lets go of idle connections.
func (n *Node) Close() { n.client.http.CloseIdleConnections() }

// knownGenesis is the first block of the public networks.
var knownGenesis = map[uint64]common.Hash{
	1:        params.MainnetGenesisHash,
	11155111: params.SepoliaGenesisHash,
	560048:   params.HoodiGenesisHash,
}

// ready makes sure that the endpoint serves the right network. Errors: chain.ErrNetwork.
func (n *Node) ready(ctx context.Context) error {
	if n.isChecked() {
		return nil
	}
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		return fmt.Errorf("check network: %w", ctx.Err())
	}
	if n.isChecked() { // by the one before us
		return nil
	}
	id, err := ask[hexutil.Big](ctx, n.client, "eth_chainId")
	if err != nil {
		return fmt.Errorf("check network: %w", err)
	}
	if id.ToInt().Cmp(new(big.Int).SetUint64(n.chainID)) != 0 {
		return fmt.Errorf("node %s serves chain id %s, not %d: %w", n.client.name, id.ToInt(), n.chainID, chain.ErrNetwork)
	}
	first, err := ask[header](ctx, n.client, "eth_getBlockByNumber", "0x0", false)
	if err != nil {
		return fmt.Errorf("check network: read first block: %w", err)
	}
	return n.remember(first.hash)
}

// remember compares the first block with the known one, and with the one seen before: another chain may bear the same id.
func (n *Node) remember(genesis common.Hash) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	want, known := knownGenesis[n.chainID]
	if !known {
		want = n.genesis
	}
	if want != (common.Hash{}) && genesis != want {
		return fmt.Errorf("node %s has first block %s, not %s: %w", n.client.name, genesis, want, chain.ErrNetwork)
	}
	n.genesis, n.checked = genesis, true
	return nil
}

func (n *Node) isChecked() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.checked
}

// doubt has the network checked again before the next use, after an error that is not the node's plain refusal: another
// node may answer at this URL by then. It returns err.
func (n *Node) doubt(err error) error {
	var refusal *rpcError
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.checked = false
	return err
}

// warnOnce logs what a node's answers made us take on trust, once for each kind.
func (n *Node) warnOnce(kind string, args ...any) {
	n.mu.Lock()
	said := n.said[kind]
	n.said[kind] = true
	n.mu.Unlock()
	if !said {
		n.options.Log.Warn(kind, append(args, "network", string(n.options.Network), "node", n.client.name)...)
	}
}
