package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

const ours = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

// A desk runs commands as the program does, on a database of its own. Its node cannot be reached.
type desk struct {
	*testing.T
	file string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	for _, v := range os.Environ() {
		if key, _, _ := strings.Cut(v, "="); strings.HasPrefix(key, "PIPE_") {
			t.Setenv(key, "")
			if err := os.Unsetenv(key); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	d := &desk{t, filepath.Join(dir, "pipe.conf")}
	conf := "PIPE_DATA=" + dir + "\nPIPE_PUBLIC_URL=https://pay.example\nPIPE_BITCOIN=regtest\nPIPE_BITCOIN_NODES=http://a:b@127.0.0.1:9\n" +
		"PIPE_ETHEREUM=1337\nPIPE_ETHEREUM_NODES=http://127.0.0.1:9\nPIPE_LOG_LEVEL=error\n"
	if err := os.WriteFile(d.file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	d.run("migrate")
	return d
}

// try runs a command line.
func (d *desk) try(args ...string) (string, error) {
	d.Helper()
	var c commands
	var out bytes.Buffer
	parser, err := kong.New(&c, kong.Name("pipe"), kong.Exit(func(int) { d.Error("the parser ends the program") }))
	if err != nil {
		d.Fatal(err)
	}
	k, err := parser.Parse(args)
	if err != nil {
		return "", err
	}
	err = k.Run(&env{ctx: context.Background(), file: d.file, stdout: &out, stdin: strings.NewReader("")})
	return out.String(), err
}

func (d *desk) run(args ...string) string {
	d.Helper()
	out, err := d.try(args...)
	if err != nil {
		d.Fatalf("pipe %v: %s", args, explain(err))
	}
	return out
}

// json runs a command and reads its answer.
func (d *desk) json(into any, args ...string) {
	d.Helper()
	out := d.run(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		d.Fatalf("pipe %v: %v\n%s", args, err, out)
	}
}

// refused runs a command that must fail and say so.
func (d *desk) refused(says string, args ...string) {
	d.Helper()
	if out, err := d.try(args...); err == nil || !strings.Contains(explain(err), says) {
		d.Errorf("pipe %v: %q %v, want %q", args, out, err, says)
	}
}

// with runs fn on the store.
func (d *desk) with(fn func(tx engine.Tx) error) {
	d.Helper()
	e := env{ctx: context.Background(), file: d.file}
	err := e.withDesk(func(a *app.App) error { return a.Store().Update(e.ctx, fn) })
	if err != nil {
		d.Fatal(err)
	}
}

func TestWalletCommands(t *testing.T) {
	d := newDesk(t)
	var m merchantJSON
	d.json(&m, "merchant", "add", "Shop")
	d.refused("no address is ready", "wallet", "address", string(m.ID), "btc")
	d.refused("nothing to spare", "wallet", "withdraw", string(m.ID), "btc", ours, "all")
	d.refused("DOGE is not served", "wallet", "address", string(m.ID), "DOGE")
	d.refused("no such merchant", "wallet", "balance", strings.Repeat("0", 64))
	const given = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
	d.with(func(tx engine.Tx) error {
		zero, v := money.Zero(money.BTC), money.Of(money.BTC, 70_000_000)
		account := ledger.Wallet(string(m.ID))
		err := tx.AddAddresses([]payment.Address{{Network: "bitcoin/regtest", Address: given, MerchantID: m.ID, State: payment.AddressFree, Balance: zero, Wallet: zero, ReleasedAt: tx.Now()}})
		if err != nil {
			return err
		}
		return tx.Post(ledger.ConfirmDeposit(ledger.Deposit{Network: "bitcoin/regtest", Ref: "a:0", Turn: 1, Account: account, Amount: v}))
	})
	if got := d.run("wallet", "address", strings.ToLower(string(m.ID)), "btc"); got != given+"\n" {
		t.Errorf("address %q", got)
	}
	d.refused("of this payment service", "wallet", "withdraw", string(m.ID), "btc", given, "0.1")
	d.refused("only 0.7 BTC", "wallet", "withdraw", string(m.ID), "btc", ours, "0.8")
	d.refused("address", "wallet", "withdraw", string(m.ID), "btc", "0x71a4A8c7286e048eb2E4dAE3bD8EACe119C56076", "0.1")

	var cost costJSON
	d.json(&cost, "wallet", "withdraw", string(m.ID), "BTC", ours, "all", "--estimate")
	if cost.Amount != "0.7" || cost.Fee != "" {
		t.Errorf("cost %+v", cost)
	}
	var made, second withdrawnJSON
	d.json(&made, "wallet", "withdraw", string(m.ID), "BTC", ours, "0.5")
	if made.Amount != "0.5" || made.State != payment.PayoutWaiting || made.To != ours || made.Kind != "withdrawal" {
		t.Errorf("made %+v", made)
	}
	if out := d.run("wallet", "withdraw", string(m.ID), "btc", ours, "all"); !strings.Contains(out, "0.2 BTC") || !strings.Contains(out, "withdrawal   ") || !strings.Contains(out, "not known") {
		t.Errorf("withdraw: %s", out)
	}
	var all []payoutJSON
	d.json(&all, "wallet", "history", string(m.ID))
	if len(all) != 2 || all[0].Amount != "0.2" || all[1].ID != made.ID {
		t.Fatalf("history %+v", all)
	}
	second.payoutJSON = all[0]
	var page []payoutJSON
	d.json(&page, "wallet", "history", string(m.ID), "--before", string(second.ID), "--limit", "1", "--kind", "withdrawal", "--coin", "btc")
	if len(page) != 1 || page[0].ID != made.ID {
		t.Errorf("page %+v", page)
	}
	d.json(&page, "wallet", "history", string(m.ID), "--kind", "refund,settlement")
	if len(page) != 0 {
		t.Errorf("refunds and settlements %+v", page)
	}
	d.refused("--kind nonsense", "wallet", "history", string(m.ID), "--kind", "nonsense")
	d.refused("--limit 501", "wallet", "history", string(m.ID), "--limit", "501")

	var wallets []walletJSON
	d.json(&wallets, "wallet", "balance", string(m.ID))
	if wallets[0] != (walletJSON{"bitcoin/regtest", "BTC", "0.7", "0", "0", "0.7", given}) || wallets[1] != (walletJSON{"ethereum/1337", "ETH", "0", "0", "0", "0", ""}) {
		t.Errorf("wallets %+v", wallets)
	}
	if out := d.run("wallet", "cancel", string(m.ID), string(second.ID)); !strings.Contains(out, "0.2 BTC are free again") {
		t.Errorf("cancel: %s", out)
	}
	d.refused("cannot be cancelled any more", "wallet", "cancel", string(m.ID), string(second.ID))
	d.refused("no such withdrawal", "wallet", "cancel", string(m.ID), strings.Repeat("0", 64))
	lines := strings.Split(strings.TrimSpace(d.run("wallet", "balance", string(m.ID))), "\n")
	if len(lines) != 3 || !slices.Equal(strings.Fields(lines[1]), []string{"BTC", "0.7", "0.2", "0", "0.5", "bitcoin/regtest", given}) {
		t.Errorf("table %q", lines)
	}
	if out := d.run("wallet", "history", string(m.ID)); !strings.Contains(out, "failed: cancelled by the merchant") || !strings.Contains(out, "waiting ") {
		t.Errorf("history: %s", out)
	}
}

func TestSettleFlags(t *testing.T) {
	d := newDesk(t)
	var m merchantJSON
	d.json(&m, "merchant", "add", "Shop")
	var a appJSON
	d.json(&a, "app", "add", string(m.ID), "--name", "A", "--settle-hold", "48h", "--settle-above", "btc=0.010")
	set := func(args ...string) settleJSON {
		t.Helper()
		var is appJSON
		d.json(&is, append([]string{"app", "set", string(a.ID)}, args...)...)
		return is.Settle
	}
	same := func(is, want settleJSON) {
		t.Helper()
		if is.text() != want.text() || is.Hold != want.Hold || is.Every != want.Every {
			t.Errorf("%+v, want %+v", is, want)
		}
	}
	same(a.Settle, settleJSON{"48h0m0s", "0s", map[money.Currency]string{"BTC": "0.01"}})
	same(set("--settle-every", "6h", "--settle-above", "ETH=1.5"), settleJSON{"48h0m0s", "6h0m0s", map[money.Currency]string{"BTC": "0.01", "ETH": "1.5"}})
	same(set("--settle-above", "BTC=", "--settle-hold", "0s"), settleJSON{"0s", "6h0m0s", map[money.Currency]string{"ETH": "1.5"}})
	same(set("--name", "B"), settleJSON{"0s", "6h0m0s", map[money.Currency]string{"ETH": "1.5"}})
	if out := d.run("app", "list"); !strings.Contains(out, "every 6h0m0s, from 1.5 ETH") {
		t.Errorf("%s", out)
	}
	for _, wrong := range [][2]string{{"--settle-every", "7h"}, {"--settle-every", "-1h"}, {"--settle-hold", "-1s"}, {"--settle-hold", "10000h"}, {"--settle-above", "BTC"},
		{"--settle-above", "KRW=1"}, {"--settle-above", "BTC=-1"}, {"--settle-above", "BTC=1e3"}} {
		if out, err := d.try("app", "set", string(a.ID), wrong[0]+"="+wrong[1]); err == nil {
			t.Errorf("%v was taken: %s", wrong, out)
		}
	}
	same(set(), settleJSON{"0s", "6h0m0s", map[money.Currency]string{"ETH": "1.5"}})
}

// A further key is shown once, and is none that was there.
func TestAddKey(t *testing.T) {
	d := newDesk(t)
	var m merchantJSON
	d.json(&m, "merchant", "add", "Shop")
	var a appJSON
	d.json(&a, "app", "add", string(m.ID), "--name", "A")
	var made map[string]string
	d.json(&made, "app", "add-key", string(a.ID), "--no-refund")
	if !strings.HasPrefix(made["api_key"], engine.KeyTest) || made["api_key"] == a.APIKey {
		t.Errorf("key %v", made)
	}
	d.with(func(tx engine.Tx) error {
		keys, err := tx.Keys(a.ID)
		if len(keys) != 2 || keys[0].NoRefund || !keys[1].NoRefund || !keys[0].ExpiresAt.IsZero() {
			t.Errorf("keys %+v", keys)
		}
		return err
	})
	if out := d.run("app", "add-key", string(a.ID)); !strings.Contains(out, "shown only now") {
		t.Errorf("%s", out)
	}
	d.refused("no such application", "app", "add-key", strings.Repeat("0", 64))
}

// Every hold has its words.
func TestHolds(t *testing.T) {
	for _, h := range []payment.Hold{payment.HoldDepth, payment.HoldTime, payment.HoldThreshold, payment.HoldFee, payment.HoldCeiling, payment.HoldAddress, payment.HoldApproval,
		payment.HoldDelay, payment.HoldRefused, payment.HoldReversed, payment.HoldGather, payment.HoldBusy, payment.HoldHalted, payment.HoldNode, payment.HoldSigner} {
		p := payment.Payout{ID: "P", Kind: payment.RefundShort, Network: "bitcoin/regtest", State: payment.PayoutWaiting, Held: h, CreatedAt: time.Unix(1, 0)}
		v := payoutView(p)
		if words := v.words(); !strings.HasPrefix(words, "waiting: ") || strings.HasSuffix(words, ": "+string(h)) || v.Kind != "refund, short" || v.Amount != "" {
			t.Errorf("%s: %q %+v", h, words, v)
		}
	}
}

// The seed of a signer of its own is made where that signer looks for it, by the same file of settings.
func TestSeedIsMadeWhereTheSignerLooks(t *testing.T) {
	d := newDesk(t)
	dir := filepath.Join(t.TempDir(), "seed")
	f, err := os.OpenFile(d.file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("PIPE_SIGNER_DIR=\"" + dir + "\"\nPIPE_SIGNER_PASSPHRASE=open sesame\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if out := d.run("seed", "create"); !strings.Contains(out, dir) {
		t.Errorf("seed create says\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "seed")); err != nil {
		t.Error(err)
	}
	if out := d.run("signer", "config"); !strings.Contains(out, "PIPE_SIGNER_DIR="+dir) {
		t.Errorf("signer config says\n%s", out)
	}
}
