package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestOldDatabase: an older copy of the database comes back beside the newest journal. With `pipe seed epoch`, as
// docs/operate.md asks, no address that was given since the copy is given again.
func TestOldDatabase(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	h := newHouse(t, d)
	const shop = "https://shop.example"
	m, _ := h.open("--url=" + shop)
	h.sell(m, "BTC", shop+"/cb", "before")
	h.interrupt(t)
	file := filepath.Join(h.dir, "data", "pipe.db")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h.serve()
	given := map[string]bool{}
	for i := range 5 {
		given[h.sell(m, "BTC", shop+"/cb", fmt.Sprint("lost-", i)).text("deposit_address")] = true
	}
	h.interrupt(t)
	for _, side := range []string{"-wal", "-shm"} {
		if err := os.RemoveAll(file + side); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	h.must("seed", "epoch")
	h.serve()
	for i := range 5 {
		if a := h.sell(m, "BTC", shop+"/cb", fmt.Sprint("after-", i)).text("deposit_address"); given[a] {
			t.Errorf("%s was given twice", a)
		}
	}
	h.interrupt(t)
}
