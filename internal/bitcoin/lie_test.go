package bitcoin_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
)

type answer struct {
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	ID     json.RawMessage `json:"id"`
}

type question struct {
	Method string          `json:"method"`
	Params []any           `json:"params"`
	ID     json.RawMessage `json:"id"`
}

// A liar stands in front of a node and alters its answers.
type liar struct {
	t      testing.TB
	target string
	server *httptest.Server

	mu    sync.Mutex // owns what is below
	alter func(question, *answer)
	body  func([]byte) []byte
	heard []string
}

func newLiar(t testing.TB, target string) *liar {
	l := &liar{t: t, target: target}
	l.server = httptest.NewServer(l)
	t.Cleanup(l.server.Close)
	return l
}

// lie sets how single answers, and whole bodies, are altered from now on; nil leaves them.
func (l *liar) lie(alter func(question, *answer), body func([]byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alter, l.body = alter, body
}

func (l *liar) calls(method string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.heard {
		if m == method {
			n++
		}
	}
	return n
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller gave up
	}
	var asked []question
	batch := bytes.HasPrefix(sent, []byte("["))
	if !batch {
		sent = append(append([]byte("["), sent...), ']')
	}
	if err := json.Unmarshal(sent, &asked); err != nil {
		l.t.Errorf("question %s: %v", sent, err)
		return
	}
	var got []answer
	if l.target != "" {
		res, err := http.Post(l.target, "application/json", bytes.NewReader(sent))
		if err != nil {
			http.Error(w, "no node", http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
			http.Error(w, "no answer", http.StatusBadGateway)
			return
		}
	} else {
		for _, q := range asked {
			got = append(got, answer{Result: []byte("null"), Error: []byte("null"), ID: q.ID})
		}
	}
	l.mu.Lock()
	alter, body := l.alter, l.body
	for i, q := range asked {
		l.heard = append(l.heard, q.Method)
		if alter != nil {
			alter(q, &got[i])
		}
	}
	l.mu.Unlock()
	var out []byte
	if batch {
		out, err = json.Marshal(got)
	} else {
		out, err = json.Marshal(got[0])
	}
	if err != nil {
		l.t.Errorf("answer: %v", err)
	}
	if body != nil {
		out = body(out)
	}
	if _, err := w.Write(out); err != nil {
		return // the caller gave up
	}
}

func text(s string) json.RawMessage { return json.RawMessage(`"` + s + `"`) }

// TestOneNodeThatLies: every way to alter the answers about a block leads to an error of the seam, never to a credit that
// is not there or to one left out.
func TestOneNodeThatLies(t *testing.T) {
	c := openDev(t)
	to := addresses(t, 2)
	ctx := t.Context()
	if _, err := c.Pay(ctx, to[0], 70_000); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Mine(ctx, 2); err != nil {
		t.Fatal(err)
	}
	honest := open(t, c.URL())
	head, err := honest.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := honest.BlockAt(ctx, head.Tip.Height-1)
	if err != nil {
		t.Fatal(err)
	}
	l := newLiar(t, c.URL())
	methods := []string{"getblockchaininfo", "getblockhash", "getblockheader", "getblock", "getrawmempool", "getmempoolinfo", "getrawtransaction"}
	other := rawBlock(t, c.URL(), head.Tip.Hash)
	if _, _, err := c.Reorg(ctx, 2, nil); err != nil {
		t.Fatal(err)
	}
	sibling := rawBlock(t, c.URL(), b.Hash) // of the same parent and with the same payment, but abandoned
	if head, err = honest.Head(ctx); err != nil {
		t.Fatal(err)
	}
	if b, err = honest.BlockAt(ctx, b.Height); err != nil {
		t.Fatal(err)
	}
	mine := rawBlock(t, c.URL(), b.Hash)

	type lie struct {
		name  string
		alter func(question, *answer)
		body  func([]byte) []byte
	}
	lies := []lie{
		{"cut", nil, func(b []byte) []byte { return b[:len(b)/2] }},
		{"nothing", nil, func([]byte) []byte { return nil }},
		{"HTML", nil, func([]byte) []byte { return []byte("<html>502</html>") }},
		{"another call's answer", func(_ question, a *answer) { a.ID = text("other") }, nil},
		{"endless", nil, func([]byte) []byte { return bytes.Repeat([]byte(" "), chain.MaxReply+2) }},
		{"another block", func(q question, a *answer) {
			if q.Method == "getblock" {
				a.Result = text(hex.EncodeToString(other))
			}
		}, nil},
		{"another block of the same parent", func(q question, a *answer) {
			if q.Method == "getblock" {
				a.Result = text(hex.EncodeToString(sibling))
			}
		}, nil},
		{"no hex", func(q question, a *answer) {
			if q.Method == "getblock" || q.Method == "getblockheader" {
				a.Result = text("zz")
			}
		}, nil},
		{"another header", func(q question, a *answer) {
			if q.Method == "getblockheader" || q.Method == "getblock" {
				a.Result = text(hex.EncodeToString(other[:80]))
			}
		}, nil},
	}
	for _, method := range methods {
		for _, result := range []string{"null", "{}", "[]", `""`, "7", "true"} {
			lies = append(lies, lie{method + " " + result, func(q question, a *answer) {
				if q.Method == method {
					a.Result = json.RawMessage(result)
				}
			}, nil})
		}
	}
	for at := 80; at < len(mine); at += 3 { // any byte of the block
		bad := bytes.Clone(mine)
		bad[at] ^= 1
		lies = append(lies, lie{fmt.Sprintf("byte %d", at), func(q question, a *answer) {
			if q.Method == "getblock" {
				a.Result = text(hex.EncodeToString(bad))
			}
		}, nil})
	}
	watch := chain.Watch{Has: func(a string) bool { return a == to[0] || a == to[1] }, Held: func(chain.Ticket) bool { return true }}
	truth, err := honest.Scan(ctx, b, watch)
	if err != nil || len(truth.Uses) != 1 {
		t.Fatalf("%+v, %v", truth, err)
	}
	refused := 0
	for _, lie := range lies {
		l.lie(lie.alter, lie.body)
		r := open(t, strings.Replace(l.server.URL, "http://", "http://u:p@", 1))
		found, err := r.Scan(ctx, b, watch)
		switch {
		case err != nil && !errors.Is(err, chain.ErrBlind) && !errors.Is(err, chain.ErrGone) && !errors.Is(err, chain.ErrNetwork):
			t.Errorf("%s: an error that is not of the seam: %v", lie.name, err)
		case err == nil && strings.HasPrefix(lie.name, "another"):
			t.Errorf("%s is taken", lie.name)
		case err != nil:
			refused++
			if len(found.Credits) != 0 || len(found.Uses) != 0 {
				t.Errorf("%s: credits or uses in spite of %v", lie.name, err)
			}
		case len(found.Credits) != 1 || found.Credits[0].Amount.Units() != "70000" || !slices.Equal(found.Uses, truth.Uses):
			t.Errorf("%s: %+v", lie.name, found)
		}
		for name, call := range map[string]func() error{
			"head": func() error {
				head2, err := r.Head(ctx)
				if err == nil && head2 != head && head2.Tip.Hash != head.Tip.Hash {
					t.Errorf("%s: tip %+v", lie.name, head2)
				}
				return err
			},
			"block": func() error {
				got, err := r.BlockAt(ctx, b.Height)
				if err == nil && got != b {
					t.Errorf("%s: block %+v", lie.name, got)
				}
				return err
			},
			"pending": func() error {
				p, err := r.Pending(ctx, watch)
				if len(p.Credits) > 0 {
					t.Errorf("%s: pending %+v", lie.name, p)
				}
				return err
			},
		} {
			if lie.name == "endless" && name != "head" {
				continue
			}
			if err := call(); err != nil && !errors.Is(err, chain.ErrBlind) && !errors.Is(err, chain.ErrGone) && !errors.Is(err, chain.ErrNetwork) && !errors.Is(err, chain.ErrNoBlock) {
				t.Errorf("%s, %s: an error that is not of the seam: %v", lie.name, name, err)
			}
		}
	}
	t.Logf("%d lies, %d scans refused", len(lies), refused)
}

func rawBlock(t testing.TB, url, hash string) []byte {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(`{"jsonrpc":"1.0","id":"1","method":"getblock","params":["`+hash+`",0]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a struct{ Result string }
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(a.Result)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestFaultsInOneOfFive answers: null, cut, of another block, of another height, refused or late, on one node and on three
// of which two lie.
func TestFaultsInOneOfFiveAnswers(t *testing.T) {
	for _, c := range []struct{ size, liars int }{{1, 1}, {3, 1}, {3, 2}, {2, 2}} {
		t.Run(fmt.Sprintf("%d of %d lie", c.liars, c.size), func(t *testing.T) {
			dev := openDev(t)
			var liars []*liar
			var all []chain.Named
			for i := range c.size {
				url := dev.URL()
				if i < c.liars {
					l := newLiar(t, dev.URL())
					liars, url = append(liars, l), l.server.URL
				}
				all = append(all, chain.Named{Name: fmt.Sprint(i), Reader: open(t, url)})
			}
			q, err := chain.NewQuorum(regtest, all...)
			if err != nil {
				t.Fatal(err)
			}
			chaintest.RunFaulty(t, harness(dev, q), 40, func(on bool) {
				for i, l := range liars {
					l.lie(nil, nil)
					if on {
						l.lie(randomLies(rand.New(rand.NewPCG(7, uint64(i)))))
					}
				}
			})
		})
	}
}

// randomLies alters one of five answers. The functions are called under the liar's lock.
func randomLies(r *rand.Rand) (func(question, *answer), func([]byte) []byte) {
	var old []json.RawMessage
	alter := func(q question, a *answer) {
		if q.Method == "getblock" || q.Method == "getblockheader" || q.Method == "getblockhash" {
			old = append(old[max(0, len(old)-50):], a.Result)
		}
		if r.IntN(5) != 0 {
			return
		}
		switch r.IntN(5) {
		case 0:
			a.Result = json.RawMessage("null")
		case 1:
			if len(old) > 0 {
				a.Result = old[r.IntN(len(old))]
			}
		case 2:
			a.Result, a.Error = json.RawMessage("null"), json.RawMessage(`{"code":-5,"message":"Block not found"}`)
		case 3:
			a.Result, a.Error = json.RawMessage("null"), json.RawMessage(`{"code":-28,"message":"Loading block index…"}`)
		case 4:
			if n := len(a.Result); n > 10 {
				a.Result = append(a.Result[:n/2:n/2], a.Result[n/2+2:]...)
				if !json.Valid(a.Result) {
					a.Result = text("cut")
				}
			}
		}
	}
	return alter, nil
}

// static answers like a node whose chain is only the first block of mainnet.
func static(t testing.TB, info string) *liar {
	genesis := chaincfg.MainNetParams.GenesisBlock
	var raw bytes.Buffer
	if err := genesis.Header.Serialize(&raw); err != nil {
		t.Fatal(err)
	}
	l := newLiar(t, "")
	l.lie(func(q question, a *answer) {
		switch q.Method {
		case "getblockchaininfo":
			a.Result = json.RawMessage(info)
		case "getblockhash":
			a.Result = text(genesis.BlockHash().String())
		case "getblockheader":
			a.Result = text(hex.EncodeToString(raw.Bytes()))
		}
	}, nil)
	return l
}

func TestOldAndSyncingNodesAreBlind(t *testing.T) {
	hash := chaincfg.MainNetParams.GenesisHash.String()
	born := chaincfg.MainNetParams.GenesisBlock.Header.Timestamp
	for _, c := range []struct {
		name    string
		chain   string
		syncing bool
		age     time.Duration
		limit   time.Duration
		err     error
	}{
		{"fresh", "main", false, time.Hour, 2 * time.Hour, nil},
		{"old", "main", false, 2*time.Hour + time.Second, 2 * time.Hour, chain.ErrBlind},
		{"old, no limit", "main", false, 200 * time.Hour, 0, nil},
		{"syncing", "main", true, time.Hour, 2 * time.Hour, chain.ErrBlind},
		{"test network", "test", false, time.Hour, 2 * time.Hour, chain.ErrNetwork},
		{"regtest", "regtest", false, time.Hour, 2 * time.Hour, chain.ErrNetwork},
	} {
		l := static(t, fmt.Sprintf(`{"chain":%q,"blocks":0,"headers":0,"bestblockhash":%q,"initialblockdownload":%t}`, c.chain, hash, c.syncing))
		r, err := bitcoin.Open(bitcoin.Options{Network: "bitcoin/mainnet", URL: l.server.URL, MaxTipAge: c.limit, Now: func() time.Time { return born.Add(c.age) }})
		if err != nil {
			t.Fatal(err)
		}
		head, err := r.Head(t.Context())
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if err == nil && (head.Tip.Hash != hash || head.Final != 0 || !head.Tip.Time.Equal(born)) {
			t.Errorf("%s: %+v", c.name, head)
		}
	}
}

func TestWrongNetworkIsFoundAtOnceAndAfterAReconnect(t *testing.T) {
	ctx := t.Context()
	c := openDev(t)
	r, err := bitcoin.Open(bitcoin.Options{Network: "bitcoin/mainnet", URL: c.URL()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.BlockAt(ctx, 1); !errors.Is(err, chain.ErrNetwork) {
		t.Errorf("regtest for mainnet: %v", err)
	}
	l := newLiar(t, c.URL())
	r = open(t, l.server.URL)
	if _, err := r.BlockAt(ctx, 1); err != nil {
		t.Fatal(err)
	}
	genesis := func(q question, a *answer) { // same name, another first block
		if q.Method == "getblockhash" && fmt.Sprint(q.Params[0]) == "0" {
			a.Result = text(strings.Repeat("ab", 32))
		}
	}
	l.lie(genesis, func([]byte) []byte { return nil })
	if _, err := r.BlockAt(ctx, 1); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("node is down: %v", err)
	}
	l.lie(genesis, nil)
	for range 2 {
		if _, err := r.BlockAt(ctx, 1); !errors.Is(err, chain.ErrNetwork) {
			t.Errorf("another node behind the same URL: %v", err)
		}
	}
}

func TestPrunedBlockSaysWhatToDo(t *testing.T) {
	ctx := t.Context()
	c := openDev(t)
	l := newLiar(t, c.URL())
	r := open(t, l.server.URL)
	b, err := r.BlockAt(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	watch := chain.Watch{Has: func(string) bool { return true }}
	refuse := func(pruned bool) func(question, *answer) {
		return func(q question, a *answer) {
			switch q.Method {
			case "getblock":
				a.Result, a.Error = json.RawMessage("null"), json.RawMessage(`{"code":-1,"message":"Block not available (pruned data)"}`)
			case "getblockchaininfo":
				a.Result = json.RawMessage(fmt.Sprintf(`{"chain":"regtest","pruned":%t,"pruneheight":6}`, pruned))
			}
		}
	}
	l.lie(refuse(true), nil)
	if _, err := r.Scan(ctx, b, watch); !errors.Is(err, bitcoin.ErrPruned) || !errors.Is(err, chain.ErrBlind) || !strings.Contains(err.Error(), "prune=") {
		t.Errorf("pruned: %v", err)
	}
	l.lie(refuse(false), nil)
	if _, err := r.Scan(ctx, b, watch); !errors.Is(err, chain.ErrGone) {
		t.Errorf("not at hand yet: %v", err)
	}
}

// TestBigMempool: a look fetches so many, the next ones the rest, each transaction once, and says meanwhile that it does not
// know all.
func TestBigMempool(t *testing.T) {
	const size = 2*bitcoin.MaxPendingFetch + 500
	raws := map[string]string{}
	var txids []string
	script := append([]byte{0x00, 20}, make([]byte, 20)...)
	for i := range size {
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}, Index: uint32(i)}, nil, nil))
		tx.AddTxOut(wire.NewTxOut(int64(1000+i), script))
		var raw bytes.Buffer
		if err := tx.Serialize(&raw); err != nil {
			t.Fatal(err)
		}
		txids = append(txids, tx.TxID())
		raws[tx.TxID()] = hex.EncodeToString(raw.Bytes())
	}
	c := openDev(t)
	l := newLiar(t, c.URL())
	loaded := "true"
	list := txids
	l.lie(func(q question, a *answer) {
		switch q.Method {
		case "getmempoolinfo":
			a.Result = json.RawMessage(`{"loaded":` + loaded + `}`)
		case "getrawmempool":
			all, err := json.Marshal(list)
			if err != nil {
				t.Error(err)
			}
			a.Result = all
		case "getrawtransaction":
			a.Result, a.Error = text(raws[fmt.Sprint(q.Params[0])]), json.RawMessage("null")
		}
	}, nil)
	now := time.Unix(1_800_000_000, 0)
	r, err := bitcoin.Open(bitcoin.Options{Network: regtest, URL: l.server.URL, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	has := true
	watch := chain.Watch{Has: func(string) bool { return has }}
	for look, want := range []int{bitcoin.MaxPendingFetch, 2 * bitcoin.MaxPendingFetch, size, size} {
		p, err := r.Pending(t.Context(), watch)
		if err != nil || len(p.Credits) != want || p.Full != (want == size) {
			t.Fatalf("look %d: %d credits, full %t, %v; want %d", look, len(p.Credits), p.Full, err, want)
		}
	}
	if n := l.calls("getrawtransaction"); n != size {
		t.Errorf("%d fetched, want %d", n, size)
	}
	// An address released by another process a moment later is still found, and after a while foreign ones are forgotten.
	has = false
	if p, err := r.Pending(t.Context(), watch); err != nil || len(p.Credits) != 0 {
		t.Errorf("%d credits, %v", len(p.Credits), err)
	}
	has = true
	if p, err := r.Pending(t.Context(), watch); err != nil || len(p.Credits) != size {
		t.Errorf("%d credits, %v", len(p.Credits), err)
	}
	has = false
	now = now.Add(bitcoin.PendingMemory + time.Second)
	for range 2 {
		if p, err := r.Pending(t.Context(), watch); err != nil || len(p.Credits) != 0 || !p.Full {
			t.Errorf("%d credits, %v", len(p.Credits), err)
		}
		has = true
	}
	loaded, list = "false", txids[:1]
	if p, err := r.Pending(t.Context(), watch); err != nil || p.Full {
		t.Errorf("still loading: full %t, %v", p.Full, err)
	}
	loaded, list = "true", txids[:10]
	if p, err := r.Pending(t.Context(), watch); err != nil || len(p.Credits) != 9 || !p.Full {
		t.Errorf("what left and came again: %d credits, %v", len(p.Credits), err)
	}
}

func TestUserPasswordAndCookie(t *testing.T) {
	ctx := t.Context()
	c := openDev(t)
	scheme, rest, _ := strings.Cut(c.URL(), "://")
	user, host, _ := strings.Cut(rest, "@")
	bare := scheme + "://" + host
	for _, url := range []string{bare, scheme + "://x:y@" + host} {
		_, err := open(t, url).Head(ctx)
		if !errors.Is(err, chain.ErrBlind) || !strings.Contains(err.Error(), "rpcauth") || strings.Contains(err.Error(), "x:y") {
			t.Errorf("%s: %v", url, err)
		}
		if report := open(t, url).Check(ctx); report.Worst() != chain.Bad || report.Findings[0].Cure == "" {
			t.Errorf("%s: %+v", url, report)
		}
	}
	file := filepath.Join(t.TempDir(), ".cookie")
	r, err := bitcoin.Open(bitcoin.Options{Network: regtest, URL: bare, CookieFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Head(ctx); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("no cookie file: %v", err)
	}
	for _, content := range []string{"no colon", "a:b"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Head(ctx); !errors.Is(err, chain.ErrBlind) {
			t.Errorf("cookie %q: %v", content, err)
		}
	}
	if err := os.WriteFile(file, []byte(user+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Head(ctx); err != nil {
		t.Errorf("right cookie: %v", err)
	}
	for _, url := range []string{"", "127.0.0.1:8332", "ftp://x", "http://", "http://u:secret@h:port"} {
		if _, err := bitcoin.Open(bitcoin.Options{Network: regtest, URL: url}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestCheckTellsWhatToDo(t *testing.T) {
	c := openDev(t)
	report := open(t, c.URL()).Check(context.Background())
	if report.Worst() == chain.Bad || report.Version == "" || report.Height == 0 {
		t.Errorf("%+v", report)
	}
	for _, f := range report.Findings {
		if (f.Level == chain.Fine) != (f.Cure == "") {
			t.Errorf("finding %+v", f)
		}
	}
	l := newLiar(t, c.URL())
	l.lie(func(q question, a *answer) {
		if q.Method == "getnetworkinfo" {
			a.Result = json.RawMessage(`{"version":150000,"subversion":"/old/","connections":0,"warnings":["unknown new rules activated"]}`)
		}
	}, nil)
	report = open(t, l.server.URL).Check(context.Background())
	warned := 0
	for _, f := range report.Findings {
		if f.Level == chain.Warn {
			warned++
		}
	}
	if warned != 2 {
		t.Errorf("%+v", report)
	}
	l.lie(func(q question, a *answer) {
		if q.Method == "sendrawtransaction" || q.Method == "estimatesmartfee" {
			*a = answer{Error: refusal(-32601, "Method not found"), ID: a.ID}
		}
	}, nil)
	report = open(t, l.server.URL).Check(context.Background())
	warned = 0
	for _, f := range report.Findings {
		if f.Level == chain.Warn && strings.Contains(f.Cure, "rpcwhitelist") {
			warned++
		}
	}
	if warned != 2 {
		t.Errorf("a node that lets nobody send: %+v", report)
	}
	if err := c.Pause(context.Background()); err != nil {
		t.Fatal(err)
	}
	if report := open(t, c.URL()).Check(context.Background()); report.Worst() != chain.Bad || report.Findings[0].Cure == "" {
		t.Errorf("node down: %+v", report)
	}
}

// TestMempoolThatMixesUp: the bytes of another transaction are not taken for the one asked for.
func TestMempoolThatMixesUp(t *testing.T) {
	ctx := t.Context()
	c := openDev(t)
	to := addresses(t, 1)
	for range 2 {
		if _, err := c.Pay(ctx, to[0], 70_000); err != nil {
			t.Fatal(err)
		}
	}
	l := newLiar(t, c.URL())
	watch := chain.Watch{Has: func(a string) bool { return a == to[0] }}
	var first json.RawMessage
	l.lie(func(q question, a *answer) {
		if q.Method == "getrawtransaction" {
			if first == nil {
				first = a.Result
			}
			a.Result = first
		}
	}, nil)
	r := open(t, l.server.URL)
	if p, err := r.Pending(ctx, watch); !errors.Is(err, chain.ErrBlind) || len(p.Credits) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
	l.lie(nil, nil)
	if p, err := r.Pending(ctx, watch); err != nil || len(p.Credits) != 2 || !p.Full {
		t.Errorf("%+v, %v", p, err)
	}
}
