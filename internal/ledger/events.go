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
	Account Account // whose the coins are
	Amount  money.Amount
	Wallet  Account      // of the merchant's wallet, where Kept is above zero
	Kept    money.Amount // of Amount: what was moved to the wallet, of an account's coins that came before and come again
}

// in are the postings of coins that came.
func (d Deposit) in() []Posting {
	if d.Kept.Sign() <= 0 {
		return []Posting{{From: World, To: d.Account, Network: d.Network, Amount: d.Amount}}
	}
	all := []Posting{{From: World, To: d.Wallet, Network: d.Network, Amount: d.Kept}}
	if rest := d.Amount.Sub(d.Kept); rest.Sign() > 0 {
		all = append(all, Posting{From: World, To: d.Account, Network: d.Network, Amount: rest})
	}
	return all
}

// ConfirmDeposit books coins that came and are deep enough: world → their account.
func ConfirmDeposit(d Deposit) Entry {
	return Entry{
		Key:      fmt.Sprintf("deposit/%s/%s/%d", d.Network, d.Ref, d.Turn),
		Kind:     DepositConfirmed,
		Postings: d.in(),
	}
}

// ReverseDeposit books that the chain took a confirmed deposit back: the opposite of ConfirmDeposit of the same turn.
func ReverseDeposit(d Deposit) Entry {
	e := Entry{Key: fmt.Sprintf("deposit/%s/%s/%d/reversed", d.Network, d.Ref, d.Turn), Kind: DepositReversed}
	for _, p := range d.in() {
		e.Postings = append(e.Postings, Posting{From: p.To, To: p.From, Network: p.Network, Amount: p.Amount})
	}
	return e
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

// A Move is what the ledger needs to know of coins that stay in the wallet, each by its id.
type Move struct {
	Settlement, Invoice, Merchant string
	Network                       money.Network
	Amount                        money.Amount
}

// MoveToWallet books that coins of a paid invoice stay in the merchant's wallet: invoice → wallet. The settlement that did it
// names the entry.
func MoveToWallet(m Move) Entry {
	return Entry{
		Key: "move/" + m.Settlement, Kind: MovedToWallet,
		Postings: []Posting{{From: Invoice(m.Invoice), To: Wallet(m.Merchant), Network: m.Network, Amount: m.Amount}},
	}
}

// A Reservation is coins set aside for a payout. Turn counts how often that was done for it: a reorganisation that takes the
// coins away takes the reservation back too.
type Reservation struct {
	Payout  string
	Turn    int64
	Source  Account
	Network money.Network
	Amount  money.Amount
}

// Reserve sets coins aside: source → payout.
func Reserve(r Reservation) Entry {
	return Entry{
		Key: fmt.Sprintf("payout/%s/%d", r.Payout, r.Turn), Kind: PayoutReserved,
		Postings: []Posting{{From: r.Source, To: Payout(r.Payout), Network: r.Network, Amount: r.Amount}},
	}
}

// Unreserve is the opposite of Reserve of the same turn.
func Unreserve(r Reservation) Entry {
	return Entry{
		Key: fmt.Sprintf("payout/%s/%d/void", r.Payout, r.Turn), Kind: PayoutVoided,
		Postings: []Posting{{From: Payout(r.Payout), To: r.Source, Network: r.Network, Amount: r.Amount}},
	}
}

// A Paid is what became of one payout's reserved coins: Net arrived outside, Fee went to the network, and Rest came back to
// its source. Zero parts are not posted. Inside is the wallet that Net arrived in, for a gather: then it never left.
type Paid struct {
	Payout         string
	Source         Account
	Inside         Account // "" for the world
	Net, Fee, Rest money.Amount
}

// A Spend is what the ledger needs to know of a spend that is deep enough. Turn counts how often it was.
type Spend struct {
	ID      string
	Turn    int64
	Network money.Network
	Paid    []Paid
}

// FinishSpend books a spend that is deep enough: payout → world, payout → fee, payout → source.
func FinishSpend(s Spend) Entry {
	e := Entry{Key: fmt.Sprintf("spend/%s/%d", s.ID, s.Turn), Kind: SpendDone}
	for _, p := range s.Paid {
		to := p.Inside
		if to == "" {
			to = World
		}
		for _, part := range []struct {
			to     Account
			amount money.Amount
		}{{to, p.Net}, {Fees(s.Network), p.Fee}, {p.Source, p.Rest}} {
			if part.amount.Sign() > 0 {
				e.Postings = append(e.Postings, Posting{From: Payout(p.Payout), To: part.to, Network: s.Network, Amount: part.amount})
			}
		}
	}
	return e
}

// ReverseSpend is the opposite of FinishSpend of the same turn.
func ReverseSpend(s Spend) Entry {
	done := FinishSpend(s)
	e := Entry{Key: done.Key + "/reversed", Kind: SpendReversed}
	for _, p := range done.Postings {
		e.Postings = append(e.Postings, Posting{From: p.To, To: p.From, Network: p.Network, Amount: p.Amount})
	}
	return e
}

// Spend is the id of the spend that an entry books or takes back; false for other entries.
func (e Entry) Spend() (id string, ok bool) {
	id, ok = strings.CutPrefix(e.Key, "spend/")
	if !ok {
		return "", false
	}
	id, _, _ = strings.Cut(id, "/")
	return id, true
}
