package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

// A memory is what a signer ever answered, whatever became of it afterwards.
type memory struct {
	signed map[string]chain.Signed // by spend and version
	void   map[string]bool
	done   map[string]bool // steps of another kind
}

// A crashStep is one call that may be made again and again.
type crashStep struct {
	name string
	do   func(h *house, m *memory) error
}

func signStep(u func(h *house) chain.Unsigned) func(h *house, m *memory) error {
	return func(h *house, m *memory) error {
		q := u(h)
		out, err := h.sign(q)
		if err != nil {
			return err
		}
		key := fmt.Sprint(q.Spend, "/", q.Version)
		if was, there := m.signed[key]; there && (!bytes.Equal(was.Raw, out.Raw) || was.TxID != out.TxID) {
			h.t.Fatalf("%s: other bytes than before", key)
		}
		if m.void[q.Spend] {
			h.t.Fatalf("%s was void", key)
		}
		h.verify(q, out)
		m.signed[key] = out
		return nil
	}
}

// crashSteps are every kind of record, each more than once where one depends on the other.
func crashSteps() []crashStep {
	ctx := context.Background()
	settled := func(version int, fee int64) func(h *house) chain.Unsigned {
		return func(h *house) chain.Unsigned {
			return h.btc("S1", version, fee, []chain.Holding{h.coin("SHOP-A", 1, 1_000_000), h.coin("SHOP-A", 2, 50_000)}, settle("P1", 400_000), settle("P2", 300_000))
		}
	}
	large := func(h *house) chain.Unsigned { return h.refund("R1", 20_000_000) }
	expects := func(do func(h *house, m *memory) error, want error) func(h *house, m *memory) error {
		return func(h *house, m *memory) error {
			if err := do(h, m); !errors.Is(err, want) {
				return errors.Join(err, errors.New("was not refused"))
			}
			return nil
		}
	}
	return []crashStep{
		{"register", func(h *house, _ *memory) error {
			_, err := h.s.Register(ctx, chain.Destination{Merchant: "SHOP-A", Network: regtest, Address: lateBTC})
			return err
		}},
		{"sign", signStep(settled(1, 1_000))},
		{"bump", signStep(settled(2, 2_000))},
		{"void", func(h *house, m *memory) error {
			if err := h.s.Void(ctx, "V1"); err != nil {
				return err
			}
			m.void["V1"] = true
			return nil
		}},
		{"sign what is void", expects(signStep(func(h *house) chain.Unsigned {
			return h.btc("V1", 1, 500, []chain.Holding{h.coin("SHOP-A", 3, 90_000)}, settle("P3", 90_000))
		}), chain.ErrRefused)},
		{"sign what was freed", signStep(func(h *house) chain.Unsigned {
			return h.btc("S2", 1, 500, []chain.Holding{h.coin("SHOP-A", 3, 90_000)}, settle("P3", 90_000))
		})},
		{"ask and approve", func(h *house, m *memory) error {
			if m.done["approved"] {
				return nil
			}
			err := signStep(large)(h, m) // goes through where an approval that failed is on the disk all the same
			if errors.As(err, new(*chain.Wait)) {
				err = h.s.ApprovePayout(ctx, "R1")
			}
			m.done["approved"] = err == nil
			return err
		}},
		{"sign what is approved", signStep(large)},
		{"veto", func(h *house, _ *memory) error { _, err := h.s.Veto(ctx, "SHOP-A", regtest, lateBTC); return err }},
		{"halt", func(h *house, _ *memory) error { return h.s.Halt(ctx) }},
		{"resume", func(h *house, _ *memory) error { return h.s.Resume(ctx) }},
		{"transfer", signStep(func(h *house) chain.Unsigned {
			return h.eth("E1", 1, 20, 3, 0, pay("PE", chain.CauseSettlement, shopETH, gwei(1e9)))
		})},
		{"transfer again", signStep(func(h *house) chain.Unsigned {
			return h.eth("E1", 2, 30, 3, 0, pay("PE", chain.CauseSettlement, shopETH, gwei(1e9)))
		})},
	}
}

// Every call on the disk in turn fails, in every way, and so do calls on it while the signer is started again; after a
// power cut only what was synced is there. What was answered stays true: the same bytes, in the list, or never signed.
func TestSignOverFaults(t *testing.T) {
	type kind struct {
		way   int
		power bool
	}
	for _, k := range []kind{{faultBefore, false}, {faultPartial, false}, {faultAfter, false}, {faultBefore, true}, {faultPartial, true}, {faultAfter, true}} {
		t.Run(fmt.Sprintf("way %d power %v", k.way, k.power), func(t *testing.T) {
			t.Parallel()
			for left := 0; ; left++ {
				if !crashAt(t, left, k.way, k.power) {
					if left < 30 {
						t.Fatalf("only %d calls on the disk", left)
					}
					return
				}
			}
		})
	}
}

