package main

import "time"

const (
	// minPairs is how often limit and measurement take turns: below seven a median says little.
	minPairs = 7
	// maxPairs bounds how often.
	maxPairs = 100
	// maxRows bounds the rows stored before.
	maxRows = 10_000_000
	// fillBatch is how many rows of a fixture share a commit.
	fillBatch = 2_000
	// manyCallers is how many callers are many.
	manyCallers = 32
	// groupMost is how many callers' rows share a commit of the limit program (store.GroupSize).
	groupMost = 256
	// watchedMany is how many addresses are watched while a block is read.
	watchedMany = 1_000_000
	// blockRounds is how often a block is read in one measurement.
	blockRounds = 5
	// hosts is how many shops callbacks go to.
	hosts = 100
	// sendersAtOnce is how many messages the plain sender has under way (webhook.Global).
	sendersAtOnce = 64
	// slowAnswer is how long a slow shop takes to answer.
	slowAnswer = 500 * time.Millisecond
	// maxWait bounds a wait for something that must happen.
	maxWait = 2 * time.Minute
	// answerMost bounds an answer that a caller reads, in bytes.
	answerMost = 1 << 20
)
