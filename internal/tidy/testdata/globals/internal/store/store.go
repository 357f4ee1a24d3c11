package store

import (
	"errors"
	"regexp"
	"sync"
)

var ErrAbsent = errors.New("store: absent")

var pattern = regexp.MustCompile("x")

var edges = map[int][]int{1: {2}}

var cache = make(map[string]int) // want

var mu sync.Mutex // want

var counter = 1

var one = sync.OnceValue(func() int { return 1 }) //nolint:gochecknoglobals // one per process

func init() { // want
	edges[2] = nil // want
}

func change() {
	counter++ // want
	edges := map[int]int{}
	edges[1] = 2
	delete(edges, 1)
}

func forget() {
	delete(edges, 1) // want
}
