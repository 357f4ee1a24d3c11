package admin

import (
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
)

type tx = engine.Tx

// view reads the store.
func view(t *testing.T, g *rig, fn func(tx tx) error) {
	t.Helper()
	if err := g.store.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}
