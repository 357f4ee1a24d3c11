package sim_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// An auditor judges each commit by what really happened and by the contract, with rules of its own. It believes nothing
// that the engine computed: amounts, depths and times come from the chains as they really are.
type auditor struct {
	s    *sim
	apps []payment.Application

	invoices map[payment.ID]*invoice
	list     []*invoice
	owner    map[string]*invoice // by address
	released map[string]payment.Address
	order    []payment.Address // of release
	cursor   map[money.Network][]chain.Block
	posted   map[string]bool
	deposits map[string]payment.Deposit // by network and ref
	owed     map[payment.ID]*owing
	acked    map[payment.ID]bool
	heads    map[money.Currency]bool // the last head told was the true tip
	looks    map[money.Currency]bool // the last complete look was at the true tip
	prices   map[string]bool
	total    int
	touched  []*invoice // in this commit

	book
	settleTo map[payment.ID][]string // all addresses that an application ever settled to
	restored bool                    // the database was put back: what its rows were is not known
}

// An invoice is what the auditor knows of one.
type invoice struct {
	payment.Invoice
	n        int // in order of making
	app      payment.Application
	quotes   []payment.Quote
	address  map[money.Currency]string
	offset   time.Duration // of the clock at its making
	dirty    bool          // the clock was wrong during its life: its times prove nothing
	cookie   string
	booked   map[money.Currency]money.Amount
	owing    []*owing
	paid     int
	changes  int // of what was told, in this commit
	events   int // in this commit
	expected []string
	got      []string

	everReversed bool
}

// An owing is a callback.
type owing struct {
	payment.Callback
	received int
}

func newAuditor(s *sim) *auditor {
	return &auditor{s: s, invoices: map[payment.ID]*invoice{}, owner: map[string]*invoice{}, released: map[string]payment.Address{},
		cursor: map[money.Network][]chain.Block{}, posted: map[string]bool{}, deposits: map[string]payment.Deposit{},
		owed: map[payment.ID]*owing{}, acked: map[payment.ID]bool{}, heads: map[money.Currency]bool{}, looks: map[money.Currency]bool{},
		prices: map[string]bool{}, book: newBook(), settleTo: map[payment.ID][]string{}}
}

func (a *auditor) booted() {}

// commit judges one commit.
func (a *auditor) commit(written []func(*auditor)) {
	if a.restored {
		return
	}
	a.touched = a.touched[:0]
	for _, f := range written {
		f(a)
	}
	for _, v := range a.touched {
		if v.changes != v.events {
			a.s.violate("invoice %d: %d changes, %d events in one commit", v.n, v.changes, v.events)
		}
		slices.Sort(v.expected)
		slices.Sort(v.got)
		if strings.Join(v.expected, " ") != strings.Join(v.got, " ") {
			a.s.violate("invoice %d owes %v, the commit wrote %v", v.n, v.expected, v.got)
		}
		v.changes, v.events, v.expected, v.got = 0, 0, nil, nil
	}
}

func (a *auditor) touch(v *invoice) {
	if !slices.Contains(a.touched, v) {
		a.touched = append(a.touched, v)
	}
}

func (a *auditor) addInvoice(i payment.Invoice) {
	v := &invoice{Invoice: i, n: len(a.list) + 1, address: map[money.Currency]string{}, offset: a.s.offset, dirty: a.s.offset != 0,
		booked: map[money.Currency]money.Amount{}}
	for _, app := range a.apps {
		if app.ID == i.ApplicationID {
			v.app = app
		}
	}
	a.invoices[i.ID] = v
	a.list = append(a.list, v)
	a.s.tracef("  invoice %d of %s", v.n, i.Price)
}

func (a *auditor) clockJumped() {
	for _, v := range a.list {
		v.dirty = true
	}
}

