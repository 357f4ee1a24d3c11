package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// Named is an endpoint with the name that reports and errors call it by.
type Named struct {
	Name   string
	Reader Reader
}

// A Quorum is several endpoints of one network as one Reader. What it tells, MinAgree of them told alike and none told
// otherwise; with one endpoint set up, that one's word is enough. An endpoint that is behind, cannot be reached or is blind
// does not count; where too few are left, ErrBlind. One that contradicts freezes all: ErrDisagree. So with two set up and
// one of them down the answer is ErrBlind: two is the least for safety, three the least for going on without one.
//
// Safe for concurrent use. A Watch's functions are called by one goroutine at a time per call of Scan, Pending and Weigh.
type Quorum struct {
	network money.Network
	all     []*endpoint
	need    int

	mu     sync.Mutex // owns agreed
	agreed agreed
}

// agreed remembers between which heads the last comparison found no contradiction.
type agreed struct {
	tips string
	head Block
}

var _ Reader = (*Quorum)(nil)

// NewQuorum joins 1 to MaxEndpoints endpoints with different names.
func NewQuorum(network money.Network, all ...Named) (*Quorum, error) {
	if len(all) == 0 || len(all) > MaxEndpoints {
		return nil, fmt.Errorf("join endpoints of %s: between 1 and %d are needed, got %d", network, MaxEndpoints, len(all))
	}
	q := &Quorum{network: network, need: min(MinAgree, len(all))}
	for _, n := range all {
		if slices.ContainsFunc(q.all, func(e *endpoint) bool { return e.name == n.Name }) {
			return nil, fmt.Errorf("join endpoints of %s: two are called %q", network, n.Name)
		}
		q.all = append(q.all, &endpoint{name: n.Name, reader: n.Reader})
	}
	return q, nil
}

// An endpoint is one of the readers and how it did lately. Its mutex owns what is below it.
type endpoint struct {
	name   string
	reader Reader

	mu        sync.Mutex
	restUntil time.Time
	failures  int // since it last answered
	lastErr   error
}

// note keeps how a call went. What a chain has not is an answer, too.
func (e *endpoint) note(began time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil || errors.Is(err, ErrNoBlock) || errors.Is(err, ErrGone) {
		e.failures, e.lastErr, e.restUntil = 0, nil, time.Time{}
		return
	}
	e.failures++
	e.lastErr = err
	if now := time.Now(); now.Sub(began) >= SlowFailure {
		e.restUntil = now.Add(RestFor)
	}
}

func (e *endpoint) resting(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return now.Before(e.restUntil)
}

// awake are the endpoints to ask: without those that rest, unless too few would be left.
func (q *Quorum) awake() []*endpoint {
	now := time.Now()
	awake := make([]*endpoint, 0, len(q.all))
	for _, e := range q.all {
		if !e.resting(now) {
			awake = append(awake, e)
		}
	}
	if len(awake) < q.need {
		return q.all
	}
	return awake
}

// An answer is what one endpoint said.
type answer[T any] struct {
	from  *endpoint
	value T
	err   error
}

// askAll asks endpoints at once and waits for all.
func askAll[T any](ctx context.Context, all []*endpoint, ask func(context.Context, *endpoint) (T, error)) []answer[T] {
	answers := make([]answer[T], len(all))
	var wait sync.WaitGroup
	for i, e := range all {
		wait.Go(func() {
			began := time.Now()
			value, err := ask(ctx, e)
			if ctx.Err() == nil {
				e.note(began, err)
			}
			answers[i] = answer[T]{e, value, err}
		})
	}
	wait.Wait()
	return answers
}

// tooFew tells why there is no quorum.
func (q *Quorum) tooFew(ctx context.Context, what string, got int, errs []error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(errs) == 0 {
		return fmt.Errorf("%s: %d of %d endpoints answer, %d are needed: %w", what, got, len(q.all), q.need, ErrBlind)
	}
	return fmt.Errorf("%s: %d of %d endpoints answer, %d are needed: %w: %w", what, got, len(q.all), q.need, ErrBlind, errors.Join(errs...))
}

// Head implements Reader. The tip is the highest block that enough endpoints have; the final height, the highest that
// enough of them call so.
func (q *Quorum) Head(ctx context.Context) (Head, error) {
	answers := askAll(ctx, q.awake(), func(ctx context.Context, e *endpoint) (Head, error) { return e.reader.Head(ctx) })
	if len(q.all) == 1 {
		return answers[0].value, answers[0].err
	}
	var heads []answer[Head]
	var errs []error
	for _, a := range answers {
		if a.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.from.name, a.err))
			continue
		}
		heads = append(heads, a)
	}
	if len(heads) < q.need {
		return Head{}, q.tooFew(ctx, "read tip", len(heads), errs)
	}
	tip, err := q.compare(ctx, heads)
	if err != nil {
		return Head{}, err
	}
	finals := make([]uint64, len(heads))
	for i, h := range heads {
		finals[i] = h.value.Final
	}
	return Head{Tip: tip, Final: min(nth(finals, q.need), tip.Height)}, nil
}

