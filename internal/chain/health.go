package chain

import (
	"context"
	"sync"
	"time"
)

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

// Health is how one endpoint of a quorum does.
type Health struct {
	Name     string
	Tip      Block
	Behind   uint64 // blocks below the highest endpoint
	Err      error  // why its tip could not be read
	Failures int    // failed calls since it last answered
	LastErr  error  // of the last of them
	Resting  bool   // left alone for a while after a slow failure
	Checkup  Checkup
}

// Health asks every endpoint now, also one that rests. The error is the quorum's own: why it would not tell a tip.
func (q *Quorum) Health(ctx context.Context) ([]Health, error) {
	now := time.Now()
	report := make([]Health, len(q.all))
	for i, e := range q.all {
		report[i] = Health{Name: e.name, Resting: e.resting(now)}
	}
	highest := uint64(0)
	for i, a := range askAll(ctx, q.all, func(ctx context.Context, e *endpoint) (Head, error) { return e.reader.Head(ctx) }) {
		report[i].Tip, report[i].Err = a.value.Tip, a.err
		if a.err == nil {
			highest = max(highest, a.value.Tip.Height)
		}
	}
	var wait sync.WaitGroup
	for i, e := range q.all {
		if report[i].Err == nil {
			report[i].Behind = highest - report[i].Tip.Height
		}
		e.mu.Lock()
		report[i].Failures, report[i].LastErr = e.failures, e.lastErr
		e.mu.Unlock()
		if c, more := e.reader.(Checker); more {
			wait.Go(func() { report[i].Checkup = c.Check(ctx) })
		}
	}
	wait.Wait()
	_, err := q.Head(ctx)
	return report, err
}
