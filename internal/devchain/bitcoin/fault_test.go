package bitcoin

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// waiting lists the mempool.
func waiting(t *testing.T, c *Chain) []string { return call[[]string](t, c, "getrawmempool") }

func TestEvict(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	gone, stays := pay(t, c, 10_000), pay(t, c, 20_000)
	raw := call[string](t, c, "getrawtransaction", gone)
	if err := c.Evict(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if got := waiting(t, c); !slices.Equal(got, []string{stays}) {
		t.Errorf("waiting %v", got)
	}
	if err := c.Evict(t.Context(), gone); !errors.Is(err, ErrUnknownTx) {
		t.Errorf("evicted twice: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir)
	if got := waiting(t, c); !slices.Equal(got, []string{stays}) {
		t.Errorf("after a restart waiting %v", got)
	}
	mine(t, c, 1)
	if _, _, err := c.Reorg(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if got := blockTxs(t, c, 151); slices.Contains(got, gone) || !slices.Contains(got, stays) {
		t.Errorf("mined %v", got)
	}
	if got := call[string](t, c, "sendrawtransaction", raw); got != gone {
		t.Errorf("sent again: %s", got)
	}
	if got := waiting(t, c); !slices.Equal(got, []string{gone}) {
		t.Errorf("sent again, waiting %v", got)
	}
	mine(t, c, 1)
	if err := c.Evict(t.Context(), gone); !errors.Is(err, ErrUnknownTx) {
		t.Errorf("evicted from a block: %v", err)
	}
}

func TestEvictTakesDependents(t *testing.T) {
	c := open(t, t.TempDir())
	var all []string
	for range 600 { // more than the faucet has coins, so that some spend others' change
		all = append(all, pay(t, c, 90_000_000))
	}
	if err := c.Evict(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	left := waiting(t, c)
	if slices.Contains(left, all[0]) || len(left) >= 600 {
		t.Errorf("%d are left", len(left))
	}
	for _, txid := range left { // none spends what is gone
		tx := call[struct{ Vin []struct{ Txid string } }](t, c, "getrawtransaction", txid, true)
		for _, in := range tx.Vin {
			if in.Txid == all[0] {
				t.Errorf("%s spends what was evicted", txid)
			}
		}
	}
	mine(t, c, 1)
}

func TestFaultsOfSends(t *testing.T) {
	c := open(t, t.TempDir())
	ctx := t.Context()
	next := func() (txid, raw string) {
		txid = pay(t, c, 10_000)
		raw = call[string](t, c, "getrawtransaction", txid)
		if err := c.Evict(ctx, txid); err != nil {
			t.Fatal(err)
		}
		return txid, raw
	}
	if err := c.FailNextSend(ctx, SendLost, SendForgotten, SendRefused); err != nil {
		t.Fatal(err)
	}
	txid, raw := next()
	if _, a := try(t, c, "sendrawtransaction", raw); a.Error == nil || a.Error.Code != codeMisc {
		t.Errorf("lost: %+v", a)
	}
	if !slices.Contains(waiting(t, c), txid) {
		t.Error("lost: it was not taken")
	}
	txid, raw = next()
	if got := call[string](t, c, "sendrawtransaction", raw); got != txid {
		t.Errorf("forgotten: %s", got)
	}
	if slices.Contains(waiting(t, c), txid) {
		t.Error("forgotten: it was kept")
	}
	if _, a := try(t, c, "sendrawtransaction", raw); a.Error == nil || a.Error.Code != codeVerifyRejected {
		t.Errorf("refused: %+v", a)
	}
	if got := call[string](t, c, "sendrawtransaction", raw); got != txid {
		t.Errorf("after the faults: %s", got)
	}
	txid, raw = next()
	if err := c.FailNextSend(ctx, SendCut); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"id": 1, "method": "sendrawtransaction", "params": []string{raw}})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Post(c.URL(), "application/json", strings.NewReader(string(body))); err == nil {
		t.Errorf("cut: HTTP %d", resp.StatusCode)
		resp.Body.Close()
	}
	if !slices.Contains(waiting(t, c), txid) {
		t.Error("cut: it was not taken")
	}
	_, raw = next()
	if err := c.FailSends(ctx, SendRefused); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, a := try(t, c, "sendrawtransaction", raw); a.Error == nil {
			t.Errorf("refused for good: %+v", a)
		}
	}
	if err := c.FailSends(ctx, ""); err != nil {
		t.Fatal(err)
	}
	call[string](t, c, "sendrawtransaction", raw)
	if err := c.FailSends(ctx, "nonsense"); err == nil {
		t.Error("a fault that is none is set")
	}
	if err := c.FailNextSend(ctx, "nonsense"); err == nil {
		t.Error("a fault that is none is set")
	}
	if err := c.FailNextSend(ctx, make([]SendFault, maxFaults+1)...); err == nil {
		t.Error("any number of faults is set")
	}
}
