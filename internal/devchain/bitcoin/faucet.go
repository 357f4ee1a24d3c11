package bitcoin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/mempool"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Output is one output of a payment.
type Output struct {
	Address string
	Sats    int64 // satoshi, above dust
}

// coin is an output of the faucet's.
type coin struct {
	point    wire.OutPoint
	value    int64
	height   int32
	coinbase bool
}

// faucet is the wallet that pays in the demo and in tests: one key, P2WPKH, many coins. Its key is the same on
// every chain; regtest coins are worth nothing.
type faucet struct {
	key    *btcec.PrivateKey
	script []byte
	addr   string
	coins  map[wire.OutPoint]coin // unspent on the best chain
	known  map[wire.OutPoint]coin // every coin there ever was, to bring back what a reorganisation frees
}

func newFaucet(params *chaincfg.Params) (*faucet, error) {
	seed := sha256.Sum256([]byte("PIPE regtest faucet"))
	key, pub := btcec.PrivKeyFromBytes(seed[:])
	addr, err := address.NewAddressWitnessPubKeyHash(address.Hash160(pub.SerializeCompressed()), params)
	if err != nil {
		return nil, fmt.Errorf("make faucet address: %w", err)
	}
	script, err := txscript.PayToAddrScript(addr)
	if err != nil {
		return nil, fmt.Errorf("make faucet script: %w", err)
	}
	return &faucet{
		key: key, script: script, addr: addr.EncodeAddress(),
		coins: map[wire.OutPoint]coin{}, known: map[wire.OutPoint]coin{},
	}, nil
}

// outputs lists the faucet's outputs of one transaction.
func (f *faucet) outputs(tx *btcutil.Tx, height int32, coinbase bool) []coin {
	var list []coin
	for i, out := range tx.MsgTx().TxOut {
		if out.Value >= changeDust && bytes.Equal(out.PkScript, f.script) { // late coinbases are worth nothing
			point := wire.OutPoint{Hash: *tx.Hash(), Index: uint32(i)}
			list = append(list, coin{point: point, value: out.Value, height: height, coinbase: coinbase})
		}
	}
	return list
}

func (f *faucet) connect(block *btcutil.Block) {
	for i, tx := range block.Transactions() {
		for _, in := range tx.MsgTx().TxIn {
			delete(f.coins, in.PreviousOutPoint)
		}
		for _, made := range f.outputs(tx, block.Height(), i == 0) {
			f.coins[made.point] = made
			f.known[made.point] = made
		}
	}
}

func (f *faucet) disconnect(block *btcutil.Block) {
	for i, tx := range slices.Backward(block.Transactions()) {
		for _, made := range f.outputs(tx, block.Height(), i == 0) {
			delete(f.coins, made.point)
		}
		for _, in := range tx.MsgTx().TxIn {
			if freed, ok := f.known[in.PreviousOutPoint]; ok {
				f.coins[freed.point] = freed
			}
		}
	}
}

// FaucetAddress is the faucet's own address.
func (c *Chain) FaucetAddress() string { return c.faucet.addr }

// Pay sends sats satoshi from the faucet to address and returns the txid; the transaction is then in the mempool,
// durably. ErrAddress, ErrAmount.
func (c *Chain) Pay(ctx context.Context, address string, sats int64) (string, error) {
	return c.PayMany(ctx, []Output{{Address: address, Sats: sats}})
}

