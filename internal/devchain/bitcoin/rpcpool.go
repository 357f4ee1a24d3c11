package bitcoin

import (
	"errors"
	"fmt"
	"math"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/mempool"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func getRawMempool(c *Chain, a args) (any, *rpcError) {
	verbose, failure := a.flag(0, false)
	if failure != nil {
		return nil, failure
	}
	sequence, failure := a.flag(1, false)
	if failure != nil {
		return nil, failure
	}
	if verbose && sequence {
		return nil, &rpcError{codeInvalidParameter, "Verbose results cannot contain mempool sequence values."}
	}
	if verbose {
		all := make(map[string]any, len(c.entries))
		fees := c.poolFees()
		for hash, e := range c.entries {
			all[hash.String()] = c.entryFields(e, fees)
		}
		return all, nil
	}
	txids := make([]string, 0, len(c.entries))
	for _, e := range c.arrived() {
		txids = append(txids, e.tx.Hash().String())
	}
	if sequence {
		return map[string]any{"txids": txids, "mempool_sequence": c.changes + 1}, nil
	}
	return txids, nil
}

func getMempoolEntry(c *Chain, a args) (any, *rpcError) {
	hash, failure := a.hash(0, "txid")
	if failure != nil {
		return nil, failure
	}
	e, ok := c.entries[hash]
	if !ok {
		return nil, &rpcError{codeInvalidAddress, "Transaction not in mempool"}
	}
	return c.entryFields(e, c.poolFees()), nil
}

// family walks the mempool from a transaction, up to what it spends or down to what spends it, itself included.
func (c *Chain) family(e *poolEntry, down bool, found map[chainhash.Hash]*poolEntry) {
	if _, ok := found[*e.tx.Hash()]; ok {
		return
	}
	found[*e.tx.Hash()] = e
	next := c.parents(e)
	if down {
		next = c.children(e)
	}
	for _, other := range next {
		c.family(other, down, found)
	}
}

func (c *Chain) parents(e *poolEntry) map[chainhash.Hash]*poolEntry {
	list := map[chainhash.Hash]*poolEntry{}
	for _, in := range e.tx.MsgTx().TxIn {
		if p, ok := c.entries[in.PreviousOutPoint.Hash]; ok {
			list[in.PreviousOutPoint.Hash] = p
		}
	}
	return list
}

func (c *Chain) children(e *poolEntry) map[chainhash.Hash]*poolEntry {
	list := map[chainhash.Hash]*poolEntry{}
	for i := range e.tx.MsgTx().TxOut {
		if tx := c.pool.CheckSpend(wire.OutPoint{Hash: *e.tx.Hash(), Index: uint32(i)}); tx != nil {
			list[*tx.Hash()] = c.entries[*tx.Hash()]
		}
	}
	return list
}

func (c *Chain) entryFields(e *poolEntry, fees map[chainhash.Hash]int64) map[string]any {
	up, down := map[chainhash.Hash]*poolEntry{}, map[chainhash.Hash]*poolEntry{}
	c.family(e, false, up)
	c.family(e, true, down)
	sum := func(all map[chainhash.Hash]*poolEntry) (size, fee int64) {
		for hash, one := range all {
			size += mempool.GetTxVirtualSize(one.tx)
			fee += fees[hash]
		}
		return size, fee
	}
	names := func(all map[chainhash.Hash]*poolEntry) []string {
		list := make([]string, 0, len(all))
		for hash := range all {
			list = append(list, hash.String())
		}
		return list
	}
	upSize, upFee := sum(up)
	downSize, downFee := sum(down)
	replaceable := false
	for _, one := range up { // BIP 125: by itself or by an unconfirmed ancestor
		for _, in := range one.tx.MsgTx().TxIn {
			replaceable = replaceable || in.Sequence <= mempool.MaxRBFSequence
		}
	}
	own := btc(fees[*e.tx.Hash()])
	return map[string]any{
		"vsize": mempool.GetTxVirtualSize(e.tx), "weight": blockchain.GetTransactionWeight(e.tx),
		"time": e.since.Unix(), "height": e.height,
		"descendantcount": len(down), "descendantsize": downSize, "ancestorcount": len(up), "ancestorsize": upSize,
		"wtxid":   e.tx.WitnessHash().String(),
		"fees":    map[string]any{"base": own, "modified": own, "ancestor": btc(upFee), "descendant": btc(downFee)},
		"depends": names(c.parents(e)), "spentby": names(c.children(e)),
		"bip125-replaceable": replaceable, "unbroadcast": false,
	}
}

