package chain

import "github.com/pipe-pg/pipe/internal/money"

// Marks is what a signer's journal says that a store must have caught up with before it takes addresses.
//
// Journal names the journal: it changes when the journal was lost and begun again from the recovery phrase. Free addresses
// of a batch whose epoch is below Epoch are dead. A store that remembers a higher epoch, or an index not below the lane's
// Next, is ahead of the journal: then it is the journal that is old, and nothing may be released.
type Marks struct {
	Journal string
	Epoch   uint64
	Lanes   []Mark // sorted by branch and network
	Stamp   string // what the store said last to remember it by; "" for nothing
}

// A Mark says that every index below Next of a merchant's branch may have left the signer on that network.
type Mark struct {
	Merchant string
	Branch   uint32
	Network  money.Network
	Next     uint32
}
