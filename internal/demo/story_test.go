package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The stories in testdata/flows run on the real program: pipe-demo as a process, driven through its API, page and control
// endpoints only. Each line is one step; a step that expects waits for what it expects, up to patience.
const patience = 45 * time.Second

// A stage is one running pipe-demo.
type stage struct {
	t      *testing.T
	args   []string
	dir    string
	cmd    *exec.Cmd
	ready  ready
	out    bytes.Buffer
	set    []string      // settings beyond the ordinary, KEY=VALUE
	always []string      // the same, for all stories
	died   chan struct{} // closed when the process has ended
}

type ready struct {
	URL           string `json:"url"`
	APIKey        string `json:"api_key"`
	ApplicationID string `json:"application_id"`
	ShopURL       string `json:"shop_url"`
	ControlURL    string `json:"control_url"`
	BitcoinURL    string `json:"bitcoin_rpc_url"`
	EthereumURL   string `json:"ethereum_rpc_url"`
	AdminURL      string `json:"admin_url"`
	Database      string `json:"-"`
}

func raise(t *testing.T, args ...string) *stage { return raiseWith(t, nil, args...) }

// raiseWith starts it with settings beyond the ordinary, KEY=VALUE, for good.
func raiseWith(t *testing.T, always []string, args ...string) *stage {
	s := &stage{t: t, dir: t.TempDir(), args: args, always: always}
	s.start()
	t.Cleanup(func() {
		s.stop(syscall.SIGTERM)
		if t.Failed() {
			log, err := os.ReadFile(filepath.Join(s.dir, "data", "pipe-demo.log"))
			if err == nil {
				t.Logf("end of the log:\n%s", tailOf(log, 6000))
			}
		}
	})
	return s
}

func tailOf(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

func (s *stage) start() {
	s.t.Helper()
	file := filepath.Join(s.dir, "ready.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	args := append([]string{"--listen", "127.0.0.1:0", "--data", filepath.Join(s.dir, "data"), "--ready", file, "--no-mining"}, s.args...)
	for _, kv := range append(slices.Clone(s.always), s.set...) {
		args = append(args, "--set", kv)
	}
	s.cmd = exec.Command(bin("pipe-demo"), args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	died := make(chan struct{})
	s.died = died
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() //nolint:errcheck // how it ended shows in what it wrote
		close(died)
	}(s.cmd)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		b, err := os.ReadFile(file)
		if err == nil {
			if err := json.Unmarshal(b, &s.ready); err != nil {
				s.t.Fatalf("ready file: %v", err)
			}
			return
		}
		select {
		case <-s.died:
			s.t.Fatalf("pipe-demo ended before it was ready:\n%s", s.out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("pipe-demo is not ready:\n%s", s.out.String())
		}
	}
}

func (s *stage) stop(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig) //nolint:errcheck // it may have ended by itself, which died tells
	<-s.died
	s.cmd = nil
}

// kill ends the process as a power cut would, and starts it again on what it left.
func (s *stage) kill() {
	s.t.Helper()
	s.stop(syscall.SIGKILL)
	s.start()
}

// control posts to a control endpoint.
func (s *stage) control(path string, in any) (map[string]any, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return fetch(http.MethodPost, s.ready.ControlURL+path, "application/json", bytes.NewReader(body), nil)
}

func fetch(method, url, contentType string, body io.Reader, header http.Header) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		return nil, fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, tailOf(b, 500))
	}
	var v map[string]any
	if strings.Contains(resp.Header.Get("Content-Type"), "json") && len(b) > 0 && b[0] == '{' {
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		err = dec.Decode(&v)
	}
	return v, err
}

// A story is one run of a file on a stage.
type story struct {
	*stage
	t        *testing.T
	name     string
	killing  bool // kill -9 between any two steps
	invoices map[string]*invoice
	txs      map[string]string
	line     string
	down     bool     // a node is down: a kill would bring it up
	answer   []string // what the shop was told to answer, which it forgets when killed
	away     away
	armed    bool // a crash is armed
	// unanswered is the invoice whose refund was asked for when the process ended under the request; nil without one
	unanswered *invoice
}

