package sim_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A paying is what the auditor knows of a payout.
type paying struct {
	payment.Payout
	n      int // in order of making
	spends []payment.ID
	told   []int // statuses of its callbacks
	status int   // as its rows say
}

// A spending is what it knows of a spend.
type spending struct {
	payment.Spend
	tickets  []payment.Ticket
	versions map[int]*versioned
	pays     map[payment.ID]bool
}

type versioned struct{ unsigned, raw []byte }

// A book is what the auditor keeps of money that leaves.
type book struct {
	payouts  map[payment.ID]*paying
	order    []*paying
	spends   map[payment.ID]*spending
	durable  map[string]bool // signed bytes that a commit holds
	accounts map[string]money.Amount
	moved    map[string]bool // invoice and coin whose coins became the wallet's
	halts    int
}

func newBook() book {
	return book{payouts: map[payment.ID]*paying{}, spends: map[payment.ID]*spending{}, durable: map[string]bool{},
		accounts: map[string]money.Amount{}, moved: map[string]bool{}}
}

// payoutEdges is what may become of a payout.
var payoutEdges = map[payment.PayoutState]string{
	payment.PayoutWaiting: "waiting open paying done failed", // paying at once: an older copy learns what it had signed
	payment.PayoutOpen:    "open paying waiting failed",
	payment.PayoutPaying:  "paying done open waiting",
	payment.PayoutDone:    "done paying",
	payment.PayoutFailed:  "failed",
}

func (a *auditor) addPayout(p payment.Payout) {
	o := &paying{Payout: p, n: len(a.book.order) + 1, status: 1}
	a.payouts[p.ID] = o
	a.book.order = append(a.book.order, o)
	a.s.hit("payout " + string(p.Kind))
	a.s.tracef("  payout %d: %s of %s%s", o.n, p.Kind, p.Amount, a.ofInvoice(p))
	if p.InvoiceID != "" && a.invoices[p.InvoiceID] == nil {
		a.s.violate("payout %d is of an unknown invoice", o.n)
	}
}

func (a *auditor) ofInvoice(p payment.Payout) string {
	if v := a.invoices[p.InvoiceID]; v != nil {
		return fmt.Sprintf(" of invoice %d", v.n)
	}
	return ""
}

// refundStatus is how far a refund is, by the contract: 1 requested, 2 in progress from its first broadcast, 3 done, 4 failed.
func refundStatus(p payment.Payout) int {
	switch {
	case p.State == payment.PayoutDone:
		return 3
	case p.State == payment.PayoutFailed:
		return 4
	case p.SentAt.IsZero():
		return 1
	}
	return 2
}

func (a *auditor) swapPayout(p payment.Payout) {
	o := a.payouts[p.ID]
	was := o.Payout
	o.Payout = p
	if was.State != p.State || was.Held != p.Held {
		a.s.hit(fmt.Sprintf("payout %s→%s", was.State, p.State))
		a.s.tracef("  payout %d: %s of %s is %s %s %s", o.n, p.Kind, p.Amount, p.State, p.Held, p.FailReason)
	}
	if p.Held != was.Held && p.Held != "" {
		a.s.hit("held: " + string(p.Held))
	}
	if !slices.Contains(strings.Fields(payoutEdges[was.State]), string(p.State)) {
		a.s.violate("payout %d went from %s to %s", o.n, was.State, p.State)
	}
	if was.To != "" && p.To != was.To && was.State != payment.PayoutWaiting && p.State != payment.PayoutWaiting {
		a.s.violate("payout %d was to go to %s and goes to %s", o.n, was.To, p.To)
	}
	if p.State == payment.PayoutFailed && p.FailReason == "" {
		a.s.violate("payout %d failed without a reason", o.n)
	}
	if p.State == payment.PayoutPaying && p.SpendID != was.SpendID {
		a.spendAgain(o, p)
	}
	if p.Reserved && !was.Reserved {
		a.limits(o)
	}
	if p.State == payment.PayoutDone && was.State != payment.PayoutDone {
		a.payoutDone(o)
	}
	a.tellRefund(o, p)
}

