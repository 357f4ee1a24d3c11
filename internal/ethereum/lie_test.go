package ethereum

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/pipe-pg/pipe/internal/chain"
)

// forge changes a block's JSON and gives it the hash that its changed header has.
func forge(raw json.RawMessage, change func(map[string]any)) json.RawMessage {
	var fields map[string]any
	must(json.Unmarshal(raw, &fields))
	change(fields)
	text, err := json.Marshal(fields)
	must(err)
	var h types.Header
	must(h.UnmarshalJSON(text))
	fields["hash"] = h.Hash().Hex()
	text, err = json.Marshal(fields)
	must(err)
	return text
}

// edit changes a JSON object without more.
func edit(raw json.RawMessage, change func(map[string]any)) json.RawMessage {
	var fields map[string]any
	must(json.Unmarshal(raw, &fields))
	change(fields)
	text, err := json.Marshal(fields)
	must(err)
	return text
}

// TestLies: whatever one answer says, there is an error or the truth.
func TestLies(t *testing.T) {
	r := newRig(t)
	a, other := r.address(), r.address()
	before := r.mine(1)
	id := r.did(r.Pay(t.Context(), a, wei(5)))
	r.did(r.PayByContract(t.Context(), a, wei(6)))
	block := r.mine(1)
	truth := []chain.Credit{plainOf(a, id, r.Faucet(), 5), restOf(a, block, 6)}
	tx := func(change func(map[string]any)) func(json.RawMessage) json.RawMessage {
		return func(raw json.RawMessage) json.RawMessage {
			return edit(raw, func(b map[string]any) { change(b["transactions"].([]any)[0].(map[string]any)) })
		}
	}
	result := func(text string) func(json.RawMessage) json.RawMessage {
		return func(json.RawMessage) json.RawMessage { return json.RawMessage(text) }
	}
	for name, lie := range map[string]struct {
		method string
		change func(json.RawMessage) json.RawMessage
		fine   bool // the truth is found nevertheless
	}{
		"null block":  {"eth_getBlockByHash", result("null"), false},
		"text block":  {"eth_getBlockByHash", result(`"0x"`), false},
		"empty block": {"eth_getBlockByHash", result(`{}`), false},
		"other time": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(b map[string]any) { b["timestamp"] = "0x1" })
		}, false},
		"forged header": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return forge(m, func(b map[string]any) { b["gasUsed"] = "0x1" })
		}, false},
		"no number": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(b map[string]any) { delete(b, "number") })
		}, false},
		"huge number": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(b map[string]any) { b["number"] = "0x" + strings.Repeat("f", 30) })
		}, false},
		"no list": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(b map[string]any) { delete(b, "transactions") })
		}, false},
		"no txs": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(b map[string]any) { b["transactions"] = []any{} })
		}, false},
		"null tx": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(b map[string]any) { b["transactions"] = []any{nil} })
		}, false},
		"tx left out": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(b map[string]any) { b["transactions"] = b["transactions"].([]any)[1:] })
		}, false},
		"tx hashes": {"eth_getBlockByHash", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(b map[string]any) { b["transactions"] = []any{id} })
		}, false},
		"other value":    {"eth_getBlockByHash", tx(func(t map[string]any) { t["value"] = "0x5000" }), false},
		"other receiver": {"eth_getBlockByHash", tx(func(t map[string]any) { t["to"] = other }), false},
		"other txid":     {"eth_getBlockByHash", tx(func(t map[string]any) { t["hash"] = block.Hash }), false},
		"no signature":   {"eth_getBlockByHash", tx(func(t map[string]any) { delete(t, "r") }), false},
		"other sender":   {"eth_getBlockByHash", tx(func(t map[string]any) { t["from"] = other }), true}, // recovered
		"null balances":  {"eth_call", result("null"), false},
		"few balances":   {"eth_call", result(`"0x00"`), true}, // asked singly
		"other block's":  {"eth_call", func(m json.RawMessage) json.RawMessage { return bulkBalance(bulkTime(m, 1), 99) }, true},
		"failed": {"eth_getTransactionReceipt", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(o map[string]any) { o["blockHash"] = before.Hash })
		}, false},
		"no status": {"eth_getTransactionReceipt", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(o map[string]any) { delete(o, "status") })
		}, false},
		"null receipt": {"eth_getTransactionReceipt", result("null"), false},
		"other receipt": {"eth_getTransactionReceipt", func(m json.RawMessage) json.RawMessage {
			return edit(m, func(o map[string]any) { o["transactionHash"] = block.Hash })
		}, false},
		"wrong chain id": {"eth_chainId", result(`"0x1"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			lied := false
			r.proxy.set(func(p *proxy) {
				p.alter = func(method string, _, answer map[string]json.RawMessage) {
					if method == lie.method {
						answer["result"], lied = lie.change(answer["result"]), true
					}
				}
			})
			found, err := open(t, network, r.proxy.url).Scan(t.Context(), block, newBook(a, other).watch(a))
			if !lied {
				t.Fatal("the lie was not told")
			}
			if !lie.fine {
				if err == nil || len(found.Credits) != 0 {
					t.Fatalf("found %+v, error %v", found, err)
				}
				if errors.Is(err, chain.ErrGone) {
					t.Fatalf("the block is there, and was called gone: %v", err)
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			sameCredits(t, found.Credits, truth...)
		})
	}
	// A receipt that lies about success leaves the amount right: the balance tells it. Only the sender stays unknown.
	r.proxy.set(func(p *proxy) {
		p.alter = func(method string, _, answer map[string]json.RawMessage) {
			if method == "eth_getTransactionReceipt" {
				answer["result"] = edit(answer["result"], func(o map[string]any) { o["status"] = "0x0" })
			}
		}
	})
	sameCredits(t, r.scan(block, newBook(a).watch(a)).Credits, restOf(a, block, 11))
}

func bulkTime(raw json.RawMessage, time byte) json.RawMessage {
	return bulk(raw, func(text []byte) { clear(text[:32]); text[31] = time })
}

func bulkBalance(raw json.RawMessage, balance byte) json.RawMessage {
	return bulk(raw, func(text []byte) { clear(text[32:64]); text[63] = balance })
}

func bulk(raw json.RawMessage, change func([]byte)) json.RawMessage {
	var text hexutil.Bytes
	must(json.Unmarshal(raw, &text))
	change(text)
	out, err := json.Marshal(text)
	must(err)
	return out
}

// TestBrokenTransport: answers that are cut, of another kind, or of another question.
func TestBrokenTransport(t *testing.T) {
	r := newRig(t)
	a := r.address()
	id := r.did(r.Pay(t.Context(), a, wei(5)))
	block := r.mine(1)
	say := func(text string) func(http.ResponseWriter, []byte) bool {
		return func(w http.ResponseWriter, _ []byte) bool { w.Write([]byte(text)); return true }
	}
	for name, c := range map[string]struct {
		raw   func(http.ResponseWriter, []byte) bool
		blind bool
	}{
		"half": {func(w http.ResponseWriter, answer []byte) bool { w.Write(answer[:len(answer)/2]); return true }, false},
		"cut connection": {func(w http.ResponseWriter, answer []byte) bool {
			w.Header().Set("Content-Length", "100000")
			w.Write(answer)
			panic(http.ErrAbortHandler)
		}, true},
		"http.StatusServiceUnavailable": {func(w http.ResponseWriter, _ []byte) bool {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return true
		}, true},
		"http.StatusUnauthorized page": {func(w http.ResponseWriter, _ []byte) bool {
			http.Error(w, "<html>", http.StatusUnauthorized)
			return true
		}, true},
		"redirect": {func(w http.ResponseWriter, _ []byte) bool {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(302)
			return true
		}, true},
		"html":      {say("<html>hello</html>"), false},
		"nothing":   {say(""), false},
		"null":      {say("null"), false},
		"list":      {say("[]"), false},
		"no result": {say(`{"jsonrpc":"2.0","id":1}`), false},
		"other id":  {say(`{"jsonrpc":"2.0","id":77,"result":"0x539"}`), false},
		"endless": {func(w http.ResponseWriter, _ []byte) bool {
			page := make([]byte, 1<<20)
			for i := range page {
				page[i] = ' '
			}
			for range chain.MaxReply>>20 + 2 {
				if _, err := w.Write(page); err != nil {
					break
				}
			}
			return true
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r.proxy.set(func(p *proxy) { p.raw = c.raw })
			for _, n := range []*Node{r.node, open(t, network, r.proxy.url)} {
				found, err := n.Scan(t.Context(), block, newBook(a).watch(a))
				if err == nil || len(found.Credits) != 0 || errors.Is(err, chain.ErrBlind) != c.blind || errors.Is(err, chain.ErrGone) || errors.Is(err, chain.ErrNetwork) {
					t.Fatalf("found %+v, error %v", found, err)
				}
				if len(err.Error()) > 1000 {
					t.Fatal("the error repeats the answer")
				}
			}
		})
	}
	r.proxy.set(func(p *proxy) { p.raw = nil })
	sameCredits(t, r.scan(block, newBook(a).watch(a)).Credits, plainOf(a, id, r.Faucet(), 5))
}

// TestNoBatches: a node that takes no batches is asked one by one.
func TestNoBatches(t *testing.T) {
	r := newRig(t)
	a := r.address()
	id := r.did(r.Pay(t.Context(), a, wei(5)))
	block := r.mine(1)
	r.proxy.set(func(p *proxy) {
		p.refuse["eth_call"] = "no"
		p.raw = func(w http.ResponseWriter, answer []byte) bool {
			if answer[0] != '[' {
				return false
			}
			w.Write([]byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not allowed"}}`))
			return true
		}
	})
	sameCredits(t, r.scan(block, newBook(a).watch(a)).Credits, plainOf(a, id, r.Faucet(), 5))
}

