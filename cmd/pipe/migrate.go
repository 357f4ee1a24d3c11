package main

import (
	"fmt"
	"os"

	"github.com/pipe-pg/pipe/internal/store"
)

type migrateCommand struct{}

func (migrateCommand) Run(e *env) error {
	c, log, err := e.config()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	was, is, err := store.Migrate(e.ctx, c.DatabaseURL(), log)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "schema was at %d, is at %d\n", was, is)
	return err
}

type settingsCommand struct{}

func (settingsCommand) Run(e *env) error {
	c, _, err := e.config()
	if err != nil {
		return err
	}
	return c.Print(e.stdout)
}
