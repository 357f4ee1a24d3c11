package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ledger"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func (s *shelf) wallet(n money.Network) engine.Wallet {
	s.Helper()
	all, err := s.desks[0].Wallets(s.Context(), s.merchant.ID)
	if err != nil || len(all) != 2 || all[0].Network != btcNet || all[1].Network != ethNet {
		s.Fatal(all, err)
	}
	for _, w := range all {
		if w.Network == n {
			return w
		}
	}
	return engine.Wallet{}
}

// holds checks balance, reserved, asked and free of a wallet.
func (s *shelf) holds(n money.Network, balance, reserved, asked, free string) {
	s.Helper()
	w := s.wallet(n)
	if w.Balance.Text() != balance || w.Reserved.Text() != reserved || w.Asked.Text() != asked || w.Free.Text() != free {
		s.Fatalf("balance %s, reserved %s, asked %s, free %s; want %s %s %s %s", w.Balance, w.Reserved, w.Asked, w.Free, balance, reserved, asked, free)
	}
}

func (s *shelf) withdraw(n money.Network, value string, more ...func(*engine.AskWithdrawal)) (payment.Payout, error) {
	a := engine.AskWithdrawal{Merchant: s.merchant.ID, Network: n, To: "outside", Amount: value}
	for _, m := range more {
		m(&a)
	}
	return s.desks[0].Withdraw(s.Context(), a)
}

// open does what the payer does first: the coins are set aside.
func (s *shelf) open(id payment.ID) {
	s.Helper()
	s.update(func(tx engine.Tx) error {
		p, err := tx.Payout(id)
		if err != nil {
			return err
		}
		p.State, p.Source, p.Turn, p.Reserved = payment.PayoutOpen, ledger.Wallet(string(p.MerchantID)), p.Turn+1, true
		if err := tx.SwapPayout(p); err != nil {
			return err
		}
		return tx.Post(ledger.Reserve(ledger.Reservation{Payout: string(p.ID), Turn: p.Turn, Source: p.Source, Network: p.Network, Amount: p.Amount}))
	})
}

func TestWallet(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *shelf) {
		s.holds(btcNet, "0", "0", "0", "0")
		s.fund(btcNet, "0.5", "0.25")
		s.holds(btcNet, "0.75", "0", "0", "0.75")
		s.holds(ethNet, "0", "0", "0", "0")
		first, err := s.withdraw(btcNet, "0.5")
		if err != nil || first.Kind != payment.Withdrawal || first.State != payment.PayoutWaiting || first.Amount.Text() != "0.5" || first.To != "outside" ||
			first.Source != "" || first.Reserved || first.InvoiceID != "" || first.ApplicationID != "" || first.DueAt.IsZero() {
			s.Fatalf("%+v %v", first, err)
		}
		s.holds(btcNet, "0.75", "0", "0.5", "0.25")
		s.open(first.ID)
		s.holds(btcNet, "0.75", "0.5", "0", "0.25")
		if _, err := s.withdraw(btcNet, "0.25000001"); err == nil || !strings.Contains(err.Error(), "only 0.25 BTC") {
			s.Errorf("more than is free: %v", err)
		}
		rest, err := s.withdraw(btcNet, "all")
		if err != nil || rest.Amount.Text() != "0.25" {
			s.Fatal(rest, err)
		}
		s.holds(btcNet, "0.75", "0.5", "0.25", "0")
		for _, value := range []string{"all", "0.00000001"} {
			if _, err := s.withdraw(btcNet, value); err == nil {
				s.Errorf("%s was taken from an empty wallet", value)
			}
		}
		all, err := s.desks[0].Payouts(s.Context(), engine.MerchantPayouts{Merchant: s.merchant.ID})
		if err != nil || len(all) != 2 || all[0].ID != rest.ID || all[1].ID != first.ID {
			s.Errorf("history %+v %v", all, err)
		}

		// What waits and what is open can be cancelled, once.
		for _, id := range []payment.ID{rest.ID, first.ID} {
			p, err := s.desks[0].CancelWithdrawal(s.Context(), s.merchant.ID, id)
			if err != nil || p.State != payment.PayoutFailed || p.Reserved || p.FailReason != engine.Cancelled || p.DoneAt.IsZero() {
				s.Errorf("cancel: %+v %v", p, err)
			}
			var e *payment.Error
			if _, err := s.desks[0].CancelWithdrawal(s.Context(), s.merchant.ID, id); !errors.As(err, &e) || e.Word != payment.WordState {
				s.Errorf("cancelled twice: %v", err)
			}
		}
		s.holds(btcNet, "0.75", "0", "0", "0.75")
	})
}

