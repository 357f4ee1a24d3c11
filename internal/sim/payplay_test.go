package sim_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// readyToPay draws how payouts are played.
func (s *sim) readyToPay() {
	s.pays, s.spiked = s.seed%4 != 0, 1
	s.hand, s.nets = s.newHand(), nets()
	s.refusedOnce, s.sentOnce, s.withdrawals = map[string]int{}, map[string]bool{}, map[string]bool{}
	s.receivers = map[money.Currency][]string{}
	for _, coin := range coins {
		n := s.nets[coin]
		n.Final = payment.Depth{Blocks: 2 + s.rng.IntN(6)}
		if s.bug == "done too early" {
			n.Final = payment.Depth{Blocks: 1}
		}
		s.nets[coin] = n
	}
}

// payRules are the operator's limits.
func payRules(coin money.Currency) engine.PayRules {
	if coin == money.ETH {
		return engine.PayRules{MaxRate: money.Of(money.ETH, 300_000_000_000), FeeShare: 50_000, BumpAfter: 3 * time.Minute, Resend: 10 * time.Minute, Batch: 1}
	}
	return engine.PayRules{MaxRate: money.Of(money.BTC, 300_000), FeeShare: 50_000, BumpAfter: 30 * time.Minute, Resend: 10 * time.Minute, Batch: 50}
}

// dust is an amount above all that can be too small for a fee at the usual rate, and at that of a spike.
func (s *sim) dust(coin money.Currency) money.Amount {
	if coin == money.ETH {
		return money.Of(money.ETH, 21_000*2_000_000_000*s.spiked+1)
	}
	return money.Of(money.BTC, 600+230*s.spiked)
}

// outside is a new address of somebody else's.
func (s *sim) outside(coin money.Currency) string {
	s.outsiders++
	var hash [20]byte
	binary.BigEndian.PutUint64(hash[:], s.seed)
	binary.BigEndian.PutUint64(hash[8:], uint64(s.outsiders))
	if coin == money.ETH {
		text, err := ethereum.ParseAddress(ethNet, fmt.Sprintf("0x%x", hash))
		if err != nil {
			panic(err)
		}
		return text
	}
	a, err := address.NewAddressWitnessPubKeyHash(hash[:], &chaincfg.RegressionNetParams)
	if err != nil {
		panic(err)
	}
	return a.EncodeAddress()
}

// settlePolicy draws where and when an application settles.
func (s *sim) settlePolicy() (policy payment.SettlePolicy, to map[money.Currency]string) {
	to = map[money.Currency]string{}
	for _, coin := range coins {
		if s.chance(65) {
			to[coin] = s.outside(coin)
			switch s.rng.IntN(8) {
			case 0:
				s.hand.due[to[coin]] = s.now.Add(5 * time.Hour)
			case 1:
				s.hand.due[to[coin]] = time.Time{}
			}
		}
	}
	switch s.rng.IntN(5) {
	case 0:
		policy.Hold = time.Hour
	case 1:
		policy.Every = 6 * time.Hour
	case 2:
		policy.Above = map[money.Currency]money.Amount{money.BTC: money.Of(money.BTC, 500_000)}
	}
	return policy, to
}

// payOut turns the payers' cranks.
func (s *sim) payOut() {
	if !s.pays {
		return
	}
	for _, coin := range coins {
		for i := range 2 {
			if s.chance(50 - 40*i) {
				s.payStep(coin, i)
			}
		}
	}
}

func (s *sim) payStep(coin money.Currency, i int) {
	if !s.pays {
		return
	}
	err := s.p.pay[coin][i].Step(s.ctx)
	switch {
	case errors.Is(err, errNode), errors.Is(err, chain.ErrBlind):
		s.hit("payer finds no node")
	case errors.Is(err, payment.ErrConflict):
		s.hit("two payers at once")
	default:
		s.did("pay", err)
	}
}

// moneyOut is what shops, merchants and their operator do about money.
func (s *sim) moneyOut() {
	if !s.pays {
		return
	}
	switch n := s.rng.IntN(10); {
	case n < 6:
		s.askRefund()
	case n < 9:
		s.withdraw()
	default:
		app := s.apps[s.rng.IntN(len(s.apps))]
		coin := coins[s.rng.IntN(2)]
		to := s.outside(coin)
		if s.chance(30) {
			to = ""
		}
		s.audit.settleTo[app.ID] = append(s.audit.settleTo[app.ID], to)
		changed, err := s.p.desk.SetApplication(s.ctx, app.ID, engine.Change{Settlement: map[money.Currency]string{coin: to}})
		if err == nil {
			s.apps[slices.IndexFunc(s.apps, func(a payment.Application) bool { return a.ID == app.ID })] = changed
		}
		s.did("change settlement address", err)
		s.hit("settlement address changed")
	}
}

