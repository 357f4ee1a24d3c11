package store

import (
	_ "testing" // want

	_ "github.com/pipe-pg/pipe/internal/engine"
	_ "github.com/pipe-pg/pipe/internal/store/row"
	_ "github.com/pipe-pg/pipe/internal/store/storetest" // want
)