// compare finds the tip that enough endpoints share, and compares all of them with it at CompareDepths; one that is
// behind, at the depths below its own tip.
func (q *Quorum) compare(ctx context.Context, heads []answer[Head]) (Block, error) {
	heights := make([]uint64, len(heads))
	var tips strings.Builder
	for i, h := range heads {
		heights[i] = h.value.Tip.Height
		fmt.Fprintf(&tips, "%s %s\n", h.from.name, h.value.Tip.Hash)
	}
	q.mu.Lock()
	last := q.agreed
	q.mu.Unlock()
	if last.tips == tips.String() {
		return last.head, nil
	}
	top := nth(heights, q.need)
	depths := CompareDepths(q.network)
	tip, err := q.agree(ctx, heads, top)
	if errors.Is(err, ErrDisagree) && depths[0] > 1 {
		tip, err = q.agree(ctx, heads, below(top, depths[0]))
	}
	if err != nil {
		return Block{}, err
	}
	check := map[uint64]bool{}
	for _, depth := range depths {
		for _, h := range heights {
			check[below(min(h, top), depth)] = true
		}
	}
	delete(check, tip.Height)
	for height := range check {
		if _, err := q.agree(ctx, heads, height); err != nil {
			return Block{}, err
		}
	}
	q.mu.Lock()
	q.agreed = agreed{tips.String(), tip}
	q.mu.Unlock()
	return tip, nil
}

// agree asks those whose tip reaches the height for their block there.
func (q *Quorum) agree(ctx context.Context, heads []answer[Head], height uint64) (Block, error) {
	var reach []*endpoint
	told := map[*endpoint]Block{}
	for _, h := range heads {
		switch {
		case h.value.Tip.Height == height:
			told[h.from] = h.value.Tip
			reach = append(reach, h.from)
		case h.value.Tip.Height > height:
			reach = append(reach, h.from)
		}
	}
	answers := askAll(ctx, reach, func(ctx context.Context, e *endpoint) (Block, error) {
		if b, ok := told[e]; ok {
			return b, nil
		}
		return e.reader.BlockAt(ctx, height)
	})
	b, err := q.sameBlock(ctx, height, answers)
	if errors.Is(err, ErrNoBlock) { // its tip said it had it
		err = fmt.Errorf("%w: %w", ErrBlind, err)
	}
	return b, err
}

// BlockAt implements Reader. A block that too few endpoints have yet is none.
func (q *Quorum) BlockAt(ctx context.Context, height uint64) (Block, error) {
	answers := askAll(ctx, q.awake(), func(ctx context.Context, e *endpoint) (Block, error) { return e.reader.BlockAt(ctx, height) })
	if len(q.all) == 1 {
		return answers[0].value, answers[0].err
	}
	return q.sameBlock(ctx, height, answers)
}

// sameBlock is the block that enough answers name, when none names another.
func (q *Quorum) sameBlock(ctx context.Context, height uint64, answers []answer[Block]) (Block, error) {
	var got []answer[Block]
	var none int
	var errs []error
	for _, a := range answers {
		switch {
		case a.err == nil:
			got = append(got, a)
		case errors.Is(a.err, ErrNoBlock):
			none++
		default:
			errs = append(errs, fmt.Errorf("%s: %w", a.from.name, a.err))
		}
	}
	for _, a := range got {
		if a.value.Hash != got[0].value.Hash || a.value.Parent != got[0].value.Parent || a.value.Height != got[0].value.Height {
			return Block{}, fmt.Errorf("block %d: %s says %s on %s, %s says %s on %s: %w", height, got[0].from.name, got[0].value.Hash,
				got[0].value.Parent, a.from.name, a.value.Hash, a.value.Parent, ErrDisagree)
		}
	}
	switch {
	case len(got) >= q.need:
		return got[0].value, nil
	case len(got)+none >= q.need:
		return Block{}, fmt.Errorf("block %d: %d of %d endpoints have it, %d are needed: %w", height, len(got), len(q.all), q.need, ErrNoBlock)
	}
	return Block{}, q.tooFew(ctx, fmt.Sprintf("read block %d", height), len(got), errs)
}

