package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/pgtest"
)

// heights asks both chains by their own RPC, with what the ready file says.
func (d *demo) height(coin string) string {
	d.t.Helper()
	url, body := d.ready["bitcoin_rpc_url"], `{"jsonrpc":"1.0","id":1,"method":"getblockcount","params":[]}`
	if coin == "ETH" {
		url, body = d.ready["ethereum_rpc_url"], `{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}`
	}
	resp, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	var out struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(readAll(d.t, resp), &out); err != nil || len(out.Result) == 0 {
		d.t.Fatalf("%s RPC: %v", coin, err)
	}
	return string(out.Result)
}

// readyKeys are those of the issue; those of the admin come once there is one.
var readyKeys = []string{
	"url", "api_key", "application_id", "shop_url", "control_url", "bitcoin_rpc_url", "ethereum_rpc_url",
}

func TestReadyFile(t *testing.T) {
	t.Parallel()
	d := shared(t)
	for _, key := range readyKeys {
		if d.ready[key] == "" {
			t.Errorf("ready file has no %s", key)
		}
		if strings.HasSuffix(key, "url") && d.ready[key] != "" && !regexp.MustCompile(`^http://([\w.]+:[\w.]+@)?127\.0\.0\.1:\d+`).MatchString(d.ready[key]) {
			t.Errorf("%s is %q", key, d.ready[key])
		}
	}
	if !strings.Contains(d.ready["bitcoin_rpc_url"], "@") {
		t.Errorf("bitcoin_rpc_url has no user and password: %s", d.ready["bitcoin_rpc_url"])
	}
	if d.height("BTC") == "" || d.height("ETH") == "" {
		t.Error("a chain has no height")
	}
	for _, key := range []string{"url", "shop_url"} {
		if !strings.Contains(d.out.String(), d.ready[key]) {
			t.Errorf("the program does not print %s", d.ready[key])
		}
	}
	left, err := filepath.Glob(filepath.Join(d.dir, ".tmp*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// everything opens and pays an invoice, restarts by the given means, and finds everything where it was.
func restart(t *testing.T, stop func(*demo), args ...string) {
	d := newDemo(t, append(args, "--no-mining")...)
	paid := d.good(t, "invoice/create", d.order("paid"))
	open := d.good(t, "invoice/create", d.order("open"))
	choose(t, paid.text("invoice_url"), "BTC")
	choose(t, open.text("invoice_url"), "ETH")
	waiting := d.get(t, open.text("invoice_id"))
	before := d.get(t, paid.text("invoice_id"))
	d.pay("BTC", before.text("deposit_address"), before.text("coin_amount"))
	d.mine("BTC", 2)
	before = d.await(t, paid.text("invoice_id"), "status", "2")
	d.awaitCallbacks("paid", 1)
	d.pay("ETH", waiting.text("deposit_address"), waiting.text("coin_amount"))
	d.await(t, open.text("invoice_id"), "deposit_status", "2")
	was, btc, eth := d.ready, d.height("BTC"), d.height("ETH")

	stop(d)
	d.start()
	for _, key := range []string{"url", "api_key", "application_id", "shop_url", "control_url"} {
		if was[key] != d.ready[key] {
			t.Errorf("%s was %s, is %s", key, was[key], d.ready[key])
		}
	}
	if d.height("BTC") != btc || d.height("ETH") != eth {
		t.Errorf("heights were %s and %s, are %s and %s", btc, eth, d.height("BTC"), d.height("ETH"))
	}
	if after := d.get(t, paid.text("invoice_id")); after.Raw != before.Raw {
		t.Errorf("invoice was\n%s\nis\n%s", before.Raw, after.Raw)
	}
	if n := len(d.callbacks("paid")); n != 1 {
		t.Errorf("%d callbacks after the restart, want the 1 from before", n)
	}
	// What was under way goes on. A mempool need not outlive its node: the payer's wallet sends again.
	d.mine("ETH", 1)
	if d.get(t, open.text("invoice_id")).text("deposit_amount") == "0" {
		d.pay("ETH", waiting.text("deposit_address"), waiting.text("coin_amount"))
	}
	d.mine("ETH", 14)
	d.await(t, open.text("invoice_id"), "status", "2")
	d.awaitCallbacks("open", 1)
	d.interrupt(t)
}

func TestRestartAfterInterrupt(t *testing.T) {
	t.Parallel()
	restart(t, func(d *demo) { d.interrupt(d.t) })
}

func TestRestartAfterKill(t *testing.T) {
	t.Parallel()
	restart(t, func(d *demo) { d.end() })
}

func TestRestartOnPostgres(t *testing.T) {
	t.Parallel()
	restart(t, func(d *demo) { d.end() }, "--database", pgtest.URL(t))
}

func TestKilledWhileStarting(t *testing.T) {
	t.Parallel()
	d := &demo{t: t, dir: t.TempDir(), args: []string{"--no-mining"}}
	for i := range 8 {
		p := start(t, nil, "pipe-demo", d.arguments()...)
		select {
		case <-time.After(time.Duration(20+i*60) * time.Millisecond):
			p.end()
		case <-p.done:
			t.Fatalf("start %d: %v\n%s", i, p.err, p.out)
		}
	}
	d.start()
	a := d.good(t, "invoice/create", d.order("after all"))
	choose(t, a.text("invoice_url"), "BTC")
	inv := d.get(t, a.text("invoice_id"))
	d.pay("BTC", inv.text("deposit_address"), inv.text("coin_amount"))
	d.mine("BTC", 2)
	d.await(t, a.text("invoice_id"), "status", "2")
	auditClean(t, d.cli)
	d.interrupt(t)
}

// Killed at any moment of a payment, again and again: it is paid, told, and counted once.
func TestKilledAllTheWay(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	for _, coin := range []string{"BTC", "ETH"} {
		order := "killed-" + coin
		again := func() { d.end(); d.start() }
		a := d.good(t, "invoice/create", d.order(order))
		again()
		choose(t, a.text("invoice_url"), coin)
		again()
		inv := d.get(t, a.text("invoice_id"))
		d.pay(coin, inv.text("deposit_address"), inv.text("coin_amount"))
		d.mine(coin, 1)
		again()
		d.mine(coin, needs[coin]-2)
		again()
		d.mine(coin, 1)
		again()
		paid := d.await(t, a.text("invoice_id"), "status", "2")
		if paid.text("deposit_amount") != inv.text("coin_amount") {
			t.Errorf("%s: %s", coin, paid)
		}
		told := d.awaitCallbacks(order, 1)
		for _, c := range told {
			if c.Headers["webhook-id"] != told[0].Headers["webhook-id"] || c.Body != told[0].Body {
				t.Errorf("%s: two different callbacks: %v", coin, told)
			}
		}
	}
	auditClean(t, d.cli)
	d.interrupt(t)
}

func TestDatabaseOption(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "elsewhere.db")
	d := newDemo(t, "--no-mining", "--database", "sqlite:"+file)
	d.good(t, "invoice/create", d.order("elsewhere"))
	if _, err := os.Stat(file); err != nil {
		t.Errorf("--database sqlite:%s: %v", file, err)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "data", "pipe.db")); err == nil {
		t.Error("there is a database in --data as well")
	}
	d.interrupt(t)
}

func TestMinesByItself(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	btc, eth := d.height("BTC"), d.height("ETH")
	a := d.good(t, "invoice/create", d.order("mined"))
	choose(t, a.text("invoice_url"), "BTC")
	inv := d.get(t, a.text("invoice_id"))
	d.pay("BTC", inv.text("deposit_address"), inv.text("coin_amount"))
	d.await(t, a.text("invoice_id"), "status", "2")
	if d.height("BTC") == btc || d.height("ETH") == eth {
		t.Errorf("heights still %s and %s", btc, eth)
	}
	d.interrupt(t)
}

func TestNoMiningMinesNothing(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	btc, eth := d.height("BTC"), d.height("ETH")
	for until := time.Now().Add(6 * time.Second); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
		if d.height("BTC") != btc || d.height("ETH") != eth {
			t.Fatalf("--no-mining: heights were %s and %s, are %s and %s", btc, eth, d.height("BTC"), d.height("ETH"))
		}
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	second := filepath.Join(d.dir, "second.json")
	_, stderr, code := run(t, nil, "", "pipe-demo", "--listen", "127.0.0.1:0", "--data", filepath.Join(d.dir, "data"), "--ready", second, "--no-mining")
	if code != 1 || !strings.Contains(stderr, "in use by another pipe-demo") || !strings.Contains(stderr, "--data") {
		t.Errorf("second demo on the same data: exit code %d: %s", code, stderr)
	}
	if strings.Contains(stderr, "goroutine") {
		t.Errorf("second demo panics: %s", stderr)
	}
	if _, err := os.Stat(second); err == nil {
		t.Error("the second demo says it is ready")
	}
	d.good(t, "invoice/create", d.order("first goes on"))
	d.interrupt(t)
	d.start()
	d.interrupt(t)
}

func TestDemoRefusesOtherDoors(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", "nonsense", "127.0.0.1:99999"} {
		_, stderr, code := run(t, nil, "", "pipe-demo", "--listen", listen, "--data", t.TempDir())
		if code != 1 || !strings.Contains(stderr, "pipe-demo:") {
			t.Errorf("--listen %s: exit code %d: %s", listen, code, stderr)
		}
	}
	_, stderr, code := run(t, nil, "", "pipe-demo", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--ready", filepath.Join(t.TempDir(), "none", "ready.json"))
	if code != 1 || strings.Contains(stderr, "goroutine") {
		t.Errorf("--ready in no directory: exit code %d: %s", code, stderr)
	}
	for _, database := range []string{"mysql://x/y", "postgres://127.0.0.1:1/none?connect_timeout=2"} {
		_, stderr, code := run(t, nil, "", "pipe-demo", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--database", database)
		if code != 1 || strings.Contains(stderr, "goroutine") {
			t.Errorf("--database %s: exit code %d: %s", database, code, stderr)
		}
	}
}

func TestControlRefusesNonsense(t *testing.T) {
	t.Parallel()
	d := shared(t)
	for path, body := range map[string]string{
		"/pay":          `{"coin":"DOGE","address":"x","amount":"1"}`,
		"/pay ":         `{"coin":"BTC","address":"nonsense","amount":"1"}`,
		"/pay  ":        `{"coin":"BTC","address":"bcrt1qnfd5xweyjhv4fsvves6ecp202t4n0j0ew284rm","amount":"-1"}`,
		"/mine":         `{"coin":"BTC","blocks":`,
		"/reorg":        `{"coin":"BTC","depth":-1}`,
		"/double-spend": `{"coin":"BTC","txid":"00"}`,
		"/shop":         `{"status":99}`,
	} {
		resp, err := client.Post(d.ready["control_url"]+strings.TrimSpace(path), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if text := readAll(t, resp); resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "error") {
			t.Errorf("%s %s: %d %s", path, body, resp.StatusCode, text)
		}
	}
}
