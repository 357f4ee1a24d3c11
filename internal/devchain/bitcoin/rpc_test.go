package bitcoin

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func TestFields(t *testing.T) {
	c := open(t, t.TempDir())
	txid := pay(t, c, 10_000)
	mine(t, c, 1)
	pending := pay(t, c, 20_000)
	best := call[string](t, c, "getbestblockhash")
	parent := call[string](t, c, "getblockhash", 150)
	raw := call[string](t, c, "getrawtransaction", pending)
	header := "bits chainwork confirmations difficulty hash height mediantime merkleroot nTx nextblockhash nonce previousblockhash target time version versionHex"
	entry := "ancestorcount ancestorsize bip125-replaceable depends descendantcount descendantsize fees height spentby time unbroadcast vsize weight wtxid"
	for _, tc := range []struct {
		method string
		params []any
		want   string
	}{
		{"getblockchaininfo", nil, "bestblockhash bits blocks chain chainwork difficulty headers initialblockdownload mediantime pruned size_on_disk target time verificationprogress warnings"},
		{"getblockheader", []any{parent}, header},
		{"getblock", []any{parent}, header + " size strippedsize tx weight"},
		{"getmempoolentry", []any{pending}, entry},
		{"getmempoolinfo", nil, "bytes fullrbf incrementalrelayfee loaded maxmempool mempoolminfee minrelaytxfee size total_fee unbroadcastcount usage"},
		{"getnetworkinfo", nil, "connections connections_in connections_out incrementalfee localaddresses localrelay localservices localservicesnames networkactive networks protocolversion relayfee subversion timeoffset version warnings"},
		{"getrawtransaction", []any{txid, 1, best}, "blockhash blocktime confirmations hash hex in_active_chain locktime size time txid version vin vout vsize weight"},
		{"getrawtransaction", []any{pending, true}, "hash hex locktime size txid version vin vout vsize weight"},
		{"getrawmempool", []any{false, true}, "mempool_sequence txids"},
		{"getrawmempool", []any{true}, pending},
		{"gettxout", []any{txid, 0}, "bestblock coinbase confirmations scriptPubKey value"},
		{"estimatesmartfee", []any{2}, "blocks feerate"},
		{"getindexinfo", nil, ""},
		{"generateblock", []any{payee, []string{raw}, false}, "hash hex"},
	} {
		got := slices.Sorted(maps.Keys(call[map[string]any](t, c, tc.method, tc.params...)))
		want := strings.Fields(tc.want)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s%v: %v, want %v", tc.method, tc.params, got, want)
		}
	}
	if got := len(call[string](t, c, "getblockheader", best, false)); got != 160 {
		t.Errorf("raw header has %d digits", got)
	}
	block, err := hex.DecodeString(call[string](t, c, "getblock", best, 0))
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := btcutil.NewBlockFromBytes(block)
	if err != nil || decoded.Hash().String() != best || len(decoded.Transactions()) != 2 {
		t.Errorf("raw block: %v", err)
	}
	full := call[struct{ Tx []map[string]any }](t, c, "getblock", best, 2)
	if full.Tx[1]["txid"] != txid {
		t.Errorf("verbose block: %v", full.Tx[1])
	}
}

func TestAmountsAreExact(t *testing.T) {
	c := open(t, t.TempDir())
	_, a := try(t, c, "getmempoolinfo")
	if !strings.Contains(string(a.Result), `"mempoolminfee":0.00001000`) {
		t.Errorf("mempoolminfee in %s", a.Result)
	}
	txid := pay(t, c, 1_999_999_999)
	_, a = try(t, c, "gettxout", txid, 0)
	if !strings.Contains(string(a.Result), `"value":19.99999999`) {
		t.Errorf("value in %s", a.Result)
	}
}

func TestEstimate(t *testing.T) {
	c := open(t, t.TempDir())
	c.SetFeeRate(12_345)
	if got := call[map[string]any](t, c, "estimatesmartfee", 1); got["feerate"] != 0.00012345 || got["blocks"] != 2.0 {
		t.Errorf("estimate %v", got)
	}
	c.SetFeeRate(0)
	if got := call[map[string]any](t, c, "estimatesmartfee", 6); got["errors"] == nil || got["feerate"] != nil {
		t.Errorf("no estimate: %v", got)
	}
}