// PayMany sends one transaction with the given outputs, in their order; addresses may repeat. At most 2,000 outputs.
func (c *Chain) PayMany(ctx context.Context, outputs []Output) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if len(outputs) == 0 || len(outputs) > maxPayOutputs {
		return "", fmt.Errorf("%w: %d outputs", ErrAmount, len(outputs))
	}
	outs := make([]*wire.TxOut, 0, len(outputs))
	for _, o := range outputs {
		script, err := c.script(o.Address)
		if err != nil {
			return "", err
		}
		if o.Sats <= 0 || o.Sats > btcutil.MaxSatoshi {
			return "", fmt.Errorf("%w: %d sat", ErrAmount, o.Sats)
		}
		outs = append(outs, wire.NewTxOut(o.Sats, script))
	}
	var txid string
	err := c.change(func() error {
		tx, err := c.fund(outs)
		if err != nil {
			return err
		}
		txid = tx.Hash().String()
		err = c.submit(tx)
		if _, refused := errors.AsType[*refusal](err); refused {
			return fmt.Errorf("%w: %w", ErrAmount, err)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("pay from faucet: %w", err)
	}
	return txid, nil
}

// script is the output script of a regtest address.
func (c *Chain) script(text string) ([]byte, error) {
	addr, err := address.DecodeAddress(text, c.params)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if !addr.IsForNet(c.params) {
		return nil, fmt.Errorf("%w: %q is of another network", ErrAddress, text)
	}
	script, err := txscript.PayToAddrScript(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return script, nil
}

// fund builds and signs a transaction with the given outputs and change. It prefers one confirmed coin, so that
// payments in flight do not depend on each other.
func (c *Chain) fund(outs []*wire.TxOut) (*btcutil.Tx, error) {
	var target int64
	for _, out := range outs {
		target += out.Value
	}
	confirmed := c.spendable()
	picked, err := pick(confirmed, target, outs)
	if err != nil {
		picked, err = pick(append(confirmed, c.unconfirmed()...), target, outs)
	}
	if err != nil {
		return nil, err
	}
	outs = slices.Clone(outs)
	change := total(picked) - target - faucetFee(len(picked), outs) - splitOutputs*changeSize*faucetFeeRate
	switch {
	case len(confirmed) < lowCoins && change >= splitFrom:
		for i := range int64(splitOutputs) {
			outs = append(outs, wire.NewTxOut((change+i)/splitOutputs, c.faucet.script))
		}
	case change+(splitOutputs-1)*changeSize*faucetFeeRate >= changeDust:
		outs = append(outs, wire.NewTxOut(change+(splitOutputs-1)*changeSize*faucetFeeRate, c.faucet.script))
	}
	return c.faucet.sign(picked, outs)
}

// changeSize is the size of a P2WPKH output in bytes, inputSize of its input in vbytes, rounded up.
const (
	changeSize = 31
	inputSize  = 69
)

// faucetFee is the fee in satoshi of a transaction with n faucet inputs and the given outputs.
func faucetFee(n int, outs []*wire.TxOut) int64 {
	size := 12 + n*inputSize
	for _, out := range outs {
		size += out.SerializeSize()
	}
	return int64(size) * faucetFeeRate
}

func total(coins []coin) int64 {
	var sum int64
	for _, one := range coins {
		sum += one.value
	}
	return sum
}

// pick takes one coin that pays target with its fee: a small one if that is enough, and the oldest of its kind, so
// that payments do not depend on those of the last blocks. Else it takes the largest coins together.
func pick(coins []coin, target int64, outs []*wire.TxOut) ([]coin, error) {
	need := target + faucetFee(1, outs) + (splitOutputs+1)*changeSize*faucetFeeRate
	slices.SortFunc(coins, func(a, b coin) int {
		large := func(one coin) int { return int(min(one.value/splitFrom, 1)) }
		return cmp.Or(large(a)-large(b), int(a.height-b.height), cmp.Compare(a.value, b.value))
	})
	if i := slices.IndexFunc(coins, func(one coin) bool { return one.value >= need }); i >= 0 {
		return coins[i : i+1 : i+1], nil
	}
	slices.SortFunc(coins, func(a, b coin) int { return cmp.Compare(b.value, a.value) })
	var picked []coin
	for _, one := range coins {
		picked = append(picked, one)
		need += inputSize * faucetFeeRate
		if total(picked) >= need {
			return picked, nil
		}
		if len(picked) == maxPayInputs {
			break
		}
	}
	return nil, fmt.Errorf("%w: the faucet has %d sat for %d", ErrAmount, total(picked), target)
}

// spendable lists the faucet's confirmed, mature coins that nothing in the mempool spends.
func (c *Chain) spendable() []coin {
	next := c.chain.BestSnapshot().Height + 1
	var list []coin
	for _, one := range c.faucet.coins {
		if one.coinbase && next-one.height < int32(c.params.CoinbaseMaturity) {
			continue
		}
		if c.pool.CheckSpend(one.point) == nil {
			list = append(list, one)
		}
	}
	return list
}

// unconfirmed lists the faucet's outputs in the mempool that nothing there spends.
func (c *Chain) unconfirmed() []coin {
	var list []coin
	for _, e := range c.entries {
		for _, one := range c.faucet.outputs(e.tx, 0, false) {
			if c.pool.CheckSpend(one.point) == nil {
				list = append(list, one)
			}
		}
	}
	return list
}

// sign makes the transaction that spends the coins to the outputs. It signals replaceability (BIP 125), as
// Bitcoin Core's wallet does.
func (f *faucet) sign(coins []coin, outs []*wire.TxOut) (*btcutil.Tx, error) {
	return f.signWith(coins, outs, mempool.MaxRBFSequence)
}

func (f *faucet) signWith(coins []coin, outs []*wire.TxOut, sequence uint32) (*btcutil.Tx, error) {
	tx := wire.NewMsgTx(2)
	prev := txscript.NewMultiPrevOutFetcher(nil)
	for _, one := range coins {
		in := wire.NewTxIn(&one.point, nil, nil)
		in.Sequence = sequence
		tx.AddTxIn(in)
		prev.AddPrevOut(one.point, wire.NewTxOut(one.value, f.script))
	}
	for _, out := range outs {
		tx.AddTxOut(out)
	}
	hashes := txscript.NewTxSigHashes(tx, prev)
	for i, one := range coins {
		witness, err := txscript.WitnessSignature(tx, hashes, i, one.value, f.script, txscript.SigHashAll, f.key, true)
		if err != nil {
			return nil, fmt.Errorf("sign faucet input: %w", err)
		}
		tx.TxIn[i].Witness = witness
	}
	return btcutil.NewTx(tx), nil
}

// premine gives a new chain its mature coins: blocks in the past with full subsidies, then one block that splits
// some of them into many coins, so that many payments can be in flight at once.
func (c *Chain) premine(ctx context.Context) error {
	return c.change(func() error {
		start := c.opts.Now().Add(-(premineBlocks + 1) * premineSpacing)
		for {
			tip := c.tip()
			if tip.height >= premineBlocks {
				break
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			when := start.Add(time.Duration(tip.height) * premineSpacing)
			if least := tip.medianTime().Add(time.Second); when.Before(least) {
				when = least
			}
			block, err := c.assemble(plan{parent: tip, when: when, script: c.faucet.script})
			if err != nil {
				return err
			}
			if _, err := c.accept(block); err != nil {
				return fmt.Errorf("accept block: %w", err)
			}
		}
		return c.split()
	})
}

func (c *Chain) split() error {
	coins := c.spendable()
	if len(coins) < premineInputs {
		return nil // a premine that was cut short and finished later; payments split their change
	}
	coins = coins[:premineInputs]
	outs := make([]*wire.TxOut, premineOutputs)
	for i := range outs {
		outs[i] = wire.NewTxOut(btcutil.SatoshiPerBitcoin, c.faucet.script)
	}
	rest := total(coins) - premineOutputs*btcutil.SatoshiPerBitcoin
	outs = append(outs, wire.NewTxOut(rest-faucetFee(premineInputs, outs)-changeSize*faucetFeeRate, c.faucet.script))
	tx, err := c.faucet.sign(coins, outs)
	if err != nil {
		return err
	}
	if err := c.submit(tx); err != nil {
		return fmt.Errorf("split coins: %w", err)
	}
	_, err = c.mineOne(c.faucet.script, nil)
	return err
}

// ours finds the faucet's coins behind all inputs of a transaction.
func (f *faucet) ours(tx *btcutil.Tx) ([]coin, error) {
	var list []coin
	for _, in := range tx.MsgTx().TxIn {
		one, ok := f.known[in.PreviousOutPoint]
		if !ok {
			return nil, fmt.Errorf("%w: %v", ErrNotFaucet, in.PreviousOutPoint)
		}
		list = append(list, one)
	}
	return list, nil
}

func parseTxid(text string) (chainhash.Hash, error) {
	hash, err := chainhash.NewHashFromStr(text)
	if err != nil || len(text) != chainhash.MaxHashStringSize {
		return chainhash.Hash{}, fmt.Errorf("%w: %q is not a txid", ErrUnknownTx, text)
	}
	return *hash, nil
}
