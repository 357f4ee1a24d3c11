//go:build race

package sim_test

// raceShare: under the race detector, which makes plays ten times slower, one bug in so many is planted.
const raceShare = 4
