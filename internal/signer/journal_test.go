package signer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

var testKeys = keysOf([]byte("a seed for tests of the journal"))

// lazy is a file whose Sync does nothing, for tests that open many files and cut no power.
type lazy struct{ *os.File }

func (lazy) Sync() error { return nil }

// write makes a journal file of records and gives its path, bytes, and where each record ends.
func write(t testing.TB, records ...record) (path string, data []byte, ends []int) {
	t.Helper()
	at := time.UnixMilli(1_700_000_000_000)
	data, err := journalStart(testKeys, at)
	if err != nil {
		t.Fatal(err)
	}
	chained := newLinks(testKeys.journal)
	chained.add(data[:journalHead-macSize])
	for _, r := range records {
		data = append(data, chained.frames(int64(len(data)), at, r)...)
		ends = append(ends, len(data))
	}
	path = filepath.Join(t.TempDir(), journalName)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data, ends
}

// read opens the journal in a file as it is.
func read(t testing.TB, path string) (*journal, bool, error) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
	return openJournal(path, lazy{f}, testKeys, time.Now)
}

func readBytes(t testing.TB, path string, data []byte) (*journal, bool, error) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

var some = []record{
	bind{3, "SHOP-A"}, mark{lane{3, "bitcoin/regtest"}, 20}, mark{lane{3, "ethereum/1337"}, 20},
	epoch{2}, bind{0, "SHOP-B"}, mark{lane{0, "ethereum/1337"}, 1000}, mark{lane{3, "bitcoin/regtest"}, 40},
}

