package bitcoin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/pipe-pg/pipe/internal/chain"
	"pgregory.net/rapid"
)

// serialise gives a block's bytes with the right merkle root and, on regtest, work.
func serialise(t testing.TB, txs []*wire.MsgTx) []byte {
	t.Helper()
	ids := make([][32]byte, len(txs))
	for i, tx := range txs {
		ids[i] = tx.TxHash()
	}
	root, err := merkleRoot(ids)
	if err != nil {
		t.Fatal(err)
	}
	block := wire.MsgBlock{Header: wire.BlockHeader{Version: 4, MerkleRoot: root, Timestamp: time.Unix(1_800_000_000, 0), Bits: 0x207fffff}, Transactions: txs}
	for hash := block.Header.BlockHash(); hash[31] > 0x7e; hash = block.Header.BlockHash() {
		block.Header.Nonce++
	}
	var raw bytes.Buffer
	if err := block.Serialize(&raw); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}

func coinbase(outs ...*wire.TxOut) *wire.MsgTx {
	tx := wire.NewMsgTx(1)
	tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, 0xffffffff), []byte{1, 2, 3}, nil))
	for _, out := range outs {
		tx.AddTxOut(out)
	}
	return tx
}

// drawTx draws a transaction, with and without witnesses, of any version.
func drawTx(t *rapid.T) *wire.MsgTx {
	tx := wire.NewMsgTx(rapid.Int32().Draw(t, "version"))
	tx.LockTime = rapid.Uint32().Draw(t, "lock time")
	segwit := rapid.Bool().Draw(t, "segwit")
	for range rapid.IntRange(1, 4).Draw(t, "inputs") {
		in := wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "prev")), Index: rapid.Uint32Range(0, 9).Draw(t, "n")},
			rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "script"), nil)
		if segwit {
			in.Witness = rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 1, 4).Draw(t, "witness")
		}
		tx.AddTxIn(in)
	}
	for range rapid.IntRange(0, 5).Draw(t, "outputs") {
		tx.AddTxOut(wire.NewTxOut(rapid.Int64Range(0, maxMoney).Draw(t, "amount"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "pays")))
	}
	return tx
}

func sameTx(a, b txView) bool {
	return a.id == b.id && a.coinbase == b.coinbase && a.count == b.count && bytes.Equal(a.outs, b.outs) &&
		slices.EqualFunc(slices.Collect(a.points()), slices.Collect(b.points()), bytes.Equal)
}

// TestDecodersAgree: the fast decoder and btcd's read the same from the same bytes, and neither takes bytes with an end
// missing or too much.
func TestDecodersAgree(t *testing.T) {
	net := known(t, regtest)
	rapid.Check(t, func(rt *rapid.T) {
		txs := []*wire.MsgTx{coinbase(wire.NewTxOut(50e8, []byte{0x51}))}
		for range rapid.IntRange(0, 6).Draw(rt, "txs") {
			txs = append(txs, drawTx(rt))
		}
		raw := serialise(t, txs)
		h, err := parseHeader(net, raw)
		if err != nil {
			rt.Fatal(err)
		}
		ours, err := walkBlock(raw)
		if err != nil {
			rt.Fatal(err)
		}
		theirs, err := wireBlock(raw)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range txs {
			if !sameTx(ours[i], theirs[i]) {
				rt.Fatalf("transaction %d: %+v, library says %+v", i, ours[i], theirs[i])
			}
			at := 0
			for amount, script := range ours[i].outputs() {
				if out := txs[i].TxOut[at]; amount != out.Value || !bytes.Equal(script, out.PkScript) {
					rt.Fatalf("output %d of %d differs", at, i)
				}
				at++
			}
			at = 0
			for point := range ours[i].points() {
				want := txs[i].TxIn[at].PreviousOutPoint
				if string(appendTicket(nil, point)) != want.String() {
					rt.Fatalf("input %d of %d is %x, not %s", at, i, point, want)
				}
				at++
			}
			if at != len(txs[i].TxIn) {
				rt.Fatalf("%d of %d inputs of %d", at, len(txs[i].TxIn), i)
			}
		}
		if err := checkBlock(ours, h); err != nil {
			rt.Fatal(err)
		}
		if cut := rapid.IntRange(0, len(raw)-1).Draw(rt, "cut"); true {
			if _, err := decodeBlock(raw[:cut], h); err == nil {
				rt.Fatalf("taken with %d of %d bytes", cut, len(raw))
			}
		}
		if _, err := decodeBlock(append(bytes.Clone(raw), 0), h); err == nil {
			rt.Fatal("taken with a byte too much")
		}
		at := rapid.IntRange(headerSize, len(raw)-1).Draw(rt, "flip")
		bad := bytes.Clone(raw)
		bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if got, err := decodeBlock(bad, h); err == nil { // only a witness may differ: txids do not cover it
			for i := range got {
				if !sameTx(got[i], ours[i]) {
					rt.Fatalf("a flipped bit at %d went unseen in transaction %d", at, i)
				}
			}
		}
	})
}