// crashAt runs all steps with a fault at one call, and two more while it comes back. It tells whether the first came.
func crashAt(t *testing.T, left, way int, power bool) (hit bool) {
	t.Helper()
	h := newHouse(t, Policy{})
	if err := h.s.Close(); err != nil {
		t.Fatal(err)
	}
	f := &faulty{left: -1, way: way}
	h.o.wrap = func(file *os.File) disk { f.lazy = lazy{file}; return f }
	m := &memory{signed: map[string]chain.Signed{}, void: map[string]bool{}, done: map[string]bool{}}
	plan := []int{left, left % 3, left % 5, -1}
	at := 0
	for start := 0; ; start++ {
		if start > 2*len(plan)+2 {
			t.Fatal("it never came through")
		}
		f.hit, f.left = false, plan[min(start, len(plan)-1)]
		s, err := Open(h.o)
		if err == nil {
			h.s, h.hand = s, s
			at, err = runSteps(h, m, at)
			if closed := s.Close(); closed != nil {
				t.Fatal(closed)
			}
		}
		hit = hit || f.hit && start == 0
		if err == nil {
			return hit
		}
		if !errors.Is(err, errFault) {
			t.Fatal(err)
		}
		if power && f.kept != nil {
			if err := os.WriteFile(filepath.Join(h.o.Dir, journalName), f.kept, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// runSteps goes on from the step that failed, after it looked whether what was answered before still holds.
func runSteps(h *house, m *memory, at int) (int, error) {
	all, err := h.s.Signed(context.Background(), "", MaxListed)
	if err != nil {
		return at, err
	}
	listed := map[string][]byte{}
	for _, s := range all {
		if m.void[s.Spend] {
			h.t.Fatalf("%s is void and listed", s.Spend)
		}
		listed[fmt.Sprint(s.Spend, "/", s.Version)] = s.Raw
	}
	for key, was := range m.signed {
		if !bytes.Equal(listed[key], was.Raw) {
			h.t.Fatalf("%s was answered and is not listed", key)
		}
	}
	steps := crashSteps()
	for ; at < len(steps); at++ {
		if err := steps[at].do(h, m); err != nil {
			if errors.Is(err, ErrStopped) {
				_, again := h.s.Status(context.Background())
				if !errors.Is(again, ErrStopped) {
					h.t.Fatalf("%s: it went on: %v", steps[at].name, again)
				}
			}
			return at, fmt.Errorf("%s: %w", steps[at].name, err)
		}
	}
	return at, nil
}

// A version that was journaled and not signed is signed with just those bytes, or void, and nothing else.
func TestInterruptedBehindItsIntent(t *testing.T) {
	for _, end := range []string{"sign", "void", "later"} {
		t.Run(end, func(t *testing.T) {
			h := newHouse(t, Policy{})
			u := h.btc("S1", 1, 1_000, []chain.Holding{h.coin("SHOP-A", 1, 1_000_000)}, settle("P1", 400_000))
			if err := h.s.Close(); err != nil {
				t.Fatal(err)
			}
			f := &faulty{left: -1}
			h.o.wrap = func(file *os.File) disk { f.lazy = lazy{file}; return f }
			h.s = open(t, h.o)
			h.hand = h.s
			f.left = 2 // write and sync of the intent, then the write of the signature
			if _, err := h.sign(u); !errors.Is(err, ErrStopped) {
				t.Fatal(err)
			}
			f.left, f.hit = -1, false
			h.reopen()
			if s, err := h.s.Status(context.Background()); err != nil || s.Spends != 1 || s.Signed != 0 {
				t.Fatalf("%+v, %v", s, err)
			}
			_, err := h.sign(h.btc("S1", 1, 1_001, u.Holdings, u.Pays...))
			refused(t, "other bytes", err)
			_, err = h.sign(h.btc("S2", 1, 1_000, u.Holdings, settle("P2", 400_000)))
			refused(t, "its coin in another spend", err)
			h.clock = h.clock.Add(time.Minute)
			switch end {
			case "sign":
				h.must(u)
			case "void":
				if err := h.s.Void(context.Background(), "S1"); err != nil {
					t.Fatal(err)
				}
				_, err = h.sign(u)
				refused(t, "void", err)
				h.must(h.btc("S2", 1, 1_000, u.Holdings, settle("P1", 400_000)))
			case "later":
				h.must(h.btc("S1", 2, 1_500, u.Holdings, u.Pays...))
				_, err = h.sign(u)
				refused(t, "the version before", err)
			}
		})
	}
}

// A byte of a signature that changes on the disk under a running signer is found when it is asked for, and stops it.
func TestDamageUnderARunningSigner(t *testing.T) {
	h := newHouse(t, Policy{})
	path := filepath.Join(h.o.Dir, journalName)
	h.must(h.btc("S1", 1, 1_000, []chain.Holding{h.coin("SHOP-A", 1, 1_000_000)}, settle("P1", 400_000)))
	data, err := os.ReadFile(path)
	if err != nil || bytes.Count(data, []byte("SHOP-A")) < 2 {
		t.Fatal(err)
	}
	h.reopen()
	at := bytes.LastIndex(data, []byte("S1")) + 40
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{data[at] ^ 1}, int64(at)); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.s.Signed(context.Background(), "", 1); !errors.Is(err, ErrJournalDamaged) || !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
}