func TestErrors(t *testing.T) {
	c := open(t, t.TempDir())
	txid := pay(t, c, 10_000)
	raw := call[string](t, c, "getrawtransaction", txid)
	height, _ := mine(t, c, 1)
	none := strings.Repeat("0", 63) + "1"
	genesis := call[string](t, c, "getblockhash", 0)
	tx := edit(t, raw, func(tx *wire.MsgTx) { tx.TxIn[0].PreviousOutPoint.Index = 5000 })
	for _, tc := range []struct {
		method string
		params []any
		status int
		code   int
		text   string
	}{
		{"getblockhash", []any{height + 1}, 500, -8, "Block height out of range"},
		{"getblockhash", []any{-1}, 500, -8, "Block height out of range"},
		{"getblockhash", []any{"1"}, 500, -3, "Wrong type passed:\n{\n    \"Position 1 (height)\": \"JSON value of type string is not of expected type number\"\n}"},
		{"getblockhash", nil, 500, -1, ""},
		{"getblockhash", []any{1, 2}, 500, -1, ""},
		{"getblockheader", []any{none}, 500, -5, "Block not found"},
		{"getblockheader", []any{"abc"}, 500, -8, "hash must be of length 64 (not 3, for 'abc')"},
		{"getblockheader", []any{strings.Repeat("z", 64)}, 500, -8, "hash must be hexadecimal string (not '" + strings.Repeat("z", 64) + "')"},
		{"getblock", []any{none}, 500, -5, "Block not found"},
		{"getmempoolentry", []any{txid}, 500, -5, "Transaction not in mempool"},
		{"getrawtransaction", []any{txid}, 500, -5, "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries. Use gettransaction for wallet transactions."},
		{"getrawtransaction", []any{txid, true, none}, 500, -5, "Block hash not found"},
		{"getrawtransaction", []any{txid, true, genesis}, 500, -5, "No such transaction found in the provided block. Use gettransaction for wallet transactions."},
		{"getrawmempool", []any{true, true}, 500, -8, "Verbose results cannot contain mempool sequence values."},
		{"estimatesmartfee", []any{0}, 500, -8, "Invalid conf_target, must be between 1 and 1008"},
		{"sendrawtransaction", []any{"00"}, 500, -22, "TX decode failed. Make sure the tx has at least one input."},
		{"sendrawtransaction", []any{"zz"}, 500, -22, "TX decode failed. Make sure the tx has at least one input."},
		{"sendrawtransaction", []any{raw}, 500, -27, "Transaction outputs already in utxo set"},
		{"sendrawtransaction", []any{tx}, 500, -25, "bad-txns-inputs-missingorspent"},
		{"generatetoaddress", []any{1, mainnet}, 500, -5, "Error: Invalid address"},
		{"invalidateblock", []any{none}, 500, -5, "Block not found"},
		{"submitblock", []any{"00"}, 500, -22, "Block decode failed"},
		{"getblocktemplate", nil, 404, -32601, "Method not found"},
		{"stop", nil, 404, -32601, "Method not found"},
		{"getwalletinfo", nil, 404, -32601, "Method not found"},
	} {
		status, a := try(t, c, tc.method, tc.params...)
		if status != tc.status || a.Error == nil || a.Error.Code != tc.code || tc.text != "" && a.Error.Message != tc.text || string(a.Result) != "null" {
			t.Errorf("%s%v: %d %v %s", tc.method, tc.params, status, a.Error, a.Result)
		}
	}
}

func edit(t *testing.T, raw string, change func(*wire.MsgTx)) string {
	t.Helper()
	tx, ok := decodeTx(raw)
	if !ok {
		t.Fatalf("%s is no transaction", raw)
	}
	change(tx.MsgTx())
	return txHex(tx.MsgTx())
}

