//go:build !race

package sim_test

// raceShare: without the race detector all bugs are planted.
const raceShare = 1