// A withdrawal that is being paid, another merchant's, and a payout of another kind cannot be cancelled.
func TestCancelRefusals(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *shelf) {
		s.fund(ethNet, "1")
		p, err := s.withdraw(ethNet, "0.4")
		if err != nil {
			s.Fatal(err)
		}
		refund, _, err := s.desks[0].AskRefund(s.Context(), engine.AskRefund{Application: s.app, Invoice: s.paid()})
		if err != nil {
			s.Fatal(err)
		}
		other, err := s.desks[0].AddMerchant(s.Context(), "Other")
		if err != nil {
			s.Fatal(err)
		}
		refused := func(merchant, id payment.ID, word string) {
			s.Helper()
			var e *payment.Error
			got, err := s.desks[0].CancelWithdrawal(s.Context(), merchant, id)
			if !errors.As(err, &e) || e.Word != word || word == payment.WordMalformed && got.ID != "" {
				s.Errorf("%+v %v, want %s", got, err, word)
			}
		}
		refused(other.ID, p.ID, payment.WordMalformed)
		refused(s.merchant.ID, refund.ID, payment.WordMalformed)
		refused(s.merchant.ID, payment.ID(strings.Repeat("0", 64)), payment.WordMalformed)
		s.open(p.ID)
		s.update(func(tx engine.Tx) error {
			now, err := tx.Payout(p.ID)
			if err != nil {
				return err
			}
			now.State, now.SpendID = payment.PayoutPaying, now.ID
			return tx.SwapPayout(now)
		})
		refused(s.merchant.ID, p.ID, payment.WordState)
		s.holds(ethNet, "1", "0.4", "0", "0.6")
	})
}

