package ethereum

import (
	"context"
	"errors"
	"math/big"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// TestTogether drives the chain from several sides at once, as a demo does.
func TestTogether(t *testing.T) {
	r := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	watch := func(f func() error) {
		group.Go(func() {
			for ctx.Err() == nil {
				if err := f(); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	watch(func() error {
		_, _, err := r.Mine(ctx, 1)
		return err
	})
	watch(func() error {
		_, _, err := r.Reorg(ctx, 2, nil)
		if errors.Is(err, ErrRange) { // not two blocks yet
			return nil
		}
		return err
	})
	watch(func() error { // a block that was the head can be read by its hash, wherever the head has gone
		h, err := r.client.HeaderByNumber(ctx, nil)
		if err != nil {
			return err
		}
		_, err = r.client.BalanceAtHash(ctx, common.HexToAddress(address(1)), h.Hash())
		return err
	})
	const payments = 200
	for range payments {
		r.must(r.PayByContract(t.Context(), address(1), big.NewInt(1)))
	}
	cancel()
	group.Wait()
	r.mine(2)
	r.wantBalance(address(1), payments)
}

// TestCloseWhileSending closes a chain under requests that need it.
func TestCloseWhileSending(t *testing.T) {
	r := open(t, t.TempDir())
	other := r.account(1)
	r.must(r.Pay(t.Context(), other.address().Hex(), big.NewInt(1e18)))
	r.mine(1)
	started := make(chan struct{})
	var once sync.Once
	var group sync.WaitGroup
	group.Go(func() {
		defer once.Do(func() { close(started) })
		for {
			if err := r.client.SendTransaction(t.Context(), other.sign(address(1), 1)); err != nil {
				return // closed
			}
			other.nonce++
			once.Do(func() { close(started) })
		}
	})
	<-started
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	group.Wait()
}