// faucetTx signs a transaction of one faucet coin without sending it.
func faucetTx(t *testing.T, c *Chain, nth int, sequence uint32, outs ...*wire.TxOut) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	coins := c.spendable()
	slices.SortFunc(coins, func(a, b coin) int { return strings.Compare(a.point.String(), b.point.String()) })
	coins = slices.DeleteFunc(coins, func(one coin) bool { return one.value != 1e8 })
	tx, err := c.faucet.signWith(coins[nth:nth+1], outs, sequence)
	if err != nil {
		t.Fatal(err)
	}
	return txHex(tx.MsgTx())
}

func TestSendRefusals(t *testing.T) {
	c := open(t, t.TempDir())
	script, err := c.script(payee)
	if err != nil {
		t.Fatal(err)
	}
	out := func(sats int64) *wire.TxOut { return wire.NewTxOut(sats, script) }
	const final, replaceable = wire.MaxTxInSequenceNum, wire.MaxTxInSequenceNum - 2
	fixed, open := faucetTx(t, c, 0, final, out(99_990_000)), faucetTx(t, c, 1, replaceable, out(99_990_000))
	conflict, low, high := faucetTx(t, c, 0, final, out(99_900_000)), faucetTx(t, c, 1, replaceable, out(99_989_990)), faucetTx(t, c, 1, replaceable, out(99_900_000))
	burn := wire.NewTxOut(1_000, []byte{0x6a, 1, 1})
	for _, tc := range []struct {
		name   string
		raw    string
		code   int
		reason string // of testmempoolaccept; empty: allowed
		text   string // of sendrawtransaction
	}{
		{"final", fixed, 0, "", ""},
		{"the same again", fixed, 0, "txn-already-in-mempool", ""},
		{"conflict with a final one", conflict, -26, "txn-mempool-conflict", "txn-mempool-conflict"},
		{"replaceable", open, 0, "", ""},
		{"replacement below the increment", low, -26, "insufficient fee", "insufficient fee"},
		{"replacement", high, 0, "", ""},
		{"no fee", faucetTx(t, c, 2, final, out(1e8)), -26, "min relay fee not met", "min relay fee not met"},
		{"more out than in", faucetTx(t, c, 2, final, out(2e8)), -26, "bad-txns-in-belowout", "bad-txns-in-belowout"},
		{"dust", faucetTx(t, c, 2, final, out(293), out(99_990_000)), -26, "dust", "dust"},
		{"not dust", faucetTx(t, c, 2, final, out(294), out(99_990_000)), 0, "", ""},
		{"absurd fee", faucetTx(t, c, 3, final, out(50_000_000)), -25, "max-fee-exceeded", "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"},
		{"bad signature", edit(t, faucetTx(t, c, 3, final, out(99_990_000)), func(tx *wire.MsgTx) { tx.TxOut[0].Value-- }),
			-26, "mandatory-script-verify-flag-failed", "mandatory-script-verify-flag-failed"},
		{"burn", faucetTx(t, c, 3, final, out(99_990_000), burn), -25, "", "Unspendable output exceeds maximum configured by user (maxburnamount)"},
	} {
		verdict := call[[]map[string]any](t, c, "testmempoolaccept", []string{tc.raw})[0]
		if reason, _ := verdict["reject-reason"].(string); reason != tc.reason || verdict["allowed"] != (tc.reason == "") {
			t.Errorf("%s: verdict %v, want %q", tc.name, verdict, tc.reason)
		}
		_, a := try(t, c, "sendrawtransaction", tc.raw)
		if tc.code == 0 {
			if a.Error != nil {
				t.Errorf("%s: %v", tc.name, a.Error)
			}
			continue
		}
		if a.Error == nil || a.Error.Code != tc.code || !strings.HasPrefix(a.Error.Message, tc.text) {
			t.Errorf("%s: %v, want %d %s", tc.name, a.Error, tc.code, tc.text)
		}
	}
	if got := len(look(t, c).Mempool); got != 3 {
		t.Errorf("mempool holds %d", got)
	}
	mine(t, c, 1)
	if verdict := call[[]map[string]any](t, c, "testmempoolaccept", []string{fixed})[0]; verdict["reject-reason"] != "txn-already-known" {
		t.Errorf("mined: %v", verdict)
	}
}