func TestWithdrawRefusals(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *shelf) {
		s.fund(btcNet, "1")
		ours, err := s.desks[0].ReceivingAddress(s.Context(), s.merchant.ID, btcNet)
		if err != nil || ours != s.wallet(btcNet).Address {
			s.Fatal(ours, err)
		}
		d := *s.desks[0]
		d.Nets = map[money.Currency]engine.Net{money.BTC: {Network: btcNet, ParseAddress: func(text string) (string, error) {
			if text == "nonsense" {
				return "", errors.New("is no address")
			}
			return text, nil
		}}}
		for _, c := range []struct {
			field  string
			change func(*engine.AskWithdrawal)
		}{
			{"amount", func(a *engine.AskWithdrawal) { a.Amount = "" }},
			{"amount", func(a *engine.AskWithdrawal) { a.Amount = "0" }},
			{"amount", func(a *engine.AskWithdrawal) { a.Amount = "-1" }},
			{"amount", func(a *engine.AskWithdrawal) { a.Amount = "1e-3" }},
			{"amount", func(a *engine.AskWithdrawal) { a.Amount = "0.000000001" }},
			{"amount", func(a *engine.AskWithdrawal) { a.Amount = "1.00000001" }},
			{"address", func(a *engine.AskWithdrawal) { a.To = "nonsense" }},
			{"address", func(a *engine.AskWithdrawal) { a.To = strings.Repeat("x", 129) }},
			{"address", func(a *engine.AskWithdrawal) { a.To = ours }},
			{"network", func(a *engine.AskWithdrawal) { a.Network = ethNet }},
			{"network", func(a *engine.AskWithdrawal) { a.Network = "bitcoin/mainnet" }},
			{"network", func(a *engine.AskWithdrawal) { a.Network = "" }},
			{"merchant", func(a *engine.AskWithdrawal) { a.Merchant = payment.ID(strings.Repeat("0", 64)) }},
			{"id", func(a *engine.AskWithdrawal) { a.ID = "7" }},
			{"id", func(a *engine.AskWithdrawal) { a.ID = payment.ID(strings.Repeat("a", 64)) }},
		} {
			a := engine.AskWithdrawal{Merchant: s.merchant.ID, Network: btcNet, To: "outside", Amount: "0.5"}
			c.change(&a)
			var e *payment.Error
			if p, err := d.Withdraw(s.Context(), a); !errors.As(err, &e) || e.Word != payment.WordMalformed || e.Field != c.field {
				s.Errorf("%+v: %+v %v", a, p, err)
			}
			if _, err := d.WithdrawalCost(s.Context(), a); !errors.As(err, &e) || e.Field != c.field {
				s.Errorf("cost of %+v: %v", a, err)
			}
		}
		s.holds(btcNet, "1", "0", "0", "1")

		// Nor may settlements go in a circle.
		var e *payment.Error
		to := map[money.Currency]string{money.BTC: ours}
		if _, err := d.SetApplication(s.Context(), s.app.ID, engine.Change{Settlement: to}); !errors.As(err, &e) || e.Field != "settlement_address" {
			s.Errorf("settlement address of our own: %v", err)
		}
		name := "Circle"
		if _, err := d.AddApplication(s.Context(), s.merchant.ID, engine.Change{Name: &name, Settlement: to}); !errors.As(err, &e) || e.Field != "settlement_address" {
			s.Errorf("settlement address of our own: %v", err)
		}
		if _, err := d.SetApplication(s.Context(), s.app.ID, engine.Change{Settlement: map[money.Currency]string{money.BTC: "outside"}}); err != nil {
			s.Error(err)
		}
	})
}

// 100 withdrawals of 0.3 at once from a wallet of 1: three are taken. 100 with one id: one.
func TestWithdrawRush(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *shelf) {
		s.fund(ethNet, "1")
		rush := func(value string, id payment.ID) (taken map[payment.ID]int) {
			taken = map[payment.ID]int{}
			var mu sync.Mutex
			var all sync.WaitGroup
			for n := range 100 {
				all.Go(func() {
					p, err := s.desks[n%len(s.desks)].Withdraw(context.Background(), engine.AskWithdrawal{
						ID: id, Merchant: s.merchant.ID, Network: ethNet, To: "outside", Amount: value})
					var e *payment.Error
					if err != nil && !(errors.As(err, &e) && e.Field == "amount") {
						s.Error(err)
					}
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						taken[p.ID]++
					}
				})
			}
			all.Wait()
			return taken
		}
		if taken := rush("0.3", ""); len(taken) != 3 {
			s.Errorf("%d taken", len(taken))
		}
		s.holds(ethNet, "1", "0", "0.9", "0.1")
		id := payment.ID(strings.Repeat("7", 64))
		if taken := rush("all", id); len(taken) != 1 || taken[id] != 100 {
			s.Errorf("with one id: %v", taken)
		}
		s.holds(ethNet, "1", "0", "1", "0")
		if _, err := s.withdraw(ethNet, "all", func(a *engine.AskWithdrawal) { a.ID, a.To = id, "elsewhere" }); err == nil {
			s.Error("one id, two destinations")
		}
	})
}

