package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/signer"
	"github.com/pipe-pg/pipe/internal/webhook"
	"github.com/pipe-pg/pipe/internal/worker"
)

// openWorkers makes the loops of the role worker.
func (a *App) openWorkers() error {
	a.courier = &engine.Courier{
		Store: a.ports.store, Sender: a.ports.sender, Sealer: a.Desk.Sealer, Lanes: webhook.NewLanes(webhook.LaneOptions{}),
		Pause: func(attempts int) (time.Duration, bool) { return webhook.Pause(attempts, rand.Int64N) }, Log: a.log, More: a.bell,
	}
	clerk := &engine.Clerk{Store: a.ports.store, Rates: a.Desk.Rates, Nets: a.Nets, Render: a.Desk.Render, Log: a.log}
	a.pool = &engine.Pool{Store: a.ports.store, Signer: a.ports.signer, Nets: a.Nets, Log: a.log}
	a.auditor = a.Auditor()
	a.recover = &engine.Recovery{Store: a.ports.store, Journal: a.ports.journal, Nets: a.Nets, Render: a.Desk.Render, Log: a.log}
	a.loops = append(a.loops,
		worker.Loop{Name: "disk", Every: ReserveEvery, Timeout: StepTimeout, Run: func(context.Context) error { return a.reserve.keep() }},
		worker.Loop{Name: "pool", Every: PoolEvery, Timeout: StepTimeout, Run: a.orStop(a.pool.Step)},
		worker.Loop{Name: "expire", Every: ExpireEvery, Timeout: StepTimeout, Run: clerk.Expire},
		worker.Loop{Name: "value", Every: ExpireEvery, Timeout: StepTimeout, Run: clerk.Value},
		worker.Loop{Name: "prune", Every: PruneEvery, Timeout: StepTimeout, Run: clerk.Prune},
		worker.Loop{Name: "fold", Every: PruneEvery, Timeout: StepTimeout, Run: clerk.Fold},
		worker.Loop{Name: "audit", Every: AuditEvery, Timeout: AuditEvery, Run: a.audit},
		worker.Loop{Name: "callback", Every: CourierEvery, Timeout: StepTimeout, Run: a.courier.Step, Wake: a.bell},
	)
	if err := a.openPeople(); err != nil {
		return err
	}
	for _, n := range a.Nets {
		w := &engine.Watcher{
			Store: a.ports.store, Reader: a.readers[n.Network], Net: n, Nets: a.Nets, Render: a.Desk.Render, Log: a.log,
			Recovery: a.recover,
		}
		builder, err := a.Config.builder(n.Network, a.opts.Now, a.log)
		if err != nil {
			return fmt.Errorf("set up payouts on %s: %w", n.Network, err)
		}
		if a.opts.Wrap.Builder != nil {
			builder = a.opts.Wrap.Builder(builder)
		}
		payer := &engine.Payer{
			Store: a.ports.store, Net: n, Nets: a.Nets, Builder: builder, Hand: a.ports.hand, Rules: a.Config.payRules(n.Network),
			Render: a.Desk.Render, Log: a.log, At: a.opts.At, Recovery: a.recover,
		}
		recount := RecountEvery
		if chain.IsDev(n.Network) {
			recount = RecountEveryDev
		}
		a.loops = append(a.loops,
			worker.Loop{Name: "follow:" + string(n.Network), Every: a.Config.poll(n.Network), Timeout: StepTimeout, Run: w.Follow},
			worker.Loop{Name: "pay:" + string(n.Network), Every: a.Config.poll(n.Network), Timeout: StepTimeout, Run: a.orStop(payer.Step)},
			worker.Loop{Name: "recount:" + string(n.Network), Every: recount, Timeout: StepTimeout, Run: w.Recount},
		)
	}
	return nil
}

// orStop ends the process where the signer stopped for good, because its journal could not be written or is not the newest.
func (a *App) orStop(step func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := step(ctx)
		if errors.Is(err, signer.ErrStopped) || errors.Is(err, engine.ErrOldJournal) {
			a.fatal(err)
		}
		return err
	}
}

// audit logs what does not hold.
func (a *App) audit(ctx context.Context) error {
	clean, err := a.auditOnce(ctx)
	if err != nil || clean {
		return err
	}
	select { // what shows again is no moment between two commits, and halts payouts
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(AuditAgain):
	}
	_, err = a.auditOnce(ctx)
	return err
}

func (a *App) auditOnce(ctx context.Context) (clean bool, err error) {
	r, err := a.auditor.Audit(ctx)
	if err != nil {
		return false, err
	}
	for _, d := range r.Differences {
		a.log.ErrorContext(ctx, "audit found a difference: call the operator", "what", d.What, "difference", d.Text)
	}
	for _, u := range r.Unchecked {
		a.log.WarnContext(ctx, "audit could not check", "what", u)
	}
	halted, err := a.auditor.Latch(ctx, r)
	if halted {
		a.log.ErrorContext(ctx, "payouts are halted, as ledger and chain differ: call the operator; then pipe payouts resume")
	}
	return r.Clean(), err
}
