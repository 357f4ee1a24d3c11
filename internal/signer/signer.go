// Package signer holds the seed, and the journal of everything that it let out: addresses, derived in a branch per merchant,
// whose high-water mark is durable in the journal before one leaves; and signatures of spends, which it reads with its own
// eyes, holds against its own policy, and makes durable before they leave.
//
// A signer's directory holds two files: "seed", encrypted under a passphrase, and "journal", append-only. One process at
// a time may hold it. The journal belongs in every backup of the database; the recovery phrase stands in for the seed.
package signer

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

var (
	// ErrNoSeed: the directory has no seed file. Create or Restore makes one.
	ErrNoSeed = errors.New("signer: no seed file")
	// ErrSeedExists: the directory has a seed file, which is never overwritten.
	ErrSeedExists = errors.New("signer: there is a seed file already")
	// ErrNoJournal: there is a seed but no journal, so nobody knows which addresses were given out.
	ErrNoJournal = errors.New("signer: the journal is missing")
	// ErrLocked: another signer holds this directory or journal.
	ErrLocked = errors.New("signer: another instance is running on this seed; stop it first, only one may run")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("signer: closed")
	// ErrWant: the request is outside its bounds.
	ErrWant = errors.New("signer: bad request")
)

// Options say where a signer lives and what opens it. Dir and Passphrase are needed.
type Options struct {
	Dir        string
	Passphrase Secret           // MinPassphrase to MaxPassphrase bytes
	KDF        KDF              // of a seed file to be made; zero means SeedKDF. A weaker one is for tests and the demo only
	Logger     *slog.Logger     // nil logs nothing
	Now        func() time.Time // stamps the journal; nil means time.Now
	RestoreGap uint32           // used by Restore; zero means the constant of that name
	Policy     Policy           // what is signed; the zero Policy means DefaultPolicy(false)

	wrap func(*os.File) disk // for faults in tests
}

func (o Options) filled() Options {
	if o.KDF == (KDF{}) {
		o.KDF = SeedKDF
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RestoreGap == 0 {
		o.RestoreGap = RestoreGap
	}
	if o.Policy == (Policy{}) {
		o.Policy = DefaultPolicy(false)
	}
	if o.wrap == nil {
		o.wrap = func(f *os.File) disk { return f }
	}
	return o
}

// Create makes a new seed of 256 random bits and its journal, both durable on return, and gives the recovery phrase: 24
// words of BIP-39, to be written down, as they are kept nowhere. Errors: ErrSeedExists, ErrLocked, ErrPassphrase, ErrKDF,
// ErrOtherSeed when the directory holds the journal of a lost seed.
func Create(o Options) (Secret, error) {
	entropy := make([]byte, 32)
	defer clear(entropy)
	if _, err := rand.Read(entropy); err != nil {
		return Secret{}, fmt.Errorf("draw seed: %w", err)
	}
	phrase := phraseOf(entropy)
	if err := o.filled().establish(phrase, false); err != nil {
		return Secret{}, err
	}
	return NewSecret(phrase), nil
}

// Restore writes the seed file anew from the 24 words of a recovery phrase. Where the seed's own journal lies in the directory
// it goes on as it was. Where there is none it is begun again, in a later epoch and RestoreGap indexes further: whoever
// restores must know from the chains that no branch went through more, or give more as Options.RestoreGap. Errors: as
// Create, and ErrPhrase.
func Restore(o Options, phrase Secret) error {
	text, err := checkPhrase(phrase.Reveal())
	if err != nil {
		return err
	}
	if n := len(strings.Fields(text)); n != phraseWords {
		return fmt.Errorf("%w: it has %d words and must have %d", ErrPhrase, n, phraseWords)
	}
	return o.filled().establish(text, true)
}

// establish writes the journal first and the seed last: a seed file in place means that all is in place.
func (o Options) establish(phrase string, restored bool) (err error) {
	h, err := enter(o.Dir, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.leave()) }()
	if there, err := h.has(seedName); err != nil || there {
		return cmp.Or(err, fmt.Errorf("%w: %s", ErrSeedExists, h.path(seedName)))
	}
	seed, err := seedOf(phrase, "")
	if err != nil {
		return err
	}
	defer clear(seed)
	sealed, err := seal(seed, o.Passphrase, o.KDF)
	if err != nil {
		return err
	}
	if err := o.begin(h, keysOf(seed), restored); err != nil {
		return err
	}
	return h.put(seedName, sealed)
}

