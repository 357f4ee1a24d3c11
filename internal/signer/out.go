package signer

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A name stands for texts in the book: the first half of their SHA-256, each behind its length. Two texts with one name
// would take 2^64 tries to find, and be refused as one that is taken.
type name [16]byte

func nameOf(texts ...string) name {
	h := sha256.New()
	for _, t := range texts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(t)))) // a hash never fails
		h.Write([]byte(t))
	}
	return name(h.Sum(nil)[:16])
}

func ticketName(n money.Network, t chain.Ticket) name { return nameOf(string(n), string(t)) }

func payoutName(id string, attempt int) name { return nameOf(id, strconv.Itoa(attempt)) }

// A spot is where a record's payload lies in the journal, and a part of its SHA-256.
type spot struct {
	off    int64 // of its frame
	length uint32
	sum    [12]byte
}

func spotOf(off int64, payload []byte) spot {
	s := spot{off: off, length: uint32(len(payload))}
	sum := sha256.Sum256(payload)
	copy(s.sum[:], sum[:])
	return s
}

// A spend is what the book knows of one.
type spend struct {
	void    bool
	version int    // the newest intent's
	intent  spot   // of it
	common  []name // the tickets that all its versions use: any of them can be the anchor of the next
	signed  []signedVersion
	order   int    // in book.order, once signed
	tickets []name // that a void would free; none once signed
	payouts []name
	gathers []share // of the newest intent of a spend that gathers, whose fees count as they grow
}

type signedVersion struct {
	version       int
	intent, bytes spot
}

func (s *spend) isSigned(version int) bool {
	return len(s.signed) > 0 && s.signed[len(s.signed)-1].version >= version
}

// held says whose a ticket is and what it is bound to.
type held struct {
	spend *spend // nil: void, and free again
	units int64  // satoshi; 0 for accounts
}

// A destination is an address that settlements and withdrawals of a merchant may go to.
type destination struct {
	merchant             string
	network              money.Network
	address              string
	registered, approved int64 // Unix milliseconds; 0: not approved
	first                bool  // of its merchant and network, and never vetoed
	vetoed               bool
}

// asked is a payout that has to wait.
type asked struct {
	at       int64 // Unix milliseconds
	approved bool
	terms    name // of what was asked
	spot     spot // of the record
}

// A class is what the caps of a day count apart.
type class byte

const (
	classSettle class = iota + 1
	classWithdraw
	classRefund
	classGather // counts fees alone: the rest stays the merchant's
)

func classOf(c chain.Cause) class {
	switch c {
	case chain.CauseSettlement:
		return classSettle
	case chain.CauseWithdrawal:
		return classWithdraw
	case chain.CauseRefund:
		return classRefund
	case chain.CauseGather:
		return classGather
	}
	return 0
}

// A dayKey says what a day is about; all merchants together have none.
type dayKey struct {
	merchant string
	network  money.Network
	class    class
}

// A day is what was signed in each of the last hours.
type day struct{ hours [dayHours + 1]hour }

type hour struct {
	number int64 // since 1970
	sum    *big.Int
}

func hourOf(ms int64) int64 { return ms / time.Hour.Milliseconds() }

// add counts an amount. Where the clock went back it counts in the later hour that already has the place.
func (d *day) add(ms int64, amount *big.Int) {
	n := hourOf(ms)
	h := &d.hours[((n%int64(len(d.hours)))+int64(len(d.hours)))%int64(len(d.hours))]
	if h.sum == nil || n > h.number {
		*h = hour{n, new(big.Int)}
	}
	h.sum.Add(h.sum, amount)
}

// sum is what counts at a time: this hour and the 24 before it, and what a clock that was ahead has counted.
func (d *day) sum(ms int64) *big.Int {
	total := new(big.Int)
	if d == nil {
		return total
	}
	for _, h := range d.hours {
		if h.sum != nil && h.number >= hourOf(ms)-dayHours {
			total.Add(total, h.sum)
		}
	}
	return total
}

// fits is the first time from now on at which so much more stays within a cap.
func (d *day) fits(ms int64, more, limit *big.Int) time.Time {
	for step := range int64(dayHours + 2) {
		at := ms
		if step > 0 {
			at = (hourOf(ms) + step) * time.Hour.Milliseconds()
		}
		if sum := d.sum(at); sum.Add(sum, more).Cmp(limit) <= 0 {
			return time.UnixMilli(at)
		}
	}
	return time.UnixMilli((hourOf(ms) + dayHours + 2) * time.Hour.Milliseconds())
}

// count adds what a version lets out to its days: a payout once for all its versions, a gather's fee as it grows. What was
// approved does not count, as the caps are for what nobody looked at.
func (b *book) count(i intent, before []share) {
	for n, s := range i.shares {
		c, amount := classOf(s.cause), s.amount
		a := b.asks[nameOf(s.payout)]
		switch {
		case a != nil && a.approved && a.terms == i.terms(s).name():
			continue
		case c == classGather && before != nil:
			amount = before[n].net.Sub(s.net)
		case c == classGather:
			amount = s.amount.Sub(s.net)
		case before != nil:
			continue
		}
		for _, key := range []dayKey{{i.merchant, i.network, c}, {"", i.network, c}} {
			if b.days[key] == nil {
				b.days[key] = &day{}
			}
			b.days[key].add(b.at, amount.Big())
		}
	}
}

// refuse says why the policy forbids something.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", chain.ErrRefused, fmt.Sprintf(format, args...))
}
