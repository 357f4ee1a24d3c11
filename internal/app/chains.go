package app

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// openChains makes a reader and the engine's view of each network that is set up.
func (a *App) openChains() error {
	a.Nets, a.readers = map[money.Currency]engine.Net{}, map[money.Network]chain.Reader{}
	for coin, network := range a.Config.Networks() {
		r, err := a.Config.reader(network, a.opts.Now, a.log)
		if err != nil {
			return fmt.Errorf("set up %s: %w", network, err)
		}
		if a.opts.Wrap.Reader != nil {
			r = a.opts.Wrap.Reader(r)
		}
		a.readers[network] = r
		a.Nets[coin] = a.Config.net(network)
	}
	return nil
}

// Endpoints are the named endpoints of a network, each a reader and a checker of its own.
func (c Config) Endpoints(n money.Network, now func() time.Time, log *slog.Logger) ([]chain.Named, error) {
	nodes := split(c.BitcoinNodes)
	if n.Coin() == money.ETH {
		nodes = split(c.EthereumNodes)
	}
	var all []chain.Named
	for i, node := range nodes {
		r, err := c.endpoint(n, node, now, log)
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i+1, err)
		}
		all = append(all, chain.Named{Name: fmt.Sprintf("%s node %d", n, i+1), Reader: r})
	}
	return all, nil
}

func (c Config) endpoint(n money.Network, node string, now func() time.Time, log *slog.Logger) (chain.Reader, error) {
	if n.Coin() == money.ETH {
		return ethereum.Open(ethereum.Options{Network: n, URL: node, MaxTipAge: or(c.EthereumTipAge, chain.TipAge(n)), Now: now, Log: log})
	}
	return bitcoin.Open(bitcoin.Options{
		Network: n, URL: node, MaxTipAge: or(c.BitcoinTipAge, chain.TipAge(n)), Fallback: c.fallback(n), Now: now,
	})
}

// reader is all endpoints of a network as one.
func (c Config) reader(n money.Network, now func() time.Time, log *slog.Logger) (chain.Reader, error) {
	all, err := c.Endpoints(n, now, log)
	if err != nil {
		return nil, err
	}
	return chain.NewQuorum(n, all...)
}

// net is what the engine needs to know of a network.
func (c Config) net(n money.Network) engine.Net {
	dev := chain.IsDev(n)
	e := engine.Net{Network: n, BreakerDepth: chain.BreakerDepth(n), DropAfter: DropAfter, ForgetAfter: ForgetAfter, MaxBlind: MaxBlind}
	breaker := c.BitcoinBreaker
	switch n.Coin() {
	case money.ETH:
		breaker = c.EthereumBreaker
		e.Accounts, e.BlockTime = true, 12*time.Second
		e.ParseAddress = func(text string) (string, error) { return ethereum.ParseAddress(n, text) }
		if !dev {
			e.MaxAhead = engine.MaxSkew
		}
	default:
		e.BlockTime = 10 * time.Minute
		e.ParseAddress = func(text string) (string, error) { return bitcoin.ParseAddress(n, text) }
		if !dev {
			e.MaxAhead = 2*time.Hour + engine.MaxSkew // consensus lets a block be two hours ahead
		}
	}
	if breaker >= 0 {
		e.BreakerDepth = uint64(breaker)
	}
	if dev {
		e.DropAfter, e.ForgetAfter, e.BlockTime = DropAfterDev, DropAfterDev, 5*time.Second
	}
	e.Final, e.Retry = c.final(n), e.BlockTime/RetryPart
	if dev {
		e.Retry = chain.Poll(n)
	}
	return e
}

// final is the depth from which a network's coins are settled and payouts are done.
func (c Config) final(n money.Network) payment.Depth {
	blocks, dev := c.BitcoinFinal, DevFinalBTC
	if n.Coin() == money.ETH {
		blocks, dev = c.EthereumFinal, DevFinalETH
	}
	switch {
	case blocks > 0:
		return payment.Depth{Blocks: blocks}
	case chain.IsDev(n):
		return payment.Depth{Blocks: dev}
	case n.Coin() == money.ETH:
		return payment.Depth{Final: true}
	}
	return payment.Depth{Blocks: FinalBTC}
}

// builder makes and sends a network's transactions.
func (c Config) builder(n money.Network, now func() time.Time, log *slog.Logger) (chain.Builder, error) {
	if n.Coin() == money.ETH {
		return ethereum.OpenBuilder(ethereum.BuilderOptions{
			Network: n, URLs: split(c.EthereumNodes), MaxTipAge: or(c.EthereumTipAge, chain.TipAge(n)), Now: now, Log: log,
		})
	}
	return bitcoin.OpenBuilder(bitcoin.BuilderOptions{Network: n, URLs: split(c.BitcoinNodes), Fallback: c.fallback(n)})
}

// fallback is the fee rate where no Bitcoin node has an estimate, per 1,000 virtual bytes; zero: none. Real coins wait for an
// estimate unless the operator says otherwise: too low a fee would leave them stuck, too high a one is gone.
func (c Config) fallback(n money.Network) money.Amount {
	rate := c.BitcoinFallback
	if rate < 0 {
		rate = 0
		if n != "bitcoin/mainnet" && !chain.IsDev(n) {
			rate = TestFallback
		}
	}
	return money.Of(money.BTC, int64(rate)*1000)
}

// payRules are the operator's limits of payouts on a network.
func (c Config) payRules(n money.Network) engine.PayRules {
	r := engine.PayRules{FeeShare: int64(c.FeeShare), Resend: Resend, Batch: 1}
	if chain.IsDev(n) {
		r.Resend, r.Lease = ResendDev, LeaseDev
	}
	if n.Coin() == money.ETH {
		r.MaxRate, r.BumpAfter = money.Of(money.ETH, int64(c.EthereumCeiling)*1e9), c.EthereumBump
		return r
	}
	r.MaxRate, r.BumpAfter, r.Batch = money.Of(money.BTC, int64(c.BitcoinCeiling)*1000), c.BitcoinBump, SettlementBatch
	return r
}

// poll is the pause between two looks at a network.
func (c Config) poll(n money.Network) time.Duration {
	if n.Coin() == money.ETH {
		return or(c.EthereumPoll, chain.Poll(n))
	}
	return or(c.BitcoinPoll, chain.Poll(n))
}

// or is the first duration that is set.
func or(set, preset time.Duration) time.Duration {
	if set > 0 {
		return set
	}
	return preset
}
