package bitcoin_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
	"pgregory.net/rapid"
)

// A quoter answers what a builder asks of a node, with fees of the test's choice.
type quoter struct {
	*liar

	mu       sync.Mutex
	network  *chaincfg.Params
	core     string
	estimate string // what estimatesmartfee says of a rate; "": it has none
	patient  string // the same for the longest target
	least    string
	relay    string
	step     string
	send     func(txid string) answer
	held     map[string]bool
	syncing  bool
}

func newQuoter(t testing.TB) *quoter {
	q := &quoter{liar: newLiar(t, ""), network: &chaincfg.RegressionNetParams, core: "regtest", estimate: "0.00002000",
		least: "0.00001000", relay: "0.00001000", step: "0.00001000", held: map[string]bool{}}
	q.lie(q.answer, nil)
	return q
}

func (q *quoter) set(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

func (q *quoter) answer(asked question, a *answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch asked.Method {
	case "getblockchaininfo":
		a.Result = fmt.Appendf(nil, `{"chain":%q,"initialblockdownload":%t}`, q.core, q.syncing)
	case "getblockhash":
		a.Result = text(q.network.GenesisHash.String())
	case "getmempoolinfo":
		a.Result = fmt.Appendf(nil, `{"loaded":true,"mempoolminfee":%s}`, q.least)
	case "getnetworkinfo":
		a.Result = fmt.Appendf(nil, `{"relayfee":%s,"incrementalfee":%s}`, q.relay, q.step)
	case "estimatesmartfee":
		rate := q.estimate
		if fmt.Sprint(asked.Params[0]) == fmt.Sprint(bitcoin.MaxTarget) {
			rate = q.patient
		}
		if rate == "" {
			a.Result = []byte(`{"errors":["Insufficient data or no feerate found"],"blocks":2}`)
			return
		}
		a.Result = fmt.Appendf(nil, `{"feerate":%s,"blocks":2}`, rate)
	case "sendrawtransaction":
		if asked.Params[0] == "00" { // the doctor asks so whether it may send
			a.Error = refusal(-22, "TX decode failed")
			return
		}
		tx, err := btcutil.NewTxFromBytes(unhex(q.t, fmt.Sprint(asked.Params[0])))
		if err != nil {
			q.t.Errorf("sent no transaction: %v", err)
			return
		}
		got := q.send(tx.Hash().String())
		a.Result, a.Error = got.Result, got.Error
	case "getmempoolentry":
		if q.held[fmt.Sprint(asked.Params[0])] {
			a.Result = []byte(`{"vsize":110}`)
			return
		}
		a.Error = refusal(-5, "Transaction not in mempool")
	}
}

func refusal(code int, words string) json.RawMessage {
	return fmt.Appendf(nil, `{"code":%d,"message":%q}`, code, words)
}

// A wallet is a key for tests that sign often.
type wallet struct {
	key     *btcec.PrivateKey
	address string
}

func newWallet(t testing.TB) wallet {
	seed := sha256.Sum256([]byte("a key for tests"))
	key, _ := btcec.PrivKeyFromBytes(seed[:])
	a, err := address.NewAddressWitnessPubKeyHash(address.Hash160(key.PubKey().SerializeCompressed()), &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	return wallet{key, a.EncodeAddress()}
}

func (w wallet) holding(n int, amount int64) chain.Holding {
	id := sha256.Sum256(fmt.Append(nil, n))
	return chain.Holding{Ticket: chain.Ticket(fmt.Sprintf("%x:%d", id, n*7)), Address: w.address, Amount: btc(amount)}
}

func btc(n int64) money.Amount { return money.Of(money.BTC, n) }

func units(a money.Amount) int64 { return a.Big().Int64() }

// dust is Core's dust limit for an output to the address, computed as Core does from what spending it would cost.
func dust(t testing.TB, to string) int64 {
	a, err := address.DecodeAddress(to, &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		t.Fatal(err)
	}
	size := 8 + 1 + len(script) + 32 + 4 + 1 + 4
	if txscript.IsWitnessProgram(script) {
		size += 107 / 4
	} else {
		size += 107
	}
	return int64(size) * 3
}

// TestBuildKeepsEverySatoshi: whatever the draft and the fees, nothing is lost or made, everybody gets what can be
// carried, and the transaction costs what it says.
func TestBuildKeepsEverySatoshi(t *testing.T) {
	q := newQuoter(t)
	b := openBuilder(t, q.server.URL)
	w, to := newWallet(t), addresses(t, 10)
	built, small, dear := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.OneOf(rapid.Int64Range(1, 5_000), rapid.Int64Range(1, 600_000)).Draw(rt, "rate")
		step := rapid.Int64Range(1, 2_000).Draw(rt, "step")
		q.set(func() {
			q.estimate, q.step, q.relay, q.least = decimal(rate), decimal(step), "0.00000001", "0.00000001"
		})
		d := chain.Draft{Network: regtest, Spend: "s", Version: 1, Merchant: "m"}
		var sum int64
		for i := range rapid.IntRange(1, bitcoin.MaxInputs).Draw(rt, "holdings") {
			amount := rapid.OneOf(rapid.Int64Range(1, 100_000), rapid.Int64Range(100_000, 1e9)).Draw(rt, "amount")
			d.Holdings, sum = append(d.Holdings, w.holding(i, amount)), sum+amount
		}
		d.Anchor = d.Holdings[rapid.IntRange(0, len(d.Holdings)-1).Draw(rt, "anchor")].Ticket
		left := sum
		for i := range rapid.IntRange(1, 12).Draw(rt, "pays") {
			if left == 0 {
				break
			}
			amount := rapid.OneOf(rapid.Int64Range(1, left), rapid.Just(left), rapid.Int64Range(max(1, left-500), left)).Draw(rt, "pay")
			d.Pays, left = append(d.Pays, chain.Pay{Payout: fmt.Sprint(i), To: rapid.SampledFrom(to).Draw(rt, "to"), Amount: btc(amount)}), left-amount
		}
		d.MaxRate = btc(rapid.Int64Range(max(1, rate-rate/8), 700_000).Draw(rt, "ceiling"))
		u, err := b.Build(t.Context(), d)
		switch {
		case rate > units(d.MaxRate):
			if !errors.Is(err, chain.ErrFeeTooHigh) {
				rt.Fatalf("rate %d above %s: %v", rate, d.MaxRate, err)
			}
			dear++
			return
		case errors.Is(err, chain.ErrTooSmall):
			small++
			return
		case err != nil:
			rt.Fatal(err)
		}
		built++
		checkBuilt(rt, t, d, u, left)
		if units(u.Rate) != rate {
			rt.Fatalf("rate %s, asked for %d", u.Rate, rate)
		}
		again, err := b.Build(t.Context(), d)
		if err != nil || !reflect.DeepEqual(again, u) {
			rt.Fatalf("built again: %+v, %v", again, err)
		}
		size := checkSigned(rt, u, w)
		d.Previous, d.Version, d.MaxRate = u.Rate, 2, money.Amount{}
		next, err := b.Build(t.Context(), d)
		if errors.Is(err, chain.ErrTooSmall) {
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		checkBuilt(rt, t, d, next, left)
		least := units(u.Fee) + (step*size+999)/1000 // BIP 125, rules 3 and 4
		if units(next.Fee) < least || units(next.Rate) < units(u.Rate)*5/4 || checkSigned(rt, next, w) > size+13 {
			rt.Fatalf("version 2 costs %s at %s, version 1 %s at %s, a replacement needs %d", next.Fee, next.Rate, u.Fee, u.Rate, least)
		}
	})
	t.Logf("%d built, %d too small, %d too dear", built, small, dear)
	if built == 0 || small == 0 || dear == 0 {
		t.Error("some kind of outcome was never seen")
	}
}

// checkBuilt checks the sums of a version; left is what the payouts leave of the holdings.
func checkBuilt(rt *rapid.T, t testing.TB, d chain.Draft, u chain.Unsigned, left int64) {
	var in, nets, borne int64
	for _, h := range u.Holdings {
		in += units(h.Amount)
	}
	for i, p := range u.Pays {
		if units(p.Net) < dust(t, p.To) || p.Payout != d.Pays[i].Payout || p.To != d.Pays[i].To || !p.Amount.Equal(d.Pays[i].Amount) {
			rt.Fatalf("payout %+v became %+v", d.Pays[i], p)
		}
		nets += units(p.Net)
		borne += units(p.Amount) - units(p.Net)
	}
	change, fee := units(u.Change), units(u.Fee)
	if in != nets+change+fee {
		rt.Fatalf("%d in, %d to payouts, %d back, %d fee", in, nets, change, fee)
	}
	if least := dust(t, d.Holdings[0].Address); left >= least && (change != left || fee != borne) || left < least && (change != 0 || fee != borne+left) {
		rt.Fatalf("of %d left %d come back; the fee is %d, of which the payouts bear %d", left, change, fee, borne)
	}
	outs := joined(u.Pays)
	together := map[string]int{}
	for _, p := range u.Pays {
		together[p.To]++
	}
	for i, p := range u.Pays[1:] {
		first := u.Pays[i]
		a, b := units(first.Amount)-units(first.Net), units(p.Amount)-units(p.Net)
		if len(first.To) == len(p.To) && together[first.To] == together[p.To] && max(a-b, b-a) > 1 {
			rt.Fatalf("of two payouts alike one bears %d, the other %d", a, b)
		}
	}
	tx, spent, err := readPSBT(u.Raw)
	if err != nil {
		rt.Fatal(err)
	}
	if tx.Version != 2 || tx.LockTime != 0 || len(tx.TxIn) != len(d.Holdings) || len(spent) != len(d.Holdings) {
		rt.Fatalf("transaction %+v", tx)
	}
	for i, in := range tx.TxIn {
		if h := d.Holdings[i]; in.PreviousOutPoint.String() != string(h.Ticket) || in.Sequence != 0xfffffffd || spent[i].Value != units(h.Amount) || payee(spent[i].PkScript) != h.Address {
			rt.Fatalf("input %d: %+v of %+v, holding %+v", i, in, spent[i], h)
		}
	}
	if change > 0 {
		outs = append(outs, chain.Pay{To: d.Holdings[0].Address, Net: u.Change})
	}
	if len(outs) != len(tx.TxOut) {
		rt.Fatalf("%d outputs", len(tx.TxOut))
	}
	for i, out := range tx.TxOut {
		if out.Value != units(outs[i].Net) || payee(out.PkScript) != outs[i].To {
			rt.Fatalf("output %d: %d to %s, want %+v", i, out.Value, payee(out.PkScript), outs[i])
		}
	}
}

// joined adds up what each receiver gets.
func joined(pays []chain.Pay) (all []chain.Pay) {
	for _, p := range pays {
		at := slices.IndexFunc(all, func(o chain.Pay) bool { return o.To == p.To })
		if at < 0 {
			all = append(all, p)
			continue
		}
		all[at].Net = all[at].Net.Add(p.Net)
	}
	return all
}

// payee names the address that a script pays, by the library.
func payee(script []byte) string {
	_, all, _, err := txscript.ExtractPkScriptAddrs(script, &chaincfg.RegressionNetParams)
	if err != nil || len(all) != 1 {
		return ""
	}
	return all[0].EncodeAddress()
}

// checkSigned signs a version and checks that it costs the rate it names, and hardly more. It gives its virtual size.
func checkSigned(rt *rapid.T, u chain.Unsigned, w wallet) (size int64) {
	s, err := sign(u, w.key)
	if err != nil {
		rt.Fatal(err)
	}
	tx, err := btcutil.NewTxFromBytes(s.Raw)
	if err != nil {
		rt.Fatal(err)
	}
	size = (blockchain.GetTransactionWeight(tx) + 3) / 4
	var borne int64
	for _, p := range u.Pays {
		borne += units(p.Amount) - units(p.Net)
	}
	least := (units(u.Rate)*size + 999) / 1000
	most := (units(u.Rate)*(size+int64(len(u.Holdings))/2+1) + 999) / 1000 // a signature may be two bytes shorter
	if borne < least || borne > most {
		rt.Fatalf("the payouts bear %d for %d virtual bytes at %s: between %d and %d are right", borne, size, u.Rate, least, most)
	}
	return size
}

// decimal prints satoshi as BTC.
func decimal(n int64) string { return fmt.Sprintf("%d.%08d", n/1e8, n%1e8) }

// TestDust: an output of just what the network carries is made, one of a satoshi less never, and a rest too small for an
// output goes to the miner.
func TestDust(t *testing.T) {
	q := newQuoter(t)
	b, w := openBuilder(t, q.server.URL), newWallet(t)
	build := func(to string, amount, rest int64) (chain.Unsigned, error) {
		h := w.holding(1, amount+rest)
		return b.Build(t.Context(), chain.Draft{Network: regtest, Version: 1, Holdings: []chain.Holding{h}, Anchor: h.Ticket,
			Pays: []chain.Pay{{Payout: "p", To: to, Amount: btc(amount)}}})
	}
	for _, to := range addresses(t, 5) {
		u, err := build(to, 100_000, 0)
		if err != nil {
			t.Fatal(err)
		}
		fee, least := units(u.Fee), dust(t, to)
		if u, err := build(to, fee+least, 0); err != nil || units(u.Pays[0].Net) != least {
			t.Errorf("%s, the least that is carried, %d: %+v, %v", to, least, u, err)
		}
		if u, err := build(to, fee+least-1, 0); !errors.Is(err, chain.ErrTooSmall) {
			t.Errorf("%s, a satoshi less than %d: %+v, %v", to, least, u, err)
		}
		for _, rest := range []int64{1, 100, 293, 294, 295, 5_000} {
			u, err := build(to, 100_000, rest)
			if err != nil {
				t.Fatal(err)
			}
			back, borne := units(u.Change), 100_000-units(u.Pays[0].Net)
			if rest < 294 && (back != 0 || units(u.Fee) != borne+rest || borne != fee) || rest >= 294 && (back != rest || units(u.Fee) != borne) {
				t.Errorf("%s, a rest of %d: %d come back, fee %s, of which the payout bears %d of at least %d", to, rest, back, u.Fee, borne, fee)
			}
		}
	}
}

// TestReplacementForEveryNode: a version pays so much more that the node that asks most for a replacement takes it.
func TestReplacementForEveryNode(t *testing.T) {
	var urls []string
	for _, step := range []string{"0.00001000", "0.00009000", "0.00000100"} {
		q := newQuoter(t)
		q.step = step
		urls = append(urls, q.server.URL)
	}
	w := newWallet(t)
	h := w.holding(1, 100_000)
	u, err := openBuilder(t, urls...).Build(t.Context(), chain.Draft{Network: regtest, Version: 2, Holdings: []chain.Holding{h}, Anchor: h.Ticket,
		Previous: btc(2_000), Pays: []chain.Pay{{Payout: "p", To: w.address, Amount: btc(100_000)}}})
	if err != nil || units(u.Rate) != 2_000+9_000+10 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestBuildRefusesDraftsOfAnotherMind(t *testing.T) {
	q := newQuoter(t)
	b := openBuilder(t, q.server.URL)
	w, to := newWallet(t), addresses(t, 5)
	good := func() chain.Draft {
		d := chain.Draft{Network: regtest, Spend: "s", Version: 1, Holdings: []chain.Holding{w.holding(1, 50_000), w.holding(2, 60_000)},
			Pays: []chain.Pay{{Payout: "p", To: to[0], Amount: btc(100_000)}}}
		d.Anchor = d.Holdings[1].Ticket
		return d
	}
	if _, err := b.Build(t.Context(), good()); err != nil {
		t.Fatal(err)
	}
	many := func(n int) (all []chain.Holding) {
		for i := range n {
			all = append(all, w.holding(i, 50_000))
		}
		return all
	}
	upper := strings.ToUpper(to[0])
	for _, c := range []struct {
		name string
		edit func(d *chain.Draft)
	}{
		{"a holding twice", func(d *chain.Draft) { d.Holdings[0] = d.Holdings[1] }},
		{"too many holdings", func(d *chain.Draft) { d.Holdings = many(bitcoin.MaxInputs + 1); d.Anchor = d.Holdings[0].Ticket }},
		{"a holding of another kind", func(d *chain.Draft) { d.Holdings[0].Address = to[1] }},
		{"a holding of nothing", func(d *chain.Draft) { d.Holdings[0].Amount = btc(0) }},
		{"a holding of less than nothing", func(d *chain.Draft) { d.Holdings[0].Amount = btc(-1) }},
		{"a holding of more than exists", func(d *chain.Draft) { d.Holdings[0].Amount = btc(21e14 + 1) }},
		{"a holding of another coin", func(d *chain.Draft) { d.Holdings[0].Amount = money.Of(money.ETH, 50_000) }},
		{"a ticket of another chain", func(d *chain.Draft) { d.Holdings[0].Ticket = "0x0123:7" }},
		{"a ticket in upper case", func(d *chain.Draft) {
			d.Holdings[0].Ticket = chain.Ticket(strings.ToUpper(string(d.Holdings[0].Ticket)))
		}},
		{"a ticket written otherwise", func(d *chain.Draft) {
			d.Holdings[0].Ticket = chain.Ticket(strings.Replace(string(d.Holdings[0].Ticket), ":", ":0", 1))
		}},
		{"a payout of nothing", func(d *chain.Draft) { d.Pays[0].Amount = money.Amount{} }},
		{"a payout of less than nothing", func(d *chain.Draft) { d.Pays = append(d.Pays, chain.Pay{To: to[0], Amount: btc(-10_000)}) }},
		{"a payout of another coin", func(d *chain.Draft) { d.Pays[0].Amount = money.Of(money.ETH, 9) }},
		{"an address that is not in its normal form", func(d *chain.Draft) { d.Pays[0].To = upper }},
		{"a mainnet address", func(d *chain.Draft) { d.Pays[0].To = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq" }},
		{"a satoshi too much", func(d *chain.Draft) { d.Pays[0].Amount = btc(110_001) }},
		{"a rate before of another coin", func(d *chain.Draft) { d.Previous = money.Of(money.ETH, 9) }},
	} {
		d := good()
		c.edit(&d)
		u, err := b.Build(t.Context(), d)
		if err == nil || u.Raw != nil || errors.Is(err, chain.ErrBlind) || errors.Is(err, chain.ErrTooSmall) || errors.Is(err, chain.ErrFeeTooHigh) {
			t.Errorf("%s: %+v, %v", c.name, u, err)
		}
	}
	if n := q.calls("estimatesmartfee"); n != 1 {
		t.Errorf("a node was asked %d times, once for the draft that can be", n)
	}
}

// TestFeesOfSeveralNodes: the median counts, whoever cannot tell does not, and nobody's nonsense is taken for a fee.
func TestFeesOfSeveralNodes(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  []func(q *quoter)
		rate  int64 // 0: blind
		other error
	}{
		{"one", []func(*quoter){rate("0.00002000")}, 2000, nil},
		{"two: the lower", []func(*quoter){rate("0.00009000"), rate("0.00002000")}, 2000, nil},
		{"three: the middle", []func(*quoter){rate("0.09000000"), rate("0.00002000"), rate("0.00003000")}, 3000, nil},
		{"a fraction of a satoshi", []func(*quoter){rate("0.000020001")}, 2001, nil},
		{"in powers of ten", []func(*quoter){rate("2e-05")}, 2000, nil},
		{"below what is relayed", []func(*quoter){rate("0.00000100")}, 1000, nil},
		{"below what a full mempool takes", []func(*quoter){func(q *quoter) { q.least = "0.00007000" }}, 7000, nil},
		{"no estimate: for more blocks", []func(*quoter){func(q *quoter) { q.estimate, q.patient = "", "0.00004000" }}, 4000, nil},
		{"no estimate: what is relayed", []func(*quoter){rate("")}, 1000, nil},
		{"one is down", []func(*quoter){down, rate("0.00005000")}, 5000, nil},
		{"one is on another network", []func(*quoter){func(q *quoter) { q.core = "main" }, rate("0.00005000")}, 5000, nil},
		{"both are down", []func(*quoter){down, down}, 0, chain.ErrBlind},
		{"another network", []func(*quoter){func(q *quoter) { q.core = "main" }}, 0, chain.ErrNetwork},
		{"more than can be", []func(*quoter){rate("0.10000001")}, 0, chain.ErrBlind},
		{"much more", []func(*quoter){rate("1e30")}, 0, chain.ErrBlind},
		{"endless", []func(*quoter){rate("1e-999999999")}, 0, chain.ErrBlind},
		{"negative", []func(*quoter){rate("-0.00002000")}, 0, chain.ErrBlind},
		{"a text", []func(*quoter){rate(`"much"`)}, 0, chain.ErrBlind},
		{"a list", []func(*quoter){rate(`[1]`)}, 0, chain.ErrBlind},
		{"no relay fee", []func(*quoter){func(q *quoter) { q.relay = `""` }}, 0, chain.ErrBlind},
		{"nonsense beside sense", []func(*quoter){rate("-1"), rate("0.00003000"), rate("9e9")}, 3000, nil},
	} {
		var urls []string
		for _, edit := range c.edit {
			q := newQuoter(t)
			edit(q)
			urls = append(urls, q.server.URL)
		}
		f, err := openBuilder(t, urls...).Fees(t.Context())
		switch {
		case c.rate == 0 && (!errors.Is(err, chain.ErrBlind) || !errors.Is(err, c.other)):
			t.Errorf("%s: %+v, %v", c.name, f, err)
		case c.rate != 0 && (err != nil || units(f.Rate) != c.rate):
			t.Errorf("%s: %+v, %v", c.name, f, err)
		}
	}
}

func rate(text string) func(*quoter) { return func(q *quoter) { q.estimate = text } }

func down(q *quoter) { q.lie(nil, func([]byte) []byte { return nil }) }

// TestFeesOnMainnet: without an estimate nothing is built, unless the operator says what to pay then; nor while the node
// is syncing.
func TestFeesOnMainnet(t *testing.T) {
	q := newQuoter(t)
	q.core, q.network, q.estimate = "main", &chaincfg.MainNetParams, ""
	o := bitcoin.BuilderOptions{Network: "bitcoin/mainnet", URLs: []string{q.server.URL}}
	fees := func(o bitcoin.BuilderOptions) (chain.Fees, error) {
		b, err := bitcoin.OpenBuilder(o)
		if err != nil {
			t.Fatal(err)
		}
		return b.Fees(t.Context())
	}
	if f, err := fees(o); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("no estimate: %+v, %v", f, err)
	}
	o.Fallback = btc(12_000)
	if f, err := fees(o); err != nil || units(f.Rate) != 12_000 || units(f.Plain) != 12*122 || units(f.Least) != 546 {
		t.Errorf("no estimate, but a fallback: %+v, %v", f, err)
	}
	q.set(func() { q.estimate = "0.00003000" })
	if f, err := fees(o); err != nil || units(f.Rate) != 3000 {
		t.Errorf("an estimate beside a fallback: %+v, %v", f, err)
	}
	q.set(func() { q.syncing = true })
	if f, err := fees(o); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("syncing: %+v, %v", f, err)
	}
}

// TestCheckTellsOfNoEstimate: what the doctor says where a node knows no fee: what is paid instead, or that payouts wait and what
// to do.
func TestCheckTellsOfNoEstimate(t *testing.T) {
	q := newQuoter(t)
	q.core, q.network, q.estimate = "testnet4", &chaincfg.TestNet4Params, ""
	for rate, want := range map[int64]chain.Finding{
		0:     {Level: chain.Warn, What: "no fee estimate: payouts wait", Cure: "PIPE_BITCOIN_FALLBACK_FEE"},
		5_000: {Level: chain.Fine, What: "the fallback of 5000 satoshi"},
	} {
		r, err := bitcoin.Open(bitcoin.Options{Network: "bitcoin/testnet4", URL: q.server.URL, Fallback: btc(rate)})
		if err != nil {
			t.Fatal(err)
		}
		var said []chain.Finding
		for _, f := range r.Check(t.Context()).Findings {
			if strings.Contains(f.What, "fee estimate") {
				said = append(said, f)
			}
		}
		if len(said) != 1 || said[0].Level != want.Level || !strings.Contains(said[0].What, want.What) || !strings.Contains(said[0].Cure, want.Cure) {
			t.Errorf("fallback of %d: %+v of %+v", rate, said, r.Check(t.Context()).Findings)
		}
	}
}

func TestOpenBuilderRefuses(t *testing.T) {
	for _, o := range []bitcoin.BuilderOptions{
		{Network: "bitcoin/moon", URLs: []string{"http://x:1"}},
		{Network: regtest},
		{Network: regtest, URLs: make([]string, chain.MaxEndpoints+1)},
		{Network: regtest, URLs: []string{"ftp://x"}},
		{Network: regtest, URLs: []string{"http://x:1"}, Target: 7},
		{Network: regtest, URLs: []string{"http://x:1"}, Target: 1},
		{Network: regtest, URLs: []string{"http://x:1"}, Fallback: money.Of(money.ETH, 9)},
		{Network: regtest, URLs: []string{"http://x:1"}, Fallback: btc(-9)},
		{Network: regtest, URLs: []string{"http://x:1"}, Fallback: btc(1e9)},
	} {
		if b, err := bitcoin.OpenBuilder(o); err == nil {
			t.Errorf("%+v gives %+v", o, b)
		}
	}
}

// FuzzEstimate: whatever a node says of fees, the builder is blind or asks for a rate that can be.
func FuzzEstimate(f *testing.F) {
	for _, text := range []string{"0.00002", "2e-05", "-1", "1e999999999", "0.1", `"0.1"`, "null", "{}", "0.10000000000000001", "1E+5", "00.1", "0x1p-20"} {
		f.Add(text, "0.00001000")
		f.Add("0.00001000", text)
	}
	q := newQuoter(f)
	b := openBuilder(f, q.server.URL)
	f.Fuzz(func(t *testing.T, estimate, relay string) {
		if !json.Valid([]byte(estimate)) || !json.Valid([]byte(relay)) {
			return
		}
		q.set(func() { q.estimate, q.relay = estimate, relay })
		fees, err := b.Fees(t.Context())
		if err != nil {
			if !errors.Is(err, chain.ErrBlind) {
				t.Errorf("%q, %q: %v", estimate, relay, err)
			}
			return
		}
		if n := units(fees.Rate); n < 1000 || n > 10_000_000 {
			t.Errorf("%q, %q: %+v", estimate, relay, fees)
		}
		if value, ok := new(big.Rat).SetString(strings.Trim(estimate, `"`)); ok && len(estimate) < 12 {
			if value.Mul(value, big.NewRat(1e8, 1)); value.Cmp(new(big.Rat).SetInt64(units(fees.Rate))) > 0 {
				t.Errorf("%q became %s", estimate, fees.Rate)
			}
		}
	})
}
