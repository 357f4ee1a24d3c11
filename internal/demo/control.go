package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// control serves the endpoints by which tests and scripts drive chains and shop: JSON in, JSON out.
func (d *Demo) control() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /pay", call(d.controlPay))
	mux.Handle("POST /mine", call(d.controlMine))
	mux.Handle("POST /reorg", call(d.controlReorg))
	mux.Handle("POST /double-spend", call(d.controlDoubleSpend))
	mux.Handle("POST /node", call(d.controlNode))
	mux.Handle("POST /shop", call(d.controlShop))
	mux.Handle("POST /evict", call(d.controlEvict))
	mux.Handle("POST /fail-next-send", call(d.controlFailNextSend))
	mux.Handle("POST /fees", call(d.controlFees))
	mux.Handle("POST /refuser", call(d.controlRefuser))
	mux.Handle("POST /settlement", call(d.controlSettlement))
	mux.Handle("POST /receive", call(d.controlReceive))
	mux.Handle("POST /withdraw", call(d.controlWithdraw))
	mux.Handle("POST /crash", call(d.controlCrash))
	mux.Handle("GET /balance", look(d.lookBalance))
	mux.Handle("GET /payouts", look(d.lookPayouts))
	mux.Handle("GET /wallet", look(d.lookWallet))
	mux.Handle("GET /steps", look(d.lookSteps))
	mux.HandleFunc("GET /callbacks", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, d.shop.got(r.URL.Query().Get("order_id")))
	})
	return mux
}

// call makes a handler of a function from one JSON object to another. What the caller got wrong is 400 with the reason.
func call[In, Out any](f func(ctx context.Context, in In) (Out, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in In
		dec := json.NewDecoder(io.LimitReader(r.Body, MaxBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": "read request: " + err.Error()})
			return
		}
		out, err := f(r.Context(), in)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, out)
	})
}

// look makes a handler of a function that only answers.
func look[Out any](f func(ctx context.Context, q url.Values) (Out, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := f(r.Context(), r.URL.Query())
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, out)
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the caller went away; there is nobody left to tell
	}
}

func (d *Demo) chain(coin string) (money.Currency, Chain, error) {
	c := money.Currency(coin)
	if chain, ok := d.chains[c]; ok {
		return c, chain, nil
	}
	return "", nil, fmt.Errorf("coin must be BTC or ETH, not %q", coin)
}

type payIn struct {
	Coin     string `json:"coin"`
	Address  string `json:"address"`
	Amount   string `json:"amount"`   // whole coins, decimal text
	Contract bool   `json:"contract"` // ETH: let a contract send it
	Outputs  []struct {
		Address string `json:"address"`
		Amount  string `json:"amount"`
	} `json:"outputs"` // BTC: several outputs in one transaction, instead of address and amount
}

type txOut struct {
	TxID string `json:"txid"`
}

func (d *Demo) controlPay(ctx context.Context, in payIn) (txOut, error) {
	coin, chain, err := d.chain(in.Coin)
	if err != nil {
		return txOut{}, err
	}
	if len(in.Outputs) > 0 {
		return payOutputs(ctx, coin, chain, in)
	}
	amount, err := parseAmount(coin, in.Amount)
	if err != nil {
		return txOut{}, fmt.Errorf("amount: %w", err)
	}
	if in.Contract {
		c, ok := chain.(Contractor)
		if !ok {
			return txOut{}, fmt.Errorf("%s has no contracts", coin)
		}
		txid, err := c.PayByContract(ctx, in.Address, amount)
		return txOut{txid}, err
	}
	txid, err := chain.Pay(ctx, in.Address, amount)
	return txOut{txid}, err
}

func payOutputs(ctx context.Context, coin money.Currency, chain Chain, in payIn) (txOut, error) {
	b, ok := chain.(Batcher)
	if !ok {
		return txOut{}, fmt.Errorf("%s pays one address at a time", coin)
	}
	var outs []Output
	for _, o := range in.Outputs {
		amount, err := parseAmount(coin, o.Amount)
		if err != nil {
			return txOut{}, fmt.Errorf("amount: %w", err)
		}
		outs = append(outs, Output{o.Address, amount})
	}
	txid, err := b.PayMany(ctx, outs)
	return txOut{txid}, err
}

type mineIn struct {
	Coin   string `json:"coin"`
	Blocks int    `json:"blocks"`
}

type blockOut struct {
	Height int64  `json:"height"`
	Hash   string `json:"hash"`
}

func (d *Demo) controlMine(ctx context.Context, in mineIn) (out blockOut, err error) {
	_, chain, err := d.chain(in.Coin)
	if err != nil {
		return out, err
	}
	out.Height, out.Hash, err = chain.Mine(ctx, max(in.Blocks, 1))
	return out, err
}

type reorgIn struct {
	Coin  string   `json:"coin"`
	Depth int      `json:"depth"`
	Drop  []string `json:"drop"`
}

func (d *Demo) controlReorg(ctx context.Context, in reorgIn) (out blockOut, err error) {
	_, chain, err := d.chain(in.Coin)
	if err != nil {
		return out, err
	}
	out.Height, out.Hash, err = chain.Reorg(ctx, in.Depth, in.Drop)
	return out, err
}

type doubleSpendIn struct {
	Coin string `json:"coin"`
	TxID string `json:"txid"`
}

func (d *Demo) controlDoubleSpend(ctx context.Context, in doubleSpendIn) (out txOut, err error) {
	_, chain, err := d.chain(in.Coin)
	if err != nil {
		return out, err
	}
	out.TxID, err = chain.DoubleSpend(ctx, in.TxID)
	return out, err
}

type nodeIn struct {
	Coin string `json:"coin"`
	Up   bool   `json:"up"`
}

func (d *Demo) controlNode(ctx context.Context, in nodeIn) (nodeIn, error) {
	_, chain, err := d.chain(in.Coin)
	if err != nil {
		return in, err
	}
	if in.Up {
		return in, chain.Resume(ctx)
	}
	return in, chain.Pause(ctx)
}

type shopIn struct {
	Status  int    `json:"status"`
	Body    string `json:"body"`
	DelayMS int64  `json:"delay_ms"`
}

func (d *Demo) controlShop(_ context.Context, in shopIn) (shopIn, error) {
	if in.Status == 0 {
		in.Status = http.StatusOK
	}
	if in.Status < 200 || in.Status > 599 {
		return in, fmt.Errorf("status must be between 200 and 599")
	}
	delay := time.Duration(in.DelayMS) * time.Millisecond
	if delay < 0 || delay > MaxDelay {
		return in, fmt.Errorf("delay_ms must be between 0 and %d", MaxDelay.Milliseconds())
	}
	d.shop.answerWith(in.Status, in.Body, delay)
	return in, nil
}