// TestFall: an account that holds less than the facts explain is told apart, and stops nothing: its plain transactions are
// credited, and so is what came to others.
func TestFall(t *testing.T) {
	r := newRig(t)
	a := r.address()
	r.did(r.Pay(t.Context(), a, wei(5)))
	block := r.mine(1)
	b := newBook(a)
	b[a] = eth(1) // a fact that the chain does not know
	found, err := r.node.Scan(t.Context(), block, b.watch(a))
	if err != nil || len(found.Credits) != 1 || !found.Credits[0].Amount.Equal(eth(5)) {
		t.Fatalf("found %+v, %v", found, err)
	}
	if len(found.Falls) != 1 || found.Falls[0].Address != a || !found.Falls[0].Balance.Equal(eth(1)) {
		t.Fatalf("falls %+v", found.Falls)
	}
	b[a] = eth(6)
	got, err := r.node.Weigh(t.Context(), block, b.watch(a).Hot)
	if err != nil || len(got.Credits) != 0 || len(got.Falls) != 1 || !got.Falls[0].Balance.Equal(eth(1)) {
		t.Fatalf("weigh: %+v, %v", got, err)
	}
}

// TestFallToldByALie: a balance below what came plainly takes no proven credit away.
func TestFallToldByALie(t *testing.T) {
	r := newRig(t)
	a := r.address()
	r.did(r.Pay(t.Context(), a, wei(5)))
	block := r.mine(1)
	r.proxy.set(func(p *proxy) {
		p.alter = func(method string, _, answer map[string]json.RawMessage) {
			if method == "eth_call" {
				answer["result"] = bulkBalance(answer["result"], 4)
			}
		}
	})
	found, err := r.node.Scan(t.Context(), block, newBook(a).watch(a))
	if err != nil || len(found.Credits) != 1 || !found.Credits[0].Amount.Equal(eth(5)) || len(found.Falls) != 1 {
		t.Fatalf("found %+v, %v", found, err)
	}
}

