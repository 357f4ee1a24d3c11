package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"

	"github.com/pipe-pg/pipe/internal/devchain/bitcoin"
	"github.com/pipe-pg/pipe/internal/devchain/ethereum"
	"github.com/pipe-pg/pipe/internal/money"
)

// What goes wrong outside, and what a chain says that holds no key of ours.

// Weather is the faults and fees of a chain in process. A real node has neither at call.
type Weather interface {
	// FailNextSend has the next transaction sent over RPC fail: lost, cut (Bitcoin), forgotten or refused, as the chain
	// explains.
	FailNextSend(ctx context.Context, mode string) error
	// SetFees makes fees so many times the ordinary ones, until the chain is closed; 1 ends it.
	SetFees(ctx context.Context, factor int64) error
}

// A Refuser makes contracts that take no coins. They are there from the next block on.
type Refuser interface {
	NewRefuser(ctx context.Context) (address string, err error)
}

// Ordinary fees: what the local Bitcoin chain estimates by itself, in satoshi per 1,000 virtual bytes, and the tip of an
// ordinary day on Ethereum, in wei per gas.
const (
	ordinaryRate = 2_000
	ordinaryTip  = 1_000_000_000
)

// localBitcoin adds the weather that only the chain in process has.
type localBitcoin struct {
	bitcoinChain
	local *bitcoin.Chain
}

func (c localBitcoin) FailNextSend(ctx context.Context, mode string) error {
	return c.local.FailNextSend(ctx, bitcoin.SendFault(mode))
}

func (c localBitcoin) SetFees(_ context.Context, factor int64) error {
	c.local.SetFeeRate(ordinaryRate * factor)
	return nil
}

func (c ethereumChain) FailNextSend(ctx context.Context, mode string) error {
	faults := map[string]ethereum.SendFault{"lost": ethereum.SendLost, "forgotten": ethereum.SendForgotten, "refused": ethereum.SendRefused}
	fault, ok := faults[mode]
	if !ok {
		return fmt.Errorf("fail sends: %q is no fault", mode)
	}
	return c.Chain.FailNextSend(ctx, fault)
}

func (c ethereumChain) SetFees(ctx context.Context, factor int64) error {
	if factor == 1 {
		return c.SetFeeRate(ctx, new(big.Int))
	}
	return c.SetFeeRate(ctx, big.NewInt(ordinaryTip*factor))
}

// restoreFees has the fees that were asked for in force again before anything is sent.
func (d *Demo) restoreFees(ctx context.Context) error {
	for coin, factor := range d.state.Fees {
		w, err := d.weather(string(coin))
		if err == nil {
			err = w.SetFees(ctx, factor)
		}
		if err != nil {
			return fmt.Errorf("restore fees of %s: %w", coin, err)
		}
	}
	return nil
}

// Balance is what the blocks of the chain hold for an address, in satoshi.
func (c bitcoinChain) Balance(ctx context.Context, address string) (*big.Int, error) {
	var found struct {
		Success bool        `json:"success"`
		Total   json.Number `json:"total_amount"`
	}
	if err := askNode(ctx, c.URL(), nodeCall{"scantxoutset", []any{"start", []string{"addr(" + address + ")"}}}, &found); err != nil {
		return nil, err
	}
	if !found.Success {
		return nil, errors.New("the node did not scan to the end")
	}
	return parseAmount(money.BTC, found.Total.String())
}

// Balance is what an account holds at the newest block, in wei.
func (c ethereumChain) Balance(ctx context.Context, address string) (*big.Int, error) {
	var hex string
	if err := askNode(ctx, c.URL(), nodeCall{"eth_getBalance", []any{address, "latest"}}, &hex); err != nil {
		return nil, err
	}
	n, ok := new(big.Int).SetString(hex, 0)
	if !ok {
		return nil, fmt.Errorf("the node tells a balance of %q", hex)
	}
	return n, nil
}

// A nodeCall is one JSON-RPC call.
type nodeCall struct {
	method string
	params []any
}

// askNode makes a JSON-RPC call of the demo's own, beside all that the program itself asks.
func askNode(ctx context.Context, url string, c nodeCall, result any) error {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": c.method, "params": c.params})
	if err != nil {
		return fmt.Errorf("write %s: %w", c.method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.method, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: CallTimeout}).Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.method, err)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	err = errors.Join(json.NewDecoder(io.LimitReader(resp.Body, MaxBody)).Decode(&answer), resp.Body.Close())
	if err != nil {
		return fmt.Errorf("read answer to %s: %w", c.method, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s", c.method, answer.Error.Message)
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("read answer to %s: %w", c.method, err)
	}
	return nil
}
