package signer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var cheap = KDF{Memory: 8, Passes: 1, Lanes: 1}

// resum puts a right checksum under an altered file, as somebody who alters it on purpose would.
func resum(file []byte) []byte {
	body := file[:len(file)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func TestSeal(t *testing.T) {
	seed, pass := bytes.Repeat([]byte{7, 200}, 32), NewSecret("correct horse 한글")
	file, err := seal(seed, pass, cheap)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unseal(file, pass); err != nil || !bytes.Equal(got, seed) {
		t.Fatalf("%x, %v", got, err)
	}
	if got, err := unseal(file, NewSecret("correct horse 한글")); err != nil || !bytes.Equal(got, seed) {
		t.Fatalf("the same text in decomposed letters: %v", err)
	}
	if _, err := unseal(file, NewSecret("correct horse 한굴")); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("wrong passphrase: %v", err)
	}
	again, err := seal(seed, pass, cheap)
	if err != nil || bytes.Equal(again[24:], file[24:]) {
		t.Fatalf("a second file has the same salt or text: %v", err)
	}
	for _, bad := range []string{"", "short", strings.Repeat("x", MaxPassphrase+1)} {
		if _, err := seal(seed, NewSecret(bad), cheap); !errors.Is(err, ErrPassphrase) {
			t.Errorf("passphrase of %d bytes: %v", len(bad), err)
		}
	}
	if _, err := seal(seed, Secret{}, cheap); !errors.Is(err, ErrPassphrase) {
		t.Errorf("no passphrase: %v", err)
	}
}

func TestSealDamage(t *testing.T) {
	pass := NewSecret("correct horse")
	file, err := seal(make([]byte, seedSize), pass, cheap)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(file) { // cut anywhere
		if _, err := unseal(file[:n], pass); !errors.Is(err, ErrSeedDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := unseal(append(bytes.Clone(file), 0), pass); !errors.Is(err, ErrSeedDamaged) {
		t.Fatalf("a byte more: %v", err)
	}
	for n := range file { // a bit anywhere, first as decay, then on purpose
		bad := bytes.Clone(file)
		bad[n] ^= 1
		if _, err := unseal(bad, pass); !errors.Is(err, ErrSeedDamaged) && !errors.Is(err, ErrSeedVersion) {
			t.Fatalf("byte %d decayed: %v", n, err)
		}
		if n >= sealSize-sha256.Size {
			continue
		}
		_, err := unseal(resum(bad), pass)
		if !errors.Is(err, ErrPassphrase) && !errors.Is(err, ErrSeedDamaged) && !errors.Is(err, ErrSeedVersion) && !errors.Is(err, ErrKDF) {
			t.Fatalf("byte %d altered: %v", n, err)
		}
	}
}

func TestSealVersion(t *testing.T) {
	file, err := seal(make([]byte, seedSize), NewSecret("correct horse"), cheap)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{9, 10, 11} {
		bad := bytes.Clone(file)
		bad[at]++
		if _, err := readSeal(resum(bad)); !errors.Is(err, ErrSeedVersion) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

// A planted file must not make the signer take all memory or time.
func TestKDFBounds(t *testing.T) {
	file, err := seal(make([]byte, seedSize), NewSecret("correct horse"), cheap)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ memory, passes, lanes uint32 }{
		{1 << 20, 16, 16}, // the most allowed: only read here
		{1<<20 + 1, 1, 1}, {1<<32 - 1, 1, 1}, {8, 17, 1}, {8, 1 << 31, 1}, {8, 0, 1}, {8, 1, 0}, {1024, 1, 17}, {1024, 1, 257},
		{7, 1, 1}, {15, 1, 2}, {0, 1, 1},
	} {
		bad := bytes.Clone(file)
		binary.BigEndian.PutUint32(bad[12:], v.memory)
		binary.BigEndian.PutUint32(bad[16:], v.passes)
		binary.BigEndian.PutUint32(bad[20:], v.lanes)
		kdf, err := readSeal(resum(bad))
		if v.memory == 1<<20 {
			if err != nil || kdf != (KDF{1 << 20, 16, 16}) {
				t.Errorf("%v: %v, %v", v, kdf, err)
			}
		} else if !errors.Is(err, ErrKDF) {
			t.Errorf("%v: %v", v, err)
		}
	}
	if SeedKDF != (KDF{Memory: 262144, Passes: 3, Lanes: 4}) {
		t.Errorf("the default is %v", SeedKDF)
	}
	if _, err := seal(make([]byte, seedSize), NewSecret("correct horse"), KDF{Memory: 1 << 21, Passes: 1, Lanes: 1}); !errors.Is(err, ErrKDF) {
		t.Errorf("made a file that nobody may open: %v", err)
	}
}

func TestSecretIsCovered(t *testing.T) {
	const hidden = "swordfish-9431"
	s := NewSecret(hidden)
	type public struct{ S Secret }
	type private struct{ s Secret }
	var out strings.Builder
	for _, v := range []any{s, &s, public{s}, &public{s}, private{s}, &private{s}, []Secret{s}, map[string]Secret{"k": s},
		&[]private{{s}}, map[string]*private{"k": {s}},
		[]private{{s}}, Options{Passphrase: s}, fmt.Errorf("wrapped: %v", s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%o", "%b", "%t", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
	}
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), fmt.Sprint([]byte(hidden))[1:30]} {
		if strings.Contains(out.String(), form) {
			t.Errorf("printed as %s", form)
		}
	}
	if n := strings.Count(out.String(), covered); n < 50 {
		t.Errorf("covered only %d times", n)
	}
	if s.Reveal() != hidden {
		t.Errorf("revealed %q", s.Reveal())
	}
	if s.Wipe(); s.Reveal() != "" || (Secret{}).Reveal() != "" {
		t.Error("still there after Wipe")
	}
	Secret{}.Wipe()
}

// golden is a file as version 1 wrote it once: what was written then opens for ever.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSealVersion1(t *testing.T) {
	seed, err := unseal(golden(t, "seed.v1"), NewSecret("correct horse"))
	if err != nil || !bytes.Equal(seed, bytes.Repeat([]byte{9}, seedSize)) {
		t.Fatalf("%x, %v", seed, err)
	}
}

func FuzzSeedFile(f *testing.F) {
	pass, file := NewSecret("correct horse"), golden(f, "seed.v1")
	f.Add(file, false)
	f.Add(file[:len(file)-1], false)
	f.Add(resum(append([]byte("PIPESEED\x00\x01\x01\x01\xff\xff\xff\xff"), file[16:]...)), true)
	f.Add([]byte("PIPESEED"), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, data []byte, again bool) {
		if again && len(data) >= sha256.Size {
			data = resum(data)
		}
		kdf, err := readSeal(data)
		if err != nil {
			return
		}
		if kdf.check() != nil {
			t.Fatalf("let %v pass", kdf)
		}
		if kdf.Memory > 1024 || kdf.Passes > 2 {
			return // allowed, and too slow to fuzz
		}
		if got, err := unseal(data, pass); err == nil && !bytes.Equal(data, file) {
			t.Fatalf("an altered file opened: %x", got)
		}
	})
}

// What an operator gets without asking is the strong derivation; this test pays for it once.
func TestCreateDefault(t *testing.T) {
	o := options(t.TempDir())
	o.KDF = KDF{}
	begin := time.Now()
	if _, err := Create(o); err != nil {
		t.Fatal(err)
	}
	t.Logf("made in %v", time.Since(begin).Round(time.Millisecond))
	data, err := readSealFile(filepath.Join(o.Dir, seedName))
	if err != nil {
		t.Fatal(err)
	}
	if kdf, err := readSeal(data); err != nil || kdf != SeedKDF {
		t.Fatalf("%+v, %v", kdf, err)
	}
}
