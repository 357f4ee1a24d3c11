package bitcoin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

// minVersion is the oldest Bitcoin Core whose answers are as PIPE expects them: 22.0.
const minVersion = 220000

var _ chain.Checker = (*Reader)(nil)

// Check implements chain.Checker.
func (r *Reader) Check(ctx context.Context) chain.Checkup {
	var c chain.Checkup
	info, err := r.info(ctx)
	if err != nil {
		c.Add(chain.Bad, err.Error(), cure(err))
		return c
	}
	c.Height = info.Blocks
	c.Add(chain.Fine, fmt.Sprintf("chain %s, block %d", info.Chain, info.Blocks), "")
	if err := r.greet(ctx); err != nil {
		c.Add(chain.Bad, err.Error(), cure(err))
		return c
	}
	if _, err := r.Head(ctx); err != nil {
		c.Add(chain.Bad, err.Error(), cure(err))
	}
	if behind := info.Headers - min(info.Headers, info.Blocks); behind > 0 {
		c.Add(chain.Warn, fmt.Sprintf("node knows %d blocks that it has not read yet", behind), "wait until it has caught up; if the number does not fall, look at its log and its disk")
	}
	if info.Pruned {
		c.Add(chain.Fine, fmt.Sprintf("pruned: blocks from %d on", info.PruneHeight), "")
	}
	r.checkNetwork(ctx, &c)
	r.checkMempool(ctx, &c)
	r.checkSending(ctx, &c)
	return c
}

// checkNetwork looks at version, warnings and peers.
func (r *Reader) checkNetwork(ctx context.Context, c *chain.Checkup) {
	var net struct {
		Version    int             `json:"version"`
		Subversion string          `json:"subversion"`
		Peers      int             `json:"connections"`
		Warnings   json.RawMessage `json:"warnings"` // a text, since Core 28 a list of texts
	}
	if err := r.node.call(ctx, &net, "getnetworkinfo"); err != nil {
		c.Add(chain.Warn, err.Error(), "allow the method getnetworkinfo to this user (rpcwhitelist)")
		return
	}
	c.Version = fmt.Sprintf("%s (%d)", clip(net.Subversion), net.Version)
	if net.Version < minVersion {
		c.Add(chain.Warn, "version "+c.Version+" is old", "upgrade to a version that still gets security fixes")
	} else {
		c.Add(chain.Fine, "version "+c.Version, "")
	}
	switch dev := chain.IsDev(r.net.name); {
	case net.Peers == 0 && !dev:
		c.Add(chain.Bad, "no peers: it cannot hear of new blocks", "open outgoing connections to port 8333 (testnet4 48333, signet 38333), or set proxy=")
	case net.Peers < 3 && !dev:
		c.Add(chain.Warn, fmt.Sprintf("only %d peers", net.Peers), "open outgoing connections; a node with few peers is cut off easily")
	default:
		c.Add(chain.Fine, fmt.Sprintf("%d peers", net.Peers), "")
	}
	for _, w := range texts(net.Warnings) {
		c.Add(chain.Warn, "node warns: "+clip(w), "read the node's log; a warning about unknown rules asks for an upgrade")
	}
}

// checkMempool tells whether payments can be seen before a block holds them.
func (r *Reader) checkMempool(ctx context.Context, c *chain.Checkup) {
	var pool struct {
		Loaded *bool `json:"loaded"`
		Size   int   `json:"size"`
	}
	switch err := r.node.call(ctx, &pool, "getmempoolinfo"); {
	case err != nil:
		c.Add(chain.Warn, err.Error(), "allow getmempoolinfo, getrawmempool and getrawtransaction to this user (rpcwhitelist); without them payments show only when mined")
	case pool.Loaded != nil && !*pool.Loaded:
		c.Add(chain.Warn, "mempool is still loading", "wait; payments show late meanwhile")
	default:
		c.Add(chain.Fine, fmt.Sprintf("mempool of %d transactions", pool.Size), "")
	}
}

// checkSending tells whether payouts can be built and sent.
func (r *Reader) checkSending(ctx context.Context, c *chain.Checkup) {
	const cure = "allow estimatesmartfee, sendrawtransaction and getmempoolentry to this user (rpcwhitelist); without them payouts wait"
	rate, err := r.estimate(ctx, DefaultTarget)
	switch {
	case err != nil:
		c.Add(chain.Warn, err.Error(), cure)
	case rate == 0 && r.fallback.Sign() > 0:
		c.Add(chain.Fine, fmt.Sprintf("no fee estimate: payouts pay the fallback of %d satoshi per 1,000 virtual bytes", r.fallback.Big()), "")
	case rate == 0 && !chain.IsDev(r.net.name):
		c.Add(chain.Warn, "node has no fee estimate: payouts wait for one",
			"let it run some hours with a mempool (blocksonly=1 must not be set), or set PIPE_BITCOIN_FALLBACK_FEE")
	case rate > 0:
		c.Add(chain.Fine, fmt.Sprintf("fee estimate of %d satoshi per 1,000 virtual bytes", rate), "")
	}
	var none string
	if err := r.node.call(ctx, &none, "sendrawtransaction", "00"); !hasCode(err, codeDeserialization) { // what every node refuses to decode
		c.Add(chain.Warn, fmt.Sprintf("sendrawtransaction does not answer as it should: %v", err), cure)
	}
}

// texts reads Core's warnings: one text, or a list.
func texts(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{one}
	}
	return nil
}

// cure says what to do about an error of the reader.
func cure(err error) string {
	switch {
	case errors.Is(err, errAuth):
		return "set the right user and password in the URL, or the path of the node's .cookie file; check rpcallowip"
	case errors.Is(err, chain.ErrNetwork):
		return "give the URL of a node of the configured network, or change the network"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("the node did not answer within %s: check that it runs, its load and the way to it", chain.RPCTimeout.Round(time.Second))
	case errors.Is(err, chain.ErrBlind):
		return "check that bitcoind runs with server=1, that the URL's host and port are right, and that it has caught up"
	}
	return "look at the node's log"
}
