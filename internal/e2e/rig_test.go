package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that has no limit of its own, on a machine that does much else.
const patience = 60 * time.Second

// programs is the directory of the programs under test, built once.
var programs string

func TestMain(m *testing.M) {
	runtime.LockOSThread() // children die with the thread that started them
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil { // most of the time these tests wait
		panic(err)
	}
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "pipe-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs = dir
	defer func() {
		if sharedStarted {
			if d, err := sharedDemo(); err == nil {
				d.end()
			}
		}
	}()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../../cmd/pipe", "../../cmd/pipe-demo")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build programs: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// starter starts processes, all from one thread that lives as long as the test binary: the kernel ends a child when the
// thread that started it ends.
var starter = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// A program is a running process.
type program struct {
	cmd  *exec.Cmd
	out  *record
	done chan struct{} // closed when it has ended
	err  error         // valid then
}

// record keeps what a program prints.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// environ is this environment without settings of PIPE, and with more.
func environ(more ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PIPE_") {
			env = append(env, e)
		}
	}
	return append(env, more...)
}

func start(t testing.TB, env []string, name string, args ...string) *program {
	t.Helper()
	p, err := spawn(env, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

// spawn starts a program that its caller ends.
func spawn(env []string, name string, args ...string) (*program, error) {
	p := &program{cmd: exec.Command(filepath.Join(programs, name), args...), out: &record{}, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = environ(env...), p.out, p.out, attributes()
	failed := make(chan error)
	starter() <- func() { failed <- p.cmd.Start() }
	if err := <-failed; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end ends a program as a power cut does. That it cannot be killed means that it has ended.
func (p *program) end() {
	if !p.ended() {
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			panic(err)
		}
	}
	<-p.done
}

// interrupt presses Ctrl-C and expects a clean end.
func (p *program) interrupt(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatalf("interrupt: %v\n%s", err, p.out)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("still running %s after Ctrl-C\n%s", patience, p.out)
	}
	if p.err != nil {
		t.Fatalf("after Ctrl-C: %v\n%s", p.err, p.out)
	}
}

// run runs a program to its end. Its exit code is part of the answer.
func run(t testing.TB, env []string, stdin, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, name), args...)
	var out, bad bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ(env...), strings.NewReader(stdin), &out, &bad
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s %q: %v", name, args, err)
	}
	return out.String(), bad.String(), cmd.ProcessState.ExitCode()
}

