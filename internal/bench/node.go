package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A fakeNode answers JSON-RPC with fixed results by method and first parameter; the bytes are made once.
type fakeNode struct {
	url     string
	results map[string][]byte // by "method parameter", then by "method"
	client  *http.Client
}

type rpcCall struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

func (b *lab) fakeNode(ctx context.Context, results map[string][]byte) (*fakeNode, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &fakeNode{url: "http://" + l.Addr().String(), results: results, client: &http.Client{Transport: &http.Transport{}, Timeout: maxWait}}
	s := &http.Server{ReadHeaderTimeout: maxWait, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := n.answer(w, r); err != nil {
			b.say("  node: %v", err)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	b.later(func() error {
		n.client.CloseIdleConnections()
		err := s.Close()
		<-ended
		return err
	})
	return n, nil
}

func (n *fakeNode) answer(w http.ResponseWriter, r *http.Request) error {
	var call rpcCall
	if err := json.NewDecoder(io.LimitReader(r.Body, answerMost)).Decode(&call); err != nil {
		return err
	}
	result, ok := []byte(nil), false
	if len(call.Params) > 0 {
		result, ok = n.results[call.Method+" "+string(bytes.Trim(call.Params[0], `"`))]
	}
	if !ok {
		if result, ok = n.results[call.Method]; !ok {
			return fmt.Errorf("no answer to %s %s", call.Method, call.Params)
		}
	}
	head := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":`, call.ID)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(head)+len(result)+1))
	for _, part := range [][]byte{[]byte(head), result, []byte("}")} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// fetch is what reading a block costs anybody: one call and the answer's bytes.
func (n *fakeNode) fetch(ctx context.Context, method string, params ...any) ([]byte, error) {
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	res, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	body := bytes.NewBuffer(make([]byte, 0, max(res.ContentLength, 0)+bytes.MinRead))
	_, err = body.ReadFrom(res.Body)
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	return body.Bytes(), err
}

// timed is the mean time of some rounds, in milliseconds.
func timed(do func(ctx context.Context) error) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		began := time.Now()
		for range blockRounds {
			if err := do(ctx); err != nil {
				return 0, err
			}
		}
		return millis(time.Since(began)) / blockRounds, nil
	}
}
