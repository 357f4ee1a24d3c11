package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// bodySize is about what a callback in JSON weighs, in bytes.
const bodySize = 900

// owe commits so many due callbacks at once, in turn to the origins. Each is of an invoice of its own.
func (h *house) owe(ctx context.Context, n int, origins []string) (time.Time, error) {
	if err := h.fill(ctx, h.used+n); err != nil {
		return time.Time{}, err
	}
	body := []byte(`{"code":1,"message":"success","data":"` + strings.Repeat("x", bodySize-40) + `"}`)
	err := h.Store().Update(ctx, func(tx engine.Tx) error {
		for i := range n {
			origin := origins[i%len(origins)]
			_, err := tx.AddCallback(payment.Callback{
				ID: tx.NewID(), InvoiceID: h.ids[h.used+i], ApplicationID: h.app.ID, URL: fmt.Sprintf("%s/%d", origin, i),
				Origin: origin, Status: int(payment.Paid), Code: 1, ContentType: "application/json", Body: body,
				State: payment.CallbackOpen, CreatedAt: tx.Now(), DueAt: tx.Now(),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	h.used += n
	return time.Now(), err
}

// booked waits until no callback is open any more.
func (h *house) booked(ctx context.Context) error {
	return await(ctx, func() error {
		err := h.Store().View(ctx, func(tx engine.Tx) error { _, err := tx.OldestDue(); return err })
		if errors.Is(err, payment.ErrAbsent) {
			return nil
		}
		return errors.Join(errors.New("callbacks are still open"), err)
	})
}

// plainSend is the limit: the same bodies to the same hosts, as many at once, nothing kept.
func plainSend(ctx context.Context, s *shop, n int) (float64, error) {
	client := &http.Client{Timeout: maxWait, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), bodySize)
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, sendersAtOnce)
	began := time.Now()
	for range sendersAtOnce {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := postOnce(ctx, client, fmt.Sprintf("%s/%d", s.origins[i%len(s.origins)], i), body); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return float64(n) / time.Since(began).Seconds(), <-errs
}

func postOnce(ctx context.Context, client *http.Client, to string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

func callbacks(ctx context.Context, b *lab) ([]result, error) {
	s, err := b.newShop(ctx, hosts, func(int) manner { return quick })
	if err != nil {
		return nil, err
	}
	h, err := b.filled(ctx, setup{name: "callbacks", roles: "api,checkout,worker", origins: s.origins}, 0)
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	r := result{goal: fmt.Sprintf("callbacks, durable, %d hosts, %d events", hosts, b.events), limit: "plain sender, 64 at once", unit: "/s"}
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, func(ctx context.Context) (float64, error) {
		defer s.reset()
		return plainSend(ctx, s, b.events)
	}, func(ctx context.Context) (float64, error) {
		defer s.reset()
		from, err := h.owe(ctx, b.events, s.origins)
		if err == nil {
			err = s.wait(ctx, b.events)
		}
		if err == nil {
			err = h.booked(ctx)
		}
		one, _ := s.since(from)
		took = append(took, one...)
		return float64(b.events) / time.Since(from).Seconds(), err
	})
	if err != nil {
		return nil, err
	}
	spread(took, &r)
	r.target, r.met = "≥ 0.25 L", r.ratio.median() >= 0.25
	return []result{r}, nil
}

// isolation compares what healthy hosts get alone with what they get beside shops that hang.
func isolation(ctx context.Context, b *lab) ([]result, error) {
	const perHost = 20
	healthy := hosts * 6 / 10
	bad, err := b.newShop(ctx, hosts, func(host int) manner {
		switch {
		case host < healthy:
			return quick
		case host < hosts*9/10:
			return hole
		}
		return slow
	})
	if err != nil {
		return nil, err
	}
	alone, err := b.filled(ctx, setup{name: "alone", roles: "api,checkout,worker", origins: bad.origins}, 0)
	if err != nil {
		return nil, err
	}
	beside, err := b.filled(ctx, setup{name: "beside", roles: "api,checkout,worker", origins: bad.origins}, 0)
	if err != nil {
		return nil, err
	}
	var p99 [2]series
	round := func(h *house, origins []string, which int) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			bad.reset()
			from, err := h.owe(ctx, perHost*len(origins), origins)
			if err != nil {
				return 0, err
			}
			if err := bad.wait(ctx, perHost*healthy); err != nil {
				return 0, err
			}
			took, last := bad.since(from)
			p99[which] = append(p99[which], millis(percentile(took, 99)))
			return float64(perHost*healthy) / last.Sub(from).Seconds(), nil
		}
	}
	r := result{goal: "isolation: 30 % black holes, 10 % slow", limit: "the healthy hosts alone", unit: "/s to healthy hosts"}
	r.base, r.got, r.ratio, err = pairs(ctx, b.pairs, round(alone, bad.origins[:healthy], 0), round(beside, bad.origins, 1))
	if err != nil {
		return nil, err
	}
	longer := p99[1].median() / p99[0].median()
	r.more = fmt.Sprintf("p99 %s ms alone, %s ms beside (%.1f ×)", number(p99[0].median()), number(p99[1].median()), longer)
	r.target, r.met = "≥ 0.9 of the rate, p99 ≤ 2 ×", r.ratio.median() >= 0.9 && longer <= 2
	return []result{r}, nil
}