// tellRefund expects the callback that a step of a refund owes.
func (a *auditor) tellRefund(o *paying, p payment.Payout) {
	status := refundStatus(p)
	was := o.status
	o.status = status
	if status == was || p.CallbackURL == "" || status < was {
		return
	}
	v := a.invoices[p.InvoiceID]
	a.touch(v)
	v.expected = append(v.expected, fmt.Sprintf("refund %d is %d", o.n, status))
}

// refundCallback judges a callback of a refund: its order is 2 then 3, or 4 with or without 2.
func (a *auditor) refundCallback(v *invoice, c payment.Callback) {
	o := a.payouts[c.PayoutID]
	v.got = append(v.got, fmt.Sprintf("refund %d is %d", o.n, c.Status))
	o.told = append(o.told, int(c.Status))
	a.s.hit(fmt.Sprintf("refund told %v", o.told))
	if o.Kind != payment.RefundAsked || c.URL != o.CallbackURL || !strings.Contains(string(c.Body), string(v.ID)) || !strings.Contains(string(c.Body), string(o.ID)) {
		a.s.violate("payout %d: callback says %s", o.n, c.Body)
	}
	text := fmt.Sprint(o.told)
	if !slices.Contains([]string{"[2]", "[4]", "[2 3]", "[2 4]"}, text) && !strings.HasPrefix(text, "[2 3 3") {
		a.s.violate("payout %d is told as %s", o.n, text)
	}
	if c.Status == 3 {
		a.deepPaid(o, "told as done")
	}
}

// spendAgain judges that a payout gets a spend: no earlier one may take effect any more.
func (a *auditor) spendAgain(o *paying, p payment.Payout) {
	for _, id := range o.spends {
		if !a.dead(a.spends[id]) {
			a.s.violate("payout %d gets another spend while %s may still take effect", o.n, short(string(id)))
		}
	}
	if len(o.spends) > 0 {
		a.s.hit("payout spent again")
	}
	o.spends = append(o.spends, p.SpendID)
	if s := a.spends[p.SpendID]; s != nil {
		s.pays[p.ID] = true
	}
	v, coin := a.invoices[p.InvoiceID], p.Network.Coin()
	right := false
	switch {
	case p.Kind == payment.Settlement:
		// Without an address of the shop's they may be kept apart on one of its wallet.
		right = slices.Contains(a.settleTo[v.ApplicationID], p.To) || a.owner[p.To] == nil && a.released[p.To].MerchantID == p.MerchantID
	case p.Kind.IsRefund():
		right = v.RefundAddress(coin) == p.To
	case p.Kind == payment.Withdrawal:
		right = a.s.withdrawals[p.To]
	case p.Kind == payment.Gather:
		right = a.released[p.To].MerchantID == p.MerchantID
	}
	if !right {
		a.s.violate("payout %d, a %s, goes to %s", o.n, p.Kind, p.To)
	}
}

// dead tells whether no version of a spend can ever take effect.
func (a *auditor) dead(s *spending) bool {
	signed := false
	for _, one := range a.s.hand.journal {
		if one.Spend == string(s.ID) {
			signed = true
			if c := a.s.chains[s.Network.Coin()]; c.depthOf(one.TxID, true) >= a.s.nets[c.coin].Final.Blocks {
				return true // carried out in vain, for good
			}
		}
	}
	return !signed && s.State == payment.SpendVoid
}

// received is the most that came to an invoice on any best chain since the last look.
func (a *auditor) received(v *invoice, coin money.Currency) money.Amount {
	best := money.Zero(coin)
	for _, blocks := range a.s.chains[coin].versions {
		if got := sum(coin, a.s.chains[coin].comings(blocks, v.address[coin]), func(coming) bool { return true }); best.Less(got) {
			best = got
		}
	}
	return best
}

