package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/rate"
	"github.com/pipe-pg/pipe/internal/worker"
)

// openRates makes the board of price sources, and its loop in processes that quote.
func (a *App) openRates() error {
	var err error
	if fixed, ok := strings.CutPrefix(a.Config.Rates, "fixed:"); ok {
		for _, n := range a.Config.Networks() {
			if n == "bitcoin/mainnet" || n == "ethereum/1" {
				return fmt.Errorf("PIPE_RATES: fixed prices are for coins without value, %s has some: name exchanges", n)
			}
		}
		a.board, err = a.fixedBoard(fixed)
		return err
	}
	sources, err := rate.Open(split(a.Config.Rates), nil)
	if err != nil {
		return fmt.Errorf("PIPE_RATES: %w", err)
	}
	o := rate.Options{Sources: sources, MaxAge: a.Config.RateMaxAge, Now: a.opts.Now}
	if a.Config.FXFile != "" {
		o.FX = rate.FileFX(a.Config.FXFile)
	}
	if a.board, err = rate.NewBoard(o); err != nil {
		return fmt.Errorf("PIPE_RATES: %w", err)
	}
	if a.Config.Has("checkout") || a.Config.Has("worker") {
		a.loops = append(a.loops, worker.Loop{Name: "rate", Every: or(a.Config.RateEvery, rate.Every), Timeout: StepTimeout, Run: a.board.Refresh})
	}
	return nil
}

// fixedBoard reads BTC/KRW=95000000;BTC/USD=68500;….
func (a *App) fixedBoard(text string) (*rate.Board, error) {
	var all []rate.FixedPrice
	for _, part := range strings.Split(text, ";") {
		pair, value, ok := strings.Cut(part, "=")
		coin, currency, slash := strings.Cut(pair, "/")
		if !ok || !slash {
			return nil, fmt.Errorf("PIPE_RATES: %q is not COIN/CURRENCY=PRICE", part)
		}
		all = append(all, rate.FixedPrice{Coin: money.Currency(coin), Currency: money.Currency(currency), Text: value})
	}
	board, err := rate.NewFixedBoard(all, a.opts.Now)
	if err != nil {
		return nil, fmt.Errorf("PIPE_RATES: %w", err)
	}
	return board, nil
}

// prices is the board as the engine sees it.
type prices struct{ board *rate.Board }

// Price is a trustworthy price now, or a refusal of kind Unavailable that says why there is none.
func (p prices) Price(_ context.Context, coin, currency money.Currency) (payment.Price, error) {
	r, err := p.board.Price(coin, currency)
	var refusal *rate.Refusal
	if errors.As(err, &refusal) {
		return payment.Price{}, payment.Refuse(payment.Unavailable, payment.WordNoRate,
			"there is no trustworthy price of %s in %s just now: try again shortly", coin, currency)
	}
	if err != nil {
		return payment.Price{}, err
	}
	price := payment.Price{Rate: r.Rate, At: r.At}
	for _, v := range r.Votes {
		price.Votes = append(price.Votes, payment.Vote{Source: v.Source, Value: v.Text, At: v.At, Counted: v.Counted, Reason: v.Reason})
	}
	return price, nil
}
