package ethereum

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/pipe-pg/pipe/internal/chain"
	geth "github.com/pipe-pg/pipe/internal/devchain/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
)

const network = money.Network("ethereum/1337")

var quiet = slog.New(slog.DiscardHandler)

// rig is a real geth, a reader of it, and a proxy between them that a test may have lie.
type rig struct {
	*geth.Chain
	t     *testing.T
	node  *Node
	proxy *proxy
	seed  uint64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	c, err := geth.Open(t.Context(), geth.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	p := newProxy(t, c.URL())
	return &rig{Chain: c, t: t, node: open(t, network, p.url), proxy: p}
}

func open(t *testing.T, n money.Network, url string) *Node {
	t.Helper()
	node, err := Open(Options{Network: n, URL: url, Now: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Close)
	return node
}

// loud is a reader whose log a test reads.
func loud(t *testing.T, url string, log io.Writer) *Node {
	t.Helper()
	node, err := Open(Options{Network: network, URL: url, Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Close)
	return node
}

// address makes an address that nobody used before.
func (r *rig) address() string {
	r.seed++
	var a common.Address
	random := rand.New(rand.NewPCG(r.seed, 7))
	for i := range a {
		a[i] = byte(random.Uint32())
	}
	return a.Hex()
}

func (r *rig) addresses(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = r.address()
	}
	return all
}

func wei(n int64) *big.Int { return big.NewInt(n) }

func eth(n int64) money.Amount { return money.Of(money.ETH, n) }

// did fails the test when the chain refused something, and passes the txid on.
func (r *rig) did(txid string, err error) string {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return txid
}

func (r *rig) mine(n int) chain.Block {
	r.t.Helper()
	height, hash, err := r.Mine(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	b := r.at(uint64(height))
	if b.Hash != hash {
		r.t.Fatalf("block %d is %s, the chain says %s", height, b.Hash, hash)
	}
	return b
}

func (r *rig) at(height uint64) chain.Block {
	r.t.Helper()
	b, err := r.node.BlockAt(r.t.Context(), height)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) scan(b chain.Block, w chain.Watch) chain.Found {
	r.t.Helper()
	f, err := r.node.Scan(r.t.Context(), b, w)
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// book is what a caller keeps: balances explained by the credits so far.
type book map[string]money.Amount

func newBook(addresses ...string) book {
	b := book{}
	for _, a := range addresses {
		b[a] = eth(0)
	}
	return b
}

func (b book) add(credits []chain.Credit) {
	for _, c := range credits {
		b[c.To] = b[c.To].Add(c.Amount)
	}
}

// watch watches all addresses, those named as hot.
func (b book) watch(hot ...string) chain.Watch {
	w := chain.Watch{
		Has: func(a string) bool { _, ok := b[a]; return ok },
		Explained: func(_ context.Context, a string) (money.Amount, bool, error) {
			amount, ok := b[a]
			return amount, ok, nil
		},
	}
	for _, a := range hot {
		w.Hot = append(w.Hot, chain.Weighed{Address: a, Balance: b[a]})
	}
	return w
}

func plainOf(to, txid, from string, amount int64) chain.Credit {
	return chain.Credit{Ref: txid, To: to, From: from, TxID: txid, Amount: eth(amount)}
}

func restOf(to string, b chain.Block, amount int64) chain.Credit {
	return chain.Credit{Ref: to + "@" + b.Hash, To: to, Amount: eth(amount)}
}

func sameCredits(t *testing.T, got []chain.Credit, want ...chain.Credit) {
	t.Helper()
	lines := func(all []chain.Credit) []string {
		var text []string
		for _, c := range all {
			text = append(text, fmt.Sprintf("ref %s to %s from %s tx %s amount %s", c.Ref, c.To, c.From, c.TxID, c.Amount.Units()))
		}
		slices.Sort(text)
		return text
	}
	if g, w := lines(got), lines(want); !slices.Equal(g, w) {
		t.Fatalf("credits\n got %s\nwant %s", strings.Join(g, "\n     "), strings.Join(w, "\n     "))
	}
}

// proxy stands between reader and geth and may change requests and answers.
type proxy struct {
	url    string
	target string

	mu     sync.Mutex
	alter  func(method string, call map[string]json.RawMessage, answer map[string]json.RawMessage) // nil result: as geth said
	raw    func(w http.ResponseWriter, answer []byte) bool
	refuse map[string]string // method → error message, unless the call's text holds unless[method]
	counts map[string]int
}

func newProxy(t *testing.T, target string) *proxy {
	p := &proxy{target: target, refuse: map[string]string{}, counts: map[string]int{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *proxy) set(f func(p *proxy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

func (p *proxy) count(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[method]
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, p.target, bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil { // as a node that is down: no answer
		panic(http.ErrAbortHandler)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	answer = p.edit(body, answer)
	if p.raw != nil && p.raw(w, answer) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer)
}

func (p *proxy) edit(body, answer []byte) []byte {
	var calls, answers []map[string]json.RawMessage
	batch := body[0] == '['
	if batch {
		must(json.Unmarshal(body, &calls))
		must(json.Unmarshal(answer, &answers))
	} else {
		calls, answers = make([]map[string]json.RawMessage, 1), make([]map[string]json.RawMessage, 1)
		must(json.Unmarshal(body, &calls[0]))
		must(json.Unmarshal(answer, &answers[0]))
	}
	for i, call := range calls {
		var method string
		must(json.Unmarshal(call["method"], &method))
		p.counts[method]++
		if message := p.refuse[method]; message != "" {
			delete(answers[i], "result")
			text, err := json.Marshal(map[string]any{"code": -32000, "message": message})
			must(err)
			answers[i]["error"] = text
		}
		if p.alter != nil {
			p.alter(method, call, answers[i])
		}
	}
	var edited []byte
	var err error
	if batch {
		edited, err = json.Marshal(answers)
	} else {
		edited, err = json.Marshal(answers[0])
	}
	must(err)
	return edited
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestPlain(t *testing.T) {
	r := newRig(t)
	a := r.address()
	b := newBook(a)
	r.mine(2)
	id := r.did(r.Pay(t.Context(), a, wei(1)))
	id2 := r.did(r.Pay(t.Context(), a, wei(5e17)))
	found := r.scan(r.mine(1), b.watch())
	sameCredits(t, found.Credits, plainOf(a, id, r.Faucet(), 1), plainOf(a, id2, r.Faucet(), 5e17))
	b.add(found.Credits)
	sameCredits(t, r.scan(r.mine(1), b.watch(a)).Credits)
	if found.Unweighed || len(found.Uses) != 0 {
		t.Fatalf("found %+v", found)
	}
	// Hot or not, the same is found.
	sameCredits(t, r.scan(r.at(3), newBook(a).watch(a)).Credits, found.Credits...)
	// An address that only the filter takes for ours is nobody's.
	w := b.watch()
	w.Has = func(string) bool { return true }
	sameCredits(t, r.scan(r.at(3), chain.Watch{Has: w.Has, Explained: newBook().watch().Explained}).Credits)
}

func TestContracts(t *testing.T) {
	r := newRig(t)
	call, split1, split2, burst, reverted, token, none := r.address(), r.address(), r.address(), r.address(), r.address(), r.address(), r.address()
	all := []string{call, split1, split2, burst, reverted, token, none}
	r.did(r.PayByContract(t.Context(), call, wei(11)))
	r.did(r.PayManyByContract(t.Context(), map[string]*big.Int{split1: wei(21), split2: wei(22)}))
	r.did(r.Selfdestruct(t.Context(), burst, wei(31)))
	r.did(r.Revert(t.Context(), reverted, wei(41)))
	r.did(r.EmitFakeTransfer(t.Context(), token))
	block := r.mine(1)
	b := newBook(all...)
	want := []chain.Credit{restOf(call, block, 11), restOf(split1, block, 21), restOf(split2, block, 22), restOf(burst, block, 31)}
	sameCredits(t, r.scan(block, b.watch(all...)).Credits, want...)
	// Not hot: the block does not name them; the recount finds them, at any later block.
	sameCredits(t, r.scan(block, b.watch()).Credits)
	later := r.mine(3)
	got, err := r.node.Weigh(t.Context(), later, b.watch(all...).Hot)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].Ref = want[i].To + "@" + later.Hash
	}
	sameCredits(t, got.Credits, want...)
	b.add(got.Credits)
	if got, err = r.node.Weigh(t.Context(), later, b.watch(all...).Hot); err != nil {
		t.Fatal(err)
	}
	sameCredits(t, got.Credits)
}

func TestMixedInOneBlock(t *testing.T) {
	r := newRig(t)
	a, other := r.address(), r.address()
	id := r.did(r.Pay(t.Context(), a, wei(100)))
	r.did(r.PayByContract(t.Context(), a, wei(7)))
	r.did(r.Revert(t.Context(), a, wei(1000)))
	r.did(r.PayManyByContract(t.Context(), map[string]*big.Int{a: wei(3), other: wei(9)}))
	id2 := r.did(r.Pay(t.Context(), a, wei(200)))
	r.did(r.Selfdestruct(t.Context(), a, wei(30)))
	block := r.mine(1)
	b := newBook(a, other)
	// a is found though it is not hot: two plain transactions name it, and its balance tells the rest.
	sameCredits(t, r.scan(block, b.watch()).Credits,
		plainOf(a, id, r.Faucet(), 100), plainOf(a, id2, r.Faucet(), 200), restOf(a, block, 40))
	sameCredits(t, r.scan(block, b.watch(a, other)).Credits,
		plainOf(a, id, r.Faucet(), 100), plainOf(a, id2, r.Faucet(), 200), restOf(a, block, 40), restOf(other, block, 9))
}

// TestRestCarriesOver: what came while an account was not weighed is found with the next thing that names it.
func TestRestCarriesOver(t *testing.T) {
	r := newRig(t)
	a := r.address()
	b := newBook(a)
	r.did(r.PayByContract(t.Context(), a, wei(7)))
	sameCredits(t, r.scan(r.mine(1), b.watch()).Credits)
	id := r.did(r.Pay(t.Context(), a, wei(5)))
	block := r.mine(1)
	sameCredits(t, r.scan(block, b.watch()).Credits, plainOf(a, id, r.Faucet(), 5), restOf(a, block, 7))
}

func TestManyHot(t *testing.T) {
	r := newRig(t)
	all := r.addresses(600)
	b := newBook(all...)
	pay := map[string]*big.Int{}
	var want []chain.Credit
	for i := range 200 {
		pay[all[i*3]] = wei(int64(i + 1))
	}
	r.did(r.PayManyByContract(t.Context(), pay))
	id := r.did(r.Pay(t.Context(), all[599], wei(9)))
	block := r.mine(1)
	for a, amount := range pay {
		want = append(want, restOf(a, block, amount.Int64()))
	}
	want = append(want, plainOf(all[599], id, r.Faucet(), 9))
	before := r.proxy.count("eth_call")
	sameCredits(t, r.scan(block, b.watch(all...)).Credits, want...)
	if calls := r.proxy.count("eth_call") - before; calls != 2 {
		t.Fatalf("%d bulk calls for 600 accounts", calls)
	}
	// The same singly, where the node refuses the bulk call.
	r.proxy.set(func(p *proxy) { p.refuse["eth_call"] = "contract creation is not allowed" })
	sameCredits(t, r.scan(block, b.watch(all...)).Credits, want...)
	if n := r.proxy.count("eth_getBalance"); n != 600 {
		t.Fatalf("%d single balances", n)
	}
	if n := r.proxy.count("eth_call") - before; n != 3 {
		t.Fatalf("asked in bulk %d times after a refusal", n-2)
	}
	if _, err := r.node.Scan(t.Context(), block, chain.Watch{Hot: make([]chain.Weighed, ActiveSet+1)}); err == nil {
		t.Fatal("more hot accounts than ActiveSet were taken")
	}
	if _, err := r.node.Weigh(t.Context(), block, make([]chain.Weighed, WeighMax+1)); err == nil {
		t.Fatal("more accounts than WeighMax were taken")
	}
}

func TestHead(t *testing.T) {
	r := newRig(t)
	tip := r.mine(5)
	head, err := r.node.Head(t.Context())
	if err != nil || head.Tip != tip {
		t.Fatalf("head %+v, %v, mined %+v", head, err, tip)
	}
	if err := r.SetFinality(t.Context(), geth.Finality{Safe: 1, Final: 2}); err != nil {
		t.Fatal(err)
	}
	if head, err = r.node.Head(t.Context()); err != nil || head.Final != 3 {
		t.Fatalf("final %d, %v", head.Final, err)
	}
	if below := r.at(4); tip.Parent != below.Hash || !below.Time.Before(tip.Time) {
		t.Fatalf("%+v is not the parent of %+v", below, tip)
	}
	if _, err := r.node.BlockAt(t.Context(), 6); !errors.Is(err, chain.ErrNoBlock) {
		t.Fatalf("above the tip: %v", err)
	}
	old, err := Open(Options{
		Network: network, URL: r.URL(), Log: quiet, MaxTipAge: time.Minute,
		Now: func() time.Time { return tip.Time.Add(time.Minute + time.Second) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if _, err := old.Head(t.Context()); !errors.Is(err, chain.ErrBlind) {
		t.Fatalf("old tip: %v", err)
	}
}

func TestSyncing(t *testing.T) {
	r := newRig(t)
	r.mine(1)
	say := func(text string) {
		r.proxy.set(func(p *proxy) {
			p.alter = func(method string, _, answer map[string]json.RawMessage) {
				if method == "eth_syncing" {
					answer["result"] = json.RawMessage(text)
				}
			}
		})
	}
	for text, blind := range map[string]bool{
		`false`: false, `true`: true, `{}`: true,
		`{"currentBlock":"0x5","highestBlock":"0x9"}`:                                true,
		`{"currentBlock":"0x9","highestBlock":"0x9","txIndexRemainingBlocks":"0x5"}`: false,
		`{"currentBlock":"0x9","highestBlock":"0x9","healingTrienodes":"0x5"}`:       true,
		`{"currentBlock":"0x0","highestBlock":"0x0"}`:                                true,
	} {
		say(text)
		if _, err := r.node.Head(t.Context()); errors.Is(err, chain.ErrBlind) != blind || !blind && err != nil {
			t.Errorf("syncing %s: %v", text, err)
		}
	}
	r.proxy.set(func(p *proxy) {
		p.alter = nil
		p.refuse["eth_syncing"] = "the method eth_syncing does not exist/is not available"
	})
	if _, err := r.node.Head(t.Context()); err != nil {
		t.Errorf("node without eth_syncing: %v", err)
	}
	r.proxy.set(func(p *proxy) { clear(p.refuse); p.refuse["eth_getBlockByNumber"] = "finalized block not found" })
	if n, err := r.node.finalized(t.Context()); n != 0 || err != nil {
		t.Errorf("no finality: %d, %v", n, err)
	}
}

// TestFollow runs the real follower over reorganisations of depth 1 to 6 with drops, and compares the books with the chain
// after each.
func TestFollow(t *testing.T) {
	r := newRig(t)
	addresses := r.addresses(8)
	f := newFollow(r, addresses)
	r.mine(3)
	f.run()
	random := rand.New(rand.NewPCG(1, 2))
	for depth := 1; depth <= 6; depth++ {
		var ids []string
		for range depth {
			for range 3 {
				a, amount := addresses[random.IntN(len(addresses))], wei(random.Int64N(1e6)+1)
				switch random.IntN(4) {
				case 0:
					ids = append(ids, r.did(r.PayByContract(t.Context(), a, amount)))
				case 1:
					ids = append(ids, r.did(r.Revert(t.Context(), a, amount)))
				default:
					ids = append(ids, r.did(r.Pay(t.Context(), a, amount)))
				}
			}
			r.mine(1)
			f.run()
		}
		if _, _, err := r.Reorg(t.Context(), depth, []string{ids[0], ids[len(ids)-1]}); err != nil {
			t.Fatal(err)
		}
		f.run()
		if f.disconnected != depth {
			t.Fatalf("disconnected %d blocks of %d", f.disconnected, depth)
		}
		f.disconnected = 0
	}
	if len(f.refs) == 0 {
		t.Fatal("nothing was credited")
	}
}

// follow is a caller of the follower that keeps its credits by block.
type follow struct {
	r            *rig
	stored       []chain.Block
	credits      map[string][]chain.Credit
	refs         map[string]bool
	all          []string
	disconnected int
}

func newFollow(r *rig, all []string) *follow {
	return &follow{r: r, all: all, credits: map[string][]chain.Credit{}, refs: map[string]bool{}}
}

func (f *follow) book() book {
	b := newBook(f.all...)
	for _, block := range f.stored {
		b.add(f.credits[block.Hash])
	}
	return b
}

func (f *follow) run() {
	f.r.t.Helper()
	ctx := f.r.t.Context()
	for {
		head, err := f.r.node.Head(ctx)
		if err != nil {
			f.r.t.Fatal(err)
		}
		step, err := chain.Next(ctx, f.r.node, chain.Place{Head: head, Stored: f.stored, Watch: f.book().watch(f.all[:4]...)})
		switch {
		case errors.Is(err, chain.ErrGone):
			continue
		case err != nil:
			f.r.t.Fatal(err)
		case step.AtTip:
			f.check(head.Tip)
			return
		case step.Start != nil:
			f.stored = step.Start
		case step.Disconnect != nil:
			f.disconnected++
			f.stored = f.stored[:len(f.stored)-1]
		default:
			f.stored = append(f.stored, *step.Connect)
			f.credits[step.Connect.Hash] = step.Found.Credits
			for _, c := range step.Found.Credits {
				f.refs[c.Ref] = true
			}
		}
	}
}

// check weighs all accounts at the tip; with that the books must be the chain's balances.
func (f *follow) check(tip chain.Block) {
	f.r.t.Helper()
	rest, err := f.r.node.Weigh(f.r.t.Context(), tip, f.book().watch(f.all...).Hot)
	if err != nil {
		f.r.t.Fatal(err)
	}
	for _, c := range rest.Credits {
		if slices.Contains(f.all[:4], c.To) {
			f.r.t.Fatalf("the scans missed %s on a hot account", c.Amount)
		}
	}
	f.credits[tip.Hash] = append(slices.Clone(f.credits[tip.Hash]), rest.Credits...)
	b := f.book()
	for _, a := range slices.Sorted(maps.Keys(b)) {
		balance, err := ask[string](f.r.t.Context(), f.r.node.client, "eth_getBalance", a, "latest")
		if err != nil {
			f.r.t.Fatal(err)
		}
		if want, ok := new(big.Int).SetString(balance, 0); !ok || b[a].Big().Cmp(want) != 0 {
			f.r.t.Fatalf("%s: books %s, chain %s", a, b[a].Units(), want)
		}
	}
}

// TestGone: a block that was reorganised away is gone, whether geth still has it or not.
func TestGone(t *testing.T) {
	r := newRig(t)
	a := r.address()
	id := r.did(r.PayByContract(t.Context(), a, wei(5)))
	block := r.mine(1)
	if _, _, err := r.Reorg(t.Context(), 1, []string{id}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.node.Scan(t.Context(), block, newBook(a).watch(a)); !errors.Is(err, chain.ErrGone) {
		t.Fatalf("block that geth still has beside its chain: %v", err)
	}
	null := func(p *proxy) {
		p.alter = func(method string, _, answer map[string]json.RawMessage) {
			if method == "eth_getBlockByHash" {
				answer["result"] = json.RawMessage("null")
			}
		}
	}
	r.proxy.set(null)
	if _, err := r.node.Scan(t.Context(), block, newBook(a).watch()); !errors.Is(err, chain.ErrGone) {
		t.Fatalf("gone block: %v", err)
	}
	// The node's null for a block that it calls its own is unknown, never absent.
	now := r.at(block.Height)
	if _, err := r.node.Scan(t.Context(), now, newBook(a).watch()); err == nil || errors.Is(err, chain.ErrGone) {
		t.Fatalf("null for a block of the best chain: %v", err)
	}
	r.proxy.set(func(p *proxy) {
		p.alter = nil
		p.refuse["eth_call"], p.refuse["eth_getBalance"] = "header not found", "header not found"
	})
	if _, err := r.node.Scan(t.Context(), now, newBook(a).watch(a)); err == nil || errors.Is(err, chain.ErrGone) {
		t.Fatalf("no state for a block of the best chain: %v", err)
	}
	if _, err := r.node.Weigh(t.Context(), block, newBook(a).watch(a).Hot); !errors.Is(err, chain.ErrGone) {
		t.Fatalf("weigh at a gone block: %v", err)
	}
}

func TestNodeDown(t *testing.T) {
	r := newRig(t)
	a := r.address()
	block := r.mine(1)
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	node := open(t, network, r.URL())
	for name, call := range map[string]func(n *Node) error{
		"head":    func(n *Node) error { _, err := n.Head(t.Context()); return err },
		"blockAt": func(n *Node) error { _, err := n.BlockAt(t.Context(), 1); return err },
		"scan":    func(n *Node) error { _, err := n.Scan(t.Context(), block, newBook(a).watch(a)); return err },
		"weigh":   func(n *Node) error { _, err := n.Weigh(t.Context(), block, newBook(a).watch(a).Hot); return err },
		"pending": func(n *Node) error { _, err := n.Pending(t.Context(), newBook(a).watch()); return err },
	} {
		for _, n := range []*Node{node, r.node} { // the one asked before, and the one never asked
			if err := call(n); !errors.Is(err, chain.ErrBlind) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if c := node.Check(t.Context()); c.Worst() != chain.Bad || c.Findings[0].Cure == "" {
		t.Errorf("check: %+v", c)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	id := r.did(r.Pay(t.Context(), a, wei(5)))
	block = r.mine(1)
	sameCredits(t, r.scan(block, newBook(a).watch()).Credits, plainOf(a, id, r.Faucet(), 5))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.node.Head(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, chain.ErrBlind) {
		t.Errorf("cancelled by the caller: %v", err)
	}
}

func TestWrongNetwork(t *testing.T) {
	r := newRig(t)
	r.mine(1)
	for _, n := range []money.Network{"ethereum/1", "ethereum/1338"} {
		if _, err := open(t, n, r.URL()).Head(t.Context()); !errors.Is(err, chain.ErrNetwork) {
			t.Errorf("%s: %v", n, err)
		}
	}
	// Mainnet's id with another first block.
	r.proxy.set(func(p *proxy) {
		p.alter = func(method string, _, answer map[string]json.RawMessage) {
			if method == "eth_chainId" {
				answer["result"] = json.RawMessage(`"0x1"`)
			}
		}
	})
	if _, err := open(t, "ethereum/1", r.proxy.url).Head(t.Context()); !errors.Is(err, chain.ErrNetwork) {
		t.Errorf("mainnet's id on another chain: %v", err)
	}
	// Another chain of the same id takes the node's place: seen after the failure that goes with it.
	another, err := geth.Open(t.Context(), geth.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", ChainID: 1337})
	if err != nil {
		t.Fatal(err)
	}
	defer another.Close()
	r.proxy.set(func(p *proxy) { p.alter = nil })
	if _, err := r.node.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.node.doubt(errors.New("connection reset")) == nil {
		t.Fatal("an error was lost")
	}
	sameGenesis, err := open(t, network, another.URL()).BlockAt(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if sameGenesis.Hash == r.at(0).Hash { // then make it differ by what the proxy shows
		r.proxy.set(func(p *proxy) {
			p.alter = func(method string, call, answer map[string]json.RawMessage) {
				if method == "eth_getBlockByNumber" && strings.Contains(string(call["params"]), `"0x0"`) {
					answer["result"] = forge(answer["result"], func(h map[string]any) { h["extraData"] = "0x1234" })
				}
			}
		})
	} else {
		r.proxy.set(func(p *proxy) { p.target = another.URL() })
	}
	r.node.doubt(errors.New("connection reset"))
	if _, err := r.node.Head(t.Context()); !errors.Is(err, chain.ErrNetwork) {
		t.Errorf("another first block: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{Network: "bitcoin/regtest", URL: "http://h"}, {Network: "ethereum/", URL: "http://h"},
		{Network: "ethereum/01", URL: "http://h"}, {Network: "ethereum/-1", URL: "http://h"}, {Network: "ethereum/0", URL: "http://h"},
		{Network: "ethereum/1", URL: "ws://h"}, {Network: "ethereum/1", URL: "http://"}, {Network: "ethereum/1", URL: "::"},
	} {
		o.Now, o.Log = time.Now, quiet
		if _, err := Open(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	_, err := Open(Options{Network: "ethereum/1", URL: "http://h/v3/secret\x7f", Now: time.Now, Log: quiet})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("bad URL: %v", err)
	}
	node := open(t, network, "http://user:secret@127.0.0.1:1/v3/secret")
	if _, err := node.Head(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("unreachable node: %v", err)
	}
}

// TestActiveSet: the greatest set of hot accounts is weighed, whole.
func TestActiveSet(t *testing.T) {
	r := newRig(t)
	all := r.addresses(ActiveSet)
	r.did(r.PayByContract(t.Context(), all[ActiveSet-1], wei(3)))
	block := r.mine(1)
	node := open(t, network, r.URL())
	began := time.Now()
	found, err := node.Scan(t.Context(), block, newBook(all...).watch(all...))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d accounts in %s", len(all), time.Since(began))
	sameCredits(t, found.Credits, restOf(all[ActiveSet-1], block, 3))
}
