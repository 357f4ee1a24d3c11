package engine

import (
	"crypto/rand"
	weak "math/rand/v2" // want
)

func id() (string, int) { return rand.Text(), weak.Int() }
