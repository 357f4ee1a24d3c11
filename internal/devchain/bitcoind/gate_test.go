package bitcoind

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
)

// gated asks a node through its gate.
type gated struct {
	*Node
	gate *Gate
}

func (g gated) URL() string { return g.gate.URL() }

func TestGate(t *testing.T) {
	n := ForTest(t)
	gate, err := n.OpenGate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Errorf("close gate: %v", err)
		}
	})
	ctx, through := t.Context(), gated{n, gate}
	next := func() (txid, raw string) {
		txid = pay(t, n, 10_000)
		raw = call[string](t, n, "getrawtransaction", txid)
		if err := n.Evict(ctx, txid); err != nil {
			t.Fatal(err)
		}
		return txid, raw
	}
	if got, want := call[string](t, through, "getbestblockhash"), call[string](t, n, "getbestblockhash"); got != want {
		t.Errorf("through the gate the tip is %s, not %s", got, want)
	}
	if a := try(t, through, "getblockhash", -1); a.Error == nil || a.Error.Code != codeInvalidParam || a.status != 500 {
		t.Errorf("a refusal of the node's own: %+v", a)
	}
	txid, raw := next()
	if err := gate.FailNextSend(ctx, bitcoin.SendRefused, bitcoin.SendForgotten, bitcoin.SendLost); err != nil {
		t.Fatal(err)
	}
	if a := try(t, through, "sendrawtransaction", raw); a.Error == nil || a.Error.Code != codeTxRejected {
		t.Errorf("refused: %+v", a)
	}
	if got := call[string](t, through, "sendrawtransaction", raw); got != txid || len(mempool(t, n)) != 0 {
		t.Errorf("forgotten: %s, mempool %v", got, mempool(t, n))
	}
	if a := try(t, through, "sendrawtransaction", raw); a.Error == nil || a.Error.Code != codeMisc || !slices.Equal(mempool(t, n), []string{txid}) {
		t.Errorf("lost: %+v, mempool %v", a, mempool(t, n))
	}
	gate.SetFeeRate(123_456)
	if got := call[map[string]any](t, through, "estimatesmartfee", 3, "CONSERVATIVE"); got["feerate"] != 0.00123456 {
		t.Errorf("estimate %v", got)
	}
	if err := n.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Post(gate.URL(), "application/json", strings.NewReader(`{"id":1,"method":"getbestblockhash","params":[]}`)); err == nil {
		t.Errorf("a node that is down answers HTTP %d", resp.StatusCode)
		resp.Body.Close()
	}
	if err := n.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	call[string](t, through, "getbestblockhash")
}
