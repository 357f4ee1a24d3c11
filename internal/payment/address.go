package payment

import (
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// An Address is a receiving address that the signer derived ahead. Once given, it belongs to that invoice for ever and is
// watched for ever.
type Address struct {
	Network    money.Network
	Address    string // normal form
	MerchantID ID
	Index      uint32
	Epoch      uint64 // the signer's epoch when it was released
	State      AddressState
	InvoiceID  ID           // "" while free
	Balance    money.Amount // what the facts on the chain explain; kept for chains with account balances
	HotUntil   time.Time    // weighed at every block until then
	ReleasedAt time.Time
	GivenAt    time.Time
	Rev        int64 // compare-and-swap
}
