package bitcoin

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

// Error codes of Bitcoin Core (its rpc/protocol.h).
const (
	codeMisc           = -1
	codeNotFound       = -5
	codeOutOfRange     = -8
	codeWarmingUp      = -28
	codeMethodNotFound = -32601
)

// An RPCError is a node's refusal of a call.
type RPCError struct {
	Method  string
	Code    int
	Message string // the node's own words, clipped
}

// Error prints method, code and the node's words.
func (e *RPCError) Error() string {
	return fmt.Sprintf("%s: node answers %d: %s", e.Method, e.Code, e.Message)
}

// errAuth: the node does not know user and password.
var errAuth = errors.New("node refuses user and password (RPC 401 or 403): set rpcauth, the URL's user and password or the cookie file, and rpcallowip")

// A node is a client of one node's JSON-RPC over HTTP. It dials when it is called.
type node struct {
	url    string // without user and password
	user   *url.Userinfo
	cookie string // path of Core's cookie file, read at each call because each start of the node writes it anew
	http   *http.Client
	serial atomic.Uint64
	// failures counts the calls that got no answer, or none that makes sense: behind the same URL may be another node since.
	failures atomic.Uint64
}

// newNode reads the URL: http or https, host, and user and password where there is no cookie file.
func newNode(o Options) (*node, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("a node's URL is http://user:password@host:port or https://…") // never repeats the password
	}
	n := &node{user: u.User, cookie: o.CookieFile, http: o.Client}
	u.User = nil
	n.url = u.String()
	if n.http == nil {
		n.http = &http.Client{
			Transport:     &http.Transport{Proxy: nil, MaxIdleConnsPerHost: maxConns, MaxConnsPerHost: maxConns, IdleConnTimeout: chain.RPCTimeout},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return n, nil
}

type request struct {
	Version string `json:"jsonrpc"`
	ID      string `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

type response struct {
	ID     string          `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func (n *node) request(method string, params []any) request {
	if params == nil {
		params = []any{}
	}
	return request{Version: "1.0", ID: strconv.FormatUint(n.serial.Add(1), 10), Method: method, Params: params}
}

// call asks one method and decodes its result. A null result is an error: it is never taken for "there is none".
func (n *node) call(ctx context.Context, out any, method string, params ...any) error {
	return n.within(ctx, chain.RPCTimeout, out, n.request(method, params))
}

// slow is call for a method that may take ScanFor.
func (n *node) slow(ctx context.Context, out any, method string, params ...any) error {
	return n.within(ctx, ScanFor, out, n.request(method, params))
}

func (n *node) within(ctx context.Context, limit time.Duration, out any, req request) (err error) {
	defer n.count(&err)
	method := req.Method
	body, err := n.postWithin(ctx, limit, req)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	var res response
	if err := json.Unmarshal(body, &res); err != nil {
		return fmt.Errorf("%s: %w", method, malformed(err))
	}
	return res.into(out, req)
}

// callHex is call for a result that is one long hex text, which it decodes several times faster.
func (n *node) callHex(ctx context.Context, method string, params ...any) (raw []byte, err error) {
	defer n.count(&err)
	req := n.request(method, params)
	body, err := n.post(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	digits, rest := cutResult(body)
	var res response
	if err := json.Unmarshal(rest, &res); err != nil {
		return nil, fmt.Errorf("%s: %w", method, malformed(err))
	}
	if digits == nil {
		var text string
		if err := res.into(&text, req); err != nil {
			return nil, err
		}
		digits = []byte(text)
	} else if err := res.into(new(string), req); err != nil {
		return nil, err
	}
	raw = make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(raw, digits); err != nil {
		return nil, fmt.Errorf("%s: %w", method, malformed(err))
	}
	return raw, nil
}

// cutResult takes the text of the answer's result out of an answer that begins with it, as all nodes' do, and gives the
// answer without it. digits is nil where the answer looks otherwise.
func cutResult(body []byte) (digits, rest []byte) {
	const before = `"result":"`
	at := bytes.Index(body[:min(len(body), 100)], []byte(before))
	if at < 0 {
		return nil, body
	}
	at += len(before)
	end := bytes.IndexByte(body[at:], '"')
	if end <= 0 {
		return nil, body
	}
	rest = append(append(make([]byte, 0, len(body)-end), body[:at]...), body[at+end:]...)
	return body[at : at+end], rest
}

// batch asks one method many times in one request. The answers are in the order of the calls; each has its own error.
func (n *node) batch(ctx context.Context, method string, each [][]any) (sorted []response, reqs []request, err error) {
	defer n.count(&err)
	reqs = make([]request, len(each))
	place := make(map[string]int, len(each))
	for i, params := range each {
		reqs[i] = n.request(method, params)
		place[reqs[i].ID] = i
	}
	body, err := n.post(ctx, reqs)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", method, err)
	}
	var got []response
	if err := json.Unmarshal(body, &got); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", method, malformed(err))
	}
	sorted = make([]response, len(each))
	for _, res := range got {
		i, asked := place[res.ID]
		if !asked {
			return nil, nil, fmt.Errorf("%s: %w", method, malformed(fmt.Errorf("an answer to call %q, which was not asked", clip(res.ID))))
		}
		delete(place, res.ID)
		sorted[i] = res
	}
	if len(place) != 0 {
		return nil, nil, fmt.Errorf("%s: %w", method, malformed(fmt.Errorf("%d of %d answers are missing", len(place), len(each))))
	}
	return sorted, reqs, nil
}

// into decodes an answer.
func (r response) into(out any, to request) error {
	switch {
	case r.ID != to.ID:
		return fmt.Errorf("%s: %w", to.Method, malformed(errors.New("the answer belongs to another call")))
	case r.Error != nil && r.Error.Code == codeWarmingUp:
		return fmt.Errorf("%s: node is starting: %s: %w", to.Method, clip(r.Error.Message), chain.ErrBlind)
	case r.Error != nil:
		return &RPCError{to.Method, r.Error.Code, clip(r.Error.Message)}
	case len(r.Result) == 0 || string(r.Result) == "null":
		return fmt.Errorf("%s: %w", to.Method, malformed(errors.New("the answer is null")))
	}
	if err := json.Unmarshal(r.Result, out); err != nil {
		return fmt.Errorf("%s: %w", to.Method, malformed(err))
	}
	return nil
}

// post is postWithin the time of an ordinary call.
func (n *node) post(ctx context.Context, what any) ([]byte, error) {
	return n.postWithin(ctx, chain.RPCTimeout, what)
}

// postWithin sends and reads all of the answer. What fails on the way is chain.ErrBlind, unless the caller gave up.
func (n *node) postWithin(ctx context.Context, limit time.Duration, what any) (body []byte, err error) {
	sent, err := json.Marshal(what)
	if err != nil {
		return nil, fmt.Errorf("write call: %w", err)
	}
	asked := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if err != nil && asked.Err() == nil {
			err = fmt.Errorf("%w: %w", chain.ErrBlind, err)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(sent))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "pipe")
	if err := n.authorize(req); err != nil {
		return nil, err
	}
	res, err := n.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach node: %w", err)
	}
	var whole bytes.Buffer
	if res.ContentLength > 0 && res.ContentLength <= chain.MaxReply {
		whole.Grow(int(res.ContentLength) + bytes.MinRead)
	}
	_, err = whole.ReadFrom(io.LimitReader(res.Body, chain.MaxReply+1))
	body = whole.Bytes()
	if err2 := res.Body.Close(); err == nil {
		err = err2
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer: %w", err)
	case len(body) > chain.MaxReply:
		return nil, fmt.Errorf("answer is longer than %d bytes", chain.MaxReply)
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return nil, errAuth
	case res.StatusCode != http.StatusOK && !looksLikeRPC(body):
		return nil, fmt.Errorf("node answers HTTP %d", res.StatusCode)
	}
	return body, nil
}

