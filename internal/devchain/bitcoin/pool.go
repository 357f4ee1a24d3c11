package bitcoin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/mempool"
	"github.com/btcsuite/btcd/wire/v2"
)

// poolEntry is what btcd's mempool does not keep over a restart: order and time of arrival.
type poolEntry struct {
	tx      *btcutil.Tx
	arrival uint64
	since   time.Time
	height  int32 // of the tip at arrival
}

// refusal is a transaction that the mempool does not take, in Bitcoin Core's words.
type refusal struct {
	reason  string
	detail  string
	missing bool // inputs are unknown or spent
}

func (r *refusal) Error() string {
	if r.detail == "" {
		return r.reason
	}
	return r.reason + ", " + r.detail
}

var errMissingInputs = &refusal{reason: "missing-inputs", missing: true}

// submit takes a new transaction into the mempool and records it.
func (c *Chain) submit(tx *btcutil.Tx) error {
	since := c.opts.Now()
	delete(c.dropped, *tx.Hash()) // somebody wants it again
	if err := c.admit(tx, since); err != nil {
		return err
	}
	var raw bytes.Buffer
	raw.Write(binary.BigEndian.AppendUint64(nil, uint64(since.Unix())))
	if err := tx.MsgTx().Serialize(&raw); err != nil {
		return fmt.Errorf("serialize transaction: %w", err)
	}
	return c.record(recordTx, raw.Bytes())
}

// admit is submit without the record.
func (c *Chain) admit(tx *btcutil.Tx, since time.Time) error {
	missing, _, err := c.pool.MaybeAcceptTransaction(tx, true, true)
	if err != nil {
		return c.refuse(tx, err)
	}
	if len(missing) > 0 {
		return errMissingInputs
	}
	delete(c.dropped, *tx.Hash())
	c.enter(tx, since)
	c.prunePool()
	return nil
}

func (c *Chain) enter(tx *btcutil.Tx, since time.Time) {
	c.arrival++
	c.changes++
	c.entries[*tx.Hash()] = &poolEntry{tx: tx, arrival: c.arrival, since: since, height: c.tip().height}
}

// prunePool forgets entries that left the mempool.
func (c *Chain) prunePool() {
	for hash := range c.entries {
		if !c.pool.IsTransactionInPool(&hash) {
			delete(c.entries, hash)
			c.changes++
		}
	}
}

// arrived lists the mempool, parents before children.
func (c *Chain) arrived() []*poolEntry {
	list := make([]*poolEntry, 0, len(c.entries))
	for _, e := range c.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *poolEntry) int { return int(int64(a.arrival) - int64(b.arrival)) })
	return list
}

// rebuildPool checks the whole mempool against the new best chain, with the transactions of the blocks that left
// it in front. What no longer fits is gone: mined, in conflict, immature, or dropped on purpose.
func (c *Chain) rebuildPool(returned []*btcutil.Tx) {
	kept := c.arrived()
	for _, e := range kept {
		c.pool.RemoveTransaction(e.tx, false)
	}
	for _, tx := range returned {
		if c.readmit(tx) {
			c.enter(tx, c.opts.Now())
		}
	}
	for _, e := range kept {
		if c.readmit(e.tx) {
			c.enter(e.tx, e.since)
		}
	}
}

func (c *Chain) readmit(tx *btcutil.Tx) bool {
	if _, ok := c.dropped[*tx.Hash()]; ok {
		return false
	}
	missing, _, err := c.pool.MaybeAcceptTransaction(tx, false, false)
	if err != nil || len(missing) > 0 {
		c.log.Debug("transaction left the mempool", "txid", tx.Hash().String(), "missing", len(missing), "err", err)
		return false
	}
	return true
}

// forget drops a transaction: out of the mempool with all that spend it, and no way back by a reorganisation.
func (c *Chain) forget(hash chainhash.Hash) {
	c.dropped[hash] = struct{}{}
	if e, ok := c.entries[hash]; ok {
		c.pool.RemoveTransaction(e.tx, true)
		c.prunePool()
	}
}

// check says whether the mempool would take a transaction, and its fee in satoshi.
func (c *Chain) check(tx *btcutil.Tx) (int64, error) {
	result, err := c.pool.CheckMempoolAcceptance(tx)
	if err != nil {
		return 0, c.refuse(tx, err)
	}
	if len(result.MissingParents) > 0 {
		return 0, errMissingInputs
	}
	return int64(result.TxFee), nil
}

// confirmed says whether an output of the transaction is unspent in the chain.
func (c *Chain) confirmed(tx *btcutil.Tx) (bool, error) {
	for i := range tx.MsgTx().TxOut {
		entry, err := c.chain.FetchUtxoEntry(wire.OutPoint{Hash: *tx.Hash(), Index: uint32(i)})
		if err != nil {
			return false, fmt.Errorf("look up output: %w", err)
		}
		if entry != nil && !entry.IsSpent() {
			return true, nil
		}
	}
	return false, nil
}