// limits judges what is set aside for a payout: no more than is owed, by the contract.
func (a *auditor) limits(o *paying) {
	p, coin := o.Payout, o.Network.Coin()
	v := a.invoices[p.InvoiceID]
	if v == nil {
		if p.Source != ledger.Wallet(string(p.MerchantID)) {
			a.s.violate("payout %d, a %s, takes from %s", o.n, p.Kind, p.Source)
		}
		return
	}
	own := ledger.Invoice(string(v.ID))
	if p.Source != own && (p.Kind != payment.RefundAsked || p.Source != ledger.Wallet(string(v.MerchantID))) {
		a.s.violate("payout %d, a %s%s, takes from %s", o.n, p.Kind, a.ofInvoice(p), p.Source)
	}
	got := a.received(v, coin)
	back, out := money.Zero(coin), money.Zero(coin)
	for _, x := range a.book.order {
		if x.InvoiceID != v.ID || x.Network != p.Network || !x.Reserved && x.State != payment.PayoutDone {
			continue
		}
		if x.Kind.IsRefund() {
			back = back.Add(x.Amount)
		}
		if x.Source == own {
			out = out.Add(x.Amount)
		}
	}
	if got.Less(back) || got.Less(out) {
		a.s.violate("invoice %d got %s, goes back %s and leaves %s", v.n, got, back, out)
	}
	if v.Policy.AcceptLate || v.everReversed || v.Told.Status != payment.Paid {
		return
	}
	due := money.Zero(coin)
	for _, q := range v.quotes {
		if q.ID == v.Told.QuoteID && q.Coin == coin {
			due = q.Due
		}
	}
	switch p.Kind {
	case payment.Settlement:
		if most := due.Add(a.s.dust(coin)); most.Less(p.Amount) {
			a.s.violate("invoice %d owes %s to the shop, its settlement takes %s", v.n, due, p.Amount)
		}
	case payment.RefundExcess:
		if most := got.Sub(due); most.Less(back) {
			a.s.violate("invoice %d got %s of %s due and gives back %s", v.n, got, due, back)
		}
	case payment.RefundAsked, payment.RefundShort, payment.RefundLate, payment.Withdrawal, payment.Gather:
	}
}

// deepPaid judges that a payout's spend is final on a best chain.
func (a *auditor) deepPaid(o *paying, what string) {
	c := a.s.chains[o.Network.Coin()]
	deepest := 0
	for _, one := range a.s.hand.journal {
		if one.Spend == string(o.SpendID) {
			deepest = max(deepest, c.depthOf(one.TxID, false))
		}
	}
	if need := a.s.nets[c.coin].Final.Blocks; deepest < need {
		a.s.violate("payout %d is %s at a depth of %d, final is %d", o.n, what, deepest, need)
	}
}

func (a *auditor) payoutDone(o *paying) {
	if o.SpendID == "" {
		if o.Kind != payment.Settlement || !a.moved[string(o.InvoiceID)+string(o.Network)] {
			a.s.violate("payout %d is done without a spend", o.n)
		}
		return
	}
	a.deepPaid(o, "done")
}

func (a *auditor) addSpend(s payment.Spend, tickets []payment.Ticket) {
	a.spends[s.ID] = &spending{Spend: s, tickets: tickets, versions: map[int]*versioned{}, pays: map[payment.ID]bool{}}
	for _, t := range tickets {
		if t.Ticket == s.Anchor {
			return
		}
	}
	a.s.violate("spend %s does not hold its anchor", short(string(s.ID)))
}

// spendEdges is what may become of a spend.
var spendEdges = map[payment.SpendState]string{
	payment.SpendPlanned: "planned signed sent mined void", // sent at once: the journal has it, the store learns it
	payment.SpendSigned:  "signed sent mined",
	payment.SpendSent:    "sent mined",
	payment.SpendMined:   "mined done sent",
	payment.SpendDone:    "done sent",
	payment.SpendVoid:    "void",
}

func (a *auditor) swapSpend(s payment.Spend) {
	o := a.spends[s.ID]
	was := o.State
	o.Spend = s
	if was == s.State {
		return
	}
	a.s.hit(fmt.Sprintf("spend %s→%s", was, s.State))
	a.s.tracef("  spend %s is %s (%s)", short(string(s.ID)), s.State, s.Reason)
	if !slices.Contains(strings.Fields(spendEdges[was]), string(s.State)) {
		a.s.violate("spend %s went from %s to %s", short(string(s.ID)), was, s.State)
	}
}

