package worker

import "math/rand/v2"

func jitter() int { return rand.Int() }
