package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"

	"github.com/pipe-pg/pipe/internal/chain"
)

var _ chain.Checker = (*Node)(nil)

// Check implements chain.Checker.
func (n *Node) Check(ctx context.Context) chain.Checkup {
	var c chain.Checkup
	if err := n.ready(ctx); err != nil {
		c.Add(chain.Bad, n.doubt(err).Error(), cure(err))
		return c
	}
	c.Add(chain.Fine, fmt.Sprintf("chain id %d", n.chainID), "")
	n.checkSoftware(ctx, &c)
	s, err := n.look(ctx)
	if err != nil {
		c.Add(chain.Bad, n.doubt(err).Error(), cure(err))
		return c
	}
	n.checkSight(s, &c)
	n.checkBalances(ctx, s.latest, &c)
	n.checkPeers(ctx, &c)
	n.checkPool(ctx, &c)
	n.checkFees(ctx, s.latest, &c)
	return c
}

func (n *Node) checkSoftware(ctx context.Context, c *chain.Checkup) {
	version, err := ask[string](ctx, n.client, "web3_clientVersion")
	if err != nil {
		c.Add(chain.Warn, err.Error(), "open the module web3 on the node; without it nobody sees that it needs an upgrade")
		return
	}
	c.Version = clip(version, maxQuoted)
	c.Add(chain.Fine, "version "+c.Version, "")
}

// checkSight looks at what the node says of its own standing.
func (n *Node) checkSight(s sight, c *chain.Checkup) {
	tip := s.latest.place()
	c.Height = tip.Height
	if s.latest.opaque != "" {
		c.Add(chain.Warn, "block hashes are the node's word: "+s.latest.opaque, "upgrade PIPE; until then set up a second endpoint")
	}
	if s.syncing != "" {
		c.Add(chain.Bad, "node is syncing, "+s.syncing, "wait until it has caught up; if the number does not rise, look at its log, its disk and its consensus client")
	}
	switch age := n.options.Now().Sub(tip.Time).Round(time.Second); {
	case n.options.MaxTipAge > 0 && age > n.options.MaxTipAge:
		c.Add(chain.Bad, fmt.Sprintf("block %d, %s old", tip.Height, age), "check the node's consensus client and its connection, and this machine's clock")
	default:
		c.Add(chain.Fine, fmt.Sprintf("block %d, %s old", tip.Height, age), "")
	}
	switch behind := tip.Height - min(tip.Height, s.final); {
	case s.final == 0:
		c.Add(chain.Warn, "node calls no block finalized", "ask for a number of blocks instead of finality on this network, or upgrade the node")
	case behind > n.options.FinalityStall:
		c.Add(chain.Warn, fmt.Sprintf("block %d finalized, %d blocks behind: finality stalls", s.final, behind), "settlements and large amounts wait; look at a public explorer whether the whole chain stalls, else at the consensus client")
	default:
		c.Add(chain.Fine, fmt.Sprintf("block %d finalized, %d blocks behind", s.final, behind), "")
	}
}

// checkBalances tries what every scan needs: balances at a block's hash, in bulk.
func (n *Node) checkBalances(ctx context.Context, latest header, c *chain.Checkup) {
	b, probe := latest.place(), []common.Address{latest.Coinbase}
	bulk, err := n.bulkBalances(ctx, b, probe)
	if err == nil {
		single, singleErr := n.singleBalances(ctx, b, probe)
		if singleErr == nil && single[0].Cmp(bulk[0]) != 0 {
			c.Add(chain.Bad, fmt.Sprintf("node tells two balances of %s at one block", probe[0]), "do not use this node")
			return
		}
		c.Add(chain.Fine, fmt.Sprintf("balances at a block's hash, %d a call", BalanceBatch), "")
		return
	}
	if _, err := n.singleBalances(ctx, b, probe); err != nil {
		c.Add(chain.Bad, "balances at a block's hash: "+err.Error(), "use a node that serves eth_getBalance by block hash (EIP-1898); deposits from contracts cannot be found otherwise")
		return
	}
	c.Add(chain.Warn, "balances only one by one: "+err.Error(), "allow eth_call of 4 KiB and more with block hashes (EIP-1898); with many open invoices this node gets slow")
}

func (n *Node) checkPeers(ctx context.Context, c *chain.Checkup) {
	peers, err := ask[hexutil.Uint64](ctx, n.client, "net_peerCount")
	switch dev := chain.IsDev(n.options.Network); {
	case err != nil:
		c.Add(chain.Warn, err.Error(), "open the module net on the node; without it nobody sees that it is cut off")
	case peers == 0 && !dev:
		c.Add(chain.Bad, "no peers: it cannot hear of new blocks", "open port 30303 for TCP and UDP; check that the consensus client runs")
	case peers < MinPeers && !dev:
		c.Add(chain.Warn, fmt.Sprintf("only %d peers", uint64(peers)), "open port 30303 for TCP and UDP; a node with few peers is cut off easily")
	default:
		c.Add(chain.Fine, fmt.Sprintf("%d peers", uint64(peers)), "")
	}
}

// checkPool tells how payments are seen before a block holds them.
func (n *Node) checkPool(ctx context.Context, c *chain.Checkup) {
	if _, full, err := n.pool(ctx); err == nil && full {
		c.Add(chain.Fine, "pool can be read as a whole", "")
		return
	}
	c.Add(chain.Fine, "pool is not read as a whole: pending payments show as far as the node's next block holds them", "")
}

// checkFees tries what payouts need: fees, and an account's code.
func (n *Node) checkFees(ctx context.Context, latest header, c *chain.Checkup) {
	rate, err := n.fees(ctx)
	if err == nil {
		_, err = ask[hexutil.Bytes](ctx, n.client, "eth_getCode", latest.Coinbase, "latest")
	}
	if err != nil {
		c.Add(chain.Warn, err.Error(), "open eth_feeHistory and eth_getCode on the node; without them payouts wait")
		return
	}
	c.Add(chain.Fine, "gas for payouts costs "+gwei(rate)+" gwei", "")
}

// gwei is a rate in billionths of a coin.
func gwei(rate *big.Int) string {
	return new(big.Rat).SetFrac(rate, big.NewInt(params.GWei)).FloatString(3)
}

// cure says what to do about an error of the node.
func cure(err error) string {
	var refusal *rpcError
	switch {
	case errors.Is(err, chain.ErrNetwork):
		return "give the URL of a node of the configured network, or change the network"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("the node did not answer within %s: check that it runs, its load and the way to it", chain.RPCTimeout)
	case errors.As(err, &refusal):
		return "open the modules eth, net and web3 on the node (geth: --http.api eth,net,web3)"
	case errors.Is(err, chain.ErrBlind):
		return "check that the node runs with HTTP JSON-RPC, that the URL's host, port and key are right, and that its firewall lets this machine in"
	}
	return "check that the URL is that of an Ethereum node's JSON-RPC, and look at the node's log"
}
