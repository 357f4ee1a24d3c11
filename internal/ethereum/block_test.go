package ethereum

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"
	"pgregory.net/rapid"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

const someChain = 1337

func someKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.ToECDSA(common.LeftPadBytes([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// told is a transaction as a node tells it.
func told(t interface{ Fatal(...any) }, signed *types.Transaction, from common.Address) map[string]any {
	text, err := signed.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	fields["from"] = from.Hex()
	if signed.Type() == types.DynamicFeeTxType {
		fields["gasPrice"] = "0x5" // the price paid, which is not signed
	}
	return fields
}

// toldBlock is a block as a node tells it.
func toldBlock(t interface{ Fatal(...any) }, signed types.Transactions, from common.Address) []byte {
	h := &types.Header{
		Number: big.NewInt(9), Difficulty: new(big.Int), BaseFee: big.NewInt(7), Time: 5, WithdrawalsHash: &types.EmptyWithdrawalsHash,
		BlobGasUsed: new(uint64), ExcessBlobGas: new(uint64), ParentBeaconRoot: new(common.Hash), RequestsHash: &types.EmptyRequestsHash,
		TxHash: types.DeriveSha(signed, trie.NewStackTrie(nil)),
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	txs := make([]any, len(signed))
	for i, s := range signed {
		txs[i] = told(t, s, from)
	}
	fields["transactions"], fields["uncles"] = txs, []any{}
	fields["withdrawals"] = []any{map[string]any{"index": "0x1", "validatorIndex": "0x2", "address": from.Hex(), "amount": "0x3"}}
	if text, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return text
}

// heard reads a block as a node tells it.
func heard(t interface{ Fatal(...any) }, text []byte) *block {
	var f blockFields
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	b, err := f.block()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEveryType: transactions of every type and shape are read to their own hash, and make up the block's root.
func TestEveryType(t *testing.T) {
	key := someKey(t)
	from := crypto.PubkeyToAddress(key.PublicKey)
	seen := map[uint8]bool{}
	rapid.Check(t, func(t *rapid.T) {
		var signed types.Transactions
		for range rapid.IntRange(0, 5).Draw(t, "count") {
			data := drawTx(t)
			signer := types.LatestSignerForChainID(big.NewInt(someChain))
			if rapid.IntRange(0, 4).Draw(t, "unprotected") == 0 {
				if _, ok := data.(*types.LegacyTx); ok {
					signer = types.HomesteadSigner{}
				}
			}
			s, err := types.SignNewTx(key, signer, data)
			if err != nil {
				t.Fatal(err)
			}
			seen[s.Type()] = true
			signed = append(signed, s)
		}
		b := heard(t, toldBlock(t, signed, from))
		if b.opaque != "" || len(b.txs) != len(signed) || len(b.receivers) != 1 || b.receivers[0] != from {
			t.Fatalf("block %+v", b)
		}
		n := &Node{signer: types.LatestSignerForChainID(big.NewInt(someChain))}
		for i, s := range signed {
			got := b.txs[i]
			if got.id != s.Hash() || got.value.Cmp(s.Value()) != 0 || (got.to == nil) != (s.To() == nil) || got.to != nil && *got.to != *s.To() {
				t.Fatalf("read %+v of %s", got, s.Hash())
			}
			if c, err := n.plainCredit("x", got); err != nil || c.From != from.Hex() {
				t.Fatalf("sender %s, %v, of type %d", c.From, err, s.Type())
			}
		}
	})
	if len(seen) != 5 {
		t.Fatalf("only types %v were tried", seen)
	}
}

func drawTx(t *rapid.T) types.TxData {
	nonce, gas := rapid.Uint64().Draw(t, "nonce"), rapid.Uint64().Draw(t, "gas")
	number := func(name string) *big.Int {
		return new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, name))
	}
	to := common.BytesToAddress(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "to"))
	maybe := &to
	if rapid.Bool().Draw(t, "creates") {
		maybe = nil
	}
	data := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "data")
	access := types.AccessList{}
	if rapid.Bool().Draw(t, "access") {
		access = append(access, types.AccessTuple{Address: to, StorageKeys: []common.Hash{{1}}})
	}
	id := big.NewInt(someChain)
	switch rapid.IntRange(0, 4).Draw(t, "type") {
	case 0:
		return &types.LegacyTx{Nonce: nonce, GasPrice: number("price"), Gas: gas, To: maybe, Value: number("value"), Data: data}
	case 1:
		return &types.AccessListTx{ChainID: id, Nonce: nonce, GasPrice: number("price"), Gas: gas, To: maybe, Value: number("value"), Data: data, AccessList: access}
	case 2:
		return &types.DynamicFeeTx{ChainID: id, Nonce: nonce, GasTipCap: number("tip"), GasFeeCap: number("fee"), Gas: gas, To: maybe, Value: number("value"), Data: data, AccessList: access}
	}
	// The last two types have numbers of another kind: their JSON comes from the decoder that is to read them.
	other := map[string]any{
		"type": "0x3", "chainId": hexutil.EncodeUint64(someChain), "nonce": "0x1", "gas": "0x5208", "to": to, "value": (*hexutil.Big)(number("value")),
		"maxFeePerGas": "0x9", "maxPriorityFeePerGas": "0x1", "maxFeePerBlobGas": "0x2", "input": hexutil.Bytes(data), "accessList": access,
		"blobVersionedHashes": []common.Hash{{1, 2}}, "v": "0x1", "yParity": "0x1", "r": "0x1", "s": "0x1",
	}
	if rapid.Bool().Draw(t, "delegates") {
		other["type"] = "0x4"
		other["authorizationList"] = []any{map[string]any{"chainId": "0x1", "address": to, "nonce": "0x0", "yParity": "0x0", "r": "0x1", "s": "0x1"}}
	}
	text, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	var tx types.Transaction
	if err := tx.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return inner{&tx}.data()
}

// inner takes out what a transaction signs, by way of its public fields.
type inner struct{ *types.Transaction }

func (x inner) data() types.TxData {
	word := func(n *big.Int) []byte { return common.LeftPadBytes(n.Bytes(), 32) }
	if x.Type() == types.BlobTxType {
		d := &types.BlobTx{Nonce: x.Nonce(), Gas: x.Gas(), To: *x.To(), Data: x.Data(), AccessList: x.AccessList(), BlobHashes: x.BlobHashes()}
		d.ChainID, d.GasTipCap, d.GasFeeCap, d.Value, d.BlobFeeCap = of(d.ChainID, word(x.ChainId())), of(d.GasTipCap, word(x.GasTipCap())),
			of(d.GasFeeCap, word(x.GasFeeCap())), of(d.Value, word(x.Value())), of(d.BlobFeeCap, word(x.BlobGasFeeCap()))
		return d
	}
	d := &types.SetCodeTx{Nonce: x.Nonce(), Gas: x.Gas(), To: *x.To(), Data: x.Data(), AccessList: x.AccessList(), AuthList: x.SetCodeAuthorizations()}
	d.ChainID, d.GasTipCap, d.GasFeeCap, d.Value = of(d.ChainID, word(x.ChainId())), of(d.GasTipCap, word(x.GasTipCap())),
		of(d.GasFeeCap, word(x.GasFeeCap())), of(d.Value, word(x.Value()))
	return d
}

// of makes a 256-bit number of the type of a field, without naming the module that defines it.
func of[T any, P interface {
	*T
	SetBytes32(in []byte) P
}](_ P, word []byte) P {
	return P(new(T)).SetBytes32(word)
}

// someNode is a node that is never asked.
func someNode(t testing.TB) *Node {
	t.Helper()
	n, err := Open(Options{Network: money.Network(fmt.Sprintf("ethereum/%d", someChain)), URL: "http://127.0.0.1:1", Now: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWithdrawalReceiver: coins from staking name their receiver in the block, and no transaction does.
func TestWithdrawalReceiver(t *testing.T) {
	key := someKey(t)
	from := crypto.PubkeyToAddress(key.PublicKey)
	b := heard(t, toldBlock(t, nil, from))
	c, err := someNode(t).candidates(t.Context(), b, newBook(from.Hex()).watch(), false)
	if err != nil || len(c.accounts) != 1 || c.accounts[0].address != from.Hex() || len(c.sent) != 0 {
		t.Fatalf("candidates %+v, %v", c, err)
	}
}

// TestSelfTransfer: what an account sends to itself did not come to it.
func TestSelfTransfer(t *testing.T) {
	key := someKey(t)
	from := crypto.PubkeyToAddress(key.PublicKey)
	signed, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(someChain)), &types.DynamicFeeTx{
		ChainID: big.NewInt(someChain), Gas: 21000, GasFeeCap: big.NewInt(1), To: &from, Value: big.NewInt(5),
	})
	if err != nil {
		t.Fatal(err)
	}
	b := heard(t, toldBlock(t, types.Transactions{signed}, from))
	c, err := someNode(t).candidates(t.Context(), b, newBook(from.Hex()).watch(), false)
	if err != nil || len(c.accounts) != 1 || len(c.accounts[0].plain) != 0 || len(c.sent) != 1 {
		t.Fatalf("candidates %+v, %v", c, err)
	}
	uses := c.uses(map[common.Hash]fate{signed.Hash(): {true, big.NewInt(21000)}})
	if want := (chain.Use{Ticket: NewTicket(from.Hex(), 0), TxID: signed.Hash().Hex(), From: from.Hex(), Out: eth(0), Fee: eth(21000)}); !reflect.DeepEqual(uses, []chain.Use{want}) {
		t.Fatalf("uses %+v, want %+v", uses, want)
	}
}

// BenchmarkBlock reads and proves a block of 300 transactions, half of them plain, and looks for watched receivers.
func BenchmarkBlock(b *testing.B) {
	key := someKey(b)
	from := crypto.PubkeyToAddress(key.PublicKey)
	var signed types.Transactions
	for i := range 300 {
		to := common.BigToAddress(big.NewInt(int64(i) + 1e9))
		data := &types.DynamicFeeTx{
			ChainID: big.NewInt(someChain), Nonce: uint64(i), Gas: 21000, GasFeeCap: big.NewInt(1e9), GasTipCap: big.NewInt(1), To: &to, Value: big.NewInt(1e18),
		}
		if i%2 == 0 {
			data.Data = make([]byte, 4+32*10)
		}
		s, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(someChain)), data)
		if err != nil {
			b.Fatal(err)
		}
		signed = append(signed, s)
	}
	text := append(append([]byte(`{"jsonrpc":"2.0","id":1,"result":`), toldBlock(b, signed, from)...), '}')
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			var r reply[blockFields]
			if err := json.Unmarshal(text, &r); err != nil {
				b.Fatal(err)
			}
			if _, err := r.Result.block(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("match", func(b *testing.B) {
		var r reply[blockFields]
		if err := json.Unmarshal(text, &r); err != nil {
			b.Fatal(err)
		}
		read, err := r.Result.block()
		if err != nil {
			b.Fatal(err)
		}
		w, n := newBook().watch(), someNode(b)
		for b.Loop() {
			if _, err := n.candidates(b.Context(), read, w, false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("general decoder", func(b *testing.B) { // what it would take without a decoder of our own
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			var r reply[struct {
				Transactions []*types.Transaction `json:"transactions"`
			}]
			if err := json.Unmarshal(text, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestClip(t *testing.T) {
	if got := clip(strings.Repeat("é", 5), 3); got != "é…" {
		t.Fatal(got)
	}
}