// ceilDue is the amount due of a price at a rate, in the coin's units, by the contract: up to 1e-8.
func ceilDue(price money.Amount, rate money.Rate, coin money.Currency) *big.Int {
	minor := int64(pow(10, price.Currency().Decimals()))
	x := new(big.Rat).SetFrac(price.Big(), big.NewInt(minor))
	x.Quo(x, rate.Value())
	x.Mul(x, big.NewRat(100_000_000, 1))
	n, rest := new(big.Int).QuoRem(x.Num(), x.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		n.Add(n, big.NewInt(1))
	}
	if coin == money.ETH {
		n.Mul(n, big.NewInt(10_000_000_000))
	}
	return n
}

func pow(b, n int) int {
	p := 1
	for range n {
		p *= b
	}
	return p
}

func (a *auditor) addQuote(q payment.Quote) {
	v := a.invoices[q.InvoiceID]
	if v == nil {
		a.s.violate("quote of an unknown invoice")
		return
	}
	full := ceilDue(v.Price, q.Rate, q.Coin)
	earlier := slices.ContainsFunc(v.quotes, func(o payment.Quote) bool { return o.Coin == q.Coin })
	switch {
	case a.owner[q.Address] != v:
		a.s.violate("invoice %d is quoted with an address that is not its own", v.n)
	case v.address[q.Coin] != "" && v.address[q.Coin] != q.Address:
		a.s.violate("invoice %d has two addresses for %s", v.n, q.Coin)
	case !a.prices[string(q.Coin)+q.Rate.Text()]:
		a.s.violate("invoice %d is quoted at %s, which nobody said", v.n, q.Rate)
	case q.Window != 30*time.Minute && (!q.Exchange || q.Window != 60*time.Minute) || !q.Deadline.Equal(q.CreatedAt.Add(q.Window)):
		a.s.violate("invoice %d: quote from %s to %s", v.n, q.CreatedAt, q.Deadline)
	case a.s.machine().Sub(q.CreatedAt).Abs() > time.Second:
		a.s.violate("invoice %d: quote made at %s, it is %s", v.n, q.CreatedAt, a.s.machine())
	case !earlier && q.Due.Big().Cmp(full) != 0:
		a.s.violate("invoice %d: %s at %s makes %s, not %s", v.n, v.Price, q.Rate, full, q.Due.Units())
	case v.Told.Status != payment.Waiting:
		a.s.violate("invoice %d is quoted in status %d", v.n, v.Told.Status)
	}
	came := money.Zero(q.Coin)
	for _, tx := range a.s.chains[q.Coin].all {
		for _, o := range tx.outs {
			if o.to == q.Address {
				came = came.Add(o.amount)
			}
		}
	}
	if most := new(big.Int).Add(full, came.Big()); q.Due.Sign() <= 0 || earlier && q.Due.Big().Cmp(most) > 0 {
		// An older amount due that is already covered may be kept.
		if !slices.ContainsFunc(v.quotes, func(o payment.Quote) bool { return o.Coin == q.Coin && o.Due.Equal(q.Due) }) {
			a.s.violate("invoice %d: %s due, of which %s came, for %s at %s", v.n, q.Due, came, v.Price, q.Rate)
		}
	}
	v.address[q.Coin] = q.Address
	v.quotes = append(v.quotes, q)
	if a.s.offset != 0 {
		v.dirty = true
	}
	a.s.tracef("  invoice %d quoted: %s until %s", v.n, q.Due, q.Deadline.Format("02 15:04:05"))
}

func (a *auditor) addAddresses(all []payment.Address) {
	for _, ad := range all {
		if _, again := a.released[ad.Address]; again {
			a.s.violate("address %s was released twice", ad.Address)
		}
		a.released[ad.Address] = ad
		a.order = append(a.order, ad)
	}
}