func TestJournalReadsBack(t *testing.T) {
	path, data, _ := write(t, some...)
	j, torn, err := read(t, path)
	if err != nil || torn {
		t.Fatal(torn, err)
	}
	want := newBook()
	want.epoch, want.merchant, want.branch = 2, map[uint32]string{3: "SHOP-A", 0: "SHOP-B"}, map[string]uint32{"SHOP-A": 3, "SHOP-B": 0}
	want.next = map[lane]uint32{{3, "bitcoin/regtest"}: 40, {3, "ethereum/1337"}: 20, {0, "ethereum/1337"}: 1000}
	want.at, want.spot = j.book.at, j.book.spot
	if !reflect.DeepEqual(j.book, want) {
		t.Fatalf("%+v", j.book)
	}
	if err := cmp.Or(j.append(time.Now(), mark{lane{0, "ethereum/1337"}, 1001}), j.append(time.Now(), skip{5})); err != nil {
		t.Fatal(err)
	}
	j, torn, err = read(t, path)
	if err != nil || torn || j.book.next[lane{0, "ethereum/1337"}] != 1006 || j.book.mark(lane{9, "ethereum/1"}) != 5 {
		t.Fatalf("%+v %v %v", j.book, torn, err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(now, data) {
		t.Fatalf("what was written changed: %v", err)
	}
}

// A change of any byte must be found, and a cut may only cost the record it goes through, whose marks it skips over.
func TestJournalDamage(t *testing.T) {
	path, data, ends := write(t, some...)
	for n := range data {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(data)
			bad[n] ^= flip
			if j, _, err := readBytes(t, path, bad); !errors.Is(err, ErrJournalDamaged) && !errors.Is(err, ErrOtherSeed) {
				t.Fatalf("byte %d: %v, %+v", n, err, j)
			}
		}
	}
	for n := range data {
		j, torn, err := readBytes(t, path, data[:n])
		if n < journalHead {
			if !errors.Is(err, ErrJournalDamaged) {
				t.Fatalf("cut to %d: %v", n, err)
			}
			continue
		}
		whole := n == journalHead
		for _, end := range ends {
			whole = whole || n == end
		}
		if err != nil || torn == whole {
			t.Fatalf("cut to %d: torn %v, %v", n, torn, err)
		}
		if torn && (j.book.mark(lane{3, "bitcoin/regtest"}) < MaxRelease || j.book.mark(lane{8, "ethereum/5"}) != MaxRelease) {
			t.Fatalf("cut to %d: no skip: %+v", n, j.book)
		}
		if _, torn, err := read(t, path); err != nil || torn {
			t.Fatalf("cut to %d, opened again: torn %v, %v", n, torn, err)
		}
	}
}

func TestJournalTail(t *testing.T) {
	records := append([]record(nil), some...)
	path, data, ends := write(t, records...)
	for n := uint32(1); len(data) <= sectorSize; n++ { // until the last record lies across two sectors
		records = append(records, mark{lane{3, "ethereum/1337"}, 20 + n})
		path, data, ends = write(t, records...)
	}
	last := ends[len(ends)-2]
	without := func(from int) []byte { return append(bytes.Clone(data[:from]), make([]byte, len(data)-from)...) }
	for name, v := range map[string]struct {
		data []byte
		torn bool
		err  error
	}{
		"grown, never written":     {append(bytes.Clone(data), make([]byte, 200)...), true, nil},
		"last sector missing":      {without(sectorSize), true, nil},
		"last record missing":      {without(last), true, nil},
		"text after the end":       {append(bytes.Clone(data), "something else"...), false, ErrJournalDamaged},
		"zeros, then something":    {append(append(bytes.Clone(data), make([]byte, 64)...), 1), false, ErrJournalDamaged},
		"too many zeros":           {append(bytes.Clone(data), make([]byte, 3*MaxRecord)...), false, ErrJournalDamaged},
		"last record twice":        {append(bytes.Clone(data), data[last:]...), false, ErrJournalDamaged},
		"first record gone":        {append(bytes.Clone(data[:journalHead]), data[ends[0]:]...), false, ErrJournalDamaged},
		"a record in between gone": {append(bytes.Clone(data[:ends[2]]), data[ends[3]:]...), false, ErrJournalDamaged},
		"no journal at all":        {bytes.Repeat([]byte("journal "), 100), false, ErrJournalDamaged},
		"empty":                    {nil, false, ErrJournalDamaged},
	} {
		if _, torn, err := readBytes(t, path, v.data); torn != v.torn || !errors.Is(err, v.err) {
			t.Errorf("%s: torn %v, %v", name, torn, err)
		}
	}
	other, err := journalStart(keysOf([]byte("another seed")), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readBytes(t, path, other); !errors.Is(err, ErrOtherSeed) {
		t.Errorf("another seed's: %v", err)
	}
}

// Two histories of one journal, as after a restored backup, cannot be spliced, though every record fits where it stands.
func TestJournalSplice(t *testing.T) {
	path, data, _ := write(t, bind{1, "SHOP-A"})
	grow := func(l *links, next ...uint32) (out []byte) {
		for _, n := range next {
			out = append(out, l.frames(int64(len(data)+len(out)), time.UnixMilli(1), mark{lane{1, "ethereum/1"}, n})...)
		}
		return out
	}
	begin := func() *links {
		l := newLinks(testKeys.journal)
		l.add(data[:journalHead-macSize])
		l.add(data[journalHead:journalHead+frameHead], data[journalHead+frameHead:len(data)-macSize])
		return l
	}
	one, two := grow(begin(), 20, 40), grow(begin(), 30, 50)
	for _, history := range [][]byte{one, two} {
		if _, torn, err := readBytes(t, path, append(bytes.Clone(data), history...)); err != nil || torn {
			t.Fatal(torn, err)
		}
	}
	half := len(one) / 2
	spliced := append(append(bytes.Clone(data), one[:half]...), two[half:]...)
	if _, _, err := readBytes(t, path, spliced); !errors.Is(err, ErrJournalDamaged) {
		t.Fatalf("spliced: %v", err)
	}
}

// Records that are whole but make no sense are damage too: a mark never falls, a binding never changes.
func TestJournalNonsense(t *testing.T) {
	l := lane{1, "bitcoin/regtest"}
	for name, records := range map[string][]record{
		"mark falls":     {bind{1, "A"}, mark{l, 5}, mark{l, 4}},
		"mark stays":     {bind{1, "A"}, mark{l, 5}, mark{l, 5}},
		"mark too high":  {bind{1, "A"}, mark{l, MaxIndex + 1}},
		"unbound":        {mark{l, 5}},
		"branch twice":   {bind{1, "A"}, bind{1, "B"}},
		"merchant twice": {bind{1, "A"}, bind{2, "A"}},
		"no merchant":    {bind{1, ""}},
		"strange id":     {bind{1, "a b"}},
		"high branch":    {bind{MaxIndex, "A"}},
		"epoch falls":    {epoch{5}, epoch{4}},
		"epoch 1":        {epoch{1}},
		"skip nothing":   {skip{0}},
		"below the skip": {skip{100}, bind{1, "A"}, mark{l, 100}},
		"unknown kind":   {odd{}},
	} {
		path, _, _ := write(t, records...)
		if j, _, err := read(t, path); !errors.Is(err, ErrJournalDamaged) {
			t.Errorf("%s: %v %+v", name, err, j)
		}
	}
}

type odd struct{}

func (odd) kind() byte        { return 99 }
func (odd) fields() []byte    { return []byte("abcd") }
func (odd) check(*book) error { return nil }
func (odd) apply(*book)       {}

// The file may only be written by this signer, and only at the path where the next one will look.
func TestJournalTaken(t *testing.T) {
	for name, meddle := range map[string]func(path string) error{
		"replaced": func(path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, os.Remove(path), os.WriteFile(path, data, 0o600))
		},
		"removed": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, journalHead) },
		"grown":   func(path string) error { return os.Truncate(path, 10_000) },
	} {
		path, _, _ := write(t, some...)
		j, _, err := read(t, path)
		if err != nil {
			t.Fatal(err)
		}
		if err := meddle(path); err != nil {
			t.Fatal(err)
		}
		if err := j.append(time.Now(), epoch{9}); !errors.Is(err, ErrStopped) || j.book.epoch != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fill writes a journal of n records.
func fill(tb testing.TB, n int) string {
	tb.Helper()
	records := make([]record, 0, n)
	const shops = 1000
	for i := range n {
		branch := uint32(i % shops)
		if i < shops {
			records = append(records, bind{branch, "SHOP-" + string(rune('A'+i%26)) + time.Unix(int64(i), 0).UTC().Format("150405")})
			continue
		}
		records = append(records, mark{lane{branch, money.Network("ethereum/1")}, uint32(i)})
	}
	path, _, _ := write(tb, records...)
	return path
}

func TestJournalOfManyRecords(t *testing.T) {
	path := fill(t, 1_000_000)
	begin := time.Now()
	j, torn, err := read(t, path)
	if err != nil || torn || len(j.book.next) != 1000 || j.book.next[lane{999, "ethereum/1"}] != 999_999 {
		t.Fatal(torn, err)
	}
	t.Logf("1,000,000 records, %d bytes, opened in %v", j.size, time.Since(begin).Round(time.Millisecond))
}

func TestJournalVersion1(t *testing.T) {
	path := filepath.Join(t.TempDir(), journalName)
	j, torn, err := readBytes(t, path, golden(t, "journal.v1"))
	if err != nil || torn {
		t.Fatal(torn, err)
	}
	if b := j.book; b.epoch != 2 || b.floor != 10_000 || b.merchant[3] != "SHOP-A" || b.next[lane{3, "bitcoin/regtest"}] != 10_040 {
		t.Fatalf("%+v", b)
	}
}

func FuzzJournal(f *testing.F) {
	data := golden(f, "journal.v1") // the same in every process of the fuzzer
	f.Add(data[journalHead:])
	f.Add(data[journalHead : len(data)-37]) // whole but for the last record
	f.Add(data[journalHead : len(data)-3])
	f.Add(append(bytes.Clone(data[journalHead:]), make([]byte, 100)...))
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 1, 2, 3, 4, 5, 6})
	path := filepath.Join(f.TempDir(), journalName)
	f.Fuzz(func(t *testing.T, tail []byte) {
		all := append(bytes.Clone(data[:journalHead]), tail...)
		j, torn, err := readBytes(t, path, all)
		if err != nil {
			if !errors.Is(err, ErrJournalDamaged) {
				t.Fatalf("not called damage: %v", err)
			}
			return
		}
		// Without the key nobody makes a record: what was read is a beginning of what was written.
		end := int(j.size)
		if torn {
			end -= frameExtra + len(encode(skip{MaxRelease}, 0))
		}
		if !bytes.HasPrefix(data, all[:end]) {
			t.Fatalf("took a forged record: %x", all[:end])
		}
		again, torn, err := read(t, path)
		if err != nil || torn || !reflect.DeepEqual(again.book, j.book) {
			t.Fatalf("read differently the second time: torn %v, %v", torn, err)
		}
	})
}

