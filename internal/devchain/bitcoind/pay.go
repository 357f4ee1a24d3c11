package bitcoind

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
)

// Pay sends sats satoshi from the node's wallet to address and returns the txid; the transaction is then in the
// mempool. bitcoin.ErrAddress, bitcoin.ErrAmount.
func (n *Node) Pay(ctx context.Context, address string, sats int64) (string, error) {
	return n.PayMany(ctx, []Output{{Address: address, Sats: sats}})
}

// PayMany sends one transaction with the given outputs, in their order; addresses may repeat. At most 2,000 outputs.
func (n *Node) PayMany(ctx context.Context, outputs []Output) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	txid, err := n.pay(ctx, outputs)
	if err != nil {
		return "", fmt.Errorf("pay from faucet: %w", err)
	}
	return txid, nil
}

func (n *Node) pay(ctx context.Context, outputs []Output) (string, error) {
	if len(outputs) == 0 || len(outputs) > maxPayOutputs {
		return "", fmt.Errorf("%w: %d outputs", bitcoin.ErrAmount, len(outputs))
	}
	tx := wire.NewMsgTx(2)
	for _, o := range outputs {
		script, err := script(o.Address)
		if err != nil {
			return "", err
		}
		if o.Sats <= 0 || o.Sats > btcutil.MaxSatoshi {
			return "", fmt.Errorf("%w: %d sat", bitcoin.ErrAmount, o.Sats)
		}
		tx.AddTxOut(wire.NewTxOut(o.Sats, script))
	}
	if err := n.pick(ctx, tx); err != nil {
		return "", err
	}
	var funded struct{ Hex string }
	// The inputs are locked because the wallet hears of its own transaction a moment later.
	options := map[string]any{
		"fee_rate": feeRate, "changePosition": len(outputs), "lockUnspents": true, "replaceable": true,
		"add_inputs": len(tx.TxIn) == 0,
	}
	if err := n.call(ctx, "fundrawtransaction", []any{encode(tx), options}, &funded); err != nil {
		return "", refused(err)
	}
	return n.send(ctx, funded.Hex)
}

// pick gives the transaction one coin that pays it: a small one if that is enough, and the oldest of its kind, so
// that payments do not depend on those of the last blocks. Without such a coin the wallet chooses by itself.
func (n *Node) pick(ctx context.Context, tx *wire.MsgTx) error {
	need := int64(feeRate * (tx.SerializeSize() + 200))
	for _, out := range tx.TxOut {
		need += out.Value
	}
	type coin struct {
		Txid          string
		Vout          uint32
		Amount        sats
		Confirmations int
		Spendable     bool
	}
	var coins []coin
	if err := n.call(ctx, "listunspent", []any{1}, &coins); err != nil {
		return err
	}
	slices.SortFunc(coins, func(a, b coin) int {
		large := func(one coin) int { return int(min(one.Amount/largeCoin, 1)) }
		return cmp.Or(large(a)-large(b), b.Confirmations-a.Confirmations, cmp.Compare(a.Amount, b.Amount))
	})
	i := slices.IndexFunc(coins, func(one coin) bool { return one.Spendable && int64(one.Amount) >= need })
	if i < 0 {
		return nil
	}
	hash, err := chainhash.NewHashFromStr(coins[i].Txid)
	if err != nil {
		return fmt.Errorf("decode coin: %w", err)
	}
	in := wire.NewTxIn(wire.NewOutPoint(hash, coins[i].Vout), nil, nil)
	in.Sequence = wire.MaxTxInSequenceNum - 2
	tx.AddTxIn(in)
	return nil
}

// send signs a transaction with the wallet and sends it.
func (n *Node) send(ctx context.Context, raw string) (string, error) {
	signed, err := n.sign(ctx, raw, nil)
	if err != nil {
		return "", err
	}
	var txid string
	if err := n.call(ctx, "sendrawtransaction", []any{signed, 0}, &txid); err != nil {
		return "", refused(err)
	}
	return txid, nil
}

func (n *Node) sign(ctx context.Context, raw string, prev []any) (string, error) {
	params := []any{raw}
	if prev != nil {
		params = append(params, prev)
	}
	var signed struct {
		Hex      string
		Complete bool
	}
	if err := n.call(ctx, "signrawtransactionwithwallet", params, &signed); err != nil {
		return "", err
	}
	if !signed.Complete {
		return "", bitcoin.ErrNotFaucet
	}
	return signed.Hex, nil
}

// refused marks the node's answers that mean an amount cannot be paid.
func refused(err error) error {
	if said, ok := errors.AsType[*rpcError](err); ok && slices.Contains(
		[]int{codeWalletError, codeNoFunds, codeInvalidParam, codeTxUnspendable, codeTxRejected}, said.Code) {
		return fmt.Errorf("%w: %w", bitcoin.ErrAmount, err)
	}
	return err
}

func script(text string) ([]byte, error) {
	params := &chaincfg.RegressionNetParams
	addr, err := address.DecodeAddress(text, params)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bitcoin.ErrAddress, err)
	}
	if !addr.IsForNet(params) {
		return nil, fmt.Errorf("%w: %q is of another network", bitcoin.ErrAddress, text)
	}
	made, err := txscript.PayToAddrScript(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bitcoin.ErrAddress, err)
	}
	return made, nil
}

// sats is an amount in satoshi, which the node prints in BTC with eight decimals.
type sats int64

func (s *sats) UnmarshalJSON(raw []byte) error {
	n, err := strconv.ParseInt(strings.Replace(string(raw), ".", "", 1), 10, 64)
	if err != nil {
		return fmt.Errorf("decode amount: %w", err)
	}
	*s = sats(n)
	return nil
}

func encode(tx *wire.MsgTx) string {
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil { // a buffer takes every write
		return ""
	}
	return hex.EncodeToString(raw.Bytes())
}

func decode(text string) (*btcutil.Tx, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("decode transaction: %w", err)
	}
	tx, err := btcutil.NewTxFromBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("decode transaction: %w", err)
	}
	return tx, nil
}
