package bitcoind

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
)

const payee = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

// controls are what both chains offer: a story runs on either.
type controls interface {
	Pay(ctx context.Context, address string, sats int64) (string, error)
	PayMany(ctx context.Context, outputs []Output) (string, error)
	Mine(ctx context.Context, blocks int) (int64, string, error)
	Reorg(ctx context.Context, depth int, drop []string) (int64, string, error)
	DoubleSpend(ctx context.Context, txid string) (string, error)
	Evict(ctx context.Context, txid string) error
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	URL() string
	Close() error
}

var (
	_ controls = (*Node)(nil)
	_ controls = (*bitcoin.Chain)(nil)
)

// onBoth runs a test on a real node and on the chain in process.
func onBoth(t *testing.T, run func(*testing.T, controls)) {
	t.Run("bitcoind", func(t *testing.T) { run(t, ForTest(t)) })
	t.Run("process", func(t *testing.T) {
		c, err := bitcoin.Open(t.Context(), bitcoin.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		run(t, c)
	})
}

type answer struct {
	status int
	Result json.RawMessage
	Error  *rpcError
}

func try(t *testing.T, c controls, method string, params ...any) answer {
	t.Helper()
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(c.URL(), "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%s: %v in %s", method, err, text)
	}
	return a
}

func call[T any](t *testing.T, c controls, method string, params ...any) T {
	t.Helper()
	a := try(t, c, method, params...)
	if a.Error != nil {
		t.Fatalf("%s%v: %v", method, params, a.Error)
	}
	var result T
	if err := json.Unmarshal(a.Result, &result); err != nil {
		t.Fatalf("%s: %v in %s", method, err, a.Result)
	}
	return result
}

func pay(t *testing.T, c controls, sats int64) string {
	t.Helper()
	txid, err := c.Pay(t.Context(), payee, sats)
	if err != nil {
		t.Fatal(err)
	}
	return txid
}

