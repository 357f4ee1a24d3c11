// Package worker turns the cranks: named loops with an interval, jitter, a timeout and a clean stop.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// A Loop calls Run again and again. Run does one bounded step; tests call it directly. A failed step is logged and tried
// again after a pause that grows to MaxPause; a panic is a failed step that ends the group, because an assertion that does
// not hold must not go on working with money.
type Loop struct {
	Name    string
	Every   time.Duration // pause between the end of a step and the next one
	Timeout time.Duration // of one step
	Run     func(ctx context.Context) error
	// Wake ends the pause after a good step early; nil: nothing does.
	Wake <-chan struct{}
}

// MaxPause is the longest pause after failed steps.
const MaxPause = 30 * time.Second

// ErrPanic: a step panicked.
var ErrPanic = errors.New("worker: step panicked")

// run steps the loop until ctx is done. Its error is ErrPanic, or nil.
func (l Loop) run(ctx context.Context, log *slog.Logger) error {
	log = log.With("loop", l.Name)
	failures := 0
	for {
		began := time.Now()
		err := l.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // cut short because the group stops
		case errors.Is(err, ErrPanic):
			log.ErrorContext(ctx, "step panicked", "error", err)
			return err
		case err != nil:
			failures++
			log.ErrorContext(ctx, "step failed", "error", err, "took", time.Since(began), "in_a_row", failures)
		default:
			failures = 0
		}
		wake := l.Wake
		if failures > 0 {
			wake = nil
		}
		if !sleep(ctx, l.pause(failures), wake) {
			return nil
		}
	}
}

// pause is Every with up to a tenth more, doubled for each failure in a row.
func (l Loop) pause(failures int) time.Duration {
	p := l.Every
	for range failures {
		if p *= 2; p > MaxPause {
			p = max(MaxPause, l.Every)
			break
		}
	}
	return p + time.Duration(rand.Int64N(int64(p)/10+1))
}

func (l Loop) step(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, p, debug.Stack())
		}
	}()
	return l.Run(ctx)
}

// sleep waits for so long or for wake, and tells whether to go on.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	case <-wake:
		return true
	}
}
