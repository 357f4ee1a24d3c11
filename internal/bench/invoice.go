package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

const (
	createPath = "/api/v1/invoice/create"
	getPath    = "/api/v1/invoice/get"
)

// creator is a caller that opens invoices, multipart as the guide sends it, each order a new one.
func (h *house) creator(orders *atomic.Int64) func(int) (func(context.Context) error, error) {
	return func(int) (func(context.Context) error, error) {
		c := &caller{addr: h.addr}
		return func(ctx context.Context) error {
			body := multipart("api_key", h.key, "price_currency", "USD", "price", "12.34", "order_id", fmt.Sprint("order-", orders.Add(1)),
				"order_name", "A hat, size 7", "callback_url", h.shop+"/callback", "language", "en", "open_type", "redirect")
			return c.expect(ctx, createPath, body, http.StatusOK)
		}, nil
	}
}

func (c *caller) expect(ctx context.Context, path string, body []byte, want int) error {
	status, answer, err := c.post(ctx, path, multipartType, body, "")
	if err == nil && status != want {
		err = fmt.Errorf("%s answered %d: %s", path, status, answer)
	}
	return err
}

// filled opens a house with so many invoices in it.
func (b *lab) filled(ctx context.Context, s setup, rows int) (*house, error) {
	h, err := b.open(ctx, s)
	if err != nil {
		return nil, err
	}
	b.later(h.close)
	began := time.Now()
	if err := h.fill(ctx, rows); err != nil {
		return nil, err
	}
	if rows > 0 {
		b.say("  %d invoices stored in %s", rows, time.Since(began).Round(time.Millisecond))
	}
	return h, nil
}

// against compares what callers of a house do with a group of the limit program.
func (b *lab) against(ctx context.Context, g *group, callers int, work func(int) (func(context.Context) error, error)) (r result, took []time.Duration, err error) {
	r.unit = "/s"
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, func(ctx context.Context) (float64, error) {
		t, err := load(ctx, callers, b.slice, g.work)
		return t.rate, err
	}, func(ctx context.Context) (float64, error) {
		t, err := load(ctx, callers, b.slice, work)
		took = append(took, t.took...)
		return t.rate, err
	})
	return r, took, err
}

func createSQLite(ctx context.Context, b *lab) ([]result, error) {
	write, err := b.sqliteSink(ctx, "limit-create.db")
	if err != nil {
		return nil, err
	}
	return b.create(ctx, setup{name: "create"}, write, 0.45, "create, SQLite, 32 callers")
}

func createPostgres(ctx context.Context, b *lab) ([]result, error) {
	address, err := b.postgres(ctx)
	if err != nil {
		return nil, err
	}
	write, err := b.postgresSink(ctx, address)
	if err != nil {
		return nil, err
	}
	return b.create(ctx, setup{name: "create-postgres", database: address}, write, 0.4, "create, PostgreSQL, 32 callers")
}

func (b *lab) create(ctx context.Context, s setup, write sink, target float64, goal string) ([]result, error) {
	rows := min(b.rows, 100_000)
	if s.database != "" {
		rows /= 5 // filling goes through the store, which on PostgreSQL takes its time
	}
	h, err := b.filled(ctx, s, rows)
	if err != nil {
		return nil, err
	}
	g := newGroup(ctx, 1, write)
	b.later(g.close)
	var orders atomic.Int64
	r, took, err := b.against(ctx, g, manyCallers, h.creator(&orders))
	if err != nil {
		return nil, err
	}
	p99 := spread(took, &r)
	r.goal, r.limit, r.target = goal, "rows in shared commits", fmt.Sprintf("≥ %.2f L, p99 ≤ 20 ms", target)
	r.met = r.ratio.median() >= target && p99 <= 20*time.Millisecond
	return []result{r}, h.stored(ctx, len(h.ids)+int(orders.Load()))
}

// stored fails unless exactly so many invoices are there: each answer was a row, and each row an answer.
func (h *house) stored(ctx context.Context, want int) error {
	n, after := 0, payment.ID("")
	for {
		var page []payment.ID
		err := h.Store().View(ctx, func(tx engine.Tx) (err error) {
			page, err = tx.DueInvoices(tx.Now().Add(1000*time.Hour), after, 100_000)
			return err
		})
		if err != nil {
			return err
		}
		if n += len(page); len(page) == 0 {
			break
		}
		after = page[len(page)-1]
	}
	if n != want {
		return fmt.Errorf("%d invoices were acknowledged, %d are stored", want, n)
	}
	return nil
}

func createOne(ctx context.Context, b *lab) ([]result, error) {
	h, err := b.filled(ctx, setup{name: "create-one"}, min(b.rows, 10_000))
	if err != nil {
		return nil, err
	}
	write, err := b.sqliteSink(ctx, "limit-one.db")
	if err != nil {
		return nil, err
	}
	g := newGroup(ctx, 2, write)
	b.later(g.close)
	var orders atomic.Int64
	r := result{goal: "create, SQLite, one caller", limit: "one commit of one row", unit: "ms (p50)", target: "≤ 2.2 L"}
	middle := func(work func(int) (func(context.Context) error, error)) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			t, err := load(ctx, 1, b.slice/2, work)
			return millis(percentile(t.took, 50)), err
		}
	}
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, middle(g.work), middle(h.creator(&orders)))
	r.met = err == nil && r.ratio.median() <= 2.2
	return []result{r}, err
}