func getMempoolInfo(c *Chain, _ args) (any, *rpcError) {
	var size, fees int64
	for _, d := range c.pool.MiningDescs() {
		size += mempool.GetTxVirtualSize(d.Tx)
		fees += d.Fee
	}
	return map[string]any{
		"loaded": true, "size": len(c.entries), "bytes": size, "usage": size * 4, "total_fee": btc(fees),
		"maxmempool": 300_000_000, "mempoolminfee": btc(minRelayFee), "minrelaytxfee": btc(minRelayFee),
		"incrementalrelayfee": btc(minRelayFee), "unbroadcastcount": 0, "fullrbf": false,
	}, nil
}

func getRawTransaction(c *Chain, a args) (any, *rpcError) {
	hash, failure := a.hash(0, "parameter 1")
	if failure != nil {
		return nil, failure
	}
	verbosity, failure := a.level(1, 0)
	if failure != nil {
		return nil, failure
	}
	var tx *wire.MsgTx
	var in *indexed
	if a.given(2) {
		block, failure := a.hash(2, "parameter 3")
		if failure != nil {
			return nil, failure
		}
		if in = c.index[block]; in == nil {
			return nil, &rpcError{codeInvalidAddress, "Block hash not found"}
		}
		if tx, failure = c.containing(hash, in); failure != nil {
			return nil, failure
		}
	} else if e, ok := c.entries[hash]; ok {
		tx = e.tx.MsgTx()
	} else {
		return nil, &rpcError{codeInvalidAddress, "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries. Use gettransaction for wallet transactions."}
	}
	if verbosity <= 0 {
		return txHex(tx), nil
	}
	fields := c.txFields(tx)
	if in != nil {
		header := c.headerFields(in)
		best := c.chain.MainChainHasBlock(&in.hash)
		fields["blockhash"], fields["in_active_chain"] = in.hash.String(), best
		fields["confirmations"] = 0
		if best {
			fields["confirmations"], fields["time"], fields["blocktime"] = header["confirmations"], header["time"], header["time"]
		}
	}
	return fields, nil
}

func getTxOut(c *Chain, a args) (any, *rpcError) {
	hash, failure := a.hash(0, "txid")
	if failure != nil {
		return nil, failure
	}
	n, failure := a.integer(1, 0)
	if failure != nil {
		return nil, failure
	}
	withPool, failure := a.flag(2, true)
	if failure != nil {
		return nil, failure
	}
	if n < 0 || n > math.MaxUint32 {
		return nil, &rpcError{codeMisc, "JSON integer out of range"}
	}
	point := wire.OutPoint{Hash: hash, Index: uint32(n)}
	tip := c.tip()
	fields := map[string]any{"bestblock": tip.hash.String(), "confirmations": 0, "coinbase": false}
	if withPool && c.pool.CheckSpend(point) != nil {
		return nothing{}, nil // Bitcoin Core answers null for a spent output
	}
	if e, ok := c.entries[hash]; ok && withPool {
		if int(n) >= len(e.tx.MsgTx().TxOut) {
			return nothing{}, nil // no such output: null
		}
		out := e.tx.MsgTx().TxOut[n]
		fields["value"], fields["scriptPubKey"] = btc(out.Value), c.scriptFields(out.PkScript)
		return fields, nil
	}
	entry, err := c.chain.FetchUtxoEntry(point)
	if err != nil {
		return nil, internal(err)
	}
	if entry == nil || entry.IsSpent() {
		return nothing{}, nil // unknown or spent: null
	}
	fields["value"], fields["scriptPubKey"] = btc(entry.Amount()), c.scriptFields(entry.PkScript())
	fields["confirmations"], fields["coinbase"] = tip.height-entry.BlockHeight()+1, entry.IsCoinBase()
	return fields, nil
}

var errDecodeTx = &rpcError{codeDeserialization, "TX decode failed. Make sure the tx has at least one input."}

