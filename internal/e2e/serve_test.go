package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/pgtest"
)

// A house is pipe itself, set up by its own commands with a configuration file, on the chains of a demo.
type house struct {
	*program
	t      testing.TB
	chains *demo
	dir    string
	config string
	url    string
	words  []string // the recovery phrase
}

// newHouse writes the configuration, migrates, makes a seed, and serves.
func newHouse(t testing.TB, chains *demo, more ...string) *house {
	t.Helper()
	dir := t.TempDir()
	listen := freeAddress(t)
	h := &house{t: t, chains: chains, dir: dir, config: filepath.Join(dir, "pipe.conf"), url: "http://" + listen}
	passphrase := filepath.Join(dir, "passphrase")
	settings := append([]string{
		"# how this house is set up", "",
		"PIPE_DISK_RESERVE=1", "PIPE_DATA=" + filepath.Join(dir, "data"), "PIPE_LISTEN=" + listen, "PIPE_PUBLIC_URL=" + h.url, "PIPE_INSECURE_URLS=true",
		"PIPE_BITCOIN=regtest", "PIPE_BITCOIN_NODES=" + chains.ready["bitcoin_rpc_url"],
		"PIPE_ETHEREUM=1337", "PIPE_ETHEREUM_NODES=" + chains.ready["ethereum_rpc_url"],
		"PIPE_RATES=fixed:BTC/KRW=95000000;BTC/USD=68500;ETH/KRW=4750000;ETH/USD=3425",
		"PIPE_SIGNER_PASSPHRASE_FILE=" + passphrase, "PIPE_RATE_PER_KEY=1000",
	}, more...)
	for file, text := range map[string]string{h.config: strings.Join(settings, "\n") + "\n", passphrase: "correct horse battery staple\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.must("migrate")
	for _, m := range regexp.MustCompile(`\d+ ([a-z]+) {2,}`).FindAllStringSubmatch(h.must("seed", "create"), -1) {
		h.words = append(h.words, m[1])
	}
	h.serve()
	return h
}

func (h *house) serve() {
	h.t.Helper()
	h.program = start(h.t, nil, "pipe", "-c", h.config, "serve")
	eventually(h.t, patience, "serving", func() bool {
		if h.ended() {
			h.t.Fatalf("pipe serve ended: %v\n%s", h.err, h.out)
		}
		resp, err := client.Get(h.url + "/healthz")
		if err != nil {
			return false
		}
		readAll(h.t, resp)
		return resp.StatusCode == 204
	})
}

func (h *house) cli(args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	return run(h.t, nil, "", "pipe", append([]string{"-c", h.config}, args...)...)
}

func (h *house) must(args ...string) string {
	h.t.Helper()
	stdout, stderr, code := h.cli(args...)
	if code != 0 {
		h.t.Fatalf("pipe %q: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

func (h *house) json(out any, args ...string) {
	h.t.Helper()
	text := h.must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		h.t.Fatalf("pipe %q: %v: %s", args, err, text)
	}
}

// open makes a merchant with an application, ready to be paid.
func (h *house) open(args ...string) (*merchant, application) {
	h.t.Helper()
	var m, a application
	h.json(&m, "merchant", "add", "Owner")
	h.json(&a, append([]string{"app", "add", m.ID, "--name=Shop", "--ip=127.0.0.1"}, args...)...)
	return &merchant{h.url, a.Key}, a
}

// sell opens an invoice, chooses a coin, and waits for an address.
func (h *house) sell(m *merchant, coin, callback, order string) (inv answer) {
	h.t.Helper()
	a := m.good(h.t, "invoice/create", fields{{"price_currency", "KRW"}, {"price", "10500"}, {"order_id", order}, {"callback_url", callback}})
	chooseSoon(h.t, h.url, a.text("invoice_id"), coin)
	return m.get(h.t, a.text("invoice_id"))
}

// chooseSoon chooses a coin. The pool of a new merchant fills within seconds; until then the page says to try again.
func chooseSoon(t testing.TB, url, id, coin string) {
	t.Helper()
	b := newBrowser(t)
	for range 40 {
		switch p := b.do("POST", url+"/invoice/"+id+"/coin", map[string][]string{"coin": {coin}}); p.status {
		case 200:
			return
		case 503:
			time.Sleep(250 * time.Millisecond)
		default:
			t.Fatalf("choose: %d %s", p.status, p.visible())
		}
	}
	t.Fatal("no address became ready")
}

func TestServeFromNothing(t *testing.T) {
	t.Parallel()
	chains := newDemo(t, "--no-mining")
	for name, database := range map[string]string{"sqlite": "", "postgres": "PIPE_DATABASE=" + pgtest.URL(t)} {
		t.Run(name, func(t *testing.T) {
			local := *chains
			local.t = t
			s := newShop(t, always(200, "ok"))
			h := newHouse(t, &local, database, "PIPE_CALLBACK_OPEN="+s.url+"=127.0.0.0/8")
			if len(h.words) != 24 {
				t.Errorf("seed create prints %d words: %q", len(h.words), h.words)
			}
			h.kept(t)
			if stdout, stderr, code := h.cli("seed", "create"); code == 0 {
				t.Errorf("a second seed create: %s%s", stdout, stderr)
			}
			m, _ := h.open("--url=" + s.url)
			for _, coin := range []string{"BTC", "ETH"} {
				inv := h.sell(m, coin, s.url+"/cb", "serve-"+coin)
				local.pay(coin, inv.text("deposit_address"), inv.text("coin_amount"))
				local.mine(coin, needs[coin])
				m.await(t, inv.text("invoice_id"), "status", "2")
				s.await(t, "serve-"+coin, 1)
			}
			h.auditClean(t)
			h.interrupt(t)
			h.kept(t)
			h.serve()
			h.auditClean(t)
			if n := len(s.of("serve-BTC")); n != 1 {
				t.Errorf("%d callbacks after a restart, want 1", n)
			}
			h.interrupt(t)
		})
	}
	chains.interrupt(t)
}

// kept holds that no file and no output keeps the recovery phrase, the passphrase, or what encrypts.
func (h *house) kept(t testing.TB) {
	t.Helper()
	phrase := strings.Join(h.words[:3], " ")
	if strings.Contains(h.out.String(), phrase) || strings.Contains(h.out.String(), "battery staple") {
		t.Error("the log of pipe serve holds the recovery phrase or the passphrase")
	}
	err := filepath.WalkDir(h.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Type()&fs.ModeSocket != 0 {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if strings.Contains(string(b), phrase) || filepath.Base(path) != "passphrase" && strings.Contains(string(b), "battery staple") {
			t.Errorf("%s holds the recovery phrase or the passphrase", path)
		}
		if info, err := e.Info(); err == nil && strings.HasPrefix(path, filepath.Join(h.dir, "data", "signer")) && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func (h *house) auditClean(t testing.TB) {
	t.Helper()
	auditClean(t, func(args ...string) (string, string, int) { return h.cli(args...) })
}

// auditClean recomputes everything, beside the running program, and expects no difference. What could not be checked just
// now, because the chain moved meanwhile, is asked again.
func auditClean(t testing.TB, cli func(args ...string) (stdout, stderr string, code int)) {
	t.Helper()
	var r struct {
		Clean       bool     `json:"clean"`
		Entries     int      `json:"entries"`
		Deposits    int      `json:"deposits"`
		Differences []any    `json:"differences"`
		Unchecked   []string `json:"unchecked"`
	}
	eventually(t, patience, "audit checks everything", func() bool {
		stdout, stderr, code := cli("audit", "--json")
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("audit: %v: %s%s", err, stdout, stderr)
		}
		return code != 0 || len(r.Unchecked) == 0
	})
	if !r.Clean || len(r.Differences) > 0 || r.Differences == nil || r.Unchecked == nil || r.Entries == 0 || r.Deposits == 0 {
		t.Errorf("audit: %+v", r)
	}
	if stdout, stderr, code := cli("audit"); code != 0 || !strings.Contains(stdout, "no differences") {
		t.Errorf("audit says %s%s", stdout, stderr)
	}
}

func TestSeedComesBack(t *testing.T) {
	t.Parallel()
	chains := shared(t)
	h := newHouse(t, chains, "PIPE_CALLBACK_OPEN="+chains.ready["shop_url"]+"=127.0.0.0/8")
	m, _ := h.open("--url=" + chains.ready["shop_url"])
	h.sell(m, "BTC", chains.ready["shop_url"]+"/callback", "seed")
	h.interrupt(t)
	// Another machine: what is not exactly the phrase is refused without repeating it.
	other := t.TempDir()
	env := []string{"PIPE_DATA=" + other, "PIPE_SIGNER_PASSPHRASE=another passphrase"}
	for _, wrong := range []string{"", "word word word", strings.Join(h.words[:23], " "), strings.Join(append(slices.Clone(h.words[1:]), h.words[0]), " ")} {
		if _, stderr, code := run(t, env, wrong, "pipe", "seed", "restore"); code == 0 || strings.Contains(stderr, h.words[3]) && wrong != "" && strings.Contains(stderr, h.words[4]+" "+h.words[5]) {
			t.Errorf("restore from %q: %d %s", wrong, code, stderr)
		}
	}
	if stdout, stderr, code := run(t, env, strings.Join(h.words, " ")+"\n", "pipe", "seed", "restore"); code != 0 {
		t.Fatalf("restore: %s%s", stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(other, "signer")); err != nil {
		t.Errorf("restore left no seed: %v", err)
	}
	if _, stderr, code := run(t, env, strings.Join(h.words, " "), "pipe", "seed", "restore"); code == 0 {
		t.Errorf("a second restore over a seed: %s", stderr)
	}
}

// problem is a command that must fail with a hint and change nothing.
type problem struct {
	args []string
	says string
}

func TestProvisioning(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	var m struct {
		ID, Name string
	}
	d.cliJSON(&m, "merchant", "add", "가게 주인")
	var all []map[string]any
	d.cliJSON(&all, "merchant", "list")
	if len(all) != 2 || all[1]["name"] != "가게 주인" || all[1]["id"] != m.ID {
		t.Errorf("merchant list: %v", all)
	}
	var app map[string]any
	d.cliJSON(&app, "app", "add", m.ID, "--name=Books", "--url=https://books.example/pay", "--url=https://www.books.example", "--ip=203.0.113.7,2001:db8::/32", "--coin=ETH",
		"--settlement=ETH=0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076", "--settlement=BTC=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "--quote-window=15m", "--choose-within=2h", "--exchange-window=45m",
		"--tolerance=1.25", "--confirmations=BTC=1", "--confirmations=BTC@1000USD=6", "--confirmations=BTC@1000000KRW=3", "--confirmations=ETH=final", "--accept-late", "--require-refund", "--encoding=form", "--event=seen,reversed", "--event=expired")
	want := map[string]any{
		"name": "Books", "merchant_id": m.ID, "urls": []any{"https://books.example/pay", "https://www.books.example"}, "ips": []any{"203.0.113.7/32", "2001:db8::/32"}, "coins": []any{"ETH"},
		"settlement":   map[string]any{"ETH": "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076", "BTC": "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"},
		"quote_window": "15m0s", "choose_within": "2h0m0s", "exchange_window": "45m0s", "tolerance_percent": "1.25",
		"confirmations": []any{"BTC=1", "BTC@1000USD=6", "BTC@1000000KRW=3", "ETH=final"}, "accept_late": true, "require_refund": true, "encoding": "form", "events": []any{"expired", "reversed", "seen"},
	}
	hold := func(what string, app map[string]any) {
		t.Helper()
		for k, v := range want {
			if fmt.Sprint(app[k]) != fmt.Sprint(v) {
				t.Errorf("%s: %s is %v, want %v", what, k, app[k], v)
			}
		}
	}
	hold("app add", app)
	id := fmt.Sprint(app["id"])
	if !strings.HasPrefix(fmt.Sprint(app["api_key"]), "pipe_test_") || !strings.HasPrefix(fmt.Sprint(app["callback_secret"]), "whsec_") {
		t.Errorf("app add: %v", app)
	}
	find := func() map[string]any {
		t.Helper()
		var all []map[string]any
		d.cliJSON(&all, "app", "list")
		for _, a := range all {
			if a["id"] == id {
				return a
			}
		}
		t.Fatalf("app list does not have %s: %v", id, all)
		return nil
	}
	listed := find()
	hold("app list", listed)
	if listed["api_key"] != nil || listed["callback_secret"] != nil {
		t.Errorf("app list shows secrets: %v", listed)
	}
	// What is not named stays; each option alone changes itself only.
	for _, c := range []struct {
		arg, key string
		value    any
	}{
		{"--name=Buch", "name", "Buch"}, {"--quote-window=1m", "quote_window", "1m0s"}, {"--tolerance=0", "tolerance_percent", "0"}, {"--tolerance=10%", "tolerance_percent", "10"},
		{"--tolerance=0.0001", "tolerance_percent", "0.0001"}, {"--coin=btc,eth", "coins", []any{"BTC", "ETH"}}, {"--settlement=BTC=", "settlement", map[string]any{"ETH": "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076"}},
		{"--encoding=json", "encoding", "json"}, {"--event=none", "events", []any{}}, {"--no-accept-late", "accept_late", false}, {"--no-require-refund", "require_refund", false},
		{"--confirmations=ETH=30", "confirmations", []any{"ETH=30"}}, {"--url=https://books.example", "urls", []any{"https://books.example"}}, {"--ip=198.51.100.0/24", "ips", []any{"198.51.100.0/24"}},
	} {
		var set map[string]any
		d.cliJSON(&set, "app", "set", strings.ToLower(id), c.arg)
		want[c.key] = c.value
		hold(c.arg, set)
	}
	hold("app list after all", find())
	for _, p := range []problem{
		{[]string{"merchant", "add", ""}, "name"},
		{[]string{"merchant", "add", strings.Repeat("x", 200)}, "name"},
		{[]string{"app", "add", strings.Repeat("0", 64), "--name=x"}, "no such merchant"},
		{[]string{"app", "add", "nonsense", "--name=x"}, "no such merchant"},
		{[]string{"app", "add", m.ID}, "name"},
		{[]string{"app", "set", strings.Repeat("0", 64), "--name=x"}, "no such application"},
		{[]string{"app", "rotate-key", "x"}, "no such application"},
		{[]string{"app", "rotate-key", id, "--overlap=-1h"}, "overlap"},
		{[]string{"app", "set", id, "--url=books.example"}, "web_service_url"},
		{[]string{"app", "set", id, "--url=https://user@books.example"}, "web_service_url"},
		{[]string{"app", "set", id, "--url=https://books.example/?a=b"}, "web_service_url"},
		{[]string{"app", "set", id, "--ip=1.2.3"}, "ip"},
		{[]string{"app", "set", id, "--ip=10.0.0.0/33"}, "ip"},
		{[]string{"app", "set", id, "--ip=books.example"}, "ip"},
		{[]string{"app", "set", id, "--coin=DOGE"}, "DOGE"},
		{[]string{"app", "set", id, "--settlement=BTC=0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076"}, "settlement"},
		{[]string{"app", "set", id, "--settlement=ETH=0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56077"}, "settlement"},
		{[]string{"app", "set", id, "--settlement=BTC=bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, "settlement"},
		{[]string{"app", "set", id, "--settlement=BTC"}, "COIN=ADDRESS"},
		{[]string{"app", "set", id, "--quote-window=0s"}, "quote_window"},
		{[]string{"app", "set", id, "--quote-window=999h"}, "quote_window"},
		{[]string{"app", "set", id, "--quote-window=soon"}, "quote-window"},
		{[]string{"app", "set", id, "--tolerance=11"}, "tolerance"},
		{[]string{"app", "set", id, "--tolerance=-1"}, "tolerance"},
		{[]string{"app", "set", id, "--tolerance=0.00001"}, "tolerance"},
		{[]string{"app", "set", id, "--tolerance="}, "tolerance"},
		{[]string{"app", "set", id, "--confirmations=BTC=0"}, "confirmations"},
		{[]string{"app", "set", id, "--confirmations=BTC=1001"}, "confirmations"},
		{[]string{"app", "set", id, "--confirmations=DOGE=1"}, "confirmations"},
		{[]string{"app", "set", id, "--confirmations=BTC@1000EUR=1"}, "confirmations"},
		{[]string{"app", "set", id, "--confirmations=BTC=1.5"}, "confirmations"},
		{[]string{"app", "set", id, "--confirmations=BTC"}, "confirmations"},
		{[]string{"app", "set", id, "--encoding=xml"}, "encoding"},
		{[]string{"app", "set", id, "--event=paid"}, "event"},
		{[]string{"app", "set", id, "--nonsense=1"}, "nonsense"},
	} {
		_, stderr, code := d.cli(p.args...)
		if code == 0 || !strings.Contains(stderr, p.says) || strings.Contains(stderr, "goroutine") || strings.Contains(stderr, "sql") {
			t.Errorf("pipe %q: exit code %d, says %s", p.args, code, stderr)
		}
	}
	hold("app list after refusals", find())
	d.interrupt(t)
}

// Deeper for dearer, in each currency, whatever the order of the rules.
func TestConfirmationsByAmount(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	for i, rules := range [][]string{
		{"--confirmations=BTC=1", "--confirmations=BTC@1000USD=4", "--confirmations=BTC@1000000KRW=3"},
		{"--confirmations=BTC@1000000KRW=3", "--confirmations=BTC@1000USD=4", "--confirmations=BTC=1"},
	} {
		m, _ := d.addApp(rules...)
		for _, c := range []struct {
			currency, price string
			need            int
		}{{"USD", "999.99", 1}, {"USD", "1000", 4}, {"KRW", "999999", 1}, {"KRW", "1000000", 3}} {
			a := m.good(t, "invoice/create", d.order(fmt.Sprint(i, c)).with("price_currency", c.currency).with("price", c.price))
			chooseSoon(t, d.url, a.text("invoice_id"), "BTC")
			inv := m.get(t, a.text("invoice_id"))
			d.pay("BTC", inv.text("deposit_address"), inv.text("coin_amount"))
			d.mine("BTC", 1)
			m.await(t, a.text("invoice_id"), "deposit_amount", inv.text("coin_amount"))
			for have := 1; have < c.need; have++ {
				d.awaitHeightSeen(m, a.text("invoice_url"), fmt.Sprintf("%d of %d", have, c.need))
				if s := m.get(t, a.text("invoice_id")).number("status"); s != "1" {
					t.Fatalf("%v: status %s after %d blocks", c, s, have)
				}
				d.mine("BTC", 1)
			}
			m.await(t, a.text("invoice_id"), "status", "2")
		}
	}
	d.interrupt(t)
}

// awaitHeightSeen waits until the page tells so many blocks.
func (d *demo) awaitHeightSeen(_ *merchant, address, text string) {
	d.t.Helper()
	b := newBrowser(d.t)
	var shown string
	for range 30 {
		if shown = b.open(address).visible(); strings.Contains(shown, text) {
			return
		}
		time.Sleep(400 * time.Millisecond)
	}
	d.t.Fatalf("the page does not say %q: %s", text, shown)
}

func TestConfigCoversSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "c.conf")
	if err := os.WriteFile(file, []byte("PIPE_DATABASE=postgres://u:hidden1@db/x\nPIPE_BITCOIN=regtest\nPIPE_BITCOIN_NODES=http://u:hidden2@n:1\nPIPE_LISTEN=127.0.0.1:1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"PIPE_CONFIG=" + file, "PIPE_LISTEN=127.0.0.1:4321", "PIPE_SECRET_KEY=hidden3", "PIPE_SIGNER_PASSPHRASE=hidden4", "PIPE_ETHEREUM=1", "PIPE_ETHEREUM_NODES=http://n/v3/hidden5"}
	stdout, stderr, code := run(t, env, "", "pipe", "config")
	if code != 0 || strings.Contains(stdout+stderr, "hidden") {
		t.Errorf("pipe config: %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"PIPE_LISTEN=127.0.0.1:4321", "PIPE_DATABASE=", "PIPE_ROLES=api,checkout,admin,worker", "PIPE_BITCOIN=regtest", "PIPE_ETHEREUM=1"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("pipe config does not print %s:\n%s", want, stdout)
		}
	}
	for _, c := range []problem{
		{[]string{"PIPE_LISTN=x"}, "PIPE_LISTN"}, {[]string{"PIPE_ROLES=boss"}, "PIPE_ROLES"}, {[]string{"PIPE_RATE_EVERY=often"}, "PIPE_RATE_EVERY"}, {[]string{"PIPE_INSECURE_URLS=perhaps"}, "PIPE_INSECURE_URLS"},
		{[]string{"PIPE_BITCOIN=regtest"}, "PIPE_BITCOIN_NODES"}, {[]string{"PIPE_PUBLIC_URL=pay.example"}, "PIPE_PUBLIC_URL"}, {[]string{"PIPE_PUBLIC_URL=https://pay.example/x"}, "PIPE_PUBLIC_URL"},
		{[]string{"PIPE_TRUSTED_PROXIES=proxy"}, "PIPE_TRUSTED_PROXIES"}, {[]string{"PIPE_TLS_CERT=x"}, "PIPE_TLS_KEY"}, {[]string{"PIPE_CONFIG=/nowhere"}, "/nowhere"}, {[]string{"PIPE_SECRET_KEY_FILE=/nowhere"}, "PIPE_SECRET_KEY"},
		{[]string{"PIPE_LOG_LEVEL=loud"}, "PIPE_LOG_LEVEL"}, {[]string{"PIPE_RATE_PER_KEY=many"}, "PIPE_RATE_PER_KEY"},
	} {
		if _, stderr, code := run(t, c.args, "", "pipe", "config"); code == 0 || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit code %d: %s", c.args, code, stderr)
		}
	}
	for _, c := range []problem{
		{nil, "PIPE_BITCOIN"},
		{[]string{"PIPE_BITCOIN=regtest", "PIPE_BITCOIN_NODES=http://u:p@127.0.0.1:1", "PIPE_DATA=" + dir}, "pipe migrate"},
	} {
		if _, stderr, code := run(t, c.args, "", "pipe", "serve"); code == 0 || !strings.Contains(stderr, c.says) {
			t.Errorf("serve with %q: exit code %d: %s", c.args, code, stderr)
		}
	}
	if stdout, _, code := run(t, nil, "", "pipe", "version"); code != 0 || !strings.HasPrefix(stdout, "pipe ") {
		t.Errorf("pipe version: %d %s", code, stdout)
	}
	for _, help := range [][]string{{"--help"}, {"app", "add", "--help"}, {"serve", "--help"}} {
		if stdout, _, code := run(t, nil, "", "pipe", help...); code != 0 || !strings.Contains(stdout, "Usage: pipe") {
			t.Errorf("pipe %q: %d %s", help, code, stdout)
		}
	}
}

// A finding is a line of pipe doctor.
type finding struct{ Level, What, Cure string }

func (h *house) doctor(t testing.TB, env ...string) (all []finding, code int) {
	t.Helper()
	stdout, stderr, code := run(t, env, "", "pipe", "-c", h.config, "doctor", "--json")
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("doctor: %v: %s%s", err, stdout, stderr)
	}
	for _, f := range all {
		if f.Level != "ok" && f.Cure == "" {
			t.Errorf("doctor has no cure for: %s", f.What)
		}
		if strings.Contains(f.What+f.Cure, "battery staple") || regexp.MustCompile(`://\w+:\w+@`).MatchString(f.What) {
			t.Errorf("doctor shows a secret: %s", f.What)
		}
	}
	return all, code
}

// bad expects a bad line that speaks of something.
func bad(t testing.TB, what string, all []finding, code int, about string) {
	t.Helper()
	if code == 0 {
		t.Errorf("%s: doctor's exit code is 0", what)
	}
	for _, f := range all {
		if f.Level == "BAD" && regexp.MustCompile("(?i)"+about).MatchString(f.What+" "+f.Cure) {
			return
		}
	}
	t.Errorf("%s: doctor says nothing bad about %s: %+v", what, about, all)
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	chains := newDemo(t, "--no-mining")
	h := newHouse(t, chains)
	h.open("--url=http://127.0.0.1:1")
	var all []finding
	code := 1
	eventually(t, patience, "doctor finds nothing bad", func() bool {
		all, code = h.doctor(t)
		return code == 0
	})
	for _, about := range []string{"bitcoin/regtest", "ethereum/1337", "rates", "database", "disk", "signer"} {
		if !slices.ContainsFunc(all, func(f finding) bool { return strings.Contains(f.What, about) }) {
			t.Errorf("doctor says nothing of %s: %+v", about, all)
		}
	}
	text, _, _ := h.cli("doctor")
	if !strings.Contains(text, "→") || !strings.Contains(text, "ok ") {
		t.Errorf("doctor prints\n%s", text)
	}

	control(t, chains.ready["control_url"], "/node", object{"coin": "BTC", "up": false}, nil)
	all, code = h.doctor(t)
	bad(t, "Bitcoin node down", all, code, "bitcoin")
	control(t, chains.ready["control_url"], "/node", object{"coin": "BTC", "up": true}, nil)
	all, code = h.doctor(t, "PIPE_BITCOIN=mainnet")
	bad(t, "wrong Bitcoin network", all, code, "regtest|mainnet|main")
	all, code = h.doctor(t, "PIPE_ETHEREUM=1")
	bad(t, "wrong Ethereum chain", all, code, "chain|1337")
	all, code = h.doctor(t, "PIPE_RATES=fixed:BTC/KRW=1")
	bad(t, "no rates", all, code, "rate|price")
	all, code = h.doctor(t, "PIPE_SIGNER_PASSPHRASE_FILE=", "PIPE_SIGNER_PASSPHRASE=")
	bad(t, "no passphrase", all, code, "passphrase")
	all, code = h.doctor(t, "PIPE_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "old.db"))
	bad(t, "no schema", all, code, "migrate")
	all, code = h.doctor(t, "PIPE_DATABASE=postgres://127.0.0.1:1/x?connect_timeout=2")
	bad(t, "no database", all, code, "database")
	all, code = h.doctor(t, "PIPE_PUBLIC_URL=")
	bad(t, "no public URL", all, code, "PIPE_PUBLIC_URL")
	h.interrupt(t)
	all, code = h.doctor(t, "PIPE_SIGNER_PASSPHRASE_FILE=", "PIPE_SIGNER_PASSPHRASE=wrong")
	bad(t, "wrong passphrase", all, code, "passphrase")
	chains.interrupt(t)
}

func TestOneHousePerDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shared(t))
	_, stderr, code := run(t, []string{"PIPE_LISTEN=" + freeAddress(t)}, "", "pipe", "-c", h.config, "serve")
	if code == 0 || !strings.Contains(stderr, "in use") {
		t.Errorf("a second pipe serve on the same data: %d %s", code, stderr)
	}
	other := t.TempDir()
	copyFile(t, h.config, filepath.Join(other, "pipe.conf"))
	_, stderr, code = run(t, []string{"PIPE_DATA=" + other}, "", "pipe", "-c", h.config, "migrate")
	if code != 0 {
		t.Fatalf("migrate elsewhere: %s", stderr)
	}
	if _, stderr, code = run(t, []string{"PIPE_DATA=" + other}, "", "pipe", "-c", h.config, "serve"); code == 0 || !strings.Contains(stderr, "pipe seed create") {
		t.Errorf("serve without a seed: %d %s", code, stderr)
	}
	h.must("migrate") // again, beside the running server: nothing to do
	h.interrupt(t)
	h.serve()
	h.interrupt(t)
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
