package bitcoin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// A Coin is an unspent output.
type Coin struct {
	chain.Credit
	Height uint64 // of the block that holds it
}

// A Stock is what FindCoins finds.
type Stock struct {
	Coins []Coin
	// Height is that of the first look: what came or went in later blocks may be missing in it, and is found by following
	// the chain from there.
	Height uint64
}

// FindCoins finds every unspent output to the addresses, which are in normal form, in the node's set of unspent outputs:
// no index and no history is needed. The node reads the whole set for each ScanBatch addresses, which takes minutes on
// mainnet, and does one such scan at a time: chain.ErrBlind where another is under way. What is only in the mempool is not
// found. The node's word is believed: nothing proves to a client that an output exists and is unspent, or that none was
// left out.
func (r *Reader) FindCoins(ctx context.Context, addresses iter.Seq[string]) (Stock, error) {
	if err := r.greet(ctx); err != nil {
		return Stock{}, err
	}
	s := Stock{Height: math.MaxUint64}
	seen := map[string]bool{} // an address may be given twice
	batch := make([]string, 0, ScanBatch)
	flush := func() error {
		found, height, err := r.scanSet(ctx, batch)
		if err != nil {
			return fmt.Errorf("find coins: %w", err)
		}
		for _, coin := range found {
			if !seen[coin.Ref] {
				seen[coin.Ref] = true
				s.Coins = append(s.Coins, coin)
			}
		}
		s.Height, batch = min(s.Height, height), batch[:0]
		return nil
	}
	for address := range addresses {
		normal, err := ParseAddress(r.net.name, address)
		if err != nil || normal != address {
			return Stock{}, fmt.Errorf("find coins: %q is no address in its normal form: %w", clip(address), err)
		}
		if batch = append(batch, address); len(batch) == ScanBatch {
			if err := flush(); err != nil {
				return Stock{}, err
			}
		}
	}
	if len(batch) > 0 {
		if err := flush(); err != nil {
			return Stock{}, err
		}
	}
	if s.Height == math.MaxUint64 {
		return Stock{}, errors.New("find coins: no addresses were given")
	}
	return s, nil
}

// unspent is one output as scantxoutset lists it.
type unspent struct {
	TxID     string      `json:"txid"`
	Vout     uint32      `json:"vout"`
	Script   string      `json:"scriptPubKey"`
	Amount   json.Number `json:"amount"`
	Coinbase bool        `json:"coinbase"`
	Height   uint64      `json:"height"`
}

// scanSet looks for the coins of one batch.
func (r *Reader) scanSet(ctx context.Context, addresses []string) ([]Coin, uint64, error) {
	wanted := make(map[string]bool, len(addresses))
	objects := make([]string, 0, len(addresses))
	for _, address := range addresses {
		if !wanted[address] {
			wanted[address] = true
			objects = append(objects, "addr("+address+")")
		}
	}
	var answer struct {
		Success  bool      `json:"success"`
		Height   uint64    `json:"height"`
		Unspents []unspent `json:"unspents"`
	}
	if err := r.node.slow(ctx, &answer, "scantxoutset", "start", objects); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, r.stopScan(ctx))
		}
		return nil, 0, blind(err)
	}
	if !answer.Success {
		return nil, 0, fmt.Errorf("scantxoutset: it was not carried through: %w", chain.ErrBlind)
	}
	tell := newTeller(r.net)
	var found []Coin
	for _, u := range answer.Unspents {
		c, err := u.coin(tell)
		if err == nil && !wanted[c.To] {
			err = fmt.Errorf("it names %q, which was not asked for", c.To)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("scantxoutset: %w", malformed(err))
		}
		if c.Amount.Sign() > 0 {
			found = append(found, c)
		}
	}
	return found, answer.Height, nil
}

// stopScan ends the scan of a caller who gave up, which would keep the node from the next one.
func (r *Reader) stopScan(ctx context.Context) error {
	var was bool
	if err := r.node.call(context.WithoutCancel(ctx), &was, "scantxoutset", "abort"); err != nil {
		return fmt.Errorf("stop scan: %w", err)
	}
	return nil
}

func (u unspent) coin(tell *teller) (Coin, error) {
	script, err := hex.DecodeString(u.Script)
	if err != nil {
		return Coin{}, fmt.Errorf("read script: %w", err)
	}
	amount, err := parseBTC(string(u.Amount))
	if err != nil {
		return Coin{}, err
	}
	ref := fmt.Sprintf("%s:%d", u.TxID, u.Vout)
	if _, err := parseTicket(chain.Ticket(ref)); err != nil {
		return Coin{}, err
	}
	c := Coin{Credit: chain.Credit{Ref: ref, TxID: u.TxID, To: string(tell.address(script)), Amount: money.Of(money.BTC, amount)}, Height: u.Height}
	if u.Coinbase {
		c.Spendable = u.Height + CoinbaseMaturity
	}
	return c, nil
}