func mine(t *testing.T, c controls, blocks int) (int64, string) {
	t.Helper()
	height, hash, err := c.Mine(t.Context(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	if got := call[string](t, c, "getbestblockhash"); got != hash {
		t.Fatalf("mined %s, tip %s", hash, got)
	}
	return height, hash
}

func blockTxs(t *testing.T, c controls, height int64) []string {
	t.Helper()
	hash := call[string](t, c, "getblockhash", height)
	txs := call[struct{ Tx []string }](t, c, "getblock", hash, 1).Tx[1:]
	slices.Sort(txs)
	return txs
}

func mempool(t *testing.T, c controls) []string {
	t.Helper()
	list := call[[]string](t, c, "getrawmempool")
	slices.Sort(list)
	return list
}

func sorted(list ...string) []string { return slices.Sorted(slices.Values(list)) }

func confirmations(t *testing.T, c controls, txid string) int {
	t.Helper()
	out := call[*struct{ Confirmations int }](t, c, "gettxout", txid, 0)
	if out == nil {
		return -1
	}
	return out.Confirmations
}

func TestPayAndMine(t *testing.T) {
	onBoth(t, func(t *testing.T, c controls) {
		one := pay(t, c, 10_000)
		many, err := c.PayMany(t.Context(), []Output{{Address: payee, Sats: 1_000}, {Address: payee, Sats: 2_000}})
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range []float64{0.00001, 0.00002} {
			if got := call[struct{ Value float64 }](t, c, "gettxout", many, n).Value; got != want {
				t.Errorf("output %d: %v, want %v", n, got, want)
			}
		}
		height, _ := mine(t, c, 1)
		if got := blockTxs(t, c, height); !slices.Equal(got, sorted(one, many)) {
			t.Errorf("block holds %v", got)
		}
		for _, tc := range []struct {
			address string
			sats    int64
			want    error
		}{
			{payee, 0, bitcoin.ErrAmount}, {payee, 100, bitcoin.ErrAmount}, {payee, 20e14, bitcoin.ErrAmount},
			{"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 1e6, bitcoin.ErrAddress}, {"x", 1e6, bitcoin.ErrAddress},
		} {
			if _, err := c.Pay(t.Context(), tc.address, tc.sats); !errors.Is(err, tc.want) {
				t.Errorf("pay %q %d: %v", tc.address, tc.sats, err)
			}
		}
	})
}

func TestManyInFlight(t *testing.T) {
	onBoth(t, func(t *testing.T, c controls) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 25 {
					if _, err := c.Pay(context.Background(), payee, 50_000); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := len(mempool(t, c)); got != 100 {
			t.Fatalf("mempool holds %d", got)
		}
		height, _ := mine(t, c, 1)
		if got := len(blockTxs(t, c, height)); got != 100 {
			t.Errorf("block holds %d", got)
		}
	})
}

func TestReorg(t *testing.T) {
	onBoth(t, func(t *testing.T, c controls) {
		first := pay(t, c, 10_000)
		h1, hash1 := mine(t, c, 1)
		second := pay(t, c, 20_000)
		h2, _ := mine(t, c, 1)
		waiting := pay(t, c, 30_000)
		height, hash, err := c.Reorg(t.Context(), 2, nil)
		if err != nil || height != h2+1 || hash != call[string](t, c, "getbestblockhash") {
			t.Fatalf("reorg to %d %s: %v", height, hash, err)
		}
		if got := blockTxs(t, c, h1); !slices.Equal(got, []string{first}) {
			t.Errorf("block %d holds %v", h1, got)
		}
		if got := blockTxs(t, c, h2); !slices.Equal(got, []string{second}) {
			t.Errorf("block %d holds %v", h2, got)
		}
		if got := mempool(t, c); !slices.Equal(got, []string{waiting}) {
			t.Errorf("mempool %v", got)
		}
		stale := call[struct{ Confirmations int }](t, c, "getblockheader", hash1)
		if stale.Confirmations != -1 {
			t.Errorf("stale block has %d confirmations", stale.Confirmations)
		}
	})
}

func TestReorgDrops(t *testing.T) {
	onBoth(t, func(t *testing.T, c controls) {
		keep, drop := pay(t, c, 10_000), pay(t, c, 20_000)
		mine(t, c, 1)
		stays, pending := pay(t, c, 30_000), pay(t, c, 40_000)
		height, _, err := c.Reorg(t.Context(), 1, []string{drop, pending})
		if err != nil {
			t.Fatal(err)
		}
		if got := blockTxs(t, c, height-1); !slices.Equal(got, []string{keep}) {
			t.Errorf("replaced block holds %v", got)
		}
		if got := mempool(t, c); !slices.Equal(got, []string{stays}) {
			t.Errorf("mempool %v, want %s", got, stays)
		}
		mine(t, c, 2)
		for _, txid := range []string{drop, pending} {
			if got := confirmations(t, c, txid); got != -1 {
				t.Errorf("dropped %s has %d confirmations", txid, got)
			}
		}
		if got := confirmations(t, c, stays); got != 2 {
			t.Errorf("kept one has %d confirmations", got)
		}
		pay(t, c, 10_000)
	})
}

func TestReorgRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, c controls) {
		txid := pay(t, c, 10_000)
		_, hash := mine(t, c, 2)
		for _, tc := range []struct {
			depth int
			drop  []string
			want  error
		}{
			{0, nil, bitcoin.ErrDepth}, {101, nil, bitcoin.ErrDepth},
			{1, []string{txid}, bitcoin.ErrUnknownTx}, {1, []string{"x"}, bitcoin.ErrUnknownTx},
		} {
			if _, _, err := c.Reorg(t.Context(), tc.depth, tc.drop); !errors.Is(err, tc.want) {
				t.Errorf("reorg %d %v: %v", tc.depth, tc.drop, err)
			}
		}
		if got := call[string](t, c, "getbestblockhash"); got != hash {
			t.Errorf("tip moved to %s", got)
		}
	})
}

func TestDoubleSpend(t *testing.T) {
	onBoth(t, func(t *testing.T, c controls) {
		for _, depth := range []int{0, 2} {
			victim, bystander := pay(t, c, 10_000), pay(t, c, 20_000)
			if depth > 0 {
				mine(t, c, depth)
			}
			was := call[int64](t, c, "getblockcount")
			made, err := c.DoubleSpend(t.Context(), victim)
			if err != nil {
				t.Fatal(err)
			}
			if got := call[int64](t, c, "getblockcount"); got != was+1 {
				t.Errorf("depth %d: height %d, was %d", depth, got, was)
			}
			for txid, want := range map[string]int{victim: -1, made: depth + 1, bystander: depth + 1} {
				if got := confirmations(t, c, txid); got != want {
					t.Errorf("depth %d: %s has %d confirmations, want %d", depth, txid, got, want)
				}
			}
			if got := mempool(t, c); len(got) != 0 {
				t.Errorf("depth %d: mempool %v", depth, got)
			}
		}
		if _, err := c.DoubleSpend(t.Context(), strings.Repeat("a", 64)); !errors.Is(err, bitcoin.ErrUnknownTx) {
			t.Errorf("unknown: %v", err)
		}
	})
}