// TestStateMissing: a node keeps the states of few blocks.
func TestStateMissing(t *testing.T) {
	words := []string{
		"missing trie node 6cd0…(path ) state 0x6cd0 is not available",
		"historical state 6cd01234 is not available",
		"state at block #12 is pruned",
		"World state unavailable",
	}
	r := newRig(t)
	a, hot := r.address(), r.address()
	id := r.did(r.Pay(t.Context(), a, wei(5)))
	r.did(r.Revert(t.Context(), a, wei(50)))
	r.did(r.PayByContract(t.Context(), a, wei(7)))
	r.did(r.PayByContract(t.Context(), hot, wei(9)))
	old := r.mine(1)
	r.proxy.set(func(p *proxy) { p.refuse["eth_call"], p.refuse["eth_getBalance"] = words[0], words[0] })
	// A young block must have its state: else contracts' coins would be missed for no reason.
	if _, err := r.node.Scan(t.Context(), old, newBook(a, hot).watch(hot)); !errors.Is(err, errState) {
		t.Fatalf("young block without state: %v", err)
	}
	tip := r.mine(StateDepth)
	for _, w := range words {
		r.proxy.set(func(p *proxy) { p.refuse["eth_call"], p.refuse["eth_getBalance"] = w, w })
		found := r.scan(old, newBook(a, hot).watch(hot))
		if !found.Unweighed {
			t.Fatalf("%q: a scan without balances did not say so", w)
		}
		sameCredits(t, found.Credits, plainOf(a, id, r.Faucet(), 5))
	}
	// Nothing else shows success, so the receipts must be the header's.
	r.proxy.set(func(p *proxy) {
		p.alter = func(method string, _, answer map[string]json.RawMessage) {
			if method != "eth_getBlockReceipts" {
				return
			}
			var all []map[string]any
			must(json.Unmarshal(answer["result"], &all))
			all[1]["status"] = "0x1"
			text, err := json.Marshal(all)
			must(err)
			answer["result"] = text
		}
	})
	if _, err := r.node.Scan(t.Context(), old, newBook(a, hot).watch(hot)); err == nil {
		t.Fatal("a forged receipt was taken")
	}
	// Once the node has the state again, at a later block, the rest is found: hot accounts by the scan, all by Weigh.
	r.proxy.set(func(p *proxy) { p.alter = nil; clear(p.refuse) })
	b := newBook(a, hot)
	b[a] = eth(5)
	sameCredits(t, r.scan(tip, b.watch(hot)).Credits, restOf(hot, tip, 9))
	b[hot] = eth(9)
	got, err := r.node.Weigh(t.Context(), tip, b.watch(a, hot).Hot)
	if err != nil {
		t.Fatal(err)
	}
	sameCredits(t, got.Credits, restOf(a, tip, 7))
	r.proxy.set(func(p *proxy) { p.refuse["eth_call"], p.refuse["eth_getBalance"] = words[1], words[1] })
	if _, err := r.node.Weigh(t.Context(), old, b.watch(a).Hot); !errors.Is(err, errState) {
		t.Fatalf("weigh without state: %v", err)
	}
}

