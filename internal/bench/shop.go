package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A manner is how a shop answers.
type manner int

const (
	quick manner = iota
	slow
	hole // never answers
)

// A shop is one server on many ports, each a host of its own to PIPE. It notes when each callback came.
type shop struct {
	origins []string
	got     atomic.Int64
	servers []*http.Server

	mu   sync.Mutex // owns came
	came map[int]time.Time
}

// newShop listens on so many ports. manner tells how each answers.
func (b *lab) newShop(ctx context.Context, hosts int, as func(host int) manner) (*shop, error) {
	s := &shop{came: map[int]time.Time{}}
	var ended sync.WaitGroup
	for i := range hosts {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s.origins = append(s.origins, "http://"+l.Addr().String())
		srv := &http.Server{ReadHeaderTimeout: maxWait, Handler: s.handler(as(i))}
		s.servers = append(s.servers, srv)
		ended.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				b.say("  shop: %v", err)
			}
		})
	}
	b.later(func() error {
		var errs []error
		for _, srv := range s.servers {
			errs = append(errs, srv.Close())
		}
		ended.Wait()
		return errors.Join(errs...)
	})
	return s, nil
}

func (s *shop) handler(m manner) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the sender gave up
		}
		switch m {
		case quick:
		case hole:
			<-r.Context().Done()
			return
		case slow:
			select {
			case <-time.After(slowAnswer):
			case <-r.Context().Done():
				return
			}
		}
		n, err := strconv.Atoi(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		if err != nil {
			http.Error(w, "which one?", http.StatusBadRequest)
			return
		}
		if _, err := io.WriteString(w, "ok"); err != nil {
			return
		}
		if m != quick {
			return
		}
		s.mu.Lock()
		if _, again := s.came[n]; !again {
			s.came[n] = at
			s.got.Add(1)
		}
		s.mu.Unlock()
	})
}

// reset forgets what came.
func (s *shop) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came = map[int]time.Time{}
	s.got.Store(0)
}

// wait waits until so many callbacks came to quick hosts.
func (s *shop) wait(ctx context.Context, n int) error {
	for until := time.Now().Add(maxWait); s.got.Load() < int64(n); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(until) {
			return errors.New("only " + strconv.FormatInt(s.got.Load(), 10) + " callbacks of " + strconv.Itoa(n) + " came")
		}
	}
	return nil
}

// since is how long each callback took from a time, sorted, and when the last one came.
func (s *shop) since(from time.Time) (took []time.Duration, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.came {
		took = append(took, at.Sub(from))
		if at.After(last) {
			last = at
		}
	}
	slices.Sort(took)
	return took, last
}