func chooseCoin(ctx context.Context, b *lab) ([]result, error) {
	h, err := b.filled(ctx, setup{name: "choose", roles: "api,checkout,worker", proxied: true}, min(max(b.rows/2, 30_000), 100_000))
	if err != nil {
		return nil, err
	}
	if err := h.pool(ctx, len(h.ids)); err != nil {
		return nil, err
	}
	write, err := b.sqliteSink(ctx, "limit-choose.db")
	if err != nil {
		return nil, err
	}
	g := newGroup(ctx, 3, write)
	b.later(g.close)
	var next atomic.Int64
	r, took, err := b.against(ctx, g, manyCallers, func(int) (func(context.Context) error, error) {
		c := &caller{addr: h.addr}
		body := []byte("coin=" + string(money.BTC))
		return func(ctx context.Context) error {
			n := next.Add(1)
			if int(n) >= len(h.ids) {
				return fmt.Errorf("all %d invoices have a coin", len(h.ids))
			}
			// Each payer has an address of its own, as far as the limits per address go.
			from := fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d\r\n", n>>16&255, n>>8&255, n&255)
			status, answer, err := c.post(ctx, "/invoice/"+string(h.ids[n])+"/coin", "application/x-www-form-urlencoded", body, from)
			if err == nil && status != http.StatusSeeOther {
				err = fmt.Errorf("choosing answered %d: %s", status, answer)
			}
			return err
		}, nil
	})
	if err != nil {
		return nil, err
	}
	spread(took, &r)
	r.goal, r.limit, r.target = "choose a coin, SQLite, 32 callers", "rows in shared commits", "≥ 0.4 L"
	r.met = r.ratio.median() >= 0.4
	return []result{r}, nil
}

// null is a server whose handler reads nothing and answers as many bytes as get does.
func (b *lab) null(ctx context.Context, size int) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	answer := make([]byte, size)
	s := &http.Server{ReadHeaderTimeout: maxWait, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(answer); err != nil {
			b.say("  null handler: %v", err)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	b.later(func() error {
		err := s.Close()
		<-ended
		return err
	})
	return l.Addr().String(), nil
}

// getter is a caller that asks for stored invoices, each as likely as any other.
func (h *house) getter(from *random, addr string) func(int) (func(context.Context) error, error) {
	return func(int) (func(context.Context) error, error) {
		c, r := &caller{addr: addr}, random{from.next()}
		return func(ctx context.Context) error {
			return c.expect(ctx, getPath, h.question(h.ids[r.below(len(h.ids))]), http.StatusOK)
		}, nil
	}
}

func (h *house) question(id payment.ID) []byte {
	return multipart("api_key", h.key, "invoice_id", string(id))
}

func getMany(ctx context.Context, b *lab) ([]result, error) {
	h, err := b.filled(ctx, setup{name: "get"}, b.rows)
	if err != nil {
		return nil, err
	}
	c := &caller{addr: h.addr}
	status, sample, err := c.post(ctx, getPath, multipartType, h.question(h.ids[0]), "")
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("get answered %d: %s %w", status, sample, err)
	}
	addr, err := b.null(ctx, len(sample))
	if err != nil {
		return nil, err
	}
	seed := random{4}
	var took []time.Duration
	r := result{goal: fmt.Sprintf("get, SQLite, 32 callers, %d rows", len(h.ids)), limit: "null POST handler", unit: "/s"}
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, func(ctx context.Context) (float64, error) {
		t, err := load(ctx, manyCallers, b.slice, h.getter(&seed, addr))
		return t.rate, err
	}, func(ctx context.Context) (float64, error) {
		t, err := load(ctx, manyCallers, b.slice, h.getter(&seed, h.addr))
		took = append(took, t.took...)
		return t.rate, err
	})
	if err != nil {
		return nil, err
	}
	p99 := spread(took, &r)
	r.target, r.met = "≥ 0.5 L, p99 ≤ 10 ms", r.ratio.median() >= 0.5 && p99 <= 10*time.Millisecond
	return []result{r}, nil
}

// growth compares what one operation costs among many rows with what it costs among few.
func growth(ctx context.Context, b *lab) ([]result, error) {
	few, err := b.filled(ctx, setup{name: "growth-few"}, max(b.rows/100, 100))
	if err != nil {
		return nil, err
	}
	many, err := b.filled(ctx, setup{name: "growth-many"}, b.rows)
	if err != nil {
		return nil, err
	}
	var orders atomic.Int64
	seed := random{5}
	between := fmt.Sprintf("%d → %d rows", len(few.ids), len(many.ids))
	get := result{goal: "growth, get, " + between, limit: "the same among few rows", unit: "ms (p50)", target: "≤ 4 ×"}
	middle := func(h *house) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			t, err := load(ctx, 4, b.slice, h.getter(&seed, h.addr))
			return millis(percentile(t.took, 50)), err
		}
	}
	if get.base, get.got, get.ratio, err = pairs(ctx, b.pairs, middle(few), middle(many)); err != nil {
		return nil, err
	}
	get.met = get.ratio.median() <= 4
	create := result{goal: "growth, create, " + between, limit: "the same among few rows", unit: "µs an invoice", target: "≤ 1.25 ×"}
	cost := func(h *house) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			t, err := load(ctx, manyCallers, b.slice, h.creator(&orders))
			return 1e6 / t.rate, err
		}
	}
	create.base, create.got, create.ratio, err = pairs(ctx, b.pairs, cost(few), cost(many))
	create.met = err == nil && create.ratio.median() <= 1.25
	return []result{create, get}, err
}

// spread notes percentiles and gives the 99th.
func spread(took []time.Duration, r *result) time.Duration {
	sortTimes(took)
	p99 := percentile(took, 99)
	r.more = fmt.Sprintf("p50 %.2f ms, p99 %.2f ms", millis(percentile(took, 50)), millis(p99))
	return p99
}
