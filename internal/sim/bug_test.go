package sim_test

import (
	"testing"
)

// bugs are planted in front of the real parts, one at a time: the simulator must find each. They are what shows that it can
// fail.
var bugs = []string{
	"drop deposit", "another id", "forget to reverse", "reuse address", "expire while blind", "skip block", "paid early", "lose callback",
	"two events", "give up early", "long quote",
	"sends before it saves", "refuses after signing", "pays to another", "bumps without the anchor", "never sends again", "forgets tickets",
	"forgets to take payouts back", "knows the newest txid alone", "settles the excess", "forgets refunds", "loses refunds' callbacks",
	"calls refunds done when sent", "done too early",
}

// bugSeeds is how many seeds a bug may take to be found.
const bugSeeds = 25

func TestBugsAreFound(t *testing.T) {
	for i, bug := range bugs {
		if i%raceShare != 1%raceShare {
			continue
		}
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= bugSeeds; seed++ {
				r, err := play(t.Context(), seed, 600, bug)
				if err != nil {
					t.Fatal(err)
				}
				if r.err != nil {
					t.Logf("found by seed %d: %s", seed, r.err)
					return
				}
			}
			t.Errorf("%d seeds do not find it", bugSeeds)
		})
	}
}

// The same seed plays the same, to the last line of its trace.
func TestPlaysAlike(t *testing.T) {
	for seed := uint64(101); seed <= 102; seed++ {
		first, err := play(t.Context(), seed, 250/raceShare, "")
		if err != nil {
			t.Fatal(err)
		}
		second, err := play(t.Context(), seed, 250/raceShare, "")
		if err != nil {
			t.Fatal(err)
		}
		if first.digest != second.digest {
			for i, line := range first.trace {
				if i >= len(second.trace) || second.trace[i] != line {
					t.Fatalf("seed %d: line %d differs: %q", seed, i, line)
				}
			}
			t.Fatalf("seed %d: the second play is longer", seed)
		}
	}
}
