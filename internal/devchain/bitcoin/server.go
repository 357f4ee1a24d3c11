package bitcoin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// endpoint is the JSON-RPC server. It can be taken down and up again on the same port.
type endpoint struct {
	chain    *Chain
	user     string
	password string
	methods  map[string]method

	mu     sync.Mutex // owns all below
	addr   string     // with the port that was chosen
	server *http.Server
	done   chan struct{} // closed when server has stopped
}

func listen(c *Chain) (*endpoint, error) {
	e := &endpoint{
		chain: c, user: c.opts.RPCUser, password: c.opts.RPCPassword, addr: c.opts.Listen, methods: methods(),
	}
	if e.user == "" {
		e.user = "pipe"
	}
	if e.password == "" {
		e.password = rand.Text()
	}
	if e.addr == "" {
		e.addr = "127.0.0.1:0"
	}
	return e, e.resume()
}

func (e *endpoint) resume() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", e.addr)
	if err != nil {
		return fmt.Errorf("listen for RPC: %w", err)
	}
	e.addr = listener.Addr().String()
	e.server = &http.Server{
		Handler: e, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		IdleTimeout: idleTimeout, ErrorLog: slog.NewLogLogger(e.chain.log.Handler(), slog.LevelDebug),
	}
	e.done = make(chan struct{})
	go func(server *http.Server, done chan struct{}) {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			e.chain.log.Error("bitcoin RPC endpoint stopped", "err", err)
		}
	}(e.server, e.done)
	return nil
}

// pause closes the port and every connection.
func (e *endpoint) pause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil
	}
	err := e.server.Close()
	<-e.done
	e.server = nil
	if err != nil {
		return fmt.Errorf("close RPC endpoint: %w", err)
	}
	return nil
}

// close lets running requests end, within a bound, and stops.
func (e *endpoint) close() error {
	e.mu.Lock()
	server := e.server
	e.mu.Unlock()
	if server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			e.chain.log.Debug("RPC requests were cut off", "err", err)
		}
	}
	return e.pause()
}

func (e *endpoint) url() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := url.URL{Scheme: "http", User: url.UserPassword(e.user, e.password), Host: e.addr}
	return u.String()
}

// request is one JSON-RPC call.
type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  json.RawMessage `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// nameless is the request behind an answer to something that could not be read as one.
func nameless() request { return request{ID: json.RawMessage("null")} }

// ServeHTTP answers as Bitcoin Core does: JSON-RPC 1.x with HTTP status codes for errors, 2.0 with 200.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		e.write(w, []byte("JSONRPC server handles only POST requests"))
		return
	}
	if !e.allowed(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="jsonrpc"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.URL.Path != "/" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	status, answer := e.answer(body)
	if answer == nil && status == 0 {
		panic(http.ErrAbortHandler) // the server breaks the connection
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e.write(w, append(answer, '\n'))
}

func (e *endpoint) write(w io.Writer, body []byte) {
	if _, err := w.Write(body); err != nil {
		e.chain.log.Debug("RPC client left", "err", err)
	}
}

func (e *endpoint) allowed(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	given := sha256.Sum256([]byte(user + ":" + password))
	want := sha256.Sum256([]byte(e.user + ":" + e.password))
	return ok && subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// answer is the status and body for one request or one batch.
func (e *endpoint) answer(body []byte) (int, []byte) {
	body = bytes.TrimSpace(body)
	if !json.Valid(body) {
		return http.StatusInternalServerError, reply(nameless(), nil, &rpcError{codeParse, "Parse error"})
	}
	if body[0] != '[' {
		return e.single(body)
	}
	var calls []json.RawMessage
	if err := json.Unmarshal(body, &calls); err != nil || len(calls) > maxBatchCalls {
		return http.StatusBadRequest, reply(nameless(), nil, &rpcError{codeInvalidRequest, "Batch is too large"})
	}
	answers := make([]json.RawMessage, 0, len(calls))
	for _, call := range calls {
		if _, answer := e.single(call); answer != nil {
			answers = append(answers, answer)
		}
	}
	all, err := json.Marshal(answers)
	if err != nil {
		return http.StatusInternalServerError, reply(nameless(), nil, internal(err))
	}
	return http.StatusOK, all
}

func (e *endpoint) single(body []byte) (int, []byte) {
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		return http.StatusBadRequest, reply(nameless(), nil, &rpcError{codeInvalidRequest, "Invalid Request object"})
	}
	result, failure := e.call(req)
	if failure == cutConnection {
		return 0, nil
	}
	if req.Version == "2.0" && req.ID == nil { // a notification: done, but not answered
		return http.StatusNoContent, nil
	}
	if failure == nil {
		return http.StatusOK, reply(req, result, nil)
	}
	status := http.StatusInternalServerError
	switch {
	case req.Version == "2.0":
		status = http.StatusOK
	case failure.Code == codeInvalidRequest:
		status = http.StatusBadRequest
	case failure.Code == codeMethodNotFound:
		status = http.StatusNotFound
	}
	return status, reply(req, nil, failure)
}

func (e *endpoint) call(req request) (any, *rpcError) {
	if req.Method == nil {
		return nil, &rpcError{codeInvalidRequest, "Missing method"}
	}
	var name string
	if err := json.Unmarshal(req.Method, &name); err != nil {
		return nil, &rpcError{codeInvalidRequest, "Method must be a string"}
	}
	m, ok := e.methods[name]
	if !ok {
		return nil, &rpcError{codeMethodNotFound, "Method not found"}
	}
	args, failure := m.arrange(req.Params)
	if failure != nil {
		return nil, failure
	}
	c := e.chain
	if m.changes {
		var result any
		var failure *rpcError
		err := c.change(func() error {
			result, failure = m.run(c, args)
			return nil
		})
		if err != nil {
			return nil, internal(err)
		}
		return result, failure
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.journal == nil {
		return nil, internal(ErrClosed)
	}
	return m.run(c, args)
}

// reply is the body of one answer: in JSON-RPC 1.x with both members, result and error; in 2.0 with one.
func reply(req request, result any, failure *rpcError) []byte {
	id := req.ID
	var answer any
	switch {
	case req.Version != "2.0":
		answer = struct {
			Result any             `json:"result"`
			Error  *rpcError       `json:"error"`
			ID     json.RawMessage `json:"id,omitempty"` // left out where the call had none
		}{result, failure, id}
	case failure != nil:
		answer = struct {
			Version string          `json:"jsonrpc"`
			Error   *rpcError       `json:"error"`
			ID      json.RawMessage `json:"id"`
		}{"2.0", failure, id}
	default:
		answer = struct {
			Version string          `json:"jsonrpc"`
			Result  any             `json:"result"`
			ID      json.RawMessage `json:"id"`
		}{"2.0", result, id}
	}
	body, err := json.Marshal(answer)
	if err != nil { // results are of our own types; only a bug gets here
		return []byte(`{"result":null,"error":{"code":-32603,"message":"Internal error"},"id":null}`)
	}
	return body
}
