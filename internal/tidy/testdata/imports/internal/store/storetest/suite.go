package storetest

import (
	_ "testing"

	_ "github.com/pipe-pg/pipe/internal/store"
)
