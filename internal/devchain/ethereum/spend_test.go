package ethereum

import (
	"errors"
	"math/big"
	"testing"

	geth "github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

// need is the gas that a plain payment to an address would use, or an error.
func (r *rig) need(to string) (uint64, error) {
	address := common.HexToAddress(to)
	return r.client.EstimateGas(r.t.Context(), geth.CallMsg{From: common.HexToAddress(r.Faucet()), To: &address, Value: wei(1)})
}

func TestReceivers(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	refuser := r.must(r.NewRefuser(ctx))
	eater := r.must(r.NewEater(ctx, 30_000))
	glutton := r.must(r.NewEater(ctx, 150_000))
	destroyed := r.must(r.NewDestroyed(ctx))
	other := r.account(1)
	r.must(r.Pay(ctx, other.address().Hex(), wei(params.Ether)))
	r.mine(1)
	if gas, err := r.need(refuser); err == nil {
		t.Errorf("refuser takes coins for %d gas", gas)
	}
	for _, c := range []struct {
		name, to  string
		low, high uint64
	}{
		{"eater", eater, 51_000, 55_000}, {"glutton", glutton, 171_000, 178_000},
		{"destroyed", destroyed, 21_000, 21_000}, {"account", other.address().Hex(), 21_000, 21_000},
	} {
		if gas, err := r.need(c.to); err != nil || gas < c.low || gas > c.high {
			t.Errorf("%s takes coins for %d gas, %v; want %d to %d", c.name, gas, err, c.low, c.high)
		}
	}
	r.must(r.SetAppetite(ctx, eater, 90_000))
	key, err := crypto.ToECDSA(other.key)
	if err != nil {
		t.Fatal(err)
	}
	r.must(r.Delegate(ctx, key, 0, glutton)) // its own storage is empty: it eats nothing
	r.mine(1)
	if gas, err := r.need(eater); err != nil || gas < 111_000 || gas > 116_000 {
		t.Errorf("hungry eater takes coins for %d gas, %v", gas, err)
	}
	code, err := r.client.CodeAt(ctx, other.address(), nil)
	if err != nil || len(code) != 23 {
		t.Errorf("delegated account has code %x, %v", code, err)
	}
	if gas, err := r.need(other.address().Hex()); err != nil || gas <= 21_000 || gas > 30_000 {
		t.Errorf("delegated account takes coins for %d gas, %v", gas, err)
	}
	for name, err := range map[string]error{
		"appetite": second(r.NewEater(ctx, maxAppetite+1)), "new appetite": second(r.SetAppetite(ctx, eater, maxAppetite+1)),
	} {
		if !errors.Is(err, ErrRange) {
			t.Errorf("%s beyond its limit: %v", name, err)
		}
	}
}

func TestSendFaults(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	other := r.account(1)
	r.must(r.Pay(ctx, other.address().Hex(), wei(params.Ether)))
	r.mine(1)
	if err := r.FailNextSend(ctx, SendRefused, SendForgotten, SendLost); err != nil {
		t.Fatal(err)
	}
	tx := other.sign(address(1), 1)
	for i, wantErr := range []bool{true, false, true} {
		if err := r.client.SendTransaction(ctx, tx); (err != nil) != wantErr {
			t.Errorf("send %d: %v", i, err)
		}
		if there := r.eth.TxPool().Has(tx.Hash()); there != (i == 2) {
			t.Errorf("after send %d the pool has it: %v", i, there)
		}
	}
	if err := r.FailNextSend(ctx, make([]SendFault, maxFaults+1)...); !errors.Is(err, ErrRange) {
		t.Errorf("too many faults: %v", err)
	}
	second := other
	second.nonce++
	waits := second.send(address(2), 2)
	if err := r.Evict(ctx, tx.Hash().Hex()); err != nil {
		t.Fatal(err)
	}
	r.wantGone(tx.Hash().Hex())
	r.mine(1)
	r.wantBalance(address(2), 0) // it waits for the evicted one
	if err := r.Evict(ctx, tx.Hash().Hex()); !errors.Is(err, ErrUnknownTx) {
		t.Errorf("evict twice: %v", err)
	}
	if err := r.client.SendTransaction(ctx, tx); err != nil {
		t.Fatal(err)
	}
	r.mine(1)
	r.wantStatus(tx.Hash().Hex(), 1)
	r.wantStatus(waits, 1)
}

func TestFeeRate(t *testing.T) {
	r := open(t, t.TempDir())
	ctx := t.Context()
	other := r.account(1)
	r.must(r.Pay(ctx, other.address().Hex(), wei(params.Ether)))
	r.mine(1)
	if err := r.SetFeeRate(ctx, big.NewInt(50*params.GWei)); err != nil {
		t.Fatal(err)
	}
	history, err := r.client.FeeHistory(ctx, 5, nil, []float64{50})
	if err != nil || len(history.Reward) == 0 || history.Reward[0][0].Cmp(big.NewInt(50*params.GWei)) != 0 {
		t.Fatalf("fee history %+v, %v", history, err)
	}
	slow := other.send(address(1), 1) // one gwei
	quick := r.must(r.Pay(ctx, address(2), wei(2)))
	r.mine(2)
	r.wantStatus(quick, 1)
	r.wantBalance(address(1), 0)
	if err := r.SetFeeRate(ctx, new(big.Int)); err != nil {
		t.Fatal(err)
	}
	r.mine(1)
	r.wantStatus(slow, 1)
	if history, err = r.client.FeeHistory(ctx, 5, nil, []float64{50}); err != nil || history.Reward[0][0].Cmp(big.NewInt(50*params.GWei)) == 0 {
		t.Errorf("fee history after the spike %+v, %v", history, err)
	}
	for _, bad := range []*big.Int{nil, big.NewInt(-1), big.NewInt(maxFeeRate + 1)} {
		if err := r.SetFeeRate(ctx, bad); !errors.Is(err, ErrRange) {
			t.Errorf("fee rate %s: %v", bad, err)
		}
	}
}
