package signer

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/pipe-pg/pipe/internal/chain"
)

// There is one encoding of every PSBT that is read: writing it again gives the same bytes.
func FuzzPartial(f *testing.F) {
	h := newHouse(f, Policy{})
	one := h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 100_000)}, settle("P", 50_000)).Raw
	two := h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 100_000), h.coin("SHOP-A", 2, 70_000)}, settle("P", 50_000), pay("Q", chain.CauseRefund, lateBTC, sat(90_000))).Raw
	for _, raw := range [][]byte{one, two, one[:40], append(bytes.Clone(two), 0), []byte(psbtMagic), nil} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := readPartial(raw)
		if err != nil {
			return
		}
		if len(p.coins) != len(p.tx.TxIn) || vsize(p.tx) < 100 {
			t.Fatalf("%d coins of %d inputs, %d virtual bytes", len(p.coins), len(p.tx.TxIn), vsize(p.tx))
		}
		if again := rawPSBT(t, p.tx, func(i int) coin { return p.coins[i] }); !bytes.Equal(again, raw) {
			t.Fatalf("%x\nis written %x", raw, again)
		}
	})
}

// Every payload that is read is read alike by go-ethereum, and there is one encoding of it.
func FuzzTransfer(f *testing.F) {
	h := newHouse(f, Policy{})
	for nonce := range 3 {
		f.Add(h.eth("S", 1, 20, nonce, nonce*200, pay("P", chain.CauseRefund, shopETH, gwei(int64(1e6)<<nonce))).Raw)
	}
	f.Add([]byte{2, 0xc0})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readTransfer(raw)
		if err != nil {
			return
		}
		var want wei
		if err := rlp.DecodeBytes(raw[1:], &want); err != nil {
			t.Fatalf("%x: go-ethereum does not read it: %v", raw, err)
		}
		if got.chainID != want.ChainID || got.nonce != want.Nonce || got.gas != want.Gas || got.tip.Cmp(want.Tip) != 0 || got.feeCap.Cmp(want.FeeCap) != 0 ||
			got.value.Cmp(want.Value) != 0 || got.to != want.To || len(want.Data) > 0 || len(want.Access) > 0 {
			t.Fatalf("%x: %+v, go-ethereum reads %+v", raw, got, want)
		}
		if again := want.raw(t); !bytes.Equal(again, raw) {
			t.Fatalf("%x is written %x", raw, again)
		}
	})
}

// A frame is read within its bounds, and a request that is understood means the same when it is written again.
func FuzzFrame(f *testing.F) {
	h := newHouse(f, Policy{})
	for _, u := range []chain.Unsigned{
		h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 100_000)}, settle("P", 50_000)),
		h.eth("S", 1, 20, 0, 0, pay("P", chain.CauseGather, shopETH, gwei(1e9))),
		{},
	} {
		body, err := json.Marshal(unsignedToWire(u))
		if err != nil {
			f.Fatal(err)
		}
		var frame bytes.Buffer
		if err := writeFrame(&frame, request{"sign", 7, body}, MaxRequest); err != nil {
			f.Fatal(err)
		}
		f.Add(frame.Bytes())
	}
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0, 4, 0, 1})
	methods := houseMethods()
	f.Fuzz(func(t *testing.T, sent []byte) {
		body, err := readFrame(bytes.NewReader(sent), MaxRequest, func() {})
		if err != nil {
			return
		}
		var q request
		if err := readValue(body, &q); err != nil {
			if !errors.Is(err, errFrame) {
				t.Fatal(err)
			}
			return
		}
		if methods[q.Method] == nil || q.Method != "sign" {
			return
		}
		var w wireUnsigned
		if err := readValue(q.Body, &w); err != nil {
			return
		}
		u, err := w.unsigned()
		if err != nil || checkUnsigned(u) != nil {
			return
		}
		again, err := unsignedToWire(u).unsigned()
		if err != nil || checkUnsigned(again) != nil || !reflect.DeepEqual(unsignedToWire(u), unsignedToWire(again)) {
			t.Fatalf("%+v\nbecame %+v, %v", u, again, err)
		}
	})
}

// Every record that is read is written back as it was.
func FuzzRecord(f *testing.F) {
	h := newHouse(f, Policy{})
	u := h.btc("S", 1, 500, []chain.Holding{h.coin("SHOP-A", 1, 100_000)}, settle("P", 50_000))
	i := intent{spend: "S", version: 1, network: regtest, merchant: "SHOP-A", anchor: u.Anchor, fee: sat(500), uses: []use{{u.Anchor, sat(100_000)}},
		shares: []share{{"P", 1, chain.CauseSettlement, shopBTC, sat(50_000), sat(49_500)}}}
	for _, r := range []record{bind{3, "SHOP-A"}, mark{lane{3, regtest}, 7}, epoch{9}, skip{5}, halt{true}, halt{false}, i,
		decide{actVeto, "SHOP-A", regtest, shopBTC}, ask{actRegister, terms{"SHOP-A", regtest, "P", 1, chain.CauseRefund, payer, sat(7)}},
		signature{"S", 1, "00ff", []byte{1, 2, 3}}, void{"S"}} {
		payload := encode(r, 1_800_000_000_000)
		if got, err := decode(payload); err != nil || got.kind() != r.kind() || !bytes.Equal(got.fields(), r.fields()) {
			f.Fatalf("%+v was read as %+v, %v", r, got, err)
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := decode(payload)
		if err != nil {
			return
		}
		if got := append(bytes.Clone(payload[:9]), r.fields()...); !bytes.Equal(got, payload) || r.kind() != payload[0] {
			t.Fatalf("%x\nis written %x", payload, got)
		}
	})
}
