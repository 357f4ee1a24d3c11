package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// movement is a line of pipe wallet history.
type movement struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	State string `json:"state"`
	TxID  string `json:"txid"`
}

// history waits until every payout of a merchant is done, mining meanwhile, and tells the transaction of each.
func (h *house) history(merchant string, want int) map[string]string {
	h.t.Helper()
	txids := map[string]string{}
	eventually(h.t, patience, "all payouts done", func() bool {
		for _, coin := range []string{"BTC", "ETH"} {
			h.chains.mine(coin, 2)
		}
		var all []movement
		h.json(&all, "wallet", "history", merchant)
		clear(txids)
		for _, m := range all {
			if m.State == "done" {
				txids[m.ID] = m.TxID
			}
		}
		return len(txids) == want && len(all) == want
	})
	return txids
}

// An older copy of the database comes back beside the newest journal, and nobody says so: nothing is paid twice, no address is given
// twice, coins of the lost history are found and booked. Then the recovery phrase alone finds the same coins without any
// database.
func TestOldDatabaseLosesNothing(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--no-mining")
	h := newHouse(t, d)
	const shop = "https://shop.example"
	m, a := h.open("--url="+shop, "--settle-hold=3s", "--settlement=BTC=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
		"--settlement=ETH=0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076")
	coins := []string{"BTC", "BTC", "ETH"}
	given := map[string]bool{}
	for i, coin := range coins {
		inv := h.sell(m, coin, shop+"/cb", fmt.Sprint("before-", i))
		given[inv.text("deposit_address")] = true
		d.pay(coin, inv.text("deposit_address"), inv.text("coin_amount"))
		d.mine(coin, needs[coin])
		m.await(t, inv.text("invoice_id"), "status", "2")
	}
	h.interrupt(t)
	file := filepath.Join(h.dir, "data", "pipe.db")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h.serve()
	paid := h.history(a.MerchantID, len(coins))
	lost := map[string]string{} // by address
	for i, coin := range []string{"BTC", "ETH"} {
		inv := h.sell(m, coin, shop+"/cb", fmt.Sprint("lost-", i))
		lost[inv.text("deposit_address")] = inv.text("coin_amount")
		given[inv.text("deposit_address")] = true
		d.pay(coin, inv.text("deposit_address"), inv.text("coin_amount"))
	}
	h.interrupt(t)
	for _, side := range []string{"-wal", "-shm"} {
		if err := os.RemoveAll(file + side); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	h.serve()
	again := h.history(a.MerchantID, len(coins))
	for id, txid := range again {
		if paid[id] != txid {
			t.Errorf("payout %s was paid by %s, and after the restore by %s", id, paid[id], txid)
		}
	}
	for i, coin := range []string{"BTC", "ETH", "BTC", "ETH"} {
		if address := h.sell(m, coin, shop+"/cb", fmt.Sprint("after-", i)).text("deposit_address"); given[address] {
			t.Errorf("%s was given twice", address)
		}
	}
	h.auditClean(t)
	if status := h.must("payouts", "status"); !strings.Contains(status, "go on") {
		t.Errorf("payouts status: %s", status)
	}
	h.interrupt(t)
	h.seedAlone(t, lost, given)
}

// seedAlone brings the seed back into an empty directory.
func (h *house) seedAlone(t *testing.T, lost map[string]string, given map[string]bool) {
	phrase := strings.Join(h.words, " ")
	empty := []string{"PIPE_DATA=" + t.TempDir()}
	stdout, stderr, code := run(t, empty, phrase, "pipe", "-c", h.config, "restore", "--from-seed", "--json", "--gap=200", "--branches=2")
	if code != 0 {
		t.Fatalf("restore: %s%s", stdout, stderr)
	}
	var found []struct{ Address, Amount string }
	if err := json.Unmarshal([]byte(stdout), &found); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	there := map[string]string{}
	for _, f := range found {
		there[f.Address] = f.Amount
	}
	for address, amount := range lost {
		if there[address] != amount {
			t.Errorf("restore finds %q at %s, want %s", there[address], address, amount)
		}
	}
	if strings.Contains(stdout+stderr, phrase[:20]) {
		t.Error("restore prints the phrase")
	}
	_, stderr, code = run(t, empty, phrase, "pipe", "-c", h.config, "restore", "--from-seed")
	if code == 0 || !strings.Contains(stderr, "seed") {
		t.Errorf("a second restore over the first: %d %s", code, stderr)
	}
}
