package payment

import (
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// An Address is a receiving address that the signer derived ahead. Once given, it belongs to that invoice, or to the
// merchant's wallet, for ever and is watched for ever.
type Address struct {
	Network    money.Network
	Address    string // normal form
	MerchantID ID
	Index      uint32
	Epoch      uint64 // the signer's epoch when it was released
	State      AddressState
	InvoiceID  ID           // "" while free, and for an address of the merchant's wallet
	Balance    money.Amount // what the facts on the chain explain; kept for chains with account balances
	Wallet     money.Amount // of Balance: what is the wallet's, the rest is the invoice's; kept for the same chains
	Nonce      uint64       // transactions that left it so far, in blocks; kept for the same chains
	HotUntil   time.Time    // weighed at every block until then
	ReleasedAt time.Time
	GivenAt    time.Time
	Rev        int64 // compare-and-swap
}
