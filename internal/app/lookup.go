package app

import (
	"context"
	"errors"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
)

// lookers ask each network's nodes about single transactions, one node after the other.
type lookers []engine.Looker

// Lookup is the first node's answer that knows the transaction; else that none does, and an error where none could be asked.
func (all lookers) Lookup(ctx context.Context, txid string) (chain.Looked, error) {
	var errs []error
	asked := false
	for _, one := range all {
		l, err := one.Lookup(ctx, txid)
		switch {
		case err != nil:
			errs = append(errs, err)
			continue
		case l.Known:
			return l, nil
		}
		asked = true
	}
	if asked {
		return chain.Looked{}, nil
	}
	return chain.Looked{}, errors.Join(append(errs, chain.ErrBlind)...)
}

// openLookers makes a Looker of each network that is set up.
func (a *App) openLookers() (map[money.Network]engine.Looker, error) {
	found := map[money.Network]engine.Looker{}
	for _, network := range a.Config.Networks() {
		named, err := a.Config.Endpoints(network, a.opts.Now, a.log)
		if err != nil {
			return nil, err
		}
		var all lookers
		for _, n := range named {
			if one, ok := n.Reader.(engine.Looker); ok {
				all = append(all, one)
			}
		}
		found[network] = all
	}
	return found, nil
}
