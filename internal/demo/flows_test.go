package demo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoind"
	"github.com/pipe-pg/pipe/internal/pgtest"
)

// flows are the stories, by their files.
func flows(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("../../testdata/flows/*.txt")
	if err != nil || len(all) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	return all
}

// steps are the steps of a story, by line.
func stepsOf(text string) (lines [][]string) {
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		var steps []string
		for _, step := range strings.Split(line, ";") {
			if step = strings.TrimSpace(step); step != "" {
				steps = append(steps, step)
			}
		}
		lines = append(lines, steps)
	}
	return lines
}

// bitcoinPart is what of a story happens with bitcoin, for a real bitcoind: none where nothing is paid, or where a node is
// asked for fees, faults, or blocks while it is down, which a real one does not have at call.
func bitcoinPart(lines [][]string) (part [][]string) {
	other := map[string]bool{"ETH": true} // the coin, and what is paid in it
	for _, line := range lines {
		for _, step := range line {
			if args := strings.Fields(step); len(args) > 2 && (args[0] == "choose" || args[0] == "withdraw") && args[2] == "ETH" {
				other[args[1]] = true
			}
		}
	}
	paid, down := false, false
	for _, line := range lines {
		var kept []string
		for _, step := range line {
			args := strings.Fields(step)
			if args[0] == "fee" || args[0] == "fail" || down && args[0] == "mine" {
				return nil
			}
			if len(args) > 1 && other[args[1]] {
				continue
			}
			if args[0] == "node" {
				down = args[2] == "down"
			}
			paid = paid || args[0] == "pay" || args[0] == "payout"
			kept = append(kept, step)
		}
		part = append(part, kept)
	}
	if !paid {
		return nil
	}
	return part
}

// A telling is how the stories are played.
type telling struct {
	args    []string                          // of pipe-demo
	killing bool                              // kill -9 between any two steps
	part    func(lines [][]string) [][]string // of each story; nil: all
	stages  int                               // on so many stages at once; 0: one
	share   int                               // one of so many stories, the next one tomorrow; 0: all
}

// tell plays all stories. A stage mostly waits, for blocks and leases, so several take little longer than one.
func tell(t *testing.T, how telling) {
	n := max(how.stages, 1)
	all := flows(t)
	if how.share > 1 {
		today, part := time.Now().YearDay(), []string{}
		for k, path := range all {
			if (k+today)%how.share == 0 {
				part = append(part, path)
			}
		}
		t.Logf("%d of %d stories today", len(part), len(all))
		all = part
	}
	for i := range n {
		t.Run(fmt.Sprintf("stage%d", i+1), func(t *testing.T) {
			t.Parallel()
			s := raise(t, how.args...)
			for k, path := range all {
				if k%n == i {
					tellOne(t, s, path, how)
				}
			}
		})
	}
}

func tellOne(t *testing.T, s *stage, path string, how telling) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := stepsOf(string(text))
	if how.part != nil {
		if lines = how.part(lines); lines == nil {
			return
		}
	}
	name := strings.TrimSuffix(filepath.Base(path), ".txt")
	t.Run(name, func(t *testing.T) { play(open(t, s, name, how.killing), lines) })
}

func TestStories(t *testing.T) {
	t.Parallel()
	tell(t, telling{stages: 2})
}

// TestStoriesKilled plays stories with kill -9 between any two steps: a third of them, another one each day, and with
// PIPE_STORIES=all (make soak) every one.
func TestStoriesKilled(t *testing.T) {
	t.Parallel()
	how := telling{killing: true, stages: 4, share: 3}
	if os.Getenv("PIPE_STORIES") == "all" {
		how.share = 1
	}
	tell(t, how)
}

func TestStoriesOnBitcoind(t *testing.T) {
	t.Parallel()
	path := bitcoind.PathForTest(t)
	tell(t, telling{args: []string{"--bitcoind", path}, part: bitcoinPart})
}

func TestStoriesOnPostgres(t *testing.T) {
	t.Parallel()
	tell(t, telling{args: []string{"--database", pgtest.URL(t)}})
}
