package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// What the test run tries; a release run says more in PIPE_EVIL_REQUESTS and PIPE_EVIL_SCHEDULES.
const (
	evilRequests  = 5_000
	evilSchedules = 200
)

func countOf(t *testing.T, key string, otherwise int) int {
	t.Helper()
	text := os.Getenv(key)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A witness reads every signed transaction with eyes of its own, and knows what may leave to whom. It has no part in the
// policy: where coins went is read from the signed bytes, whose coins they were from a table of all keys.
type witness struct {
	t      *testing.T
	policy Policy
	owner  map[string]string // own script or account → merchant
	known  map[string]time.Time
	worth  map[string]int64 // outpoint → satoshi, in truth
	left   []leaving
	asked  map[string]time.Time // spend → first request
}

// A leaving is what one spend's versions send to strangers at most.
type leaving struct {
	spend    string
	merchant string
	network  money.Network
	at       time.Time
	amount   *big.Int
}

func newWitness(t *testing.T, h *house) *witness {
	w := &witness{t: t, policy: h.s.policy, owner: map[string]string{}, known: map[string]time.Time{}, worth: map[string]int64{},
		asked: map[string]time.Time{}}
	for n, shops := range h.own {
		for m, all := range shops {
			for _, a := range all {
				w.owner[string(n)+w.raw(n, a.Address)] = m
			}
		}
	}
	return w
}

func (w *witness) raw(n money.Network, text string) string {
	raw, err := mustPlace(w.t, n).receiver(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

// destination notes that an address may be paid to from a time on.
func (w *witness) destination(merchant string, n money.Network, text string, from time.Time) {
	w.known[merchant+string(n)+w.raw(n, text)] = from
}

// saw judges one answer. now is the signer's clock.
func (w *witness) saw(u chain.Unsigned, out chain.Signed, now time.Time) {
	w.t.Helper()
	type gone struct {
		to    string
		value *big.Int
	}
	var merchant string
	var outs []gone
	fee := new(big.Int)
	if u.Network == regtest {
		tx := wire.NewMsgTx(2)
		if err := tx.Deserialize(bytes.NewReader(out.Raw)); err != nil {
			w.t.Fatal(err)
		}
		for _, in := range tx.TxIn {
			script := string(p2wpkh(in.Witness[1]))
			who := w.owner[string(regtest)+script]
			if who == "" || merchant != "" && who != merchant {
				w.t.Fatalf("spend %s mixes coins of %q and %q", u.Spend, merchant, who)
			}
			merchant = who
			fee.Add(fee, big.NewInt(w.worth[in.PreviousOutPoint.Hash.String()+":"+fmt.Sprint(in.PreviousOutPoint.Index)]))
		}
		for _, o := range tx.TxOut {
			outs = append(outs, gone{string(o.PkScript), big.NewInt(o.Value)})
			fee.Sub(fee, big.NewInt(o.Value))
		}
	} else {
		tx := new(types.Transaction)
		if err := tx.UnmarshalBinary(out.Raw); err != nil {
			w.t.Fatal(err)
		}
		from, err := types.Sender(types.LatestSignerForChainID(big.NewInt(1337)), tx)
		if err != nil || len(tx.Data()) > 0 || tx.To() == nil || tx.Type() != types.DynamicFeeTxType {
			w.t.Fatalf("spend %s is no plain transfer: %v", u.Spend, err)
		}
		merchant = w.owner[string(devnet)+string(from.Bytes())]
		outs = append(outs, gone{string(tx.To().Bytes()), tx.Value()})
		fee.Mul(tx.GasFeeCap(), new(big.Int).SetUint64(tx.Gas()))
	}
	caps := w.policy.caps(u.Network)
	if merchant == "" || fee.Sign() < 0 || fee.Cmp(caps.Fee.Big()) > 0 {
		w.t.Fatalf("spend %s of %q gives %s to the miner", u.Spend, merchant, fee)
	}
	strange := new(big.Int)
	for _, o := range outs {
		from, known := w.known[merchant+string(u.Network)+o.to]
		switch {
		case w.owner[string(u.Network)+o.to] == merchant:
		case known && !from.After(now):
		default:
			strange.Add(strange, o.value)
		}
	}
	w.count(leaving{u.Spend, merchant, u.Network, now, strange})
}

// count holds what went to strangers against the caps. Versions of a spend count once, as the largest of them.
func (w *witness) count(l leaving) {
	w.t.Helper()
	if l.amount.Sign() == 0 {
		return
	}
	at := slices.IndexFunc(w.left, func(o leaving) bool { return o.spend == l.spend })
	if at >= 0 {
		if w.left[at].amount.Cmp(l.amount) < 0 {
			w.left[at].amount = l.amount
		}
		return
	}
	w.left = append(w.left, l)
	caps := w.policy.caps(l.network)
	mine, all := new(big.Int), new(big.Int)
	for _, o := range w.left {
		if o.network != l.network || l.at.Sub(o.at) >= 24*time.Hour {
			continue
		}
		all.Add(all, o.amount)
		if o.merchant == l.merchant {
			mine.Add(mine, o.amount)
		}
	}
	delay := l.at.Sub(w.asked[l.spend])
	if l.amount.Cmp(caps.Refund.Big()) > 0 || mine.Cmp(caps.RefundDay.Big()) > 0 || all.Cmp(caps.RefundAll.Big()) > 0 {
		w.t.Fatalf("spend %s sends %s to strangers: %s of the merchant today, %s of all", l.spend, l.amount, mine, all)
	}
	if mine.Cmp(caps.RefundFree.Big()) > 0 && delay < w.policy.RefundDelay {
		w.t.Fatalf("spend %s sends %s to strangers %s after it asked first, with %s today", l.spend, l.amount, delay, mine)
	}
}

func p2wpkh(key []byte) []byte {
	return append([]byte{0, 20}, address.Hash160(key)...)
}

// Mutated requests: whatever is done to a proper one, it is refused or does nothing that the policy forbids.
func TestMutatedRequests(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	total, signed := countOf(t, "PIPE_EVIL_REQUESTS", evilRequests), 0
	for done := 0; done < total; {
		h := newHouse(t, DefaultPolicy(false))
		w := newWitness(t, h)
		w.destination("SHOP-A", regtest, shopBTC, h.clock)
		w.destination("SHOP-A", devnet, shopETH, h.clock)
		e := &evil{t: t, h: h, w: w, r: r}
		for range min(500, total-done) {
			u := e.proper()
			for range 1 + r.IntN(3) {
				u = e.mutate(u)
			}
			if e.try(u) {
				signed++
			}
			done++
		}
	}
	t.Logf("%d requests, %d signed", total, signed)
	if signed == 0 || signed > total*9/10 {
		t.Errorf("%d of %d were signed: the mutations say nothing", signed, total)
	}
}

// Schedules of an attacker who owns the gateway's host and database and the signer's socket, for days: no coin goes to a
// stranger but as refunds within the caps and after their delay. Nobody vetoes anything, as nobody looks.
func TestEvilGateway(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	total := countOf(t, "PIPE_EVIL_SCHEDULES", evilSchedules)
	signed, strange := 0, 0
	for n := range total {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		h := newHouse(t, DefaultPolicy(true))
		for _, d := range []struct {
			n  money.Network
			to string
		}{{regtest, shopBTC}, {devnet, shopETH}} {
			if _, err := h.s.Approve(context.Background(), "SHOP-A", d.n, d.to); err != nil {
				t.Fatal(err)
			}
		}
		h.socket = true
		h.overSocket()
		w := newWitness(t, h)
		w.destination("SHOP-A", regtest, shopBTC, h.clock.Add(24*time.Hour))
		w.destination("SHOP-A", devnet, shopETH, h.clock.Add(24*time.Hour))
		e := &evil{t: t, h: h, w: w, r: r}
		for range 30 + r.IntN(30) {
			signed += e.act()
		}
		strange += len(w.left)
		h.hangUp()
		if err := h.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d schedules, %d signed, %d spends to strangers within the caps", total, signed, strange)
	if signed == 0 || strange == 0 {
		t.Error("the attacker got nothing at all signed: this shows nothing")
	}
}

// evil is the attacker. He knows everything but the keys.
type evil struct {
	t     *testing.T
	h     *house
	w     *witness
	r     *rand.Rand
	n     int
	known []chain.Unsigned // what he asked before
}

var thieves = []string{payer, lateBTC} //nolint:gochecknoglobals // a table of a test

const thiefETH = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"

// act does one thing of many, and tells whether something was signed.
func (e *evil) act() int {
	ctx := context.Background()
	switch e.r.IntN(12) {
	case 0:
		e.h.clock = e.h.clock.Add(time.Duration(e.r.IntN(180)) * time.Minute)
	case 1:
		e.h.clock = e.h.clock.Add(time.Duration(e.r.IntN(40)) * time.Hour)
	case 2: // his own address, for everybody
		d := chain.Destination{Merchant: pick(e.r, "SHOP-A", "SHOP-B", "EVIL"), Network: regtest, Address: pick(e.r, thieves...), From: e.h.clock.Add(-time.Hour)}
		if e.r.IntN(2) == 0 {
			d.Network, d.Address = devnet, thiefETH
		}
		if _, err := e.h.hand.Register(ctx, d); err != nil && !errors.Is(err, ErrBinding) {
			e.t.Fatal(err)
		}
	case 3: // another merchant for a branch
		if _, err := e.h.hand.Release(ctx, chain.Want{Merchant: "EVIL", Branch: uint32(5 + e.r.IntN(3)), Network: regtest, Count: 1}); err != nil && !errors.Is(err, ErrBinding) {
			e.t.Fatal(err)
		}
	case 4:
		if len(e.known) > 0 {
			if err := e.h.hand.Void(ctx, e.known[e.r.IntN(len(e.known))].Spend); err != nil && !errors.Is(err, chain.ErrRefused) {
				e.t.Fatal(err)
			}
		}
	case 5, 6, 7: // the same again, or something near
		if len(e.known) > 0 {
			u := e.known[e.r.IntN(len(e.known))]
			if e.r.IntN(2) == 0 {
				u = e.mutate(u)
			}
			return oneIf(e.try(u))
		}
	default:
		u := e.proper()
		for range e.r.IntN(2) {
			u = e.mutate(u)
		}
		return oneIf(e.try(u))
	}
	return 0
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// try asks, and lets the witness judge what was signed.
func (e *evil) try(u chain.Unsigned) bool {
	e.known = append(e.known, u)
	if _, there := e.w.asked[u.Spend]; !there {
		e.w.asked[u.Spend] = e.h.clock
	}
	out, err := e.h.sign(u)
	if err == nil {
		e.w.saw(u, out, e.h.clock)
		return true
	}
	if !errors.Is(err, chain.ErrRefused) && !errors.As(err, new(*chain.Wait)) {
		e.t.Fatalf("neither signed nor refused: %v", err)
	}
	return false
}

// proper makes a request of a proper form: of any cause, to anybody, of an amount from dust to a fortune.
func (e *evil) proper() chain.Unsigned {
	e.n++
	h, r := e.h, e.r
	id := fmt.Sprint("P", e.n)
	cause := pick(r, chain.CauseSettlement, chain.CauseRefund, chain.CauseRefund, chain.CauseWithdrawal, chain.CauseGather)
	if r.IntN(2) == 0 {
		to := pick(r, shopETH, thiefETH, h.own[devnet]["SHOP-A"][1].Address)
		amount := gwei(int64(1e6) << r.IntN(14))
		p := pay(id, cause, to, amount)
		if cause == chain.CauseGather {
			p.Own = &chain.Key{Branch: 5, Index: 1}
		}
		return h.eth("S"+id, 1, int64(1+r.IntN(40)), r.IntN(60), e.n, p)
	}
	amount := int64(2_000) << r.IntN(16)
	to := pick(r, shopBTC, pick(r, thieves...), h.own[regtest]["SHOP-A"][1].Address)
	p := pay(id, cause, to, sat(amount))
	if cause == chain.CauseGather {
		p.Own = &chain.Key{Branch: 5, Index: 1}
	}
	c := h.coin("SHOP-A", e.n, amount+int64(r.IntN(2))*50_000)
	e.w.worth[string(c.Ticket)] = c.Amount.Big().Int64()
	return h.btc("S"+id, 1, int64(100+r.IntN(900)), []chain.Holding{c}, p)
}

// mutate changes one thing, in the claims, in the bytes, or in both alike.
func (e *evil) mutate(u chain.Unsigned) chain.Unsigned {
	r := e.r
	u.Raw, u.Pays, u.Holdings = bytes.Clone(u.Raw), slices.Clone(u.Pays), slices.Clone(u.Holdings)
	if len(u.Raw) == 0 || len(u.Pays) == 0 || len(u.Holdings) == 0 {
		return u
	}
	p, c := &u.Pays[r.IntN(len(u.Pays))], &u.Holdings[r.IntN(len(u.Holdings))]
	switch r.IntN(22) {
	case 0:
		u.Raw[r.IntN(len(u.Raw))] ^= byte(1 << r.IntN(8))
	case 1:
		u.Raw = u.Raw[:r.IntN(len(u.Raw))]
	case 2:
		at := r.IntN(len(u.Raw))
		u.Raw = slices.Insert(u.Raw, at, byte(r.IntN(256)))
	case 3:
		p.To = pick(r, payer, lateBTC, shopBTC, shopETH, thiefETH)
	case 4:
		p.Cause = pick(r, chain.CauseSettlement, chain.CauseRefund, chain.CauseWithdrawal, chain.CauseGather)
	case 5:
		p.Amount = money.OfBig(p.Amount.Currency(), new(big.Int).Rsh(p.Amount.Big(), uint(r.IntN(8))))
	case 6:
		p.Amount = p.Amount.Add(p.Amount)
	case 7:
		p.Net = money.OfBig(p.Net.Currency(), new(big.Int).Add(p.Net.Big(), big.NewInt(int64(r.IntN(3)-1))))
	case 8:
		c.Amount = c.Amount.Add(c.Amount)
	case 9:
		c.Key = chain.Key{Branch: uint32(5 + r.IntN(3)), Index: uint32(r.IntN(70))}
	case 10:
		c.Ticket += "1"
	case 11:
		u.Merchant = pick(r, "SHOP-A", "SHOP-B", "EVIL", "")
	case 12:
		u.Version = r.IntN(12)
	case 13:
		p.Attempt = r.IntN(4)
	case 14:
		p.Payout = fmt.Sprint("P", 1+r.IntN(max(1, e.n)))
	case 15:
		u.Spend = fmt.Sprint("SP", 1+r.IntN(max(1, e.n)))
	case 16:
		u.Fee = u.Fee.Add(u.Fee)
	case 17:
		u.Network = pick(r, regtest, devnet, "bitcoin/mainnet", "ethereum/1")
	case 18:
		p.Own = &chain.Key{Branch: 5, Index: uint32(r.IntN(60))}
	case 19:
		u.Change = u.Change.Add(u.Fee)
	default:
		return e.rewrite(u)
	}
	return u
}

// rewrite writes the bytes anew, so that they do what the changed claims say.
func (e *evil) rewrite(u chain.Unsigned) chain.Unsigned {
	r := e.r
	p := &u.Pays[0]
	if len(u.Pays) != 1 || len(u.Holdings) != 1 || p.Net.Currency() != u.Network.Coin() || p.Net.Sign() < 0 {
		return u
	}
	switch u.Network {
	case regtest:
		if !strings.HasPrefix(p.To, "b") && !strings.HasPrefix(p.To, "m") || len(u.Holdings[0].Address) < 5 || u.Holdings[0].Address[:4] != "bcrt" {
			return u
		}
		if _, err := chainhash.NewHashFromStr(strings.Split(string(u.Holdings[0].Ticket), ":")[0]); err != nil {
			return u
		}
		p.To = pick(r, payer, lateBTC, shopBTC)
		if !p.Net.Big().IsInt64() || !u.Change.Big().IsInt64() || u.Change.Sign() < 0 || !u.Holdings[0].Amount.Big().IsInt64() {
			return u
		}
		u.Version += r.IntN(2)
		u.Raw = e.h.psbt(u)
	case devnet:
		if !strings.HasPrefix(p.To, "0x") {
			return u
		}
		p.To = pick(r, shopETH, thiefETH)
		u.Version += r.IntN(2)
		_, text, _ := strings.Cut(string(u.Holdings[0].Ticket), ":")
		nonce, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return u
		}
		price := new(big.Int).Div(u.Fee.Big(), big.NewInt(21_000))
		w := wei{1337, nonce, price, price, 21_000, common.HexToAddress(p.To), p.Net.Big(), nil, nil}
		if r.IntN(4) == 0 {
			w.Gas = uint64(r.IntN(200_000))
		}
		u.Raw = w.raw(e.t)
	}
	return u
}