// TestFuture: a fork that this version does not know leaves the node's word, and does not stop the scan.
func TestFuture(t *testing.T) {
	r := newRig(t)
	a := r.address()
	id := r.did(r.Pay(t.Context(), a, wei(5)))
	r.did(r.EmitFakeTransfer(t.Context(), a))
	block := r.mine(1)
	for name, change := range map[string]func(b map[string]any){
		"transaction type": func(b map[string]any) { b["transactions"].([]any)[1].(map[string]any)["type"] = "0x6f" },
		"header field":     func(b map[string]any) { b["futureRoot"], b["mixHash"] = block.Hash, block.Hash },
	} {
		t.Run(name, func(t *testing.T) {
			r.proxy.set(func(p *proxy) {
				p.alter = func(method string, _, answer map[string]json.RawMessage) {
					if method == "eth_getBlockByHash" {
						answer["result"] = edit(answer["result"], change)
					}
				}
			})
			var said strings.Builder
			n := loud(t, r.proxy.url, &said)
			for range 2 {
				found, err := n.Scan(t.Context(), block, newBook(a).watch())
				if err != nil {
					t.Fatal(err)
				}
				sameCredits(t, found.Credits, plainOf(a, id, r.Faucet(), 5))
			}
			if strings.Count(said.String(), "node's word") != 1 {
				t.Fatalf("log: %s", said.String())
			}
		})
	}
}

