package signer

import (
	"errors"
	"slices"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
)

// What was released is derived again, to the merchant that it was released to, and nothing else is.
func TestReleasedAgain(t *testing.T) {
	o, _ := create(t)
	s := open(t, o)
	ctx := t.Context()
	w := chain.Want{Merchant: "m", Branch: 3, Network: "bitcoin/regtest", Count: 5}
	first, err := s.Release(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Released(ctx, w, first.Addresses[0].Index)
	if err != nil || !slices.Equal(again.Addresses, first.Addresses) || again.Epoch != first.Epoch {
		t.Errorf("derived again: %v, %v; want %v", again, err, first)
	}
	for name, q := range map[string]struct {
		w    chain.Want
		from uint32
	}{
		"beyond the mark":  {w, 1},
		"another merchant": {chain.Want{Merchant: "n", Branch: 3, Network: w.Network, Count: 1}, 0},
		"another branch":   {chain.Want{Merchant: "m", Branch: 4, Network: w.Network, Count: 1}, 0},
		"another network":  {chain.Want{Merchant: "m", Branch: 3, Network: "ethereum/1337", Count: 1}, 0},
		"wrapped around":   {w, 1<<32 - 2},
		"none":             {chain.Want{Merchant: "m", Branch: 3, Network: w.Network}, 0},
	} {
		if _, err := s.Released(ctx, q.w, q.from); !errors.Is(err, ErrWant) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStamp(t *testing.T) {
	o, _ := create(t)
	s := open(t, o)
	ctx := t.Context()
	for _, want := range []string{"", "a", "b"} {
		if want != "" {
			if err := s.Stamp(ctx, want); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := s.Marks(ctx); err != nil || m.Stamp != want {
			t.Errorf("stamp is %q, %v; want %q", m.Stamp, err, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if m, err := s.Marks(ctx); err != nil || m.Stamp != "b" {
		t.Errorf("after a restart the stamp is %q, %v", m.Stamp, err)
	}
	if err := s.Stamp(ctx, string(make([]byte, MaxStamp+1))); !errors.Is(err, ErrWant) {
		t.Errorf("a long stamp: %v", err)
	}
}
