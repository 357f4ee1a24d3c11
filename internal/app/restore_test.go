package app

import (
	"fmt"
	"math/big"
	"path/filepath"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
	"github.com/pipe-pg/pipe/internal/devchain/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/signer"
)

// The words alone find every coin on both chains: of several merchants, behind gaps, and on accounts.
func TestFindAll(t *testing.T) {
	ctx := t.Context()
	btc, err := bitcoin.Open(ctx, bitcoin.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer btc.Close()
	eth, err := ethereum.Open(ctx, ethereum.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer eth.Close()
	c := testConfig(t, "PIPE_BITCOIN_NODES="+btc.URL(), "PIPE_ETHEREUM=1337", "PIPE_ETHEREUM_NODES="+eth.URL(), "PIPE_RATES=fixed:BTC/USD=68500;ETH/USD=3500")
	o := signer.Options{Dir: filepath.Join(c.Data, "signer"), Passphrase: signer.NewSecret("a long passphrase"), KDF: signer.KDF{Memory: 8, Passes: 1, Lanes: 1}}
	phrase, err := signer.Create(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := map[string]bool{}
	var behind uint32
	for branch, indexes := range map[uint32][]uint32{0: {0, 3, 40}, 2: {19, 55, 90}} {
		for _, n := range []money.Network{"bitcoin/regtest", "ethereum/1337"} {
			b, err := s.Release(ctx, chain.Want{Merchant: fmt.Sprint("m", branch), Branch: branch, Network: n, Count: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range indexes {
				address, sats := b.Addresses[i].Address, int64(10_000+i)
				amount := money.Of(n.Coin(), sats)
				if n.Coin() == money.BTC {
					_, err = btc.Pay(ctx, address, sats)
				} else {
					_, err = eth.Pay(ctx, address, big.NewInt(sats))
				}
				if err != nil {
					t.Fatal(err)
				}
				want[fmt.Sprint(n, branch, i, address, amount)] = true
				behind = max(behind, i+1)
			}
		}
	}
	if _, _, err := btc.Mine(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := eth.Mine(ctx, 1); err != nil {
		t.Fatal(err)
	}
	looks := 0
	found, next, err := FindAll(ctx, c, phrase, Search{Gap: 40, Branches: 2, Progress: func(money.Network, uint32, uint32) { looks++ }})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		key := fmt.Sprint(f.Network, f.Branch, f.Index, f.Address, f.Amount)
		if !want[key] {
			t.Errorf("found %s, which nobody sent, or twice", key)
		}
		delete(want, key)
	}
	for key := range want {
		t.Errorf("not found: %s", key)
	}
	if next != behind || looks == 0 {
		t.Errorf("new addresses would begin at %d, want %d; %d looks", next, behind, looks)
	}
}
