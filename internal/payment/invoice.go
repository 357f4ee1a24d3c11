package payment

import (
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// An Invoice is what a shop asks for. Everything but Refunds, RefundOwner, CancelledAt, Told, UpdatedAt and
// Rev is fixed when it is made.
type Invoice struct {
	ID            ID
	ApplicationID ID
	MerchantID    ID
	OrderID       string
	OrderName     string
	Price         money.Amount
	Language      Language
	CallbackURL   string
	OpenType      OpenType
	RedirectURL   string
	Policy        Policy
	Coins         []money.Currency
	CreatedAt     time.Time

	Refunds     map[money.Currency]RefundAddress // at most one per coin
	RefundOwner []byte                           // SHA-256 of the secret cookie of the browser that set one; nil: none did
	CancelledAt time.Time                        // the payer gave up a part payment; zero: not
	Told        Told
	UpdatedAt   time.Time // of the last change of Told or Refunds
	Rev         int64     // compare-and-swap
}

// RefundAddress is where money of one coin goes back to. Fixed: it came with the invoice, or a refund is on its way, and the
// payer may not change it.
type RefundAddress struct {
	Address string
	Fixed   bool
}

// Told is what PIPE has said of an invoice: the part that is computed from facts and saved by compare-and-swap. It is
// comparable. Amounts are whole numbers of smallest units, as text.
type Told struct {
	Status      Status
	Deposit     DepositStatus
	Marks       Marks
	QuoteID     ID     // the quote that the amounts speak of: the one that covers, else the last one
	Seen        string // live deposits of that quote's coin
	Confirmed   string // … of them confirmed
	Deadline    int64  // milliseconds since 1970: when it expires if nothing comes
	DepositedAt int64  // when Deposit became 1; 0: not
	PaidAt      int64
	ExpiredAt   int64
}

// A Language is the language of pages.
type Language string

// The languages of pages, as the guide spells them.
const (
	English Language = "en"
	Korean  Language = "kr"
)

// An OpenType is how a shop opens the page.
type OpenType string

// The open types of the guide.
const (
	OpenRedirect OpenType = "redirect"
	OpenPopup    OpenType = "popup"
	OpenLayer    OpenType = "layer"
)

// RefundAddress is where coins of the invoice go back to, "" while nobody said.
func (i Invoice) RefundAddress(coin money.Currency) string { return i.Refunds[coin].Address }
