package bitcoin_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	devchain "github.com/pipe-pg/pipe/internal/devchain/bitcoin"
	"github.com/pipe-pg/pipe/internal/devchain/bitcoind"
	"github.com/pipe-pg/pipe/internal/money"
)

const regtest = money.Network("bitcoin/regtest")

// localChain is what our own regtest chain and a real bitcoind have in common.
type localChain interface {
	URL() string
	Pay(ctx context.Context, address string, sats int64) (string, error)
	PayMany(ctx context.Context, outputs []devchain.Output) (string, error)
	Mine(ctx context.Context, blocks int) (height int64, hash string, err error)
	Reorg(ctx context.Context, depth int, drop []string) (height int64, hash string, err error)
	DoubleSpend(ctx context.Context, txid string) (string, error)
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	Evict(ctx context.Context, txid string) error
}

// openDev starts a chain of our own in process.
func openDev(t testing.TB) localChain {
	t.Helper()
	c, err := devchain.Open(t.Context(), devchain.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close chain: %v", err)
		}
	})
	return c
}

func open(t testing.TB, url string) *bitcoin.Reader {
	t.Helper()
	r, err := bitcoin.Open(bitcoin.Options{Network: regtest, URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// addresses makes addresses of all five kinds in turn.
func addresses(t testing.TB, n int) []string {
	t.Helper()
	params := &chaincfg.RegressionNetParams
	var all []string
	for i := range n {
		key, err := btcec.NewPrivateKey()
		if err != nil {
			t.Fatal(err)
		}
		hash := make([]byte, 32)
		if _, err := rand.Read(hash); err != nil {
			t.Fatal(err)
		}
		var a address.Address
		switch i % 5 {
		case 0:
			a, err = address.NewAddressWitnessPubKeyHash(hash[:20], params)
		case 1:
			a, err = address.NewAddressTaproot(schnorr.SerializePubKey(key.PubKey()), params)
		case 2:
			a, err = address.NewAddressPubKeyHash(hash[:20], params)
		case 3:
			a, err = address.NewAddressScriptHashFromHash(hash[:20], params)
		default:
			a, err = address.NewAddressWitnessScriptHash(hash, params)
		}
		if err != nil {
			t.Fatal(err)
		}
		normal, err := bitcoin.ParseAddress(regtest, a.EncodeAddress())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, normal)
	}
	return all
}

func harness(c localChain, r chain.Reader) chaintest.Harness {
	return chaintest.Harness{
		Network: regtest, Reader: r, Addresses: addresses,
		Pay: func(ctx context.Context, a string, amount money.Amount) (string, error) {
			return c.Pay(ctx, a, amount.Big().Int64())
		},
		PayMany: func(ctx context.Context, outs []chaintest.Out) (string, error) {
			var all []devchain.Output
			for _, o := range outs {
				all = append(all, devchain.Output{Address: o.Address, Sats: o.Amount.Big().Int64()})
			}
			return c.PayMany(ctx, all)
		},
		DoubleSpend: func(ctx context.Context, txid string) error {
			_, err := c.DoubleSpend(ctx, txid)
			return err
		},
		Mine: func(ctx context.Context, n int) error {
			_, _, err := c.Mine(ctx, n)
			return err
		},
		Reorg: func(ctx context.Context, depth int, drop []string) error {
			_, _, err := c.Reorg(ctx, depth, drop)
			return err
		},
		Pause: c.Pause, Resume: c.Resume, Deeper: []int{24, 100},
	}
}

func TestConformanceOnRegtest(t *testing.T) {
	c := openDev(t)
	chaintest.Run(t, harness(c, open(t, c.URL())))
}

func TestConformanceOnBitcoind(t *testing.T) {
	c := bitcoind.ForTest(t)
	r := open(t, c.URL())
	h := harness(c, r)
	h.Deeper = []int{24} // a hundred blocks twice over take this node 40 s
	chaintest.Run(t, h)
	report := r.Check(t.Context())
	t.Logf("proven against %s", report.Version)
	if report.Worst() == chain.Bad || report.Height == 0 {
		t.Errorf("checkup %+v", report)
	}
}

func TestConformanceOfQuorum(t *testing.T) {
	c := openDev(t)
	for size := 1; size <= 3; size++ {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var all []chain.Named
			for i := range size {
				all = append(all, chain.Named{Name: fmt.Sprint(i), Reader: open(t, c.URL())})
			}
			q, err := chain.NewQuorum(regtest, all...)
			if err != nil {
				t.Fatal(err)
			}
			chaintest.Run(t, harness(c, q))
		})
	}
}

// TestHealthOfEndpoints is what the doctor shows: every endpoint with its height, its troubles and their cures.
func TestHealthOfEndpoints(t *testing.T) {
	c, down := openDev(t), openDev(t)
	if err := down.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	q, err := chain.NewQuorum(regtest, chain.Named{Name: "a", Reader: open(t, c.URL())}, chain.Named{Name: "b", Reader: open(t, c.URL())},
		chain.Named{Name: "c", Reader: open(t, down.URL())})
	if err != nil {
		t.Fatal(err)
	}
	report, err := q.Health(t.Context())
	if err != nil || len(report) != 3 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, h := range report[:2] {
		if h.Err != nil || h.Behind != 0 || h.Tip.Height == 0 || h.Checkup.Version == "" || h.Checkup.Worst() == chain.Bad {
			t.Errorf("%+v", h)
		}
	}
	if h := report[2]; h.Err == nil || h.Failures == 0 || h.Checkup.Worst() != chain.Bad || h.Checkup.Findings[0].Cure == "" {
		t.Errorf("%+v", h)
	}
}