func (a *auditor) addVersion(v payment.Version) {
	s := a.spends[v.SpendID]
	if v.Number > 1 {
		a.s.hit("bump")
	}
	if v.Number != len(s.versions)+1 && !v.Lost() {
		a.s.violate("spend %s: version %d follows %d", short(string(s.ID)), v.Number, len(s.versions))
	}
	s.versions[v.Number] = &versioned{unsigned: v.Unsigned}
	if v.Lost() {
		return
	}
	var u chain.Unsigned
	if err := json.Unmarshal(v.Unsigned, &u); err != nil {
		a.s.violate("version cannot be read: %s", err)
		return
	}
	for number, earlier := range s.versions {
		var e chain.Unsigned
		if err := json.Unmarshal(earlier.unsigned, &e); err != nil || len(e.Holdings) == 0 {
			continue // the store lost it
		}
		if !slices.ContainsFunc(e.Holdings, func(h chain.Holding) bool { return h.Ticket == u.Anchor }) {
			a.s.violate("version %d of spend %s does not use the anchor of version %d", number, short(string(s.ID)), v.Number)
		}
	}
	if len(u.Pays) < len(s.pays) {
		a.s.hit("narrowed")
	}
}

func (a *auditor) signVersion(id payment.ID, number int, raw []byte) {
	v := a.spends[id].versions[number]
	if v.raw != nil && string(v.raw) != string(raw) {
		a.s.violate("version %d of spend %s is stored with two sets of bytes", number, short(string(id)))
	}
	v.raw = raw
	a.durable[string(raw)] = true
}

// sends judges that bytes are about to be sent: they are stored.
func (a *auditor) sends(raw []byte) {
	if !a.durable[string(raw)] && !a.restored {
		a.s.violate("bytes are sent that no commit holds")
	}
	a.s.hit("broadcast")
}

// asked judges a request to the hand: the intent is stored, and its bytes say what is owed.
func (a *auditor) asked(u chain.Unsigned) {
	if a.restored {
		return
	}
	s := a.spends[payment.ID(u.Spend)]
	if s == nil || s.versions[u.Version] == nil || s.Anchor != string(u.Anchor) {
		a.s.violate("a version is to be signed that no commit holds")
		return
	}
	var stored chain.Unsigned
	if err := json.Unmarshal(s.versions[u.Version].unsigned, &stored); err != nil || string(stored.Raw) != string(u.Raw) {
		a.s.violate("other bytes are to be signed than those stored (%v)", err)
	}
	w, err := readWire(u.Raw)
	if err != nil || len(w.Ins) != len(u.Holdings) || len(w.Ins) > len(s.tickets) || len(w.Outs) < len(u.Pays) {
		a.s.violate("spend %s of %d tickets uses %d for %d of %d payouts (%v)", short(u.Spend), len(s.tickets), len(w.Ins), len(w.Outs), len(u.Pays), err)
		return
	}
	a.source(s, u, w)
	for i, pay := range u.Pays {
		o := a.payouts[payment.ID(pay.Payout)]
		if o == nil || o.SpendID != s.ID || o.State != payment.PayoutPaying || !a.asOwed(o, pay) || o.To != pay.To ||
			w.Outs[i].To != pay.To || w.Outs[i].Amount != pay.Net.Units() || pay.Amount.Less(pay.Net) {
			a.s.violate("spend %s pays %s of %s to %s, which is not what is owed", short(u.Spend), w.Outs[i].Amount, pay.Amount, w.Outs[i].To)
			return
		}
	}
	if u.Change.Sign() > 0 && (len(w.Outs) != len(u.Pays)+1 || w.Outs[len(u.Pays)].To != w.Ins[0].Address) {
		a.s.violate("change of spend %s does not come back", short(u.Spend))
	}
}

// asOwed tells whether a payout owes so much. On Bitcoin a rest below the least output goes to the network, out of the payout.
func (a *auditor) asOwed(o *paying, pay chain.Pay) bool {
	rest := o.Amount.Sub(o.Wasted).Sub(pay.Amount)
	return rest.IsZero() || rest.Currency() == money.BTC && rest.Sign() > 0 && rest.Less(least(money.BTC))
}

