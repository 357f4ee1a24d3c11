package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A View is all that the payment page shows of an invoice.
type View struct {
	payment.Facts
	payment.Assessment
	Application payment.Application
	Now         time.Time
	Offers      []Offer    // what the payer can choose; only while nothing was chosen or it may be changed
	Progress    []Progress // one per live deposit of the quote's coin, the oldest first
	Outgoing    []Outgoing // one per refund, the oldest first
	CanChange   bool       // another coin may be chosen: nothing was seen yet
	CanExtend   bool       // more time may be asked for
	CanCancel   bool       // a part payment may be given up for a refund
	RefundOpen  bool       // the refund address may still be set or changed by the browser it is bound to
	Trouble     bool       // the network of the quote is not believed just now
}

// An Offer is one coin that the payer can choose. Due is what it would cost now; the zero Amount and a Refusal where it is
// not to be had just now.
type Offer struct {
	Coin    money.Currency
	Network money.Network
	Due     money.Amount
	Wait    time.Duration // the usual time to the required depth
	Refusal string        // a payment.Word, "" when it can be chosen
}

// Progress is how deep one deposit is.
type Progress struct {
	Deposit payment.Deposit
	Have    int // blocks on it, its own included; 0 outside blocks
	Need    int // blocks required; 0 where the chain's finality is asked for
	Final   bool
	Left    time.Duration // about how long until it is deep enough
}

// Page is the invoice as the payer may see it. Reading it changes nothing. Error: no-such-invoice.
func (d *Desk) Page(ctx context.Context, id payment.ID) (View, error) {
	var v View
	states := map[money.Network]NetworkState{}
	err := d.Store.View(ctx, func(tx Tx) (err error) {
		if v.Facts, err = tx.Facts(id); errors.Is(err, payment.ErrAbsent) {
			return noInvoice()
		} else if err != nil {
			return err
		}
		v.Now = tx.Now()
		if v.Application, err = tx.Application(v.Invoice.ApplicationID); err != nil {
			return err
		}
		for _, n := range d.Nets {
			s, err := tx.NetworkState(n.Network)
			if err != nil && !errors.Is(err, payment.ErrAbsent) {
				return err
			}
			states[n.Network] = s
		}
		v.Outgoing, err = d.outgoing(tx, v.Facts, states)
		return err
	})
	if err != nil {
		return v, err
	}
	// What the page says is what was told, so the sight that matters is the one at which it was told.
	v.Assessment = payment.Assess(v.Facts, time.UnixMilli(0))
	v.Assessment.Status = v.Invoice.Told.Status
	d.allow(&v)
	if v.Quote != nil {
		s := states[v.Quote.Network]
		v.Trouble = s.Trouble != ""
		v.Progress = d.progress(v.Facts, *v.Quote, s)
	}
	if v.CanChange {
		v.Offers = d.offers(ctx, v.Invoice, states, v.Now)
	}
	return v, nil
}

// allow fills in what the payer may do.
func (d *Desk) allow(v *View) {
	waiting := v.Invoice.Told.Status == payment.Waiting
	nothing := v.Seen.IsZero() && !slices.ContainsFunc(v.Deposits, payment.Deposit.Live)
	more := len(v.Quotes) < payment.MaxQuotes && v.Now.Before(extendBound(v.Invoice))
	v.CanChange = waiting && nothing && v.Now.Before(v.Deadline) && (more || v.Quote == nil)
	v.CanExtend = waiting && v.Quote != nil && !v.Covers && v.Now.Before(v.Deadline) && more
	v.CanCancel = waiting && !nothing && !v.Covers
	v.RefundOpen = v.Quote == nil && v.Invoice.Told.Status != payment.Refunded || v.Quote != nil && v.AddressOpen(v.Quote.Coin)
}

// extendBound is until when more time is given: the time to choose, never under eleven quote windows.
func extendBound(i payment.Invoice) time.Time {
	bound := i.Policy.ChooseWithin
	if windows := payment.WindowsOfExtension * i.Policy.QuoteWindow; windows > bound {
		bound = windows
	}
	return i.CreatedAt.Add(bound)
}

func (d *Desk) offers(ctx context.Context, i payment.Invoice, states map[money.Network]NetworkState, now time.Time) []Offer {
	var all []Offer
	for _, coin := range i.Coins {
		n, ok := d.Nets[coin]
		if !ok {
			continue
		}
		depth := i.Policy.Depths[coin]
		o := Offer{Coin: coin, Network: n.Network, Wait: time.Duration(max(depth.Blocks, 1)) * n.BlockTime}
		price, err := d.Rates.Price(ctx, coin, i.Price.Currency())
		switch {
		case blind(states[n.Network], n, now):
			o.Refusal = payment.WordNoNode
		case err != nil:
			o.Refusal = payment.WordNoRate
		default:
			o.Due = price.Rate.Due(i.Price)
		}
		all = append(all, o)
	}
	return all
}

