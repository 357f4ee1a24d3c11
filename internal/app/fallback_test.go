package app

import (
	"fmt"
	"testing"

	"github.com/pipe-pg/pipe/internal/money"
)

// Real coins wait for an estimate unless the operator says otherwise; test networks, which seldom have one, do not.
func TestFallbackFee(t *testing.T) {
	for _, c := range []struct{ network, set, want string }{
		{"mainnet", "", "0"}, {"testnet4", "", "5000"}, {"signet", "", "5000"}, {"regtest", "", "0"},
		{"mainnet", "12", "12000"}, {"signet", "0", "0"}, {"regtest", "3", "3000"},
		{"mainnet", "-2", "refused"}, {"mainnet", "301", "refused"}, {"mainnet", "few", "refused"},
	} {
		config, err := LoadConfig("", []string{
			"PIPE_BITCOIN=" + c.network, "PIPE_BITCOIN_NODES=http://u:p@127.0.0.1:1", "PIPE_BITCOIN_FALLBACK_FEE=" + c.set,
		})
		got := "refused"
		if err == nil {
			got = config.fallback(money.Network("bitcoin/" + c.network)).Units()
		}
		if got != c.want {
			t.Errorf("%s, set to %q: %s, want %s (%s)", c.network, c.set, got, c.want, fmt.Sprint(err))
		}
	}
}
