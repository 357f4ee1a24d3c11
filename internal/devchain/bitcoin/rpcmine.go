package bitcoin

import (
	"bytes"
	"encoding/hex"
	"errors"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func generateToAddress(c *Chain, a args) (any, *rpcError) {
	blocks, failure := a.integer(0, 0)
	if failure != nil {
		return nil, failure
	}
	text, failure := a.text(1)
	if failure != nil {
		return nil, failure
	}
	script, err := c.script(text)
	if err != nil {
		return nil, &rpcError{codeInvalidAddress, "Error: Invalid address"}
	}
	if blocks < 0 || blocks > maxMineBlocks {
		return nil, &rpcError{codeInvalidParameter, "Invalid number of blocks"}
	}
	hashes := make([]string, 0, blocks)
	for range blocks {
		hash, err := c.mineOne(script, nil)
		if err != nil {
			return nil, internal(err)
		}
		hashes = append(hashes, hash.String())
	}
	return hashes, nil
}

// generateBlock mines one block with exactly the given transactions, by txid from the mempool or raw.
func generateBlock(c *Chain, a args) (any, *rpcError) {
	output, failure := a.text(0)
	if failure != nil {
		return nil, failure
	}
	script, err := c.script(output)
	if err != nil {
		return nil, &rpcError{codeInvalidAddress, "Error: Invalid address or descriptor"}
	}
	var wanted []string
	if failure := a.read(1, "array", &wanted); failure != nil {
		return nil, failure
	}
	submit, failure := a.flag(2, true)
	if failure != nil {
		return nil, failure
	}
	var txs []*btcutil.Tx
	for _, text := range wanted {
		tx, failure := c.wanted(text)
		if failure != nil {
			return nil, failure
		}
		txs = append(txs, tx)
	}
	tip := c.tip()
	msg, err := c.assemble(plan{parent: tip, when: c.nextTime(tip), script: script, txs: txs})
	if err != nil {
		return nil, internal(err)
	}
	if err := c.chain.CheckConnectBlockTemplate(btcutil.NewBlock(msg)); err != nil {
		return nil, &rpcError{codeVerify, "TestBlockValidity failed: " + blockReason(err)}
	}
	result := map[string]any{"hash": msg.BlockHash().String()}
	if !submit {
		var raw bytes.Buffer
		if err := msg.Serialize(&raw); err != nil {
			return nil, internal(err)
		}
		result["hex"] = hex.EncodeToString(raw.Bytes())
		return result, nil
	}
	if _, err := c.accept(msg); err != nil {
		return nil, internal(err)
	}
	return result, nil
}

func (c *Chain) wanted(text string) (*btcutil.Tx, *rpcError) {
	if len(text) == chainhash.MaxHashStringSize {
		if hash, err := chainhash.NewHashFromStr(text); err == nil {
			if e, ok := c.entries[*hash]; ok {
				return e.tx, nil
			}
			return nil, &rpcError{codeInvalidAddress, "Transaction " + text + " not in mempool."}
		}
	}
	tx, ok := decodeTx(text)
	if !ok {
		return nil, &rpcError{codeDeserialization, "Transaction decode failed for " + text + ". Make sure the tx has at least one input."}
	}
	return tx, nil
}

func invalidateBlock(c *Chain, a args) (any, *rpcError) {
	n, failure := c.lookup(a, "blockhash")
	if failure != nil {
		return nil, failure
	}
	if n.height == 0 {
		return nil, &rpcError{codeInvalidParameter, "Genesis block cannot be invalidated"}
	}
	if err := c.invalidate(n.hash); err != nil {
		return nil, internal(err)
	}
	return nothing{}, nil // Bitcoin Core answers null
}

// submitBlock answers null for an accepted block and a reason (BIP 22) for another.
func submitBlock(c *Chain, a args) (any, *rpcError) {
	text, failure := a.text(0)
	if failure != nil {
		return nil, failure
	}
	raw, err := hex.DecodeString(text)
	var msg wire.MsgBlock
	if err == nil {
		err = msg.Deserialize(bytes.NewReader(raw))
	}
	if err != nil || len(msg.Transactions) == 0 {
		return nil, &rpcError{codeDeserialization, "Block decode failed"}
	}
	if _, ok := c.index[msg.BlockHash()]; ok {
		return "duplicate", nil
	}
	best, err := c.accept(&msg)
	switch {
	case errors.Is(err, errOrphan):
		return "prev-blk-not-found", nil
	case c.broken != nil:
		return nil, internal(c.broken)
	case err != nil:
		return blockReason(err), nil
	case !best:
		return "inconclusive", nil
	}
	return nothing{}, nil // Bitcoin Core answers null
}

func blockReason(err error) string {
	rule, ok := errors.AsType[blockchain.RuleError](err)
	if !ok {
		return "rejected"
	}
	if reason, ok := consensusReasons[rule.ErrorCode]; ok {
		return reason
	}
	return "rejected: " + rule.Description
}
