package signer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/pipe-pg/pipe/internal/chain"
)

// busy is a journal of so many spends, each registered, journaled and signed, in a file.
func busy(t testing.TB, spends int) (path string, records int) {
	t.Helper()
	at := time.UnixMilli(1_800_000_000_000)
	data, err := journalStart(testKeys, at)
	if err != nil {
		t.Fatal(err)
	}
	chained := newLinks(testKeys.journal)
	chained.add(data[:journalHead-macSize])
	add := func(r record) {
		data = append(data, chained.frames(int64(len(data)), at, r)...)
		records++
	}
	add(bind{3, "SHOP-A"})
	raw := make([]byte, 222)
	for n := range spends {
		id := fmt.Sprintf("%064X", n)
		ticket := chain.Ticket(fmt.Sprintf("%064x:%d", n, n%3))
		if n%20 == 0 {
			add(mark{lane{3, regtest}, uint32(n + 20)})
		}
		add(intent{spend: id, version: 1, network: regtest, merchant: "SHOP-A", anchor: ticket, fee: sat(200), uses: []use{{ticket, sat(60_000)}},
			shares: []share{{"P" + id, 1, chain.CauseSettlement, shopBTC, sat(60_000), sat(59_800)}}})
		add(signature{id, 1, id, raw})
	}
	path = filepath.Join(t.TempDir(), journalName)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, records
}

// What a journal of some 100,000 records costs to open, in time and memory.
func BenchmarkOpenJournal(b *testing.B) {
	path, records := busy(b, 49_000)
	for b.Loop() {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		j, torn, err := openJournal(path, f, testKeys, time.Now)
		if err != nil || torn || len(j.book.order) != 49_000 {
			b.Fatal(torn, err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/49_000, "B/spend")
		b.ReportMetric(float64(records), "records")
		b.ReportMetric(float64(j.size)/49_000, "diskB/spend")
		runtime.KeepAlive(j)
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// What a signature costs, two syncs of the journal included.
func BenchmarkSign(b *testing.B) {
	for _, inputs := range []int{1, 50} {
		b.Run(strconv.Itoa(inputs), func(b *testing.B) {
			p := DefaultPolicy(false)
			p.BTC.SettleDay = sat(maxSatoshi)
			h := newHouse(b, p)
			h.o.wrap = nil
			h.reopen()
			n := 0
			for b.Loop() {
				n++
				var coins []chain.Holding
				for i := range inputs {
					coins = append(coins, h.coin("SHOP-A", n*inputs+i, 100_000))
				}
				u := h.btc(fmt.Sprint("S", n), 1, 200*int64(inputs), coins, settle(fmt.Sprint("P", n), 100_000*int64(inputs)))
				if _, err := h.sign(u); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Nothing that signing says, logs or writes holds a private key, in any usual spelling, nor what a key can be made from.
func TestNoKeyInClear(t *testing.T) {
	var said bytes.Buffer
	h := newHouse(t, Policy{})
	h.o.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.reopen()
	h.socket = true
	h.overSocket()
	coin := h.coin("SHOP-A", 1, 1_000_000)
	one := h.btc("S1", 1, 1_000, []chain.Holding{coin}, settle("P1", 400_000))
	two := h.eth("S2", 1, 20, 1, 0, pay("P2", chain.CauseSettlement, shopETH, gwei(1e9)))
	for _, u := range []chain.Unsigned{one, two} {
		out := h.must(u)
		fmt.Fprintf(&said, "%+v %x\n", out, out.Raw)
		for n := range u.Raw { // and whatever errors there are
			bad := u
			bad.Raw = bytes.Clone(u.Raw)
			bad.Raw[n] ^= 0x41
			bad.Spend = "SX"
			_, err := h.sign(bad)
			fmt.Fprintln(&said, err)
		}
	}
	all, err := h.hand.Signed(context.Background(), "", 10)
	fmt.Fprintf(&said, "%+v %v %+v %v %+v\n", all, err, h.s, h.s.keys.branches, h.s.journal)
	journal, err := os.ReadFile(filepath.Join(h.o.Dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	said.Write(journal)

	secrets := map[string][]byte{"seed": slices.Clone(h.s.keys.seed[:32]), "seed's end": slices.Clone(h.s.keys.seed[32:])}
	for _, at := range []struct {
		u chain.Unsigned
		k chain.Key
	}{{one, coin.Key}, {two, two.Holdings[0].Key}} {
		err := h.s.keys.with(mustPlace(t, at.u.Network), at.k, func(key *btcec.PrivateKey) error {
			raw := key.Key.Bytes()
			secrets["key of "+at.u.Spend] = raw[:]
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text := said.Bytes()
	for name, secret := range secrets {
		for _, form := range [][]byte{secret, secret[:16], secret[16:], []byte(hex.EncodeToString(secret[:12])), []byte(strings.ToUpper(hex.EncodeToString(secret[:12]))),
			[]byte(base64.StdEncoding.EncodeToString(secret)[:20]), []byte(strings.Trim(fmt.Sprint(secret[:10]), "[]"))} {
			if bytes.Contains(text, form) {
				t.Errorf("%s was said", name)
			}
		}
	}
	if len(text) < 10_000 {
		t.Errorf("only %d bytes were said", len(text))
	}
}

// The keys are wiped with the signer, and after it nothing is signed.
func TestClosedSignerSignsNothing(t *testing.T) {
	h := newHouse(t, Policy{})
	u := h.btc("S1", 1, 1_000, []chain.Holding{h.coin("SHOP-A", 1, 1_000_000)}, settle("P1", 400_000))
	if err := h.s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, err := h.s.Sign(ctx, u)
	_, err2 := h.s.Register(ctx, chain.Destination{Merchant: "SHOP-A", Network: regtest, Address: shopBTC})
	_, err3 := h.s.Signed(ctx, "", 1)
	for _, err := range []error{err, err2, err3, h.s.Void(ctx, "S1"), h.s.Halt(ctx), h.s.ApprovePayout(ctx, "P1")} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	}
	if h.s.keys.seed != nil {
		t.Error("the seed is still there")
	}
}