// begin sees to it that the seed has its journal.
func (o Options) begin(h *home, keys seedKeys, restored bool) error {
	path := h.path(journalName)
	old, size, err := readStart(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if size > journalHead { // it says something; a bare start is what an interrupted Create leaves
		if _, err := checkStart(old, keys); err != nil {
			return fmt.Errorf("%s: %w; restore that one from its recovery phrase, or move the file away", path, err)
		}
		return nil
	}
	now := o.Now()
	data, err := journalStart(keys, now)
	if err != nil {
		return err
	}
	if restored {
		links := newLinks(keys.journal)
		links.add(data[:journalHead-macSize])
		later := max(2, now.Unix()) // above every epoch that the lost journal can have counted to
		data = append(data, links.frames(journalHead, now, skip{o.RestoreGap}, epoch{uint64(later)})...)
	}
	return h.put(journalName, data)
}

// A Signer releases addresses and signs spends. Its methods are safe for concurrent use.
type Signer struct {
	log    *slog.Logger
	now    func() time.Time
	policy Policy
	keys   *keyring

	mu      sync.Mutex // owns the rest
	home    *home
	journal *journal // nil once closed
}

// Open reads the seed and the journal and holds both until Close. With the default key derivation it takes about a second
// and 256 MiB. Errors: ErrNoSeed, ErrNoJournal, ErrLocked, ErrPassphrase, ErrSeedDamaged, ErrSeedVersion, ErrKDF,
// ErrJournalDamaged, ErrOtherSeed.
func Open(o Options) (s *Signer, err error) {
	o = o.filled()
	h, err := enter(o.Dir, false)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.leave())
		}
	}()
	sealed, err := readSealFile(h.path(seedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoSeed, h.path(seedName))
	}
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(h.path(journalName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: put %s back, or move the seed file away and restore from the recovery phrase",
			ErrNoJournal, h.path(journalName))
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if err := lock(file); err != nil {
		return nil, err
	}
	seed, err := unseal(sealed, o.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("open seed file %s: %w", h.path(seedName), err)
	}
	defer clear(seed)
	s = &Signer{log: o.Logger, now: o.Now, policy: o.Policy, home: h}
	if s.keys, err = newKeyring(seed); err != nil {
		return nil, err
	}
	var torn bool
	s.journal, torn, err = openJournal(file.Name(), o.wrap(file), keysOf(seed), o.Now)
	if err != nil {
		s.keys.close()
		return nil, fmt.Errorf("open journal %s: %w", file.Name(), err)
	}
	s.welcome(torn)
	return s, nil
}

// welcome logs what was opened.
func (s *Signer) welcome(torn bool) {
	j := s.journal
	if torn {
		s.log.Warn("signer: journal ended in an interrupted write; it was cut away and every branch skips ahead",
			"skip", MaxRelease)
	}
	for _, name := range []string{seedName, journalName} {
		if info, err := os.Stat(s.home.path(name)); err == nil && info.Mode().Perm()&0o077 != 0 {
			s.log.Warn("signer: others may read a file of the signer; chmod it to 600",
				"file", s.home.path(name), "mode", info.Mode().Perm().String())
		}
	}
	s.log.Info("signer: open", "journal", j.id, "bytes", j.size, "epoch", j.book.epoch,
		"merchants", len(j.book.merchant), "lanes", len(j.book.next),
		"spends", len(j.book.spends), "destinations", len(j.book.destinations), "halted", j.book.halted)
}