// One receiving address is given, for ever.
func TestReceivingAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, err := r.desk.ReceivingAddress(t.Context(), r.merchant.ID, ethNet)
	r.must(err)
	again, err := r.desk.ReceivingAddress(t.Context(), r.merchant.ID, ethNet)
	r.must(err)
	b, err := r.desk.ReceivingAddress(t.Context(), r.merchant.ID, btcNet)
	r.must(err)
	if a != again || a == b || !strings.HasPrefix(a, "0x") {
		t.Errorf("%s, %s, %s", a, again, b)
	}
	if id := r.create("10"); r.choose(id, money.ETH) == a {
		t.Error("the wallet's address was given to an invoice")
	}
	r.eth.Pay(a, amount(money.ETH, "1.5"))
	r.mine(money.ETH, 30)
	r.follow()
	all, err := r.desk.Wallets(t.Context(), r.merchant.ID)
	r.must(err)
	if all[1].Balance.Text() != "1.5" || all[1].Address != a {
		t.Errorf("wallet %+v", all[1])
	}
	other, err := r.desk.AddMerchant(t.Context(), "No pool")
	r.must(err)
	_, err = r.desk.ReceivingAddress(t.Context(), other.ID, btcNet)
	r.refused(err, payment.WordNoAddress)
	r.clean()
}

// fixedFees are those of a node, or none.
type fixedFees struct {
	fees chain.Fees
	err  error
}

func (f fixedFees) Fees(context.Context) (chain.Fees, error) { return f.fees, f.err }

func TestWithdrawalCost(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *shelf) {
		s.fund(btcNet, "0.2", "0.5", "0.3")
		s.fund(ethNet, "0.1", "0.6")
		sat, gwei := func(n int64) money.Amount { return money.Of(money.BTC, n) }, func(n int64) money.Amount { return money.Of(money.ETH, n*1e9) }
		d := s.desks[0]
		cost := func(n money.Network, value string) (engine.Cost, error) {
			return d.WithdrawalCost(s.Context(), engine.AskWithdrawal{Merchant: s.merchant.ID, Network: n, To: "outside", Amount: value})
		}
		c, err := cost(btcNet, "0.5")
		if err != nil || c.Amount.Text() != "0.5" || c.Fee.Currency() != "" || c.Net.Currency() != "" {
			s.Errorf("without fees: %+v %v", c, err)
		}
		d.Fees = map[money.Network]engine.FeeReader{
			btcNet: fixedFees{fees: chain.Fees{Rate: sat(10_000), Plain: sat(1100), Holding: sat(680), Output: sat(310), Least: sat(294)}},
			ethNet: fixedFees{fees: chain.Fees{Rate: gwei(20), Plain: gwei(420_000), Holding: gwei(0), Output: gwei(0), Least: money.Of(money.ETH, 1)}},
		}
		for _, w := range []struct {
			n               money.Network
			value, fee, net string
		}{
			{btcNet, "0.5", "0.000011", "0.499989"}, // from one output
			{btcNet, "0.50000001", "0.0000178", "0.49998221"},
			{btcNet, "all", "0.0000246", "0.9999754"},
			{ethNet, "0.6", "0.00042", "0.59958"},
			{ethNet, "0.65", "0.00084", "0.64916"}, // gathered first
		} {
			c, err := cost(w.n, w.value)
			if err != nil || c.Fee.Text() != w.fee || c.Net.Text() != w.net {
				s.Errorf("%s of %s: fee %s, net %s, %v; want %s, %s", w.value, w.n, c.Fee, c.Net, err, w.fee, w.net)
			}
		}
		var e *payment.Error
		for _, small := range []string{"0.00001", "0.000011", "0.00001393"} {
			if c, err := cost(btcNet, small); !errors.As(err, &e) || e.Field != "amount" || !strings.Contains(e.Message, "network fee") {
				s.Errorf("%s: %+v %v", small, c, err)
			}
		}
		d.Fees[btcNet] = fixedFees{err: chain.ErrBlind}
		if c, err := cost(btcNet, "0.5"); err != nil || c.Fee.Currency() != "" {
			s.Errorf("blind: %+v %v", c, err)
		}
	})
}
