package bitcoin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// payee is an address that is not the faucet's: BIP 173's example program on regtest.
	payee   = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
)

func open(t *testing.T, dir string) *Chain {
	t.Helper()
	c, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

type answer struct {
	Result json.RawMessage
	Error  *rpcError
	ID     json.RawMessage
}

// post sends a body and returns the status and the answer's body.
func post(t *testing.T, url, body string) (int, []byte) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text
}

func try(t *testing.T, c *Chain, method string, params ...any) (int, answer) {
	t.Helper()
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"id": 7, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	status, text := post(t, c.URL(), string(body))
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%s: %v in %s", method, err, text)
	}
	return status, a
}

func call[T any](t *testing.T, c *Chain, method string, params ...any) T {
	t.Helper()
	status, a := try(t, c, method, params...)
	if a.Error != nil || status != http.StatusOK {
		t.Fatalf("%s%v: %d %v", method, params, status, a.Error)
	}
	var result T
	if err := json.Unmarshal(a.Result, &result); err != nil {
		t.Fatalf("%s: %v in %s", method, err, a.Result)
	}
	return result
}

func pay(t *testing.T, c *Chain, sats int64) string {
	t.Helper()
	txid, err := c.Pay(t.Context(), payee, sats)
	if err != nil {
		t.Fatal(err)
	}
	return txid
}