func TestBatchAndForms(t *testing.T) {
	c := open(t, t.TempDir())
	status, body := post(t, c.URL(), `[{"id":1,"method":"getblockcount"},{"id":"two","method":"nope"},{"jsonrpc":"2.0","id":3,"method":"getblockhash","params":{"height":0}},7]`)
	var answers []answer
	if err := json.Unmarshal(body, &answers); err != nil || status != 200 || len(answers) != 4 {
		t.Fatalf("%d %s", status, body)
	}
	if string(answers[0].Result) != "150" || string(answers[1].ID) != `"two"` || answers[1].Error.Code != -32601 || answers[3].Error.Code != -32600 {
		t.Errorf("batch %s", body)
	}
	if strings.Contains(string(body), `"id":3,"error"`) || answers[2].Error != nil {
		t.Errorf("2.0 answer in %s", body)
	}
	for _, tc := range []struct {
		body   string
		status int
		want   string
	}{
		{`[]`, 200, `[]`},
		{`{"id":1,"method":"getblockcount","params":[]}`, 200, `{"result":150,"error":null,"id":1}`},
		{`{"jsonrpc":"2.0","id":1,"method":"getblockcount"}`, 200, `{"jsonrpc":"2.0","result":150,"id":1}`},
		{`{"jsonrpc":"2.0","id":1,"method":"nope"}`, 200, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}`},
		{`{"id":1,"method":"nope"}`, 404, `{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":1}`},
		{`{"id":1}`, 400, `{"result":null,"error":{"code":-32600,"message":"Missing method"},"id":1}`},
		{`{`, 500, `{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}`},
		{``, 500, `{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}`},
		{`{"id":1,"method":"getblockhash","params":{"heigth":0}}`, 500, `{"result":null,"error":{"code":-8,"message":"Unknown named parameter heigth"},"id":1}`},
	} {
		status, body := post(t, c.URL(), tc.body)
		if got := strings.TrimSpace(string(body)); status != tc.status || got != tc.want {
			t.Errorf("%s: %d %s, want %d %s", tc.body, status, got, tc.status, tc.want)
		}
	}
	resp, err := http.Get(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", resp.StatusCode)
	}
}

func TestSubmitBlockFork(t *testing.T) {
	c, other := open(t, t.TempDir()), t.TempDir()
	// A second chain with the same past mines a longer branch; submitting it block by block reorganises the first.
	copyJournal(t, c, other)
	d := open(t, other)
	fork, _ := c.Height()
	mine(t, c, 1)
	txid := pay(t, d, 10_000)
	mine(t, d, 2)
	for i := int64(1); i <= 2; i++ {
		raw := call[string](t, d, "getblock", call[string](t, d, "getblockhash", fork+i), 0)
		_, a := try(t, c, "submitblock", raw)
		want := `"inconclusive"`
		if i == 2 {
			want = "null"
		}
		if a.Error != nil || string(a.Result) != want {
			t.Errorf("block %d: %s %v, want %s", i, a.Result, a.Error, want)
		}
		if _, a := try(t, c, "submitblock", raw); string(a.Result) != `"duplicate"` {
			t.Errorf("block %d again: %s", i, a.Result)
		}
	}
	if a, b := look(t, c), look(t, d); !equal(a, b) {
		t.Errorf("tips differ: %v %v", a, b)
	}
	if got := call[map[string]any](t, c, "gettxout", txid, 0)["confirmations"]; got != 2.0 {
		t.Errorf("confirmations %v", got)
	}
	mine(t, d, 2)
	tip := call[string](t, d, "getblock", call[string](t, d, "getbestblockhash"), 0)
	if _, a := try(t, c, "submitblock", tip); string(a.Result) != `"prev-blk-not-found"` {
		t.Errorf("orphan: %s", a.Result)
	}
	bad := call[string](t, d, "getblock", call[string](t, d, "getblockhash", fork+3), 0)
	if _, a := try(t, c, "submitblock", bad[:72]+"00"+bad[74:]); string(a.Result) == "null" {
		t.Errorf("bad merkle root was accepted: %s", a.Result)
	}
	if got := fmt.Sprint(look(t, c).Height); got != fmt.Sprint(fork+2) {
		t.Errorf("height %s", got)
	}
}
