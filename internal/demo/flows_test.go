package demo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoind"
	"github.com/pipe-pg/pipe/internal/pgtest"
)

// flows lists the stories; only those that name bitcoin alone when the chain is to be a real bitcoind.
func flows(t *testing.T, keep func(text string) bool) []string {
	t.Helper()
	all, err := filepath.Glob("../../testdata/flows/*.txt")
	if err != nil || len(all) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	var kept []string
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if keep(string(b)) {
			kept = append(kept, path)
		}
	}
	return kept
}

func everything(string) bool       { return true }
func bitcoinOnly(text string) bool { return !strings.Contains(text, "ETH") }

func tell(t *testing.T, s *stage, paths []string, killing bool) {
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { play(t, s, path, killing) })
	}
}

func TestStories(t *testing.T) {
	t.Parallel()
	tell(t, raise(t), flows(t, everything), false)
}

// TestStoriesKilled plays every story with kill -9 between any two steps.
func TestStoriesKilled(t *testing.T) {
	t.Parallel()
	tell(t, raise(t), flows(t, everything), true)
}

func TestStoriesOnBitcoind(t *testing.T) {
	t.Parallel()
	path := bitcoind.PathForTest(t)
	tell(t, raise(t, "--bitcoind", path), flows(t, bitcoinOnly), false)
}

func TestStoriesOnPostgres(t *testing.T) {
	t.Parallel()
	tell(t, raise(t, "--database", pgtest.URL(t)), flows(t, everything), false)
}
