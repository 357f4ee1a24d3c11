package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A series is what was measured, one value per pair.
type series []float64

func (s series) sorted() series { c := slices.Clone(s); slices.Sort(c); return c }

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	c := s.sorted()
	if n := len(c); n%2 == 0 {
		return (c[n/2-1] + c[n/2]) / 2
	}
	return c[len(c)/2]
}

func (s series) least() float64 { return slices.Min(s) }
func (s series) most() float64  { return slices.Max(s) }

// A result is one line of the table.
type result struct {
	goal   string
	limit  string // what the limit program does; empty: there is none
	unit   string // of got and base
	base   series // the limit
	got    series
	ratio  series
	more   string // percentiles and the like
	target string
	met    bool
}

func (r result) line() string {
	text := fmt.Sprintf("%s: %s %s", r.goal, number(r.got.median()), r.unit)
	if len(r.ratio) > 0 {
		text += fmt.Sprintf(", L %s, ratio %s (%s–%s)", number(r.base.median()), short(r.ratio.median()), short(r.ratio.least()), short(r.ratio.most()))
	}
	if r.more != "" {
		text += ", " + r.more
	}
	if r.target != "" {
		text += fmt.Sprintf("; target %s: %s", r.target, map[bool]string{true: "met", false: "missed"}[r.met])
	}
	return text
}

// pairs runs the limit before and after each measurement, and gives each measurement's ratio to the mean of the limits
// around it.
func pairs(ctx context.Context, n int, limit, measure func(context.Context) (float64, error)) (base, got, ratio series, err error) {
	before, err := limit(ctx)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("limit: %w", err)
	}
	base = append(base, before)
	for range n {
		m, err := measure(ctx)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("measurement: %w", err)
		}
		after, err := limit(ctx)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("limit: %w", err)
		}
		base, got, ratio = append(base, after), append(got, m), append(ratio, m/((before+after)/2))
		before = after
	}
	return base, got, ratio, nil
}

// A tally is what a load did.
type tally struct {
	rate float64 // operations a second
	took []time.Duration
}

// load lets callers work for a time, each one operation after the other. work makes what a caller does.
func load(ctx context.Context, callers int, slice time.Duration, work func(caller int) (func(context.Context) error, error)) (tally, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	all := make([][]time.Duration, callers)
	ops := make([]func(context.Context) error, callers)
	for i := range callers {
		op, err := work(i)
		if err != nil {
			return tally{}, err
		}
		ops[i] = op
	}
	var wg sync.WaitGroup
	began := time.Now()
	for i := range callers {
		wg.Go(func() {
			for time.Since(began) < slice && ctx.Err() == nil {
				at := time.Now()
				if err := ops[i](ctx); err != nil {
					cancel(err)
					return
				}
				all[i] = append(all[i], time.Since(at))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if err := context.Cause(ctx); err != nil {
		return tally{}, err
	}
	t := tally{took: slices.Concat(all...)}
	t.rate = float64(len(t.took)) / took.Seconds()
	slices.Sort(t.took)
	return t, nil
}

// percentile of sorted times.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func sortTimes(all []time.Duration) { slices.Sort(all) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// number is a value with about three digits.
func number(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.1f k", v/1_000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func short(v float64) string { return fmt.Sprintf("%.2f", v) }
