package chaintest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A SpendHarness is a Harness whose chain also has a builder under test. What is nil the chain cannot do.
type SpendHarness struct {
	Harness
	Builder chain.Builder
	// Account makes a key of the test's own.
	Account func(t testing.TB) Account
	// Holding says how what a credit brought to an account can be spent now.
	Holding func(ctx context.Context, c chain.Credit) (chain.Holding, error)
	// Change: what the payouts leave comes back as a credit of its own, and each holding brings its own ticket.
	Change bool
	// Evict takes a transaction out of the node's mempool.
	Evict func(ctx context.Context, txid string) error
	// AcceptThenFail lets the node take the next transaction that is sent, and not say so.
	AcceptThenFail func(ctx context.Context) error
	// Refuse lets the node refuse every transaction, until it is called with false.
	Refuse func(ctx context.Context, on bool) error
	// Spike makes the node ask for so many times the usual fee.
	Spike func(ctx context.Context, times int64) error
}

// An Account is an address and the key behind it.
type Account struct {
	Address string
	Sign    func(chain.Unsigned) (chain.Signed, error)
}

// RunBuilder proves that the harness' builder keeps the promises of chain.Builder, and that its reader finds the uses of
// tickets.
func RunBuilder(t *testing.T, h SpendHarness) {
	for _, c := range []struct {
		name string
		able bool
		run  func(*testing.T, SpendHarness)
	}{
		{"fees", true, spendFees},
		{"paid once", true, spendPaid},
		{"change comes back", h.Change, spendChange},
		{"change spent on", h.Change, spendChained},
		{"several payouts and holdings", h.Change, spendMany},
		{"several payouts to one receiver", h.Change, spendBatch},
		{"reorganised away and back", true, spendReorganised},
		{"replaced by the next version", true, spendReplaced},
		{"sent again", true, spendAgain},
		{"evicted", h.Evict != nil, spendEvicted},
		{"error after the node took it", h.AcceptThenFail != nil, spendUnheard},
		{"refused", h.Refuse != nil, spendRefused},
		{"fees spike", h.Spike != nil, spendSpike},
		{"drafts that cannot be", true, spendImpossible},
		{"node down", h.Pause != nil, spendDown},
	} {
		if c.able {
			t.Run(c.name, func(t *testing.T) { c.run(t, h) })
		}
	}
}

// A purse is an account with coins, and a tracker that looks for them and for what becomes of them.
type purse struct {
	*tracker
	h       SpendHarness
	account Account
	to      []string // foreign addresses that the tracker watches, too
	drafts  int
}

// fund makes an account with so many equal credits.
func fund(t *testing.T, h SpendHarness, credits int) *purse {
	t.Helper()
	p := &purse{h: h, account: h.Account(t), to: h.Addresses(t, 3)}
	p.tracker = follow(t, h.Harness, append([]string{p.account.Address}, p.to...))
	for range credits {
		p.pay(p.account.Address, units(h.Harness, fundMicros))
	}
	p.mine(1)
	p.sync()
	return p
}

// fundMicros is what each credit of a purse is, in millionths of a coin.
const fundMicros = 20_000

// holdings are what the account can spend now. The tracker looks for their use from now on.
func (p *purse) holdings() []chain.Holding {
	p.t.Helper()
	p.sync()
	used := map[chain.Ticket]bool{}
	for _, all := range p.uses {
		for _, u := range all {
			used[u.Ticket] = true
		}
	}
	var all []chain.Holding
	for _, b := range p.stored {
		for _, c := range p.credits[b.Hash] {
			if c.To != p.account.Address {
				continue
			}
			held, err := p.h.Holding(p.t.Context(), c)
			must(p.t, err)
			if used[held.Ticket] || slices.ContainsFunc(all, func(o chain.Holding) bool { return o.Ticket == held.Ticket }) {
				continue
			}
			p.tickets[held.Ticket] = true
			all = append(all, held)
		}
	}
	return all
}

// draft pays the amounts to the purse's foreign addresses, out of the holdings.
func (p *purse) draft(holdings []chain.Holding, amounts ...money.Amount) chain.Draft {
	p.drafts++
	d := chain.Draft{Network: p.h.Network, Spend: fmt.Sprintf("spend-%d", p.drafts), Version: 1, Merchant: "merchant", Holdings: holdings, Anchor: holdings[0].Ticket}
	for i, a := range amounts {
		d.Pays = append(d.Pays, chain.Pay{Payout: fmt.Sprintf("payout-%d", i), Attempt: 1, Cause: chain.CauseWithdrawal, To: p.to[i], Amount: a})
	}
	return d
}