// TestPending: what no block holds yet, by both ways to see it.
func TestPending(t *testing.T) {
	r := newRig(t)
	a := r.address()
	b := newBook(a)
	look := func(full bool, want ...chain.Credit) {
		t.Helper()
		p, err := r.node.Pending(t.Context(), b.watch())
		if err != nil {
			t.Fatal(err)
		}
		if p.Full != full {
			t.Fatalf("full is %v", p.Full)
		}
		sameCredits(t, p.Credits, want...)
	}
	r.mine(1)
	look(true)
	id := r.did(r.Pay(t.Context(), a, wei(5)))
	r.did(r.PayByContract(t.Context(), a, wei(7)))
	r.did(r.Pay(t.Context(), r.address(), wei(7)))
	look(true, plainOf(a, id, r.Faucet(), 5))
	r.proxy.set(func(p *proxy) { p.refuse["txpool_status"] = "the method txpool_status does not exist/is not available" })
	look(false, plainOf(a, id, r.Faucet(), 5))
	r.mine(1)
	look(false)
	r.proxy.set(func(p *proxy) { clear(p.refuse) })
	look(true)
	id = r.did(r.Pay(t.Context(), a, wei(8)))
	look(true, plainOf(a, id, r.Faucet(), 8))
	r.did(r.DoubleSpend(t.Context(), id))
	look(true)
	// A node that gives its latest block for pending shows nothing that waits.
	r.did(r.Pay(t.Context(), a, wei(9)))
	tip := r.mine(1)
	r.proxy.set(func(p *proxy) {
		p.refuse["txpool_status"] = "no"
		p.alter = func(method string, call, answer map[string]json.RawMessage) {
			if method == "eth_getBlockByNumber" && strings.Contains(string(call["params"]), "pending") {
				latest, err := ask[json.RawMessage](t.Context(), open(t, network, r.URL()).client, "eth_getBlockByHash", tip.Hash, true)
				must(err)
				answer["result"] = latest
			}
		}
	})
	look(false)
	r.proxy.set(func(p *proxy) {
		p.alter = func(method string, call, answer map[string]json.RawMessage) {
			switch method {
			case "txpool_status":
				delete(answer, "error")
				answer["result"] = json.RawMessage(`{"pending":"0xffff","queued":"0x0"}`)
			case "txpool_content":
				t.Error("a pool of 65,535 transactions was asked for")
			}
		}
	})
	look(false)
}

func TestCheck(t *testing.T) {
	r := newRig(t)
	tip := r.mine(2)
	c := r.node.Check(t.Context())
	if c.Height != tip.Height || !strings.Contains(c.Version, "/") || c.Worst() == chain.Bad {
		t.Fatalf("check: %+v", c)
	}
	for _, f := range c.Findings {
		if f.Level != chain.Fine && f.Cure == "" {
			t.Errorf("no cure: %s", f.What)
		}
	}
	r.proxy.set(func(p *proxy) { p.refuse["eth_call"] = "no" })
	if c := r.node.Check(t.Context()); c.Worst() != chain.Warn {
		t.Errorf("no bulk balances: %+v", c)
	}
	r.proxy.set(func(p *proxy) { p.refuse["eth_getBalance"] = "no" })
	if c := r.node.Check(t.Context()); c.Worst() != chain.Bad {
		t.Errorf("no balances: %+v", c)
	}
	r.proxy.set(func(p *proxy) {
		p.refuse = map[string]string{"eth_feeHistory": "the method eth_feeHistory does not exist/is not available"}
	})
	if c := r.node.Check(t.Context()); c.Worst() != chain.Warn || !slices.ContainsFunc(c.Findings, func(f chain.Finding) bool { return strings.Contains(f.Cure, "payouts wait") }) {
		t.Errorf("without fees: %+v", c)
	}
	if c := open(t, "ethereum/1", r.URL()).Check(t.Context()); c.Worst() != chain.Bad || !strings.Contains(c.Findings[0].Cure, "network") {
		t.Errorf("wrong network: %+v", c)
	}
}

