package signer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pipe-pg/pipe/internal/chain"
)

// Released derives addresses again that Release gave before, for a store that has lost them: w.Count from index from on.
// Nothing is journaled, as nothing new leaves. Errors: ErrWant where they were not all released, or the branch is another
// merchant's; ErrNetwork, ErrStopped, ErrClosed.
func (s *Signer) Released(ctx context.Context, w chain.Want, from uint32) (chain.Batch, error) {
	at, err := placeOf(w.Network)
	if err != nil {
		return chain.Batch{}, err
	}
	if w.Count < 1 || w.Count > MaxRelease {
		return chain.Batch{}, fmt.Errorf("%w: count 1 to %d", ErrWant, MaxRelease)
	}
	epoch, err := s.past(ctx, w, from)
	if err != nil {
		return chain.Batch{}, err
	}
	branch, err := s.keys.branch(at, w.Branch)
	if err != nil {
		return chain.Batch{}, err
	}
	batch := chain.Batch{Epoch: epoch}
	for i := range uint32(w.Count) {
		text, err := addressAt(at, branch, from+i)
		if err != nil {
			continue // one index in 2^127 has no address, and none was released
		}
		batch.Addresses = append(batch.Addresses, chain.Released{Index: from + i, Address: text})
	}
	return batch, nil
}

// past checks that indexes were released to the merchant, and tells the epoch.
func (s *Signer) past(ctx context.Context, w chain.Want, from uint32) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	b := s.journal.book
	if b.merchant[w.Branch] != w.Merchant {
		return 0, fmt.Errorf("%w: branch %d is not that merchant's", ErrWant, w.Branch)
	}
	if end := uint64(from) + uint64(w.Count); end > uint64(b.mark(lane{w.Branch, w.Network})) {
		return 0, fmt.Errorf("%w: index %d of branch %d was never released", ErrWant, end-1, w.Branch)
	}
	return b.epoch, nil
}

// stampName is the file that holds the stamp: a text that the store keeps too, and that is changed in both whenever addresses
// were given. A store with another one is an older copy, also where no address was released since it was made.
const stampName = "stamp"

// Stamp keeps a text beside the journal, durably, for Marks to tell. Errors: ErrWant for one above MaxStamp bytes, ErrStopped,
// ErrClosed.
func (s *Signer) Stamp(ctx context.Context, text string) error {
	if len(text) > MaxStamp {
		return fmt.Errorf("%w: a stamp has at most %d bytes", ErrWant, MaxStamp)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.home.put(stampName, []byte(text))
}

// stamp is the text that Stamp kept last, "" for none. The caller holds mu.
func (s *Signer) stamp() (string, error) {
	text, err := os.ReadFile(s.home.path(stampName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read stamp: %w", err)
	}
	return string(text[:min(len(text), MaxStamp)]), nil
}