func mine(t *testing.T, c *Chain, blocks int) (int64, string) {
	t.Helper()
	height, hash, err := c.Mine(t.Context(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	return height, hash
}

type state struct {
	Height  int64
	Hash    string
	Mempool []string
}

func look(t *testing.T, c *Chain) state {
	t.Helper()
	var s state
	s.Height, s.Hash = c.Height()
	s.Mempool = call[[]string](t, c, "getrawmempool")
	return s
}

func equal(a, b state) bool {
	return a.Height == b.Height && a.Hash == b.Hash && slices.Equal(a.Mempool, b.Mempool)
}

func blockTxs(t *testing.T, c *Chain, height int64) []string {
	t.Helper()
	hash := call[string](t, c, "getblockhash", height)
	return call[struct{ Tx []string }](t, c, "getblock", hash, 1).Tx
}

func TestPayMineConfirm(t *testing.T) {
	c := open(t, t.TempDir())
	txid := pay(t, c, 123_456)
	entry := call[map[string]any](t, c, "getmempoolentry", txid)
	if entry["bip125-replaceable"] != true || entry["vsize"].(float64) <= 0 {
		t.Errorf("entry %v", entry)
	}
	out := call[map[string]any](t, c, "gettxout", txid, 0)
	if out["value"] != 0.00123456 || out["confirmations"] != 0.0 {
		t.Errorf("gettxout before the block: %v", out)
	}
	height, hash := mine(t, c, 1)
	if got := blockTxs(t, c, height); len(got) != 2 || got[1] != txid {
		t.Fatalf("block holds %v, want %s", got, txid)
	}
	mine(t, c, 2)
	out = call[map[string]any](t, c, "gettxout", txid, 0)
	if out["confirmations"] != 3.0 {
		t.Errorf("gettxout after three blocks: %v", out)
	}
	script := out["scriptPubKey"].(map[string]any)
	if script["address"] != payee || script["type"] != "witness_v0_keyhash" {
		t.Errorf("script %v", script)
	}
	tx := call[map[string]any](t, c, "getrawtransaction", txid, true, hash)
	if tx["confirmations"] != 3.0 || tx["blockhash"] != hash || tx["in_active_chain"] != true {
		t.Errorf("getrawtransaction %v", tx)
	}
}

func TestPayManyRepeatsAddress(t *testing.T) {
	c := open(t, t.TempDir())
	txid, err := c.PayMany(t.Context(), []Output{{payee, 1_000}, {payee, 2_000}, {c.FaucetAddress(), 3_000}})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []float64{0.00001, 0.00002, 0.00003} {
		if got := call[map[string]any](t, c, "gettxout", txid, n)["value"]; got != want {
			t.Errorf("output %d: %v, want %v", n, got, want)
		}
	}
}

func TestPayRefuses(t *testing.T) {
	c := open(t, t.TempDir())
	for _, tc := range []struct {
		address string
		sats    int64
		want    error
	}{
		{payee, 0, ErrAmount}, {payee, -1, ErrAmount}, {payee, 100, ErrAmount}, // dust
		{payee, 21e14, ErrAmount}, {payee, 9_000_000 * 1e8, ErrAmount},
		{mainnet, 1e6, ErrAddress}, {"", 1e6, ErrAddress}, {"1", 1e6, ErrAddress},
	} {
		if _, err := c.Pay(t.Context(), tc.address, tc.sats); !errors.Is(err, tc.want) {
			t.Errorf("pay %q %d: %v, want %v", tc.address, tc.sats, err, tc.want)
		}
	}
	if got := look(t, c).Mempool; len(got) != 0 {
		t.Errorf("mempool %v", got)
	}
}

func TestManyPaymentsInFlight(t *testing.T) {
	c := open(t, t.TempDir())
	var wg sync.WaitGroup
	const workers, each = 8, 100
	for range workers {
		wg.Go(func() {
			for range each {
				if _, err := c.Pay(context.Background(), payee, 50_000); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(look(t, c).Mempool); got != workers*each {
		t.Fatalf("mempool holds %d", got)
	}
	height, _ := mine(t, c, 1)
	if got := len(blockTxs(t, c, height)); got != workers*each+1 {
		t.Errorf("block holds %d transactions", got)
	}
	if _, err := c.Pay(t.Context(), payee, 30*1e8); err != nil {
		t.Errorf("large payment: %v", err)
	}
}

func TestReorgRemines(t *testing.T) {
	c := open(t, t.TempDir())
	first := pay(t, c, 10_000)
	h1, hash1 := mine(t, c, 1)
	second := pay(t, c, 20_000)
	h2, hash2 := mine(t, c, 1)
	waiting := pay(t, c, 30_000)
	height, hash, err := c.Reorg(t.Context(), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if height != h2+1 || hash == hash2 {
		t.Errorf("tip %d %s", height, hash)
	}
	if got := blockTxs(t, c, h1)[1:]; !slices.Equal(got, []string{first}) {
		t.Errorf("block %d holds %v", h1, got)
	}
	if got := blockTxs(t, c, h2)[1:]; !slices.Equal(got, []string{second}) {
		t.Errorf("block %d holds %v", h2, got)
	}
	if got := look(t, c).Mempool; !slices.Equal(got, []string{waiting}) {
		t.Errorf("mempool %v", got)
	}
	stale := call[map[string]any](t, c, "getblockheader", hash1)
	if stale["confirmations"] != -1.0 || stale["nextblockhash"] != nil {
		t.Errorf("stale header %v", stale)
	}
	if got := call[struct{ Tx []string }](t, c, "getblock", hash1).Tx; !slices.Contains(got, first) {
		t.Errorf("stale block holds %v", got)
	}
}

func TestReorgDrops(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	keep, drop := pay(t, c, 10_000), pay(t, c, 20_000)
	raw := call[string](t, c, "getrawtransaction", drop)
	mine(t, c, 1)
	pending := pay(t, c, 30_000)
	height, _, err := c.Reorg(t.Context(), 1, []string{drop, pending})
	if err != nil {
		t.Fatal(err)
	}
	if got := blockTxs(t, c, height-1)[1:]; !slices.Equal(got, []string{keep}) {
		t.Errorf("replaced block holds %v", got)
	}
	if _, _, err := c.Reorg(t.Context(), 3, nil); err != nil { // back over the branch that never had it
		t.Fatal(err)
	}
	mine(t, c, 3)
	for _, txid := range []string{drop, pending} {
		if _, a := try(t, c, "gettxout", txid, 0); string(a.Result) != "null" {
			t.Errorf("dropped %s is there: %s", txid, a.Result)
		}
	}
	if got := look(t, c).Mempool; len(got) != 0 {
		t.Errorf("mempool %v", got)
	}
	before := look(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir)
	if after := look(t, c); !equal(before, after) {
		t.Errorf("after reopening %v, before %v", after, before)
	}
	if got := call[string](t, c, "sendrawtransaction", raw); got != drop { // sent again, it is as good as any
		t.Errorf("sent %s", got)
	}
	height, _ = mine(t, c, 1)
	if got := blockTxs(t, c, height); !slices.Contains(got, drop) {
		t.Errorf("block %v", got)
	}
}

func TestReorgDropsDependents(t *testing.T) {
	c := open(t, t.TempDir())
	txid, err := c.PayMany(t.Context(), []Output{{c.FaucetAddress(), 149 * 50 * 1e6}}) // takes most large coins
	if err != nil {
		t.Fatal(err)
	}
	mine(t, c, 1)
	child := pay(t, c, 60*1e8) // only the large output pays this
	mine(t, c, 1)
	if _, _, err := c.Reorg(t.Context(), 2, []string{txid}); err != nil {
		t.Fatal(err)
	}
	mine(t, c, 1)
	if _, a := try(t, c, "gettxout", child, 0); string(a.Result) != "null" {
		t.Errorf("child of a dropped transaction is there: %s", a.Result)
	}
	pay(t, c, 60*1e8)
}

func TestReorgRefuses(t *testing.T) {
	c := open(t, t.TempDir())
	txid := pay(t, c, 10_000)
	mine(t, c, 2)
	before := look(t, c)
	for _, tc := range []struct {
		depth int
		drop  []string
		want  error
	}{
		{0, nil, ErrDepth}, {-1, nil, ErrDepth}, {101, nil, ErrDepth},
		{1, []string{txid}, ErrUnknownTx}, {1, []string{"x"}, ErrUnknownTx}, {1, []string{strings.Repeat("0", 64)}, ErrUnknownTx},
	} {
		if _, _, err := c.Reorg(t.Context(), tc.depth, tc.drop); !errors.Is(err, tc.want) {
			t.Errorf("reorg %d %v: %v, want %v", tc.depth, tc.drop, err, tc.want)
		}
	}
	if after := look(t, c); !equal(before, after) {
		t.Errorf("chain moved: %v to %v", before, after)
	}
}

func TestReorgDeep(t *testing.T) {
	c := open(t, t.TempDir())
	for range 5 {
		pay(t, c, 10_000)
		mine(t, c, 5)
	}
	for _, depth := range []int{1, 3, 25, 100} {
		was, _ := c.Height()
		height, _, err := c.Reorg(t.Context(), depth, nil)
		if err != nil || height != was+1 {
			t.Fatalf("depth %d: height %d, %v", depth, height, err)
		}
	}
	mine(t, c, 1)
	pay(t, c, 10_000)
	if got := len(look(t, c).Mempool); got != 1 {
		t.Errorf("mempool holds %d", got)
	}
}

func TestDoubleSpend(t *testing.T) {
	for _, confirmations := range []int{0, 1, 4} {
		t.Run(fmt.Sprint(confirmations), func(t *testing.T) {
			c := open(t, t.TempDir())
			victim, bystander := pay(t, c, 10_000), pay(t, c, 20_000)
			if confirmations > 0 {
				mine(t, c, confirmations)
			}
			was, _ := c.Height()
			made, err := c.DoubleSpend(t.Context(), victim)
			if err != nil {
				t.Fatal(err)
			}
			if height, _ := c.Height(); height != was+1 {
				t.Errorf("height %d, was %d", height, was)
			}
			if _, a := try(t, c, "gettxout", victim, 0); string(a.Result) != "null" {
				t.Errorf("victim is there: %s", a.Result)
			}
			for _, txid := range []string{made, bystander} {
				if got := call[map[string]any](t, c, "gettxout", txid, 0)["confirmations"]; got != float64(confirmations+1) {
					t.Errorf("%s has %v confirmations", txid, got)
				}
			}
			if got := look(t, c).Mempool; len(got) != 0 {
				t.Errorf("mempool %v", got)
			}
		})
	}
}

func TestDoubleSpendRefuses(t *testing.T) {
	c := open(t, t.TempDir())
	if _, err := c.DoubleSpend(t.Context(), strings.Repeat("a", 64)); !errors.Is(err, ErrUnknownTx) {
		t.Error(err)
	}
	coinbase := blockTxs(t, c, 150)[0]
	if _, err := c.DoubleSpend(t.Context(), coinbase); !errors.Is(err, ErrUnknownTx) {
		t.Error(err)
	}
}

func TestInvalidateBlockReturnsChains(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	// A parent and its child in two blocks must both come back, in order.
	parent, err := c.PayMany(t.Context(), []Output{{c.FaucetAddress(), 149 * 50 * 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	_, hash := mine(t, c, 1)
	child := pay(t, c, 60*1e8)
	mine(t, c, 3)
	call[any](t, c, "invalidateblock", hash)
	before := look(t, c)
	if !slices.Equal(before.Mempool, []string{parent, child}) {
		t.Errorf("mempool %v, want parent and child", before.Mempool)
	}
	entry := call[map[string]any](t, c, "getmempoolentry", child)
	if entry["ancestorcount"] != 2.0 || len(entry["depends"].([]any)) != 1 {
		t.Errorf("entry %v", entry)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir)
	if after := look(t, c); !equal(before, after) {
		t.Errorf("after reopening %v, before %v", after, before)
	}
	height, _ := mine(t, c, 1)
	if got := len(blockTxs(t, c, height)); got != 3 {
		t.Errorf("block holds %d transactions", got)
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	pay(t, c, 10_000)
	mine(t, c, 2)
	kept := pay(t, c, 20_000)
	if _, _, err := c.Reorg(t.Context(), 2, nil); err != nil {
		t.Fatal(err)
	}
	since := call[map[string]any](t, c, "getmempoolentry", kept)["time"]
	before := look(t, c)
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("second open: %v", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Pay(t.Context(), payee, 10_000); !errors.Is(err, ErrClosed) {
			t.Errorf("pay on a closed chain: %v", err)
		}
		c = open(t, dir)
		if after := look(t, c); !equal(before, after) {
			t.Fatalf("after reopening %v, before %v", after, before)
		}
		if got := call[map[string]any](t, c, "getmempoolentry", kept)["time"]; got != since {
			t.Errorf("time of arrival %v, was %v", got, since)
		}
	}
	mine(t, c, 1)
	pay(t, c, 10_000)
}

// TestKill runs a chain in another process, kills it without warning while it works, and opens what is left:
// everything it told of must be there.
func TestKill(t *testing.T) {
	if dir := os.Getenv("PIPE_TEST_CHAIN_DIR"); dir != "" {
		workUntilKilled(dir)
		return
	}
	dir := t.TempDir()
	var last state
	for round := range 3 {
		last = killAfter(t, dir, 4+round)
		c := open(t, dir)
		got := look(t, c)
		if got.Height < last.Height || got.Height == last.Height && got.Hash != last.Hash {
			t.Fatalf("after the kill at %d %s, told of %d %s", got.Height, got.Hash, last.Height, last.Hash)
		}
		for _, txid := range last.Mempool {
			if _, a := try(t, c, "gettxout", txid, 0); string(a.Result) == "null" {
				t.Errorf("payment %s is lost", txid)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter starts the worker, waits for n of its reports, kills it, and returns the last report.
func killAfter(t *testing.T, dir string, n int) state {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "PIPE_TEST_CHAIN_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last state
	lines := bufio.NewScanner(out)
	for range n {
		if !lines.Scan() {
			t.Fatalf("worker ended: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatalf("%v in %q", err, lines.Text())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("worker was not killed")
	}
	return last
}

// workUntilKilled pays, mines and reorganises, and tells of each step once it is done.
func workUntilKilled(dir string) {
	ctx := context.Background()
	c, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	told := json.NewEncoder(os.Stdout)
	for step := 0; ; step++ {
		txid, err := c.Pay(ctx, payee, 10_000)
		if err != nil {
			panic(err)
		}
		switch step % 3 {
		case 1:
			_, _, err = c.Mine(ctx, 1)
		case 2:
			_, _, err = c.Reorg(ctx, 1, nil)
		}
		if err != nil {
			panic(err)
		}
		s := state{Mempool: []string{txid}}
		s.Height, s.Hash = c.Height()
		if err := told.Encode(s); err != nil {
			panic(err)
		}
	}
}

func TestJournalDamage(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	path := filepath.Join(dir, "journal")
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	mine(t, c, 1)
	whole, want := size(), look(t, c)
	mine(t, c, 1)
	full := size()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int64) []byte {
		damaged := bytes.Clone(original)
		damaged[at] ^= 1
		return damaged
	}
	for name, tail := range map[string][]byte{
		"cut in the length": original[:whole+2], "cut in the payload": original[:full-10], "cut in the sum": original[:full-1],
		"last record damaged": flip(full - 20), "garbage after": append(bytes.Clone(original[:whole]), 0xff, 0xff, 0xff, 0xff, 'B', 1, 2, 3, 4),
	} {
		if err := os.WriteFile(path, tail, 0o600); err != nil {
			t.Fatal(err)
		}
		c = open(t, dir)
		if got := look(t, c); !equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		mine(t, c, 1)
		again := look(t, c)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = open(t, dir)
		if got := look(t, c); !equal(got, again) {
			t.Errorf("%s, and mined on: %v, want %v", name, got, again)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, damaged := range map[string][]byte{"in the middle": flip(whole / 2), "in the magic": flip(0)} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, errDamaged) {
			t.Errorf("damage %s: %v", name, err)
		}
	}
}

func TestPauseResume(t *testing.T) {
	c := open(t, t.TempDir())
	target := c.URL()
	look(t, c)
	if err := c.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Post(target, "", strings.NewReader(`{"method":"uptime"}`)); err == nil {
		resp.Body.Close()
		t.Fatal("a paused endpoint answers")
	}
	height, hash := mine(t, c, 1)
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.URL() != target {
		t.Errorf("URL moved from %s to %s", target, c.URL())
	}
	if got := look(t, c); got.Height != height || got.Hash != hash {
		t.Errorf("tip %v", got)
	}
}

func TestBlockTimes(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := t.TempDir()
	o := Options{Dir: dir, Now: func() time.Time { return now }}
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	info := call[map[string]any](t, c, "getblockchaininfo")
	if info["time"] != float64(now.Unix()) || info["initialblockdownload"] != false {
		t.Errorf("info %v", info)
	}
	mine(t, c, 30)
	if got := call[map[string]any](t, c, "getblockchaininfo")["time"].(float64); got < float64(now.Unix()) || got > float64(now.Unix()+30) {
		t.Errorf("30 blocks in one second end at %v", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	o.Now = func() time.Time { return now.Add(-48 * time.Hour) } // a clock set back must not lose the chain
	if c, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	mine(t, c, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	o.Now = func() time.Time { return now.Add(48 * time.Hour) }
	if c, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := call[map[string]any](t, c, "getblockchaininfo")["initialblockdownload"]; got != true {
		t.Errorf("an old tip: initialblockdownload %v", got)
	}
	mine(t, c, 1)
	if got := call[map[string]any](t, c, "getblockchaininfo")["initialblockdownload"]; got != false {
		t.Errorf("a new tip: initialblockdownload %v", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAuth(t *testing.T) {
	c := open(t, t.TempDir())
	u, err := url.Parse(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	right, _ := u.User.Password()
	for _, tc := range []struct {
		user *url.Userinfo
		want int
	}{
		{u.User, 200}, {nil, 401}, {url.UserPassword("pipe", "wrong"), 401},
		{url.UserPassword("", right), 401}, {url.UserPassword("pipe", right+"x"), 401},
	} {
		u.User = tc.user
		status, body := post(t, u.String(), `{"method":"getblockcount"}`)
		if status != tc.want || status == 401 && len(body) != 0 {
			t.Errorf("user %v: %d %s, want %d", tc.user, status, body, tc.want)
		}
	}
}

// copyJournal gives another directory the same chain.
func copyJournal(t *testing.T, c *Chain, dir string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := os.ReadFile(filepath.Join(c.opts.Dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "journal"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
