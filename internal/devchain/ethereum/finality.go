package ethereum

import (
	"context"
	"fmt"
)

// Finality says how the blocks called "safe" and "finalized" trail the head, in blocks. Neither ever goes back.
type Finality struct {
	Safe, Final int
	// Frozen leaves both where they are while the head moves on, as when finality stalls.
	Frozen bool
}

// SetFinality changes what the chain calls "safe" and "finalized", from now until Close. A new chain starts with 32
// and 64. ErrRange unless 0 ≤ Safe ≤ Final.
func (c *Chain) SetFinality(ctx context.Context, f Finality) error {
	if f.Safe < 0 || f.Final < f.Safe {
		return fmt.Errorf("set finality to %d and %d: %w", f.Safe, f.Final, ErrRange)
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	c.finality = f
	c.setFinality()
	return nil
}

// setFinality moves "safe" and "finalized" up to where the head allows.
func (c *Chain) setFinality() {
	chain := c.eth.BlockChain()
	tip := chain.CurrentBlock().Number.Uint64()
	trail := func(depth int) uint64 { return tip - min(tip, uint64(depth)) }
	final, safe := chain.CurrentFinalBlock(), chain.CurrentSafeBlock()
	if at := trail(c.finality.Final); final == nil || !c.finality.Frozen && at > final.Number.Uint64() {
		chain.SetFinalized(chain.GetHeaderByNumber(at))
	}
	if at := trail(c.finality.Safe); safe == nil || !c.finality.Frozen && at > safe.Number.Uint64() {
		chain.SetSafe(chain.GetHeaderByNumber(at))
	}
}
