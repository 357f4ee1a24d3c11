package signer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"golang.org/x/crypto/sha3"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// ErrNetwork: no network of that name has addresses here.
var ErrNetwork = errors.New("signer: unknown network")

// A place is where a network's keys lie below the seed (BIP-44): m/purpose'/coin'/branch'/0/index. Two networks may share
// a place (the Bitcoin test networks do, and all Ethereum chains); their marks are apart, and a deposit counts on its
// network only.
type place struct {
	purpose, coin uint32
	bitcoin       *chaincfg.Params // nil: Ethereum
}

// placeOf knows every network that the seam can name. Ethereum's chain id must be in its plain decimal form, so that one
// chain cannot have two names and two marks.
func placeOf(n money.Network) (place, error) {
	switch n.Coin() {
	case money.BTC:
		switch n.Name() {
		case "mainnet":
			return place{84, 0, &chaincfg.MainNetParams}, nil
		case "testnet4":
			return place{84, 1, &chaincfg.TestNet4Params}, nil
		case "signet":
			return place{84, 1, &chaincfg.SigNetParams}, nil
		case "regtest":
			return place{84, 1, &chaincfg.RegressionNetParams}, nil
		}
	case money.ETH:
		id, err := strconv.ParseUint(n.Name(), 10, 64)
		if err == nil && id > 0 && strconv.FormatUint(id, 10) == n.Name() {
			return place{44, 60, nil}, nil
		}
	}
	return place{}, fmt.Errorf("%w: %.80q", ErrNetwork, string(n))
}

// A keyring derives. mu owns all fields; keys that it gives out are public ones, which no call changes. The seed lies in
// memory that is neither swapped nor dumped, where the system allows that; private keys are derived from it for the time of
// one use, and wiped.
type keyring struct {
	mu       sync.Mutex
	seed     []byte // of guarded memory; nil once closed
	branches map[branchKey]*hdkeychain.ExtendedKey
}

type branchKey struct{ purpose, coin, branch uint32 }

func newKeyring(seed []byte) (*keyring, error) {
	k := &keyring{branches: map[branchKey]*hdkeychain.ExtendedKey{}}
	kept, err := guardedMemory(len(seed))
	if err != nil {
		return nil, fmt.Errorf("keep seed: %w", err)
	}
	copy(kept, seed)
	k.seed = kept
	master, err := k.master()
	if err != nil {
		k.close()
		return nil, err
	}
	master.Zero()
	return k, nil
}

// master is the key of which all are descended. The caller holds mu and wipes it.
func (k *keyring) master() (*hdkeychain.ExtendedKey, error) {
	if k.seed == nil {
		return nil, ErrClosed
	}
	// The parameters only matter for the text form of extended keys, which is never made.
	master, err := hdkeychain.NewMaster(k.seed, &chaincfg.MainNetParams)
	if err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	return master, nil
}

// walk derives the private key m/purpose'/coin'/branch'/0, wiping what lies on the way. The caller holds mu and wipes it.
func (k *keyring) walk(p place, branch uint32) (*hdkeychain.ExtendedKey, error) {
	key, err := k.master()
	if err != nil {
		return nil, err
	}
	const hardened = hdkeychain.HardenedKeyStart
	for _, step := range []uint32{hardened + p.purpose, hardened + p.coin, hardened + branch, 0} {
		next, err := key.Derive(step)
		key.Zero()
		if err != nil {
			return nil, fmt.Errorf("derive branch %d: %w", branch, err)
		}
		key = next
	}
	return key, nil
}

// with lends the private key of an index for the time of one call.
func (k *keyring) with(p place, at chain.Key, do func(*btcec.PrivateKey) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	branch, err := k.walk(p, at.Branch)
	if err != nil {
		return err
	}
	defer branch.Zero()
	child, err := branch.Derive(at.Index)
	if err != nil {
		return fmt.Errorf("derive index %d: %w", at.Index, err)
	}
	defer child.Zero()
	key, err := child.ECPrivKey()
	if err != nil {
		return fmt.Errorf("derive index %d: %w", at.Index, err)
	}
	defer key.Zero()
	return do(key)
}

// branch is the public key under which a branch's addresses stand: m/purpose'/coin'/branch'/0. It is kept, as it costs five
// derivations and an address from it only one, and as it is public: no private key stays in memory.
func (k *keyring) branch(p place, branch uint32) (*hdkeychain.ExtendedKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seed == nil {
		return nil, ErrClosed
	}
	name := branchKey{p.purpose, p.coin, branch}
	if key := k.branches[name]; key != nil {
		return key, nil
	}
	key, err := k.walk(p, branch)
	if err != nil {
		return nil, err
	}
	defer key.Zero()
	public, err := publicOf(key)
	if err != nil {
		return nil, fmt.Errorf("derive branch %d: %w", branch, err)
	}
	if len(k.branches) >= MaxBranchKeys {
		for old := range k.branches {
			delete(k.branches, old)
			break
		}
	}
	k.branches[name] = public
	return public, nil
}

// publicOf is the public half with memory of its own: Neuter shares it with the private key, which is wiped.
func publicOf(key *hdkeychain.ExtendedKey) (*hdkeychain.ExtendedKey, error) {
	point, err := key.ECPubKey()
	if err != nil {
		return nil, fmt.Errorf("make public key: %w", err)
	}
	version := chaincfg.MainNetParams.HDPublicKeyID
	return hdkeychain.NewExtendedKey(version[:], point.SerializeCompressed(), key.ChainCode(), make([]byte, 4),
		key.Depth(), key.ChildIndex(), false), nil
}

func (k *keyring) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seed != nil {
		clear(k.seed)
		freeGuarded(k.seed)
		k.seed = nil
	}
	k.branches = nil
}

// addressAt is a branch's address in the network's normal form: bech32 of a witness key hash (BIP-84, BIP-173), or hex
// with the case checksum of EIP-55.
func addressAt(p place, branch *hdkeychain.ExtendedKey, index uint32) (string, error) {
	child, err := branch.Derive(index)
	if err != nil {
		return "", fmt.Errorf("derive index %d: %w", index, err)
	}
	point, err := child.ECPubKey()
	if err != nil {
		return "", fmt.Errorf("derive index %d: %w", index, err)
	}
	if p.bitcoin == nil {
		return ethereumAddress(point.SerializeUncompressed()[1:]), nil
	}
	a, err := address.NewAddressWitnessPubKeyHash(address.Hash160(point.SerializeCompressed()), p.bitcoin)
	if err != nil {
		return "", fmt.Errorf("write address %d: %w", index, err)
	}
	return a.EncodeAddress(), nil
}

// ethereumAddress is the last 20 bytes of the hash of the point's two coordinates.
func ethereumAddress(point []byte) string { return checksummed(keccak(point)[12:]) }

// checksummed writes 20 bytes as EIP-55 says: a letter is upper case where the hash of the lower-case text has a nibble
// of 8 or more.
func checksummed(raw []byte) string {
	text := []byte(hex.EncodeToString(raw))
	sum := hex.EncodeToString(keccak(text))
	for i, c := range text {
		if c >= 'a' && sum[i] >= '8' {
			text[i] = c - 'a' + 'A'
		}
	}
	return "0x" + string(text)
}

func keccak(data []byte) []byte {
	h := sha3.NewLegacyKeccak256()
	h.Write(data) // a hash never fails
	return h.Sum(nil)
}
