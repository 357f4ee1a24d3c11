package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// An aside keeps one thing that fails from keeping all others from being done. What fails fails the step at first, so that
// a passing trouble is tried again at once; what has failed AsideAfter times in a row is the trouble itself: it is logged,
// and left alone for AsideFor. It belongs to one loop.
type aside struct {
	failed map[payment.ID]failing
}

type failing struct {
	times int // in a row
	until time.Time
}

// each does something for every id that is not put aside. The error joins what failed; where MaxFailures have, the cause
// is not in what was to be done, and the rest is left for the next step.
func (a *aside) each(ctx context.Context, log *slog.Logger, round asideRound) error {
	var failures []error
	for _, id := range round.ids {
		was := a.failed[id]
		if round.now.Before(was.until) {
			continue
		}
		err := round.do(id)
		if err == nil {
			delete(a.failed, id)
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(append(failures, err)...)
		}
		if was.times++; was.times >= AsideAfter {
			was.until = round.now.Add(AsideFor)
			log.ErrorContext(ctx, "one thing fails again and again and is put aside: call the operator",
				"what", round.what, "id", id, "error", err, "until", was.until)
		} else {
			failures = append(failures, err)
		}
		a.keep(id, was)
		if len(failures) >= MaxFailures {
			break
		}
	}
	return errors.Join(failures...)
}

// keep remembers a failure, in bounds: what is forgotten only fails the step once more.
func (a *aside) keep(id payment.ID, f failing) {
	if a.failed == nil || len(a.failed) >= AsideMost {
		a.failed = map[payment.ID]failing{}
	}
	a.failed[id] = f
}

// An asideRound is what each is to do.
type asideRound struct {
	what string
	now  time.Time
	ids  []payment.ID
	do   func(payment.ID) error
}