func (a *auditor) giveAddress(ad payment.Address, g engine.GiveAddress) {
	if g.Invoice == "" {
		a.s.hit("wallet's address")
		if a.owner[ad.Address] != nil || a.released[ad.Address].MerchantID != g.Merchant {
			a.s.violate("wallet of %s got the address of another", g.Merchant)
		}
		return
	}
	v := a.invoices[g.Invoice]
	if other := a.owner[ad.Address]; other != nil {
		a.s.violate("address of invoice %d is given to invoice %d too", other.n, v.n)
	}
	if a.released[ad.Address].MerchantID != v.MerchantID {
		a.s.violate("invoice %d got an address of another merchant", v.n)
	}
	a.owner[ad.Address] = v
	coin := g.Network.Coin()
	for _, c := range a.s.chains[coin].comings(a.s.chains[coin].blocks, ad.Address) {
		if slices.ContainsFunc(a.cursor[g.Network], func(b chain.Block) bool { return b.Hash == c.block.Hash }) {
			a.s.violate("invoice %d got an address to which coins had come before", v.n)
		}
	}
	a.s.given[coin] = append(a.s.given[coin], ad.Address)
}

func (a *auditor) pushBlock(n money.Network, b chain.Block) {
	own := a.cursor[n]
	if len(own) > 0 {
		if top := own[len(own)-1]; b.Parent != top.Hash || b.Height != top.Height+1 {
			a.s.violate("%s: block %d does not follow %d", n, b.Height, top.Height)
		}
	}
	if !a.s.chains[n.Coin()].hashes[b.Hash] {
		a.s.violate("%s: block %d %s never was", n, b.Height, b.Hash)
	}
	a.cursor[n] = append(own, b)
}

func (a *auditor) popBlock(n money.Network, b chain.Block) {
	own := a.cursor[n]
	if len(own) == 0 || own[len(own)-1].Hash != b.Hash {
		a.s.violate("%s: block %d is taken off from below the top", n, b.Height)
		return
	}
	a.cursor[n] = own[:len(own)-1]
	a.s.hit("block taken back")
}

func (a *auditor) head(c *truth, h chain.Head) { a.heads[c.coin] = h.Tip.Hash == c.tip().Hash }

func (a *auditor) saveState(n engine.NetworkState) {
	if n.Trouble != "" {
		a.s.hit("network in trouble")
		return
	}
	c := a.s.chains[n.Network.Coin()]
	a.looks[c.coin] = a.heads[c.coin]
	if a.heads[c.coin] && n.Height == c.tip().Height {
		c.looked()
	}
}

// depositEdges is what may become of a deposit.
var depositEdges = map[payment.DepositState][]payment.DepositState{
	"":                {payment.Seen, payment.Mined},
	payment.Seen:      {payment.Mined, payment.Dropped},
	payment.Mined:     {payment.Confirmed, payment.Seen, payment.Dropped},
	payment.Confirmed: {payment.Reversed},
	payment.Dropped:   {payment.Seen, payment.Mined},
	payment.Reversed:  {payment.Mined, payment.Seen},
}

func (a *auditor) swapDeposit(d payment.Deposit) {
	if d.SpendID != "" || d.InvoiceID == "" {
		a.otherDeposit(d)
		return
	}
	key := string(d.Network) + " " + d.Ref
	was, known := a.deposits[key]
	a.deposits[key] = d
	v, coin := a.invoices[d.InvoiceID], d.Network.Coin()
	if v == nil || v.address[coin] != d.Address {
		a.s.violate("deposit %s to %s is booked to another's invoice", d.Ref, d.Address)
		return
	}
	if was.State != d.State {
		a.s.hit(fmt.Sprintf("deposit %s→%s", was.State, d.State))
		a.s.tracef("  invoice %d: deposit of %s is %s", v.n, d.Amount, d.State)
		if !slices.Contains(depositEdges[was.State], d.State) {
			a.s.violate("deposit %s went from %q to %q", d.Ref, was.State, d.State)
		}
	}
	if !known {
		a.total++
	}
	if !a.wasSent(d) {
		a.s.violate("invoice %d: deposit %s of %s was never sent", v.n, d.Ref, d.Amount)
	}
	if d.State == payment.Confirmed && was.State != payment.Confirmed && d.TxID != "" {
		need := v.Policy.Depths[coin]
		if !a.everDeep(d, need) {
			a.s.violate("invoice %d: deposit %s is confirmed, but was not %+v deep since the last look", v.n, d.Ref, need)
		}
	}
}