// Release gives w.Count further addresses of a merchant's branch. Their indexes are consecutive and were never released
// before, and the journal has passed them for good, whether the answer arrives or not. The first request of a branch
// binds it to the merchant for ever. Errors: ErrWant, ErrNetwork, ErrBinding, ErrExhausted, ErrStopped, ErrClosed.
func (s *Signer) Release(ctx context.Context, w chain.Want) (chain.Batch, error) {
	if w.Count < 1 || w.Count > MaxRelease || w.Branch >= MaxIndex || len(w.Network) > MaxNetwork {
		return chain.Batch{}, fmt.Errorf("%w: count 1 to %d, branch below 2^31", ErrWant, MaxRelease)
	}
	if err := checkMerchant(w.Merchant); err != nil {
		return chain.Batch{}, err
	}
	at, err := placeOf(w.Network)
	if err != nil {
		return chain.Batch{}, err
	}
	branch, err := s.keys.branch(at, w.Branch) // before the mark rises: what fails here costs no index
	if err != nil {
		return chain.Batch{}, err
	}
	first, epoch, err := s.raise(ctx, w)
	if err != nil {
		return chain.Batch{}, err
	}
	batch := chain.Batch{Epoch: epoch, Addresses: make([]chain.Released, w.Count)}
	for i := range batch.Addresses {
		index := first + uint32(i)
		text, err := addressAt(at, branch, index)
		if err != nil {
			return chain.Batch{}, err // one index in 2^127 (BIP-32); the next batch begins behind it
		}
		batch.Addresses[i] = chain.Released{Index: index, Address: text}
	}
	return batch, nil
}

// raise moves the lane's mark on by so many indexes, durably, and gives the first of them.
func (s *Signer) raise(ctx context.Context, w chain.Want) (first uint32, now uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, 0, err
	}
	b, l := s.journal.book, lane{w.Branch, w.Network}
	first = b.mark(l)
	if first > MaxIndex-uint32(w.Count) {
		return 0, 0, fmt.Errorf("%w: %d on %s", ErrExhausted, w.Branch, w.Network)
	}
	if b.merchant[w.Branch] != w.Merchant {
		if err := s.journal.append(s.now(), bind{w.Branch, w.Merchant}); err != nil {
			return 0, 0, fmt.Errorf("bind merchant to branch: %w", err)
		}
	}
	if err := s.journal.append(s.now(), mark{l, first + uint32(w.Count)}); err != nil {
		return 0, 0, fmt.Errorf("raise mark: %w", err)
	}
	return first, b.epoch, nil
}

// Marks is what the journal says: the epoch, and a mark for every branch and network that ever had a release.
// Errors: ErrStopped, ErrClosed.
func (s *Signer) Marks(ctx context.Context) (chain.Marks, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return chain.Marks{}, err
	}
	b := s.journal.book
	m := chain.Marks{Journal: s.journal.id, Epoch: b.epoch, Lanes: make([]chain.Mark, 0, len(b.next))}
	for l := range b.next {
		m.Lanes = append(m.Lanes, chain.Mark{Merchant: b.merchant[l.branch], Branch: l.branch, Network: l.network, Next: b.mark(l)})
	}
	slices.SortFunc(m.Lanes, func(x, y chain.Mark) int {
		return cmp.Or(cmp.Compare(x.Branch, y.Branch), cmp.Compare(x.Network, y.Network))
	})
	var err error
	m.Stamp, err = s.stamp()
	return m, err
}

// NewEpoch begins the next epoch, durably, and gives its number. It is for a store that was found behind the marks: what
// lies free in it from earlier epochs may have been given out in a history that it lost, and is dead.
// Errors: ErrStopped, ErrClosed.
func (s *Signer) NewEpoch(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	next := s.journal.book.epoch + 1
	if err := s.journal.append(s.now(), epoch{next}); err != nil {
		return 0, fmt.Errorf("begin epoch: %w", err)
	}
	s.log.Warn("signer: new epoch, free addresses of earlier ones are dead", "epoch", next)
	return next, nil
}

// ready tells whether the signer may go on. The caller holds mu.
func (s *Signer) ready(ctx context.Context) error {
	if s.journal == nil {
		return ErrClosed
	}
	if s.journal.broken != nil {
		return s.journal.broken
	}
	return ctx.Err()
}

// Close wipes the keys and lets go of the directory. What is under way ends first; every later call gives ErrClosed. A
// second Close does nothing.
func (s *Signer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal == nil {
		return nil
	}
	s.keys.close()
	err := errors.Join(s.journal.disk.Close(), s.home.leave())
	s.journal = nil
	if err != nil {
		return fmt.Errorf("close signer: %w", err)
	}
	return nil
}
