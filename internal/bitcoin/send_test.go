package bitcoin_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Errorf("decode hex: %v", err)
	}
	return raw
}

// TestBroadcastAnswers: each answer of one or more nodes, and what it means. Nothing but a transaction that some node has
// is a success, and nothing but a refusal a rejection.
func TestBroadcastAnswers(t *testing.T) {
	w := newWallet(t)
	takes := func(txid string) answer { return answer{Result: text(txid)} }
	says := func(code int, words string) func(string) answer {
		return func(string) answer { return answer{Error: refusal(code, words)} }
	}
	gone := says(-25, "bad-txns-inputs-missingorspent")
	for _, c := range []struct {
		name  string
		nodes []func(string) answer // nil: down
		held  bool                  // the first node has it in its mempool all the same
		want  error
	}{
		{"taken", []func(string) answer{takes}, false, nil},
		{"in a block", []func(string) answer{says(-27, "Transaction outputs already in utxo set")}, false, nil},
		{"in a block, in old words", []func(string) answer{says(-27, "transaction already in block chain")}, false, nil},
		{"in a block, in words to come", []func(string) answer{says(-27, "have it")}, false, nil},
		{"in the mempool", []func(string) answer{says(-26, "txn-already-in-mempool")}, false, nil},
		{"known", []func(string) answer{says(-26, "txn-already-known")}, false, nil},
		{"with another signature in the mempool", []func(string) answer{says(-26, "txn-same-nonwitness-data-in-mempool")}, false, nil},
		{"inputs spent", []func(string) answer{gone}, false, chain.ErrRejected},
		{"fee too low", []func(string) answer{says(-26, "min relay fee not met, 1 < 110")}, false, chain.ErrRejected},
		{"replaced", []func(string) answer{says(-26, "insufficient fee, rejecting replacement")}, false, chain.ErrRejected},
		{"conflict", []func(string) answer{says(-26, "txn-mempool-conflict")}, false, chain.ErrRejected},
		{"no transaction", []func(string) answer{says(-22, "TX decode failed")}, false, chain.ErrRejected},
		{"an error that says nothing", []func(string) answer{says(-1, "something")}, false, chain.ErrUnknown},
		{"an internal error", []func(string) answer{says(-32603, "internal")}, false, chain.ErrUnknown},
		{"starting", []func(string) answer{says(-28, "Loading block index")}, false, chain.ErrUnknown},
		{"not allowed", []func(string) answer{says(-32601, "Method not found")}, false, chain.ErrUnknown},
		{"down", []func(string) answer{nil}, false, chain.ErrUnknown},
		{"another transaction taken", []func(string) answer{func(string) answer { return takes(hex.EncodeToString(make([]byte, 32))) }}, false, chain.ErrUnknown},
		{"an error after it was taken", []func(string) answer{says(-1, "something")}, true, nil},
		{"a refusal after it was taken", []func(string) answer{gone}, true, nil},
		{"an answer that makes no sense after it was taken", []func(string) answer{func(string) answer { return answer{Result: []byte("7")} }}, true, nil},
		{"one of three", []func(string) answer{gone, nil, takes}, false, nil},
		{"refused, and down", []func(string) answer{gone, nil}, false, chain.ErrRejected},
		{"error, and down", []func(string) answer{says(-1, "something"), nil}, false, chain.ErrUnknown},
		{"known by the second", []func(string) answer{gone, says(-27, "Transaction outputs already in utxo set")}, false, nil},
	} {
		var urls []string
		var all []*quoter
		for _, send := range c.nodes {
			q := newQuoter(t)
			if q.send = send; send == nil {
				down(q)
			}
			all, urls = append(all, q), append(urls, q.server.URL)
		}
		b := openBuilder(t, urls...)
		if c.nodes[0] == nil || len(c.nodes) > 1 && c.nodes[1] == nil {
			urls = []string{newQuoter(t).server.URL} // something must tell what to build
		}
		u, err := openBuilder(t, urls...).Build(t.Context(), chain.Draft{Network: regtest, Spend: c.name, Version: 1, Holdings: []chain.Holding{w.holding(1, 50_000)},
			Anchor: w.holding(1, 1).Ticket, Pays: []chain.Pay{{Payout: "p", To: w.address, Amount: btc(50_000)}}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := sign(u, w.key)
		if err != nil {
			t.Fatal(err)
		}
		if c.held {
			all[0].set(func() { all[0].held[s.TxID] = true })
		}
		err = b.Broadcast(t.Context(), s.Raw)
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if errors.Is(err, chain.ErrRejected) && errors.Is(err, chain.ErrUnknown) {
			t.Errorf("%s: both rejected and unknown: %v", c.name, err)
		}
		for i, q := range all {
			if c.nodes[i] != nil && q.calls("sendrawtransaction") != 1 {
				t.Errorf("%s: node %d was sent it %d times", c.name, i, q.calls("sendrawtransaction"))
			}
		}
	}
}

// TestBroadcastToAnotherNetwork: a node of another network gets nothing to see.
func TestBroadcastToAnotherNetwork(t *testing.T) {
	q := newQuoter(t)
	b := openBuilder(t, q.server.URL)
	w := newWallet(t)
	u, err := b.Build(t.Context(), chain.Draft{Network: regtest, Version: 1, Holdings: []chain.Holding{w.holding(1, 50_000)},
		Anchor: w.holding(1, 1).Ticket, Pays: []chain.Pay{{To: w.address, Amount: btc(50_000)}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign(u, w.key)
	if err != nil {
		t.Fatal(err)
	}
	q.set(func() { q.core = "main" })
	if err := openBuilder(t, q.server.URL).Broadcast(t.Context(), s.Raw); !errors.Is(err, chain.ErrUnknown) || !errors.Is(err, chain.ErrNetwork) {
		t.Errorf("another network: %v", err)
	}
	if n := q.calls("sendrawtransaction"); n != 0 {
		t.Errorf("sent %d times", n)
	}
	if err := b.Broadcast(t.Context(), make([]byte, bitcoin.MaxTx+1)); err == nil {
		t.Error("a transaction of any length is sent")
	}
}

// TestNodeThatHangs: it delays the first question, not all of them, and is asked where there is nobody else.
func TestNodeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &http.Client{Transport: hanging{}}
		b, err := bitcoin.OpenBuilder(bitcoin.BuilderOptions{Network: regtest, URLs: []string{"http://hangs:1", "http://answers:1"}, Client: hangs})
		if err != nil {
			t.Fatal(err)
		}
		took := func(want time.Duration, wish error) {
			t.Helper()
			began := time.Now()
			if _, err := b.Fees(t.Context()); !errors.Is(err, wish) || (err == nil) != (wish == nil) {
				t.Errorf("fees: %v", err)
			}
			if got := time.Since(began); got != want {
				t.Errorf("took %s, want %s", got, want)
			}
		}
		took(chain.RPCTimeout, nil)
		took(0, nil)
		time.Sleep(chain.RestFor)
		took(chain.RPCTimeout, nil)
		took(0, nil)
		b, err = bitcoin.OpenBuilder(bitcoin.BuilderOptions{Network: regtest, URLs: []string{"http://hangs:1"}, Client: hangs})
		if err != nil {
			t.Fatal(err)
		}
		took(chain.RPCTimeout, chain.ErrBlind)
		took(chain.RPCTimeout, chain.ErrBlind)
	})
}

// hanging is a network where one node never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() == "hangs" {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	var asked question
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, err
	}
	result := map[string]string{
		"getblockchaininfo": `{"chain":"regtest"}`, "getblockhash": `"` + chaincfg.RegressionNetParams.GenesisHash.String() + `"`,
		"getmempoolinfo": `{"mempoolminfee":0.00001000}`, "getnetworkinfo": `{"relayfee":0.00001000,"incrementalfee":0.00001000}`,
		"estimatesmartfee": `{"feerate":0.00002000}`,
	}[asked.Method]
	body := fmt.Sprintf(`{"result":%s,"error":null,"id":%s}`, result, asked.ID)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}
