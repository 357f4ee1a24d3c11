package bitcoin

import (
	"context"
	"fmt"
	"slices"
)

// A SendFault is what goes wrong with a transaction that is sent over JSON-RPC.
type SendFault string

// The faults.
const (
	SendLost      SendFault = "lost"      // it is taken, and the sender is told of an error
	SendCut       SendFault = "cut"       // it is taken, and the connection breaks before the sender is told
	SendForgotten SendFault = "forgotten" // the sender is told of success, and it is not kept
	SendRefused   SendFault = "refused"   // it is not taken, and the sender is told so
)

// faults are the faults to come. The chain's mutex owns them.
type faults struct {
	next   []SendFault
	always SendFault // after those of next; "": none
}

// FailNextSend has the next transactions sent over JSON-RPC fail, one for each fault, in this order; none takes back what
// was set before. At most 1,000.
func (c *Chain) FailNextSend(ctx context.Context, next ...SendFault) error {
	if len(next) > maxFaults {
		return fmt.Errorf("fail %d sends: at most %d", len(next), maxFaults)
	}
	for _, f := range next {
		if err := f.check(); err != nil {
			return err
		}
	}
	return c.setFaults(ctx, func(f *faults) { f.next = slices.Clone(next) })
}

// FailSends has every transaction sent over JSON-RPC fail, until it is called with "".
func (c *Chain) FailSends(ctx context.Context, always SendFault) error {
	if always != "" {
		if err := always.check(); err != nil {
			return err
		}
	}
	return c.setFaults(ctx, func(f *faults) { f.always = always })
}

func (f SendFault) check() error {
	switch f {
	case SendLost, SendCut, SendForgotten, SendRefused:
		return nil
	}
	return fmt.Errorf("fail sends: %q is no fault", string(f))
}

func (c *Chain) setFaults(ctx context.Context, set func(*faults)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	set(&c.faults)
	return nil
}

// take takes the fault of the transaction being sent, "" for none.
func (f *faults) take() SendFault {
	if len(f.next) == 0 {
		return f.always
	}
	first := f.next[0]
	f.next = f.next[1:]
	return first
}

// cutConnection is an answer that never comes.
var cutConnection = &rpcError{codeInternal, "connection is cut"}

// sendRawTransaction is the RPC, with its faults.
func sendRawTransaction(c *Chain, a args) (any, *rpcError) {
	fault := c.faults.take()
	switch fault {
	case SendRefused:
		return nil, &rpcError{codeVerifyRejected, "refused-by-fault"}
	case SendForgotten:
		text, failure := a.text(0)
		if failure != nil {
			return nil, failure
		}
		if tx, ok := decodeTx(text); ok {
			return tx.Hash().String(), nil
		}
		return nil, errDecodeTx
	case SendLost, SendCut:
	}
	result, failure := takeRawTransaction(c, a)
	switch {
	case failure != nil:
	case fault == SendLost:
		return nil, &rpcError{codeMisc, "lost-by-fault"}
	case fault == SendCut:
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
