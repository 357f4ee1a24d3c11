package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pipe-pg/pipe/internal/signer"
)

// used is how much of the disk a file takes, in bytes; 0 for one that is not there.
func used(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// The reserve takes its room, gives it when little is left, and comes back only when there is plenty.
func TestReserve(t *testing.T) {
	free, log := int64(0), &bytes.Buffer{}
	r := reserve{
		path: filepath.Join(t.TempDir(), ReserveFile), size: 8, floor: 32,
		free: func() (int64, error) { return free, nil }, log: slog.New(slog.NewTextHandler(log, nil)),
	}
	for i, c := range []struct {
		free  int64
		there bool
	}{
		{39, false}, // the floor would be gone
		{40, true}, {9, true}, {2, true},
		{1, false}, {9, false}, {39, false},
		{40, true},
	} {
		free = c.free
		if err := r.keep(); err != nil {
			t.Fatal(err)
		}
		if got := used(t, r.path); got >= 8<<20 != c.there || !c.there && got > 0 {
			t.Errorf("step %d, %d MiB free: it takes %d bytes", i, free, got)
		}
	}
	if n := bytes.Count(log.Bytes(), []byte("nearly full")); n != 1 {
		t.Errorf("told %d times: %s", n, log)
	}
	if err := os.Truncate(r.path, 5); err != nil {
		t.Fatal(err)
	}
	if err := r.keep(); err != nil || used(t, r.path) < 8<<20 {
		t.Error("one that was cut short was left so", err)
	}
	r.size = 0
	if err := r.keep(); err != nil || used(t, r.path) > 0 {
		t.Error("one that is not wanted any more was left", err)
	}
	r.free = func() (int64, error) { return 0, syscall.EIO }
	if err := r.keep(); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

// Sizes that cannot be are refused.
func TestReserveSettings(t *testing.T) {
	for _, setting := range []string{"PIPE_DISK_RESERVE=-1", "PIPE_DISK_RESERVE=16385", "PIPE_DISK_FLOOR=-1"} {
		if _, err := LoadConfig("", []string{setting}); err == nil {
			t.Errorf("%s was taken", setting)
		}
	}
}

// The program keeps the reserve, and gives it up at the next start or as it dies where the disk is full by then.
func TestReserveOfTheProgram(t *testing.T) {
	c, err := LoadConfig("", []string{
		"PIPE_DATA=" + t.TempDir(), "PIPE_BITCOIN=regtest", "PIPE_BITCOIN_NODES=http://u:p@127.0.0.1:9", "PIPE_RATES=fixed:BTC/USD=68500",
		"PIPE_PUBLIC_URL=http://127.0.0.1", "PIPE_SIGNER_PASSPHRASE=open sesame", "PIPE_DISK_FLOOR=0", "PIPE_DISK_RESERVE=2",
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.Data, ReserveFile)
	var dead error
	o := Options{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Migrate: true, MakeSeed: true, Fatal: func(err error) { dead = err },
		SeedKDF: signer.KDF{Memory: 8, Passes: 1, Lanes: 1},
	}
	a, err := Open(context.Background(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	if got := used(t, path); got < 2<<20 {
		t.Fatalf("the reserve takes %d bytes", got)
	}
	a.reserve.free = func() (int64, error) { return 0, nil }
	a.fatal(syscall.ENOSPC)
	if used(t, path) > 0 || !errors.Is(dead, syscall.ENOSPC) {
		t.Error("the reserve was kept while the program died of a full disk", dead)
	}
}
