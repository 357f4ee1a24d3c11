package signer

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/ethereum/go-ethereum/crypto"
	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/money"
)

const (
	abandon = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	junk    = "test test test test test test test test test test test junk"
)

func ringOf(t testing.TB, phrase string) *keyring {
	t.Helper()
	seed, err := seedOf(phrase, "")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := newKeyring(seed)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func addressOf(t testing.TB, ring *keyring, n money.Network, branch, index uint32) string {
	t.Helper()
	at, err := placeOf(n)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ring.branch(at, branch)
	if err != nil {
		t.Fatal(err)
	}
	text, err := addressAt(at, key, index)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// BIP-84's own vectors, the same phrase on the test networks as wallets know it, and the accounts that Ethereum's
// development tools print for their phrase.
func TestDeriveVectors(t *testing.T) {
	for _, v := range []struct {
		phrase        string
		network       money.Network
		branch, index uint32
		want          string
	}{
		{abandon, "bitcoin/mainnet", 0, 0, "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"},
		{abandon, "bitcoin/mainnet", 0, 1, "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"},
		{abandon, "bitcoin/testnet4", 0, 0, "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl"},
		{abandon, "bitcoin/signet", 0, 0, "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl"},
		{abandon, "bitcoin/regtest", 0, 0, "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk"},
		{abandon, "ethereum/1", 0, 0, "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"},
		{junk, "ethereum/1", 0, 0, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"},
		{junk, "ethereum/1", 0, 1, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"},
		{junk, "ethereum/1337", 0, 2, "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"},
		{junk, "ethereum/11155111", 0, 3, "0x90F79bf6EB2c4f870365E785982E1f101E93b906"},
	} {
		if got := addressOf(t, ringOf(t, v.phrase), v.network, v.branch, v.index); got != v.want {
			t.Errorf("%s %d/%d: %s, want %s", v.network, v.branch, v.index, got, v.want)
		}
	}
}

// EIP-55's own vectors.
func TestChecksumVectors(t *testing.T) {
	for _, want := range strings.Fields(`
		0x52908400098527886E0F7030069857D2E4169EE7 0x8617E340B3D01FA5F11F306F4090FD50E238070D
		0xde709f2102306220921060314715629080e2fb77 0x27b1fdb04752bbc536007a920d24acb045561c26
		0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed 0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359
		0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB 0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb`) {
		raw, err := hex.DecodeString(strings.ToLower(want[2:]))
		if err != nil {
			t.Fatal(err)
		}
		if got := checksummed(raw); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// What public derivation gives must be what the private key opens, walked step by step and read by other code.
func TestDeriveAgainstPrivate(t *testing.T) {
	seed, err := seedOf(junk, "")
	if err != nil {
		t.Fatal(err)
	}
	ring := ringOf(t, junk)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.SampledFrom([]money.Network{"bitcoin/mainnet", "bitcoin/regtest", "ethereum/1"}).Draw(rt, "network")
		branch := rapid.Uint32Range(0, MaxIndex-1).Draw(rt, "branch")
		index := rapid.Uint32Range(0, MaxIndex-1).Draw(rt, "index")
		at, err := placeOf(n)
		if err != nil {
			rt.Fatal(err)
		}
		const hardened = hdkeychain.HardenedKeyStart
		key, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams)
		for _, step := range []uint32{hardened + at.purpose, hardened + at.coin, hardened + branch, 0, index} {
			if err == nil {
				key, err = key.Derive(step)
			}
		}
		if err != nil {
			rt.Fatal(err)
		}
		private, err := key.ECPrivKey()
		if err != nil {
			rt.Fatal(err)
		}
		want := crypto.PubkeyToAddress(private.ToECDSA().PublicKey).Hex()
		if at.bitcoin != nil {
			a, err := address.NewAddressWitnessPubKeyHash(address.Hash160(private.PubKey().SerializeCompressed()), at.bitcoin)
			if err != nil {
				rt.Fatal(err)
			}
			want = a.EncodeAddress()
			if back, err := address.DecodeAddress(want, at.bitcoin); err != nil || !back.IsForNet(at.bitcoin) {
				rt.Fatalf("%s: %v", want, err)
			}
		}
		if got := addressOf(t, ring, n, branch, index); got != want {
			rt.Fatalf("%s, want %s", got, want)
		}
	})
}

func TestNetworks(t *testing.T) {
	for _, n := range []money.Network{"", "bitcoin", "bitcoin/", "bitcoin/main", "bitcoin/Mainnet", "bitcoin/testnet3", "ethereum/",
		"ethereum/0", "ethereum/01", "ethereum/+1", "ethereum/-1", "ethereum/1 ", "ethereum/mainnet", "ethereum/18446744073709551616",
		"dogecoin/mainnet", "/1"} {
		if at, err := placeOf(n); !errors.Is(err, ErrNetwork) {
			t.Errorf("%q: %v, %v", n, at, err)
		}
	}
	for _, n := range []money.Network{"ethereum/1", "ethereum/18446744073709551615", "bitcoin/signet"} {
		if _, err := placeOf(n); err != nil {
			t.Errorf("%q: %v", n, err)
		}
	}
}

func TestBranchKeysAreBounded(t *testing.T) {
	ring := ringOf(t, junk)
	at, err := placeOf("ethereum/1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint32(MaxBranchKeys) {
		ring.branches[branchKey{1, 1, i}] = nil
	}
	if _, err := ring.branch(at, 7); err != nil {
		t.Fatal(err)
	}
	if n := len(ring.branches); n != MaxBranchKeys {
		t.Fatalf("%d keys kept", n)
	}
	ring.close()
	if _, err := ring.branch(at, 7); !errors.Is(err, ErrClosed) {
		t.Fatalf("after close: %v", err)
	}
}

func BenchmarkAddress(b *testing.B) {
	for _, n := range []money.Network{"bitcoin/mainnet", "ethereum/1"} {
		b.Run(string(n.Coin()), func(b *testing.B) {
			ring := ringOf(b, junk)
			at, err := placeOf(n)
			if err != nil {
				b.Fatal(err)
			}
			for i := range b.N {
				key, err := ring.branch(at, 5)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := addressAt(at, key, uint32(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