// wasSent tells whether somebody really sent these coins there.
func (a *auditor) wasSent(d payment.Deposit) bool {
	hidden := money.Zero(d.Amount.Currency())
	for _, tx := range a.s.chains[d.Amount.Currency()].all {
		for _, o := range tx.outs {
			if o.to != d.Address {
				continue
			}
			if d.TxID == "" {
				hidden = hidden.Add(o.amount) // a plain payment too may be known by the balance only
			} else if tx.id == d.TxID && o.amount.Equal(d.Amount) && (d.Network == ethNet || d.Ref == fmt.Sprintf("%s:%d", tx.id, o.n)) {
				return true
			}
		}
	}
	return d.TxID == "" && !hidden.Less(d.Amount)
}

func (a *auditor) everDeep(d payment.Deposit, need payment.Depth) bool {
	ch := a.s.chains[d.Amount.Currency()]
	for _, blocks := range ch.versions {
		for _, c := range ch.comings(blocks, d.Address) {
			if c.tx.id == d.TxID && c.deep(need) {
				return true
			}
		}
	}
	return false
}

func (a *auditor) post(e ledger.Entry) {
	if a.posted[e.Key] {
		a.s.violate("entry %s is booked twice", e.Key)
	}
	a.posted[e.Key] = true
	a.move(e)
	for _, p := range e.Postings {
		for account, sign := range map[ledger.Account]bool{p.To: true, p.From: false} {
			id, ok := strings.CutPrefix(string(account), "invoice/")
			if !ok {
				continue
			}
			v, coin := a.invoices[payment.ID(id)], p.Network.Coin()
			if sign {
				v.booked[coin] = v.booked[coin].Add(p.Amount)
			} else {
				v.booked[coin] = v.booked[coin].Sub(p.Amount)
			}
			if v.booked[coin].Sign() < 0 {
				a.s.violate("invoice %d holds %s", v.n, v.booked[coin])
			}
		}
	}
}

func (a *auditor) addEvent(e payment.Event) {
	v := a.invoices[e.InvoiceID]
	if v == nil {
		return
	}
	switch e.Kind {
	case payment.EventDeposit, payment.EventPaid, payment.EventExpired, payment.EventRefunded, payment.EventReversed,
		payment.EventRestored, payment.EventChanged:
		a.touch(v)
		v.events++
	case payment.EventCreated, payment.EventQuoted, payment.EventRefundAddress, payment.EventCancelled, payment.EventConfirming,
		payment.EventPayout:
	}
}

func (a *auditor) swapInvoice(i payment.Invoice) {
	v := a.invoices[i.ID]
	was, is := v.Told, i.Told
	v.Invoice = i
	if was == is {
		return
	}
	a.touch(v)
	v.changes++
	a.s.tracef("  invoice %d is %d/%d marks %05b", v.n, is.Status, is.Deposit, is.Marks)
	on := v.app.Callback
	if was.Status != is.Status {
		a.s.hit(fmt.Sprintf("invoice %d→%d", was.Status, is.Status))
		switch {
		case is.Status == 2 && (was.Status == 1 || was.Status == 3):
			a.paid(v)
			v.expected = append(v.expected, "2:1")
		case is.Status == 4 && (was.Status == 2 || was.Status == 3):
			a.refunded(v)
			if on.Refunded {
				v.expected = append(v.expected, "4:1")
			}
		case is.Status == 3 && was.Status == 1:
			a.expired(v)
			if on.Expired {
				v.expected = append(v.expected, "3:1")
			}
		default:
			a.s.violate("invoice %d went from %d to %d", v.n, was.Status, is.Status)
		}
	} else if on.Seen && is.Status == 1 && was.Deposit == 0 && is.Deposit != 0 {
		v.expected = append(v.expected, "1:1")
	}
	reversed := func(t payment.Told) bool { return t.Marks&8 != 0 }
	if reversed(is) && !reversed(was) {
		a.s.hit("reversed")
		v.everReversed = true
		if on.Reversed {
			v.expected = append(v.expected, fmt.Sprintf("%d:4092", is.Status))
		}
	}
	if reversed(was) && !reversed(is) {
		a.s.hit("restored")
	}
	if is.Deposit == 1 && is.Status == 1 {
		a.s.violate("invoice %d waits and is deposited", v.n)
	}
}

