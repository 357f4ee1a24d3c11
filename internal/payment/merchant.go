package payment

import "time"

// A Merchant is a shop owner's account. Branch is its branch of the signer's tree of keys: unique, given once.
type Merchant struct {
	ID        ID
	Name      string
	Branch    uint32
	CreatedAt time.Time
}
