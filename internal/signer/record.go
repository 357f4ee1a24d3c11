package signer

import (
	"fmt"
	"slices"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// The records of money going out. Their kinds go on from those in book.go.
const (
	kindHalt   byte = 5  // the kill switch is turned
	kindDecide byte = 6  // a destination is registered, approved or vetoed
	kindAsk    byte = 7  // a payout has to wait, or is approved
	kindIntent byte = 8  // a version is about to be signed
	kindSigned byte = 9  // its bytes, before they leave
	kindVoid   byte = 10 // a spend will never be signed
)

type halt struct{ on bool }

func (halt) kind() byte { return kindHalt }

func (r halt) fields() []byte {
	if r.on {
		return []byte{1}
	}
	return []byte{0}
}

func (r halt) check(*book) error { return nil }

func (r halt) apply(b *book) { b.halted = r.on }

// An act is what is decided about a destination or a payout.
type act byte

const (
	actRegister act = 1 // of a payout: it asked
	actApprove  act = 2
	actVeto     act = 3
)

// A decide is a decision about a destination.
type decide struct {
	act      act
	merchant string
	network  money.Network
	address  string // normal form
}

func (decide) kind() byte { return kindDecide }

func (r decide) fields() []byte {
	out := appendText([]byte{byte(r.act)}, r.merchant)
	return appendText(appendText(out, string(r.network)), r.address)
}

func readDecide(f *fieldReader) record {
	return decide{act(f.byte()), f.text(MaxMerchant), money.Network(f.text(MaxNetwork)), f.text(MaxAddress)}
}

func (r decide) name() name { return nameOf(r.merchant, string(r.network), r.address) }

func (r decide) check(b *book) error {
	if _, bound := b.branch[r.merchant]; r.act == actRegister && !bound {
		return fmt.Errorf("%w: merchant %s has no branch yet", ErrBinding, r.merchant)
	}
	_, there := b.destinations[r.name()]
	switch {
	case r.act == actRegister && !there && b.registered[nameOf(r.merchant, string(r.network))] < MaxDestinations:
		return nil
	case (r.act == actApprove || r.act == actVeto) && there:
		return nil
	}
	return fmt.Errorf("%w: destination %s of %s, act %d", errRecord, r.address, r.merchant, r.act)
}

func (r decide) apply(b *book) {
	d := b.destinations[r.name()]
	switch r.act {
	case actRegister:
		lane := nameOf(r.merchant, string(r.network))
		b.destinations[r.name()] = &destination{merchant: r.merchant, network: r.network, address: r.address,
			registered: b.at, first: b.registered[lane] == 0}
		b.registered[lane]++
	case actApprove:
		d.approved, d.vetoed = b.at, false
	case actVeto:
		d.approved, d.vetoed, d.first = 0, true, false
	}
}

// Terms are what is decided about a payout: another address or amount is another question.
type terms struct {
	merchant string
	network  money.Network
	payout   string
	attempt  int
	cause    chain.Cause
	to       string // normal form
	amount   money.Amount
}

func (t terms) append(out []byte) []byte {
	out = appendText(appendText(out, t.merchant), string(t.network))
	out = append(appendText(out, t.payout), byte(t.attempt), causeNumber(t.cause))
	return appendAmount(appendText(out, t.to), t.amount)
}

func readTerms(f *fieldReader) (t terms) {
	t.merchant, t.network = f.text(MaxMerchant), money.Network(f.text(MaxNetwork))
	t.payout, t.attempt, t.cause = f.text(MaxID), int(f.byte()), f.cause()
	t.to = f.text(MaxAddress)
	t.amount = f.amount(t.network.Coin())
	return t
}

// causes in the order of their numbers in records; only further ones may be added.
var causes = [...]chain.Cause{"", chain.CauseSettlement, chain.CauseRefund, chain.CauseWithdrawal, chain.CauseGather}

func causeNumber(c chain.Cause) byte { return byte(max(0, slices.Index(causes[:], c))) }

func (r *fieldReader) cause() chain.Cause {
	n := int(r.byte())
	if n < 1 || n >= len(causes) {
		r.bad = true
		return ""
	}
	return causes[n]
}

// An ask is a payout that has to wait for time or approval, or its approval.
type ask struct {
	act   act
	terms terms
}

func (ask) kind() byte { return kindAsk }

func (r ask) fields() []byte { return r.terms.append([]byte{byte(r.act)}) }

func readAsk(f *fieldReader) record { return ask{act(f.byte()), readTerms(f)} }

func (r ask) check(b *book) error {
	if r.act == actRegister && r.terms.cause != "" {
		return nil
	}
	if was := b.asks[nameOf(r.terms.payout)]; r.act == actApprove && was != nil && was.terms == r.terms.name() {
		return nil
	}
	return fmt.Errorf("%w: payout %s did not ask for that", errRecord, r.terms.payout)
}

func (t terms) name() name { return nameOf(string(t.append(nil))) }

func (r ask) apply(b *book) {
	key := nameOf(r.terms.payout)
	if r.act == actApprove {
		b.asks[key].approved = true
		return
	}
	if len(b.asks) >= MaxAsks {
		b.forgetOldest()
	}
	b.asks[key] = &asked{at: b.at, terms: r.terms.name(), spot: b.spot}
}

// forgetOldest drops the oldest question without approval; where all are approved, the oldest.
func (b *book) forgetOldest() {
	var oldest name
	var was *asked
	for key, a := range b.asks {
		if was == nil || !a.approved && was.approved || a.approved == was.approved && a.spot.off < was.spot.off {
			oldest, was = key, a
		}
	}
	delete(b.asks, oldest)
}

// A use is a ticket of an intent, and what it is worth on chains where that is bound.
type use struct {
	ticket chain.Ticket
	amount money.Amount
}

// A share is a payout of an intent.
type share struct {
	payout  string
	attempt int
	cause   chain.Cause
	to      string // normal form
	amount  money.Amount
	net     money.Amount
}

// An intent is what a version was read to be, durable before it is signed.
type intent struct {
	spend    string
	version  int
	network  money.Network
	merchant string
	anchor   chain.Ticket
	unsigned [32]byte // SHA-256 of the bytes to sign
	fee      money.Amount
	uses     []use
	shares   []share
}

func (intent) kind() byte { return kindIntent }

func (r intent) fields() []byte {
	out := append(appendText(nil, r.spend), byte(r.version))
	out = appendText(appendText(out, string(r.network)), r.merchant)
	out = append(appendText(out, string(r.anchor)), r.unsigned[:]...)
	out = append(appendAmount(out, r.fee), byte(len(r.uses)))
	for _, u := range r.uses {
		out = appendAmount(appendText(out, string(u.ticket)), u.amount)
	}
	out = append(out, byte(len(r.shares)))
	for _, s := range r.shares {
		out = append(appendText(out, s.payout), byte(s.attempt), causeNumber(s.cause))
		out = appendAmount(appendAmount(appendText(out, s.to), s.amount), s.net)
	}
	return out
}

func readIntent(f *fieldReader) record {
	r := intent{spend: f.text(MaxID), version: int(f.byte()), network: money.Network(f.text(MaxNetwork)), merchant: f.text(MaxMerchant),
		anchor: chain.Ticket(f.text(MaxTicket)), unsigned: f.sum()}
	coin := r.network.Coin()
	r.fee = f.amount(coin)
	for range min(int(f.byte()), MaxInputs+1) {
		r.uses = append(r.uses, use{chain.Ticket(f.text(MaxTicket)), f.amount(coin)})
	}
	for range min(int(f.byte()), MaxPays+1) {
		r.shares = append(r.shares, share{f.text(MaxID), int(f.byte()), f.cause(), f.text(MaxAddress), f.amount(coin), f.amount(coin)})
	}
	return r
}

// check holds what must be true whatever the policy says: a ticket and a payout belong to one spend, an outpoint has one
// amount, all versions use the anchor of the newest, and what is void or of a number that is over stays unsigned.
func (r intent) check(b *book) error {
	if r.version < 1 || r.version > MaxVersions || len(r.uses) < 1 || len(r.uses) > MaxInputs || len(r.shares) < 1 || len(r.shares) > MaxPays {
		return fmt.Errorf("%w: version %d with %d tickets and %d payouts", errRecord, r.version, len(r.uses), len(r.shares))
	}
	if _, bound := b.branch[r.merchant]; !bound {
		return fmt.Errorf("%w: merchant %s has no branch", errRecord, r.merchant)
	}
	own := b.spends[nameOf(r.spend)]
	switch {
	case own == nil:
	case own.void:
		return refuse("spend %s is void", r.spend)
	case r.version <= own.version:
		return refuse("version %d of spend %s comes after version %d", r.version, r.spend, own.version)
	case !slices.Contains(own.common, ticketName(r.network, r.anchor)):
		return refuse("version %d of spend %s has an anchor that not all versions before use", r.version, r.spend)
	}
	if !slices.ContainsFunc(r.uses, func(u use) bool { return u.ticket == r.anchor }) {
		return refuse("spend %s does not use its anchor", r.spend)
	}
	for _, u := range r.uses {
		h, there := b.tickets[ticketName(r.network, u.ticket)]
		if there && h.spend != nil && h.spend != own {
			return refuse("ticket %s belongs to another spend", u.ticket)
		}
		if there && h.units != boundUnits(u) {
			return refuse("ticket %s was bound to another amount", u.ticket)
		}
	}
	for _, s := range r.shares {
		if by := b.payouts[payoutName(s.payout, s.attempt)]; by != nil && by != own {
			return refuse("payout %s belongs to another spend", s.payout)
		}
		if before := b.payouts[payoutName(s.payout, s.attempt-1)]; s.attempt > 1 && (before == nil || len(before.signed) == 0) {
			return refuse("attempt %d of payout %s comes before the one before", s.attempt, s.payout)
		}
	}
	return nil
}

// terms are those of one of the intent's payouts.
func (r intent) terms(s share) terms {
	return terms{r.merchant, r.network, s.payout, s.attempt, s.cause, s.to, s.amount}
}

// boundUnits is what a ticket is bound to: an outpoint to its satoshi. An account's balance goes up and down.
func boundUnits(u use) int64 {
	if u.amount.Currency() == money.BTC {
		return u.amount.Big().Int64()
	}
	return 0
}

func (r intent) apply(b *book) {
	own := b.spends[nameOf(r.spend)]
	if own == nil {
		own = &spend{common: r.names()}
		b.spends[nameOf(r.spend)] = own
		b.count(r, nil)
	} else if len(own.gathers) == len(r.shares) {
		b.count(r, own.gathers)
	}
	b.narrow(own, r)
	own.version, own.intent = r.version, b.spot
	if slices.ContainsFunc(r.shares, func(s share) bool { return s.cause == chain.CauseGather }) {
		own.gathers = r.shares
	}
	for _, u := range r.uses {
		t := ticketName(r.network, u.ticket)
		b.tickets[t] = held{own, boundUnits(u)}
		own.tickets = append(own.tickets, t)
	}
	for _, s := range r.shares {
		p := payoutName(s.payout, s.attempt)
		b.payouts[p] = own
		own.payouts = append(own.payouts, p)
		delete(b.asks, nameOf(s.payout))
	}
}

// names are the names of the tickets that an intent uses.
func (r intent) names() (all []name) {
	for _, u := range r.uses {
		all = append(all, ticketName(r.network, u.ticket))
	}
	return all
}

// narrow keeps what all versions of a spend use. A ticket that a version leaves out is free for another spend: every version
// that uses it conflicts with that one. The payouts that it leaves out stay this spend's, for its earlier versions may pay them.
func (b *book) narrow(own *spend, r intent) {
	uses := r.names()
	left := func(t name) bool { return !slices.Contains(uses, t) }
	for _, t := range own.common {
		if left(t) {
			b.tickets[t] = held{nil, b.tickets[t].units}
		}
	}
	own.common = slices.DeleteFunc(own.common, left)
}

// A signature is the bytes of a version, durable before they leave.
type signature struct {
	spend   string
	version int
	txid    string
	raw     []byte
}

func (signature) kind() byte { return kindSigned }

func (r signature) fields() []byte {
	out := append(appendText(nil, r.spend), byte(r.version))
	return append(appendText(out, r.txid), r.raw...)
}

func readSignature(f *fieldReader) record {
	r := signature{spend: f.text(MaxID), version: int(f.byte()), txid: f.text(MaxTicket)}
	r.raw = slices.Clone(f.rest)
	f.rest = nil
	return r
}

func (r signature) check(b *book) error {
	own := b.spends[nameOf(r.spend)]
	if own == nil || own.void || own.version != r.version || own.isSigned(r.version) || len(r.raw) < 1 || len(r.raw) > MaxSigned {
		return fmt.Errorf("%w: version %d of spend %s cannot be signed", errRecord, r.version, r.spend)
	}
	return nil
}

func (r signature) apply(b *book) {
	own := b.spends[nameOf(r.spend)]
	if len(own.signed) == 0 {
		own.order = len(b.order)
		b.order = append(b.order, own)
	}
	own.signed = append(own.signed, signedVersion{r.version, own.intent, b.spot})
	own.tickets, own.payouts = nil, nil // it cannot be void any more
}

type void struct{ spend string }

func (void) kind() byte { return kindVoid }

func (r void) fields() []byte { return appendText(nil, r.spend) }

func readVoid(f *fieldReader) record { return void{f.text(MaxID)} }

func (r void) check(b *book) error {
	if own := b.spends[nameOf(r.spend)]; own != nil && len(own.signed) > 0 {
		return refuse("spend %s is signed and cannot be void any more", r.spend)
	}
	return nil
}

// apply frees tickets and payouts. What a ticket is worth stays bound, and what was counted stays counted.
func (r void) apply(b *book) {
	own := b.spends[nameOf(r.spend)]
	if own == nil {
		own = &spend{}
		b.spends[nameOf(r.spend)] = own
	}
	for _, t := range own.tickets {
		b.tickets[t] = held{nil, b.tickets[t].units}
	}
	for _, p := range own.payouts {
		delete(b.payouts, p)
	}
	own.void, own.tickets, own.payouts = true, nil, nil
}
