package app

import (
	_ "github.com/pipe-pg/pipe/internal/engine"
	_ "github.com/pipe-pg/pipe/internal/store"
)