// Scan implements Reader. As many endpoints as are needed read the block; the others only where those fail. Where one of
// them has not the balances of so old a block any more, what counts is what all can tell.
func (q *Quorum) Scan(ctx context.Context, b Block, w Watch) (Found, error) {
	return readAlike(ctx, q, reading[Found]{
		what: fmt.Sprintf("scan block %d %s", b.Height, b.Hash),
		read: func(r Reader) (Found, error) { return r.Scan(ctx, b, w) },
		join: func(x, y Found) (Found, bool) {
			if x.Unweighed || y.Unweighed {
				x, y = x.shown(), y.shown()
			}
			return x, x.key() == y.key()
		},
	})
}

// Weigh implements Reader, as Scan does.
func (q *Quorum) Weigh(ctx context.Context, b Block, all []Weighed) (Found, error) {
	return readAlike(ctx, q, reading[Found]{
		what: fmt.Sprintf("weigh at block %d %s", b.Height, b.Hash),
		read: func(r Reader) (Found, error) { return r.Weigh(ctx, b, all) },
		join: func(x, y Found) (Found, bool) { return x, x.key() == y.key() },
	})
}

// A reading is what several endpoints are asked, and how two answers become one if they are alike.
type reading[T any] struct {
	what string
	read func(Reader) (T, error)
	join func(x, y T) (both T, alike bool)
}

// readAlike asks endpoints one after the other until enough have answered alike.
func readAlike[T any](ctx context.Context, q *Quorum, ask reading[T]) (T, error) {
	var none, all T
	var errs []error
	var first string
	got, gone := 0, false
	for _, e := range q.awake() {
		began := time.Now()
		value, err := ask.read(e.reader)
		if ctx.Err() != nil {
			return none, fmt.Errorf("%s: %w", ask.what, ctx.Err())
		}
		e.note(began, err)
		if len(q.all) == 1 {
			return value, err
		}
		if err != nil {
			gone = gone || errors.Is(err, ErrGone)
			errs = append(errs, fmt.Errorf("%s: %w", e.name, err))
			continue
		}
		if got++; got == 1 {
			first, all = e.name, value
		} else {
			both, alike := ask.join(all, value)
			if !alike {
				return none, fmt.Errorf("%s: %s and %s find different things: %w", ask.what, first, e.name, ErrDisagree)
			}
			all = both
		}
		if got == q.need {
			return all, nil
		}
	}
	if gone {
		return none, fmt.Errorf("%s: %w: %w", ask.what, ErrGone, errors.Join(errs...))
	}
	return none, q.tooFew(ctx, ask.what, got, errs)
}

// shown is what transactions show, without what only balances tell.
func (f Found) shown() Found {
	plain := Found{Uses: f.Uses, Unweighed: true}
	for _, c := range f.Credits {
		if c.TxID != "" {
			plain.Credits = append(plain.Credits, c)
		}
	}
	return plain
}

// key prints everything found in one order.
func (f Found) key() string {
	lines := []string{fmt.Sprintf("unweighed %t", f.Unweighed)}
	for _, c := range f.Credits {
		lines = append(lines, fmt.Sprintf("%q %q %q %q %s %d", c.Ref, c.To, c.From, c.TxID, c.Amount, c.Spendable))
	}
	for _, fall := range f.Falls {
		lines = append(lines, fmt.Sprintf("fall %q %s", fall.Address, fall.Balance))
	}
	for _, u := range f.Uses {
		lines = append(lines, fmt.Sprintf("use %q %q %q %t %s %s", string(u.Ticket), u.TxID, u.From, u.Failed, u.Out, u.Fee))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// Pending implements Reader: what any endpoint has seen. Full is what all that answer are.
func (q *Quorum) Pending(ctx context.Context, w Watch) (Pending, error) {
	union := Pending{Full: true}
	seen := map[string]bool{}
	var errs []error
	answered := 0
	for _, e := range q.awake() {
		began := time.Now()
		p, err := e.reader.Pending(ctx, w)
		if ctx.Err() != nil {
			return Pending{}, fmt.Errorf("read mempools: %w", ctx.Err())
		}
		e.note(began, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.name, err))
			continue
		}
		answered++
		union.Full = union.Full && p.Full
		for _, c := range p.Credits {
			if !seen[c.Ref] {
				seen[c.Ref] = true
				union.Credits = append(union.Credits, c)
			}
		}
	}
	if answered == 0 {
		return Pending{}, fmt.Errorf("read mempools: %w: %w", ErrBlind, errors.Join(errs...))
	}
	return union, nil
}

// nth is the n-th highest of the numbers; n counts from 1.
func nth(numbers []uint64, n int) uint64 {
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[len(sorted)-n]
}

// below is the height of the block at a depth under a tip, depth 1 being the tip itself, and 0 at the lowest.
func below(tip, depth uint64) uint64 { return tip - min(tip, depth-1) }