// Behind the macs: any payload, rightly sealed.
func FuzzRecords(f *testing.F) {
	for n := range some {
		var in []byte
		for _, r := range some[:n+1] {
			payload := encode(r, 1)
			in = append(binary.BigEndian.AppendUint16(in, uint16(len(payload))), payload...)
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		j := &journal{book: newBook()}
		for len(in) >= 2 {
			n := min(int(binary.BigEndian.Uint16(in)), len(in)-2)
			payload := in[2 : 2+n]
			in = in[2+n:]
			epochWas, floorWas, marks := j.book.epoch, j.book.floor, map[lane]uint32{}
			for l := range j.book.next {
				marks[l] = j.book.mark(l)
			}
			if err := j.take(payload); err != nil {
				continue
			}
			r, err := decode(payload)
			if err != nil || !bytes.Equal(encode(r, int64(binary.BigEndian.Uint64(payload[1:]))), payload) {
				t.Fatalf("%x is not what %#v encodes to", payload, r)
			}
			if j.book.epoch < epochWas || j.book.floor < floorWas || j.book.floor > MaxIndex || len(j.book.merchant) != len(j.book.branch) {
				t.Fatalf("%+v after %#v", j.book, r)
			}
			for l, was := range marks {
				if j.book.mark(l) < was || j.book.mark(l) > MaxIndex {
					t.Fatalf("mark %v from %d to %d by %#v", l, was, j.book.mark(l), r)
				}
			}
		}
	})
}
