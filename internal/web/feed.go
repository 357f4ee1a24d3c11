package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A Feed is one open stream of server-sent events (WHATWG HTML, section 9.2). It belongs to the goroutine that serves the
// request.
type Feed struct {
	w    http.ResponseWriter
	ctl  *http.ResponseController
	gone <-chan struct{}
	end  <-chan struct{}
}

// OpenFeed begins a stream. After it the answer is under way: errors end the stream, they are not answered.
func OpenFeed(w http.ResponseWriter, r *http.Request) (*Feed, error) {
	f := &Feed{w: w, ctl: http.NewResponseController(w), gone: r.Context().Done(), end: Closing(r.Context())}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	return f, f.write([]byte("retry: 2000\n\n"))
}

// Send sends one event of JSON text, which has no line breaks, under an id.
func (f *Feed) Send(id string, data []byte) error {
	if bytes.ContainsAny(data, "\r\n") {
		return errors.New("send event: its data has line breaks")
	}
	return f.write(fmt.Appendf(nil, "id: %s\ndata: %s\n\n", id, data))
}

// Beat sends a comment, which readers ignore.
func (f *Feed) Beat() error { return f.write([]byte(":\n\n")) }

// Gone is closed when the reader left.
func (f *Feed) Gone() <-chan struct{} { return f.gone }

// End is closed when the server shuts down.
func (f *Feed) End() <-chan struct{} { return f.end }

func (f *Feed) write(b []byte) error {
	err := f.ctl.SetWriteDeadline(time.Now().Add(Write))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set deadline of feed: %w", err)
	}
	if _, err := f.w.Write(b); err != nil {
		return fmt.Errorf("write feed: %w", err)
	}
	if err := f.ctl.Flush(); err != nil {
		return fmt.Errorf("flush feed: %w", err)
	}
	return nil
}