type invoice struct {
	id, order, address, coin string
	due                      *big.Rat
	cookie                   string
}

// open begins a story with everything as it ordinarily is.
func open(t *testing.T, s *stage, name string, killing bool) *story {
	t.Helper()
	st := &story{stage: s, t: t, name: name, killing: killing,
		invoices: map[string]*invoice{}, txs: map[string]string{}, away: newAway(), answer: []string{"200", "ok"}}
	s.t = t
	if s.cmd == nil { // the story before ended with it down
		s.start()
	}
	if len(s.set) > 0 {
		st.do("with")
	}
	st.do("app --quote-window 30m --tolerance 0.5 --no-accept-late --event none --encoding json --confirmations BTC=2 --confirmations ETH=12 --settle-hold 0s --settle-every 0s --settle-above BTC= --settle-above ETH=")
	st.do("shop 200 ok")
	for _, coin := range []string{"BTC", "ETH"} {
		st.do("settle " + coin + " new")
	}
	return st
}

// play runs every step of a story, by line.
func play(s *story, lines [][]string) {
	defer s.calm()
	for n, line := range lines {
		for _, step := range line {
			s.line = fmt.Sprintf("%s:%d: %s", s.name, n+1, step)
			s.do(step)
			if s.killing && !s.down {
				s.kill()
				if err := s.afterStart(); err != nil {
					s.t.Fatalf("%s: after the kill: %v", s.line, err)
				}
			}
			if s.t.Failed() {
				return
			}
		}
	}
}

// calm takes back what would last beyond the story.
func (s *story) calm() {
	for coin, factor := range s.away.fees {
		if factor != "1" && s.cmd != nil {
			s.do("fee " + coin + " 1")
		}
	}
}

// do runs one step.
func (s *story) do(step string) {
	s.t.Helper()
	args := strings.Fields(step)
	steps := map[string]func([]string) error{
		"invoice": s.invoice, "choose": s.choose, "more": s.more, "pay": s.pay, "payout": s.payout, "mine": s.mine, "reorg": s.reorg,
		"doublespend": s.doubleSpend, "node": s.node, "expect": s.expect, "page": s.page, "callback": s.callback, "shop": s.shop,
		"app": s.app, "audit": s.audit, "kill": s.killStep, "refundto": s.refundTo, "cancel": s.cancel, "stays": s.stays, "sees": s.sees,
		"settle": s.settle, "refund": s.refund, "doubleclick": s.doubleClick, "refunded": s.refunded, "owes": s.owes, "finish": s.finish,
		"paid": s.paid, "together": s.together, "evict": s.evict, "fail": s.fail, "fee": s.fee, "with": s.with, "wallet": s.wallet,
		"float": s.float, "bumped": s.bumped, "crash": s.crash, "hit": s.hit, "withdraw": s.withdraw,
	}
	f, ok := steps[args[0]]
	if !ok {
		s.t.Fatalf("%s: no such step", s.line)
	}
	if err := f(args[1:]); err != nil {
		s.t.Fatalf("%s: %v", s.line, err)
	}
}

// eventually tries until it holds.
func eventually(f func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// invoice NAME PRICE CURRENCY [field=value …]
func (s *story) invoice(args []string) error {
	order := fmt.Sprintf("%s-%s-%d", s.name, args[0], time.Now().UnixNano())
	form := url.Values{"api_key": {s.ready.APIKey}, "price": {args[1]}, "price_currency": {args[2]}, "order_id": {order},
		"callback_url": {s.ready.ShopURL + "/callback"}}
	for _, kv := range args[3:] {
		k, v, _ := strings.Cut(kv, "=")
		if k == "refund" { // to a fresh address of this coin
			var err error
			if v, err = freshAddress(v); err != nil {
				return err
			}
			k = "refund_address"
		}
		form.Set(k, v)
	}
	v, err := s.api("invoice/create", form)
	if err != nil {
		return err
	}
	s.invoices[args[0]] = &invoice{id: fmt.Sprint(v["invoice_id"]), order: order}
	return nil
}

func (s *story) api(call string, form url.Values) (map[string]any, error) {
	v, err := fetch(http.MethodPost, s.ready.URL+"/api/v1/"+call, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), nil)
	if err != nil {
		return nil, err
	}
	data, ok := v["data"].(map[string]any)
	if !ok || fmt.Sprint(v["code"]) != "1" {
		return nil, fmt.Errorf("%s: %v", call, v)
	}
	return data, nil
}

