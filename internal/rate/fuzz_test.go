package rate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pipe-pg/pipe/internal/money"
)

// Whatever a source answers, what is taken for a price is above zero and reads back from its own text.
func FuzzAnswers(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	sources, err := Open(Names(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, s := range sources {
			q, err := s.(*exchange).parse(money.BTC, body)
			if err != nil {
				continue
			}
			again, err := exact(q.Text)
			if err != nil || q.Value.Sign() <= 0 || again.Cmp(q.Value) != 0 {
				t.Errorf("%s took %q as %v", s.Name(), q.Text, q.Value)
			}
		}
	})
}