// consensusReasons are Bitcoin Core's names for btcd's consensus errors.
var consensusReasons = map[blockchain.ErrorCode]string{
	blockchain.ErrNoTxInputs:           "bad-txns-vin-empty",
	blockchain.ErrNoTxOutputs:          "bad-txns-vout-empty",
	blockchain.ErrTxTooBig:             "bad-txns-oversize",
	blockchain.ErrBadTxOutValue:        "bad-txns-vout-toolarge",
	blockchain.ErrDuplicateTxInputs:    "bad-txns-inputs-duplicate",
	blockchain.ErrBadTxInput:           "bad-txns-prevout-null",
	blockchain.ErrMissingTxOut:         "bad-txns-inputs-missingorspent",
	blockchain.ErrImmatureSpend:        "bad-txns-premature-spend-of-coinbase",
	blockchain.ErrSpendTooHigh:         "bad-txns-in-belowout",
	blockchain.ErrUnfinalizedTx:        "non-final",
	blockchain.ErrScriptMalformed:      "mandatory-script-verify-flag-failed",
	blockchain.ErrScriptValidation:     "mandatory-script-verify-flag-failed",
	blockchain.ErrDuplicateBlock:       "duplicate",
	blockchain.ErrTimeTooOld:           "time-too-old",
	blockchain.ErrTimeTooNew:           "time-too-new",
	blockchain.ErrHighHash:             "high-hash",
	blockchain.ErrUnexpectedDifficulty: "bad-diffbits",
	blockchain.ErrBadMerkleRoot:        "bad-txnmrklroot",
	blockchain.ErrBadCoinbaseValue:     "bad-cb-amount",
	blockchain.ErrBadCoinbaseHeight:    "bad-cb-height",
	blockchain.ErrFirstTxNotCoinbase:   "bad-cb-missing",
	blockchain.ErrMultipleCoinbases:    "bad-cb-multiple",
}

// policyReasons are Bitcoin Core's names for btcd's policy errors, which are told apart by their text alone.
var policyReasons = []struct{ part, reason string }{
	{"already exists in blockchain", "txn-already-known"},
	{"already spent in mempool", "txn-mempool-conflict"},
	{"individual coinbase", "coinbase"},
	{"sequence locks", "non-BIP68-final"},
	{"not finalized", "non-final"},
	{"is too small", "tx-size-small"},
	{"payment is dust", "dust"},
	{"transaction version", "version"},
	{"weight of transaction", "tx-size"},
	{"nulldata", "multi-op-return"},
	{"transaction output", "scriptpubkey"},
	{"non-standard input", "bad-txns-nonstandard-inputs"},
	{"script is not push only", "scriptsig-not-pushonly"},
	{"script size is larger", "scriptsig-size"},
	{"spends new unconfirmed input", "replacement-adds-unconfirmed"},
	{"spends parent transaction", "bad-txns-spends-conflicting-tx"},
	{"evicts more transactions", "too many potential replacements"},
}

// refuse says in Bitcoin Core's words why btcd's mempool does not take a transaction.
func (c *Chain) refuse(tx *btcutil.Tx, err error) error {
	var rule mempool.RuleError
	if !errors.As(err, &rule) {
		return fmt.Errorf("check transaction: %w", err)
	}
	if consensus, ok := errors.AsType[blockchain.RuleError](rule.Err); ok {
		if reason, ok := consensusReasons[consensus.ErrorCode]; ok {
			return &refusal{reason: reason, detail: consensus.Description}
		}
		return &refusal{reason: consensus.Description}
	}
	policy, ok := errors.AsType[mempool.TxRuleError](rule.Err)
	if !ok {
		return &refusal{reason: rule.Error()}
	}
	return c.refusePolicy(tx, policy)
}

func (c *Chain) refusePolicy(tx *btcutil.Tx, policy mempool.TxRuleError) *refusal {
	text := policy.Description
	if _, ok := c.entries[*tx.Hash()]; ok {
		return &refusal{reason: "txn-already-in-mempool"}
	}
	for _, known := range policyReasons {
		if strings.Contains(text, known.part) {
			return &refusal{reason: known.reason}
		}
	}
	if policy.RejectCode == wire.RejectInsufficientFee {
		for _, in := range tx.MsgTx().TxIn {
			if c.pool.CheckSpend(in.PreviousOutPoint) != nil {
				return &refusal{reason: "insufficient fee", detail: text}
			}
		}
		return &refusal{reason: "min relay fee not met", detail: text}
	}
	return &refusal{reason: text}
}
