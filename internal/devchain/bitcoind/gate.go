package bitcoind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
)

// A Gate stands before a node's RPC and does what a real node does not do on demand: lose answers, refuse transactions, ask
// for other fees. All else goes through as it is. Its fault controls are those of the chain in process.
type Gate struct {
	bitcoin.Faults

	node   *Node
	server *http.Server
	addr   string
	done   chan struct{} // closed when server has stopped

	mu   sync.Mutex // owns the rest
	rate int64
}

// OpenGate opens a gate before the node, on a free port of 127.0.0.1, until Close.
func (n *Node) OpenGate(ctx context.Context) (*Gate, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for gate: %w", err)
	}
	g := &Gate{node: n, addr: listener.Addr().String(), done: make(chan struct{})}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: callTimeout, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(g.done)
		if err := g.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("gate stopped", "err", err)
		}
	}()
	return g, nil
}

// Close closes the gate. It may be called twice.
func (g *Gate) Close() error {
	err := g.server.Close()
	<-g.done
	if err != nil {
		return fmt.Errorf("close gate: %w", err)
	}
	return nil
}

// URL is the gate's endpoint, with the node's user and password.
func (g *Gate) URL() string {
	u := url.URL{Scheme: "http", User: url.UserPassword(g.node.user, g.node.password), Host: g.addr}
	return u.String()
}

// SetFeeRate changes what estimatesmartfee answers, in satoshi per kvB; below 1 the node answers itself.
func (g *Gate) SetFeeRate(rate int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rate = rate
}

// ServeHTTP implements http.Handler. A node that is down breaks the connection.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswerBytes))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	var call struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	if json.Unmarshal(body, &call) != nil { // a batch, or nonsense
		g.forward(w, r, body)
		return
	}
	g.mu.Lock()
	rate := g.rate
	g.mu.Unlock()
	switch {
	case call.Method == "estimatesmartfee" && rate > 0:
		g.answer(w, call.ID, fmt.Appendf(nil, `{"feerate":%d.%08d,"blocks":2}`, rate/1e8, rate%1e8), nil)
	case call.Method != "sendrawtransaction":
		g.forward(w, r, body)
	default:
		g.send(w, r, sending{call.ID, call.Params, body})
	}
}

// sending is a call of sendrawtransaction.
type sending struct {
	id     json.RawMessage
	params []json.RawMessage
	body   []byte
}

func (g *Gate) send(w http.ResponseWriter, r *http.Request, s sending) {
	switch fault := g.Take(); fault {
	case bitcoin.SendRefused:
		g.answer(w, s.id, nil, &rpcError{codeTxRejected, "refused-by-fault"})
	case bitcoin.SendForgotten:
		var text string
		if len(s.params) == 0 || json.Unmarshal(s.params[0], &text) != nil {
			g.forward(w, r, s.body)
			return
		}
		tx, err := decode(text)
		if err != nil {
			g.forward(w, r, s.body)
			return
		}
		g.answer(w, s.id, fmt.Appendf(nil, "%q", tx.Hash().String()), nil)
	case bitcoin.SendLost, bitcoin.SendCut:
		if status, _ := g.ask(r, s.body); status == http.StatusOK && fault == bitcoin.SendLost {
			g.answer(w, s.id, nil, &rpcError{codeMisc, "lost-by-fault"})
			return
		}
		panic(http.ErrAbortHandler)
	default:
		g.forward(w, r, s.body)
	}
}

// ask asks the node with the caller's user and password; a broken connection is passed on.
func (g *Gate) ask(r *http.Request, body []byte) (status int, answer []byte) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+g.node.host(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req.Header.Set("Authorization", r.Header.Get("Authorization"))
	resp, err := g.node.client.Do(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		panic(http.ErrAbortHandler)
	}
	return resp.StatusCode, answer
}

func (g *Gate) forward(w http.ResponseWriter, r *http.Request, body []byte) {
	status, answer := g.ask(r, body)
	g.write(w, status, answer)
}

// answer answers in the node's place.
func (g *Gate) answer(w http.ResponseWriter, id, result json.RawMessage, failure *rpcError) {
	status := http.StatusOK
	if failure != nil {
		status = http.StatusInternalServerError
	}
	body, err := json.Marshal(struct {
		Result json.RawMessage `json:"result"`
		Error  *rpcError       `json:"error"`
		ID     json.RawMessage `json:"id"`
	}{result, failure, id})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	g.write(w, status, body)
}

func (g *Gate) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		g.node.log.Debug("RPC client left", "err", err)
	}
}
