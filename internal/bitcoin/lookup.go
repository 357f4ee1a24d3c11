package bitcoin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// LookupOutputs is how many outputs of a transaction are asked for one by one where the node keeps no index of transactions:
// a payer's has two, an exchange's may have some dozens.
const LookupOutputs = 64

// Lookup tells what the node knows of a transaction, by its id in lower-case hex. A node without txindex knows those outside
// blocks, and of mined ones the first LookupOutputs outputs while they are unspent. Errors: chain.ErrBlind, chain.ErrNetwork.
func (r *Reader) Lookup(ctx context.Context, txid string) (chain.Looked, error) {
	if err := r.greet(ctx); err != nil {
		return chain.Looked{}, err
	}
	raw, err := r.node.callHex(ctx, "getrawtransaction", txid)
	switch {
	case hasCode(err, codeNotFound):
		return r.lookupOutputs(ctx, txid)
	case err != nil:
		return chain.Looked{}, blind(err)
	}
	tx, err := walkTx(raw)
	if err == nil && idText(tx.id) != txid {
		err = fmt.Errorf("got %s for %s", idText(tx.id), clip(txid))
	}
	if err != nil {
		return chain.Looked{}, fmt.Errorf("getrawtransaction: %w", malformed(err))
	}
	l := chain.Looked{Known: true}
	each(newTeller(r.net), tx, func(to []byte, _ int, amount int64) {
		l.Pays = append(l.Pays, chain.Paid{To: string(to), Amount: money.Of(money.BTC, amount)})
	})
	return l, nil
}

// lookupOutputs asks for a mined transaction's unspent outputs.
func (r *Reader) lookupOutputs(ctx context.Context, txid string) (chain.Looked, error) {
	params := make([][]any, LookupOutputs)
	for i := range params {
		params[i] = []any{txid, i, false}
	}
	answers, reqs, err := r.node.batch(ctx, "gettxout", params)
	if err != nil {
		return chain.Looked{}, err
	}
	var l chain.Looked
	tell := newTeller(r.net)
	for i, answer := range answers {
		if answer.Error == nil && string(answer.Result) == "null" {
			continue // spent, or there is none
		}
		var out struct {
			Value  json.Number `json:"value"`
			Script struct {
				Hex string `json:"hex"`
			} `json:"scriptPubKey"`
		}
		if err := answer.into(&out, reqs[i]); err != nil {
			return chain.Looked{}, blind(err)
		}
		script, err := hex.DecodeString(out.Script.Hex)
		if err != nil {
			return chain.Looked{}, fmt.Errorf("gettxout: %w", malformed(errors.New("a script is not hex")))
		}
		l.Known, l.Mined = true, true
		if to := tell.address(script); to != nil {
			amount, err := money.Parse(money.BTC, out.Value.String())
			if err != nil {
				return chain.Looked{}, fmt.Errorf("gettxout: %w", malformed(err))
			}
			l.Pays = append(l.Pays, chain.Paid{To: string(to), Amount: amount})
		}
	}
	return l, nil
}