// takeRawTransaction is sendrawtransaction as Bitcoin Core does it.
func takeRawTransaction(c *Chain, a args) (any, *rpcError) {
	text, failure := a.text(0)
	if failure != nil {
		return nil, failure
	}
	maxRate, failure := a.amount(1, defaultMaxFeeRate)
	if failure != nil {
		return nil, failure
	}
	maxBurn, failure := a.amount(2, 0)
	if failure != nil {
		return nil, failure
	}
	tx, ok := decodeTx(text)
	if !ok {
		return nil, errDecodeTx
	}
	for _, out := range tx.MsgTx().TxOut {
		if out.Value > maxBurn && txscript.IsUnspendable(out.PkScript) {
			return nil, &rpcError{codeVerify, "Unspendable output exceeds maximum configured by user (maxburnamount)"}
		}
	}
	mined, err := c.confirmed(tx)
	if err != nil {
		return nil, internal(err)
	}
	if mined {
		return nil, &rpcError{codeVerifyAlreadyInUTX, "Transaction outputs already in utxo set"}
	}
	if _, ok := c.entries[*tx.Hash()]; ok {
		return tx.Hash().String(), nil // known already is success
	}
	fee, err := c.check(tx)
	if err == nil && tooDear(tx, fee, maxRate) {
		return nil, &rpcError{codeVerify, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"}
	}
	if err == nil {
		err = c.submit(tx)
	}
	if err != nil {
		return nil, rejection(err)
	}
	return tx.Hash().String(), nil
}

// rejection maps why a transaction was not taken to Bitcoin Core's code and words.
func rejection(err error) *rpcError {
	refused, ok := errors.AsType[*refusal](err)
	switch {
	case !ok:
		return internal(err)
	case refused.missing:
		return &rpcError{codeVerify, "bad-txns-inputs-missingorspent"}
	}
	return &rpcError{codeVerifyRejected, refused.Error()}
}

// tooDear says whether a fee is above a rate in satoshi per kvB; rate 0 means any fee.
func tooDear(tx *btcutil.Tx, fee, rate int64) bool {
	return rate > 0 && fee*1000 > rate*mempool.GetTxVirtualSize(tx)
}

// testMempoolAccept checks each transaction alone: packages, whose members spend each other, are not supported
// and their children are answered with missing-inputs.
func testMempoolAccept(c *Chain, a args) (any, *rpcError) {
	var raws []string
	if failure := a.read(0, "array", &raws); failure != nil {
		return nil, failure
	}
	maxRate, failure := a.amount(1, defaultMaxFeeRate)
	if failure != nil {
		return nil, failure
	}
	if len(raws) < 1 || len(raws) > maxRawTxs {
		return nil, &rpcError{codeInvalidParameter, fmt.Sprintf("Array must contain between 1 and %d transactions.", maxRawTxs)}
	}
	results := make([]any, len(raws))
	for i, raw := range raws {
		tx, ok := decodeTx(raw)
		if !ok {
			return nil, &rpcError{codeDeserialization,
				"TX decode failed: " + raw + " Make sure the tx has at least one input."}
		}
		verdict, err := c.verdict(tx, maxRate)
		if err != nil {
			return nil, internal(err)
		}
		results[i] = verdict
	}
	return results, nil
}

func (c *Chain) verdict(tx *btcutil.Tx, maxRate int64) (map[string]any, error) {
	fields := map[string]any{"txid": tx.Hash().String(), "wtxid": tx.WitnessHash().String(), "allowed": false}
	mined, err := c.confirmed(tx)
	if err != nil {
		return nil, err
	}
	if mined {
		fields["reject-reason"] = "txn-already-known"
		return fields, nil
	}
	fee, err := c.check(tx)
	if refused, ok := errors.AsType[*refusal](err); ok {
		fields["reject-reason"] = refused.reason
		if refused.detail != "" {
			fields["reject-details"] = refused.Error()
		}
		return fields, nil
	}
	if err != nil {
		return nil, err
	}
	if tooDear(tx, fee, maxRate) {
		fields["reject-reason"] = "max-fee-exceeded"
		return fields, nil
	}
	size := mempool.GetTxVirtualSize(tx)
	fields["allowed"], fields["vsize"] = true, size
	fields["fees"] = map[string]any{
		"base": btc(fee), "effective-feerate": btc(fee * 1000 / size), "effective-includes": []string{tx.WitnessHash().String()},
	}
	return fields, nil
}