// blind tells whether the network has gone unseen for too long to offer its coin, or was seen at a time that the clock has
// not reached: then it is the clock that is not believed, and a quote could be over when it is right again.
func blind(s NetworkState, n Net, now time.Time) bool {
	return s.Sight.IsZero() || now.Sub(s.Sight) > n.MaxBlind || s.Sight.Sub(now) > MaxSkew
}

func (d *Desk) progress(f payment.Facts, q payment.Quote, s NetworkState) []Progress {
	depth := f.Invoice.Policy.Depths[q.Coin]
	var all []Progress
	for _, dep := range f.Deposits {
		if !dep.Live() || dep.Amount.Currency() != q.Coin {
			continue
		}
		p := Progress{Deposit: dep, Need: depth.Blocks, Final: depth.Final}
		if dep.Height > 0 && s.Height >= dep.Height {
			p.Have = int(min(s.Height-dep.Height+1, payment.MaxDepth))
		}
		if !p.Final {
			p.Have = min(p.Have, p.Need)
		}
		if dep.State == payment.Confirmed {
			p.Have = max(p.Have, p.Need)
		} else if n := d.Nets[q.Coin]; p.Need > 0 {
			p.Left = time.Duration(max(p.Need-p.Have, 1)) * n.BlockTime
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Progress) int { return a.Deposit.SeenAt.Compare(b.Deposit.SeenAt) })
	return all
}

// A Choice is what the payer clicked.
type Choice struct {
	Coin     money.Currency
	Exchange bool // paying from an exchange: a longer window
}

// Choose freezes a quote for a coin and gives the invoice its address for it. Choosing the coin that is already chosen
// while its quote can still be paid changes nothing, so that a double click or a reload does no harm. Errors: malformed,
// wrong-state, no-rate, no-node, no-address.
func (d *Desk) Choose(ctx context.Context, id payment.ID, c Choice) error {
	return d.quote(ctx, id, c, func(v View) error {
		if !slices.Contains(v.Invoice.Coins, c.Coin) {
			return payment.Malformed("coin", "choose one of the coins on the page")
		}
		if v.Quote != nil && v.Quote.Coin == c.Coin && v.Quote.Exchange == c.Exchange && v.Now.Before(v.Quote.Deadline) {
			return errSame
		}
		if !v.CanChange {
			return closed("another coin cannot be chosen any more: reload the page to see how it stands")
		}
		return nil
	})
}

// MoreTime makes a fresh quote for the same coin and address with a full window. After a part payment only what is missing
// is quoted anew. Errors: wrong-state, no-rate, no-node.
func (d *Desk) MoreTime(ctx context.Context, id payment.ID) error {
	return d.quote(ctx, id, Choice{}, func(v View) error {
		if !v.CanExtend {
			return closed("more time cannot be given any more: reload the page to see how it stands")
		}
		return nil
	})
}

var errSame = errors.New("engine: nothing to change")

func closed(message string) error {
	return payment.Refuse(payment.Conflict, payment.WordState, "%s", message)
}

// quote fetches a price outside the transaction, then checks and saves in one.
func (d *Desk) quote(ctx context.Context, id payment.ID, c Choice, check func(View) error) error {
	v, err := d.Page(ctx, id)
	if err != nil {
		return err
	}
	if err := check(v); errors.Is(err, errSame) {
		return nil
	} else if err != nil {
		return err
	}
	if c.Coin == "" {
		c = Choice{Coin: v.Quote.Coin, Exchange: v.Quote.Exchange}
	}
	n, err := d.net(c.Coin)
	if err != nil {
		return err
	}
	price, err := d.Rates.Price(ctx, c.Coin, v.Invoice.Price.Currency())
	if err != nil {
		return err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		return d.saveQuote(tx, id, freshQuote{c, n, price, check})
	})
	if errors.Is(err, errSame) {
		return nil
	}
	return err
}

// freshQuote is what saveQuote needs beside the invoice.
type freshQuote struct {
	choice Choice
	net    Net
	price  payment.Price
	check  func(View) error
}