// enough is the least that pays a quote, by the contract: what is due less the tolerance.
func enough(q payment.Quote, p payment.Policy) money.Amount {
	off := new(big.Int).Mul(q.Due.Big(), big.NewInt(p.Tolerance))
	off.Quo(off, big.NewInt(1_000_000))
	return money.OfBig(q.Coin, new(big.Int).Sub(q.Due.Big(), off))
}

// latest is the last moment at which a quote of the invoice can have been payable, whatever came when.
func (v *invoice) latest() time.Time {
	last := v.CreatedAt.Add(v.Policy.ChooseWithin)
	if len(v.quotes) > 0 {
		last = time.Time{}
	}
	for _, q := range v.quotes {
		if end := q.Deadline.Add(q.Window); end.After(last) {
			last = end
		}
	}
	return last
}

// paid judges that an invoice is said to be paid: enough was deep enough on the best chain, and not all too late.
func (a *auditor) paid(v *invoice) {
	if v.paid++; v.paid > 1 {
		a.s.violate("invoice %d is paid twice", v.n)
	}
	if !v.CancelledAt.IsZero() {
		a.s.violate("invoice %d was cancelled and is paid", v.n)
	}
	for _, q := range v.quotes {
		need := v.Policy.Depths[q.Coin]
		for _, blocks := range a.s.chains[q.Coin].versions {
			got := sum(q.Coin, a.s.chains[q.Coin].comings(blocks, q.Address), func(c coming) bool {
				return c.deep(need) && (v.dirty || !c.tx.at.After(v.latest()))
			})
			if !got.Less(enough(q, v.Policy)) {
				return
			}
		}
	}
	if v.Policy.AcceptLate && a.worth(v, true).Cmp(leastWorth(v)) >= 0 {
		a.s.hit("late payment accepted")
		return
	}
	a.s.violate("invoice %d is paid, but not enough was deep enough in time", v.n)
}

// leastWorth is the least value that pays an invoice late, in the smallest unit of its price, by the contract.
func leastWorth(v *invoice) *big.Rat {
	part := big.NewRat(1_000_000-v.Policy.Tolerance, 1_000_000)
	return part.Mul(part, new(big.Rat).SetInt(v.Price.Big()))
}

// worth bounds what the coins of an invoice were worth at any time, in the smallest unit of its price: at most, of what was
// deep enough since the last look; or at least, of what is deep now.
func (a *auditor) worth(v *invoice, most bool) *big.Rat {
	total := new(big.Rat)
	for _, coin := range coins {
		if v.address[coin] == "" {
			continue
		}
		c, need := a.s.chains[coin], v.Policy.Depths[coin]
		versions, cents := c.versions, a.s.rates[coin].most
		if !most {
			versions, cents = [][]*truthBlock{c.blocks}, a.s.rates[coin].least
		}
		best := money.Zero(coin)
		for _, blocks := range versions {
			got := sum(coin, a.s.chains[coin].comings(blocks, v.address[coin]), func(c coming) bool { return c.deep(need) })
			if best.Less(got) {
				best = got
			}
		}
		rate := cents
		if v.Price.Currency() == money.KRW {
			rate = cents*13 + 7
		}
		x := new(big.Rat).SetFrac(best.Big(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(coin.Decimals())), nil))
		total.Add(total, x.Mul(x, big.NewRat(rate, 1)))
	}
	return total
}

// surelyLate tells whether late coins pay the invoice by their value beyond doubt.
func (a *auditor) surelyLate(v *invoice) bool {
	late := false
	for _, coin := range coins {
		for _, c := range a.s.chains[coin].comings(a.s.chains[coin].blocks, v.address[coin]) {
			late = late || c.tx.at.After(v.latest())
		}
	}
	least := leastWorth(v)
	least.Add(least, big.NewRat(100, 1)) // each deposit's value is rounded down
	return late && !v.dirty && v.Policy.AcceptLate && a.worth(v, false).Cmp(least) >= 0
}

