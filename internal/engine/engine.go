// Package engine holds the use-cases: a command is one transaction; a step is a transaction, an act outside, and a
// transaction. It declares its ports: the store, the chains, the prices, the signer, the sender. All writes go through
// here.
//
// There is no object that owns everything. Seven small types do the work, and what each holds says what it can reach:
// Desk (what people do), Watcher (one network's facts), Pool (addresses ahead), Courier (callbacks), Clerk (time), Auditor
// (sums), and for money going out the Payer.
package engine

import (
	"context"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Store keeps everything. Update is serialisable and tried again on a conflict, so fn may run more than once and touches
// nothing outside the transaction. An error from fn rolls everything of it back and is returned as it is, save
// payment.ErrConflict, which is tried again store.TxRetries times. When Update returns nil the change is on disk.
type Store interface {
	Update(ctx context.Context, fn func(tx Tx) error) error
	// View reads one consistent state. Writing in it is an error.
	View(ctx context.Context, fn func(tx Tx) error) error
}

// Tx is what can be done in one transaction. A look-up that finds nothing answers payment.ErrAbsent; a swap whose row has
// another Rev than the value given answers payment.ErrConflict, and on success the stored Rev is one higher. Lists are
// bounded by the limit given.
type Tx interface {
	// Now is one time for the whole transaction, in UTC and whole milliseconds.
	Now() time.Time
	// NewID makes an id: 48 bits of milliseconds and 208 random bits.
	NewID() payment.ID

	MerchantTx
	ApplicationTx
	InvoiceTx
	AddressTx
	DepositTx
	BlockTx
	LedgerTx
	PayoutTx
	SpendTx
	VersionTx
	CoinTx
	EventTx
	NoteTx
	SavedViewTx
	CallbackTx
	IdempotencyTx

	UserTx
	CredentialTx
	SessionTx
	ChallengeTx
	MemberTx
	LinkTx
	AuditTx
	MailTx
	ReportTx
	HomeTx
	SaleTx
	AttentionTx
}

// MerchantTx keeps merchants.
type MerchantTx interface {
	// AddMerchant stores it with the next free branch, which it returns.
	AddMerchant(m payment.Merchant) (branch uint32, err error)
	Merchant(id payment.ID) (payment.Merchant, error)
	// Merchants are those after an id in id order.
	Merchants(after payment.ID, limit int) ([]payment.Merchant, error)
}

// ApplicationTx keeps applications and their keys.
type ApplicationTx interface {
	AddApplication(a payment.Application) error
	SwapApplication(a payment.Application) error
	Application(id payment.ID) (payment.Application, error)
	Applications(after payment.ID, limit int) ([]payment.Application, error)
	AddKey(k payment.Key) error
	// KeyByHash finds a key, expired or not.
	KeyByHash(hash []byte) (payment.Key, error)
	Keys(application payment.ID) ([]payment.Key, error)
	// ExpireKey sets when a key ends.
	ExpireKey(id payment.ID, at time.Time) error
}

// InvoiceTx keeps invoices and quotes.
type InvoiceTx interface {
	AddInvoice(i payment.Invoice) error
	Invoice(id payment.ID) (payment.Invoice, error)
	// Facts are the invoice with all its quotes, in the order of their making, its deposits from outside (not what came
	// back from spends), and its payouts.
	Facts(id payment.ID) (payment.Facts, error)
	// SwapInvoice saves the parts of an invoice that may change (Refunds, RefundOwner, CancelledAt, Told,
	// UpdatedAt).
	SwapInvoice(i payment.Invoice) error
	AddQuote(q payment.Quote) error
	// DueInvoices are waiting invoices whose deadline is not after t, after an id in id order.
	DueInvoices(t time.Time, after payment.ID, limit int) ([]payment.ID, error)
	// Stir notes that facts of an invoice changed and that it must be assessed anew; Stirred are those noted for a
	// network's invoices; Calm takes the note back.
	// Stir of what is stirred already changes nothing.
	Stir(id payment.ID, network money.Network) error
	IsStirred(id payment.ID, network money.Network) (bool, error)
	Stirred(network money.Network, limit int) ([]payment.ID, error)
	Calm(id payment.ID, network money.Network) error
}

// AddressTx keeps the pool of addresses. Balances are compared and swapped as everything else.
type AddressTx interface {
	AddAddresses(all []payment.Address) error
	// GiveAddress gives the free address with the lowest index of the merchant and network to an invoice.
	// payment.ErrAbsent: the pool is empty.
	GiveAddress(g GiveAddress) (payment.Address, error)
	Address(network money.Network, address string) (payment.Address, error)
	// InvoiceAddress is the address an invoice was given on a network.
	InvoiceAddress(invoice payment.ID, network money.Network) (payment.Address, error)
	SwapAddress(a payment.Address) error
	// HotAddresses are given ones with HotUntil after t, the latest first. Addresses are all that were ever released,
	// free and dead ones too, after an address in text order. ReleasedSince are the same, released at or after t, in order of
	// (At, Address), after the given pair's address.
	HotAddresses(network money.Network, t time.Time, limit int) ([]payment.Address, error)
	Addresses(network money.Network, after string, limit int) ([]payment.Address, error)
	ReleasedSince(network money.Network, t time.Time, after string, limit int) ([]Released, error)
	// PoolLevels counts free addresses and tells the highest index, per merchant, for merchants after an id.
	PoolLevels(network money.Network, after payment.ID, limit int) ([]PoolLevel, error)
	// KillAddresses makes all free addresses of epochs before this one dead.
	KillAddresses(epoch uint64) error
}

// GiveAddress says which pool to take from and for whom.
type GiveAddress struct {
	Merchant payment.ID
	Network  money.Network
	Invoice  payment.ID // "" for the merchant's wallet
	HotUntil time.Time
}

// Released is an address of ours and when the signer released it.
type Released struct {
	At      time.Time
	Address string
}

// A PoolLevel is how many addresses a merchant has ready on a network.
type PoolLevel struct {
	Merchant payment.Merchant
	Free     int
	Next     uint32 // one above the highest index ever released, in any epoch
	Given    int    // given so far
}

// DepositTx keeps deposits. (Network, Ref) is unique: adding it twice is payment.ErrConflict.
type DepositTx interface {
	AddDeposit(d payment.Deposit) error
	Deposit(network money.Network, ref string) (payment.Deposit, error)
	SwapDeposit(d payment.Deposit) error
	// OpenDeposits are those seen, mined or reversed, after an id in id order: the ones that the next block may move.
	OpenDeposits(network money.Network, after payment.ID, limit int) ([]payment.Deposit, error)
	// BlockDeposits are those that this block holds.
	BlockDeposits(network money.Network, blockHash string) ([]payment.Deposit, error)
	// UnvaluedDeposits are live ones without Worth, of invoices that accept late payments, arrived after the invoice's
	// deadline.
	UnvaluedDeposits(limit int) ([]payment.Deposit, error)
	// AddressDeposits are all to an address.
	AddressDeposits(network money.Network, address string) ([]payment.Deposit, error)
}

// BlockTx keeps each network's recent blocks (the top one is the cursor) and what is known of its node.
type BlockTx interface {
	// Cursor is the top block; payment.ErrAbsent before the first one.
	Cursor(network money.Network) (chain.Block, error)
	// RecentBlocks are the newest ones, at most limit, in ascending order without gaps; none before the first one.
	RecentBlocks(network money.Network, limit int) ([]chain.Block, error)
	// PushBlock adds a block above the top one. A block at that height already: payment.ErrConflict.
	PushBlock(network money.Network, b chain.Block) error
	// PopBlock removes the top block, which must be this one.
	PopBlock(network money.Network, b chain.Block) error
	// PruneBlocks forgets blocks below a height.
	PruneBlocks(network money.Network, below uint64) error
	// Stamp is what was kept last beside the signer's journal too; "" before the first.
	Stamp() (string, error)
	SaveStamp(text string) error
	// NetworkState is payment.ErrAbsent before the first SaveNetworkState.
	NetworkState(network money.Network) (NetworkState, error)
	SaveNetworkState(s NetworkState) error
}

// A NetworkState is what PIPE knows of a network's node. Sight is the time up to which the network has been seen
// completely; it stands still while the node is blind.
type NetworkState struct {
	Network      money.Network
	Sight        time.Time
	Trouble      string    // why it is not believed now, "" when all is well
	TroubleSince time.Time // zero when all is well
	Height       uint64    // of the node's tip when last asked
	Final        uint64
	Genesis      string // "name:hash" of the chain this database is tied to
	BreakerUntil time.Time
	Rev          int64
}

// LedgerTx keeps the book.
type LedgerTx interface {
	// Post books an entry and changes the balances. An entry key that exists is payment.ErrConflict; a balance that would
	// go below zero is an error that names the account.
	Post(e ledger.Entry) error
	// Balances are those of all accounts but world, in the order of (account, network), after the given pair.
	Balances(after ledger.Account, network money.Network, limit int) ([]Balance, error)
	// Entries are those after a number in the order of booking.
	Entries(after int64, limit int) ([]NumberedEntry, error)
}

// A Balance is what an account holds on a network.
type Balance struct {
	Account ledger.Account
	Network money.Network
	Amount  money.Amount
}

// A NumberedEntry is an entry as it was booked.
type NumberedEntry struct {
	N  int64
	At time.Time
	ledger.Entry
}

// EventTx keeps the log.
type EventTx interface {
	AddEvent(e payment.Event) error
	// Events are an invoice's, oldest first.
	Events(invoice payment.ID, limit int) ([]payment.Event, error)
	// EventsSince are all at or after a time, in (time, id) order, after that id.
	EventsSince(t time.Time, after payment.ID, limit int) ([]Happened, error)
}

// Happened is an event of an invoice, as far as who follows the log needs it.
type Happened struct {
	ID, InvoiceID payment.ID
	At            time.Time
}

// CallbackTx is the outbox.
type CallbackTx interface {
	// AddCallback stores it with the next Seq of its invoice, which it returns.
	AddCallback(c payment.Callback) (seq int64, err error)
	Callback(id payment.ID) (payment.Callback, error)
	SwapCallback(c payment.Callback, fence int64) error
	// ClaimCallbacks takes due open ones whose lease is over, only the oldest open one of an invoice, at most perOrigin of
	// an origin, none of an origin in skip; each gets the lease and a raised fence.
	ClaimCallbacks(q ClaimCallbacks) ([]payment.Callback, error)
	AddAttempt(a payment.Attempt) error
	Attempts(callback payment.ID, limit int) ([]payment.Attempt, error)
	Callbacks(invoice payment.ID, limit int) ([]payment.Callback, error)
	// OldestDue is when the oldest open callback was due; payment.ErrAbsent when none is open.
	OldestDue() (time.Time, error)
}

// ClaimCallbacks says which callbacks to claim.
type ClaimCallbacks struct {
	Now       time.Time
	Lease     time.Duration
	Limit     int
	PerOrigin int
	Skip      []string // origins that are full or broken just now
}

// IdempotencyTx keeps answered Idempotency-Keys.
type IdempotencyTx interface {
	// Idempotency is payment.ErrAbsent for a key not used, or forgotten.
	Idempotency(application payment.ID, key string) (Idempotency, error)
	// AddIdempotency of a key that exists is payment.ErrConflict.
	AddIdempotency(i Idempotency) error
	// PruneIdempotency forgets those from before t, at most limit, and tells how many.
	PruneIdempotency(t time.Time, limit int) (int, error)
}

// Idempotency ties a caller's key to the digest of its parameters and to what was made.
type Idempotency struct {
	ApplicationID payment.ID
	Key           string
	Digest        []byte // SHA-256 of the parameters in a canonical order
	Made          payment.ID
	At            time.Time
}

// Rates tells what a coin costs now. The error is a payment.Error of kind Unavailable where no price can be trusted.
type Rates interface {
	Price(ctx context.Context, coin, currency money.Currency) (payment.Price, error)
}

// A Sender sends a callback. It never fails: whatever happens is an answer.
type Sender interface {
	Send(ctx context.Context, m payment.Message) payment.Answer
}

// A Renderer writes a statement as a callback's body.
type Renderer func(code int, message string, fields []payment.Field, e payment.Encoding) (contentType string, body []byte)

// A Signer releases addresses. It is met by the embedded signer.
type Signer interface {
	// Release derives addresses ahead: none of them was ever released before, also not before a crash or a restore.
	Release(ctx context.Context, w chain.Want) (chain.Batch, error)
	// Marks is what the signer's journal says: its epoch and how far every branch has been released.
	Marks(ctx context.Context) (chain.Marks, error)
	// NewEpoch begins the next epoch: free addresses of earlier ones are dead.
	NewEpoch(ctx context.Context) (uint64, error)
	// Released derives w.Count addresses again that were released before, from an index on.
	Released(ctx context.Context, w chain.Want, from uint32) (chain.Batch, error)
	// Stamp keeps a text for Marks to tell, durably.
	Stamp(ctx context.Context, text string) error
}

// A Sealer encrypts secrets that the program must be able to read again.
type Sealer interface {
	Seal(clear []byte) (sealed []byte, err error)
	Open(sealed []byte) (clear []byte, err error)
}

// A Net is a network that PIPE serves, as the engine needs to know it.
type Net struct {
	Network money.Network
	// ParseAddress checks an address with its checksum and network and answers its normal form. The error is made to be
	// shown.
	ParseAddress func(text string) (string, error)
	// MaxBlind is how long the network may go unseen before no coin of it is offered.
	MaxBlind time.Duration
	// BreakerDepth is how deep a reorganisation doubles the required depth for a day; 0: never.
	BreakerDepth uint64
	// DropAfter is how long a deposit seen outside blocks may be missing there before it counts as dropped, where the
	// node tells all that it has outside blocks; ForgetAfter is the same where it does not.
	DropAfter, ForgetAfter time.Duration
	// MaxAhead is how far the newest block's time may be ahead of the clock before the clock is not believed; 0: any.
	MaxAhead time.Duration
	// Accounts: the chain keeps balances of accounts, which the recount weighs.
	Accounts bool
	// Final is the depth from which coins are settled and payouts are done (payment.FinalDepth).
	Final payment.Depth
	// Retry is how soon a payout that waits for the chain is looked at again.
	Retry time.Duration
	// BlockTime is the usual time between blocks, for estimates on pages.
	BlockTime time.Duration
}