func (d *Desk) saveQuote(tx Tx, id payment.ID, q freshQuote) error {
	f, err := tx.Facts(id)
	if err != nil {
		return err
	}
	v := View{Facts: f, Assessment: payment.Assess(f, time.UnixMilli(0)), Now: tx.Now()}
	d.allow(&v)
	if err := q.check(v); err != nil {
		return err
	}
	if v.Quote != nil && v.Quote.Coin != q.choice.Coin && !v.CanChange {
		return closed("coins of another kind came meanwhile: reload the page to see how it stands")
	}
	s, err := tx.NetworkState(q.net.Network)
	if err != nil && !errors.Is(err, payment.ErrAbsent) {
		return err
	}
	if blind(s, q.net, tx.Now()) {
		return payment.Refuse(payment.Unavailable, payment.WordNoNode,
			"%s cannot be taken just now, its network is out of sight: try again shortly", q.choice.Coin)
	}
	window := f.Invoice.Policy.QuoteWindow
	if q.choice.Exchange {
		window = f.Invoice.Policy.ExchangeWindow
	}
	deadline := tx.Now().Add(window)
	addr, err := d.addressFor(tx, f.Invoice, q, deadline.Add(HotFor))
	if err != nil {
		return err
	}
	quote := payment.Quote{
		ID: tx.NewID(), InvoiceID: id, Coin: q.choice.Coin, Network: q.net.Network, Address: addr.Address,
		Rate: q.price.Rate, Votes: q.price.Votes, Due: dueNow(v, q), Window: window, Exchange: q.choice.Exchange,
		CreatedAt: tx.Now(), Deadline: deadline,
	}
	if err := tx.AddQuote(quote); err != nil {
		return err
	}
	err = tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: id, Kind: payment.EventQuoted, At: tx.Now(), Data: map[string]string{
		"coin": string(quote.Coin), "due": quote.Due.Text(), "rate": quote.Rate.Text(), "deadline": quote.Deadline.UTC().Format(time.RFC3339),
	}})
	if err != nil {
		return err
	}
	return reassess(tx, d.teller(), id)
}

// dueNow is the whole amount due at a fresh rate. Coins that already came keep the value of the rate they came at; only
// what is missing is quoted anew. Coins count that are in a block: what waits outside may be taken back, and would leave
// an amount due that is partly of an old rate.
func dueNow(v View, q freshQuote) money.Amount {
	if v.Quote == nil || v.Quote.Coin != q.choice.Coin || v.Seen.IsZero() {
		return q.price.Rate.Due(v.Invoice.Price)
	}
	got := money.Zero(q.choice.Coin)
	came := func(d payment.Deposit) bool {
		return d.Amount.Currency() == q.choice.Coin && (d.State == payment.Mined || d.State == payment.Confirmed)
	}
	for _, d := range v.Deposits {
		if came(d) {
			got = got.Add(d.Amount)
		}
	}
	rest := v.Invoice.Price.Sub(payment.Kept(v.Facts, v.Deadline, came))
	if rest.Sign() <= 0 {
		return v.Quote.Due
	}
	return got.Add(q.price.Rate.Due(rest))
}

// addressFor is the invoice's address on the network: the one it has, else a free one of the pool, given for ever.
func (d *Desk) addressFor(tx Tx, i payment.Invoice, q freshQuote, hot time.Time) (payment.Address, error) {
	addr, err := tx.InvoiceAddress(i.ID, q.net.Network)
	if err == nil {
		if addr.HotUntil.Before(hot) {
			addr.HotUntil = hot
			err = tx.SwapAddress(addr)
		}
		return addr, err
	}
	if !errors.Is(err, payment.ErrAbsent) {
		return addr, err
	}
	addr, err = tx.GiveAddress(GiveAddress{
		Merchant: i.MerchantID, Network: q.net.Network, Invoice: i.ID, HotUntil: hot,
	})
	if errors.Is(err, payment.ErrAbsent) {
		return addr, payment.Refuse(payment.Unavailable, payment.WordNoAddress,
			"no address is ready just now: try again shortly")
	}
	return addr, err
}

// A RefundChange is what the payer typed.
type RefundChange struct {
	Coin    money.Currency
	Address string
	Cookie  string // what the browser holds, "" for none
}

