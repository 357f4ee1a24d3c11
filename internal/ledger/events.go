package ledger

import (
	"fmt"
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
)

// A Deposit is what the ledger needs to know of one: its network and ref name it, Turn counts how often it was confirmed
// (a reorganisation may take it away and bring it back).
type Deposit struct {
	Network money.Network
	Ref     string
	Turn    int64
	Invoice string
	Amount  money.Amount
}

// ConfirmDeposit books coins that came for an invoice and are deep enough: world → invoice.
func ConfirmDeposit(d Deposit) Entry {
	return Entry{
		Key:      fmt.Sprintf("deposit/%s/%s/%d", d.Network, d.Ref, d.Turn),
		Kind:     DepositConfirmed,
		Postings: []Posting{{From: World, To: Invoice(d.Invoice), Network: d.Network, Amount: d.Amount}},
	}
}

// ReverseDeposit books that the chain took a confirmed deposit back: the opposite of ConfirmDeposit of the same turn.
func ReverseDeposit(d Deposit) Entry {
	return Entry{
		Key:      fmt.Sprintf("deposit/%s/%s/%d/reversed", d.Network, d.Ref, d.Turn),
		Kind:     DepositReversed,
		Postings: []Posting{{From: Invoice(d.Invoice), To: World, Network: d.Network, Amount: d.Amount}},
	}
}

// DepositKey names a deposit among the entries.
func DepositKey(network money.Network, ref string) string { return fmt.Sprintf("%s/%s", network, ref) }

// Deposit is the DepositKey of the deposit that an entry books or takes back; false for other entries.
func (e Entry) Deposit() (key string, ok bool) {
	key, ok = strings.CutPrefix(e.Key, "deposit/")
	if !ok {
		return "", false
	}
	key = strings.TrimSuffix(key, "/reversed")
	return key[:strings.LastIndexByte(key, '/')], true
}