func (s *story) get(i *invoice) (map[string]any, error) {
	return s.api("invoice/get", url.Values{"api_key": {s.ready.APIKey}, "invoice_id": {i.id}})
}

func (s *story) form(i *invoice, action string, form url.Values) error {
	h := http.Header{"Origin": {s.ready.URL}}
	if i.cookie != "" {
		h.Set("Cookie", i.cookie)
	}
	_, err := fetch(http.MethodPost, s.ready.URL+"/invoice/"+i.id+"/"+action, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), h)
	return err
}

// choose NAME COIN
func (s *story) choose(args []string) error {
	i := s.invoices[args[0]]
	i.coin = args[1]
	// A pool that is just being filled answers 503; so does a network out of sight.
	if err := eventually(func() error { return s.form(i, "coin", url.Values{"coin": {i.coin}}) }); err != nil {
		return err
	}
	return s.quoted(i)
}

// more NAME: more time, at today's rate
func (s *story) more(args []string) error {
	i := s.invoices[args[0]]
	if err := s.form(i, "more", nil); err != nil {
		return err
	}
	return s.quoted(i)
}

func (s *story) quoted(i *invoice) error {
	v, err := s.get(i)
	if err != nil {
		return err
	}
	due, ok := new(big.Rat).SetString(fmt.Sprint(v["coin_amount"]))
	if !ok {
		return fmt.Errorf("no amount due: %v", v)
	}
	if i.address != "" && fmt.Sprint(v["coin_currency"]) == i.coin && i.address != fmt.Sprint(v["deposit_address"]) && i.due != nil {
		i.due = nil // another coin has another address
	}
	i.due, i.address = due, fmt.Sprint(v["deposit_address"])
	return nil
}

// amount is a share of what is due, "98%", rounded to eight decimals.
func amount(i *invoice, text string) (string, error) {
	p, ok := new(big.Rat).SetString(strings.TrimSuffix(text, "%"))
	if !ok || !strings.HasSuffix(text, "%") {
		return "", fmt.Errorf("%q is not a percentage", text)
	}
	a := new(big.Rat).Mul(i.due, p)
	a.Mul(a, big.NewRat(1_000_000, 1)) // 1e8 / 100
	n := new(big.Int).Quo(a.Num(), a.Denom())
	text = new(big.Rat).SetFrac(n, big.NewInt(100_000_000)).FloatString(8)
	return strings.TrimRight(strings.TrimRight(text, "0"), "."), nil
}

// pay NAME PERCENT [contract] [as TX]
func (s *story) pay(args []string) error {
	i := s.invoices[args[0]]
	a, err := amount(i, args[1])
	if err != nil {
		return err
	}
	in := map[string]any{"coin": i.coin, "address": i.address, "amount": a}
	rest := args[2:]
	if len(rest) > 0 && rest[0] == "contract" {
		in["contract"] = true
		rest = rest[1:]
	}
	v, err := s.control("/pay", in)
	if err == nil && len(rest) == 2 && rest[0] == "as" {
		s.txs[rest[1]] = fmt.Sprint(v["txid"])
	}
	return err
}

// payout NAME=PERCENT … : one transaction with many outputs
func (s *story) payout(args []string) error {
	var outs []map[string]string
	for _, arg := range args {
		name, share, _ := strings.Cut(arg, "=")
		i := s.invoices[name]
		a, err := amount(i, share)
		if err != nil {
			return err
		}
		outs = append(outs, map[string]string{"address": i.address, "amount": a})
	}
	_, err := s.control("/pay", map[string]any{"coin": "BTC", "outputs": outs})
	return err
}

// mine COIN [BLOCKS]
func (s *story) mine(args []string) error {
	blocks := 1
	if len(args) > 1 {
		blocks, _ = strconv.Atoi(args[1]) //nolint:errcheck // 0 is refused by the endpoint
	}
	_, err := s.control("/mine", map[string]any{"coin": args[0], "blocks": blocks})
	return s.unlessHit(err)
}