// TestBlockReceipts: many plain transactions are looked up at once.
func TestBlockReceipts(t *testing.T) {
	r := newRig(t)
	all := r.addresses(ReceiptCalls + 4)
	var want []chain.Credit
	for i, a := range all {
		want = append(want, plainOf(a, r.did(r.Pay(t.Context(), a, wei(int64(i+1)))), r.Faucet(), int64(i+1)))
	}
	block := r.mine(1)
	sameCredits(t, r.scan(block, newBook(all...).watch()).Credits, want...)
	if n := r.proxy.count("eth_getBlockReceipts"); n != 1 {
		t.Fatalf("receipts of the block were asked for %d times", n)
	}
	r.proxy.set(func(p *proxy) { p.refuse["eth_getBlockReceipts"] = "Method not found" })
	sameCredits(t, r.scan(block, newBook(all...).watch()).Credits, want...)
	if n := r.proxy.count("eth_getTransactionReceipt"); n != len(all) {
		t.Fatalf("single receipts were asked for %d times", n)
	}
}

// TestOtherAnswers: answers to another question, or that do not go with one another.
func TestOtherAnswers(t *testing.T) {
	r := newRig(t)
	tip := r.mine(3)
	say := func(f func(params string, answer map[string]json.RawMessage)) {
		r.proxy.set(func(p *proxy) {
			p.alter = func(_ string, call, answer map[string]json.RawMessage) { f(string(call["params"]), answer) }
		})
	}
	other, err := ask[json.RawMessage](t.Context(), r.node.client, "eth_getBlockByNumber", "0x1", false)
	if err != nil {
		t.Fatal(err)
	}
	say(func(params string, answer map[string]json.RawMessage) {
		if strings.Contains(params, `"0x2"`) {
			answer["result"] = other
		}
	})
	if b, err := r.node.BlockAt(t.Context(), 2); err == nil {
		t.Errorf("another height's block was taken: %+v", b)
	}
	say(func(params string, answer map[string]json.RawMessage) {
		if strings.Contains(params, `"0x2"`) {
			answer["result"] = json.RawMessage("null")
		}
	})
	if b, err := r.node.BlockAt(t.Context(), 2); err == nil || errors.Is(err, chain.ErrNoBlock) {
		t.Errorf("null below the tip is not a height without block: %+v, %v", b, err)
	}
	latest, err := ask[json.RawMessage](t.Context(), r.node.client, "eth_getBlockByHash", tip.Hash, false)
	if err != nil {
		t.Fatal(err)
	}
	say(func(params string, answer map[string]json.RawMessage) {
		switch {
		case strings.Contains(params, "finalized"):
			answer["result"] = latest
		case strings.Contains(params, "latest"):
			answer["result"] = other
		}
	})
	if h, err := r.node.Head(t.Context()); err == nil {
		t.Errorf("a final block above the tip was taken: %+v", h)
	}
	say(func(_ string, answer map[string]json.RawMessage) { answer["id"] = json.RawMessage("77") })
	if b, err := r.node.BlockAt(t.Context(), 2); err == nil {
		t.Errorf("the answer to another call was taken: %+v", b)
	}
}
