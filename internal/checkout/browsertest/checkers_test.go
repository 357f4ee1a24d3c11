package browsertest

import (
	"testing"

	"github.com/pipe-pg/pipe/internal/webtest"
)

// TestC35HTML: html-validate finds no error in any state, language or page beside.
func TestC35HTML(t *testing.T) {
	s := serve(t, nil)
	all := map[string][]byte{}
	for name, url := range pages(s) {
		all[name] = fetch(t, url)
	}
	webtest.HTML(t, all)
}