// eventually asks until the answer is yes.
func eventually(t testing.TB, within time.Duration, what string, yes func() bool) {
	t.Helper()
	for until := time.Now().Add(within); !yes(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// A demo is a running pipe-demo and what its ready file says.
type demo struct {
	*program
	t     testing.TB
	dir   string
	args  []string
	ready map[string]string
	*merchant
}

// sharedDemo is started by the first test that needs it and ends with the test binary. Tests that change nothing but their
// own invoices use it.
var (
	sharedStarted bool
	sharedDemo    = sync.OnceValues(func() (*demo, error) {
		sharedStarted = true
		d := &demo{dir: filepath.Join(programs, "shared"), args: []string{"--no-mining"}}
		if err := os.Mkdir(d.dir, 0o700); err != nil {
			return nil, err
		}
		var err error
		if d.program, err = spawn(nil, "pipe-demo", d.arguments()...); err != nil {
			return nil, err
		}
		return d, d.awaitReady()
	})
)

func shared(t testing.TB) *demo {
	t.Helper()
	d, err := sharedDemo()
	if err != nil {
		t.Fatal(err)
	}
	mine := *d
	mine.t = t
	return &mine
}

// newDemo starts a demo in a directory of its own.
func newDemo(t testing.TB, args ...string) *demo {
	t.Helper()
	d := &demo{t: t, dir: t.TempDir(), args: args}
	d.start()
	return d
}

func (d *demo) readyFile() string { return filepath.Join(d.dir, "ready.json") }

func (d *demo) arguments() []string {
	return append([]string{"--listen", "127.0.0.1:0", "--data", filepath.Join(d.dir, "data"), "--ready", d.readyFile()}, d.args...)
}

// start starts the process and waits for the ready file.
func (d *demo) start() {
	d.t.Helper()
	if err := os.Remove(d.readyFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
	d.program = start(d.t, nil, "pipe-demo", d.arguments()...)
	if err := d.awaitReady(); err != nil {
		d.t.Fatal(err)
	}
}

// awaitReady waits for the ready file, which must be whole the moment it is there.
func (d *demo) awaitReady() error {
	for until := time.Now().Add(2 * patience); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(d.readyFile())
		switch {
		case err == nil:
			d.ready = map[string]string{}
			if err := json.Unmarshal(text, &d.ready); err != nil {
				return fmt.Errorf("ready file is not one JSON object of texts: %w: %s", err, text)
			}
			d.merchant = &merchant{url: d.ready["url"], key: d.ready["api_key"]}
			return nil
		case d.ended():
			return fmt.Errorf("pipe-demo ended: %w\n%s", d.err, d.out)
		case time.Now().After(until):
			return fmt.Errorf("no ready file: %s", d.out)
		}
	}
}

// control calls a control endpoint and expects success.
func (d *demo) control(path string, in, out any) {
	d.t.Helper()
	control(d.t, d.ready["control_url"], path, in, out)
}

func control(t testing.TB, base, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Post(base+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatalf("control %s: %v", path, err)
	}
	text := readAll(t, resp)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("control %s %s: %d %s", path, body, resp.StatusCode, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("control %s answered %s: %v", path, text, err)
		}
	}
}

type object = map[string]any

func (d *demo) pay(coin, address, amount string) (txid string) {
	d.t.Helper()
	var out struct {
		TxID string `json:"txid"`
	}
	d.control("/pay", object{"coin": coin, "address": address, "amount": amount}, &out)
	if out.TxID == "" {
		d.t.Fatal("/pay answered no txid")
	}
	return out.TxID
}

type block struct {
	Height int64  `json:"height"`
	Hash   string `json:"hash"`
}

func (d *demo) mine(coin string, blocks int) (b block) {
	d.t.Helper()
	d.control("/mine", object{"coin": coin, "blocks": blocks}, &b)
	return b
}

// A got is a callback as the demo's shop received it.
type got struct {
	At      time.Time         `json:"at"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Answer  json.RawMessage   `json:"answer"`
}

func (d *demo) callbacks(order string) (all []got) {
	d.t.Helper()
	resp, err := client.Get(d.ready["control_url"] + "/callbacks?order_id=" + url.QueryEscape(order))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := json.Unmarshal(readAll(d.t, resp), &all); err != nil {
		d.t.Fatal(err)
	}
	return all
}

// awaitCallbacks waits for n callbacks of an order.
func (d *demo) awaitCallbacks(order string, n int) []got {
	d.t.Helper()
	var all []got
	eventually(d.t, patience, fmt.Sprintf("%d callbacks of %s", n, order), func() bool {
		all = d.callbacks(order)
		return len(all) >= n
	})
	return all
}

// client is what every test calls with. Redirects are the tests' business.
var client = &http.Client{
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 100},
}

func readAll(t testing.TB, resp *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatalf("read answer of %s: %v", resp.Request.URL, err)
	}
	return b
}

// A merchant is a caller of the API with a key.
type merchant struct{ url, key string }

// An answer is what a call answered.
type answer struct {
	Status  int
	Header  http.Header
	Raw     string
	Code    json.Number
	Message string
	Data    object // numbers as json.Number; nil for null
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.Status, a.Raw) }

// text and number are fields of the data, "" if absent or of another type.
func (a answer) text(name string) string { s, _ := a.Data[name].(string); return s }
func (a answer) number(name string) string {
	n, _ := a.Data[name].(json.Number)
	return n.String()
}

// A request is a call as bytes.
type request struct {
	method, path, kind, body string
	header                   map[string]string
}

func (m *merchant) send(t testing.TB, r request) answer {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodPost
	}
	req, err := http.NewRequest(r.method, m.url+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	a := answer{Status: resp.StatusCode, Header: resp.Header, Raw: string(readAll(t, resp))}
	if err := a.read(); err != nil {
		t.Fatalf("%s %s %.300q: %v", r.method, r.path, r.body, err)
	}
	return a
}

// read takes the answer apart: the contract's envelope, with exactly its three fields.
func (a *answer) read() error {
	if kind := a.Header.Get("Content-Type"); kind != "application/json" {
		return fmt.Errorf("answer is %q, not application/json: %s", kind, a)
	}
	dec := json.NewDecoder(strings.NewReader(a.Raw))
	dec.UseNumber()
	var all map[string]any
	if err := dec.Decode(&all); err != nil {
		return fmt.Errorf("answer is not JSON: %w: %s", err, a)
	}
	var ok1, ok2, ok3 bool
	a.Code, ok1 = all["code"].(json.Number)
	a.Message, ok2 = all["message"].(string)
	if all["data"] == nil {
		_, ok3 = all["data"]
	} else {
		a.Data, ok3 = all["data"].(map[string]any)
	}
	if !ok1 || !ok2 || !ok3 || len(all) != 3 {
		return fmt.Errorf("answer is not {code: number, message: string, data: object or null}: %s", a)
	}
	return nil
}

// fields are parameters in order; a name may come twice.
type fields [][2]string

func (f fields) with(name, value string) fields {
	var g fields
	found := false
	for _, p := range f {
		if p[0] == name {
			found = true
			p[1] = value
		}
		g = append(g, p)
	}
	if !found {
		g = append(g, [2]string{name, value})
	}
	return g
}

func (f fields) without(name string) fields {
	var g fields
	for _, p := range f {
		if p[0] != name {
			g = append(g, p)
		}
	}
	return g
}

func (f fields) multipart() (kind, body string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range f {
		if err := w.WriteField(p[0], p[1]); err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return w.FormDataContentType(), b.String()
}

func (f fields) form() (kind, body string) {
	var parts []string
	for _, p := range f {
		parts = append(parts, url.QueryEscape(p[0])+"="+url.QueryEscape(p[1]))
	}
	return "application/x-www-form-urlencoded", strings.Join(parts, "&")
}

func (f fields) json() (kind, body string) {
	var parts []string
	for _, p := range f {
		name, _ := json.Marshal(p[0])
		value, _ := json.Marshal(p[1])
		parts = append(parts, string(name)+":"+string(value))
	}
	return "application/json", "{" + strings.Join(parts, ",") + "}"
}

func (m *merchant) call(t testing.TB, name string, f fields) answer {
	t.Helper()
	kind, body := append(fields{{"api_key", m.key}}, f...).multipart()
	return m.send(t, request{path: "/api/v1/" + name, kind: kind, body: body})
}

// good expects success. Where other tests call too much with the same key, it waits as it is told.
func (m *merchant) good(t testing.TB, name string, f fields) answer {
	t.Helper()
	a := m.call(t, name, f)
	for range 20 {
		if a.Code != "4290" {
			break
		}
		time.Sleep(time.Second)
		a = m.call(t, name, f)
	}
	if a.Status != 200 || a.Code != "1" || a.Message != "success" {
		t.Fatalf("%s %q: %s", name, f, a)
	}
	return a
}

func (m *merchant) get(t testing.TB, id string) answer {
	t.Helper()
	return m.good(t, "invoice/get", fields{{"invoice_id", id}})
}

// await asks invoice/get until a field has a value.
func (m *merchant) await(t testing.TB, id, field, value string) (a answer) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if a = m.get(t, id); fmt.Sprint(a.Data[field]) == value {
			return a
		}
		if time.Now().After(until) {
			t.Fatalf("%s did not become %s: %s", field, value, a)
		}
	}
}

// order is what create needs, all good.
func (d *demo) order(order string) fields {
	return fields{{"price_currency", "USD"}, {"price", "12.34"}, {"order_id", order}, {"callback_url", d.ready["shop_url"] + "/callback"}}
}

// A browser is a person without script: it keeps cookies, follows links and submits forms as a browser does.
type browser struct {
	t      testing.TB
	client *http.Client
	header map[string]string
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, client: &http.Client{Jar: jar, Timeout: patience}, header: map[string]string{}}
}

// A page is what a browser shows.
type page struct {
	b      *browser
	url    *url.URL
	status int
	header http.Header
	html   string
}

func (b *browser) do(method, address string, form url.Values) page {
	b.t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for k, v := range b.header {
		req.Header.Set(k, v)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, address, err)
	}
	return page{b, resp.Request.URL, resp.StatusCode, resp.Header, string(readAll(b.t, resp))}
}

func (b *browser) open(address string) page {
	b.t.Helper()
	p := b.do(http.MethodGet, address, nil)
	if p.status != http.StatusOK {
		b.t.Fatalf("GET %s: %d\n%s", address, p.status, p.html)
	}
	return p
}

var (
	formTag   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	fieldTag  = regexp.MustCompile(`(?s)<(input|button|select)\b([^>]*)>`)
	attribute = regexp.MustCompile(`([\w-]+)(?:="([^"]*)")?`)
)

