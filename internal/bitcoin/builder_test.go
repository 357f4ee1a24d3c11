package bitcoin_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/chain/chaintest"
	devchain "github.com/pipe-pg/pipe/internal/devchain/bitcoin"
	"github.com/pipe-pg/pipe/internal/devchain/bitcoind"
	"github.com/pipe-pg/pipe/internal/money"
)

func openBuilder(t testing.TB, urls ...string) *bitcoin.Builder {
	t.Helper()
	b, err := bitcoin.OpenBuilder(bitcoin.BuilderOptions{Network: regtest, URLs: urls})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// account makes a key whose signatures are as the signer's.
func account(t testing.TB) chaintest.Account {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	a, err := address.NewAddressWitnessPubKeyHash(address.Hash160(key.PubKey().SerializeCompressed()), &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	return chaintest.Account{Address: a.EncodeAddress(), Sign: func(u chain.Unsigned) (chain.Signed, error) { return sign(u, key) }}
}

// sign signs every input of a PSBT with one key.
func sign(u chain.Unsigned, key *btcec.PrivateKey) (chain.Signed, error) {
	tx, spent, err := readPSBT(u.Raw)
	if err != nil {
		return chain.Signed{}, err
	}
	prev := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range tx.TxIn {
		prev.AddPrevOut(in.PreviousOutPoint, spent[i])
	}
	hashes := txscript.NewTxSigHashes(tx, prev)
	for i := range tx.TxIn {
		tx.TxIn[i].Witness, err = txscript.WitnessSignature(tx, hashes, i, spent[i].Value, spent[i].PkScript, txscript.SigHashAll, key, true)
		if err != nil {
			return chain.Signed{}, err
		}
	}
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		return chain.Signed{}, err
	}
	return chain.Signed{Raw: raw.Bytes(), TxID: tx.TxHash().String()}, nil
}

// readPSBT reads a PSBT's transaction and the outputs that it spends, strictly: what the builder has no reason to write is
// an error.
func readPSBT(raw []byte) (*wire.MsgTx, []*wire.TxOut, error) {
	in := bytes.NewReader(raw)
	magic := make([]byte, 5)
	if _, err := in.Read(magic); err != nil || string(magic) != "psbt\xff" {
		return nil, nil, errors.New("no PSBT")
	}
	pair := func() (key, value []byte, err error) {
		if key, err = wire.ReadVarBytes(in, 0, 1<<20, "key"); err != nil || len(key) == 0 {
			return nil, nil, err
		}
		value, err = wire.ReadVarBytes(in, 0, 1<<20, "value")
		return key, value, err
	}
	only := func(want byte) ([]byte, error) {
		key, value, err := pair()
		if err != nil || !bytes.Equal(key, []byte{want}) {
			return nil, fmt.Errorf("key %x: %w", key, err)
		}
		if end, _, err := pair(); err != nil || end != nil {
			return nil, fmt.Errorf("key %x after %x: %w", end, key, err)
		}
		return value, nil
	}
	plain, err := only(0)
	if err != nil {
		return nil, nil, err
	}
	tx := new(wire.MsgTx)
	if err := tx.DeserializeNoWitness(bytes.NewReader(plain)); err != nil {
		return nil, nil, err
	}
	var spent []*wire.TxOut
	for range tx.TxIn {
		value, err := only(1)
		if err != nil || len(value) < 9 {
			return nil, nil, err
		}
		script, err := wire.ReadVarBytes(bytes.NewReader(value[8:]), 0, 100, "script")
		if err != nil {
			return nil, nil, err
		}
		spent = append(spent, wire.NewTxOut(int64(binary.LittleEndian.Uint64(value)), script))
	}
	for range tx.TxOut {
		if key, _, err := pair(); err != nil || key != nil {
			return nil, nil, fmt.Errorf("key %x of an output: %w", key, err)
		}
	}
	if in.Len() != 0 {
		return nil, nil, errors.New("bytes after the PSBT")
	}
	return tx, spent, nil
}

// spender is the harness of a builder; the chain is as localChain, and can evict.
func spender(c localChain, r chain.Reader, b chain.Builder) chaintest.SpendHarness {
	return chaintest.SpendHarness{
		Harness: harness(c, r), Builder: b, Account: account, Change: true,
		Holding: func(_ context.Context, c chain.Credit) (chain.Holding, error) {
			return chain.Holding{Ticket: chain.Ticket(c.Ref), Address: c.To, Amount: c.Amount}, nil
		},
		Evict: c.Evict,
	}
}

func TestBuilderOnRegtest(t *testing.T) {
	c, err := devchain.Open(t.Context(), devchain.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close chain: %v", err)
		}
	})
	h := spender(c, open(t, c.URL()), openBuilder(t, c.URL()))
	h.Spike = func(_ context.Context, times int64) error {
		c.SetFeeRate(2_000 * times)
		return nil
	}
	h.Refuse = func(_ context.Context, on bool) error {
		if on {
			return c.FailSends(t.Context(), devchain.SendRefused)
		}
		return c.FailSends(t.Context(), "")
	}
	for _, mode := range []devchain.SendFault{devchain.SendLost, devchain.SendCut} {
		h.AcceptThenFail = func(ctx context.Context) error { return c.FailNextSend(ctx, mode) }
		t.Run(string(mode), func(t *testing.T) { chaintest.RunBuilder(t, h) })
	}
	q, err := chain.NewQuorum(regtest, chain.Named{Name: "a", Reader: open(t, c.URL())}, chain.Named{Name: "b", Reader: open(t, c.URL())})
	if err != nil {
		t.Fatal(err)
	}
	h.Reader, h.Builder = q, openBuilder(t, c.URL(), c.URL())
	t.Run("two endpoints", func(t *testing.T) { chaintest.RunBuilder(t, h) })
}