func TestDecodesRealBlocks(t *testing.T) {
	var raw bytes.Buffer
	if err := chaincfg.MainNetParams.GenesisBlock.Serialize(&raw); err != nil {
		t.Fatal(err)
	}
	h, err := parseHeader(known(t, mainnet), raw.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if h.hash != "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f" || h.parent != strings.Repeat("0", 64) {
		t.Errorf("header %+v", h)
	}
	txs, err := decodeBlock(raw.Bytes(), h)
	if err != nil || len(txs) != 1 || !txs[0].coinbase || idText(txs[0].id) != "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b" {
		t.Errorf("%+v, %v", txs, err)
	}
}

func TestRefusesForgedHeaders(t *testing.T) {
	var raw bytes.Buffer
	if err := chaincfg.MainNetParams.GenesisBlock.Serialize(&raw); err != nil {
		t.Fatal(err)
	}
	net := known(t, mainnet)
	for i := range headerSize {
		bad := bytes.Clone(raw.Bytes())
		bad[i] ^= 4
		if _, err := parseHeader(net, bad); err == nil {
			t.Errorf("header with byte %d changed is taken", i)
		}
	}
	easy := bytes.Clone(raw.Bytes())
	binary.LittleEndian.PutUint32(easy[72:], 0x207fffff)
	if _, err := parseHeader(net, easy); err == nil {
		t.Error("regtest's work is taken on mainnet")
	}
}

func TestDifficultyMovesAsConsensusSays(t *testing.T) {
	at := func(bits uint32) header { return header{bits: bits} }
	for _, c := range []struct {
		height      uint64
		parent, bit uint32
		ok          bool
	}{
		{2015, 0x1b0404cb, 0x1b0404cb, true},
		{2017, 0x1b0404cb, 0x1b0404cc, false},
		{2016, 0x1b0404cb, 0x1b0404cc, true},
		{2016, 0x1b0404cb, 0x1b10132c, true},
		{2016, 0x1b0404cb, 0x1b10132d, false},
		{2016, 0x1b0404cb, 0x1d00ffff, false},
	} {
		if err := at(c.bit).follows(known(t, mainnet), at(c.parent), c.height); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
		if err := at(c.bit).follows(known(t, regtest), at(c.parent), c.height); err != nil {
			t.Errorf("regtest: %v", err)
		}
	}
}

// TestExoticBlocks: what consensus allows and hardly anybody does is read (NBXplorer stood still for such).
func TestExoticBlocks(t *testing.T) {
	net := known(t, regtest)
	many := wire.NewMsgTx(2)
	for i := range 70_000 { // more than 0xffff, so that the count takes five bytes
		many.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}, Index: uint32(i)}, nil, nil))
	}
	many.AddTxOut(wire.NewTxOut(1, []byte{0x51}))
	wit := wire.NewMsgTx(2)
	wit.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{2}}, nil, [][]byte{make([]byte, 3_900_000)}))
	wit.AddTxOut(wire.NewTxOut(1, []byte{0x51}))
	strange := wire.NewMsgTx(-7)
	strange.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{3}}, nil, nil))
	strange.AddTxOut(wire.NewTxOut(1, make([]byte, 0xffff)))
	stack := wire.NewMsgTx(2)
	items := make([][]byte, 0xffff)
	stack.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{4}}, nil, items))
	stack.AddTxOut(wire.NewTxOut(1, []byte{0x51}))
	for name, tx := range map[string]*wire.MsgTx{"70,000 inputs": many, "3.9 MB witness": wit, "version -7, 0xffff script": strange, "0xffff items": stack} {
		raw := serialise(t, []*wire.MsgTx{coinbase(wire.NewTxOut(1, nil)), tx})
		h, err := parseHeader(net, raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := walkBlock(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := decodeBlock(raw, h); err != nil || got[1].id != tx.TxHash() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusesRepeatedTransactions(t *testing.T) {
	ids := [][32]byte{{1}, {2}, {3}}
	want, err := merkleRoot(append([][32]byte(nil), ids...))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := merkleRoot([][32]byte{{1}, {2}, {3}, {3}}); err == nil {
		t.Errorf("a repeated transaction gives root %x, as %x without", got, want)
	}
	if _, err := merkleRoot(nil); err == nil {
		t.Error("no transactions at all are taken")
	}
	a := coinbase(wire.NewTxOut(1, nil))
	if err := checkBlock([]txView{{id: a.TxHash()}}, header{merkle: a.TxHash()}); err == nil {
		t.Error("a block without a coinbase is taken")
	}
}

func TestCoinbaseMatures(t *testing.T) {
	net := known(t, regtest)
	script := append([]byte{0x00, 20}, make([]byte, 20)...)
	raw := serialise(t, []*wire.MsgTx{coinbase(wire.NewTxOut(7, script))})
	h, err := parseHeader(net, raw)
	if err != nil {
		t.Fatal(err)
	}
	txs, err := decodeBlock(raw, h)
	if err != nil {
		t.Fatal(err)
	}
	got := match(net, txs, 500, chain.Watch{Has: func(string) bool { return true }})
	if len(got) != 1 || got[0].Spendable != 600 || got[0].Amount.Units() != "7" {
		t.Errorf("%+v", got)
	}
}

// TestUses: every input that is asked for is found, whatever set says so, and one that is not costs no memory.
func TestUses(t *testing.T) {
	raw := bigBlock(t)
	txs, err := walkBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	var all []chain.Ticket
	found := uses(txs, func(x chain.Ticket) bool {
		all = append(all, x)
		return len(all)%1000 == 0
	})
	if len(all) < 3000 || len(found) != len(all)/1000 {
		t.Fatalf("%d inputs, %d found", len(all), len(found))
	}
	of := map[chain.Ticket]string{}
	for _, tx := range txs {
		for point := range tx.points() {
			of[chain.Ticket(appendTicket(nil, point))] = idText(tx.id)
		}
	}
	for i, u := range found {
		if u.Ticket != all[i*1000+999] || u.TxID != of[u.Ticket] || u.Failed || u.From != "" {
			t.Errorf("use %+v", u)
		}
	}
	if got := uses(txs, nil); got != nil {
		t.Errorf("without a set: %+v", got)
	}
	if n := testing.AllocsPerRun(3, func() { uses(txs, func(chain.Ticket) bool { return false }) }); n > 2 {
		t.Errorf("%v allocations for %d inputs that are none of ours", n, len(all))
	}
	if got := uses(txs[:1], func(chain.Ticket) bool { return true }); len(got) != 0 {
		t.Errorf("a coinbase uses %+v", got)
	}
}

// bigBlock is a block of about 2.5 MB whose outputs are of the kinds and sizes seen on mainnet.
func bigBlock(t testing.TB) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	txs := []*wire.MsgTx{coinbase(wire.NewTxOut(1, []byte{0x51}))}
	size := 0
	for size < 2_500_000 {
		tx := wire.NewMsgTx(2)
		for range 1 + r.IntN(3) {
			tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash(random(32))}, nil, [][]byte{random(72), random(33), random(r.IntN(400))}))
		}
		for range 1 + r.IntN(3) {
			var script []byte
			switch r.IntN(10) {
			case 0:
				script = append(append([]byte{0x76, 0xa9, 20}, random(20)...), 0x88, 0xac)
			case 1:
				script = append(append([]byte{0xa9, 20}, random(20)...), 0x87)
			case 2, 3, 4:
				script = append([]byte{0x51, 32}, random(32)...)
			default:
				script = append([]byte{0x00, 20}, random(20)...)
			}
			tx.AddTxOut(wire.NewTxOut(r.Int64N(1e9), script))
		}
		txs = append(txs, tx)
		size += tx.SerializeSize()
	}
	return serialise(t, txs)
}

