package sim_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "play this seed only, and print its trace if it fails (0: several)")
	firstFlag = flag.Uint64("sim.first", 1, "first seed of several; 0: drawn from the clock")
	forFlag   = flag.Duration("sim.for", 20*time.Second, "how long to play seeds")
	stepsFlag = flag.Int("sim.steps", 1200/raceShare, "steps of a play before it heals")
	traceFlag = flag.Int("sim.trace", 60, "lines of the trace to print of a failure; 0: all")
)

// A result is what came of a play.
type result struct {
	seed   uint64
	err    error
	counts map[string]int
	digest string
	trace  []string
	steps  int
	days   time.Duration
}

// ramDir is a directory in memory where the machine has such a place, so that commits cost no disk.
func ramDir() (string, error) {
	parent := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		parent = "/dev/shm"
	}
	return os.MkdirTemp(parent, "pipe-sim")
}

// play plays one seed, with a seeded bug or none.
func play(ctx context.Context, seed uint64, steps int, bug string) (r result, err error) {
	dir, err := ramDir()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := newSim(ctx, dir, seed, bug)
	if err != nil {
		return r, fmt.Errorf("begin seed %d: %w", seed, err)
	}
	began := s.now
	r = result{seed: seed, err: s.run(steps), counts: s.counts, trace: s.trace, steps: s.step, days: s.now.Sub(began)}
	r.digest = fmt.Sprintf("%x", s.digest.Sum(nil))
	s.counts["invoice"] = len(s.audit.list)
	s.counts["deposit"] = s.audit.total
	return r, nil
}

func (r result) tell(t *testing.T, lines int) {
	t.Helper()
	tail := r.trace
	if lines > 0 && len(tail) > lines {
		tail = tail[len(tail)-lines:]
	}
	t.Errorf("seed %d: %s\nplay it again: go test ./internal/sim -run TestPlays -sim.seed=%d -sim.steps=%d -sim.trace=0\n%s",
		r.seed, r.err, r.seed, *stepsFlag, strings.Join(tail, "\n"))
}

func TestPlays(t *testing.T) {
	if *seedFlag != 0 {
		r, err := play(t.Context(), *seedFlag, *stepsFlag, "")
		if err != nil {
			t.Fatal(err)
		}
		if r.err != nil {
			r.tell(t, *traceFlag)
		}
		report(t, []result{r}, time.Second)
		return
	}
	first := *firstFlag
	if first == 0 {
		first = uint64(time.Now().UnixMilli())
	}
	began := time.Now()
	var all []result
	for seed := first; time.Since(began) < *forFlag; seed++ {
		r, err := play(t.Context(), seed, *stepsFlag, "")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
		if r.err != nil {
			r.tell(t, *traceFlag)
			if len(all) > 200 || *forFlag <= time.Minute {
				break
			}
		}
		all[len(all)-1].trace = nil
	}
	report(t, all, time.Since(began))
}

// report prints what was really played.
func report(t *testing.T, all []result, took time.Duration) {
	t.Helper()
	counts := map[string]int{}
	steps, days, failed := 0, time.Duration(0), 0
	for _, r := range all {
		for what, n := range r.counts {
			counts[what] += n
		}
		steps += r.steps
		days += r.days
		if r.err != nil {
			failed++
		}
	}
	commit, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	t.Logf("commit %s: %d seeds from %d, %d failed, %d steps, %.1f simulated days, %.0f steps/s",
		strings.TrimSpace(string(commit)), len(all), all[0].seed, failed, steps, days.Hours()/24, float64(steps)/took.Seconds())
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%8d %s", counts[what], what))
	}
	t.Logf("what happened:\n%s", strings.Join(lines, "\n"))
}

// TestTrace prints the whole trace of a seed, for a person to read.
func TestTrace(t *testing.T) {
	if *seedFlag == 0 {
		t.Log("give -sim.seed")
		return
	}
	r, err := play(t.Context(), *seedFlag, *stepsFlag, "")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(strings.Join(r.trace, "\n"))
}