func TestEvict(t *testing.T) {
	onBoth(t, func(t *testing.T, c controls) {
		gone, stays := pay(t, c, 10_000), pay(t, c, 20_000)
		raw := call[string](t, c, "getrawtransaction", gone)
		if err := c.Evict(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		if got := mempool(t, c); !slices.Equal(got, []string{stays}) {
			t.Errorf("mempool %v", got)
		}
		if err := c.Evict(t.Context(), gone); !errors.Is(err, bitcoin.ErrUnknownTx) {
			t.Errorf("evicted twice: %v", err)
		}
		mine(t, c, 1)
		if got := call[string](t, c, "sendrawtransaction", raw); got != gone {
			t.Errorf("sent again as %s", got)
		}
		if got := mempool(t, c); !slices.Equal(got, []string{gone}) {
			t.Errorf("mempool %v", got)
		}
	})
}

func TestPauseResume(t *testing.T) {
	onBoth(t, func(t *testing.T, c controls) {
		pending := pay(t, c, 10_000)
		target, hash := c.URL(), call[string](t, c, "getbestblockhash")
		for range 2 {
			if err := c.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			if resp, err := http.Post(target, "", strings.NewReader("{}")); err == nil {
				resp.Body.Close()
				t.Fatal("a paused node answers")
			}
			if err := c.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if c.URL() != target || call[string](t, c, "getbestblockhash") != hash || !slices.Equal(mempool(t, c), []string{pending}) {
			t.Error("not the same node as before")
		}
		mine(t, c, 1)
	})
}

func TestKillAndStartAgain(t *testing.T) {
	n := ForTest(t)
	height, _ := mine(t, n, 1)
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Pay(t.Context(), payee, 10_000); !errors.Is(err, ErrDown) {
		t.Errorf("pay on a dead node: %v", err)
	}
	if err := n.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := call[int64](t, n, "getblockcount"); got > height {
		t.Errorf("height %d, was %d", got, height)
	}
	mine(t, n, 1)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Start(t.Context(), Options{Path: n.opts.Path, Dir: n.opts.Dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}()
	pay(t, again, 10_000)
	if err := n.Resume(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("resume a closed node: %v", err)
	}
}

func TestStartTellsWhy(t *testing.T) {
	n := ForTest(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "settings.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "regtest"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "regtest", "settings.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Path: n.opts.Path, Dir: dir}); err == nil || !strings.Contains(err.Error(), "settings") {
		t.Errorf("a node that cannot start: %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Setenv("PIPE_BITCOIND", "/nonexistent/bitcoind")
	if _, err := Find(t.Context()); err == nil {
		t.Error("a PIPE_BITCOIND that is not there was found")
	}
	t.Setenv("PIPE_BITCOIND", "")
	t.Setenv("PATH", "")
	t.Setenv("PIPE_BITCOIND_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := Find(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing there: %v", err)
	}
}

// TestSameAnswers asks both chains the same and compares codes, HTTP status, words and the types of fields: what
// the chain in process answers must be what a real node answers.
func TestSameAnswers(t *testing.T) {
	type question struct {
		method string
		params []any
	}
	ask := func(t *testing.T, c controls) map[string]answer {
		txid := pay(t, c, 10_000)
		raw := call[string](t, c, "getrawtransaction", txid)
		mine(t, c, 1)
		pending := pay(t, c, 20_000)
		sent := call[string](t, c, "getrawtransaction", pending)
		best, parent := call[string](t, c, "getbestblockhash"), call[string](t, c, "getblockhash", 100)
		none := strings.Repeat("0", 63) + "1"
		answers := map[string]answer{}
		for name, q := range map[string]question{
			"blockchain": {"getblockchaininfo", nil}, "network": {"getnetworkinfo", nil}, "mempool": {"getmempoolinfo", nil},
			"header": {"getblockheader", []any{parent}}, "header raw": {"getblockheader", []any{parent, false}},
			"header none": {"getblockheader", []any{none}}, "header short": {"getblockheader", []any{"abc"}},
			"header hex": {"getblockheader", []any{strings.Repeat("z", 64)}}, "header number": {"getblockheader", []any{1}},
			"block 0": {"getblock", []any{parent, 0}}, "block 1": {"getblock", []any{parent, 1}}, "block": {"getblock", []any{parent}},
			"block false": {"getblock", []any{parent, false}}, "block none": {"getblock", []any{none}},
			"hash high": {"getblockhash", []any{1_000_000}}, "hash low": {"getblockhash", []any{-1}}, "hash text": {"getblockhash", []any{"1"}},
			"hash bare": {"getblockhash", nil}, "hash two": {"getblockhash", []any{1, 2}},
			"pool": {"getrawmempool", nil}, "pool both": {"getrawmempool", []any{true, true}}, "pool sequence": {"getrawmempool", []any{false, true}},
			"entry": {"getmempoolentry", []any{pending}}, "entry mined": {"getmempoolentry", []any{txid}},
			"tx": {"getrawtransaction", []any{pending, 1}}, "tx block": {"getrawtransaction", []any{txid, 1, best}},
			"tx mined": {"getrawtransaction", []any{strings.Repeat("1", 64)}}, "tx no block": {"getrawtransaction", []any{txid, 1, none}},
			"tx other block": {"getrawtransaction", []any{txid, 1, parent}}, "tx short": {"getrawtransaction", []any{"ab"}},
			"out": {"gettxout", []any{txid, 0}}, "out pending": {"gettxout", []any{pending, 0}}, "out none": {"gettxout", []any{none, 0}},
			"out no pool": {"gettxout", []any{pending, 0, false}}, "out high": {"gettxout", []any{pending, 9}},
			"test mined": {"testmempoolaccept", []any{[]string{raw}}}, "test known": {"testmempoolaccept", []any{[]string{sent}}},
			"scan": {"scantxoutset", []any{"start", []any{"addr(" + payee + ")"}}}, "scan object": {"scantxoutset", []any{"start", []any{map[string]any{"desc": "addr(" + payee + ")"}}}},
			"scan script": {"scantxoutset", []any{"start", []any{"raw(0014751e76e8199196d454941c45d1b3a323f1433bd6)"}}}, "scan nothing": {"scantxoutset", []any{"start", []any{"raw(51)"}}},
			"scan status": {"scantxoutset", []any{"status"}}, "scan abort": {"scantxoutset", []any{"abort"}}, "scan bad": {"scantxoutset", []any{"begin"}},
			"scan bare": {"scantxoutset", []any{"start"}}, "scan no address": {"scantxoutset", []any{"start", []any{"addr(x)"}}},
			"test empty": {"testmempoolaccept", []any{[]string{}}},
			"send known": {"sendrawtransaction", []any{sent}}, "send mined": {"sendrawtransaction", []any{raw}},
			"send bad": {"sendrawtransaction", []any{"00"}}, "estimate bad": {"estimatesmartfee", []any{0}},
			"unknown": {"nosuchmethod", nil}, "indexes": {"getindexinfo", nil}, "uptime": {"uptime", nil},
			"generate": {"generatetoaddress", []any{0, payee}}, "generate bad": {"generatetoaddress", []any{1, "x"}},
			"invalidate none": {"invalidateblock", []any{none}}, "submit bad": {"submitblock", []any{"00"}},
			"submit known": {"submitblock", []any{call[string](t, c, "getblock", best, 0)}},
		} {
			answers[name] = try(t, c, q.method, q.params...)
		}
		return answers
	}
	answers := map[string]map[string]answer{}
	onBoth(t, func(t *testing.T, c controls) { answers[filepath.Base(t.Name())] = ask(t, c) })
	real, ours := answers["bitcoind"], answers["process"]
	if real == nil {
		t.Skip("NOT PROVEN AGAINST A REAL NODE")
	}
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		a, b := real[name], ours[name]
		if a.status != b.status || (a.Error == nil) != (b.Error == nil) {
			t.Errorf("%s: node %d %v, process %d %v", name, a.status, a.Error, b.status, b.Error)
			continue
		}
		if a.Error != nil {
			if a.Error.Code != b.Error.Code || a.Error.Code != -1 && cut(a.Error.Message) != cut(b.Error.Message) {
				t.Errorf("%s: node %v, process %v", name, a.Error, b.Error)
			}
			continue
		}
		for _, d := range differences(t, a.Result, b.Result) {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// cut leaves out what differs from one chain to the other: ids.
func cut(message string) string {
	words := strings.Fields(message)
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return len(w) >= 64 }), " ")
}

// differences lists fields of ours that the node has not, or has with another type. The node may know more.
func differences(t *testing.T, real, ours json.RawMessage) []string {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal(real, &a), json.Unmarshal(ours, &b)); err != nil {
		t.Fatal(err)
	}
	return compare("", a, b)
}

func compare(path string, a, b any) []string {
	x, isMap := a.(map[string]any)
	y, alsoMap := b.(map[string]any)
	if isMap && alsoMap {
		var list []string
		for name, value := range y {
			if other, ok := x[name]; ok {
				list = append(list, compare(path+"."+name, other, value)...)
			} else {
				list = append(list, path+"."+name+" is unknown to the node")
			}
		}
		return list
	}
	p, isList := a.([]any)
	q, alsoList := b.([]any)
	if isList && alsoList {
		if len(p) > 0 && len(q) > 0 {
			return compare(path+"[0]", p[0], q[0])
		}
		return nil
	}
	if kind(a) != kind(b) {
		return []string{path + ": node " + kind(a) + ", process " + kind(b)}
	}
	return nil
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "list"
	}
	return "object"
}
