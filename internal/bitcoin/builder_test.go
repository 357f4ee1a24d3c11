package bitcoin_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
			return c.FailSends(devchain.SendRefused)
		}
		return c.FailSends(devchain.SendWell)
	}
	for _, mode := range []devchain.SendFault{devchain.SendErrs, devchain.SendCut} {
		h.AcceptThenFail = func(context.Context) error { return c.FailNextSend(mode) }
		t.Run(string(mode), func(t *testing.T) { chaintest.RunBuilder(t, h) })
	}
}

func TestBuilderOnBitcoind(t *testing.T) {
	c := bitcoind.ForTest(t)
	chaintest.RunBuilder(t, spender(c, open(t, c.URL()), openBuilder(t, c.URL())))
}