// SetRefundAddress binds the refund address to the first browser that sets one. It answers the secret that this browser
// must keep as a cookie. Errors: malformed with the reason, not-allowed for another browser, wrong-state.
func (d *Desk) SetRefundAddress(ctx context.Context, id payment.ID, c RefundChange) (cookie string, err error) {
	n, err := d.net(c.Coin)
	if err != nil {
		return "", err
	}
	address, err := n.ParseAddress(c.Address)
	if err != nil {
		return "", payment.Malformed("refund_address", "%s", err)
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		f, err := tx.Facts(id)
		if errors.Is(err, payment.ErrAbsent) {
			return noInvoice()
		} else if err != nil {
			return err
		}
		inv := f.Invoice
		if !slices.Contains(inv.Coins, c.Coin) {
			return payment.Malformed("coin", "choose one of the coins on the page")
		}
		if err := notOurs(tx, n.Network, address); err != nil {
			return err
		}
		if !(View{Facts: f}).AddressOpen(c.Coin) {
			return closed("the refund address of this payment cannot be changed any more")
		}
		if cookie, err = bind(&inv, c); err != nil {
			return err
		}
		inv.Refunds = maps.Clone(inv.Refunds)
		if inv.Refunds == nil {
			inv.Refunds = map[money.Currency]payment.RefundAddress{}
		}
		inv.Refunds[c.Coin] = payment.RefundAddress{Address: address}
		inv.UpdatedAt = tx.Now()
		if err := tx.SwapInvoice(inv); err != nil {
			return err
		}
		if err := addressed(tx, id, c.Coin, address); err != nil {
			return err
		}
		return tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: id, Kind: payment.EventRefundAddress, At: tx.Now(),
			Data: map[string]string{"coin": string(c.Coin), "address": address, "by": "payer"}})
	})
	return cookie, err
}

// addressed wakes the refunds that waited for this address.
func addressed(tx Tx, id payment.ID, coin money.Currency, address string) error {
	f, err := tx.Facts(id)
	if err != nil {
		return err
	}
	for _, p := range f.Payouts {
		if p.State != payment.PayoutWaiting || !p.Kind.IsRefund() || p.Network.Coin() != coin {
			continue
		}
		p.To, p.DueAt, p.UpdatedAt = address, tx.Now(), tx.Now()
		if err := tx.SwapPayout(p); err != nil {
			return err
		}
	}
	return nil
}

// notOurs refuses a refund address that is one of our own.
func notOurs(tx Tx, n money.Network, address string) error {
	_, err := tx.Address(n, address)
	switch {
	case err == nil:
		return payment.Malformed("refund_address", "this is an address of this payment service: give one of your own wallet")
	case errors.Is(err, payment.ErrAbsent):
		return nil
	}
	return err
}

// bind checks that this browser may change the refund address, or makes it the one that may.
func bind(inv *payment.Invoice, c RefundChange) (cookie string, err error) {
	switch {
	case len(inv.RefundOwner) == 0:
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return "", err
		}
		cookie = hex.EncodeToString(secret)
		hash := sha256.Sum256([]byte(cookie))
		inv.RefundOwner = hash[:]
		return cookie, nil
	case !Owns(*inv, c.Cookie):
		return "", payment.Refuse(payment.Forbidden, payment.WordScope,
			"the refund address was set in another browser, and only that browser may change it")
	}
	return c.Cookie, nil
}

// Owns tells whether a browser with this cookie set the invoice's refund address.
func Owns(i payment.Invoice, cookie string) bool {
	hash := sha256.Sum256([]byte(cookie))
	return len(i.RefundOwner) > 0 && subtle.ConstantTimeCompare(hash[:], i.RefundOwner) == 1
}

// Cancel gives up a part payment: the invoice expires at once, and what came goes back. Only the browser that set the
// refund address may, or anybody where the address came with the invoice. Errors: wrong-state, not-allowed.
func (d *Desk) Cancel(ctx context.Context, id payment.ID, cookie string) error {
	return d.Store.Update(ctx, func(tx Tx) error {
		f, err := tx.Facts(id)
		if errors.Is(err, payment.ErrAbsent) {
			return noInvoice()
		} else if err != nil {
			return err
		}
		v := View{Facts: f, Assessment: payment.Assess(f, time.UnixMilli(0)), Now: tx.Now()}
		d.allow(&v)
		if !v.CanCancel {
			return closed("this payment cannot be cancelled: reload the page to see how it stands")
		}
		if !f.Invoice.Refunds[v.Quote.Coin].Fixed && !Owns(f.Invoice, cookie) {
			return payment.Refuse(payment.Forbidden, payment.WordScope, "set a refund address in this browser first")
		}
		f.Invoice.CancelledAt = tx.Now()
		if err := tx.SwapInvoice(f.Invoice); err != nil {
			return err
		}
		err = tx.AddEvent(payment.Event{ID: tx.NewID(), InvoiceID: id, Kind: payment.EventCancelled, At: tx.Now()})
		if err != nil {
			return err
		}
		return reassess(tx, d.teller(), id)
	})
}
