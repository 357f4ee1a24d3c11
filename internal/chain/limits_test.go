package chain

import (
	"testing"

	"github.com/pipe-pg/pipe/internal/money"
)

// A network of no worth is known, and none of worth is taken for one.
func TestIsTest(t *testing.T) {
	for n, want := range map[money.Network]bool{
		"bitcoin/mainnet": false, "bitcoin/testnet4": true, "bitcoin/signet": true, "bitcoin/regtest": true,
		"ethereum/1": false, "ethereum/10": false, "ethereum/11155111": true, "ethereum/560048": true, "ethereum/1337": true,
	} {
		if IsTest(n) != want {
			t.Errorf("%s: %t", n, !want)
		}
	}
}
