package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

const (
	// seenEvents is how many deposits come, one every seenPause.
	seenEvents = 280
	seenPause  = 20 * time.Millisecond
	// seenPages is how many of them have an open page.
	seenPages = 56
	// spareAddresses stay free, so that the pool has nothing to do.
	spareAddresses = 2_000
)

// A teller is a node that notes when it told of what waits outside blocks: PIPE can know it no sooner.
type teller struct {
	*chaintest.Fake
	mu   sync.Mutex // owns told
	told map[string]time.Time
}

// Pending is the fake's answer.
func (t *teller) Pending(ctx context.Context, w chain.Watch) (chain.Pending, error) {
	p, err := t.Fake.Pending(ctx, w)
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range p.Credits {
		if _, ok := t.told[c.To]; !ok {
			t.told[c.To] = now
		}
	}
	return p, err
}

func seen(ctx context.Context, b *lab) ([]result, error) {
	s, err := b.newShop(ctx, hosts, func(int) manner { return quick })
	if err != nil {
		return nil, err
	}
	node := &teller{Fake: chaintest.NewFake(network), told: map[string]time.Time{}}
	node.SetNow(time.Now())
	node.Mine(3)
	h, err := b.open(ctx, setup{name: "seen", roles: "api,checkout,worker", origins: s.origins, proxied: true, idle: true,
		reader: func(chain.Reader) chain.Reader { return node }})
	if err != nil {
		return nil, err
	}
	b.later(h.close)
	began := time.Now()
	if err := h.waiting(ctx, b.waits); err != nil {
		return nil, err
	}
	b.say("  %d open invoices in %s", b.waits, time.Since(began).Round(time.Millisecond))
	<-h.ran
	if err := h.start(ctx); err != nil {
		return nil, err
	}
	if err := node.ready(ctx, h); err != nil {
		return nil, err
	}
	write, err := b.sqliteSink(ctx, "limit-seen.db")
	if err != nil {
		return nil, err
	}
	g := newGroup(ctx, 8, write)
	b.later(g.close)
	limit := func(ctx context.Context) (float64, error) {
		t, err := load(ctx, 1, b.slice/2, g.work)
		return millis(percentile(t.took, 50)), err
	}
	first := 0
	var calls, pages []time.Duration
	each := seenEvents / b.pairs
	r := result{goal: fmt.Sprintf("coins seen → callback at the shop, %d open invoices", b.waits), limit: "one commit of one row", unit: "ms (p50)"}
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, limit, func(ctx context.Context) (float64, error) {
		some, shown, err := h.pay(ctx, s, node, first, each)
		first += each
		calls, pages = append(calls, some...), append(pages, shown...)
		sortTimes(some)
		return millis(percentile(some, 50)), err
	})
	if err != nil {
		return nil, err
	}
	p99 := spread(calls, &r)
	r.more += ", from when the node told it"
	r.target, r.met = "p50 ≤ 5 ms, p99 ≤ 25 ms", r.got.median() <= 5 && p99 <= 25*time.Millisecond
	page := result{goal: "coins seen → open page", unit: "ms (p50)", target: r.target}
	p99 = spread(pages, &page)
	page.got = series{millis(percentile(pages, 50))}
	page.met = page.got.median() <= 5 && p99 <= 25*time.Millisecond
	return []result{r, page}, nil
}

// ready waits until the watcher has come to the tip once.
func (t *teller) ready(ctx context.Context, h *house) error {
	return await(ctx, func() error {
		return h.Store().View(ctx, func(tx engine.Tx) error {
			c, err := tx.Cursor(network)
			if err == nil && c.Hash != t.Tip().Hash {
				err = errors.New("not at the tip")
			}
			return err
		})
	})
}

// waiting stores n invoices that wait for coins, each with a quote and an address.
func (h *house) waiting(ctx context.Context, n int) error {
	rate, err := money.ParseRate(money.BTC, money.USD, "68500")
	if err != nil {
		return err
	}
	given, err := h.release(ctx, network, n)
	if err != nil {
		return err
	}
	err = h.batches(ctx, n, func(tx engine.Tx, from, to int) error {
		for i := from; i < to; i++ {
			inv := h.invoice(tx, i)
			inv.CallbackURL = fmt.Sprintf("%s/%d", h.shops[i%len(h.shops)], i)
			q := payment.Quote{ID: tx.NewID(), InvoiceID: inv.ID, Coin: money.BTC, Network: network, Address: given[i].Address, Rate: rate,
				Due: rate.Due(inv.Price), Window: 24 * time.Hour, CreatedAt: tx.Now(), Deadline: tx.Now().Add(24 * time.Hour)}
			inv.Told.QuoteID, inv.Told.Seen, inv.Told.Confirmed, inv.Told.Deadline = q.ID, "0", "0", q.Deadline.UnixMilli()
			if err := h.addInvoice(tx, inv); err != nil {
				return err
			}
			if err := tx.AddQuote(q); err != nil {
				return err
			}
			g := &given[i]
			g.State, g.InvoiceID, g.GivenAt, g.HotUntil = payment.AddressGiven, inv.ID, tx.Now(), q.Deadline
			h.paid = append(h.paid, q.Address)
			h.ids = append(h.ids, inv.ID)
		}
		return tx.AddAddresses(given[from:to])
	})
	if err != nil {
		return err
	}
	return h.pool(ctx, spareAddresses)
}

// pay sends coins to some invoices and tells how long each callback, and each open page, took to hear of it.
func (h *house) pay(ctx context.Context, s *shop, node *teller, first, n int) (calls, shown []time.Duration, err error) {
	s.reset()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make([]chan time.Time, n)
	for i := 0; i < n; i += seenEvents / seenPages {
		if pages[i], err = h.feed(ctx, h.ids[first+i], i); err != nil {
			return nil, nil, err
		}
	}
	for i := range n {
		node.Pay(h.paid[first+i], money.Of(money.BTC, 1_000))
		time.Sleep(seenPause)
	}
	if err := s.wait(ctx, n); err != nil {
		return nil, nil, err
	}
	for i := range n {
		s.mu.Lock()
		came := s.came[first+i]
		s.mu.Unlock()
		node.mu.Lock()
		told := node.told[h.paid[first+i]]
		node.mu.Unlock()
		calls = append(calls, came.Sub(told))
		if pages[i] == nil {
			continue
		}
		select {
		case at := <-pages[i]:
			shown = append(shown, at.Sub(told))
		case <-time.After(maxWait):
			return nil, nil, errors.New("an open page heard nothing")
		}
	}
	return calls, shown, nil
}

// feed opens the live feed of a page, and tells when something comes after the first event.
func (h *house) feed(ctx context.Context, id payment.ID, from int) (chan time.Time, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.addr+"/invoice/"+string(id)+"/feed", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("10.1.%d.%d", from>>8, from&255))
	res, err := (&http.Client{}).Do(req) //nolint:bodyclose // the goroutine below closes it when the feed ends
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("feed answered %d", res.StatusCode), res.Body.Close())
	}
	in, out, ready := bufio.NewScanner(res.Body), make(chan time.Time, 1), make(chan struct{})
	in.Buffer(nil, answerMost)
	go func() {
		events := 0
		for in.Scan() {
			if !strings.HasPrefix(in.Text(), "data:") {
				continue
			}
			if events++; events == 1 {
				close(ready)
			} else if events == 2 {
				out <- time.Now()
			}
		}
		if events == 0 {
			close(ready)
		}
		res.Body.Close() //nolint:errcheck,gosec // the case is over
	}()
	<-ready
	return out, nil
}
