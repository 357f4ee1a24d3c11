package bitcoin

import (
	"context"
	"fmt"
	"slices"
	"sync"
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

// Faults are the faults to come. The zero Faults are none. Safe for concurrent use.
type Faults struct {
	mu     sync.Mutex // owns the rest
	next   []SendFault
	always SendFault // after those of next; "": none
}

// FailNextSend has the next transactions sent over JSON-RPC fail, one for each fault, in this order; none takes back what
// was set before. At most 1,000.
func (f *Faults) FailNextSend(ctx context.Context, next ...SendFault) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(next) > maxFaults {
		return fmt.Errorf("fail %d sends: at most %d", len(next), maxFaults)
	}
	for _, one := range next {
		if err := one.check(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = slices.Clone(next)
	return nil
}

// FailSends has every transaction sent over JSON-RPC fail, until it is called with "".
func (f *Faults) FailSends(ctx context.Context, always SendFault) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if always != "" {
		if err := always.check(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.always = always
	return nil
}

// Take gives the fault of the transaction being sent, "" for none.
func (f *Faults) Take() SendFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next) == 0 {
		return f.always
	}
	first := f.next[0]
	f.next = f.next[1:]
	return first
}

func (f SendFault) check() error {
	switch f {
	case SendLost, SendCut, SendForgotten, SendRefused:
		return nil
	}
	return fmt.Errorf("fail sends: %q is no fault", string(f))
}

// cutConnection is an answer that never comes.
var cutConnection = &rpcError{codeInternal, "connection is cut"}

// sendRawTransaction is the RPC, with its faults.
func sendRawTransaction(c *Chain, a args) (any, *rpcError) {
	fault := c.Take()
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