// TestBuilderOnBitcoind has a gate before the node for what a real one does not do on demand.
func TestBuilderOnBitcoind(t *testing.T) {
	c := bitcoind.ForTest(t)
	gate, err := c.OpenGate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gate.Close(); err != nil {
			t.Errorf("close gate: %v", err)
		}
	})
	h := spender(c, open(t, gate.URL()), openBuilder(t, gate.URL()))
	modes := []devchain.SendFault{devchain.SendLost, devchain.SendCut}
	h.AcceptThenFail = func(ctx context.Context) error { return gate.FailNextSend(ctx, modes...) }
	h.Refuse = func(ctx context.Context, on bool) error {
		if on {
			return gate.FailSends(ctx, devchain.SendRefused)
		}
		return gate.FailSends(ctx, "")
	}
	h.Spike = func(_ context.Context, times int64) error {
		gate.SetFeeRate(3_000 * times)
		return nil
	}
	chaintest.RunBuilder(t, h)
}

// TestReplacements: a version that does not pay enough more is refused, by our own chain in the words of a real node, and
// the one before it stays; the transaction is what the node itself reads out of the PSBT.
func TestReplacements(t *testing.T) {
	t.Run("process", func(t *testing.T) { replacements(t, openDev(t)) })
	t.Run("bitcoind", func(t *testing.T) {
		c := bitcoind.ForTest(t)
		replacements(t, c)
		l := newLiar(t, c.URL())
		w := newWallet(t)
		u, err := openBuilder(t, l.server.URL).Build(t.Context(), chain.Draft{Network: regtest, Version: 1, Holdings: []chain.Holding{w.holding(1, 90_000), w.holding(2, 10_000)},
			Anchor: w.holding(1, 1).Ticket, Pays: []chain.Pay{{To: w.address, Amount: btc(60_000)}}})
		if err != nil {
			t.Fatal(err)
		}
		type analysis struct {
			Fee    json.Number
			Next   string
			Inputs []struct {
				HasUTXO bool `json:"has_utxo"`
				IsFinal bool `json:"is_final"`
				Next    string
			}
		}
		got := ask[analysis](t, c.URL(), "analyzepsbt", base64.StdEncoding.EncodeToString(u.Raw))
		if len(got.Inputs) != 2 || !got.Inputs[0].HasUTXO || got.Inputs[1].IsFinal || got.Fee.String() != decimal(units(u.Fee)) {
			t.Errorf("the node reads %+v of %+v", got, u)
		}
	})
}

func replacements(t *testing.T, c localChain) {
	l := newLiar(t, c.URL())
	rate := int64(0)
	l.lie(func(q question, a *answer) {
		if q.Method == "estimatesmartfee" {
			*a = answer{Result: fmt.Appendf(nil, `{"feerate":%s,"blocks":2}`, decimal(rate)), ID: a.ID}
		}
	}, nil)
	b := openBuilder(t, l.server.URL)
	ctx := t.Context()
	mine, to := account(t), addresses(t, 1)[0]
	funding, err := c.Pay(ctx, mine.Address, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Mine(ctx, 1); err != nil {
		t.Fatal(err)
	}
	d := chain.Draft{Network: regtest, Version: 1, Holdings: []chain.Holding{{Ticket: chain.Ticket(funding + ":0"), Address: mine.Address, Amount: btc(1_000_000)}},
		Pays: []chain.Pay{{To: to, Amount: btc(1_000_000)}}}
	d.Anchor = d.Holdings[0].Ticket
	step := func(at int64, previous money.Amount) (chain.Unsigned, chain.Signed, error) {
		rate, d.Previous = at, previous
		u, err := b.Build(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		s, err := mine.Sign(u)
		if err != nil {
			t.Fatal(err)
		}
		return u, s, b.Broadcast(ctx, s.Raw)
	}
	waiting := func() []string { return ask[[]string](t, c.URL(), "getrawmempool") }
	first, s1, err := step(10_000, money.Amount{})
	if err != nil {
		t.Fatal(err)
	}
	for _, low := range []int64{5_000, 9_900, 10_050, 10_500} { // less, or less than a step more
		_, s, err := step(low, money.Amount{})
		if !errors.Is(err, chain.ErrRejected) || !strings.Contains(err.Error(), "insufficient fee") || !slices.Equal(waiting(), []string{s1.TxID}) {
			t.Errorf("replacement at %d by %s: %v; waiting %v, sent %s", low, s.TxID, err, waiting(), s1.TxID)
		}
	}
	for range 3 {
		u, s, err := step(5_000, first.Rate)
		if err != nil || !slices.Equal(waiting(), []string{s.TxID}) {
			t.Fatalf("replacement at %s of %s: %v; waiting %v, sent %s", u.Rate, first.Rate, err, waiting(), s.TxID)
		}
		first = u
	}
}