func BenchmarkScan(b *testing.B) {
	raw := bigBlock(b)
	net := known(b, regtest)
	w := watchedMillion(net)
	h, err := parseHeader(net, raw)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			if _, err := walkBlock(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode and check", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			if _, err := decodeBlock(raw, h); err != nil {
				b.Fatal(err)
			}
		}
	})
	txs, err := walkBlock(raw)
	if err != nil {
		b.Fatal(err)
	}
	held := func(chain.Ticket) bool { return false }
	b.Run("uses", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			uses(txs, held)
		}
	})
	b.Run("match", func(b *testing.B) {
		for b.Loop() {
			match(net, txs, 1, w)
		}
	})
}

func FuzzDecodeBlock(f *testing.F) {
	f.Add(serialise(f, []*wire.MsgTx{coinbase(wire.NewTxOut(1, []byte{0x51}))}))
	net := known(f, regtest)
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := parseHeader(net, raw)
		if err != nil {
			return
		}
		ours, err := walkBlock(raw)
		theirs, err2 := wireBlock(raw)
		if err == nil && checkBlock(ours, h) == nil && (err2 != nil || len(theirs) != len(ours)) {
			t.Fatalf("ours reads %d transactions, the library says %v", len(ours), err2)
		}
	})
}

func FuzzDecodeTx(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := walkTx(raw)
		var lib wire.MsgTx
		in := bytes.NewReader(raw)
		err2 := lib.Deserialize(in)
		if err2 == nil && in.Len() > 0 {
			err2 = errors.New("left over")
		}
		if err == nil && err2 == nil && tx.id != [32]byte(lib.TxHash()) {
			t.Fatalf("id %x, library says %x", tx.id, lib.TxHash())
		}
		if err == nil && err2 == nil {
			points := slices.Collect(tx.points())
			if len(points) != len(lib.TxIn) {
				t.Fatalf("%d inputs, library says %d", len(points), len(lib.TxIn))
			}
			for i, in := range lib.TxIn {
				if string(appendTicket(nil, points[i])) != in.PreviousOutPoint.String() {
					t.Fatalf("input %d is %x, library says %s", i, points[i], in.PreviousOutPoint)
				}
			}
		}
	})
}
