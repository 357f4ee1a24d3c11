package bitcoin

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

// A pool remembers the mempool, so that each transaction is fetched once. Its mutex owns all fields; it is held during a
// look, so that parallel looks do not fetch the same.
type pool struct {
	mu    sync.Mutex
	known map[string]pendingTx // by txid
}

// pendingTx is a remembered transaction. outs are its outputs to standard scripts; after PendingMemory only those that
// were found to be ours.
type pendingTx struct {
	id      [32]byte
	outs    []pendingOut
	seen    time.Time
	settled bool
}

type pendingOut struct {
	to     string
	vout   int
	amount int64 // satoshi
}

// Pending implements chain.Reader. A look is bounded: MaxPendingFetch transactions, PendingFor of time. Full is false
// until all were fetched, and while the node itself is still loading its mempool.
func (r *Reader) Pending(ctx context.Context, w chain.Watch) (chain.Pending, error) {
	if err := r.greet(ctx); err != nil {
		return chain.Pending{}, err
	}
	r.pending.mu.Lock()
	defer r.pending.mu.Unlock()
	var pool struct {
		Loaded *bool `json:"loaded"` // since Core 0.19
	}
	if err := r.node.call(ctx, &pool, "getmempoolinfo"); err != nil {
		return chain.Pending{}, blind(err)
	}
	var txids []string
	if err := r.node.call(ctx, &txids, "getrawmempool", false); err != nil {
		return chain.Pending{}, blind(err)
	}
	p := chain.Pending{Full: pool.Loaded == nil || *pool.Loaded}
	all, err := r.learn(ctx, txids)
	if err != nil {
		return chain.Pending{}, err
	}
	p.Full = p.Full && all
	r.forget(txids)
	for _, txid := range txids {
		p.Credits = append(p.Credits, r.recall(txid, w)...)
	}
	return p, nil
}

// learn fetches the transactions not known yet, in bounds. all tells whether none is left.
func (r *Reader) learn(ctx context.Context, txids []string) (all bool, err error) {
	began := time.Now() // a budget of work, not business time
	var batch []string
	fetched := 0
	flush := func() error {
		err := r.fetch(ctx, batch)
		fetched += len(batch)
		batch = batch[:0]
		return err
	}
	for _, txid := range txids {
		if _, known := r.pending.known[txid]; known {
			continue
		}
		if fetched+len(batch) >= MaxPendingFetch || time.Since(began) > PendingFor || len(r.pending.known)+len(batch) >= MaxPendingKnown {
			return false, flush()
		}
		if batch = append(batch, txid); len(batch) == PendingBatch {
			if err := flush(); err != nil {
				return false, err
			}
		}
	}
	return true, flush()
}

// fetch asks for a batch of transactions. One that has left the mempool meanwhile is passed over: it is not there.
func (r *Reader) fetch(ctx context.Context, txids []string) error {
	if len(txids) == 0 {
		return nil
	}
	params := make([][]any, len(txids))
	for i, txid := range txids {
		params[i] = []any{txid}
	}
	answers, reqs, err := r.node.batch(ctx, "getrawtransaction", params)
	if err != nil {
		return err
	}
	now := r.now()
	for i, answer := range answers {
		var text string
		err := answer.into(&text, reqs[i])
		switch {
		case hasCode(err, codeNotFound):
			continue
		case err != nil:
			return blind(err)
		}
		raw, err := hex.DecodeString(text)
		if err != nil {
			return fmt.Errorf("getrawtransaction: %w", malformed(err))
		}
		tx, err := walkTx(raw)
		if err == nil && idText(tx.id) != txids[i] {
			err = fmt.Errorf("got %s for %s", idText(tx.id), clip(txids[i]))
		}
		if err != nil {
			return fmt.Errorf("getrawtransaction: %w", malformed(err))
		}
		r.pending.known[txids[i]] = pendingTx{id: tx.id, outs: outsOf(r.net, tx), seen: now}
	}
	return nil
}

// outsOf lists a transaction's outputs to standard scripts.
func outsOf(net network, tx txView) []pendingOut {
	var outs []pendingOut
	each(newTeller(net), tx, func(to []byte, vout int, amount int64) {
		outs = append(outs, pendingOut{string(to), vout, amount})
	})
	return outs
}

// forget drops what is not in the mempool any more.
func (r *Reader) forget(txids []string) {
	if len(r.pending.known) == 0 {
		return
	}
	present := make(map[string]bool, len(txids))
	for _, txid := range txids {
		present[txid] = true
	}
	for txid := range r.pending.known {
		if !present[txid] {
			delete(r.pending.known, txid)
		}
	}
}

// recall gives the credits of a remembered transaction to watched addresses.
func (r *Reader) recall(txid string, w chain.Watch) []chain.Credit {
	tx, known := r.pending.known[txid]
	if !known {
		return nil
	}
	var found []chain.Credit
	var ours []pendingOut
	for _, out := range tx.outs {
		if w.Has(out.to) {
			ours = append(ours, out)
			found = append(found, credit(tx.id, out.vout, out.to, out.amount))
		}
	}
	if !tx.settled && r.now().Sub(tx.seen) > PendingMemory {
		r.pending.known[txid] = pendingTx{id: tx.id, outs: ours, settled: true}
	}
	return found
}
