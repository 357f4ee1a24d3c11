package engine

import (
	_ "fmt"

	_ "github.com/pipe-pg/pipe/internal/money"
	_ "github.com/pipe-pg/pipe/internal/store"     // want
	_ "github.com/pipe-pg/pipe/internal/store/row" // want
)
