package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoop(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	t.Run("steps at its pace until stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
			defer cancel()
			n := 0
			l := Loop{Name: "x", Every: time.Second, Timeout: time.Minute, Run: func(context.Context) error { n++; return nil }}
			if err := Run(ctx, quiet, l); err != nil {
				t.Fatal(err)
			}
			if n < 10 || n > 11 {
				t.Errorf("%d steps in 10.5 s at one a second", n)
			}
		})
	})
	t.Run("a wake ends a pause, but not one after a failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			wake, n, began := make(chan struct{}, 1), 0, time.Now()
			var at []time.Duration
			l := Loop{Name: "x", Every: time.Minute, Timeout: time.Minute, Wake: wake, Run: func(context.Context) error {
				at = append(at, time.Since(began))
				select {
				case wake <- struct{}{}:
				default:
				}
				if n++; n == 3 {
					return errors.New("no")
				}
				if n == 4 {
					cancel()
				}
				return nil
			}}
			if err := Run(ctx, quiet, l); err != nil {
				t.Fatal(err)
			}
			if len(at) != 4 || at[2] != 0 || at[3] < time.Minute {
				t.Errorf("steps at %v", at)
			}
		})
	})
	t.Run("pauses longer after failures, at most MaxPause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			var last time.Time
			longest := time.Duration(0)
			l := Loop{Name: "x", Every: time.Second, Timeout: time.Minute, Run: func(context.Context) error {
				if !last.IsZero() {
					longest = max(longest, time.Since(last))
				}
				last = time.Now()
				return errors.New("no")
			}}
			if err := Run(ctx, quiet, l); err != nil {
				t.Fatal(err)
			}
			if longest < MaxPause || longest > MaxPause*11/10+time.Second {
				t.Errorf("longest pause %s, want about %s", longest, MaxPause)
			}
		})
	})
	t.Run("a step is cut at its timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := Loop{Name: "x", Every: time.Second, Timeout: 3 * time.Second, Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
			began := time.Now()
			if err := l.step(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
				t.Errorf("error %v after %s", err, time.Since(began))
			}
		})
	})
	t.Run("a panic ends the group", func(t *testing.T) {
		bad := Loop{Name: "bad", Every: time.Second, Timeout: time.Minute, Run: func(context.Context) error { panic("sum is off") }}
		good := Loop{Name: "good", Every: time.Millisecond, Timeout: time.Minute, Run: func(context.Context) error { return nil }}
		if err := Run(t.Context(), quiet, bad, good); !errors.Is(err, ErrPanic) {
			t.Errorf("error %v, want ErrPanic", err)
		}
	})
}
