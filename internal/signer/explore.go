package signer

import (
	"fmt"
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
)

// An Explorer derives the addresses of a recovery phrase, without a seed file or a journal: for looking on the chains what a
// seed owns when nothing else is left. It signs nothing.
type Explorer struct{ keys *keyring }

// Explore reads a recovery phrase of 24 words. Errors: ErrPhrase.
func Explore(phrase Secret) (*Explorer, error) {
	text, err := checkPhrase(phrase.Reveal())
	if err != nil {
		return nil, err
	}
	if n := len(strings.Fields(text)); n != phraseWords {
		return nil, fmt.Errorf("%w: it has %d words and must have %d", ErrPhrase, n, phraseWords)
	}
	seed, err := seedOf(text, "")
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	keys, err := newKeyring(seed)
	if err != nil {
		return nil, err
	}
	return &Explorer{keys}, nil
}

// Addresses are those of a branch from an index on, in the network's normal form. Errors: ErrWant, ErrNetwork, ErrClosed.
func (e *Explorer) Addresses(n money.Network, branch, from uint32, count int) ([]string, error) {
	if count < 1 || branch >= MaxIndex || uint64(from)+uint64(count) > MaxIndex {
		return nil, fmt.Errorf("%w: branch %d, %d addresses from %d", ErrWant, branch, count, from)
	}
	at, err := placeOf(n)
	if err != nil {
		return nil, err
	}
	key, err := e.keys.branch(at, branch)
	if err != nil {
		return nil, err
	}
	all := make([]string, count)
	for i := range all {
		if all[i], err = addressAt(at, key, from+uint32(i)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Close wipes the keys.
func (e *Explorer) Close() { e.keys.close() }
