package engine

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Looker asks a network's nodes about one transaction. It only helps to explain: what it says is never booked. An error says
// that no node could be asked.
type Looker interface {
	Lookup(ctx context.Context, txid string) (chain.Looked, error)
}

// A Trace is what is known of a transaction that a payer names.
type Trace string

// What can be known of it. Ours and Lost speak of this invoice's deposits, from the store; the rest is from the nodes.
const (
	TraceOurs      Trace = "ours"      // it is a deposit of this invoice
	TraceLost      Trace = "lost"      // it was one, and the network dropped it
	TraceRefund    Trace = "refund"    // it is a refund of this invoice
	TraceComing    Trace = "coming"    // it pays this invoice's address, and will be a deposit at the next look
	TraceOther     Trace = "other"     // it pays another address of this program's
	TraceElsewhere Trace = "elsewhere" // it pays addresses that are not this program's
	TraceToken     Trace = "token"     // it sends this invoice's address a token, which is no coin here
	TraceContract  Trace = "contract"  // it called a contract: if that pays this invoice, its balance will tell
	TraceFailed    Trace = "failed"    // it was carried out in vain
	TraceUnknown   Trace = "unknown"   // no node knows it
	TraceBlind     Trace = "blind"     // no node could be asked
)

// A Traced is the answer to "I already sent it".
type Traced struct {
	Trace   Trace
	Network money.Network
	TxID    string
	Amount  money.Amount // what it pays this invoice; zero Amount: nothing, or unknown
}

// txidText finds a transaction id in what people paste: bare, or the end of an explorer's link.
var txidText = regexp.MustCompile(`(0[xX])?([0-9A-Fa-f]+)`)

// txidDigits is the length of a transaction id on both chains, in hex digits.
const txidDigits = 64

// ParseTxID finds the transaction id in a text, in lower-case hex, and tells whether it is written as Ethereum's are, with 0x.
func ParseTxID(text string) (digits string, prefixed, ok bool) {
	if text = strings.TrimSpace(text); len(text) > MaxTxIDText {
		return "", false, false
	}
	for _, found := range txidText.FindAllStringSubmatch(text, -1) {
		if len(found[2]) != txidDigits {
			continue
		}
		if ok {
			return "", false, false // which one?
		}
		digits, prefixed, ok = strings.ToLower(found[2]), found[1] != "", true
	}
	return digits, prefixed, ok
}

// LookUp tells what is known of a transaction that the payer of an invoice says was sent. It changes nothing, but that a token that
// came to the invoice's address is noted for the shop. Errors:
// no-such-invoice, malformed with the field txid where it is no transaction id of this invoice's coins.
func (d *Desk) LookUp(ctx context.Context, id payment.ID, text string) (Traced, error) {
	digits, prefixed, ok := ParseTxID(text)
	malformed := payment.Malformed("txid", "is not a transaction id of a coin of this payment")
	if !ok {
		return Traced{}, malformed
	}
	v, err := d.Page(ctx, id)
	if err != nil {
		return Traced{}, err
	}
	var best Traced
	for _, coin := range v.Invoice.Coins {
		n, ok := d.Nets[coin]
		if !ok || prefixed && coin != money.ETH {
			continue
		}
		s := Traced{Trace: TraceUnknown, Network: n.Network, TxID: digits}
		if coin == money.ETH {
			s.TxID = "0x" + digits
		}
		if s, ok = known(v.Facts, s); !ok {
			if s, err = d.look(ctx, id, s); err != nil {
				return Traced{}, err
			}
		}
		if best.Trace == "" || worth(s.Trace) > worth(best.Trace) {
			best = s
		}
	}
	if best.Trace == "" {
		return Traced{}, malformed
	}
	if best.Trace == TraceToken {
		err = d.noteWrong(ctx, v.Invoice, best)
	}
	return best, err
}

// noteWrong notes a token that came in the place of coins, once.
func (d *Desk) noteWrong(ctx context.Context, i payment.Invoice, s Traced) error {
	return d.Store.Update(ctx, func(tx Tx) error {
		noted, err := tx.InvoiceWrongCoins(i.ID, MaxStory)
		if err != nil || len(noted) >= MaxStory {
			return err
		}
		_, err = tx.AddWrongCoin(WrongCoin{i.ID, i.MerchantID, s.Network, s.TxID, tx.Now()})
		return err
	})
}

// worth orders what two networks say of one id: what is known before what is not.
func worth(s Trace) int {
	switch s {
	case TraceUnknown:
		return 0
	case TraceBlind:
		return 1 // not to be taken for unknown
	case TraceOurs, TraceRefund, TraceComing:
		return 3
	case TraceLost, TraceOther, TraceElsewhere, TraceToken, TraceContract, TraceFailed:
	}
	return 2
}

// known tells whether the transaction made deposits of the invoice, or is a refund of it.
func known(f payment.Facts, s Traced) (Traced, bool) {
	for _, p := range f.Payouts {
		if p.Kind.IsRefund() && p.Network == s.Network && strings.EqualFold(p.TxID, s.TxID) {
			s.Trace, s.Amount = TraceRefund, p.Net
			return s, true
		}
	}
	sum, found := money.Zero(s.Network.Coin()), false
	for _, dep := range f.Deposits {
		if dep.Network != s.Network || !strings.EqualFold(dep.TxID, s.TxID) {
			continue
		}
		if !found {
			s.Trace = TraceLost
		}
		if found = true; dep.Live() {
			s.Trace, sum = TraceOurs, sum.Add(dep.Amount)
		}
	}
	if found {
		s.Amount = sum
	}
	return s, found
}

// look asks the nodes.
func (d *Desk) look(ctx context.Context, id payment.ID, s Traced) (Traced, error) {
	looker := d.Lookers[s.Network]
	if looker == nil {
		s.Trace = TraceBlind
		return s, nil
	}
	l, err := looker.Lookup(ctx, s.TxID)
	switch {
	case err != nil && ctx.Err() != nil:
		return s, err
	case err != nil:
		d.Log.WarnContext(ctx, "look up a payer's transaction", "network", s.Network, "error", err)
		s.Trace = TraceBlind
		return s, nil
	case !l.Known:
		return s, nil
	case l.Failed:
		s.Trace = TraceFailed
		return s, nil
	}
	return s, d.Store.View(ctx, func(tx Tx) error { return judge(tx, id, l, &s) })
}

// judge compares whom a transaction pays with whose the addresses are.
func judge(tx Tx, id payment.ID, l chain.Looked, s *Traced) error {
	ours := func(address string) (mine, known bool, err error) {
		a, err := tx.Address(s.Network, address)
		if errors.Is(err, payment.ErrAbsent) {
			return false, false, nil
		}
		return err == nil && a.InvoiceID == id, err == nil, err
	}
	sum := money.Zero(s.Network.Coin())
	if s.Trace = TraceElsewhere; l.Called {
		s.Trace = TraceContract
	}
	for _, p := range l.Pays {
		mine, known, err := ours(p.To)
		switch {
		case err != nil:
			return err
		case mine:
			sum = sum.Add(p.Amount)
		case known:
			s.Trace = TraceOther
		}
	}
	for _, to := range l.Tokens {
		mine, _, err := ours(to)
		if err != nil {
			return err
		}
		if mine {
			s.Trace = TraceToken
		}
	}
	if sum.Sign() > 0 {
		s.Trace, s.Amount = TraceComing, sum
	}
	return nil
}
