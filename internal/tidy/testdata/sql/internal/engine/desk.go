package engine

import (
	_ "database/sql" // want
)

const (
	query = "SELECT id FROM invoice" // want
	text  = "SELECT a coin, please"
	other = `UPDATE invoice SET id = 1` // want
)
