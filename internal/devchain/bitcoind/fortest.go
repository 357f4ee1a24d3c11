package bitcoind

import (
	"context"
	"os"
)

// A TB is what ForTest needs of a *testing.T, so that this package does not link the testing library into the demo.
type TB interface {
	Helper()
	Context() context.Context
	TempDir() string
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// ForTest starts a node of the test's own, closed at its end. Without a bitcoind the test is skipped, or fails where
// PIPE_REQUIRE_BITCOIND=1 says that there must be one.
func ForTest(t TB) *Node {
	t.Helper()
	node, err := Start(t.Context(), Options{Path: PathForTest(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("start bitcoind: %v", err)
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
func PathForTest(t TB) string {
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
