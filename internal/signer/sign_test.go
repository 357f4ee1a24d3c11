package signer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

const (
	regtest = money.Network("bitcoin/regtest")
	devnet  = money.Network("ethereum/1337")
	shopBTC = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"                     // P2WPKH
	lateBTC = "bcrt1q5n2k3frgpxces3dsw4qfpqk4kksv0cz96pldxdwxrrw0d5ud5hcqzzx7zt" // P2WSH
	shopETH = "0x71C7656EC7ab88b098defB751B7401B5f6d8976F"
	payer   = "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn" // P2PKH
)

// A house is a signer with a clock, its addresses, and a hand that writes transactions as a builder does.
type house struct {
	t     testing.TB
	o     Options
	s     *Signer
	clock time.Time
	own   map[money.Network]map[string][]chain.Released // by merchant

	hand   hand // s itself, or a client of it
	socket bool
	hangUp func()
}

func sat(n int64) money.Amount { return money.Of(money.BTC, n) }

func gwei(n int64) money.Amount {
	return money.OfBig(money.ETH, new(big.Int).Mul(big.NewInt(n), big.NewInt(1e9)))
}

// A plot is a house without policy and destinations: the files of its signer, and what they released. It is made once.
type plot struct {
	once  sync.Once
	files map[string][]byte
	own   map[money.Network]map[string][]chain.Released
}

var ground plot //nolint:gochecknoglobals // made once for all tests, as it takes some hundred derivations

