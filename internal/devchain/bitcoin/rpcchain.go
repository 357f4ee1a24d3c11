package bitcoin

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// The version reported: this endpoint speaks like Bitcoin Core 29.
const (
	coreVersion     = 290000
	subversion      = "/PIPE-regtest:29.0.0/"
	protocolVersion = 70016
)

func getBlockCount(c *Chain, _ args) (any, *rpcError) { return c.tip().height, nil }

func getBestBlockHash(c *Chain, _ args) (any, *rpcError) { return c.tip().hash.String(), nil }

// regtestDifficulty is the difficulty of 0x207fffff as Bitcoin Core prints it.
const regtestDifficulty = 4.656542373906925e-10

func getBlockchainInfo(c *Chain, _ args) (any, *rpcError) {
	tip := c.tip()
	return map[string]any{
		"chain":                "regtest",
		"blocks":               tip.height,
		"headers":              tip.height,
		"bestblockhash":        tip.hash.String(),
		"bits":                 fmt.Sprintf("%08x", tip.header.Bits),
		"target":               target(tip.header.Bits),
		"difficulty":           regtestDifficulty,
		"time":                 tip.header.Timestamp.Unix(),
		"mediantime":           tip.medianTime().Unix(),
		"verificationprogress": 1,
		"initialblockdownload": !c.current,
		"chainwork":            tip.work(),
		"size_on_disk":         c.journal.size,
		"pruned":               false,
		"warnings":             []string{},
	}, nil
}

func target(bits uint32) string { return fmt.Sprintf("%064x", blockchain.CompactToBig(bits)) }

// work is the sum of work up to the block; on regtest every block has the same.
func (n *indexed) work() string {
	work := new(big.Int).Mul(blockchain.CalcWork(n.header.Bits), big.NewInt(int64(n.height)+1))
	return fmt.Sprintf("%064x", work)
}

func getBlockHash(c *Chain, a args) (any, *rpcError) {
	height, failure := a.integer(0, 0)
	if failure != nil {
		return nil, failure
	}
	if height < 0 || height > int64(c.tip().height) {
		return nil, &rpcError{codeInvalidParameter, "Block height out of range"}
	}
	hash, err := c.chain.BlockHashByHeight(int32(height))
	if err != nil {
		return nil, internal(err)
	}
	return hash.String(), nil
}

// lookup finds the block whose hash is parameter 0, which the method calls name.
func (c *Chain) lookup(a args, name string) (*indexed, *rpcError) {
	hash, failure := a.hash(0, name)
	if failure != nil {
		return nil, failure
	}
	if n, ok := c.index[hash]; ok {
		return n, nil
	}
	return nil, &rpcError{codeInvalidAddress, "Block not found"}
}

func getBlockHeader(c *Chain, a args) (any, *rpcError) {
	n, failure := c.lookup(a, "hash")
	if failure != nil {
		return nil, failure
	}
	verbose, failure := a.flag(1, true)
	if failure != nil {
		return nil, failure
	}
	if verbose {
		return c.headerFields(n), nil
	}
	var raw bytes.Buffer
	if err := n.header.Serialize(&raw); err != nil {
		return nil, internal(err)
	}
	return hex.EncodeToString(raw.Bytes()), nil
}

func (c *Chain) headerFields(n *indexed) map[string]any {
	fields := map[string]any{
		"hash":          n.hash.String(),
		"confirmations": -1,
		"height":        n.height,
		"version":       n.header.Version,
		"versionHex":    fmt.Sprintf("%08x", uint32(n.header.Version)),
		"merkleroot":    n.header.MerkleRoot.String(),
		"time":          n.header.Timestamp.Unix(),
		"mediantime":    n.medianTime().Unix(),
		"nonce":         n.header.Nonce,
		"bits":          fmt.Sprintf("%08x", n.header.Bits),
		"target":        target(n.header.Bits),
		"difficulty":    regtestDifficulty,
		"chainwork":     n.work(),
		"nTx":           n.txs,
	}
	if n.parent != nil {
		fields["previousblockhash"] = n.parent.hash.String()
	}
	if c.chain.MainChainHasBlock(&n.hash) {
		fields["confirmations"] = c.tip().height - n.height + 1
		if next, err := c.chain.BlockHashByHeight(n.height + 1); err == nil {
			fields["nextblockhash"] = next.String()
		}
	}
	return fields
}

func getBlock(c *Chain, a args) (any, *rpcError) {
	n, failure := c.lookup(a, "blockhash")
	if failure != nil {
		return nil, failure
	}
	verbosity, failure := a.level(1, 1)
	if failure != nil {
		return nil, failure
	}
	raw, err := c.rawBlock(n.hash)
	if err != nil {
		return nil, internal(err)
	}
	if verbosity <= 0 {
		return hex.EncodeToString(raw), nil
	}
	block, err := btcutil.NewBlockFromBytes(raw)
	if err != nil {
		return nil, internal(err)
	}
	fields := c.headerFields(n)
	fields["size"] = len(raw)
	fields["strippedsize"] = block.MsgBlock().SerializeSizeStripped()
	fields["weight"] = blockchain.GetBlockWeight(block)
	txs := make([]any, len(block.Transactions()))
	for i, tx := range block.Transactions() {
		if txs[i] = tx.Hash().String(); verbosity >= 2 {
			txs[i] = c.txFields(tx.MsgTx())
		}
	}
	fields["tx"] = txs
	return fields, nil
}

