package bitcoin

import (
	"context"
	"fmt"
)

// A SendFault is what goes wrong with transactions that are sent to the node.
type SendFault string

// The faults of sendrawtransaction.
const (
	SendWell    SendFault = ""        // nothing goes wrong
	SendErrs    SendFault = "error"   // the node takes the transaction, and answers with an error
	SendCut     SendFault = "cut"     // the node takes the transaction, and the connection breaks before the answer
	SendLost    SendFault = "lost"    // the node answers as if it had taken the transaction, and forgets it
	SendRefused SendFault = "refused" // the node refuses the transaction
)

// faults are the faults under way. The chain's mutex owns them.
type faults struct {
	next, all SendFault
}

// FailNextSend lets the next sendrawtransaction go wrong; SendWell takes that back.
func (c *Chain) FailNextSend(mode SendFault) error {
	return c.setFault(mode, func() { c.faults.next = mode })
}

// FailSends lets every sendrawtransaction go wrong until SendWell.
func (c *Chain) FailSends(mode SendFault) error {
	return c.setFault(mode, func() { c.faults.all = mode })
}

func (c *Chain) setFault(mode SendFault, set func()) error {
	switch mode {
	case SendWell, SendErrs, SendCut, SendLost, SendRefused:
	default:
		return fmt.Errorf("set fault: %q is none", string(mode))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	set()
	return nil
}

// fault is what goes wrong with this transaction.
func (c *Chain) fault() SendFault {
	mode := c.faults.all
	if c.faults.next != SendWell {
		mode, c.faults.next = c.faults.next, SendWell
	}
	return mode
}

// cutConnection is an answer that never comes.
var cutConnection = &rpcError{codeInternal, "connection is cut"}

// sendRawTransaction is the RPC, with its faults.
func sendRawTransaction(c *Chain, a args) (any, *rpcError) {
	mode := c.fault()
	switch mode {
	case SendRefused:
		return nil, &rpcError{codeVerifyRejected, "rejected-by-fault"}
	case SendLost:
		text, failure := a.text(0)
		if failure != nil {
			return nil, failure
		}
		if tx, ok := decodeTx(text); ok {
			return tx.Hash().String(), nil
		}
		return nil, errDecodeTx
	case SendWell, SendErrs, SendCut:
	}
	result, failure := takeRawTransaction(c, a)
	switch {
	case failure != nil:
	case mode == SendErrs:
		return nil, &rpcError{codeMisc, "error-by-fault"}
	case mode == SendCut:
		return nil, cutConnection
	}
	return result, failure
}

// Evict takes a transaction out of the mempool, with all that spend its outputs, as a node does whose mempool is full. It
// comes back only when somebody sends it again. ErrUnknownTx.
func (c *Chain) Evict(ctx context.Context, txid string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.change(func() error {
		hash, err := parseTxid(txid)
		if err != nil {
			return err
		}
		if _, ok := c.entries[hash]; !ok {
			return fmt.Errorf("%w: %s is not in the mempool", ErrUnknownTx, txid)
		}
		c.forget(hash)
		return c.record(recordDrop, hash[:])
	})
	if err != nil {
		return fmt.Errorf("evict: %w", err)
	}
	return nil
}