func (p *plot) make(t testing.TB) {
	t.Helper()
	o, _ := create(t)
	s := open(t, o)
	p.own = map[money.Network]map[string][]chain.Released{}
	for _, n := range []money.Network{regtest, devnet} {
		p.own[n] = map[string][]chain.Released{}
		for branch, m := range []string{"SHOP-A", "SHOP-B"} {
			p.own[n][m] = release(t, s, want(m, uint32(branch+5), n, 60)).Addresses
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p.files = map[string][]byte{}
	for _, name := range []string{seedName, journalName} {
		data, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		p.files[name] = data
	}
}

// newHouse has two merchants with released addresses on both networks, and a destination of the first on each.
func newHouse(t testing.TB, p Policy) *house {
	t.Helper()
	ground.once.Do(func() { ground.make(t) })
	h := &house{t: t, o: options(t.TempDir()), clock: time.UnixMilli(1_800_000_000_000), own: ground.own}
	for name, data := range ground.files {
		if err := os.WriteFile(filepath.Join(h.o.Dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.o.Policy = p
	h.o.Now = func() time.Time { return h.clock }
	h.o.wrap = func(f *os.File) disk { return lazy{f} }
	h.reopen()
	h.register("SHOP-A", regtest, shopBTC)
	h.register("SHOP-A", devnet, shopETH)
	return h
}

func (h *house) reopen() {
	h.t.Helper()
	if h.socket {
		h.hangUp()
		defer h.overSocket()
	}
	if h.s != nil {
		if err := h.s.Close(); err != nil {
			h.t.Fatal(err)
		}
	}
	h.s = open(h.t, h.o)
	h.hand = h.s
}

func (h *house) register(merchant string, n money.Network, to string) chain.Destination {
	h.t.Helper()
	d, err := h.hand.Register(context.Background(), chain.Destination{Merchant: merchant, Network: n, Address: to})
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *house) branch(merchant string) uint32 { return 5 + uint32(strings.Index("AB", merchant[5:])) }

func (h *house) sign(u chain.Unsigned) (chain.Signed, error) {
	return h.hand.Sign(context.Background(), u)
}

func (h *house) must(u chain.Unsigned) chain.Signed {
	h.t.Helper()
	out, err := h.sign(u)
	if err != nil {
		h.t.Fatalf("sign %s/%d: %v", u.Spend, u.Version, err)
	}
	h.verify(u, out)
	return out
}

// spent makes a coin of a merchant's own, of a number that makes it another one.
func (h *house) coin(merchant string, number int, amount int64) chain.Holding {
	a := h.own[regtest][merchant][number%60]
	id := chainhash.HashH([]byte(fmt.Sprint(merchant, number)))
	return chain.Holding{Ticket: chain.Ticket(id.String() + ":" + strconv.Itoa(number%3)), Address: a.Address, Amount: sat(amount),
		Key: chain.Key{Branch: h.branch(merchant), Index: a.Index}}
}

func pay(id string, cause chain.Cause, to string, amount money.Amount) chain.Pay {
	return chain.Pay{Payout: id, Attempt: 1, Cause: cause, To: to, Amount: amount}
}

// btc builds as the builder does: each payout bears an equal part of the fee, and the rest goes back to the first holding.
func (h *house) btc(spend string, version int, fee int64, holdings []chain.Holding, pays ...chain.Pay) chain.Unsigned {
	u := chain.Unsigned{Network: regtest, Spend: spend, Version: version, Merchant: "SHOP-A", Holdings: holdings, Anchor: holdings[0].Ticket, Fee: sat(fee)}
	rest := int64(0)
	for _, c := range holdings {
		rest += c.Amount.Big().Int64()
	}
	for i, p := range pays {
		share := fee / int64(len(pays))
		if i == 0 {
			share += fee % int64(len(pays))
		}
		rest -= p.Amount.Big().Int64()
		p.Net = p.Amount.Sub(sat(share))
		u.Pays = append(u.Pays, p)
	}
	u.Change = sat(rest)
	u.Raw = h.psbt(u)
	return u
}

// psbt writes what u claims.
func (h *house) psbt(u chain.Unsigned) []byte {
	at := mustPlace(h.t, regtest)
	script := func(text string) []byte {
		raw, err := at.receiver(text)
		if err != nil {
			h.t.Fatal(err)
		}
		return raw
	}
	tx := wire.NewMsgTx(2)
	for _, c := range u.Holdings {
		id, vout, _ := strings.Cut(string(c.Ticket), ":")
		hash, err := chainhash.NewHashFromStr(id)
		n, err2 := strconv.Atoi(vout)
		if err := errors.Join(err, err2); err != nil {
			h.t.Fatal(err)
		}
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: *hash, Index: uint32(n)}, Sequence: replaceable})
	}
	first := map[string]*wire.TxOut{}
	for _, p := range u.Pays {
		if out := first[p.To]; out != nil {
			out.Value += p.Net.Big().Int64()
			continue
		}
		first[p.To] = wire.NewTxOut(p.Net.Big().Int64(), script(p.To))
		tx.AddTxOut(first[p.To])
	}
	if !u.Change.IsZero() {
		tx.AddTxOut(wire.NewTxOut(u.Change.Big().Int64(), script(u.Holdings[0].Address)))
	}
	return rawPSBT(h.t, tx, func(i int) coin { return coin{u.Holdings[i].Amount.Big().Int64(), script(u.Holdings[i].Address)} })
}

func rawPSBT(t testing.TB, tx *wire.MsgTx, of func(i int) coin) []byte {
	t.Helper()
	var inner bytes.Buffer
	if err := tx.SerializeNoWitness(&inner); err != nil {
		t.Fatal(err)
	}
	size := func(out []byte, n int) []byte {
		if n < 0xfd {
			return append(out, byte(n))
		}
		return binary.LittleEndian.AppendUint16(append(out, 0xfd), uint16(n))
	}
	out := append(size(append([]byte(psbtMagic), 1, psbtTx), inner.Len()), inner.Bytes()...)
	out = append(out, psbtEnd)
	for i := range tx.TxIn {
		c := of(i)
		utxo := append(size(binary.LittleEndian.AppendUint64(nil, uint64(c.value)), len(c.script)), c.script...)
		out = append(append(size(append(out, 1, psbtWitness), len(utxo)), utxo...), psbtEnd)
	}
	return append(out, make([]byte, len(tx.TxOut))...)
}

// A wei is what the payload of a transfer holds.
type wei struct {
	ChainID, Nonce uint64
	Tip, FeeCap    *big.Int
	Gas            uint64
	To             common.Address
	Value          *big.Int
	Data           []byte
	Access         types.AccessList
}

func (w wei) raw(t testing.TB) []byte {
	t.Helper()
	body, err := rlp.EncodeToBytes(w)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{2}, body...)
}

// eth builds a transfer from an account at a nonce, with 21,000 gas at a price in gwei.
func (h *house) eth(spend string, version int, price int64, account, nonce int, p chain.Pay) chain.Unsigned {
	a := h.own[devnet]["SHOP-A"][account]
	fee := new(big.Int).Mul(gwei(price).Big(), big.NewInt(21_000))
	p.Net = p.Amount.Sub(money.OfBig(money.ETH, fee))
	t := chain.Ticket(a.Address + ":" + strconv.Itoa(nonce))
	return chain.Unsigned{Network: devnet, Spend: spend, Version: version, Merchant: "SHOP-A", Anchor: t, Fee: money.OfBig(money.ETH, fee),
		Holdings: []chain.Holding{{Ticket: t, Address: a.Address, Amount: p.Amount, Key: chain.Key{Branch: 5, Index: a.Index}}},
		Pays:     []chain.Pay{p}, Rate: gwei(price),
		Raw: wei{1337, uint64(nonce), gwei(price).Big(), gwei(price).Big(), 21_000, common.HexToAddress(p.To), p.Net.Big(), nil, nil}.raw(h.t)}
}

// verify looks at a signed transaction with other eyes: btcd's script engine, and go-ethereum's recovery of the sender.
func (h *house) verify(u chain.Unsigned, out chain.Signed) {
	h.t.Helper()
	if u.Network == regtest {
		h.verifyBTC(u, out)
		return
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(out.Raw); err != nil {
		h.t.Fatal(err)
	}
	from, err := types.Sender(types.LatestSignerForChainID(big.NewInt(1337)), tx)
	if err != nil || from.Hex() != u.Holdings[0].Address || tx.Hash().Hex() != out.TxID {
		h.t.Fatalf("sender %s, txid %s, %v", from, tx.Hash(), err)
	}
	if tx.To().Hex() != u.Pays[0].To || tx.Value().Cmp(u.Pays[0].Net.Big()) != 0 || len(tx.Data()) > 0 || tx.Type() != 2 {
		h.t.Fatalf("it sends %s to %s", tx.Value(), tx.To())
	}
}

func (h *house) verifyBTC(u chain.Unsigned, out chain.Signed) {
	h.t.Helper()
	tx := wire.NewMsgTx(2)
	if err := tx.Deserialize(bytes.NewReader(out.Raw)); err != nil || tx.TxID() != out.TxID {
		h.t.Fatalf("%s, %v", tx.TxID(), err)
	}
	coins := map[wire.OutPoint]*wire.TxOut{}
	for i, in := range tx.TxIn {
		script, err := mustPlace(h.t, regtest).receiver(u.Holdings[i].Address)
		if err != nil {
			h.t.Fatal(err)
		}
		coins[in.PreviousOutPoint] = wire.NewTxOut(u.Holdings[i].Amount.Big().Int64(), script)
	}
	fetch := txscript.NewMultiPrevOutFetcher(coins)
	sums := txscript.NewTxSigHashes(tx, fetch)
	for i, in := range tx.TxIn {
		c := coins[in.PreviousOutPoint]
		vm, err := txscript.NewEngine(c.PkScript, tx, i, txscript.StandardVerifyFlags, nil, sums, c.Value, fetch)
		if err == nil {
			err = vm.Execute()
		}
		if err != nil {
			h.t.Fatalf("input %d: %v", i, err)
		}
	}
}

func waits(t testing.TB, err error, until time.Time) {
	t.Helper()
	var w *chain.Wait
	if !errors.As(err, &w) || !w.Until.Equal(until) {
		t.Fatalf("%v, want a wait until %v", err, until)
	}
}

func refused(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, chain.ErrRefused) {
		t.Errorf("%s: %v", what, err)
	}
}

// TestPayoutsToOneReceiver: they come in one output, of just their sum, in its place.
func TestPayoutsToOneReceiver(t *testing.T) {
	h := newHouse(t, DefaultPolicy(false))
	claimed := func(spend string) chain.Unsigned {
		return h.btc(spend, 1, 600, []chain.Holding{h.coin("SHOP-A", len(spend), 300_000)}, pay(spend+"-1", chain.CauseRefund, lateBTC, sat(90_000)),
			pay(spend+"-2", chain.CauseRefund, shopBTC, sat(80_000)), pay(spend+"-3", chain.CauseRefund, lateBTC, sat(70_000)))
	}
	good := claimed("S")
	p, err := readPartial(good.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.tx.TxOut; len(got) != 3 || got[0].Value != 160_000-400 || got[1].Value != 80_000-200 || got[2].Value != 60_000 {
		t.Fatalf("outputs %+v", got)
	}
	for name, alter := range map[string]func(tx *wire.MsgTx){
		"a satoshi more": func(tx *wire.MsgTx) { tx.TxOut[0].Value++; tx.TxOut[2].Value-- },
		"a satoshi less": func(tx *wire.MsgTx) { tx.TxOut[0].Value--; tx.TxOut[2].Value++ },
		"to the other":   func(tx *wire.MsgTx) { tx.TxOut[0].Value--; tx.TxOut[1].Value++ },
		"in two outputs": func(tx *wire.MsgTx) {
			tx.TxOut[0].Value -= 69_800
			tx.AddTxOut(wire.NewTxOut(69_800, tx.TxOut[0].PkScript))
		},
		"in the other order": func(tx *wire.MsgTx) { tx.TxOut[0], tx.TxOut[1] = tx.TxOut[1], tx.TxOut[0] },
	} {
		u := claimed("S" + name)
		p, err := readPartial(u.Raw)
		if err != nil {
			t.Fatal(err)
		}
		alter(p.tx)
		u.Raw = rawPSBT(t, p.tx, func(i int) coin { return p.coins[i] })
		if _, err := h.sign(u); !errors.Is(err, chain.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.must(good)
}

func TestSignBitcoin(t *testing.T) {
	h := newHouse(t, Policy{})
	one := h.btc("S1", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 100_000)}, pay("P1", chain.CauseSettlement, shopBTC, sat(100_000)))
	first := h.must(one)
	if again := h.must(one); !bytes.Equal(again.Raw, first.Raw) || again.TxID != first.TxID {
		t.Fatal("other bytes for the same version")
	}
	h.reopen()
	if again := h.must(one); !bytes.Equal(again.Raw, first.Raw) {
		t.Fatal("other bytes after a restart")
	}
	bump := h.btc("S1", 2, 900, one.Holdings, one.Pays...)
	if second := h.must(bump); second.TxID == first.TxID {
		t.Fatal("a bump changed nothing")
	}
	if again := h.must(one); !bytes.Equal(again.Raw, first.Raw) {
		t.Fatal("other bytes for an older version")
	}
	// Several coins, several payouts, and change.
	var coins []chain.Holding
	for i := range MaxInputs {
		coins = append(coins, h.coin("SHOP-A", 100+i, 50_000+int64(i)))
	}
	var pays []chain.Pay
	for i := range 20 {
		pays = append(pays, pay(fmt.Sprint("B", i), chain.CauseSettlement, shopBTC, sat(60_000+int64(i))))
	}
	h.must(h.btc("S2", 1, 9_000, coins, pays...))
	h.must(h.btc("S3", 1, 300, []chain.Holding{h.coin("SHOP-A", 2, 80_000)}, pay("R1", chain.CauseRefund, lateBTC, sat(30_000))))
	to := h.own[regtest]["SHOP-A"][7]
	gather := pay("G1", chain.CauseGather, to.Address, sat(40_000))
	gather.Own = &chain.Key{Branch: 5, Index: to.Index}
	h.must(h.btc("S4", 1, 300, []chain.Holding{h.coin("SHOP-A", 3, 40_000)}, gather))
}

func TestSignEthereum(t *testing.T) {
	h := newHouse(t, Policy{})
	one := h.eth("S1", 1, 20, 3, 0, pay("P1", chain.CauseSettlement, shopETH, gwei(1e9)))
	first := h.must(one)
	bump := h.eth("S1", 2, 30, 3, 0, one.Pays[0])
	h.must(bump)
	h.reopen()
	if again := h.must(one); !bytes.Equal(again.Raw, first.Raw) {
		t.Fatal("other bytes after a restart")
	}
	next := h.eth("S2", 1, 20, 3, 1, pay("P1", chain.CauseSettlement, shopETH, gwei(1e8)))
	if _, err := h.sign(next); !errors.Is(err, chain.ErrRefused) {
		t.Fatalf("one payout in two spends: %v", err)
	}
	next.Pays[0].Attempt = 2 // it was carried out in vain
	h.must(next)
	next = h.eth("S3", 1, 20, 3, 2, pay("P9", chain.CauseSettlement, shopETH, gwei(1e8)))
	next.Pays[0].Attempt = 2
	if _, err := h.sign(next); !errors.Is(err, chain.ErrRefused) {
		t.Fatalf("a second attempt without a first: %v", err)
	}
	for nonce := range 300 { // signatures of every shape, numbers with leading zeros among them
		h.must(h.eth(fmt.Sprint("N", nonce), 1, 20, 4, nonce, pay(fmt.Sprint("N", nonce), chain.CauseSettlement, shopETH, gwei(1e7+int64(nonce)))))
	}
}
