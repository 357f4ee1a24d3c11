package signer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

var errFault = errors.New("fault")

// How a call on the disk fails.
const (
	faultBefore  = iota // without effect
	faultPartial        // a write that is cut short
	faultAfter          // with its effect
	faultWays
)

// faulty is a file on which one call fails, and which knows what a power cut would leave of it.
type faulty struct {
	lazy
	kept []byte // the content at the last Sync
	left int    // calls until the fault; below 0 none comes
	way  int
	hit  bool
}

func (f *faulty) now() bool {
	f.left--
	f.hit = f.hit || f.left == -1
	return f.left == -1
}

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	if !f.now() {
		return f.lazy.WriteAt(p, off)
	}
	n := []int{0, len(p) / 2, len(p)}[f.way]
	n, err := f.lazy.WriteAt(p[:n], off)
	return n, errors.Join(errFault, err)
}

func (f *faulty) Sync() error {
	if f.now() {
		return errFault
	}
	kept, err := os.ReadFile(f.Name())
	f.kept = kept
	return err
}

func (f *faulty) Truncate(size int64) error {
	if !f.now() {
		return f.lazy.Truncate(size)
	}
	if f.way == faultAfter {
		return errors.Join(errFault, f.lazy.Truncate(size))
	}
	return errFault
}

// Every call on the disk in turn fails in every way, and the signer is started again, ten times over.
func TestNoAddressTwiceOverFaults(t *testing.T) {
	for way := range faultWays {
		for left := range 40 {
			o, _ := create(t)
			seen := map[string]bool{}
			next := map[uint32]uint32{}
			faults := 0
			for start := range 10 {
				f := &faulty{left: (left + 7*start) % 40, way: way}
				o.wrap = func(file *os.File) disk { f.lazy = lazy{file}; return f }
				faults += session(t, o, f, seen, next)
			}
			if faults == 0 {
				t.Errorf("way %d, call %d: no fault came", way, left)
			}
			if len(seen) == 0 {
				t.Errorf("way %d, call %d: nothing was released", way, left)
			}
		}
	}
}

// session opens, checks the marks against all that ever left, and releases until something fails.
func session(t *testing.T, o Options, f *faulty, seen map[string]bool, next map[uint32]uint32) (faults int) {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		if !errors.Is(err, errFault) {
			t.Fatal(err)
		}
		return 1
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	m, err := s.Marks(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	marks := map[uint32]uint32{}
	for _, l := range m.Lanes {
		marks[l.Branch] = l.Next
	}
	for branch, n := range next {
		if marks[branch] < n {
			t.Fatalf("branch %d: mark %d, and %d were released", branch, marks[branch], n)
		}
	}
	for i := range 8 {
		branch := uint32(i % 3)
		b, err := s.Release(context.Background(), want(fmt.Sprintf("SHOP-%d", branch), branch, "ethereum/1", 2))
		if err != nil {
			if !f.hit || !errors.Is(err, ErrStopped) || !errors.Is(err, errFault) {
				t.Fatal(err)
			}
			stays(t, s)
			return 1
		}
		if f.hit {
			t.Fatal("released after a fault")
		}
		for _, a := range b.Addresses {
			if seen[a.Address] {
				t.Fatalf("%s twice", a.Address)
			}
			seen[a.Address] = true
			next[branch] = a.Index + 1
		}
	}
	return 0
}

// stays checks that a signer that stopped gives nothing any more, though the disk works again.
func stays(t *testing.T, s *Signer) {
	t.Helper()
	_, err := s.Release(context.Background(), want("SHOP-0", 0, "ethereum/1", 1))
	_, err2 := s.Marks(context.Background())
	_, err3 := s.NewEpoch(context.Background())
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, ErrStopped) {
			t.Fatalf("after a failure: %v", err)
		}
	}
}

// world is the model for the property: what ever left, and the signer that lets it out.
type world struct {
	o    Options
	s    *Signer
	disk *faulty
	seen map[string]bool
	next map[lane]uint32
	last uint64 // epoch, of the last batch or NewEpoch that was answered
}

func newWorld(t *rapid.T, o Options) *world {
	w := &world{seen: map[string]bool{}, next: map[lane]uint32{}, last: 1}
	o.wrap = func(f *os.File) disk {
		w.disk = &faulty{lazy: lazy{f}, left: -1}
		return w.disk
	}
	w.o = o
	w.start(t)
	return w
}

func (w *world) start(t *rapid.T) {
	var err error
	if w.s, err = Open(w.o); err != nil {
		t.Fatal(err)
	}
	m, err := w.s.Marks(context.Background())
	if err != nil || m.Epoch < w.last {
		t.Fatalf("epoch %d after %d, %v", m.Epoch, w.last, err)
	}
	marks := map[lane]uint32{}
	for _, l := range m.Lanes {
		marks[lane{l.Branch, l.Network}] = l.Next
	}
	for l, n := range w.next {
		if marks[l] < n {
			t.Fatalf("%v: mark %d, and %d were released", l, marks[l], n)
		}
	}
}

func (w *world) close() {
	if w.s != nil {
		if err := w.s.Close(); err != nil {
			panic(err)
		}
	}
}

func (w *world) restart(t *rapid.T) { w.close(); w.start(t) }

