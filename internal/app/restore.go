package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/bitcoin"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/signer"
)

// A FoundCoin is what a chain shows at an address of the seed: an unspent output, or an account's balance.
type FoundCoin struct {
	Network money.Network
	Branch  uint32 // of the merchant, in the order in which merchants were added
	Index   uint32
	Address string
	Ref     string // the outpoint; "" on account chains
	Amount  money.Amount
}

// A Search says how far to look: Gap addresses behind the last one that was found used, in Branches merchants behind the last
// one that has any. Progress is told before each look at a node.
type Search struct {
	Gap, Branches int
	Progress      func(n money.Network, branch, from uint32)
}

// FindAll looks on the chains for everything that a recovery phrase owns, without any database. It answers the coins, and the
// first index of each branch behind all that was found used.
func FindAll(ctx context.Context, c Config, phrase signer.Secret, s Search) (all []FoundCoin, next uint32, err error) {
	e, err := signer.Explore(phrase)
	if err != nil {
		return nil, 0, err
	}
	defer e.Close()
	for _, n := range c.Networks() {
		look, err := c.finder(n)
		if err != nil {
			return nil, 0, err
		}
		found, behind, err := s.network(ctx, n, e, look)
		if err != nil {
			return nil, 0, fmt.Errorf("look for coins on %s: %w", n, err)
		}
		all, next = append(all, found...), max(next, behind)
	}
	return all, next, nil
}

// A finder tells what is at addresses: the coins, and which addresses were used.
type finder func(ctx context.Context, addresses []string) (coins []chain.Credit, used []string, err error)

// network goes through the branches until Branches of them in a row are empty.
func (s Search) network(ctx context.Context, n money.Network, e *signer.Explorer, look finder) (all []FoundCoin, next uint32, err error) {
	empty := 0
	for branch := uint32(0); empty < s.Branches; branch++ {
		found, behind, err := s.branch(ctx, place{n, branch}, e, look)
		if err != nil {
			return nil, 0, err
		}
		if behind == 0 {
			empty++
			continue
		}
		empty, all, next = 0, append(all, found...), max(next, behind)
	}
	return all, next, nil
}

type place struct {
	network money.Network
	branch  uint32
}

// branch goes through a branch's addresses until Gap of them in a row were never used.
func (s Search) branch(ctx context.Context, at place, e *signer.Explorer, look finder) (all []FoundCoin, next uint32, err error) {
	for from := uint32(0); from < next+uint32(s.Gap); from += uint32(s.Gap) {
		if s.Progress != nil {
			s.Progress(at.network, at.branch, from)
		}
		addresses, err := e.Addresses(at.network, at.branch, from, s.Gap)
		if err != nil {
			return nil, 0, err
		}
		coins, used, err := look(ctx, addresses)
		if err != nil {
			return nil, 0, err
		}
		for _, coin := range coins {
			i := slices.Index(addresses, coin.To)
			if i < 0 {
				continue // not asked for
			}
			all = append(all, FoundCoin{at.network, at.branch, from + uint32(i), coin.To, coin.Ref, coin.Amount})
		}
		for _, address := range used {
			if i := slices.Index(addresses, address); i >= 0 {
				next = max(next, from+uint32(i)+1)
			}
		}
	}
	return all, next, nil
}

// finder asks a network's first endpoint.
func (c Config) finder(n money.Network) (finder, error) {
	if n.Coin() == money.ETH {
		return c.findAccounts(n)
	}
	r, err := bitcoin.Open(bitcoin.Options{Network: n, URL: first(c.BitcoinNodes), MaxTipAge: or(c.BitcoinTipAge, chain.TipAge(n)), Now: time.Now})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, addresses []string) (coins []chain.Credit, used []string, err error) {
		stock, err := r.FindCoins(ctx, slices.Values(addresses))
		for _, coin := range stock.Coins {
			coins, used = append(coins, coin.Credit), append(used, coin.To)
		}
		return coins, used, err
	}, nil
}

func (c Config) findAccounts(n money.Network) (finder, error) {
	node, err := ethereum.Open(ethereum.Options{
		Network: n, URL: first(c.EthereumNodes), MaxTipAge: or(c.EthereumTipAge, chain.TipAge(n)), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, addresses []string) (coins []chain.Credit, used []string, err error) {
		var found []ethereum.Standing
		for try := 0; ; try++ {
			if found, _, err = node.FindBalances(ctx, addresses); !errors.Is(err, chain.ErrGone) || try == FindTries {
				break // the tip changed meanwhile
			}
		}
		for _, s := range found {
			used = append(used, s.Address)
			if s.Balance.Sign() > 0 {
				coins = append(coins, chain.Credit{To: s.Address, Amount: s.Balance})
			}
		}
		return coins, used, err
	}, nil
}

// first is the first of the configured URLs.
func first(urls string) string {
	for _, u := range split(urls) {
		return u
	}
	return ""
}
