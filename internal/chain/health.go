package chain

import "context"

// A Level tells how bad a finding is.
type Level int

// The levels of a finding.
const (
	Fine Level = iota // as it should be
	Warn              // works, with less safety or comfort
	Bad               // does not work, or must not be relied on
)

// A Finding is one thing that was looked at, and what to do about it.
type Finding struct {
	Level Level
	What  string
	Cure  string // what the operator does about it; "" when fine
}

// A Checkup is what there is to say about one endpoint.
type Checkup struct {
	Version  string // software and version, as the node tells
	Height   uint64
	Findings []Finding
}

// Add appends a finding.
func (c *Checkup) Add(level Level, what, cure string) {
	c.Findings = append(c.Findings, Finding{level, what, cure})
}

// Worst is the worst level found.
func (c Checkup) Worst() Level {
	worst := Fine
	for _, f := range c.Findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// A Checker looks at one endpoint for an operator. It never fails: what goes wrong is a finding.
type Checker interface {
	Check(ctx context.Context) Checkup
}