func getNetworkInfo(*Chain, args) (any, *rpcError) {
	return map[string]any{
		"version":            coreVersion,
		"subversion":         subversion,
		"protocolversion":    protocolVersion,
		"localservices":      "0000000000000409",
		"localservicesnames": []string{"NETWORK", "WITNESS", "NETWORK_LIMITED"},
		"localrelay":         true,
		"timeoffset":         0,
		"networkactive":      true,
		"connections":        0,
		"connections_in":     0,
		"connections_out":    0,
		"networks":           []any{},
		"relayfee":           btc(minRelayFee),
		"incrementalfee":     btc(minRelayFee),
		"localaddresses":     []any{},
		"warnings":           []string{},
	}, nil
}

func getIndexInfo(*Chain, args) (any, *rpcError) { return map[string]any{}, nil }

func getUptime(c *Chain, _ args) (any, *rpcError) { return int64(c.uptime().Seconds()), nil }

func estimateSmartFee(c *Chain, a args) (any, *rpcError) {
	target, failure := a.integer(0, 0)
	if failure != nil {
		return nil, failure
	}
	if target < 1 || target > 1008 {
		return nil, &rpcError{codeInvalidParameter, "Invalid conf_target, must be between 1 and 1008"}
	}
	blocks := max(target, 2)
	if c.feeRate <= 0 {
		return map[string]any{"errors": []string{"Insufficient data or no feerate found"}, "blocks": blocks}, nil
	}
	return map[string]any{"feerate": btc(max(c.feeRate, minRelayFee)), "blocks": blocks}, nil
}

// txFields is a transaction in Bitcoin Core's verbose form.
func (c *Chain) txFields(tx *wire.MsgTx) map[string]any {
	wrapped := btcutil.NewTx(tx)
	weight := blockchain.GetTransactionWeight(wrapped)
	vin := make([]any, len(tx.TxIn))
	for i, in := range tx.TxIn {
		vin[i] = inputFields(in, blockchain.IsCoinBaseTx(tx))
	}
	vout := make([]any, len(tx.TxOut))
	for i, out := range tx.TxOut {
		vout[i] = map[string]any{"value": btc(out.Value), "n": i, "scriptPubKey": c.scriptFields(out.PkScript)}
	}
	return map[string]any{
		"txid": tx.TxHash().String(), "hash": tx.WitnessHash().String(), "version": tx.Version,
		"size": tx.SerializeSize(), "vsize": (weight + 3) / 4, "weight": weight, "locktime": tx.LockTime,
		"vin": vin, "vout": vout, "hex": txHex(tx),
	}
}

func inputFields(in *wire.TxIn, coinbase bool) map[string]any {
	fields := map[string]any{"sequence": in.Sequence}
	if len(in.Witness) > 0 {
		items := make([]string, len(in.Witness))
		for i, item := range in.Witness {
			items[i] = hex.EncodeToString(item)
		}
		fields["txinwitness"] = items
	}
	if coinbase {
		fields["coinbase"] = hex.EncodeToString(in.SignatureScript)
		return fields
	}
	fields["txid"] = in.PreviousOutPoint.Hash.String()
	fields["vout"] = in.PreviousOutPoint.Index
	fields["scriptSig"] = map[string]any{"asm": disassemble(in.SignatureScript), "hex": hex.EncodeToString(in.SignatureScript)}
	return fields
}

func disassemble(script []byte) string {
	text, err := txscript.DisasmString(script)
	if err != nil {
		return text + " [error]" // as Bitcoin Core prints a script that cannot be parsed
	}
	return text
}

// scriptFields is an output script in Bitcoin Core's form, without its descriptor.
func (c *Chain) scriptFields(script []byte) map[string]any {
	names := map[txscript.ScriptClass]string{
		txscript.PubKeyTy: "pubkey", txscript.PubKeyHashTy: "pubkeyhash", txscript.ScriptHashTy: "scripthash",
		txscript.MultiSigTy: "multisig", txscript.NullDataTy: "nulldata", txscript.WitnessV0PubKeyHashTy: "witness_v0_keyhash",
		txscript.WitnessV0ScriptHashTy: "witness_v0_scripthash", txscript.WitnessV1TaprootTy: "witness_v1_taproot",
	}
	fields := map[string]any{"asm": disassemble(script), "hex": hex.EncodeToString(script), "type": "nonstandard"}
	class, addrs, _, err := txscript.ExtractPkScriptAddrs(script, c.params)
	if err != nil {
		return fields
	}
	if name, ok := names[class]; ok {
		fields["type"] = name
	}
	if len(addrs) == 1 && class != txscript.PubKeyTy && class != txscript.MultiSigTy {
		fields["address"] = addrs[0].EncodeAddress()
	}
	return fields
}

func txHex(tx *wire.MsgTx) string {
	var raw bytes.Buffer
	raw.Grow(tx.SerializeSize())
	if err := tx.Serialize(&raw); err != nil { // a buffer takes every write
		return ""
	}
	return hex.EncodeToString(raw.Bytes())
}

func decodeTx(text string) (*btcutil.Tx, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, false
	}
	tx, err := btcutil.NewTxFromBytes(raw)
	if err != nil || tx.MsgTx().SerializeSize() != len(raw) || len(tx.MsgTx().TxIn) == 0 {
		return nil, false
	}
	return tx, true
}

// containing finds a transaction in a block.
func (c *Chain) containing(hash chainhash.Hash, in *indexed) (*wire.MsgTx, *rpcError) {
	block, err := c.block(in.hash)
	if err != nil {
		return nil, internal(err)
	}
	for _, tx := range block.Transactions() {
		if *tx.Hash() == hash {
			return tx.MsgTx(), nil
		}
	}
	return nil, &rpcError{codeInvalidAddress, "No such transaction found in the provided block. Use gettransaction for wallet transactions."}
}