func (s *sim) askRefund() {
	var paid []*invoice
	for _, v := range s.audit.list {
		if v.Told.Status == payment.Paid || s.chance(5) {
			paid = append(paid, v)
		}
	}
	if len(paid) == 0 {
		return
	}
	v := paid[s.rng.IntN(len(paid))]
	ask := engine.AskRefund{Application: v.app, Invoice: v.ID}
	if s.chance(80) {
		ask.CallbackURL = v.app.Origins[0] + "/" + kinds[s.rng.IntN(len(kinds))]
	}
	if s.chance(30) {
		s.ids++
		ask.IdempotencyKey = fmt.Sprint("refund-", s.ids)
	}
	var refused *payment.Error
	for range 1 + s.rng.IntN(3) { // shops press twice
		_, _, err := s.p.desk.AskRefund(s.ctx, ask)
		s.did("ask refund", err)
		if err == nil || errors.As(err, &refused) {
			s.hit("refund asked")
		}
	}
}

func (s *sim) withdraw() {
	app, coin := s.apps[s.rng.IntN(len(s.apps))], coins[s.rng.IntN(2)]
	w := engine.AskWithdrawal{Merchant: app.MerchantID, Network: s.chains[coin].network, To: s.outside(coin), Amount: engine.All}
	if s.chance(50) {
		w.Amount = map[money.Currency]string{money.BTC: "0.004", money.ETH: "0.09"}[coin]
	}
	s.withdrawals[w.To] = true
	if s.chance(20) {
		s.hand.due[w.To] = s.machine().Add(time.Hour)
	}
	_, err := s.p.desk.Withdraw(s.ctx, w)
	s.did("withdraw", err)
	if err == nil {
		s.hit("withdrawal")
	}
}

// payFault changes what a payout meets outside.
func (s *sim) payFault() {
	coin := coins[s.rng.IntN(2)]
	f := s.chains[coin].fake
	switch s.rng.IntN(8) {
	case 0:
		times := []int64{1, 1, 1, 3, 20, 50, 200}[s.rng.IntN(7)]
		s.spiked = max(s.spiked, times)
		f.Spike(times)
		s.hit(fmt.Sprintf("fees times %d", times))
		s.tracef("%s: fees times %d", coin, times)
	case 1, 2:
		if all := f.Waiting(); len(all) > 0 {
			id := all[s.rng.IntN(len(all))]
			f.Evict(id)
			s.hit("payout evicted")
			s.tracef("%s: %s is evicted", coin, short(id))
		}
	case 3:
		f.LoseAnswers(1+s.rng.IntN(3), []error{chain.ErrUnknown, chain.ErrRejected}[s.rng.IntN(2)])
		s.hit("error after accept")
	case 4:
		f.Deaf(s.chance(30))
	case 5:
		cause := []chain.Cause{chain.CauseRefund, chain.CauseSettlement, chain.CauseWithdrawal, chain.CauseGather}[s.rng.IntN(4)]
		s.hand.rules[cause] = ruling(max(0, s.rng.IntN(7)-3))
	default:
		if all := s.receivers[money.ETH]; len(all) > 0 {
			to, f := all[s.rng.IntN(len(all))], s.chains[money.ETH].fake
			switch s.rng.IntN(4) {
			case 0:
				f.Refuses(to, s.chance(50))
			case 1, 2:
				f.Traps(to, s.chance(60))
			case 3:
				f.Hungry(to, uint64(30_000+s.rng.IntN(80_000)))
			}
			s.hit("receiver is a contract")
		}
	}
}

// healPayouts ends what stands in the way of payouts; the operator has looked at what is halted.
func (s *sim) healPayouts() error {
	for _, coin := range coins {
		f := s.chains[coin].fake
		f.Spike(1)
		f.Deaf(false)
		f.LoseAnswers(0, nil)
	}
	for _, to := range s.receivers[money.ETH] {
		f := s.chains[money.ETH].fake
		f.Refuses(to, false)
		f.Traps(to, false)
		f.Hungry(to, 0)
	}
	clear(s.hand.rules)
	clear(s.hand.due)
	if !s.pays {
		return nil
	}
	return s.p.desk.Resume(s.ctx)
}
