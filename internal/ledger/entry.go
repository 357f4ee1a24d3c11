// Package ledger is the double-entry book: accounts, postings, a constructor for each money event, checks. It is pure; the
// store keeps what it makes.
package ledger

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
)

// An Account holds coins of one or more networks. World is everything outside; only World may go below zero.
type Account string

// World is everything outside PIPE.
const World Account = "world"

// Invoice is the account of the coins that came for an invoice.
func Invoice(id string) Account { return Account("invoice/" + id) }

// Wallet is the account of a merchant's PIPE wallet.
func Wallet(merchant string) Account { return Account("wallet/" + merchant) }

// Stray is the account of coins that came to an address of a merchant's which nobody was given.
func Stray(merchant string) Account { return Account("stray/" + merchant) }

// Payout is the account of coins reserved for a payout, or on their way by it.
func Payout(id string) Account { return Account("payout/" + id) }

// Fees is the account of what was paid to a network for carrying transactions. It only grows, reorganisations apart.
func Fees(network money.Network) Account { return Account("fee/" + string(network)) }

// Outside tells whether what the account counts has left PIPE's addresses.
func (a Account) Outside() bool { return a == World || strings.HasPrefix(string(a), "fee/") }

// IsWallet tells whether it is a merchant's wallet.
func (a Account) IsWallet() bool { return strings.HasPrefix(string(a), "wallet/") }

// Payout is the id of the payout that the account is of; false for other accounts.
func (a Account) Payout() (id string, ok bool) { return strings.CutPrefix(string(a), "payout/") }

// Known tells whether the account is of a kind that exists.
func (a Account) Known() bool {
	kind, id, _ := strings.Cut(string(a), "/")
	switch kind {
	case "world":
		return a == World
	case "invoice", "wallet", "stray", "payout", "fee":
		return id != ""
	}
	return false
}

// A Posting moves an amount above zero from one account to another, on one network.
type Posting struct {
	From, To Account
	Network  money.Network
	Amount   money.Amount
}

// An Entry is a list of postings that happen together. Key is unique for ever: the same event posted twice is refused by
// the store. Entries are never edited; a reversal is a new entry with the opposite postings.
type Entry struct {
	Key      string
	Kind     Kind
	Postings []Posting
}

// A Kind says which money event an entry books.
type Kind string

// The kinds of entries.
const (
	DepositConfirmed Kind = "deposit-confirmed"
	DepositReversed  Kind = "deposit-reversed"
	MovedToWallet    Kind = "moved-to-wallet"
	PayoutReserved   Kind = "payout-reserved"
	PayoutVoided     Kind = "payout-voided"
	SpendDone        Kind = "spend-done"
	SpendReversed    Kind = "spend-reversed"
)

// Check refuses an entry that cannot be booked: no key or postings, an amount that is not above zero, a coin that is not
// the network's, an unknown account, or a posting to itself. A refusal is a broken invariant.
func (e Entry) Check() error {
	if e.Key == "" || e.Kind == "" || len(e.Postings) == 0 {
		return errors.New("ledger: an entry has a key, a kind and postings")
	}
	for _, p := range e.Postings {
		switch {
		case p.Amount.Sign() <= 0:
			return fmt.Errorf("ledger: %s: posting of %s is not above zero", e.Key, p.Amount)
		case p.Network.Coin() == "" || p.Network.Coin() != p.Amount.Currency():
			return fmt.Errorf("ledger: %s: %s on %s", e.Key, p.Amount, p.Network)
		case !p.From.Known() || !p.To.Known() || p.From == p.To:
			return fmt.Errorf("ledger: %s: posting from %q to %q", e.Key, p.From, p.To)
		}
	}
	return nil
}
