package bitcoin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/devchain/bitcoind"
)

// ask calls a node's RPC.
func ask[T any](t testing.TB, url, method string, params ...any) (result T) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"id": "ask", "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Result T
		Error  json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Error) > 0 && string(answer.Error) != "null" {
		t.Fatalf("%s: %s", method, answer.Error)
	}
	return answer.Result
}

func TestFindCoinsOnRegtest(t *testing.T) { findCoins(t, openDev(t)) }

func TestFindCoinsOnBitcoind(t *testing.T) { findCoins(t, bitcoind.ForTest(t)) }

// findCoins: of thousands of addresses, exactly what is unspent in a block is found.
func findCoins(t *testing.T, c localChain) {
	r, b := open(t, c.URL()), openBuilder(t, c.URL())
	ctx := t.Context()
	mine := account(t)
	all := append(addresses(t, bitcoin.ScanBatch+6), mine.Address)
	want := map[string]int64{} // by address
	paid := map[string]string{}
	pay := func(to string, amount int64) {
		txid, err := c.Pay(ctx, to, amount)
		if err != nil {
			t.Fatal(err)
		}
		paid[to] = txid
	}
	for i, amount := range []int64{70_001, 70_002, 70_003, 70_004, 70_005} { // every kind of address
		pay(all[i], amount)
		want[all[i]] = amount
	}
	pay(all[bitcoin.ScanBatch+1], 80_000) // in the second batch
	want[all[bitcoin.ScanBatch+1]] = 80_000
	pay(mine.Address, 100_000)
	if _, _, err := c.Mine(ctx, 1); err != nil {
		t.Fatal(err)
	}
	found, err := r.FindCoins(ctx, slices.Values([]string{mine.Address}))
	if err != nil || len(found.Coins) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	held := chain.Holding{Ticket: chain.Ticket(found.Coins[0].Ref), Address: mine.Address, Amount: found.Coins[0].Amount}
	u, err := b.Build(ctx, chain.Draft{Network: regtest, Version: 1, Holdings: []chain.Holding{held}, Anchor: held.Ticket,
		Pays: []chain.Pay{{To: all[bitcoin.ScanBatch+2], Amount: btc(60_000)}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := mine.Sign(u)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Broadcast(ctx, s.Raw); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Mine(ctx, 1); err != nil {
		t.Fatal(err)
	}
	want[all[bitcoin.ScanBatch+2]], want[mine.Address] = units(u.Pays[0].Net), units(u.Change)
	reward := all[bitcoin.ScanBatch+3]
	ask[any](t, c.URL(), "generatetoaddress", 1, reward)
	want[reward] = -1   // whatever it is
	pay(all[9], 90_000) // waits in the mempool

	head, err := r.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found, err = r.FindCoins(ctx, slices.Values(append(all, all[0])))
	if err != nil || found.Height != head.Tip.Height || len(found.Coins) != len(want) {
		t.Fatalf("%d coins at %d, %v; want %d at %d", len(found.Coins), found.Height, err, len(want), head.Tip.Height)
	}
	for _, coin := range found.Coins {
		amount, ok := want[coin.To]
		switch {
		case !ok || amount >= 0 && units(coin.Amount) != amount || coin.Height == 0 || coin.Height > head.Tip.Height || !strings.HasPrefix(coin.Ref, coin.TxID+":"):
			t.Errorf("%+v, want %d", coin, amount)
		case coin.To == reward && coin.Spendable != coin.Height+bitcoin.CoinbaseMaturity || coin.To != reward && coin.Spendable != 0:
			t.Errorf("spendable at %d: %+v", coin.Spendable, coin)
		case paid[coin.To] != "" && coin.To != mine.Address && coin.TxID != paid[coin.To]:
			t.Errorf("%+v, paid by %s", coin, paid[coin.To])
		}
		delete(want, coin.To)
	}
	if len(want) != 0 {
		t.Errorf("not found: %v", want)
	}
}

// TestFindCoinsOfANodeThatLies: what was not asked for, or makes no sense, is no coin.
func TestFindCoinsOfANodeThatLies(t *testing.T) {
	q := newQuoter(t)
	r := open(t, q.server.URL)
	w := newWallet(t)
	script := "0014" + strings.Repeat("00", 20)
	good := func(s string) string {
		return `{"success":true,"height":7,"unspents":[` + s + `]}`
	}
	for name, result := range map[string]string{
		"another address":   good(fmt.Sprintf(`{"txid":"%064x","vout":0,"scriptPubKey":%q,"amount":1.00000000,"height":3}`, 5, script)),
		"no script":         good(fmt.Sprintf(`{"txid":"%064x","vout":0,"scriptPubKey":"zz","amount":1.00000000,"height":3}`, 5)),
		"no txid":           good(`{"txid":"x","vout":0,"scriptPubKey":"","amount":1.00000000,"height":3}`),
		"not carried out":   `{"success":false,"height":7,"unspents":[]}`,
		"null":              "null",
		"half of a satoshi": good(fmt.Sprintf(`{"txid":"%064x","vout":0,"scriptPubKey":%q,"amount":0.000000005,"height":3}`, 5, script)),
	} {
		q.lie(func(asked question, a *answer) {
			if asked.Method == "scantxoutset" {
				a.Result = json.RawMessage(result)
				return
			}
			q.answer(asked, a)
		}, nil)
		if s, err := r.FindCoins(t.Context(), slices.Values([]string{w.address})); !errors.Is(err, chain.ErrBlind) || len(s.Coins) != 0 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	for _, none := range [][]string{nil, {"nowhere"}, {strings.ToUpper(w.address)}} {
		if s, err := r.FindCoins(t.Context(), slices.Values(none)); err == nil {
			t.Errorf("addresses %q: %+v", none, s)
		}
	}
}

// TestFindCoinsOfACallerWhoGivesUp: the node is told to stop.
func TestFindCoinsOfACallerWhoGivesUp(t *testing.T) {
	q := newQuoter(t)
	r := open(t, q.server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan bool, 1)
	q.lie(func(asked question, a *answer) {
		switch {
		case asked.Method != "scantxoutset":
			q.answer(asked, a)
		case asked.Params[0] == "abort":
			stopped <- true
			a.Result = []byte("true")
		default:
			cancel()
		}
	}, nil)
	if s, err := r.FindCoins(ctx, slices.Values([]string{newWallet(t).address})); err == nil || len(s.Coins) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	select {
	case <-stopped:
	default:
		t.Error("the node was not told to stop")
	}
}