func (w *world) release(t *rapid.T) {
	branch := rapid.Uint32Range(0, 3).Draw(t, "branch")
	n := rapid.SampledFrom([]money.Network{"bitcoin/regtest", "ethereum/1"}).Draw(t, "network")
	count := rapid.SampledFrom([]int{1, 2, 20}).Draw(t, "count")
	b, err := w.s.Release(context.Background(), want(fmt.Sprintf("SHOP-%d", branch), branch, n, count))
	if err != nil {
		w.failed(t, err)
		return
	}
	w.took(t, lane{branch, n}, count, b)
}

func (w *world) took(t *rapid.T, l lane, count int, b chain.Batch) {
	if len(b.Addresses) != count || b.Epoch != w.last {
		t.Fatalf("%d of %d, epoch %d, want %d", len(b.Addresses), count, b.Epoch, w.last)
	}
	for i, a := range b.Addresses {
		if w.seen[a.Address] || a.Index < w.next[l] || a.Index != b.Addresses[0].Index+uint32(i) {
			t.Fatalf("%v: %+v after %d", l, a, w.next[l])
		}
		w.seen[a.Address] = true
	}
	w.next[l] = b.Addresses[count-1].Index + 1
}

func (w *world) epoch(t *rapid.T) {
	n, err := w.s.NewEpoch(context.Background())
	if err != nil {
		w.failed(t, err)
		return
	}
	if n <= w.last {
		t.Fatalf("epoch %d after %d", n, w.last)
	}
	w.last = n
}

// failed expects the fault that was planned, and starts again. What became of the record nobody knows, the epoch's too.
func (w *world) failed(t *rapid.T, err error) {
	if !w.disk.hit || !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	w.restart(t)
	m, err := w.s.Marks(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w.last = m.Epoch
}

func (w *world) fault(t *rapid.T) {
	w.disk.left = rapid.IntRange(0, 4).Draw(t, "calls")
	w.disk.way = rapid.IntRange(0, faultWays-1).Draw(t, "way")
	w.disk.hit = false
}

// tear leaves the beginning of a further record at the end, as a power cut does.
func (w *world) tear(t *rapid.T) {
	w.close()
	path := filepath.Join(w.o.Dir, journalName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	full := (&links{mac: newLinks(nil).mac}).frames(int64(len(data)), time.Now(), mark{lane{1, "ethereum/1"}, 999})
	data = append(data, full[:rapid.IntRange(1, len(full)-1).Draw(t, "bytes")]...)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t)
}

// power cuts the power: of what was not synced a part is there, or zeros, or nothing. A failed call on the disk comes
// before it or not.
func (w *world) power(t *rapid.T) {
	if rapid.Bool().Draw(t, "amid") {
		w.disk.left, w.disk.way, w.disk.hit = rapid.IntRange(0, 1).Draw(t, "calls"), faultAfter, false
		b, err := w.s.Release(context.Background(), want("SHOP-1", 1, "ethereum/1", 2))
		if err == nil {
			w.took(t, lane{1, "ethereum/1"}, 2, b)
		}
	}
	w.close()
	path := filepath.Join(w.o.Dir, journalName)
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	left := append([]byte(nil), w.disk.kept...)
	if lost := len(now) - len(left); lost > 0 {
		part := rapid.IntRange(0, lost).Draw(t, "part")
		zeros := rapid.Bool().Draw(t, "zeros")
		if zeros { // sectors are there or not
			part = max(0, (len(left)+part)/sectorSize*sectorSize-len(left))
		}
		left = append(left, now[len(left):len(left)+part]...)
		if zeros {
			left = append(left, make([]byte, lost-part)...)
		}
	}
	if err := os.WriteFile(path, left, 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t)
}

const childDir = "PIPE_SIGNER_TEST_DIR"

// TestChild is no test of its own: it is the process that TestNoAddressTwiceOverKills kills.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	s, err := Open(options(dir))
	if errors.Is(err, ErrLocked) {
		fmt.Println("LOCKED")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		branch := uint32(i % 5)
		b, err := s.Release(context.Background(), want(fmt.Sprintf("SHOP-%d", branch), branch, "bitcoin/regtest", 3))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range b.Addresses {
			fmt.Println("ADDRESS", branch, a.Index, a.Address)
		}
	}
}

// A real process, killed at any moment, with the real file and its real fsync; the same journal ten times.
func TestNoAddressTwiceOverKills(t *testing.T) {
	o, _ := create(t)
	seen := map[string]bool{}
	for start := range 10 {
		child := exec.Command(os.Args[0], "-test.run=^TestChild$")
		child.Env = append(os.Environ(), childDir+"="+o.Dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines, got := bufio.NewScanner(out), 0
		for lines.Scan() {
			line, ok := strings.CutPrefix(lines.Text(), "ADDRESS ")
			if !ok {
				continue
			}
			if seen[line] {
				t.Fatalf("start %d: %s twice", start, line)
			}
			seen[line] = true
			if got++; got == 1 && start == 0 { // it runs: a second process is refused
				second := exec.Command(os.Args[0], "-test.run=^TestChild$")
				second.Env = child.Env
				if said, err := second.Output(); err != nil || !strings.Contains(string(said), "LOCKED") {
					t.Errorf("second process: %q, %v", said, err)
				}
			}
			if got == 20+11*start {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatalf("start %d: ended by itself", start)
		}
		if got < 20 {
			t.Fatalf("start %d: %d addresses only", start, got)
		}
	}
}