// expired judges that an invoice is said to be expired: its time was over, by the true clock too, and nothing paid it in
// time that an honest node showed.
func (a *auditor) expired(v *invoice) {
	if !v.CancelledAt.IsZero() {
		a.s.hit("cancelled")
		return
	}
	end := v.CreatedAt.Add(v.Policy.ChooseWithin)
	if len(v.quotes) > 0 {
		end = time.Time{}
	}
	for _, q := range v.quotes {
		if q.Deadline.After(end) {
			end = q.Deadline
		}
	}
	if a.s.machine().Before(end) {
		a.s.violate("invoice %d expired before its deadline", v.n)
	}
	if !v.dirty && a.s.now.Before(end) || v.offset == 0 && a.s.offset >= 24*time.Hour && a.s.now.Before(end) && !a.quotedWhileWrong(v) {
		a.s.violate("invoice %d expired by a wrong clock", v.n)
	}
	if q := a.sure(v, false); q != nil && a.looks[q.Coin] {
		a.s.violate("invoice %d expired though it was paid in time", v.n)
	}
}

func (a *auditor) quotedWhileWrong(v *invoice) bool {
	return slices.ContainsFunc(v.quotes, func(q payment.Quote) bool { return q.CreatedAt.After(a.s.now) })
}

// sure is a quote that is paid in time beyond doubt on the best chain, or nil: by blocks whose time is in time.
func (a *auditor) sure(v *invoice, deepOnly bool) *payment.Quote {
	if v.dirty {
		return nil
	}
	for i, q := range v.quotes {
		c := a.s.chains[q.Coin]
		need := payment.Depth{}
		if deepOnly {
			need = v.Policy.Depths[q.Coin]
		}
		all := c.comings(c.blocks, q.Address)
		until := q.Deadline
		if a.onlyQuote(v, i) {
			until = moved(q, all)
		}
		got := sum(q.Coin, all, func(c coming) bool { return !c.block.Time.After(until) && (!deepOnly || c.deep(need)) })
		if got.Sign() > 0 && !got.Less(enough(q, v.Policy)) {
			return &v.quotes[i]
		}
	}
	return nil
}

func (a *auditor) onlyQuote(v *invoice, i int) bool {
	for j, q := range v.quotes {
		if j != i && q.Coin == v.quotes[i].Coin {
			return false
		}
	}
	return true
}

// moved is the earliest moment to which a first part payment can have moved the only quote of its coin.
func moved(q payment.Quote, all []coming) time.Time {
	var first time.Time
	certain := false
	for _, c := range all {
		if first.IsZero() || c.tx.at.Before(first) {
			first = c.tx.at
		}
		certain = certain || !c.block.Time.After(q.Deadline)
	}
	if end := first.Add(q.Window); certain && end.After(q.Deadline) {
		return end
	}
	return q.Deadline
}

func (a *auditor) addCallback(c payment.Callback) {
	v := a.invoices[c.InvoiceID]
	a.touch(v)
	o := &owing{Callback: c}
	defer func() {
		a.owed[c.ID] = o
		v.owing = append(v.owing, o)
	}()
	if c.Seq != int64(len(v.owing)+1) {
		a.s.violate("invoice %d: callback %d follows %d", v.n, c.Seq, len(v.owing))
	}
	if c.PayoutID != "" {
		a.refundCallback(v, c)
		return
	}
	v.got = append(v.got, fmt.Sprintf("%d:%d", c.Status, c.Code))
	if c.URL != v.CallbackURL {
		a.s.violate("invoice %d: callback to %s", v.n, c.URL)
	}
	if strings.Contains(c.ContentType, "json") {
		var body struct {
			Code int
			Data struct {
				InvoiceID string `json:"invoice_id"`
				Status    int
			}
		}
		if err := json.Unmarshal(c.Body, &body); err != nil || body.Code != c.Code || body.Data.Status != int(c.Status) || body.Data.InvoiceID != string(v.ID) {
			a.s.violate("invoice %d: callback says %s (%v)", v.n, c.Body, err)
		}
	} else if !strings.Contains(string(c.Body), string(v.ID)) {
		a.s.violate("invoice %d: callback says %s", v.n, c.Body)
	}
}

