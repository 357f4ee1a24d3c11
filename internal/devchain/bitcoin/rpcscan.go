package bitcoin

import (
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/btcsuite/btcd/wire/v2"
)

// unspentOut is an unspent output of the best chain.
type unspentOut struct {
	out      *wire.TxOut
	height   int32
	coinbase bool
}

// scanTxOutSet finds the unspent outputs of the descriptors addr(…) and raw(…). It reads the whole chain, as the database has
// no list of its outputs.
func scanTxOutSet(c *Chain, a args) (any, *rpcError) {
	action, failure := a.text(0)
	if failure != nil {
		return nil, failure
	}
	switch action {
	case "start":
	case "status", "abort": // a scan is over before anyone can ask for it
		if action == "abort" {
			return false, nil
		}
		return nothing{}, nil
	default:
		return nil, &rpcError{codeInvalidParameter, "Invalid action '" + action + "'"}
	}
	var objects []json.RawMessage
	if failure := a.read(1, "array", &objects); failure != nil {
		return nil, failure
	}
	if len(objects) == 0 {
		return nil, &rpcError{codeMisc, "scanobjects argument is required for the start action"}
	}
	if len(objects) > maxScanObjects {
		return nil, &rpcError{codeInvalidParameter, "Too many scanobjects"}
	}
	wanted := make(map[string]string, len(objects))
	for _, raw := range objects {
		desc, script, failure := c.scanned(raw)
		if failure != nil {
			return nil, failure
		}
		wanted[string(script)] = desc
	}
	found, count, err := c.unspent(wanted)
	if err != nil {
		return nil, internal(err)
	}
	tip := c.tip()
	var total int64
	unspents := make([]any, 0, len(found))
	for point, one := range found {
		total += one.out.Value
		unspents = append(unspents, map[string]any{
			"txid": point.Hash.String(), "vout": point.Index, "scriptPubKey": hex.EncodeToString(one.out.PkScript),
			"desc": wanted[string(one.out.PkScript)], "amount": btc(one.out.Value), "coinbase": one.coinbase,
			"height": one.height, "confirmations": tip.height - one.height + 1,
		})
	}
	return map[string]any{
		"success": true, "txouts": count, "height": tip.height, "bestblock": tip.hash.String(),
		"unspents": unspents, "total_amount": btc(total),
	}, nil
}

// scanned reads one descriptor, plain or as an object.
func (c *Chain) scanned(raw json.RawMessage) (desc string, script []byte, failure *rpcError) {
	if kind(raw) == "object" {
		var object struct {
			Desc json.RawMessage `json:"desc"`
		}
		if err := json.Unmarshal(raw, &object); err != nil || object.Desc == nil {
			return "", nil, &rpcError{codeInvalidParameter, "Descriptor needs to be provided in scan object"}
		}
		raw = object.Desc
	}
	if err := json.Unmarshal(raw, &desc); err != nil {
		return "", nil, &rpcError{codeInvalidParameter, "Scan object needs to be either a string or an object"}
	}
	bare, _, _ := strings.Cut(desc, "#") // a checksum is not looked at
	bare, closed := strings.CutSuffix(bare, ")")
	if text, ok := strings.CutPrefix(bare, "addr("); ok && closed {
		script, err := c.script(text)
		if err != nil {
			return "", nil, &rpcError{codeInvalidAddress, "Address is not valid"}
		}
		return desc, script, nil
	}
	if text, ok := strings.CutPrefix(bare, "raw("); ok && closed {
		if script, err := hex.DecodeString(text); err == nil {
			return desc, script, nil
		}
	}
	return "", nil, &rpcError{codeInvalidAddress, "'" + desc + "' is not a valid descriptor function"}
}

// unspent walks the best chain and keeps the outputs to the wanted scripts that nothing spends; count is how many outputs
// are unspent in all.
func (c *Chain) unspent(wanted map[string]string) (found map[wire.OutPoint]unspentOut, count int, err error) {
	found = map[wire.OutPoint]unspentOut{}
	for height := int32(1); height <= c.tip().height; height++ { // the genesis output can never be spent
		hash, err := c.chain.BlockHashByHeight(height)
		if err != nil {
			return nil, 0, err
		}
		block, err := c.block(*hash)
		if err != nil {
			return nil, 0, err
		}
		for i, tx := range block.Transactions() {
			if i > 0 {
				for _, in := range tx.MsgTx().TxIn {
					delete(found, in.PreviousOutPoint)
					count--
				}
			}
			for n, out := range tx.MsgTx().TxOut {
				if len(out.PkScript) > 0 && out.PkScript[0] == 0x6a { // OP_RETURN: unspendable
					continue
				}
				count++
				if _, ok := wanted[string(out.PkScript)]; ok {
					found[wire.OutPoint{Hash: *tx.Hash(), Index: uint32(n)}] = unspentOut{out, height, i == 0}
				}
			}
		}
	}
	return found, count, nil
}