func attributesOf(text string) map[string]string {
	all := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(text, -1) {
		all[m[1]] = unescape(m[2])
	}
	return all
}

var unescaper = strings.NewReplacer("&amp;", "&", "&#39;", "'", "&#34;", `"`, "&quot;", `"`, "&lt;", "<", "&gt;", ">", "&#43;", "+")

func unescape(s string) string { return unescaper.Replace(s) }

// A form is a form of a page with what a browser would send of it, buttons left out.
type form struct {
	p       page
	method  string
	action  string
	values  url.Values
	buttons []map[string]string
	inner   string
}

func (p page) forms() (all []form) {
	for _, m := range formTag.FindAllStringSubmatch(p.html, -1) {
		a := attributesOf(m[1])
		f := form{p: p, method: strings.ToUpper(a["method"]), action: a["action"], values: url.Values{}, inner: m[2]}
		for _, in := range fieldTag.FindAllStringSubmatch(m[2], -1) {
			b := attributesOf(in[2])
			_, checked := b["checked"]
			switch {
			case in[1] == "button":
				f.buttons = append(f.buttons, b)
			case in[1] == "select" || b["name"] == "":
			case (b["type"] == "checkbox" || b["type"] == "radio") && !checked:
			default:
				f.values.Set(b["name"], b["value"])
			}
		}
		all = append(all, f)
	}
	return all
}