// reorg COIN DEPTH [TX …]: replace the last blocks, dropping these
func (s *story) reorg(args []string) error {
	depth, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	drop := []string{}
	for _, name := range args[2:] {
		drop = append(drop, s.txs[name])
	}
	_, err = s.control("/reorg", map[string]any{"coin": args[0], "depth": depth, "drop": drop})
	return err
}

// doublespend COIN TX
func (s *story) doubleSpend(args []string) error {
	_, err := s.control("/double-spend", map[string]any{"coin": args[0], "txid": s.txs[args[1]]})
	return err
}

// node COIN up|down
func (s *story) node(args []string) error {
	s.down = args[1] != "up"
	_, err := s.control("/node", map[string]any{"coin": args[0], "up": args[1] == "up"})
	return err
}

// expect NAME STATUS/DEPOSIT [PERCENT deposited]
func (s *story) expect(args []string) error {
	i := s.invoices[args[0]]
	return eventually(func() error { return s.is(i, args[1:]) })
}

func (s *story) is(i *invoice, args []string) error {
	v, err := s.get(i)
	if err != nil {
		return err
	}
	if is := fmt.Sprintf("%v/%v", v["status"], v["deposit_status"]); is != args[0] {
		return fmt.Errorf("is %s", is)
	}
	if len(args) > 1 {
		want, err := amount(i, args[1])
		if err != nil {
			return err
		}
		if is := fmt.Sprint(v["deposit_amount"]); is != want {
			return fmt.Errorf("deposit_amount is %s, want %s", is, want)
		}
	}
	return nil
}

// stays NAME STATUS/DEPOSIT SECONDS: never leaves it in that time
func (s *story) stays(args []string) error {
	i := s.invoices[args[0]]
	d, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := s.is(i, args[1:2]); err != nil {
			return err
		}
	}
	return nil
}

// page NAME STATE: what the page shows
func (s *story) page(args []string) error {
	i := s.invoices[args[0]]
	return eventually(func() error {
		v, err := fetch(http.MethodGet, s.ready.URL+"/invoice/"+i.id+"/status", "", nil, nil)
		if err != nil {
			return err
		}
		if is := fmt.Sprint(v["state"]); is != args[1] {
			return fmt.Errorf("page shows %s", is)
		}
		return nil
	})
}

// sees NAME TEXT: the page has this text
func (s *story) sees(args []string) error {
	i := s.invoices[args[0]]
	want := strings.Join(args[1:], " ")
	return eventually(func() error {
		resp, err := http.Get(s.ready.URL + "/invoice-" + i.id) //nolint:noctx // bounded by the test
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Contains(b, []byte(want)) {
			return fmt.Errorf("the page does not say %q", want)
		}
		return nil
	})
}

// callback NAME STATUS xN: so many different callbacks of that status came; with kills each may have come more than once
func (s *story) callback(args []string) error {
	i := s.invoices[args[0]]
	want, err := strconv.Atoi(strings.TrimPrefix(args[2], "x"))
	if err != nil {
		return err
	}
	if want == 0 {
		time.Sleep(time.Second) // time for one that must not come
	}
	return eventually(func() error {
		all, err := s.callbacks(i.order)
		if err != nil {
			return err
		}
		ids, total := map[string]bool{}, 0
		for _, c := range all {
			var told struct {
				Code int `json:"code"`
				Data struct {
					Status int    `json:"status"`
					Refund string `json:"refund_id"`
				} `json:"data"`
			}
			if err := json.Unmarshal([]byte(c.Body), &told); err != nil {
				return err
			}
			if told.Data.Refund != "" {
				continue // of a refund, not of the invoice
			}
			is := strconv.Itoa(told.Data.Status)
			if told.Code != 1 {
				is = strconv.Itoa(told.Code)
			}
			if is == args[1] {
				ids[c.Headers["webhook-id"]] = true
				total++
			}
		}
		if len(ids) != want || total != want && !s.killing && len(args) < 4 {
			return fmt.Errorf("%d callbacks with %d ids, want %d", total, len(ids), want)
		}
		return nil
	})
}

