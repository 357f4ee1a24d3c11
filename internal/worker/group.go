package worker

import (
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"
)

// Run runs all loops until ctx is done or a step panics, and returns when each has ended its step.
func Run(ctx context.Context, log *slog.Logger, loops ...Loop) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range loops {
		g.Go(func() error { return l.run(ctx, log) })
	}
	return g.Wait()
}