// looksLikeRPC: Core sends a refused call's answer with HTTP 404 and 500.
func looksLikeRPC(body []byte) bool {
	var res response
	return json.Unmarshal(body, &res) == nil && res.Error != nil
}

func (n *node) authorize(req *http.Request) error {
	if n.cookie == "" {
		if n.user != nil {
			password, _ := n.user.Password()
			req.SetBasicAuth(n.user.Username(), password)
		}
		return nil
	}
	file, err := os.Open(n.cookie)
	if err != nil {
		return fmt.Errorf("open cookie file: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxCookie))
	if err2 := file.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return fmt.Errorf("read cookie file: %w", err)
	}
	user, password, ok := strings.Cut(strings.TrimSpace(string(text)), ":")
	if !ok {
		return errors.New("read cookie file: it is not user:password")
	}
	req.SetBasicAuth(user, password)
	return nil
}

// count counts a failure.
func (n *node) count(err *error) {
	if errors.Is(*err, chain.ErrBlind) {
		n.failures.Add(1)
	}
}

// malformed: an answer that says nothing is a node that cannot be believed.
func malformed(err error) error {
	return fmt.Errorf("answer makes no sense: %w: %w", err, chain.ErrBlind)
}

// hasCode tells whether a node refused a call with this code.
func hasCode(err error, code int) bool {
	var refused *RPCError
	return errors.As(err, &refused) && refused.Code == code
}

func clip(text string) string {
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	return strings.ToValidUTF8(text, "")
}
