package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddCallback stores a callback with the next Seq of its invoice.
func (t *tx) AddCallback(c payment.Callback) (int64, error) {
	if strings.Contains(c.Origin, " ") {
		return 0, t.fail("add callback", fmt.Errorf("%q is no origin", c.Origin))
	}
	seq, err := t.q.NextSeq(t.ctx, string(c.InvoiceID))
	if err != nil {
		return 0, t.fail("number callback", err)
	}
	return seq, t.fail("add callback", t.q.AddCallback(t.ctx, row.AddCallbackParams{
		ID: string(c.ID), InvoiceID: string(c.InvoiceID), ApplicationID: string(c.ApplicationID), Seq: seq, URL: c.URL,
		Origin: c.Origin, Status: int64(c.Status), Code: int64(c.Code), ContentType: c.ContentType, Body: bytes(c.Body),
		State: string(c.State), Attempts: int64(c.Attempts), CreatedAt: millis(c.CreatedAt), DueAt: millis(c.DueAt),
		LeaseUntil: millis(c.LeaseUntil), Fence: c.Fence, DoneAt: millis(c.DoneAt), PayoutID: string(c.PayoutID),
	}))
}

// Callback finds a callback.
func (t *tx) Callback(id payment.ID) (payment.Callback, error) {
	r, err := t.q.Callback(t.ctx, string(id))
	return callback(r), t.fail("find callback", err)
}

// SwapCallback saves the state, attempts and times of a callback if its fence is still this one, and raises the fence.
func (t *tx) SwapCallback(c payment.Callback, fence int64) error {
	n, err := t.q.SwapCallback(t.ctx, row.SwapCallbackParams{
		State: string(c.State), Attempts: int64(c.Attempts), DueAt: millis(c.DueAt), LeaseUntil: millis(c.LeaseUntil),
		DoneAt: millis(c.DoneAt), ID: string(c.ID), Fence: fence,
	})
	return t.swapped("save callback", n, err)
}

// ClaimCallbacks takes due callbacks, the longest due first: one of each origin, then another one of each, up to PerOrigin.
func (t *tx) ClaimCallbacks(q engine.ClaimCallbacks) ([]payment.Callback, error) {
	skip := ""
	for _, origin := range q.Skip {
		skip += " " + origin + " "
	}
	due, err := t.q.CountDue(t.ctx, row.CountDueParams{Now: millis(q.Now), Few: FewDue})
	if err != nil {
		return nil, t.fail("count due callbacks", err)
	}
	var rows []row.Callback
	for range q.PerOrigin {
		p := row.ClaimLanesParams{
			LeaseUntil: millis(q.Now.Add(q.Lease)), Now: millis(q.Now), Skip: skip, Most: atMost(q.Limit - len(rows)),
		}
		claim := t.q.ClaimLanes
		if due < FewDue {
			claim = t.claimFew
		}
		round, err := claim(t.ctx, p)
		if err != nil {
			return nil, t.fail("claim callbacks", err)
		}
		if rows = append(rows, round...); len(round) == 0 || len(rows) >= q.Limit {
			break
		}
	}
	slices.SortFunc(rows, func(a, b row.Callback) int { return cmp.Or(cmp.Compare(a.DueAt, b.DueAt), cmp.Compare(a.N, b.N)) })
	return callbacks(rows), nil
}

// claimFew is ClaimLanes for when no more than FewDue are due.
func (t *tx) claimFew(ctx context.Context, p row.ClaimLanesParams) ([]row.Callback, error) {
	return t.q.ClaimCallbacks(ctx, row.ClaimCallbacksParams{
		LeaseUntil: p.LeaseUntil, Now: p.Now, Few: FewDue, Skip: p.Skip, Most: p.Most,
	})
}

// AddAttempt stores one try.
func (t *tx) AddAttempt(a payment.Attempt) error {
	return t.fail("add attempt", t.q.AddAttempt(t.ctx, row.AddAttemptParams{
		CallbackID: string(a.CallbackID), Number: int64(a.N), At: millis(a.At), TookMs: a.Took.Milliseconds(),
		HttpStatus: int64(a.HTTPStatus), Verdict: a.Verdict, Detail: a.Detail, Answer: bytes(a.Answer), Sent: a.Sent, Headers: a.Headers,
	}))
}

// Attempts are a callback's, the first first.
func (t *tx) Attempts(id payment.ID, limit int) ([]payment.Attempt, error) {
	rows, err := t.q.Attempts(t.ctx, row.AttemptsParams{CallbackID: string(id), Most: atMost(limit)})
	all := make([]payment.Attempt, len(rows))
	for i, r := range rows {
		all[i] = payment.Attempt{
			CallbackID: payment.ID(r.CallbackID), N: int(r.Number), At: at(r.At), Took: span(r.TookMs),
			HTTPStatus: int(r.HttpStatus), Verdict: r.Verdict, Detail: r.Detail, Answer: r.Answer, Sent: r.Sent, Headers: r.Headers,
		}
	}
	return all, t.fail("list attempts", err)
}

// Callbacks are an invoice's, in their order.
func (t *tx) Callbacks(invoice payment.ID, limit int) ([]payment.Callback, error) {
	rows, err := t.q.Callbacks(t.ctx, row.CallbacksParams{InvoiceID: string(invoice), Most: atMost(limit)})
	return callbacks(rows), t.fail("list callbacks", err)
}

// OldestDue is the earliest time at which an open callback was or will be due.
func (t *tx) OldestDue() (time.Time, error) {
	due, err := t.q.OldestDue(t.ctx)
	return at(due), t.fail("find the oldest due callback", err)
}

func callbacks(rows []row.Callback) []payment.Callback {
	all := make([]payment.Callback, len(rows))
	for i, r := range rows {
		all[i] = callback(r)
	}
	return all
}

func callback(r row.Callback) payment.Callback {
	return payment.Callback{
		ID: payment.ID(r.ID), InvoiceID: payment.ID(r.InvoiceID), ApplicationID: payment.ID(r.ApplicationID), Seq: r.Seq,
		URL: r.URL, Origin: r.Origin, Status: int(r.Status), Code: int(r.Code), ContentType: r.ContentType,
		Body: r.Body, State: payment.CallbackState(r.State), Attempts: int(r.Attempts), CreatedAt: at(r.CreatedAt),
		DueAt: at(r.DueAt), LeaseUntil: at(r.LeaseUntil), Fence: r.Fence, DoneAt: at(r.DoneAt), PayoutID: payment.ID(r.PayoutID),
	}
}
