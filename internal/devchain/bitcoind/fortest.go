package bitcoind

import (
	"os"
	"testing"
)

// ForTest starts a node of the test's own, closed at its end. Without a bitcoind the test is skipped, or fails where
// PIPE_REQUIRE_BITCOIND=1 says that there must be one.
func ForTest(t testing.TB) *Node {
	t.Helper()
	node, err := Start(t.Context(), Options{Path: PathForTest(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Errorf("close bitcoind: %v", err)
		}
	})
	return node
}

// PathForTest is where a bitcoind is. Without one the test is skipped, or fails where PIPE_REQUIRE_BITCOIND=1 says that
// there must be one.
func PathForTest(t testing.TB) string {
	t.Helper()
	path, err := Find(t.Context())
	if err != nil {
		if os.Getenv("PIPE_REQUIRE_BITCOIND") == "1" {
			t.Fatalf("PIPE_REQUIRE_BITCOIND=1: %v", err)
		}
		t.Skipf("NOT PROVEN AGAINST A REAL NODE: %v", err)
	}
	return path
}
