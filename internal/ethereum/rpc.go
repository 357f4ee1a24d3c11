package ethereum

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
)

// errNull is the node's null: it does not know, which never means that there is none.
var errNull = errors.New("node answered null")

// rpcError is a node's refusal in JSON-RPC 2.0.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string {
	return fmt.Sprintf("node refused: %s (code %d)", clip(e.Message, maxQuoted), e.Code)
}

// noMethod tells whether the node does not offer the method at all.
func noMethod(err error) bool {
	var e *rpcError
	if !errors.As(err, &e) {
		return false
	}
	said := strings.ToLower(e.Message)
	return e.Code == -32601 || e.Code == -32004 || strings.Contains(said, "method not found") ||
		strings.Contains(said, "not supported") || strings.Contains(said, "does not exist/is not available")
}

type request struct {
	Version string `json:"jsonrpc"`
	ID      int    `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

type reply[T any] struct {
	ID     *int      `json:"id"`
	Result *T        `json:"result"`
	Error  *rpcError `json:"error"`
}

// take checks a reply and gives its result.
func (r reply[T]) take(id int) (T, error) {
	var none T
	switch {
	case r.Error != nil:
		return none, r.Error
	case r.ID == nil || *r.ID != id:
		return none, errors.New("node answered another question")
	case r.Result == nil:
		return none, errNull
	}
	return *r.Result, nil
}

// client speaks JSON-RPC over HTTP to one URL.
type client struct {
	http *http.Client
	url  string
	name string // host only: a path may hold the provider's key
}

func newClient(text string) (*client, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("node URL cannot be read") // the parser's error would repeat the URL, key and all
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("node URL is not http://… or https://…")
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("standard HTTP transport was replaced")
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = maxIdle
	return &client{url: text, name: u.Host, http: &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a node does not move; the body would be lost
		},
	}}, nil
}

// post sends one body and gives the answer's, at most chain.MaxReply bytes. What keeps the node from being asked at all is
// chain.ErrBlind.
func (c *client) post(ctx context.Context, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, chain.RPCTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodPost, c.url, bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("make request: node URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.blind(ctx, err)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, chain.MaxReply+1))
	err = errors.Join(err, res.Body.Close())
	switch {
	case err != nil:
		return nil, c.blind(ctx, err)
	case len(answer) > chain.MaxReply:
		return nil, fmt.Errorf("node %s: answer is longer than %d bytes", c.name, chain.MaxReply)
	case res.StatusCode != http.StatusOK && !json.Valid(answer):
		return nil, fmt.Errorf("node %s: HTTP status %d: %w", c.name, res.StatusCode, chain.ErrBlind)
	}
	return answer, nil
}

// blind names why a node could not be asked, without its URL. The caller's own end is not the node's fault.
func (c *client) blind(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask node %s: %w", c.name, ctx.Err())
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	return fmt.Errorf("ask node %s: %w: %w", c.name, err, chain.ErrBlind)
}

// ask makes one call. A null result is errNull.
func ask[T any](ctx context.Context, c *client, method string, params ...any) (T, error) {
	var none T
	answer, err := c.post(ctx, request{"2.0", 1, method, list(params)})
	if err != nil {
		return none, fmt.Errorf("%s: %w", method, err)
	}
	var r reply[T]
	if err := json.Unmarshal(answer, &r); err != nil {
		return none, fmt.Errorf("%s: read answer of node %s: %w", method, c.name, err)
	}
	result, err := r.take(1)
	if err != nil {
		return none, fmt.Errorf("%s: %w", method, err)
	}
	return result, nil
}

// askAll makes one call per list of parameters, in batches of BatchCalls, and singly where the node takes no batches. It is
// all or nothing.
func askAll[T any](ctx context.Context, c *client, method string, params [][]any) ([]T, error) {
	results := make([]T, 0, len(params))
	for len(results) < len(params) {
		some := params[len(results):min(len(results)+BatchCalls, len(params))]
		got, err := askBatch[T](ctx, c, method, some)
		if errors.Is(err, errNoBatch) {
			got, err = askEach[T](ctx, c, method, some)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		results = append(results, got...)
	}
	return results, nil
}

var errNoBatch = errors.New("node takes no batches")

func askBatch[T any](ctx context.Context, c *client, method string, params [][]any) ([]T, error) {
	calls := make([]request, len(params))
	for i, p := range params {
		calls[i] = request{"2.0", i, method, list(p)}
	}
	answer, err := c.post(ctx, calls)
	if err != nil {
		return nil, err
	}
	if text := bytes.TrimSpace(answer); len(text) > 0 && text[0] != '[' {
		return nil, errNoBatch
	}
	var replies []reply[T]
	if err := json.Unmarshal(answer, &replies); err != nil {
		return nil, fmt.Errorf("read answer of node %s: %w", c.name, err)
	}
	byID := make(map[int]reply[T], len(replies))
	for _, r := range replies {
		if r.ID != nil {
			byID[*r.ID] = r
		}
	}
	results := make([]T, len(params))
	for i := range params {
		if results[i], err = byID[i].take(i); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func askEach[T any](ctx context.Context, c *client, method string, params [][]any) ([]T, error) {
	results := make([]T, len(params))
	for i, p := range params {
		var err error
		if results[i], err = ask[T](ctx, c, method, p...); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// list keeps "no parameters" an empty list: some nodes refuse null.
func list(params []any) []any {
	if params == nil {
		return []any{}
	}
	return params
}

// clip shortens a foreign text for an error.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