// form is the first form whose action ends so and whose values hold those given.
func (p page) form(action string, with ...string) form {
	p.b.t.Helper()
	for _, f := range p.forms() {
		fits := strings.HasSuffix(f.action, action)
		for i := 0; i < len(with); i += 2 {
			fits = fits && f.values.Get(with[i]) == with[i+1]
		}
		if fits {
			return f
		}
	}
	p.b.t.Fatalf("no form for %s with %q on %s:\n%s", action, with, p.url, p.html)
	return form{}
}

// submit sends the form with more values and shows what comes, redirects followed.
func (f form) submit(more ...string) page {
	f.p.b.t.Helper()
	for i := 0; i < len(more); i += 2 {
		f.values.Set(more[i], more[i+1])
	}
	to, err := f.p.url.Parse(f.action)
	if err != nil {
		f.p.b.t.Fatal(err)
	}
	if f.method == http.MethodGet {
		to.RawQuery = f.values.Encode()
		return f.p.b.do(http.MethodGet, to.String(), nil)
	}
	return f.p.b.do(http.MethodPost, to.String(), f.values)
}

// state is what the page says of itself for its script.
func (p page) state() string {
	m := regexp.MustCompile(`data-state="([^"]*)"`).FindStringSubmatch(p.html)
	if m == nil {
		return ""
	}
	return m[1]
}

var markup = regexp.MustCompile(`(?s)<(script|style|svg)\b.*?</(script|style|svg)>|<[^>]*>`)

// visible is the text of the page without markup.
func (p page) visible() string {
	return strings.Join(strings.Fields(unescape(markup.ReplaceAllString(p.html, " "))), " ")
}

// choose takes a coin on the payment page.
func choose(t testing.TB, address, coin string) page {
	t.Helper()
	p := newBrowser(t).open(address).form("/coin", "coin", coin).submit()
	if p.status != http.StatusOK || p.state() != "await" {
		t.Fatalf("after choosing %s: %d, state %q\n%s", coin, p.status, p.state(), p.html)
	}
	return p
}

// freeAddress is a loopback address with a port that was free just now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}
