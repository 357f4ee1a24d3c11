package signer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

const testPass = "correct horse battery"

func options(dir string) Options {
	return Options{Dir: dir, Passphrase: NewSecret(testPass), KDF: cheap}
}

// create makes a seed in a new directory.
func create(t testing.TB) (Options, Secret) {
	t.Helper()
	o := options(filepath.Join(t.TempDir(), "deep", "signer"))
	phrase, err := Create(o)
	if err != nil {
		t.Fatal(err)
	}
	return o, phrase
}

func open(t testing.TB, o Options) *Signer {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func want(merchant string, branch uint32, n money.Network, count int) chain.Want {
	return chain.Want{Merchant: merchant, Branch: branch, Network: n, Count: count}
}

func release(t testing.TB, s *Signer, w chain.Want) chain.Batch {
	t.Helper()
	b, err := s.Release(context.Background(), w)
	if err != nil {
		t.Fatalf("release %+v: %v", w, err)
	}
	return b
}

func TestReleaseGoesOn(t *testing.T) {
	o, phrase := create(t)
	ring := ringOf(t, phrase.Reveal())
	const btc, eth = money.Network("bitcoin/regtest"), money.Network("ethereum/1337")
	var asked [4]uint32
	for round := range 3 {
		s := open(t, o)
		for i, w := range []chain.Want{want("SHOP-A", 3, btc, 7), want("SHOP-A", 3, eth, 2), want("SHOP-B", 0, btc, 1), want("SHOP-B", 0, eth, 20)} {
			b := release(t, s, w)
			if b.Epoch != 1 || len(b.Addresses) != w.Count {
				t.Fatalf("round %d: %+v", round, b)
			}
			for _, a := range b.Addresses {
				if a.Index != asked[i] || a.Address != addressOf(t, ring, w.Network, w.Branch, a.Index) {
					t.Fatalf("round %d, %+v: %+v, want index %d", round, w, a, asked[i])
				}
				asked[i]++
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, o)
	m, err := s.Marks(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	lanes := []chain.Mark{{Merchant: "SHOP-B", Branch: 0, Network: btc, Next: 3}, {Merchant: "SHOP-B", Branch: 0, Network: eth, Next: 60},
		{Merchant: "SHOP-A", Branch: 3, Network: btc, Next: 21}, {Merchant: "SHOP-A", Branch: 3, Network: eth, Next: 6}}
	if m.Epoch != 1 || len(m.Journal) != 32 || !reflect.DeepEqual(m.Lanes, lanes) {
		t.Fatalf("%+v", m)
	}
}

func TestReleaseRefused(t *testing.T) {
	o, _ := create(t)
	s := open(t, o)
	release(t, s, want("SHOP-A", 3, "bitcoin/regtest", 1))
	before, err := os.ReadFile(filepath.Join(o.Dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]struct {
		want chain.Want
		err  error
	}{
		"none":                 {want("SHOP-A", 3, "bitcoin/regtest", 0), ErrWant},
		"below none":           {want("SHOP-A", 3, "bitcoin/regtest", -1), ErrWant},
		"too many":             {want("SHOP-A", 3, "bitcoin/regtest", MaxRelease+1), ErrWant},
		"branch too high":      {want("SHOP-C", MaxIndex, "bitcoin/regtest", 1), ErrWant},
		"no merchant":          {want("", 4, "bitcoin/regtest", 1), ErrWant},
		"long merchant":        {want(strings.Repeat("A", MaxMerchant+1), 4, "bitcoin/regtest", 1), ErrWant},
		"strange merchant":     {want("SHOP\nA", 4, "bitcoin/regtest", 1), ErrWant},
		"unknown network":      {want("SHOP-A", 3, "bitcoin/testnet3", 1), ErrNetwork},
		"second name":          {want("SHOP-A", 3, "ethereum/01", 1), ErrNetwork},
		"long network":         {want("SHOP-A", 3, money.Network("ethereum/"+strings.Repeat("1", 99)), 1), ErrWant},
		"another's branch":     {want("SHOP-B", 3, "bitcoin/regtest", 1), ErrBinding},
		"… on another network": {want("SHOP-B", 3, "ethereum/1", 1), ErrBinding},
		"a second branch":      {want("SHOP-A", 4, "bitcoin/regtest", 1), ErrBinding},
	} {
		if b, err := s.Release(context.Background(), v.want); !errors.Is(err, v.err) || b.Addresses != nil {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Release(gone, want("SHOP-A", 3, "bitcoin/regtest", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	after, err := os.ReadFile(filepath.Join(o.Dir, journalName))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("a refusal left something in the journal: %v", err)
	}
	if b := release(t, s, want("SHOP-A", 3, "bitcoin/regtest", 1)); b.Addresses[0].Index != 1 {
		t.Errorf("a refusal cost an index: %+v", b)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	_, err = s.Release(context.Background(), want("SHOP-A", 3, "bitcoin/regtest", 1))
	_, err2 := s.Marks(context.Background())
	_, err3 := s.NewEpoch(context.Background())
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestBranchEnds(t *testing.T) {
	o, _ := create(t)
	s := open(t, o)
	release(t, s, want("SHOP-A", MaxIndex-1, "ethereum/1", 1))
	if err := s.journal.append(time.Now(), mark{lane{MaxIndex - 1, "ethereum/1"}, MaxIndex - 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Release(context.Background(), want("SHOP-A", MaxIndex-1, "ethereum/1", 4)); !errors.Is(err, ErrExhausted) {
		t.Fatal(err)
	}
	if b := release(t, s, want("SHOP-A", MaxIndex-1, "ethereum/1", 3)); b.Addresses[2].Index != MaxIndex-1 {
		t.Fatalf("%+v", b)
	}
	if _, err := s.Release(context.Background(), want("SHOP-A", MaxIndex-1, "ethereum/1", 1)); !errors.Is(err, ErrExhausted) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if _, err := s.Release(context.Background(), want("SHOP-A", MaxIndex-1, "ethereum/1", 1)); !errors.Is(err, ErrExhausted) {
		t.Fatal(err)
	}
}

func TestReleaseTogether(t *testing.T) {
	o, _ := create(t)
	o.wrap = func(f *os.File) disk { return lazy{f} }
	s := open(t, o)
	var mu sync.Mutex
	seen := map[string]bool{}
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			for i := range 20 {
				shop := uint32(i % 3)
				w := want(fmt.Sprintf("SHOP-%d", shop), shop, "ethereum/1", 1+g%5)
				b, err := s.Release(context.Background(), w)
				if err != nil {
					t.Error(err)
					return
				}
				if i == 10 && g == 0 {
					if _, err := s.NewEpoch(context.Background()); err != nil {
						t.Error(err)
					}
				}
				mu.Lock()
				for _, a := range b.Addresses {
					if seen[a.Address] {
						t.Errorf("%s twice", a.Address)
					}
					seen[a.Address] = true
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	m, err := s.Marks(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, l := range m.Lanes {
		total += int(l.Next)
	}
	if total != len(seen) || m.Epoch != 2 {
		t.Fatalf("%d addresses, marks say %d in epoch %d", len(seen), total, m.Epoch)
	}
}

func TestNewEpoch(t *testing.T) {
	o, _ := create(t)
	s := open(t, o)
	one := release(t, s, want("SHOP-A", 3, "ethereum/1", 5))
	if n, err := s.NewEpoch(context.Background()); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	two := release(t, s, want("SHOP-A", 3, "ethereum/1", 5))
	if one.Epoch != 1 || two.Epoch != 2 || two.Addresses[0].Index != 5 {
		t.Fatalf("%+v %+v", one, two)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := open(t, o).Marks(context.Background()); err != nil || m.Epoch != 2 {
		t.Fatal(m, err)
	}
}

func TestOnlyOneInstance(t *testing.T) {
	o, phrase := create(t)
	s := open(t, o)
	if _, err := Open(o); !errors.Is(err, ErrLocked) {
		t.Fatalf("second instance: %v", err)
	}
	if _, err := Create(o); !errors.Is(err, ErrLocked) {
		t.Fatalf("create beside: %v", err)
	}
	if err := Restore(o, phrase); !errors.Is(err, ErrLocked) {
		t.Fatalf("restore beside: %v", err)
	}
	// The same journal reached through another directory is held too.
	other := options(t.TempDir())
	for _, name := range []string{seedName, journalName} {
		if err := os.Link(filepath.Join(o.Dir, name), filepath.Join(other.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(other); !errors.Is(err, ErrLocked) {
		t.Fatalf("through another directory: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	release(t, open(t, o), want("SHOP-A", 3, "ethereum/1", 1))
}

func TestFailedOpenLetsGo(t *testing.T) {
	o, _ := create(t)
	bad := o
	bad.Passphrase = NewSecret("another horse")
	for range 3 {
		if _, err := Open(bad); !errors.Is(err, ErrPassphrase) {
			t.Fatal(err)
		}
	}
	open(t, o)
}

func TestCreateAndRestore(t *testing.T) {
	o, phrase := create(t)
	if n := len(strings.Fields(phrase.Reveal())); n != 24 {
		t.Fatalf("%d words", n)
	}
	if _, err := Create(o); !errors.Is(err, ErrSeedExists) {
		t.Fatalf("create over a seed: %v", err)
	}
	if err := Restore(o, phrase); !errors.Is(err, ErrSeedExists) {
		t.Fatalf("restore over a seed: %v", err)
	}
	for _, name := range []string{seedName, journalName} {
		if info, err := os.Stat(filepath.Join(o.Dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	w := want("SHOP-A", 3, "bitcoin/mainnet", 10)
	s := open(t, o)
	first := release(t, s, w)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// The seed is lost, the journal is there: on it goes, under another passphrase.
	seedPath, journalPath := filepath.Join(o.Dir, seedName), filepath.Join(o.Dir, journalName)
	if err := os.Remove(seedPath); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrNoSeed) {
		t.Fatalf("without a seed: %v", err)
	}
	if _, err := Create(o); !errors.Is(err, ErrOtherSeed) {
		t.Fatalf("a new seed beside an old journal: %v", err)
	}
	if err := Restore(o, NewSecret(phraseOf(make([]byte, 32)))); !errors.Is(err, ErrOtherSeed) {
		t.Fatalf("another seed beside the journal: %v", err)
	}
	o.Passphrase = NewSecret("a quite new passphrase")
	if err := Restore(o, NewSecret(" "+strings.ToUpper(phrase.Reveal())+"\n")); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if b := release(t, s, w); b.Addresses[0].Index != 10 || b.Epoch != 1 {
		t.Fatalf("%+v", b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// The journal is lost: that is said, and only the phrase helps.
	if err := os.Remove(journalPath); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrNoJournal) {
		t.Fatalf("without a journal: %v", err)
	}
	if err := os.Remove(seedPath); err != nil {
		t.Fatal(err)
	}
	if err := Restore(o, phrase); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	b := release(t, s, w)
	if b.Addresses[0].Index != RestoreGap || b.Epoch < 1_700_000_000 {
		t.Fatalf("index %d, epoch %d", b.Addresses[0].Index, b.Epoch)
	}
	key, err := s.keys.branch(place{84, 0, mustPlace(t, w.Network).bitcoin}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range first.Addresses { // and every address of before is found again
		if again, err := addressAt(mustPlace(t, w.Network), key, a.Index); err != nil || again != a.Address {
			t.Fatalf("%d: %s, want %s, %v", a.Index, again, a.Address, err)
		}
	}
}

func mustPlace(t testing.TB, n money.Network) place {
	t.Helper()
	at, err := placeOf(n)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestRestoreRefused(t *testing.T) {
	o := options(t.TempDir())
	if err := Restore(o, NewSecret(abandon)); !errors.Is(err, ErrPhrase) {
		t.Errorf("12 words: %v", err)
	}
	if err := Restore(o, Secret{}); !errors.Is(err, ErrPhrase) {
		t.Errorf("no words: %v", err)
	}
	o.Passphrase = NewSecret("short")
	if _, err := Create(o); !errors.Is(err, ErrPassphrase) {
		t.Errorf("short passphrase: %v", err)
	}
	if files, err := os.ReadDir(o.Dir); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	if _, err := Open(options(filepath.Join(o.Dir, "nowhere"))); !errors.Is(err, ErrNoSeed) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open made the directory: %v", err)
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("no options at all")
	}
}

// An interrupted Create leaves drafts, or a journal that says nothing yet. The next one goes through.
func TestCreateAgain(t *testing.T) {
	o, _ := create(t)
	if err := os.Remove(filepath.Join(o.Dir, seedName)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{seedName, journalName} {
		if err := os.WriteFile(filepath.Join(o.Dir, name+newSuffix), []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Create(o); err != nil {
		t.Fatal(err)
	}
	release(t, open(t, o), want("SHOP-A", 3, "ethereum/1", 1))
	if files, err := os.ReadDir(o.Dir); err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
}

// Nothing that is written or logged holds the seed, the phrase or the passphrase, in any usual spelling.
func TestNoSecretInClear(t *testing.T) {
	var log bytes.Buffer
	o := options(filepath.Join(t.TempDir(), "signer"))
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	phrase, err := Create(o)
	if err != nil {
		t.Fatal(err)
	}
	text := phrase.Reveal()
	s := open(t, o)
	release(t, s, want("SHOP-A", 3, "bitcoin/mainnet", 5))
	if _, err := s.NewEpoch(context.Background()); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&log, "%v %+v %#v %v %+v %s\n", o, o, o, s, s, phrase)
	if err := errors.Join(s.Close(), os.Remove(filepath.Join(o.Dir, seedName)), Restore(o, phrase)); err != nil {
		t.Fatal(err)
	}
	bad := o
	bad.Passphrase = NewSecret(testPass + "!")
	_, err = Open(bad)
	fmt.Fprintln(&log, err, Restore(o, NewSecret(text+" zoo")))

	seed, err := seedOf(text, "")
	if err != nil {
		t.Fatal(err)
	}
	canaries := map[string][]byte{"passphrase": []byte(testPass), "journal key": keysOf(seed).journal}
	for _, n := range []int{0, 16, 32, 48} {
		canaries[fmt.Sprintf("seed at %d", n)] = seed[n : n+16]
	}
	words := strings.Fields(text)
	for n := range len(words) - 1 {
		canaries[fmt.Sprintf("words %d", n)] = []byte(words[n] + " " + words[n+1])
	}
	search := func(where string, data []byte) {
		for name, c := range canaries {
			for _, form := range [][]byte{c, []byte(hex.EncodeToString(c)), []byte(base64.StdEncoding.EncodeToString(c)), []byte(fmt.Sprint(c))} {
				if bytes.Contains(bytes.ToLower(data), bytes.ToLower(form)) {
					t.Errorf("%s is in %s", name, where)
				}
			}
		}
	}
	search("the log", log.Bytes())
	err = filepath.WalkDir(filepath.Dir(o.Dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		search(path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if log.Len() < 200 {
		t.Errorf("logged only %q", log.String())
	}
}

// Any history of releases, restarts, failing disks and cut tails: no address twice, marks above all, epochs in order.
func TestReleaseProperty(t *testing.T) {
	o, _ := create(t)
	clean := map[string][]byte{}
	for _, name := range []string{seedName, journalName} {
		data, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		clean[name] = data
	}
	rapid.Check(t, func(rt *rapid.T) {
		for name, data := range clean {
			if err := os.WriteFile(filepath.Join(o.Dir, name), data, 0o600); err != nil {
				rt.Fatal(err)
			}
		}
		w := newWorld(rt, o)
		defer w.close()
		rt.Repeat(map[string]func(*rapid.T){"release": w.release, "restart": w.restart, "epoch": w.epoch, "fault": w.fault, "tear": w.tear, "power": w.power,
			"": func(*rapid.T) {}})
	})
}
