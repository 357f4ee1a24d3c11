package main

import (
	"errors"
	"fmt"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/chain"
)

type doctorCommand struct {
	JSON bool `help:"Answer in JSON."`
}

// Run looks at everything and prints what it finds, each line with its cure. What is bad is a failure.
func (c doctorCommand) Run(e *env) error {
	config, log, err := e.config()
	if err != nil {
		return err
	}
	findings := app.Doctor(e.ctx, config, log)
	bad := 0
	type line struct {
		Level string `json:"level"`
		What  string `json:"what"`
		Cure  string `json:"cure,omitempty"`
	}
	lines := []line{}
	for _, f := range findings {
		level := map[chain.Level]string{chain.Fine: "ok", chain.Warn: "warn", chain.Bad: "BAD"}[f.Level]
		if f.Level == chain.Bad {
			bad++
		}
		lines = append(lines, line{level, f.What, f.Cure})
	}
	if c.JSON {
		err = e.json(lines)
	} else {
		for _, l := range lines {
			_, err2 := fmt.Fprintf(e.stdout, "%-4s  %s\n", l.Level, l.What)
			if l.Cure != "" {
				_, err3 := fmt.Fprintf(e.stdout, "      → %s\n", l.Cure)
				err2 = errors.Join(err2, err3)
			}
			err = errors.Join(err, err2)
		}
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("bad findings: %d", bad)
	}
	return err
}