// build makes and signs a version, and checks its sums.
func (p *purse) build(d chain.Draft) (chain.Unsigned, chain.Signed) {
	p.t.Helper()
	u, err := p.h.Builder.Build(p.t.Context(), d)
	must(p.t, err)
	p.sums(d, u)
	again, err := p.h.Builder.Build(p.t.Context(), d)
	must(p.t, err)
	if string(again.Raw) != string(u.Raw) {
		p.t.Errorf("the same draft gives other bytes")
	}
	s, err := p.account.Sign(u)
	must(p.t, err)
	return u, s
}

// sums checks that nothing of the draft is lost, altered or made.
func (p *purse) sums(d chain.Draft, u chain.Unsigned) {
	p.t.Helper()
	if u.Network != d.Network || u.Spend != d.Spend || u.Version != d.Version || u.Merchant != d.Merchant || u.Anchor != d.Anchor || len(u.Pays) != len(d.Pays) || len(u.Raw) == 0 {
		p.t.Errorf("draft %+v became %+v", d, u)
	}
	coin := d.Network.Coin()
	in, out, borne := money.Zero(coin), money.Zero(coin), money.Zero(coin)
	for _, held := range u.Holdings {
		in = in.Add(held.Amount)
	}
	for i, one := range u.Pays {
		if one.Payout != d.Pays[i].Payout || one.To != d.Pays[i].To || !one.Amount.Equal(d.Pays[i].Amount) || one.Net.Sign() <= 0 || !one.Net.Less(one.Amount) {
			p.t.Errorf("payout %+v became %+v", d.Pays[i], one)
		}
		out, borne = out.Add(one.Net), borne.Add(one.Amount).Sub(one.Net)
	}
	if p.h.Change && !in.Equal(out.Add(u.Change).Add(u.Fee)) {
		p.t.Errorf("%s go in, %s arrive, %s come back, %s are the fee", in, out, u.Change, u.Fee)
	}
	if u.Fee.Less(borne) {
		p.t.Errorf("the payouts bear %s of a fee of %s", borne, u.Fee)
	}
	if u.Rate.Sign() <= 0 || u.Fee.Sign() <= 0 {
		p.t.Errorf("rate %s, fee %s", u.Rate, u.Fee)
	}
}

func (p *purse) send(s chain.Signed) {
	p.t.Helper()
	must(p.t, p.h.Builder.Broadcast(p.t.Context(), s.Raw))
}

// used lists the uses of the holdings' tickets in the stored blocks.
func (p *purse) used(holdings []chain.Holding) []chain.Use {
	p.t.Helper()
	p.sync()
	var all []chain.Use
	for _, b := range p.stored {
		for _, u := range p.uses[b.Hash] {
			if slices.ContainsFunc(holdings, func(o chain.Holding) bool { return o.Ticket == u.Ticket }) {
				all = append(all, u)
			}
		}
	}
	return all
}

// expectUsed checks that the chain holds the transaction, and that each payout got its net by it, once.
func (p *purse) expectUsed(u chain.Unsigned, s chain.Signed) {
	p.t.Helper()
	uses := p.used(u.Holdings)
	if len(uses) != len(u.Holdings) {
		p.t.Fatalf("uses %+v, holdings %+v", uses, u.Holdings)
	}
	for _, use := range uses {
		if use.TxID != s.TxID || use.Failed {
			p.t.Errorf("use %+v, sent %s", use, s.TxID)
		}
	}
	nets := map[string]money.Amount{}
	for _, pay := range u.Pays {
		nets[pay.To] = money.Sum(p.h.Network.Coin(), nets[pay.To], pay.Net)
	}
	for to, net := range nets {
		if got := p.explained(to); !got.Equal(net) {
			p.t.Errorf("%s got %s, net %s", to, got, net)
		}
	}
}

// expectUnused checks that the chain holds nothing of it.
func (p *purse) expectUnused(u chain.Unsigned) {
	p.t.Helper()
	if uses := p.used(u.Holdings); len(uses) != 0 {
		p.t.Errorf("uses %+v", uses)
	}
	for _, pay := range u.Pays {
		if got := p.explained(pay.To); got.Sign() != 0 {
			p.t.Errorf("%s got %s", pay.To, got)
		}
	}
}
