// Package bitcoin reads Bitcoin through the JSON-RPC of Bitcoin Core, watch-only. It believes a node as little as it can:
// hashes, work, linkage and merkle roots are computed from the raw bytes.
package bitcoin

import (
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/pipe-pg/pipe/internal/money"
)

// network is what sets one Bitcoin network apart.
type network struct {
	name    money.Network
	core    string // what getblockchaininfo calls it
	params  *chaincfg.Params
	genesis string
	// steady: difficulty moves only every 2,016 blocks, and at most by a factor of four.
	steady bool
}

// networkOf knows mainnet, testnet4, signet and regtest.
func networkOf(n money.Network) (network, error) {
	known := map[money.Network]network{
		"bitcoin/mainnet":  {core: "main", params: &chaincfg.MainNetParams, steady: true},
		"bitcoin/testnet4": {core: "testnet4", params: &chaincfg.TestNet4Params},
		"bitcoin/signet":   {core: "signet", params: &chaincfg.SigNetParams, steady: true},
		"bitcoin/regtest":  {core: "regtest", params: &chaincfg.RegressionNetParams},
	}
	net, ok := known[n]
	if !ok {
		return network{}, fmt.Errorf("unknown Bitcoin network %q", string(n))
	}
	net.name, net.genesis = n, net.params.GenesisHash.String()
	return net, nil
}