type got struct {
	At      time.Time         `json:"at"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func (s *story) callbacks(order string) ([]got, error) {
	resp, err := http.Get(s.ready.ControlURL + "/callbacks?order_id=" + url.QueryEscape(order)) //nolint:noctx // bounded by the test
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all []got
	err = json.NewDecoder(resp.Body).Decode(&all)
	return all, err
}

// shop STATUS [BODY]
func (s *story) shop(args []string) error {
	s.answer = args
	status, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	_, err = s.control("/shop", map[string]any{"status": status, "body": strings.Join(args[1:], " ")})
	return err
}

// app FLAGS: pipe app set
func (s *story) app(args []string) error {
	return s.pipe(append([]string{"app", "set", s.ready.ApplicationID}, args...)...)
}

// audit: no difference anywhere, and nothing that could not be checked
func (s *story) audit([]string) error {
	return eventually(func() error {
		out, err := s.pipeSays("audit", "--json")
		if err != nil {
			return err
		}
		var r struct {
			Unchecked []string `json:"unchecked"`
		}
		if err := json.Unmarshal(out, &r); err != nil {
			return err
		}
		if len(r.Unchecked) > 0 {
			return fmt.Errorf("audit could not check %v", r.Unchecked)
		}
		return nil
	})
}

func (s *story) pipe(args ...string) error {
	_, err := s.pipeSays(args...)
	return err
}

func (s *story) pipeSays(args ...string) ([]byte, error) {
	cmd := exec.Command(bin("pipe"), args...)
	env := []string{"PIPE_DATA=" + filepath.Join(s.dir, "data"), "PIPE_BITCOIN=regtest", "PIPE_BITCOIN_NODES=" + s.ready.BitcoinURL,
		"PIPE_ETHEREUM=1337", "PIPE_ETHEREUM_NODES=" + s.ready.EthereumURL, "PIPE_RATES=fixed:BTC/KRW=1", "PIPE_INSECURE_URLS=true",
		"PIPE_ADMIN_URL=" + s.ready.AdminURL, "PIPE_LOG_LEVEL=error", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for i, a := range s.args {
		if a == "--database" {
			env = append(env, "PIPE_DATABASE="+s.args[i+1])
		}
	}
	cmd.Env = env
	var said, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("pipe %s: %w\n%s%s", strings.Join(args, " "), err, said.Bytes(), complained.Bytes())
	}
	return said.Bytes(), nil
}

func (s *story) killStep([]string) error { s.kill(); return nil }

var hidden = regexp.MustCompile(`name="([a-z_]+)" value="([^"]*)"`)

// refundto NAME ADDRESS: as the payer's browser does, in two steps, keeping the cookie
func (s *story) refundTo(args []string) error {
	i := s.invoices[args[0]]
	var err error
	switch args[1] {
	case "new":
		args[1], err = freshAddress(i.coin)
	case "refuser": // a contract that takes no coins
		var v map[string]any
		v, err = s.control("/refuser", map[string]any{"coin": i.coin})
		args[1] = fmt.Sprint(v["address"])
	}
	if err != nil {
		return err
	}
	form := url.Values{"coin": {i.coin}, "address": {args[1]}, "step": {"save"}, "right": {"yes"}}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequest(http.MethodPost, s.ready.URL+"/invoice/"+i.id+"/refund-address", strings.NewReader(form.Encode())) //nolint:noctx // bounded by the test
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", s.ready.URL)
	if i.cookie != "" {
		req.Header.Set("Cookie", i.cookie)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	for _, c := range resp.Cookies() {
		i.cookie = c.Name + "=" + c.Value
	}
	v, err := s.get(i)
	if err != nil {
		return err
	}
	if !strings.EqualFold(fmt.Sprint(v["request_refund_address"]), args[1]) {
		return fmt.Errorf("refund address is %v: %d %s %v", v["request_refund_address"], resp.StatusCode, tailOf(b, 300), hidden.FindAllString(string(b), 5))
	}
	return nil
}

// cancel NAME: give up a part payment
func (s *story) cancel(args []string) error {
	return s.form(s.invoices[args[0]], "cancel", url.Values{"confirm": {"yes"}})
}