// source judges whose coins a spend takes: each payout's own invoice's, or its merchant's wallet's.
func (a *auditor) source(s *spending, u chain.Unsigned, w wire) {
	coin := s.Network.Coin()
	takes, has := map[ledger.Account]money.Amount{}, map[ledger.Account]money.Amount{}
	for _, pay := range u.Pays {
		if o := a.payouts[payment.ID(pay.Payout)]; o != nil {
			takes[o.Source] = takes[o.Source].Add(pay.Amount)
		}
	}
	for i, in := range w.Ins {
		of := ledger.Wallet(string(a.released[in.Address].MerchantID))
		if v := a.owner[in.Address]; v != nil && !a.moved[string(v.ID)+string(s.Network)] {
			of = ledger.Invoice(string(v.ID))
		} else if v != nil && takes[ledger.Invoice(string(v.ID))].Sign() > 0 {
			of = ledger.Invoice(string(v.ID)) // came after the rest was moved
		}
		if a.released[in.Address].MerchantID != s.MerchantID {
			a.s.violate("spend %s takes coins of another merchant", short(string(s.ID)))
		}
		if in.Ticket != string(u.Holdings[i].Ticket) {
			a.s.violate("spend %s uses another ticket than it says", short(string(s.ID)))
		}
		has[of] = has[of].Add(a.s.chains[coin].units(in.Amount))
	}
	for of, need := range takes {
		if has[of].Less(need) {
			a.s.violate("spend %s takes %s of %s, which puts in %s", short(string(s.ID)), need, of, has[of])
		}
	}
	for of := range has {
		if takes[of].IsZero() {
			a.s.violate("spend %s uses coins of %s for others", short(string(s.ID)), of)
		}
	}
}

// signed notes what the hand has signed.
func (a *auditor) signed(u chain.Unsigned, signed chain.Signed) {
	w, err := readWire(signed.Raw)
	if err != nil {
		a.s.violate("signed bytes cannot be read: %s", err)
		return
	}
	a.s.chains[u.Network.Coin()].signs(&signedTx{Signed: signed, u: u, wire: w})
	for _, text := range a.s.hand.Broken() {
		a.s.violate("the signer was asked for what it must not sign: %s", text)
	}
}

// halted judges that payouts stand still: nobody else has the keys.
func (a *auditor) halted(h engine.Halt) {
	if h.Reason == "" {
		return
	}
	a.halts++
	a.s.hit("payouts halted")
	a.s.tracef("  payouts are halted: %s", h.Reason)
	if strings.Contains(h.Reason, "did not make") {
		a.s.violate("payouts are halted: %s", h.Reason)
	}
}

// once judges a best chain: no payout takes effect twice, and every transaction of ours was signed.
func (a *auditor) once(c *truth) {
	times := map[string]int{}
	if c.foreign != "" {
		a.s.violate("a block holds %s, which nobody signed", c.foreign)
	}
	each(c.blocks, func(l *leaving, _ int) {
		if l.failed {
			return
		}
		for _, p := range l.u.Pays {
			if times[p.Payout]++; times[p.Payout] > 1 {
				a.s.violate("payout %s of %s took effect twice", short(p.Payout), p.Amount)
			}
		}
	})
}

// move keeps the auditor's own accounts.
func (a *auditor) move(e ledger.Entry) {
	for _, p := range e.Postings {
		for _, side := range []struct {
			account ledger.Account
			amount  money.Amount
		}{{p.From, p.Amount.Neg()}, {p.To, p.Amount}} {
			if side.account == ledger.World {
				continue
			}
			key := string(side.account) + " " + string(p.Network)
			now := money.Zero(p.Network.Coin()).Add(a.accounts[key]).Add(side.amount)
			if a.accounts[key] = now; now.Sign() < 0 {
				a.s.violate("%s holds %s", key, now)
			}
		}
		if strings.HasPrefix(e.Key, "move/") {
			a.moved[strings.TrimPrefix(string(p.From), "invoice/")+string(p.Network)] = true
		}
	}
}
