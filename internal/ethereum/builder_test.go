package ethereum

import (
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	geth "github.com/pipe-pg/pipe/internal/devchain/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
)

func openBuilder(t *testing.T, urls ...string) *Builder {
	t.Helper()
	b, err := OpenBuilder(BuilderOptions{Network: network, URLs: urls, Now: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// purse is an account whose key the test has.
type purse struct {
	r       *rig
	key     *ecdsa.PrivateKey
	address string
	nonce   uint64
}

func (r *rig) purse(wei *big.Int) *purse {
	r.t.Helper()
	r.seed++
	key, err := crypto.ToECDSA(crypto.Keccak256(binary.BigEndian.AppendUint64(nil, r.seed)))
	if err != nil {
		r.t.Fatal(err)
	}
	p := &purse{r: r, key: key, address: crypto.PubkeyToAddress(key.PublicKey).Hex()}
	if wei != nil {
		r.did(r.Pay(r.t.Context(), p.address, wei))
	}
	return p
}

// payload is what an EIP-1559 signature commits to, read apart from the builder.
type payload struct {
	ChainID    *big.Int
	Nonce      uint64
	Tip, Cap   *big.Int
	Gas        uint64
	To         common.Address
	Value      *big.Int
	Data       []byte
	AccessList types.AccessList
}

func readPayload(t testing.TB, raw []byte) (p payload) {
	t.Helper()
	if raw[0] != 2 {
		t.Fatalf("payload begins with %#x", raw[0])
	}
	if err := rlp.DecodeBytes(raw[1:], &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// sign signs the payload as it is.
func (p *purse) sign(u chain.Unsigned) (chain.Signed, error) {
	f := readPayload(p.r.t, u.Raw)
	signer := types.LatestSignerForChainID(f.ChainID)
	to := f.To
	tx := types.NewTx(&types.DynamicFeeTx{ChainID: f.ChainID, Nonce: f.Nonce, GasTipCap: f.Tip, GasFeeCap: f.Cap, Gas: f.Gas, To: &to, Value: f.Value, Data: f.Data, AccessList: f.AccessList})
	if hash := crypto.Keccak256Hash(u.Raw); hash != signer.Hash(tx) {
		return chain.Signed{}, errors.New("payload is not what a signature commits to")
	}
	tx, err := types.SignTx(tx, signer, p.key)
	if err != nil {
		return chain.Signed{}, err
	}
	raw, err := tx.MarshalBinary()
	return chain.Signed{Raw: raw, TxID: tx.Hash().Hex()}, err
}

// draft pays an amount out of the account's next nonce.
func (p *purse) draft(to string, amount money.Amount) chain.Draft {
	ticket := NewTicket(p.address, p.nonce)
	return chain.Draft{Network: network, Spend: "spend", Version: 1, Merchant: "merchant", Anchor: ticket,
		Holdings: []chain.Holding{{Ticket: ticket, Address: p.address, Amount: amount, Key: chain.Key{Branch: 3, Index: 4}}},
		Pays:     []chain.Pay{{Payout: "payout", Attempt: 1, Cause: chain.CauseRefund, To: to, Amount: amount}}}
}

// build builds and signs.
func (p *purse) build(b *Builder, d chain.Draft) (chain.Unsigned, chain.Signed) {
	p.r.t.Helper()
	u, err := b.Build(p.r.t.Context(), d)
	if err != nil {
		p.r.t.Fatal(err)
	}
	s, err := p.sign(u)
	if err != nil {
		p.r.t.Fatal(err)
	}
	return u, s
}

func (r *rig) broadcast(b *Builder, s chain.Signed) {
	r.t.Helper()
	if err := b.Broadcast(r.t.Context(), s.Raw); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) balance(address string) money.Amount {
	r.t.Helper()
	found, _, err := r.node.FindBalances(r.t.Context(), []string{address})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(found) == 0 {
		return eth(0)
	}
	return found[0].Balance
}

// take takes in what was found, as the engine does.
func (b book) take(found chain.Found) {
	b.add(found.Credits)
	for _, u := range found.Uses {
		b[u.From] = b[u.From].Sub(u.Out).Sub(u.Fee)
	}
}

// one is the use alone, when nothing fell.
func (r *rig) one(found chain.Found) chain.Use {
	r.t.Helper()
	if len(found.Uses) != 1 || len(found.Falls) != 0 {
		r.t.Fatalf("found %+v", found)
	}
	return found.Uses[0]
}

func sameUses(t *testing.T, got []chain.Use, want ...chain.Use) {
	t.Helper()
	same := func(x, y chain.Use) bool {
		return x.Ticket == y.Ticket && x.TxID == y.TxID && x.From == y.From && x.Failed == y.Failed && x.Out.Equal(y.Out) && x.Fee.Equal(y.Fee)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Fatalf("uses\n got %+v\nwant %+v", got, want)
	}
}

// TestBuilderConformance: the builder keeps the promises of chain.Builder on a real geth.
func TestBuilderConformance(t *testing.T) {
	r := newRig(t)
	r.mine(1)
	chaintest.RunBuilder(t, r.spendHarness())
}

func (r *rig) spendHarness() chaintest.SpendHarness {
	refusing := slices.Repeat([]geth.SendFault{geth.SendRefused}, 100)
	return chaintest.SpendHarness{
		Harness: r.harness(),
		Builder: openBuilder(r.t, r.URL()),
		Account: func(testing.TB) chaintest.Account {
			p := r.purse(nil)
			return chaintest.Account{Address: p.address, Sign: p.sign}
		},
		Holding: func(ctx context.Context, c chain.Credit) (chain.Holding, error) {
			found, _, err := r.node.FindBalances(ctx, []string{c.To})
			if err != nil || len(found) != 1 {
				return chain.Holding{}, errors.Join(errors.New("account is not there"), err)
			}
			return chain.Holding{Ticket: NewTicket(c.To, found[0].Nonce), Address: c.To, Amount: found[0].Balance}, nil
		},
		Evict:          r.Evict,
		AcceptThenFail: func(ctx context.Context) error { return r.FailNextSend(ctx, geth.SendLost) },
		Refuse: func(ctx context.Context, on bool) error {
			if !on {
				return r.FailNextSend(ctx)
			}
			return r.FailNextSend(ctx, refusing...)
		},
		Spike: func(ctx context.Context, times int64) error {
			if times == 1 {
				return r.SetFeeRate(ctx, new(big.Int))
			}
			return r.SetFeeRate(ctx, big.NewInt(times*2*params.GWei))
		},
	}
}

// TestSweep: a payout of all that is there leaves exactly nothing, whatever it costs, and the use tells that.
func TestSweep(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	p, to := r.purse(wei(params.Ether)), r.address()
	bk := newBook(p.address, to)
	bk.take(r.scan(r.mine(1), bk.watch()))
	u, s := p.build(b, p.draft(to, bk[p.address]))
	f := readPayload(t, u.Raw)
	if f.Gas != 21_000 || f.Tip.Cmp(f.Cap) != 0 || f.Nonce != 0 || f.To.Hex() != to || len(f.Data) != 0 || len(f.AccessList) != 0 || f.ChainID.Int64() != 1337 {
		t.Errorf("payload %+v", f)
	}
	if fee := costOf(21_000, f.Cap); u.Fee.Big().Cmp(fee) != 0 || u.Rate.Big().Cmp(f.Cap) != 0 || !u.Pays[0].Net.Equal(inWei(f.Value)) ||
		!u.Pays[0].Net.Add(u.Fee).Equal(bk[p.address]) || u.Holdings[0].Key.Index != 4 || u.Change.Sign() != 0 {
		t.Errorf("unsigned %+v", u)
	}
	r.broadcast(b, s)
	sameUses(t, r.scan(r.mine(1), bk.watch(p.address)).Uses, chain.Use{Ticket: NewTicket(p.address, 0), TxID: s.TxID, From: p.address, Out: u.Pays[0].Net, Fee: u.Fee})
	tip := r.at(2)
	for _, hot := range [][]string{nil, {p.address, to}} {
		found := r.scan(tip, bk.watch(hot...))
		r.one(found)
		sameCredits(t, found.Credits, chain.Credit{Ref: s.TxID, To: to, From: p.address, TxID: s.TxID, Amount: u.Pays[0].Net})
	}
	bk.take(r.scan(tip, bk.watch()))
	if bk[p.address].Sign() != 0 || r.balance(p.address).Sign() != 0 || !r.balance(to).Equal(u.Pays[0].Net) {
		t.Errorf("after a sweep %s is explained, %s there, %s arrived", bk[p.address], r.balance(p.address), r.balance(to))
	}
	found, err := r.node.Weigh(t.Context(), r.mine(1), bk.watch(p.address, to).Hot)
	if err != nil || len(found.Credits)+len(found.Falls) != 0 {
		t.Errorf("weighed after a sweep: %+v, %v", found, err)
	}
}

// TestSweepLeavesNothing: at any amount and base fee.
func TestSweepLeavesNothing(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	rapid.Check(t, func(rt *rapid.T) {
		amount := rapid.Int64Range(1_000_000*params.GWei, 9*params.Ether).Draw(rt, "amount")
		if err := r.SetFeeRate(t.Context(), big.NewInt(rapid.Int64Range(0, 30*params.GWei).Draw(rt, "tip"))); err != nil {
			rt.Fatal(err)
		}
		p, to := r.purse(wei(amount)), r.address()
		r.mine(rapid.IntRange(1, 4).Draw(rt, "blocks"))
		_, s := p.build(b, p.draft(to, eth(amount)))
		r.broadcast(b, s)
		bk := newBook(p.address)
		bk[p.address] = eth(amount)
		found := r.scan(r.mine(1), bk.watch())
		if bk.take(found); len(found.Uses) != 1 || bk[p.address].Sign() != 0 || r.balance(p.address).Sign() != 0 {
			rt.Fatalf("found %+v; %s is left", found, r.balance(p.address))
		}
	})
}

// TestReceivers: what has code gets the gas it needs, and what it leaves stays on the account; what does not take the
// coins is refused with words.
func TestReceivers(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	ctx := t.Context()
	delegated := r.purse(wei(params.Ether))
	eater, glutton := r.did(r.NewEater(ctx, 40_000)), r.did(r.NewEater(ctx, 150_000))
	refuser, destroyed := r.did(r.NewRefuser(ctx)), r.did(r.NewDestroyed(ctx))
	r.did(r.Delegate(ctx, delegated.key, 0, eater))
	revoked := r.purse(wei(params.Ether))
	r.did(r.Delegate(ctx, revoked.key, 0, common.Address{}.Hex()))
	refusing := r.purse(wei(params.Ether))
	r.did(r.Delegate(ctx, refusing.key, 0, refuser))
	r.mine(1)
	for name, to := range map[string]string{"glutton": glutton, "refuser": refuser, "delegated to a refuser": refusing.address} {
		p := r.purse(wei(params.Ether))
		r.mine(1)
		_, err := b.Build(ctx, p.draft(to, eth(params.Ether)))
		if !errors.Is(err, chain.ErrReceiver) || !strings.HasPrefix(err.Error(), chain.ErrReceiver.Error()+": this address is a contract that ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		to    string
		exact bool
	}{"eater": {eater, false}, "delegated": {delegated.address, false}, "destroyed": {destroyed, true}, "delegation taken back": {revoked.address, true}} {
		p := r.purse(wei(params.Ether))
		r.mine(1)
		u, s := p.build(b, p.draft(c.to, eth(params.Ether)))
		gas := readPayload(t, u.Raw).Gas
		if c.exact != (gas == 21_000) || gas > MaxGas {
			t.Errorf("%s gets %d gas", name, gas)
		}
		r.broadcast(b, s)
		bk := newBook(p.address)
		bk[p.address] = eth(params.Ether)
		use := r.one(r.scan(r.mine(1), bk.watch()))
		bk[p.address] = bk[p.address].Sub(use.Out).Sub(use.Fee)
		if use.Failed || !use.Out.Equal(u.Pays[0].Net) || u.Fee.Less(use.Fee) || c.exact != use.Fee.Equal(u.Fee) || !bk[p.address].Equal(r.balance(p.address)) {
			t.Errorf("%s: use %+v of %+v, %s is left", name, use, u, r.balance(p.address))
		}
	}
}

// TestOutOfGas: a receiver that grows hungry after the payout was signed costs the fee, and nothing leaves but that.
func TestOutOfGas(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	p, eater := r.purse(wei(params.Ether)), r.did(r.NewEater(t.Context(), 1_000))
	bk := newBook(p.address)
	bk.take(r.scan(r.mine(1), bk.watch()))
	u, s := p.build(b, p.draft(eater, bk[p.address]))
	r.did(r.SetAppetite(t.Context(), eater, 500_000))
	r.mine(1)
	r.broadcast(b, s)
	found := r.scan(r.mine(1), bk.watch())
	use := r.one(found)
	if !use.Failed || use.Out.Sign() != 0 || !use.Fee.Equal(u.Fee) || use.TxID != s.TxID || len(found.Credits) != 0 {
		t.Errorf("use %+v of %+v", use, u)
	}
	if bk.take(found); !bk[p.address].Equal(r.balance(p.address)) {
		t.Errorf("%s explained, %s there", bk[p.address], r.balance(p.address))
	}
	// The same again with the next nonce is refused before it costs anything.
	p.nonce++
	if _, err := b.Build(t.Context(), p.draft(eater, bk[p.address])); !errors.Is(err, chain.ErrReceiver) {
		t.Errorf("built for a receiver that is too hungry: %v", err)
	}
}

// TestNonceGap: a payout waits for the one before it, and both are found in their order.
func TestNonceGap(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	p, to := r.purse(wei(params.Ether)), r.address()
	bk := newBook(p.address, to)
	bk.take(r.scan(r.mine(1), bk.watch()))
	_, first := p.build(b, p.draft(to, eth(3e17)))
	p.nonce = 1
	_, second := p.build(b, p.draft(to, eth(3e17)))
	r.broadcast(b, second)
	if found := r.scan(r.mine(1), bk.watch()); len(found.Uses) != 0 {
		t.Fatalf("found %+v", found)
	}
	r.broadcast(b, first)
	found := r.scan(r.mine(1), bk.watch())
	if len(found.Uses) != 2 || found.Uses[0].TxID != first.TxID || found.Uses[1].TxID != second.TxID || found.Uses[1].Ticket != NewTicket(p.address, 1) {
		t.Fatalf("found %+v", found)
	}
	if bk.take(found); !bk[p.address].Equal(r.balance(p.address)) || !bk[to].Equal(r.balance(to)) {
		t.Errorf("explained %v", bk)
	}
}

// TestBothWaysInOneBlock: an account that gets and sends in one block, in every way, is credited exactly what came.
func TestBothWaysInOneBlock(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	ctx := t.Context()
	p, q := r.purse(wei(params.Ether)), r.purse(wei(params.Ether))
	bk := newBook(p.address, q.address)
	bk.take(r.scan(r.mine(1), bk.watch()))
	u1, s1 := p.build(b, p.draft(q.address, bk[p.address])) // from one of ours to another
	u2, s2 := q.build(b, q.draft(r.address(), eth(5e17)))
	r.broadcast(b, s1)
	r.broadcast(b, s2)
	plain := r.did(r.Pay(ctx, p.address, wei(77)))
	r.did(r.PayByContract(ctx, p.address, wei(88)))
	r.did(r.PayByContract(ctx, q.address, wei(99)))
	r.did(r.Revert(ctx, p.address, wei(1000)))
	block := r.mine(1)
	for _, hot := range [][]string{nil, {p.address}, {p.address, q.address}} {
		found := r.scan(block, bk.watch(hot...))
		if len(found.Uses) != 2 || len(found.Falls) != 0 {
			t.Fatalf("found %+v", found)
		}
		sameCredits(t, found.Credits, plainOf(p.address, plain, r.Faucet(), 77), restOf(p.address, block, 88), restOf(q.address, block, 99),
			chain.Credit{Ref: s1.TxID, To: q.address, From: p.address, TxID: s1.TxID, Amount: u1.Pays[0].Net})
		for _, use := range found.Uses {
			if use.From == p.address && !use.Out.Add(use.Fee).Equal(u1.Pays[0].Net.Add(u1.Fee)) || use.From == q.address && !use.Out.Equal(u2.Pays[0].Net) {
				t.Errorf("use %+v", use)
			}
		}
	}
	bk.take(r.scan(block, bk.watch()))
	if !bk[p.address].Equal(r.balance(p.address)) || !bk[q.address].Equal(r.balance(q.address)) {
		t.Errorf("explained %v, there %s and %s", bk, r.balance(p.address), r.balance(q.address))
	}
}

// TestForeignForms: what another hand sends from a key of ours is found too, whatever its form.
func TestForeignForms(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	signer := types.LatestSignerForChainID(big.NewInt(1337))
	to := common.HexToAddress(r.address())
	for name, data := range map[string]types.TxData{
		"legacy":      &types.LegacyTx{GasPrice: big.NewInt(3 * params.GWei), Gas: 50_000, To: &to, Value: big.NewInt(5)},
		"access list": &types.AccessListTx{ChainID: big.NewInt(1337), GasPrice: big.NewInt(3 * params.GWei), Gas: 50_000, To: &to, Value: big.NewInt(5)},
		"with a tip":  &types.DynamicFeeTx{ChainID: big.NewInt(1337), GasTipCap: big.NewInt(params.GWei), GasFeeCap: big.NewInt(9 * params.GWei), Gas: 50_000, To: &to, Value: big.NewInt(5)},
		"contract":    &types.DynamicFeeTx{ChainID: big.NewInt(1337), GasTipCap: big.NewInt(params.GWei), GasFeeCap: big.NewInt(9 * params.GWei), Gas: 90_000, Value: big.NewInt(5), Data: []byte{0}},
		"to itself":   nil,
	} {
		p := r.purse(wei(params.Ether))
		bk := newBook(p.address)
		bk.take(r.scan(r.mine(1), bk.watch()))
		out := eth(5)
		if data == nil {
			self := common.HexToAddress(p.address)
			data, out = &types.LegacyTx{GasPrice: big.NewInt(3 * params.GWei), Gas: 50_000, To: &self, Value: big.NewInt(5)}, eth(0)
		}
		tx, err := types.SignNewTx(p.key, signer, data)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask[common.Hash](ctx, r.node.client, "eth_sendRawTransaction", "0x"+common.Bytes2Hex(raw)); err != nil {
			t.Fatal(err)
		}
		block := r.mine(1)
		// A node that hides the sender hides nothing where the account is weighed.
		for i, hidden := range []bool{false, true} {
			r.hideSenders(hidden)
			found := r.scan(block, bk.watch([]string{p.address}...))
			use := r.one(found)
			if use.TxID != tx.Hash().Hex() || use.Ticket != NewTicket(p.address, 0) || !use.Out.Equal(out) || len(found.Credits) != 0 {
				t.Errorf("%s, %d: %+v", name, i, found)
			}
			if left := bk[p.address].Sub(use.Out).Sub(use.Fee); !left.Equal(r.balance(p.address)) {
				t.Errorf("%s: %s explained, %s there", name, left, r.balance(p.address))
			}
		}
		r.hideSenders(false)
	}
}

// hideSenders has the node name another sender of each transaction.
func (r *rig) hideSenders(on bool) {
	r.proxy.set(func(p *proxy) {
		p.alter = nil
		if !on {
			return
		}
		p.alter = func(method string, _, answer map[string]json.RawMessage) {
			if method != "eth_getBlockByHash" {
				return
			}
			var block map[string]any
			must(json.Unmarshal(answer["result"], &block))
			txs, ok := block["transactions"].([]any)
			if !ok {
				return
			}
			for _, one := range txs {
				if fields, ok := one.(map[string]any); ok {
					fields["from"] = "0x00000000000000000000000000000000deadbeef"
				}
			}
			text, err := json.Marshal(block)
			must(err)
			answer["result"] = text
		}
	})
}

// TestNodeLiesAboutUses: no node can hide a payout in the form in which PIPE signs, make one up, or alter what it cost.
func TestNodeLiesAboutUses(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	p, stranger := r.purse(wei(params.Ether)), r.purse(wei(params.Ether))
	bk := newBook(p.address)
	bk.take(r.scan(r.mine(1), bk.watch()))
	_, s := p.build(b, p.draft(r.address(), bk[p.address]))
	r.broadcast(b, s)
	_, other := stranger.build(b, stranger.draft(r.address(), eth(params.Ether)))
	r.broadcast(b, other)
	block := r.mine(1)
	want := r.scan(block, bk.watch()).Uses
	if len(want) != 1 || want[0].TxID != s.TxID {
		t.Fatalf("uses %+v", want)
	}
	r.hideSenders(true)
	sameUses(t, r.scan(block, bk.watch()).Uses, want...)
	edit := func(change func(fields map[string]any)) {
		r.proxy.set(func(p *proxy) {
			p.alter = func(method string, _, answer map[string]json.RawMessage) {
				if method != "eth_getBlockByHash" && method != "eth_getBlockReceipts" {
					return
				}
				var result any
				must(json.Unmarshal(answer["result"], &result))
				if block, ok := result.(map[string]any); ok {
					result = block["transactions"]
					defer func() { answer["result"] = must2(json.Marshal(block)) }()
				} else {
					defer func() { answer["result"] = must2(json.Marshal(result)) }()
				}
				for _, one := range result.([]any) {
					change(one.(map[string]any))
				}
			}
		})
	}
	// All transactions are said to be ours.
	edit(func(fields map[string]any) { fields["from"] = strings.ToLower(p.address) })
	sameUses(t, r.scan(block, bk.watch()).Uses, want...)
	// Gas and price are said to be other ones: the root and the signature tell.
	edit(func(fields map[string]any) {
		if fields["gasUsed"] != nil {
			fields["gasUsed"], fields["effectiveGasPrice"] = "0x1", "0x1"
		}
	})
	sameUses(t, r.scan(block, bk.watch()).Uses, want...)
	for _, field := range []string{"cumulativeGasUsed", "status"} {
		edit(func(fields map[string]any) {
			if fields[field] != nil {
				fields[field] = "0x0"
			}
		})
		if found, err := r.node.Scan(t.Context(), block, bk.watch()); err == nil || len(found.Uses) != 0 {
			t.Errorf("false %s: %+v, %v", field, found, err)
		}
	}
	r.proxy.set(func(p *proxy) {
		p.alter = nil
		p.refuse["eth_getBlockReceipts"] = "the method does not exist/is not available"
	})
	sameUses(t, r.scan(block, bk.watch()).Uses, want...)
}

func must2(text json.RawMessage, err error) json.RawMessage {
	must(err)
	return text
}

// TestUsesOfAnOldBlock: where balances are gone, uses still count.
func TestUsesOfAnOldBlock(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	p, to := r.purse(wei(params.Ether)), r.address()
	bk := newBook(p.address, to)
	bk.take(r.scan(r.mine(1), bk.watch()))
	u, s := p.build(b, p.draft(to, bk[p.address]))
	r.broadcast(b, s)
	block := r.mine(1)
	r.mine(StateDepth)
	r.proxy.set(func(p *proxy) {
		p.refuse["eth_call"], p.refuse["eth_getBalance"] = "missing trie node", "missing trie node"
	})
	found := r.scan(block, bk.watch())
	if use := r.one(found); !found.Unweighed || !use.Out.Equal(u.Pays[0].Net) || !use.Fee.Equal(u.Fee) || len(found.Credits) != 1 {
		t.Errorf("found %+v", found)
	}
}

// TestFeesOfSeveral: the rate is the lower median of those nodes that can be asked, and one that is dear or down does not
// matter.
func TestFeesOfSeveral(t *testing.T) {
	r := newRig(t)
	dear := newProxy(t, r.URL())
	dear.alter = func(method string, _, answer map[string]json.RawMessage) {
		if method == "eth_feeHistory" {
			answer["result"] = json.RawMessage(`{"baseFeePerGas":["0x1","0xffffffffffff"],"reward":[["0xffffffffffff"]]}`)
		}
	}
	down := newProxy(t, "http://127.0.0.1:1")
	silly := newProxy(t, r.URL())
	silly.alter = func(method string, _, answer map[string]json.RawMessage) {
		if method == "eth_feeHistory" {
			answer["result"] = json.RawMessage(`{"baseFeePerGas":[],"reward":null}`)
		}
	}
	ctx := t.Context()
	want, err := openBuilder(t, r.URL()).Fees(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, urls := range [][]string{{r.URL(), dear.url}, {dear.url, r.URL(), r.proxy.url}, {down.url, r.URL()}, {silly.url, r.URL()}} {
		got, err := openBuilder(t, urls...).Fees(ctx)
		if err != nil || !got.Rate.Equal(want.Rate) || !got.Plain.Equal(inWei(costOf(21_000, want.Rate.Big()))) || !got.Least.Equal(eth(1)) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	if _, err := openBuilder(t, down.url, silly.url).Fees(ctx); !errors.Is(err, chain.ErrBlind) {
		t.Errorf("nobody knows: %v", err)
	}
}

// TestSlowNodeRests: a node that hangs costs time once, not at every question.
func TestSlowNodeRests(t *testing.T) {
	r := newRig(t)
	p := r.purse(wei(params.Ether))
	r.mine(1)
	asked := make(chan struct{}, 100)
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		time.Sleep(chain.SlowFailure)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(hanging.Close)
	b := openBuilder(t, hanging.URL, r.URL())
	u, s := p.build(b, p.draft(r.address(), eth(params.Ether)))
	r.broadcast(b, s)
	if _, err := b.Fees(t.Context()); err != nil || len(asked) != 1 || u.Fee.IsZero() {
		t.Errorf("the hanging node was asked %d times, %v", len(asked), err)
	}
}

// TestBroadcastVerdicts: what nodes answer, and what is made of it.
func TestBroadcastVerdicts(t *testing.T) {
	r := newRig(t)
	p := r.purse(wei(params.Ether))
	r.mine(1)
	b := openBuilder(t, r.URL())
	_, s := p.build(b, p.draft(r.address(), eth(params.Ether)))
	say := func(code int, words string) string {
		x := newProxy(t, r.URL())
		x.alter = func(method string, _, answer map[string]json.RawMessage) {
			if method == "eth_sendRawTransaction" {
				delete(answer, "result")
				answer["error"] = must2(json.Marshal(map[string]any{"code": code, "message": words}))
			}
		}
		return x.url
	}
	// These nodes stand before a chain that never gets the transaction: it is sent to another one.
	empty := newRig(t)
	say2 := func(code int, words string) string {
		x := newProxy(t, empty.URL())
		x.alter = func(method string, _, answer map[string]json.RawMessage) {
			if method == "eth_sendRawTransaction" {
				delete(answer, "result")
				answer["error"] = must2(json.Marshal(map[string]any{"code": code, "message": words}))
			}
		}
		return x.url
	}
	down := newProxy(t, "http://127.0.0.1:1").url
	for name, c := range map[string]struct {
		urls []string
		want error
	}{
		"known":                      {[]string{say2(-32000, "already known")}, nil},
		"known in old words":         {[]string{say2(-32000, "known transaction: abc")}, nil},
		"unknown type":               {[]string{say2(-32000, "unknown transaction type")}, chain.ErrRejected},
		"nonce too low":              {[]string{say2(-32000, "nonce too low: next nonce 1, tx nonce 0")}, chain.ErrRejected},
		"underpriced":                {[]string{say2(-32000, "replacement transaction underpriced")}, chain.ErrRejected},
		"one refuses, one is down":   {[]string{down, say2(-32000, "transaction underpriced")}, chain.ErrRejected},
		"rate limit":                 {[]string{say2(-32005, "limit exceeded")}, chain.ErrUnknown},
		"no such method":             {[]string{say2(-32601, "the method does not exist")}, chain.ErrUnknown},
		"down":                       {[]string{down}, chain.ErrUnknown},
		"error after it was taken":   {[]string{say(-32603, "internal error")}, nil},
		"one takes it, one does not": {[]string{say2(-32000, "insufficient funds"), r.URL()}, nil},
	} {
		err := openBuilder(t, c.urls...).Broadcast(t.Context(), s.Raw)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || errors.Is(err, chain.ErrRejected) && errors.Is(err, chain.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, raw := range map[string][]byte{"unsigned": {2, 0xc0}, "long": make([]byte, MaxTx+1), "empty": nil} {
		if err := b.Broadcast(t.Context(), raw); err == nil || errors.Is(err, chain.ErrUnknown) || errors.Is(err, chain.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDraftsThatCannotBe: beyond the conformance cases, those of accounts.
func TestDraftsThatCannotBe(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	p, to := r.purse(wei(params.Ether)), r.address()
	r.mine(1)
	for name, c := range map[string]struct {
		edit func(d *chain.Draft)
		want error
	}{
		"zero address": {func(d *chain.Draft) { d.Pays[0].To = common.Address{}.Hex() }, chain.ErrReceiver},
		"precompile":   {func(d *chain.Draft) { d.Pays[0].To = common.BigToAddress(wei(4)).Hex() }, chain.ErrReceiver},
		"no address":   {func(d *chain.Draft) { d.Pays[0].To = "" }, chain.ErrReceiver},
		"to itself":    {func(d *chain.Draft) { d.Pays[0].To = p.address }, nil},
		"lower-case ticket": {func(d *chain.Draft) {
			d.Holdings[0].Ticket = chain.Ticket(strings.ToLower(p.address) + ":0")
			d.Anchor = d.Holdings[0].Ticket
		}, nil},
		"odd nonce": {func(d *chain.Draft) {
			d.Holdings[0].Ticket = chain.Ticket(p.address + ":00")
			d.Anchor = d.Holdings[0].Ticket
		}, nil},
		"other account": {func(d *chain.Draft) { d.Holdings[0].Address = to }, nil},
		"two payouts":   {func(d *chain.Draft) { d.Pays = append(d.Pays, d.Pays[0]) }, nil},
		"two holdings":  {func(d *chain.Draft) { d.Holdings = append(d.Holdings, d.Holdings[0]) }, nil},
		"bump too dear": {func(d *chain.Draft) { d.Previous, d.MaxRate = eth(800*params.GWei), eth(899*params.GWei) }, chain.ErrFeeTooHigh},
		"only the fee":  {func(d *chain.Draft) { d.Previous, d.Pays[0].Amount = eth(80*params.GWei), eth(21_000*90*params.GWei) }, chain.ErrTooSmall},
	} {
		d := p.draft(to, eth(params.Ether))
		c.edit(&d)
		if u, err := b.Build(t.Context(), d); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	d := p.draft(to, eth(params.Ether))
	d.Previous, d.MaxRate = eth(800*params.GWei+1), eth(900*params.GWei+2)
	if u, err := b.Build(t.Context(), d); err != nil || u.Rate.Units() != "900000000002" {
		t.Errorf("bump: %+v, %v", u, err)
	}
}

// TestFindBalances finds what a seed has, singly where the node refuses to be asked in bulk.
func TestFindBalances(t *testing.T) {
	r := newRig(t)
	b := openBuilder(t, r.URL())
	all := r.addresses(1_200)
	funded, swept, byContract := r.purse(wei(params.Ether)), r.purse(wei(params.Ether)), r.address()
	r.did(r.PayByContract(t.Context(), byContract, wei(5)))
	r.mine(1)
	_, s := swept.build(b, swept.draft(r.address(), eth(params.Ether)))
	r.broadcast(b, s)
	tip := r.mine(1)
	all[3], all[700], all[1_199] = funded.address, swept.address, byContract
	for _, refused := range []string{"", "no creation"} {
		r.proxy.set(func(p *proxy) { p.refuse["eth_call"] = refused; p.counts = map[string]int{} })
		found, at, err := r.node.FindBalances(t.Context(), all)
		if err != nil || at != tip {
			t.Fatalf("at %+v, %v", at, err)
		}
		want := []Standing{{funded.address, eth(params.Ether), 0}, {swept.address, eth(0), 1}, {byContract, eth(5), 0}}
		if !slices.EqualFunc(found, want, func(x, y Standing) bool {
			return x.Address == y.Address && x.Nonce == y.Nonce && x.Balance.Equal(y.Balance)
		}) {
			t.Errorf("found %+v, want %+v", found, want)
		}
		if n := r.proxy.count("eth_getTransactionCount"); refused == "" && n != 3 {
			t.Errorf("%d nonces were asked for", n)
		}
	}
	if _, _, err := r.node.FindBalances(t.Context(), make([]string, FindMax+1)); err == nil {
		t.Error("more than FindMax were taken")
	}
	if _, _, err := r.node.FindBalances(t.Context(), []string{strings.ToLower(funded.address)}); err == nil {
		t.Error("another form was taken")
	}
}

func TestTickets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address := common.BytesToAddress(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address")).Hex()
		nonce := rapid.Uint64().Draw(t, "nonce")
		gotAddress, gotNonce, err := ParseTicket(NewTicket(address, nonce))
		if err != nil || gotAddress != address || gotNonce != nonce {
			t.Fatalf("%s %d: %s %d, %v", address, nonce, gotAddress, gotNonce, err)
		}
	})
	for _, bad := range []chain.Ticket{"", ":", "0x", "0x0000000000000000000000000000000000000001", "0x0000000000000000000000000000000000000001:",
		"0x0000000000000000000000000000000000000001:-1", "0x0000000000000000000000000000000000000001:01", "0x0000000000000000000000000000000000000001:1:1",
		"0x000000000000000000000000000000000000000A:1 ", "0x000000000000000000000000000000000000000a:1"} {
		if _, _, err := ParseTicket(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