func (a *auditor) swapCallback(c payment.Callback) {
	o := a.owed[c.ID]
	was := o.Callback
	c.Body = was.Body
	o.Callback = c
	if c.Attempts > was.Attempts+1 || was.State != payment.CallbackOpen && c.State != was.State {
		a.s.violate("callback %d of invoice %d: attempt %d, %s after %s", c.Seq, a.invoices[c.InvoiceID].n, c.Attempts, c.State, was.State)
	}
	if c.State == payment.CallbackDelivered && was.State != payment.CallbackDelivered {
		a.s.hit("callback delivered")
		if !a.acked[c.ID] {
			a.s.violate("callback %d of invoice %d is called delivered, the shop never said ok", c.Seq, a.invoices[c.InvoiceID].n)
		}
	}
	if c.State == payment.CallbackParked && was.State != payment.CallbackParked {
		a.s.hit("callback parked")
		if c.Attempts != 20 || c.DoneAt.Sub(c.CreatedAt) < 4*24*time.Hour && a.s.offset == 0 && !a.invoices[c.InvoiceID].dirty {
			a.s.violate("callback %d of invoice %d is parked after %d attempts and %s", c.Seq, a.invoices[c.InvoiceID].n, c.Attempts, c.DoneAt.Sub(c.CreatedAt))
		}
	}
}

// receive is a message at a shop.
func (a *auditor) receive(m payment.Message) payment.Answer {
	o := a.owed[payment.ID(m.ID)]
	if o == nil {
		a.s.violate("a shop got a callback that nobody owes")
		return payment.Answer{}
	}
	v := a.invoices[o.InvoiceID]
	if o.received++; o.received > 1 {
		a.s.hit("callback again")
	}
	if o.State != payment.CallbackOpen {
		a.s.violate("callback %d of invoice %d is sent though it is %s", o.Seq, v.n, o.State)
	}
	if string(o.Body) != string(m.Body) {
		a.s.violate("callback %d of invoice %d has another body than was owed", o.Seq, v.n)
	}
	for _, earlier := range v.owing[:o.Seq-1] {
		if earlier.State == payment.CallbackOpen {
			a.s.violate("callback %d of invoice %d overtakes %d", o.Seq, v.n, earlier.Seq)
		}
	}
	answer := a.s.answer(m.URL)
	a.acked[o.ID] = a.acked[o.ID] || answer.Delivered
	a.s.tracef("  shop got callback %d of invoice %d: %v", o.Seq, v.n, answer.Delivered)
	return answer
}

// otherDeposit judges coins that are no payer's: those that nobody was to send, and those that came back from spends.
func (a *auditor) otherDeposit(d payment.Deposit) {
	if d.SpendID == "" {
		if _, ok := a.released[d.Address]; !ok || a.owner[d.Address] != nil || !a.wasSent(d) {
			a.s.violate("%s of %s is called stray", d.Ref, d.Amount)
		}
		a.s.hit("deposit stray")
		return
	}
	tx := a.s.chains[d.Network.Coin()].signed[d.TxID]
	if tx == nil || tx.u.Spend != string(d.SpendID) {
		a.s.violate("%s of %s is called change, which no spend gives", d.Ref, d.Amount)
		return
	}
	for _, out := range tx.wire.Outs {
		if out.To == d.Address && out.Amount == d.Amount.Units() {
			a.s.hit("change")
			return
		}
	}
	a.s.violate("%s of %s is called change of a spend that gives none", d.Ref, d.Amount)
}

// refunded judges that an invoice is said to be refunded: a refund is done.
func (a *auditor) refunded(v *invoice) {
	for _, p := range a.book.order {
		if p.InvoiceID == v.ID && p.Kind.IsRefund() && p.State == payment.PayoutDone {
			return
		}
	}
	a.s.violate("invoice %d is refunded by nothing", v.n)
}
